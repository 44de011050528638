//! Clauses that change files: replace, write, append.

use std::sync::LazyLock;

use regex::Regex;

use super::clause::{Clause, compile};
use super::quotes::is_mark;
use super::targets::{target, targets, trim};
use crate::mind::files::shell_word;
use crate::mind::step::{Step, Target};

static REPLACE: LazyLock<Regex> = LazyLock::new(|| {
    compile(r"(?i)\b(?:replace|change|rename|move|fix|swap|substitute|update|edit|correct|turn)\b")
});
static MOVE: LazyLock<Regex> = LazyLock::new(|| compile(r"(?i)^(?:rename|move)\b"));
static REMOVE: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i)^(?:delete|remove)\s+(?:the\s+)?(?:files?\s+)?"));
/// Between the old text and the new.
static WITH: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i)\s+(?:with|by|to|into|for|as)\s+|\s*(?:->|=>|→)\s*"));
static IN: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i)[\s,(]+(?:in|inside|within|of|everywhere|throughout)\b"));
static OLD_LEAD: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)^(?:all|every|each|any|the|occurrences?|instances?|mentions|of|(?:key)?words?|text|strings?|phrase|line|typo|name|",
        r"value|from|spelling)\s+",
    ))
});
static EVERY: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i)\b(?:all|every|each|everywhere|occurrences|throughout)\b"));
static WRITE: LazyLock<Regex> = LazyLock::new(|| compile(r"(?i)^(?:create|write|make|save|put|generate)\b"));
static APPEND: LazyLock<Regex> = LazyLock::new(|| compile(r"(?i)^(?:add|append|insert)\b"));
/// Before the content of a new file.
static CONTENT: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)\b(?:with|containing|that (?:says|contains|reads)|saying|which says)\b\s*",
        r"(?:the\s+)?(?:(?:content|contents|text|line|words?|following)\b\s*(?:content|contents|text|line)?)?\s*:?\s*",
    ))
});
/// Between a content and the file that it goes to.
static INTO: LazyLock<Regex> = LazyLock::new(|| compile(r"(?i)\s+(?:to|into|in|as|at the end of|onto)\s+"));
static ARTICLE: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i)^(?:the\s+)?(?:text|line|words?|content|a line|a|the)\s+"));

/// "replace A with B in FILE", and the same in other words.
pub(super) fn replace(clause: Clause) -> Option<Step> {
    let verbs: Vec<_> = REPLACE.find_iter(clause.text).collect();
    if verbs.first()?.start() != 0 {
        return None;
    }
    let found = targets(clause.text, clause.quoted);
    // "fix the greeting in hello.py (replace A with B)": the last verb has the texts.
    let (old, new) = verbs
        .iter()
        .rev()
        .find_map(|verb| pair(clause, &clause.text[verb.end()..]))?;
    let old = match (old.as_str(), clause.found) {
        ("it" | "them", Some(found)) => found.to_owned(),
        _ => old,
    };
    if let (true, Some(Target::File(_)), Some(Target::File(_))) =
        (MOVE.is_match(clause.text), target(&old), target(&new))
    {
        return Some(Step::Run {
            command: Some(format!("mv {} {}", shell_word(&old), shell_word(&new))),
        });
    }
    let place = found
        .into_iter()
        .find(|target| target.name() != old && target.name() != new)
        .or_else(|| clause.it.cloned());
    let every = EVERY.is_match(clause.text) || place.is_none();
    Some(Step::Replace {
        old,
        new,
        place,
        every,
    })
}

/// The old text and the new: two quotes, or the words around "with" or "to".
fn pair(clause: Clause, rest: &str) -> Option<(String, String)> {
    let quotes: Vec<&str> = clause.quoted.literals(rest).collect();
    let separator = WITH.find_iter(rest).find(|found| {
        // "change A in FILE to B": a separator must have something on both sides.
        !rest[..found.start()].trim().is_empty() && !rest[found.end()..].trim().is_empty()
    })?;
    let (before, after) = (&rest[..separator.start()], &rest[separator.end()..]);
    let old = match clause
        .quoted
        .literals(before)
        .find(|text| quotes.len() < 3 || target(text).is_none())
    {
        Some(literal) => literal.to_owned(),
        None => {
            let mut words = before.trim();
            words = IN.find(words).map_or(words, |place| &words[..place.start()]);
            while let Some(lead) = OLD_LEAD.find(words) {
                words = &words[lead.end()..];
            }
            words.trim().to_owned()
        }
    };
    let new = match clause
        .quoted
        .literals(after)
        .next()
        .filter(|_| after.trim_start_matches(['(', ' ']).starts_with(is_mark) || lead_then_mark(after))
    {
        Some(literal) => literal.to_owned(),
        None => {
            let words = IN.find(after).map_or(after, |place| &after[..place.start()]);
            words.trim().trim_end_matches([')', '.', ',', '!']).to_owned()
        }
    };
    (!old.is_empty() && old != new).then_some((old, new))
}

/// "the word `x`": the quote is the text, the words before it are not.
fn lead_then_mark(text: &str) -> bool {
    let mut rest = text.trim_start();
    while let Some(lead) = OLD_LEAD.find(rest) {
        rest = &rest[lead.end()..];
    }
    rest.starts_with(is_mark)
}

/// "delete FILE": there is no tool for it, so it is a command, which the caller's permissions judge.
pub(super) fn remove(clause: Clause) -> Option<Step> {
    let verb = REMOVE.find(clause.text)?;
    let words: Vec<&str> = clause.text[verb.end()..]
        .split_whitespace()
        .filter(|word| !matches!(trim(word), "and" | ""))
        .collect();
    let names: Option<Vec<String>> = words
        .iter()
        .map(
            |word| match target(clause.quoted.literal(word).unwrap_or_else(|| trim(word))) {
                Some(Target::File(path)) => Some(shell_word(&path)),
                _ => None,
            },
        )
        .collect();
    let names = names.filter(|names| !names.is_empty())?;
    Some(Step::Run {
        command: Some(format!("rm {}", names.join(" "))),
    })
}

/// "create FILE with TEXT", "write TEXT to FILE", "add TEXT to FILE".
pub(super) fn write(clause: Clause) -> Option<Step> {
    let append = APPEND.find(clause.text);
    let verb = append.or_else(|| WRITE.find(clause.text))?;
    let rest = clause.text[verb.end()..].trim();
    let (path, content) = match (append, with_content(clause, rest)) {
        (None, Some(found)) => found,
        _ => into_file(clause, rest)?,
    };
    if path.contains('*') {
        return None;
    }
    Some(match append {
        Some(_) => Step::Append { path, text: content },
        None => Step::Write {
            path,
            content: closed(content),
        },
    })
}

/// "(a file called) FILE with (the text) TEXT"; without a text, an empty file.
fn with_content(clause: Clause, rest: &str) -> Option<(String, String)> {
    let (place, content) = match CONTENT.find(rest) {
        Some(found) => (&rest[..found.start()], rest[found.end()..].trim()),
        None => (
            rest.split_once(':').map_or(rest, |(place, _)| place),
            rest.split_once(':').map_or("", |(_, content)| content.trim()),
        ),
    };
    if CONTENT.find(rest).is_none() && INTO.is_match(rest) {
        return None;
    }
    let path = match targets(place, clause.quoted).into_iter().next() {
        Some(Target::File(path)) => path,
        Some(Target::Pattern(_)) => return None,
        None => named(clause, place).or_else(|| clause.it.map(|it| it.name().to_owned()))?,
    };
    let text = match clause.quoted.literals(content).next() {
        Some(literal) => literal.to_owned(),
        None => clause.quoted.plain(content),
    };
    // "create `notes.txt` `hello`": the second quote is the text.
    let second = clause
        .quoted
        .literals(rest)
        .find(|literal| *literal != path)
        .unwrap_or("")
        .to_owned();
    Some((path, if text.is_empty() { second } else { text }))
}

/// A file without an extension: "a file called NOTES", or a quoted name.
fn named(clause: Clause, place: &str) -> Option<String> {
    let words: Vec<&str> = place.split_whitespace().collect();
    let called = words
        .iter()
        .position(|word| matches!(word.to_lowercase().as_str(), "called" | "named"));
    let word = match called {
        Some(at) => *words.get(at + 1)?,
        None => words.iter().find(|word| clause.quoted.literal(word).is_some())?,
    };
    let name = clause.quoted.literal(word).map_or_else(|| trim(word), str::trim);
    (!name.is_empty() && !name.contains(char::is_whitespace)).then(|| name.to_owned())
}

/// "TEXT to FILE".
fn into_file(clause: Clause, rest: &str) -> Option<(String, String)> {
    let into = INTO.find_iter(rest).last()?;
    let (text, place) = (&rest[..into.start()], &rest[into.end()..]);
    let path = match targets(place, clause.quoted).into_iter().next() {
        Some(Target::File(path)) => path,
        Some(Target::Pattern(_)) => return None,
        None => named(clause, place).or_else(|| clause.it.map(|it| it.name().to_owned()))?,
    };
    let text = match clause.quoted.literals(text).next() {
        Some(literal) => literal.to_owned(),
        None => ARTICLE.replace(&clause.quoted.plain(text), "").into_owned(),
    };
    (!text.trim().is_empty()).then_some((path, text))
}

/// Text files end with a line end.
fn closed(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
