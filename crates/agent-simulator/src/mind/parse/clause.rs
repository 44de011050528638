//! One clause into one step, by its verb.

use std::sync::LazyLock;

use regex::Regex;

use super::Spoken;
use super::change;
use super::quotes::Quoted;
use super::targets::{self, targets};
use crate::mind::step::{Needle, Scope, Step, Target, Unit};

static LOOK: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)^(?:look around|explore|survey|ls\b|have a look|take a look|look at (?:this|the) (?:folder|directory|project)|",
        r"(?:list|show)(?: me)?(?: all| everything)?(?: the| this| of the)?(?: \S+)? (?:files|folder|directory|contents?|entries)|list\b|",
        r"what(?:'s| is| do we have| files are)? (?:there )?(?:in|inside|here|there)|what(?:'s| is) here|which files)",
    ))
});
static REPORT: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)^(?:(?:tell|show|give|explain|describe|say|report|summari[sz]e|print)\b.*\b(?:what (?:you|was|happened|changed|came)|",
        r"results?|outcome|summary|how it went|findings?|everything you)|(?:report|summari[sz]e)(?: back| it| them| this| to me)?$|",
        r"tell me(?: about (?:it|them))?$|what did you (?:do|find))",
    ))
});
static RUN: LazyLock<Regex> = LazyLock::new(|| compile(r"(?i)^(?:run|execute|launch|test|build|compile)\b"));
static ASK: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)^(?:(?:which|what|list the|show(?: me)?(?: the)?) (?:files?|lines?) (?:that |which )?(?:contain|mention|have|use)s?|",
        r"(?:check|see|verify|tell me|find out) (?:if|whether|that) (?:there (?:is|are))?)\b",
    ))
});
static COUNT: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?i)^(?:count|tell me how many|find out how many|see how many|check how many|how many|what is the number of)\b",
    )
});
static SEARCH: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?i)^(?:search|grep|look for|find|locate|list|show(?: me)?|where(?: is| are)?)\b(?: out)?(?: where)?",
    )
});
static READ: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?i)^(?:read|show|open|print|cat|display|view|see|examine|inspect|check|verify|look (?:at|into|in)|explain|describe|summari[sz]e|what|tell|give|list)\b",
    )
});
static UNDO: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?i)^(?:undo|revert)\b|^(?:change|put|turn|switch|set) (?:it|that|this|them|everything) back|^(?:change|put) back\b",
    )
});
static UNIT: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i)\b(?:(lines?)|(words?)|(characters?|chars|letters|bytes))\b"));
static MATCHES: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?i)\b(?:occurrences?|mentions?|instances?|appearances?|uses|matches|times)\b|\blines? (?:that )?(?:contain|match|with|mention)",
    )
});
/// Before what is searched for.
static LEAD: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)^(?:for|every|all|any|each|the|a|an|some|of|out|where|is|are|me|(?:key)?words?|text|strings?|phrases?|terms?|patterns?|",
        r"regex(?:es)?|regular expressions?|lines?|that|which|with|contain(?:s|ing)?|match(?:es|ing)?|mention(?:s|ing)?|",
        r"occurrences?|mentions|instances|appearances|uses|usages|times|does|do|there|places|files)\s+",
    ))
});
/// After what is searched for.
static TAIL: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"(?i)\s+(?:comments?|markers?|notes?|occurrences?|lines?|mentions?|strings?|items?|entries|everywhere|appears?|occurs?|used|",
        r"defined|is|are|there|here|case[- ]insensitive(?:ly)?|ignoring (?:the )?case|regardless of case|anywhere|throughout)[,.]*$",
    ))
});
static IGNORE_CASE: LazyLock<Regex> = LazyLock::new(|| {
    compile(r"(?i)case[- ]insensitive|ignor\w+ (?:the )?case|regardless of case|upper or lower case")
});
static PLACE: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i)\s+(?:in|inside|within|across|under|from|throughout)\s+"));

pub(super) fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

/// Reads one clause.
pub(crate) fn read(clause: &str, quoted: &Quoted, spoken: &Spoken) -> Step {
    let it = spoken.file.as_ref().filter(|_| means_it(clause));
    let rules = [
        undo, replace, remove, report, run, ask, write, count, find_files, look, files, search,
    ];
    let input = Clause {
        text: clause,
        quoted,
        it: spoken.place.as_ref().or(it),
        found: spoken.text.as_deref(),
    };
    rules
        .iter()
        .find_map(|rule| rule(input))
        .unwrap_or_else(|| Step::NotUnderstood {
            text: quoted.plain(clause),
        })
}

#[derive(Clone, Copy)]
pub(super) struct Clause<'c> {
    pub(super) text: &'c str,
    pub(super) quoted: &'c Quoted,
    /// What "it" means, if the clause says it.
    pub(super) it: Option<&'c Target>,
    /// What was searched for before, which "it" may mean as well.
    pub(super) found: Option<&'c str>,
}

impl Clause<'_> {
    pub(super) fn targets(&self) -> Vec<Target> {
        let mut found = targets(self.text, self.quoted);
        if found.is_empty() {
            found.extend(self.it.cloned());
        }
        found
    }
}

fn means_it(clause: &str) -> bool {
    let lower = clause.to_lowercase();
    lower
        .split_whitespace()
        .any(|word| matches!(targets::trim(word), "it" | "its" | "that" | "them"))
        || ["the file", "this file", "that file", "same file"]
            .iter()
            .any(|phrase| lower.contains(phrase))
}

fn undo(clause: Clause) -> Option<Step> {
    UNDO.is_match(clause.text).then_some(Step::Undo)
}

fn replace(clause: Clause) -> Option<Step> {
    change::replace(clause)
}

fn remove(clause: Clause) -> Option<Step> {
    change::remove(clause)
}

fn write(clause: Clause) -> Option<Step> {
    change::write(clause)
}

fn report(clause: Clause) -> Option<Step> {
    (REPORT.is_match(clause.text) && targets(clause.text, clause.quoted).is_empty()).then_some(Step::Report)
}

fn run(clause: Clause) -> Option<Step> {
    let verb = RUN.find(clause.text)?;
    let rest = clause.text[verb.end()..].trim();
    let mut literals = clause.quoted.literals(rest);
    if let Some(literal) = literals.next() {
        return Some(Step::Run {
            command: Some(literal.trim().to_owned()),
        });
    }
    let lower = rest.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().map(targets::trim).collect();
    let tests = words.iter().all(|word| {
        matches!(
            *word,
            "the" | "all" | "its" | "our" | "unit" | "test" | "tests" | "suite" | "again" | "it"
        )
    });
    match clause.it {
        Some(Target::File(path)) if words.first() == Some(&"it") => {
            return Some(Step::Run {
                command: Some(by_extension(path)),
            });
        }
        _ if tests => return Some(Step::Run { command: None }),
        _ => {}
    }
    // "run the tests with cargo test", "run the command ls -l"
    let command = match rest
        .split_once(" with ")
        .or_else(|| rest.split_once(" by running "))
    {
        Some((before, after)) if before.to_lowercase().contains("test") => after,
        _ => rest.strip_prefix("the command ").unwrap_or(rest),
    };
    // "run the report of last week" is no command line.
    let is_sentence = command.to_lowercase().starts_with("the ") || command.is_empty();
    if is_sentence || !clause.text.to_lowercase().starts_with(['r', 'e', 'l']) {
        return None;
    }
    match targets::target(command) {
        Some(Target::File(path)) => Some(Step::Run {
            command: Some(by_extension(&path)),
        }),
        _ => Some(Step::Run {
            command: Some(command.trim_end_matches(['.', '!']).to_owned()),
        }),
    }
}

/// "Which files contain TODO?", "check whether there is a TODO in a.py".
fn ask(clause: Clause) -> Option<Step> {
    let asked = ASK.find(clause.text)?;
    matches(clause, clause.text[asked.end()..].trim()).map(|(needle, scope)| Step::Search { needle, scope })
}

/// How a script of this name is started.
fn by_extension(path: &str) -> String {
    let program = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("py") => "python3 ",
        Some("sh") => "sh ",
        Some("js") => "node ",
        Some("rb") => "ruby ",
        _ if path.contains('/') => "",
        _ => "./",
    };
    format!("{program}{path}")
}

fn count(clause: Clause) -> Option<Step> {
    let verb = COUNT.find(clause.text)?;
    let rest = clause.text[verb.end()..].trim();
    let files = || {
        let found = clause.targets();
        if found.is_empty() {
            vec![Target::Pattern("**/*".to_owned())]
        } else {
            found
        }
    };
    let lower = rest.to_lowercase();
    if MATCHES.is_match(rest) {
        return matches(clause, rest).map(|(needle, scope)| Step::CountMatches { needle, scope });
    }
    if let Some(found) = UNIT.captures(rest) {
        let unit = match (found.get(1), found.get(2)) {
            (Some(_), _) => Unit::Lines,
            (_, Some(_)) => Unit::Words,
            _ => Unit::Characters,
        };
        return Some(Step::Measure { unit, files: files() });
    }
    if lower
        .split_whitespace()
        .any(|word| matches!(targets::trim(word), "files" | "file"))
    {
        let pattern = match files().first() {
            Some(Target::Pattern(pattern)) => pattern.clone(),
            Some(Target::File(path)) => format!("**/{path}"),
            None => "**/*".to_owned(),
        };
        return Some(Step::CountFiles { pattern });
    }
    matches(clause, rest).map(|(needle, scope)| Step::CountMatches { needle, scope })
}

/// "find all Python files", "list *.md", "find the file named x.txt": names, not contents.
fn find_files(clause: Clause) -> Option<Step> {
    let verb = SEARCH.find(clause.text)?;
    let rest = clause.text[verb.end()..].trim();
    let lower = rest.to_lowercase();
    if PLACE.is_match(rest)
        || lower.contains("contain")
        || lower.contains("mention")
        || lower.starts_with("for ")
    {
        return None;
    }
    let is_show = clause.text.to_lowercase().starts_with("show");
    let found = targets(rest, clause.quoted);
    match (found.first(), found.len()) {
        (Some(Target::Pattern(pattern)), 1) if !is_show && pattern != "**/*" => Some(Step::FindFiles {
            pattern: pattern.clone(),
        }),
        (Some(Target::File(name)), 1) if clause.text.to_lowercase().starts_with(['f', 'l', 'w']) => {
            let name = name.trim_start_matches("./");
            Some(Step::FindFiles {
                pattern: format!("**/{name}"),
            })
        }
        _ => None,
    }
}

fn look(clause: Clause) -> Option<Step> {
    let found = LOOK.find(clause.text)?;
    let rest = &clause.text[found.end()..];
    // "list every TODO" is a search, "what is in notes.txt" reads.
    let names_file = targets(clause.text, clause.quoted)
        .iter()
        .any(|target| *target != Target::Pattern("**/*".to_owned()));
    let bare_list = found.as_str().eq_ignore_ascii_case("list") && !rest.trim().is_empty();
    let folder = match PLACE.find(clause.text) {
        Some(place) => targets::folder(&clause.text[place.end()..], clause.quoted),
        None => targets::folder(rest, clause.quoted),
    };
    let starts_list = clause.text.to_lowercase().starts_with("list");
    if names_file || (bare_list && folder.is_none() && !rest.trim().starts_with("the folder")) {
        return None;
    }
    // "list functions" names no folder that anyone could tell.
    if starts_list
        && bare_list
        && !PLACE.is_match(clause.text)
        && !rest.contains('/')
        && !rest.to_lowercase().contains("folder")
    {
        return None;
    }
    Some(Step::LookAround { path: folder })
}

fn files(clause: Clause) -> Option<Step> {
    if !READ.is_match(clause.text) {
        return None;
    }
    let files = clause.targets();
    (!files.is_empty()).then_some(Step::Read { files })
}

fn search(clause: Clause) -> Option<Step> {
    let verb = SEARCH.find(clause.text)?;
    if clause.text.to_lowercase().starts_with("show me how") {
        return None;
    }
    matches(clause, clause.text[verb.end()..].trim()).map(|(needle, scope)| Step::Search { needle, scope })
}

/// What is looked for and where: "every TODO in src", "for `x y` in the Python files", "in a.py for b".
fn matches(clause: Clause, rest: &str) -> Option<(Needle, Scope)> {
    let quoted = clause.quoted;
    let spaced = format!(" {rest}");
    let (what, place) = match (spaced.split_once(" for "), PLACE.find_iter(&spaced).last()) {
        (Some((before, what)), Some(place)) if before.len() > place.start() => {
            (what.to_owned(), before[place.start()..].to_owned())
        }
        (_, Some(place)) if is_place(&spaced[place.end()..], quoted) => (
            spaced[..place.start()].to_owned(),
            spaced[place.start()..].to_owned(),
        ),
        _ => (spaced.clone(), String::new()),
    };
    let mut scope = targets::scope(PLACE.replace(&place, " ").trim(), quoted);
    if place.is_empty() && scope == Scope::default() {
        scope.path = clause.it.map(|target| target.name().to_owned());
    }
    let text = match quoted.literals(&what).next() {
        Some(literal) => literal.to_owned(),
        None => needle_words(&what),
    };
    let lower = clause.text.to_lowercase();
    let needle = Needle {
        is_regex: lower.contains("regex")
            || lower.contains("regular expression")
            || lower.contains("pattern"),
        ignore_case: IGNORE_CASE.is_match(clause.text),
        text,
    };
    (!needle.text.trim().is_empty()).then_some((needle, scope))
}

/// "in" begins a place when a file, a folder or words such as "this project" follow; else it is searched for.
fn is_place(place: &str, quoted: &Quoted) -> bool {
    let lower = place.to_lowercase();
    let general = [
        "folder",
        "directory",
        "project",
        "workspace",
        "repo",
        "code",
        "here",
        "file",
        "source",
        "this",
    ];
    !targets(place, quoted).is_empty()
        || targets::folder(place, quoted).is_some()
        || general.iter().any(|word| lower.contains(word))
}

fn needle_words(what: &str) -> String {
    let mut text = what.trim().trim_end_matches(['.', ',', '?', '!', ':']);
    while let Some(lead) = LEAD.find(text) {
        text = &text[lead.end()..];
    }
    while let Some(tail) = TAIL.find(text) {
        text = &text[..tail.start()];
    }
    // "TODOs" are TODO, more than once.
    match text.strip_suffix('s') {
        Some(word) if word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase()) => word.to_owned(),
        _ => text.to_owned(),
    }
}
