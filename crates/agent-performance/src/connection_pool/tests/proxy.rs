use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::tls::{Localhost, localhost, tls_server};
use super::{Behaviour, CHUNKED, failure, get, server, text};
use crate::connection_pool::{ConnectFailure, ConnectionPoolConfig, HttpConnectionPool, ProxySettings};
use crate::lifecycle::Lifecycle;

/// `user:pass` as it is sent.
const CREDENTIAL: &str = "proxy-authorization: basic dxnlcjpwyxnz";

type Heads = Arc<Mutex<Vec<String>>>;

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Tunnels to whatever it is asked for, and answers everything else itself; remembers the heads of the requests.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str, heads: &Heads) {
    let head = read_head(&mut stream).await;
    heads.lock().unwrap().push(head.to_ascii_lowercase());
    if let Some(target) = head.strip_prefix("CONNECT ") {
        stream.write_all(answer.as_bytes()).await.unwrap();
        if answer.starts_with("HTTP/1.1 200") {
            let target = target.split(' ').next().unwrap();
            let mut origin = TcpStream::connect(target).await.unwrap();
            copy_bidirectional(&mut stream, &mut origin)
                .await
                .unwrap_or_default();
        }
        return;
    }
    for part in CHUNKED {
        stream.write_all(part).await.unwrap();
    }
    // Until the client has enough of it.
    while let Ok(1..) = stream.read(&mut [0; 64]).await {}
}

struct Proxy {
    heads: Heads,
    port: u16,
}

async fn proxy(lifecycle: &Lifecycle, answer: &'static str, tls: Option<&Localhost>) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, acceptor) = (Heads::default(), tls.map(|tls| tls.acceptor.clone()));
    let seen = Arc::clone(&heads);
    drop(lifecycle.spawn("proxy", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            match &acceptor {
                None => serve(stream, answer, &seen).await,
                Some(acceptor) => serve(acceptor.accept(stream).await.unwrap(), answer, &seen).await,
            }
        }
    }));
    Proxy { heads, port }
}

fn pool(variables: &[(&str, String)], bundle: Option<&Localhost>) -> HttpConnectionPool {
    let variable = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.clone())
    };
    HttpConnectionPool::new(ConnectionPoolConfig {
        proxy: ProxySettings::from_variables(variable).unwrap(),
        ca_bundle: bundle.map(|bundle| bundle.bundle.path().to_owned()),
        ..Default::default()
    })
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\nvia: proxy\r\n\r\n";

#[tokio::test]
async fn https_goes_through_a_tunnel_and_keeps_the_password_from_the_origin() {
    let lifecycle = Lifecycle::new();
    let origin = localhost(&[]);
    let port = tls_server(&lifecycle, origin.acceptor.clone(), Behaviour::Chunked).await;
    let proxy = proxy(&lifecycle, ESTABLISHED, None).await;
    let address = format!("http://user:pass@127.0.0.1:{}", proxy.port);
    let pool = pool(&[("HTTPS_PROXY", address)], Some(&origin));
    for _ in 0..3 {
        let url = format!("https://localhost:{port}/");
        assert_eq!(text(get(&pool, &url).await.unwrap()).await, "ok");
    }
    let heads = proxy.heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 1, "a tunnel is reused like any connection");
    assert!(
        heads[0].starts_with(&format!("connect localhost:{port} http/1.1\r\n")),
        "{}",
        heads[0]
    );
    assert!(heads[0].contains(CREDENTIAL), "{}", heads[0]);
    assert_eq!(pool.get_stats().reused_total, 2);
}

#[tokio::test]
async fn a_tunnel_goes_through_a_proxy_that_is_itself_reached_by_tls() {
    let lifecycle = Lifecycle::new();
    let both = localhost(&[b"h2", b"http/1.1"]);
    let port = tls_server(&lifecycle, both.acceptor.clone(), Behaviour::Chunked).await;
    let proxy = proxy(&lifecycle, ESTABLISHED, Some(&both)).await;
    let pool = HttpConnectionPool::new(ConnectionPoolConfig {
        http2: false,
        proxy: ProxySettings::from_variables(|name| {
            (name == "HTTPS_PROXY").then(|| format!("https://localhost:{}", proxy.port))
        })
        .unwrap(),
        ca_bundle: Some(both.bundle.path().to_owned()),
        ..Default::default()
    });
    let response = get(&pool, &format!("https://localhost:{port}/")).await.unwrap();
    assert_eq!(text(response).await, "ok");
    assert_eq!(proxy.heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn http_is_forwarded_with_whole_addresses_except_to_those_named() {
    let lifecycle = Lifecycle::new();
    let proxy = proxy(&lifecycle, "", None).await;
    let (direct, _) = server(&lifecycle, Behaviour::Chunked).await;
    let address = format!("user:pass@127.0.0.1:{}", proxy.port);
    let variables = [
        ("http_proxy", format!("http://{address}")),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ];
    let pool = pool(&variables, None);
    let response = get(&pool, "http://origin.invalid/path?q").await.unwrap();
    assert_eq!(text(response).await, "ok");
    assert_eq!(
        text(get(&pool, &format!("http://{direct}/")).await.unwrap()).await,
        "ok"
    );
    let heads = proxy.heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 1, "NO_PROXY is obeyed");
    assert!(
        heads[0].starts_with("get http://origin.invalid/path?q http/1.1\r\n"),
        "{}",
        heads[0]
    );
    assert!(
        heads[0].contains("host: origin.invalid\r\n") && heads[0].contains(CREDENTIAL),
        "{}",
        heads[0]
    );
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_as_the_cause() {
    let lifecycle = Lifecycle::new();
    for (answer, expected) in [
        (
            "HTTP/1.1 407 Proxy Authentication\u{7} Required\r\n\r\n",
            "407 Proxy Authentication Required",
        ),
        ("SSH-2.0-nonsense\r\n\r\n", "not HTTP"),
        ("HTTP/1.1 50", "end of file"),
    ] {
        let proxy = proxy(&lifecycle, answer, None).await;
        let pool = pool(&[("ALL_PROXY", format!("http://127.0.0.1:{}", proxy.port))], None);
        let error = get(&pool, "https://origin.invalid/").await.unwrap_err();
        assert!(
            error.to_string().contains(expected) && error.to_string().contains("HTTPS_PROXY"),
            "{error}"
        );
        assert_eq!(failure(error), ConnectFailure::Proxy);
        assert_eq!(pool.get_stats().open, 0);
    }
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let pool = pool(&[("ALL_PROXY", format!("http://{closed}"))], None);
    let error = get(&pool, "https://origin.invalid/").await.unwrap_err();
    assert_eq!(failure(error), ConnectFailure::Proxy, "a proxy that is not there");
}

#[tokio::test]
async fn a_proxy_that_talks_without_end_is_cut_short() {
    let lifecycle = Lifecycle::new();
    let long: &'static str = Box::leak(format!("HTTP/1.1 200 {}", "x".repeat(9000)).into_boxed_str());
    let proxy = proxy(&lifecycle, long, None).await;
    let pool = pool(&[("ALL_PROXY", format!("http://127.0.0.1:{}", proxy.port))], None);
    let error = get(&pool, "https://origin.invalid/").await.unwrap_err();
    assert!(error.to_string().contains("8192"), "{error}");
}
