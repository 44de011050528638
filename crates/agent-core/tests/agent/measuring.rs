//! Figures are what happened, no more and no less; and what is never closed is named.

use std::time::Duration;

use agent_core::session::{NewSession, SessionStore};
use agent_core::tools::{Children, ToolRegistry};
use agent_core::{AgentEvent, Instruments, Outcome};
use agent_performance::clock::{Clock, SimulatedTime};
use agent_performance::memory::{LeakEvidence, ResourceTracker, TrackerConfig};
use agent_performance::metrics::{MetricsCollector, SeriesSnapshot, catalogue};
use serde_json::{Value, json};

use crate::support::fixture::{Fixture, MODEL, collect, collect_rest, limits, read_small, until};
use crate::support::server::{Piece, Reply, answer, answer_with, broken, call, text};

/// What a run is measured by; the tracker's time stands still unless moved.
struct Measured {
    metrics: MetricsCollector,
    tracker: ResourceTracker,
    time: SimulatedTime,
}

impl Measured {
    /// The fixture with everything in it measured.
    async fn new(replies: impl IntoIterator<Item = Reply>) -> (Fixture, Self) {
        let mut fixture = Fixture::new(replies).await;
        let (clock, time) = Clock::simulated();
        let tracker = ResourceTracker::with_config(TrackerConfig {
            clock,
            ..TrackerConfig::default()
        });
        let metrics = MetricsCollector::new();
        let instruments = Instruments::new(&metrics, &tracker);
        let path = fixture.folder.path().join("measured.db");
        fixture.parts.store = SessionStore::open_with(path, instruments.clone()).unwrap();
        fixture.parts.instruments = instruments;
        let measured = Self {
            metrics,
            tracker,
            time,
        };
        (fixture, measured)
    }

    /// The series of exactly these tags; none when there is none or nothing was recorded in it.
    fn series(&self, name: &str, tags: &[(&str, &str)]) -> Option<SeriesSnapshot> {
        let series = self.metrics.snapshot().series.into_iter();
        let has = |one: &SeriesSnapshot| {
            one.tags.len() == tags.len()
                && tags
                    .iter()
                    .all(|(key, value)| one.tags.get(*key).is_some_and(|v| v == value))
        };
        let mut found = series.filter(|one| one.name == name && has(one));
        found.next()
    }

    /// Samples of a histogram.
    fn samples(&self, name: &str, tags: &[(&str, &str)]) -> u64 {
        self.series(name, tags).map_or(0, |series| series.count)
    }

    /// What a counter has come to, or where a gauge stands.
    fn value(&self, name: &str, tags: &[(&str, &str)]) -> f64 {
        self.series(name, tags).map_or(0.0, |series| series.value)
    }

    /// How many of a resource are alive, and how many ever were.
    fn alive(&self, resource: &str) -> (u64, u64) {
        let info = self.tracker.get_resource_info();
        info.get(resource)
            .map_or((0, 0), |info| (info.count, info.allocations))
    }

    /// What was neglected for longer than an hour: type and labels.
    fn neglected(&self) -> Vec<(String, Vec<String>)> {
        let suspects = self.tracker.detect_leaks(Duration::from_secs(3600));
        let named = suspects.into_iter().map(|suspect| {
            let examples = suspect.evidence.into_iter().find_map(|evidence| match evidence {
                LeakEvidence::Untouched(untouched) => Some(untouched.examples),
                _ => None,
            });
            (suspect.resource_type, examples.unwrap_or_default())
        });
        named.collect()
    }
}

fn tool(name: &str) -> [(&str, &str); 2] {
    [("gen_ai.tool.name", name), ("gen_ai.tool.type", "function")]
}

fn failed_tool<'a>(name: &'a str, error: &'a str) -> [(&'a str, &'a str); 3] {
    let [name, kind] = tool(name);
    [name, kind, ("error.type", error)]
}

fn look(id: &str, input: Value) -> Value {
    call(id, "look", input)
}

const AGENT: (&str, &str) = ("gen_ai.agent.name", "claude-agent");

#[tokio::test]
async fn every_figure_of_a_run_is_exact() {
    let calls = [
        look("t1", json!({"path": "a.rs"})),
        look("t2", json!({"path": "b.rs", "do": "fail"})),
        call("t3", "act", json!({"path": "c", "do": "panic"})),
        call("t4", "made_up", json!({"path": "d"})),
        look("t5", json!({"no": "path"})),
    ];
    let (fixture, measured) = Measured::new([
        broken([text("Loo")], Piece::Break),
        answer(calls, "tool_use"),
        answer([text("Seen.")], "end_turn"),
    ])
    .await;
    let ran = fixture.run("go").await;
    assert_eq!(ran.finished.outcome, Outcome::Done, "{:?}", ran.finished);

    let duration = "gen_ai.execute_tool.duration";
    assert_eq!(measured.samples(duration, &tool("look")), 1);
    assert_eq!(measured.samples(duration, &failed_tool("look", "tool_error")), 1);
    assert_eq!(measured.samples(duration, &failed_tool("act", "panic")), 1);
    let all: u64 = measured
        .metrics
        .snapshot()
        .series
        .iter()
        .filter(|series| series.name == duration)
        .map(|series| series.count)
        .sum();
    assert_eq!(all, 3, "what did not run has no duration");
    let made_up = |series: &SeriesSnapshot| series.tags.values().any(|value| value == "made_up");
    assert!(
        !measured.metrics.snapshot().series.iter().any(made_up),
        "a name that the model made up is no tag"
    );

    let look = [("gen_ai.tool.name", "look")];
    assert_eq!(measured.samples("tools.queue", &look), 2);
    assert_eq!(measured.samples("tools.queue", &[("gen_ai.tool.name", "act")]), 1);
    let output = measured.series("tools.output_bytes", &look).unwrap();
    let bytes = "saw a.rs".len() + "failed as told".len();
    assert_eq!((output.count, output.value), (2, bytes as f64));

    assert_eq!(measured.samples("gen_ai.invoke_agent.duration", &[AGENT]), 1);
    assert_eq!(measured.value("agent.turns", &[]), 2.0);
    assert_eq!(measured.value("agent.replays", &[]), 1.0);
    assert_eq!(measured.value("agent.compactions", &[]), 0.0);
    let cost = measured.value("agent_cost_usd_total", &[("gen_ai.request.model", MODEL)]);
    assert!(
        cost > 0.0 && (cost - ran.finished.cost_usd.unwrap()).abs() < 1e-12,
        "{cost}"
    );

    // The session, what the broken answer used, and the four messages.
    assert_eq!(measured.samples("store.write.queue", &[]), 6);
    assert_eq!(measured.samples("store.write.commit", &[]), 6);

    assert_eq!(measured.value("sessions.open", &[]), 0.0);
    assert_eq!(measured.alive("sessions"), (0, 1));
    assert_eq!(measured.alive("streams"), (0, 3));

    for series in measured.metrics.snapshot().series {
        let declared = catalogue::find(&series.name).map(|row| (row.kind, row.unit));
        assert_eq!(declared, Some((series.kind, series.unit)), "{}", series.name);
    }
}

#[tokio::test]
async fn a_run_that_fails_says_how() {
    let (fixture, measured) = Measured::new([Reply::Error(400, "invalid_request_error", "no")]).await;
    let ran = fixture.run("go").await;
    assert_eq!(ran.finished.outcome, Outcome::UpstreamFailed);
    let duration = "gen_ai.invoke_agent.duration";
    assert_eq!(
        measured.samples(duration, &[AGENT, ("error.type", "upstream_failed")]),
        1
    );
    assert_eq!(measured.samples(duration, &[AGENT]), 0);
    assert_eq!(measured.value("agent.turns", &[]), 0.0);
    assert_eq!(measured.alive("streams"), (0, 0), "no answer began");
}

#[tokio::test]
async fn the_wait_for_other_calls_is_told_apart_from_the_run() {
    let change = |id: &str| call(id, "change", json!({"path": "same", "ms": 100}));
    let (fixture, measured) = Measured::new([
        answer([change("t1"), change("t2")], "tool_use"),
        answer([text("ok")], "end_turn"),
    ])
    .await;
    fixture.run("go").await;
    let longest =
        |name: &str, tags: &[(&str, &str)]| measured.series(name, tags).unwrap().window.unwrap().max;
    let waited = longest("tools.queue", &[("gen_ai.tool.name", "change")]);
    assert!((100.0..5_000.0).contains(&waited), "{waited} milliseconds");
    let ran = longest("gen_ai.execute_tool.duration", &tool("change"));
    assert!((0.1..5.0).contains(&ran), "{ran} seconds");
}

#[tokio::test]
async fn compactions_are_counted_by_how_they_end() {
    for (summary, expected) in [
        (answer([text("Summary.")], "end_turn"), (1.0, 0.0)),
        (Reply::Error(400, "invalid_request_error", "no"), (0.0, 1.0)),
    ] {
        let round = |n: u64| {
            let usage = json!({"input_tokens": 800 * (n + 1), "output_tokens": 10});
            let call = look(&format!("t{n}"), json!({"path": format!("f{n}")}));
            answer_with([call], "tool_use", usage)
        };
        let mut script: Vec<_> = (0..10).map(round).collect();
        script.extend([summary, answer([text("All seen.")], "end_turn")]);
        let (mut fixture, measured) = Measured::new(script).await;
        fixture.parts.settings.context_window = Some(10_000);
        fixture.parts.settings.max_output_tokens = 1_000;
        assert_eq!(fixture.run("go").await.finished.outcome, Outcome::Done);
        let counted =
            ["agent.compactions", "agent.compaction_failures"].map(|name| measured.value(name, &[]));
        assert_eq!(counted, [expected.0, expected.1]);
    }
}

#[tokio::test]
async fn a_refused_change_to_the_store_is_counted_by_its_kind() {
    let (fixture, measured) = Measured::new([]).await;
    let store = &fixture.parts.store;
    let new = NewSession {
        workspace: fixture.workspace(),
        model: MODEL.to_owned(),
        title: None,
    };
    let id = store.create(new).await.unwrap();
    store.delete(&id).await.unwrap();
    assert!(store.rename(&id, "gone").await.is_err());
    assert_eq!(
        measured.value("store.write.failures", &[("error.type", "not_found")]),
        1.0
    );
}

#[tokio::test]
async fn a_session_that_is_never_closed_is_named() {
    let (fixture, measured) =
        Measured::new([answer([text("ok")], "end_turn"), answer([text("ok")], "end_turn")]).await;
    fixture.run("go").await;
    let id = fixture.only_session().await;
    let (left, used) = (fixture.resume(id).await, fixture.session().await);
    assert_eq!(measured.value("sessions.open", &[]), 2.0);
    assert_eq!(measured.neglected(), []);
    measured.time.advance(Duration::from_secs(3601));
    collect(used.run("go", limits())).await;
    assert_eq!(
        measured.neglected(),
        [("sessions".to_owned(), vec![id.to_string()])],
        "and the one that was used is not"
    );
    drop((left, used));
    assert_eq!(measured.neglected(), []);
    assert_eq!(
        (measured.alive("sessions"), measured.value("sessions.open", &[])),
        ((0, 3), 0.0)
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_child_is_written_down_while_it_lives_and_named_when_it_stays() {
    use agent_performance::cleanup::ChildLedger;

    let command = "echo $$ $CLAUDE_AGENT_CHILD_OF > child; sleep 300";
    let (mut fixture, measured) = Measured::new([answer(
        [call("t1", "bash", json!({"command": command}))],
        "tool_use",
    )])
    .await;
    let ledger = ChildLedger::open(fixture.folder.path()).unwrap();
    let children = Children::default()
        .with_tracker(&measured.tracker)
        .with_ledger(ledger.clone());
    fixture.parts.tools = ToolRegistry::built_in_with(Default::default(), children);
    let mut handle = fixture.session().await.run("go", limits());
    let seen = until(&mut handle, |event| {
        matches!(event, AgentEvent::ToolStarted { .. })
    })
    .await;
    let file = fixture.workspace().join("child");
    let told = loop {
        let told = read_small(&file);
        if told.ends_with('\n') {
            break told;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let (pid, mark) = told.trim().split_once(' ').unwrap();
    assert_eq!(mark, ledger.mark().1);
    let lines = || {
        let text = read_small(ledger.path());
        let about = |line: &&str| line.contains(&format!("\"pid\":{pid},"));
        text.lines().filter(about).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(
        matches!(&lines()[..], [began] if began.contains("bash")),
        "{:?}",
        lines()
    );
    assert_eq!(
        (measured.alive("child_processes"), measured.neglected()),
        ((1, 1), vec![])
    );
    measured.time.advance(Duration::from_secs(3601));
    let neglected = measured.neglected();
    let children = neglected.iter().find(|(kind, _)| kind == "child_processes");
    assert!(
        children.is_some_and(|(_, labels)| labels[0].contains(&format!("process {pid}"))),
        "{neglected:?}"
    );
    handle.control.cancel();
    assert_eq!(
        collect_rest(seen, handle).await.finished.outcome,
        Outcome::Cancelled
    );
    assert_eq!(measured.alive("child_processes"), (0, 1));
    assert_eq!(lines().len(), 2, "its end is written down: {:?}", lines());
    let cancelled = failed_tool("bash", "cancelled");
    assert_eq!(measured.samples("gen_ai.execute_tool.duration", &cancelled), 1);
}
