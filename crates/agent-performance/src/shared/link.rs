//! The state of the connection: what commands read, and what the supervisor writes.

use chrono::Utc;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout_at};

use super::metrics::LinkMetrics;
use super::{SharedConfig, SharedError, SharedFailure, SharedState, SharedStatus};

/// Events that wait for a reader. One that falls this far behind is told so, and makes up for all of them at once.
const MAX_EVENTS: usize = 1024;

/// What comes over the connection unasked.
#[derive(Clone, Debug)]
pub(crate) enum SharedEvent {
    /// There is a new connection. What was said since the last one broke was missed.
    Connected,
    /// Another replica, or this one, published this.
    Message(Vec<u8>),
}

pub(super) struct Link {
    pub(super) config: SharedConfig,
    pub(super) metrics: LinkMetrics,
    phase: watch::Sender<Phase>,
    events: broadcast::Sender<SharedEvent>,
    /// Until then a command may wait for the first connection; nothing ever waits for a later one.
    first_deadline: Instant,
}

#[derive(Clone)]
struct Phase {
    /// While it is up.
    live: Option<Live>,
    status: SharedStatus,
}

/// A connection, and which one it is: news of an older one must not end a newer one.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    generation: u64,
}

impl Link {
    pub(super) fn new(config: SharedConfig, metrics: LinkMetrics) -> Self {
        let status = SharedStatus {
            address: config.address(),
            state: SharedState::Connecting,
            since: Utc::now(),
            last_failure: None,
        };
        Link {
            first_deadline: Instant::now() + config.command_timeout,
            config,
            metrics,
            phase: watch::Sender::new(Phase { live: None, status }),
            events: broadcast::Sender::new(MAX_EVENTS),
        }
    }

    pub(super) fn status(&self) -> SharedStatus {
        self.phase.borrow().status.clone()
    }

    pub(super) fn is_up(&self) -> bool {
        self.phase.borrow().live.is_some()
    }

    pub(super) fn events(&self) -> broadcast::Receiver<SharedEvent> {
        self.events.subscribe()
    }

    /// The connection to use now.
    pub(super) async fn live(&self) -> Result<Live, SharedError> {
        {
            let phase = self.phase.borrow();
            if let Some(live) = &phase.live {
                return Ok(live.clone());
            }
            if phase.status.state == SharedState::Down {
                return Err(SharedError::Down);
            }
        }
        let mut changes = self.phase.subscribe();
        let decided = changes.wait_for(|phase| phase.status.state != SharedState::Connecting);
        match timeout_at(self.first_deadline, decided).await {
            Ok(Ok(phase)) => phase.live.clone().ok_or(SharedError::Down),
            Ok(Err(_)) | Err(_) => Err(SharedError::Down),
        }
    }

    /// Waits until there is a connection.
    pub(super) async fn until_up(&self) {
        let mut changes = self.phase.subscribe();
        // The sender lives in `self`.
        let _closed = changes.wait_for(|phase| phase.live.is_some()).await.is_err();
    }

    /// Waits until there is none.
    pub(super) async fn until_down(&self) {
        let mut changes = self.phase.subscribe();
        let _closed = changes.wait_for(|phase| phase.live.is_none()).await.is_err();
    }

    pub(super) fn went_up(&self, connection: MultiplexedConnection, generation: u64) {
        self.phase.send_modify(|phase| {
            phase.live = Some(Live {
                connection,
                generation,
            });
            phase.status.state = SharedState::Up;
            phase.status.since = Utc::now();
        });
        self.metrics.connected();
        tracing::info!(address = %self.config.address(), "the shared store is up");
        self.tell(SharedEvent::Connected);
    }

    /// The connection is of no more use.
    pub(super) fn broke(&self, live: &Live, message: String) {
        self.ended(live.generation, message);
    }

    pub(super) fn ended(&self, generation: u64, message: String) {
        let changed = self.phase.send_if_modified(|phase| {
            let current = phase.live.as_ref().map(|live| live.generation);
            if current != Some(generation) {
                return false;
            }
            go_down(phase, message.clone());
            true
        });
        if changed {
            self.metrics.disconnected();
            tracing::warn!(address = %self.config.address(), error = %message, "the shared store is down; going on alone");
        }
    }

    /// The server refused a command: no outage, but whoever looks should see why nothing is shared.
    pub(super) fn refused(&self, message: String) {
        self.phase.send_modify(|phase| {
            let at = Utc::now();
            phase.status.last_failure = Some(SharedFailure { at, message });
        });
    }

    /// An attempt failed. The first of an outage is logged, the others are told by the status.
    pub(super) fn attempt_failed(&self, message: String) {
        let mut first = false;
        self.phase.send_modify(|phase| {
            first = phase.status.state == SharedState::Connecting;
            go_down(phase, message.clone());
        });
        if first {
            tracing::warn!(address = %self.config.address(), error = %message, "the shared store can't be reached; going on alone");
        }
    }

    /// What the library hands over from the connection `generation`. Runs in the connection's own task: it must not wait.
    pub(super) fn pushed(&self, generation: u64, push: PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.ended(generation, "the server closed the connection".to_owned()),
            PushKind::Message => {
                if let Some(Value::BulkString(payload)) = push.data.into_iter().nth(1) {
                    self.tell(SharedEvent::Message(payload));
                }
            }
            _ => {}
        }
    }

    fn tell(&self, event: SharedEvent) {
        // Fails only when nobody listens, which is nobody's loss.
        let _listeners = self.events.send(event).unwrap_or(0);
    }
}

fn go_down(phase: &mut Phase, message: String) {
    let at = Utc::now();
    if phase.status.state != SharedState::Down {
        phase.status.since = at;
    }
    phase.live = None;
    phase.status.state = SharedState::Down;
    phase.status.last_failure = Some(SharedFailure { at, message });
}
