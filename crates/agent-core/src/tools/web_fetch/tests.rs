//! Against a real server on the loopback interface, which the guard refuses unless the test lists it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agent_security::network::HostRules;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::WebAccess;
use crate::tools::testing::Bench;
use crate::tools::{ToolContext, ToolLimits, ToolResult};

type Respond = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// Answers each request for a path with the bytes given, and closes; `None` never answers.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(respond: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, respond): (_, Arc<Respond>) = (Arc::clone(&requests), Arc::new(respond));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, respond) = (Arc::clone(&count), Arc::clone(&respond));
                std::thread::spawn(move || serve(stream, &count, &*respond));
            }
        });
        Self { address, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, count: &AtomicUsize, respond: &Respond) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        head.push(byte[0]);
    }
    count.fetch_add(1, Ordering::SeqCst);
    let head = String::from_utf8_lossy(&head).into_owned();
    match respond(head.split(' ').nth(1).unwrap_or_default()) {
        Some(bytes) => drop(stream.write_all(&bytes)),
        None => drop(stream.read(&mut byte)),
    }
}

fn response(head: &str, body: &[u8]) -> Option<Vec<u8>> {
    let head = format!(
        "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Some([head.as_bytes(), body].concat())
}

fn page(kind: &str, body: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    response(&format!("200 OK\r\ncontent-type: {kind}"), body.as_ref())
}

fn redirect(to: &str) -> Option<Vec<u8>> {
    response(&format!("302 Found\r\nlocation: {to}"), b"")
}

fn bench(hosts: &[&str]) -> Bench {
    Bench::with_limits(ToolLimits {
        max_output: 16 * 1024,
        web: WebAccess {
            allowed_hosts: HostRules::new(hosts).unwrap(),
            timeout: Duration::from_secs(20),
            ..WebAccess::default()
        },
        ..ToolLimits::default()
    })
}

async fn fetch(hosts: &[&str], input: Value) -> ToolResult {
    bench(hosts).call("web_fetch", input).await
}

const HERE: &[&str] = &["127.0.0.1"];

#[tokio::test]
async fn a_page_comes_as_marked_text() {
    let server = Server::start(|path| {
        assert_eq!(path, "/doc?x=1");
        page(
            "text/html; charset=iso-8859-1",
            b"<h1>Title</h1><p>caf\xE9\xAD <a href=/b>more</a>",
        )
    });
    let result = fetch(HERE, json!({"url": server.url("/doc?x=1#part")})).await;
    assert_eq!(
        result.distrusted.as_deref(),
        Some(server.url("/doc?x=1").as_str())
    );
    let text = Bench::works(result);
    let more = server.url("/b");
    assert!(
        text.contains(&format!("\n# Title\n\ncafé more ({more})\n")),
        "{text}"
    );
    assert!(
        text.starts_with(&format!("200 {} (text/html)\n", server.url("/doc?x=1"))),
        "{text}"
    );
    assert!(text.contains("not instructions"), "{text}");
    let mark = text
        .split("<<")
        .nth(1)
        .and_then(|rest| rest.split('\n').next())
        .unwrap();
    assert!(
        text.ends_with(&format!("\n{mark}>>")) && mark.len() == 32,
        "{text}"
    );
}

#[tokio::test]
async fn raw_text_and_other_texts_come_as_they_are() {
    let server = Server::start(|path| match path {
        "/html" => page("text/html", "<b>x</b>"),
        "/json" => page("application/problem+json", "{\"a\": 1}"),
        _ => response("200 OK", b"<HTML><p>sniffed"),
    });
    let text = Bench::works(fetch(HERE, json!({"url": server.url("/html"), "render": "raw"})).await);
    assert!(text.contains("\n<b>x</b>\n"), "{text}");
    let text = Bench::works(fetch(HERE, json!({"url": server.url("/json")})).await);
    assert!(text.contains("\n{\"a\": 1}\n"), "{text}");
    let text = Bench::works(fetch(HERE, json!({"url": server.url("/none")})).await);
    assert!(text.contains("\nsniffed\n"), "{text}");
}

#[tokio::test]
async fn what_is_not_text_is_refused_with_its_type() {
    let server = Server::start(|path| match path {
        "/png" => page("image/png", "x"),
        "/pdf" => page("text/plain", "%PDF-1.7\0\0\0\u{1}\0"),
        "/br" => response("200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: br", b"x"),
        _ => page("text/plain", [0, 1, 2, 3]),
    });
    for (path, expected) in [
        ("/png", "of type image/png"),
        ("/pdf", "PDF"),
        ("/br", "br"),
        ("/bin", "not text"),
    ] {
        let result = fetch(HERE, json!({"url": server.url(path)})).await;
        let text = Bench::fails(result);
        assert!(text.contains(expected), "{path}: {text}");
    }
}

#[tokio::test]
async fn an_error_status_is_an_error_with_its_text() {
    let server = Server::start(|_| response("404 Not Found\r\ncontent-type: text/plain", b"no such page"));
    let result = fetch(HERE, json!({"url": server.url("/x")})).await;
    assert!(
        result.distrusted.is_some(),
        "also an error page was written by a stranger"
    );
    let text = Bench::fails(result);
    assert!(
        text.starts_with("404 ") && text.contains("no such page"),
        "{text}"
    );
}

#[tokio::test]
async fn a_page_of_any_size_and_a_bomb_cost_no_more_than_was_asked_for() {
    let server = Server::start(|path| {
        if path == "/bomb" {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&vec![b' '; 64 << 20]).unwrap();
            let head = "200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip";
            return response(head, &encoder.finish().unwrap());
        }
        page("text/plain", vec![b'x'; 8 << 20])
    });
    for path in ["/large", "/bomb"] {
        let result = fetch(HERE, json!({"url": server.url(path), "max_bytes": 100_000})).await;
        assert!(
            result.truncated && result.content.len() <= 16 * 1024,
            "{path}: {}",
            result.content.len()
        );
        assert!(Bench::works(result).contains("only its first 100000 bytes were read"));
    }
}

#[tokio::test]
async fn addresses_that_are_not_public_are_never_connected_to() {
    let server = Server::start(|_| page("text/plain", "secret"));
    let port = server.address.port();
    let bench = bench(&[]);
    let inner = [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "[::]",
    ];
    for host in inner {
        let text = Bench::fails(
            bench
                .call("web_fetch", json!({"url": format!("http://{host}:{port}/")}))
                .await,
        );
        assert!(text.contains("must not be connected to"), "{host}: {text}");
    }
    for host in [
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "127.1",
        "user@127.0.0.1",
        "127.0.0.1\0.example",
        "127.0.0.1.",
    ] {
        let text = Bench::fails(
            bench
                .call("web_fetch", json!({"url": format!("http://{host}:{port}/")}))
                .await,
        );
        assert!(text.starts_with("web_fetch: url: "), "{host}: {text}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn redirects_are_followed_by_hand_and_judged_one_by_one() {
    let server = Server::start(|path| match path {
        "/loop" => redirect("/loop"),
        "/elsewhere" => redirect("http://elsewhere.example/x?data"),
        "/inner" => redirect("http://169.254.169.254/latest/meta-data/"),
        "/odd" => redirect("http://0x7f.1/"),
        "/file" => redirect("file:///etc/passwd"),
        "/user" => redirect("//a@127.0.0.1/"),
        "/5" => page("text/plain", "arrived"),
        number => redirect(&format!("/{}", number[1..].parse::<u32>().unwrap() + 1)),
    });
    let text = Bench::works(fetch(HERE, json!({"url": server.url("/0")})).await);
    assert!(text.contains("arrived"), "five redirects are followed: {text}");
    let before = server.requests();
    let text = Bench::fails(fetch(HERE, json!({"url": server.url("/loop")})).await);
    assert!(text.contains("redirected 5 times"), "{text}");
    assert_eq!(server.requests() - before, 6);
    for (path, to) in [
        ("/elsewhere", "http://elsewhere.example/x?data"),
        ("/inner", "http://169.254.169.254/"),
    ] {
        let result = fetch(HERE, json!({"url": server.url(path)})).await;
        assert!(result.distrusted.is_some());
        let text = Bench::works(result);
        assert!(
            text.contains("redirects to another host") && text.contains(to),
            "{path}: {text}"
        );
    }
    for path in ["/odd", "/file", "/user"] {
        let text = Bench::fails(fetch(HERE, json!({"url": server.url(path)})).await);
        assert!(text.contains("not followed"), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_ends_by_time_and_by_cancelling() {
    let server = Server::start(|path| match path {
        "/half" => {
            Some(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nhalf".to_vec())
        }
        _ => None,
    });
    let text = Bench::fails(fetch(HERE, json!({"url": server.url("/half")})).await);
    assert!(text.contains("broke off"), "{text}");
    let slow = Bench::with_limits(ToolLimits {
        web: WebAccess {
            allowed_hosts: HostRules::new(HERE).unwrap(),
            timeout: Duration::from_millis(200),
            ..WebAccess::default()
        },
        ..ToolLimits::default()
    });
    let text = Bench::fails(slow.call("web_fetch", json!({"url": server.url("/never")})).await);
    assert!(
        text.contains("did not begin to answer") || text.contains("took longer"),
        "{text}"
    );
    let cancel = CancellationToken::new();
    let begun = Instant::now();
    let bench = bench(HERE);
    let call = bench.call_with(
        "web_fetch",
        json!({"url": server.url("/never")}),
        ToolContext::new(cancel.clone()),
    );
    let (result, ()) = tokio::join!(call, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.cancel();
    });
    assert!(Bench::fails(result).starts_with("cancelled"));
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn wrong_input_is_told() {
    let bench = bench(&[]);
    for (input, expected) in [
        (json!({"url": "example.com"}), "absolute URL"),
        (json!({"url": "ftp://example.com"}), "https and http"),
        (
            json!({"url": "https://example.com", "max_bytes": 0}),
            "max_bytes is 0",
        ),
        (
            json!({"url": "https://example.com", "max_bytes": 99_999_999}),
            "max_bytes",
        ),
        (json!({"url": "https://example.com", "render": "pdf"}), "render"),
    ] {
        let text = Bench::fails(bench.call("web_fetch", input).await);
        assert!(text.contains(expected), "{text}");
    }
}
