//! The connection pool against a new client for each request, and against a plain client that is kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::support::{Figure, by_turns, print};

const REQUESTS: usize = 200;
const CALLERS: usize = 200;
const LIMIT: usize = 8;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

type Plain = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn run() {
    let server = Server::start();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    one_after_another(&runtime, &server);
    at_once(&runtime, &server);
}

/// A server on a thread of its own that answers whatever it is asked, and counts the connections it gets.
struct Server {
    url: String,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let accepted = Arc::new(AtomicUsize::new(0));
        let (counter, (sender, address)) = (Arc::clone(&accepted), std::sync::mpsc::sync_channel(1));
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0")
                    .await
                    .expect("loopback has a free port");
                sender
                    .send(listener.local_addr().expect("it is bound"))
                    .expect("the receiver waits");
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    counter.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(answer(stream));
                    while connections.try_join_next().is_some() {}
                }
            });
        });
        let address: SocketAddr = address.recv().expect("the server starts");
        Server {
            url: format!("http://{address}/"),
            accepted,
        }
    }

    fn accepted_during(&self, work: impl FnOnce()) -> f64 {
        let before = self.accepted.load(Ordering::Relaxed);
        work();
        (self.accepted.load(Ordering::Relaxed) - before) as f64
    }
}

async fn answer(mut stream: tokio::net::TcpStream) {
    stream.set_nodelay(true).expect("the stream is open");
    let (mut buffer, mut used) = (vec![0; 4096], 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer[used..]).await {
        used += read;
        if buffer[..used].ends_with(b"\r\n\r\n") {
            used = 0;
            // As long as an upstream at hand takes; without it, one connection could serve everyone.
            tokio::task::yield_now().await;
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

fn request(url: &str) -> Request<Full<Bytes>> {
    Request::get(url)
        .body(Full::default())
        .expect("the address is well formed")
}

async fn read(mut body: impl Body<Data = Bytes> + Unpin) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn plain() -> Plain {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    #[allow(
        clippy::disallowed_methods,
        reason = "the plain client is what the pool is measured against"
    )]
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(LIMIT)
        .build(connector)
}

async fn send_plain(client: &Plain, url: &str) {
    let response: http::Response<Incoming> = client.request(request(url)).await.expect("the server answers");
    read(response.into_body()).await;
}

async fn send_pooled(pool: &HttpConnectionPool, url: &str) {
    let client = pool.get_client(url).await.expect("one origin");
    let response = client.send(request(url)).await.expect("the server answers");
    read(response.into_body()).await;
}

fn pool() -> HttpConnectionPool {
    HttpConnectionPool::new(ConnectionPoolConfig {
        max_connections_per_host: LIMIT,
        ..ConnectionPoolConfig::default()
    })
}

fn one_after_another(runtime: &Runtime, server: &Server) {
    let (pool, kept) = (pool(), plain());
    let pooled = || {
        runtime.block_on(async {
            for _ in 0..REQUESTS {
                send_pooled(&pool, &server.url).await;
            }
        });
    };
    let anew = || {
        runtime.block_on(async {
            for _ in 0..REQUESTS {
                send_plain(&plain(), &server.url).await;
            }
        });
    };
    let (ours, baseline) = by_turns(pooled, anew);
    let per_request = |seconds: f64| seconds / REQUESTS as f64 * 1e6;
    print(Figure {
        name: "connections: a request through the pool, against a new client for each",
        ours: per_request(ours),
        baseline: per_request(baseline),
        unit: "µs",
        ratio: baseline / ours,
        need: 1.2..=f64::INFINITY,
        includes: "plain http on loopback, one after another; over TLS or a real network the difference is far larger",
    });
    let plainly = || {
        runtime.block_on(async {
            for _ in 0..REQUESTS {
                send_plain(&kept, &server.url).await;
            }
        });
    };
    let (ours, baseline) = by_turns(pooled, plainly);
    print(Figure {
        name: "connections: a request through the pool, against hyper-util's client",
        ours: per_request(ours),
        baseline: per_request(baseline),
        unit: "µs",
        ratio: ours / baseline,
        need: 0.0..=1.25,
        includes: "what enforced limits, time limits for each step and true figures cost",
    });
}

/// Every caller sends five requests, all callers at once.
fn at_once(runtime: &Runtime, server: &Server) {
    fn all<F: Future<Output = ()> + Send + 'static>(runtime: &Runtime, caller: impl Fn() -> F) {
        runtime.block_on(async {
            let mut callers = JoinSet::new();
            for _ in 0..CALLERS {
                callers.spawn(caller());
            }
            while let Some(ended) = callers.join_next().await {
                ended.expect("no caller panics");
            }
        });
    }
    let (pool, kept) = (Arc::new(pool()), plain());
    let ours = server.accepted_during(|| {
        all(runtime, || {
            let (pool, url) = (Arc::clone(&pool), server.url.clone());
            async move {
                for _ in 0..5 {
                    send_pooled(&pool, &url).await;
                }
            }
        });
    });
    let baseline = server.accepted_during(|| {
        all(runtime, || {
            let (client, url) = (kept.clone(), server.url.clone());
            async move {
                for _ in 0..5 {
                    send_plain(&client, &url).await;
                }
            }
        });
    });
    let stats = pool.get_stats();
    let agreed = stats.opened_total as f64 == ours && stats.responses_total == CALLERS as u64 * 5;
    print(Figure {
        name: "connections: opened for 200 callers, against the limit of 8",
        ours,
        baseline: LIMIT as f64,
        unit: "connections",
        // Figures that are not true meet no need.
        ratio: if agreed { ours / LIMIT as f64 } else { f64::NAN },
        need: 0.0..=1.0,
        includes: "1,000 requests; counted by the server, and equal to what the pool says",
    });
    print(Figure {
        name: "connections: opened for 200 callers, against hyper-util's client",
        ours,
        baseline,
        unit: "connections",
        ratio: ours / baseline,
        need: 0.0..=0.5,
        includes: "1,000 requests; the other client told to keep 8 idle connections",
    });
}
