//! What is held for clients has limits in number: who comes beyond them is told to come again, and may.

use agent_claude::messages::Role;
use agent_core::session::{NewMessage, SessionId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::rig::{Answer, Rig, Setup, TOO_LONG};
use crate::turns::WRITES;

/// More than what the system keeps for a client that takes nothing.
const MUCH: usize = 10 << 20;

/// A session with one long message; gives its path.
async fn long_session(rig: &Rig) -> String {
    let path = rig.session().await;
    let id: SessionId = path.rsplit('/').next().unwrap().parse().unwrap();
    let message = NewMessage {
        role: Role::User,
        content: serde_json::value::to_raw_value(&"x".repeat(MUCH)).unwrap(),
        usage: None,
        cost_usd: None,
    };
    rig.store.append(&id, vec![message]).await.unwrap();
    rig.store.release(&id);
    path
}

/// A client that asks for `path` and takes no more than the begin of the answer.
async fn begun(rig: &Rig, path: &str) -> (TcpStream, [u8; 12]) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(rig.address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\n\r\n",
        rig.token
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    let read = tokio::time::timeout(TOO_LONG, client.read_exact(&mut begin));
    read.await.expect("no answer").unwrap();
    (client, begin)
}

async fn stalled(rig: &Rig, path: &str) -> TcpStream {
    let (client, begin) = begun(rig, path).await;
    assert_eq!(&begin, b"HTTP/1.1 200");
    client
}

fn assert_told_to_come_again(answer: &Answer) {
    let retry: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry), "{retry}");
    assert!(answer.json()["detail"].is_string(), "{}", answer.text());
}

/// Asks until the places that clients left are free again.
async fn served_again(rig: &Rig, path: &str) {
    let asking = async { while rig.get(path).await.status != 200 {} };
    tokio::time::timeout(TOO_LONG, asking)
        .await
        .expect("the places stay taken");
}

#[tokio::test]
async fn only_so_many_pages_of_messages_wait_for_their_clients() {
    let rig = Rig::start().await;
    let path = format!("{}/messages", long_session(&rig).await);
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(stalled(&rig, &path).await);
    }
    assert_told_to_come_again(&rig.get(&path).await.expect(503));
    drop(clients);
    served_again(&rig, &path).await;
}

#[tokio::test]
async fn only_so_many_exports_are_under_way() {
    let rig = Rig::start().await;
    let path = format!("{}/export", long_session(&rig).await);
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(stalled(&rig, &path).await);
    }
    assert_told_to_come_again(&rig.get(&path).await.expect(503));
    drop(clients);
    served_again(&rig, &path).await;
}

#[tokio::test]
async fn only_so_many_readers_watch_a_turn() {
    let rig = Setup::scenario(WRITES).start().await;
    let session = rig.session().await;
    let turn = rig.turn(&session, "write it").await;
    rig.approval().await;
    let mut readers = Vec::new();
    for _ in 0..32 {
        readers.push(rig.events(&turn, &[]).await);
    }
    let path = format!("{turn}/events");
    assert_told_to_come_again(&rig.get(&path).await.expect(503));
    readers.pop();
    let sitting = async { while begun(&rig, &path).await.1 != b"HTTP/1.1 200"[..] {} };
    tokio::time::timeout(TOO_LONG, sitting)
        .await
        .expect("the seat stays taken");
}
