//! Prometheus itself on the daemon's metrics: its checker, its scraper, and the rules and dashboard that are shipped.

mod shipped;

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::compatibility::rig::{Rig, http_get};
use crate::support::{Machine, finish_child, stderr, stdout, wait_until};

/// Where a scraper says which format it takes.
const OPENMETRICS: &str = "accept: application/openmetrics-text; version=1.0.0";

/// A daemon that has something to tell.
fn used() -> Rig {
    let rig = Rig::start(&[]);
    let mut asked = rig.command("python3");
    asked.args(["-c", ASK]);
    let output = crate::support::finish(&mut asked);
    assert!(output.status.success(), "{}", stderr(&output));
    rig
}

/// Two answered messages and a refused one, with nothing but Python's own library.
const ASK: &str = r#"
import json, os, urllib.error, urllib.request
def ask(key):
    body = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "[plain]"}]}
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    url = os.environ["GATEWAY_URL"] + "/v1/messages"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=30).read()
ask(os.environ["GATEWAY_KEY"])
ask(os.environ["GATEWAY_KEY"])
try:
    ask("wrong")
    raise SystemExit("a wrong key was let in")
except urllib.error.HTTPError as error:
    assert error.code == 401, error
"#;

#[test]
fn promtool_has_nothing_against_the_metrics() {
    let rig = used();
    let metrics = rig.get("/metrics", &[]);
    let output = promtool(&metrics);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output) + &stderr(&output), "", "nothing to better either");
}

#[test]
fn promtool_would_have_something_against_broken_metrics() {
    let output = promtool("# TYPE a_total counter\na_total 1\na_total 2\n");
    assert!(!output.status.success());
}

fn promtool(metrics: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there; `cargo xtask setup` installs it");
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    finish_child(child)
}

#[test]
fn openmetrics_comes_to_whoever_asks_for_it() {
    let rig = used();
    let metrics = rig.get("/metrics", &[OPENMETRICS]);
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(!rig.get("/metrics", &[]).contains("# EOF"));
}

#[test]
fn a_prometheus_scrapes_the_daemon() {
    let rig = used();
    let prometheus = Prometheus::start(&rig);
    // It asks for OpenMetrics by itself and drops a whole scrape for one line that it can't read.
    wait_until("the daemon is up for Prometheus", || {
        prometheus.value("up{job=\"claude-agent\"}") == Some(1.0)
    });
    let exposed = rig.get("/metrics", &[]);
    let name = exposed
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .find(|name| name.ends_with("requests_total") && !name.starts_with('#'))
        .unwrap_or_else(|| panic!("no counter of requests: {exposed}"));
    let query = format!("sum({name})");
    wait_until("the requests are in its store", || {
        prometheus.value(&query).is_some_and(|count| count >= 2.0)
    });
    // Counters go on rising under its eyes.
    rig.get("/metrics", &[]);
    wait_until("memory is told", || {
        prometheus
            .value("process_resident_memory_bytes{job=\"claude-agent\"}")
            .is_some_and(|bytes| bytes > 1_000_000.0)
    });
}

/// A Prometheus on loopback, ended when dropped.
struct Prometheus {
    child: Child,
    address: String,
    _folder: Machine,
}

impl Prometheus {
    fn start(rig: &Rig) -> Self {
        Self::with_rules(rig, None)
    }

    /// The same with a file of rules, which it evaluates all the time.
    fn with_rules(rig: &Rig, rules: Option<&Path>) -> Self {
        let folder = Machine::new();
        let rules = rules.map_or(String::new(), |file| {
            format!("rule_files: ['{}']\n", file.display())
        });
        let target = rig.url.strip_prefix("http://").unwrap();
        folder.write(
            "prometheus.yml",
            format!(
                "global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  evaluation_interval: 500ms\n{rules}scrape_configs:\n  - job_name: claude-agent\n    \
                 authorization:\n      credentials_file: token\n    static_configs:\n      - targets: ['{target}']\n"
            ),
        );
        folder.write("token", &rig.token);
        // It takes no port 0, so another program could take this one first; then it ends and the test says so.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("prometheus");
        folder.furnish(&mut command);
        let child = command
            .args([
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=store",
                "--log.level=warn",
            ])
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus is there; `cargo xtask setup` installs it");
        let mut prometheus = Self {
            child,
            address: free.to_string(),
            _folder: folder,
        };
        wait_until("Prometheus listens", || {
            assert!(
                prometheus.child.try_wait().unwrap().is_none(),
                "Prometheus ended by itself"
            );
            std::net::TcpStream::connect(free).is_ok()
        });
        prometheus
    }

    /// The value of a query that has one, at this moment.
    fn value(&self, query: &str) -> Option<f64> {
        self.query(query).ok()?["data"]["result"][0]["value"][1]
            .as_str()?
            .parse()
            .ok()
    }

    /// What it answers to a query. While it starts it answers that it does, which is an error, too.
    fn query(&self, query: &str) -> Result<Value, String> {
        let escaped: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        self.get(&format!("/api/v1/query?query={escaped}"))
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let answer = http_get(&self.address, path, &[])?;
        Ok(serde_json::from_str(&answer).unwrap())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
