//! API keys that somebody is asked for: a program, or the system's keyring. Asked at the start, and again when the API refuses what they gave.

use std::time::Duration;

use agent_claude::keys::{KeyRing, RENEWAL_PATIENCE, Renewals, single};
use agent_config::environment::Environment;
use agent_config::{KeySource, Loaded, Secret, check_program};
use agent_core::tools::SecretCommand;
use agent_performance::lifecycle::Lifecycle;
use agent_security::audit::AuditLog;
use agent_security::redact::Redactor;
use tokio::time::Instant;
use url::Url;

use super::keys::{self, Change};
use super::{AppError, keyring, misconfigured};

/// How long an answer may take: somebody may have to type a passphrase or touch a key. Requests that wait for it wait longer.
const DEADLINE: Duration = Duration::from_secs(30);
const _: () = assert!(DEADLINE.as_secs() < RENEWAL_PATIENCE.as_secs());

/// The time between two questions: an API that refuses every key must not start a program for every request.
const PAUSE: Duration = Duration::from_secs(10);

/// The program's own settings may hold credentials of the daemon, which nobody else needs.
const OWN_VARIABLES: &str = "CLAUDE_AGENT__";

/// Whom to ask. Cheap enough to clone.
#[derive(Clone)]
pub(super) enum Asked {
    Command {
        words: Vec<String>,
        environment: Vec<(String, String)>,
    },
    Keyring {
        account: String,
    },
}

impl Asked {
    /// Who is to be asked, where the configuration says that somebody is.
    pub(super) fn of(loaded: &Loaded, environment: &Environment) -> Option<Self> {
        match loaded.api_key_source.as_ref()? {
            KeySource::Command(_) => Some(Self::Command {
                words: loaded.config.api.api_key_command.clone(),
                environment: environment
                    .with_prefix("")
                    .filter(|(name, _)| !name.starts_with(OWN_VARIABLES))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            }),
            KeySource::Keyring(account) => Some(Self::Keyring {
                account: account.clone(),
            }),
            KeySource::Environment | KeySource::File(_) | KeySource::Systemd(_) => None,
        }
    }

    /// The key. What is known of it from now on, `redactor` takes out.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub(super) async fn ask(&self, redactor: &Redactor) -> Result<Secret, AppError> {
        let secret = match self {
            Self::Command { words, environment } => {
                let advice = "run the command of api.api_key_command by hand; it has to print the key, one line, and end with 0";
                let refused = |why: String| misconfigured(format!("there is no API key: {why}"), advice);
                // Once more, right before it runs: weeks may have passed.
                if let Some(program) = words.first() {
                    check_program(program.as_ref())
                        .map_err(|(what, valid)| refused(format!("{program} {what}; use {valid}")))?;
                }
                let command = SecretCommand {
                    words,
                    environment,
                    deadline: DEADLINE,
                };
                let asked = command.ask(redactor).await;
                asked.map_err(|error| refused(error.to_string()))?
            }
            Self::Keyring { account } => keyring::look_up(account, DEADLINE).await?,
        };
        redactor.learn([secret.clone()]);
        Ok(secret)
    }

    /// Asks again when the API refuses the key, until `lifecycle` ends.
    pub(super) fn keep(
        self,
        ring: &KeyRing,
        base_url: Url,
        redactor: &Redactor,
        audit: AuditLog,
        lifecycle: &Lifecycle,
    ) {
        let renewals = ring.renewals();
        let (ring, redactor, stop) = (ring.clone(), redactor.clone(), lifecycle.token());
        drop(lifecycle.spawn("api-key-renewal", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.renew(&renewals, &ring, &base_url, &redactor, &audit) => {}
            }
        }));
    }

    async fn renew(
        &self,
        renewals: &Renewals,
        ring: &KeyRing,
        base_url: &Url,
        redactor: &Redactor,
        audit: &AuditLog,
    ) {
        // The start has just asked.
        let mut asked_at = Instant::now();
        loop {
            renewals.asked().await;
            if asked_at.elapsed() >= PAUSE {
                match self.ask(redactor).await {
                    Ok(secret) => {
                        let is_new = ring.current().is_none_or(|key| *key.secret() != secret);
                        match ring.replace(vec![single(base_url, keys::ASKED, secret)]) {
                            Ok(()) if is_new => {
                                tracing::info!("another API key was given, and is used");
                                keys::record(audit, Change::Given).await;
                            }
                            Ok(()) => tracing::error!(
                                "the API refuses the API key, and the same one was given again; see to it that \
                                 api.api_key_command or api.api_key_keyring gives a good one"
                            ),
                            Err(error) => tracing::error!(%error, "the new API key can't be used"),
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "the API refuses the API key, and no other is to be had")
                    }
                }
                asked_at = Instant::now();
            }
            renewals.answered();
        }
    }
}
