//! CPU time of the proxy for each request.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::daemon::{Daemon, Messages};
use super::figure::{Figure, Need, median};
use super::load::{self, Target};
use super::nginx::Nginx;

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

pub(crate) async fn measure(folder: &Path, upstream: SocketAddr) {
    let nginx = Nginx::start(folder, upstream);
    let daemon = Daemon::start(&folder.join("fresh"), upstream, Messages::Fresh);
    let against_nginx = [
        (
            "CPU of a proxied 2 KB JSON request at 32 connections, against nginx",
            load::plain(1900),
            16_000,
            2.0,
        ),
        (
            "CPU of a proxied stream of 64 deltas at 32 connections, against nginx",
            load::streamed(),
            2_400,
            1.6,
        ),
        (
            "CPU of a proxied request with a prompt of 100 KB at 32 connections, against nginx",
            load::plain(100_000),
            4_000,
            2.0,
        ),
    ];
    for (name, body, count, most) in against_nginx {
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(per_request(&daemon.target, || daemon.cpu(), count, &body).await);
            floor.push(per_request(&nginx.target, || nginx.cpu(), count, &body).await);
        }
        Figure {
            name,
            ours: median(&mut ours),
            baseline: Some(median(&mut floor)),
            unit: "µs",
            need: Need::RatioAtMost(most),
            includes: "all CPU time of the proxy's process, user and system, kernel work of its sockets included; ours checks \
                       the credential, limits, counts, measures and observes usage, nginx does nothing of that",
        }
        .print();
    }
    drop(nginx);
    cached(folder, upstream, &daemon).await;
}

/// The same question again and again: from the cache, and by the daemon that has none.
async fn cached(folder: &Path, upstream: SocketAddr, fresh: &Daemon) {
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
