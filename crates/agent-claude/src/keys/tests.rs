use std::time::Duration;

use super::*;

const HOST: &str = "api.anthropic.com";
const DAY: u64 = 24 * 3600;

fn key(id: &str, state: KeyState) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        secret: Secret::from(format!("sk-ant-hidden-{id}")),
        hosts: vec![HOST.to_owned()],
        added_at: Some(0),
        state,
    }
}

fn address() -> Url {
    format!("https://{HOST}").parse().unwrap()
}

fn ring() -> KeyRing {
    let keys = vec![
        key("a", KeyState::Active),
        key("b", KeyState::Standby),
        key("c", KeyState::Standby),
    ];
    KeyRing::new(&address(), keys).unwrap()
}

fn sent(key: &KeyInUse) -> String {
    let mut headers = HeaderMap::new();
    key.put_on(&mut headers, ApiVersion::V2023_06_01);
    headers["x-api-key"].to_str().unwrap().to_owned()
}

fn in_use(ring: &KeyRing) -> String {
    ring.current().unwrap().id().to_owned()
}

#[test]
fn a_request_keeps_its_key_while_the_ring_is_rotated_and_replaced() {
    let ring = ring();
    let began_with = ring.current().unwrap();
    assert_eq!(ring.rotate().unwrap().to, "b");
    ring.replace(vec![key("z", KeyState::Active)]).unwrap();
    assert_eq!((began_with.id(), in_use(&ring).as_str()), ("a", "z"));
    assert_eq!(sent(&began_with), "sk-ant-hidden-a");
}

#[test]
fn a_refused_key_is_set_aside_once_however_many_requests_tell() {
    let ring = ring();
    let used: Vec<KeyInUse> = (0..50).map(|_| ring.current().unwrap()).collect();
    let next: Vec<String> = used
        .iter()
        .map(|used| ring.rejected(used).unwrap().id().to_owned())
        .collect();
    assert!(
        next.iter().all(|id| id == "b"),
        "c is not used up by the same refusal"
    );
    let states: Vec<_> = ring.keys().iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Rejected, KeyState::Active, KeyState::Standby]);
}

#[test]
fn the_last_key_is_never_set_aside() {
    let ring = ring();
    for next in ["b", "c"] {
        assert_eq!(ring.rejected(&ring.current().unwrap()).unwrap().id(), next);
    }
    assert!(ring.rejected(&ring.current().unwrap()).is_none());
    assert_eq!(in_use(&ring), "c");
    assert!(
        ring.rotate().is_err(),
        "refused keys do not come back by themselves"
    );
}

#[test]
fn api_keys_are_bound_to_hosts() {
    let elsewhere: Url = "https://evil.example".parse().unwrap();
    let refused = KeyRing::new(&elsewhere, vec![key("a", KeyState::Active)]).unwrap_err();
    assert!(matches!(refused, KeyError::OtherHosts { .. }) && refused.to_string().contains("evil.example"));
    let mut there = key("there", KeyState::Standby);
    there.hosts = vec!["evil.example".to_owned()];
    let ring = KeyRing::new(&elsewhere, vec![key("a", KeyState::Active), there]).unwrap();
    assert_eq!(in_use(&ring), "there");
    assert!(
        ring.rejected(&ring.current().unwrap()).is_none(),
        "the other key is not for this host"
    );
    assert!(!ring.is_for(&address()) && !ring.is_for(&"http://evil.example".parse().unwrap()));
    ring.replace(vec![key("a", KeyState::Active)]).unwrap();
    assert!(ring.current().is_none());
}

#[test]
fn no_key_goes_unencrypted_to_another_machine() {
    let keys = |url: &str| KeyRing::of(&url.parse().unwrap(), Secret::from("sk-ant-hidden"));
    assert!(matches!(keys("http://host"), Err(KeyError::Unencrypted { .. })));
    for url in [
        "https://host",
        "http://127.0.0.1:1",
        "http://[::1]",
        "http://localhost",
    ] {
        assert!(keys(url).unwrap().current().is_some(), "{url}");
    }
}

#[test]
fn keys_that_no_header_carries_are_refused_and_nothing_shows_a_key() {
    let refused = KeyRing::of(&address(), Secret::from("sk-ant\nhidden")).unwrap_err();
    assert!(refused.to_string().contains("line break"), "{refused}");
    let ring = ring();
    let current = ring.current().unwrap();
    let mut headers = HeaderMap::new();
    current.put_on(&mut headers, ApiVersion::V2026_10_21);
    let shown = format!(
        "{refused} {refused:?} {ring:?} {current:?} {headers:?} {:?}",
        ring.keys()
    );
    assert!(!shown.contains("hidden"), "{shown}");
    assert_eq!(headers["authorization"], "Bearer sk-ant-hidden-a");
}

#[test]
fn keys_rotate_by_age_in_simulated_time() {
    let month = Duration::from_secs(30 * DAY);
    let mut keys = vec![key("a", KeyState::Active), key("b", KeyState::Standby)];
    keys[1].added_at = Some(20 * DAY);
    let mut at = |day: u64| rotate_by_age(&mut keys, HOST, day * DAY, month);
    assert_eq!(at(29), Ok(None));
    let rotated = at(30).unwrap().unwrap();
    assert_eq!((rotated.from.as_deref(), rotated.to.as_str()), (Some("a"), "b"));
    assert_eq!(at(49), Ok(None));
    assert!(
        at(50).is_err(),
        "an old key, and no younger one: stays, and is told"
    );
    assert_eq!(keys[1].state, KeyState::Active);
    assert_eq!(
        rotate_by_age(&mut keys, "other.example", 99 * DAY, month),
        Ok(None)
    );
}

#[test]
fn by_hand_any_key_can_be_brought_back() {
    let mut keys = vec![key("a", KeyState::Rejected), key("b", KeyState::Active)];
    assert!(rotate(&mut keys, HOST, None).is_err());
    assert!(matches!(
        rotate(&mut keys, HOST, Some("x")),
        Err(NoStandby::Unknown { .. })
    ));
    let rotation = rotate(&mut keys, HOST, Some("a")).unwrap();
    assert_eq!((rotation.from.as_deref(), rotation.to.as_str()), (Some("b"), "a"));
    assert_eq!(keys[1].state, KeyState::Retired);
}

#[test]
fn what_a_ring_found_out_is_carried_over() {
    let ring = ring();
    ring.rejected(&ring.current().unwrap());
    let mut stored = vec![
        key("a", KeyState::Active),
        key("b", KeyState::Standby),
        key("n", KeyState::Standby),
    ];
    assert!(set_aside(&mut stored, &ring.keys()));
    let states: Vec<_> = stored.iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Rejected, KeyState::Active, KeyState::Standby]);
    assert!(!set_aside(&mut stored, &ring.keys()));
}

#[tokio::test(start_paused = true)]
async fn requests_whose_only_key_is_refused_get_the_one_that_is_brought() {
    let ring = KeyRing::new(&address(), vec![key("a", KeyState::Active)]).unwrap();
    let used = ring.current().unwrap();
    assert!(ring.replacement(&used).await.is_none(), "nobody brings keys");
    let renewals = ring.renewals();
    let bring = async {
        renewals.asked().await;
        ring.replace(vec![key("b", KeyState::Active)]).unwrap();
        renewals.answered();
    };
    let (one, other, ()) = tokio::join!(ring.replacement(&used), ring.replacement(&used), bring);
    assert_eq!((one.unwrap().id(), other.unwrap().id()), ("b", "b"));
    // Too late for the first, and nobody need bring another.
    assert_eq!(ring.replacement(&used).await.unwrap().id(), "b");

    let same = async {
        renewals.asked().await;
        renewals.answered();
    };
    let current = ring.current().unwrap();
    let (none, ()) = tokio::join!(ring.replacement(&current), same);
    assert!(none.is_none(), "the same key again is no other");
    let begun = tokio::time::Instant::now();
    assert!(ring.replacement(&current).await.is_none());
    assert_eq!(begun.elapsed(), RENEWAL_PATIENCE);
    let gone = async {
        tokio::task::yield_now().await;
        drop(renewals);
    };
    let (none, ()) = tokio::join!(ring.replacement(&current), gone);
    assert!(
        none.is_none() && begun.elapsed() < 2 * RENEWAL_PATIENCE,
        "whoever waits is told"
    );
}
