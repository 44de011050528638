use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Value};
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::error::is_fatal;
use super::link::{Link, Live};
use super::metrics::LinkMetrics;
use super::supervisor::supervise;
use super::{SharedConfig, SharedError, SharedEvent, SharedScript, SharedStatus};
use crate::lifecycle::Lifecycle;
use crate::metrics::MetricsCollector;

/// Redis counts times to live in whole milliseconds, and adds them to its clock; what is longer than a year is a year.
const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 3600);

/// A Redis or Valkey server (6.0 or newer) that replicas share. Clones use one connection.
///
/// Every method takes at most the configured time and, while the server is down, none. Dropping the future of one gives
/// up its answer; whether the command takes effect is then not known.
#[derive(Clone)]
pub struct Shared {
    link: Arc<Link>,
    lifecycle: Lifecycle,
}

impl Shared {
    /// Begins to connect, and returns at once. The connection is kept until the end of `lifecycle`; the last clone closes it.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn connect(config: SharedConfig, lifecycle: &Lifecycle) -> Self {
        Self::start(config, LinkMetrics::default(), lifecycle)
    }

    /// The same, recording `shared.*` into `collector`.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn connect_with_metrics(
        config: SharedConfig,
        collector: &MetricsCollector,
        lifecycle: &Lifecycle,
    ) -> Self {
        Self::start(config, LinkMetrics::new(collector), lifecycle)
    }

    fn start(config: SharedConfig, metrics: LinkMetrics, lifecycle: &Lifecycle) -> Self {
        let link = Arc::new(Link::new(config, metrics));
        let _supervisor = lifecycle.spawn("shared-store", supervise(Arc::clone(&link), lifecycle.token()));
        Shared {
            link,
            lifecycle: lifecycle.clone(),
        }
    }

    /// How it stands, for health.
    pub fn status(&self) -> SharedStatus {
        self.link.status()
    }

    /// True while it answers.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// Waits until it answers; for ever, if it never does.
    pub async fn until_up(&self) {
        self.link.until_up().await;
    }

    /// What one command may take.
    pub fn command_timeout(&self) -> Duration {
        self.link.config.command_timeout
    }

    /// The first `max_bytes` of the value under `name`; `None` for a value that is empty or not there. The server cuts it: a
    /// huge value costs no more than that.
    ///
    /// # Errors
    /// [`SharedError`], also for a value that is no string.
    pub async fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Bytes>, SharedError> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(self.key(name)).arg(0).arg(max_bytes.max(1) - 1);
        let value: Vec<u8> = self.command(&command).await?;
        Ok((!value.is_empty()).then(|| Bytes::from(value)))
    }

    /// Stores `value` for `ttl`, in place of whatever was there.
    ///
    /// # Errors
    /// [`SharedError`].
    pub async fn set(&self, name: &str, value: &[u8], ttl: Duration) -> Result<(), SharedError> {
        let mut command = redis::cmd("SET");
        command.arg(self.key(name)).arg(value).arg("PX").arg(millis(ttl));
        self.command(&command).await
    }

    /// Stores `value` for `ttl` if there is nothing under `name`. False if there was. Of all who ask at the same time, on all
    /// replicas, one is told true.
    ///
    /// # Errors
    /// [`SharedError`].
    pub async fn set_if_absent(&self, name: &str, value: &[u8], ttl: Duration) -> Result<bool, SharedError> {
        let mut command = redis::cmd("SET");
        command
            .arg(self.key(name))
            .arg(value)
            .arg("NX")
            .arg("PX")
            .arg(millis(ttl));
        let stored: Option<String> = self.command(&command).await?;
        Ok(stored.is_some())
    }

    /// Removes what is under `name`.
    ///
    /// # Errors
    /// [`SharedError`].
    pub async fn remove(&self, name: &str) -> Result<(), SharedError> {
        let mut command = redis::cmd("UNLINK");
        command.arg(self.key(name));
        self.command(&command).await
    }

    /// Runs `script` with these keys and arguments; the integers that it returns.
    ///
    /// # Errors
    /// [`SharedError`], also for another kind of result.
    pub async fn eval(
        &self,
        script: &SharedScript,
        names: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Vec<i64>, SharedError> {
        let mut call = script.0.prepare_invoke();
        for name in names {
            call.key(self.key(name));
        }
        for argument in arguments {
            call.arg(*argument);
        }
        let answer = self
            .run(async |mut connection| call.invoke_async(&mut connection).await)
            .await?;
        convert(answer)
    }

    pub(crate) fn key(&self, name: &str) -> String {
        self.link.config.key(name)
    }

    pub(crate) fn channel(&self) -> String {
        self.link.config.channel()
    }

    /// What replicas publish on the channel, and when connections begin.
    pub(crate) fn events(&self) -> broadcast::Receiver<SharedEvent> {
        self.link.events()
    }

    /// Who owns the tasks of those who use this.
    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, SharedError> {
        let answer = self
            .run(async |mut connection| command.query_async(&mut connection).await)
            .await?;
        convert(answer)
    }

    /// The one place where commands are sent: bounded, counted, and what they say of the connection is heard.
    pub(crate) async fn run<F>(
        &self,
        send: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<Value, SharedError>
    where
        F: Future<Output = RedisResult<Value>>,
    {
        let began = Instant::now();
        let outcome = self.attempt(send).await;
        self.link.metrics.ended(began, &outcome);
        outcome
    }

    async fn attempt<F>(&self, send: impl FnOnce(MultiplexedConnection) -> F) -> Result<Value, SharedError>
    where
        F: Future<Output = RedisResult<Value>>,
    {
        let live = self.link.live().await?;
        let after = self.command_timeout();
        match timeout(after, send(live.connection.clone())).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failure(&live, &error)),
            Err(_) => {
                let error = SharedError::TimedOut { after };
                self.link.broke(&live, error.to_string());
                Err(error)
            }
        }
    }

    fn failure(&self, live: &Live, error: &RedisError) -> SharedError {
        let message = self.link.config.redact(&error.to_string());
        if is_fatal(error) {
            self.link.broke(live, message.clone());
            SharedError::Failed(message)
        } else {
            self.link.refused(message.clone());
            SharedError::Refused(message)
        }
    }
}

/// Done apart from the command: an answer of another kind says something of the command, and nothing of the connection.
pub(crate) fn convert<T: FromRedisValue>(answer: Value) -> Result<T, SharedError> {
    // The library's own text would repeat the answer.
    redis::from_redis_value(answer)
        .map_err(|_| SharedError::Refused("it gave an answer of another kind than asked for".to_owned()))
}

/// At least one: zero is refused by the server.
pub(crate) fn millis(ttl: Duration) -> u64 {
    // A year of milliseconds fits.
    ttl.min(MAX_TTL).as_millis().max(1) as u64
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.link.config)
            .field("state", &self.status().state)
            .finish_non_exhaustive()
    }
}
