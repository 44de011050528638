//! What honest clients see: limits told in headers, signatures, pages that may call, compression, TLS and HTTP/2.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use agent_security::signature::{Scheme, SigningKey, sign};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::assert_refusal;
use super::wire::{Answer, Client};
use crate::parts::TlsFiles;
use crate::routes::Surface;
use crate::testing::{Running, TOKEN};

const BAD_MESSAGE: &str = "{}";

fn message(lines: &str) -> String {
    let length = BAD_MESSAGE.len();
    format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n{lines}\r\n{BAD_MESSAGE}"
    )
}

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\n{lines}\r\n")
}

async fn ask(gateway: &Running, request: impl AsRef<[u8]>) -> Answer {
    Client::connect(gateway.addresses.tcp).await.ask(request).await
}

#[tokio::test]
async fn the_rate_is_limited_told_and_not_counted_for_operations() {
    let gateway = Running::with(|parts| parts.settings.limits.requests_per_minute = 3).await;
    for left in ["2", "1", "0"] {
        let answer = ask(&gateway, message("")).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(
            answer.header("anthropic-ratelimit-requests-limit"),
            Some("1000000"),
            "the upstream's own"
        );
        assert!(
            answer
                .header("ratelimit")
                .unwrap()
                .contains(&format!("r={left};"))
        );
    }
    for (request, surface) in [
        (message(""), Surface::Gateway),
        (get("/api/v1/sessions", ""), Surface::Agent),
    ] {
        let answer = ask(&gateway, &request).await;
        assert_refusal(&answer, surface, 429, &request);
        let retry: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=20).contains(&retry), "{retry}");
        assert!(answer.header("ratelimit").unwrap().contains("r=0;"));
        let told = answer.header("anthropic-ratelimit-requests-limit");
        assert_eq!(told, Some("3").filter(|_| surface == Surface::Gateway));
    }
    assert_eq!(ask(&gateway, get("/api/v1/cache", "")).await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn guessing_a_token_ends_on_the_wire_too() {
    let gateway = Running::start().await;
    let guess = |number: u32| {
        format!("GET /api/v1/cache HTTP/1.1\r\nhost: localhost\r\nx-api-key: guess-{number}\r\n\r\n")
    };
    let mut limited = None;
    for number in 0..100 {
        let answer = ask(&gateway, guess(number)).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
        assert_eq!(answer.status, 401);
    }
    let limited = limited.expect("a hundred guesses are too many");
    assert_refusal(&limited, Surface::Operations, 429, "guessing");
    assert!(limited.header("retry-after").is_some());
    assert_eq!(
        ask(&gateway, get("/api/v1/cache", "")).await.status,
        200,
        "the right one passes, on a new connection too"
    );
    assert_eq!(
        ask(&gateway, guess(100)).await.status,
        429,
        "and frees no guesser"
    );
    assert_eq!(
        ask(&gateway, "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .status,
        200
    );
    gateway.stop().await;
}

#[tokio::test]
async fn requests_at_once_are_limited() {
    let gateway = Running::with(|parts| parts.settings.limits.max_concurrent_requests = 1).await;
    let mut slow = Client::connect(gateway.addresses.tcp).await;
    let whole = message("");
    let (head, rest) = whole.split_at(whole.len() - 1);
    slow.send(head).await;
    let mut refused = ask(&gateway, message("")).await;
    while refused.status != 529 {
        // Until the first is seen.
        refused = ask(&gateway, message("")).await;
    }
    assert_refusal(&refused, Surface::Gateway, 529, "no place");
    assert!(refused.header("retry-after").is_some());
    slow.send(rest).await;
    assert_eq!(slow.answer(false).await.unwrap().status, 400);
    while ask(&gateway, message("")).await.status == 529 {}
    gateway.stop().await;
}

#[tokio::test]
async fn answers_keep_browsers_careful_and_only_configured_pages_read_them() {
    let gateway = Running::with(|parts| {
        parts.settings.allowed_origins = vec!["https://dash.example".to_owned()];
        parts.settings.allowed_hosts = vec!["agent.internal".to_owned()];
    })
    .await;
    let answer = ask(&gateway, get("/api/v1/cache", "origin: https://dash.example\r\n")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://dash.example")
    );
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert!(
        answer
            .header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    let own = format!("origin: http://{}\r\n", gateway.addresses.tcp);
    let request = format!(
        "GET /livez HTTP/1.1\r\nhost: {}\r\n{own}\r\n",
        gateway.addresses.tcp
    );
    let answer = ask(&gateway, request).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.header("access-control-allow-origin").is_none(),
        "an own page needs no permission"
    );
    let preflight = "OPTIONS /v1/messages HTTP/1.1\r\nhost: agent.internal\r\norigin: https://dash.example\r\n\
                     access-control-request-method: POST\r\naccess-control-request-headers: x-api-key\r\n\r\n";
    let answer = ask(&gateway, preflight).await;
    assert_eq!(answer.status, 204);
    assert!(
        answer
            .header("access-control-allow-headers")
            .unwrap()
            .contains("x-api-key")
    );
    assert!(answer.header("access-control-allow-credentials").is_none());
    gateway.stop().await;
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_want_it() {
    let gateway = Running::start().await;
    let path = "/api/v1/openapi.json";
    let plain = ask(&gateway, get(path, "")).await;
    let packed = ask(&gateway, get(path, "accept-encoding: br, gzip\r\n")).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < plain.body.len());
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    gateway.stop().await;
}

#[tokio::test]
async fn where_signatures_are_asked_for_each_request_is_good_once() {
    let secret = b"a shared secret of thirty-two bytes";
    let shared = SigningKey::hmac_sha256("ci", secret).unwrap();
    signed_once(shared).await;
    signed_once(SigningKey::ed25519("ci", &[7; 32]).unwrap()).await;
}

/// A request signed for `body` that is sent with `sent`.
fn signed_by(key: &SigningKey, body: &[u8], sent: &[u8]) -> Vec<u8> {
    let mut request = Request::post("http://localhost/v1/messages")
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    sign(&mut request, body, key, &Scheme::HTTP, now).unwrap();
    let mut text = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\nanthropic-version: 2023-06-01\r\n"
    );
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", sent.len()));
    [text.as_bytes(), sent].concat()
}

async fn signed_once(key: SigningKey) {
    let known = key.verifying_key();
    let gateway = Running::with(|parts| parts.settings.signing = Some(vec![known])).await;
    let signed = |body: &[u8], sent: &[u8]| signed_by(&key, body, sent);
    let good = signed(BAD_MESSAGE.as_bytes(), BAD_MESSAGE.as_bytes());
    let reached = ask(&gateway, &good).await;
    assert_eq!(
        reached.status, 400,
        "it came through to what judges messages: {reached:?}"
    );
    assert_refusal(
        &ask(&gateway, &good).await,
        Surface::Gateway,
        401,
        "the same again",
    );
    let other = signed(BAD_MESSAGE.as_bytes(), b"[]");
    assert_refusal(
        &ask(&gateway, &other).await,
        Surface::Gateway,
        401,
        "another body",
    );
    let stranger = SigningKey::ed25519("ci", &[8; 32]).unwrap();
    let forged = signed_by(&stranger, BAD_MESSAGE.as_bytes(), BAD_MESSAGE.as_bytes());
    assert_refusal(
        &ask(&gateway, &forged).await,
        Surface::Gateway,
        401,
        "another's key under the same name",
    );
    assert_refusal(
        &ask(&gateway, message("")).await,
        Surface::Gateway,
        401,
        "no signature",
    );
    assert_refusal(
        &ask(&gateway, get("/api/v1/sessions", "")).await,
        Surface::Agent,
        401,
        "no signature",
    );
    assert_eq!(
        ask(&gateway, get("/api/v1/cache", "")).await.status,
        200,
        "what only reads figures needs none"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn tls_speaks_both_versions_and_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let gateway = Running::with(|parts| parts.settings.tls = Some(files)).await;
    assert!(gateway.addresses.base_url().starts_with("https://"));

    let certificate = made.cert.der().clone();
    let connect = async |protocol: &[u8]| -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(gateway.addresses.tcp).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    };
    let mut tasks = JoinSet::new();
    let (mut two, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connect(b"h2").await))
            .await
            .unwrap();
    tasks.spawn(async move { connection.await.is_ok() });
    for (path, token, status) in [
        ("/livez", None, 200),
        ("/api/v1/cache", Some(TOKEN), 200),
        ("/api/v1/cache", None, 401),
    ] {
        let mut request = Request::get(format!("https://localhost{path}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = two
            .send_request(request.body(Empty::<Bytes>::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert!(answer.headers().contains_key("request-id"));
        let body = read(answer.into_body()).await;
        assert!(!body.is_empty());
    }
    let foreign = Request::get("https://evil.example/livez")
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert_eq!(two.send_request(foreign).await.unwrap().status(), 403);

    let (mut one, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connect(b"http/1.1").await))
            .await
            .unwrap();
    tasks.spawn(async move { connection.await.is_ok() });
    let request = Request::get("/livez")
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert_eq!(one.send_request(request).await.unwrap().status(), 200);

    let mut plain = Client::connect(gateway.addresses.tcp).await;
    plain.send("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(plain.is_closed().await, "nothing is answered in the clear");
    drop((one, two));
    assert_eq!(gateway.stop().await.cut, 0);
}

#[tokio::test]
async fn requests_are_measured_by_route_and_status() {
    let gateway = Running::start().await;
    ask(&gateway, message("")).await;
    ask(&gateway, get("/api/v1/sessions/none-such", "")).await;
    let name = "http.server.request.duration";
    let mut seen = Vec::new();
    // Recorded when the answer is out, which its reader may see a moment earlier.
    for _ in 0..1000 {
        seen = gateway
            .metrics
            .get_metrics(Some(name))
            .remove(name)
            .unwrap_or_default()
            .into_iter()
            .map(|sample| {
                (
                    sample.tags["http.route"].clone(),
                    sample.tags["http.response.status_code"].clone(),
                )
            })
            .collect();
        if seen.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    seen.sort();
    let expected = [("/api/v1/sessions/{id}", "404"), ("/v1/messages", "400")];
    assert_eq!(
        seen,
        expected.map(|(route, status)| (route.to_owned(), status.to_owned()))
    );
    gateway.stop().await;
}

async fn read(body: hyper::body::Incoming) -> Bytes {
    #[expect(clippy::disallowed_methods, reason = "bounded by the line before")]
    let whole = Limited::new(body, 1 << 20).collect().await;
    whole.unwrap().to_bytes()
}
