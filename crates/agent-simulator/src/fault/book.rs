//! Which request is struck by what.

use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;

use super::{Fault, FaultSpec};
use crate::digest::Random;

/// The faults of a running simulator, with what is left of their counts.
#[derive(Debug)]
pub(crate) struct FaultBook {
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    spec: FaultSpec,
    left: Option<u64>,
}

/// What happens to one request.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Strike {
    /// Waiting adds up over all latency faults that strike.
    pub(crate) delay: Duration,
    /// The gap between bytes; it goes together with any other fault.
    pub(crate) trickle: Option<Duration>,
    /// The first of the other faults that strikes; the others keep their counts.
    pub(crate) fault: Option<Fault>,
}

impl FaultBook {
    pub(crate) fn new(specs: Vec<FaultSpec>) -> Self {
        let entries = specs
            .into_iter()
            .map(|spec| Entry {
                left: spec.count,
                spec,
            })
            .collect();
        Self {
            entries: Mutex::new(entries),
        }
    }

    /// Draws the fate of the next request, and takes it off the counts.
    pub(crate) fn strike(&self, random: &mut Random) -> Strike {
        let mut strike = Strike::default();
        for entry in self.entries.lock().iter_mut() {
            let taken = match entry.spec.fault {
                Fault::Latency(_) => false,
                Fault::Trickle(_) => strike.trickle.is_some(),
                _ => strike.fault.is_some(),
            };
            // The draw comes first, so that one fault's count never shifts another one's luck.
            let struck = random.random_bool(entry.spec.probability);
            if taken || !struck || entry.left == Some(0) {
                continue;
            }
            entry.left = entry.left.map(|left| left - 1);
            strike.add(&entry.spec.fault, random);
        }
        strike
    }
}

impl Strike {
    /// The effect of one fault that certainly strikes.
    pub(crate) fn of(fault: &Fault, random: &mut Random) -> Self {
        let mut strike = Self::default();
        strike.add(fault, random);
        strike
    }

    fn add(&mut self, fault: &Fault, random: &mut Random) {
        match fault {
            Fault::Latency(latency) => self.delay += latency.sample(random),
            Fault::Trickle(gap) => self.trickle = Some(*gap),
            other => self.fault = Some(other.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::random_for;

    fn book(specs: &[&str]) -> FaultBook {
        FaultBook::new(specs.iter().map(|spec| spec.parse().unwrap()).collect())
    }

    #[test]
    fn counts_run_out_in_order() {
        let book = book(&["status=529*2", "reset-mid*1"]);
        let mut random = random_for(1, 0, b"");
        let faults: Vec<_> = (0..4)
            .map(|_| book.strike(&mut random).fault.map(|fault| format!("{fault:?}")))
            .collect();
        assert!(faults[0].as_ref().unwrap().contains("529") && faults[1].as_ref().unwrap().contains("529"));
        assert_eq!(faults[2].as_deref(), Some("ResetMid"));
        assert_eq!(faults[3], None);
    }

    #[test]
    fn a_probability_strikes_about_that_often() {
        let book = book(&["silence@0.25"]);
        let struck = (0..2000)
            .filter(|n| book.strike(&mut random_for(3, *n, b"")).fault.is_some())
            .count();
        assert!((400..600).contains(&struck), "{struck}");
    }

    #[test]
    fn latencies_add_up_and_go_with_another_fault() {
        let book = book(&["latency=1s", "latency=2s", "trickle=1ms", "truncate"]);
        let strike = book.strike(&mut random_for(1, 0, b""));
        assert_eq!(strike.delay, Duration::from_secs(3));
        assert_eq!(strike.trickle, Some(Duration::from_millis(1)));
        assert_eq!(strike.fault, Some(Fault::Truncate));
    }
}
