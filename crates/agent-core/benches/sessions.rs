//! How fast a long session opens, grows and is searched. Prints one JSON object a line.

use std::io::Write;
use std::time::{Duration, Instant};

use agent_claude::messages::Role;
use agent_core::session::{NewMessage, NewSession, SearchQuery, SessionId, SessionStore};
use serde_json::json;
use serde_json::value::RawValue;

/// Turns of the long session; a turn is a question and an answer.
const LONG: usize = 10_000;

/// Turns of the short one.
const SHORT: usize = 100;

/// Appends that are timed on each, in turn.
const APPENDS: usize = 400;

/// Openings and searches that are timed.
const REPEATS: usize = 21;

/// Deterministic prose: every turn has words of its own among common ones.
fn turn(n: usize) -> Vec<NewMessage> {
    let (module, line) = (n * 7919 % 1_000, n * 104_729 % 5_000);
    let question = format!(
        "In step {n}, please look at module{module} near line {line} and say why the check there can fail; \
         it did so again this morning, twice, and the log shows nothing but the usual retry messages."
    );
    let answer = format!(
        "The check in module{module} compares the stored length with the one in the header, and at line {line} \
         the header was already advanced. Reading the length first repairs it; ticket{n} has the two-line change \
         and a test which failed before. Nothing else reads that field."
    );
    let message = |role, content: serde_json::Value| NewMessage {
        role,
        content: RawValue::from_string(content.to_string()).expect("valid JSON"),
        usage: None,
        cost_usd: None,
    };
    vec![
        message(Role::User, json!(question)),
        message(Role::Assistant, json!([{"type": "text", "text": answer}])),
    ]
}

async fn fill(store: &SessionStore, turns: usize) -> SessionId {
    let new = NewSession {
        workspace: "/repo".into(),
        model: "m".into(),
        title: None,
    };
    let id = store.create(new).await.expect("made");
    for begin in (0..turns).step_by(250) {
        let batch = (begin..turns.min(begin + 250)).flat_map(turn).collect();
        store.append(&id, batch).await.expect("stored");
    }
    id
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() * 1e3 / times.len() as f64
}

struct Row<'a> {
    name: &'a str,
    ours: f64,
    baseline: Option<f64>,
    need: &'a str,
    ok: bool,
    includes: &'a str,
}

fn report(row: &Row<'_>) {
    let line = json!({
        "group": "sessions", "name": row.name, "ours": row.ours, "baseline": row.baseline, "unit": "ms",
        "ratio": row.baseline.map(|baseline| row.ours / baseline),
        "need": row.need, "ok": row.ok, "includes": row.includes,
    });
    writeln!(std::io::stdout().lock(), "{line}").expect("stdout");
}

async fn bench_open(path: &std::path::Path, id: SessionId) {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let begin = Instant::now();
        let store = SessionStore::open(path).expect("opens");
        let context = store.load_context(&id).await.expect("loads");
        times.push(begin.elapsed());
        assert_eq!(context.messages.len(), 2 * LONG);
        store.close().await.expect("closes");
    }
    let ours = median(&mut times);
    report(&Row {
        name: "open_10000_turns",
        ours,
        baseline: None,
        need: "< 100 ms",
        ok: ours < 100.0,
        includes: "opening the store with new connections, and the whole context of 20,000 messages, each checked \
                   against its checksum; the file is in the operating system's cache; median of 21",
    });
}

async fn bench_append(long: (&SessionStore, SessionId), short: (&SessionStore, SessionId)) {
    let (mut at_long, mut at_short) = (Vec::new(), Vec::new());
    for n in 0..APPENDS {
        for ((store, id), times) in [(long, &mut at_long), (short, &mut at_short)] {
            let new = turn(LONG + n);
            let begin = Instant::now();
            store.append(&id, new).await.expect("stored");
            times.push(begin.elapsed());
        }
    }
    for (name, ours, baseline) in [
        (
            "append_mean_at_10000_turns_vs_100",
            mean(&at_long),
            mean(&at_short),
        ),
        (
            "append_median_at_10000_turns_vs_100",
            median(&mut at_long),
            median(&mut at_short),
        ),
    ] {
        report(&Row {
            name,
            ours,
            baseline: Some(baseline),
            need: "ratio <= 1.3",
            ok: ours / baseline <= 1.3,
            includes: "two messages, the search index and the flush to disk (synchronous=FULL); the baseline is \
                       the same on a session that begins with 100 turns, in a store of its own; 400 appends each, taken in turn",
        });
    }
}

async fn bench_search(store: &SessionStore, name: &str, text: &str, expected: usize) {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let query = SearchQuery {
            text: text.into(),
            limit: 20,
            ..SearchQuery::default()
        };
        let begin = Instant::now();
        let hits = store.search(query).await.expect("searches");
        times.push(begin.elapsed());
        assert_eq!(hits.len(), expected);
    }
    let ours = median(&mut times);
    report(&Row {
        name,
        ours,
        baseline: None,
        need: "< 100 ms",
        ok: ours < 100.0,
        includes: "over 20,000 messages, the best 20 hits with their snippets; median of 21",
    });
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (long_path, short_path) = (folder.path().join("long.db"), folder.path().join("short.db"));
        let long = SessionStore::open(&long_path).expect("opens");
        let long_id = fill(&long, LONG).await;
        long.close().await.expect("closes");

        bench_open(&long_path, long_id).await;
        let long = SessionStore::open(&long_path).expect("opens");
        let short = SessionStore::open(&short_path).expect("opens");
        let short_id = fill(&short, SHORT).await;
        bench_search(&long, "search_one_message_of_20000", "ticket4711", 1).await;
        bench_search(&long, "search_word_in_10000_messages", "header", 20).await;
        bench_append((&long, long_id), (&short, short_id)).await;
    });
}
