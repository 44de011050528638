use std::time::Duration;

use super::server::RedisServer;
use super::{counted, eventually, measured, quick, shared, up};
use crate::lifecycle::Lifecycle;
use crate::shared::{Shared, SharedConfig, SharedError, SharedScript};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn values_are_stored_cut_and_expire() {
    let server = RedisServer::start();
    let one = shared(&server.url()).await;
    let two = shared(&server.url()).await;
    assert_eq!(one.get("k", 10).await, Ok(None));
    one.set("k", b"value", MINUTE).await.unwrap();
    assert_eq!(two.get("k", 10).await.unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(two.get("k", 3).await.unwrap().as_deref(), Some(&b"val"[..]));
    assert_eq!(server.ask(&[b"GET", b"test:k"]), "$5\r\nvalue\r\n");
    two.remove("k").await.unwrap();
    assert_eq!(one.get("k", 10).await, Ok(None));

    // Times that the server could not take as they are.
    one.set("short", b"v", Duration::from_nanos(1)).await.unwrap();
    one.set("long", b"v", Duration::MAX).await.unwrap();
    eventually("the short one expires", async || {
        one.get("short", 1).await == Ok(None)
    })
    .await;
    assert!(one.get("long", 1).await.unwrap().is_some());
}

#[tokio::test]
async fn one_of_many_stores_what_is_absent() {
    let server = RedisServer::start();
    let replicas = [shared(&server.url()).await, shared(&server.url()).await];
    let mut tries = tokio::task::JoinSet::new();
    for at in 0..100 {
        let replica = replicas[at % 2].clone();
        tries.spawn(async move { replica.set_if_absent("nonce", b"1", MINUTE).await.unwrap() });
    }
    let won = tries.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn scripts_are_sent_once_and_again_to_a_server_that_forgot_them() {
    let server = RedisServer::start();
    let shared = shared(&server.url()).await;
    let script = SharedScript::new("return {redis.call('INCRBY', KEYS[1], ARGV[1]), tonumber(ARGV[2])}");
    let run = || shared.eval(&script, &["n"], &[b"5", b"-7"]);
    assert_eq!(run().await, Ok(vec![5, -7]));
    assert_eq!(run().await, Ok(vec![10, -7]));
    server.ask(&[b"SCRIPT", b"FLUSH"]);
    assert_eq!(run().await, Ok(vec![15, -7]));
}

#[tokio::test]
async fn a_refusal_is_an_error_of_its_own_and_no_outage() {
    let server = RedisServer::start();
    let (shared, metrics) = measured(super::config(&server.url()));
    up(&shared).await;
    server.ask(&[b"LPUSH", b"test:list", b"x"]);
    let refused = shared.get("list", 10).await;
    assert!(
        matches!(&refused, Err(SharedError::Refused(why)) if why.contains("WRONGTYPE")),
        "{refused:?}"
    );
    let wrong = SharedScript::new("return 'text'");
    let refused = shared.eval(&wrong, &[], &[]).await;
    assert!(matches!(refused, Err(SharedError::Refused(_))), "{refused:?}");
    server.ask(&[b"CONFIG", b"SET", b"maxmemory", b"1"]);
    let full = shared.set("k", b"v", MINUTE).await;
    assert!(
        matches!(&full, Err(SharedError::Refused(why)) if why.contains("OOM")),
        "{full:?}"
    );
    assert!(shared.is_up());
    let told = shared.status().last_failure.unwrap().message;
    assert!(told.contains("OOM"), "{told}");
    // The script did run; only its answer was of no use.
    assert_eq!(
        (counted(&metrics, "refused"), counted(&metrics, "ok")),
        (2.0, 1.0)
    );
}

#[tokio::test]
async fn passwords_are_used_and_never_shown() {
    let server = RedisServer::with_password("correct-horse");
    let right = shared(&server.url()).await;
    right.set("k", b"v", MINUTE).await.unwrap();
    assert!(!format!("{right:?} {:?}", right.status()).contains("correct-horse"));

    for url in [
        format!("redis://:wrong-horse@{}", server.address()),
        format!("redis://{}", server.address()),
    ] {
        let wrong = Shared::connect(SharedConfig::new(&url, "test").unwrap(), &Lifecycle::new());
        eventually("it is refused", async || {
            wrong.status().last_failure.is_some_and(|failure| {
                let refused = failure.message.contains("assword") || failure.message.contains("uth");
                assert!(refused, "{}", failure.message);
                assert!(!failure.message.contains("wrong-horse"));
                true
            })
        })
        .await;
        assert_eq!(wrong.get("k", 1).await, Err(SharedError::Down));
    }
}

#[tokio::test]
async fn a_first_command_waits_for_the_first_connection() {
    let server = RedisServer::start();
    let shared = Shared::connect(quick(&server.url(), Duration::from_secs(20)), &Lifecycle::new());
    shared.set("k", b"v", MINUTE).await.unwrap();
}
