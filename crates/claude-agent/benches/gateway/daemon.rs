//! The daemon: the built program, with credentials, limits and metrics on.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::cpu::cpu_of;
use super::load::Target;

const PROGRAM: &str = env!("CARGO_BIN_EXE_claude-agent");
const START_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Daemon {
    child: Child,
    pub(crate) target: Target,
    /// From before the process was started until it said that it is ready.
    pub(crate) ready: Duration,
}

/// What is different from the configuration that most figures are measured with.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Messages {
    Cached,
    Fresh,
}

impl Daemon {
    pub(crate) fn start(data: &Path, upstream: SocketAddr, messages: Messages) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let file = configuration(data, upstream, messages);
        let begun = Instant::now();
        let mut child = Command::new(PROGRAM)
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{port}"), "--log-level", "error"])
            .arg("--config")
            .arg(&file)
            .arg("--data-dir")
            .arg(data)
            .env_remove("ANTHROPIC_BASE_URL")
            .env("ANTHROPIC_API_KEY", "sk-ant-bench")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let ready = until_ready(address, begun);
        // What it says about itself is read, so that it never waits for a full pipe.
        std::thread::spawn(move || {
            let mut line = String::new();
            while told.read_line(&mut line).is_ok_and(|read| read > 0) {
                line.clear();
            }
        });
        let key = std::fs::read_to_string(data.join("token")).unwrap();
        Self {
            child,
            target: Target {
                address,
                key: key.trim().to_owned(),
            },
            ready,
        }
    }

    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// In bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks `/readyz` until it answers 200.
fn until_ready(address: SocketAddr, begun: Instant) -> Duration {
    use std::io::{Read, Write};
    loop {
        assert!(
            begun.elapsed() < START_DEADLINE,
            "the daemon is not ready on {address}"
        );
        if let Ok(mut stream) = TcpStream::connect(address) {
            let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            if answer.starts_with(b"HTTP/1.1 200") {
                return begun.elapsed();
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn configuration(data: &Path, upstream: SocketAddr, messages: Messages) -> PathBuf {
    let mut text = String::new();
    let cached = messages == Messages::Cached;
    write!(
        text,
        "[api]\nbase_url = \"http://{upstream}\"\n\
         [performance]\nmax_concurrent_requests = 10000\nconnection_pool_size = 10000\ncache_messages = {cached}\n\
         [security]\nrate_limit_requests_per_minute = 1000000\n\
         [server]\nmax_connections = 10000\n"
    )
    .unwrap();
    let file = data.join("bench.toml");
    std::fs::write(&file, text).unwrap();
    file
}
