//! One connection as the accept loop sees it: what it is doing, and for how long it may go on doing it.
//!
//! The connection's task only flips atomics; time is read by whoever sweeps over all connections, once a second. That costs a
//! request nothing, where a timer of its own would be set and cleared for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::parts::GatewayLimits;

/// How long a closed connection may linger for what the client still sends, so that it reads the answer before the reset.
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection that was asked to end may take to, before it is cut.
const FINISH_GRACE: Duration = Duration::from_secs(5);

/// How long a connection is kept without a request while there is no room for another.
const CROWDED_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What a connection does, told by its own task.
#[derive(Debug, Default)]
pub(super) struct Watched {
    verdict: AtomicU8,
    task: AtomicWaker,
    requests: AtomicU32,
    in_flight: AtomicU32,
    head_begun: AtomicBool,
    blocked: AtomicBool,
    unblocked: AtomicU32,
    streams: AtomicBool,
    /// Answers on HTTP/2 that have something for a client that has no room for it.
    waiting: AtomicU32,
    closing: AtomicBool,
}

/// What a connection has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    /// Close when nothing is in flight.
    Finish,
    /// Close now.
    Cut,
}

/// A request in flight, until its answer is out.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Watched>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Watched {
    pub(super) fn request_began(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.head_begun.store(false, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Something was read. True when it is the begin of a request's head.
    pub(super) fn bytes_came(&self) -> bool {
        self.in_flight.load(Relaxed) == 0 && !self.head_begun.swap(true, Relaxed)
    }

    /// The client takes nothing more for now.
    pub(super) fn write_blocked(&self) {
        self.blocked.store(true, Relaxed);
    }

    /// Whether the client took nothing when it was last tried.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    pub(super) fn write_went_on(&self) {
        if self.blocked.load(Relaxed) {
            self.blocked.store(false, Relaxed);
            self.unblocked.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn answer_waits(&self) {
        self.waiting.fetch_add(1, Relaxed);
    }

    pub(super) fn answer_went_on(&self) {
        self.waiting.fetch_sub(1, Relaxed);
        self.unblocked.fetch_add(1, Relaxed);
    }

    /// It is HTTP/2, where bytes between requests need not be a request.
    pub(super) fn has_streams(self: &Arc<Self>) -> Arc<Self> {
        self.streams.store(true, Relaxed);
        Arc::clone(self)
    }

    pub(super) fn closing(&self) {
        self.closing.store(true, Relaxed);
    }

    /// The verdict, for the connection's task, which is woken when another comes. `last` starts as none.
    pub(super) fn poll_verdict(&self, cx: &Context<'_>, last: &mut Option<Verdict>) -> Verdict {
        loop {
            let verdict = self.verdict();
            if *last == Some(verdict) {
                return verdict;
            }
            // A wake-up uses the registration up; looking again after it misses none.
            self.task.register(cx.waker());
            *last = Some(verdict);
        }
    }

    fn verdict(&self) -> Verdict {
        match self.verdict.load(Relaxed) {
            0 => Verdict::GoOn,
            1 => Verdict::Finish,
            _ => Verdict::Cut,
        }
    }

    fn judge(&self, verdict: Verdict) {
        // What was cut stays cut.
        self.verdict.fetch_max(verdict as u8, Relaxed);
        self.task.wake();
    }

    /// `future`, given up when the connection is cut.
    pub(super) async fn unless_cut<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        let mut last = None;
        std::future::poll_fn(|cx| {
            if self.poll_verdict(cx, &mut last) == Verdict::Cut {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn phase(&self) -> Phase {
        if self.blocked.load(Relaxed) || self.waiting.load(Relaxed) > 0 {
            return Phase::Blocked(self.unblocked.load(Relaxed));
        }
        if self.closing.load(Relaxed) {
            return Phase::Closing;
        }
        if self.in_flight.load(Relaxed) > 0 {
            return Phase::Busy;
        }
        let requests = self.requests.load(Relaxed);
        if requests == 0 {
            Phase::Fresh
        } else if self.head_begun.load(Relaxed) && !self.streams.load(Relaxed) {
            Phase::Head(requests)
        } else {
            Phase::Idle(requests)
        }
    }
}

/// What a connection is doing. The numbers change when it begins to do the same thing anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No request yet; a handshake under way counts.
    Fresh,
    /// In the head of a further request.
    Head(u32),
    /// Between requests.
    Idle(u32),
    /// Serving. How long that may take is up to the handler.
    Busy,
    /// The client takes nothing.
    Blocked(u32),
    /// Closed by us, not yet by the client.
    Closing,
}

/// A connection with what the sweep knows of it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) watched: Arc<Watched>,
    phase: Phase,
    since: Instant,
    asked_to_finish: Option<Instant>,
}

/// How long each phase may last.
#[derive(Clone, Debug)]
pub(super) struct PhaseLimits {
    header: Duration,
    keep_alive: Duration,
    write: Duration,
}

impl PhaseLimits {
    pub(super) fn new(limits: &GatewayLimits) -> Self {
        PhaseLimits {
            header: limits.header_read_timeout,
            keep_alive: limits.keep_alive_timeout,
            write: limits.write_timeout,
        }
    }

    /// How often to sweep: times are kept to a quarter of the shortest limit, or to a second.
    pub(super) fn interval(&self) -> Duration {
        let shortest = self.header.min(self.keep_alive).min(self.write);
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    fn of(&self, phase: Phase, crowded: bool) -> Option<(Duration, Verdict)> {
        match phase {
            Phase::Fresh | Phase::Head(_) => Some((self.header, Verdict::Cut)),
            Phase::Idle(_) if crowded => Some((self.keep_alive.min(CROWDED_KEEP_ALIVE), Verdict::Finish)),
            Phase::Idle(_) => Some((self.keep_alive, Verdict::Finish)),
            Phase::Busy => None,
            Phase::Blocked(_) => Some((self.write, Verdict::Cut)),
            Phase::Closing => Some((LINGER, Verdict::Cut)),
        }
    }
}

impl Seen {
    pub(super) fn new(watched: Arc<Watched>, now: Instant) -> Self {
        Seen {
            phase: watched.phase(),
            watched,
            since: now,
            asked_to_finish: None,
        }
    }

    /// Looks what the connection does, and ends it if it has done so for too long. True when it was ended by this.
    pub(super) fn sweep(&mut self, limits: &PhaseLimits, crowded: bool, now: Instant) -> bool {
        let phase = self.watched.phase();
        if phase != self.phase {
            self.phase = phase;
            self.since = now;
        }
        let idle = !matches!(phase, Phase::Busy);
        if idle
            && self
                .asked_to_finish
                .is_some_and(|asked| now >= asked + FINISH_GRACE)
        {
            self.watched.judge(Verdict::Cut);
            return true;
        }
        match limits.of(phase, crowded) {
            Some((limit, verdict)) if now.duration_since(self.since) >= limit => {
                if verdict == Verdict::Finish && self.asked_to_finish.is_some() {
                    return false;
                }
                self.end(verdict, now);
                true
            }
            _ => false,
        }
    }

    /// Asks the connection to end, or ends it.
    pub(super) fn end(&mut self, verdict: Verdict, now: Instant) {
        if verdict == Verdict::Finish {
            self.asked_to_finish.get_or_insert(now);
        }
        self.watched.judge(verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PhaseLimits = PhaseLimits {
        header: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        write: Duration::from_secs(30),
    };

    struct Clock(Seen, Instant);

    impl Clock {
        fn new() -> Self {
            let now = Instant::now();
            Clock(Seen::new(Arc::default(), now), now)
        }

        fn after(&mut self, seconds: u64) -> Verdict {
            self.1 += Duration::from_secs(seconds);
            self.0.sweep(&LIMITS, false, self.1);
            self.0.watched.verdict()
        }
    }

    #[tokio::test]
    async fn a_silent_connection_is_cut_and_so_is_one_that_dribbles_its_head() {
        let mut clock = Clock::new();
        assert_eq!(clock.after(9), Verdict::GoOn);
        clock.0.watched.bytes_came();
        assert_eq!(
            clock.after(1),
            Verdict::Cut,
            "the first bytes do not start it anew"
        );

        let mut clock = Clock::new();
        drop(clock.0.watched.request_began());
        assert_eq!(clock.after(60), Verdict::GoOn);
        assert!(clock.0.watched.bytes_came());
        assert!(!clock.0.watched.bytes_came());
        assert_eq!(clock.after(1), Verdict::GoOn);
        assert_eq!(clock.after(10), Verdict::Cut);
    }

    #[tokio::test]
    async fn an_idle_connection_finishes_and_is_cut_when_it_does_not() {
        let mut clock = Clock::new();
        drop(clock.0.watched.request_began());
        clock.after(0);
        drop(clock.0.watched.request_began());
        assert_eq!(clock.after(1), Verdict::GoOn);
        assert_eq!(
            clock.after(74),
            Verdict::GoOn,
            "the second request started it anew"
        );
        assert_eq!(clock.after(1), Verdict::Finish);
        assert_eq!(clock.after(4), Verdict::Finish);
        assert_eq!(clock.after(1), Verdict::Cut);
    }

    #[tokio::test]
    async fn a_long_answer_is_left_alone_unless_nobody_takes_it() {
        let mut clock = Clock::new();
        let in_flight = clock.0.watched.request_began();
        assert_eq!(clock.after(3600), Verdict::GoOn);
        for _ in 0..3 {
            clock.0.watched.write_blocked();
            clock.after(0);
            assert_eq!(clock.after(29), Verdict::GoOn);
            clock.0.watched.write_went_on();
        }
        clock.0.watched.write_blocked();
        clock.after(0);
        assert_eq!(clock.after(30), Verdict::Cut);
        drop(in_flight);
    }

    #[tokio::test]
    async fn a_connection_hears_of_every_verdict() {
        let watched = Arc::new(Watched::default());
        let heard = Arc::clone(&watched);
        let mut waiting = tokio::task::JoinSet::new();
        waiting.spawn(async move { heard.unless_cut(std::future::pending::<()>()).await });
        for verdict in [Verdict::Finish, Verdict::Cut] {
            tokio::task::yield_now().await;
            watched.judge(verdict);
        }
        let ended = tokio::time::timeout(Duration::from_secs(10), waiting.join_next()).await;
        assert!(
            ended
                .expect("the second verdict is heard")
                .unwrap()
                .unwrap()
                .is_none()
        );
        watched.judge(Verdict::Finish);
        assert_eq!(watched.verdict(), Verdict::Cut);
    }

    #[tokio::test]
    async fn idle_connections_make_room_when_there_is_none() {
        let mut clock = Clock::new();
        drop(clock.0.watched.request_began());
        clock.after(0);
        let later = clock.1 + Duration::from_secs(2);
        assert!(clock.0.sweep(&LIMITS, true, later));
        assert_eq!(clock.0.watched.verdict(), Verdict::Finish);
    }

    #[tokio::test]
    async fn a_request_in_flight_outlives_the_wish_to_finish() {
        let mut clock = Clock::new();
        let in_flight = clock.0.watched.request_began();
        let now = clock.1;
        clock.0.end(Verdict::Finish, now);
        assert_eq!(clock.after(60), Verdict::Finish);
        drop(in_flight);
        assert_eq!(clock.after(0), Verdict::Cut);
    }
}
