//! Gathers the values that each layer sets. Nothing is merged or checked here beyond whether a key exists.

use std::path::{Path, PathBuf};

use crate::credentials::KEY_VARIABLE;
use crate::document::{self, Leaf};
use crate::environment::Environment;
use crate::files::{self, Allow, FileFault};
use crate::folders::{Folders, project_config_file, system_config_file};
use crate::keys::VARIABLE_PREFIX;
use crate::problem::{Layer, Origin, Problem, Problems, shorten};

/// A configuration with every key and comment is 10 KiB; ten thousand rules of a team are below a megabyte.
const MAX_CONFIG_FILE: u64 = 1 << 20;

/// The variable that other programs for the Messages API use for the server's address.
const BASE_URL_VARIABLE: &str = "ANTHROPIC_BASE_URL";

/// Where the layers of the configuration come from. Files that do not exist are skipped, but for `explicit_file`.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file for all users of this machine.
    pub system_file: Option<PathBuf>,
    /// The user's own file.
    pub user_file: Option<PathBuf>,
    /// The project's file. It may only set what tunes the agent for the project.
    pub project_file: Option<PathBuf>,
    /// A file named by the user, read in place of `user_file`. It must exist.
    pub explicit_file: Option<PathBuf>,
    /// The environment: it sets keys, and says where the platform's folders are.
    pub environment: Environment,
    /// What the command line sets: `section.key` and a TOML literal or bare text.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The files at their usual places, and that of the project in `workspace`.
    pub fn standard(environment: Environment, workspace: Option<&Path>) -> Self {
        let system_file = system_config_file(&environment);
        let user_file = Folders::of(&environment).config_file();
        Self {
            // A user without a home has the system's file for their own; it need not be read twice.
            user_file: (user_file != system_file).then_some(user_file),
            system_file: Some(system_file),
            project_file: workspace.map(project_config_file),
            explicit_file: None,
            environment,
            flags: Vec::new(),
        }
    }
}

/// The values of all layers but defaults and profile, the weakest layer first.
pub(crate) fn gather(sources: &Sources, problems: &mut Problems) -> Vec<Leaf> {
    let (user, user_allow) = match &sources.explicit_file {
        Some(file) => (Some(file), Allow::Any),
        None => (sources.user_file.as_ref(), Allow::Regular),
    };
    let mut leaves = file(
        Layer::System,
        sources.system_file.as_deref(),
        Allow::Regular,
        problems,
    );
    leaves.extend(file(
        Layer::User,
        user.map(PathBuf::as_path),
        user_allow,
        problems,
    ));
    leaves.extend(file(
        Layer::Project,
        sources.project_file.as_deref(),
        Allow::Regular,
        problems,
    ));
    leaves.extend(variables(&sources.environment, problems));
    leaves.extend(flags(&sources.flags, problems));
    leaves
}

/// The values in a file. Unreadable is not the same as missing: falling back to defaults would switch protections
/// off without a word.
fn file(layer: Layer, path: Option<&Path>, allow: Allow, problems: &mut Problems) -> Vec<Leaf> {
    let Some(path) = path else { return Vec::new() };
    let origin = Origin::file(layer, path);
    match files::read_text(path, MAX_CONFIG_FILE, allow) {
        Ok(text) => document::read(&text, &origin, problems),
        Err(FileFault::Missing) if allow != Allow::Any => Vec::new(),
        Err(fault) => {
            let origin = match fault {
                FileFault::NotUtf8 { line } => origin.at_line(line),
                _ => origin,
            };
            let (message, valid) = (fault.to_string(), fault.valid(path));
            problems.push(Problem {
                key: String::new(),
                value: None,
                origin: Some(origin),
                message,
                valid,
            });
            Vec::new()
        }
    }
}

fn variables(environment: &Environment, problems: &mut Problems) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut set = |name: &str, path: &str, text: &str| {
        let origin = Origin::named(Layer::Environment, name);
        leaves.extend(document::leaf(path, text, origin, problems));
    };
    // First, so that the variable that is ours alone goes before it.
    if let Some(url) = environment.get(BASE_URL_VARIABLE) {
        set(BASE_URL_VARIABLE, "api.base_url", url);
    }
    for (name, text) in environment.with_prefix(VARIABLE_PREFIX) {
        set(name, &path_of_variable(name), text);
    }
    for name in environment.unreadable() {
        let key = match name {
            BASE_URL_VARIABLE | KEY_VARIABLE => String::new(),
            _ if name.starts_with(VARIABLE_PREFIX) => shorten(&path_of_variable(name)),
            // Not ours: other programs may put there what they like.
            _ => continue,
        };
        let origin = Some(Origin::named(Layer::Environment, name));
        let (message, valid) = ("is not UTF-8 text".to_owned(), "UTF-8 text".to_owned());
        problems.push(Problem {
            key,
            value: None,
            origin,
            message,
            valid,
        });
    }
    leaves
}

/// `CLAUDE_AGENT__API__MODEL` sets `api.model`.
fn path_of_variable(name: &str) -> String {
    name.strip_prefix(VARIABLE_PREFIX)
        .unwrap_or(name)
        .to_ascii_lowercase()
        .replace("__", ".")
}

fn flags(flags: &[(String, String)], problems: &mut Problems) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (path, text) in flags {
        let origin = Origin::named(Layer::Flag, path);
        leaves.extend(document::leaf(path, text, origin, problems));
    }
    leaves
}
