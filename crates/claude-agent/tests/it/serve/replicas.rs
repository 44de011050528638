//! Two daemons with one real Redis between them: they share a limit and a cache, and go on when it is gone.

use std::process::{Child, Command, Stdio};

use super::{Daemon, question};
use crate::support::{Machine, Simulator, wait_until};

/// A `redis-server` of this test's own.
struct Redis {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Redis {
    fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        Self {
            child: Self::run(port, folder.path()),
            folder,
            port,
        }
    }

    fn run(port: u16, folder: &std::path::Path) -> Child {
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is there: `cargo xtask test` installs it");
        wait_until("redis listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        child
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    fn stop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    fn restart(&mut self) {
        self.child = Self::run(self.port, self.folder.path());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Two daemons that know the same token, as replicas behind one address do, and that have reached the store.
fn replicas(
    machines: &[Machine; 2],
    simulator: &Simulator,
    redis: &Redis,
    more: &[(&str, &str)],
) -> [Daemon; 2] {
    let url = redis.url();
    let variables = [&[("SHARED__REDIS_URL", url.as_str())], more].concat();
    let daemons = machines.each_ref().map(|machine| {
        let file = machine.data().join("token");
        std::fs::write(&file, "cdagent_0123456789012345678901234567890123456789").unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Daemon::start_with(machine, simulator, &variables)
    });
    for daemon in &daemons {
        wait_until("the store is reached", || is_up(daemon));
    }
    daemons
}

fn is_up(daemon: &Daemon) -> bool {
    let told = daemon.get("/readyz?verbose").expect(200);
    told.text().contains("[+]shared")
}

#[test]
fn an_answer_of_one_is_served_by_the_other() {
    let (redis, simulator) = (Redis::start(), Simulator::start(&[]));
    let machines = [Machine::new(), Machine::new()];
    let more = [
        ("PERFORMANCE__CACHE_MESSAGES", "true"),
        ("SECURITY__RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
    ];
    let [one, other] = replicas(&machines, &simulator, &redis, &more);
    let first = one.post("/v1/messages", &question("What is shared?")).expect(200);
    assert_eq!(first.header("x-cache"), Some("miss"));
    // The store is written to behind the answer's back; then nobody is left who could answer anew.
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(simulator);
    let again = other
        .post("/v1/messages", &question("What is shared?"))
        .expect(200);
    assert_eq!(again.body, first.body);
}

#[test]
fn a_limit_is_one_for_all_and_each_goes_on_alone_when_the_store_is_gone() {
    const LIMIT: usize = 40;
    let (mut redis, simulator) = (Redis::start(), Simulator::start(&[]));
    let machines = [Machine::new(), Machine::new()];
    let limit = LIMIT.to_string();
    let more = [("SECURITY__RATE_LIMIT_REQUESTS_PER_MINUTE", limit.as_str())];
    let daemons = replicas(&machines, &simulator, &redis, &more);
    let start = std::time::Instant::now();
    let mut served = 0;
    for turn in 0..2 * LIMIT {
        let answer = daemons[turn % 2].get("/v1/models");
        match answer.status {
            200 => served += 1,
            429 => assert!(answer.header("retry-after").is_some()),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    // What the passing time allowed meanwhile comes on top.
    let refilled = start.elapsed().as_secs() as usize * LIMIT / 60 + 1;
    assert!(served <= LIMIT + refilled, "{served} in {:?}", start.elapsed());

    redis.stop();
    for daemon in &daemons {
        wait_until("it goes on alone", || daemon.get("/v1/models").status == 200);
        wait_until("it says so, and stays ready", || !is_up(daemon));
    }
    redis.restart();
    for daemon in &daemons {
        wait_until("it recovers", || is_up(daemon));
    }
}
