//! Which layer wins, where a value is said to come from, and who may say what.

use std::fs;
use std::path::PathBuf;

use agent_config::environment::Environment;
use agent_config::{ConfigError, DeploymentEnvironment, Layer, Loaded, Sources, WhitelistLevel, load};

use crate::{home, user_file};

/// A folder with one file for each layer that is a file.
struct Files {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            sources: Sources {
                environment: home(),
                ..Sources::default()
            },
        }
    }

    fn write(&self, name: &str, text: &str) -> Option<PathBuf> {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        Some(file)
    }

    fn system(mut self, text: &str) -> Self {
        self.sources.system_file = self.write("system.toml", text);
        self
    }

    fn user(mut self, text: &str) -> Self {
        self.sources.user_file = self.write("user.toml", text);
        self
    }

    fn explicit(mut self, text: &str) -> Self {
        self.sources.explicit_file = self.write("explicit.toml", text);
        self
    }

    fn project(mut self, text: &str) -> Self {
        self.sources.project_file = self.write("project.toml", text);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        let mut pairs: Vec<_> = self
            .sources
            .environment
            .with_prefix("")
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        pairs.push((name.to_owned(), value.to_owned()));
        self.sources.environment = Environment::from_pairs(pairs);
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.sources.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.sources)
    }

    /// The problems, without the folder's name.
    fn problems(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        self.load().unwrap_err().to_string().replace(&folder, "")
    }
}

#[test]
fn each_layer_goes_before_those_below() {
    let turns = |n: u32| format!("[agent]\nmax_turns = {n}\n");
    let mut files = Files::new();
    let check = |files: &Files, turns: u32, layer: Layer, line: Option<u32>| {
        let loaded = files.load().unwrap();
        let origin = loaded.origins.of("agent.max_turns");
        assert_eq!(
            (loaded.config.agent.max_turns, origin.layer, origin.line),
            (turns, layer, line)
        );
        assert_eq!(origin.file.is_some(), line.is_some());
    };
    check(&files, 100, Layer::Default, None);
    files = files.system(&turns(1));
    check(&files, 1, Layer::System, Some(2));
    files = files.user(&turns(2));
    check(&files, 2, Layer::User, Some(2));
    files = files.project(&turns(3));
    check(&files, 3, Layer::Project, Some(2));
    files = files.variable("CLAUDE_AGENT__AGENT__MAX_TURNS", "4");
    check(&files, 4, Layer::Environment, None);
    files = files.flag("agent.max_turns", "5");
    check(&files, 5, Layer::Flag, None);
}

#[test]
fn an_explicit_file_stands_in_for_the_users() {
    let files = Files::new()
        .user("[agent]\nmax_turns = 2")
        .explicit("[agent]\nthinking = true");
    let loaded = files.load().unwrap();
    assert_eq!(
        (loaded.config.agent.max_turns, loaded.config.agent.thinking),
        (100, true)
    );
    assert_eq!(loaded.origins.of("agent.thinking").layer, Layer::User);
}

#[test]
fn an_explicit_file_must_exist_and_others_need_not() {
    let folder = tempfile::tempdir().unwrap();
    let absent = Some(folder.path().join("none").join("config.toml"));
    let sources = Sources {
        system_file: absent.clone(),
        user_file: absent.clone(),
        project_file: absent.clone(),
        ..Sources::default()
    };
    assert!(load(&sources).is_ok());
    let error = load(&Sources {
        explicit_file: absent,
        ..Sources::default()
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.ends_with("none/config.toml: does not exist; valid: the path of a file that exists"),
        "{error}"
    );
}

#[test]
fn the_profile_of_the_environment_is_laid_under_the_files() {
    let production = Files::new().user("environment = \"Production\"");
    let loaded = production.load().unwrap();
    assert!(loaded.config.is_production());
    assert_eq!(
        loaded.config.security.whitelist_enforcement_level,
        WhitelistLevel::Enforce
    );
    assert_eq!(
        loaded
            .origins
            .of("security.whitelist_enforcement_level")
            .to_string(),
        "profile Production"
    );

    let strict = production.system("[security]\nwhitelist_enforcement_level = \"Strict\"");
    assert_eq!(
        strict.load().unwrap().config.security.whitelist_enforcement_level,
        WhitelistLevel::Strict
    );

    let staging = strict.flag("environment", "Staging");
    assert_eq!(
        staging.load().unwrap().config.environment,
        DeploymentEnvironment::Staging
    );
}

#[test]
fn variables_set_keys_and_are_named_in_errors() {
    let loaded = Files::new()
        .variable(
            "CLAUDE_AGENT__MONITORING__PERFORMANCE_THRESHOLDS__MAX_CPU_USAGE_PERCENT",
            "55.5",
        )
        .variable("CLAUDE_AGENT__TOOLS__ALLOWED_COMMANDS", "[\"make test\"]")
        .variable("CLAUDE_AGENT__TOOLS__MAX_OUTPUT", "2048")
        .variable("CLAUDE_AGENT__API__MODEL", "7")
        .variable("CLAUDE_AGENT__ENVIRONMENT", "Staging")
        .load()
        .unwrap();
    assert_eq!(
        loaded
            .config
            .monitoring
            .performance_thresholds
            .max_cpu_usage_percent,
        55.5
    );
    assert_eq!(loaded.config.tools.allowed_commands, ["make test"]);
    assert_eq!(loaded.config.tools.max_output.bytes(), 2048);
    assert_eq!(loaded.config.api.model, "7");
    assert_eq!(loaded.config.environment, DeploymentEnvironment::Staging);

    let files = Files::new()
        .variable("CLAUDE_AGENT__AGENT__MAX_TURN", "1")
        .variable("CLAUDE_AGENT__AGENT__MAX_TURNS", "many")
        .variable("CLAUDE_AGENT__AGENT__THINKING", "")
        .flag("api.model", "")
        .variable("CLAUDE_AGENT__APII__MODEL", "x")
        .flag("api", "x")
        .flag("monitoring.performance_thresholds.max_cpu", "1")
        .flag("api.model.name", "1")
        .flag("", "1");
    insta::assert_snapshot!(files.problems());
}

#[test]
fn the_servers_address_has_a_variable_of_its_own() {
    let files = Files::new().user("[api]\nbase_url = \"https://one.example\"");
    let files = files.variable("ANTHROPIC_BASE_URL", "http://127.0.0.1:8080");
    let loaded = files.load().unwrap();
    assert_eq!(loaded.config.api.base_url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(
        loaded.origins.of("api.base_url").to_string(),
        "environment variable ANTHROPIC_BASE_URL"
    );

    let files = files.variable("CLAUDE_AGENT__API__BASE_URL", "https://three.example");
    assert_eq!(
        files.load().unwrap().config.api.base_url.as_str(),
        "https://three.example/"
    );

    let files = Files::new().variable("ANTHROPIC_BASE_URL", "http://evil.example");
    insta::assert_snapshot!(files.problems());
}

#[test]
fn every_problem_of_every_layer_is_told_at_once() {
    let files = Files::new()
        .system("[agent]\nmax_turns = 0\n")
        .user("[agent]\nmax_turns = 5\nthinking = 1\n")
        .project("[api]\nmodel = \"x\"\n")
        .variable("CLAUDE_AGENT__LOGGING__LEVEL", "Warm")
        .flag("tools.max_matches", "0");
    insta::assert_snapshot!(files.problems());
}

#[test]
fn a_project_may_lower_the_budget_but_not_raise_it() {
    let project = |usd: &str| format!("[agent]\nmax_budget_usd = {usd}\n");
    let user = "[agent]\nmax_budget_usd = 5.0\n";
    assert_eq!(
        Files::new()
            .project(&project("50.0"))
            .load()
            .unwrap()
            .config
            .agent
            .max_budget_usd,
        Some(50.0)
    );
    assert_eq!(
        Files::new()
            .user(user)
            .project(&project("2"))
            .load()
            .unwrap()
            .config
            .agent
            .max_budget_usd,
        Some(2.0)
    );
    let raised = Files::new().user(user).project(&project("6"));
    insta::assert_snapshot!(raised.problems(), @"project.toml:2: agent.max_budget_usd = 6: is raised by a project's file; valid: no more than the user's own configuration allows");
}

#[test]
fn what_is_denied_adds_up() {
    let loaded = Files::new()
        .user("[tools]\ndenied_commands = [\"rm\", \"curl\"]\ndenied_paths = [\"secrets\"]")
        .project("[tools]\ndenied_commands = [\"make\", \"rm\"]\ndenied_paths = []")
        .flag("tools.denied_commands", "['dd']")
        .load()
        .unwrap();
    assert_eq!(loaded.config.tools.denied_commands, ["rm", "curl", "make", "dd"]);
    assert_eq!(loaded.config.tools.denied_paths, ["secrets"]);
}

#[test]
fn doubts_are_warnings() {
    let loaded = Files::new()
        .user("[monitoring]\nenable_alerting = true\n")
        .load()
        .unwrap();
    // One that nobody would be told, and one that no alert is sent by this version at all.
    let messages: Vec<_> = loaded
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages.contains(&"is not used by this version"));
    for warning in &loaded.warnings {
        assert_eq!(warning.key, "monitoring.enable_alerting");
        assert_eq!(warning.origin.as_ref().unwrap().line, Some(2));
    }
}

#[test]
fn only_what_somebody_chose_is_called_unused() {
    let untouched = Files::new().load().unwrap();
    assert_eq!(untouched.warnings, []);
    let loaded = Files::new()
        .flag("logging.level", "'Debug'")
        .user("[api]\nmax_retries = 3\n")
        .load()
        .unwrap();
    assert_eq!(loaded.warnings, []);
}

#[test]
fn standard_places() {
    let sources = Sources::standard(home(), Some("/repo".as_ref()));
    if cfg!(target_os = "linux") {
        assert_eq!(
            sources.system_file.unwrap(),
            PathBuf::from("/etc/claude-agent/config.toml")
        );
        assert_eq!(
            sources.user_file.unwrap(),
            PathBuf::from("/home/ada/.config/claude-agent/config.toml")
        );
        assert_eq!(Sources::standard(Environment::default(), None).user_file, None);
    }
    assert_eq!(
        sources.project_file.unwrap(),
        PathBuf::from("/repo/.claude-agent/config.toml")
    );
}

#[test]
fn dot_env_files_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join(".env"),
        "ANTHROPIC_API_KEY=sk-ant-canary\nCLAUDE_AGENT__AGENT__MAX_TURNS=1\n",
    )
    .unwrap();
    let mut sources = user_file(folder.path(), "");
    sources.project_file = Some(folder.path().join(".claude-agent/config.toml"));
    let loaded = load(&sources).unwrap();
    assert_eq!((loaded.api_key, loaded.config.agent.max_turns), (None, 100));
}
