//! A TOML document, cut into the values of keys with the line that each was written on.

use std::ops::Range;

use toml::Value;
use toml::de::{DeTable, DeValue};

use crate::keys::{self, Key};
use crate::problem::{Origin, Problem, Problems, shorten};
use crate::setting;
use crate::suggest;

/// A value for a key, not yet read or checked.
pub(crate) struct Leaf {
    pub(crate) key: &'static Key,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// The values in `text`. What is not TOML, or no key, becomes a problem.
pub(crate) fn read(text: &str, origin: &Origin, problems: &mut Problems) -> Vec<Leaf> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if let Some(error) = errors
        .iter()
        .min_by_key(|error| error.span().map(|span| span.start))
    {
        // Only the first: what follows it is often its consequence.
        let place = error
            .span()
            .map_or_else(|| origin.clone(), |span| lines.place(origin, &span));
        problems.push(Problem {
            key: String::new(),
            value: None,
            origin: Some(place),
            message: format!("is not TOML: {}", shorten(error.message())),
            valid: "lines such as `max_turns = 50` below a line such as `[agent]`".to_owned(),
        });
        return Vec::new();
    }
    let mut reader = Reader {
        lines,
        origin,
        problems,
        leaves: Vec::new(),
    };
    reader.table("", table.into_inner());
    reader.leaves
}

struct Reader<'a> {
    lines: Lines<'a>,
    origin: &'a Origin,
    problems: &'a mut Problems,
    leaves: Vec<Leaf>,
}

impl Reader<'_> {
    /// Goes down only into tables that hold keys, so never deeper than the keys do.
    fn table(&mut self, prefix: &str, table: DeTable<'_>) {
        for (name, value) in table {
            let origin = self.origin.at_line(self.lines.line(name.span().start));
            let name = name.into_inner();
            let path = suggest::join(prefix, &name);
            // A quoted name with a point in it is one name, not a path.
            let known = !name.contains('.');
            if let Some(key) = keys::find(&path).filter(|_| known) {
                self.leaves.push(Leaf {
                    key,
                    value: plain(value.into_inner()),
                    origin,
                });
            } else if known && keys::is_table(&path) {
                match value.into_inner() {
                    DeValue::Table(inner) => self.table(&path, inner),
                    other => self.problems.push(not_a_table(path, &plain(other), origin)),
                }
            } else {
                self.problems.push(unknown(prefix, &name, origin));
            }
        }
    }
}

/// A value for a key that was named outside a file. A name that is no key becomes a problem.
pub(crate) fn leaf(path: &str, text: &str, origin: Origin, problems: &mut Problems) -> Option<Leaf> {
    if let Some(key) = keys::find(path) {
        return Some(Leaf {
            key,
            value: key.kind.literal(text),
            origin,
        });
    }
    problems.push(no_leaf(path, origin));
    None
}

/// The problem of a path that leads to no key: its first part that does not exist is the one to explain.
fn no_leaf(path: &str, origin: Origin) -> Problem {
    let mut table = String::new();
    for name in path.split('.') {
        let deeper = suggest::join(&table, name);
        if keys::find(&deeper).is_some() {
            let message = format!("is not a known key; `{deeper}` has no keys below it");
            let valid = suggest::valid_names(&table);
            return Problem {
                key: shorten(path),
                value: None,
                origin: Some(origin),
                message,
                valid,
            };
        }
        if !keys::is_table(&deeper) {
            return unknown(&table, name, origin);
        }
        table = deeper;
    }
    let valid = suggest::valid_names(&table);
    Problem {
        key: table,
        value: None,
        origin: Some(origin),
        message: "is a section, not a key".to_owned(),
        valid,
    }
}

/// The problem of a name that is no key of its table. Its value is not repeated: it may be a credential put in the
/// wrong place.
fn unknown(table: &str, name: &str, origin: Origin) -> Problem {
    let (message, valid) = suggest::unknown_key(table, name);
    let bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let shown = if bare {
        shorten(name)
    } else {
        format!("\"{}\"", shorten(name))
    };
    Problem {
        key: suggest::join(table, &shown),
        value: None,
        origin: Some(origin),
        message,
        valid,
    }
}

fn not_a_table(path: String, value: &Value, origin: Origin) -> Problem {
    let message = format!("is {}, but it is the name of a section", setting::noun(value));
    let valid = format!("a line `[{path}]` with the keys of the section below it");
    Problem {
        key: path,
        value: None,
        origin: Some(origin),
        message,
        valid,
    }
}

/// A value without its place in the text. An integer of more than 64 bits becomes the nearest that fits, which is
/// outside the range of every key.
pub(crate) fn plain(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => {
            let nearest = if number.as_str().starts_with('-') {
                i64::MIN
            } else {
                i64::MAX
            };
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(nearest))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(switch) => Value::Boolean(switch),
        DeValue::Datetime(date) => Value::Datetime(date),
        DeValue::Array(entries) => Value::Array(
            entries
                .into_iter()
                .map(|entry| plain(entry.into_inner()))
                .collect(),
        ),
        DeValue::Table(table) => {
            let entries = table.into_iter();
            Value::Table(
                entries
                    .map(|(name, value)| (name.into_inner().into_owned(), plain(value.into_inner())))
                    .collect(),
            )
        }
    }
}

/// Finds lines by offset without reading the text again for each.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// The line of an offset, from 1.
    fn line(&self, offset: usize) -> u32 {
        let line = self.starts.partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// The line and column of where a span begins.
    fn place(&self, origin: &Origin, span: &Range<usize>) -> Origin {
        let line = self.line(span.start);
        let start = self.starts[line as usize - 1];
        let before = self
            .text
            .get(start..span.start)
            .map_or(0, |text| text.chars().count());
        let column = u32::try_from(before + 1).unwrap_or(u32::MAX);
        Origin {
            column: Some(column),
            ..origin.at_line(line)
        }
    }
}
