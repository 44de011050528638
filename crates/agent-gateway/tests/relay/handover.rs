//! Streams leave the HTTP library while they are under way. Whatever comes before, during and after one, the connection goes on as
//! if they did not.

use std::sync::Arc;
use std::time::Duration;

use agent_gateway::TlsFiles;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::rig::{Choice, Rig, STREAM, WHOLE};
use super::upstream::{
    END, MESSAGE_START, STREAM_HEAD, Step, Upstream, chunk, json_answer, send, whole_stream,
};
use super::wire::{self, Reply, TOO_LONG, find, is_over, read_next, read_reply};

const MESSAGE: &str = r#"{"type":"message","usage":{"input_tokens":1,"output_tokens":1}}"#;

fn streamed() -> Vec<Step> {
    vec![send(STREAM_HEAD), send(chunk(&whole_stream())), send(END)]
}

/// The begin, and the rest a while later.
fn streamed_slowly(pause: Duration) -> Vec<Step> {
    let rest = whole_stream().split_off(MESSAGE_START.len());
    let begin = vec![send(STREAM_HEAD), send(chunk(MESSAGE_START)), Step::Pause(pause)];
    [begin, vec![send(chunk(&rest)), send(END)]].concat()
}

fn is_the_stream(reply: &Reply) {
    assert_eq!((reply.status, reply.whole), (200, true), "{reply:?}");
    assert_eq!(reply.text(), whole_stream());
}

fn is_the_message(reply: &Reply) {
    assert_eq!((reply.status, reply.text()), (200, MESSAGE), "{reply:?}");
}

impl Rig {
    fn ask(&self, body: &str) -> Vec<u8> {
        wire::request("POST", "/v1/messages", &self.head(), body.as_bytes())
    }
}

async fn until_begun(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    while find(bytes, b"event: message_start").is_none() {
        assert!(stream.read_buf(bytes).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_stream() {
    let scripts = vec![streamed(), vec![json_answer(MESSAGE)], streamed(), streamed()];
    let upstream = Upstream::start(scripts).await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = wire::connect(rig.address).await;
    for body in [STREAM, WHOLE, STREAM, STREAM] {
        stream.write_all(&rig.ask(body)).await.unwrap();
        let reply = read_reply(&mut stream).await;
        if body == WHOLE {
            is_the_message(&reply);
        } else {
            is_the_stream(&reply);
            assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
            assert!(reply.header("date").is_some() && reply.header("content-length").is_none());
        }
    }
    let series = "http.server.request.duration";
    for _ in 0..500 {
        if rig
            .collector
            .get_metric_statistics(series)
            .is_some_and(|known| known.count == 4)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("four requests are not recorded");
}

#[tokio::test]
async fn what_is_asked_before_a_stream_has_ended_is_answered_after_it() {
    // More than is read ahead, so that some of it waits with the system.
    let long = WHOLE.replace("hi", &"hi ".repeat(30_000));
    let scripts = vec![
        vec![json_answer(MESSAGE)],
        streamed_slowly(Duration::from_millis(100)),
        vec![json_answer(MESSAGE)],
        streamed_slowly(Duration::from_millis(100)),
        vec![json_answer(MESSAGE)],
    ];
    let upstream = Upstream::start(scripts).await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = wire::connect(rig.address).await;
    let (mut reading, mut writing) = stream.split();
    // At once, and the last one while the second stream is under way.
    let asked = [WHOLE, STREAM, WHOLE, STREAM].map(|body| rig.ask(body)).concat();
    let sending = async {
        writing.write_all(&asked).await.unwrap();
        while upstream.seen.count() < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        writing.write_all(&rig.ask(&long)).await.unwrap();
    };
    let reading = async {
        let mut bytes = Vec::new();
        for place in 0..5 {
            let reply = read_next(&mut reading, &mut bytes).await;
            if place % 2 == 0 {
                is_the_message(&reply);
            } else {
                is_the_stream(&reply);
            }
        }
        assert!(bytes.is_empty(), "nothing more was asked for");
    };
    tokio::join!(sending, reading);
    assert!(upstream.seen.texts()[4].ends_with(&long));
}

#[tokio::test]
async fn a_client_that_asked_for_more_and_leaves_ends_the_upstreams_request() {
    let steps = vec![send(STREAM_HEAD), send(chunk(MESSAGE_START)), Step::Hang];
    let upstream = Upstream::saying(steps).await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = rig.asked(STREAM).await;
    until_begun(&mut stream, &mut Vec::new()).await;
    stream.write_all(&rig.ask(WHOLE)).await.unwrap();
    drop(stream);
    tokio::time::timeout(TOO_LONG, upstream.seen.gone.notified())
        .await
        .expect("the upstream's request goes on");
    rig.figure("claude.requests", &[("outcome", "cancelled")], 1.0)
        .await;
    assert_eq!(upstream.seen.count(), 1, "nobody waits for the other one");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_stream_is_cut() {
    let event = chunk(&format!("event: ping\ndata: {}\n\n", "x".repeat(60_000)));
    let upstream = Upstream::saying(vec![send(STREAM_HEAD), Step::Flood(event.into())]).await;
    let choice = Choice {
        write_timeout: Duration::from_millis(300),
        ..Choice::default()
    };
    let rig = Rig::with(&upstream.url(), choice).await;
    let _stream = rig.asked(STREAM).await;
    tokio::time::timeout(TOO_LONG, upstream.seen.gone.notified())
        .await
        .expect("the stream waits for ever");
}

#[tokio::test]
async fn a_drain_lets_a_stream_end_and_then_closes() {
    let upstream = Upstream::saying(streamed_slowly(Duration::from_millis(200))).await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = rig.asked(STREAM).await;
    let mut bytes = Vec::new();
    until_begun(&mut stream, &mut bytes).await;
    rig.lifecycle.token().cancel();
    is_the_stream(&read_next(&mut stream, &mut bytes).await);
    assert!(is_over(&mut stream).await);
}

/// A stream that begins when the end has begun says that it is the last answer.
#[tokio::test]
async fn a_stream_that_begins_in_a_drain_tells_it() {
    let pause = Step::Pause(Duration::from_millis(300));
    let steps = [vec![pause], streamed()].concat();
    let upstream = Upstream::saying(steps).await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = rig.asked(STREAM).await;
    while upstream.seen.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rig.lifecycle.token().cancel();
    let reply = read_reply(&mut stream).await;
    is_the_stream(&reply);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(is_over(&mut stream).await);
}

#[tokio::test]
async fn a_client_that_asks_no_more_is_told_goodbye() {
    let upstream = Upstream::saying(streamed()).await;
    let rig = Rig::before(&upstream.url()).await;
    let head = rig.head() + "connection: close\r\n";
    let mut stream = wire::connect(rig.address).await;
    let request = wire::request("POST", "/v1/messages", &head, STREAM.as_bytes());
    stream.write_all(&request).await.unwrap();
    let reply = read_reply(&mut stream).await;
    is_the_stream(&reply);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(is_over(&mut stream).await);
}

#[tokio::test]
async fn an_older_client_gets_no_chunks() {
    let upstream = Upstream::saying(streamed()).await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = wire::connect(rig.address).await;
    let request = String::from_utf8(rig.ask(STREAM)).unwrap();
    let request = request.replace("HTTP/1.1", "HTTP/1.0");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = tokio::time::timeout(TOO_LONG, stream.read_to_string(&mut text)).await;
    read.expect("the end of the body is the end of the connection")
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.") && !head.contains("chunked"), "{head}");
    assert_eq!(body, whole_stream());
}

#[tokio::test]
async fn a_head_alone_has_no_body() {
    let upstream = Upstream::start(vec![vec![send(STREAM_HEAD)], streamed()]).await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = wire::connect(rig.address).await;
    let request = wire::request("HEAD", "/v1/stream", &rig.head(), b"");
    stream.write_all(&request).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    assert!(bytes.starts_with(b"HTTP/1.1 200"), "{}", bytes.escape_ascii());
    stream.write_all(&rig.ask(STREAM)).await.unwrap();
    is_the_stream(&read_reply(&mut stream).await);
}

/// An upstream that answers before it has read the request: what is left of the body must not become a request of its own.
#[tokio::test]
async fn the_rest_of_a_body_is_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let hidden = "GET /v1/hidden HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(3);
    let answering = async {
        let mut asked = Vec::new();
        let (mut stream, _) = listener.accept().await.unwrap();
        while find(&asked, b"\r\n\r\nbegin").is_none() {
            stream.read_buf(&mut asked).await.unwrap();
        }
        let answer = [STREAM_HEAD, &chunk(MESSAGE_START)].concat();
        stream.write_all(answer.as_bytes()).await.unwrap();
        while find(&asked, hidden.as_bytes()).is_none() {
            if stream.read_buf(&mut asked).await.unwrap() == 0 {
                break;
            }
        }
        stream
            .write_all([&chunk("rest"), END].concat().as_bytes())
            .await
            .unwrap();
        asked
    };
    let rig = Rig::before(&upstream).await;
    let asking = async {
        let mut stream = wire::connect(rig.address).await;
        let body = "begin".to_owned() + &hidden;
        let request = wire::request("POST", "/v1/files", &rig.head(), body.as_bytes());
        let (now, later) = request.split_at(request.len() - hidden.len());
        stream.write_all(now).await.unwrap();
        let mut bytes = Vec::new();
        until_begun(&mut stream, &mut bytes).await;
        stream.write_all(later).await.unwrap();
        let reply = read_next(&mut stream, &mut bytes).await;
        assert_eq!(reply.text(), MESSAGE_START.to_owned() + "rest");
        assert!(
            bytes.is_empty(),
            "one question, one answer: {}",
            bytes.escape_ascii()
        );
    };
    let (asked, ()) = tokio::join!(answering, asking);
    assert_eq!(String::from_utf8(asked).unwrap().matches("POST ").count(), 1);
}

#[tokio::test]
async fn streams_over_tls_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let large = chunk(&format!("event: ping\ndata: {}\n\n", "x".repeat(300_000)));
    let many = vec![
        send(STREAM_HEAD),
        send(&large),
        send(chunk(&whole_stream())),
        send(END),
    ];
    let upstream = Upstream::start(vec![many, vec![json_answer(MESSAGE)], streamed()]).await;
    let choice = Choice {
        tls: Some(files),
        ..Choice::default()
    };
    let rig = Rig::with(&upstream.url(), choice).await;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = wire::connect(rig.address).await;
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    stream.write_all(&rig.ask(STREAM)).await.unwrap();
    // The client is slow at first: what it does not take waits.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let reply = read_reply(&mut stream).await;
    assert!(reply.whole && reply.text().ends_with(&whole_stream()) && reply.body.len() > 300_000);
    for body in [WHOLE, STREAM] {
        stream.write_all(&rig.ask(body)).await.unwrap();
        let reply = read_reply(&mut stream).await;
        if body == WHOLE {
            is_the_message(&reply)
        } else {
            is_the_stream(&reply)
        }
    }
}
