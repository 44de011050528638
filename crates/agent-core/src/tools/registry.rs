//! The set of tools that one agent offers, in a fixed order.

use std::fmt;
use std::sync::Arc;

use agent_claude::messages::ToolDefinition;
use serde_json::Value;

use super::blocking::Blocking;
use super::{Children, Prepared, Tool, ToolError, ToolLimits};
use super::{bash, edit_file, glob, grep, list_directory, read_file, update_plan, web_fetch, write_file};
use crate::workspace::Workspace;

/// Tools by name. The order is the order of registration and never changes, because the definitions are part of
/// the cached prefix of every request.
#[derive(Clone, Default)]
pub struct ToolRegistry {
    tools: Vec<Arc<dyn Tool>>,
}

impl ToolRegistry {
    /// A registry without tools.
    pub fn empty() -> Self {
        Self::default()
    }

    /// All built-in tools within `limits`.
    pub fn built_in(limits: ToolLimits) -> Self {
        Self::built_in_with(limits, Children::default())
    }

    /// As [`built_in`](Self::built_in), with the programs that they start written down in `children`.
    pub fn built_in_with(limits: ToolLimits, children: Children) -> Self {
        let limits = Arc::new(limits);
        let blocking = Blocking::new();
        let mut registry = Self::empty();
        registry.register(Arc::new(read_file::ReadFile::new(
            limits.clone(),
            blocking.clone(),
        )));
        registry.register(Arc::new(write_file::WriteFile::new(blocking.clone())));
        registry.register(Arc::new(edit_file::EditFile::new(blocking.clone())));
        registry.register(Arc::new(list_directory::ListDirectory::new(
            limits.clone(),
            blocking.clone(),
        )));
        registry.register(Arc::new(glob::Glob::new(limits.clone(), blocking.clone())));
        registry.register(Arc::new(grep::Grep::new(limits.clone(), blocking)));
        registry.register(Arc::new(bash::Bash::new(limits.clone(), children)));
        registry.register(Arc::new(web_fetch::WebFetch::new(limits)));
        registry.register(Arc::new(update_plan::UpdatePlan));
        registry
    }

    /// Adds a tool; one of the same name is replaced where it stands.
    pub fn register(&mut self, tool: Arc<dyn Tool>) {
        match self.tools.iter().position(|known| known.name() == tool.name()) {
            Some(at) => self.tools[at] = tool,
            None => self.tools.push(tool),
        }
    }

    /// The tool of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.iter().find(|tool| tool.name() == name)
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<String> {
        self.tools.iter().map(|tool| tool.name().to_owned()).collect()
    }

    /// What the model is told, in order.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        self.tools.iter().map(|tool| tool.definition()).collect()
    }

    /// Prepares a call of the tool `name`.
    ///
    /// # Errors
    /// There is no such tool, or the tool doesn't accept the input; the message is for the model.
    pub fn prepare(
        &self,
        name: &str,
        input: Value,
        workspace: &Workspace,
    ) -> Result<Box<dyn Prepared>, ToolError> {
        let tool = self.get(name).ok_or_else(|| {
            ToolError::new(format!(
                "there is no tool {name:?}; the tools are: {}",
                self.names().join(", ")
            ))
        })?;
        tool.prepare(input, workspace)
    }
}

impl fmt::Debug for ToolRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToolRegistry").field(&self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use agent_security::permission::Action;
    use serde_json::json;

    use super::*;
    use crate::tools::testing::Bench;

    #[test]
    fn all_tools_are_there_in_a_fixed_order_with_schemas_a_model_can_use() {
        let registry = ToolRegistry::built_in(ToolLimits::default());
        let names = [
            "read_file",
            "write_file",
            "edit_file",
            "list_directory",
            "glob",
            "grep",
            "bash",
            "web_fetch",
            "update_plan",
        ];
        assert_eq!(registry.names(), names);
        for (definition, name) in registry.definitions().into_iter().zip(names) {
            assert_eq!(definition.name, name);
            assert!(definition.description.is_some_and(|text| text.len() > 40));
            let schema = definition.input_schema.expect("a schema");
            assert_eq!(
                (&schema["type"], &schema["additionalProperties"]),
                (&json!("object"), &json!(false))
            );
            for (field, about) in schema["properties"].as_object().expect("fields") {
                assert!(
                    about["description"].is_string(),
                    "{name}.{field} is not described"
                );
                assert!(about["type"].is_string(), "{name}.{field}: {about}");
            }
            let text = schema.to_string();
            for noise in ["$schema", "$ref", "$defs", "\"title\"", "\"format\"", "null"] {
                assert!(!text.contains(noise), "{name}: {text}");
            }
        }
    }

    #[test]
    fn a_call_is_judged_by_every_name_that_leads_to_its_path() {
        let bench = Bench::new();
        bench.file("data/key", "").file("data/folder/x", "");
        for (link, target) in [
            ("a", "b"),
            ("b", ".envrc"),
            (".envrc", "data/key"),
            (".vscode", "data"),
        ] {
            std::os::unix::fs::symlink(target, bench.path(link)).expect("a link");
        }
        let touched = |tool: &str, input: Value| {
            let call = bench.prepare(tool, input).expect("a good call");
            let names: Vec<String> = call
                .actions()
                .iter()
                .map(|action| match action {
                    Action::Read(path) => format!("r {path}"),
                    Action::Write(path) => format!("w {path}"),
                    other => format!("{other:?}"),
                })
                .collect();
            names.join(", ")
        };
        let edit = |path: &str| json!({"path": path, "old_string": "a", "new_string": "b"});
        let cases = [
            ("read_file", json!({"path": "data/key"}), "r data/key"),
            (
                "read_file",
                json!({"path": "a"}),
                "r data/key, r a, r b, r .envrc",
            ),
            (
                "write_file",
                json!({"path": ".vscode/new", "content": ""}),
                "w data/new, w .vscode/new, w .vscode",
            ),
            ("edit_file", edit(".envrc"), "w data/key, w .envrc"),
            (
                "list_directory",
                json!({"path": ".vscode/folder"}),
                "r data/folder, r .vscode/folder, r .vscode",
            ),
            (
                "glob",
                json!({"pattern": "*", "path": ".vscode"}),
                "r data, r .vscode",
            ),
            (
                "grep",
                json!({"pattern": "x", "path": ".vscode"}),
                "r data, r .vscode",
            ),
        ];
        for (tool, input, expected) in cases {
            assert_eq!(touched(tool, input), expected, "{tool}");
        }
    }

    #[test]
    fn an_unknown_tool_is_answered_with_the_known_ones() {
        let bench = Bench::new();
        let error = bench.prepare("read", json!({})).err().expect("unknown").message;
        assert!(
            error.starts_with("there is no tool \"read\"; the tools are: read_file, write_file"),
            "{error}"
        );
    }

    #[test]
    fn a_tool_of_the_same_name_takes_the_place_of_the_old_one() {
        let mut registry = ToolRegistry::built_in(ToolLimits::default());
        let before = registry.names();
        registry.register(Arc::new(update_plan::UpdatePlan));
        registry.register(Arc::new(bash::Bash::new(
            Arc::new(ToolLimits::default()),
            Children::default(),
        )));
        assert_eq!(registry.names(), before);
    }

    #[tokio::test]
    async fn model_chosen_working_directories_are_refused_and_none_lasts() {
        let bench = Bench::new();
        let names = [
            "cwd",
            "workdir",
            "working_directory",
            "directory",
            "root",
            "workspace",
        ];
        for definition in bench.registry.definitions() {
            let schema = definition.input_schema.expect("a schema");
            for name in names {
                assert!(
                    schema["properties"].get(name).is_none(),
                    "{}: {name}",
                    definition.name
                );
            }
        }
        for name in names {
            let refused = bench.prepare("bash", json!({ "command": "pwd", name: "/" }));
            assert!(refused.is_err_and(|error| error.message.contains(name)), "{name}");
        }
        let root = bench.workspace.root().display().to_string();
        let moved = bench.call("bash", json!({ "command": "cd / && pwd" })).await;
        assert!(moved.content.starts_with("/\n"), "{}", moved.content);
        let next = bench.call("bash", json!({ "command": "pwd" })).await;
        assert!(next.content.starts_with(&root), "{}", next.content);
    }
}
