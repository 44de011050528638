//! Calls and what is known of their results.
//!
//! The mind keeps nothing between requests. Each time it goes through the task's steps from the start; a call
//! whose result stands in the conversation returns it at once, any other is put on the list of calls to make
//! now. So it goes on after a restart, of itself or of the session, where the conversation ends.

use serde_json::Value;

use crate::conversation::{Output, Record};

/// Calls in one answer. A pattern may name more files; the rest follows in the next answer.
const MAX_PARALLEL: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) input: Value,
    /// What it is for, to follow "I'll".
    pub(crate) why: String,
}

pub(crate) struct Context<'r> {
    tools: Vec<&'r str>,
    records: &'r [Record],
    used: Vec<bool>,
    /// Calls of the tasks before this one.
    pub(crate) earlier: &'r [Record],
    /// What to call now.
    pub(crate) wanted: Vec<Call>,
}

impl<'r> Context<'r> {
    pub(crate) fn new(tools: Vec<&'r str>, records: &'r [Record], earlier: &'r [Record]) -> Self {
        Self {
            tools,
            records,
            used: vec![false; records.len()],
            earlier,
            wanted: Vec::new(),
        }
    }

    pub(crate) fn has(&self, tool: &str) -> bool {
        self.tools.contains(&tool)
    }

    /// Which records steps have asked for so far.
    pub(crate) fn used(&self) -> &[bool] {
        &self.used
    }

    /// The result of a call, or `None` when it has to be made first.
    ///
    /// The same call may be made more than once, before and after a change: results are handed out in their order.
    pub(crate) fn call(
        &mut self,
        name: &'static str,
        input: Value,
        why: impl Into<String>,
    ) -> Option<Output> {
        let known = self.records.iter().enumerate().find(|(index, record)| {
            !self.used[*index] && record.name == name && record.input == input && record.output.is_some()
        });
        if let Some((index, record)) = known {
            self.used[index] = true;
            return record.output.clone();
        }
        if !self.has(name) {
            let text = format!("the tool `{name}` was not offered to me, so I could not do this");
            return Some(Output { text, is_error: true });
        }
        if self.wanted.len() < MAX_PARALLEL {
            self.wanted.push(Call {
                name,
                input,
                why: why.into(),
            });
        }
        None
    }
}
