//! From plain English to steps. No language model is at work here: clauses are split at verbs it knows, and each
//! clause is read by the rule of its verb.

mod change;
mod clause;
mod quotes;
mod split;
mod targets;

#[cfg(test)]
mod tests;

use super::step::{Step, Target};
use quotes::Quoted;

/// Steps of one task. A longer list is cut and the report says so.
pub(crate) const MAX_STEPS: usize = 40;

/// What was spoken of before a clause: the meaning of "it".
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    /// The file that was named last.
    file: Option<Target>,
    /// The text that was searched for last.
    text: Option<String>,
    /// "In hello.py, …": the file that the clause is about, whatever its words are.
    place: Option<Target>,
}

/// Reads a task. Parts that it does not understand become [`Step::NotUnderstood`].
pub(crate) fn steps(task: &str) -> Vec<Step> {
    let quoted = Quoted::new(task);
    let mut steps: Vec<Step> = Vec::new();
    let mut spoken = Spoken::default();
    for clause in split::clauses(&quoted.text) {
        let (place, clause) = split::place(clause, &quoted);
        spoken.place = place.or(spoken.place);
        if clause.is_empty() {
            continue;
        }
        let step = clause::read(clause, &quoted, &spoken);
        spoken.place = None;
        spoken.file = file_of(&step).or(spoken.file);
        if let Step::Search { needle, .. } | Step::CountMatches { needle, .. } = &step {
            spoken.text = Some(needle.text.clone());
        }
        steps.push(step);
    }
    steps.truncate(MAX_STEPS);
    steps
}

fn file_of(step: &Step) -> Option<Target> {
    match step {
        Step::Read { files } | Step::Measure { files, .. } => files.last().cloned(),
        Step::Replace { place, .. } => place.clone(),
        Step::Write { path, .. } | Step::Append { path, .. } => Some(Target::File(path.clone())),
        Step::Search { scope, .. } | Step::CountMatches { scope, .. } => scope.path.clone().map(Target::File),
        _ => None,
    }
}
