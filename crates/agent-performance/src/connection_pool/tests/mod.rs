//! Against real sockets on the loopback interface.

mod filter;
mod http2;
mod proxy;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{
    ConnectFailure, ConnectionPoolConfig, HttpConnectionPool, PoolError, PooledBody, SendError, SendLimits,
};
use crate::lifecycle::Lifecycle;
use crate::memory::ResourceTracker;
use crate::metrics::MetricsCollector;

/// The end comes apart from the data: the reader is done before its connection is back in the pool.
const CHUNKED: [&[u8]; 2] = [
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    b"0\r\n\r\n",
];
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const SHORT: Duration = Duration::from_millis(60);

/// What the server does with the connections it gets.
#[derive(Clone, Copy)]
enum Behaviour {
    Chunked,
    /// Answers once, then closes without having said so.
    AnswerOnceThenClose,
    Silent,
    /// A head that promises a body that never comes.
    HeadOnly,
}

#[derive(Default)]
struct Seen {
    open: AtomicUsize,
    peak: AtomicUsize,
    accepted: AtomicUsize,
}

async fn server(lifecycle: &Lifecycle, behaviour: Behaviour) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let (connections, counts) = (lifecycle.clone(), Arc::clone(&seen));
    drop(lifecycle.spawn("accept", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            counts.accepted.fetch_add(1, Ordering::SeqCst);
            let counts = Arc::clone(&counts);
            drop(connections.spawn("connection", async move {
                let open = counts.open.fetch_add(1, Ordering::SeqCst) + 1;
                counts.peak.fetch_max(open, Ordering::SeqCst);
                serve(stream, behaviour).await;
                counts.open.fetch_sub(1, Ordering::SeqCst);
            }));
        }
    }));
    (address, seen)
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, behaviour: Behaviour) {
    while read_head(&mut stream).await {
        match behaviour {
            Behaviour::Chunked => {
                for part in CHUNKED {
                    stream.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            Behaviour::AnswerOnceThenClose => {
                stream.write_all(OK).await.unwrap();
                return;
            }
            Behaviour::HeadOnly => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
                    .await
                    .unwrap();
            }
            Behaviour::Silent => {}
        }
    }
}

/// False when the client closed.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

fn pool(max_connections_per_host: usize) -> HttpConnectionPool {
    HttpConnectionPool::new(ConnectionPoolConfig {
        max_connections_per_host,
        ..Default::default()
    })
}

async fn get(pool: &HttpConnectionPool, url: &str) -> Result<Response<PooledBody>, SendError> {
    let client = pool.get_client(url).await?;
    client
        .send(Request::get(url).body(Full::default()).unwrap())
        .await
}

async fn get_within(pool: &HttpConnectionPool, url: &str, limits: SendLimits) -> Result<(), SendError> {
    let client = pool.get_client(url).await?;
    client
        .send_within(Request::get(url).body(Full::default()).unwrap(), limits)
        .await
        .map(drop)
}

async fn text(response: Response<PooledBody>) -> Bytes {
    #[expect(clippy::disallowed_methods, reason = "limited on the line itself")]
    let body = Limited::new(response.into_body(), 1024).collect();
    body.await.unwrap().to_bytes()
}

fn failure(error: SendError) -> ConnectFailure {
    match error {
        SendError::Connect { failure, .. } => failure,
        other => panic!("not a connect error: {other:?}"),
    }
}

const QUICK: SendLimits = SendLimits {
    acquire: SHORT,
    connect: SHORT,
    head: SHORT,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_share_eight_connections() {
    let lifecycle = Lifecycle::new();
    let (address, seen) = server(&lifecycle, Behaviour::Chunked).await;
    let pool = Arc::new(pool(8));
    let url = format!("http://{address}/");
    let callers: Vec<_> = (0..200)
        .map(|_| {
            let (pool, url) = (Arc::clone(&pool), url.clone());
            lifecycle.spawn("caller", async move {
                for _ in 0..5 {
                    assert_eq!(text(get(&pool, &url).await.unwrap()).await, "ok");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let stats = pool.get_stats();
    assert!(seen.peak.load(Ordering::SeqCst) <= 8, "{stats:?}");
    assert_eq!(stats.responses_total, 1000);
    assert_eq!(stats.reused_total, 1000 - stats.opened_total, "{stats:?}");
    assert!(stats.opened_total <= 8, "{stats:?}");
    assert!(stats.waited_total >= 192, "{stats:?}");
    assert_eq!(stats.in_use, 0);
    assert!(stats.reuse_ratio() > 0.99);
    // Two tasks a connection, the acceptor, and this one: nothing is parked in the connector.
    tokio::time::sleep(SHORT).await;
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks <= 2 * 8 + 4, "{tasks} tasks are alive");
}

#[tokio::test]
async fn a_full_pool_gives_up_in_time_and_a_dropped_body_frees_its_place() {
    let lifecycle = Lifecycle::new();
    let (address, _) = server(&lifecycle, Behaviour::HeadOnly).await;
    let pool = pool(1);
    let url = format!("http://{address}/");
    let unread = get(&pool, &url).await.unwrap();
    assert_eq!(pool.get_stats().in_use, 1);
    let error = get_within(&pool, &url, QUICK).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Pool(PoolError::Exhausted { limit: 1, .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("max_connections_per_host"), "{error}");
    drop(unread);
    get(&pool, &url).await.unwrap();
    assert_eq!(
        pool.get_stats().opened_total,
        2,
        "an unread body costs its connection"
    );
}

#[tokio::test]
async fn a_connection_closed_by_the_server_is_replaced_unnoticed() {
    let lifecycle = Lifecycle::new();
    let (address, seen) = server(&lifecycle, Behaviour::AnswerOnceThenClose).await;
    let pool = pool(2);
    let url = format!("http://{address}/");
    for _ in 0..20 {
        assert_eq!(text(get(&pool, &url).await.unwrap()).await, "ok");
    }
    assert_eq!(seen.accepted.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn each_connect_failure_is_told_apart_and_advises() {
    let lifecycle = Lifecycle::new();
    let pool = pool(2);
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = get(&pool, &format!("http://{closed}/")).await.unwrap_err();
    assert!(
        error.to_string().contains("check that the server runs"),
        "{error}"
    );
    assert_eq!(failure(error), ConnectFailure::Refused);

    let error = get(&pool, "http://no-such-host.invalid/").await.unwrap_err();
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    assert_eq!(failure(error), ConnectFailure::Dns);

    assert!(!pool.tls_is_loaded(), "plain http must not pay for certificates");
    let (plain, _) = server(&lifecycle, Behaviour::AnswerOnceThenClose).await;
    let mut closing = TcpStream::connect(plain).await.unwrap();
    closing.write_all(b"\r\n\r\n").await.unwrap();
    let (not_tls, _) = server(&lifecycle, Behaviour::Silent).await;
    let error = get_within(&pool, &format!("https://{not_tls}/"), QUICK)
        .await
        .unwrap_err();
    assert!(
        error.connect_timed_out(),
        "a server silent in the handshake: {error:?}"
    );
}

#[tokio::test]
async fn a_host_that_does_not_answer_times_out() {
    // A listener whose queue is full drops what comes: the same as an address nobody answers at.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    for _ in 0..8 {
        match tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
            Ok(stream) => queue.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    let pool = HttpConnectionPool::new(ConnectionPoolConfig {
        connection_timeout: SHORT,
        ..Default::default()
    });
    let error = get(&pool, &format!("http://{address}/")).await.unwrap_err();
    assert!(error.connect_timed_out(), "{error:?}");
    assert_eq!(pool.get_stats().open, 0);
}

#[tokio::test]
async fn silence_after_the_request_is_another_error_than_no_connection() {
    let lifecycle = Lifecycle::new();
    let (address, _) = server(&lifecycle, Behaviour::Silent).await;
    let limits = SendLimits {
        connect: Duration::from_secs(5),
        ..QUICK
    };
    let error = get_within(&pool(1), &format!("http://{address}/"), limits)
        .await
        .unwrap_err();
    assert!(
        matches!(error, SendError::HeadTimeout { after, .. } if after == SHORT),
        "{error:?}"
    );
}

#[tokio::test]
async fn one_client_an_origin_until_the_cache_is_cleared() {
    let pool = pool(1);
    let first = pool.get_client("http://localhost:1/a").await.unwrap();
    assert!(Arc::ptr_eq(
        &first,
        &pool.get_client("http://LOCALHOST:1/b").await.unwrap()
    ));
    pool.clear_cache();
    assert!(!Arc::ptr_eq(
        &first,
        &pool.get_client("http://localhost:1").await.unwrap()
    ));
    let wrong = Request::get("http://localhost:2/").body(Full::default()).unwrap();
    assert!(matches!(
        first.send(wrong).await,
        Err(SendError::WrongOrigin { .. })
    ));
}

#[test]
fn two_threads_that_ask_at_once_get_the_same_client() {
    for round in 0..200 {
        let (pool, barrier) = (pool(1), std::sync::Barrier::new(2));
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            barrier.wait();
            runtime.block_on(pool.get_client("http://localhost:1")).unwrap()
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(ask);
            (ask(), other.join().unwrap())
        });
        assert!(Arc::ptr_eq(&one, &other), "round {round}");
    }
}

#[tokio::test]
async fn idle_connections_over_the_limit_make_way_for_a_new_origin() {
    let lifecycle = Lifecycle::new();
    let pool = HttpConnectionPool::new(ConnectionPoolConfig {
        max_idle_connections: 2,
        ..Default::default()
    });
    for _ in 0..5 {
        let (address, _) = server(&lifecycle, Behaviour::Chunked).await;
        assert_eq!(
            text(get(&pool, &format!("http://{address}/")).await.unwrap()).await,
            "ok"
        );
        // Closing is the connection's own task.
        tokio::time::sleep(SHORT).await;
        assert!(pool.get_stats().idle <= 2, "{:?}", pool.get_stats());
    }
}

#[tokio::test]
async fn the_collector_is_told_what_the_figures_say() {
    let lifecycle = Lifecycle::new();
    let (address, _) = server(&lifecycle, Behaviour::HeadOnly).await;
    let collector = MetricsCollector::new();
    let config = ConnectionPoolConfig {
        max_connections_per_host: 1,
        ..Default::default()
    };
    let tracker = ResourceTracker::new();
    let pool = HttpConnectionPool::with_observers(config, &collector, &tracker);
    let live = || tracker.get_resource_info()["http_connections"].count;
    let url = format!("http://{address}/");
    let level = |name: &str| {
        let samples = collector.get_metrics(Some(name));
        samples
            .get(name)
            .and_then(|samples| samples.last())
            .map(|last| last.value)
    };
    let unread = get(&pool, &url).await.unwrap();
    assert_eq!(
        (level("connections.open"), level("connections.in_use")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(level("connections.idle"), Some(0.0));
    assert_eq!(live(), 1);
    get_within(&pool, &url, QUICK).await.unwrap_err();
    drop(unread);
    get_within(
        &pool,
        &url,
        SendLimits {
            acquire: SHORT,
            ..pool.get_client(&url).await.unwrap().default_limits()
        },
    )
    .await
    .unwrap();
    let sum = |name: &str| {
        collector
            .get_metric_statistics(name)
            .map(|statistics| statistics.sum)
    };
    assert_eq!(sum("connections.opened"), Some(2.0));
    assert_eq!(sum("connections.refused"), Some(1.0));
    assert_eq!(
        collector.get_metric_statistics("connections.wait").unwrap().count,
        2
    );
    drop(pool);
    tokio::time::sleep(SHORT).await;
    for name in ["connections.open", "connections.in_use", "connections.idle"] {
        assert_eq!(level(name), Some(0.0), "{name}");
    }
    assert_eq!(live(), 0);
}

#[tokio::test]
async fn origins_are_bounded_and_unused_ones_make_room() {
    let pool = pool(1);
    for port in 1..200 {
        pool.get_client(&format!("http://localhost:{port}"))
            .await
            .unwrap();
    }
    let mut held = Vec::new();
    let refused = loop {
        match pool
            .get_client(&format!("http://localhost:{}", 1000 + held.len()))
            .await
        {
            Ok(client) => held.push(client),
            Err(error) => break error,
        }
    };
    assert_eq!(held.len(), 64);
    assert!(matches!(refused, PoolError::TooManyOrigins { limit: 64, .. }));
}
