//! The built-in mind: plain English in, calls of tools and a report of what they really returned out.
//!
//! It is a planner with rules, no language model, and says so when it does not understand. It keeps no state: see
//! [`context`]. The task is read by [`parse`], the steps are done by [`look`] and [`change`].

mod change;
mod context;
mod files;
mod look;
mod measure;
mod output;
mod parse;
mod plan;
mod report;
mod sample;
mod step;
mod summary;
mod talk;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::answer::{Block, Reply};
use crate::conversation::{Record, Thread};
use crate::digest::Random;
use crate::validate::Request;
use crate::validate::options::ThinkingMode;
use crate::validate::tools::Choice;

use context::{Call, Context};
use report::Report;
use step::Step;

/// Answers that one task may take. Any task that the mind reads is done in far fewer; a conversation that goes on
/// past this has results that it cannot make sense of.
const MAX_ROUNDS: usize = 200;

/// A task as far as it can be taken now.
pub(crate) struct Progress {
    pub(crate) steps: Vec<Step>,
    /// One for each step, `None` where it is not done.
    pub(crate) reports: Vec<Option<Report>>,
    pub(crate) wanted: Vec<Call>,
    /// The calls made for steps from the first one on that is not done.
    pub(crate) carried: Vec<Record>,
}

impl Progress {
    /// The steps that plans and reports show, with their reports.
    fn work(&self) -> Vec<(&Step, Option<&Report>)> {
        let all = self.steps.iter().zip(self.reports.iter().map(Option::as_ref));
        all.filter(|(step, _)| step.is_work()).collect()
    }
}

/// Answers a request.
pub(crate) fn reply(request: &Request, random: &mut Random) -> Reply {
    let thread = Thread::of(&request.body);
    if let Some(summary) = summary::asked_for(&thread.task) {
        return text_reply(summary);
    }
    let tools: Vec<&str> = match &request.tool_choice.kind {
        Choice::None => Vec::new(),
        Choice::Tool(name) => vec![name],
        Choice::Auto | Choice::Any => request.tools.iter().map(|tool| tool.name.as_str()).collect(),
    };
    let mut progress = advance(&thread, tools.clone());
    if thread.rounds > MAX_ROUNDS {
        progress.wanted.clear();
    }
    let mut calls = plan::update(&progress, &thread, &tools)
        .into_iter()
        .collect::<Vec<_>>();
    calls.append(&mut progress.wanted);
    if request.tool_choice.single {
        // A plan is for show; the one call that is allowed goes to the work.
        calls.drain(..calls.len().saturating_sub(1));
    }
    let mut blocks = Vec::new();
    if request.thinking != ThinkingMode::Off {
        blocks.push(Block::Thinking(talk::thoughts(&progress, &calls)));
    }
    let forced = matches!(request.tool_choice.kind, Choice::Any | Choice::Tool(_));
    if calls.is_empty() && forced {
        blocks.extend(forced_call(request, random));
        return Reply {
            blocks,
            ..Default::default()
        };
    }
    let format = request.body.pointer("/output_config/format/schema");
    blocks.push(Block::Text(match (format, calls.is_empty()) {
        (Some(schema), true) => sample::of(schema).to_string(),
        (None, true) => talk::answer(&progress, &thread, &tools),
        (_, false) => talk::announcement(&calls, thread.rounds, random),
    }));
    blocks.extend(
        calls
            .iter()
            .map(|call| Block::tool_use(call.name, &call.input, random)),
    );
    Reply {
        blocks,
        ..Default::default()
    }
}

fn text_reply(text: String) -> Reply {
    Reply {
        blocks: vec![Block::Text(text)],
        ..Default::default()
    }
}

/// A caller that forces a tool gets a call of it, with the least that its schema asks for.
fn forced_call(request: &Request, random: &mut Random) -> Option<Block> {
    let tool = match &request.tool_choice.kind {
        Choice::Tool(name) => request.tools.iter().find(|tool| tool.name == *name)?,
        _ => request.tools.first()?,
    };
    let input = if tool.schema.is_null() {
        json!({})
    } else {
        sample::of(&tool.schema)
    };
    let input = if input.is_object() {
        input
    } else {
        Value::Object(serde_json::Map::new())
    };
    Some(Block::tool_use(&tool.name, &input, random))
}

/// Goes through the steps with the results that are there.
pub(crate) fn advance(thread: &Thread, tools: Vec<&str>) -> Progress {
    let resumed = summary::resumed(&thread.task);
    let task = resumed
        .as_ref()
        .map_or(thread.task.as_str(), |resumed| &resumed.task);
    let mut steps = parse::steps(task);
    for addition in &thread.additions {
        steps.extend(parse::steps(addition));
    }
    steps.truncate(parse::MAX_STEPS);
    let resumed = resumed.unwrap_or_default();
    let records: Vec<Record> = resumed
        .calls
        .into_iter()
        .chain(thread.records.iter().cloned())
        .collect();
    let mut done = resumed.reports.into_iter();
    let mut context = Context::new(tools, &records, &thread.earlier);
    let mut reports: Vec<Option<Report>> = Vec::with_capacity(steps.len());
    let mut waits = false;
    let mut settled: Option<Vec<bool>> = None;
    for step in &steps {
        if let Some(report) = done.next() {
            reports.push(Some(report));
            continue;
        }
        waits = waits || (settled.is_some() && step.is_barrier());
        let before = context.used().to_vec();
        let report = if waits { None } else { perform(step, &mut context) };
        if report.is_none() {
            settled.get_or_insert(before);
            waits = waits || step.is_barrier();
        }
        reports.push(report);
    }
    let settled = settled.unwrap_or_else(|| context.used().to_vec());
    let used = context.used().iter().zip(&settled).zip(&records);
    let carried = used
        .filter(|((used, settled), _)| **used && !**settled)
        .map(|(_, record)| record.clone());
    let carried = carried.collect();
    Progress {
        steps,
        reports,
        wanted: context.wanted,
        carried,
    }
}

fn perform(step: &Step, context: &mut Context) -> Option<Report> {
    match step {
        Step::LookAround { path } => look::look_around(path.as_deref(), context),
        Step::FindFiles { pattern } => look::find_files(pattern, context),
        Step::Read { files } => look::read(files, context),
        Step::Search { needle, scope } => look::search(needle, scope, context),
        Step::CountMatches { needle, scope } => look::count_matches(needle, scope, context),
        Step::CountFiles { pattern } => look::count_files(pattern, context),
        Step::Measure { unit, files } => measure::measure(*unit, files, context),
        Step::Replace {
            old,
            new,
            place,
            every,
        } => {
            let change = change::Replace {
                old,
                new,
                place: place.as_ref(),
                every: *every,
            };
            change::replace(&change, context)
        }
        Step::Write { path, content } => change::write(path, content, context),
        Step::Append { path, text } => change::append(path, text, context),
        Step::Run { command } => change::run(command.as_deref(), context),
        Step::Undo => change::undo(context),
        Step::Report => Some(Report::done("")),
        Step::NotUnderstood { text } => Some(Report::failed(format!(
            "I did not understand “{}”.",
            report::shorten(text, 200)
        ))),
    }
}
