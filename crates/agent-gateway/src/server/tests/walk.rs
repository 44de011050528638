//! Every row of the table gets every kind of bad request. A new route is walked because it is in the table.

use std::net::SocketAddr;

use super::wire::Client;
use super::{assert_refusal, path_of};
use crate::routes::{Access, BodyLimit, MAX_UPLOAD_BYTES, ROUTES, Route, Surface};
use crate::testing::{Running, TOKEN};

/// A request to `route` with these header lines, each ended by CR LF.
fn request(route: &Route, lines: &str) -> String {
    format!(
        "{} {} HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n",
        route.method,
        path_of(route)
    )
}

async fn check(address: SocketAddr, route: &Route, lines: &str, status: u16) {
    let request = request(route, lines);
    let answer = Client::connect(address).await.ask(&request).await;
    assert_refusal(&answer, surface(route), status, &request);
}

/// Refusals of the open rows look like those of the agent API.
fn surface(route: &Route) -> Surface {
    match route.surface {
        Surface::Gateway => Surface::Gateway,
        _ => Surface::Agent,
    }
}

#[tokio::test]
async fn no_route_answers_without_the_right_credential() {
    let gateway = Running::start().await;
    let address = gateway.addresses.tcp;
    for route in ROUTES {
        if route.access == Access::Credential {
            check(address, route, "", 401).await;
            check(address, route, "authorization: Basic eDp5\r\n", 401).await;
        } else {
            let answer = Client::connect(address).await.ask(request(route, "")).await;
            // The path made from a pattern names no file of the page.
            assert!(
                matches!(answer.status, 200 | 503) || route.surface == Surface::Page && answer.status == 404,
                "{}: {answer:?}",
                route.pattern
            );
        }
    }
    // One wrong credential a row would use the failures of an address up; each credential in turn has a gateway of its own.
    for (index, lines) in ["x-api-key: wrong\r\n", "authorization: Bearer wrong\r\n"]
        .into_iter()
        .enumerate()
    {
        for chunk in ROUTES.chunks(10) {
            let gateway = Running::start().await;
            for route in chunk {
                check(gateway.addresses.tcp, route, lines, 401).await;
            }
            gateway.stop().await;
        }
        assert!(index < 2);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn no_route_answers_a_foreign_host_or_page() {
    let gateway = Running::start().await;
    for route in ROUTES {
        for lines in [
            "origin: https://evil.example\r\n",
            "origin: null\r\n",
            "origin: http://localhost:1\r\n",
            "origin: https://localhost\r\n",
            "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n",
            "sec-fetch-site: same-site\r\n",
            "connection: upgrade\r\nupgrade: websocket\r\norigin: https://evil.example\r\n",
        ] {
            let lines = format!("{lines}x-api-key: {TOKEN}\r\n");
            check(gateway.addresses.tcp, route, &lines, 403).await;
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.168.7.7",
            "[::2]",
            "localhost@evil.example",
        ] {
            let path = path_of(route);
            let request = format!(
                "{} {path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {TOKEN}\r\n\r\n",
                route.method
            );
            let answer = Client::connect(gateway.addresses.tcp).await.ask(&request).await;
            let status = if host.contains('@') { 400 } else { 403 };
            assert_refusal(&answer, surface(route), status, &request);
        }
        let preflight = format!(
            "OPTIONS {} HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\naccess-control-request-method: POST\r\n\r\n",
            path_of(route)
        );
        let answer = Client::connect(gateway.addresses.tcp).await.ask(&preflight).await;
        assert_refusal(&answer, surface(route), 403, &preflight);
        assert!(
            !answer
                .headers
                .iter()
                .any(|(name, _)| name.starts_with("access-control"))
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn no_route_takes_a_method_that_it_does_not_have() {
    let gateway = Running::start().await;
    for route in ROUTES {
        for method in ["TRACE", "CONNECT", "BREW", "OPTIONS"] {
            let request = format!(
                "{method} {} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\n\r\n",
                path_of(route)
            );
            let answer = Client::connect(gateway.addresses.tcp).await.ask(&request).await;
            assert_refusal(&answer, surface(route), 405, &request);
            assert!(
                answer.header("allow").unwrap().contains(route.method.as_str()),
                "{answer:?}"
            );
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn no_route_takes_a_body_that_is_too_large() {
    let limit = 4096;
    let gateway = Running::with(|parts| {
        parts.settings.limits.max_request_size = limit;
        parts.settings.limits.max_gateway_request_size = limit * 2;
    })
    .await;
    for route in ROUTES {
        let limit = match route.body {
            BodyLimit::Own => limit,
            BodyLimit::Gateway => limit * 2,
            BodyLimit::Upload => MAX_UPLOAD_BYTES,
        };
        let lines = format!("x-api-key: {TOKEN}\r\ncontent-type: application/json\r\n");
        // Announced: refused before a byte of it is read, whether or not it comes.
        let announced = format!("{lines}content-length: {}\r\n", limit + 1);
        check(gateway.addresses.tcp, route, &announced, 413).await;
        let absurd = format!("{lines}content-length: 18446744073709551613\r\n");
        let answer = Client::connect(gateway.addresses.tcp)
            .await
            .ask(request(route, &absurd))
            .await;
        assert!(matches!(answer.status, 400 | 413), "{answer:?}");
    }
    gateway.stop().await;
}

/// The surface's shape, whatever is wrong with the request's own form.
#[tokio::test]
async fn every_route_answers_what_is_not_http_in_its_own_shape() {
    let gateway = Running::start().await;
    let cases: &[(&str, u16)] = &[
        ("content-length: 5\r\ncontent-length: 6\r\n", 400),
        ("content-length: +5\r\n", 400),
        ("content-length: 5, 6\r\n", 400),
        ("content-length: 0x5\r\n", 400),
        ("content-length: -1\r\n", 400),
        ("transfer-encoding: identity\r\n", 400),
        ("transfer-encoding: chunked, gzip\r\n", 400),
        ("transfer-encoding : chunked\r\n", 400),
        ("x: a\r\n folded: b\r\n", 400),
        ("x: a\0b\r\n", 400),
        ("x y: b\r\n", 400),
        (": b\r\n", 400),
        ("host: localhost\r\n", 400),
        ("host: other\r\n", 400),
    ];
    for route in ROUTES {
        for (lines, status) in cases {
            let lines = format!("{lines}x-api-key: {TOKEN}\r\n");
            check(gateway.addresses.tcp, route, &lines, *status).await;
        }
        let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
        check(gateway.addresses.tcp, route, &many, 431).await;
        let no_host = format!("{} {} HTTP/1.1\r\n\r\n", route.method, path_of(route));
        let answer = Client::connect(gateway.addresses.tcp).await.ask(&no_host).await;
        assert_refusal(&answer, surface(route), 403, &no_host);
    }
    gateway.stop().await;
}

/// Requests whose end two parsers could see in different places are refused, and nothing after them is a request.
#[tokio::test]
async fn no_request_is_smuggled_behind_another() {
    let gateway = Running::start().await;
    let orders = [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ];
    for route in ROUTES {
        for lines in orders {
            let both = format!(
                "{}0\r\n\r\nGET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
                request(route, &format!("x-api-key: {TOKEN}\r\n{lines}"))
            );
            let mut client = Client::connect(gateway.addresses.tcp).await;
            client.send(&both).await;
            let answer = client.answer(false).await.unwrap();
            assert_refusal(&answer, surface(route), 400, &both);
            assert_eq!(answer.header("connection"), Some("close"));
            assert!(client.answer(false).await.is_none(), "{both}");
        }
    }
    gateway.stop().await;
}

/// The same behind requests of every framing on one connection.
#[tokio::test]
async fn a_request_with_two_ends_is_found_behind_others() {
    let gateway = Running::start().await;
    let live = "GET /livez HTTP/1.1\r\nhost: localhost\r\n";
    let both = format!("{live}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{live}\r\n");
    let count = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    for (before, status) in [(format!("{live}\r\n"), 200), (count, 400)] {
        let mut client = Client::connect(gateway.addresses.tcp).await;
        client.send(format!("{before}{both}")).await;
        assert_eq!(client.answer(false).await.unwrap().status, status, "{before}");
        let answer = client.answer(false).await.unwrap();
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(client.answer(false).await.is_none(), "{before}");
    }
    // Behind chunks nobody looks: there the connection ends.
    let chunked = format!("{live}transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    let mut client = Client::connect(gateway.addresses.tcp).await;
    client.send(format!("{chunked}{both}")).await;
    let answer = client.answer(false).await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(client.answer(false).await.is_none());
    gateway.stop().await;
}

/// Lines may end without CR, as RFC 9112 (2.2) lets a recipient take them: all of a head, or some of it. A CR alone ends none.
#[tokio::test]
async fn a_bare_line_feed_ends_a_line_and_a_bare_carriage_return_does_not() {
    let gateway = Running::start().await;
    for text in [
        "GET /livez HTTP/1.1\nhost: localhost\n\n",
        "GET /livez HTTP/1.1\r\nhost: localhost\n\r\n",
    ] {
        let mut client = Client::connect(gateway.addresses.tcp).await;
        assert_eq!(client.ask(text).await.status, 200, "{text:?}");
        let both = text.replace("host:", "content-length: 1\ntransfer-encoding: chunked\nhost:");
        assert_refusal(&client.ask(&both).await, Surface::Agent, 400, &both);
        assert!(client.answer(false).await.is_none());
    }
    for text in [
        "GET /livez HTTP/1.1\rhost: localhost\r\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: localhost\rx: y\r\n\r\n",
    ] {
        let answer = Client::connect(gateway.addresses.tcp).await.ask(text).await;
        assert_refusal(&answer, Surface::Agent, 400, text);
    }
    gateway.stop().await;
}
