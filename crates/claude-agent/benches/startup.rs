//! How soon the built program answers and how little memory it needs, as a shell or a script meets it.
//!
//! Prints one JSON object a line. Times are medians; beside each run of ours a start of `/bin/true` is measured, which is
//! what any process costs here. Nothing fails in this file; `ok` says whether the need is met.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark starts processes, prints its figures and stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_claude-agent");

/// Starts of `--version`: enough for a median that repeats within a few percent.
const VERSION_RUNS: usize = 30;
const VERSION_NEED_MS: f64 = 15.0;

/// Runs to the first byte; each costs a store of its own.
const WIRE_RUNS: usize = 20;
const WIRE_NEED_MS: f64 = 60.0;

/// Runs whose memory is watched.
const MEMORY_RUNS: usize = 5;
const MEMORY_NEED_MB: f64 = 30.0;

fn main() {
    version();
    first_byte();
    memory();
}

struct Figure<'a> {
    name: &'a str,
    ours: f64,
    baseline: Option<f64>,
    unit: &'a str,
    need: f64,
    includes: &'a str,
}

fn print(figure: &Figure) {
    let Figure {
        name,
        ours,
        baseline,
        unit,
        need,
        includes,
    } = figure;
    let ratio = baseline.map(|baseline| ours / baseline);
    println!(
        "{}",
        json!({
            "group": "startup", "name": name, "ours": ours, "baseline": baseline, "unit": unit, "ratio": ratio,
            "need": format!("< {need} {unit}"), "ok": ours < need, "includes": includes,
        })
    );
}

fn version() {
    let ours = || {
        let mut command = Command::new(PROGRAM);
        command.arg("--version");
        to_exit(&mut command)
    };
    let (ours, baseline) = by_turns(VERSION_RUNS, ours);
    print(&Figure {
        name: "`--version`, against `/bin/true`",
        ours,
        baseline: Some(baseline),
        unit: "ms",
        need: VERSION_NEED_MS,
        includes: "from before the process is started until it has ended",
    });
}

fn first_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    let fresh = || {
        number += 1;
        to_first_byte(folder.path(), &folder.path().join(number.to_string()))
    };
    let (ours, baseline) = by_turns(WIRE_RUNS, fresh);
    let includes = "from before the process is started until the first byte of its request is received: configuration, \
                    session store, tools, connection and the first message durable on disk";
    print(&Figure {
        name: "`run` to the first byte on the wire, new session store, against `/bin/true`",
        ours,
        baseline: Some(baseline),
        unit: "ms",
        need: WIRE_NEED_MS,
        includes,
    });
    let used = folder.path().join("1");
    let (ours, baseline) = by_turns(WIRE_RUNS, || to_first_byte(folder.path(), &used));
    print(&Figure {
        name: "`run` to the first byte on the wire, existing session store, against `/bin/true`",
        ours,
        baseline: Some(baseline),
        unit: "ms",
        need: WIRE_NEED_MS,
        includes,
    });
}

fn memory() {
    let folder = tempfile::tempdir().unwrap();
    // The answer comes late and in pieces, as it would over a network, so that every phase is looked at.
    let mut simulator = Command::new(PROGRAM)
        .args([
            "simulate",
            "--quiet",
            "--listen",
            "127.0.0.1:0",
            "--fault",
            "latency=fixed:50ms",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    BufReader::new(simulator.stdout.take().unwrap())
        .read_line(&mut told)
        .unwrap();
    let url = told
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .expect(&told);
    let mut peaks: Vec<f64> = (0..MEMORY_RUNS)
        .map(|_| peak_of_a_turn(folder.path(), url))
        .collect();
    simulator.kill().unwrap();
    simulator.wait().unwrap();
    print(&Figure {
        name: "resident memory after a one-turn run",
        ours: median(&mut peaks),
        baseline: None,
        unit: "MB",
        need: MEMORY_NEED_MB,
        includes: "the highest that the kernel counted (VmHWM) until the process ended, code pages included; looked at every 0.2 ms",
    });
}

/// The medians of this work and of starting `/bin/true`, in milliseconds, by turns, so that a busy moment hits both.
fn by_turns(rounds: usize, mut ours: impl FnMut() -> Duration) -> (f64, f64) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        a.push(milliseconds(ours()));
        b.push(milliseconds(to_exit(&mut Command::new("/bin/true"))));
    }
    (median(&mut a), median(&mut b))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

fn to_exit(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().unwrap();
    let took = begun.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

/// A run with nothing of this user's own.
fn run(home: &Path, data: &Path, url: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .env("HOME", home)
        .env("ANTHROPIC_BASE_URL", url)
        .env("ANTHROPIC_API_KEY", "simulated")
        .current_dir(home)
        .arg("--data-dir")
        .arg(data)
        .args(["run", "What can you do?"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A plain listener stands in for the API; once it has a byte, nobody is interested in the rest.
fn to_first_byte(home: &Path, data: &Path) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut command = run(home, data, &format!("http://{}", listener.local_addr().unwrap()));
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut connection = loop {
        match listener.accept() {
            Ok((connection, _)) => break connection,
            // Not waited for in the kernel: a program that ended early would never connect.
            Err(_) => assert!(
                child.try_wait().unwrap().is_none(),
                "the run ended before it asked anything"
            ),
        }
        std::thread::sleep(Duration::from_micros(20));
    };
    connection
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    connection.read_exact(&mut [0]).unwrap();
    let took = begun.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

/// Megabytes of a million bytes.
fn peak_of_a_turn(home: &Path, url: &str) -> f64 {
    let mut child = run(home, &home.join("data"), url).spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // The counter only rises; what is read once is never too high.
        peak = peak.max(resident_peak(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_micros(200));
    };
    assert!(status.success(), "the run failed: {status}");
    assert!(peak > 0, "the memory was never seen");
    peak as f64 * 1024.0 / 1e6
}

/// In KiB; none once the process has ended.
fn resident_peak(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
