//! `/health`: the daemon and what it needs, while that comes and goes.

use serde_json::Value;

use super::Daemon;
use crate::support::{Machine, Simulator, wait_until};

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
    // What others need of the daemon it still does.
    daemon.get("/readyz").expect(200);
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
