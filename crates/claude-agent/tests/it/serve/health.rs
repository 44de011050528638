//! `/health`: the daemon and what it needs, while that comes and goes.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::Value;

use super::Daemon;
use crate::support::{DEADLINE, Machine, Simulator, expect_code, finish, stderr, wait_until};

const CHECKED: [(&str, &str); 2] = [
    ("MONITORING__ENABLE_HEALTH_CHECKS", "true"),
    ("MONITORING__HEALTH_CHECK_INTERVAL", "1s"),
];

/// The status of one check, by the part of its key before the colon.
fn of<'a>(report: &'a Value, name: &str) -> Option<&'a str> {
    let checks = report["checks"].as_object()?;
    let (_, items) = checks
        .iter()
        .find(|(key, _)| key.split(':').next() == Some(name))?;
    items[0]["status"].as_str()
}

#[test]
fn the_api_going_away_is_told_and_its_coming_back_too() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start_with(&machine, &simulator, &CHECKED);
    let report = || -> (u16, Value) {
        let answer = daemon.get("/health");
        (answer.status, answer.json())
    };
    wait_until("every check has looked", || {
        of(&report().1, "api") == Some("pass")
    });
    let (_, first) = report();
    for name in ["system", "disk", "store", "clock", "event_loop"] {
        assert!(of(&first, name).is_some(), "{name} is missing: {first}");
    }
    assert_eq!(of(&first, "store"), Some("pass"));
    let seen = expect_code(&finish(&mut machine.command(&["health"])), 0);
    assert!(seen.contains("event_loop"), "{seen}");

    let address = simulator
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    drop(simulator);
    wait_until("the API counts as gone", || {
        let (status, report) = report();
        status == 503 && report["status"] == "fail" && of(&report, "api") == Some("fail")
    });
    let seen = finish(&mut machine.command(&["health", "--output", "json"]));
    let seen: Value = serde_json::from_str(&expect_code(&seen, 1)).unwrap();
    assert_eq!(of(&seen, "api"), Some("fail"));
    // What others need of the daemon it still does, and it says what it lacks.
    let ready = daemon.get("/readyz?verbose").expect(200).text();
    assert!(ready.contains("[!]api failed: "), "{ready}");
    daemon.get("/livez").expect(200);

    let _back = Simulator::start_on(&address, &[]);
    wait_until("the API is back", || {
        let (status, report) = report();
        status == 200 && of(&report, "api") == Some("pass")
    });
}

#[test]
fn details_are_for_those_who_hold_the_token_and_off_is_off() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    daemon
        .stranger("GET", "/health")
        .send(daemon.connect())
        .expect(401);
    let told = daemon.get("/health").expect(404).text();
    assert!(told.contains("monitoring.enable_health_checks"), "{told}");
}

#[test]
fn health_without_a_daemon_says_how_to_get_one() {
    let machine = Machine::new();
    let output = finish(&mut machine.command(&["health"]));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("claude-agent serve"), "{said}");
    assert!(!machine.data().join("token").exists(), "asking makes no token");
}

/// What the daemon tells its service manager next; none when it tells nothing for this long.
fn told(manager: &UnixDatagram, within: Duration) -> Option<String> {
    let mut text = [0; 4096];
    manager.set_read_timeout(Some(within)).unwrap();
    match manager.recv(&mut text) {
        Ok(length) => Some(String::from_utf8_lossy(&text[..length]).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_service_manager_is_told_and_its_watchdog_is_fed_while_the_store_answers() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let mut command = super::command(&machine, &simulator, &[]);
    command
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "2000000");
    let daemon = Daemon::start_command(&machine, command);
    let next = || told(&manager, DEADLINE).expect("something is told");
    let ready = next();
    assert!(ready.lines().any(|line| line == "READY=1"), "{ready}");
    daemon.get("/livez").expect(200);
    assert_eq!(next().trim(), "WATCHDOG=1");

    // Somebody holds the store, so its writer waits. One feed may have been under way.
    let store = rusqlite::Connection::open(machine.data().join("sessions.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    drop(told(&manager, Duration::from_millis(500)));
    assert_eq!(
        told(&manager, Duration::from_secs(3)),
        None,
        "nothing was written"
    );
    store.execute_batch("ROLLBACK").unwrap();
    assert_eq!(next().trim(), "WATCHDOG=1");

    daemon.signal("HUP");
    let mut reloading = next();
    while reloading.trim() == "WATCHDOG=1" {
        reloading = next();
    }
    let said: Vec<_> = reloading.lines().collect();
    assert!(said.contains(&"RELOADING=1"), "{reloading}");
    assert!(
        said.iter().any(|line| line.starts_with("MONOTONIC_USEC=")),
        "{reloading}"
    );
    let mut ready = next();
    while ready.trim() == "WATCHDOG=1" {
        ready = next();
    }
    assert!(ready.lines().any(|line| line == "READY=1"), "{ready}");

    daemon.signal("TERM");
    let mut last = next();
    while last.trim() == "WATCHDOG=1" {
        last = next();
    }
    assert!(last.lines().any(|line| line == "STOPPING=1"), "{last}");
    expect_code(&daemon.output(), 0);
}
