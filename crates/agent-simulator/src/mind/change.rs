//! Steps that change files or run commands.

use serde_json::{Value, json};

use super::context::Context;
use super::files::{self, FileRead, MAX_FILES, bash};
use super::look;
use super::output;
use super::report::{Report, code, fenced, joined, plural};
use super::step::{Needle, Scope, Target};

/// A change of text, and the files it is for.
pub(crate) struct Replace<'s> {
    pub(crate) old: &'s str,
    pub(crate) new: &'s str,
    pub(crate) place: Option<&'s Target>,
    pub(crate) every: bool,
}

pub(crate) fn replace(change: &Replace, context: &mut Context) -> Option<Report> {
    let paths = match change.place {
        Some(Target::File(path)) => vec![path.clone()],
        place => {
            // Nobody named a file: search first, and change where the text really is.
            let glob = place.map(|target| target.name().to_owned());
            let needle = Needle {
                text: change.old.to_owned(),
                is_regex: false,
                ignore_case: false,
            };
            let found = look::grep(&needle, &Scope { path: None, glob }, context)?;
            let mut paths: Vec<String> = output::matches(&found.text)
                .iter()
                .map(|found| found.file.to_owned())
                .collect();
            paths.dedup();
            if paths.is_empty() {
                let why = if found.is_error {
                    format!(" ({})", found.text.trim())
                } else {
                    String::new()
                };
                return Some(Report::failed(format!(
                    "{} was not found, so nothing was changed{why}.",
                    code(change.old)
                )));
            }
            paths.truncate(MAX_FILES);
            paths
        }
    };
    // Together, so that several files take no more answers than one.
    let reports: Vec<Option<Report>> = paths
        .iter()
        .map(|path| replace_in(path, change, context))
        .collect();
    let reports: Vec<Report> = reports.into_iter().collect::<Option<_>>()?;
    let ok = reports.iter().all(|report| report.ok);
    let bodies: Vec<String> = reports.into_iter().map(|report| report.body).collect();
    Some(Report {
        body: bodies.join("\n\n"),
        ok,
    })
}

fn replace_in(path: &str, change: &Replace, context: &mut Context) -> Option<Report> {
    let FileRead {
        path,
        output: before,
        note,
    } = files::read(path, context)?;
    let note = note.map_or_else(String::new, |note| format!("{note} "));
    if before.is_error {
        let report = Report::error(
            &format!("{note}{} could not be read, so nothing was changed", code(&path)),
            &before.text,
        );
        return Some(report);
    }
    let occurrences = occurrences(&before.text, change.old);
    let whole = !output::is_partial(&before.text) && !change.old.contains('\n');
    if occurrences.is_empty() && whole {
        return Some(Report::failed(format!(
            "{note}{} does not contain {}, so nothing was changed.",
            code(&path),
            code(change.old)
        )));
    }
    let mut input = json!({ "path": path, "old_string": change.old, "new_string": change.new });
    if let Some(fields) = input.as_object_mut().filter(|_| change.every) {
        fields.insert("replace_all".to_owned(), json!(true));
    }
    let why = format!(
        "change {} to {} in {}",
        code(change.old),
        code(change.new),
        code(&path)
    );
    let edit = context.call("edit_file", input, why)?;
    if edit.is_error {
        let several = match occurrences.len() {
            0 | 1 => String::new(),
            _ => format!(
                " {} is there {} (lines {}); tell me which one you mean, or say “replace all”.",
                code(change.old),
                plural(occurrences.len() as u64, "time"),
                joined(
                    &occurrences
                        .iter()
                        .take(20)
                        .map(|line| line.to_string())
                        .collect::<Vec<_>>()
                )
            ),
        };
        let report = Report::error(&format!("{note}{} was not changed", code(&path)), &edit.text);
        return Some(Report::failed(format!("{}{several}", report.body)));
    }
    let after = files::read_exactly(&path, format!("check the change in {}", code(&path)), context)?;
    Some(verified(&path, change, &note, &after))
}

/// Says what the file holds now, not what the edit was meant to do.
fn verified(path: &str, change: &Replace, note: &str, after: &crate::conversation::Output) -> Report {
    if after.is_error {
        return Report::error(
            &format!(
                "{note}{} was changed, but could not be read afterwards",
                code(path)
            ),
            &after.text,
        );
    }
    let lines = output::file_lines(&after.text);
    let first = change.new.lines().next().unwrap_or_default();
    let changed: Vec<String> = lines
        .iter()
        .filter(|(_, line)| !first.is_empty() && line.contains(first))
        .map(|(number, line)| format!("{number}\t{line}"))
        .collect();
    let left = match occurrences(&after.text, change.old).len() {
        0 => String::new(),
        _ if change.new.contains(change.old) => String::new(),
        left => format!(
            " {} is still there {}.",
            code(change.old),
            plural(left as u64, "time")
        ),
    };
    let done = format!(
        "{note}{}: {} is now {}.{left}",
        code(path),
        code(change.old),
        code(change.new)
    );
    if changed.is_empty() {
        return Report {
            body: done,
            ok: first.is_empty() || output::is_partial(&after.text),
        };
    }
    Report::done(format!(
        "{done} I read it again:\n\n{}",
        fenced(&changed.join("\n"), "")
    ))
}

/// The lines that a text occurs in, once for each time.
fn occurrences(file: &str, text: &str) -> Vec<u64> {
    let first = text.lines().next().unwrap_or(text);
    let lines = output::file_lines(file);
    lines
        .into_iter()
        .flat_map(|(number, line)| std::iter::repeat_n(number, line.matches(first).count()))
        .collect()
}

pub(crate) fn write(path: &str, content: &str, context: &mut Context) -> Option<Report> {
    let written = context.call(
        "write_file",
        json!({ "path": path, "content": content }),
        format!("write {}", code(path)),
    )?;
    if written.is_error {
        return Some(Report::error(
            &format!("{} was not written", code(path)),
            &written.text,
        ));
    }
    Some(Report::done(format!(
        "{} is written ({}): {}",
        code(path),
        plural(content.lines().count() as u64, "line"),
        written.text.trim()
    )))
}

pub(crate) fn append(path: &str, text: &str, context: &mut Context) -> Option<Report> {
    let before = files::read_exactly(path, format!("read {}", code(path)), context)?;
    let content = match before.is_error {
        true if output::is_not_found(&before.text) => String::new(),
        true => {
            return Some(Report::error(
                &format!("{} could not be read, so nothing was added", code(path)),
                &before.text,
            ));
        }
        // Lines that the tool cut, or line ends that it did not show, would be lost by writing the file again.
        false if output::without_note(&before.text).1.is_some() => {
            return Some(Report::failed(format!(
                "{} could not be read exactly, so I did not write it again to add to it.",
                code(path)
            )));
        }
        false => output::file_lines(&before.text)
            .iter()
            .map(|(_, line)| format!("{line}\n"))
            .collect(),
    };
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write(path, &format!("{content}{text}{end}"), context)
}

pub(crate) fn run(command: Option<&str>, context: &mut Context) -> Option<Report> {
    let command = match command {
        Some(command) => command.to_owned(),
        None => match test_command(context)? {
            Ok(command) => command,
            Err(report) => return Some(report),
        },
    };
    let output = bash(&command, format!("run {}", code(&command)), context)?;
    let (text, status) = output::without_note(&output.text);
    let how = match (status, output.is_error) {
        (Some(status), _) => status.to_owned(),
        (None, true) => "it failed".to_owned(),
        (None, false) => "it succeeded".to_owned(),
    };
    let shown = if text.trim().is_empty() {
        "It printed nothing.".to_owned()
    } else {
        fenced(text, "")
    };
    Some(Report {
        body: format!("{} ended: {how}.\n\n{shown}", code(&command)),
        ok: !output.is_error,
    })
}

/// What runs the tests here, by the files that are there.
fn test_command(context: &mut Context) -> Option<Result<String, Report>> {
    let listing = context.call("list_directory", json!({}), "see how the tests are run here")?;
    const KNOWN: &[(&str, &str)] = &[
        ("test.sh", "sh test.sh"),
        ("Cargo.toml", "cargo test"),
        ("package.json", "npm test"),
        ("Makefile", "make test"),
        ("pyproject.toml", "python3 -m pytest"),
        ("setup.py", "python3 -m pytest"),
        ("go.mod", "go test ./..."),
    ];
    let there = |name: &str| {
        listing
            .text
            .lines()
            .any(|line| line.split_whitespace().next() == Some(name))
    };
    Some(
        match KNOWN.iter().find(|(file, _)| !listing.is_error && there(file)) {
            Some((_, command)) => Ok((*command).to_owned()),
            None => Err(Report::failed(
                "I could not tell how the tests are run here; name the command, as in “run `sh test.sh`”.",
            )),
        },
    )
}

/// Changes back what the latest change of an earlier task changed.
pub(crate) fn undo(context: &mut Context) -> Option<Report> {
    let changes = context.earlier.iter().rev().filter(|record| {
        matches!(record.name.as_str(), "edit_file" | "write_file")
            && record.output.as_ref().is_some_and(|output| !output.is_error)
    });
    let changes: Vec<_> = changes.collect();
    let text = |input: &Value, key: &str| {
        input
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let Some(last) = changes.first() else {
        return Some(Report::failed(
            "I have changed nothing in this conversation that could be changed back.",
        ));
    };
    if last.name == "write_file" {
        let path = text(&last.input, "path");
        return Some(Report::failed(format!(
            "The last change wrote {} as a whole, and I do not know what was in it before.",
            code(&path)
        )));
    }
    let (old, new) = (text(&last.input, "new_string"), text(&last.input, "old_string"));
    let every = last.input.get("replace_all") == Some(&json!(true));
    if old.is_empty() {
        return Some(Report::failed(
            "The last change removed text, and I cannot tell where it stood.",
        ));
    }
    // One change may have touched several files.
    let same = changes.iter().take_while(|record| {
        record.name == "edit_file"
            && text(&record.input, "old_string") == new
            && text(&record.input, "new_string") == old
    });
    let mut paths: Vec<String> = same.map(|record| text(&record.input, "path")).collect();
    paths.sort();
    paths.dedup();
    let reports: Vec<Option<Report>> = paths
        .iter()
        .map(|path| {
            replace_in(
                path,
                &Replace {
                    old: &old,
                    new: &new,
                    place: None,
                    every,
                },
                context,
            )
        })
        .collect();
    let reports: Vec<Report> = reports.into_iter().collect::<Option<_>>()?;
    let ok = reports.iter().all(|report| report.ok);
    Some(Report {
        body: reports
            .into_iter()
            .map(|report| report.body)
            .collect::<Vec<_>>()
            .join("\n\n"),
        ok,
    })
}
