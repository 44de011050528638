//! `claude-agent simulate`: the stand-in for the API, as a command.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use agent_simulator::FaultSpec;

use crate::support::{Machine, Simulator, events, expect_code, finish, of_type, stderr, wait_until};

#[test]
fn the_list_of_faults_has_every_fault_with_an_example() {
    let machine = Machine::new();
    let listed = expect_code(&finish(&mut machine.command(&["simulate", "--list-faults"])), 0);
    assert!(FaultSpec::all().len() > 10);
    for fault in FaultSpec::all() {
        let row = listed.lines().find(|line| line.starts_with(fault.example));
        assert!(
            row.is_some_and(|row| row.ends_with(fault.help)),
            "{}:\n{listed}",
            fault.name
        );
    }
}

#[test]
fn a_fault_that_does_not_exist_is_answered_with_those_that_do() {
    let machine = Machine::new();
    for (spec, parts) in [
        ("sillence", &["sillence", "silence", "reset-mid", "trickle"][..]),
        ("status=200", &["200", "400 to 599"]),
        ("silence*0", &["count"]),
        ("latency=soon", &["soon"]),
    ] {
        let output = finish(&mut machine.command(&["simulate", "--fault", spec]));
        expect_code(&output, 2);
        for part in parts {
            assert!(stderr(&output).contains(part), "{spec}: {}", stderr(&output));
        }
    }
}

#[test]
fn a_bad_scenario_is_named_with_its_line() {
    let machine = Machine::new();
    for (text, line) in [
        ("[[steps]]\ntext = \"a\"\n\n[[steps]]\ntxet = \"b\"\n", ":5:"),
        (
            "[[steps]]\ntext = \"a\"\n[[steps]]\nfault = \"sillence\"\n",
            ":3:",
        ),
        ("[[steps]\n", ":1:"),
    ] {
        machine.write("answers.toml", text);
        let output = finish(&mut machine.command(&["simulate", "--scenario", "answers.toml"]));
        expect_code(&output, 8);
        assert!(
            stderr(&output).contains(&format!("answers.toml{line}")),
            "{text}: {}",
            stderr(&output)
        );
    }
    let output = finish(&mut machine.command(&["simulate", "--scenario", "missing.toml"]));
    expect_code(&output, 8);
    assert!(stderr(&output).contains("missing.toml"), "{}", stderr(&output));
}

#[test]
fn a_port_that_is_taken_says_so_and_what_to_do() {
    let machine = Machine::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = finish(&mut machine.command(&["simulate", "--listen", &address]));
    expect_code(&output, 1);
    assert!(
        stderr(&output).contains(&address) && stderr(&output).contains("port 0"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_signal_ends_it_in_order_also_while_clients_hang() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let mut simulator = Simulator::start(&["--fault", "silence"]);
        let address: SocketAddr = simulator.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut hanging = TcpStream::connect(address).unwrap();
        let body =
            r#"{"model":"claude-opus-5-5","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}"#;
        write!(
            hanging,
            "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let pid = simulator.pid().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        let mut ended = None;
        wait_until("the simulator ends", || {
            ended = simulator.ended();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(0), "{signal}");
        assert!(TcpStream::connect(address).is_err(), "the port is free again");
    }
}

#[test]
fn a_scenario_answers_as_it_is_written() {
    let machine = Machine::new();
    machine.write("fact.txt", "the canary sings at dawn\n");
    machine.write(
        "answers.toml",
        r#"
description = "one call, one error on the way, one answer"
exhausted = "refuse"

[[steps]]
match = { contains = "canary" }
thinking = "a file will know"
text = "I look it up."
tool_calls = [{ name = "read_file", input = { path = "fact.txt" } }]

[[steps]]
error = { status = 529 }

[[steps]]
text = "It sings at dawn."
usage = { output_tokens = 4321 }
"#,
    );
    let simulator = Simulator::start(&[
        "--scenario",
        machine.workspace().join("answers.toml").to_str().unwrap(),
    ]);
    let arguments = [
        "run",
        "--output-format",
        "stream-json",
        "When does the canary sing?",
    ];
    let told = events(&expect_code(
        &finish(&mut machine.against(&simulator, &arguments)),
        0,
    ));
    let requested = of_type(&told, "tool_requested");
    assert_eq!(requested.len(), 1);
    assert_eq!(requested[0]["input"]["path"], "fact.txt");
    assert!(
        of_type(&told, "tool_finished")[0]["output"]
            .as_str()
            .unwrap()
            .contains("the canary sings at dawn")
    );
    assert_eq!(of_type(&told, "retrying").len(), 1, "{told:?}");
    let last = told.last().unwrap();
    assert_eq!(last["text"], "It sings at dawn.");
    assert!(last["usage"]["output_tokens"].as_u64().unwrap() >= 4321, "{last}");

    let output = finish(&mut machine.against(&simulator, &["run", "And at dusk?"]));
    expect_code(&output, 7);
    assert!(
        stderr(&output).contains("scenario"),
        "the simulator's reason is shown: {}",
        stderr(&output)
    );
}

#[test]
fn the_same_seed_gives_the_same_answer_and_another_may_not_change_what_is_done() {
    let machine = Machine::new();
    machine.write("notes.txt", "one\ntwo\n");
    let answer = |seed: &str| {
        let simulator = Simulator::start(&["--seed", seed]);
        let arguments = [
            "run",
            "--output-format",
            "json",
            "Look around, then read notes.txt",
        ];
        let output = finish(&mut machine.against(&simulator, &arguments));
        let value: serde_json::Value = serde_json::from_str(&expect_code(&output, 0)).unwrap();
        value["text"].as_str().unwrap().to_owned()
    };
    let first = answer("7");
    assert_eq!(first, answer("7"));
    assert!(answer("8").contains("two"));
}
