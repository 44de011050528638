use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::tls::{Localhost, localhost, tls_server};
use super::{Behaviour, QUICK, get, get_within, text};
use crate::connection_pool::{ConnectionPoolConfig, HttpConnectionPool, PoolError, SendError, SendLimits};
use crate::lifecycle::Lifecycle;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_OF_STREAM_AND_HEADERS: u8 = 5;
/// `:status: 200` in the compression that HTTP/2 uses for heads.
const OK: &[u8] = &[0x88];

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    pings: AtomicUsize,
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    flags: u8,
    id: u32,
    payload: &[u8],
) -> std::io::Result<()> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// Just enough HTTP/2: answers requests once `together` of them have come, and pings at once.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    together: usize,
    seen: &Seen,
) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24]).await?;
    send(&mut stream, SETTINGS, 0, 0, &[]).await?;
    let mut waiting = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => send(&mut stream, SETTINGS, ACK, 0, &[]).await?,
            PING if flags & ACK == 0 => {
                seen.pings.fetch_add(1, Ordering::SeqCst);
                send(&mut stream, PING, ACK, 0, &payload).await?;
            }
            HEADERS => {
                seen.requests.fetch_add(1, Ordering::SeqCst);
                waiting.push(u32::from_be_bytes(id));
                if waiting.len() >= together {
                    for id in waiting.drain(..) {
                        send(&mut stream, HEADERS, END_OF_STREAM_AND_HEADERS, id, OK).await?;
                    }
                }
            }
            _ => {}
        }
    }
}

async fn server(lifecycle: &Lifecycle, together: usize) -> (String, Localhost, Arc<Seen>) {
    let made = localhost(&[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let (acceptor, seen) = (made.acceptor.clone(), Arc::new(Seen::default()));
    let (counts, connections) = (Arc::clone(&seen), lifecycle.clone());
    drop(lifecycle.spawn("http2 server", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, counts) = (acceptor.clone(), Arc::clone(&counts));
            drop(connections.spawn("connection", async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                // Ends with the client's connection.
                assert!(serve(stream, together, &counts).await.is_err());
            }));
        }
    }));
    (url, made, seen)
}

fn pool(made: &Localhost, max_connections_per_host: usize) -> HttpConnectionPool {
    HttpConnectionPool::new(ConnectionPoolConfig {
        max_connections_per_host,
        http2_keep_alive_interval: Duration::from_millis(20),
        ca_bundle: Some(made.bundle.path().to_owned()),
        ..Default::default()
    })
}

#[tokio::test]
async fn requests_share_one_connection_up_to_the_limit() {
    let lifecycle = Lifecycle::new();
    let (url, made, seen) = server(&lifecycle, 4).await;
    let pool = Arc::new(pool(&made, 4));
    let ask = || {
        let (pool, url) = (Arc::clone(&pool), url.clone());
        lifecycle.spawn("caller", async move {
            get(&pool, &url).await.map(|response| response.version())
        })
    };
    let first: Vec<_> = (0..3).map(|_| ask()).collect();
    // Before the first has told that it speaks HTTP/2, each opens a connection; all but one close again.
    while seen.requests.load(Ordering::SeqCst) < 3 || pool.get_stats().open > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stats = pool.get_stats();
    assert_eq!((stats.open, stats.in_use, stats.idle), (1, 1, 0), "{stats:?}");
    let fourth = ask();
    for caller in first.into_iter().chain([fourth]) {
        assert_eq!(caller.await.unwrap().unwrap(), http::Version::HTTP_2);
    }
    let stats = pool.get_stats();
    assert_eq!((stats.open, stats.in_use, stats.idle), (1, 0, 1), "{stats:?}");
    assert_eq!((stats.responses_total, stats.reused_total), (4, 3), "{stats:?}");
    let opened = stats.opened_total;

    // Three are on their way and not answered; the limit counts requests, not connections.
    let limits = pool.get_client(&url).await.unwrap().default_limits();
    let held: Vec<_> = (0..3).map(|_| ask()).collect();
    while seen.requests.load(Ordering::SeqCst) < 7 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let narrow = SendLimits {
        acquire: QUICK.acquire,
        ..limits
    };
    get_within(&pool, &url, narrow).await.unwrap();
    for caller in held {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(pool.get_stats().opened_total, opened);
}

#[tokio::test]
async fn one_too_many_waits_and_is_refused() {
    let lifecycle = Lifecycle::new();
    let (url, made, _) = server(&lifecycle, 99).await;
    let pool = Arc::new(pool(&made, 1));
    let (busy, address) = (Arc::clone(&pool), url.clone());
    drop(lifecycle.spawn("caller", async move { get(&busy, &address).await.map(drop) }));
    while pool.get_stats().in_use == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = get_within(&pool, &url, QUICK).await.unwrap_err();
    assert!(
        matches!(error, SendError::Pool(PoolError::Exhausted { limit: 1, .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_idle_connection_is_probed() {
    let lifecycle = Lifecycle::new();
    let (url, made, seen) = server(&lifecycle, 1).await;
    let pool = pool(&made, 2);
    get(&pool, &url).await.unwrap();
    assert_eq!(pool.get_stats().idle, 1);
    let before = seen.pings.load(Ordering::SeqCst);
    for _ in 0..500 {
        if seen.pings.load(Ordering::SeqCst) >= before + 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} pings", seen.pings.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_server_of_the_older_protocol_and_a_pool_that_wants_it_get_it() {
    let lifecycle = Lifecycle::new();
    let Localhost { acceptor, bundle } = localhost(&[b"h2", b"http/1.1"]);
    let port = tls_server(&lifecycle, acceptor, Behaviour::Chunked).await;
    let pool = HttpConnectionPool::new(ConnectionPoolConfig {
        http2: false,
        ca_bundle: Some(bundle.path().to_owned()),
        ..Default::default()
    });
    let response = get(&pool, &format!("https://localhost:{port}/")).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_11);
    assert_eq!(text(response).await, "ok");

    let older = localhost(&[b"http/1.1"]);
    let port = tls_server(&lifecycle, older.acceptor.clone(), Behaviour::Chunked).await;
    let response = get(&self::pool(&older, 2), &format!("https://localhost:{port}/"))
        .await
        .unwrap();
    assert_eq!(response.version(), http::Version::HTTP_11);
}
