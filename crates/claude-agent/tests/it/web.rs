//! `web_fetch` in the hands of the program: the operator's list of hosts decides, and its mistakes are told at the start.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Machine, Simulator, expect_code, finish, stderr};

/// A page on this machine. Gives its address and how often it was asked.
fn page() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/page", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            // What it asks for does not matter.
            if stream.read(&mut [0; 4096]).unwrap_or(0) == 0 {
                continue;
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 11\r\nconnection: close\r\n\r\nthe weather";
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    (url, asked)
}

#[test]
fn only_hosts_that_the_operator_lists_are_asked_unasked() {
    let machine = Machine::new();
    let (url, asked) = page();
    let steps = format!(
        "[[steps]]\ntool_calls = [{{ name = \"web_fetch\", input = {{ url = \"{url}\" }} }}]\n[[steps]]\ntext = \"done\"\n"
    );
    machine.write("answers.toml", steps);
    let scenario = machine.workspace().join("answers.toml");
    let fetch = |hosts: &str| {
        let simulator = Simulator::start(&["--scenario", scenario.to_str().unwrap()]);
        let mut command = machine.against(&simulator, &["run", "What is the weather?"]);
        finish(command.env("CLAUDE_AGENT__TOOLS__ALLOWED_HOSTS", hosts))
    };
    let refused = fetch("[]");
    expect_code(&refused, 4);
    assert!(
        stderr(&refused).contains("tools.allowed_hosts"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0, "not even a connection");
    expect_code(&fetch("['127.0.0.1']"), 0);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let wrong = fetch("['com']");
    expect_code(&wrong, 8);
    assert!(
        stderr(&wrong).contains("tools.allowed_hosts"),
        "{}",
        stderr(&wrong)
    );
}
