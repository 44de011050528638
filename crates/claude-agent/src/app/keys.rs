//! The API keys of this process: where they come from, and what becomes of them while it runs.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_claude::keys::{self, KeyError, KeyInUse, KeyRing, Rotation, single};
use agent_config::environment::Environment;
use agent_config::{ApiKey, KeyState, Loaded, ProductionConfig, host_of};
use agent_performance::lifecycle::Lifecycle;
use agent_security::audit::{AuditEvent, AuditLog};
use agent_security::key_file::{KeyFile, KeyFileError, Version};
use agent_security::redact::Redactor;
use url::Url;

use super::asked::Asked;
use super::{AppError, misconfigured};

/// The file with the keys that were added by hand, in the data folder.
const KEY_FILE: &str = "keys.json";

/// How soon a daemon takes up what a command changed. A look costs one call to the file system.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The keys in use, and the redactor that knows them all. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    ring: KeyRing,
    redactor: Redactor,
    origin: Origin,
}

/// Where they come from, and so what becomes of them.
#[derive(Clone)]
enum Origin {
    /// The key was set from outside: it stays as it is for the life of the process.
    Outside,
    /// Somebody gave the key, and is asked for another when it is refused.
    Asked(Asked, Url),
    /// The file that commands change.
    Stored(Stored),
}

/// What was done to keys without a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The API refused it.
    Refused(String),
    /// It was too old, and another one took over.
    Aged { from: String, to: String },
    /// Who is asked gave another one.
    Given,
}

/// Records what was done already; where that fails, the daemon's own log has it.
pub(super) async fn record(audit: &AuditLog, change: Change) {
    let (act, subject, by) = match change {
        Change::Refused(id) => ("API key set aside", id, "API"),
        Change::Aged { from, to } => ("API key rotated", format!("{from} to {to}"), "schedule"),
        Change::Given => ("API key renewed", ASKED.to_owned(), "API"),
    };
    let event = AuditEvent::Administered {
        act: act.to_owned(),
        subject,
        by: by.to_owned(),
    };
    if let Err(error) = audit.record_async(event).await {
        tracing::error!(%error, "a change of the API keys was not recorded");
    }
}

/// What the key is called that somebody gave.
pub(super) const ASKED: &str = "asked";

#[derive(Clone)]
struct Stored {
    file: KeyFile,
    host: String,
    interval: Duration,
    /// As they were read last.
    keys: Vec<ApiKey>,
    version: Option<Version>,
    /// It was told that the key in use is too old.
    told_old: bool,
    /// What was changed, until it is recorded: a few at a time.
    changes: Vec<Change>,
}

/// The file with the keys that were added by hand.
pub fn key_file(config: &ProductionConfig) -> KeyFile {
    KeyFile::new(file_path(config))
}

fn file_path(config: &ProductionConfig) -> PathBuf {
    config.deployment.data_directory.join(KEY_FILE)
}

/// Seconds since 1970 by the machine's clock.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Keys {
    /// The key from the environment, a file, systemd, a program or the keyring, bound to the host of `api.base_url`; where none of them is
    /// configured, the keys that were added by hand. `redactor` takes all of them out from now on. Waits at most half a minute for who is asked.
    ///
    /// # Errors
    /// The file of keys can't be used, who is asked has none, or no key may be sent to the host.
    pub async fn open(
        loaded: &Loaded,
        environment: &Environment,
        redactor: &Redactor,
    ) -> Result<Self, AppError> {
        let config = &loaded.config;
        let base_url = &config.api.base_url;
        if let Some(secret) = &loaded.api_key {
            redactor.learn([secret.clone()]);
            return Ok(Self {
                ring: KeyRing::of(base_url, secret.clone()).map_err(unusable)?,
                redactor: redactor.clone(),
                origin: Origin::Outside,
            });
        }
        if let Some(asked) = Asked::of(loaded, environment) {
            let key = single(base_url, ASKED, asked.ask(redactor).await?);
            return Ok(Self {
                ring: KeyRing::new(base_url, vec![key]).map_err(unusable)?,
                redactor: redactor.clone(),
                origin: Origin::Asked(asked, base_url.clone()),
            });
        }
        let file = key_file(config);
        let mut stored = Stored {
            version: file.version(),
            keys: file.load()?,
            host: host_of(base_url),
            interval: config.security.api_key_rotation_interval.duration(),
            told_old: false,
            changes: Vec::new(),
            file,
        };
        redactor.learn(stored.keys.iter().map(|key| key.secret.clone()));
        let ring = KeyRing::new(base_url, stored.keys.clone()).map_err(unusable)?;
        stored.look(&ring, redactor, now());
        Ok(Self {
            ring,
            redactor: redactor.clone(),
            origin: Origin::Stored(stored),
        })
    }

    /// The keys for the API.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Knows all keys, those that come later included.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Takes up what commands change in the file, rotates by age, and writes down which keys were refused; or asks for another key when the one that was
    /// given is refused; until `lifecycle` ends.
    pub(super) fn keep(&self, lifecycle: &Lifecycle, audit: &AuditLog) {
        let mut stored = match &self.origin {
            Origin::Outside => return,
            Origin::Asked(asked, base_url) => {
                let asked = asked.clone();
                return asked.keep(
                    &self.ring,
                    base_url.clone(),
                    &self.redactor,
                    audit.clone(),
                    lifecycle,
                );
            }
            Origin::Stored(stored) => stored.clone(),
        };
        let (ring, redactor, stop) = (self.ring.clone(), self.redactor.clone(), lifecycle.token());
        let audit = audit.clone();
        drop(lifecycle.spawn("api-keys", async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL))
                .await
                .is_some()
            {
                let (ring, redactor) = (ring.clone(), redactor.clone());
                // The file may lie on a disk that is slow, and somebody else may be changing it.
                let look = tokio::task::spawn_blocking(move || {
                    stored.look(&ring, &redactor, now());
                    stored
                });
                match look.await {
                    Ok(after) => {
                        stored = after;
                        for change in std::mem::take(&mut stored.changes) {
                            record(&audit, change).await;
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "API keys are no longer watched; restart the daemon to take up changes");
                        return;
                    }
                }
            }
        }));
    }
}

impl Stored {
    fn look(&mut self, ring: &KeyRing, redactor: &Redactor, now: u64) {
        if self.file.version() != self.version {
            self.take_up(ring, redactor);
        }
        let held = ring.keys();
        let mut wanted = self.keys.clone();
        let refused = keys::set_aside(&mut wanted, &held);
        let by_age = keys::rotate_by_age(&mut wanted, &self.host, now, self.interval);
        if let Err(error) = &by_age {
            if !std::mem::replace(&mut self.told_old, true) {
                tracing::warn!(
                    days = self.interval.as_secs() / 86_400,
                    "the API key in use is older than security.api_key_rotation_interval; {error}"
                );
            }
        } else {
            self.told_old = false;
        }
        let rotated = matches!(by_age, Ok(Some(_)));
        if !(refused || rotated) {
            return;
        }
        for (before, after) in self.keys.iter().zip(&wanted) {
            if after.state == KeyState::Rejected && before.state != KeyState::Rejected {
                self.changes.push(Change::Refused(after.id.clone()));
            }
        }
        let (host, interval) = (&self.host, self.interval);
        let written: Result<Option<Rotation>, KeyFileError> = self.file.change(|keys| {
            keys::set_aside(keys, &held);
            Ok(keys::rotate_by_age(keys, host, now, interval).unwrap_or_default())
        });
        match written {
            Ok(rotation) => {
                if let Some(Rotation { from, to }) = rotation {
                    tracing::info!(from, to, "the API key was old, and was rotated");
                    self.changes.push(Change::Aged {
                        from: from.unwrap_or_default(),
                        to,
                    });
                }
                self.take_up(ring, redactor);
            }
            Err(error) => {
                tracing::warn!(%error, "which API key is used can't be written down; it holds until the next start");
                self.keys = wanted;
                self.put_in(ring);
            }
        }
    }

    /// Reads the file. One that can't be read changes nothing: the keys in use are still good.
    fn take_up(&mut self, ring: &KeyRing, redactor: &Redactor) {
        self.version = self.file.version();
        match self.file.load() {
            Ok(keys) => {
                redactor.learn(keys.iter().map(|key| key.secret.clone()));
                self.keys = keys;
                self.put_in(ring);
                let current = ring.current();
                let in_use = current.as_ref().map_or("none", KeyInUse::id);
                tracing::info!(keys = self.keys.len(), in_use, "API keys were read again");
            }
            Err(error) => tracing::error!(%error, "the API keys can't be read again; those before are used"),
        }
    }

    fn put_in(&self, ring: &KeyRing) {
        if let Err(error) = ring.replace(self.keys.clone()) {
            tracing::error!(%error, "the new API keys can't be used; those before are used");
        }
    }
}

fn unusable(error: KeyError) -> AppError {
    misconfigured(
        error.to_string(),
        "`claude-agent keys list` tells which keys there are and what they are bound to",
    )
}

impl From<KeyFileError> for AppError {
    fn from(error: KeyFileError) -> Self {
        misconfigured(error.to_string(), "`claude-agent keys list` reads the same file")
    }
}

#[cfg(test)]
mod tests {
    use agent_config::Secret;

    use super::*;

    const DAY: u64 = 86_400;

    fn key(id: &str, added_at: u64, state: KeyState) -> ApiKey {
        ApiKey {
            id: id.to_owned(),
            secret: Secret::from(format!("opaque-{id}-canary")),
            hosts: vec!["api.anthropic.com".to_owned()],
            added_at: Some(added_at),
            state,
        }
    }

    struct Fixture {
        _folder: tempfile::TempDir,
        stored: Stored,
        ring: KeyRing,
        redactor: Redactor,
        changes: Vec<Change>,
    }

    impl Fixture {
        fn new(keys: Vec<ApiKey>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = KeyFile::new(folder.path().join(KEY_FILE));
            put(&file, keys.clone());
            Self {
                ring: KeyRing::new(&"https://api.anthropic.com".parse().unwrap(), keys).unwrap(),
                stored: Stored {
                    keys: file.load().unwrap(),
                    version: file.version(),
                    host: "api.anthropic.com".to_owned(),
                    interval: Duration::from_secs(30 * DAY),
                    told_old: false,
                    changes: Vec::new(),
                    file,
                },
                redactor: Redactor::default(),
                changes: Vec::new(),
                _folder: folder,
            }
        }

        fn look_on(&mut self, day: u64) -> String {
            self.stored.look(&self.ring, &self.redactor, day * DAY);
            self.changes = std::mem::take(&mut self.stored.changes);
            self.ring.current().unwrap().id().to_owned()
        }
    }

    fn put(file: &KeyFile, new: Vec<ApiKey>) {
        file.change(|keys| {
            *keys = new;
            Ok::<_, KeyFileError>(())
        })
        .unwrap();
    }

    #[test]
    fn api_keys_rotate_by_schedule_in_simulated_time_and_it_is_written_down() {
        let mut fixture = Fixture::new(vec![
            key("a", 0, KeyState::Active),
            key("b", 20 * DAY, KeyState::Standby),
        ]);
        assert_eq!(
            (fixture.look_on(29), fixture.look_on(30)),
            ("a".into(), "b".into())
        );
        let states: Vec<_> = fixture
            .stored
            .file
            .load()
            .unwrap()
            .iter()
            .map(|key| key.state)
            .collect();
        assert_eq!(states, [KeyState::Retired, KeyState::Active]);
        let aged = Change::Aged {
            from: "a".to_owned(),
            to: "b".to_owned(),
        };
        assert_eq!(fixture.changes, [aged]);
        assert_eq!(fixture.look_on(99), "b", "an old key is better than none");
        assert_eq!(fixture.changes, []);
    }

    #[test]
    fn keys_added_while_it_runs_are_used_and_redacted_from_then_on() {
        let mut fixture = Fixture::new(vec![key("a", 0, KeyState::Active)]);
        put(
            &fixture.stored.file,
            vec![key("a", 0, KeyState::Retired), key("new", 1, KeyState::Active)],
        );
        let clone = fixture.redactor.clone();
        assert_eq!(clone.redact("opaque-new-canary"), "opaque-new-canary");
        assert_eq!(fixture.look_on(1), "new");
        assert_eq!(clone.redact("opaque-new-canary"), "[redacted]");
    }

    #[test]
    fn a_refused_key_is_written_down_and_a_broken_file_changes_nothing() {
        let mut fixture = Fixture::new(vec![
            key("a", 0, KeyState::Active),
            key("b", 0, KeyState::Standby),
        ]);
        fixture.ring.rejected(&fixture.ring.current().unwrap());
        assert_eq!(fixture.look_on(1), "b");
        assert_eq!(fixture.changes, [Change::Refused("a".to_owned())]);
        assert_eq!(fixture.stored.file.load().unwrap()[0].state, KeyState::Rejected);
        std::fs::write(fixture.stored.file.path(), "broken").unwrap();
        assert_eq!(fixture.look_on(1), "b");
    }
}
