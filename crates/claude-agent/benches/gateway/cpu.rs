//! CPU time of the proxy for each request.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::daemon::{Daemon, Messages};
use super::figure::{Figure, Need, median};
use super::load::{self, Target};
use super::nginx::{Nginx, Setup};
use super::upstream::{SPACED, STREAM};

const CONNECTIONS: usize = 32;

/// The proxies take turns this often; the median counts.
const ROUNDS: usize = 5;

/// CPU time that the threads of a process have used so far, to the nanosecond.
pub(crate) fn cpu_of(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds: u64 = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    Duration::from_nanos(nanoseconds)
}

/// Requests of one kind, and what they may cost.
struct Row {
    what: &'static str,
    body: String,
    count: usize,
    /// Of nginx's cost, as the package sets it up.
    most: f64,
}

pub(crate) async fn measure(folder: &Path, upstream: SocketAddr) {
    let plain = Nginx::start(folder, upstream, Setup::Plain);
    let tuned = Nginx::start(folder, upstream, Setup::Tuned);
    let daemon = Daemon::start(&folder.join("fresh"), upstream, Messages::Fresh);
    let rows = [
        Row {
            what: "2 KB JSON request",
            body: load::plain(1900),
            count: 16_000,
            most: 2.0,
        },
        Row {
            what: "stream of 64 deltas, each by itself",
            body: load::streamed(SPACED),
            count: 640,
            most: 1.6,
        },
        Row {
            what: "stream of 64 deltas in a burst",
            body: load::streamed(STREAM),
            count: 2_400,
            most: 1.6,
        },
        Row {
            what: "request with a prompt of 100 KB",
            body: load::plain(100_000),
            count: 4_000,
            most: 2.0,
        },
    ];
    for row in rows {
        row.measure(&daemon, &plain, &tuned).await;
    }
}

impl Row {
    async fn measure(&self, daemon: &Daemon, plain: &Nginx, tuned: &Nginx) {
        let (mut ours, mut floor, mut lowest) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(self.cost(&daemon.target, || daemon.cpu()).await);
            floor.push(self.cost(&plain.target, || plain.cpu()).await);
            lowest.push(self.cost(&tuned.target, || tuned.cpu()).await);
        }
        let ours = median(&mut ours);
        let figure = |nginx: &str, baseline: f64, need: Need, includes: &str| {
            let what = self.what;
            Figure {
                name: &format!("CPU of a proxied {what} at 32 connections, against {nginx}"),
                ours,
                baseline: Some(baseline),
                unit: "µs",
                need,
                includes,
            }
            .print();
        };
        figure(
            "nginx",
            median(&mut floor),
            Need::RatioAtMost(self.most),
            "all CPU time of the proxy's processes, user and system, kernel work of their sockets included; ours checks the \
             credential, limits, counts, measures and observes usage, nginx does nothing of that; nginx as Debian packages it, \
             with `proxy_pass`, `proxy_buffering off` and no access log",
        );
        figure(
            "nginx tuned for it",
            median(&mut lowest),
            Need::Nothing,
            "the same, but nginx with one worker, connections to the upstream kept open and room for every prompt in memory: \
             what nothing was asked for, and the least that forwarding can cost",
        );
    }

    async fn cost(&self, target: &Target, cpu: impl Fn() -> Duration) -> f64 {
        per_request(target, cpu, self.count, &self.body).await
    }
}

/// The same question again and again: from the cache, and by the daemon that has none.
pub(crate) async fn cached(folder: &Path, upstream: SocketAddr) {
    let fresh = Daemon::start(&folder.join("uncached"), upstream, Messages::Fresh);
    let cached = Daemon::start(&folder.join("cached"), upstream, Messages::Cached);
    let body = load::plain(1900);
    let (mut hits, mut proxied) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        proxied.push(per_request(&fresh.target, || fresh.cpu(), 16_000, &body).await);
        hits.push(per_request(&cached.target, || cached.cpu(), 16_000, &body).await);
    }
    Figure {
        name: "CPU of a proxied 2 KB JSON request, against one answered from the cache",
        ours: median(&mut proxied),
        baseline: Some(median(&mut hits)),
        unit: "µs",
        need: Need::RatioAtLeast(2.0),
        includes: "all CPU time of the daemon's process at 32 connections",
    }
    .print();
}

/// In microseconds.
async fn per_request(target: &Target, cpu: impl Fn() -> Duration, count: usize, body: &str) -> f64 {
    load::run(target, CONNECTIONS, count / 8, body).await;
    let before = cpu();
    load::run(target, CONNECTIONS, count, body).await;
    (cpu() - before).as_secs_f64() * 1e6 / count as f64
}
