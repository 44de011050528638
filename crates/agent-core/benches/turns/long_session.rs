//! What 10,000 turns in one session leave in memory, each kind in a process of its own.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::server::{BRIEF, TWO_READS};
use super::workspace::{Bench, Setup, run};
use super::{Figure, median, print};

const TURNS: usize = 10_000;

/// Turns from one reading of the memory to the next.
const SAMPLE: usize = 100;

/// Of what it is without.
const NEED: f64 = 0.85;

/// Bytes by which the last nine tenths may grow.
const FLAT: f64 = 2.0 * 1024.0 * 1024.0;

/// Small enough that a hundred-odd turns fill it.
const WINDOW: u32 = 32_000;

const OFF: Setup = Setup {
    reuse: false,
    parallel: 1,
    pooled: false,
    ..Setup::ON
};

/// By the name that the child is given.
fn setup(kind: &str) -> Setup {
    match kind {
        "on" => Setup {
            window: Some(WINDOW),
            ..Setup::ON
        },
        "compacting" => Setup {
            window: Some(WINDOW),
            ..OFF
        },
        // Never full.
        _ => Setup {
            window: Some(u32::MAX),
            ..OFF
        },
    }
}

pub(crate) fn measure(url: &str) -> Result<(), Box<dyn Error>> {
    let on = child("on", url)?;
    let compacting = child("compacting", url)?;
    let off = child("off", url)?;
    let last = |samples: &[f64]| median(samples[samples.len() - 5..].iter().copied());
    let growth = |samples: &[f64]| {
        let tenth = samples.len() / 10;
        last(samples) - median(samples[tenth - 3..tenth + 2].iter().copied())
    };
    let megabytes = |bytes: f64| bytes / 1024.0 / 1024.0;
    let ratio = last(&on) / last(&off);
    print(&Figure {
        name: "resident memory after 10,000 turns in one session: everything on against off",
        ours: megabytes(last(&on)),
        baseline: Some(megabytes(last(&off))),
        unit: "MiB",
        ratio: Some(ratio),
        need: format!("ratio <= {NEED}"),
        ok: ratio <= NEED,
        includes: format!(
            "VmRSS of a process of its own; nine of ten turns are a prompt and an answer, the tenth has two reads; the store's file in \
             memory, not counted. On: a window of {WINDOW} tokens with compaction, parallel tools, connections used again, all figures. \
             Off: no compaction (a window that is never full), one tool at a time, no connection used twice. \
             With compaction left on and only the other two off it is {:.1} MiB: nearly all of the difference is compaction",
            megabytes(last(&compacting)),
        ),
    });
    let grown = growth(&on);
    print(&Figure {
        name: "growth of resident memory over the last 9,000 of 10,000 turns",
        ours: megabytes(grown),
        baseline: Some(megabytes(growth(&off))),
        unit: "MiB",
        ratio: None,
        need: "< 2 MiB".to_owned(),
        ok: grown < FLAT,
        includes: format!(
            "as above, from the median of five readings around turn 1,000 to that of the last five; the readings at every \
             1,000th turn were {:?} MiB",
            on.iter()
                .skip(9)
                .step_by(10)
                .map(|bytes| (megabytes(*bytes) * 10.0).round() / 10.0)
                .collect::<Vec<_>>(),
        ),
    });
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this program, once more, and no tool's command"
)]
fn child(kind: &str, url: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["session", kind, url])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the session {kind} failed: {}", output.status).into());
    }
    let samples: Value = serde_json::from_slice(&output.stdout)?;
    let samples = samples.as_array().ok_or("no samples")?;
    Ok(samples.iter().filter_map(Value::as_f64).collect())
}

/// What the child does: prints the resident bytes after every hundred turns.
pub(crate) async fn run_session(kind: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let bench = Bench::new(setup(kind), url)?;
    let session = bench.session().await?;
    let mut samples = Vec::new();
    for turn in 1..=TURNS {
        let words = if turn % 10 == 0 { TWO_READS } else { BRIEF };
        run(&session, &format!("Is step {turn} right? {words}")).await?;
        if turn % SAMPLE == 0 {
            samples.push(resident_bytes()?);
        }
    }
    writeln!(std::io::stdout(), "{}", json!(samples))?;
    Ok(())
}

fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let mut status = String::new();
    std::fs::File::open("/proc/self/status")?.read_to_string(&mut status)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("no VmRSS in /proc/self/status")?.parse::<u64>()? * 1024)
}
