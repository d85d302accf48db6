//! `files`: what devices write to their disks.

use std::collections::BTreeMap;

use regatta_protocol::config::document::{FileFormat, FileSource, FileSpec};
use regatta_protocol::ident::Hash;
use regatta_protocol::limits::FILE_BYTES_MAX;

use crate::manifest::Around;
use crate::manifest::content::Content;
use crate::manifest::field::{Field, Fields};

/// The words for formats, each with the endings of paths that mean it.
pub(in crate::manifest) const FORMATS: [(&str, FileFormat, &[&str]); 5] = [
    ("yaml", FileFormat::Yaml, &["yaml", "yml"]),
    ("json", FileFormat::Json, &["json"]),
    ("toml", FileFormat::Toml, &["toml"]),
    ("env", FileFormat::Env, &["env"]),
    ("text", FileFormat::Text, &["txt"]),
];
const FORMAT_WORDS: &str = "yaml, json, toml, env or text";
/// The most bytes of a path on a device.
const PATH_BYTES_MAX: usize = 4096;

/// What a document says of files.
#[derive(Default)]
pub(super) struct Files {
    pub(super) specs: Vec<FileSpec>,
    pub(super) contents: BTreeMap<Hash, Content>,
}

pub(super) fn read(fields: &Fields<'_>, around: &Around<'_>) -> Files {
    let mut files = Files::default();
    let Some(field) = fields.get("files") else {
        return files;
    };
    let mut paths: BTreeMap<String, usize> = BTreeMap::new();
    for item in field.items("a list of files").unwrap_or_default() {
        let Some(spec) = file(&item, around, &mut files.contents) else {
            continue;
        };
        let line = item.node.at.line;
        if let Some(first) = paths.insert(spec.path.clone(), line) {
            item.wrong(format!(
                "{:?} is written twice, first in line {first}; keep one of them",
                spec.path
            ));
        }
        files.specs.push(spec);
    }
    files
}

fn file(
    field: &Field<'_>,
    around: &Around<'_>,
    contents: &mut BTreeMap<Hash, Content>,
) -> Option<FileSpec> {
    let known = [
        "path", "from", "content", "format", "mode", "owner", "group",
    ];
    let fields = field.fields(&known)?;
    let path = fields.need(
        "path",
        "say where on the device, such as /etc/nav/params.yaml",
    );
    let path = path.and_then(device_path);
    let mode = match fields.get("mode") {
        Some(mode) => mode
            .read("four octal digits, such as \"0644\",", permission)
            .map(Some),
        None => Some(None),
    };
    let owner = fields.get("owner").map(user);
    let group = fields.get("group").map(user);
    let source = source(&fields, path.as_deref(), around, contents);
    Some(FileSpec {
        source: source?,
        path: path?,
        mode: mode?,
        owner: owner.unwrap_or(Some(None))?,
        group: group.unwrap_or(Some(None))?,
    })
}

fn device_path(field: &Field<'_>) -> Option<String> {
    let text = field.text("a path on the device, such as /etc/nav/params.yaml,")?;
    let wrong = if !text.starts_with('/') {
        Some("is not absolute; begin it with /".to_owned())
    } else if text.len() > PATH_BYTES_MAX {
        Some(format!("has more than {PATH_BYTES_MAX} bytes"))
    } else if text.contains(char::is_control) {
        Some("has a control character in it".to_owned())
    } else if text.ends_with('/') {
        Some("names a folder; name a file in it".to_owned())
    } else if text[1..]
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."))
    {
        Some("goes by \"..\", \".\" or \"//\"; write it straight".to_owned())
    } else {
        None
    };
    match wrong {
        None => Some(text.to_owned()),
        Some(wrong) => {
            let shown = crate::manifest::yaml::shortened(text);
            field.wrong(format!("{shown:?} {wrong}"));
            None
        }
    }
}

fn permission(text: &str) -> Result<u32, String> {
    let octal = text.len() == 4 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| octal);
    match mode {
        None => Err(format!(
            "{text:?} is no permission; write it as four octal digits, such as \"0644\""
        )),
        Some(mode) if mode > 0o777 => Err(format!(
            "{text:?} would have programs run as the file's owner; begin it with 0"
        )),
        Some(mode) => Ok(mode),
    }
}

/// The name of a user or group on the device.
fn user(field: &Field<'_>) -> Option<Option<String>> {
    let text = field.text("a name, such as nav,")?;
    let allowed = |found: char| found.is_ascii_alphanumeric() || "-_.$".contains(found);
    if text.is_empty() || text.len() > 32 || text.starts_with('-') || !text.chars().all(allowed) {
        let shown = crate::manifest::yaml::shortened(text);
        field.wrong(format!("{shown:?} is no name of a user or a group"));
        return None;
    }
    Some(Some(text.to_owned()))
}

fn source(
    fields: &Fields<'_>,
    path: Option<&str>,
    around: &Around<'_>,
    contents: &mut BTreeMap<Hash, Content>,
) -> Option<FileSource> {
    match (fields.get("from"), fields.get("content")) {
        (Some(from), None) => {
            let format = match fields.get("format") {
                Some(format) => format.read(FORMAT_WORDS, format_of_word),
                None => path.and_then(|path| format_of_path(&fields.of, path)),
            };
            Some(FileSource::Tree {
                from: from.key_path()?,
                format: format?,
            })
        }
        (None, Some(content)) => {
            if let Some(format) = fields.get("format") {
                format.wrong("contents are written as they are; leave the format out");
            }
            self::content(content, around, contents)
        }
        (found, _) => {
            let said = if found.is_some() { "both" } else { "neither" };
            fields.of.wrong(format!(
                "has {said} of from and content; write from: a place in the tree, or content: a file"
            ));
            None
        }
    }
}

fn format_of_word(text: &str) -> Result<FileFormat, String> {
    let found = FORMATS.iter().find(|(word, _, _)| *word == text);
    let format = found.map(|(_, format, _)| *format);
    format.ok_or_else(|| format!("{text:?} is no format; known here: {FORMAT_WORDS}"))
}

fn format_of_path(file: &Field<'_>, path: &str) -> Option<FileFormat> {
    let found = ending_format(path);
    if found.is_none() {
        file.wrong(format!(
            "the ending of {path:?} says no format; write format: {FORMAT_WORDS}"
        ));
    }
    found
}

/// What a path's ending says.
pub(in crate::manifest) fn ending_format(path: &str) -> Option<FileFormat> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let (_, ending) = name.rsplit_once('.')?;
    let ending = ending.to_lowercase();
    let mut known = FORMATS.iter();
    let found = known.find(|(_, _, endings)| endings.contains(&ending.as_str()));
    found.map(|(_, format, _)| *format)
}

fn content(
    field: &Field<'_>,
    around: &Around<'_>,
    contents: &mut BTreeMap<Hash, Content>,
) -> Option<FileSource> {
    if field.scalar().is_none() {
        return described(field, contents);
    }
    let text = field.text("a path relative to this file, such as ./map.pgm,")?;
    match Content::of_file(&around.folder.join(text)) {
        Ok((hash, content)) => {
            let bytes = content.bytes;
            contents.insert(hash, content);
            Some(FileSource::Content { hash, bytes })
        }
        Err(error) => {
            field.wrong(format!("{text:?} cannot be taken: {error}"));
            None
        }
    }
}

/// A content that stands in the manifest, or one that the fleet has.
fn described(field: &Field<'_>, contents: &mut BTreeMap<Hash, Content>) -> Option<FileSource> {
    let fields = field.fields(&["inline", "hash", "bytes"])?;
    match (
        fields.get("inline"),
        fields.get("hash"),
        fields.get("bytes"),
    ) {
        (Some(inline), None, None) => {
            let text = inline.scalar().map(|scalar| scalar.text.clone());
            if text.is_none() {
                inline.unfit("the file's text");
            }
            let (hash, content) = Content::of_bytes(text?.into_bytes());
            let bytes = content.bytes;
            contents.insert(hash, content);
            Some(FileSource::Content { hash, bytes })
        }
        (None, Some(hash), Some(bytes)) => {
            let hash = hash.read("a hash of 64 hexadecimal digits", str::parse::<Hash>);
            let most = i64::try_from(FILE_BYTES_MAX).unwrap_or(i64::MAX);
            let bytes = bytes.integer(0, most);
            Some(FileSource::Content {
                hash: hash?,
                bytes: bytes?.unsigned_abs(),
            })
        }
        _ => {
            field.wrong(
                "takes a path, {inline: text}, or {hash: …, bytes: …} of what the fleet has",
            );
            None
        }
    }
}
