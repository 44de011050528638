//! What a client waits longer because the daemon stands between.

use std::net::SocketAddr;
use std::path::Path;

use super::daemon::{Daemon, Messages};
use super::figure::{Figure, Need, median};
use super::load::{self, Connection, Target};
use super::upstream::STREAM;

/// Exchanges of each kind, in turns.
const EXCHANGES: usize = 3_000;

pub(crate) async fn measure(folder: &Path, upstream: SocketAddr) {
    let daemon = Daemon::start(&folder.join("latency"), upstream, Messages::Fresh);
    let direct = Target {
        address: upstream,
        key: daemon.target.key.clone(),
    };
    let plain = by_turns(&daemon.target, &direct, &load::plain(1900)).await;
    Figure {
        name: "a proxied 2 KB JSON request at concurrency 1, against asking directly",
        ours: plain.ours_whole,
        baseline: Some(plain.direct_whole),
        unit: "µs",
        need: Need::AddedAtMost(120.0),
        includes: "median from the first byte sent to the last one received, on connections that are open",
    }
    .print();
    let stream = by_turns(&daemon.target, &direct, &load::streamed(STREAM)).await;
    Figure {
        name: "first byte of a stream, against asking directly",
        ours: stream.ours_first,
        baseline: Some(stream.direct_first),
        unit: "µs",
        need: Need::AddedAtMost(200.0),
        includes: "median from the first byte sent to the first one of the body",
    }
    .print();
    Figure {
        name: "a whole burst stream of 64 deltas, against asking directly",
        ours: stream.ours_whole,
        baseline: Some(stream.direct_whole),
        unit: "µs",
        need: Need::AddedAtMost(1000.0),
        includes: "median from the first byte sent to the last one received; the upstream writes each event by itself, one \
                   right after the other",
    }
    .print();
}

/// Medians in microseconds.
struct Waited {
    ours_first: f64,
    ours_whole: f64,
    direct_first: f64,
    direct_whole: f64,
}

async fn by_turns(ours: &Target, direct: &Target, body: &str) -> Waited {
    let (to_ours, to_direct) = (ours.request(body), direct.request(body));
    let (mut through, mut straight) = (ours.connect().await, direct.connect().await);
    let mut samples: [Vec<f64>; 4] = Default::default();
    for round in 0..EXCHANGES + EXCHANGES / 10 {
        let ours = exchange(&mut through, &to_ours).await;
        let direct = exchange(&mut straight, &to_direct).await;
        // The first tenth warms up.
        if round >= EXCHANGES / 10 {
            for (samples, value) in samples.iter_mut().zip([ours.0, ours.1, direct.0, direct.1]) {
                samples.push(value);
            }
        }
    }
    let [ours_first, ours_whole, direct_first, direct_whole] =
        samples.each_mut().map(|samples| median(samples));
    Waited {
        ours_first,
        ours_whole,
        direct_first,
        direct_whole,
    }
}

async fn exchange(connection: &mut Connection, request: &[u8]) -> (f64, f64) {
    let taken = connection.exchange(request).await;
    (taken.first.as_secs_f64() * 1e6, taken.whole.as_secs_f64() * 1e6)
}
