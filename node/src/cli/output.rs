//! How answers are shown: as a table for people, as JSON or YAML for scripts.

pub mod qr;
pub mod table;
pub mod words;

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use self::table::Table;
use super::console::Console;
use crate::manifest::yaml::write::{Block, document};

/// `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For people with wide terminals: more columns
    Wide,
    /// For scripts: names and types do not change
    Json,
    /// The same as YAML
    Yaml,
}

impl Format {
    /// Whether it is for people.
    #[must_use]
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Writes `value` as data, or what `table` makes of it.
///
/// # Errors
/// When the output cannot be written.
pub fn show<T: Serialize>(
    console: &mut Console<'_>,
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> Table,
) -> io::Result<()> {
    match format {
        Format::Json => json(console.out, value),
        Format::Yaml => yaml(console.out, value),
        Format::Table | Format::Wide => {
            let columns = console.screen.columns.filter(|_| format == Format::Table);
            let text = table(value).render(columns, console.screen.colour);
            console.out.write_all(text.as_bytes())
        }
    }
}

/// Writes JSON, indented, with a line's end.
///
/// # Errors
/// When it cannot be written.
pub fn json<T: Serialize>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Writes one line of JSON.
///
/// # Errors
/// When it cannot be written.
pub fn json_line<T: Serialize>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Writes YAML.
///
/// # Errors
/// When it cannot be written.
pub fn yaml<T: Serialize>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    out.write_all(yaml_text(&serde_json::to_value(value)?).as_bytes())
}

/// A value as YAML, with a line's end.
#[must_use]
pub fn yaml_text(value: &serde_json::Value) -> String {
    document(&Block::from(value))
}

#[cfg(test)]
mod tests {
    use super::yaml_text;
    use serde_json::json;

    #[test]
    fn values_keep_their_types() {
        let value = json!([
            {
                "name": "amr-07",
                "labels": { "site": "osaka", "on": "yes", "rack": "1e3" },
                "homes": ["m1", "m2"],
                "none": null,
                "empty": {},
                "nested": [[1, 2], []],
                "text": "a: b # c\n\u{1b}",
            },
            "- dash",
            1.5,
        ]);
        let expect = "\
- empty: {}
  homes:
    - m1
    - m2
  labels:
    \"on\": \"yes\"
    rack: \"1e3\"
    site: osaka
  name: amr-07
  nested:
    -
      - 1
      - 2
    - []
  none: null
  text: \"a: b # c\\n\\u001b\"
- \"- dash\"
- 1.5
";
        assert_eq!(yaml_text(&value), expect);
        assert_eq!(yaml_text(&json!([])), "[]\n");
    }
}
