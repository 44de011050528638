//! A store of version 1 is copied, brought up to date, and knows which of its sessions hold what a stranger wrote.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agent_core::session::{SessionId, SessionStore};
use rusqlite::Connection;

use crate::support::{TempStore, assistant, message, new_session, user};

/// What a program of version 1 would have left: a session without, and one with, a call of `web_fetch`.
async fn of_version_1(temp: &TempStore) -> (SessionId, SessionId) {
    let store = temp.open();
    let plain = store.create(new_session("plain")).await.unwrap();
    let talk = vec![user("is \"web_fetch\" a tool?"), assistant("yes")];
    store.append(&plain, talk).await.unwrap();
    let fetched = store.create(new_session("fetched")).await.unwrap();
    let call = r#"[{"type":"tool_use","id":"t1","name":"web_fetch","input":{"url":"http://x.example"}}]"#;
    let talk = vec![user("go"), message(agent_claude::messages::Role::Assistant, call)];
    store.append(&fetched, talk).await.unwrap();
    store.close().await.unwrap();
    let connection = Connection::open(temp.path()).unwrap();
    connection
        .execute_batch("ALTER TABLE sessions DROP COLUMN distrusted; PRAGMA user_version = 1;")
        .unwrap();
    connection.close().unwrap();
    (plain, fetched)
}

fn version(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn a_store_of_version_1_is_copied_and_brought_up_to_date() {
    let temp = TempStore::new();
    let (plain, fetched) = of_version_1(&temp).await;
    let store = temp.open();
    assert_eq!(store.get(&plain).await.unwrap().distrusted, None);
    assert!(store.get(&fetched).await.unwrap().distrusted.is_some());
    assert_eq!(store.load_context(&fetched).await.unwrap().messages.len(), 2);
    store.verify().await.unwrap();
    store.close().await.unwrap();
    let copy = temp.folder.path().join("sessions.db.version-1");
    assert_eq!((version(&temp.path()), version(&copy)), (2, 1));
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing else is left of making the copy.
    let left: Vec<_> = std::fs::read_dir(temp.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("copy"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Two programs start at once; and an older one that still runs writes its number back.
#[tokio::test]
async fn a_store_may_be_brought_up_to_date_by_several_at_once_and_again() {
    let temp = TempStore::new();
    let (_, fetched) = of_version_1(&temp).await;
    let path = temp.path();
    let open =
        |path: std::path::PathBuf| tokio::task::spawn_blocking(move || SessionStore::open(path).map(drop));
    let all = [path.clone(), path.clone(), path.clone()].map(open);
    for one in all {
        one.await.unwrap().unwrap();
    }
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA user_version = 1")
        .unwrap();
    let store = temp.open();
    assert!(store.get(&fetched).await.unwrap().distrusted.is_some());
}

#[tokio::test]
async fn a_fork_is_as_distrustful_as_its_original_and_the_first_source_stays() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = store.create(new_session("a")).await.unwrap();
    store
        .append(&id, vec![user("one"), assistant("two")])
        .await
        .unwrap();
    store.distrust(&id, "https://stranger.example").await.unwrap();
    store.distrust(&id, "https://other.example").await.unwrap();
    store.compact(&id, 2, user("a summary")).await.unwrap();
    let copy = store.fork(&id, Some(1)).await.unwrap();
    for session in [id, copy] {
        let source = store.get(&session).await.unwrap().distrusted;
        assert_eq!(source.as_deref(), Some("https://stranger.example"));
    }
    let shown = store.export_markdown(&copy, Vec::new()).await.unwrap();
    assert!(
        String::from_utf8(shown)
            .unwrap()
            .contains("https://stranger.example")
    );
}
