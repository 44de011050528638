//! Signed requests, sent by the example in the documents: what it does is what clients in other languages copy.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::json;

use super::{Daemon, command};
use crate::support::{Machine, Simulator, expect_code, finish, stderr, stdout};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn secret_file(machine: &Machine, mode: u32) -> String {
    let file = machine.home().join("ci.key");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    file.to_str().unwrap().to_owned()
}

fn variables(file: &str) -> [(&'static str, String); 2] {
    let keys = format!("[{{ id = \"ci\", algorithm = \"hmac-sha256\", key_file = \"{file}\" }}]");
    [
        ("SECURITY__ENABLE_REQUEST_SIGNING", "true".to_owned()),
        ("SECURITY__REQUEST_SIGNING_KEYS", keys),
    ]
}

fn example(machine: &Machine, daemon: &Daemon, key_id: &str, rest: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/signed_request.py");
    let mut python = std::process::Command::new("python3");
    python
        .arg(script)
        .args([
            &daemon.url,
            machine.data().join("token").to_str().unwrap(),
            key_id,
        ])
        .arg(machine.home().join("ci.key"))
        .args(rest);
    finish(&mut python)
}

#[test]
fn the_documented_client_gets_in_and_the_token_alone_does_not() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let file = secret_file(&machine, 0o600);
    let variables = variables(&file);
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let daemon = Daemon::start_with(&machine, &simulator, &variables);
    let body = json!({"workspace": machine.workspace()}).to_string();
    let made = example(&machine, &daemon, "ci", &["POST", "/api/v1/sessions", &body]);
    expect_code(&made, 0);
    assert!(stdout(&made).contains("\"id\""), "{}", stdout(&made));
    let listed = example(&machine, &daemon, "ci", &["GET", "/api/v1/sessions?limit=5"]);
    expect_code(&listed, 0);
    let other = example(&machine, &daemon, "somebody", &["GET", "/api/v1/sessions"]);
    expect_code(&other, 1);
    daemon.get("/api/v1/sessions").expect(401);
    daemon
        .stranger("GET", "/livez")
        .send(daemon.connect())
        .expect(200);
}

#[test]
fn a_secret_that_others_can_read_is_no_key() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let file = secret_file(&machine, 0o644);
    let variables = variables(&file);
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let output = finish(&mut command(&machine, &simulator, &variables));
    expect_code(&output, 8);
    assert!(stderr(&output).contains("ci.key"), "{}", stderr(&output));
}
