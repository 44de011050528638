//! The audit log of a data folder that a daemon and commands share.

use std::process::Stdio;

use serde_json::{Value, json};

use super::Daemon;
use crate::support::{Machine, Simulator, exists, expect_code, finish, stderr, stdout, wait_until};

fn shown(machine: &Machine) -> Vec<Value> {
    let command = &mut machine.command(&["audit", "show", "--limit", "10000", "--output", "json"]);
    serde_json::from_str(&expect_code(&finish(command), 0)).unwrap()
}

fn verified(machine: &Machine, code: i32) -> Value {
    let output = finish(&mut machine.command(&["audit", "verify", "--output", "json"]));
    serde_json::from_str(&expect_code(&output, code)).unwrap()
}

fn kinds<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .map(|record| &record["event"])
        .filter(|event| event["kind"] == kind)
        .collect()
}

const TASK: &str = "Read README.md, then run `cat README.md`";

#[test]
fn a_daemon_and_a_run_write_one_chain_of_what_was_decided_and_done() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    machine.write("README.md", "# Greeter\n");
    let daemon = Daemon::start(&machine, &simulator);
    let workspace = machine.workspace();
    let run = &mut machine.against(
        &simulator,
        &["run", "--workspace", workspace.to_str().unwrap(), TASK],
    );
    expect_code(&finish(run), 0);
    daemon
        .stranger("GET", "/v1/models")
        .header("x-api-key", "wrong-token-of-a-stranger")
        .send(daemon.connect())
        .expect(401);
    let session = daemon
        .post("/api/v1/sessions", &json!({ "workspace": workspace }))
        .expect(201)
        .json();
    let path = format!("/api/v1/sessions/{}", session["id"].as_str().unwrap());
    daemon.request("DELETE", &path).send(daemon.connect()).expect(204);
    daemon.signal("TERM");
    expect_code(&daemon.output(), 0);

    let all = shown(&machine);
    assert_eq!(kinds(&all, "daemon_started").len(), 1);
    assert_eq!(kinds(&all, "login_failed").len(), 1);
    let decided = kinds(&all, "permission_decided");
    let executed = kinds(&all, "tool_executed");
    for tool in ["read_file", "bash"] {
        let of_tool = |events: &[&Value]| events.iter().any(|event| event["tool"] == tool);
        assert!(of_tool(&decided) && of_tool(&executed), "{tool}: {all:?}");
    }
    let acts = kinds(&all, "administered");
    let did = |act: &str| acts.iter().any(|event| event["act"] == act);
    assert!(
        did("token created") && did("DELETE /api/v1/sessions/{id}"),
        "{acts:?}"
    );
    assert_eq!(all.last().unwrap()["event"]["kind"], "daemon_stopped");
    let numbers: Vec<u64> = all.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=all.len() as u64));
    assert!(!format!("{all:?}").contains("wrong-token"));

    let whole = verified(&machine, 0);
    assert_eq!(whole["lines"], all.len());
    let head = whole["head"].as_str().unwrap();
    let expected = |head: &str| finish(&mut machine.command(&["audit", "verify", "--expect-head", head]));
    expect_code(&expected(head), 0);
    let (number, hash) = head.split_once(':').unwrap();
    let longer = format!("{}:{hash}", number.parse::<u64>().unwrap() + 1);
    expect_code(&expected(&longer), 1);

    let segment = machine.data().join("audit/audit-00000000000000000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("README", "README2", 1)).unwrap();
    assert_eq!(verified(&machine, 1)["intact"], false);
    let told = stdout(&finish(&mut machine.command(&["audit", "verify"])));
    assert!(told.starts_with("CHANGED: "), "{told}");
}

#[test]
fn a_log_whose_writers_were_killed_still_verifies() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    machine.write("README.md", "# Greeter\n");
    let segment = machine.data().join("audit/audit-00000000000000000001.jsonl");
    for round in 0..8 {
        let before = std::fs::metadata(&segment).map_or(0, |about| about.len());
        let workspace = machine.workspace();
        let mut run = machine
            .against(
                &simulator,
                &["run", "--workspace", workspace.to_str().unwrap(), TASK],
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("something is recorded, or it has ended", || {
            let grown = exists(&segment) && std::fs::metadata(&segment).unwrap().len() > before;
            grown || run.try_wait().unwrap().is_some()
        });
        run.kill().unwrap();
        run.wait().unwrap();
        let whole = verified(&machine, 0);
        assert!(whole["lines"].as_u64() > Some(round), "{whole}");
    }
}

#[test]
fn in_production_nothing_is_done_that_can_not_be_recorded() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    machine.write("README.md", "# Greeter\n");
    std::fs::create_dir_all(machine.data()).unwrap();
    std::fs::write(machine.data().join("audit"), "a file in its place").unwrap();
    let workspace = machine.workspace();
    let mut run = machine.against(
        &simulator,
        &["run", "--workspace", workspace.to_str().unwrap(), TASK],
    );
    let output = finish(run.env("CLAUDE_AGENT__ENVIRONMENT", "Production"));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("audit"), "{}", stderr(&output));
    let mut off = machine.against(
        &simulator,
        &["run", "--workspace", workspace.to_str().unwrap(), TASK],
    );
    let output = finish(off.env("CLAUDE_AGENT__LOGGING__ENABLE_AUDIT_LOGGING", "false"));
    expect_code(&output, 0);
}

#[test]
fn a_login_is_recorded_and_figures_and_health_tell_of_the_log() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let checked = [
        ("MONITORING__ENABLE_HEALTH_CHECKS", "true"),
        ("MONITORING__HEALTH_CHECK_INTERVAL", "1s"),
    ];
    let daemon = Daemon::start_with(&machine, &simulator, &checked);
    daemon
        .request("POST", "/login")
        .send(daemon.connect())
        .expect(204);
    wait_until("the figures tell what was recorded", || {
        let figures = daemon.get("/metrics").text();
        let written = figures
            .lines()
            .find_map(|line| line.strip_prefix("audit_events_total{outcome=\"written\"} "));
        written.is_some_and(|count| count.parse::<f64>().unwrap() >= 3.0)
            && figures.contains("audit_events_total{outcome=\"failed\"} 0")
            && figures.contains("audit_unsigned_age_seconds ")
    });
    let health = daemon.get("/health").json();
    let checks = health["checks"].as_object().unwrap();
    let audit = checks.iter().find(|(name, _)| name.starts_with("audit"));
    let audit = audit.unwrap_or_else(|| panic!("{health}"));
    assert_eq!(audit.1[0]["status"], "pass", "{health}");
    daemon.signal("TERM");
    expect_code(&daemon.output(), 0);
    let all = shown(&machine);
    let logins = kinds(&all, "logged_in");
    assert_eq!(logins.len(), 1, "{all:?}");
    assert_eq!(
        (&logins[0]["by"], &logins[0]["client"]),
        (&json!("owner"), &json!("127.0.0.1"))
    );
    verified(&machine, 0);
}
