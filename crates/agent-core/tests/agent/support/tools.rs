//! Tools that touch nothing and take the time that their input says.

use std::sync::Arc;
use std::time::Duration;

use agent_claude::messages::ToolDefinition;
use agent_core::tools::{Prepared, Tool, ToolContext, ToolError, ToolRegistry, ToolResult};
use agent_core::workspace::Workspace;
use agent_security::path::{RelPath, check_relative};
use agent_security::permission::Action;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Read,
    Write,
    Command,
}

/// When which call ran.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
}

pub(crate) type Log = Arc<Mutex<Vec<Span>>>;

/// Input: `{"path": …, "ms": …, "do": "hang" | "panic" | "fail" | …}`.
struct Scripted {
    name: &'static str,
    kind: Kind,
    log: Log,
}

struct ScriptedCall {
    kind: Kind,
    path: RelPath,
    ms: u64,
    what: String,
    log: Log,
}

/// `look` reads, `change` writes, `act` is a command; each tells `log` when it ran.
pub(crate) fn registry(log: &Log) -> ToolRegistry {
    let mut registry = ToolRegistry::empty();
    for (name, kind) in [
        ("look", Kind::Read),
        ("change", Kind::Write),
        ("act", Kind::Command),
    ] {
        registry.register(Arc::new(Scripted {
            name,
            kind,
            log: Arc::clone(log),
        }));
    }
    registry
}

impl Tool for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn definition(&self) -> ToolDefinition {
        ToolDefinition::new(self.name, "For tests.", json!({"type": "object"}))
    }

    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        if input["do"] == "panic early" {
            std::panic::resume_unwind(Box::new("as it was told"));
        }
        let path = input["path"]
            .as_str()
            .ok_or_else(|| ToolError::new("path is missing"))?;
        let path =
            check_relative(workspace.root(), path).map_err(|denied| ToolError::new(denied.to_string()))?;
        Ok(Box::new(ScriptedCall {
            kind: self.kind,
            path,
            ms: input["ms"].as_u64().unwrap_or(0),
            what: input["do"].as_str().unwrap_or_default().to_owned(),
            log: Arc::clone(&self.log),
        }))
    }
}

impl Prepared for ScriptedCall {
    fn actions(&self) -> Vec<Action<'_>> {
        vec![match self.kind {
            Kind::Read => Action::Read(&self.path),
            Kind::Write => Action::Write(&self.path),
            Kind::Command => Action::Command(self.path.as_str()),
        }]
    }

    fn summary(&self) -> String {
        format!("{:?} {}", self.kind, self.path)
    }

    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let begin = Instant::now();
            match self.what.as_str() {
                "panic" => std::panic::resume_unwind(Box::new("as it was told")),
                "stubborn" => std::future::pending().await,
                "hang" => {
                    context.cancel.cancelled().await;
                    return ToolResult::error("stopped");
                }
                _ => tokio::time::sleep(Duration::from_millis(self.ms)).await,
            }
            self.log.lock().push(Span {
                name: self.path.to_string(),
                begin,
                end: Instant::now(),
            });
            match self.what.as_str() {
                "fail" => ToolResult::error("failed as told"),
                _ => ToolResult::ok(format!("saw {}", self.path)),
            }
        }
        .boxed()
    }
}
