//! Counting the lines, words or characters of files.

use std::collections::HashSet;

use super::context::Context;
use super::files::{self, MAX_FILES, bash, shell_word};
use super::output;
use super::report::{Report, code, list, plural};
use super::step::{Target, Unit};

/// Files in one command that counts: a few thousand bytes of command line.
const FILES_A_COMMAND: usize = 80;
/// Such commands, so at most 640 files; more than a search lists.
const MAX_COMMANDS: usize = 8;

pub(crate) fn measure(unit: Unit, targets: &[Target], context: &mut Context) -> Option<Report> {
    let found = match files::resolve(targets, context)? {
        Ok(found) if found.files.is_empty() => {
            return Some(Report::done(
                "No file has such a name, so there was nothing to count.",
            ));
        }
        Ok(found) => found,
        Err(error) => return Some(Report::error("The files could not be looked up", &error)),
    };
    let (mut counts, problems) = match by_command(unit, &found.files, context)? {
        Some(counts) => (counts, Vec::new()),
        None => by_reading(unit, &found.files[..found.files.len().min(MAX_FILES)], context)?,
    };
    let left = found.files.len() - counts.len() - problems.len();
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    counts.sort_by(|a, b| a.0.cmp(&b.0));
    let mut parts: Vec<String> = counts
        .iter()
        .map(|(file, count)| format!("{}: {count}", code(file)))
        .collect();
    parts.extend(problems.iter().cloned());
    let more = if found.is_partial || left > 0 {
        "At least "
    } else {
        ""
    };
    let mut body = match counts.len() {
        0 => "Nothing could be counted:".to_owned(),
        _ => format!(
            "{more}**{total} {}** in {}:",
            unit.name(),
            plural(counts.len() as u64, "file")
        ),
    };
    body.push_str(&format!("\n\n{}", list(&parts)));
    if left > 0 {
        body.push_str(&format!(
            "\n\n{} more were not counted.",
            plural(left as u64, "file")
        ));
    }
    if found.is_partial {
        body.push_str("\n\nThere are more files than the search listed.");
    }
    Some(Report {
        body,
        ok: problems.is_empty(),
    })
}

/// Counts with `wc`; `None` inside when that cannot be used or fails.
fn by_command(unit: Unit, files: &[String], context: &mut Context) -> Option<Option<Vec<(String, u64)>>> {
    if !context.has("bash") {
        return Some(None);
    }
    let flag = match unit {
        Unit::Lines => "-l",
        Unit::Words => "-w",
        Unit::Characters => "-m",
    };
    let outputs: Vec<_> = files
        .chunks(FILES_A_COMMAND)
        .take(MAX_COMMANDS)
        .map(|files| {
            let words: Vec<String> = files.iter().map(|file| shell_word(file)).collect();
            bash(
                &format!("wc {flag} {}", words.join(" ")),
                format!("count the {}", unit.name()),
                context,
            )
        })
        .collect();
    let known: HashSet<&str> = files.iter().map(String::as_str).collect();
    let mut counts = Vec::new();
    for output in outputs {
        let output = output?;
        if output.is_error {
            return Some(None);
        }
        counts.extend(output.text.lines().filter_map(|line| {
            let (count, file) = line.trim().split_once(' ')?;
            let file = Some(file.trim())
                .filter(|file| known.contains(file) || known.contains(file.trim_start_matches("./")))?;
            Some((file.to_owned(), count.parse().ok()?))
        }));
    }
    Some((!counts.is_empty()).then_some(counts))
}

type Counts = (Vec<(String, u64)>, Vec<String>);

fn by_reading(unit: Unit, files: &[String], context: &mut Context) -> Option<Counts> {
    let reads: Vec<_> = files.iter().map(|file| files::read(file, context)).collect();
    let mut counts = Vec::new();
    let mut problems = Vec::new();
    for read in reads {
        let read = read?;
        problems.extend(read.note.clone().filter(|_| read.output.is_error));
        if read.output.is_error {
            problems.push(
                Report::error(
                    &format!("{} could not be read", code(&read.path)),
                    &read.output.text,
                )
                .body,
            );
            continue;
        }
        if output::is_partial(&read.output.text) {
            problems.push(format!(
                "{} is too long to be read whole, so it is not counted",
                code(&read.path)
            ));
            continue;
        }
        let lines = output::file_lines(&read.output.text);
        let count = match unit {
            Unit::Lines => lines.len(),
            Unit::Words => lines
                .iter()
                .map(|(_, line)| line.split_whitespace().count())
                .sum(),
            Unit::Characters => lines.iter().map(|(_, line)| line.chars().count() + 1).sum(),
        };
        counts.push((read.path, count as u64));
    }
    Some((counts, problems))
}
