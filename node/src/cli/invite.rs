//! `regatta invite`: a token by which devices, or a manager, join.

use std::path::PathBuf;

use clap::Args;

use super::console::{Console, Done, Failure};
use super::output::{self, Format, qr, words};
use super::place::Place;
use super::{root, span, targets};
use crate::control::api::{InviteAsk, InviteGiven, Labels, one_line};
use crate::exit::Exit;
use crate::folder::write_secret;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A label that whoever joins gets; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// How many devices may use it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// How long it can be used: 30m, 24h, 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span::parse)]
    ttl: u64,
    /// For a manager instead of devices; the root key signs it
    #[arg(long, requires = "root_key")]
    manager: bool,
    /// The file with the root key; may be repeated where several have to sign
    #[arg(long, value_name = "FILE", requires = "manager")]
    root_key: Vec<PathBuf>,
    #[command(flatten)]
    shown: Shown,
}

/// How an invite is shown.
#[derive(Args, Clone, Debug)]
pub struct Shown {
    /// Write the token into a new file instead of showing it, for `regatta join @FILE`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "qr"])]
    to: Option<PathBuf>,
    /// How to show it; -o json has the token under `invite`
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Draw the QR code also where it does not fit, or into a pipe
    #[arg(long)]
    qr: bool,
}

impl Shown {
    /// A token that could be written nowhere would be lost: this is asked before it is made.
    ///
    /// # Errors
    /// When the file is there already.
    pub fn check(&self) -> Result<(), Failure> {
        match &self.to {
            Some(path) if path.symlink_metadata().is_ok() => Err(Failure::refused(format!(
                "{} is there already; move it away, or name another file",
                path.display()
            ))),
            _ => Ok(()),
        }
    }
}

/// Makes it and shows it.
///
/// # Errors
/// When it is refused, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let Arguments {
        labels,
        uses,
        ttl,
        manager,
        root_key,
        shown,
    } = arguments;
    let ask = InviteAsk {
        labels: unique(labels)?,
        uses,
        ttl_ms: ttl,
    };
    shown.check()?;
    let client = place.client();
    let given = if manager {
        let fleet = client.fleet().await?;
        let signed = root::sign_invite(&fleet, &ask, &root_key)?;
        let saved = client.record_invite(&signed.record).await?;
        InviteGiven {
            invite: signed.token,
            id: signed.id,
            fleet: fleet.name,
            labels: ask.labels,
            uses: ask.uses,
            expires: signed.expires,
            for_manager: true,
            saved,
        }
    } else {
        client.invite(&ask).await?
    };
    show(&given, &shown, console)
}

/// Shows a new invite.
///
/// # Errors
/// When the output, or the file, cannot be written.
pub fn show(given: &InviteGiven, shown: &Shown, console: &mut Console<'_>) -> Done {
    if let Some(path) = &shown.to {
        let token = format!("{}\n", one_line(&given.invite));
        let written = write_secret(path, token.as_bytes());
        written.map_err(|error| Failure::refused(error.to_string()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(
            console.out,
            "{}\n\nIt is in {}. Carry it there, then:  regatta join @{name}\n\
             Whoever has this file can join. To stop it: regatta revoke {}",
            one_line(&head(given)),
            path.display(),
            one_line(&given.id)
        )?;
        return Ok(Exit::ALL);
    }
    match shown.output {
        Format::Json => output::json(console.out, given)?,
        Format::Yaml => output::yaml(console.out, given)?,
        Format::Table | Format::Wide => {
            console.out.write_all(text(given).as_bytes())?;
            let drawn = qr::code(&given.invite);
            let fits = |columns: usize| console.screen.columns.is_some_and(|most| columns <= most);
            match drawn {
                Some((drawn, columns)) if shown.qr || fits(columns) => {
                    write!(console.out, "\n{drawn}")?;
                }
                Some((_, columns)) if console.screen.columns.is_some() => {
                    console.say(&format!(
                        "the QR code needs {columns} columns: widen the terminal, or say --qr"
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(Exit::ALL)
}

/// What it is for, in one line.
fn head(given: &InviteGiven) -> String {
    let whom = if given.for_manager {
        "a manager"
    } else {
        "devices"
    };
    let labels = match given.labels.is_empty() {
        true => String::new(),
        false => format!(", with {}", words::labels(&given.labels, None)),
    };
    format!(
        "invite {} to {} for {whom}{labels}: {}, until {} ({})",
        given.id,
        given.fleet,
        words::counted(given.uses, "use"),
        given.expires,
        targets::copies(&given.saved)
    )
}

fn text(given: &InviteGiven) -> String {
    format!(
        "{}\n\n{}\n\n\
         On the device, paste it when asked, so that it stays out of the process list:\n  \
         regatta join -\n\
         Whoever has this text can join. To stop it: regatta revoke {}\n",
        one_line(&head(given)),
        one_line(&given.invite),
        one_line(&given.id)
    )
}

/// `key=value`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

fn unique(pairs: Vec<(String, String)>) -> Result<Labels, Failure> {
    let mut labels = Labels::new();
    for (key, value) in pairs {
        if labels.contains_key(&key) {
            return Err(Failure::usage(format!("label {key:?} is given twice")));
        }
        labels.insert(key, value);
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::Saved;

    #[test]
    fn an_invite_says_what_to_type_and_how_to_stop_it() {
        let given = InviteGiven {
            invite: "REGATTA1-ABC".to_owned(),
            id: "i-1".to_owned(),
            fleet: "acme".to_owned(),
            labels: [("site".to_owned(), "osaka".to_owned())].into(),
            uses: 2,
            expires: "2026-01-02T00:00:00Z".to_owned(),
            for_manager: false,
            saved: Saved {
                saved: true,
                copies: 2,
                managers: 3,
                what: String::new(),
            },
        };
        let text = text(&given);
        let expect = "invite i-1 to acme for devices, with site=osaka: 2 uses, until \
                      2026-01-02T00:00:00Z (saved, on 2 of 3 managers)\n\nREGATTA1-ABC\n";
        assert!(text.starts_with(expect), "{text}");
        assert!(text.contains("regatta join -\n") && text.contains("regatta revoke i-1\n"));
    }
}
