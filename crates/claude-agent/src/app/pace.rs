//! What differs between a process that works for a person and one that waits for clients.

use std::time::Duration;

use crate::published::INTERVAL;

/// How often a process looks at itself. A monitor must not be the load it watches.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// From one reading of the system to the next. Figures are published no more often.
    pub(super) system: Duration,
    /// From one measurement of the runtime's lag to the next.
    pub(super) lag: Duration,
    /// From one look at memory to the next, give or take a tenth: at most one a second.
    pub(super) pressure: Duration,
    /// How old published figures may be while nothing is done.
    pub(super) unchanged_figures: Duration,
    /// Sessions that may be open for days without being a leak.
    pub(super) open_sessions: OpenSessions,
    pub(super) sharing: Reach,
}

/// With whom a process keeps its cache.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    Alone,
    /// With other daemons, where that is configured.
    Shared,
}

/// How many sessions may be open for days without being a leak.
#[derive(Clone, Copy)]
pub(super) enum OpenSessions {
    /// The one of this process may wait for its person.
    One,
    /// Those that turns are worked on in.
    Turns,
}

impl Pace {
    /// A process that works most of the time it lives, watched by a person.
    pub(super) const SESSION: Self = Self {
        system: Duration::from_secs(2),
        lag: Duration::from_secs(1),
        pressure: Duration::from_millis(1200),
        unchanged_figures: INTERVAL,
        open_sessions: OpenSessions::One,
        sharing: Reach::Alone,
    };

    /// A process that lives for weeks and waits for most of them: a scraper comes by every 15 seconds or so, and memory
    /// that runs short within 5 seconds is what limits on bodies and turns are for.
    pub(super) const DAEMON: Self = Self {
        system: Duration::from_secs(10),
        lag: Duration::from_secs(5),
        pressure: Duration::from_secs(5),
        // The file is written anew as a whole: every two seconds that would be gigabytes in a week of waiting.
        unchanged_figures: Duration::from_secs(60),
        open_sessions: OpenSessions::Turns,
        sharing: Reach::Shared,
    };
}
