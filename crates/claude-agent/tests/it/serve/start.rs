//! What it takes to start, and what is refused before anything runs.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::{Daemon, command, command_on, question, tls, wait_for_socket};
use crate::support::{Machine, Simulator, exists, expect_code, finish, stderr, stdout, unprivileged};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_start_makes_a_token_that_only_its_owner_reads_and_never_prints_it() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    let (token, file) = (daemon.token(), machine.data().join("token"));
    assert!(token.len() > 40, "{token}");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&machine.data().join("claude-agent.sock")), 0o600);
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    let said = stdout(&output) + &stderr(&output);
    assert!(
        said.contains(file.to_str().unwrap()) && said.contains("made just now"),
        "{said}"
    );
    assert!(said.contains("ANTHROPIC_BASE_URL=http://127.0.0.1:"), "{said}");
    assert!(!said.contains(&token), "{said}");
    assert!(
        !exists(&machine.data().join("claude-agent.sock")),
        "the socket goes with it"
    );

    let again = Daemon::start(&machine, &simulator);
    assert_eq!(again.token(), token);
    again.signal("TERM");
    let output = again.output();
    expect_code(&output, 0);
    assert!(!stderr(&output).contains("made just now"), "{}", stderr(&output));
}

#[test]
fn the_start_matrix() {
    let simulator = Simulator::start(&[]);
    let files = Machine::new();
    let (certificate, key) = tls::certificate(&files, "first");
    let with_tls = [
        ("SECURITY__ENABLE_TLS", "true"),
        ("SECURITY__TLS_CERT_PATH", certificate.to_str().unwrap()),
        ("SECURITY__TLS_KEY_PATH", key.to_str().unwrap()),
    ];
    let start = |listen: &str, variables: &[(&str, &str)]| {
        let machine = Machine::new();
        let command = command_on(listen, &machine, &simulator, variables);
        (machine, command)
    };
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        for variables in [&[][..], &with_tls] {
            let (machine, command) = start(listen, variables);
            let daemon = Daemon::start_command(&machine, command);
            assert_eq!(
                daemon.url.starts_with("https://"),
                !variables.is_empty(),
                "{}",
                daemon.url
            );
        }
    }
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let (machine, command) = start(listen, &with_tls);
        assert!(
            Daemon::start_command(&machine, command)
                .url
                .starts_with("https://"),
            "{listen}"
        );
    }
    // Without encryption only this machine, whatever the other switches say.
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:127.0.0.1]:0"] {
        for variables in [
            &[][..],
            &[("ENVIRONMENT", "Production")],
            &[("SERVER__ALLOWED_HOSTS", "[\"a.example\"]")],
        ] {
            let (machine, mut command) = start(listen, variables);
            let output = finish(&mut command);
            expect_code(&output, 8);
            let said = stderr(&output);
            assert!(
                said.contains("server.listen") && said.contains("enable_tls"),
                "{listen}: {said}"
            );
            assert!(!exists(&machine.data().join("token")), "nothing was made");
        }
    }
    let half = &with_tls[..2];
    let (_machine, mut command) = start("127.0.0.1:0", half);
    expect_code(&finish(&mut command), 8);
}

#[test]
fn a_private_key_that_others_can_read_is_refused_in_production() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let (certificate, key) = tls::certificate(&machine, "open");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let variables = [
        ("ENVIRONMENT", "Production"),
        ("SECURITY__ENABLE_TLS", "true"),
        ("SECURITY__TLS_CERT_PATH", certificate.to_str().unwrap()),
        ("SECURITY__TLS_KEY_PATH", key.to_str().unwrap()),
    ];
    let output = finish(&mut command(&machine, &simulator, &variables));
    expect_code(&output, 8);
    assert!(stderr(&output).contains("chmod 600"), "{}", stderr(&output));
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    Daemon::start_with(&machine, &simulator, &variables);
}

#[test]
fn a_taken_port_says_so_before_anything_runs() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = finish(&mut command_on(&address, &machine, &simulator, &[]));
    expect_code(&output, 1);
    let said = stderr(&output);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    assert!(!stdout(&output).contains("listening"), "{}", stdout(&output));
    assert!(!exists(&machine.data().join("metrics")), "nothing ran");
}

#[test]
fn a_data_folder_has_one_daemon() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    let output = finish(&mut command(&machine, &simulator, &[]));
    expect_code(&output, 1);
    let said = stderr(&output);
    assert!(
        said.contains(&format!("process {}", daemon.pid())) && said.contains("--data-dir"),
        "{said}"
    );
    daemon.get("/api/v1/sessions").expect(200);
    let other = Machine::new();
    Daemon::start(&other, &simulator)
        .get("/api/v1/sessions")
        .expect(200);
}

#[test]
fn a_socket_that_a_crash_left_is_replaced_and_one_in_use_is_not() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let path = machine.data().join("claude-agent.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(exists(&path), "nobody listens, the file is there");
    let daemon = Daemon::start(&machine, &simulator);
    wait_for_socket(&daemon);
    let answer = daemon
        .request("POST", "/v1/messages")
        .json(&question("Hello"))
        .send(daemon.connect_unix());
    answer.expect(200);
    drop(daemon);

    std::fs::remove_file(&path).ok();
    let _listening = UnixListener::bind(&path).unwrap();
    let output = finish(&mut command(&machine, &simulator, &[]));
    expect_code(&output, 1);
    assert!(
        stderr(&output).contains(path.to_str().unwrap()),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    std::fs::set_permissions(machine.data(), PermissionsExt::from_mode(0o500)).unwrap();
    let Some(mut command) = unprivileged(command(&machine, &simulator, &[])) else {
        return;
    };
    let output = finish(&mut command);
    std::fs::set_permissions(machine.data(), PermissionsExt::from_mode(0o700)).unwrap();
    expect_code(&output, 1);
    let said = stderr(&output);
    assert!(
        said.contains(machine.data().to_str().unwrap()) && said.contains("--data-dir"),
        "{said}"
    );
}

#[test]
fn a_token_that_others_could_have_read_is_refused() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let file = machine.data().join("token");
    std::fs::write(&file, "cdagent_0123456789012345678901234567890123456789\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let output = finish(&mut command(&machine, &simulator, &[]));
    expect_code(&output, 1);
    assert!(stderr(&output).contains("chmod 600"), "{}", stderr(&output));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(
        Daemon::start(&machine, &simulator)
            .token()
            .starts_with("cdagent_0123")
    );
}

#[test]
fn without_a_key_for_the_api_it_says_what_to_do() {
    let machine = Machine::new();
    let output = finish(&mut machine.command(&["serve", "--listen", "127.0.0.1:0"]));
    expect_code(&output, 8);
    assert!(
        stderr(&output).contains("ANTHROPIC_API_KEY"),
        "{}",
        stderr(&output)
    );
}

/// A folder that somebody else's repository could be.
#[test]
fn the_folder_it_is_started_in_configures_nothing() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    machine.write(
        ".claude-agent/config.toml",
        "[server]\nlisten = \"0.0.0.0:1\"\n[agent]\nmax_turns = 1\n",
    );
    let daemon = Daemon::start(&machine, &simulator);
    let shown = daemon.get("/api/v1/config").expect(200).text();
    assert!(!shown.contains(".claude-agent/config.toml"), "{shown}");
}

#[test]
fn a_start_without_a_key_says_that_it_forwards_none() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    for (key, says) in [(Some("a-key"), false), (None, true)] {
        let mut command = super::command(&machine, &simulator, &[]);
        match key {
            Some(key) => command.env("ANTHROPIC_API_KEY", key),
            None => command.env_remove("ANTHROPIC_API_KEY"),
        };
        let daemon = Daemon::start_command(&machine, command);
        daemon.signal("TERM");
        let told = stderr(&daemon.output());
        assert_eq!(told.contains("without a key"), says, "{told}");
    }
}

/// The keys that it holds would be in a core dump.
#[cfg(target_os = "linux")]
#[test]
fn a_daemon_leaves_no_image_of_its_memory() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
}
