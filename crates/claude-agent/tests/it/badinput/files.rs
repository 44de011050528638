//! Files that are no text, too large, not readable, or no files at all, and folders that can't be worked in.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Run, goes_on, refused};
use crate::support::{Machine, Simulator, expect_code, finish, unprivileged};

/// What the whole program may need while a tool meets a file of gigabytes.
const MAX_RESIDENT_KIB: u64 = 100 * 1024;

fn output(result: &Value) -> &str {
    result["output"].as_str().unwrap()
}

/// The one result of a tool, which must be an error that says these.
fn error_of(run: &Run, tool: &str, parts: &[&str]) {
    let results = run.results(tool);
    assert_eq!(results.len(), 1, "{:?}", run.events);
    assert_eq!(results[0]["is_error"], true, "{}", results[0]);
    for part in parts {
        assert!(output(results[0]).contains(part), "{part:?} in {}", results[0]);
    }
}

#[test]
fn a_binary_file_is_named_not_shown() {
    let machine = Machine::new();
    machine.write(
        "picture.png",
        [b"\x89PNG\r\n\x1a\n".as_slice(), &[0; 5000]].concat(),
    );
    machine.write("note.txt", "needle in a text\n");
    machine.write("data.bin", b"needle \0\x01\x02 needle\n");
    let simulator = Simulator::start(&[]);
    let run = Run::done(&machine, &simulator, "Read picture.png");
    error_of(&run, "read_file", &["picture.png", "PNG image", "4.8 KiB"]);
    goes_on(&machine, &simulator, &run.session, run.acknowledged());

    let run = Run::done(&machine, &simulator, "Search for needle");
    assert!(
        output(run.results("grep")[0]).contains("note.txt"),
        "{:?}",
        run.events
    );
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}

/// The highest resident memory that the kernel counted for a process, in KiB; none when it has ended.
fn peak_resident(pid: u32) -> Option<u64> {
    let mut status = String::new();
    File::open(format!("/proc/{pid}/status"))
        .ok()?
        .read_to_string(&mut status)
        .ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Lets a run go to its end while it looks at its memory. The counter only rises, so looking often is enough.
fn watched(mut child: Child) -> (Run, u64) {
    let reader = std::thread::spawn({
        let stdout = child.stdout.take().unwrap();
        move || {
            BufReader::new(stdout)
                .lines()
                .map(|line| line.unwrap() + "\n")
                .collect::<String>()
        }
    });
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_resident(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(peak > 1024, "the memory was never seen");
    (Run::of(&reader.join().unwrap()), peak)
}

#[test]
fn five_gigabytes_are_read_and_searched_quickly_and_in_little_memory() {
    let machine = Machine::new();
    machine.write("hole.bin", "");
    machine.write("log.txt", "a line of the log\n".repeat(20_000));
    machine.write("line.txt", "x".repeat(1 << 20));
    for name in ["hole.bin", "log.txt", "line.txt"] {
        let file = File::options()
            .write(true)
            .open(machine.workspace().join(name))
            .unwrap();
        file.set_len(5 << 30).unwrap();
    }
    // The answer comes late, so that the memory of the tool before it is always seen.
    let simulator = Simulator::start(&["--fault", "latency=fixed:100ms"]);
    for (task, tool, part) in [
        ("Read hole.bin", "read_file", "5.0 GiB"),
        ("Read log.txt", "read_file", "read on with offset"),
        ("Read line.txt", "read_file", "more bytes in this line"),
        ("Search for nowhere-to-be-found", "grep", ""),
        ("Replace 'a line' with 'two' in log.txt", "edit_file", "log.txt"),
    ] {
        let start = Instant::now();
        let child = machine
            .against(&simulator, &["run", "--output-format", "stream-json", task])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (run, peak) = watched(child);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{task}: {took:?}");
        assert!(peak < MAX_RESIDENT_KIB, "{task}: {peak} KiB");
        let results = run.results(tool);
        assert!(!results.is_empty(), "{task}: {:?}", run.events);
        assert!(output(results[0]).contains(part), "{task}: {}", results[0]);
        assert!(
            results[0]["duration_ms"].as_u64().unwrap() < 10_000,
            "{task}: {}",
            results[0]
        );
        assert_eq!(run.events.last().unwrap()["outcome"], "done", "{task}");
        goes_on(&machine, &simulator, &run.session, run.acknowledged());
    }
    let size = machine.workspace().join("log.txt").metadata().unwrap().len();
    assert_eq!(size, 5 << 30, "nothing was cut");
}

#[test]
fn invalid_utf8_is_shown_with_replacement_characters_and_said() {
    let machine = Machine::new();
    machine.write(
        "latin1.txt",
        b"The street is called Gr\xfcner Weg, as everybody knows.\n",
    );
    let odd = OsStr::from_bytes(b"na\xffme.txt");
    std::fs::write(machine.workspace().join(odd), "needle\n").unwrap();
    let simulator = Simulator::start(&[]);
    let run = Run::done(
        &machine,
        &simulator,
        "Look around, then search for needle, then read latin1.txt",
    );
    let read = output(run.results("read_file")[0]);
    assert!(
        read.contains("Gr\u{fffd}ner") && read.contains("not valid UTF-8"),
        "{read}"
    );
    assert!(
        output(run.results("list_directory")[0]).contains("latin1.txt"),
        "{:?}",
        run.events
    );
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}

#[test]
fn a_pipe_in_the_workspace_holds_nothing_up() {
    let machine = Machine::new();
    machine.write("note.txt", "needle in a text\n");
    let pipe = machine.workspace().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let simulator = Simulator::start(&[]);
    let run = Run::done(
        &machine,
        &simulator,
        "Read pipe.txt, then look around, then search for needle",
    );
    assert!(output(run.results("grep")[0]).contains("note.txt"));

    std::fs::rename(&pipe, machine.workspace().join("pipe.txt")).unwrap();
    let run = Run::done(&machine, &simulator, "Read pipe.txt");
    error_of(&run, "read_file", &["pipe.txt", "pipe"]);
    // A pipe in place of the project's instructions and its settings.
    for name in ["CLAUDE.md", "AGENTS.md", ".gitignore"] {
        assert!(
            Command::new("mkfifo")
                .arg(machine.workspace().join(name))
                .status()
                .unwrap()
                .success()
        );
    }
    let again = Run::done(&machine, &simulator, "Search for needle");
    assert!(output(again.results("grep")[0]).contains("note.txt"));
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}

#[test]
fn a_file_that_may_not_be_read_is_an_error_and_searches_pass_it_by() {
    let machine = Machine::new();
    machine.write("secret.txt", "needle in a secret\n");
    machine.write("note.txt", "needle in a text\n");
    std::fs::set_permissions(
        machine.workspace().join("secret.txt"),
        Permissions::from_mode(0o000),
    )
    .unwrap();
    let simulator = Simulator::start(&[]);
    for (task, tool, part) in [
        ("Read secret.txt", "read_file", "secret.txt"),
        ("Search for needle", "grep", "note.txt"),
    ] {
        let command = machine.against(&simulator, &["run", "--output-format", "stream-json", task]);
        let Some(mut command) = unprivileged(command) else {
            println!("skipped: this machine has no way to give up root's right to read everything (setpriv)");
            return;
        };
        let run = Run::of(&expect_code(&finish(&mut command), 0));
        let result = run.results(tool)[0];
        assert_eq!(result["is_error"], tool == "read_file", "{result}");
        assert!(
            output(result).contains(part) && !output(result).contains("in a secret"),
            "{result}"
        );
        goes_on(&machine, &simulator, &run.session, run.acknowledged());
    }
}

#[test]
fn a_workspace_that_cannot_be_used_is_named() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    machine.write("file.txt", "");
    let closed = machine.home().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    for folder in ["file.txt", "missing", "file.txt/below"] {
        refused(
            &mut machine.against(&simulator, &["run", "--workspace", folder, "Look around"]),
            8,
            &[folder, "--workspace"],
        );
    }
    let folder = closed.to_str().unwrap();
    let command = machine.against(&simulator, &["run", "--workspace", folder, "Look around"]);
    match unprivileged(command) {
        Some(mut command) => {
            refused(&mut command, 8, &[folder]);
        }
        None => println!("skipped: the folder that may not be read (setpriv is missing)"),
    }
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let run = Run::done(&machine, &simulator, "Look around");
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}

#[test]
fn a_session_whose_folder_is_gone_says_so_and_goes_on_when_it_is_back() {
    let machine = Machine::new();
    machine.write("project/fact.txt", "the canary sings at dawn\n");
    let simulator = Simulator::start(&[]);
    let arguments = [
        "run",
        "--output-format",
        "stream-json",
        "--workspace",
        "project",
        "Read fact.txt",
    ];
    let run = Run::of(&expect_code(
        &finish(&mut machine.against(&simulator, &arguments)),
        0,
    ));
    let (here, away) = (
        machine.workspace().join("project"),
        machine.workspace().join("away"),
    );
    std::fs::rename(&here, &away).unwrap();
    let again = ["run", "--session", run.session.as_str(), "Look around"];
    refused(
        &mut machine.against(&simulator, &again),
        8,
        &[here.to_str().unwrap()],
    );
    let shown = finish(&mut machine.command(&["sessions", "show", &run.session]));
    assert!(
        expect_code(&shown, 0).contains("the canary sings at dawn"),
        "it can still be read"
    );
    std::fs::rename(&away, &here).unwrap();
    goes_on(&machine, &simulator, &run.session, run.acknowledged());
}

#[test]
fn a_prompt_from_a_pipe_that_has_no_end_is_refused() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let mut child = machine
        .against(&simulator, &["run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // Until the other side has had enough.
    let block = vec![b'x'; 1 << 16];
    let sent = (0..1000).take_while(|_| pipe.write_all(&block).is_ok()).count();
    assert!(sent < 1000, "the prompt was read without a limit");
    drop(pipe);
    let output = crate::support::finish_child(child);
    expect_code(&output, 2);
    assert!(
        crate::support::stderr(&output).contains("larger than"),
        "{output:?}"
    );
}
