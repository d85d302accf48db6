//! Opening: what the segments say, whether the index is to be believed, and what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::batch;
use super::disk::{Disk, DiskFile};
use super::error::StoreError;
use super::frame::{FRAME_HEADER_BYTES, FrameHeader, HeaderError, Kind, SegmentHeader, VERSION};
use super::index::memory::MemoryIndex;
use super::index::{Index, OpenedIndex};
use super::limits::{REPLAY_CHANGES_MAX, Sizes};
use super::log::{Active, Log, Next, UNFINISHED_SUFFIX, segment_name, segment_number};
use super::mark::{MARK, Mark, MarkFile};
use super::places::{Places, Watermark};
use super::reader::Shared;
use super::replay::{Cut, Damage, Expected, Harm, Outcome, header, replay};
use super::space::Space;
use super::usage::Usage;
use super::writer::Writer;

/// What opening found. Where `damaged` is not empty, something that was durable is gone, and what
/// stands under a key may be what stood there before: the node must not write as if it knew its past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Whether nothing was there.
    pub fresh: bool,
    /// How many segments there are.
    pub segments: usize,
    /// Frames that were taken into the index.
    pub replayed: u64,
    /// What a crash had torn, and nobody had been promised.
    pub cut: Option<Cut>,
    /// What was durable and is gone. Its segment is kept aside, whatever was whole in it goes on.
    pub damaged: Vec<Damage>,
    /// What there is to say about the index.
    pub notes: Vec<String>,
}

/// Opens a store in a folder that this process holds. `salt` is random, for a store that is new.
/// Blocks until everything that is new since the index was written has been read.
///
/// # Errors
/// When the disk fails, or a newer build has written here.
pub fn open(
    disk: Arc<dyn Disk>,
    index: OpenedIndex,
    salt: [u8; 8],
    sizes: Sizes,
) -> Result<(Writer, Opened), StoreError> {
    let found = Found::look(&disk, salt)?;
    let mut opened = Opened {
        fresh: found.segments.is_empty() && found.mark.is_none(),
        notes: index.notes,
        ..Opened::default()
    };
    let indexed = Filled::from_index(&disk, &found, index.index, &mut opened.notes);
    let filled = match indexed {
        Ok(filled) => filled,
        Err(StoreError::Index(error)) => {
            opened.notes.push(format!(
                "{error}; it is kept in memory until the next start"
            ));
            let index: Arc<dyn Index> = Arc::new(MemoryIndex::default());
            Filled::from_index(&disk, &found, index, &mut opened.notes)?
        }
        Err(error) => return Err(error),
    };
    opened.replayed = filled.replayed;
    opened.damaged.clone_from(&filled.damaged);
    opened.cut.clone_from(&filled.cut);
    let mut writer = filled.into_writer(&disk, found, sizes)?;
    writer.mend(&opened)?;
    opened.segments = writer.usage.segments().count();
    Ok((writer, opened))
}

/// What is in the folder.
struct Found {
    salt: [u8; 8],
    mark: Option<Mark>,
    mark_file: MarkFile,
    /// With their headers, where these hold.
    segments: BTreeMap<u32, Option<SegmentHeader>>,
}

impl Found {
    fn look(disk: &Arc<dyn Disk>, fresh: [u8; 8]) -> Result<Self, StoreError> {
        let names = disk
            .list()
            .map_err(|error| StoreError::io("listing", "the folder", &error))?;
        for name in names
            .iter()
            .filter(|name| name.ends_with(UNFINISHED_SUFFIX))
        {
            disk.remove(name)
                .map_err(|error| StoreError::io("removing", name, &error))?;
        }
        let (mark_file, mark) = MarkFile::open(disk.as_ref())
            .map_err(|error| StoreError::io("reading", MARK, &error))?;
        let mut segments = BTreeMap::new();
        for number in names.iter().filter_map(|name| segment_number(name)) {
            segments.insert(number, read_header(disk, number)?);
        }
        let from_header = || segments.values().flatten().map(|header| header.salt).next();
        let salt = mark
            .map(|mark| mark.salt)
            .or_else(from_header)
            .unwrap_or(fresh);
        for (number, header) in &mut segments {
            let right = |header: &SegmentHeader| header.number == *number && header.salt == salt;
            *header = header.filter(right);
        }
        Ok(Self {
            salt,
            mark,
            mark_file,
            segments,
        })
    }

    fn first_frame_after(&self, number: u32) -> Option<u64> {
        let mut later = self.segments.range(number + 1..).map(|(_, header)| header);
        later.find_map(|header| header.map(|header| header.first))
    }
}

fn read_header(disk: &Arc<dyn Disk>, number: u32) -> Result<Option<SegmentHeader>, StoreError> {
    let name = segment_name(number);
    let file = disk
        .open(&name)
        .map_err(|error| StoreError::io("opening", &name, &error))?;
    let bytes = header(file.as_ref()).map_err(|error| StoreError::io("reading", &name, &error))?;
    match SegmentHeader::decode(&bytes) {
        Ok(header) => Ok(Some(header)),
        Err(HeaderError::Damaged) => Ok(None),
        Err(HeaderError::Version(found)) => Err(StoreError::Version {
            file: name,
            found,
            known: VERSION,
        }),
    }
}

/// An index that has everything, and what was found on the way.
struct Filled {
    shared: Arc<Shared>,
    places: Places,
    usage: Usage,
    /// The newest segment and what was found in it.
    newest: Option<(u32, Outcome)>,
    replayed: u64,
    cut: Option<Cut>,
    damaged: Vec<Damage>,
    /// Files that a compaction had not yet taken away.
    leftover: BTreeSet<u32>,
    /// This frame and all before it were durable.
    durable: u64,
}

impl Filled {
    fn from_index(
        disk: &Arc<dyn Disk>,
        found: &Found,
        index: Arc<dyn Index>,
        notes: &mut Vec<String>,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(Arc::clone(disk), Arc::clone(&index)));
        let (places, trouble) = Places::open(index, found.salt)?;
        let some = !found.segments.is_empty();
        notes.extend(
            trouble
                .filter(|_| some)
                .map(|why| format!("the index is rebuilt: {why}")),
        );
        let watermark = places.watermark();
        let mut filled = Self {
            shared,
            places,
            usage: Usage::default(),
            newest: None,
            replayed: 0,
            cut: None,
            damaged: Vec::new(),
            leftover: BTreeSet::new(),
            durable: watermark
                .sequence
                .max(found.mark.map_or(0, |mark| mark.sequence)),
        };
        for number in found.segments.keys() {
            let length = filled.segment(*number)?.1;
            filled.usage.set_bytes(*number, length);
        }
        if watermark.sequence > 0 {
            // Only what is new; but where anything is wrong, everything.
            if filled.starts_whole(found, watermark)? {
                filled.run(found, watermark)?;
                if filled.damaged.is_empty() {
                    return Ok(filled);
                }
            }
            notes.push("the index is rebuilt: segments are damaged".to_owned());
            filled.places.forget(found.salt)?;
            filled.damaged.clear();
            filled.leftover.clear();
            filled.replayed = 0;
        }
        filled.run(found, Watermark::default())?;
        Ok(filled)
    }

    fn segment(&self, number: u32) -> Result<(Arc<dyn DiskFile>, u64), StoreError> {
        let file = self.shared.files.segment(number);
        let read = file.and_then(|file| file.len().map(|length| (file, length)));
        read.map_err(|error| StoreError::io("opening", &segment_name(number), &error))
    }

    /// Whether the segments before the watermark have both ends; what is between is checked when it is
    /// read.
    fn starts_whole(&self, found: &Found, watermark: Watermark) -> Result<bool, StoreError> {
        if !matches!(found.segments.get(&watermark.segment), Some(Some(_))) {
            return Ok(false);
        }
        for (number, header) in found.segments.range(..watermark.segment) {
            let (file, length) = self.segment(*number)?;
            let mut bytes = [0; FRAME_HEADER_BYTES];
            let at = length.saturating_sub(FRAME_HEADER_BYTES as u64);
            let read = file.read_at(&mut bytes, at);
            read.map_err(|error| StoreError::io("reading", &segment_name(*number), &error))?;
            let last = FrameHeader::decode(&bytes, found.salt);
            if header.is_none() || last.is_none_or(|last| last.kind != Kind::Seal) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes through all segments from the watermark's on.
    fn run(&mut self, found: &Found, watermark: Watermark) -> Result<(), StoreError> {
        let newest = found.segments.keys().next_back().copied();
        let mut last = 0;
        let mut list: Option<(u32, Vec<u32>)> = None;
        for (number, header) in found.segments.range(watermark.segment..) {
            let expected = Expected {
                segment: *number,
                wanted: match *number == watermark.segment {
                    true => u64::from(watermark.offset),
                    false => 0,
                },
                newest: Some(*number) == newest,
                next_first: found.first_frame_after(*number),
                durable: self.durable,
                sync_failed: found.mark.is_some_and(|mark| mark.sync_failed),
                last,
            };
            let (file, _) = self.segment(*number)?;
            let (places, usage, replayed) = (&mut self.places, &mut self.usage, &mut self.replayed);
            let mut outcome = replay(
                &file,
                found.salt,
                *header,
                &expected,
                |at, frame, payload| {
                    *replayed += 1;
                    take(places, usage, *number, at, frame, payload)
                },
            )?;
            let end = u32::try_from(outcome.end).unwrap_or(u32::MAX);
            self.places.apply(*number, end, outcome.last)?;
            last = outcome.last;
            self.damaged.append(&mut outcome.damaged);
            self.cut = outcome.cut.take();
            if let Some(older) = outcome.older.take() {
                list = Some((*number, older));
            }
            self.newest = Some((*number, outcome));
        }
        self.compare(found, list, last);
        let lost = self.places.count(&mut self.usage)?;
        if lost > 0 {
            let segment = watermark.segment;
            let what = Harm::Records;
            self.damaged.push(Damage {
                segment,
                offset: 0,
                what,
            });
        }
        // What a lost compaction had moved may be nowhere else.
        let usage = &self.usage;
        self.leftover.retain(|number| usage.live(*number) == 0);
        Ok(())
    }

    /// The segments that are there, with those that the log says there are.
    fn compare(&mut self, found: &Found, list: Option<(u32, Vec<u32>)>, last: u64) {
        let missing = |segment| Damage {
            segment,
            offset: 0,
            what: Harm::Missing,
        };
        if let Some((holder, older)) = list {
            let there = |number: &&u32| found.segments.contains_key(number);
            let gone = older.iter().filter(|number| !there(number));
            self.damaged.extend(gone.map(|number| missing(*number)));
            let all = found.segments.range(..holder).map(|(number, _)| *number);
            self.leftover = all.filter(|number| !older.contains(number)).collect();
        }
        if let Some(mark) = found.mark
            && mark.sequence > last
            && self
                .newest
                .as_ref()
                .is_none_or(|(newest, _)| *newest < mark.segment)
        {
            self.damaged.push(missing(mark.segment));
        }
    }

    fn into_writer(
        mut self,
        disk: &Arc<dyn Disk>,
        found: Found,
        sizes: Sizes,
    ) -> Result<Writer, StoreError> {
        let Found {
            salt,
            mark,
            mut mark_file,
            ..
        } = found;
        let (mut last, mut last_segment, mut active) = (0, 0, None);
        if let Some((number, outcome)) = &self.newest {
            (last, last_segment) = (outcome.last, *number);
            let (file, _) = self.segment(*number)?;
            let cut = self.cut.as_ref().map(|cut| cut.offset);
            if let Some(end) = cut {
                self.usage.set_bytes(*number, end);
            }
            let settled = settle(disk.as_ref(), file.as_ref(), cut);
            settled.map_err(|error| StoreError::io("settling", &segment_name(*number), &error))?;
            let whole = !self.damaged.iter().any(|damage| damage.segment == *number);
            active = (whole && !outcome.sealed).then_some(Active {
                number: *number,
                file,
                length: outcome.end,
            });
        }
        let said = mark.map_or(0, |mark| mark.segment);
        let now = Mark {
            salt,
            sequence: last,
            segment: last_segment,
            sync_failed: false,
        };
        let made = match mark {
            Some(mark) if !mark.sync_failed => Ok(()),
            _ => mark_file.settle(disk.as_ref(), now),
        };
        made.map_err(|error| StoreError::io("writing", MARK, &error))?;
        let log = Log::new(
            Arc::clone(disk),
            salt,
            sizes.segment,
            mark_file,
            Next {
                active,
                segment: last_segment.max(said) + 1,
                sequence: last.max(self.durable) + 1,
            },
        );
        let mut writer = Writer {
            shared: self.shared,
            log,
            places: self.places,
            usage: self.usage,
            space: Space::open(Arc::clone(disk), sizes),
            sizes,
            unlooked: 0,
            compaction: None,
            failed: None,
            index_lost: None,
        };
        writer.remove_leftover(&self.leftover)?;
        Ok(writer)
    }
}

/// Cuts off what was torn, and makes durable what a killed process had written and not yet synced: it
/// is read from now on, so it must stay.
fn settle(disk: &dyn Disk, file: &dyn DiskFile, cut: Option<u64>) -> io::Result<()> {
    if let Some(end) = cut {
        file.truncate(end)?;
    }
    file.sync()?;
    disk.sync_folder()
}

impl Writer {
    /// Ends what a compaction had begun. They are gone for good before a deletion that their records
    /// needed may go.
    fn remove_leftover(&mut self, numbers: &BTreeSet<u32>) -> Result<(), StoreError> {
        for number in numbers {
            let name = segment_name(*number);
            self.usage.remove(*number);
            self.shared.files.forget(*number);
            let gone = self.shared.disk.remove(&name);
            gone.map_err(|error| StoreError::io("removing", &name, &error))?;
        }
        let synced = self.shared.disk.sync_folder();
        synced.map_err(|error| StoreError::io("syncing", "the folder", &error))
    }

    /// Has damaged segments replaced by what is whole in them, so that the next start finds none. On
    /// a full disk that waits for the next start.
    fn mend(&mut self, opened: &Opened) -> Result<(), StoreError> {
        let damaged: BTreeSet<u32> = opened.damaged.iter().map(|damage| damage.segment).collect();
        let mut mended = Ok(());
        for number in &damaged {
            if mended.is_ok() && self.usage.exists(*number) {
                mended = self.set_aside(*number);
            }
        }
        if mended.is_ok() && !damaged.is_empty() {
            mended = self.list_segments(None);
        }
        match mended {
            Err(StoreError::Full { .. }) => {
                self.compaction = None;
                Ok(())
            }
            mended => mended,
        }
    }
}

/// Takes everything that the segments hold into an index that has nothing.
pub(super) fn fill(
    shared: &Shared,
    salt: [u8; 8],
    places: &mut Places,
    usage: &mut Usage,
) -> Result<(), StoreError> {
    let numbers: Vec<u32> = usage.segments().collect();
    for number in numbers {
        let io = |error: io::Error| StoreError::io("reading", &segment_name(number), &error);
        let file = shared.files.segment(number).map_err(io)?;
        let bytes = header(file.as_ref()).map_err(io)?;
        let expected = Expected {
            segment: number,
            wanted: 0,
            newest: false,
            next_first: None,
            durable: u64::MAX,
            sync_failed: false,
            last: 0,
        };
        let known = SegmentHeader::decode(&bytes).ok();
        let outcome = replay(&file, salt, known, &expected, |at, frame, payload| {
            take(places, usage, number, at, frame, payload)
        })?;
        let end = u32::try_from(outcome.end).unwrap_or(u32::MAX);
        places.apply(number, end, outcome.last)?;
    }
    Ok(())
}

fn take(
    places: &mut Places,
    usage: &mut Usage,
    segment: u32,
    at: u64,
    frame: &FrameHeader,
    payload: &[u8],
) -> Result<(), StoreError> {
    if frame.kind != Kind::Batch {
        return Ok(());
    }
    let start = u32::try_from(at).unwrap_or(u32::MAX) + FRAME_HEADER_BYTES as u32;
    for record in batch::records(payload) {
        places.take(usage, segment, start.saturating_add(record.offset), &record)?;
    }
    if places.gathered() >= REPLAY_CHANGES_MAX {
        let end = start.saturating_add(frame.length);
        places.apply(segment, end, frame.sequence)?;
    }
    Ok(())
}
