//! A disk that is full, and a data folder that can't be written.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Run, goes_on, refused};
use crate::support::{Machine, Simulator, expect_code, finish, stderr, unprivileged};

/// A small file system of its own, until it is dropped.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// None where this user may not mount anything.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=0700");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], folder).then(|| Self {
            folder: folder.to_owned(),
        })
    }

    fn remount(&self, options: &str) {
        assert!(
            mount(&["-o", &format!("remount,{options}")], &self.folder),
            "remount with {options}"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.folder).status().ok();
    }
}

fn mount(arguments: &[&str], folder: &Path) -> bool {
    let mut command = Command::new("mount");
    command.args(arguments).arg(folder).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// How a run ended that could not store any more.
fn ended_by_the_store(machine: &Machine, simulator: &Simulator, arguments: &[&str], part: &str) -> Run {
    let mut all = vec!["run", "--output-format", "stream-json"];
    all.extend(arguments);
    let run = Run::of(&expect_code(&finish(&mut machine.against(simulator, &all)), 1));
    let last = run.events.last().unwrap();
    assert_eq!(last["type"], "finished");
    assert_eq!(last["outcome"], "failed", "{last}");
    assert_eq!(last["error"]["kind"], "store", "{last}");
    let message = last["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(part) && message.contains("sessions.db"),
        "{last}"
    );
    assert!(!last["error"]["advice"].as_str().unwrap().is_empty(), "{last}");
    run
}

fn stored(machine: &Machine, session: &str) -> Vec<Value> {
    let shown = finish(&mut machine.command(&["sessions", "show", session, "--output", "json"]));
    let shown: Value = serde_json::from_str(&expect_code(&shown, 0)).unwrap();
    shown["messages"].as_array().unwrap().clone()
}

#[test]
fn a_disk_that_fills_ends_the_run_and_loses_nothing_that_was_acknowledged() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(&machine.data(), "1m") else {
        println!("skipped: this user may not mount a small file system to fill");
        return;
    };
    machine.write(
        "large.txt",
        "sixty bytes of text that fill a disk when they come often..\n".repeat(3000),
    );
    let simulator = Simulator::start(&[]);
    let first = Run::done(&machine, &simulator, "Look around");

    let task = ["Read large.txt"; 6].join(", then ");
    let mut full = None;
    for _ in 0..8 {
        let mut command = machine.against(&simulator, &["run", "--output-format", "stream-json", &task]);
        let output = finish(&mut command);
        if output.status.code() == Some(1) {
            full = Some(output);
            break;
        }
        expect_code(&output, 0);
    }
    let full = full.expect("the disk never filled");
    let run = Run::of(&expect_code(&full, 1));
    let last = run.events.last().unwrap();
    assert_eq!(last["type"], "finished");
    assert_eq!(last["error"]["kind"], "store", "{last}");
    let error = &last["error"];
    assert!(
        error["message"].as_str().unwrap().contains("no space is left"),
        "{last}"
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains(machine.data().to_str().unwrap()),
        "{last}"
    );
    assert!(
        error["advice"].as_str().unwrap().contains("free some space"),
        "{last}"
    );
    assert!(run.acknowledged() > 0, "it filled in the middle of a run");

    assert!(
        stored(&machine, &run.session).len() >= run.acknowledged(),
        "what was acknowledged is there"
    );
    let again = ended_by_the_store(
        &machine,
        &simulator,
        &["--session", &run.session, &task],
        "no space is left",
    );
    assert_eq!(again.session, run.session);
    // As a person reads it.
    refused(
        &mut machine.against(&simulator, &["run", "--session", &run.session, &task]),
        1,
        &["no space is left", "free some space"],
    );

    disk.remount("size=64m");
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
    goes_on(&machine, &simulator, &first.session, first.acknowledged());
}

#[test]
fn a_disk_that_is_full_from_the_start_leaves_no_half_store() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(&machine.data(), "16k") else {
        println!("skipped: this user may not mount a small file system to fill");
        return;
    };
    let simulator = Simulator::start(&[]);
    for command in [&["run", "Look around"][..], &["sessions", "list"]] {
        let data = machine.data();
        refused(
            &mut machine.against(&simulator, command),
            1,
            &["no space is left", data.to_str().unwrap(), "free some space"],
        );
        let left: Vec<_> = std::fs::read_dir(&data)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    disk.remount("size=64m");
    let run = Run::done(&machine, &simulator, "Look around");
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}

#[test]
fn a_full_disk_under_the_workspace_is_told_to_the_model() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(&machine.workspace(), "64k") else {
        println!("skipped: this user may not mount a small file system to fill");
        return;
    };
    machine.write("file.txt", "old\n");
    let filler = vec![b'x'; 60 * 1024];
    std::fs::write(machine.workspace().join("filler"), &filler).ok();
    let simulator = Simulator::start(&[]);
    let text = "long ".repeat(4000);
    let run = Run::done(&machine, &simulator, &format!("Write file.txt with \"{text}\""));
    let result = run.results("write_file")[0];
    assert_eq!(result["is_error"], true, "{result}");
    assert!(
        result["output"].as_str().unwrap().contains("file.txt"),
        "{result}"
    );
    assert_eq!(machine.read("file.txt"), "old\n", "the old file is whole");
    let names: Vec<_> = std::fs::read_dir(machine.workspace())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "no half-written file stays behind: {names:?}");
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
    drop(disk);
}

#[test]
fn a_data_folder_that_may_not_be_written_is_named_and_what_is_stored_stays() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let run = Run::done(&machine, &simulator, "Look around");
    let data = machine.data();
    let mode = |mode| std::fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();

    // The store can be written, the folder around it can't: SQLite needs its log there.
    mode(0o555);
    let commands = [
        &["run", "Look around"][..],
        &["run", "--session", &run.session, "Look around"],
        &["sessions", "list"],
    ];
    for command in commands {
        let Some(mut command) = unprivileged(machine.against(&simulator, command)) else {
            println!(
                "skipped: this machine has no way to give up root's right to write everything (setpriv)"
            );
            return mode(0o700);
        };
        let output = refused(&mut command, 1, &[data.to_str().unwrap()]);
        assert!(stderr(&output).contains("--data-dir"), "{}", stderr(&output));
    }
    mode(0o700);
    goes_on(&machine, &simulator, &run.session, run.acknowledged());

    // Nothing there yet.
    let empty = machine.home().join("empty");
    std::fs::create_dir(&empty).unwrap();
    std::fs::set_permissions(&empty, Permissions::from_mode(0o555)).unwrap();
    let below = empty.join("data");
    for folder in [&empty, &below] {
        let folder = folder.to_str().unwrap();
        let command = machine.against(&simulator, &["run", "--data-dir", folder, "Look around"]);
        refused(&mut unprivileged(command).unwrap(), 1, &[folder, "--data-dir"]);
    }
}

#[test]
fn a_read_only_file_system_is_named() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(&machine.data(), "16m") else {
        println!("skipped: this user may not mount a read-only file system");
        return;
    };
    let simulator = Simulator::start(&[]);
    let run = Run::done(&machine, &simulator, "Look around");
    disk.remount("ro");
    let data = machine.data();
    for command in [
        &["run", "Look around"][..],
        &["run", "--session", &run.session, "Look around"],
    ] {
        refused(
            &mut machine.against(&simulator, command),
            1,
            &[data.to_str().unwrap(), "can't write", "--data-dir"],
        );
    }
    disk.remount("rw");
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}

#[test]
fn a_data_folder_that_is_a_file_is_named() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    machine.write("file", "mine");
    let file = machine.workspace().join("file");
    let arguments = ["run", "--data-dir", file.to_str().unwrap(), "Look around"];
    refused(
        machine
            .plain_command(&arguments)
            .env("ANTHROPIC_BASE_URL", &simulator.url),
        1,
        &[file.to_str().unwrap()],
    );
    assert_eq!(machine.read("file"), "mine");
}

/// A folder whose name is not UTF-8 is used as it is or refused: never another one that only looks like it.
#[test]
fn a_data_folder_whose_name_is_not_utf8_is_not_mistaken_for_another() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let odd = machine.home().join(OsStr::from_bytes(b"da\xffta"));
    let mut command = machine.plain_command(&["run", "Look around", "--data-dir"]);
    command.arg(&odd).env("ANTHROPIC_BASE_URL", &simulator.url);
    let output = finish(&mut command);
    let names: Vec<_> = std::fs::read_dir(machine.home())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    match output.status.code() {
        Some(0) => assert_eq!(names, [odd]),
        Some(2 | 8) => {
            assert!(stderr(&output).contains("UTF-8"), "{}", stderr(&output));
            assert!(names.is_empty(), "{names:?}");
        }
        code => panic!("{code:?}: {}", stderr(&output)),
    }
}
