//! The server: a listener, its connections, and what they share.

mod body;
mod log;
mod messages;
mod routes;
mod socket;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use log::ReceivedRequest;

use crate::cache::PrefixCache;
use crate::config::{Exposure, SimulatorConfig};
use crate::error::SimulatorError;
use crate::fault::FaultBook;
use crate::limits::RateLimiter;
use crate::scenario::Script;
use log::RequestLog;
use socket::{ResetSwitch, Socket};

/// Connections at once; more wait in the listener's queue. Each holds one body of at most 32 MB.
const MAX_CONNECTIONS: usize = 1024;
/// How long answers in flight may go on after the stop; a trickle would never end by itself.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// The pause after a failed accept, which fails again at once while file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: SimulatorConfig,
    pub(crate) arrivals: AtomicU64,
    pub(crate) log: RequestLog,
    pub(crate) faults: FaultBook,
    pub(crate) script: Script,
    pub(crate) cache: PrefixCache,
    pub(crate) limiter: RateLimiter,
    pub(crate) stop: CancellationToken,
    /// Connections that are open.
    pub(crate) open: AtomicUsize,
    /// One beyond the answers that are not yet sent to the end: each holds a clone.
    pub(crate) answering: Arc<()>,
}

/// A running simulator. [`stop`](Self::stop) ends it in order; dropping it ends it, and every connection, at once.
#[derive(Debug)]
pub struct Simulator {
    state: Arc<State>,
    address: SocketAddr,
    /// Owns the one task that owns all connections.
    task: JoinSet<()>,
}

impl Simulator {
    /// Binds the address and begins to answer.
    ///
    /// # Errors
    /// When the address is not a loopback one and the configuration does not allow that, or cannot be bound.
    pub async fn bind(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        let address = config.listen;
        if config.exposure == Exposure::Loopback && !address.ip().is_loopback() {
            return Err(SimulatorError::NotLoopback(address));
        }
        let failed = |source| SimulatorError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let state = Arc::new(State {
            arrivals: AtomicU64::new(0),
            log: RequestLog::default(),
            faults: FaultBook::new(config.faults.clone()),
            script: Script::new(config.scenario.clone()),
            cache: PrefixCache::default(),
            limiter: RateLimiter::new(config.rate_limits, Instant::now()),
            stop: CancellationToken::new(),
            open: AtomicUsize::new(0),
            answering: Arc::new(()),
            config,
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { state, address, task })
    }

    /// Where it listens, with the port it really got.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What a client takes as its base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that arrived, oldest first; of very many, the newest.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.log.snapshot()
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.state.open.load(Ordering::Relaxed)
    }

    /// How many answers are being sent: neither at their end nor given up by whoever asked.
    pub fn answers_in_flight(&self) -> usize {
        Arc::strong_count(&self.state.answering) - 1
    }

    /// Stops listening, gives answers in flight a moment to end, and returns when every connection is closed.
    pub async fn stop(mut self) {
        self.state.stop.cancel();
        while let Some(ended) = self.task.join_next().await {
            if let Err(error) = ended {
                tracing::warn!(%error, "the simulator did not end in order");
            }
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        state.open.store(connections.len(), Ordering::Relaxed);
        let accepted = tokio::select! {
            () = state.stop.cancelled() => break,
            // Ended connections are taken out as they end, so that the set holds living ones only.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, Arc::clone(&state)));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
    state.open.store(0, Ordering::Relaxed);
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small events may be held back");
    }
    let reset = ResetSwitch::default();
    let io = TokioIo::new(Socket::new(stream, reset.clone()));
    let stop = state.stop.clone();
    let service = service_fn(move |request| {
        let (state, reset) = (Arc::clone(&state), reset.clone());
        async move { routes::serve(&state, reset, request).await }
    });
    let mut serving = pin!(http1::Builder::new().serve_connection(io, service));
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = stop.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
