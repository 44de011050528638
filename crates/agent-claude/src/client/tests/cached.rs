//! Lists of models and token counts from the cache.

use agent_performance::cache::{CacheLimits, ResponseCache};
use tokio_util::sync::CancellationToken;

use super::measured::measured;
use super::server::{Script, Server, Step, brief_error, reply};
use super::*;

const MODELS: &str = r#"{"data":[{"type":"model","id":"a"},{"type":"model","id":"b"}],"has_more":false}"#;

fn models() -> Script {
    reply(200, &[], MODELS)
}

fn count(tokens: u64) -> Script {
    reply(200, &[], &format!(r#"{{"input_tokens":{tokens}}}"#))
}

fn cache() -> ResponseCache {
    ResponseCache::with_limits(CacheLimits::default())
}

#[tokio::test]
async fn models_are_asked_for_once() {
    let server = Server::start([models()]).await;
    let (client, metrics) = measured(&server, |_| {});
    let cache = ResponseCache::with_metrics(CacheLimits::default(), &metrics);
    let client = client.with_cache(cache);
    for _ in 0..2 {
        let models = client.list_models().await.unwrap();
        assert_eq!(
            models.iter().map(|model| &model.id).collect::<Vec<_>>(),
            ["a", "b"]
        );
    }
    // A cancellable clone keeps the cache.
    let clone = client.with_cancellation(CancellationToken::new());
    assert_eq!(clone.list_models().await.unwrap().len(), 2);
    assert_eq!(server.count(), 1);
    let total = |name, tags: &[(&str, &str)]| {
        let found = metrics.get_metric_statistics_with_tags(name, tags);
        found.map_or(0.0, |statistics| statistics.sum)
    };
    assert_eq!(total("cache.hits", &[]), 2.0);
    assert_eq!(total("cache.misses", &[]), 1.0);
    let sent = [("endpoint", "models"), ("outcome", "ok")];
    assert_eq!(
        total("claude.requests", &sent),
        1.0,
        "what the cache answers is no request"
    );
}

#[tokio::test]
async fn without_a_cache_each_is_asked_for() {
    let server = Server::start([models()]).await;
    let client = client(&server);
    client.list_models().await.unwrap();
    client.list_models().await.unwrap();
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn only_the_same_question_of_the_same_tenant_gets_the_same_count() {
    let server = Server::start((1..).map(count).take(8)).await;
    let cache = cache();
    let with = |change: fn(&mut ClaudeConfig)| client_with(&server, change).with_cache(cache.clone());
    let asker = with(|_| {});
    assert_eq!(asker.count_tokens(&question()).await.unwrap(), 1);
    assert_eq!(asker.count_tokens(&question()).await.unwrap(), 1);
    let other = MessageRequest::new("claude-opus-5-5", 100, vec![MessageParam::user("bye")]);
    assert_eq!(asker.count_tokens(&other).await.unwrap(), 2);
    let others: [fn(&mut ClaudeConfig); 4] = [
        |config| config.keys = KeyRing::of(&config.base_url, Secret::from("sk-ant-other")).unwrap(),
        |config| config.betas = vec!["one".to_owned()],
        |config| config.betas = vec!["one".to_owned(), "two".to_owned()],
        |config| config.api_version = crate::messages::ApiVersion::V2023_06_01,
    ];
    for (change, expected) in others.into_iter().zip(3..) {
        assert_eq!(with(change).count_tokens(&question()).await.unwrap(), expected);
        assert_eq!(with(change).count_tokens(&question()).await.unwrap(), expected);
    }
    assert_eq!(with(|_| {}).count_tokens(&question()).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_no_complete_200_is_not_kept() {
    let cut = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"input_tokens\":4".to_vec();
    let server = Server::start([
        brief_error(400, "invalid_request_error"),
        vec![Step::Send(cut), Step::Close],
        reply(203, &[], r#"{"input_tokens":5}"#),
        reply(200, &[("cache-control", "no-store")], r#"{"input_tokens":6}"#),
        count(7),
        count(8),
    ])
    .await;
    let client = client_with(&server, |config| config.max_retries = 0).with_cache(cache());
    assert_eq!(status(client.count_tokens(&question()).await), 400);
    let error = client.count_tokens(&question()).await.unwrap_err();
    assert!(matches!(error, ClaudeError::MalformedStream { .. }), "{error:?}");
    for expected in [5, 6, 7, 7] {
        assert_eq!(client.count_tokens(&question()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn the_same_question_at_the_same_time_is_sent_once() {
    let server = Server::start([models()]).await;
    let client = client(&server).with_cache(cache());
    let all = (0..8).map(|_| client.list_models());
    for models in futures_util::future::join_all(all).await {
        assert_eq!(models.unwrap().len(), 2);
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn one_who_cancels_does_not_fail_those_who_wait_for_the_same() {
    let server = Server::start([vec![Step::Hang], models()]).await;
    let patient = client(&server).with_cache(cache());
    let token = CancellationToken::new();
    let leaving = patient.with_cancellation(token.clone());
    let (left, stayed, ()) = tokio::join!(leaving.list_models(), patient.list_models(), async {
        server.received(1).await;
        token.cancel();
    });
    assert!(matches!(left, Err(ClaudeError::Cancelled)), "{left:?}");
    assert_eq!(stayed.unwrap().len(), 2);
    assert_eq!(server.count(), 2);
}
