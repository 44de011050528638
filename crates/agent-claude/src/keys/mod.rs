//! The API keys for one destination, and which of them is used.
//!
//! A [`KeyRing`] is made for one address and holds only keys that are bound to its host, so no other key can be sent there.
//! A request takes the key in use once and keeps it to its end: rotating changes what the next request takes, and nothing of
//! those under way.

mod renewal;
mod rotation;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use agent_config::{ApiKey, KeyState, Secret, host_of};
use agent_performance::cache::Tenant;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::{Mutex, RwLock};
use url::Url;

pub use renewal::{RENEWAL_PATIENCE, Renewals};
pub use rotation::{NoStandby, Rotation, rotate, rotate_by_age, set_aside};

use crate::messages::ApiVersion;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The keys for one address. Clones are the same ring.
#[derive(Clone, Default)]
pub struct KeyRing(Arc<Ring>);

#[derive(Default)]
struct Ring {
    /// Where its keys may be sent; none for a ring that never has one.
    destination: Option<Destination>,
    /// Read by every request, changed a few times a month.
    current: RwLock<Option<KeyInUse>>,
    keys: Mutex<Vec<ApiKey>>,
    /// Where another key comes from when the only one is refused.
    renewal: RwLock<Option<Arc<renewal::Renewal>>>,
}

#[derive(PartialEq, Eq)]
struct Destination {
    scheme: String,
    host: String,
}

/// The key that one request is sent with, however often the ring is rotated meanwhile.
#[derive(Clone)]
pub struct KeyInUse(Arc<InUse>);

struct InUse {
    id: String,
    secret: Secret,
    plain: HeaderValue,
    bearer: HeaderValue,
    tenant: Tenant,
}

/// Why keys can't be used. No key is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No header can carry it.
    #[error("the API key `{id}` has characters that no key has; is there a line break in it?")]
    Characters {
        /// Which one.
        id: String,
    },
    /// It could be read on the way.
    #[error("no API key is sent to {host} without encryption; use https")]
    Unencrypted {
        /// The host.
        host: String,
    },
    /// There are keys, but for other hosts.
    #[error(
        "none of the API keys is bound to {host}; `claude-agent keys add --host {host}` adds one that is"
    )]
    OtherHosts {
        /// The host.
        host: String,
    },
}

impl KeyRing {
    /// The keys among `keys` that may be sent to the host of `base_url`. Without any keys, requests go without.
    ///
    /// # Errors
    /// A key can't be sent, or none of them to this host, or it is neither https nor this machine.
    pub fn new(base_url: &Url, keys: Vec<ApiKey>) -> Result<Self, KeyError> {
        let host = host_of(base_url);
        let ring = Self(Arc::new(Ring {
            destination: Some(Destination {
                scheme: base_url.scheme().to_owned(),
                host: host.clone(),
            }),
            ..Ring::default()
        }));
        if keys.is_empty() {
            return Ok(ring);
        }
        if base_url.scheme() != "https" && !is_loopback(base_url) {
            return Err(KeyError::Unencrypted { host });
        }
        ring.replace(keys)?;
        match ring.current() {
            Some(_) => Ok(ring),
            None => Err(KeyError::OtherHosts { host }),
        }
    }

    /// One key, bound to the host of `base_url`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(base_url: &Url, secret: Secret) -> Result<Self, KeyError> {
        Self::new(base_url, vec![single(base_url, "api-key", secret)])
    }

    /// No key: requests go without.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether what this ring holds may be sent to `base_url`.
    pub fn is_for(&self, base_url: &Url) -> bool {
        self.0.destination.as_ref().is_none_or(|destination| {
            destination.scheme == base_url.scheme() && destination.host == host_of(base_url)
        })
    }

    /// The key for a request that begins now; none where there is none.
    pub fn current(&self) -> Option<KeyInUse> {
        self.0.current.read().clone()
    }

    /// Whether another key could take over from the one in use.
    pub fn has_standby(&self) -> bool {
        self.0
            .keys
            .lock()
            .iter()
            .any(|key| key.state == KeyState::Standby)
    }

    /// Whoever holds the answer is asked for another key when the only one is refused.
    pub fn renewals(&self) -> Renewals {
        Renewals::of(self.clone())
    }

    /// As [`rejected`](Self::rejected); where there is no other key, waits for whoever brings new ones, at most [`RENEWAL_PATIENCE`]. None when there is
    /// nobody, or they brought the same one.
    pub async fn replacement(&self, used: &KeyInUse) -> Option<KeyInUse> {
        // Before asking, so that no answer is missed.
        let answers = self.0.renewal.read().as_ref().map(|renewal| renewal.subscribe());
        let next = self.rejected(used);
        let (None, Some(mut answers)) = (&next, answers) else {
            return next;
        };
        // Over when answered, when nobody answers any more, or when it takes too long: what is there then is looked at in each case.
        drop(tokio::time::timeout(RENEWAL_PATIENCE, answers.changed()).await);
        self.current().filter(|current| current.0.secret != used.0.secret)
    }

    /// The API refused `used`: sets it aside. Gives the key to try next, the one that is in use by now; none where there is no
    /// other. The last key is never set aside, so that a fault of the server's does not leave the program without one.
    pub fn rejected(&self, used: &KeyInUse) -> Option<KeyInUse> {
        let mut keys = self.0.keys.lock();
        let current = self.current()?;
        if current.0.secret != used.0.secret {
            // Another request was faster, or the key was rotated away while this one was under way.
            mark(&mut keys, used, KeyState::Rejected);
            return Some(current);
        }
        let Some(next) = keys.iter().position(|key| key.state == KeyState::Standby) else {
            if let Some(renewal) = &*self.0.renewal.read() {
                tracing::warn!(
                    key = used.id(),
                    "the API refuses the API key; another one is asked for"
                );
                renewal.ask();
                return None;
            }
            tracing::error!(
                key = used.id(),
                "the API refuses the API key, and there is no other; add one with `claude-agent keys add`"
            );
            return None;
        };
        let next_in_use = KeyInUse::new(&keys[next]).ok()?;
        mark(&mut keys, used, KeyState::Rejected);
        keys[next].state = KeyState::Active;
        tracing::warn!(
            key = used.id(),
            next = next_in_use.id(),
            "the API refuses the API key; it is set aside, and the next one is used"
        );
        *self.0.current.write() = Some(next_in_use.clone());
        Some(next_in_use)
    }

    /// Changes to the next standby key; requests under way keep theirs.
    ///
    /// # Errors
    /// There is no other key.
    pub fn rotate(&self) -> Result<Rotation, NoStandby> {
        let mut keys = self.0.keys.lock();
        let rotation = rotate(&mut keys, self.host(), None)?;
        let next = keys.iter().find(|key| key.id == rotation.to);
        // All keys of a ring were sent or checked before.
        *self.0.current.write() = next.and_then(|key| KeyInUse::new(key).ok());
        Ok(rotation)
    }

    /// Takes these keys instead: those bound to this ring's host. Requests under way keep theirs.
    ///
    /// # Errors
    /// A key can't be sent; nothing is changed then.
    pub fn replace(&self, keys: Vec<ApiKey>) -> Result<(), KeyError> {
        let mut keys: Vec<ApiKey> = keys
            .into_iter()
            .filter(|key| key.is_bound_to(self.host()))
            .collect();
        for key in &keys {
            KeyInUse::new(key)?;
        }
        rotation::settle(&mut keys);
        let active = keys.iter().find(|key| key.state == KeyState::Active);
        let active = active.map(KeyInUse::new).transpose()?;
        let mut held = self.0.keys.lock();
        *held = keys;
        *self.0.current.write() = active;
        Ok(())
    }

    /// All keys as they stand now.
    pub fn keys(&self) -> Vec<ApiKey> {
        self.0.keys.lock().clone()
    }

    fn host(&self) -> &str {
        self.0
            .destination
            .as_ref()
            .map_or("", |destination| &destination.host)
    }
}

/// `secret` as the only key for `base_url`.
pub fn single(base_url: &Url, id: &str, secret: Secret) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        secret,
        hosts: vec![host_of(base_url)],
        added_at: None,
        state: KeyState::Active,
    }
}

impl KeyInUse {
    fn new(key: &ApiKey) -> Result<Self, KeyError> {
        let characters = || KeyError::Characters { id: key.id.clone() };
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| characters())?;
            // Keeps it out of every `Debug`, and out of HTTP/2's header compression.
            value.set_sensitive(true);
            Ok(value)
        };
        let secret = key.secret.expose();
        Ok(Self(Arc::new(InUse {
            id: key.id.clone(),
            plain: value(secret)?,
            bearer: value(&format!("Bearer {secret}"))?,
            tenant: Tenant::of_credential(secret.as_bytes()),
            secret: key.secret.clone(),
        })))
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The key itself, for requests that are made elsewhere. They go to the ring's own address.
    pub fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// Puts it on, as `version` wants it.
    pub fn put_on(&self, headers: &mut HeaderMap, version: ApiVersion) {
        match version {
            ApiVersion::V2023_06_01 => headers.insert(API_KEY, self.0.plain.clone()),
            ApiVersion::V2026_10_21 => headers.insert(AUTHORIZATION, self.0.bearer.clone()),
        };
    }

    /// Whose answers a cache may give to requests with it.
    pub(crate) fn tenant(&self) -> Tenant {
        self.0.tenant
    }
}

fn mark(keys: &mut [ApiKey], used: &KeyInUse, state: KeyState) {
    if let Some(key) = keys.iter_mut().find(|key| key.secret == used.0.secret) {
        key.state = state;
    }
}

/// Whether the address is on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.keys.lock().iter().map(|key| (&key.id, key.state.as_str())))
            .finish()
    }
}

impl fmt::Debug for KeyInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyInUse").field(&self.0.id).finish()
    }
}
