//! What each segment is still needed for: live records, and deletions of records in older segments.

use std::collections::BTreeMap;

/// A range of segments, both ends among them; none begins with 1, so zeros are no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first.
    pub from: u32,
    /// The last.
    pub until: u32,
}

impl Span {
    /// No segment.
    pub const NONE: Self = Self { from: 0, until: 0 };

    /// The least span that has `segment`, too.
    #[must_use]
    pub fn with(self, segment: u32) -> Self {
        if self == Self::NONE {
            return Self {
                from: segment,
                until: segment,
            };
        }
        Self {
            from: self.from.min(segment),
            until: self.until.max(segment),
        }
    }
}

/// Of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Use {
    bytes: u64,
    live: u64,
    /// Bytes of deletions, by the segments that may have what they delete.
    deleted: BTreeMap<Span, u64>,
}

/// Of all segments that exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage(BTreeMap<u32, Use>);

impl Usage {
    /// A segment exists and is this long.
    pub fn set_bytes(&mut self, segment: u32, bytes: u64) {
        self.0.entry(segment).or_default().bytes = bytes;
    }

    /// A segment is gone.
    pub fn remove(&mut self, segment: u32) {
        self.0.remove(&segment);
    }

    /// Whether a segment exists.
    #[must_use]
    pub fn exists(&self, segment: u32) -> bool {
        self.0.contains_key(&segment)
    }

    /// All segments.
    pub fn segments(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// Forgets what is needed, but not what exists.
    pub fn clear(&mut self) {
        for one in self.0.values_mut() {
            one.live = 0;
            one.deleted.clear();
        }
    }

    /// Bytes of all segments, and of live records in them.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let pairs = self.0.values().map(|one| (one.bytes, one.live));
        pairs.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Bytes of live records in a segment.
    #[must_use]
    pub fn live(&self, segment: u32) -> u64 {
        self.0.get(&segment).map_or(0, |one| one.live)
    }

    /// A live record is in this segment.
    pub fn add_live(&mut self, segment: u32, length: u32) {
        self.0.entry(segment).or_default().live += u64::from(length);
    }

    /// It no longer is.
    pub fn remove_live(&mut self, segment: u32, length: u32) {
        if let Some(one) = self.0.get_mut(&segment) {
            one.live = one.live.saturating_sub(u64::from(length));
        }
    }

    /// A deletion of something in `older` is in this segment.
    pub fn add_deleted(&mut self, segment: u32, length: u32, older: Span) {
        let one = self.0.entry(segment).or_default();
        *one.deleted.entry(older).or_default() += u64::from(length);
    }

    /// It no longer is.
    pub fn remove_deleted(&mut self, segment: u32, length: u32, older: Span) {
        let deleted = self.0.get_mut(&segment).map(|one| &mut one.deleted);
        if let Some(deleted) = deleted
            && let Some(bytes) = deleted.get_mut(&older)
        {
            *bytes = bytes.saturating_sub(u64::from(length));
            if *bytes == 0 {
                deleted.remove(&older);
            }
        }
    }

    /// Whether any segment of `span` exists, `segment` aside.
    #[must_use]
    pub fn has_any(&self, span: Span, segment: u32) -> bool {
        span != Span::NONE
            && self
                .0
                .range(span.from..=span.until)
                .any(|(number, _)| *number != segment)
    }

    /// The span, or none when no segment of it exists.
    #[must_use]
    pub fn pruned(&self, span: Span) -> Span {
        if self.has_any(span, 0) {
            span
        } else {
            Span::NONE
        }
    }

    /// The segment that frees most when it is rewritten, `active` aside, if one frees enough.
    #[must_use]
    pub fn worst(&self, active: Option<u32>, live_per_mille: u64) -> Option<u32> {
        let sealed = self.0.iter().filter(|(number, _)| Some(**number) != active);
        let shares = sealed.map(|(number, one)| {
            let deleted = one.deleted.iter();
            let needed = deleted.filter(|(span, _)| self.has_any(**span, *number));
            let needed: u64 = needed.map(|(_, bytes)| bytes).sum();
            ((one.live + needed) * 1000 / one.bytes.max(1), *number)
        });
        let (share, number) = shares.min()?;
        (share < live_per_mille).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_counts_while_an_older_segment_may_have_what_it_deletes() {
        let mut usage = Usage::default();
        for segment in 1..=3 {
            usage.set_bytes(segment, 1000);
            usage.add_live(segment, 900);
        }
        usage.remove_live(2, 900);
        usage.add_deleted(2, 900, Span::NONE.with(1));
        assert_eq!(usage.worst(None, 500), None);
        usage.remove(1);
        assert_eq!(usage.worst(None, 500), Some(2));
        assert_eq!(usage.worst(Some(2), 500), None);
    }

    #[test]
    fn a_deletion_of_its_own_segment_is_not_needed() {
        let mut usage = Usage::default();
        usage.set_bytes(4, 1000);
        usage.add_deleted(4, 900, Span::NONE.with(4));
        assert_eq!(usage.worst(None, 500), Some(4));
    }
}
