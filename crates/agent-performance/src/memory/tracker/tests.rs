//! The tracker in simulated time: exact books, planted leaks found, busy hours silent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use proptest::prelude::*;

use super::{
    ExpectedLimit, LeakEvidence, LeakSuspect, MAX_NAME, OVERFLOW_TYPE, ResourceInfo, ResourceTracker,
    Tracked, TrackerConfig,
};
use crate::clock::{Clock, SimulatedTime};

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);

fn tracker() -> (ResourceTracker, SimulatedTime) {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut TrackerConfig)) -> (ResourceTracker, SimulatedTime) {
    let (clock, time) = Clock::simulated();
    let mut config = TrackerConfig {
        observation_window: WINDOW,
        clock,
        ..TrackerConfig::default()
    };
    change(&mut config);
    (ResourceTracker::with_config(config), time)
}

fn info(tracker: &ResourceTracker, name: &str) -> ResourceInfo {
    tracker.get_resource_info()[name].clone()
}

fn names(suspects: &[LeakSuspect]) -> Vec<&str> {
    suspects
        .iter()
        .map(|suspect| suspect.resource_type.as_str())
        .collect()
}

#[test]
fn counts_bytes_and_times_by_type() {
    let (tracker, time) = tracker();
    time.advance(SECOND);
    tracker.track_allocation("buffers", 100);
    let session = tracker.track("sessions", 1000);
    time.advance(SECOND);
    tracker.track_allocation("buffers", 50);
    tracker.track_deallocation("buffers", 100);
    session.resize(3000);
    let buffers = info(&tracker, "buffers");
    assert_eq!(
        (buffers.count, buffers.total_size, buffers.peak_count),
        (1, 50, 2)
    );
    assert_eq!(
        (buffers.allocations, buffers.deallocations, buffers.unlisted),
        (2, 1, 0)
    );
    assert_eq!(
        (buffers.created_at.timestamp(), buffers.last_accessed.timestamp()),
        (1, 2)
    );
    assert_eq!(info(&tracker, "sessions").total_size, 3000);
    time.advance(SECOND);
    session.touch();
    assert_eq!(info(&tracker, "sessions").last_accessed.timestamp(), 3);
    drop(session);
    let sessions = info(&tracker, "sessions");
    assert_eq!((sessions.count, sessions.total_size), (0, 0));
    assert_eq!(tracker.stats().anomalies, 0);
}

#[test]
fn ending_what_never_began_is_an_anomaly_and_no_more() {
    let (tracker, _time) = tracker();
    tracker.track_deallocation("never", 10);
    assert!(tracker.get_resource_info().is_empty());
    let held = tracker.track("sessions", 7);
    tracker.track_deallocation("sessions", 7);
    assert_eq!(
        info(&tracker, "sessions").count,
        1,
        "what a value holds only the value ends"
    );
    tracker.track_allocation("buffers", 10);
    tracker.track_deallocation("buffers", u64::MAX);
    tracker.track_deallocation("buffers", 10);
    let buffers = info(&tracker, "buffers");
    assert_eq!((buffers.count, buffers.total_size), (0, 0));
    assert_eq!(tracker.stats().anomalies, 4);
    tracker.track_allocation("huge", u64::MAX);
    tracker.track_allocation("huge", u64::MAX);
    assert_eq!(info(&tracker, "huge").total_size, u64::MAX);
    drop(held);
}

#[test]
fn types_names_and_instances_are_bounded() {
    let (tracker, time) = with(|config| (config.max_types, config.max_instances) = (2, 3));
    for name in 0..1000 {
        tracker.track_allocation(&name.to_string(), 1);
    }
    let all = tracker.get_resource_info();
    assert_eq!(all.len(), 3);
    assert_eq!(all[OVERFLOW_TYPE].count, 998);
    tracker.track_deallocation("777", 1);
    assert_eq!(info(&tracker, OVERFLOW_TYPE).count, 997);
    assert_eq!((tracker.stats().types, tracker.stats().overflowed), (2, 998));

    let (long, _time) = super::tests::tracker();
    long.track_allocation(&"ü".repeat(1_000_000), 1);
    assert!(long.get_resource_info().keys().all(|name| name.len() <= MAX_NAME));

    let many: Vec<Tracked> = (0..10).map(|_| tracker.track("0", 5)).collect();
    assert_eq!((info(&tracker, "0").count, info(&tracker, "0").unlisted), (11, 7));
    time.advance(HOUR);
    let LeakEvidence::Untouched(found) = &tracker.detect_leaks(SECOND)[0].evidence[0] else {
        panic!("by age")
    };
    assert_eq!(
        found.instances, 2,
        "three of the overflow are listed, and of those one ended"
    );
    drop(many);
    let left = info(&tracker, "0");
    assert_eq!((left.count, left.total_size, left.unlisted), (1, 1, 0));
    assert_eq!(tracker.stats().anomalies, 0);
}

#[test]
fn untouched_instances_are_named_with_evidence_and_touched_ones_are_not() {
    let (tracker, time) = tracker();
    let sessions = tracker.kind("sessions");
    let (closed, forgotten, used) = (
        sessions.track(10),
        sessions.track_labelled(20, "session 42"),
        sessions.track(30),
    );
    drop(closed);
    for _ in 0..10 {
        time.advance(60 * SECOND);
        used.touch();
    }
    assert_eq!(
        tracker.detect_leaks(600 * SECOND),
        [],
        "the threshold itself is not beyond it"
    );
    time.advance(Duration::from_millis(1));
    let suspects = tracker.detect_leaks(600 * SECOND);
    assert_eq!(names(&suspects), ["sessions"]);
    let LeakEvidence::Untouched(found) = &suspects[0].evidence[0] else {
        panic!("by age: {suspects:?}")
    };
    assert_eq!(
        (found.instances, found.bytes, found.longest.as_secs()),
        (1, 20, 600)
    );
    assert_eq!(found.examples, ["session 42"]);
    assert_eq!(
        suspects[0].to_string(),
        "sessions: 2 alive with 50 bytes; 1 of them, 20 bytes, untouched for up to 600 s (session 42)"
    );
    drop(forgotten);
    assert_eq!(tracker.detect_leaks(600 * SECOND), []);
}

#[test]
fn what_may_fill_up_is_silent_up_to_its_limit() {
    let (tracker, time) = tracker();
    tracker.kind("cache").expect_at_most(ExpectedLimit {
        count: 1000,
        bytes: 10_000,
    });
    for n in 1..=1200_u64 {
        tracker.track_allocation("cache", 1);
        time.advance(SECOND);
        assert_eq!(tracker.detect_leaks(SECOND).is_empty(), n <= 1000, "{n}");
    }
}

/// A machine that makes resources at random and ends each after a random time.
struct Load {
    random: u64,
    /// When each ends: anonymous ones by their size.
    ends: BinaryHeap<Reverse<(u64, u64)>>,
    held: Vec<(u64, Tracked)>,
}

impl Load {
    fn new(seed: u64) -> Self {
        Load {
            random: seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15),
            ends: BinaryHeap::new(),
            held: Vec::new(),
        }
    }

    fn uniform(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// One second of `rate` beginnings with a mean life of `life` seconds; `leaks` is the share that never ends.
    fn second(&mut self, tracker: &ResourceTracker, now: u64, rate: f64, life: f64, leaks: f64) {
        let mut at = self.exponential(1.0 / rate);
        while at < 1.0 {
            let size = 1 + (self.uniform() * 5000.0) as u64;
            tracker.track_allocation("anonymous", size);
            let leaked = self.uniform() < leaks;
            let end = now + self.exponential(life).ceil() as u64;
            if !leaked {
                self.ends.push(Reverse((end, size)));
            }
            self.held.push((end, tracker.track("held", size)));
            at += self.exponential(1.0 / rate);
        }
        while self.ends.peek().is_some_and(|Reverse((end, _))| *end <= now) {
            let Reverse((_, size)) = self.ends.pop().expect("peeked");
            tracker.track_deallocation("anonymous", size);
        }
        self.held.retain(|(end, _)| *end > now);
    }
}

/// Load over the hour, as a factor of the rate.
const SHAPES: [fn(f64) -> f64; 5] = [
    |_| 1.0,
    // A morning: five times the traffic within half an hour, then steady.
    |hour| 1.0 + 4.0 * (hour * 2.0).min(1.0),
    // Up within one window, down within the next.
    |hour| 1.2 + (hour * std::f64::consts::TAU * 3.0).sin(),
    // Bursts.
    |hour| {
        if ((hour * 40.0) as u64).is_multiple_of(4) {
            6.0
        } else {
            0.3
        }
    },
    // Silence, then work.
    |hour| if hour < 0.3 { 0.05 } else { 1.0 },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_busy_hour_without_a_leak_names_nobody(
        seed in any::<u64>(), rate in 0.05..15.0_f64, life in 1.0..40.0_f64, shape in 0..SHAPES.len(),
    ) {
        let (tracker, time) = tracker();
        let mut load = Load::new(seed);
        for now in 0..3600 {
            load.second(&tracker, now, rate * SHAPES[shape](now as f64 / 3600.0), life, 0.0);
            time.advance(SECOND);
            if now % 30 == 0 {
                let suspects = tracker.detect_leaks(WINDOW);
                prop_assert!(suspects.is_empty(), "after {} s: {}", now, suspects[0]);
            }
        }
        prop_assert_eq!(tracker.stats().anomalies, 0);
        prop_assert!(info(&tracker, "held").allocations > 0);
    }

    #[test]
    fn a_planted_leak_is_named_within_two_windows(
        seed in any::<u64>(), rate in 1.0..15.0_f64, life in 1.0..20.0_f64, begins in 600..1800_u64,
    ) {
        let (tracker, time) = tracker();
        let mut load = Load::new(seed);
        let mut forgotten = None;
        // As many as the traffic makes the count swing by, in one window.
        let share = (0.1 + life / 60.0).min(1.0);
        let mut seen = (false, false);
        for now in 0..begins + 1200 {
            let leaks = if now >= begins { share } else { 0.0 };
            load.second(&tracker, now, rate, life, leaks);
            if now == begins {
                forgotten = Some(tracker.track("held", 1));
            }
            time.advance(SECOND);
            if now % 30 == 0 {
                let suspects = tracker.detect_leaks(WINDOW);
                seen.0 |= names(&suspects).contains(&"anonymous");
                seen.1 |= names(&suspects).contains(&"held");
                prop_assert!(now >= begins || suspects.is_empty());
            }
        }
        prop_assert!(seen.0, "growth of what nobody holds: {:?}", info(&tracker, "anonymous"));
        prop_assert!(seen.1, "one that nobody touches, among {} others", info(&tracker, "held").count);
        drop(forgotten);
    }
}

#[test]
fn growth_is_told_with_its_figures() {
    let (tracker, time) = tracker();
    for _ in 0..700 {
        tracker.track_allocation("children", 10);
        time.advance(SECOND);
    }
    let suspects = tracker.detect_leaks(HOUR);
    assert_eq!(names(&suspects), ["children"]);
    let [LeakEvidence::CountGrowth(count), LeakEvidence::BytesGrowth(bytes)] = &suspects[0].evidence[..]
    else {
        panic!("both grew: {suspects:?}")
    };
    assert_eq!(
        (count.lows.len(), count.window, count.begun, count.ended),
        (8, WINDOW, 600, 0)
    );
    assert!(count.lows.is_sorted_by(|a, b| a < b) && bytes.lows[7] == 10 * count.lows[7]);
    assert!(
        suspects[0]
            .to_string()
            .contains("without a fall, while 600 began and 0 ended")
    );
    // It stopped growing: growth is no evidence any more.
    time.advance(WINDOW);
    assert_eq!(tracker.detect_leaks(HOUR), []);
}

#[test]
fn growing_work_that_is_in_use_is_no_leak() {
    let (tracker, time) = tracker();
    let mut sessions: Vec<Tracked> = Vec::new();
    for now in 0..3600 {
        if now % 20 == 0 {
            sessions.push(tracker.track("sessions", 1000));
        }
        for session in &sessions {
            session.touch();
            session.resize(1000 + now);
        }
        time.advance(SECOND);
        assert_eq!(tracker.detect_leaks(WINDOW), []);
    }
}

#[test]
fn two_threads_end_with_empty_books() {
    let (tracker, time) = with(|config| config.max_instances = 20);
    let worker = |seed: u64| {
        let mut held = Vec::new();
        for n in 0..20_000_u64 {
            let (pick, size) = ((n * 7919 + seed) % 89, n % 7);
            match pick {
                0..30 => held.push(tracker.track("held", size)),
                30..50 => drop(held.pop()),
                50..60 => {
                    tracker.track_allocation("anonymous", size);
                    tracker.track_deallocation("anonymous", size);
                }
                60..70 => {
                    if let Some(tracked) = held.last() {
                        tracked.resize(n);
                        tracked.touch()
                    }
                }
                70 => drop(tracker.get_resource_info()),
                71 => drop(tracker.detect_leaks(SECOND)),
                72 => time.advance(SECOND),
                73 => tracker.track_deallocation("never", 1),
                _ => held.truncate(25),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| worker(1));
        scope.spawn(|| worker(2));
    });
    for name in ["held", "anonymous"] {
        let info = info(&tracker, name);
        assert_eq!((info.count, info.total_size, info.unlisted), (0, 0, 0), "{name}");
        assert_eq!(info.allocations, info.deallocations);
    }
}

#[test]
fn a_panic_ends_what_it_held() {
    let (tracker, _time) = tracker();
    let inner = tracker.clone();
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _held = inner.track("sessions", 1);
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(info(&tracker, "sessions").count, 0);
}
