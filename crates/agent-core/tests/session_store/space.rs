//! A disk that is full, a disk that can't be written: on small file systems of their own, where the machine lets an
//! ordinary user mount one. Where it does not, these tests say that they were skipped; the same errors are provoked
//! without a mount in the unit tests of the writer.

use std::io::Write;

use agent_core::session::SessionStore;

use super::support::{Process, TempStore, make, order, tell, user};

const TINY: &str = "mount -t tmpfs -o size=3m,mode=700 tmpfs \"$1\"";

/// Whether the child got its file system; tells why not.
fn mounted(process: &mut Process, test: &str) -> bool {
    let mounted = process.next().as_deref() == Some("mounted");
    if !mounted {
        let mut err = std::io::stderr().lock();
        writeln!(
            err,
            "skipped {test}: this machine lets no user mount a file system"
        )
        .expect("stderr");
    }
    mounted
}

#[tokio::test]
async fn child_on_a_tiny_disk() {
    let Some(path) = order() else { return };
    let store = SessionStore::open(&path).expect("opens");
    let id = make(&store, "t").await;
    let ballast = path.with_file_name("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).expect("room for it");
    let text = "filler words ".repeat(2_000);
    let mut stored = 0;
    let error = loop {
        match store.append(&id, vec![user(&text)]).await {
            Ok(seqs) => stored = seqs[0],
            Err(error) => break error,
        }
        assert!(stored < 1_000, "3 MiB hold less");
    };
    tell(&format!("{} after {stored}", error.kind()));
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    let again = store
        .append(&id, vec![user(&text)])
        .await
        .expect_err("still full");
    assert_eq!(again.kind(), "full", "{again}");
    assert_eq!(
        store.load_context(&id).await.expect("loads").session.messages,
        stored
    );

    std::fs::remove_file(&ballast).expect("removed");
    assert_eq!(
        store
            .append(&id, vec![user(&text)])
            .await
            .expect("there is room again"),
        [stored + 1]
    );
    store.verify().await.expect("whole");
    store.close().await.expect("closes");
    let store = SessionStore::open(&path).expect("opens");
    assert_eq!(
        store.load_context(&id).await.expect("loads").messages.len() as u64,
        stored + 1
    );
    tell("usable again");
}

#[test]
fn a_full_disk_loses_nothing_and_is_survived() {
    let temp = TempStore::new();
    let mut process = Process::start_in_namespace("space::child_on_a_tiny_disk", &temp.path(), TINY);
    if mounted(&mut process, "a_full_disk_loses_nothing_and_is_survived") {
        let told = process.next().expect("it filled the disk");
        assert!(
            told.starts_with("full after ") && told != "full after 0",
            "{told}"
        );
        assert_eq!(process.next().as_deref(), Some("usable again"));
        assert!(process.succeeded());
    }
}

#[tokio::test]
async fn child_on_a_disk_with_no_room_at_all() {
    let Some(path) = order() else { return };
    let error = SessionStore::open(path).expect_err("no room");
    tell(error.kind());
}

#[test]
fn no_room_for_a_new_store() {
    let temp = TempStore::new();
    let setup = format!("{TINY} && head -c 10000000 /dev/zero 2>/dev/null > \"$1/ballast\"; true");
    let mut process =
        Process::start_in_namespace("space::child_on_a_disk_with_no_room_at_all", &temp.path(), &setup);
    if mounted(&mut process, "no_room_for_a_new_store") {
        assert_eq!(process.next().as_deref(), Some("full"));
    }
}

#[test]
fn a_read_only_disk_is_named() {
    let temp = TempStore::new();
    let setup = format!("{TINY} && mount -o remount,ro \"$1\"");
    let mut process =
        Process::start_in_namespace("space::child_on_a_disk_with_no_room_at_all", &temp.path(), &setup);
    if mounted(&mut process, "a_read_only_disk_is_named") {
        assert_eq!(process.next().as_deref(), Some("read_only"));
    }
}

#[tokio::test]
async fn child_on_a_read_only_store() {
    let Some(path) = order() else { return };
    let store = SessionStore::open(&path);
    let error = match &store {
        Err(error) => error,
        Ok(store) => &store
            .create(super::support::new_session("t"))
            .await
            .expect_err("read-only"),
    };
    assert!(
        error
            .to_string()
            .contains(&path.parent().expect("a folder").display().to_string()),
        "{error}"
    );
    tell(error.kind());
}

#[tokio::test]
async fn an_existing_store_on_a_read_only_disk_is_named() {
    let temp = TempStore::new();
    let store = temp.open();
    make(&store, "t").await;
    store.close().await.expect("closes");
    let setup = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\"";
    let mut process = Process::start_in_namespace("space::child_on_a_read_only_store", &temp.path(), setup);
    if mounted(&mut process, "an_existing_store_on_a_read_only_disk_is_named") {
        assert_eq!(process.next().as_deref(), Some("read_only"));
    }
}
