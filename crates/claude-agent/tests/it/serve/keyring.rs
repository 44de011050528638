//! The API key from a real keyring: GNOME Keyring on a bus of the test's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use super::keys::{OLD, picky};
use super::{Daemon, question};
use crate::support::{Machine, Simulator, exists, expect_code, finish, finish_child, stderr, wait_until};

const KEY: &str = "key-of-the-keyring-never-printed";

/// A bus that starts no service by itself: what it started would outlive the test.
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A bus and a keyring, ended when dropped.
struct Keyring<'m> {
    machine: &'m Machine,
    address: String,
    children: Vec<Child>,
}

impl<'m> Keyring<'m> {
    fn start(machine: &'m Machine) -> Self {
        let mut bus = Command::new("dbus-daemon");
        let runtime = runtime(machine);
        std::fs::create_dir_all(&runtime).unwrap();
        let settings = machine.home().join("bus.conf");
        std::fs::write(&settings, BUS).unwrap();
        let mut bus = machine
            .furnish(&mut bus)
            .args(["--nofork", "--print-address", "--config-file"])
            .arg(&settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.as_mut().unwrap())
            .read_line(&mut address)
            .unwrap();
        let mut keyring = Self {
            machine,
            address: address.trim().to_owned(),
            children: vec![bus],
        };
        let mut daemon = keyring
            .command(
                "gnome-keyring-daemon",
                &["--foreground", "--unlock", "--components=secrets"],
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The password of the keyring that is made.
        daemon.stdin.take().unwrap().write_all(b"password").unwrap();
        keyring.children.push(daemon);
        wait_until("the keyring is there", || {
            exists(&machine.home().join(".local/share/keyrings/login.keyring"))
        });
        keyring
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.machine.furnish(&mut command).args(arguments);
        self.introduce(&mut command);
        command
    }

    /// Tells a command where the bus is.
    fn introduce(&self, command: &mut Command) {
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("XDG_RUNTIME_DIR", runtime(self.machine));
    }

    fn store(&self, account: &str, secret: &str) {
        let arguments = [
            "store",
            "--label=test",
            "service",
            "claude-agent",
            "account",
            account,
        ];
        let mut child = self
            .command("secret-tool", &arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
        expect_code(&finish_child(child), 0);
    }

    fn run(&self, url: &str, account: &str) -> Output {
        let mut command = self.machine.command(&["run", "hello"]);
        self.introduce(&mut command);
        command
            .env("ANTHROPIC_BASE_URL", url)
            .env("CLAUDE_AGENT__API__API_KEY_KEYRING", account);
        finish(&mut command)
    }
}

impl Drop for Keyring<'_> {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn runtime(machine: &Machine) -> PathBuf {
    machine.home().join("runtime")
}

#[test]
fn a_key_from_a_real_keyring_is_used_and_a_locked_one_is_told() {
    let machine = Machine::new();
    let (_runtime, simulator) = picky();
    let url = simulator.base_url();
    let mut keyring = Keyring::start(&machine);
    keyring.store("main", KEY);
    expect_code(&keyring.run(&url, "main"), 0);
    // The key that is sent is the one in the keyring: the API knows another one as revoked.
    keyring.store("revoked", OLD);
    let refused = keyring.run(&url, "revoked");
    assert!(stderr(&refused).contains("401"), "{}", stderr(&refused));
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0"]);
    keyring.introduce(&mut command);
    command
        .env("ANTHROPIC_BASE_URL", &url)
        .env("CLAUDE_AGENT__API__API_KEY_KEYRING", "main");
    let daemon = Daemon::start_command(&machine, command);
    daemon.post("/v1/messages", &question("hello")).expect(200);
    daemon.signal("TERM");
    expect_code(&daemon.output(), 0);

    keyring.store("odd", "never-printed with a space");
    for (account, expected) in [("other", "there is no such entry"), ("odd", "no key has")] {
        let refused = keyring.run(&url, account);
        expect_code(&refused, 8);
        let told = stderr(&refused);
        assert!(
            told.contains(expected) && told.contains("secret-tool store"),
            "{told}"
        );
    }
    // Started anew without the password, as after a log-in without one.
    let mut unlocked = keyring.children.pop().unwrap();
    unlocked.kill().unwrap();
    unlocked.wait().unwrap();
    let mut locked = keyring.command("gnome-keyring-daemon", &["--foreground", "--components=secrets"]);
    let locked = locked.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    keyring.children.push(locked.unwrap());
    let mut refused = keyring.run(&url, "main");
    wait_until("the keyring says that it is locked", || {
        if stderr(&refused).contains("no keyring answers") {
            refused = keyring.run(&url, "main");
        }
        !stderr(&refused).contains("no keyring answers")
    });
    expect_code(&refused, 8);
    let told = stderr(&refused);
    assert!(told.contains("unlock"), "{told}");
}

#[test]
fn no_keyring_at_all_is_told() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let mut command = machine.command(&["run", "hello"]);
    command
        .env("ANTHROPIC_BASE_URL", &simulator.url)
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus")
        .env("CLAUDE_AGENT__API__API_KEY_KEYRING", "main");
    let refused = finish(&mut command);
    expect_code(&refused, 8);
    let told = stderr(&refused);
    assert!(
        told.contains("no keyring answers") && told.contains("api.api_key_file"),
        "{told}"
    );
}
