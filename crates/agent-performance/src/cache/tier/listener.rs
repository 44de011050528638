//! Hears what was removed, by whichever replica, and drops it from memory.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{SEQUENCE, Tier, UNKNOWN, forget_all};
use crate::cache::inner::Inner;
use crate::shared::SharedEvent;

/// A count of removals has at most twenty digits.
const MAX_SEQUENCE_TEXT: usize = 20;

pub(super) async fn listen(
    mut events: broadcast::Receiver<SharedEvent>,
    tier: Weak<Tier>,
    cache: Weak<Inner>,
    token: CancellationToken,
) {
    // The connection may be older than this cache, and then nothing announces it.
    let mut is_new = true;
    loop {
        let event = tokio::select! {
            biased;
            () = token.cancelled() => return,
            () = std::future::ready(()), if is_new => Ok(SharedEvent::Connected),
            event = events.recv() => event,
        };
        is_new = false;
        let (Some(tier), Some(cache)) = (tier.upgrade(), cache.upgrade()) else {
            return;
        };
        match event {
            Ok(SharedEvent::Message(payload)) => heard(&tier, &cache, &payload),
            Ok(SharedEvent::Connected) | Err(RecvError::Lagged(_)) => catch_up(&tier, &cache).await,
            Err(RecvError::Closed) => return,
        }
    }
}

/// After a silence: the memory stays only if nothing was removed meanwhile.
async fn catch_up(tier: &Tier, cache: &Inner) {
    let known = tier.sequence.load(Ordering::Acquire);
    if !tier.shared.is_up() {
        // The connection to come is announced.
        return;
    }
    let now = match tier.shared.get(SEQUENCE, MAX_SEQUENCE_TEXT).await {
        Ok(None) => 0,
        Ok(Some(text)) => number(&text).unwrap_or(UNKNOWN),
        // Another connection follows; until then nothing is written for all.
        Err(_) => UNKNOWN,
    };
    if now != known || now == UNKNOWN {
        forget_all(tier, cache);
    }
    tier.seen(now);
}

/// `number key`, or `number` alone for everything.
fn heard(tier: &Tier, cache: &Inner, payload: &[u8]) {
    let text = std::str::from_utf8(payload).unwrap_or_default();
    let (sequence, key) = match text.split_once(' ') {
        Some((sequence, key)) => (sequence, Some(key)),
        None => (text, None),
    };
    // Someone else's message on this channel says nothing.
    let Some(sequence) = number(sequence.as_bytes()) else {
        return;
    };
    let known = tier.sequence.load(Ordering::Acquire);
    let in_order = known != UNKNOWN && sequence <= known + 1;
    match key {
        Some(key) if in_order => {
            tier.metrics.invalidated();
            cache.drop_one(key, || {});
        }
        Some(_) | None => forget_all(tier, cache),
    }
    if known == UNKNOWN || sequence > known {
        tier.seen(sequence);
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number != UNKNOWN).then_some(number)
}
