//! What the mind says: before its calls, at the end, and when it does not understand.

use rand::RngExt;

use super::Progress;
use super::context::Call;
use super::report::{joined, plural};
use super::step::Step;
use crate::conversation::Thread;
use crate::digest::Random;

const FIRST: &[&str] = &["I'll ", "Let me ", "First I'll "];
const LATER: &[&str] = &["Next I'll ", "Now I'll ", "Now let me "];
/// Calls that are announced one by one; more are summed up.
const ANNOUNCED: usize = 4;
/// Tools that the mind knows how to use, and what for.
const ABILITIES: &[(&str, &str, &str)] = &[
    ("list_directory", "look around in a folder", "look around"),
    ("read_file", "read files", "read README.md and notes.txt"),
    ("grep", "search for text and count it", "find every TODO in src"),
    ("glob", "find files by name, count files", "find all Python files"),
    (
        "edit_file",
        "change text in files",
        "replace 'Helo' with 'Hello' in hello.py",
    ),
    (
        "write_file",
        "write files and add to them",
        "create notes.txt with \"hello\"",
    ),
    (
        "bash",
        "run commands and count lines or words",
        "run `sh test.sh`",
    ),
];

/// The sentence before the calls of a turn.
pub(crate) fn announcement(calls: &[Call], rounds: usize, random: &mut Random) -> String {
    let openers = if rounds == 0 { FIRST } else { LATER };
    let opener = openers[random.random_range(0..openers.len())];
    let mut whys: Vec<String> = Vec::new();
    for call in calls
        .iter()
        .filter(|call| call.name != "update_plan" || calls.len() == 1)
    {
        if !whys.contains(&call.why) {
            whys.push(call.why.clone());
        }
    }
    if whys.len() > ANNOUNCED {
        let rest = whys.len() - (ANNOUNCED - 1);
        whys.truncate(ANNOUNCED - 1);
        whys.push(format!("make {rest} more calls like these"));
    }
    format!("{opener}{}.", joined(&whys))
}

/// What a model would think here.
pub(crate) fn thoughts(progress: &Progress, calls: &[Call]) -> String {
    let done = progress.reports.iter().flatten().count();
    let next = match calls {
        [] => "Nothing is left to call, so I report what I found.".to_owned(),
        calls => format!(
            "Now I {}.",
            joined(&calls.iter().map(|call| call.why.clone()).collect::<Vec<_>>())
        ),
    };
    format!(
        "The task has {}, {done} of them done. {next}",
        plural(progress.steps.len() as u64, "step")
    )
}

/// The last answer of a task.
pub(crate) fn answer(progress: &Progress, thread: &Thread, tools: &[&str]) -> String {
    let work = progress.work();
    let understood = work
        .iter()
        .filter(|(step, _)| !matches!(step, Step::NotUnderstood { .. }))
        .count();
    if work.is_empty() && !progress.steps.is_empty() {
        return earlier_work(thread);
    }
    if understood == 0 {
        return help(&thread.task, tools);
    }
    let ok = work
        .iter()
        .filter(|(_, report)| report.is_some_and(|report| report.ok))
        .count();
    let mut parts = Vec::new();
    for (number, (step, report)) in work.iter().enumerate() {
        let body = report.map_or("This was not reached.", |report| report.body.as_str());
        if work.len() == 1 {
            parts.push(body.to_owned());
            continue;
        }
        let failed = if report.is_some_and(|report| report.ok) {
            ""
        } else {
            " (not done)"
        };
        parts.push(format!(
            "### {}. {}{failed}\n\n{body}",
            number + 1,
            step.describe()
        ));
    }
    if work.len() > 1 {
        let opening = match (ok == work.len(), work.len()) {
            (true, 2) => "Both steps are done.".to_owned(),
            (true, count) => format!("All {count} steps are done."),
            (false, _) => format!("{ok} of {} steps are done.", work.len()),
        };
        parts.insert(0, opening);
    }
    if understood < work.len() {
        parts.push(what_i_am(tools));
    }
    parts.join("\n\n")
}

/// "Tell me what you did", with nothing to do before it.
fn earlier_work(thread: &Thread) -> String {
    let records = thread
        .earlier
        .iter()
        .chain(&thread.records)
        .filter(|record| record.name != "update_plan");
    let lines: Vec<String> = records
        .map(|record| {
            let first = record.output.as_ref().map_or("no result", |output| {
                output.text.lines().next().unwrap_or("nothing")
            });
            let failed = if record.output.as_ref().is_some_and(|output| output.is_error) {
                " failed"
            } else {
                ""
            };
            let input = record.input.to_string();
            format!(
                "`{}` {}{failed}: {}",
                record.name,
                super::report::code(&input),
                super::report::shorten(first, 200)
            )
        })
        .collect();
    match lines.len() {
        0 => "I have used no tool in this conversation so far, so there is nothing to report.".to_owned(),
        count => format!(
            "So far I made {}:\n\n{}",
            plural(count as u64, "call"),
            super::report::list(&lines)
        ),
    }
}

fn help(task: &str, tools: &[&str]) -> String {
    let words = task.trim().trim_end_matches(['!', '.', '?']).to_lowercase();
    let opening = match words.as_str() {
        "hi" | "hello" | "hey" | "hello there" | "hi there" | "good morning" => "Hello!",
        "help" | "what can you do" | "who are you" | "what are you" => "Here is what I am:",
        _ => "I did not understand this task, so I did nothing.",
    };
    format!("{opening} {}", what_i_am(tools))
}

fn what_i_am(tools: &[&str]) -> String {
    let offered: Vec<String> = ABILITIES
        .iter()
        .filter(|(tool, _, _)| tools.contains(tool))
        .map(|(_, ability, example)| format!("- {ability}: “{example}”"))
        .collect();
    let intro = "I am a simulation: there is no language model behind this answer, only a planner that understands plain \
                 tasks in English.";
    match offered.is_empty() {
        true => format!(
            "{intro} None of the tools that I know was offered to me, so there is nothing that I can do here."
        ),
        false => format!(
            "{intro} With the tools I was offered I can\n\n{}\n\nand several of these in a row, joined by “then”, “and” or \
             as a numbered list.",
            offered.join("\n")
        ),
    }
}
