use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::LazyLock;

use agent_core::session::{SessionId, SessionStore, StoreError};
use proptest::prelude::*;
use rusqlite::Connection;

use super::support::{TempStore, assistant, contents, make, user};

const MESSAGES: usize = 60;
const PAGE: usize = 4096;

pub(crate) fn bytes_of(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .expect("readable");
    bytes
}

fn overwrite(path: &Path, bytes: &[u8]) {
    File::create(path)
        .and_then(|mut file| file.write_all(bytes))
        .expect("writable");
}

/// A closed store with one session.
async fn filled() -> (TempStore, SessionId, Vec<String>) {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    for n in 0..MESSAGES / 2 {
        let answer = format!("needle {n} {}", "and so on ".repeat(20));
        store
            .append(&id, vec![user(&format!("question {n}")), assistant(&answer)])
            .await
            .expect("stored");
    }
    let contents = contents(&store.load_context(&id).await.expect("loads"));
    store.close().await.expect("closes");
    (temp, id, contents)
}

/// Opens and reads everything.
async fn read_all(path: &Path, id: &SessionId) -> Result<Vec<String>, StoreError> {
    let store = SessionStore::open(path)?;
    Ok(contents(&store.load_context(id).await?))
}

async fn check_refused(damage: impl FnOnce(&mut Vec<u8>), expected: &str) {
    let (temp, id, _) = filled().await;
    let path = temp.path();
    let mut bytes = bytes_of(&path);
    damage(&mut bytes);
    overwrite(&path, &bytes);
    let error = read_all(&path, &id).await.expect_err("damaged");
    assert_eq!(error.kind(), expected, "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&path.display().to_string()),
        "names the file: {text}"
    );
    if expected == "corrupt" {
        assert!(
            text.contains("mv -- ") && text.contains(".recover"),
            "says what to do: {text}"
        );
    }
    assert!(bytes_of(&path) == bytes, "the file was changed");
}

#[tokio::test]
async fn damage_is_told_and_left_alone() {
    check_refused(|bytes| bytes[..100].fill(0x5a), "corrupt").await;
    check_refused(|bytes| bytes.truncate(0), "corrupt").await;
    check_refused(|bytes| bytes.truncate(50), "corrupt").await;
    check_refused(|bytes| bytes.truncate(PAGE), "corrupt").await;
    check_refused(|bytes| bytes.truncate(bytes.len() / 2), "corrupt").await;
    check_refused(|bytes| bytes[PAGE..].fill(0), "corrupt").await;
    check_refused(
        |bytes| bytes.chunks_mut(PAGE).skip(1).for_each(|page| page[0] = 0xff),
        "corrupt",
    )
    .await;
    // One letter inside a message: nothing that SQLite itself would see.
    let alter = |bytes: &mut Vec<u8>| {
        let places: Vec<usize> = (0..bytes.len() - 8)
            .filter(|at| &bytes[*at..at + 8] == b"needle 7")
            .collect();
        places.iter().for_each(|at| bytes[*at] = b'N');
    };
    check_refused(alter, "corrupt").await;
}

#[tokio::test]
async fn a_newer_version_is_refused() {
    check_refused(
        |bytes| bytes[60..64].copy_from_slice(&3_u32.to_be_bytes()),
        "newer_schema",
    )
    .await;
}

#[tokio::test]
async fn a_file_of_another_program_is_left_alone() {
    let temp = TempStore::new();
    let path = temp.path();
    let other = Connection::open(&path).expect("opens");
    other
        .execute_batch("CREATE TABLE photos (name TEXT);")
        .expect("created");
    other.close().expect("closes");
    let before = bytes_of(&path);
    assert_eq!(
        SessionStore::open(&path).expect_err("not ours").kind(),
        "not_a_store"
    );
    assert!(bytes_of(&path) == before);
}

#[cfg(unix)]
#[tokio::test]
async fn links_and_folders_are_refused() {
    let (temp, _, _) = filled().await;
    let link = temp.folder.path().join("link.db");
    std::os::unix::fs::symlink(temp.path(), &link).expect("linked");
    let error = SessionStore::open(&link).expect_err("a link");
    assert_eq!(error.kind(), "not_a_store");
    assert!(error.to_string().contains("symbolic link"), "{error}");
    assert_eq!(
        SessionStore::open(temp.folder.path())
            .expect_err("a folder")
            .kind(),
        "not_a_store"
    );

    let dangling = temp.folder.path().join("dangling.db");
    std::os::unix::fs::symlink(temp.folder.path().join("nothing"), &dangling).expect("linked");
    assert_eq!(
        SessionStore::open(&dangling).expect_err("a link").kind(),
        "not_a_store"
    );
    assert!(!temp.folder.path().join("nothing").exists());
    // A link on the way there is the user's own business.
    let folder = temp.folder.path().join("folder");
    std::os::unix::fs::symlink(temp.folder.path(), &folder).expect("linked");
    SessionStore::open(folder.join("sessions.db")).expect("opens");
}

#[tokio::test]
async fn a_log_without_its_store_is_not_played_into_a_new_one() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    store.append(&id, vec![user("x")]).await.expect("stored");
    let log = bytes_of(&temp.folder.path().join("sessions.db-wal"));
    store.close().await.expect("closes");
    std::fs::remove_file(temp.path()).expect("removed");
    overwrite(&temp.folder.path().join("sessions.db-wal"), &log);
    assert_eq!(
        SessionStore::open(temp.path())
            .expect_err("half of it is gone")
            .kind(),
        "corrupt"
    );
    assert!(!temp.path().exists());
}

#[tokio::test]
async fn verify_finds_what_no_read_would_meet() {
    let (temp, id, _) = filled().await;
    let damage = Connection::open(temp.path()).expect("opens");
    damage
        .execute("DELETE FROM message_text_data WHERE rowid > 10", [])
        .unwrap_or(0);
    damage
        .execute(
            "UPDATE message_text SET body = 'else' WHERE rowid IN (SELECT min(id) FROM message_text)",
            [],
        )
        .expect("altered");
    damage.close().expect("closes");
    let store = temp.open();
    store.load_context(&id).await.expect("the messages are whole");
    assert_eq!(
        store.verify().await.expect_err("the index is not").kind(),
        "corrupt"
    );
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever bytes are altered: either the very messages come back, or an error does.
    #[test]
    fn altered_bytes_never_pass_for_what_was_stored(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
    ) {
        static FILLED: LazyLock<(SessionId, Vec<String>, Vec<u8>)> = LazyLock::new(|| {
            let (temp, id, contents) = runtime().block_on(filled());
            (id, contents, bytes_of(&temp.path()))
        });
        let (id, original, bytes) = &*FILLED;
        runtime().block_on(async {
            let (temp, mut bytes) = (TempStore::new(), bytes.clone());
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            overwrite(&temp.path(), &bytes);
            if let Ok(read) = read_all(&temp.path(), id).await {
                assert_eq!(&read, original);
            }
        });
    }
}
