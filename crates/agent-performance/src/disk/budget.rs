//! The budget itself: asked before every write, put right by readings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::account::{Account, WORK_CEILING, WORK_REOPENS};
use super::room::{GivenUp, Room};
use super::{CLASSES, DiskClass, DiskFull, Shortage};
use crate::lifecycle::{Lifecycle, TaskHandle};
use crate::metrics::{Counter, Gauge, MetricUnit, MetricsCollector, NO_TAGS};

/// Files are not looked at more often than this.
const SHORTEST_BETWEEN_READINGS: Duration = Duration::from_secs(1);

/// How often they are looked at while there is room and little changes.
const CALM_BETWEEN_READINGS: Duration = Duration::from_secs(5);

/// What has to change between two readings for the next to come soon.
const MUCH: u64 = 1024 * 1024;

/// From this share of the budget on there is an alarm, in percent.
const ALARM_FROM: u64 = 80;

/// Below this share it ends.
const ALARM_UNTIL: u64 = 75;

/// Files that are read and those who make room, each: a few for every class.
const MAX_PARTIES: usize = 32;

/// What is set aside for whoever is refused to ask again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

type Measure = Box<dyn Fn() -> u64 + Send + Sync>;
type Reclaim = Box<dyn Fn(u64) -> u64 + Send + Sync>;

/// One budget for everything that is written. Clones are the same budget.
#[derive(Clone)]
pub struct DiskBudget {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    parties: Mutex<Parties>,
    /// Held while files are looked at, or removed: one at a time.
    reading: Mutex<()>,
    figures: Option<Figures>,
    /// The disk that is watched; none where only the budget counts.
    folder: Option<PathBuf>,
}

struct State {
    account: Account,
    room: Option<Room>,
    given_up: GivenUp,
    /// New work is refused because the budget is nearly used up.
    is_closed: bool,
    is_alarmed: bool,
    last_reading: Option<Instant>,
    refused: [u64; CLASSES],
}

#[derive(Default)]
struct Parties {
    measures: Vec<(DiskClass, Arc<Measure>)>,
    reclaims: Vec<(DiskClass, Arc<Reclaim>)>,
}

struct Figures {
    used: [Gauge; CLASSES],
    free: Gauge,
    given_up: Gauge,
    refused: [Counter; CLASSES],
    reclaimed: [Counter; CLASSES],
}

impl Figures {
    fn new(metrics: &MetricsCollector, budget: u64) -> Self {
        let gauge = |name, unit| metrics.gauge(name, unit, NO_TAGS);
        gauge("disk.budget", MetricUnit::Bytes).set(budget as f64);
        Figures {
            used: DiskClass::ALL
                .map(|class| metrics.gauge("disk.used", MetricUnit::Bytes, &[("class", class.name())])),
            free: gauge("disk.free", MetricUnit::Bytes),
            given_up: gauge("disk.given_up", MetricUnit::Count),
            refused: DiskClass::ALL.map(|class| metrics.counter("disk.refused", &[("class", class.name())])),
            reclaimed: DiskClass::ALL
                .map(|class| metrics.counter("disk.reclaimed", &[("class", class.name())])),
        }
    }
}

/// Room that was set aside. What of it is not [committed](Self::commit) is given back when this is dropped.
#[must_use = "room that is not committed is given back"]
pub struct Reservation {
    budget: DiskBudget,
    class: DiskClass,
    bytes: u64,
}

impl Reservation {
    /// `written` bytes of it are on the disk now; the rest is given back. More than was reserved is counted all the same.
    pub fn commit(mut self, written: u64) {
        let bytes = std::mem::take(&mut self.bytes);
        self.budget
            .inner
            .state
            .lock()
            .account
            .commit(self.class, bytes, written);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut state = self.budget.inner.state.lock();
            state.account.commit(self.class, self.bytes, 0);
        }
    }
}

/// How the budget stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskReport {
    /// What the files of each class take, in bytes.
    pub used: Vec<(DiskClass, u64)>,
    /// What all of them and what is reserved take together, in bytes.
    pub total: u64,
    /// What they may take, in bytes; `u64::MAX` for a budget without limit.
    pub budget: u64,
    /// The disk at the last reading; none before the first, or where none is watched.
    pub room: Option<Room>,
    /// The classes that are given up because the disk is nearly full.
    pub given_up: Vec<DiskClass>,
    /// Whether there is an alarm: four fifths of the budget are used.
    pub is_alarmed: bool,
    /// How often each class was refused since the start.
    pub refused: Vec<(DiskClass, u64)>,
}

impl DiskBudget {
    /// A budget of so many bytes. No disk is watched.
    pub fn new(bytes: u64) -> Self {
        Self::with(bytes, None, None)
    }

    /// Whatever is asked for is granted, and counted. For programs that set no limit.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// A budget of so many bytes, on the disk of `folder`, which is not to be filled to the brim whoever fills it.
    pub fn on(folder: &Path, bytes: u64, metrics: Option<&MetricsCollector>) -> Self {
        Self::with(bytes, Some(folder.to_owned()), metrics)
    }

    fn with(bytes: u64, folder: Option<PathBuf>, metrics: Option<&MetricsCollector>) -> Self {
        DiskBudget {
            inner: Arc::new(Inner {
                state: Mutex::new(State {
                    account: Account::new(bytes),
                    room: None,
                    given_up: GivenUp::default(),
                    is_closed: false,
                    is_alarmed: false,
                    last_reading: None,
                    refused: [0; CLASSES],
                }),
                parties: Mutex::default(),
                reading: Mutex::new(()),
                figures: metrics.map(|metrics| Figures::new(metrics, bytes)),
                folder,
            }),
        }
    }

    /// From now on each reading counts what `measure` tells, in bytes, as files of the class. It is called from threads
    /// that may block, and has to end soon: [`folder_bytes`](super::folder_bytes) does. Beyond 32 of them the class is
    /// counted by what is reserved and written alone.
    pub fn measure(&self, class: DiskClass, measure: impl Fn() -> u64 + Send + Sync + 'static) {
        let mut parties = self.inner.parties.lock();
        debug_assert!(parties.measures.len() < MAX_PARTIES, "a few for every class");
        if parties.measures.len() < MAX_PARTIES {
            parties.measures.push((class, Arc::new(Box::new(measure))));
        }
    }

    /// When room is short, `reclaim` is asked to remove files of the class worth so many bytes, the oldest first, and
    /// tells how many it removed. It is called from threads that may block. Beyond 32 of them it is never called.
    pub fn reclaim_with(&self, class: DiskClass, reclaim: impl Fn(u64) -> u64 + Send + Sync + 'static) {
        let mut parties = self.inner.parties.lock();
        debug_assert!(parties.reclaims.len() < MAX_PARTIES, "a few for every class");
        if parties.reclaims.len() < MAX_PARTIES {
            parties.reclaims.push((class, Arc::new(Box::new(reclaim))));
        }
    }

    /// Sets room aside for a write. Over the budget, old files of this class and of those that are given up before it
    /// are removed first, which blocks: not for tasks.
    ///
    /// # Errors
    /// The budget is used up, or the disk is so full that this class has to do without.
    pub fn reserve(&self, class: DiskClass, bytes: u64) -> Result<Reservation, DiskFull> {
        match self.try_reserve(class, bytes) {
            Ok(reserved) => Ok(reserved),
            Err(Refused::Disk(full)) => Err(self.count(full)),
            Err(Refused::Budget { full, missing }) => {
                self.reclaim(class, missing);
                match self.try_reserve(class, bytes) {
                    Ok(reserved) => Ok(reserved),
                    Err(_) => Err(self.count(full)),
                }
            }
        }
    }

    fn try_reserve(&self, class: DiskClass, bytes: u64) -> Result<Reservation, Refused> {
        let mut state = self.inner.state.lock();
        if state.given_up.classes[class as usize] {
            return Err(Refused::Disk(state.disk_full(class)));
        }
        match state.account.reserve(class, bytes) {
            Ok(()) => Ok(Reservation {
                budget: self.clone(),
                class,
                bytes,
            }),
            Err(missing) => Err(Refused::Budget {
                full: state.over_budget(class),
                missing,
            }),
        }
    }

    /// To be asked before a session or a turn begins; never blocks. It is refused a little before the sessions' own
    /// writes are, so that what has begun can end.
    ///
    /// # Errors
    /// The budget is nearly used up, or the disk nearly full.
    pub fn admit_work(&self) -> Result<(), DiskFull> {
        let full = {
            let mut state = self.inner.state.lock();
            if state.given_up.work {
                state.disk_full(DiskClass::Store)
            } else if state.is_closed() {
                state.over_budget(DiskClass::Store)
            } else {
                return Ok(());
            }
        };
        Err(self.count(full))
    }

    /// As [`admit_work`](Self::admit_work), without counting a refusal: for those who only want to know.
    pub fn takes_work(&self) -> Result<(), DiskFull> {
        let mut state = self.inner.state.lock();
        if state.given_up.work {
            Err(state.disk_full(DiskClass::Store))
        } else if state.is_closed() {
            Err(state.over_budget(DiskClass::Store))
        } else {
            Ok(())
        }
    }

    /// Whether the class may be written at all, as far as the disk goes. For what does not know how much it writes.
    ///
    /// # Errors
    /// It is given up.
    pub fn admit(&self, class: DiskClass) -> Result<(), DiskFull> {
        drop(self.reserve(class, 0)?);
        Ok(())
    }

    /// Files of the class were removed by whoever wrote them.
    pub fn freed(&self, class: DiskClass, bytes: u64) {
        self.inner.state.lock().account.freed(class, bytes);
    }

    fn count(&self, full: DiskFull) -> DiskFull {
        let class = full.class as usize;
        self.inner.state.lock().refused[class] += 1;
        if let Some(figures) = &self.inner.figures {
            figures.refused[class].increment(1);
        }
        full
    }

    /// Has up to `bytes` of files removed: of the first class first, up to and with `most`.
    fn reclaim(&self, most: DiskClass, bytes: u64) {
        let _one_at_a_time = self.inner.reading.lock();
        self.reclaim_one_at_a_time(most, bytes);
    }

    fn reclaim_one_at_a_time(&self, most: DiskClass, mut bytes: u64) {
        let mut reclaims = self.inner.parties.lock().reclaims.clone();
        reclaims.sort_by_key(|(class, _)| *class);
        for (class, reclaim) in reclaims {
            if bytes == 0 || class > most {
                break;
            }
            let freed = reclaim(bytes);
            self.freed(class, freed);
            bytes = bytes.saturating_sub(freed);
            if let Some(figures) = &self.inner.figures {
                figures.reclaimed[class as usize].increment(freed);
            }
        }
    }

    /// Looks at the files and at the disk, makes room where it is short, and says so when that changes what is given up.
    /// Does nothing when it did a second ago. Blocks.
    pub fn refresh(&self) {
        let _one_at_a_time = self.inner.reading.lock();
        {
            let mut state = self.inner.state.lock();
            let now = Instant::now();
            if state
                .last_reading
                .is_some_and(|last| now.duration_since(last) < SHORTEST_BETWEEN_READINGS)
            {
                return;
            }
            state.last_reading = Some(now);
        }
        self.read_files();
        let room = self.inner.folder.as_deref().map(Room::read);
        let room = room.and_then(|read| match read {
            Ok(room) => Some(room),
            Err(error) => {
                tracing::debug!(%error, "the disk can't be looked at");
                None
            }
        });
        if let Some(room) = room {
            self.make_room(room);
        }
        self.judge(room);
    }

    fn read_files(&self) {
        let measures = self.inner.parties.lock().measures.clone();
        for class in DiskClass::ALL {
            let mut of_class = measures
                .iter()
                .filter(|(measured, _)| *measured == class)
                .peekable();
            if of_class.peek().is_none() {
                continue;
            }
            self.inner.state.lock().account.begin_reading(class);
            let bytes = of_class.fold(0_u64, |sum, (_, measure)| sum.saturating_add(measure()));
            self.inner.state.lock().account.end_reading(class, bytes);
        }
    }

    /// The older files of a class go before what is written now is lost for want of room.
    fn make_room(&self, room: Room) {
        for class in [DiskClass::Cache, DiskClass::Spill, DiskClass::Logs] {
            let floor = room.floor(class);
            if room.free < floor {
                self.reclaim_one_at_a_time(class, floor - room.free);
            }
        }
    }

    /// Draws the conclusions of a reading.
    fn judge(&self, room: Option<Room>) {
        let mut state = self.inner.state.lock();
        let before = (state.given_up, state.is_alarmed);
        state.room = room.or(state.room);
        if let Some(room) = room {
            state.given_up = state.given_up.after(room);
        }
        state.is_closed();
        let (total, budget) = (state.account.total(), state.account.budget());
        let alarm = state
            .account
            .share(if state.is_alarmed { ALARM_UNTIL } else { ALARM_FROM });
        state.is_alarmed = total >= alarm && budget > 0;
        let after = (state.given_up, state.is_alarmed);
        if let Some(figures) = &self.inner.figures {
            for class in DiskClass::ALL {
                figures.used[class as usize].set(state.account.used(class) as f64);
            }
            if let Some(room) = state.room {
                figures.free.set(room.free as f64);
            }
            figures.given_up.set(state.given_up.count() as f64);
        }
        let free = state.room.map_or(0, |room| room.free);
        // What is logged is written by others, who reserve in turn.
        drop(state);
        if before.0 != after.0 {
            let given_up = names(after.0);
            match given_up.as_str() {
                "" => tracing::info!(
                    free,
                    "there is room on the disk again: nothing is given up any more"
                ),
                given_up => tracing::warn!(free, given_up, "the disk is nearly full"),
            }
        }
        if !before.1 && after.1 {
            tracing::warn!(
                total,
                budget,
                "four fifths of the disk budget are used; delete sessions, or raise deployment.disk_budget"
            );
        }
    }

    /// Reads again and again until the lifecycle ends: every second while room is short or much is written, every five
    /// otherwise.
    pub fn watch(&self, lifecycle: &Lifecycle) -> TaskHandle<()> {
        let (budget, token) = (self.clone(), lifecycle.token());
        lifecycle.spawn("disk-budget", async move {
            let mut last = budget.report().total;
            let mut wait = SHORTEST_BETWEEN_READINGS;
            loop {
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                let reading = budget.clone();
                if let Err(error) = tokio::task::spawn_blocking(move || reading.refresh()).await {
                    tracing::error!(%error, "looking at the disk failed");
                }
                let report = budget.report();
                let is_short = report.is_alarmed || !report.given_up.is_empty();
                wait = match is_short || report.total.abs_diff(last) >= MUCH {
                    true => SHORTEST_BETWEEN_READINGS,
                    false => CALM_BETWEEN_READINGS,
                };
                last = report.total;
            }
        })
    }

    /// How it stands. Never blocks.
    pub fn report(&self) -> DiskReport {
        let state = self.inner.state.lock();
        DiskReport {
            used: DiskClass::ALL
                .map(|class| (class, state.account.used(class)))
                .to_vec(),
            total: state.account.total(),
            budget: state.account.budget(),
            room: state.room,
            given_up: DiskClass::ALL
                .into_iter()
                .filter(|class| state.given_up.classes[*class as usize])
                .collect(),
            is_alarmed: state.is_alarmed,
            refused: DiskClass::ALL
                .map(|class| (class, state.refused[class as usize]))
                .to_vec(),
        }
    }
}

enum Refused {
    Disk(DiskFull),
    Budget { full: DiskFull, missing: u64 },
}

impl State {
    /// Whether the budget has no room for new work, with room to spare before it has again.
    fn is_closed(&mut self) -> bool {
        let from = if self.is_closed {
            WORK_REOPENS
        } else {
            WORK_CEILING
        };
        self.is_closed = self.account.total() >= self.account.share(from);
        self.is_closed
    }

    fn disk_full(&self, class: DiskClass) -> DiskFull {
        DiskFull {
            class,
            shortage: Shortage::Disk {
                free: self.room.map_or(0, |room| room.free),
            },
            retry_after: RETRY_AFTER,
        }
    }

    fn over_budget(&self, class: DiskClass) -> DiskFull {
        DiskFull {
            class,
            shortage: Shortage::Budget {
                used: self.account.total(),
                budget: self.account.budget(),
            },
            retry_after: RETRY_AFTER,
        }
    }
}

fn names(given_up: GivenUp) -> String {
    let mut names: Vec<&str> = DiskClass::ALL
        .into_iter()
        .filter(|class| given_up.classes[*class as usize])
        .map(DiskClass::name)
        .collect();
    if given_up.work {
        names.push("new work");
    }
    names.join(", ")
}

impl std::fmt::Debug for DiskBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DiskBudget").field(&self.report()).finish()
    }
}

#[cfg(test)]
impl DiskBudget {
    /// As if the last reading were long ago.
    pub(super) fn forget_reading(&self) {
        self.inner.state.lock().last_reading = None;
    }

    /// As if a reading had found this.
    pub(super) fn sees(&self, free: u64, size: u64) {
        self.judge(Some(Room { free, size }));
    }
}
