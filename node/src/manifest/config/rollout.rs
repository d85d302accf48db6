//! `rollout`: how a change goes out.

use std::collections::BTreeMap;

use regatta_protocol::codec::Name;
use regatta_protocol::config::document::{RolloutSpec, Wave};

use crate::manifest::field::Field;

/// The most waves of one rollout.
const WAVES_MAX: usize = 64;

pub(super) fn read(field: &Field<'_>) -> Option<RolloutSpec> {
    let fields = field.fields(&["waves", "success", "pause", "minAvailable"])?;
    let advice = "write how far each reaches, such as [\"1\", \"10%\", \"100%\"]";
    let waves = fields.need("waves", advice).and_then(waves);
    let success = match fields.get("success") {
        Some(success) => success.read("a share such as 95%", |text| percent(text, 0)),
        None => Some(100),
    };
    let pause = match fields.get("pause") {
        Some(pause) => pause.span(),
        None => Some(0),
    };
    let available = fields.get("minAvailable").map(available);
    Some(RolloutSpec {
        waves: waves?,
        success_percent: success?,
        pause_ms: pause?,
        min_available: available.unwrap_or_default(),
    })
}

fn waves(field: &Field<'_>) -> Option<Vec<Wave>> {
    let items = field.items("a list such as [\"1\", \"10%\", \"100%\"]")?;
    if items.len() > WAVES_MAX {
        field.wrong(format!(
            "has {} waves; at most {WAVES_MAX} are allowed",
            items.len()
        ));
        return None;
    }
    let belongs = "a number of devices or a share of them, such as 10%,";
    let waves: Vec<_> = items.iter().map(|item| item.read(belongs, wave)).collect();
    let waves: Vec<Wave> = waves.into_iter().collect::<Option<_>>()?;
    for (index, pair) in waves.windows(2).enumerate() {
        let less = match (pair[0], pair[1]) {
            (Wave::Count(before), Wave::Count(after)) => after <= before,
            (Wave::Percent(before), Wave::Percent(after)) => after <= before,
            (Wave::Count(_), Wave::Percent(_)) | (Wave::Percent(_), Wave::Count(_)) => false,
        };
        if less {
            items[index + 1].wrong(
                "reaches no further than the wave before it; each wave says how far it reaches in all",
            );
            return None;
        }
    }
    if waves.last() != Some(&Wave::Percent(100)) {
        field.wrong("the last wave has to be \"100%\", or some devices would never get it");
        return None;
    }
    Some(waves)
}

fn wave(text: &str) -> Result<Wave, String> {
    if text.ends_with('%') {
        return percent(text, 1).map(Wave::Percent);
    }
    let count = text.parse().ok().filter(|count| *count > 0);
    count.map(Wave::Count).ok_or_else(|| {
        format!("{text:?} is no wave; write a number of devices from 1, or a share from 1% to 100%")
    })
}

fn percent(text: &str, least: u8) -> Result<u8, String> {
    let number = text.strip_suffix('%').and_then(|text| text.parse().ok());
    let within = number.filter(|percent| (least..=100).contains(percent));
    within.ok_or_else(|| format!("{text:?} is no share; write it as {least}% to 100%"))
}

fn available(field: &Field<'_>) -> BTreeMap<Name, u32> {
    let entries = field.entries("a map of labels to numbers of devices, such as {site: 2},");
    let each = entries.unwrap_or_default().into_iter();
    let each = each.filter_map(|(entry, field)| {
        let label = Name::new(&entry.name).map_err(|error| field.wrong(error.to_string()));
        Some((label.ok()?, field.integer(0, u32::MAX)?))
    });
    each.collect()
}
