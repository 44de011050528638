//! A daemon in front of a simulator, both on loopback, gone at the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;

use agent_config::Secret;
use agent_security::token;
use agent_simulator::{Scenario, Simulator, SimulatorConfig};
use tokio::runtime::Runtime;

use crate::support::{DEADLINE, Machine};

/// The key that the daemon shows upstream; no client may need it, or see it.
pub(crate) const UPSTREAM_KEY: &str = "upstream-key-for-the-daemon-alone";

/// What a client is pointed at.
pub(crate) struct Rig {
    daemon: Child,
    pub(crate) machine: Machine,
    pub(crate) simulator: Simulator,
    pub(crate) url: String,
    pub(crate) token: String,
    trap: TcpListener,
    // Last: the simulator lives on it.
    _runtime: Runtime,
}

impl Rig {
    /// With these settings as environment variables, over a limit that no client here meets.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let machine = Machine::new();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        // Made before the daemon, which finds it as a second start does: the simulator must know what to refuse.
        let kept = token::load_or_create(&machine.data().join("token")).unwrap();
        let token = kept.token.secret().expose().to_owned();
        let config = SimulatorConfig {
            scenario: Some(
                Scenario::load(&repository().join("fixtures/scenarios/compatibility.toml")).unwrap(),
            ),
            // A daemon that passed a client's credential on would be told 401.
            revoked_keys: vec![Secret::from(token.clone())],
            ..SimulatorConfig::default()
        };
        let simulator = runtime.block_on(Simulator::bind(config)).unwrap();
        let (daemon, url) = serve(&machine, &simulator.base_url(), settings);
        Self {
            daemon,
            machine,
            simulator,
            url,
            token,
            trap: trap(),
            _runtime: runtime,
        }
    }

    /// A program with nothing but this rig's folders in its environment. What it sends to other hosts goes to a trap, as far
    /// as it heeds the variables for proxies; see [`strayed`](Self::strayed).
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        self.machine.furnish(&mut command);
        let trap = format!("http://{}", self.trap.local_addr().unwrap());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env(name, &trap);
        }
        for name in ["NO_PROXY", "no_proxy"] {
            command.env(name, "127.0.0.1,localhost");
        }
        command
            // The scripts lie in the repository, which is no place for what Python compiles.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("GATEWAY_URL", &self.url)
            .env("GATEWAY_KEY", &self.token);
        command
    }

    /// Whether a client wanted to reach a host beyond loopback.
    pub(crate) fn strayed(&self) -> bool {
        self.trap.accept().is_ok()
    }

    /// The body of what the daemon answers to a GET with its token.
    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> String {
        let address = self.url.strip_prefix("http://").unwrap();
        http_get(
            address,
            path,
            &[&[&*format!("authorization: Bearer {}", self.token)], headers].concat(),
        )
        .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// The body of a plain request that is answered with 200. HTTP/1.0, so that it comes as it is and the connection closes.
pub(crate) fn http_get(address: &str, path: &str, headers: &[&str]) -> Result<String, String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(format!("GET {path}: {answer}")),
    }
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn trap() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// Starts the daemon and waits until it says where it listens.
fn serve(machine: &Machine, upstream: &str, settings: &[(&str, &str)]) -> (Child, String) {
    let mut command = machine.command(&["serve", "--quiet"]);
    command
        .env("ANTHROPIC_BASE_URL", upstream)
        .env("ANTHROPIC_API_KEY", UPSTREAM_KEY)
        .env("CLAUDE_AGENT__SERVER__LISTEN", "127.0.0.1:0")
        // Its questions to the API would stand among those of the clients.
        .env("CLAUDE_AGENT__MONITORING__ENABLE_HEALTH_CHECKS", "false")
        .env("CLAUDE_AGENT__SECURITY__RATE_LIMIT_REQUESTS_PER_MINUTE", "0")
        .envs(settings.iter().copied());
    // Its warnings are many here, on purpose.
    let log = machine.home().join("daemon.log");
    let errors = std::fs::File::create(&log).unwrap();
    let mut daemon = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    let output = daemon.stdout.take().unwrap();
    let (sender, receiver) = sync_channel(1);
    // The thread ends with the daemon, whose output it drains.
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            sender.try_send(line).ok();
        }
    });
    let Ok(line) = receiver.recv_timeout(DEADLINE) else {
        daemon.kill().ok();
        daemon.wait().ok();
        panic!(
            "the daemon never said where it listens: {}",
            std::fs::read_to_string(log).unwrap()
        );
    };
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap_or_else(|| panic!("no address in {line:?}"))
        .to_owned();
    (daemon, url)
}

#[test]
fn a_client_that_strays_is_caught() {
    let rig = Rig::start(&[]);
    assert!(!rig.strayed());
    let ask = "import urllib.request; urllib.request.urlopen('http://elsewhere.invalid/', timeout=0.5)";
    let output = crate::support::finish(rig.command("python3").args(["-c", ask]));
    assert!(!output.status.success());
    assert!(rig.strayed());
}
