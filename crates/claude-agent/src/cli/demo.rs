//! `demo`: a sample task on a sample folder, with simulated answers. Needs no key and no network, and leaves nothing behind.

use std::io;
use std::path::Path;
use std::time::Duration;

use agent_config::Sources;
use agent_config::environment::Environment;
use agent_security::redact::Redactor;
use agent_simulator::{Latency, Simulator, SimulatorConfig};

use super::exit::Exit;
use super::output::{self, Style};
use super::run::{self, RunFormat};
use super::{Failure, toml_string};
use crate::app::{App, Keys, Presence};

/// The sample folder, as names and contents.
const SAMPLE: &[(&str, &str)] = &[
    ("README.md", include_str!("../../demo/README.md")),
    ("greeter.py", include_str!("../../demo/greeter.py")),
    ("test.sh", include_str!("../../demo/test.sh")),
    (
        "notes/languages.md",
        include_str!("../../demo/notes/languages.md"),
    ),
];

const TASK: &str = "Look around, then search for TODO, then count the lines of greeter.py, \
                    then replace 'Helo' with 'Hello' in greeter.py, then run `sh test.sh`";

/// Between two pieces of an answer: slow enough to be seen streaming, fast enough to be over in seconds.
const TOKEN_DELAY: Duration = Duration::from_millis(8);

pub(super) async fn execute(redactor: &Redactor, quiet: bool) -> Result<Exit, Failure> {
    let folder = tempfile::Builder::new()
        .prefix("claude-agent-demo-")
        .tempdir()
        .map_err(unusable)?;
    let workspace = folder.path().join("workspace");
    lay_out(&workspace).map_err(unusable)?;

    let config = SimulatorConfig {
        token_delay: Latency::Fixed(TOKEN_DELAY),
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::bind(config).await?;
    if !quiet {
        introduce(&workspace);
    }
    let done = play(&simulator.base_url(), folder.path(), &workspace, redactor, quiet).await;
    simulator.stop().await;
    if !quiet {
        output::note(
            "\nThat was a simulation. With a key it is the same program and the real Claude:\n  \
             export ANTHROPIC_API_KEY=…\n  claude-agent run --workspace DIR \"your task\"      claude-agent chat",
        );
    }
    done
}

fn introduce(workspace: &Path) {
    let Style { bold, dim, reset, .. } = Style::for_notes();
    output::note(&format!(
        "{bold}A sample task on a sample folder. Answers are simulated: no Claude, no key, no network.{reset}"
    ));
    output::note(&format!("{dim}folder {}{reset}", workspace.display()));
    output::note(&format!("{bold}❯ {TASK}{reset}"));
}

/// The real agent with the configuration's defaults, and nothing of the user's own: neither key nor sessions.
async fn play(
    base_url: &str,
    data: &Path,
    workspace: &Path,
    redactor: &Redactor,
    quiet: bool,
) -> Result<Exit, Failure> {
    let environment = Environment::from_process();
    let kept = ["PATH", "HOME", "LANG", "TMPDIR"]
        .iter()
        .filter_map(|&name| Some((name, environment.get(name)?)));
    let sources = Sources {
        environment: Environment::from_pairs(kept.chain([("ANTHROPIC_API_KEY", "simulated")])),
        flags: [
            ("api.base_url", toml_string(base_url)),
            (
                "deployment.data_directory",
                toml_string(&data.join("data").display().to_string()),
            ),
            ("agent.permission_mode", toml_string("policy")),
            // The one command of the sample task; without it the policy would warn about it, rightly.
            ("tools.allowed_commands", "[\"sh test.sh\"]".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec(),
        ..Sources::default()
    };
    let loaded = agent_config::load(&sources)?;
    let keys = Keys::open(&loaded, &sources.environment, redactor).await?;
    let app = App::build(
        &loaded,
        &environment,
        &keys,
        None,
        Some(workspace),
        Presence::Nobody,
    )
    .await?;
    run::execute_in(app, TASK.to_owned(), RunFormat::Text, quiet).await
}

fn lay_out(workspace: &Path) -> io::Result<()> {
    for (name, content) in SAMPLE {
        let path = workspace.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, content)?;
    }
    Ok(())
}

fn unusable(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the sample folder can't be made: {error}"))
        .advise("set TMPDIR to a folder that you may write")
}
