//! Connections over real sockets, against servers that do what a test says.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::{
    AnswerError, ConnectionPoolConfig, HttpClient, HttpConnectionPool, PooledBody, RequestBody, SendError,
};
use super::Direct;

const DEADLINE: Duration = Duration::from_secs(10);

/// A listener, and a client of it.
async fn pair() -> (
    TcpListener,
    HttpConnectionPool,
    std::sync::Arc<HttpClient>,
    String,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x?y", listener.local_addr().unwrap());
    let pool = HttpConnectionPool::new(ConnectionPoolConfig::default());
    let client = pool.get_client(&url).await.unwrap();
    (listener, pool, client, url)
}

fn request(method: Method, url: &str, body: impl Into<RequestBody>) -> Request<RequestBody> {
    Request::builder()
        .method(method)
        .uri(url)
        .body(body.into())
        .unwrap()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = tokio::time::timeout(DEADLINE, listener.accept())
        .await
        .unwrap()
        .unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads until what was read ends so.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        all.push(
            tokio::time::timeout(DEADLINE, stream.read_u8())
                .await
                .unwrap()
                .unwrap(),
        );
    }
    String::from_utf8(all).unwrap()
}

async fn data(response: &mut Response<PooledBody>) -> Option<Result<Bytes, AnswerError>> {
    let frame = tokio::time::timeout(DEADLINE, response.body_mut().frame())
        .await
        .unwrap()?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

fn broken(error: SendError) -> String {
    assert!(matches!(error, SendError::Broken { .. }), "{error:?}");
    error.to_string()
}

/// Frames that come one after the other; of a length that nobody knows before.
struct Frames(Vec<Result<&'static str, &'static str>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = (!self.0.is_empty()).then(|| self.0.remove(0));
        Poll::Ready(next.map(|frame| frame.map(|data| Frame::data(data.into())).map_err(Into::into)))
    }
}

fn streamed<const N: usize>(frames: [Result<&'static str, &'static str>; N]) -> RequestBody {
    RequestBody::streamed(Frames(frames.to_vec()))
}

#[tokio::test]
async fn requests_are_written_as_servers_expect_them() {
    let (listener, _pool, client, url) = pair().await;
    let host = listener.local_addr().unwrap();
    let wrong_length = |mut request: Request<RequestBody>| {
        request
            .headers_mut()
            .insert("content-length", "99".parse().unwrap());
        request.headers_mut().insert("x-a", "b".parse().unwrap());
        request
    };
    let cases = [
        (
            request(Method::GET, &url, Bytes::new()),
            format!("GET /x?y HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        ),
        (
            request(Method::POST, &url, Bytes::new()),
            format!("POST /x?y HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            wrong_length(request(Method::POST, &url, Bytes::from("abc"))),
            format!("POST /x?y HTTP/1.1\r\nhost: {host}\r\nx-a: b\r\ncontent-length: 3\r\n\r\nabc"),
        ),
        (
            request(
                Method::PUT,
                &url,
                streamed([Ok("abc"), Ok(""), Ok("0123456789abcdef")]),
            ),
            format!(
                "PUT /x?y HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n\
                 0123456789abcdef\r\n0\r\n\r\n"
            ),
        ),
    ];
    let mut stream = None;
    for (request, expected) in cases {
        let serve = async {
            let mut on = match stream.take() {
                Some(stream) => stream,
                None => accept(&listener).await,
            };
            let seen = read_until(&mut on, &expected[expected.len() - 5..]).await;
            on.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            (seen, on)
        };
        let (answer, (seen, on)) = tokio::join!(client.send_body(request, client.default_limits()), serve);
        assert_eq!(answer.unwrap().status(), 204);
        assert_eq!(seen, expected);
        stream = Some(on);
    }
}

#[tokio::test]
async fn an_early_answer_comes_while_the_request_is_still_being_sent() {
    let (listener, pool, client, url) = pair().await;
    // More than the buffers of two sockets take.
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let serve = async {
        let mut stream = accept(&listener).await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream
            .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
            .await
            .unwrap();
        stream
    };
    let sent = client.send_body(request(Method::POST, &url, body), client.default_limits());
    let (answer, stream) = tokio::join!(sent, serve);
    let mut answer = answer.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(data(&mut answer).await.unwrap().unwrap(), "no");
    assert!(data(&mut answer).await.is_none());
    drop(stream);
    assert_eq!(
        pool.get_stats().open,
        0,
        "a request that is cut leaves no connection"
    );
}

#[tokio::test]
async fn the_rest_of_a_request_goes_out_while_its_answer_is_read() {
    let (listener, pool, client, url) = pair().await;
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let length = body.len();
    let serve = async {
        let mut stream = accept(&listener).await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await.unwrap();
        stream.write_all(b"2\r\nok\r\n0\r\n\r\n").await.unwrap();
        stream
    };
    let ask = async {
        let sent = client.send_body(request(Method::POST, &url, body), client.default_limits());
        let mut answer = sent.await.unwrap();
        assert_eq!(data(&mut answer).await.unwrap().unwrap(), "ok");
        assert!(data(&mut answer).await.is_none());
    };
    let (_stream, ()) = tokio::join!(serve, ask);
    assert_eq!((pool.get_stats().open, pool.get_stats().in_use), (1, 0));
}

#[tokio::test]
async fn a_request_whose_body_fails_is_broken_off_and_says_why() {
    for body in [
        streamed([Ok("abc"), Err("the disk is gone")]),
        streamed([Err("the disk is gone")]),
    ] {
        let (listener, pool, client, url) = pair().await;
        let sent = client.send_body(request(Method::POST, &url, body), client.default_limits());
        let (answer, _stream) = tokio::join!(sent, accept(&listener));
        assert!(broken(answer.unwrap_err()).contains("the disk is gone"));
        assert_eq!(pool.get_stats().open, 0);
    }
}

#[tokio::test]
async fn an_answer_that_can_not_be_trusted_costs_its_connection() {
    for (sent, text) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
            "both",
        ),
        ("nonsense\r\n\r\n", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nx", "closed before"),
        ("", "closed before"),
    ] {
        let (listener, pool, client, url) = pair().await;
        let serve = async {
            let mut stream = accept(&listener).await;
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(sent.as_bytes()).await.unwrap();
        };
        let asked = client.send_body(request(Method::GET, &url, Bytes::new()), client.default_limits());
        let (answer, ()) = tokio::join!(asked, serve);
        let error = broken(answer.unwrap_err());
        assert!(error.contains(text), "{error}");
        assert_eq!(pool.get_stats().open, 0, "{sent:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_after_what_came() {
    for (sent, text) in [
        ("2\r\nok\r\nx\r\n", "size of a chunk"),
        ("2\r\nok\r\n", "closed before"),
    ] {
        let (listener, pool, client, url) = pair().await;
        let serve = async {
            let mut stream = accept(&listener).await;
            read_until(&mut stream, "\r\n\r\n").await;
            let sent = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{sent}");
            stream.write_all(sent.as_bytes()).await.unwrap();
        };
        let asked = client.send_body(request(Method::GET, &url, Bytes::new()), client.default_limits());
        let (answer, ()) = tokio::join!(asked, serve);
        let mut answer = answer.unwrap();
        assert_eq!(data(&mut answer).await.unwrap().unwrap(), "ok");
        let error = data(&mut answer).await.unwrap().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(pool.get_stats().open, 0);
    }
}

/// What was sent behind an answer must not become the next one's.
#[tokio::test]
async fn what_nobody_asked_for_is_no_answer() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
    for late in [false, true] {
        let (listener, pool, client, url) = pair().await;
        for round in 0..3 {
            let serve = async {
                let mut stream = accept(&listener).await;
                read_until(&mut stream, "\r\n\r\n").await;
                let evil = format!("{ANSWER}no");
                let (first, second) = if late {
                    (String::new(), evil)
                } else {
                    (evil, String::new())
                };
                stream
                    .write_all(format!("{ANSWER}ok{first}").as_bytes())
                    .await
                    .unwrap();
                (stream, second)
            };
            let asked = client.send_body(request(Method::GET, &url, Bytes::new()), client.default_limits());
            let (answer, (mut stream, second)) = tokio::join!(asked, serve);
            assert_eq!(
                data(&mut answer.unwrap()).await.unwrap().unwrap(),
                "ok",
                "{round}"
            );
            stream.write_all(second.as_bytes()).await.unwrap();
            let closed = async {
                while pool.get_stats().open > 0 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(DEADLINE, closed).await.unwrap();
        }
    }
}

#[tokio::test]
async fn giving_up_closes_the_connection() {
    let (listener, pool, client, url) = pair().await;
    let asked = client.send_body(request(Method::GET, &url, Bytes::new()), client.default_limits());
    let mut asked = Box::pin(asked);
    let mut stream = tokio::select! {
        stream = accept(&listener) => stream,
        _ = &mut asked => unreachable!("nobody answers"),
    };
    let head = async {
        read_until(&mut stream, "\r\n\r\n").await;
    };
    tokio::select! {
        () = head => {}
        _ = &mut asked => unreachable!("nobody answers"),
    }
    drop(asked);
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "closed at once");
    assert_eq!(pool.get_stats().open, 0);
}

/// A length that was not promised must not be found out: whoever passes the body on may have to add a word.
#[tokio::test]
async fn only_what_the_head_measures_has_a_length() {
    for (sent, length) in [
        ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
        ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", None),
        ("connection: close\r\n\r\n", None),
        ("content-length: 2\r\n\r\nok", Some(2)),
        ("content-length: 0\r\n\r\n", Some(0)),
    ] {
        let (listener, _pool, client, url) = pair().await;
        let serve = async {
            let mut stream = accept(&listener).await;
            read_until(&mut stream, "\r\n\r\n").await;
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\n{sent}").as_bytes())
                .await
                .unwrap();
        };
        let asked = client.send_body(request(Method::GET, &url, Bytes::new()), client.default_limits());
        let (answer, ()) = tokio::join!(asked, serve);
        let mut answer = answer.unwrap();
        assert_eq!(answer.body().size_hint().exact(), length, "{sent}");
        while data(&mut answer).await.is_some() {}
        assert_eq!(answer.body().size_hint().exact(), length.map(|_| 0), "{sent}");
    }
}

#[test]
fn a_connection_that_waits_is_small() {
    assert!(size_of::<Direct>() <= 400, "{}", size_of::<Direct>());
    assert!(size_of::<PooledBody>() <= 80, "{}", size_of::<PooledBody>());
}
