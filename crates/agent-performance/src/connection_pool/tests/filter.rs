//! Addresses that are judged where they are connected to.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use super::super::AddressFilter;
use super::*;

fn filtered(allows: impl Fn(&str, IpAddr) -> bool + Send + Sync + 'static) -> HttpConnectionPool {
    HttpConnectionPool::new(ConnectionPoolConfig {
        address_filter: Some(AddressFilter::new(allows)),
        ..ConnectionPoolConfig::default()
    })
}

async fn get(pool: &HttpConnectionPool, url: &str) -> Result<Response<PooledBody>, SendError> {
    let request = Request::get(url).body(Full::default()).unwrap();
    pool.get_client(url).await?.send(request).await
}

fn is_forbidden(result: Result<Response<PooledBody>, SendError>) -> bool {
    matches!(
        result,
        Err(SendError::Connect {
            failure: ConnectFailure::Forbidden,
            ..
        })
    )
}

#[tokio::test]
async fn addresses_and_names_alike_are_judged_before_a_connection_is_made() {
    let lifecycle = Lifecycle::new();
    let (address, seen) = server(&lifecycle, Behaviour::AnswerOnceThenClose).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let pool = filtered(move |host, address| {
        kept.lock().push((host.to_owned(), address.is_loopback()));
        false
    });
    // The last is a name to this program and an address to the system's resolver.
    for host in ["127.0.0.1", "localhost", "[::1]", "0x7f.1"] {
        let result = get(&pool, &format!("http://{host}:{}/", address.port())).await;
        assert!(is_forbidden(result), "{host}");
    }
    assert_eq!(seen.accepted.load(Ordering::SeqCst), 0);
    let asked = asked.lock();
    assert!(asked.iter().all(|(_, is_loopback)| *is_loopback));
    for host in ["127.0.0.1", "localhost", "::1", "0x7f.1"] {
        assert!(asked.iter().any(|(name, _)| name == host), "{host} in {asked:?}");
    }
}

/// What a name that leads elsewhere at its next look-up comes to: each connection is judged by the address that it goes to.
#[tokio::test]
async fn every_connection_is_judged_anew() {
    let lifecycle = Lifecycle::new();
    let (address, seen) = server(&lifecycle, Behaviour::AnswerOnceThenClose).await;
    let good = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&good);
    let pool = filtered(move |_, _| now.load(Ordering::SeqCst));
    let url = format!("http://localhost:{}/", address.port());
    drop(get(&pool, &url).await.unwrap());
    good.store(false, Ordering::SeqCst);
    assert!(is_forbidden(get(&pool, &url).await));
    assert_eq!(seen.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_tried() {
    let lifecycle = Lifecycle::new();
    let (address, _seen) = server(&lifecycle, Behaviour::AnswerOnceThenClose).await;
    let pool = filtered(|_, address| address.is_ipv4());
    drop(
        get(&pool, &format!("http://localhost:{}/", address.port()))
            .await
            .unwrap(),
    );
    assert!(is_forbidden(
        get(&pool, &format!("http://[::1]:{}/", address.port())).await
    ));
}
