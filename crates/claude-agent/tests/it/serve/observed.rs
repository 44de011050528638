//! What an operator sees of a running daemon.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Daemon, question};
use crate::support::{Machine, Simulator, expect_code, finish, stderr, wait_until};

#[test]
fn metrics_shows_a_daemon_with_what_it_served() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    for _ in 0..3 {
        daemon.post("/v1/messages", &question("Hello")).expect(200);
    }
    let mut found = Value::Null;
    wait_until("the figures are published", || {
        let told = expect_code(&finish(&mut machine.command(&["metrics", "--output", "json"])), 0);
        found = serde_json::from_str(&told).unwrap();
        let series = found["processes"][0]["series"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        series
            .iter()
            .any(|one| one["name"] == "http.server.request.duration" && one["count"].as_f64() >= Some(3.0))
    });
    assert_eq!(found["processes"][0]["running"], true);
    assert_eq!(found["processes"][0]["pid"], daemon.pid());
    daemon.signal("TERM");
    expect_code(&daemon.output(), 0);
    let told = expect_code(&finish(&mut machine.command(&["metrics", "--output", "json"])), 0);
    let found: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(found["processes"][0]["running"], false);
}

#[test]
fn a_scraper_gets_the_same_figures() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    daemon.post("/v1/messages", &question("Hello")).expect(200);
    let mut text = String::new();
    wait_until("the process has looked at itself", || {
        text = daemon.get("/metrics").expect(200).text();
        text.contains("process_resident_memory_bytes")
    });
    assert!(
        text.contains("http_server_request_duration_seconds_count"),
        "{text}"
    );
}

#[test]
fn requests_are_logged_when_that_is_asked_for_and_never_with_a_secret() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let mut command = super::command(&machine, &simulator, &[]);
    command.args(["--log-level", "debug"]);
    let daemon = Daemon::start_command(&machine, command);
    let token = daemon.token();
    daemon
        .post("/v1/messages", &question("canary-in-the-prompt"))
        .expect(200);
    daemon
        .stranger("GET", "/v1/models")
        .header("x-api-key", "canary-wrong-token")
        .send(daemon.connect())
        .expect(401);
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    let said = stderr(&output);
    assert!(said.contains("/v1/messages"), "{said}");
    for secret in [token.as_str(), "test-key-never-printed", "canary"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    let lines = said.lines().filter(|line| line.starts_with('{'));
    let logged: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let routes = logged
        .iter()
        .filter(|line| line["route"] == "/v1/messages" && line["status"] == 200);
    assert_eq!(routes.count(), 1, "{said}");
}

#[test]
fn quiet_means_the_address_alone() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let mut command = super::command(&machine, &simulator, &[]);
    command.args(["--quiet", "--log-level", "error"]);
    let daemon = Daemon::start_command(&machine, command);
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    assert_eq!(stderr(&output), "");
}

/// The folder of a process that does nothing is looked at, not its processor time: other tests share the machine.
#[test]
fn a_daemon_that_waits_writes_nothing() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    let file = machine.data().join(format!("metrics/{}.json", daemon.pid()));
    let changed = || file.metadata().and_then(|about| about.modified()).ok();
    wait_until("the first figures", || changed().is_some());
    // The start itself counts as work done; then there is none.
    let start = Instant::now();
    let mut before = (changed(), start);
    while before.1.elapsed() < Duration::from_secs(6) {
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "written again and again"
        );
        std::thread::sleep(Duration::from_millis(100));
        if changed() != before.0 {
            before = (changed(), Instant::now());
        }
    }
}
