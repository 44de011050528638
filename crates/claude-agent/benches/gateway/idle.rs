//! The daemon with nothing to do, and how soon it is ready.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use agent_core::session::{NewSession, SessionStore};

use super::daemon::{Daemon, Messages};
use super::figure::{Figure, Need, median};

/// Long enough for every timer of the daemon to come by a few times.
const WATCHED: Duration = Duration::from_secs(60);
/// What a start leaves to do is over by then.
const SETTLE: Duration = Duration::from_secs(5);
const STARTS: usize = 9;
const SESSIONS: usize = 10_000;

pub(crate) async fn measure(folder: &Path, upstream: SocketAddr) {
    let data = folder.join("idle");
    ready(
        "from the start of the process until `/readyz` says yes",
        &data,
        upstream,
    );
    let stored = folder.join("stored");
    store_sessions(&stored).await;
    ready("the same with 10,000 stored sessions", &stored, upstream);

    let daemon = Daemon::start(&data, upstream, Messages::Fresh);
    tokio::time::sleep(SETTLE).await;
    let (begun, before) = (Instant::now(), daemon.cpu());
    tokio::time::sleep(WATCHED).await;
    let used = (daemon.cpu() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    Figure {
        name: "CPU of an idle daemon",
        ours: used * 100.0,
        baseline: None,
        unit: "%",
        need: Need::AddedAtMost(0.2),
        includes: "a minute with metrics on and no request",
    }
    .print();
    Figure {
        name: "resident memory of an idle daemon",
        ours: daemon.resident() as f64 / 1e6,
        baseline: None,
        unit: "MB",
        need: Need::AddedAtMost(25.0),
        includes: "all resident pages of the process, those of its program file too",
    }
    .print();
}

fn ready(name: &str, data: &Path, upstream: SocketAddr) {
    // The first start makes token and store.
    drop(Daemon::start(data, upstream, Messages::Fresh));
    let mut times: Vec<f64> = (0..STARTS)
        .map(|_| Daemon::start(data, upstream, Messages::Fresh).ready.as_secs_f64() * 1e3)
        .collect();
    Figure {
        name,
        ours: median(&mut times),
        baseline: None,
        unit: "ms",
        need: Need::AddedAtMost(150.0),
        includes: "median; the store was not closed in order before, because the process was killed",
    }
    .print();
}

async fn store_sessions(data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let store = SessionStore::open(data.join("sessions.db")).unwrap();
    for batch in 0..SESSIONS / 50 {
        let mut storing = tokio::task::JoinSet::new();
        for number in 0..50 {
            let store = store.clone();
            storing.spawn(async move {
                let new = NewSession {
                    workspace: "/tmp".into(),
                    model: "claude-sonnet-5-5".to_owned(),
                    title: Some(format!("Session {batch}/{number}")),
                };
                store.create(new).await.unwrap();
            });
        }
        storing.join_all().await;
    }
    store.close().await.unwrap();
}
