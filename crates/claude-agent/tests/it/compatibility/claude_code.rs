//! Claude Code without a terminal: `claude -p`.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;

use super::client::modules;
use super::expect;
use super::rig::Rig;
use crate::support::{events, expect_code, finish, of_type, stdout};

/// The package has a program for each kind of machine, of which npm installs the one that fits.
fn program() -> PathBuf {
    let modules = modules("claude-code").unwrap_or_else(|error| panic!("{error}"));
    let folder = std::fs::read_dir(modules.join("@anthropic-ai")).unwrap();
    let mut programs = folder.map(|entry| entry.unwrap().path().join("claude"));
    programs
        .find(|path| path.is_file())
        .expect("npm installed no program for this machine")
}

/// In an empty home, with the daemon's token as its key.
fn claude(rig: &Rig, arguments: &[&str]) -> Command {
    let config = rig.machine.home().join("claude-config");
    std::fs::create_dir_all(&config).unwrap();
    let mut command = rig.command(program());
    command
        .env("ANTHROPIC_BASE_URL", &rig.url)
        .env("ANTHROPIC_API_KEY", &rig.token)
        .env("CLAUDE_CONFIG_DIR", config)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .args(arguments);
    command
}

fn stays_on_loopback(rig: &Rig) {
    assert!(!rig.strayed(), "it wanted to reach another host");
}

fn result(output: &Output) -> Value {
    let told = stdout(output);
    serde_json::from_str(told.trim()).unwrap_or_else(|error| panic!("{error}: {told}"))
}

#[test]
fn it_prints_an_answer() {
    let rig = Rig::start(&[]);
    let printed = expect_code(&finish(&mut claude(&rig, &["-p", "[plain] hello"])), 0);
    assert_eq!(printed.trim(), expect::PLAIN);
    let asked = rig.simulator.requests();
    let messages = asked
        .iter()
        .find(|request| request.path == "/v1/messages?beta=true");
    let messages = messages.expect("the query string goes upstream");
    let betas = messages.headers["anthropic-beta"].to_str().unwrap();
    assert!(betas.contains("claude-code-20250219"), "{betas}");
    assert_eq!(messages.headers["anthropic-version"], "2023-06-01");
    assert!(messages.headers.contains_key("x-app"), "{:?}", messages.headers);
    stays_on_loopback(&rig);
}

#[test]
fn it_runs_a_command_and_tells_every_step() {
    let rig = Rig::start(&[]);
    rig.machine.write("canary.txt", "the canary sings at dawn\n");
    let arguments = [
        "-p",
        "[bash] look and write",
        "--output-format",
        "stream-json",
        "--verbose",
        "--allowedTools",
        "Bash",
        "--max-turns",
        "4",
    ];
    let told = events(&expect_code(&finish(&mut claude(&rig, &arguments)), 0));
    let calls: Vec<&Value> = of_type(&told, "assistant")
        .into_iter()
        .flat_map(|event| event["message"]["content"].as_array().unwrap())
        .filter(|block| block["type"] == "tool_use")
        .collect();
    assert_eq!(calls.len(), 1, "{told:?}");
    assert_eq!(calls[0]["name"], "Bash");
    assert_eq!(rig.machine.read("made.txt"), "made\n", "the command really ran");
    let results = of_type(&told, "user");
    assert!(
        results
            .iter()
            .any(|event| event.to_string().contains("the canary sings at dawn")),
        "{results:?}"
    );
    let last = told.last().unwrap();
    assert_eq!(last["type"], "result", "{last}");
    assert_eq!(last["result"], "The command ran.");
    stays_on_loopback(&rig);
}

#[test]
fn a_key_as_bearer_and_a_model_of_choice_work_as_well() {
    let rig = Rig::start(&[]);
    let mut command = claude(
        &rig,
        &[
            "-p",
            "[plain] hello",
            "--model",
            "haiku",
            "--output-format",
            "json",
        ],
    );
    command
        .env_remove("ANTHROPIC_API_KEY")
        .env("ANTHROPIC_AUTH_TOKEN", &rig.token);
    let output = finish(&mut command);
    expect_code(&output, 0);
    assert_eq!(result(&output)["result"], expect::PLAIN);
    let asked = rig.simulator.requests();
    assert!(
        asked
            .iter()
            .filter_map(|request| request.json())
            .any(|body| body["model"] == "claude-haiku-5-5"),
        "the model goes upstream"
    );
}

#[test]
fn it_comes_back_after_an_overload_and_gives_up_on_what_stays_wrong() {
    let rig = Rig::start(&[]);
    let begun = Instant::now();
    let printed = expect_code(&finish(&mut claude(&rig, &["-p", "[retry-after] hello"])), 0);
    assert_eq!(printed.trim(), "After a wait.");
    assert!(begun.elapsed().as_secs_f64() > 0.9, "it waited as it was told");

    let output = finish(&mut claude(
        &rig,
        &["-p", "[status-529] hello", "--output-format", "json"],
    ));
    assert_ne!(output.status.code(), Some(0));
    let told = result(&output);
    assert_eq!(told["is_error"], true, "{told}");
    assert!(told["result"].as_str().unwrap().contains("529"), "{told}");
}

#[test]
fn an_answer_that_breaks_is_asked_for_again() {
    let rig = Rig::start(&[]);
    let printed = expect_code(&finish(&mut claude(&rig, &["-p", "[break-once] hello"])), 0);
    assert_eq!(printed.trim(), "Whole at last.");
}

#[test]
fn it_counts_what_its_context_takes() {
    let rig = Rig::start(&[]);
    let printed = expect_code(&finish(&mut claude(&rig, &["-p", "/context"])), 0);
    assert!(printed.contains("Context Usage"), "{printed}");
    let asked = rig.simulator.requests();
    let counts = asked
        .iter()
        .filter(|request| request.path == "/v1/messages/count_tokens?beta=true");
    assert!(counts.count() > 3, "tokens are counted upstream");
}

#[test]
fn a_wrong_key_is_said_to_be_one() {
    let rig = Rig::start(&[]);
    let mut command = claude(&rig, &["-p", "[wrong-key] hello", "--output-format", "json"]);
    let output = finish(command.env("ANTHROPIC_API_KEY", "wrong"));
    assert_ne!(output.status.code(), Some(0));
    let told = result(&output);
    assert_eq!(told["is_error"], true, "{told}");
    assert!(rig.simulator.requests().is_empty(), "nothing of it goes upstream");
    stays_on_loopback(&rig);
}
