//! A task into clauses, each with one verb.

use std::sync::LazyLock;

use regex::Regex;

use super::quotes::Quoted;
use super::targets;
use crate::mind::step::Target;

/// Ends of clauses whatever follows: lines, semicolons, sentences, numbers of a list.
static HARD: LazyLock<Regex> =
    LazyLock::new(|| compile(r"[\n;]+|[.!?]+(?:\s+|$)|(?:^|\s)\d{1,2}[.)]\s+|(?:^|\n)\s*[-*•]\s+"));
/// What a list puts before its entries.
static ENTRY: LazyLock<Regex> = LazyLock::new(|| compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+"));
/// Ends of clauses where a verb follows.
static SOFT: LazyLock<Regex> =
    LazyLock::new(|| compile(r"\s*,\s*|\s+(?:and|then|&|plus)\s+|\s+[-–—]+>?\s+|\s*→\s*"));
/// A file in front of the verb.
static PLACE: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i)^(?:in|inside|within)\s+(?:the\s+)?(?:file\s+)?(\S+)(?:\s+|$)"));
/// What may stand before the verb.
static FILLER: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)^(?:please|then|and|also|finally|first(?:ly)?|second(?:ly)?|third(?:ly)?|last(?:ly)?|next|now|just|afterwards|",
        r"after that|can you|could you|would you|will you|i want you to|i would like you to|i'd like you to|you should|",
        r"let's|lets|let us|go ahead and|kindly|hey|hello|hi|claude|ok|okay|so|quickly|simply|once more|again)\b[\s,:]*",
    ))
});
/// Verbs, and the question words that ask for work.
static VERB: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)^(?:look|list|show|read|open|print|cat|display|view|see|examine|inspect|search|find|grep|locate|count|",
        r"replace|change|rename|fix|swap|substitute|update|edit|correct|turn|create|write|make|save|put|add|append|insert|",
        r"run|execute|launch|tell|report|summari[sz]e|explain|describe|say|undo|revert|check|verify|explore|survey|",
        r"how many|what|where|which|generate|give|ls|delete|remove|move|test|build|compile|commit)\b",
    ))
});

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

/// The clauses of a task, without what stands before their verbs.
pub(crate) fn clauses(text: &str) -> Vec<&str> {
    let mut clauses = Vec::new();
    let mut start = 0;
    let ends = HARD
        .find_iter(text)
        .map(|found| (found.start(), found.end()))
        .chain([(text.len(), text.len())]);
    for (end, next) in ends {
        soft(&text[start..end], &mut clauses);
        start = next;
    }
    clauses
}

/// "in hello.py, replace …": the file in front of a clause, and the rest of it.
pub(crate) fn place<'t>(clause: &'t str, quoted: &Quoted) -> (Option<Target>, &'t str) {
    let found = PLACE.captures(clause).and_then(|found| {
        let name = targets::trim(found.get(1)?.as_str());
        let target = targets::target(quoted.literal(name).unwrap_or(name))?;
        Some((target, &clause[found.get(0)?.end()..]))
    });
    match found {
        Some((target, rest)) => (Some(target), without_filler(rest)),
        None => (None, clause),
    }
}

fn soft<'t>(sentence: &'t str, clauses: &mut Vec<&'t str>) {
    let sentence = ENTRY
        .find(sentence)
        .map_or(sentence, |mark| &sentence[mark.end()..]);
    let mut start = 0;
    let mut taken = 0;
    for separator in SOFT.find_iter(sentence) {
        // ", and then run": only the last of several separators in a row stands before the verb.
        let rest = without_filler(&sentence[separator.end()..]);
        if separator.start() < taken || !VERB.is_match(rest) {
            continue;
        }
        push(&sentence[start..separator.start()], clauses);
        start = separator.end();
        taken = sentence.len() - rest.len();
    }
    push(&sentence[start..], clauses);
}

fn push<'t>(clause: &'t str, clauses: &mut Vec<&'t str>) {
    let clause = without_filler(clause.trim_matches([' ', '\t', ',', ':', '.', '!', '?']));
    let says_something = clause
        .chars()
        .any(|character| !character.is_ascii_punctuation() && !character.is_ascii_digit());
    if says_something
        && !matches!(
            clause.to_lowercase().as_str(),
            "thanks" | "thank you" | "please" | "there"
        )
    {
        let clause = clause.trim_end();
        let polite = clause.len() - "please".len().min(clause.len());
        let ends_politely =
            clause.is_char_boundary(polite) && clause[polite..].eq_ignore_ascii_case("please");
        clauses.push(if ends_politely {
            clause[..polite].trim_end_matches([' ', ','])
        } else {
            clause
        });
    }
}

/// Strips "please", "and then", "could you" and their like, any number of them, but never the whole clause.
fn without_filler(clause: &str) -> &str {
    let mut rest = clause.trim_start();
    while let Some(found) = FILLER.find(rest) {
        let after = rest[found.end()..].trim_start();
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_fall_into_clauses() {
        let cases: &[(&str, &[&str])] = &[
            (
                "Look around, find every TODO, and tell me what you did",
                &["Look around", "find every TODO", "tell me what you did"],
            ),
            (
                "Please read a.txt and b.txt. Then count the lines of a.txt.",
                &["read a.txt and b.txt", "count the lines of a.txt"],
            ),
            (
                "1. look around\n2) run x; - show y",
                &["look around", "run x", "show y"],
            ),
            ("1. look around 2. read a.txt", &["look around", "read a.txt"]),
            (
                "Could you please find bread and butter, then eggs?",
                &["find bread and butter, then eggs"],
            ),
            ("read a.py, and then, finally, run it", &["read a.py", "run it"]),
            ("- read a\n- write b with c", &["read a", "write b with c"]),
            ("", &[]),
            ("... 12 !", &[]),
        ];
        for (task, expected) in cases {
            assert_eq!(clauses(task), *expected, "{task}");
        }
    }
}
