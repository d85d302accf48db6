//! Tables of documents, and of files that were changed by hand.

use crate::cli::output::table::{Cell, Table, cut, whole};
use crate::cli::output::words;
use crate::control::api::{ConfigDetail, ConfigState, ConfigSummary, DriftedFile};

/// The documents, and how far devices are with them.
pub fn configs(found: &[ConfigSummary], wide: bool) -> Table {
    let mut columns = vec![
        whole("NAME"),
        whole("VERSION"),
        cut("FOR"),
        whole("DESIRED"),
        whole("APPLIED"),
        whole("PENDING"),
        whole("FAILED"),
        whole("OFFLINE"),
    ];
    if wide {
        columns.extend([
            whole("PRIORITY"),
            whole("WRITTEN"),
            whole("BY"),
            whole("CONFLICTS"),
            whole("ROLLOUT"),
        ]);
    }
    let mut table = Table::new(columns, "no configs");
    for config in found {
        let select = if config.select.is_empty() {
            "all"
        } else {
            &config.select
        };
        let counts = &config.devices;
        let count = |number: u32, colour: &'static str| match number {
            0 => Cell::from("0"),
            number => Cell::from(number.to_string()).in_colour(colour),
        };
        let mut row: Vec<Cell> = vec![
            config.name.as_str().into(),
            config.version.to_string().into(),
            select.into(),
            counts.desired.to_string().into(),
            count(counts.applied, "32"),
            count(counts.pending, "33"),
            count(counts.failed, "31"),
            count(counts.offline, "33"),
        ];
        if wide {
            row.extend([
                config.priority.to_string().into(),
                config.at.as_str().into(),
                config.by.as_str().into(),
                config.conflicts.to_string().into(),
                words::or_dash(config.rollout.as_deref().unwrap_or_default()).into(),
            ]);
        }
        table.push(row);
    }
    table
}

/// Files that were changed by hand.
pub fn drift(found: &[DriftedFile]) -> Table {
    let columns = vec![
        whole("DEVICE"),
        whole("STATE"),
        whole("CONFIG"),
        cut("FILE"),
    ];
    let mut table = Table::new(columns, "no file was changed by hand");
    for file in found {
        table.push(vec![
            file.device.as_str().into(),
            if file.gone { "gone" } else { "changed" }.into(),
            file.document.as_str().into(),
            file.path.as_str().into(),
        ]);
    }
    table
}

/// The devices that a document is for.
pub fn targets(detail: &ConfigDetail) -> Table {
    let columns = vec![
        whole("DEVICE"),
        whole("STATE"),
        whole("HOLDS"),
        whole("REPORTED"),
        cut("WHY"),
    ];
    let mut table = Table::new(columns, "no device matches it now");
    for device in &detail.targets {
        let (state, colour) = match device.state {
            ConfigState::Applied => ("applied", "32"),
            ConfigState::Pending => ("pending", "33"),
            ConfigState::Failed => ("failed", "31"),
            ConfigState::Offline => ("offline", "33"),
        };
        let holds = device.holds.map(|version| version.to_string());
        table.push(vec![
            device.name.as_str().into(),
            Cell::from(state).in_colour(colour),
            words::or_dash(&holds.unwrap_or_default()).into(),
            words::or_dash(device.at.as_deref().unwrap_or_default()).into(),
            words::or_dash(device.why.as_deref().unwrap_or_default()).into(),
        ]);
    }
    table
}
