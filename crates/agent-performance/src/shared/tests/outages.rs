use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::server::RedisServer;
use super::{config, counted, eventually, measured, quick, up};
use crate::lifecycle::Lifecycle;
use crate::shared::{Shared, SharedError, SharedState};

const MINUTE: Duration = Duration::from_secs(60);

/// A hundred commands that cost nothing: below this even on a busy machine.
const NOTHING: Duration = Duration::from_millis(500);

async fn a_hundred_cost_nothing(shared: &Shared) {
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(shared.get("k", 1).await, Err(SharedError::Down));
    }
    assert!(began.elapsed() < NOTHING, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_ends_is_noticed_and_one_that_returns_is_used_again() {
    let mut server = RedisServer::start();
    let (shared, metrics) = measured(config(&server.url()));
    up(&shared).await;
    shared.set("k", b"v", MINUTE).await.unwrap();
    assert_eq!(metrics.get_metric_statistics("shared.up").unwrap().max, 1.0);

    server.kill();
    // Without a command: the closed connection is news enough.
    eventually("it is noticed", async || !shared.is_up()).await;
    eventually("attempts fail", async || {
        let failure = shared.status().last_failure;
        failure.is_some_and(|failure| failure.message.contains("refused"))
    })
    .await;
    let down = shared.status();
    assert_eq!(down.state, SharedState::Down);
    a_hundred_cost_nothing(&shared).await;
    assert_eq!(counted(&metrics, "skipped"), 100.0);

    server.revive();
    up(&shared).await;
    assert_eq!(shared.get("k", 1).await, Ok(None), "an empty server");
    shared.set("k", b"v", MINUTE).await.unwrap();
    let status = shared.status();
    assert!(status.since > down.since && status.last_failure.is_some());
    assert_eq!(metrics.get_metric_statistics("shared.connects").unwrap().sum, 2.0);
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_the_first_requests_little() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let shared = Shared::connect(quick(&format!("redis://{address}"), MINUTE), &Lifecycle::new());
    let began = Instant::now();
    assert_eq!(shared.get("k", 1).await, Err(SharedError::Down));
    assert!(began.elapsed() < MINUTE / 2, "a refused connection ends the wait");
    a_hundred_cost_nothing(&shared).await;
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_costs_one_time_out_in_all() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = mute.local_addr().unwrap();
    let mut taken = tokio::task::JoinSet::new();
    taken.spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(mute.accept().await.unwrap());
        }
    });
    let timeout = Duration::from_millis(200);
    let (shared, metrics) = measured(quick(&format!("redis://{address}"), timeout));
    let began = Instant::now();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let shared = shared.clone();
        requests.spawn(async move { shared.get("k", 1).await });
    }
    for outcome in requests.join_all().await {
        assert_eq!(outcome, Err(SharedError::Down));
    }
    let waited = began.elapsed();
    assert!(waited >= timeout && waited < timeout + NOTHING, "{waited:?}");
    a_hundred_cost_nothing(&shared).await;
    assert_eq!(counted(&metrics, "skipped"), 150.0);
    eventually("the attempt is given up", async || {
        let failure = shared.status().last_failure;
        failure.is_some_and(|failure| failure.message.contains("no greeting within"))
    })
    .await;
}

#[tokio::test]
async fn a_server_that_freezes_costs_one_time_out_and_is_used_again_once_it_moves() {
    let server = RedisServer::start();
    let timeout = Duration::from_millis(300);
    let (shared, metrics) = measured(quick(&server.url(), timeout));
    up(&shared).await;
    server.freeze();
    let began = Instant::now();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let shared = shared.clone();
        requests.spawn(async move { shared.set("k", b"v", MINUTE).await });
    }
    for outcome in requests.join_all().await {
        let given_up = [SharedError::TimedOut { after: timeout }, SharedError::Down];
        assert!(outcome.is_err_and(|error| given_up.contains(&error)));
    }
    assert!(began.elapsed() < timeout + NOTHING, "{:?}", began.elapsed());
    a_hundred_cost_nothing(&shared).await;
    assert!(counted(&metrics, "timed_out") >= 1.0);
    server.thaw();
    up(&shared).await;
    eventually("it answers again", async || {
        shared.set("k", b"v", MINUTE).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_speaks_another_language_is_down() {
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = web.local_addr().unwrap();
    let mut taken = tokio::task::JoinSet::new();
    taken.spawn(async move {
        loop {
            let (mut stream, _) = web.accept().await.unwrap();
            let mut request = [0; 64];
            let _read = stream.read(&mut request).await;
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            let _sent = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let shared = Shared::connect(quick(&format!("redis://{address}"), MINUTE), &Lifecycle::new());
    assert_eq!(shared.get("k", 1).await, Err(SharedError::Down));
    assert!(shared.status().last_failure.is_some());
}

#[tokio::test]
async fn it_ends_with_the_lifecycle_and_serves_until_then() {
    let server = RedisServer::start();
    let lifecycle = Lifecycle::new();
    let shared = Shared::connect(config(&server.url()), &lifecycle);
    up(&shared).await;
    let report = lifecycle.shutdown(super::PATIENCE).await;
    assert!(report.is_clean(), "{report:?}");
    shared.set("k", b"v", MINUTE).await.unwrap();
    let connected = || server.ask(&[b"CLIENT", b"LIST", b"TYPE", b"pubsub"]);
    assert!(connected().contains("id="));
    drop(shared);
    eventually("the connection is closed", async || !connected().contains("id=")).await;
}
