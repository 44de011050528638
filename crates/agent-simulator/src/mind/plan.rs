//! The plan of a longer task, kept up to date with `update_plan`.

use serde_json::{Value, json};

use super::Progress;
use super::context::Call;
use super::report::shorten;
use crate::conversation::Thread;

/// Shorter tasks need no plan.
const MIN_STEPS: usize = 3;
/// Characters of a step in the plan; callers refuse very long ones.
const MAX_STEP: usize = 120;

/// The call that brings the plan up to date, if there is a plan and it is not.
pub(crate) fn update(progress: &Progress, thread: &Thread, tools: &[&str]) -> Option<Call> {
    let work = progress.work();
    if work.len() < MIN_STEPS || !tools.contains(&"update_plan") {
        return None;
    }
    let mut in_progress = false;
    let items: Vec<Value> = work
        .iter()
        .map(|(step, report)| {
            let status = match report {
                Some(_) => "completed",
                None if !in_progress => {
                    in_progress = true;
                    "in_progress"
                }
                None => "pending",
            };
            json!({ "step": shorten(&step.describe(), MAX_STEP), "status": status })
        })
        .collect();
    let input = json!({ "items": items });
    let last = thread
        .records
        .iter()
        .rev()
        .find(|record| record.name == "update_plan");
    // A task that needs no call at all needs no plan either.
    let nothing_to_do = last.is_none() && progress.wanted.is_empty();
    let is_current = last.is_some_and(|record| record.input == input);
    (!nothing_to_do && !is_current).then(|| Call {
        name: "update_plan",
        input,
        why: "bring the plan up to date".to_owned(),
    })
}
