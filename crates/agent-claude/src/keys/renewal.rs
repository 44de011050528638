//! Where the key of a ring is given by somebody who can be asked again: who asks, and who answers.

use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::KeyRing;

/// The longest that a request whose key was refused waits for another one: a program that is asked may want a passphrase from a person.
pub const RENEWAL_PATIENCE: Duration = Duration::from_secs(40);

/// What connects requests that were refused with whoever brings new keys.
#[derive(Debug)]
pub(super) struct Renewal {
    asked: Notify,
    /// Counts the answers.
    answered: watch::Sender<u64>,
}

/// Brings a ring new keys. While one lives, requests whose only key is refused wait for it.
#[derive(Debug)]
#[must_use = "requests wait for an answer only while this lives"]
pub struct Renewals {
    ring: KeyRing,
}

impl Renewals {
    pub(super) fn of(ring: KeyRing) -> Self {
        let renewal = Renewal {
            asked: Notify::new(),
            answered: watch::channel(0).0,
        };
        *ring.0.renewal.write() = Some(renewal.into());
        Self { ring }
    }

    /// Done when the only key was refused, however often since the last time.
    pub async fn asked(&self) {
        let renewal = self.ring.0.renewal.read().clone();
        match renewal {
            Some(renewal) => renewal.asked.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Says that the ring has now what there is to be had.
    pub fn answered(&self) {
        if let Some(renewal) = &*self.ring.0.renewal.read() {
            renewal.answered.send_modify(|count| *count += 1);
        }
    }
}

impl Drop for Renewals {
    fn drop(&mut self) {
        // The sender goes with it, and who waits is woken.
        *self.ring.0.renewal.write() = None;
    }
}

impl Renewal {
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.answered.subscribe()
    }
}
