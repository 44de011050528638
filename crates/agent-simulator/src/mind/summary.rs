//! Summaries of long conversations: made when an agent asks for one, and read when it goes on with it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::advance;
use super::report::{Report, shorten};
use crate::conversation::{Output, Record, Thread};

/// The headings of a transcript as agents send it to be summarised.
static HEADING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^\[(?:(user|assistant)|call of ([A-Za-z0-9_-]+)|(result|error))\]\n")
        .expect("a constant that the tests compile")
});
const TASK: &str = "Task in hand: ";
const DONE: &str = "Step done: ";
const FAILED: &str = "Step failed: ";
/// Bytes of one step's report in a summary.
const MAX_REPORT: usize = 1500;
/// The tools of the conversation are not in the request for its summary.
pub(super) const ALL_TOOLS: &[&str] = &[
    "list_directory",
    "read_file",
    "grep",
    "glob",
    "edit_file",
    "write_file",
    "bash",
    "update_plan",
];

/// A task that went on when its beginning was summarised.
#[derive(Debug, PartialEq)]
pub(crate) struct Resumed {
    pub(crate) task: String,
    pub(crate) reports: Vec<Report>,
}

/// The summary, if the text asks for one of a transcript.
pub(crate) fn asked_for(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<transcript>")?;
    let (transcript, instructions) = rest.rsplit_once("</transcript>")?;
    instructions
        .to_lowercase()
        .contains("summary")
        .then(|| summarise(&recover(transcript)))
}

/// Each line after a mark is one JSON string, so that a task of several lines stays one.
fn summarise(thread: &Thread) -> String {
    let progress = advance(thread, ALL_TOOLS.to_vec());
    let quoted = |text: &str| Value::String(shorten(text, MAX_REPORT)).to_string();
    let resumed = resumed(&thread.task);
    let task = resumed.as_ref().map_or(&thread.task, |resumed| &resumed.task);
    let mut lines = vec![
        "1. What the user wants".to_owned(),
        format!("{TASK}{}", Value::String(task.clone())),
        "2. and 3. What was found and done, step by step".to_owned(),
    ];
    let done = progress.reports.iter().map_while(Option::as_ref);
    lines.extend(done.map(|report| {
        format!(
            "{}{}",
            if report.ok { DONE } else { FAILED },
            quoted(&report.body)
        )
    }));
    let left: Vec<String> = progress
        .steps
        .iter()
        .zip(&progress.reports)
        .filter(|(step, report)| report.is_none() && step.is_work())
        .map(|(step, _)| step.describe())
        .collect();
    lines.push("5. What is left to do".to_owned());
    lines.push(if left.is_empty() {
        "Nothing but to report.".to_owned()
    } else {
        left.join("; ")
    });
    lines.join("\n")
}

/// A task and what was done of it, from a summary of ours.
pub(crate) fn resumed(text: &str) -> Option<Resumed> {
    let mut lines = text.lines();
    let task = lines.find_map(|line| line.strip_prefix(TASK))?;
    let task = serde_json::from_str(task).ok()?;
    let reports = lines.filter_map(|line| {
        let (quoted, ok) = match line.strip_prefix(DONE) {
            Some(quoted) => (quoted, true),
            None => (line.strip_prefix(FAILED)?, false),
        };
        Some(Report {
            body: serde_json::from_str(quoted).ok()?,
            ok,
        })
    });
    Some(Resumed {
        task,
        reports: reports.collect(),
    })
}

/// The conversation that a transcript tells of. Clipped inputs are no JSON and fit no call, which is as well.
fn recover(transcript: &str) -> Thread {
    let mut thread = Thread::default();
    let headings: Vec<_> = HEADING.captures_iter(transcript).collect();
    for (index, heading) in headings.iter().enumerate() {
        let start = heading.get(0).map_or(0, |whole| whole.end());
        let end = headings
            .get(index + 1)
            .and_then(|next| next.get(0))
            .map_or(transcript.len(), |next| next.start());
        let text = transcript[start..end].trim_end_matches('\n');
        match (
            heading.get(1).map(|speaker| speaker.as_str()),
            heading.get(2),
            heading.get(3),
        ) {
            (Some("user"), _, _) => {
                thread.earlier.append(&mut thread.records);
                thread.task = text.to_owned();
            }
            (_, Some(tool), _) => thread.records.push(Record {
                id: String::new(),
                name: tool.as_str().to_owned(),
                input: serde_json::from_str(text).unwrap_or(Value::Null),
                output: None,
            }),
            (_, _, Some(kind)) => {
                let output = Output {
                    text: text.to_owned(),
                    is_error: kind.as_str() == "error",
                };
                if let Some(record) = thread.records.iter_mut().find(|record| record.output.is_none()) {
                    record.output = Some(output);
                }
            }
            _ => {}
        }
    }
    thread
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSCRIPT: &str = "Please:\n<transcript>\n\n[user]\nlook around, then read a.txt, then run `sh b.sh`\n\n[assistant]\nI'll look.\n\n\
        [call of list_directory]\n{}\n\n[call of read_file]\n{\"path\":\"a.txt\"}\n\n[result]\na.txt  3 bytes\n\n[error]\na.txt does not \
        exist\n\n</transcript>\n\nWrite a summary.";

    #[test]
    fn a_summary_carries_the_task_and_what_was_done_of_it() {
        let summary = asked_for(TRANSCRIPT).unwrap();
        let resumed = resumed(&format!("A summary follows.\n\n{summary}")).unwrap();
        assert_eq!(resumed.task, "look around, then read a.txt, then run `sh b.sh`");
        assert_eq!(resumed.reports.len(), 1, "{summary}");
        assert!(resumed.reports[0].ok && resumed.reports[0].body.contains("a.txt"));
        assert!(summary.contains("Run `sh b.sh`"));

        let thread = Thread {
            task: format!("Preface.\n\n{summary}"),
            ..Default::default()
        };
        let progress = advance(&thread, vec!["list_directory", "read_file", "bash"]);
        assert_eq!(progress.wanted.len(), 1, "the listing is not asked for again");
        assert_eq!(progress.wanted[0].name, "read_file");
    }

    #[test]
    fn other_texts_ask_for_no_summary() {
        assert_eq!(asked_for("read a.txt"), None);
        assert_eq!(asked_for("<transcript> alone"), None);
        assert_eq!(resumed("Task in hand: not json"), None);
    }
}
