//! `claude-agent config`: written, checked, shown, and never guessed.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Machine, Simulator, exists, expect_code, finish, stderr, stdout};

fn config_file(machine: &Machine) -> PathBuf {
    machine.home().join(".config/claude-agent/config.toml")
}

fn write_config(machine: &Machine, text: &str) -> PathBuf {
    let path = config_file(machine);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

fn json(machine: &Machine, arguments: &[&str]) -> Value {
    serde_json::from_str(&expect_code(&finish(&mut machine.command(arguments)), 0)).unwrap()
}

fn origins(machine: &Machine) -> Value {
    json(machine, &["config", "show", "--origin", "--output", "json"])
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/config")
        .join(name)
}

#[test]
fn what_init_writes_is_valid_and_private_and_shown_where_it_was_set() {
    let machine = Machine::new();
    let path = config_file(&machine);
    let told = expect_code(&finish(&mut machine.command(&["config", "init"])), 0);
    assert!(told.contains(path.to_str().unwrap()), "{told}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let told = expect_code(&finish(&mut machine.command(&["config", "check"])), 0);
    assert!(told.contains("valid"), "{told}");
    assert_eq!(
        origins(&machine)["agent.max_turns"]["layer"],
        "default",
        "the template sets nothing by itself"
    );

    let template = std::fs::read_to_string(&path).unwrap();
    let line = template
        .lines()
        .position(|line| line.starts_with("#max_turns = "))
        .expect("every key is in the template");
    let default = template.lines().nth(line).unwrap();
    std::fs::write(&path, template.replace(default, "max_turns = 7")).unwrap();
    let entry = &origins(&machine)["agent.max_turns"];
    assert_eq!(entry["value"], "7");
    assert_eq!(entry["layer"], "user");
    assert_eq!(entry["file"], path.to_str().unwrap());
    assert_eq!(entry["line"], line as u64 + 1);
    let shown = expect_code(&finish(&mut machine.command(&["config", "show", "--origin"])), 0);
    let row = shown
        .lines()
        .find(|line| line.starts_with("agent.max_turns "))
        .unwrap();
    assert!(
        row.ends_with(&format!("{}:{}", path.display(), line + 1)),
        "{row}"
    );
}

#[test]
fn init_keeps_a_file_that_is_there_unless_it_is_told_to_replace_it() {
    let machine = Machine::new();
    let path = write_config(&machine, "[agent]\nmax_turns = 3\n");
    let output = finish(&mut machine.command(&["config", "init"]));
    expect_code(&output, 1);
    assert!(
        stderr(&output).contains(path.to_str().unwrap()) && stderr(&output).contains("--force"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "[agent]\nmax_turns = 3\n"
    );

    expect_code(&finish(&mut machine.command(&["config", "init", "--force"])), 0);
    assert!(std::fs::read_to_string(&path).unwrap().contains("#max_turns = "));

    let other = machine.home().join("other/deeper/agent.toml");
    expect_code(
        &finish(&mut machine.command(&["config", "init", "--to", other.to_str().unwrap()])),
        0,
    );
    let check = ["--config", other.to_str().unwrap(), "config", "check"];
    expect_code(&finish(&mut machine.command(&check)), 0);
}

#[test]
fn what_show_prints_can_be_loaded_again() {
    let machine = Machine::new();
    write_config(
        &machine,
        "[agent]\nmax_turns = 7\n[tools]\ncommand_timeout = \"90s\"\n",
    );
    let shown = expect_code(&finish(&mut machine.command(&["config", "show"])), 0);
    let copy = machine.home().join("copy.toml");
    std::fs::write(&copy, &shown).unwrap();
    let again = expect_code(
        &finish(&mut machine.command(&["--config", copy.to_str().unwrap(), "config", "show"])),
        0,
    );
    assert_eq!(again, shown);

    let value = json(&machine, &["config", "show", "--output", "json"]);
    assert_eq!(value["agent"]["max_turns"], 7);
}

#[test]
fn the_schema_describes_every_section() {
    let machine = Machine::new();
    let schema = json(&machine, &["config", "schema"]);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let shown = json(&machine, &["config", "show", "--output", "json"]);
    for (section, keys) in shown.as_object().unwrap() {
        let described = &schema["properties"][section];
        assert!(described.is_object(), "{section}");
        for key in keys.as_object().into_iter().flatten().map(|(key, _)| key) {
            assert!(described["properties"][key].is_object(), "{section}.{key}");
        }
    }
    assert_eq!(
        schema["properties"]["agent"]["properties"]["max_turns"]["default"],
        100
    );
}

#[test]
fn a_bad_file_prints_every_problem_with_its_line_and_no_secret() {
    let machine = Machine::new();
    let path = fixture("user/out-of-range.toml");
    let path = path.canonicalize().unwrap();
    let path = path.to_str().unwrap();
    // Beside the fixture, as the library's own tests have reviewed it.
    let reviewed = std::fs::read_to_string(fixture("user/out-of-range.snap")).unwrap();
    let problems: Vec<&str> = reviewed
        .lines()
        .filter_map(|line| line.strip_prefix("out-of-range.toml:"))
        .collect();
    assert!(problems.len() > 20);

    let output = finish(&mut machine.command(&["config", "check", "--config", path]));
    let told = expect_code(&output, 8);
    for problem in &problems {
        assert!(told.contains(&format!("{path}:{problem}")), "{problem}\n{told}");
    }
    assert!(told.contains(&format!("{} problems", problems.len())), "{told}");

    let output = finish(&mut machine.command(&["config", "check", "--config", path, "--output", "json"]));
    let value: Value = serde_json::from_str(&expect_code(&output, 8)).unwrap();
    assert_eq!(value["valid"], false);
    assert_eq!(value["problems"].as_array().unwrap().len(), problems.len());
    for problem in value["problems"].as_array().unwrap() {
        assert_eq!(problem["file"], path);
        assert!(problem["line"].as_u64().unwrap() > 1, "{problem}");
        assert!(!problem["valid"].as_str().unwrap().is_empty(), "{problem}");
    }

    // Every other command stops at the same problems.
    let mut written = told + &value.to_string();
    for command in [
        &["config", "show"][..],
        &["run", "Look around"],
        &["sessions", "list"],
    ] {
        let mut arguments = vec!["--config", path];
        arguments.extend(command);
        let output = finish(&mut machine.command(&arguments));
        expect_code(&output, 8);
        for problem in &problems {
            assert!(
                stderr(&output).contains(&format!("{path}:{problem}")),
                "{command:?}: {}",
                stderr(&output)
            );
        }
        assert!(
            stderr(&output).contains("config check"),
            "{command:?} says where to go on: {}",
            stderr(&output)
        );
        written += &(stdout(&output) + &stderr(&output));
    }
    assert!(
        !exists(&machine.data().join("sessions.db")),
        "nothing is begun with a configuration that is wrong"
    );
    for secret in ["hunter2", "T0P-SECRET", "sk-ant-canary"] {
        assert!(!written.contains(secret), "{secret} was printed");
    }
}

#[test]
fn a_key_that_does_not_exist_gets_a_suggestion() {
    let machine = Machine::new();
    write_config(&machine, "[agent]\nmax_turn = 7\n");
    let told = expect_code(&finish(&mut machine.command(&["config", "check"])), 8);
    assert!(
        told.contains(":2: agent.max_turn") && told.contains("max_turns"),
        "{told}"
    );
}

#[test]
fn the_environment_and_the_command_line_say_that_they_set_a_value() {
    let machine = Machine::new();
    write_config(&machine, "[agent]\nmax_turns = 7\n");
    let show = ["config", "show", "--origin", "--log-level", "error"];
    let mut command = machine.command(&show);
    let shown = expect_code(&finish(command.env("CLAUDE_AGENT__AGENT__MAX_TURNS", "9")), 0);
    let row = |key: &str| {
        shown
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    let turns = row("agent.max_turns ");
    assert!(
        turns.contains(" 9 ") && turns.ends_with("environment variable CLAUDE_AGENT__AGENT__MAX_TURNS"),
        "{turns}"
    );
    assert!(row("logging.level ").ends_with("command line"), "{shown}");
    assert!(
        row("deployment.data_directory ").ends_with("command line"),
        "{shown}"
    );
    assert!(
        row("agent.max_parallel_tools ").ends_with("built-in default"),
        "{shown}"
    );

    let mut command = machine.command(&["config", "check"]);
    let told = expect_code(&finish(command.env("CLAUDE_AGENT__AGENT__MAX_TURNS", "lots")), 8);
    assert!(
        told.contains("environment variable CLAUDE_AGENT__AGENT__MAX_TURNS: agent.max_turns"),
        "{told}"
    );
}

#[test]
fn a_project_cannot_send_the_key_elsewhere() {
    let machine = Machine::new();
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let address = trap.local_addr().unwrap();
    machine.write(
        ".claude-agent/config.toml",
        format!("[agent]\nmax_turns = 5\n\n[api]\nbase_url = \"http://{address}\"\n"),
    );
    for arguments in [
        &["run", "Look around"][..],
        &["config", "check"],
        &[
            "run",
            "--workspace",
            machine.workspace().to_str().unwrap(),
            "Look around",
        ],
    ] {
        let mut command = machine.command(arguments);
        command
            .env("ANTHROPIC_API_KEY", "test-key-never-printed")
            .current_dir(if arguments.len() > 2 {
                machine.home()
            } else {
                machine.workspace()
            });
        let output = finish(&mut command);
        let told = expect_code(&output, 8) + &stderr(&output);
        assert!(
            told.contains(".claude-agent/config.toml:5: api.base_url"),
            "{arguments:?}: {told}"
        );
        assert!(
            told.contains("CLAUDE_AGENT__API__BASE_URL"),
            "the way out is named: {told}"
        );
    }
    let nobody = trap.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "nothing connected");

    machine.write(".claude-agent/config.toml", "[agent]\nmax_turns = 5\n");
    let entry = &origins(&machine)["agent.max_turns"];
    assert_eq!(entry["layer"], "project", "what a project may set still counts");
}

#[test]
fn a_key_file_works_when_it_is_private_and_is_refused_when_others_can_read_it() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let key = machine.home().join("key");
    std::fs::write(&key, "key-from-a-file\n").unwrap();
    write_config(
        &machine,
        &format!(
            "[api]\nbase_url = \"{}\"\napi_key_file = \"{}\"\n",
            simulator.url,
            key.display()
        ),
    );
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();

    mode(0o644);
    let output = finish(&mut machine.command(&["run", "Look around"]));
    expect_code(&output, 8);
    let told = stderr(&output);
    assert!(
        told.contains("api.api_key_file") && told.contains("chmod 600"),
        "{told}"
    );
    assert!(!told.contains("key-from-a-file"), "{told}");

    mode(0o600);
    expect_code(&finish(&mut machine.command(&["run", "Look around"])), 0);
}

#[test]
fn a_bad_production_file_is_told_everything_at_once() {
    let machine = Machine::new();
    let folder = machine.home().join("secrets");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["tls.key", "signing.key", "api.key", "token"] {
        let path = folder.join(name);
        std::fs::write(&path, "hunter2-hunter2-hunter2-hunter2-hunter2").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    }
    let text = std::fs::read_to_string(fixture("production/everything-wrong.toml")).unwrap();
    let path = write_config(&machine, &text.replace("FOLDER", folder.to_str().unwrap()));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();

    let output = finish(
        machine
            .command(&["config", "check"])
            .env_remove("ANTHROPIC_API_KEY"),
    );
    let told = expect_code(&output, 8);
    for secret in ["hunter2", "T0P-SECRET"] {
        assert!(!told.contains(secret), "{told}");
    }
    // Each with its line, its key and value, and what would be right.
    let mut expected = 0;
    for (key, why) in [
        ("security.tls_key_path", "may be read by other users (mode 0644)"),
        (
            "security.rate_limit_requests_per_minute",
            "insecure in Production",
        ),
        ("security.max_request_size", "valid: "),
        ("security.request_signing_keys", "may be read by other users"),
        ("security.whitelist_enforcement_level", "insecure in Production"),
        ("security.whitelist:", "is not a known key"),
        ("logging.enable_audit_logging", "insecure in Production"),
        (
            "monitoring.alert_webhook_url",
            "stands in a file that may be read by other users",
        ),
        ("api.base_url", "not encrypted"),
        ("api.api_key_file", "may be read by other users"),
        ("api.idle_timeout", "valid: "),
        ("tools.allowed_commands", "can't be used"),
        ("tools.allowed_hosts", "can't be used"),
        ("tools.denied_paths", "can't be used"),
        ("server.listen", "can be reached from other machines"),
        ("server.token_file", "may be read by other users"),
        ("shared.redis_url", "insecure in Production"),
        (
            "shared.redis_url",
            "stands in a file that may be read by other users",
        ),
    ] {
        let (_, name) = key.trim_end_matches(':').rsplit_once('.').unwrap();
        let line = 1 + text
            .lines()
            .position(|line| line.starts_with(&format!("{name} = ")))
            .unwrap();
        let start = format!("{}:{line}: {key}", path.display());
        assert!(
            told.lines()
                .any(|line| line.starts_with(&start) && line.contains(why) && line.contains("; valid: ")),
            "{start} … {why}: {told}"
        );
        expected += 1;
    }
    assert!(told.ends_with(&format!("\n{expected} problems\n")), "{told}");
}
