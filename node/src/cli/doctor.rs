//! `regatta doctor`: what is wrong with this node, and what to do about it.

use clap::Args;

use super::console::{Console, Done};
use super::output::{self, Format};
use super::place::Place;
use crate::control::api::{Check, one_line};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Asks and shows; ends with 1 when something is not well, with 2 when nothing is.
///
/// # Errors
/// When the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let checks = place.client().doctor().await?;
    match arguments.output {
        Format::Json => output::json(console.out, &checks)?,
        Format::Yaml => output::yaml(console.out, &checks)?,
        Format::Table | Format::Wide => {
            let text = text(&checks, console.screen.colour);
            console.out.write_all(text.as_bytes())?;
        }
    }
    let ill = checks.iter().filter(|check| !check.ok).count();
    Ok(if ill == 0 {
        Exit::ALL
    } else {
        super::targets::exit(ill, checks.len())
    })
}

fn text(checks: &[Check], colour: bool) -> String {
    let mut text = String::new();
    for check in checks {
        let (word, code) = if check.ok {
            ("ok  ", "32")
        } else {
            ("FAIL", "31")
        };
        let word = match colour {
            true => format!("\u{1b}[{code}m{word}\u{1b}[0m"),
            false => word.to_owned(),
        };
        text.push_str(&format!(
            "{word}  {}: {}\n",
            one_line(&check.name),
            one_line(&check.detail)
        ));
        if !check.ok && !check.advice.is_empty() {
            text.push_str(&format!("      {}\n", one_line(&check.advice)));
        }
    }
    let ill = checks.iter().filter(|check| !check.ok).count();
    text.push_str(&match ill {
        0 => format!("all {} checks are well\n", checks.len()),
        ill => format!("{ill} of {} checks failed\n", checks.len()),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_advice() {
        let check = |name: &str, ok, detail: &str, advice: &str| Check {
            name: name.to_owned(),
            ok,
            detail: detail.to_owned(),
            advice: advice.to_owned(),
        };
        let checks = [
            check("clock", true, "signed by 2 managers", ""),
            check("disk", false, "8 MB are left", "free some space"),
        ];
        let expect = "ok    clock: signed by 2 managers\nFAIL  disk: 8 MB are left\n      \
                      free some space\n1 of 2 checks failed\n";
        assert_eq!(text(&checks, false), expect);
    }
}
