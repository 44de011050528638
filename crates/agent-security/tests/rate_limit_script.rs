//! The script against a real Redis server: it decides as the library does.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent_security::rate_limit::{Decision, GCRA_LUA, Gcra};

/// A server of its own on a socket in a folder of its own; gone with the test.
struct Redis {
    child: Child,
    folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(folder.path().join("redis.sock"))
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("redis-server can't be started ({error}); install Debian's redis-server")
            });
        Self { child, folder }
    }

    fn connect(&self) -> Client {
        let begun = Instant::now();
        loop {
            match UnixStream::connect(self.folder.path().join(Path::new("redis.sock"))) {
                Ok(stream) => return Client(BufReader::new(stream)),
                Err(error) if begun.elapsed() > Duration::from_secs(30) => {
                    panic!("redis-server is not there: {error}")
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

struct Client(BufReader<UnixStream>);

impl Client {
    /// The numbers of an answer that is an array of four.
    fn call(&mut self, words: &[&str]) -> [i64; 4] {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let head = self.line();
        assert_eq!(head, "*4", "{head}");
        std::array::from_fn(|_| self.line().strip_prefix(':').unwrap().parse().unwrap())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

#[test]
fn the_script_decides_as_the_library_does() {
    let redis = Redis::start();
    let mut client = redis.connect();
    // The same script with a clock of ours in place of the server's.
    let clock = "local time = redis.call('TIME')";
    assert!(GCRA_LUA.contains(clock));
    let script = GCRA_LUA.replace(clock, "local time = {ARGV[3], ARGV[4]}");
    let start = Duration::from_secs(1_795_000_000);
    // Long times: no key may really expire while the test is slow.
    for (key, emission_us, burst) in [
        ("even", 600_000_000, 100),
        ("odd", 857_142_901, 7),
        ("single", 1_000_000_000, 1),
    ] {
        let gcra = Gcra::new(
            Duration::from_micros(emission_us),
            NonZeroU32::new(burst).unwrap(),
        );
        let [emission, size] = gcra.script_arguments();
        let (mut now, mut tat) = (start, Duration::ZERO);
        for step in 0..400_u64 {
            // Bursts, even stretches, and pauses.
            now += Duration::from_micros(
                [0, 0, emission_us / 3, emission_us, emission_us * 2 + 1][(step * step % 5) as usize],
            );
            let (expected, next) = gcra.decide(tat, now);
            tat = next;
            let (seconds, micros) = (now.as_secs().to_string(), now.subsec_micros().to_string());
            let answer = client.call(&["EVAL", &script, "1", key, &emission, &size, &seconds, &micros]);
            assert_eq!(
                Decision::from_script(answer),
                Some(expected),
                "{key}, step {step}: {answer:?}"
            );
        }
    }
}

#[test]
fn by_the_servers_clock_a_limit_is_shared_exactly_and_keys_expire() {
    let redis = Redis::start();
    let gcra = Gcra::new(Duration::from_secs(3600), NonZeroU32::new(50).unwrap());
    let [emission, burst] = gcra.script_arguments();
    let served: usize = std::thread::scope(|scope| {
        let replicas: Vec<_> = (0..4)
            .map(|_| {
                let mut client = redis.connect();
                let (emission, burst) = (&emission, &burst);
                let mut served =
                    move || client.call(&["EVAL", GCRA_LUA, "1", "shared", emission, burst])[0] == 1;
                scope.spawn(move || (0..40).filter(|_| served()).count())
            })
            .collect();
        replicas.into_iter().map(|replica| replica.join().unwrap()).sum()
    });
    assert_eq!(served, 50);

    let mut client = redis.connect();
    let short = Gcra::new(Duration::from_millis(30), NonZeroU32::MIN);
    let [emission, burst] = short.script_arguments();
    let first =
        Decision::from_script(client.call(&["EVAL", GCRA_LUA, "1", "short", &emission, &burst])).unwrap();
    assert!(first.allowed);
    let begun = Instant::now();
    let gone = "local left = redis.call('EXISTS', KEYS[1]) return {left, 0, 0, 0}";
    while client.call(&["EVAL", gone, "1", "short"])[0] == 1 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the key stays");
        std::thread::sleep(Duration::from_millis(5));
    }
}
