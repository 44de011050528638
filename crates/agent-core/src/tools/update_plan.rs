//! `update_plan`: the model's list of steps, shown to the user.

use agent_claude::messages::ToolDefinition;
use agent_security::permission::Action;
use futures_util::future::{BoxFuture, FutureExt};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::input::{definition, parse};
use super::{Prepared, Tool, ToolContext, ToolError, ToolResult};
use crate::workspace::Workspace;
use crate::{PlanItem, PlanStatus};

const NAME: &str = "update_plan";
/// Steps in one plan; a list that fits a screen.
const MAX_STEPS: usize = 50;
/// Characters in one step; a line or two.
const MAX_STEP_CHARS: usize = 300;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// All steps in order; the list replaces the one before.
    items: Vec<Item>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    /// What is to be done, in one line.
    step: String,
    /// How far it is.
    status: Status,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    InProgress,
    Completed,
}

pub(super) struct UpdatePlan;

impl Tool for UpdatePlan {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition::<Input>(
            NAME,
            "Shows the user your plan for a task of several steps, and how far it is. Send the whole list each time \
             a step begins or ends. Not needed for simple tasks.",
        )
    }

    fn prepare(&self, input: Value, _: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        let Input { items } = parse(NAME, input)?;
        if items.len() > MAX_STEPS {
            let given = items.len();
            return Err(ToolError::new(format!(
                "update_plan: {given} steps are more than the {MAX_STEPS} that are shown; put several into one"
            )));
        }
        let items = items
            .into_iter()
            .enumerate()
            .map(|(at, item)| checked(at, item))
            .collect::<Result<_, _>>()?;
        Ok(Box::new(Call { items }))
    }
}

fn checked(at: usize, Item { step, status }: Item) -> Result<PlanItem, ToolError> {
    let step = step.trim().to_owned();
    let wrong = |what: &str| Err(ToolError::new(format!("update_plan: items[{at}].step {what}")));
    if step.is_empty() {
        return wrong("is empty; say in one line what is to be done");
    }
    if step.contains(char::is_control) {
        return wrong("holds line breaks or control characters; say it in one plain line");
    }
    if step.chars().count() > MAX_STEP_CHARS {
        return wrong(&format!(
            "is longer than {MAX_STEP_CHARS} characters; say it shorter"
        ));
    }
    let status = match status {
        Status::Pending => PlanStatus::Pending,
        Status::InProgress => PlanStatus::InProgress,
        Status::Completed => PlanStatus::Completed,
    };
    Ok(PlanItem { step, status })
}

struct Call {
    items: Vec<PlanItem>,
}

impl Call {
    fn done(&self) -> usize {
        self.items
            .iter()
            .filter(|item| item.status == PlanStatus::Completed)
            .count()
    }
}

impl Prepared for Call {
    fn actions(&self) -> Vec<Action<'_>> {
        vec![Action::Internal]
    }

    fn summary(&self) -> String {
        format!(
            "update the plan ({} of {} steps done)",
            self.done(),
            self.items.len()
        )
    }

    fn run(self: Box<Self>, _: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let text = format!(
                "The plan is shown: {} of {} steps done.",
                self.done(),
                self.items.len()
            );
            ToolResult {
                plan: Some(self.items),
                ..ToolResult::ok(text)
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn prepare(input: Value) -> Result<Box<dyn Prepared>, ToolError> {
        let folder = tempfile::tempdir().expect("a folder");
        UpdatePlan.prepare(input, &Workspace::open(folder.path()).expect("a workspace"))
    }

    #[tokio::test]
    async fn a_plan_comes_back_with_the_result() {
        let input = json!({"items": [
            {"step": " look ", "status": "completed"},
            {"step": "change", "status": "in_progress"},
            {"step": "test", "status": "pending"},
        ]});
        let call = prepare(input).expect("a good plan");
        assert_eq!(call.summary(), "update the plan (1 of 3 steps done)");
        let result = call.run(ToolContext::new(CancellationToken::new())).await;
        let plan = result.plan.expect("a plan");
        assert_eq!(plan.len(), 3);
        assert_eq!(
            plan[0],
            PlanItem {
                step: "look".into(),
                status: PlanStatus::Completed
            }
        );
    }

    #[test]
    fn a_bad_plan_is_refused_with_the_step_named() {
        let item = |step: &str| json!({"step": step, "status": "pending"});
        let cases = [
            (
                json!({"items": [item("a"), item("  ")]}),
                "items[1].step is empty",
            ),
            (
                json!({"items": [item("a\nb")]}),
                "items[0].step holds line breaks",
            ),
            (json!({"items": [item(&"x".repeat(301))]}), "longer than 300"),
            (json!({"items": vec![item("a"); 51]}), "51 steps"),
            (
                json!({"items": [{"step": "a", "status": "done"}]}),
                "unknown variant `done`, expected one of `pending`",
            ),
            (json!({"items": "a"}), "expected a sequence"),
        ];
        for (input, part) in cases {
            let error = prepare(input).err().expect("a bad plan").message;
            assert!(error.contains(part), "{error}");
        }
    }
}
