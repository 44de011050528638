use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::tools::testing::{Bench, content, is_alive};
use crate::tools::{LiveOutput, ToolContext, ToolLimits};

async fn run(bench: &Bench, command: &str) -> crate::tools::ToolResult {
    bench.call("bash", json!({"command": command})).await
}

/// Without the last line, which tells the duration.
fn output(text: &str) -> &str {
    text.rsplit_once("\n[").expect("a last line").0
}

#[tokio::test]
async fn a_command_runs_in_the_workspace_and_tells_output_and_status() {
    let bench = Bench::new();
    bench.file("a.txt", "content\n");
    let text = Bench::works(run(&bench, "pwd; cat a.txt").await);
    assert_eq!(
        output(&text),
        format!("{}\ncontent", bench.workspace.root().display())
    );
    assert!(text.contains("[exit status 0; took 0."), "{text}");
    assert!(Bench::works(run(&bench, "true").await).starts_with("(no output)\n[exit status 0"));
    let text = Bench::fails(run(&bench, "echo no >&2; exit 7").await);
    assert!(text.starts_with("no\n[exit status 7; took"), "{text}");
    let text = Bench::fails(run(&bench, "kill -SEGV $$").await);
    assert!(
        text.contains("[ended by signal 11 (SIGSEGV: it crashed)"),
        "{text}"
    );
    assert!(Bench::fails(run(&bench, "no-such-program-anywhere").await).contains("exit status 127"));
}

#[tokio::test]
async fn standard_output_and_error_keep_their_order() {
    let bench = Bench::new();
    let text = Bench::works(run(&bench, "for i in 1 2 3; do echo out $i; echo err $i >&2; done").await);
    assert_eq!(output(&text), "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3");
}

#[tokio::test]
async fn secrets_and_the_terminal_are_out_of_reach() {
    let environment = [
        ("ANTHROPIC_API_KEY", "canary"),
        ("GITHUB_TOKEN", "canary"),
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/h"),
    ];
    let environment = environment
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let bench = Bench::with_limits(ToolLimits {
        environment,
        ..ToolLimits::default()
    });
    let text = Bench::works(run(&bench, "env; cat; (: < /dev/tty) 2>/dev/null || echo no terminal").await);
    assert!(!text.contains("canary"), "{text}");
    assert!(
        text.contains("HOME=/h\n") && text.contains("TERM=dumb\n") && text.contains("no terminal"),
        "{text}"
    );
}

#[tokio::test]
async fn looking_at_a_hostile_repository_starts_none_of_its_programs() {
    let bench = Bench::new();
    let made = run(
        &bench,
        "git init -q . && printf '#!/bin/sh\ntouch ran' > trap && chmod +x trap && cp trap .git/hooks/post-index-change \
         && git config core.fsmonitor ./trap && touch a && git add a && touch a && rm -f ran",
    )
    .await;
    Bench::works(made);
    let text = Bench::works(run(&bench, "git status --short").await);
    assert!(text.contains("A  a"), "{text}");
    assert!(!bench.path("ran").exists());
}

#[tokio::test]
async fn a_gigabyte_of_output_keeps_head_and_tail() {
    let bench = Bench::new();
    let before = resident_kib();
    let result = run(
        &bench,
        "echo first; head -c 1073741824 /dev/zero; echo; echo last",
    )
    .await;
    assert!(result.truncated && !result.is_error);
    assert!(result.content.len() < 100 * 1024, "{}", result.content.len());
    assert!(result.content.starts_with("first\n"));
    assert!(
        result.content.contains("bytes left out of 1073741836 …"),
        "{}",
        result.content.len()
    );
    assert!(result.content.contains("\nlast\n[exit status 0"));
    // Other tests run beside this one, so the bound is generous; a gigabyte it is not.
    assert!(resident_kib() < before + 300 * 1024);
}

fn resident_kib() -> u64 {
    let status = String::from_utf8(content(Path::new("/proc/self/status"))).expect("text");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .expect("a number")
}

#[tokio::test]
async fn output_is_shown_while_the_command_runs() {
    let bench = Bench::new();
    let (sender, mut receiver) = mpsc::channel(16);
    let context = ToolContext::new(CancellationToken::new()).with_output(LiveOutput::new(sender));
    let call = bench.call_with(
        "bash",
        json!({"command": "echo one; until [ -e go ]; do sleep 0.01; done; echo two"}),
        context,
    );
    let (result, ()) = tokio::join!(call, async {
        assert_eq!(receiver.recv().await.expect("live output"), "one\n");
        bench.file("go", "");
        assert_eq!(receiver.recv().await.expect("live output"), "two\n");
    });
    assert_eq!(output(&Bench::works(result)), "one\ntwo");
}

#[tokio::test]
async fn a_command_over_its_time_is_stopped_with_what_it_printed() {
    let bench = Bench::new();
    let started = Instant::now();
    let result = bench
        .call(
            "bash",
            json!({"command": "echo begun; sleep 60", "timeout_seconds": 1}),
        )
        .await;
    let text = Bench::fails(result);
    assert!(
        text.starts_with("begun\n[stopped after its time limit of 1 s; a longer timeout_seconds"),
        "{text}"
    );
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_cancel_stops_the_whole_group_even_if_it_ignores_the_polite_signal() {
    let bench = Bench::new();
    let context = ToolContext::new(CancellationToken::new());
    let cancel = context.cancel.clone();
    let command = "trap '' TERM; sleep 61 & echo $! > pids; (trap '' TERM; sleep 62; sleep 63) & echo $! >> pids; touch ready; sleep 64; sleep 65";
    let call = bench.call_with("bash", json!({"command": command}), context);
    let started = Instant::now();
    let (result, ()) = tokio::join!(call, async {
        while !bench.path("ready").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    });
    assert!(Bench::fails(result).contains("[stopped because the call was cancelled"));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_all_gone(&bench).await;
}

/// The processes in the file `pids` end within a moment: killed is not yet reaped.
async fn assert_all_gone(bench: &Bench) {
    let pids = String::from_utf8(bench.content("pids")).expect("numbers");
    for pid in pids.split_whitespace().map(|pid| pid.parse().expect("a number")) {
        let deadline = Instant::now() + Duration::from_secs(3);
        while is_alive(pid) {
            assert!(Instant::now() < deadline, "{pid} is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(!pids.is_empty());
}

#[tokio::test]
async fn a_dropped_call_kills_its_group() {
    let bench = Bench::new();
    let call = bench.call(
        "bash",
        json!({"command": "sleep 61 & echo $! > pids; echo $$ >> pids; touch ready; wait"}),
    );
    tokio::select! {
        _ = call => panic!("it waits for a minute"),
        () = async { while !bench.path("ready").exists() { tokio::time::sleep(Duration::from_millis(5)).await; } } => {}
    }
    assert_all_gone(&bench).await;
}

#[tokio::test]
async fn what_is_left_in_the_background_neither_hangs_the_call_nor_outlives_it() {
    let bench = Bench::new();
    let started = Instant::now();
    // One keeps the output open, one does not, one was forked twice.
    let command = "sleep 61 & echo $! > pids; sleep 62 >/dev/null 2>&1 & echo $! >> pids; \
                   (sleep 63 & echo $! >> pids); echo done";
    let text = Bench::works(run(&bench, command).await);
    assert!(text.starts_with("done\n[exit status 0"), "{text}");
    assert!(
        text.contains("left in the background still held its output; they were stopped"),
        "{text}"
    );
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_all_gone(&bench).await;
}

#[tokio::test]
async fn a_daemon_in_its_own_session_does_not_hang_the_call() {
    let bench = Bench::new();
    let started = Instant::now();
    let text = Bench::works(run(&bench, "setsid sh -c 'echo $$ > daemon; exec sleep 5' & until [ -s daemon ]; do sleep 0.01; done; echo done").await);
    assert!(text.starts_with("done\n"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn eight_commands_run_side_by_side() {
    let bench = Bench::new();
    let started = Instant::now();
    let calls = (0..8).map(|_| run(&bench, "sleep 0.5"));
    futures_util::future::join_all(calls)
        .await
        .into_iter()
        .for_each(|result| drop(Bench::works(result)));
    assert!(
        started.elapsed() < Duration::from_millis(2500),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn bad_input_is_explained() {
    let bench = Bench::new();
    let cases = [
        (json!({"command": "  "}), "the command is empty"),
        (json!({"command": "echo \0"}), "NUL character"),
        (json!({"command": "x".repeat(200_000)}), "write it to a file"),
        (json!({"command": "true", "timeout_seconds": 0}), "at least 1"),
        (
            json!({"command": "true", "timeout_seconds": 999_999}),
            "may be 3600 at most",
        ),
        (
            json!({"command": ["ls", "-l"]}),
            "field `command` was given as [\"ls\",\"-l\"]",
        ),
        (json!({"cmd": "ls"}), "unknown field `cmd`"),
    ];
    for (input, part) in cases {
        let error = bench.prepare("bash", input).err().expect("refused").message;
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_person_asked_sees_the_whole_command() {
    let bench = Bench::new();
    let call = bench
        .prepare("bash", json!({"command": "cargo test\nrm -rf target"}))
        .expect("fits");
    assert_eq!(call.summary(), "run cargo test …");
    assert_eq!(call.detail().as_deref(), Some("cargo test\nrm -rf target"));
}

#[tokio::test]
async fn a_workspace_that_is_gone_is_told() {
    let bench = Bench::new();
    std::fs::remove_dir_all(bench.workspace.root()).expect("removed");
    let text = Bench::fails(run(&bench, "true").await);
    assert!(text.contains("the command was not run: /bin/bash in"), "{text}");
}
