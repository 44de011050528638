//! A real `redis-server` on a free port of the loopback, which ends with the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server starts in some tens of milliseconds; a busy machine gets this long.
const START: Duration = Duration::from_secs(20);

/// Another process may take the port between its choice and its use.
const ATTEMPTS: usize = 5;

pub(crate) struct RedisServer {
    child: Option<Child>,
    address: SocketAddr,
    password: Option<String>,
    folder: tempfile::TempDir,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    pub(crate) fn with_password(password: &str) -> Self {
        Self::start_with(Some(password.to_owned()))
    }

    fn start_with(password: Option<String>) -> Self {
        for _ in 0..ATTEMPTS {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut server = RedisServer {
                child: None,
                address: free.local_addr().unwrap(),
                password: password.clone(),
                folder: tempfile::tempdir().unwrap(),
            };
            drop(free);
            if server.try_revive() {
                return server;
            }
        }
        panic!("redis-server did not start; is it installed (Debian: redis-server)?");
    }

    pub(crate) fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@{}", self.address),
            None => format!("redis://{}", self.address),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it as `kill -9` does; what it held is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again where it was, empty.
    pub(crate) fn revive(&mut self) {
        assert!(self.try_revive(), "redis-server did not start again");
    }

    /// Stops it without ending it, as a frozen machine is: connections stay open and nobody answers. `thaw` ends that.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// What `redis-cli` would say: one command, its raw answer.
    pub(crate) fn ask(&self, parts: &[&[u8]]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(START)).unwrap();
        if let Some(password) = &self.password {
            stream
                .write_all(&encode(&[b"AUTH", password.as_bytes()]))
                .unwrap();
            let mut ok = [0; 5];
            stream.read_exact(&mut ok).unwrap();
        }
        stream.write_all(&encode(parts)).unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the test's own server, ended by its own hand"
    )]
    fn try_revive(&mut self) -> bool {
        // Ends with the test's thread, should the test be killed before it can clean up.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--port"])
            .arg(self.address.port().to_string())
            .arg("--dir")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null());
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        let mut child = command.spawn().expect("setpriv (util-linux) runs");
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if answers(self.address) {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    }

    #[expect(clippy::disallowed_methods, reason = "signals the test's own child by its id")]
    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _killed = child.kill();
            let _ended = child.wait();
        }
    }
}

fn answers(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) else {
        return false;
    };
    let mut byte = [0];
    // `+PONG`, or `-NOAUTH`: both say that it is there.
    stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && stream.write_all(&encode(&[b"PING"])).is_ok()
        && stream.read_exact(&mut byte).is_ok()
}

fn encode(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out
}
