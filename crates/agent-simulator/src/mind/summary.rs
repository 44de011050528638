//! Summaries of long conversations: made when an agent asks for one, and read when it goes on with it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

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
const CALL: &str = "Call made: ";
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
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Resumed {
    pub(crate) task: String,
    /// Of the steps that were done, in order.
    pub(crate) reports: Vec<Report>,
    /// Made for the step that was under way.
    pub(crate) calls: Vec<Record>,
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
    lines.extend(
        progress
            .carried
            .iter()
            .map(|record| format!("{CALL}{}", call_json(record))),
    );
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
    let mut resumed = Resumed {
        task,
        ..Default::default()
    };
    for line in lines {
        let report = |quoted, ok| {
            Some(Report {
                body: serde_json::from_str(quoted).ok()?,
                ok,
            })
        };
        if let Some(quoted) = line.strip_prefix(DONE) {
            resumed.reports.extend(report(quoted, true));
        } else if let Some(quoted) = line.strip_prefix(FAILED) {
            resumed.reports.extend(report(quoted, false));
        } else if let Some(call) = line.strip_prefix(CALL) {
            resumed.calls.extend(call_of(call));
        }
    }
    Some(resumed)
}

fn call_json(record: &Record) -> Value {
    let output = record.output.as_ref();
    json!({
        "name": record.name, "input": record.input,
        "output": output.map(|output| &output.text), "is_error": output.is_some_and(|output| output.is_error),
    })
}

fn call_of(line: &str) -> Option<Record> {
    let call: Value = serde_json::from_str(line).ok()?;
    let text = |key| call.get(key).and_then(Value::as_str).map(str::to_owned);
    let is_error = call.get("is_error") == Some(&Value::Bool(true));
    let output = text("output").map(|text| Output { text, is_error });
    Some(Record {
        id: String::new(),
        name: text("name")?,
        input: call.get("input")?.clone(),
        output,
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

    const TRANSCRIPT: &str = "Please:\n<transcript>\n\n[user]\nlook around, then change 'a' to 'b' in c.txt, then run `sh b.sh`\n\n\
        [assistant]\nI'll look.\n\n[call of list_directory]\n{}\n\n[result]\nc.txt  3 bytes\n\n[call of read_file]\n\
        {\"path\":\"c.txt\"}\n\n[result]\n1\ta\n\n</transcript>\n\nWrite a summary.";

    #[test]
    fn a_summary_carries_the_task_and_what_was_done_of_it() {
        let summary = asked_for(TRANSCRIPT).unwrap();
        let resumed = resumed(&format!("A summary follows.\n\n{summary}")).unwrap();
        assert_eq!(
            resumed.task,
            "look around, then change 'a' to 'b' in c.txt, then run `sh b.sh`"
        );
        assert_eq!(resumed.reports.len(), 1, "{summary}");
        assert!(resumed.reports[0].ok && resumed.reports[0].body.contains("c.txt"));
        assert!(summary.contains("Run `sh b.sh`"));
    }

    #[test]
    fn a_step_goes_on_in_its_middle() {
        let summary = asked_for(TRANSCRIPT).unwrap();
        let mut thread = Thread {
            task: format!("Preface.\n\n{summary}"),
            ..Default::default()
        };
        let wanted = |thread: &Thread| advance(thread, ALL_TOOLS.to_vec()).wanted;
        assert_eq!(
            wanted(&thread).len(),
            1,
            "neither the listing nor the reading is asked for again"
        );
        assert_eq!(wanted(&thread)[0].name, "edit_file");

        // The edit and the reading that checks it were kept behind the summary.
        let record = |name: &str, input: Value, text: &str| Record {
            id: String::new(),
            name: name.to_owned(),
            input,
            output: Some(Output {
                text: text.to_owned(),
                is_error: false,
            }),
        };
        let edit = wanted(&thread)[0].input.clone();
        thread.records = vec![
            record("edit_file", edit, "changed"),
            record("read_file", json!({ "path": "c.txt" }), "1\tb"),
        ];
        assert_eq!(wanted(&thread)[0].name, "bash");
    }

    #[test]
    fn other_texts_ask_for_no_summary() {
        assert_eq!(asked_for("read a.txt"), None);
        assert_eq!(asked_for("<transcript> alone"), None);
        assert_eq!(resumed("Task in hand: not json"), None);
    }
}
