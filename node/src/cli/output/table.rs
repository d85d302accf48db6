//! Tables that fit the terminal: the roomiest column gives way, names and states never do.

use crate::control::api::one_line;

/// Between two columns.
const GAP: &str = "  ";
/// The least that a column which gives way keeps.
const COLUMN_MIN: usize = 8;

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    /// An SGR code.
    colour: Option<&'static str>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            // What a peer called itself moves no cursor here.
            text: one_line(&text),
            colour: None,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Cell {
    /// The same in a colour, where there are colours.
    #[must_use]
    pub fn in_colour(mut self, colour: &'static str) -> Self {
        self.colour = Some(colour);
        self
    }
}

/// A column: its heading, and whether it may be cut where the terminal is too narrow.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    heading: &'static str,
    cut: bool,
}

/// A column that is always whole.
#[must_use]
pub const fn whole(heading: &'static str) -> Column {
    Column {
        heading,
        cut: false,
    }
}

/// A column that gives way.
#[must_use]
pub const fn cut(heading: &'static str) -> Column {
    Column { heading, cut: true }
}

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// What is said instead of a table without rows.
    empty: &'static str,
}

impl Table {
    /// A table without rows yet.
    #[must_use]
    pub fn new(columns: Vec<Column>, empty: &'static str) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            empty,
        }
    }

    /// Adds a row, with a cell for each column.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "a cell for each column");
        self.rows.push(row);
    }

    /// The text, at most `columns` wide where that is given.
    #[must_use]
    pub fn render(&self, columns: Option<usize>, colour: bool) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", self.empty);
        }
        let mut widths: Vec<usize> = self.columns.iter().map(|one| width(one.heading)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(&cell.text));
            }
        }
        if let Some(columns) = columns {
            self.narrow(&mut widths, columns);
        }
        let headings: Vec<Cell> = self.columns.iter().map(|one| one.heading.into()).collect();
        let mut text = line(&headings, &widths, false);
        for row in &self.rows {
            text.push_str(&line(row, &widths, colour));
        }
        text
    }

    /// Takes from the widest of the columns that may be cut, one by one, until all fits.
    fn narrow(&self, widths: &mut [usize], columns: usize) {
        let gaps = GAP.len() * self.columns.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > columns {
            let candidates = widths
                .iter_mut()
                .zip(&self.columns)
                .filter(|(width, column)| {
                    column.cut && **width > COLUMN_MIN.max(column.heading.len())
                });
            let Some((widest, _)) = candidates.max_by_key(|(width, _)| **width) else {
                return;
            };
            *widest -= 1;
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn line(cells: &[Cell], widths: &[usize], colour: bool) -> String {
    let mut line = String::new();
    for (index, (cell, widest)) in cells.iter().zip(widths).enumerate() {
        if index > 0 {
            line.push_str(GAP);
        }
        let mut text = cell.text.clone();
        if width(&text) > *widest {
            text = text.chars().take(widest.saturating_sub(1)).collect();
            text.push('…');
        }
        let room = widest.saturating_sub(width(&text));
        match cell.colour.filter(|_| colour) {
            Some(code) => line.push_str(&format!("\u{1b}[{code}m{text}\u{1b}[0m")),
            None => line.push_str(&text),
        }
        line.push_str(&" ".repeat(room));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = vec![
            whole("NAME"),
            whole("STATE"),
            cut("LABELS"),
            whole("LAST HEARD"),
        ];
        let mut table = Table::new(columns, "no devices");
        let labels = "fleet=blue,role=amr,site=osaka,zone=packing-and-shipping";
        let ready = Cell::from("ready").in_colour("32");
        table.push(vec![
            "amr-07".into(),
            ready,
            labels.into(),
            "4 s ago".into(),
        ]);
        table.push(vec![
            "edge\n\u{1b}[2J".into(),
            "unknown".into(),
            "-".into(),
            "never".into(),
        ]);
        table
    }

    #[test]
    fn a_pipe_gets_everything_and_no_colour() {
        let expect = "\
NAME                STATE    LABELS                                                    LAST HEARD
amr-07              ready    fleet=blue,role=amr,site=osaka,zone=packing-and-shipping  4 s ago
edge\\n\\u{1b}[2J  unknown  -                                                         never
";
        let expect = expect.replace("                STATE", "             STATE");
        let expect = expect.replace("amr-07              ready", "amr-07           ready");
        assert_eq!(table().render(None, false), expect);
    }

    #[test]
    fn a_terminal_gets_lines_that_fit() {
        let text = table().render(Some(80), false);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(text.contains("fleet=blue") && text.contains('…'), "{text}");
        assert!(text.contains("4 s ago"), "{text}");
        // Narrower than what must stay whole: then it stays whole.
        assert!(table().render(Some(10), false).contains("4 s ago"));
    }

    #[test]
    fn colour_adds_no_width() {
        let text = table().render(None, true);
        assert!(text.contains("\u{1b}[32mready\u{1b}[0m  "), "{text:?}");
    }

    #[test]
    fn nothing_is_said_in_words() {
        let table = Table::new(vec![whole("NAME")], "no devices");
        assert_eq!(table.render(Some(80), true), "no devices\n");
    }
}
