//! What changes something, and who is turned away, is in the audit log: the table of routes is walked, so that no new row escapes.

use std::path::Path;

use agent_security::audit::{AuditEvent, AuditLog, WhenUnwritable, read};
use agent_security::redact::Redactor;
use agent_security::signature::VerifyingKey;

use super::path_of;
use super::wire::Client;
use crate::routes::{Access, PageTarget, ROUTES, Route, Target};
use crate::testing::{Running, TOKEN};

fn log(folder: &Path) -> AuditLog {
    let clock = chrono::Utc::now;
    let folder = folder.join("audit");
    AuditLog::open(folder, Redactor::default(), clock, WhenUnwritable::Refuse).unwrap()
}

fn recorded(folder: &Path) -> Vec<AuditEvent> {
    let mut events = Vec::new();
    read(&folder.join("audit"), |record| events.push(record.event)).unwrap();
    events
}

async fn send(gateway: &Running, route: &Route, lines: &str) -> u16 {
    let request = format!(
        "{} {} HTTP/1.1\r\nhost: localhost\r\n{lines}content-length: 0\r\n\r\n",
        route.method,
        path_of(route)
    );
    Client::connect(gateway.addresses.tcp)
        .await
        .ask(&request)
        .await
        .status
}

fn changes_something(route: &&Route) -> bool {
    // What is relayed changes nothing of this daemon's.
    !route.method.is_safe() && !matches!(route.target, Target::Relay(_))
}

#[tokio::test]
async fn every_route_that_changes_something_leaves_an_audit_event() {
    let folder = tempfile::tempdir().unwrap();
    let audit = log(folder.path());
    let gateway = Running::with(|parts| parts.audit = audit).await;
    let routes: Vec<&Route> = ROUTES.iter().filter(changes_something).collect();
    assert!(routes.len() > 5);
    for route in routes {
        let before = recorded(folder.path()).len();
        let status = send(&gateway, route, &format!("x-api-key: {TOKEN}\r\n")).await;
        let events = recorded(folder.path()).split_off(before);
        let told = match route.target {
            Target::Page(PageTarget::Login) => matches!(
                &events[..],
                [AuditEvent::LoggedIn { client, by }] if client == "127.0.0.1" && by == "tests"
            ),
            _ => matches!(
                &events[..],
                [AuditEvent::Administered { act, subject, by }]
                    if *act == format!("{} {}", route.method, route.pattern) && *subject == path_of(route) && by == "tests"
            ),
        };
        assert!(told, "{} {} ({status}): {events:?}", route.method, route.pattern);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn looking_leaves_none_and_a_wrong_credential_one_on_each_route() {
    let folder = tempfile::tempdir().unwrap();
    let audit = log(folder.path());
    let gateway = Running::with(|parts| parts.audit = audit.clone()).await;
    for route in ROUTES.iter().filter(|route| route.method.is_safe()) {
        send(&gateway, route, &format!("x-api-key: {TOKEN}\r\n")).await;
    }
    assert_eq!(recorded(folder.path()), []);
    gateway.stop().await;
    for chunk in ROUTES.chunks(15) {
        // Guesses past a limit are not recorded; each gateway has a limit of its own.
        let gateway = Running::with(|parts| parts.audit = audit.clone()).await;
        for route in chunk.iter().filter(|route| route.access == Access::Credential) {
            let before = recorded(folder.path()).len();
            assert_eq!(send(&gateway, route, "x-api-key: wrong\r\n").await, 401);
            let events = recorded(folder.path()).split_off(before);
            assert!(
                matches!(&events[..], [AuditEvent::LoginFailed { client }] if client == "127.0.0.1"),
                "{}: {events:?}",
                route.pattern
            );
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn refused_signatures_are_recorded_and_a_flood_of_them_does_not_fill_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let audit = log(folder.path());
    let key = VerifyingKey::hmac_sha256("ci", b"a-shared-secret-of-sufficient-length-for-hmac").unwrap();
    let gateway = Running::with(|parts| {
        parts.audit = audit;
        parts.settings.signing = Some(vec![key]);
    })
    .await;
    let route = ROUTES
        .iter()
        .find(|route| route.pattern == "/api/v1/sessions" && !route.method.is_safe())
        .unwrap();
    let lines = format!("x-api-key: {TOKEN}\r\n");
    assert_eq!(send(&gateway, route, &lines).await, 401);
    let events = recorded(folder.path());
    let [
        AuditEvent::SignatureRefused {
            client,
            by,
            act,
            reason,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (client.as_str(), by.as_str(), act.as_str()),
        ("127.0.0.1", "tests", "POST /api/v1/sessions")
    );
    assert!(!reason.is_empty());
    for _ in 0..60 {
        assert_eq!(send(&gateway, route, &lines).await, 401);
    }
    let told = recorded(folder.path()).len();
    assert!((20..40).contains(&told), "{told}");
    gateway.stop().await;
}

#[tokio::test]
async fn where_nothing_can_be_recorded_nothing_is_changed_and_nobody_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let audit = log(folder.path());
    audit.record(AuditEvent::DaemonStopped {}).unwrap();
    let mut entries = std::fs::read_dir(folder.path().join("audit")).unwrap();
    let segment = entries.find_map(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|end| end == "jsonl").then_some(path)
    });
    std::fs::write(segment.unwrap(), "somebody else's line\n").unwrap();
    let gateway = Running::with(|parts| parts.audit = audit).await;
    for route in ROUTES.iter().filter(changes_something) {
        let status = send(&gateway, route, &format!("x-api-key: {TOKEN}\r\n")).await;
        assert_eq!(status, 503, "{}", route.pattern);
    }
    gateway.stop().await;
}
