//! Every fault that the simulator can inject: the run ends with the answer, or with the right error and exit code, and
//! never hangs.

use serde_json::Value;

use crate::support::{Machine, Simulator, expect_code, finish, stdout};

/// Short timers, so that a stalled stream is noticed in test time; the defaults are tested where they are defined.
const TIMERS: &[(&str, &str)] = &[
    ("CLAUDE_AGENT__API__FIRST_BYTE_TIMEOUT", "1500ms"),
    ("CLAUDE_AGENT__API__IDLE_TIMEOUT", "1500ms"),
    ("CLAUDE_AGENT__API__TOTAL_TIMEOUT", "20s"),
    ("CLAUDE_AGENT__API__MAX_RETRIES", "2"),
];

fn run_with(faults: &[&str]) -> Value {
    let machine = Machine::new();
    machine.write("fact.txt", "the canary sings at dawn\n");
    let mut arguments = Vec::new();
    for fault in faults {
        arguments.extend(["--fault", fault]);
    }
    let simulator = Simulator::start(&arguments);
    let mut command = machine.against(&simulator, &["run", "--output-format", "json", "Read fact.txt"]);
    command.envs(TIMERS.iter().copied());
    let output = finish(&mut command);
    let value: Value = serde_json::from_str(&stdout(&output))
        .unwrap_or_else(|error| panic!("{faults:?}: {error}: {output:?}"));
    let outcome = value["outcome"].as_str().unwrap();
    let code = match outcome {
        "done" => 0,
        "upstream_failed" => 7,
        "misconfigured" => 8,
        other => panic!("{faults:?} ended as {other}: {value}"),
    };
    expect_code(&output, code);
    value
}

/// A passing fault: the run ends with the right answer.
fn heals(faults: &[&str]) {
    let value = run_with(faults);
    assert_eq!(value["outcome"], "done", "{faults:?}: {value}");
    assert!(
        value["text"]
            .as_str()
            .unwrap()
            .contains("the canary sings at dawn"),
        "{faults:?}: {value}"
    );
}

/// A lasting fault: the run ends with an error that says what to do.
fn fails(faults: &[&str], outcome: &str, kind: &str) {
    let value = run_with(faults);
    assert_eq!(value["outcome"], outcome, "{faults:?}: {value}");
    assert_eq!(value["error"]["kind"], kind, "{faults:?}: {value}");
    assert!(!value["error"]["message"].as_str().unwrap().is_empty());
    assert!(
        !value["error"]["advice"].as_str().unwrap().is_empty(),
        "{faults:?}: {value}"
    );
}

#[test]
fn passing_faults_before_the_answer_heal() {
    for fault in [
        "latency=normal:50ms,20ms",
        "status=500*1",
        "status=529*2",
        "429=retry-after:1s*1",
        "reset-before*1",
        "error-event=overloaded*1",
        "silence*1",
        "content-type*1",
    ] {
        heals(&[fault]);
    }
}

#[test]
fn passing_faults_in_the_middle_of_an_answer_heal() {
    for fault in [
        "reset-mid*1",
        "truncate*1",
        "malformed*1",
        "pings*1",
        "trickle=2ms*1",
    ] {
        heals(&[fault]);
    }
}

#[test]
fn several_faults_at_once_heal() {
    heals(&["latency=uniform:1ms,30ms", "status=529*1", "reset-mid*1"]);
}

#[test]
fn lasting_errors_end_with_their_own_kind() {
    for (fault, outcome, kind) in [
        ("status=500", "upstream_failed", "upstream"),
        ("status=529", "upstream_failed", "overloaded"),
        ("429=retry-after:0.1s", "upstream_failed", "rate_limited"),
        ("429=retry-after:3600s", "upstream_failed", "rate_limited"),
        ("status=401", "misconfigured", "authentication"),
        ("status=403", "misconfigured", "authentication"),
        ("status=400", "upstream_failed", "invalid_request"),
        ("reset-before", "upstream_failed", "connection"),
        ("silence", "upstream_failed", "upstream_timeout"),
    ] {
        fails(&[fault], outcome, kind);
    }
}

#[test]
fn streams_that_never_come_to_an_end_are_given_up() {
    for (fault, kind) in [
        ("pings", "upstream_timeout"),
        ("truncate", "upstream"),
        ("reset-mid", "connection"),
        ("malformed", "upstream"),
        ("content-type", "upstream"),
        ("error-event=overloaded", "overloaded"),
    ] {
        fails(&[fault], "upstream_failed", kind);
    }
}

#[test]
fn one_huge_event_is_read_within_its_limit_and_refused_beyond() {
    heals(&["huge-event=2MiB*1"]);
    fails(&["huge-event=64MiB"], "upstream_failed", "upstream");
}
