//! What the command leaves on the disk is its user's alone, and it follows no link that somebody put there first.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Machine, Simulator, exists, finish, wait_until};

/// Everything beneath the folders of the machine that the test did not make itself.
fn made(machine: &Machine) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![machine.data(), machine.home()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

fn check_private(machine: &Machine, after: &str) {
    for path in made(machine) {
        // It may be gone by now.
        let Ok(found) = path.symlink_metadata() else {
            continue;
        };
        let mode = found.permissions().mode();
        assert!(
            mode & 0o077 == 0,
            "after {after}: {} has mode {:o}",
            path.display(),
            mode & 0o7777
        );
    }
}

/// The command started with a mask that takes nothing away: what is private is so because the program says it.
fn unmasked(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 0; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// Stands for the id of the session that changed last.
const LAST: &str = "LAST";

fn last_session(machine: &Machine) -> String {
    let output = finish(&mut machine.command(&["sessions", "list", "--output", "json"]));
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    list[0]["id"].as_str().unwrap_or("none").to_owned()
}

/// Runs every command that writes something, and looks after each.
fn each_command(machine: &Machine, simulator: &Simulator, mut after: impl FnMut(&str)) {
    let export = machine.home().join("export.md").display().to_string();
    for words in [
        &["config", "init"][..],
        &["run", "Look around"],
        &["run", "--session", LAST, "Look again"],
        &["sessions", "list"],
        &["sessions", "export", LAST, "--to", &export],
        &["sessions", "fork", LAST],
        &["metrics"],
    ] {
        let last = last_session(machine);
        let words: Vec<&str> = words
            .iter()
            .map(|word| if *word == LAST { &last } else { *word })
            .collect();
        unmasked(&machine.against(simulator, &words)).status().unwrap();
        after(&words.join(" "));
    }
    // The daemon makes its own: token, lock, socket.
    let serve = machine.against(simulator, &["serve", "--listen", "127.0.0.1:0"]);
    let mut daemon = unmasked(&serve).spawn().unwrap();
    let socket = machine.data().join("claude-agent.sock");
    let token = machine.data().join("token");
    wait_until("the daemon is there, or has refused to start", || {
        let is_up = socket
            .symlink_metadata()
            .is_ok_and(|found| found.file_type().is_socket());
        (is_up && exists(&token)) || daemon.try_wait().unwrap().is_some()
    });
    after("serve");
    daemon.kill().ok();
    daemon.wait().unwrap();
    after("the end of serve");
}

#[test]
fn predictable_temp_files_and_world_readable_state() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    each_command(&machine, &simulator, |after| check_private(&machine, after));
    let names: Vec<String> = made(&machine)
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    // The walk has seen what it is about.
    for expected in [
        "sessions.db",
        "token",
        "config.toml",
        "export.md",
        "claude-agent.sock",
    ] {
        assert!(
            names.iter().any(|name| name == expected),
            "{expected} is not among {names:?}"
        );
    }
}

/// Every name at which a first machine has a file is a link to somebody's file on the second.
#[test]
fn links_planted_for_every_file_are_not_followed() {
    let simulator = Simulator::start(&[]);
    let (first, second) = (Machine::new(), Machine::new());
    each_command(&first, &simulator, |_| {});
    let victims = tempfile::tempdir().unwrap();
    let mut guarded = Vec::new();
    for path in made(&first) {
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            continue;
        }
        let bases = [(first.data(), second.data()), (first.home(), second.home())];
        let (base, link) = bases
            .iter()
            .find_map(|(from, to)| Some((to, to.join(path.strip_prefix(from).ok()?))))
            .unwrap();
        make_private_folders(base, link.parent().unwrap());
        let victim = victims.path().join(guarded.len().to_string());
        // Empty, as somebody would leave it who hopes to see it filled.
        std::fs::write(&victim, "").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        guarded.push((victim, link));
    }
    assert!(guarded.len() >= 4, "only {guarded:?}");
    each_command(&second, &simulator, |after| {
        for (victim, link) in &guarded {
            let length = victim.metadata().unwrap().len();
            assert_eq!(length, 0, "after {after}: {} was followed", link.display());
        }
    });
}

fn make_private_folders(base: &Path, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let mut at = folder;
    while at != base {
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o700)).unwrap();
        at = at.parent().unwrap();
    }
}
