//! Every row of the table meets clients that stop in the middle, and the process stays as small as it was.

use tokio::task::JoinSet;

use super::wire::Client;
use super::{assert_refusal, path_of};
use crate::routes::{ROUTES, Route, Surface};
use crate::testing::{Running, TOKEN, make_impatient};

/// What the process may grow by while all routes are walked: other tests may run in it at the same time.
const MAX_GROWTH: usize = 64 << 20;

/// Where a client stops.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// In the head.
    Head,
    /// Behind a head that announces a body of this framing.
    Body(&'static str),
    /// Within a body, saying that no more comes.
    HalfOpen(&'static str),
}

const STOPS: [Stop; 5] = [
    Stop::Head,
    Stop::Body("content-length: 1000\r\n"),
    Stop::Body("transfer-encoding: chunked\r\n"),
    Stop::HalfOpen("content-length: 1000\r\n"),
    Stop::HalfOpen("transfer-encoding: chunked\r\n"),
];

async fn impatient() -> Running {
    Running::with(|parts| {
        let limits = &mut parts.settings.limits;
        make_impatient(limits);
        limits.max_concurrent_requests = ROUTES.len() * STOPS.len();
    })
    .await
}

/// The connection ends, and whatever is said before looks as it should.
async fn meet(mut client: Client, route: &'static Route, stop: Stop) {
    let begin = format!("{} {} HTTP/1.1\r\nhost: local", route.method, path_of(route));
    let head = |lines: &str| format!("{begin}host\r\nx-api-key: {TOKEN}\r\n{lines}\r\n");
    match stop {
        Stop::Head => client.send(&begin).await,
        Stop::Body(lines) => client.send(head(lines)).await,
        Stop::HalfOpen(lines) => {
            client.send(head(lines) + "5\r\n{\"a\":").await;
            client.finish().await;
            true
        }
    };
    let case = format!("{} {} {stop:?}", route.method, route.pattern);
    match client.answer(route.method == http::Method::HEAD).await {
        Some(answer) if answer.status >= 400 => {
            let surface = match route.surface {
                Surface::Gateway => Surface::Gateway,
                _ => Surface::Agent,
            };
            assert_refusal(&answer, surface, answer.status, &case);
        }
        // A row that needs no body has answered before it could come.
        Some(answer) => assert!(
            matches!(stop, Stop::Body(_) | Stop::HalfOpen(_)),
            "{case}: {answer:?}"
        ),
        None => {}
    }
    assert!(client.is_closed().await, "{case}");
}

async fn walk(gateway: &Running) {
    let mut clients = JoinSet::new();
    for route in ROUTES {
        for stop in STOPS {
            let client = Client::connect(gateway.addresses.tcp).await;
            clients.spawn(meet(client, route, stop));
        }
    }
    while let Some(met) = clients.join_next().await {
        met.unwrap();
    }
}

/// Bytes that this process has in memory.
#[expect(clippy::disallowed_methods, reason = "a line that the kernel writes")]
fn resident() -> usize {
    let figures = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = figures.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn no_route_waits_for_ever_and_walking_them_all_leaves_nothing() {
    let gateway = impatient().await;
    // Once for what is made at first use.
    walk(&gateway).await;
    let before = resident();
    for _ in 0..4 {
        walk(&gateway).await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < MAX_GROWTH, "the process has grown by {grown} bytes");
    let report = gateway.stop().await;
    assert_eq!((report.cut, report.panicked), (0, 0));
}
