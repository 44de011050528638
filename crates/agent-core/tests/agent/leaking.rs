//! Leaks are planted in the agent as it is wired, among work that goes on, and found in simulated time.

use std::time::Duration;

use agent_core::session::SessionStore;
use agent_core::tools::{Children, ToolRegistry};
use agent_core::{AgentEvent, Instruments, Outcome, Session};
use agent_performance::clock::{Clock, SimulatedTime};
use agent_performance::memory::{MemoryPool, PoolConfig, ResourceTracker, TrackerConfig};
use agent_performance::metrics::MetricsCollector;
use serde_json::json;

use crate::support::fixture::{Fixture, collect, limits, until};
use crate::support::server::{answer, call, text};

const WINDOW: Duration = Duration::from_secs(600);

/// Between two pieces of work, and between two looks.
const STEP: Duration = Duration::from_secs(30);

/// An agent, a pool of buffers, and the account of what is alive in both.
struct Watched {
    fixture: Fixture,
    pool: MemoryPool,
    tracker: ResourceTracker,
    time: SimulatedTime,
}

impl Watched {
    async fn new() -> Self {
        let mut fixture = Fixture::new([]).await;
        let (clock, time) = Clock::simulated();
        let tracker = ResourceTracker::with_config(TrackerConfig {
            observation_window: WINDOW,
            clock,
            ..TrackerConfig::default()
        });
        let instruments = Instruments::new(&MetricsCollector::new(), &tracker);
        let path = fixture.folder.path().join("watched.db");
        fixture.parts.store = SessionStore::open_with(path, instruments.clone()).unwrap();
        fixture.parts.instruments = instruments;
        let pool = MemoryPool::with_config(PoolConfig {
            tracker: Some(tracker.clone()),
            ..PoolConfig::default()
        });
        let children = Children::default().with_tracker(&tracker).with_buffers(&pool);
        fixture.parts.tools = ToolRegistry::built_in_with(Default::default(), children);
        Self {
            fixture,
            pool,
            tracker,
            time,
        }
    }

    /// A run in `session` that starts a child, and a new session beside it; buffers come and go.
    async fn work(&self, session: &Session) {
        let child = call("t1", "bash", json!({"command": "echo a word"}));
        self.fixture.server.script([
            answer([child], "tool_use"),
            answer([text("ok")], "end_turn"),
            answer([text("ok")], "end_turn"),
        ]);
        let _buffers = [self.pool.get_buffer(4096), self.pool.get_buffer(65_536)];
        let ran = collect(session.run("go", limits())).await;
        assert_eq!(ran.finished.outcome, Outcome::Done, "{:?}", ran.finished);
        assert_eq!(self.fixture.run("go").await.finished.outcome, Outcome::Done);
        self.time.advance(STEP);
    }

    /// The types that look like leaks, in the order of their names.
    fn named(&self) -> Vec<String> {
        let suspects = self.tracker.detect_leaks(WINDOW);
        let mut names: Vec<_> = suspects
            .into_iter()
            .map(|suspect| suspect.resource_type)
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_busy_hour_names_nobody() {
    let watched = Watched::new().await;
    let session = watched.fixture.session().await;
    for step in 0..120 {
        watched.work(&session).await;
        assert_eq!(watched.named(), [""; 0], "after {:?}", STEP * (step + 1));
    }
    let known = watched.tracker.get_resource_info();
    for (kind, alive, ever) in [
        ("sessions", 1, 121),
        ("streams", 0, 360),
        ("child_processes", 0, 120),
        // Two of ours each time, and of the child's output one that is read into and one that keeps it.
        ("pooled_buffers", 0, 480),
    ] {
        assert_eq!(
            (known[kind].count, known[kind].allocations),
            (alive, ever),
            "{kind}"
        );
    }
    let buffers = watched.pool.get_stats();
    assert!(
        buffers.hit_rate() > 0.95 && buffers.held_bytes == 0,
        "{buffers:?}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_forgotten_is_named_within_two_windows_and_nothing_else() {
    let watched = Watched::new().await;
    let session = watched.fixture.session().await;
    watched.work(&session).await;
    assert_eq!(watched.named(), [""; 0]);

    let forgotten_session = watched.fixture.session().await;
    let forgotten_buffer = watched.pool.get_buffer(4096);
    // A child that does nothing and is not ended, of a session that nobody looks at again.
    let child = call(
        "t1",
        "bash",
        json!({"command": "sleep 300", "timeout_seconds": 600}),
    );
    watched.fixture.server.script([answer([child], "tool_use")]);
    let other = watched.fixture.session().await;
    let mut run = other.run("go", limits());
    until(&mut run, |event| matches!(event, AgentEvent::ToolStarted { .. })).await;
    let is_alive = || {
        watched
            .tracker
            .get_resource_info()
            .get("child_processes")
            .is_some_and(|kind| kind.count == 1)
    };
    while !is_alive() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let mut steps = 0;
    while watched.named().len() < 3 {
        assert!(
            STEP * steps <= 2 * WINDOW,
            "only {:?} after two windows",
            watched.named()
        );
        watched.work(&session).await;
        steps += 1;
    }
    assert_eq!(watched.named(), ["child_processes", "pooled_buffers", "sessions"]);

    drop((forgotten_session, forgotten_buffer));
    run.control.cancel();
    while run.events.recv().await.is_some() {}
    drop((run, other));
    assert_eq!(watched.named(), [""; 0], "what came back is forgiven");
}
