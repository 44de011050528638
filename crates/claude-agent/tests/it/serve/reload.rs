//! Reading the configuration again while the daemon runs.

use serde_json::{Value, json};

use super::Daemon;
use super::wire::{Answer, Request};
use crate::support::{Machine, Simulator, expect_code, finish, wait_until};

fn configure(machine: &Machine, text: &str) {
    let path = machine.home().join(".config/claude-agent/config.toml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn reload(daemon: &Daemon, status: u16) -> Value {
    daemon
        .request("POST", "/api/v1/config/reload")
        .send(daemon.connect())
        .expect(status)
        .json()
}

fn host(daemon: &Daemon, status: u16) {
    named(daemon).expect(status);
}

/// Asks by a name that only the configuration can allow.
fn named(daemon: &Daemon) -> Answer {
    Request::new("GET", "/api/v1/config")
        .header("host", "agent.example")
        .header("authorization", &format!("Bearer {}", daemon.token()))
        .send(daemon.connect())
}

#[test]
fn what_can_change_does_and_what_needs_a_restart_is_named() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    host(&daemon, 403);
    let nothing = reload(&daemon, 200);
    assert_eq!(
        (&nothing["applied"], &nothing["needs_restart"]),
        (&json!([]), &json!([]))
    );

    configure(
        &machine,
        "[server]\nallowed_hosts = [\"agent.example\"]\nmax_connections = 7\n\n[security]\nrate_limit_requests_per_minute = 3\n",
    );
    let report = reload(&daemon, 200);
    assert_eq!(
        report["applied"],
        json!(["security.rate_limit_requests_per_minute", "server.allowed_hosts"])
    );
    assert_eq!(report["needs_restart"], json!(["server.max_connections"]));
    host(&daemon, 200);
    let shown = daemon
        .request("GET", "/api/v1/config")
        .send(daemon.connect())
        .expect(200)
        .json();
    assert_eq!(shown["needs_restart"], json!(["server.max_connections"]));
    let value = |key: &str| {
        let values = shown["values"].as_array().unwrap();
        values.iter().find(|entry| entry["key"] == key).unwrap().clone()
    };
    assert_eq!(value("security.rate_limit_requests_per_minute")["value"], 3);
    assert_ne!(
        value("server.max_connections")["value"],
        7,
        "the running value is shown"
    );
    let refused = (0..8).any(|_| {
        let answer = daemon.request("GET", "/api/v1/sessions").send(daemon.connect());
        answer.status == 429
    });
    assert!(refused, "three requests a minute, and eight were answered");

    // A broken one is refused whole.
    configure(
        &machine,
        "[server]\nallowed_hosts = []\nmax_connections = 0\n\n[tools]\ndenied_paths = [\"[\"]\n",
    );
    let refusal = reload(&daemon, 422);
    let told = refusal["detail"].as_str().unwrap();
    assert!(
        told.contains("server.max_connections") && told.contains("tools.denied_paths"),
        "{told}"
    );
    host(&daemon, 200);

    // A hang-up does the same.
    configure(&machine, "");
    daemon.signal("HUP");
    wait_until("the hang-up took the name away", || named(&daemon).status == 403);
    daemon.signal("TERM");
    expect_code(&daemon.output(), 0);
    let record = expect_code(
        &finish(&mut machine.command(&["audit", "show", "--output", "json"])),
        0,
    );
    assert!(
        record.contains("configuration reloaded") && record.contains("server.allowed_hosts"),
        "{record}"
    );
}
