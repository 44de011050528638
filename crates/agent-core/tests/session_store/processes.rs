//! Several processes on one store, and processes that are killed.

use std::collections::HashMap;
use std::time::Duration;

use agent_core::session::{SessionId, SessionStore};

use super::support::{Process, TempStore, assistant, contents, make, order, tell, user};

/// Rounds of killing. Each ends at another moment of the child's life.
const KILLS: u64 = 30;

/// Appends of a child that is not killed.
const TURNS: usize = 40;

/// Not a test by itself: what the killed process does. Two sessions at a time, so that commits are shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_appends_until_killed() {
    let Some(path) = order() else { return };
    let store = SessionStore::open(path).expect("opens");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let store = store.clone();
        tasks.spawn(async move {
            let id = make(&store, "killed").await;
            tell(&format!("{id} 0"));
            for turn in 0.. {
                let new = (0..=turn % 3)
                    .map(|n| user(&format!("turn {turn} message {n}")))
                    .collect();
                let seqs = store.append(&id, new).await.expect("stored");
                tell(&format!("{id} {}", seqs.last().expect("at least one")));
            }
        });
    }
    tasks.join_next().await;
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let temp = TempStore::new();
    drop(temp.open());
    let mut acknowledged: HashMap<SessionId, u64> = HashMap::new();
    for round in 0..KILLS {
        let mut process = Process::start("processes::child_that_appends_until_killed", &temp.path());
        let mut hear = |line: String| {
            if let Some((id, seq)) = line.split_once(' ')
                && let (Ok(id), Ok(seq)) = (id.parse(), seq.parse())
            {
                acknowledged.insert(id, seq);
            }
        };
        // Another moment each time, from the creation of the session into its hundredth append.
        for _ in 0..=round * 3 {
            hear(process.next().expect("it appends"));
        }
        std::thread::sleep(Duration::from_micros(round * 137 % 2_000));
        process.kill();
        while let Some(line) = process.next() {
            hear(line);
        }
        let store = temp.open();
        for (id, seq) in &acknowledged {
            let claim = store.claim(id).await.expect("a dead process owns nothing");
            let context = store.load_context(id).await.expect("loads");
            assert!(
                context.session.messages >= *seq,
                "round {round}: {seq} acknowledged, {context:?}"
            );
            let mut expected = Vec::new();
            let mut turn = 0;
            while expected.len() < context.messages.len() {
                expected.extend((0..=turn % 3).map(|n| format!("\"turn {turn} message {n}\"")));
                turn += 1;
            }
            assert_eq!(contents(&context), expected, "appends are whole and in order");
            drop(claim);
        }
        store.verify().await.expect("whole");
    }
    assert!(
        acknowledged.len() as u64 >= KILLS,
        "{} sessions",
        acknowledged.len()
    );
    let store = temp.open();
    let (id, _) = acknowledged.iter().next().expect("there are some");
    store
        .append(id, vec![assistant("and on it goes")])
        .await
        .expect("a session resumes");
}

#[tokio::test]
async fn child_that_appends_and_ends() {
    let Some(path) = order() else { return };
    let store = SessionStore::open(path).expect("opens");
    let id = make(&store, "child").await;
    for _ in 0..TURNS {
        store
            .append(&id, vec![user("q"), assistant("a")])
            .await
            .expect("stored");
    }
    tell(&id.to_string());
}

#[tokio::test]
async fn processes_share_the_store() {
    // All three begin with no store at all: one of them makes it.
    let temp = TempStore::new();
    let mut processes: Vec<Process> = (0..2)
        .map(|_| Process::start("processes::child_that_appends_and_ends", &temp.path()))
        .collect();
    let store = temp.open();
    let own = make(&store, "parent").await;
    for _ in 0..TURNS {
        store
            .append(&own, vec![user("q"), assistant("a")])
            .await
            .expect("stored");
    }
    for process in &mut processes {
        let id: SessionId = process
            .next()
            .expect("it told its session")
            .parse()
            .expect("an id");
        assert!(process.succeeded());
        assert_eq!(
            store.load_context(&id).await.expect("loads").messages.len(),
            2 * TURNS
        );
    }
    assert_eq!(
        store.load_context(&own).await.expect("loads").messages.len(),
        2 * TURNS
    );
    store.verify().await.expect("whole");
}

#[tokio::test]
async fn child_that_owns_a_session() {
    let Some(path) = order() else { return };
    let store = SessionStore::open(path).expect("opens");
    let id = make(&store, "owned").await;
    store.append(&id, vec![user("mine")]).await.expect("stored");
    tell(&id.to_string());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_session_has_one_owner_over_all_processes() {
    let temp = TempStore::new();
    let mut process = Process::start("processes::child_that_owns_a_session", &temp.path());
    let id: SessionId = process
        .next()
        .expect("it told its session")
        .parse()
        .expect("an id");
    let store = temp.open();
    let errors = [
        store
            .append(&id, vec![user("not mine")])
            .await
            .expect_err("owned"),
        store.compact(&id, 1, user("not mine")).await.expect_err("owned"),
        store.delete(&id).await.expect_err("owned"),
        store.claim(&id).await.map(|_| ()).expect_err("owned"),
    ];
    for error in errors {
        assert_eq!(error.kind(), "in_use");
        assert!(
            error
                .to_string()
                .contains(&format!("{id} is in use by process {}", process.pid())),
            "{error}"
        );
    }
    // Reading, and going on in a copy, is free.
    assert_eq!(store.load_context(&id).await.expect("loads").messages.len(), 1);
    let fork = store.fork(&id, None).await.expect("forks");
    store.append(&fork, vec![user("mine")]).await.expect("stored");

    process.kill();
    assert_eq!(
        store.append(&id, vec![user("mine now")]).await.expect("stored"),
        [2]
    );
}

#[tokio::test]
async fn claims_within_one_process() {
    let temp = TempStore::new();
    let (store, second) = (temp.open(), temp.open());
    let id = make(&store, "t").await;
    let lock = temp.folder.path().join("sessions.db-locks").join(id.to_string());
    store.append(&id, vec![user("x")]).await.expect("stored");
    assert_eq!(
        second
            .append(&id, vec![user("x")])
            .await
            .expect_err("taken")
            .kind(),
        "in_use"
    );

    // What an append took passes to a claim; then there can be no second one.
    let claim = store.claim(&id).await.expect("claims");
    assert_eq!(claim.session(), id);
    assert_eq!(store.claim(&id).await.expect_err("claimed").kind(), "in_use");
    assert_eq!(store.delete(&id).await.expect_err("claimed").kind(), "in_use");
    store.release(&id);
    assert_eq!(
        second
            .append(&id, vec![user("x")])
            .await
            .expect_err("claimed")
            .kind(),
        "in_use"
    );
    store
        .append(&id, vec![user("x")])
        .await
        .expect("the owner appends");
    drop(claim);
    assert!(!lock.exists(), "no lock file stays behind");

    second.append(&id, vec![user("x")]).await.expect("free again");
    second.release(&id);
    store.append(&id, vec![user("x")]).await.expect("released");
    store.close().await.expect("closes");
    second.delete(&id).await.expect("a closed store owns nothing");
    assert!(!lock.exists());
}
