use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, Error as HyperError};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tower_service::Service as _;

use super::body::{Place, PooledBody};
use super::connector::{ConnectError, Connector, wanted};
use super::direct::{Direct, DirectBody, Failed, Idle, home};
use super::origin::Origin;
use super::proxy::authorization;
use super::request_body::RequestBody;
use super::stats::{ConnectionUses, Counters};
use super::tls::Tls;
use super::{ConnectFailure, ConnectionPoolConfig, PoolError, SendError};

/// Requests that may wait for a connection to one host. A waiting request holds its body in memory, and a longer
/// queue than this would not be served within any sensible wait.
const MAX_WAITING_PER_HOST: usize = 256;

/// How long an HTTP/2 connection may leave a ping unanswered before it is given up: as long as making a new one may take.
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests to one origin. Shared by everyone who asked the pool for that origin.
pub struct HttpClient {
    origin: Origin,
    client: Client<Connector, RequestBody>,
    /// For an origin that is reached without TLS and proxy: it speaks HTTP/1.1, and its connections need no tasks.
    direct: Option<DirectClient>,
    places: Arc<Semaphore>,
    limit: usize,
    waiting: AtomicUsize,
    counters: Arc<Counters>,
    default_limits: SendLimits,
    /// For a proxy that reads the requests themselves. In a tunnel the origin would see it.
    proxy_authorization: Option<HeaderValue>,
}

struct DirectClient {
    connector: Connector,
    idle: Arc<Idle>,
    host: HeaderValue,
}

/// How long each step of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendLimits {
    /// Waiting for a place among the connections to the host.
    pub acquire: Duration,
    /// From there to an open connection; a reused one takes no time.
    pub connect: Duration,
    /// From there to the head of the response.
    pub head: Duration,
}

impl HttpClient {
    pub(super) fn new(
        origin: Origin,
        config: &ConnectionPoolConfig,
        tls: Arc<Tls>,
        proxies: Arc<Matcher>,
        counters: Arc<Counters>,
    ) -> Self {
        let limit = config.max_connections_per_host.clamp(1, Semaphore::MAX_PERMITS);
        let forwarding = origin.plain_uri().and_then(|uri| proxies.intercept(&uri));
        let connector = Connector::new(
            tls,
            proxies,
            Arc::new(Semaphore::new(limit)),
            Arc::clone(&counters),
            config.connection_timeout,
            config.tcp_keepalive,
            config.address_filter.clone(),
        );
        let idle_limit = config.max_idle_connections.min(limit);
        let direct = origin.plain_uri().filter(|_| forwarding.is_none()).and_then(|_| {
            Some(DirectClient {
                connector: connector.clone(),
                idle: Idle::new(idle_limit, config.idle_timeout),
                host: origin.host_header()?,
            })
        });
        // Connection tasks are owned by their sockets: each ends when its socket closes, and all sockets close
        // when this client and the last body are dropped.
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the place that the lint sends everyone to"
        )]
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(idle_limit)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(config.http2_keep_alive_interval)
            .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            // A pooled connection that the server closed meanwhile is replaced when nothing of the request was sent.
            .retry_canceled_requests(true)
            .build(connector);
        HttpClient {
            origin,
            client,
            direct,
            places: Arc::new(Semaphore::new(limit)),
            limit,
            waiting: AtomicUsize::new(0),
            counters,
            default_limits: SendLimits {
                acquire: config.acquire_timeout,
                connect: config.connection_timeout,
                head: config.request_timeout,
            },
            proxy_authorization: forwarding.as_ref().and_then(authorization),
        }
    }

    /// The pool's limits, as `send` uses them.
    pub fn default_limits(&self) -> SendLimits {
        self.default_limits
    }

    /// [`send_within`](Self::send_within) the pool's configured limits.
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<PooledBody>, SendError> {
        self.send_within(request, self.default_limits).await
    }

    /// Sends `request` (its URI absolute) and returns at the head of the response.
    ///
    /// Dropping the future gives the request up in any state; a connection with a request on it is closed. No limit of
    /// time or size applies to the body: that is the reader's to set.
    ///
    /// # Errors
    /// See [`SendError`]. A connection of `connect` longer than the pool's `connection_timeout` is cut to that.
    pub async fn send_within(
        &self,
        request: Request<Full<Bytes>>,
        limits: SendLimits,
    ) -> Result<Response<PooledBody>, SendError> {
        self.send_body(request.map(RequestBody::from), limits).await
    }

    /// The same with any body. Of a streamed one, `limits.head` includes the time to send it.
    ///
    /// # Errors
    /// As there; what the body itself failed with is the source of [`SendError::Broken`].
    pub async fn send_body(
        &self,
        mut request: Request<RequestBody>,
        limits: SendLimits,
    ) -> Result<Response<PooledBody>, SendError> {
        if !self.origin.is_of(request.uri()) {
            return Err(SendError::WrongOrigin {
                origin: self.origin.to_string(),
                uri: request.uri().to_string(),
            });
        }
        if let Some(authorization) = &self.proxy_authorization {
            request
                .headers_mut()
                .insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let permit = self.place(limits.acquire).await?;
        if let Some(direct) = &self.direct {
            return self.send_directly(direct, request, permit, limits).await;
        }
        let mut connection = capture_connection(&mut request);
        let mut response = pin!(wanted(self.client.request(request)));
        let (early, mut in_flight) = tokio::select! {
            biased;
            response = &mut response => (Some(response), None),
            connected = connection.wait_for_connection_metadata() => {
                let uses = connected.as_ref().and_then(ConnectionUses::of);
                (None, uses.map(|uses| self.counters.request_began(&uses)))
            }
            () = tokio::time::sleep(limits.connect) => {
                return Err(self.connect_error(ConnectFailure::TimedOut, None));
            }
        };
        let response = match early {
            Some(response) => response,
            None => timeout(limits.head, response)
                .await
                .map_err(|_| SendError::HeadTimeout {
                    origin: self.origin.to_string(),
                    after: limits.head,
                })?,
        };
        let response = response.map_err(|error| self.classify(error))?;
        if let Some(uses) = response.extensions().get::<ConnectionUses>() {
            self.counters.response_came(uses);
            if in_flight.as_ref().is_none_or(|in_flight| !in_flight.is_on(uses)) {
                in_flight = Some(self.counters.request_began(uses));
            }
        }
        let place = Place {
            _permit: permit,
            _in_flight: in_flight,
        };
        Ok(response.map(|body| PooledBody::fed(body, place)))
    }

    async fn send_directly(
        &self,
        direct: &DirectClient,
        mut request: Request<RequestBody>,
        permit: OwnedSemaphorePermit,
        limits: SendLimits,
    ) -> Result<Response<PooledBody>, SendError> {
        loop {
            let (mut connection, reused) = match direct.idle.take() {
                Some(connection) => (connection, true),
                None => {
                    let uri = request.uri().clone();
                    (self.open(direct, uri, limits.connect).await?, false)
                }
            };
            let in_flight = self.counters.request_began(&connection.uses);
            let answer = timeout(limits.head, connection.send(request, &direct.host)).await;
            let answer = answer.map_err(|_| SendError::HeadTimeout {
                origin: self.origin.to_string(),
                after: limits.head,
            })?;
            let response = match answer {
                Ok(response) => response,
                // It was closed while it waited, and nothing was sent: another one does as well.
                Err(Failed {
                    unsent: Some(unsent), ..
                }) if reused => {
                    request = *unsent;
                    continue;
                }
                Err(Failed { error, .. }) => {
                    return Err(SendError::Broken {
                        origin: self.origin.to_string(),
                        source: Arc::new(error),
                    });
                }
            };
            self.counters.response_came(&connection.uses);
            let place = Place {
                _permit: permit,
                _in_flight: Some(in_flight),
            };
            let home = home(&direct.idle);
            return Ok(response.map(|()| PooledBody::driving(DirectBody::new(connection, home), place)));
        }
    }

    async fn open(
        &self,
        direct: &DirectClient,
        uri: Uri,
        within: Duration,
    ) -> Result<Box<Direct>, SendError> {
        let mut connector = direct.connector.clone();
        let io = timeout(within, wanted(connector.call(uri))).await;
        let io = io.map_err(|_| self.connect_error(ConnectFailure::TimedOut, None))?;
        let io = io.map_err(|failed| self.connect_error(failed.failure, failed.cause))?;
        Ok(Direct::new(io.into_inner()))
    }

    async fn place(&self, within: Duration) -> Result<OwnedSemaphorePermit, PoolError> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            self.counters.metrics.waited(Duration::ZERO);
            return Ok(permit);
        }
        self.counters.waits();
        let waiting = Waiting::enter(&self.waiting);
        let begun = Instant::now();
        if waiting.position <= MAX_WAITING_PER_HOST
            && let Ok(Ok(permit)) = timeout(within, Arc::clone(&self.places).acquire_owned()).await
        {
            self.counters.metrics.waited(begun.elapsed());
            return Ok(permit);
        }
        self.counters.metrics.refused();
        Err(PoolError::Exhausted {
            origin: self.origin.to_string(),
            limit: self.limit,
            waiting: self.waiting.load(Ordering::Relaxed),
            waited: begun.elapsed(),
        })
    }

    fn classify(&self, error: HyperError) -> SendError {
        let mut next: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(cause) = next {
            if let Some(failed) = cause.downcast_ref::<ConnectError>() {
                return self.connect_error(failed.failure, failed.cause.clone());
            }
            next = cause.source();
        }
        SendError::Broken {
            origin: self.origin.to_string(),
            source: Arc::new(error),
        }
    }

    fn connect_error(
        &self,
        failure: ConnectFailure,
        source: Option<Arc<dyn Error + Send + Sync>>,
    ) -> SendError {
        SendError::Connect {
            origin: self.origin.to_string(),
            failure,
            source,
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("origin", &self.origin)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// One request in the queue; leaves it however its wait ends.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    position: usize,
}

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        Waiting {
            count,
            position: count.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
