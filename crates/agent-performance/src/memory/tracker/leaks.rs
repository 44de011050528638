//! Which types look like leaks, and why.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::account::Account;
use super::window::{Range, SLOTS, Slot};

/// Labels given as examples in evidence.
const MAX_EXAMPLES: usize = 5;

/// A type that looks like a leak.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeakSuspect {
    /// The type's name.
    pub resource_type: String,
    /// Alive now.
    pub live_count: u64,
    /// Bytes they hold now.
    pub live_bytes: u64,
    /// What speaks against it; never empty.
    pub evidence: Vec<LeakEvidence>,
}

/// One reason for suspicion.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakEvidence {
    /// Live instances that nobody touched for longer than the threshold.
    Untouched(Untouched),
    /// The live count rose over the whole observation window.
    CountGrowth(Growth),
    /// The live bytes rose over the whole observation window.
    BytesGrowth(Growth),
}

/// Live instances that nobody touches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Untouched {
    /// How many.
    pub instances: u64,
    /// Bytes they hold.
    pub bytes: u64,
    /// How long the most neglected of them was not touched.
    pub longest: Duration,
    /// Labels of some, the longest untouched first.
    pub examples: Vec<String>,
}

/// A rise without a fall.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Over what time.
    pub window: Duration,
    /// The lowest value in each of its slots, oldest first.
    pub lows: Vec<u64>,
    /// How many began within the window.
    pub begun: u64,
    /// How many ended within it.
    pub ended: u64,
}

pub(super) fn suspect(name: &str, account: &mut Account, now: u64, threshold_ms: u64) -> Option<LeakSuspect> {
    if account.within_expected() {
        return None;
    }
    let mut evidence = Vec::new();
    evidence.extend(untouched(account, now, threshold_ms).map(LeakEvidence::Untouched));
    if let Some(slots) = account.window.last(now) {
        let window = Duration::from_millis(account.window.length_ms());
        let grown = |of: fn(&Slot) -> Range| growth(&slots, of).filter(|_| is_neglected(account, now));
        let told = |lows: [u64; SLOTS]| Growth {
            window,
            lows: lows.to_vec(),
            begun: slots.iter().map(|slot| slot.begun).sum(),
            ended: slots.iter().map(|slot| slot.ended).sum(),
        };
        evidence.extend(grown(|slot| slot.count).map(told).map(LeakEvidence::CountGrowth));
        evidence.extend(grown(|slot| slot.bytes).map(told).map(LeakEvidence::BytesGrowth));
    }
    (!evidence.is_empty()).then(|| LeakSuspect {
        resource_type: name.to_owned(),
        live_count: account.count(),
        live_bytes: account.bytes(),
        evidence,
    })
}

fn untouched(account: &Account, now: u64, threshold_ms: u64) -> Option<Untouched> {
    let age = |since: u64| now.saturating_sub(since);
    let mut found = Untouched {
        instances: 0,
        bytes: 0,
        longest: Duration::ZERO,
        examples: Vec::new(),
    };
    let mut note = |age: u64, bytes: u64| {
        found.instances += 1;
        found.bytes = found.bytes.saturating_add(bytes);
        found.longest = found.longest.max(Duration::from_millis(age));
    };
    let mut labels = Vec::new();
    for instance in account.instances.values() {
        let age = age(instance.touched.load(Ordering::Relaxed));
        if age > threshold_ms {
            note(age, instance.size.load(Ordering::Relaxed));
            labels.extend(
                instance
                    .label
                    .as_deref()
                    .map(|label| (age, instance.created, label)),
            );
        }
    }
    for (size, begun) in &account.anonymous.begun {
        for age in begun
            .iter()
            .map(|begun| age(*begun))
            .filter(|age| *age > threshold_ms)
        {
            note(age, *size);
        }
    }
    labels.sort_by_key(|(age, created, _)| (std::cmp::Reverse(*age), *created));
    labels.truncate(MAX_EXAMPLES);
    found.examples = labels.into_iter().map(|(_, _, label)| label.to_owned()).collect();
    (found.instances > 0).then_some(found)
}

/// Growth made of resources that are in use is work, not a leak. Where the ages are known, half a window without a
/// touch is neglect; and as many must be neglected as one slot of steady growth adds.
fn is_neglected(account: &Account, now: u64) -> bool {
    if account.anonymous.count > 0 || account.unlisted() > 0 {
        return true;
    }
    let limit = account.window.length_ms() / 2;
    let neglected = account
        .instances
        .values()
        .filter(|instance| now.saturating_sub(instance.touched.load(Ordering::Relaxed)) > limit);
    neglected.count() as u64 * SLOTS as u64 >= account.count()
}

/// The lows of all slots, if they rise without a pause and nothing but a leak explains it.
fn growth(slots: &[Slot; SLOTS], of: fn(&Slot) -> Range) -> Option<[u64; SLOTS]> {
    let lows = slots.map(|slot| of(&slot).low);
    if !lows.is_sorted_by(|a, b| a < b) {
        return None;
    }
    // Traffic makes the lows wander, too, by less than it moves the value within a slot. The first slot is left out
    // of this: it may hold the type's own beginning, from which everything rises.
    let rise = lows[SLOTS - 1] - lows[1];
    let mut swings: Vec<u64> = slots[1..]
        .iter()
        .map(|slot| of(slot).high - of(slot).low)
        .collect();
    swings.sort_unstable();
    if rise < swings[swings.len() / 2] {
        return None;
    }
    // Twice the traffic keeps twice as many alive (Little's law): only what is beyond that is unexplained.
    let (earlier, later) = slots.split_at(SLOTS / 2);
    let sum = |half: &[Slot], of: fn(&Slot) -> u64| half.iter().map(of).sum::<u64>() as f64;
    let ratio = |of: fn(&Slot) -> u64| match (sum(earlier, of), sum(later, of)) {
        (before, after) if before > 0.0 => after / before,
        _ => 1.0,
    };
    let traffic = ratio(|slot| slot.begun).max(ratio(|slot| slot.ended)).max(1.0);
    // The middle, not the low: of few that come and go, the low grows faster than their number.
    let middles = slots.map(|slot| (of(&slot).low as f64 + of(&slot).high as f64) / 2.0);
    let (before, after) = (mean(&middles[..SLOTS / 2]), mean(&middles[SLOTS / 2..]));
    let unexplained = after - before * traffic;
    (unexplained >= (after - before) / 2.0).then_some(lows)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl fmt::Display for LeakSuspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} alive with {} bytes",
            self.resource_type, self.live_count, self.live_bytes
        )?;
        self.evidence
            .iter()
            .try_for_each(|evidence| write!(f, "; {evidence}"))
    }
}

impl fmt::Display for LeakEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, growth) = match self {
            LeakEvidence::Untouched(found) => {
                let (many, bytes, longest) = (found.instances, found.bytes, found.longest.as_secs());
                write!(
                    f,
                    "{many} of them, {bytes} bytes, untouched for up to {longest} s"
                )?;
                if !found.examples.is_empty() {
                    write!(f, " ({})", found.examples.join(", "))?;
                }
                return Ok(());
            }
            LeakEvidence::CountGrowth(growth) => ("count", growth),
            LeakEvidence::BytesGrowth(growth) => ("bytes", growth),
        };
        let (from, to) = (
            growth.lows.first().unwrap_or(&0),
            growth.lows.last().unwrap_or(&0),
        );
        let (begun, ended, seconds) = (growth.begun, growth.ended, growth.window.as_secs());
        write!(
            f,
            "{what} rose from {from} to {to} in {seconds} s without a fall, while {begun} began and {ended} ended"
        )
    }
}
