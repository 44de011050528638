//! Makes connections: a permit, a name, TCP, a proxy where one is set, and TLS where the scheme wants it. The one place all
//! of them pass.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::io::{PooledIo, Stream};
use super::proxy::{authorization, open_tunnel};
use super::stats::Counters;
use super::tls::Tls;
use super::{AddressFilter, ConnectFailure};

tokio::task_local! {
    /// Set while a request's own future is polled.
    static WANTED: ();
}

/// Runs a request so that its connector knows somebody waits for it.
///
/// When a request takes over an idle connection, hyper goes on with the connection it had begun, in a task of its own.
/// That is well while the network is at work; but one that still waits for a permit would wait, one more for
/// each request, until some connection closes.
pub(super) fn wanted<F: Future>(request: F) -> impl Future<Output = F::Output> {
    WANTED.scope((), request)
}

async fn while_wanted<F: Future>(wait: F) -> Result<F::Output, ConnectError> {
    let mut wait = std::pin::pin!(wait);
    std::future::poll_fn(|cx| {
        if WANTED.try_with(|()| ()).is_err() {
            return Poll::Ready(Err(ConnectError {
                failure: ConnectFailure::Unreachable,
                cause: None,
            }));
        }
        wait.as_mut().poll(cx).map(Ok)
    })
    .await
}

/// What hyper gets as the cause when no connection came about.
#[derive(Debug, thiserror::Error)]
#[error("{}", cause.as_ref().map_or_else(|| format!("{failure:?}"), ToString::to_string))]
pub(super) struct ConnectError {
    pub(super) failure: ConnectFailure,
    pub(super) cause: Option<Arc<dyn Error + Send + Sync>>,
}

#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    filter: Option<AddressFilter>,
    tls: Arc<Tls>,
    proxies: Arc<Matcher>,
    permits: Arc<Semaphore>,
    counters: Arc<Counters>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(
        tls: Arc<Tls>,
        proxies: Arc<Matcher>,
        permits: Arc<Semaphore>,
        counters: Arc<Counters>,
        timeout: Duration,
        keepalive: Duration,
        filter: Option<AddressFilter>,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver {
            filter: filter.clone(),
        });
        tcp.enforce_http(false);
        // Requests and events are small and waited for; batching them only adds delay.
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(keepalive));
        Connector {
            tcp,
            filter,
            tls,
            proxies,
            permits,
            counters,
            timeout,
        }
    }

    async fn connect(mut self, uri: Uri) -> Result<TokioIo<PooledIo>, ConnectError> {
        // Outside the timeout: this waits for another of our connections to close, not for the network.
        let permit = while_wanted(Arc::clone(&self.permits).acquire_owned()).await?;
        let permit = permit.map_err(|closed| ConnectError::new(ConnectFailure::Unreachable, closed))?;
        let (stream, forwarded) = match tokio::time::timeout(self.timeout, self.open(uri)).await {
            Ok(opened) => opened?,
            Err(_) => {
                return Err(ConnectError {
                    failure: ConnectFailure::TimedOut,
                    cause: None,
                });
            }
        };
        Ok(TokioIo::new(PooledIo::new(
            stream,
            forwarded,
            self.counters.connection_opened(),
            permit,
        )))
    }

    /// The stream, and whether a proxy reads the requests on it.
    async fn open(&mut self, uri: Uri) -> Result<(Stream, bool), ConnectError> {
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let proxy = self.proxies.intercept(&uri);
        let forwarded = proxy.is_some() && !secure;
        let host = uri.host().unwrap_or_default().to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let mut stream = match &proxy {
            None => self.tcp(uri).await?,
            Some(proxy) => self.reach_proxy(proxy).await.map_err(ConnectError::by_proxy)?,
        };
        if !secure {
            return Ok((stream, forwarded));
        }
        if let Some(proxy) = &proxy {
            let tunnel = open_tunnel(&mut stream, &host, port, authorization(proxy)).await;
            tunnel.map_err(|cause| ConnectError::new(ConnectFailure::Proxy, cause))?;
        }
        let connectors = self.tls.connectors().await.map_err(ConnectError::tls)?;
        Ok((secured(&connectors.origin, &host, stream).await?, forwarded))
    }

    async fn tcp(&mut self, uri: Uri) -> Result<Stream, ConnectError> {
        // An address in place of a name never comes to the resolver.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if let (Some(filter), Ok(address)) = (&self.filter, host.parse::<IpAddr>())
            && !filter.allows(host, address)
        {
            return Err(ConnectError::new(ConnectFailure::Forbidden, ForbiddenAddress));
        }
        let stream = self.tcp.call(uri).await.map_err(ConnectError::tcp)?;
        Ok(Stream::Plain(stream.into_inner()))
    }

    async fn reach_proxy(&mut self, proxy: &Intercept) -> Result<Stream, ConnectError> {
        let stream = self.tcp(proxy.uri().clone()).await?;
        if proxy.uri().scheme() != Some(&Scheme::HTTPS) {
            return Ok(stream);
        }
        let connectors = self.tls.connectors().await.map_err(ConnectError::tls)?;
        secured(&connectors.proxy, proxy.uri().host().unwrap_or_default(), stream).await
    }
}

async fn secured(connector: &TlsConnector, host: &str, stream: Stream) -> Result<Stream, ConnectError> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(ConnectError::tls)?;
    let stream = connector.connect(name, stream).await.map_err(ConnectError::tls)?;
    Ok(Stream::Tls(Box::new(stream)))
}

impl ConnectError {
    fn new(failure: ConnectFailure, cause: impl Error + Send + Sync + 'static) -> Self {
        ConnectError {
            failure,
            cause: Some(Arc::new(cause)),
        }
    }

    /// Whatever kept us from the proxy, it is the proxy's address that wants checking.
    fn by_proxy(self) -> Self {
        ConnectError {
            failure: ConnectFailure::Proxy,
            ..self
        }
    }

    fn tls(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(ConnectFailure::Tls, cause)
    }

    fn tcp(cause: impl Error + Send + Sync + 'static) -> Self {
        let mut failure = ConnectFailure::Unreachable;
        let mut next: Option<&(dyn Error + 'static)> = Some(&cause);
        while let Some(error) = next {
            match error.downcast_ref::<ResolveError>() {
                Some(ResolveError::Forbidden(_)) => return Self::new(ConnectFailure::Forbidden, cause),
                Some(ResolveError::System(_)) => return Self::new(ConnectFailure::Dns, cause),
                None => {}
            }
            match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => failure = ConnectFailure::Refused,
                Some(io::ErrorKind::TimedOut) => failure = ConnectFailure::TimedOut,
                _ => {}
            }
            next = error.source();
        }
        Self::new(failure, cause)
    }
}

type Connecting = Pin<Box<dyn Future<Output = Result<TokioIo<PooledIo>, ConnectError>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<PooledIo>;
    type Error = ConnectError;
    type Future = Connecting;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// The system's resolver, with errors of its own: "no such host" needs another remedy than "no route", and an address that must not be
/// connected to is none at all.
#[derive(Clone)]
struct Resolver {
    filter: Option<AddressFilter>,
}

#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("{0}")]
    System(io::Error),
    #[error("{0}")]
    Forbidden(ForbiddenAddress),
}

#[derive(Debug, thiserror::Error)]
#[error("none of its addresses is allowed")]
struct ForbiddenAddress;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let filter = self.filter.clone();
        Box::pin(async move {
            // The port is set by the caller of the resolver.
            let found = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(ResolveError::System)?;
            let allowed = |found: &SocketAddr| {
                filter
                    .as_ref()
                    .is_none_or(|filter| filter.allows(name.as_str(), found.ip()))
            };
            // What is left is what will be connected to: the name is not looked up again.
            let found: Vec<SocketAddr> = found.filter(allowed).collect();
            match (found.is_empty(), &filter) {
                (true, Some(_)) => Err(ResolveError::Forbidden(ForbiddenAddress)),
                _ => Ok(found.into_iter()),
            }
        })
    }
}
