//! Thousands of streams that are open at once.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::daemon::{Daemon, Messages};
use super::figure::{Figure, Need};
use super::load;
use super::upstream::{OPEN, STREAM};

const STREAMS: usize = 5_000;

/// Connections that are made at the same time: fewer than a listener's queue holds.
const AT_ONCE: usize = 64;

/// Each stream carries some events in this time.
const SETTLE: Duration = Duration::from_secs(6);

pub(crate) async fn measure(folder: &Path, upstream: SocketAddr) {
    let daemon = Daemon::start(&folder.join("many"), upstream, Messages::Fresh);
    // What the first requests need once is not counted for each stream.
    load::run(&daemon.target, 32, 320, &load::streamed(STREAM)).await;
    let before = daemon.resident();
    let request = daemon.target.request(&load::streamed(OPEN));
    let mut open = Vec::with_capacity(STREAMS);
    while open.len() < STREAMS {
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE.min(STREAMS - open.len()) {
            let (target, request) = (daemon.target.clone(), request.clone());
            opening.spawn(async move {
                let mut connection = target.connect().await;
                connection.open(&request).await;
                connection
            });
        }
        open.extend(opening.join_all().await);
    }
    tokio::time::sleep(SETTLE).await;
    let each = (daemon.resident().saturating_sub(before)) as f64 / STREAMS as f64 / 1000.0;
    drop(open);
    Figure {
        name: "memory of each of 5,000 open streams",
        ours: each,
        baseline: None,
        unit: "KB",
        need: Need::AddedAtMost(20.0),
        includes: "growth of the daemon's resident memory, each stream with a connection of its own on both sides; the \
                   kernel's socket buffers are not part of it",
    }
    .print();
}
