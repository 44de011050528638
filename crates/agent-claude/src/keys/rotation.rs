//! Which key takes over from which. Values in, values out: the same rules for keys in memory and in a file.

use std::time::Duration;

use agent_config::{ApiKey, KeyState};

/// A change of the key in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The key that was in use; none where none was.
    pub from: Option<String>,
    /// The key that is in use now.
    pub to: String,
}

/// Why the key in use stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStandby {
    /// No other key is bound to the host, or all were refused or rotated away.
    #[error("there is no standby key for {host}; add one with `claude-agent keys add`")]
    None {
        /// The host.
        host: String,
    },
    /// The one that was asked for is not there, or is not for this host.
    #[error("no key is called `{id}` and bound to {host}; `claude-agent keys list` shows them all")]
    Unknown {
        /// What was asked for.
        id: String,
        /// The host.
        host: String,
    },
}

/// Changes the key in use for `host` to `to`, or to the next standby key. Only `to` brings back a key that was refused or
/// rotated away.
///
/// # Errors
/// There is no such key.
pub fn rotate(keys: &mut [ApiKey], host: &str, to: Option<&str>) -> Result<Rotation, NoStandby> {
    let next = keys.iter().position(|key| {
        key.is_bound_to(host)
            && match to {
                Some(id) => key.id == id,
                None => key.state == KeyState::Standby,
            }
    });
    match (next, to) {
        (Some(next), _) => Ok(change_to(keys, host, next)),
        (None, Some(id)) => Err(NoStandby::Unknown {
            id: id.to_owned(),
            host: host.to_owned(),
        }),
        (None, None) => Err(NoStandby::None {
            host: host.to_owned(),
        }),
    }
}

/// Changes the key in use for `host`, if at `now` (seconds since 1970) it is older than `interval`, to the first standby key
/// that is not; `None` while the key in use is young enough or of unknown age. An old key is better than none.
///
/// # Errors
/// The key in use is too old, and there is no younger one.
pub fn rotate_by_age(
    keys: &mut [ApiKey],
    host: &str,
    now: u64,
    interval: Duration,
) -> Result<Option<Rotation>, NoStandby> {
    let is_old = |key: &ApiKey| {
        let age = key.added_at.map(|added| now.saturating_sub(added));
        age.is_some_and(|age| age >= interval.as_secs())
    };
    let is_here = |key: &&ApiKey| key.is_bound_to(host) && key.state == KeyState::Active;
    if !keys.iter().find(is_here).is_some_and(is_old) {
        return Ok(None);
    }
    let next = keys
        .iter()
        .position(|key| key.is_bound_to(host) && key.state == KeyState::Standby && !is_old(key));
    match next {
        Some(next) => Ok(Some(change_to(keys, host, next))),
        None => Err(NoStandby::None {
            host: host.to_owned(),
        }),
    }
}

/// Marks in `keys` what the API refused of `held`, as a ring holds them, and which key took over there. True if anything
/// changed.
pub fn set_aside(keys: &mut [ApiKey], held: &[ApiKey]) -> bool {
    let mut changed = false;
    for key in keys {
        let Some(held) = held.iter().find(|held| held.secret == key.secret) else {
            continue;
        };
        let state = match (key.state, held.state) {
            (before, KeyState::Rejected) if before != KeyState::Rejected => KeyState::Rejected,
            (KeyState::Standby, KeyState::Active) => KeyState::Active,
            _ => continue,
        };
        key.state = state;
        changed = true;
    }
    changed
}

/// Of the keys for one host, one is in use: the first that says so, or else the first on standby, or else the first that
/// was rotated away or even refused.
pub(super) fn settle(keys: &mut [ApiKey]) {
    let order = [
        KeyState::Active,
        KeyState::Standby,
        KeyState::Retired,
        KeyState::Rejected,
    ];
    let active = order
        .iter()
        .find_map(|state| keys.iter().position(|key| key.state == *state));
    for (at, key) in keys.iter_mut().enumerate() {
        if Some(at) == active {
            key.state = KeyState::Active;
        } else if key.state == KeyState::Active {
            key.state = KeyState::Standby;
        }
    }
}

fn change_to(keys: &mut [ApiKey], host: &str, next: usize) -> Rotation {
    let mut from = None;
    for (at, key) in keys.iter_mut().enumerate() {
        if at != next && key.state == KeyState::Active && key.is_bound_to(host) {
            key.state = KeyState::Retired;
            from = Some(key.id.clone());
        }
    }
    keys[next].state = KeyState::Active;
    Rotation {
        from,
        to: keys[next].id.clone(),
    }
}
