//! A session store that is damaged, or something else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Run, goes_on, refused};
use crate::support::{Machine, Simulator, expect_code, finish, stderr};

fn store(machine: &Machine) -> PathBuf {
    machine.data().join("sessions.db")
}

/// Everything in a folder, so that a change shows.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    files
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect()
}

/// Every command that opens the store.
const COMMANDS: &[&[&str]] = &[
    &["run", "Look around"],
    &["sessions", "list"],
    &["sessions", "search", "x"],
];

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let path = store(&machine);
    let other = rusqlite::Connection::open(machine.home().join("other.db")).unwrap();
    other.execute_batch("CREATE TABLE mine (a)").unwrap();
    drop(other);
    let other = std::fs::read(machine.home().join("other.db")).unwrap();
    let mut header = other.clone();
    header[..16].copy_from_slice(b"garbage in front");
    for (bytes, part) in [
        (b"this was never a database\n".repeat(500), "damaged"),
        (header, "damaged"),
        (Vec::new(), "empty"),
        (other, "another program"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        for command in COMMANDS {
            let output = refused(
                &mut machine.against(&simulator, command),
                1,
                &[path.to_str().unwrap(), part],
            );
            let told = stderr(&output);
            // What happened and what to do, each in its line.
            assert!(told.lines().count() >= 2, "{told}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "{command:?} changed it");
        }
    }

    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    for command in COMMANDS {
        refused(
            &mut machine.against(&simulator, command),
            1,
            &[path.to_str().unwrap(), "not a regular file"],
        );
    }
}

#[test]
fn the_advice_for_a_damaged_store_works_as_it_is_printed() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let garbage = b"this was never a database\n".repeat(500);
    std::fs::write(store(&machine), &garbage).unwrap();
    let output = refused(
        &mut machine.against(&simulator, &["run", "Look around"]),
        1,
        &["mkdir"],
    );
    let told = stderr(&output);
    let command = told
        .split('`')
        .find(|part| part.starts_with("mkdir"))
        .expect("a command to paste");
    let pasted = finish(std::process::Command::new("sh").args(["-c", command]));
    expect_code(&pasted, 0);
    let run = Run::done(&machine, &simulator, "Look around");
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
    let aside = machine.data().join("sessions.damaged/sessions.db");
    assert_eq!(
        std::fs::read(aside).unwrap(),
        garbage,
        "nothing of the old one is lost"
    );
}

#[test]
fn flipped_bytes_in_a_message_are_found_and_other_sessions_go_on() {
    let machine = Machine::new();
    machine.write("fact.txt", "the canary sings at dawn\n".repeat(400));
    let simulator = Simulator::start(&[]);
    let damaged = Run::done(&machine, &simulator, "Read fact.txt");
    let whole = Run::done(&machine, &simulator, "Look around");

    let path = store(&machine);
    let mut bytes = std::fs::read(&path).unwrap();
    let mut flipped = 0;
    for place in 0..bytes.len() - 24 {
        if bytes[place..].starts_with(b"canary sings") {
            bytes[place] = b'C';
            flipped += 1;
        }
    }
    assert!(flipped > 100);
    std::fs::write(&path, &bytes).unwrap();

    let session = damaged.session.as_str();
    let store = path.to_str().unwrap();
    for command in [
        &["sessions", "show", session][..],
        &["sessions", "export", session],
        &["run", "--session", session, "x"],
    ] {
        refused(
            &mut machine.against(&simulator, command),
            1,
            &[store, "damaged", "mkdir"],
        );
        assert_eq!(
            std::fs::read(&path).unwrap(),
            bytes,
            "{command:?} changed the store"
        );
    }
    goes_on(&machine, &simulator, &whole.session, whole.acknowledged());
}

#[test]
fn damage_anywhere_is_an_error_or_harmless_and_never_a_crash() {
    let machine = Machine::new();
    // Long enough that most pages hold it.
    machine.write("fact.txt", "the canary sings at dawn\n".repeat(1500));
    let simulator = Simulator::start(&[]);
    let run = Run::done(&machine, &simulator, "Read fact.txt");
    let path = store(&machine);
    let whole = std::fs::read(&path).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 10, "{pages}");
    let mut noticed = BTreeSet::new();
    for page in 0..pages {
        let mut bytes = whole.clone();
        // The middle of the page, and its header where every second one begins.
        let start = page * 4096 + if page % 2 == 0 { 0 } else { 1500 };
        bytes[start..start + 400].fill(0xA5);
        std::fs::write(&path, &bytes).unwrap();
        for command in [
            &["sessions", "list"][..],
            &["sessions", "show", &run.session],
            &["sessions", "search", "canary"],
        ] {
            let before = contents(&machine.data());
            let output = finish(&mut machine.command(command));
            let code = output.status.code();
            assert!(
                matches!(code, Some(0..=2)),
                "page {page}, {command:?}: {code:?} {}",
                stderr(&output)
            );
            assert!(
                !stderr(&output).contains("panicked"),
                "page {page}, {command:?}: {}",
                stderr(&output)
            );
            if code == Some(1) {
                noticed.insert(page);
                assert!(
                    stderr(&output).contains(path.to_str().unwrap()),
                    "page {page}: {}",
                    stderr(&output)
                );
                assert_eq!(
                    contents(&machine.data()),
                    before,
                    "page {page}, {command:?} changed the store"
                );
            }
        }
    }
    // What no command needed (room that is free, other sessions) does no harm.
    assert!(
        noticed.len() > pages / 3,
        "damage is noticed in {noticed:?} of {pages} pages"
    );

    std::fs::write(&path, &whole).unwrap();
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let run = Run::done(&machine, &simulator, "Look around");
    let path = store(&machine);
    let version = |number: i64| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", number).unwrap();
    };
    version(999);
    let before = std::fs::read(&path).unwrap();
    for command in COMMANDS {
        refused(
            &mut machine.against(&simulator, command),
            1,
            &[path.to_str().unwrap(), "999", "update"],
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    version(2);
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}
