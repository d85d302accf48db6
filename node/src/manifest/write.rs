//! A document back into YAML: for `get`, for `diff`, and for what was imported.

use std::time::Duration;

use regatta_protocol::codec::Name;
use regatta_protocol::config::document::{
    Action, ConfigDocument, FileFormat, FileSource, FileSpec, ListRule, Probe, RolloutSpec, Wave,
};
use regatta_protocol::config::value::{KeyPath, Value};
use regatta_protocol::ident::Hash;
use regatta_protocol::selector::Selector;

use super::config::files::{FORMATS, ending_format};
use super::secret::SecretSource;
use super::yaml::write::{Block, document};
use super::{API_VERSION, Config};

/// A document's YAML, always the same for the same document.
///
/// Contents are named by their hashes and secrets stand as `{from: sealed}`; [`super::read`] takes both,
/// for what the fleet has.
#[must_use]
pub fn write(name: &Name, select: &Selector, config: &ConfigDocument) -> String {
    let sealed = |path: &KeyPath| (path.clone(), SecretSource::Sealed);
    let paths = config.secrets.iter().flat_map(|secrets| &secrets.paths);
    let secrets: Vec<_> = paths.map(sealed).collect();
    Writer {
        config,
        secrets: &secrets,
        path_of: &|_| None,
    }
    .document(name, select)
}

/// The YAML of what was read or imported here: contents that `path_of` knows are named by their paths,
/// and secrets by where they come from.
#[must_use]
pub fn write_here(
    name: &Name,
    config: &Config,
    path_of: &dyn Fn(&Hash) -> Option<String>,
) -> String {
    Writer {
        config: &config.document,
        secrets: &config.secrets,
        path_of,
    }
    .document(name, &config.select)
}

struct Writer<'a> {
    config: &'a ConfigDocument,
    secrets: &'a [(KeyPath, SecretSource)],
    path_of: &'a dyn Fn(&Hash) -> Option<String>,
}

impl Writer<'_> {
    fn document(&self, name: &Name, select: &Selector) -> String {
        let (values, unread) = match self.config.values.read() {
            Ok(values) => (values, String::new()),
            Err(error) => (
                Value::empty(),
                format!("# the values cannot be read: {error}\n"),
            ),
        };
        let top = map([
            ("apiVersion", Some(API_VERSION.into())),
            ("kind", Some("Config".into())),
            (
                "metadata",
                Some(map([("name", Some(name.as_str().into()))])),
            ),
            ("spec", Some(self.spec(select, &values))),
        ]);
        unread + &document(&top)
    }

    /// In the order of [`super::config::FIELDS`].
    fn spec(&self, select: &Selector, values: &Value) -> Block {
        let config = self.config;
        let hooks = &config.hooks;
        let number = (config.priority != 0).then(|| plain(config.priority));
        map([
            ("select", Some(select.to_string().as_str().into())),
            ("priority", number),
            ("values", filled(values.into())),
            ("lists", self.lists()),
            ("files", each(&config.files, |file| self.file(file))),
            ("secrets", self.sources()),
            ("as", hooks.run_as.as_ref().map(|user| user.as_str().into())),
            ("check", hooks.check.as_ref().map(probe)),
            ("onChange", each(&hooks.on_change, action)),
            ("healthy", hooks.healthy.as_ref().map(probe)),
            ("confirm", hooks.confirm_ms.map(span)),
            ("rollout", config.rollout.as_ref().map(rollout)),
        ])
    }

    fn lists(&self) -> Option<Block> {
        let word = |rule: &ListRule| match rule {
            ListRule::Replace => Block::from("replace"),
            ListRule::Merge => Block::from("merge"),
        };
        let lists = &self.config.lists;
        if let (1, Some(rule)) = (lists.len(), lists.get(&KeyPath::root())) {
            return Some(word(rule));
        }
        let entries = lists
            .iter()
            .map(|(path, rule)| (path.to_string(), word(rule)));
        filled(Block::Map(entries.collect()))
    }

    fn sources(&self) -> Option<Block> {
        let entry = |(path, source): &(KeyPath, SecretSource)| {
            let from = source.to_string();
            (
                path.to_string(),
                map([("from", Some(from.as_str().into()))]),
            )
        };
        filled(Block::Map(self.secrets.iter().map(entry).collect()))
    }

    fn file(&self, file: &FileSpec) -> Block {
        let (from, content, format) = match &file.source {
            FileSource::Tree { from, format } => {
                let from = Block::from(from.to_string().as_str());
                let is_told = ending_format(&file.path) == Some(*format);
                let format = (!is_told).then(|| format_word(*format).into());
                (Some(from), None, format)
            }
            FileSource::Content { hash, bytes } => (None, Some(self.content(hash, *bytes)), None),
        };
        let mode = file.mode.map(|mode| Block::Quoted(format!("{mode:04o}")));
        map([
            ("path", Some(file.path.as_str().into())),
            ("from", from),
            ("content", content),
            ("format", format),
            ("mode", mode),
            ("owner", file.owner.as_deref().map(Block::from)),
            ("group", file.group.as_deref().map(Block::from)),
        ])
    }

    fn content(&self, hash: &Hash, bytes: u64) -> Block {
        match (self.path_of)(hash) {
            Some(path) => path.as_str().into(),
            None => map([
                ("hash", Some(Block::Quoted(hash.to_string()))),
                ("bytes", Some(plain(bytes))),
            ]),
        }
    }
}

/// The fields that are there.
fn map<const N: usize>(fields: [(&str, Option<Block>); N]) -> Block {
    let fields = fields.into_iter();
    let there = fields.filter_map(|(name, block)| Some((name.to_owned(), block?)));
    Block::Map(there.collect())
}

fn each<T>(items: &[T], block: impl Fn(&T) -> Block) -> Option<Block> {
    filled(Block::List(items.iter().map(block).collect()))
}

fn filled(block: Block) -> Option<Block> {
    let empty = match &block {
        Block::List(items) => items.is_empty(),
        Block::Map(entries) => entries.is_empty(),
        Block::Text(_) | Block::Quoted(_) | Block::Plain(_) => false,
    };
    (!empty).then_some(block)
}

fn plain(number: impl ToString) -> Block {
    Block::Plain(number.to_string())
}

fn span(ms: u64) -> Block {
    let written = humantime::format_duration(Duration::from_millis(ms)).to_string();
    Block::Text(written)
}

fn words(command: &[String]) -> Block {
    Block::List(command.iter().map(|word| word.as_str().into()).collect())
}

fn probe(probe: &Probe) -> Block {
    map([
        ("exec", Some(words(&probe.exec))),
        ("within", Some(span(probe.within_ms))),
    ])
}

fn action(action: &Action) -> Block {
    match action {
        Action::Exec(command) => map([("exec", Some(words(command)))]),
        Action::Restart(unit) => map([("restart", Some(unit.as_str().into()))]),
        Action::Reload(unit) => map([("reload", Some(unit.as_str().into()))]),
    }
}

fn rollout(rollout: &RolloutSpec) -> Block {
    let wave = |wave: &Wave| match wave {
        Wave::Count(count) => plain(count),
        Wave::Percent(percent) => Block::Text(format!("{percent}%")),
    };
    let available = rollout.min_available.iter();
    let available = available.map(|(label, count)| (label.to_string(), plain(count)));
    map([
        ("waves", each(&rollout.waves, wave)),
        (
            "success",
            Some(Block::Text(format!("{}%", rollout.success_percent))),
        ),
        (
            "pause",
            (rollout.pause_ms > 0).then(|| span(rollout.pause_ms)),
        ),
        ("minAvailable", filled(Block::Map(available.collect()))),
    ])
}

fn format_word(format: FileFormat) -> &'static str {
    let found = FORMATS.iter().find(|(_, known, _)| *known == format);
    found.map_or("text", |(word, _, _)| word)
}
