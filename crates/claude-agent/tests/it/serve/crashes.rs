//! Ends without order: they are told at the next start, and too many of them lead to safe mode and out of it again.

use serde_json::{Value, json};

use super::{Daemon, question};
use crate::support::{Machine, Simulator, expect_code, stderr, wait_until};

/// As many as make a loop.
const LOOP: usize = 5;

const CHECKED: [(&str, &str); 2] = [
    ("MONITORING__ENABLE_HEALTH_CHECKS", "true"),
    ("MONITORING__HEALTH_CHECK_INTERVAL", "1s"),
];

fn kill(daemon: Daemon) {
    daemon.signal("KILL");
    assert_eq!(daemon.output().status.code(), None);
}

fn reports(machine: &Machine) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(machine.data().join("crash"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("report-"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
        .collect()
}

fn figure(daemon: &Daemon, sample: &str) -> Option<f64> {
    let text = daemon.get("/metrics").expect(200).text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[test]
fn a_kill_is_told_at_the_next_start_and_counted_over_restarts() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let start = || Daemon::start_with(&machine, &simulator, &CHECKED);
    let first = start();
    let pid = first.pid();
    assert_eq!(figure(&first, "process_recent_crashes"), Some(0.0));
    kill(first);

    let second = start();
    let reports = reports(&machine);
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(
        (&reports[0]["ended"], &reports[0]["pid"]),
        (&json!("killed"), &json!(pid))
    );
    assert_eq!(
        figure(&second, "process_restarts_total{after=\"crash\"}"),
        Some(1.0)
    );
    assert_eq!(figure(&second, "process_recent_crashes"), Some(1.0));
    wait_until("health warns of it", || {
        let health = second.get("/health").json();
        health["checks"]["restarts:crashes"][0]["status"] == "warn"
    });
    second.signal("TERM");
    let output = second.output();
    expect_code(&output, 0);
    assert!(stderr(&output).contains("was killed"), "{}", stderr(&output));

    let third = start();
    assert_eq!(
        figure(&third, "process_restarts_total{after=\"crash\"}"),
        Some(1.0)
    );
    assert_eq!(
        figure(&third, "process_restarts_total{after=\"stop\"}"),
        Some(1.0)
    );
    assert_eq!(figure(&third, "process_recent_crashes"), Some(0.0));
    kill(third);
}

#[test]
fn a_loop_of_crashes_ends_in_safe_mode_and_a_stop_in_order_ends_that() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let start = || Daemon::start_with(&machine, &simulator, &CHECKED);
    for _ in 0..LOOP {
        kill(start());
    }
    let safe = start();
    let session = json!({"workspace": machine.workspace()});
    let made = safe.post("/api/v1/sessions", &session).expect(201).json();
    let turns = format!("/api/v1/sessions/{}/turns", made["id"].as_str().unwrap());
    let refused = safe.post(&turns, &json!({"prompt": "Hello"})).expect(503).json();
    assert!(
        refused["type"].as_str().unwrap().ends_with("safe-mode"),
        "{refused}"
    );
    assert!(
        refused["detail"].as_str().unwrap().contains("5 times"),
        "{refused}"
    );
    // Others go on: who only forwards does not need the agent.
    safe.post("/v1/messages", &question("Hello")).expect(200);
    let ready = safe.get("/readyz?verbose").expect(200).text();
    assert!(
        ready.contains("[!]safe-mode failed: turns of the agent"),
        "{ready}"
    );
    assert_eq!(figure(&safe, "process_safe_mode"), Some(1.0));
    wait_until("health tells of it", || {
        let health = safe.get("/health").json();
        let output = &health["checks"]["restarts:crashes"][0]["output"];
        output.as_str().is_some_and(|text| text.contains("safe mode"))
    });
    safe.signal("TERM");
    let output = safe.output();
    expect_code(&output, 0);
    assert!(
        stderr(&output).contains("safe mode: turns of the agent"),
        "{}",
        stderr(&output)
    );

    let daemon = start();
    daemon.post(&turns, &json!({"prompt": "Hello"})).expect(201);
    assert_eq!(figure(&daemon, "process_safe_mode"), Some(0.0));
    assert!(!daemon.get("/readyz?verbose").text().contains("safe-mode"));
}
