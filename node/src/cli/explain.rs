//! `regatta explain`: why a value on a device is what it is.

use clap::Args;

use super::console::{Console, Done};
use super::output::{self, Format};
use super::place::Place;
use crate::control::api::{Explanation, Saying, one_line};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The device
    #[arg(value_name = "DEVICE")]
    device: String,
    /// The place in its tree, such as nav.max_velocity
    #[arg(value_name = "PATH")]
    path: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Asks and shows.
///
/// # Errors
/// When there is no such device, nothing is at the place, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let found = place
        .client()
        .explain(&arguments.device, &arguments.path)
        .await?;
    match arguments.output {
        Format::Json => output::json(console.out, &found)?,
        Format::Yaml => output::yaml(console.out, &found)?,
        Format::Table | Format::Wide => {
            for line in lines(&found) {
                writeln!(console.out, "{}", one_line(&line))?;
            }
        }
    }
    Ok(if found.value.is_some() {
        Exit::ALL
    } else {
        Exit::ALL_FAILED
    })
}

fn lines(found: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    let what = |saying: &Saying| {
        let whom = if saying.select.is_empty() {
            "all devices"
        } else {
            &saying.select
        };
        format!(
            "{} <- config/{}@{} ({whom}, {}, {})",
            saying.value, saying.document, saying.version, saying.by, saying.at
        )
    };
    if found.value.is_none() && found.said.is_empty() {
        lines.push(format!("nothing sets {} on {}", found.path, found.device));
    }
    for (index, saying) in found.said.iter().enumerate() {
        let lead = match (index, saying.state.as_str()) {
            (0, "holds") => "",
            (_, "merged" | "holds") => "with ",
            (_, "hides") => "taken away by ",
            _ => "overrides ",
        };
        lines.push(format!("{lead}{}", what(saying)));
    }
    lines.extend(found.note.clone());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(document: &str, version: u32, state: &str, value: i64) -> Saying {
        Saying {
            document: document.to_owned(),
            version,
            select: "role=amr".to_owned(),
            by: "alice@m1".to_owned(),
            at: "2026-11-20T12:00:00Z".to_owned(),
            value: value.into(),
            state: state.to_owned(),
        }
    }

    #[test]
    fn the_one_that_holds_comes_first_and_then_what_it_overrides() {
        let found = Explanation {
            device: "amr-07".to_owned(),
            path: "nav.max_velocity".to_owned(),
            value: Some(3.into()),
            said: vec![
                saying("nav", 12, "holds", 3),
                saying("base", 3, "hidden", 5),
            ],
            note: Some("the device has not reported nav@12 yet".to_owned()),
        };
        assert_eq!(
            lines(&found),
            [
                "3 <- config/nav@12 (role=amr, alice@m1, 2026-11-20T12:00:00Z)",
                "overrides 5 <- config/base@3 (role=amr, alice@m1, 2026-11-20T12:00:00Z)",
                "the device has not reported nav@12 yet",
            ]
        );
        let nothing = Explanation {
            value: None,
            said: Vec::new(),
            note: None,
            ..found
        };
        assert_eq!(lines(&nothing), ["nothing sets nav.max_velocity on amr-07"]);
    }
}
