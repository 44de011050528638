//! What replicas hold to together: how often each credential may ask, and that no nonce is taken twice.
//!
//! The shared store decides for all of them, in one step each. What holds while it is down is configured, and told apart
//! from a decision: the caller of these has to take it.

use std::fmt::Write as _;
use std::time::Duration;

use agent_performance::shared::{Shared, SharedError, SharedScript};
use agent_security::rate_limit::{Decision, GCRA_LUA, Gcra};
use sha2::{Digest as _, Sha256};

/// The limit of each credential, over all replicas.
pub(super) struct SharedRate {
    store: Shared,
    script: SharedScript,
    arguments: [String; 2],
}

impl SharedRate {
    pub(super) fn new(store: Shared, gcra: &Gcra) -> Self {
        SharedRate {
            store,
            script: SharedScript::new(GCRA_LUA),
            arguments: gcra.script_arguments(),
        }
    }

    /// Counts a request of `who`. An error when the store does not decide.
    pub(super) async fn check(&self, who: &str) -> Result<Decision, SharedError> {
        let [emission, burst] = &self.arguments;
        // Another limit is another count: replicas that are configured anew one after the other do not mix the two up.
        let name = format!("rate:{emission}:{burst}:{}", digest(&[who]));
        let arguments = [emission.as_bytes(), burst.as_bytes()];
        let answer = self.store.eval(&self.script, &[&name], &arguments).await?;
        <[i64; 4]>::try_from(answer)
            .ok()
            .and_then(Decision::from_script)
            .ok_or_else(|| SharedError::Refused("it did not answer with a decision".to_owned()))
    }
}

/// The nonces that signed requests have used, over all replicas.
pub(super) struct SharedNonces {
    store: Shared,
}

impl SharedNonces {
    pub(super) fn new(store: Shared) -> Self {
        SharedNonces { store }
    }

    /// Whether `nonce` of the key `key_id` is used for the first time within `window`, which has to be as long as a signature
    /// is good. An error when the store does not decide.
    pub(super) async fn is_first(
        &self,
        key_id: &str,
        nonce: &str,
        window: Duration,
    ) -> Result<bool, SharedError> {
        let name = format!("nonce:{}", digest(&[key_id, nonce]));
        self.store.set_if_absent(&name, b"1", window).await
    }
}

/// A name of fixed length for what a client may have chosen; parts of different lengths never look the same.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Instant;

    use agent_performance::lifecycle::Lifecycle;
    use agent_performance::shared::SharedConfig;
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::redis_server::RedisServer;

    /// For what takes milliseconds on a machine with nothing else to do.
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn replica(server: &RedisServer) -> Shared {
        let config = SharedConfig::new(&server.url(), "test").unwrap();
        let config = config.with_command_timeout(PATIENCE).unwrap();
        let store = Shared::connect(config, &Lifecycle::new());
        tokio::time::timeout(PATIENCE, store.until_up()).await.unwrap();
        store
    }

    fn gcra(emission: Duration, burst: u32) -> Gcra {
        Gcra::new(emission, NonZeroU32::new(burst).unwrap())
    }

    /// Two replicas, many tasks each, as fast as they can: what is let through is the burst and what has grown back in the time
    /// that it took, and nothing more.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn replicas_together_never_admit_more_than_one_would() {
        let server = RedisServer::start();
        let (emission, burst) = (Duration::from_millis(20), 25);
        let limit = gcra(emission, burst);
        let replicas = [
            std::sync::Arc::new(SharedRate::new(replica(&server).await, &limit)),
            std::sync::Arc::new(SharedRate::new(replica(&server).await, &limit)),
        ];
        let began = Instant::now();
        let mut clients = tokio::task::JoinSet::new();
        for at in 0..32 {
            let rate = std::sync::Arc::clone(&replicas[at % 2]);
            clients.spawn(async move {
                let mut admitted = 0u32;
                for _ in 0..100 {
                    let decision = rate.check("someone").await.unwrap();
                    assert!(decision.remaining < burst);
                    assert_eq!(decision.allowed, decision.retry_after.is_zero());
                    admitted += u32::from(decision.allowed);
                }
                admitted
            });
        }
        let admitted: u32 = clients.join_all().await.iter().sum();
        let grown = began.elapsed().as_micros() / emission.as_micros();
        assert!(admitted >= burst, "{admitted}");
        assert!(
            u128::from(admitted) <= u128::from(burst) + grown + 1,
            "{admitted}, {grown} grown back"
        );
        assert!(
            replicas[0].check("another").await.unwrap().allowed,
            "limits are apart"
        );
    }

    #[tokio::test]
    async fn a_burst_is_shared_to_the_last_request() {
        let server = RedisServer::start();
        let limit = gcra(Duration::from_secs(3600), 10);
        let (one, two) = (replica(&server).await, replica(&server).await);
        let (one, two) = (SharedRate::new(one, &limit), SharedRate::new(two, &limit));
        for left in (0..10u32).rev() {
            let rate = if left % 2 == 0 { &one } else { &two };
            let decision = rate.check("someone").await.unwrap();
            assert_eq!((decision.allowed, decision.remaining), (true, left));
        }
        for rate in [&one, &two] {
            let decision = rate.check("someone").await.unwrap();
            assert!(!decision.allowed && decision.retry_after > Duration::from_secs(3500));
        }
    }

    #[tokio::test]
    async fn something_else_under_the_name_is_an_error_or_nothing_and_never_a_free_pass() {
        let server = RedisServer::start();
        let limit = gcra(Duration::from_secs(3600), 2);
        let rate = SharedRate::new(replica(&server).await, &limit);
        let name = format!("test:rate:3600000000:2:{}", digest(&["someone"]));
        server.ask(&[b"LPUSH", name.as_bytes(), b"x"]);
        assert!(matches!(
            rate.check("someone").await,
            Err(SharedError::Refused(_))
        ));
        server.ask(&[b"SET", name.as_bytes(), b"not a number"]);
        for allowed in [true, true, false] {
            assert_eq!(rate.check("someone").await.unwrap().allowed, allowed);
        }
    }

    #[tokio::test]
    async fn a_nonce_is_good_once_for_all_replicas_and_again_after_its_window() {
        let server = RedisServer::start();
        let window = Duration::from_secs(60);
        let one = SharedNonces::new(replica(&server).await);
        let two = SharedNonces::new(replica(&server).await);
        assert_eq!(one.is_first("key", "n", window).await, Ok(true));
        assert_eq!(two.is_first("key", "n", window).await, Ok(false));
        assert_eq!(one.is_first("key", "n", window).await, Ok(false));
        // Apart, however the two are put together.
        assert_eq!(two.is_first("keyn", "", window).await, Ok(true));
        assert_eq!(two.is_first("other", "n", window).await, Ok(true));
        let odd = "x\r\n\0".repeat(10_000);
        assert_eq!(one.is_first(&odd, &odd, window).await, Ok(true));
        assert_eq!(two.is_first(&odd, &odd, window).await, Ok(false));
        assert_eq!(
            one.is_first("key", "short", Duration::from_millis(1)).await,
            Ok(true)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(one.is_first("key", "short", window).await, Ok(true));
    }

    /// The script decides as the rule does, at times that the test says.
    #[test]
    fn the_script_and_the_rule_decide_the_same() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = RedisServer::start();
        let store = runtime.block_on(replica(&server));
        let script = GCRA_LUA.replace("redis.call('TIME')", "{ARGV[3], ARGV[4]}");
        assert_ne!(script, GCRA_LUA, "the script reads the time elsewhere");
        let script = SharedScript::new(&script);
        let cases = std::cell::Cell::new(0);
        let config = ProptestConfig {
            cases: 64,
            ..ProptestConfig::default()
        };
        proptest!(config, |(
            // Long against the time that a case takes: keys expire by the server's own clock.
            emission in 60_000_000u64..3_600_000_000,
            burst in 1u32..20,
            gaps in prop::collection::vec(0u64..4_000_000_000, 1..40),
        )| {
            let case = cases.replace(cases.get() + 1);
            let limit = gcra(Duration::from_micros(emission), burst);
            let [emission, burst] = limit.script_arguments();
            let mut now = 1_800_000_000_000_000u64;
            let mut tat = Duration::ZERO;
            for gap in gaps {
                now += gap;
                let (expected, next) = limit.decide(tat, Duration::from_micros(now));
                tat = next;
                let (seconds, micros) = ((now / 1_000_000).to_string(), (now % 1_000_000).to_string());
                let arguments = [emission.as_bytes(), burst.as_bytes(), seconds.as_bytes(), micros.as_bytes()];
                let name = format!("case{case}");
                let answer = runtime.block_on(store.eval(&script, &[&name], &arguments)).unwrap();
                let decision = Decision::from_script(answer.try_into().unwrap());
                prop_assert_eq!(decision, Some(expected));
            }
        });
    }
}
