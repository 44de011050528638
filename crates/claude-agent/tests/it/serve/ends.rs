//! How it ends: in order when it is told to, and without harm when it is not.

use std::io::Read as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::wire::{Answer, unchunked};
use super::{Daemon, question};
use crate::support::{Machine, Simulator, expect_code, stderr, wait_until};

/// Some seconds for an answer: long enough to be interrupted, on a machine that does much else.
const SLOW: &[&str] = &["--fault", "trickle=3ms"];

fn streaming(text: &str) -> serde_json::Value {
    let mut body = question(text);
    body["stream"] = json!(true);
    body
}

#[test]
fn a_stream_that_is_under_way_ends_whole_and_new_clients_find_nobody() {
    for signal in ["TERM", "INT"] {
        let (machine, simulator) = (Machine::new(), Simulator::start(SLOW));
        let daemon = Daemon::start(&machine, &simulator);
        let request = daemon.request("POST", "/v1/messages").json(&streaming("Hello"));
        let mut stream = request.open(daemon.connect());
        assert_eq!(Answer::read_head(&mut stream).status, 200);
        let mut first = [0; 20];
        stream.read_exact(&mut first).unwrap();
        let address = daemon.address().to_owned();
        daemon.signal(signal);
        wait_until("the port is closed", || {
            std::net::TcpStream::connect(&address).is_err()
        });
        let mut raw = first.to_vec();
        stream.read_to_end(&mut raw).unwrap();
        let whole = String::from_utf8(unchunked(&raw)).unwrap();
        assert!(whole.contains("event: message_stop"), "{signal}: {whole}");
        expect_code(&daemon.output(), 0);
    }
}

#[test]
fn what_does_not_end_within_the_deadline_is_ended() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&["--fault", "pings"]));
    let daemon = Daemon::start_with(&machine, &simulator, &[("SERVER__DRAIN_DEADLINE", "1s")]);
    let request = daemon.request("POST", "/v1/messages").json(&streaming("Hello"));
    let mut stream = request.open(daemon.connect());
    assert_eq!(Answer::read_head(&mut stream).status, 200);
    let start = Instant::now();
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "it waited: {:?}",
        start.elapsed()
    );
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).ok();
    assert!(
        !String::from_utf8_lossy(&rest).contains("message_stop"),
        "a broken answer is not completed"
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&["--fault", "pings"]));
    let daemon = Daemon::start_with(&machine, &simulator, &[("SERVER__DRAIN_DEADLINE", "10m")]);
    let request = daemon.request("POST", "/v1/messages").json(&streaming("Hello"));
    let mut stream = request.open(daemon.connect());
    assert_eq!(Answer::read_head(&mut stream).status, 200);
    let address = daemon.address().to_owned();
    daemon.signal("TERM");
    wait_until("the port is closed", || {
        std::net::TcpStream::connect(&address).is_err()
    });
    daemon.signal("TERM");
    let output = daemon.output();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
}

#[test]
fn after_kill_9_the_next_start_serves_what_was_stored() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    let workspace = machine.workspace();
    let made = daemon
        .post("/api/v1/sessions", &json!({"workspace": workspace}))
        .expect(201)
        .json();
    let token = daemon.token();
    daemon.signal("KILL");
    assert_eq!(daemon.output().status.code(), None);

    let again = Daemon::start(&machine, &simulator);
    assert_eq!(again.token(), token);
    let path = format!("/api/v1/sessions/{}", made["id"].as_str().unwrap());
    again.get(&path).expect(200);
    again.post("/v1/messages", &question("Hello")).expect(200);
}

#[test]
fn a_hang_up_does_not_end_what_has_no_terminal() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    daemon.signal("HUP");
    for _ in 0..5 {
        daemon.get("/livez").expect(200);
    }
    daemon.signal("TERM");
    expect_code(&daemon.output(), 0);

    let plain = super::command(&machine, &simulator, &[]);
    let mut nohup = std::process::Command::new("nohup");
    nohup.arg(plain.get_program()).args(plain.get_args()).env_clear();
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    nohup.envs(variables).stdin(std::process::Stdio::null());
    let mut daemon = Daemon::start_command(&machine, nohup);
    daemon.signal("HUP");
    for _ in 0..5 {
        daemon.get("/livez").expect(200);
    }
    assert!(!daemon.has_ended());
}
