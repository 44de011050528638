//! A configuration that can't be read, or is wrong. What `config check` prints is tested in `config.rs`.

use super::refused;
use crate::support::{Machine, exists};

#[test]
fn a_configuration_that_cannot_be_read_ends_every_command_that_needs_it() {
    let machine = Machine::new();
    let file = |name: &str| machine.home().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(file("folder")).unwrap();
    std::fs::write(file("latin1.toml"), b"[agent]\nmax_turns = 5\n# gr\xf6sse\n").unwrap();
    std::fs::write(file("large.toml"), "#".repeat(20 * 1024 * 1024)).unwrap();
    std::fs::write(file("syntax.toml"), "[agent\nmax_turns = 5\n").unwrap();
    for (name, part) in [
        ("folder", "cannot be read"),
        ("latin1.toml", "not UTF-8"),
        ("large.toml", "larger than"),
        ("syntax.toml", "is not TOML"),
        ("missing.toml", "does not exist"),
    ] {
        let path = file(name);
        for command in [
            &["run", "Look around"][..],
            &["sessions", "list"],
            &["config", "show"],
        ] {
            let mut arguments = vec!["--config", path.as_str()];
            arguments.extend(command);
            let mut command = machine.command(&arguments);
            refused(command.env("ANTHROPIC_API_KEY", "k"), 8, &[&path, part, "valid:"]);
        }
    }
    assert!(!exists(&machine.data().join("sessions.db")), "nothing is begun");
}

#[test]
fn all_problems_of_all_layers_are_told_at_once() {
    let machine = Machine::new();
    let path = machine.home().join("agent.toml");
    std::fs::write(
        &path,
        "[agent]\nmax_turns = 0\ncolour = \"red\"\n\n[api]\nmodel = 7\n",
    )
    .unwrap();
    machine.write(
        ".claude-agent/config.toml",
        "[tools]\ncommand_timeout = \"soon\"\n",
    );
    let path = path.to_str().unwrap();
    let project = machine.workspace().join(".claude-agent/config.toml");
    let mut command = machine.command(&["--config", path, "run", "Look around"]);
    command
        .env("CLAUDE_AGENT__LOGGING__LEVEL", "loud")
        .env("ANTHROPIC_API_KEY", "k");
    let places = [
        format!("{path}:2: agent.max_turns = 0"),
        format!("{path}:3: agent.colour"),
        format!("{path}:6: api.model = 7"),
        format!("{}:2: tools.command_timeout = \"soon\"", project.display()),
        "environment variable CLAUDE_AGENT__LOGGING__LEVEL: logging.level".to_owned(),
    ];
    refused(&mut command, 8, &places.each_ref().map(String::as_str));
}
