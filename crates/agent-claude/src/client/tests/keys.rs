//! Several keys, of which the API refuses some.

use agent_config::{ApiKey, KeyState};

use super::server::{Server, brief_error, message, stream};
use super::*;
use crate::keys::single;

fn two_keys(server: &Server) -> KeyRing {
    let key = |id: &str, state| ApiKey {
        state,
        ..single(&server.url(), id, Secret::from(format!("sk-ant-hidden-{id}")))
    };
    let keys = vec![key("old", KeyState::Active), key("new", KeyState::Standby)];
    KeyRing::new(&server.url(), keys).unwrap()
}

fn sent(server: &Server) -> Vec<&'static str> {
    let requests = server.requests();
    let key = |head: &str| match head {
        head if head.contains("sk-ant-hidden-old") => "old",
        head if head.contains("sk-ant-hidden-new") => "new",
        _ => "none",
    };
    requests.iter().map(|request| key(&request.head)).collect()
}

#[tokio::test]
async fn a_refused_key_is_replaced_and_the_request_goes_once_more() {
    let server = Server::start([
        brief_error(401, "authentication_error"),
        stream("hello"),
        message(),
    ])
    .await;
    let ring = two_keys(&server);
    let client = client_with(&server, |config| config.keys = ring.clone());
    let stream = client.stream_message(&question()).await.unwrap();
    assert!(drain(stream).await.1.is_none());
    client.send_message(&question()).await.unwrap();
    assert_eq!(sent(&server), ["old", "new", "new"]);
    assert_eq!(ring.keys()[0].state, KeyState::Rejected);
}

#[tokio::test]
async fn when_all_keys_are_refused_each_is_tried_once_and_the_refusal_is_told() {
    let server = Server::start([brief_error(401, "authentication_error")]).await;
    let ring = two_keys(&server);
    let client = client_with(&server, |config| config.keys = ring.clone());
    assert_eq!(status(client.send_message(&question()).await), 401);
    assert_eq!(sent(&server), ["old", "new"]);
    assert_eq!(status(client.send_message(&question()).await), 401);
    assert_eq!(
        sent(&server),
        ["old", "new", "new"],
        "no storm: one try with the last key"
    );
}
