//! `kill -9` at random moments of a run: nothing that was acknowledged is lost, and every session goes on.

use std::collections::{BTreeSet, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use claude_agent::agent::session::{ListFilter, SessionId, SessionStore, StoredMessage};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{Machine, Simulator, expect_code, finish, wait_until};

/// Moments at which a run is killed.
const KILLS: u64 = 200;

/// Runs at the same time, all in one store: one more than the cores of a small machine, so that they also interrupt
/// each other between any two instructions.
const WORKERS: u64 = 3;

/// A bound for when the machine becomes much faster while this runs.
const MAX_ATTEMPTS: u64 = 4 * KILLS;

/// After so many kills a worker measures again how long a whole run takes: other tests come and go beside this one.
const MEASURE_EVERY: usize = 15;

/// The same seed kills after the same delays.
const SEED: u64 = 200;

const TASK: &str = "Look around, then read README.md, then search for TODO, then replace 'Helo' with 'Hello' in hello.py, \
                    then run `sh test.sh`, then read hello.py";

/// How far a run had come when it was killed, as its reader saw it.
#[derive(Debug, Default)]
struct Told {
    session: Option<SessionId>,
    /// Every acknowledged message: its number, its role, and the text that was streamed before it.
    stored: Vec<(u64, String, String)>,
    finished: bool,
}

impl Told {
    /// Reads until the pipe closes. A last line without its end was cut by the kill and says nothing.
    fn read(stdout: ChildStdout) -> Self {
        let mut told = Self::default();
        let mut streamed = String::new();
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            match event["type"].as_str().unwrap() {
                "session_started" => told.session = Some(text("session_id").parse().unwrap()),
                "turn_started" | "turn_restarted" => streamed.clear(),
                "text_delta" => streamed += &text("text"),
                "message_stored" => {
                    told.stored.push((
                        event["seq"].as_u64().unwrap(),
                        text("role"),
                        std::mem::take(&mut streamed),
                    ));
                }
                "finished" => told.finished = true,
                _ => {}
            }
            line.clear();
        }
        told
    }
}

/// A folder that one worker's runs edit, put back to its beginning before each.
fn prepare(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, content) in [
        ("README.md", "# Greeter\n\nTODO: say more\n"),
        ("hello.py", "print('Helo, world')\n"),
        ("test.sh", "grep -q 'Hello' hello.py && echo 'all tests passed'\n"),
    ] {
        std::fs::write(folder.join(name), content).unwrap();
    }
}

/// A number from 0 to below 1 for each kill, spread evenly: the output function of SplitMix64.
fn fraction(number: u64) -> f64 {
    let z = SEED.wrapping_add((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// What all workers share: one store, one simulator.
struct Stage {
    machine: Machine,
    simulator: Simulator,
    runtime: Runtime,
    store: SessionStore,
}

impl Stage {
    fn new() -> Self {
        let machine = Machine::new();
        // A few milliseconds between the turns, as the real API has seconds: kills fall there, too.
        let simulator = Simulator::start(&["--fault", "latency=uniform:2ms,12ms"]);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let store = SessionStore::open(machine.data().join("sessions.db")).unwrap();
        Self {
            machine,
            simulator,
            runtime,
            store,
        }
    }

    fn start(&self, folder: &Path) -> Child {
        prepare(folder);
        self.machine
            .against(&self.simulator, &["run", "--output-format", "stream-json", TASK])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn messages(&self, session: &SessionId) -> Vec<StoredMessage> {
        self.runtime
            .block_on(self.store.messages(session, 1, 1000))
            .unwrap()
    }

    /// Goes on with a session. The simulator refuses, as the API does, a history with calls that have no results.
    fn resume(&self, session: &SessionId) {
        let before = self.messages(session);
        let arguments = [
            "run",
            "--session",
            &session.to_string(),
            "--output-format",
            "json",
            "Look around",
        ];
        let output = finish(&mut self.machine.against(&self.simulator, &arguments));
        let last: Value = serde_json::from_str(&expect_code(&output, 0)).unwrap();
        assert!(
            last["text"].as_str().unwrap().contains("README.md"),
            "it really looked: {last}"
        );
        let after = self.messages(session);
        assert!(after.len() > before.len());
        for (old, new) in before.iter().zip(&after) {
            assert_eq!(
                old.content.get(),
                new.content.get(),
                "going on changes nothing that was stored"
            );
        }
    }

    /// A whole run with nothing in its way.
    fn whole_run(&self, folder: &Path) -> (Told, Duration) {
        let begin = Instant::now();
        let mut child = self.start(folder);
        let told = Told::read(child.stdout.take().unwrap());
        assert!(child.wait().unwrap().success());
        let took = begin.elapsed();
        nothing_is_lost(&told, &self.messages(&told.session.unwrap()));
        (told, took)
    }

    fn kill_and_resume(&self, folder: &Path, after: Duration) -> Told {
        let mut child = self.start(folder);
        let stdout = child.stdout.take().unwrap();
        let told = std::thread::scope(|scope| {
            let reader = scope.spawn(|| Told::read(stdout));
            std::thread::sleep(after);
            child.kill().unwrap();
            child.wait().unwrap();
            reader.join().unwrap()
        });
        if let Some(session) = &told.session {
            nothing_is_lost(&told, &self.messages(session));
            self.resume(session);
        }
        told
    }

    /// Sessions that nobody was told of: the kill came between their creation and the first event.
    fn resume_the_rest(&self, resumed: &HashSet<SessionId>) -> usize {
        let filter = ListFilter {
            limit: 1000,
            ..ListFilter::default()
        };
        let all = self.runtime.block_on(self.store.list(filter)).unwrap();
        let rest: Vec<SessionId> = all
            .iter()
            .map(|session| session.id)
            .filter(|id| !resumed.contains(id))
            .collect();
        for session in &rest {
            self.resume(session);
        }
        rest.len()
    }
}

/// Every acknowledged message is there, in its place, with the text that was seen.
fn nothing_is_lost(told: &Told, messages: &[StoredMessage]) {
    for (index, message) in messages.iter().enumerate() {
        assert_eq!(message.seq, index as u64 + 1, "no gaps");
    }
    for (seq, role, streamed) in &told.stored {
        let message = messages
            .get(*seq as usize - 1)
            .unwrap_or_else(|| panic!("message {seq} was acknowledged and is lost"));
        assert_eq!(message.role.as_str(), role);
        let content: Value = serde_json::from_str(message.content.get()).unwrap();
        let text: String = match &content {
            Value::String(text) => text.clone(),
            blocks => blocks
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|block| block["text"].as_str())
                .collect(),
        };
        let expected = if *seq == 1 { TASK } else { streamed };
        assert_eq!(&text, expected, "message {seq}");
    }
}

#[test]
fn two_hundred_kills_lose_nothing_and_every_session_resumes() {
    let begin = Instant::now();
    let stage = Stage::new();
    let folder = |worker: u64| stage.machine.workspace().join(worker.to_string());

    // The first round fills caches.
    let messages = in_parallel(|worker| stage.whole_run(&folder(worker)).0.stored.len())[0];
    let full_nanos = AtomicU64::new(0);
    // A run that was over before the kill was killed at no moment of it: it is checked, but not counted.
    let (number, in_time) = (AtomicU64::new(0), AtomicU64::new(0));
    let killed: Vec<Told> = in_parallel(|worker| {
        let mut killed = Vec::new();
        while in_time.load(Ordering::Relaxed) < KILLS {
            let number = number.fetch_add(1, Ordering::Relaxed);
            assert!(number < MAX_ATTEMPTS, "most runs are over before they are killed");
            if killed.len() % MEASURE_EVERY == 0 {
                let (told, took) = stage.whole_run(&folder(worker));
                assert!(told.finished && told.stored.len() == messages);
                full_nanos.store(took.as_nanos() as u64, Ordering::Relaxed);
            }
            let full = Duration::from_nanos(full_nanos.load(Ordering::Relaxed));
            let told = stage.kill_and_resume(&folder(worker), full.mul_f64(fraction(number)));
            in_time.fetch_add(u64::from(!told.finished), Ordering::Relaxed);
            killed.push(told);
        }
        killed
    })
    .into_iter()
    .flatten()
    .collect();
    let resumed: HashSet<SessionId> = killed.iter().filter_map(|told| told.session).collect();
    let untold = stage.resume_the_rest(&resumed);
    stage.runtime.block_on(stage.store.verify()).unwrap();

    let count = |matches: &dyn Fn(&Told) -> bool| killed.iter().filter(|told| matches(told)).count();
    let early = count(&|told| told.stored.is_empty());
    let between = count(&|told| !told.stored.is_empty() && !told.finished);
    let places: BTreeSet<usize> = killed.iter().map(|told| told.stored.len()).collect();
    println!(
        "{} kills: {early} before the first acknowledgement, {between} after it, {} after the end; after each of {places:?} \
         acknowledged messages; {} acknowledged in all, none lost; {} sessions resumed; {:.1?}",
        killed.len(),
        count(&|told| told.finished),
        killed.iter().map(|told| told.stored.len()).sum::<usize>(),
        resumed.len() + untold,
        begin.elapsed(),
    );
    // The kills really cover the run, from its start to its end.
    assert!(early + between >= KILLS as usize);
    assert!(early >= 5, "{early} before the first acknowledgement");
    assert!(
        between >= 100,
        "{between} between the first acknowledgement and the end"
    );
    assert!(
        places.len() > messages / 2,
        "killed after {places:?} of {messages} messages"
    );
}

/// Runs this in every worker and gives what each returned.
fn in_parallel<T: Send>(work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                scope.spawn({
                    let work = &work;
                    move || work(worker)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

/// What a killed run leaves running is ended by its watcher at once, or else by the next run on the same data folder.
#[test]
#[cfg(target_os = "linux")]
fn a_command_of_a_killed_run_is_ended_by_the_next_start_at_the_latest() {
    const SLEEP: &str = "sleep 97.0625";
    let is_running = || {
        std::fs::read_dir("/proc").unwrap().any(|entry| {
            let line = std::fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
            line == format!("{}\0", SLEEP.replace(' ', "\0")).as_bytes()
        })
    };
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let task = format!("Run `{SLEEP}`");
    let mut child = machine
        .against(&simulator, &["run", "--permission-mode", "policy", &task])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the command runs", is_running);
    child.kill().unwrap();
    child.wait().unwrap();
    expect_code(
        &finish(&mut machine.against(&simulator, &["run", "Look around"])),
        0,
    );
    wait_until("the command is ended", || !is_running());
}
