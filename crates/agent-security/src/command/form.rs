//! Known forms of commands: a program, its flags and what its operands are.
//!
//! A form lists every flag that may be used; a flag that is not listed makes the command unknown, also when it
//! is an abbreviation of a listed one. A value in a word of its own may not begin with `-`: should a program
//! take fewer values than its form says, no flag can slip through as one.

use std::path::Path;
use std::slice::Iter;

use super::arguments::outside;
use super::lexer::Argv;
use super::table::{self, VERSIONED};
use super::{table_build, table_git};
use crate::characters::shown;

/// What running a known form does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Prints what is there.
    Reads,
    /// Changes files of the project, or runs its code.
    Changes,
}

/// One known form of a command.
pub(super) struct Form {
    /// The program and its subcommand.
    pub(super) words: &'static [&'static str],
    pub(super) effect: Effect,
    /// Flags, separated by blanks. The ending tells what follows: nothing for no value, `*` any text, `#` a
    /// number, `/` a path, `^` a search pattern, `!` no value but every operand is a path. A `?` before it
    /// means that the value is optional and then stuck to the flag. `-NUM` stands for `-20` and the like.
    pub(super) flags: &'static [&'static str],
    pub(super) operands: Operands,
    pub(super) after_dashes: AfterDashes,
    /// Whether `-la` means `-l -a`; otherwise a word with one dash is one flag.
    pub(super) clusters: bool,
}

/// What the words are that are no flags.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operands {
    None,
    /// Paths, or revisions of a repository.
    Paths,
    /// Paths of files: in a folder the program would follow every link.
    Files,
    /// At most one path: a second one would be written to.
    OnePath,
    /// Names that are not opened as files.
    Text,
    /// A search pattern, then paths.
    PatternThenPaths,
    /// A `sed` script that only prints lines by number, then paths.
    LinesThenPaths,
    /// A `date` format.
    DateFormat,
}

/// What `--` means to the program.
pub(super) enum AfterDashes {
    /// The flags end there.
    Operands,
    /// The rest goes to another program, whose known form this is.
    Program(&'static Form),
    /// The rest goes to a program that nothing is known about.
    Unknown,
}

impl Form {
    pub(super) const fn reads(
        words: &'static [&'static str],
        flags: &'static [&'static str],
        operands: Operands,
    ) -> Self {
        let after_dashes = AfterDashes::Operands;
        Self {
            words,
            effect: Effect::Reads,
            flags,
            operands,
            after_dashes,
            clusters: true,
        }
    }

    pub(super) const fn changes(
        words: &'static [&'static str],
        flags: &'static [&'static str],
        operands: Operands,
        after_dashes: AfterDashes,
    ) -> Self {
        Self {
            words,
            effect: Effect::Changes,
            flags,
            operands,
            after_dashes,
            clusters: true,
        }
    }

    pub(super) const fn whole_word_flags(self) -> Self {
        Self {
            clusters: false,
            ..self
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Path,
    Pattern,
}

#[derive(Clone, Copy)]
enum Value {
    None,
    /// No value, but there is no search pattern among the operands.
    NoneAllPaths,
    Required(Kind),
    Optional(Kind),
}

/// The effect of a command that has a known form, or why it has none.
pub(super) fn effect(argv: &Argv, workspace: Option<&Path>) -> Result<Effect, String> {
    let program = argv.program();
    if VERSIONED.contains(&program) && argv.args() == ["--version"] {
        return Ok(Effect::Reads);
    }
    let mut words: Vec<&str> = argv.words().iter().map(String::as_str).collect();
    // The one global flag of git that takes power away rather than giving it.
    if program == "git" && words.get(1) == Some(&"--no-pager") {
        words.remove(1);
    }
    let form = [table::FORMS, table_git::FORMS, table_build::FORMS]
        .into_iter()
        .flatten()
        .filter(|form| words.starts_with(form.words))
        .max_by_key(|form| form.words.len())
        .ok_or_else(|| not_listed(&words))?;
    let rest = words.get(form.words.len()..).unwrap_or_default();
    accept(form, rest, workspace).map_err(|why| format!("in `{}`, {why}", form.words.join(" ")))?;
    Ok(form.effect)
}

fn not_listed(words: &[&str]) -> String {
    let name = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    format!("{} is not a command that is known to be safe", shown(&name))
}

fn accept(form: &Form, words: &[&str], workspace: Option<&Path>) -> Result<(), String> {
    let mut reader = Reader {
        form,
        words: words.iter(),
        workspace,
        operands: Vec::new(),
        all_paths: false,
    };
    while let Some(word) = reader.words.next() {
        if *word == "--" {
            match form.after_dashes {
                AfterDashes::Operands => reader.operands.extend(reader.words.by_ref()),
                AfterDashes::Program(inner) => accept(inner, reader.words.as_slice(), workspace)?,
                AfterDashes::Unknown => return Err("what follows `--` goes to another program".to_owned()),
            }
            break;
        }
        match word.strip_prefix('-') {
            Some("") | None => reader.operands.push(word),
            Some(_) if word.starts_with("--") || !form.clusters => reader.whole_flag(word)?,
            Some(letters) => reader.cluster(word, letters)?,
        }
    }
    reader.check_operands()
}

struct Reader<'a> {
    form: &'a Form,
    words: Iter<'a, &'a str>,
    workspace: Option<&'a Path>,
    operands: Vec<&'a str>,
    all_paths: bool,
}

impl<'a> Reader<'a> {
    fn whole_flag(&mut self, word: &'a str) -> Result<(), String> {
        let (name, stuck) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        match (self.look_up(name)?, stuck) {
            (Value::None, None) => Ok(()),
            (Value::NoneAllPaths, None) => {
                self.all_paths = true;
                Ok(())
            }
            (Value::Optional(_), None) => Ok(()),
            (Value::Optional(kind) | Value::Required(kind), Some(value)) => self.value(kind, value),
            (Value::Required(kind), None) => self.next_value(name, kind),
            (Value::None | Value::NoneAllPaths, Some(_)) => Err(format!("{} takes no value", shown(name))),
        }
    }

    /// Short flags in one word: `-la`, `-A3`, `-20`.
    fn cluster(&mut self, word: &'a str, letters: &'a str) -> Result<(), String> {
        if letters.bytes().all(|b| b.is_ascii_digit()) && self.lists("-NUM") {
            return Ok(());
        }
        let mut chars = letters.chars();
        while let Some(letter) = chars.next() {
            let name = format!("-{letter}");
            match self.look_up(&name)? {
                Value::None => {}
                Value::NoneAllPaths => self.all_paths = true,
                Value::Required(kind) if chars.as_str().is_empty() => return self.next_value(word, kind),
                Value::Optional(_) if chars.as_str().is_empty() => return Ok(()),
                Value::Required(kind) | Value::Optional(kind) => return self.value(kind, chars.as_str()),
            }
        }
        Ok(())
    }

    fn flags(&self) -> impl Iterator<Item = &'static str> {
        self.form
            .flags
            .iter()
            .flat_map(|list| list.split_ascii_whitespace())
    }

    fn lists(&self, flag: &str) -> bool {
        self.flags().any(|listed| listed == flag)
    }

    fn look_up(&self, name: &str) -> Result<Value, String> {
        self.flags()
            .find_map(|listed| {
                let ending = listed.strip_prefix(name)?;
                let kind = |mark: &str| match mark {
                    "*" => Some(Kind::Text),
                    "#" => Some(Kind::Number),
                    "/" => Some(Kind::Path),
                    "^" => Some(Kind::Pattern),
                    _ => None,
                };
                match ending {
                    "" => Some(Value::None),
                    "!" => Some(Value::NoneAllPaths),
                    mark => match mark.strip_prefix('?') {
                        Some(mark) => kind(mark).map(Value::Optional),
                        None => kind(mark).map(Value::Required),
                    },
                }
            })
            .ok_or_else(|| format!("the flag {} is not known to be safe", shown(name)))
    }

    fn next_value(&mut self, flag: &str, kind: Kind) -> Result<(), String> {
        match self.words.next() {
            None => Err(format!("{} has no value", shown(flag))),
            Some(value) if value.starts_with('-') && !is_number(value) => Err(format!(
                "{} may be a flag or the value of {}",
                shown(value),
                shown(flag)
            )),
            Some(value) => self.value(kind, value),
        }
    }

    fn value(&mut self, kind: Kind, value: &str) -> Result<(), String> {
        match kind {
            Kind::Text => Ok(()),
            Kind::Pattern => {
                self.all_paths = true;
                Ok(())
            }
            Kind::Number if is_number(value) => Ok(()),
            Kind::Number => Err(format!("{} is not a number", shown(value))),
            Kind::Path => outside(value, self.workspace).map_or(Ok(()), Err),
        }
    }

    fn is_folder(&self, path: &str) -> bool {
        self.workspace.is_some_and(|root| root.join(path).is_dir())
    }

    fn check_operands(&self) -> Result<(), String> {
        let paths: &[&str] = match self.form.operands {
            Operands::None if self.operands.is_empty() => &[],
            Operands::None => return Err("an argument is not known to be safe".to_owned()),
            Operands::OnePath if self.operands.len() > 1 => {
                return Err("the second file would be written to".to_owned());
            }
            Operands::Text => &[],
            Operands::DateFormat if self.operands.iter().all(|word| word.starts_with('+')) => &[],
            Operands::DateFormat => return Err("an argument may set the clock".to_owned()),
            Operands::PatternThenPaths if !self.all_paths => self.operands.get(1..).unwrap_or_default(),
            Operands::LinesThenPaths => match self.operands.split_first() {
                Some((script, paths)) if prints_lines(script) => paths,
                _ => return Err("only scripts that print lines by number are known to be safe".to_owned()),
            },
            Operands::Files => match self.operands.iter().find(|path| self.is_folder(path)) {
                Some(path) => {
                    return Err(format!(
                        "{} is a folder, and links in it would be followed",
                        shown(path)
                    ));
                }
                None => &self.operands,
            },
            Operands::Paths | Operands::OnePath | Operands::PatternThenPaths => &self.operands,
        };
        paths
            .iter()
            .find_map(|path| outside(path, self.workspace))
            .map_or(Ok(()), Err)
    }
}

/// A count with an optional sign and one unit letter, as `head -c 10k` and `find -size +1M` take it.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let digits = digits
        .strip_suffix(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(digits);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a `sed` script is nothing but `10p`, `1,20p`, `$p` and the like, joined by `;`.
fn prints_lines(script: &str) -> bool {
    let line = |address: &str| {
        address == "$" || (!address.is_empty() && address.bytes().all(|b| b.is_ascii_digit()))
    };
    script.split(';').all(|command| {
        let Some(range) = command.trim_matches(' ').strip_suffix('p') else {
            return false;
        };
        match range.split_once(',') {
            None => range.is_empty() || line(range),
            Some((from, to)) => line(from) && line(to.strip_prefix('+').unwrap_or(to)),
        }
    })
}
