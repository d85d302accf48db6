//! From the parser's events to trees, with every bound.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, ScalarStyle, Span, Tag};

use super::{DEPTH_MAX, Data, Entry, Mark, NODES_MAX, Node, Refused, Scalar, TEXT_BYTES_MAX};

/// Takes events, and gives a document when one has come to its end.
pub(super) struct Builder<'a> {
    text: &'a str,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    finished: Option<Node>,
    nodes: usize,
    text_bytes: usize,
}

/// A list or a map that has begun.
struct Open {
    at: Mark,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// A name whose value has not come yet.
        name: Option<Key>,
        merged: Vec<Entry>,
    },
}

enum Key {
    Name(Mark, String),
    Merge(Mark),
}

struct Anchored {
    node: Node,
    size: Size,
}

/// What a copy of a node costs.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    text_bytes: usize,
    depth: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        let mut size = Self {
            nodes: 1,
            ..Self::default()
        };
        match &node.data {
            Data::Scalar(scalar) => size.text_bytes = scalar.text.len(),
            Data::List(items) => items.iter().for_each(|item| size.add(0, Self::of(item))),
            Data::Map(entries) => entries
                .iter()
                .for_each(|entry| size.add(entry.name.len(), Self::of(&entry.value))),
        }
        size
    }

    fn add(&mut self, name: usize, inner: Self) {
        self.nodes += inner.nodes;
        self.text_bytes += name + inner.text_bytes;
        self.depth = self.depth.max(inner.depth + 1);
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            finished: None,
            nodes: 0,
            text_bytes: 0,
        }
    }

    /// The document that the last event ended, where it is not empty.
    pub(super) fn finished(&mut self) -> Option<Node> {
        self.finished.take()
    }

    /// Leaves a document that something is wrong with.
    pub(super) fn forget(&mut self) {
        self.open.clear();
        self.anchors.clear();
        self.finished = None;
    }

    /// Whether the file's bounds are used up, so that nothing more is read of it.
    pub(super) fn is_spent(&self) -> bool {
        self.nodes > NODES_MAX || self.text_bytes > TEXT_BYTES_MAX
    }

    pub(super) fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Refused> {
        let at = Mark::from(span.start);
        match event {
            Event::DocumentEnd => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = self.scalar(text, style, tag.as_deref(), span)?;
                self.text_bytes += scalar.text.len();
                let data = Data::Scalar(scalar);
                self.place(Node { at, data }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(span, tag, "seq")?;
                self.begin(at, anchor, Inside::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(span, tag, "map")?;
                let inside = Inside::Map {
                    entries: Vec::new(),
                    name: None,
                    merged: Vec::new(),
                };
                self.begin(at, anchor, inside)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(id) => self.alias(at, id)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, at: Mark, anchor: usize, inside: Inside) -> Result<(), Refused> {
        if let Some(Open { inside, .. }) = self.open.last()
            && let Inside::Map { name: None, .. } = inside
        {
            return Err(refused(
                at,
                "a list or a map cannot be a name; write a text",
            ));
        }
        self.open.push(Open { at, anchor, inside });
        self.check_depth(at, 0)
    }

    fn check_depth(&self, at: Mark, more: usize) -> Result<(), Refused> {
        if self.open.len() + more > DEPTH_MAX {
            let detail = format!("lists and maps stand more than {DEPTH_MAX} deep in each other");
            return Err(refused(at, &detail));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Refused> {
        let Some(Open { at, anchor, inside }) = self.open.pop() else {
            return Ok(());
        };
        let data = match inside {
            Inside::List(items) => Data::List(items),
            Inside::Map {
                mut entries,
                merged,
                ..
            } => {
                let mut names: BTreeSet<_> = entries.iter().map(|own| own.name.clone()).collect();
                entries.extend(
                    merged
                        .into_iter()
                        .filter(|entry| names.insert(entry.name.clone())),
                );
                Data::Map(entries)
            }
        };
        self.place(Node { at, data }, anchor)
    }

    fn alias(&mut self, at: Mark, id: usize) -> Result<(), Refused> {
        let Some(anchored) = self.anchors.get(&id) else {
            let detail = "this alias stands inside of what it names";
            return Err(refused(at, detail));
        };
        let size = anchored.size;
        self.check_depth(at, size.depth)?;
        // Before the copy is made: an alias of aliases doubles what is there with every line.
        self.nodes += size.nodes;
        self.text_bytes += size.text_bytes;
        self.check_size(at)?;
        let node = anchored.node.clone();
        self.nodes -= 1;
        self.place(node, 0)
    }

    fn check_size(&self, at: Mark) -> Result<(), Refused> {
        if self.is_spent() {
            let detail = format!(
                "more than {NODES_MAX} values or {TEXT_BYTES_MAX} bytes of text, copies for aliases included"
            );
            return Err(refused(at, &detail));
        }
        Ok(())
    }

    /// Puts a node where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Refused> {
        self.nodes += 1;
        self.check_size(node.at)?;
        if anchor != 0 {
            let size = Size::of(&node);
            // The kept node is a copy as well.
            self.nodes += size.nodes;
            self.text_bytes += size.text_bytes;
            self.check_size(node.at)?;
            let node = node.clone();
            self.anchors.insert(anchor, Anchored { node, size });
        }
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.finished = Some(node);
            }
            return Ok(());
        };
        match &mut open.inside {
            Inside::List(items) => items.push(node),
            Inside::Map {
                entries,
                name,
                merged,
            } => match name.take() {
                None => *name = Some(name_of(node)?),
                Some(Key::Merge(at)) => merged.extend(merge(at, node)?),
                Some(Key::Name(at, name)) => entries.push(Entry {
                    at,
                    name,
                    value: node,
                }),
            },
        }
        Ok(())
    }

    fn scalar(
        &self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Scalar, Refused> {
        let at = Mark::from(span.start);
        // The parser gives "~" for an empty place.
        let text = text.into_owned();
        let quote = usize::from(matches!(
            style,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted
        ));
        let written = span.slice(self.text).unwrap_or_default();
        let inner = written.get(quote..written.len().saturating_sub(quote));
        let flat = inner == Some(text.as_str()) && !text.contains('\n');
        let mut scalar = Scalar {
            text,
            plain: style == ScalarStyle::Plain,
            flat_at: flat.then_some(Mark {
                line: at.line,
                column: at.column + quote,
            }),
        };
        match tag.map(|tag| (tag.core_suffix(), tag)) {
            None => {}
            Some((Some("str"), _)) => scalar.plain = false,
            Some((None, tag)) if tag.handle().is_empty() && tag.suffix() == "!" => {
                scalar.plain = false;
            }
            Some((Some("int" | "float" | "bool" | "null"), _)) => scalar.plain = true,
            Some((_, tag)) => return Err(unknown_tag(span, tag)),
        }
        Ok(scalar)
    }
}

fn name_of(node: Node) -> Result<Key, Refused> {
    match node.data {
        Data::Scalar(scalar) if scalar.plain && matches!(scalar.text.as_str(), "" | "~") => {
            Err(refused(node.at, "a name is missing before ':'"))
        }
        Data::Scalar(scalar) if scalar.plain && scalar.text == "<<" => Ok(Key::Merge(node.at)),
        Data::Scalar(scalar) => Ok(Key::Name(node.at, scalar.text)),
        Data::List(_) | Data::Map(_) => Err(refused(
            node.at,
            "a list or a map cannot be a name; write a text",
        )),
    }
}

/// What `<<` takes in: a map, or a list of maps of which the earlier ones go before the later ones.
fn merge(at: Mark, node: Node) -> Result<Vec<Entry>, Refused> {
    let wrong = || refused(at, "\"<<\" takes a map, or a list of maps, such as *base");
    match node.data {
        Data::Map(entries) => Ok(entries),
        Data::List(items) => {
            let mut all = Vec::new();
            for item in items {
                match item.data {
                    Data::Map(entries) => all.extend(entries),
                    Data::Scalar(_) | Data::List(_) => return Err(wrong()),
                }
            }
            Ok(all)
        }
        Data::Scalar(_) => Err(wrong()),
    }
}

fn refuse_tag(span: Span, tag: Option<Cow<'_, Tag>>, known: &str) -> Result<(), Refused> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(known) => Err(unknown_tag(span, &tag)),
        _ => Ok(()),
    }
}

fn unknown_tag(span: Span, tag: &Tag) -> Refused {
    let at = Mark::from(span.tag_start.unwrap_or(span.start));
    let detail = format!(
        "the tag {} means nothing here; leave it out",
        tag.original()
    );
    refused(at, &detail)
}

fn refused(at: Mark, detail: &str) -> Refused {
    Refused {
        at,
        detail: detail.to_owned(),
    }
}
