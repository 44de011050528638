//! Steps that change nothing.

use serde_json::{Value, json};

use super::context::Context;
use super::files::{self, MAX_FILES, bash, glob, shell_word};
use super::output;
use super::report::{Report, code, fenced, list, plural};
use super::step::{Needle, Scope, Target};
use crate::conversation::Output;

pub(crate) fn look_around(path: Option<&str>, context: &mut Context) -> Option<Report> {
    let what = path.map_or_else(|| "the folder".to_owned(), code);
    let why = format!("look at what is in {what}");
    let output = if context.has("list_directory") || !context.has("bash") {
        let input = path.map_or_else(|| json!({}), |path| json!({ "path": path }));
        context.call("list_directory", input, why)?
    } else {
        bash(
            &format!("ls -la {}", shell_word(path.unwrap_or("."))),
            why,
            context,
        )?
    };
    if output.is_error {
        return Some(Report::error(
            &format!("{what} could not be listed"),
            &output.text,
        ));
    }
    let entries = output.text.lines().filter(|line| !line.starts_with('[')).count() as u64;
    if entries == 1 && output.text.contains("is an empty folder") {
        return Some(Report::done(format!("{what} is empty.")));
    }
    let what = path.map_or_else(|| "The folder".to_owned(), code);
    Some(Report::done(format!(
        "{what} has {}:\n\n{}",
        plural(entries, "entry"),
        fenced(&output.text, "")
    )))
}

pub(crate) fn find_files(pattern: &str, context: &mut Context) -> Option<Report> {
    let output = glob(pattern, context)?;
    if output.is_error {
        return Some(Report::error("The files could not be looked up", &output.text));
    }
    let paths: Vec<String> = output::paths(&output.text).into_iter().map(code).collect();
    if paths.is_empty() {
        return Some(Report::done(format!("No file is named {}.", code(pattern))));
    }
    let count = plural(paths.len() as u64, "file");
    Some(Report::done(format!(
        "{}{count} named {}:\n\n{}",
        at_least(&output),
        code(pattern),
        list(&paths)
    )))
}

pub(crate) fn count_files(pattern: &str, context: &mut Context) -> Option<Report> {
    let output = glob(pattern, context)?;
    if output.is_error {
        return Some(Report::error("The files could not be looked up", &output.text));
    }
    let count = output::paths(&output.text).len() as u64;
    let named = if pattern == "**/*" {
        String::new()
    } else {
        format!(" named {}", code(pattern))
    };
    Some(Report::done(format!(
        "{}**{}**{named}.",
        at_least(&output),
        plural(count, "file")
    )))
}

pub(crate) fn read(targets: &[Target], context: &mut Context) -> Option<Report> {
    let names = match files::resolve(targets, context)? {
        Ok(found) if found.files.is_empty() => {
            return Some(Report::done(
                "No file has such a name, so there was nothing to read.",
            ));
        }
        Ok(found) => found.files,
        Err(error) => return Some(Report::error("The files could not be looked up", &error)),
    };
    let reads: Vec<_> = names
        .iter()
        .take(MAX_FILES)
        .map(|name| files::read(name, context))
        .collect();
    let mut parts = Vec::new();
    let mut ok = true;
    for read in reads {
        let read = read?;
        parts.extend(read.note.clone());
        if read.output.is_error {
            ok = false;
            parts.push(
                Report::error(
                    &format!("{} could not be read", code(&read.path)),
                    &read.output.text,
                )
                .body,
            );
            continue;
        }
        let lines = output::file_lines(&read.output.text);
        let more = if output::is_partial(&read.output.text) {
            " shown by the tool; the file is longer"
        } else {
            ""
        };
        let text: Vec<&str> = lines.iter().map(|(_, text)| *text).collect();
        parts.push(format!(
            "{} ({}{more}):\n\n{}",
            code(&read.path),
            plural(lines.len() as u64, "line"),
            fenced(&text.join("\n"), language(&read.path))
        ));
    }
    if names.len() > MAX_FILES {
        parts.push(format!("{} more files were not read.", names.len() - MAX_FILES));
    }
    Some(Report {
        body: parts.join("\n\n"),
        ok,
    })
}

/// The lines that a search finds.
pub(crate) fn grep(needle: &Needle, scope: &Scope, context: &mut Context) -> Option<Output> {
    let place = scope
        .path
        .as_ref()
        .or(scope.glob.as_ref())
        .map_or_else(String::new, |place| format!(" in {}", code(place)));
    let why = format!("search for {}{place}", code(&needle.text));
    if !context.has("grep") && context.has("bash") {
        let flags = match (needle.is_regex, needle.ignore_case) {
            (true, true) => "-rnEi",
            (true, false) => "-rnE",
            (false, true) => "-rnFi",
            (false, false) => "-rnF",
        };
        let place = shell_word(scope.path.as_deref().unwrap_or("."));
        return bash(
            &format!("grep {flags} -e {} {place}", shell_word(&needle.text)),
            why,
            context,
        );
    }
    let pattern = if needle.is_regex {
        needle.text.clone()
    } else {
        regex::escape(&needle.text)
    };
    let mut input = json!({ "pattern": pattern });
    let mut set = |key: &str, value: Option<Value>| {
        if let (Some(fields), Some(value)) = (input.as_object_mut(), value) {
            fields.insert(key.to_owned(), value);
        }
    };
    set("path", scope.path.as_ref().map(|path| json!(path)));
    set("glob", scope.glob.as_ref().map(|glob| json!(glob)));
    set("ignore_case", needle.ignore_case.then_some(json!(true)));
    context.call("grep", input, why)
}

pub(crate) fn search(needle: &Needle, scope: &Scope, context: &mut Context) -> Option<Report> {
    let output = grep(needle, scope, context)?;
    let found = output::matches(&output.text);
    if found.is_empty() {
        return Some(nothing(needle, &output));
    }
    let lines: Vec<String> = found.iter().map(|found| shown(found, scope)).collect();
    Some(Report::done(format!(
        "{} with {}{}:\n\n{}",
        counted(&found, &output),
        code(&needle.text),
        of_files(&found),
        list(&lines)
    )))
}

pub(crate) fn count_matches(needle: &Needle, scope: &Scope, context: &mut Context) -> Option<Report> {
    let output = grep(needle, scope, context)?;
    let found = output::matches(&output.text);
    if found.is_empty() {
        return Some(nothing(needle, &output));
    }
    let in_line = |text: &str| -> u64 {
        let (text, needle_text) = match needle.ignore_case {
            true => (text.to_lowercase(), needle.text.to_lowercase()),
            false => (text.to_owned(), needle.text.clone()),
        };
        if needle.is_regex {
            1
        } else {
            text.matches(&needle_text).count().max(1) as u64
        }
    };
    let total: u64 = found.iter().map(|found| in_line(found.text)).sum();
    let mut files: Vec<(&str, u64)> = Vec::new();
    for found in &found {
        match files.iter_mut().find(|(file, _)| *file == found.file) {
            Some((_, count)) => *count += in_line(found.text),
            None => files.push((found.file, in_line(found.text))),
        }
    }
    let name = |file: &str| {
        code(if file.is_empty() {
            scope.path.as_deref().unwrap_or("?")
        } else {
            file
        })
    };
    let each: Vec<String> = files
        .iter()
        .map(|(file, count)| format!("{}: {count}", name(file)))
        .collect();
    Some(Report::done(format!(
        "{} occurs {}**{}**, in {}:\n\n{}",
        code(&needle.text),
        at_least(&output).to_lowercase(),
        plural(total, "time"),
        plural(found.len() as u64, "line"),
        list(&each)
    )))
}

fn nothing(needle: &Needle, output: &Output) -> Report {
    // A grep in the shell that finds nothing ends with status 1, which is no failure.
    let failed = output.is_error
        && !output.text.trim_start().starts_with("(no output)")
        && !output.text.trim().is_empty();
    match failed {
        true => Report::error("The search failed", &output.text),
        false => Report::done(format!("{} was not found.", code(&needle.text))),
    }
}

fn shown(found: &output::Match, scope: &Scope) -> String {
    let file = if found.file.is_empty() {
        scope.path.as_deref().unwrap_or("?")
    } else {
        found.file
    };
    format!(
        "{} {}",
        code(&format!("{file}:{}", found.line)),
        code(found.text.trim())
    )
}

fn counted(found: &[output::Match], output: &Output) -> String {
    format!("{}{}", at_least(output), plural(found.len() as u64, "line"))
}

fn of_files(found: &[output::Match]) -> String {
    let mut files: Vec<&str> = found.iter().map(|found| found.file).collect();
    files.dedup();
    format!(" in {}", plural(files.len() as u64, "file"))
}

fn at_least(output: &Output) -> &'static str {
    if output::is_partial(&output.text) {
        "At least "
    } else {
        ""
    }
}

/// The name that Markdown highlighters know.
fn language(path: &str) -> &str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("py") => "python",
        Some("rs") => "rust",
        Some("sh") => "sh",
        Some("md") => "markdown",
        Some(extension @ ("toml" | "json" | "js" | "ts" | "go" | "c" | "html" | "css" | "yaml")) => extension,
        _ => "",
    }
}
