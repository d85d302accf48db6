//! `regatta label`: sets and removes labels of devices.

use clap::Args;
use regatta_protocol::codec::Name;

use super::console::{Console, Done, Failure};
use super::place::Place;
use super::targets::{self, Among, Selected};
use crate::control::api::LabelAsk;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Names, then changes: site=kyoto sets a label, site- removes it
    #[arg(value_name = "NAME… KEY=VALUE|KEY-", required = true, num_args = 1..)]
    words: Vec<String>,
    #[command(flatten)]
    selected: Selected,
}

/// Changes each device.
///
/// # Errors
/// When the change cannot be understood, or none could be changed.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let Arguments { words, selected } = arguments;
    let (names, ask) = parsed(words, selected.selector.is_some())?;
    let client = place.client();
    let whom = ("label", Among::Live);
    let targets = selected.targets(names, whom, &client, console).await?;
    targets::each(&targets, console, async |name| {
        client.label(name, &ask).await
    })
    .await
}

/// Names come first; the first word is one, whatever it looks like, unless a selector names them.
fn parsed(words: Vec<String>, selected: bool) -> Result<(Vec<String>, LabelAsk), Failure> {
    let is_change = |word: &String| word.contains('=') || word.ends_with('-');
    let first = usize::from(!selected).min(words.len());
    let names_end = words[first..]
        .iter()
        .position(is_change)
        .map(|at| first + at);
    let names_end = names_end.unwrap_or(words.len());
    let mut ask = LabelAsk::default();
    for word in &words[names_end..] {
        let key = word
            .split_once('=')
            .map_or(word.trim_end_matches('-'), |(key, _)| key);
        let value = word.split_once('=').map(|(_, value)| value);
        for part in std::iter::once(key)
            .chain(value)
            .filter(|it| !it.is_empty())
        {
            Name::new(part).map_err(|error| Failure::usage(format!("{word:?}: {error}")))?;
        }
        if let Some((key, value)) = word.split_once('=') {
            if key.is_empty() {
                return Err(Failure::usage(format!("{word:?} has no key before '='")));
            }
            if ask.set.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(Failure::usage(format!("label {key:?} is set twice")));
            }
        } else if let Some(key) = word.strip_suffix('-').filter(|key| !key.is_empty()) {
            ask.remove.push(key.to_owned());
        } else {
            return Err(Failure::usage(format!(
                "{word:?} is no change: write KEY=VALUE to set a label, KEY- to remove it, names first"
            )));
        }
    }
    if let Some(key) = ask.remove.iter().find(|key| ask.set.contains_key(*key)) {
        return Err(Failure::usage(format!(
            "label {key:?} is both set and removed"
        )));
    }
    if ask == LabelAsk::default() {
        return Err(Failure::usage(
            "what to change: KEY=VALUE sets a label, KEY- removes it",
        ));
    }
    Ok((words[..names_end].to_vec(), ask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str], selected: bool) -> Result<(Vec<String>, LabelAsk), String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        parsed(words, selected).map_err(|failure| match failure {
            Failure::Said { message, .. } => message,
            Failure::Output(error) => error.to_string(),
        })
    }

    #[test]
    fn names_come_before_changes() {
        let (names, ask) =
            read(&["amr-07", "amr-08", "site=kyoto", "dock-"], false).expect("right");
        assert_eq!(names, ["amr-07", "amr-08"]);
        assert_eq!(ask.set, [("site".to_owned(), "kyoto".to_owned())].into());
        assert_eq!(ask.remove, ["dock"]);
        let (names, ask) = read(&["odd-", "a="], false).expect("right");
        assert_eq!(names, ["odd-"], "the first word is a name");
        assert_eq!(ask.set["a"], "");
        let (names, ask) = read(&["site=kyoto"], true).expect("right");
        assert!(names.is_empty() && ask.set.contains_key("site"));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (words, expect) in [
            (&["amr-07"] as &[&str], "what to change"),
            (&["amr-07", "=x"], "has no key"),
            (&["amr-07", "a=1", "a=2"], "set twice"),
            (&["amr-07", "a=1", "a-"], "both set and removed"),
            (&["amr-07", "a=1", "amr-08"], "names first"),
        ] {
            let said = read(words, false).expect_err("wrong");
            assert!(said.contains(expect), "{words:?}: {said}");
        }
    }
}
