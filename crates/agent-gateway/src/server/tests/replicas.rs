//! Two gateways that share a real Redis server: one limit, one cache, and what remains of both without it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_claude::keys::KeyRing;
use agent_config::{Secret, WhenDown};
use agent_performance::lifecycle::Lifecycle;
use agent_performance::shared::{Shared, SharedConfig};
use agent_security::signature::{Scheme, SigningKey, sign};
use agent_simulator::{Simulator, SimulatorConfig};

use super::assert_refusal;
use super::wire::{Answer, Client};
use crate::pipeline::redis_server::RedisServer;
use crate::routes::Surface;
use crate::testing::{Running, TOKEN, TOO_LONG};
use crate::{GatewayParts, Sharing};

struct Replica {
    gateway: Running,
    store: Shared,
    cache: agent_performance::cache::ResponseCache,
}

impl Replica {
    async fn start(redis: &RedisServer, upstream: &Simulator, per_minute: u32, when_down: WhenDown) -> Self {
        Self::with(redis, upstream, |parts, store| {
            parts.settings.limits.requests_per_minute = per_minute;
            parts.shared = Some(Sharing {
                store,
                rate_limits_when_down: when_down,
                nonces_when_down: WhenDown::Refuse,
            });
        })
        .await
    }

    /// One that wants requests signed by `key`.
    async fn signed(
        redis: &RedisServer,
        upstream: &Simulator,
        key: &SigningKey,
        when_down: WhenDown,
    ) -> Self {
        Self::with(redis, upstream, |parts, store| {
            parts.settings.signing = Some(vec![key.verifying_key()]);
            parts.shared = Some(Sharing {
                store,
                rate_limits_when_down: WhenDown::Alone,
                nonces_when_down: when_down,
            });
        })
        .await
    }

    async fn with(
        redis: &RedisServer,
        upstream: &Simulator,
        change: impl FnOnce(&mut GatewayParts, Shared),
    ) -> Self {
        let config = SharedConfig::new(&redis.url(), "test").unwrap();
        let config = config.with_command_timeout(Duration::from_secs(20)).unwrap();
        let store = Shared::connect(config, &Lifecycle::new());
        let mut kept = None;
        let gateway = Running::with(|parts| {
            parts.upstream.base_url = upstream.base_url().parse().unwrap();
            // A key goes to the host that it was made for, and no other.
            parts.upstream.keys =
                KeyRing::of(&parts.upstream.base_url, Secret::from("sk-ant-simulated")).unwrap();
            let cache = parts.cache.clone().with_shared(&store, parts.metrics.as_ref());
            kept = Some(cache.clone());
            parts.cache = cache;
            change(parts, store.clone());
        })
        .await;
        let replica = Replica {
            gateway,
            store,
            cache: kept.unwrap(),
        };
        replica
            .until("it is connected", async || replica.store.is_up())
            .await;
        // It shares what it stores from the moment when it hears what others remove.
        replica
            .until("it listens", async || replica.figures().invalidations > 0)
            .await;
        replica
    }

    fn figures(&self) -> agent_performance::cache::SharedCacheStats {
        self.cache.get_shared_stats().unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&request(path)).await
    }

    async fn send(&self, request: &str) -> Answer {
        Client::connect(self.gateway.addresses.tcp)
            .await
            .ask(request)
            .await
    }

    async fn readiness(&self) -> (u16, String) {
        let answer = self.get("/readyz?verbose").await;
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + TOO_LONG;
        while !is_so().await {
            assert!(
                Instant::now() < deadline,
                "never: {what}; {:?}",
                self.store.status()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\nanthropic-version: 2023-06-01\r\n\r\n"
    )
}

/// The same, signed now.
fn signed_request(key: &SigningKey) -> String {
    let mut request = http::Request::get("/v1/models")
        .header("host", "localhost")
        .body(())
        .unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    sign(&mut request, b"", key, &Scheme::HTTP, now).unwrap();
    let line = |name: &str| format!("{name}: {}\r\n", request.headers()[name].to_str().unwrap());
    let (input, signature) = (line("signature-input"), line("signature"));
    self::request("/v1/models").replacen("\r\n\r\n", &format!("\r\n{input}{signature}\r\n"), 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_keep_one_limit() {
    let redis = RedisServer::start();
    let upstream = Simulator::bind(SimulatorConfig::default()).await.unwrap();
    let one = Replica::start(&redis, &upstream, 12, WhenDown::Alone).await;
    let two = Replica::start(&redis, &upstream, 12, WhenDown::Alone).await;
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for at in 0..40 {
        let address = [&one, &two][at % 2].gateway.addresses.tcp;
        clients.spawn(async move { Client::connect(address).await.ask(request("/v1/models")).await });
    }
    let answers = clients.join_all().await;
    let (served, refused): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == 200);
    let grown = began.elapsed().as_secs() as usize / 5;
    assert!(
        (12..=12 + grown).contains(&served.len()),
        "{} of 40 were served",
        served.len()
    );
    for answer in refused {
        assert_refusal(answer, Surface::Gateway, 429, "over the limit");
        assert!(answer.header("retry-after").is_some());
        assert!(answer.header("ratelimit").unwrap().contains("r=0"));
    }
    one.gateway.stop().await;
    two.gateway.stop().await;
}

#[tokio::test]
async fn what_one_gateway_fetched_the_other_has() {
    let redis = RedisServer::start();
    let upstream = Simulator::bind(SimulatorConfig::default()).await.unwrap();
    let one = Replica::start(&redis, &upstream, 0, WhenDown::Alone).await;
    let two = Replica::start(&redis, &upstream, 0, WhenDown::Alone).await;
    let fetched = one.get("/v1/models").await;
    assert_eq!((fetched.status, fetched.header("x-cache")), (200, Some("miss")));
    one.until("it is shared", async || one.figures().written == 1)
        .await;
    let found = two.get("/v1/models").await;
    assert_eq!((found.status, found.header("x-cache")), (200, Some("hit")));
    assert!(found.header("age").is_some());
    assert_eq!(found.body, fetched.body);
    one.cache.clear().await;
    two.until("it is gone there too", async || {
        two.get("/v1/models").await.header("x-cache") == Some("miss")
    })
    .await;
    one.gateway.stop().await;
    two.gateway.stop().await;
}

#[tokio::test]
async fn without_the_server_they_go_on_alone_say_so_and_find_it_again() {
    let mut redis = RedisServer::start();
    let upstream = Simulator::bind(SimulatorConfig::default()).await.unwrap();
    let one = Replica::start(&redis, &upstream, 600, WhenDown::Alone).await;
    let (status, text) = one.readiness().await;
    assert!(status == 200 && text.contains("[+]shared ok"), "{text}");
    assert_eq!(one.get("/v1/models").await.header("x-cache"), Some("miss"));
    redis.kill();
    one.until("it is noticed", async || !one.store.is_up()).await;
    let began = Instant::now();
    for _ in 0..20 {
        let answer = one.get("/v1/models").await;
        assert_eq!((answer.status, answer.header("x-cache")), (200, Some("hit")));
        assert!(answer.header("ratelimit").is_some());
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let (status, text) = one.readiness().await;
    assert_eq!(status, 200, "it goes on: {text}");
    assert!(text.contains("[!]shared failed: down since"), "{text}");
    redis.revive();
    one.until("it is found again", async || {
        one.readiness().await.1.contains("[+]shared ok")
    })
    .await;
    assert_eq!(one.get("/v1/models").await.status, 200);
    one.gateway.stop().await;
}

#[tokio::test]
async fn where_nothing_may_go_uncounted_requests_are_refused_until_it_is_back() {
    let mut redis = RedisServer::start();
    let upstream = Simulator::bind(SimulatorConfig::default()).await.unwrap();
    let one = Replica::start(&redis, &upstream, 600, WhenDown::Refuse).await;
    assert_eq!(one.get("/v1/models").await.status, 200);
    redis.kill();
    one.until("it is noticed", async || !one.store.is_up()).await;
    let refused = one.get("/v1/models").await;
    assert_refusal(&refused, Surface::Gateway, 529, "nobody counts");
    assert!(refused.header("retry-after").is_some());
    let refused = one.get("/api/v1/sessions").await;
    assert_refusal(&refused, Surface::Agent, 503, "nobody counts");
    // Operations are not counted.
    assert_eq!(one.get("/api/v1/cache").await.status, 200);
    assert_eq!(one.readiness().await.0, 200);
    redis.revive();
    one.until("it is found again", async || {
        one.get("/v1/models").await.status == 200
    })
    .await;
    one.gateway.stop().await;
}

#[tokio::test]
async fn a_signed_request_is_good_once_for_both() {
    let mut redis = RedisServer::start();
    let upstream = Simulator::bind(SimulatorConfig::default()).await.unwrap();
    let key = SigningKey::hmac_sha256("tests", &[7; 32]).unwrap();
    let one = Replica::signed(&redis, &upstream, &key, WhenDown::Refuse).await;
    let two = Replica::signed(&redis, &upstream, &key, WhenDown::Refuse).await;
    assert_refusal(&one.get("/v1/models").await, Surface::Gateway, 401, "unsigned");
    let request = signed_request(&key);
    assert_eq!(one.send(&request).await.status, 200);
    for replica in [&two, &one] {
        let replayed = replica.send(&request).await;
        assert_refusal(&replayed, Surface::Gateway, 401, "replayed");
        assert!(String::from_utf8_lossy(&replayed.body).contains("nonce"));
    }
    assert_eq!(two.send(&signed_request(&key)).await.status, 200);

    redis.kill();
    one.until("it is noticed", async || !one.store.is_up()).await;
    let refused = one.send(&signed_request(&key)).await;
    assert_refusal(&refused, Surface::Gateway, 529, "nobody knows the nonces");
    redis.revive();
    one.until("it is found again", async || {
        one.send(&signed_request(&key)).await.status == 200
    })
    .await;
    one.gateway.stop().await;
    two.gateway.stop().await;
}

#[tokio::test]
async fn alone_a_gateway_still_takes_a_nonce_once() {
    let mut redis = RedisServer::start();
    let upstream = Simulator::bind(SimulatorConfig::default()).await.unwrap();
    let key = SigningKey::hmac_sha256("tests", &[7; 32]).unwrap();
    let one = Replica::signed(&redis, &upstream, &key, WhenDown::Alone).await;
    let before = signed_request(&key);
    assert_eq!(one.send(&before).await.status, 200);
    redis.kill();
    one.until("it is noticed", async || !one.store.is_up()).await;
    let during = signed_request(&key);
    assert_eq!(one.send(&during).await.status, 200);
    for replayed in [&before, &during] {
        assert_refusal(&one.send(replayed).await, Surface::Gateway, 401, "replayed");
    }
    one.gateway.stop().await;
}
