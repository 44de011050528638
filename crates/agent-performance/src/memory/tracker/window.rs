//! How live count and bytes moved over the observation window, in eight slots of equal length.
//!
//! Each slot keeps the lowest and the highest value. The lowest is what tells a leak from traffic: busy resources
//! come and go above it, leaked ones raise it. No timer runs: slots are closed when somebody looks.

use std::collections::VecDeque;

/// Slots to a window. Eight rising one after the other by chance is one in 40,000, before any other condition.
pub(super) const SLOTS: usize = 8;

pub(super) struct Window {
    slot_ms: u64,
    /// Closed slots, oldest first.
    closed: VecDeque<Slot>,
    open: Slot,
    opened: u64,
    count: u64,
    bytes: u64,
}

/// One eighth of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) count: Range,
    pub(super) bytes: Range,
    pub(super) begun: u64,
    pub(super) ended: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Window {
    pub(super) fn new(now: u64, window_ms: u64) -> Self {
        Window {
            slot_ms: (window_ms / SLOTS as u64).max(1),
            closed: VecDeque::with_capacity(SLOTS),
            open: Slot::resting(0, 0),
            opened: now,
            count: 0,
            bytes: 0,
        }
    }

    /// The values from now on.
    pub(super) fn record(&mut self, now: u64, count: u64, bytes: u64) {
        self.roll(now);
        (self.count, self.bytes) = (count, bytes);
        self.open.count.include(count);
        self.open.bytes.include(bytes);
    }

    pub(super) fn began(&mut self, now: u64) {
        self.roll(now);
        self.open.begun += 1;
    }

    pub(super) fn ended(&mut self, now: u64) {
        self.roll(now);
        self.open.ended += 1;
    }

    /// The last whole window, oldest slot first, once there is one.
    pub(super) fn last(&mut self, now: u64) -> Option<[Slot; SLOTS]> {
        self.roll(now);
        let closed: Vec<Slot> = self.closed.iter().copied().collect();
        closed.try_into().ok()
    }

    /// Milliseconds that [`last`](Self::last) covers.
    pub(super) fn length_ms(&self) -> u64 {
        self.slot_ms * SLOTS as u64
    }

    fn roll(&mut self, now: u64) {
        let passed = now.saturating_sub(self.opened) / self.slot_ms;
        // After a long rest only the last window counts.
        for _ in 0..passed.min(SLOTS as u64 + 1) {
            if self.closed.len() == SLOTS {
                self.closed.pop_front();
            }
            self.closed.push_back(self.open);
            self.open = Slot::resting(self.count, self.bytes);
        }
        self.opened += passed * self.slot_ms;
    }
}

impl Slot {
    fn resting(count: u64, bytes: u64) -> Self {
        let at = |value| Range {
            low: value,
            high: value,
        };
        Slot {
            count: at(count),
            bytes: at(bytes),
            begun: 0,
            ended: 0,
        }
    }
}

impl Range {
    fn include(&mut self, value: u64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }
}
