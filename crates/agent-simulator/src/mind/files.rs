//! Reading files: by name, by pattern, and where a file is not where the user said.

use serde_json::json;

use super::context::Context;
use super::output;
use super::report::code;
use super::step::Target;
use crate::conversation::Output;

/// Files of one pattern that are read or changed; the report says when there were more.
pub(crate) const MAX_FILES: usize = 48;

/// A file that was read, or the error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileRead {
    /// Where it really is.
    pub(crate) path: String,
    pub(crate) output: Output,
    /// What the reader should know of how it was found.
    pub(crate) note: Option<String>,
}

/// The files that targets name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) files: Vec<String>,
    /// The tool that looked them up left some out.
    pub(crate) is_partial: bool,
}

/// The files that the targets name. Patterns are looked up together.
pub(crate) fn resolve(targets: &[Target], context: &mut Context) -> Option<Result<Found, String>> {
    let looked_up: Vec<_> = targets
        .iter()
        .map(|target| match target {
            Target::File(path) => Some(Output {
                text: path.clone(),
                is_error: false,
            }),
            Target::Pattern(pattern) => glob(pattern, context),
        })
        .collect();
    let mut found = Found::default();
    for output in looked_up {
        let output = output?;
        if output.is_error {
            return Some(Err(output.text));
        }
        found
            .files
            .extend(output::paths(&output.text).into_iter().map(str::to_owned));
        found.is_partial |= output::is_partial(&output.text);
    }
    Some(Ok(found))
}

pub(crate) fn glob(pattern: &str, context: &mut Context) -> Option<Output> {
    if !context.has("glob") && context.has("bash") {
        let name = pattern.rsplit('/').next().unwrap_or(pattern);
        let command = format!("find . -type f -name {}", shell_word(name));
        return bash(&command, format!("find the files {}", code(pattern)), context);
    }
    context.call(
        "glob",
        json!({ "pattern": pattern }),
        format!("find the files {}", code(pattern)),
    )
}

pub(crate) fn bash(command: &str, why: String, context: &mut Context) -> Option<Output> {
    context.call("bash", json!({ "command": command }), why)
}

/// Reads a file. If it is not there, but one of that name is elsewhere, that one is read.
pub(crate) fn read(path: &str, context: &mut Context) -> Option<FileRead> {
    let output = read_exactly(path, format!("read {}", code(path)), context)?;
    let there = FileRead {
        path: path.to_owned(),
        output,
        note: None,
    };
    if !there.output.is_error || !output::is_not_found(&there.output.text) || !context.has("glob") {
        return Some(there);
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let why = format!(
        "look for {} elsewhere, since it is not at {}",
        code(name),
        code(path)
    );
    let found = context.call("glob", json!({ "pattern": format!("**/{name}") }), why)?;
    let candidates: Vec<&str> = if found.is_error {
        Vec::new()
    } else {
        output::paths(&found.text)
    };
    match candidates.as_slice() {
        [] => Some(FileRead {
            note: Some(format!("No file named {} is anywhere in the folder.", code(name))),
            ..there
        }),
        [only] => {
            let output = read_exactly(only, format!("read {}", code(only)), context)?;
            let note = Some(format!("{} does not exist; I took {}.", code(path), code(only)));
            Some(FileRead {
                path: (*only).to_owned(),
                output,
                note,
            })
        }
        several => {
            let names: Vec<String> = several.iter().take(10).map(|name| code(name)).collect();
            let note = Some(format!(
                "There are several files of that name, so I took none: {}.",
                names.join(", ")
            ));
            Some(FileRead { note, ..there })
        }
    }
}

/// Reads a file again, to see what a change did.
pub(crate) fn read_exactly(path: &str, why: String, context: &mut Context) -> Option<Output> {
    if !context.has("read_file") && context.has("bash") {
        return bash(&format!("cat {}", shell_word(path)), why, context);
    }
    context.call("read_file", json!({ "path": path }), why)
}

/// A word that the shell takes as it is, whatever is in it.
pub(crate) fn shell_word(word: &str) -> String {
    let word = if word.starts_with('-') {
        format!("./{word}")
    } else {
        word.to_owned()
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_are_safe() {
        for (word, expected) in [
            ("a/b.py", "a/b.py"),
            ("a b", "'a b'"),
            ("-rf", "./-rf"),
            ("it's;$(x)", r"'it'\''s;$(x)'"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }
}
