//! What the tests of the tools share: a workspace on disk, and calls from JSON to the result.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Prepared, ToolContext, ToolError, ToolLimits, ToolRegistry, ToolResult};
use crate::workspace::Workspace;

pub(super) struct Bench {
    dir: TempDir,
    pub(super) workspace: Workspace,
    pub(super) registry: ToolRegistry,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with_limits(ToolLimits::default())
    }

    pub(super) fn with_limits(limits: ToolLimits) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let workspace = Workspace::open(dir.path()).expect("a workspace");
        Self {
            dir,
            workspace,
            registry: ToolRegistry::built_in(limits),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        content(&self.path(name))
    }

    pub(super) fn prepare(&self, tool: &str, input: Value) -> Result<Box<dyn Prepared>, ToolError> {
        self.registry.prepare(tool, input, &self.workspace)
    }

    /// Both steps; an error of the first becomes a result, as in the loop.
    pub(super) async fn call(&self, tool: &str, input: Value) -> ToolResult {
        self.call_with(tool, input, ToolContext::new(CancellationToken::new()))
            .await
    }

    pub(super) async fn call_with(&self, tool: &str, input: Value, context: ToolContext) -> ToolResult {
        match self.prepare(tool, input) {
            Ok(prepared) => prepared.run(context).await,
            Err(error) => error.into(),
        }
    }

    /// The content of a call that works.
    #[track_caller]
    pub(super) fn works(result: ToolResult) -> String {
        assert!(!result.is_error, "{}", result.content);
        result.content
    }

    /// The content of a call that fails.
    #[track_caller]
    pub(super) fn fails(result: ToolResult) -> String {
        assert!(result.is_error, "{}", result.content);
        result.content
    }
}

/// The content of a small file.
#[expect(
    clippy::disallowed_methods,
    reason = "tests read only what they wrote themselves, and /proc"
)]
pub(super) fn content(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file")
}

/// Whether a process runs. A zombie does not: only its parent, not of our making, has not noticed yet.
#[expect(
    clippy::disallowed_methods,
    reason = "tests read only what they wrote themselves, and /proc"
)]
pub(super) fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains('Z'))
}
