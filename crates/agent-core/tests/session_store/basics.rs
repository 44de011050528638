use std::time::Duration;

use agent_claude::messages::{Role, Usage};
use agent_core::session::{
    CostScope, ListFilter, MAX_BATCH, MAX_MESSAGE_BYTES, MAX_TITLE_BYTES, SessionStore,
};
use chrono::Utc;

use super::support::{TempStore, assistant, contents, make, message, new_session, paid, user};

#[tokio::test]
async fn content_comes_back_byte_for_byte_after_reopening() {
    // Spacing, key order, escapes and long numbers are what a parser would change.
    let odd = r#"[ {"type":"text",  "text":"\u00e9\n"} , {"z":1e400,"a":-0.0,"z":2} ]"#;
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    let seqs = store
        .append(&id, vec![user("hi"), message(Role::Assistant, odd)])
        .await
        .expect("stored");
    assert_eq!(seqs, [1, 2]);
    store.close().await.expect("closes");

    let store = temp.open();
    let context = store.load_context(&id).await.expect("loads");
    assert_eq!(contents(&context), [r#""hi""#, odd]);
    assert_eq!(context.messages[1].role, Role::Assistant);
    assert_eq!(store.append(&id, vec![user("more")]).await.expect("stored"), [3]);
}

#[tokio::test]
async fn compaction_moves_the_start_and_keeps_the_history() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    let texts: Vec<String> = (1..=6).map(|n| format!("message {n}")).collect();
    store
        .append(&id, texts.iter().map(|text| user(text)).collect())
        .await
        .expect("stored");

    let summary = paid("the story so far", 100, 10, Some(0.25));
    store.compact(&id, 4, summary.clone()).await.expect("compacts");
    let context = store.load_context(&id).await.expect("loads");
    assert_eq!(context.messages.iter().map(|m| m.seq).collect::<Vec<_>>(), [5, 6]);
    let kept = context.summary.expect("a summary");
    assert_eq!((kept.upto_seq, kept.content.get()), (4, summary.content.get()));
    assert_eq!(context.session.messages, 6);
    assert_eq!(context.session.cost.usd, 0.25);
    assert_eq!(store.messages(&id, 1, 100).await.expect("all").len(), 6);

    for wrong in [0, 3, 4, 7] {
        let error = store
            .compact(&id, wrong, summary.clone())
            .await
            .expect_err("not there");
        assert_eq!(error.kind(), "no_such_message", "{wrong}");
    }
    store
        .compact(&id, 6, assistant("shorter"))
        .await
        .expect("compacts again");
    let context = store.load_context(&id).await.expect("loads");
    assert!(context.messages.is_empty());
    assert_eq!(context.summary.expect("a summary").upto_seq, 6);
}

#[tokio::test]
async fn a_fork_lives_its_own_life() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "origin").await;
    store
        .append(
            &id,
            vec![user("one"), paid("two", 1, 1, Some(1.0)), user("three")],
        )
        .await
        .expect("stored");
    store
        .compact(&id, 1, assistant("one, shorter"))
        .await
        .expect("compacts");
    store
        .compact(&id, 3, assistant("all, shorter"))
        .await
        .expect("compacts");

    let fork = store.fork(&id, Some(2)).await.expect("forks");
    let context = store.load_context(&fork).await.expect("loads");
    assert_eq!(
        context
            .summary
            .as_ref()
            .expect("the summary before the fork")
            .upto_seq,
        1
    );
    assert_eq!(contents(&context), [r#"[{"type":"text","text":"two"}]"#]);
    let info = &context.session;
    assert_eq!(
        info.forked_from.map(|fork| (fork.session, fork.seq)),
        Some((id, 2))
    );
    assert_eq!(
        (info.title.as_str(), info.messages, info.cost.usd),
        ("origin", 2, 0.0)
    );

    assert_eq!(
        store
            .append(&fork, vec![user("another three")])
            .await
            .expect("stored"),
        [3]
    );
    store.delete(&id).await.expect("deleted");
    store.verify().await.expect("whole");
    assert_eq!(store.load_context(&fork).await.expect("loads").messages.len(), 2);
    let empty = store.fork(&fork, Some(0)).await.expect("forks");
    assert_eq!(store.get(&empty).await.expect("there").messages, 0);
    assert_eq!(
        store.fork(&fork, Some(4)).await.expect_err("too far").kind(),
        "no_such_message"
    );
}

#[tokio::test]
async fn lists_are_newest_first_by_workspace_and_page() {
    let temp = TempStore::new();
    let store = temp.open();
    let mut made = Vec::new();
    for n in 0..5 {
        let mut new = new_session(&n.to_string());
        new.workspace = if n % 2 == 0 { "/even".into() } else { "/odd".into() };
        made.push(store.create(new).await.expect("made"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    store
        .append(&made[1], vec![user("touched")])
        .await
        .expect("stored");
    let titles = async |filter: ListFilter| -> String {
        let list = store.list(filter).await.expect("lists");
        list.iter().map(|session| session.title.clone()).collect()
    };
    assert_eq!(titles(ListFilter::default()).await, "14320");
    assert_eq!(
        titles(ListFilter {
            workspace: Some("/odd".into()),
            ..ListFilter::default()
        })
        .await,
        "13"
    );
    assert_eq!(
        titles(ListFilter {
            limit: 2,
            offset: 1,
            ..ListFilter::default()
        })
        .await,
        "43"
    );
    store.rename(&made[0], "renamed").await.expect("renamed");
    assert_eq!(store.get(&made[0]).await.expect("there").title, "renamed");
}

#[tokio::test]
async fn ids_resolve_by_beginning_and_by_end() {
    let temp = TempStore::new();
    let store = temp.open();
    let (one, two) = (make(&store, "one").await, make(&store, "two").await);
    for part in [
        one.to_string(),
        one.short(),
        one.to_string().to_uppercase(),
        format!(" {} ", one.short()),
    ] {
        assert_eq!(store.resolve(&part).await.expect("found"), one, "{part}");
    }
    // Both were made within one minute, so their first characters agree.
    let error = store.resolve(&one.to_string()[..4]).await.expect_err("ambiguous");
    let text = error.to_string();
    assert_eq!(error.kind(), "ambiguous");
    assert!(
        text.contains(&one.to_string()) && text.contains(&two.to_string()) && text.contains("two"),
        "{text}"
    );
    for wrong in [
        "",
        "%",
        "_",
        "zzz",
        "' OR 1",
        "0000000f-dead",
        &"a".repeat(10_000),
    ] {
        assert_eq!(
            store.resolve(wrong).await.expect_err("not there").kind(),
            "not_found",
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn money_is_counted_and_stays_counted() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    let begin = Utc::now();
    store
        .append(&id, vec![user("q"), paid("a", 100, 20, Some(0.5))])
        .await
        .expect("stored");
    store
        .append(&id, vec![paid("b", 1, 2, None)])
        .await
        .expect("stored");
    let odd = Usage {
        input_tokens: Some(u64::MAX),
        ..Usage::default()
    };
    store
        .record_usage(&id, odd, Some(f64::NAN))
        .await
        .expect("recorded");
    let cost = store.total_cost(CostScope::Session(id)).await.expect("summed");
    assert_eq!(
        (cost.usd, cost.requests, cost.unpriced, cost.output_tokens),
        (0.5, 3, 2, 22)
    );

    store.delete(&id).await.expect("deleted");
    let until = Utc::now() + chrono::TimeDelta::seconds(1);
    let day = store
        .total_cost(CostScope::Between(begin, until))
        .await
        .expect("summed");
    assert_eq!(day, cost);
    let later = store
        .total_cost(CostScope::Between(until, until))
        .await
        .expect("summed");
    assert_eq!((later.usd, later.requests), (0.0, 0));
}

#[tokio::test]
async fn limits_refuse_and_store_nothing() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    let huge = user(&"x".repeat(MAX_MESSAGE_BYTES));
    let error = store
        .append(&id, vec![user("small"), huge])
        .await
        .expect_err("too large");
    assert_eq!(error.kind(), "too_large");
    assert!(error.to_string().contains("16777216"), "{error}");
    let many = vec![user("x"); MAX_BATCH + 1];
    assert_eq!(
        store.append(&id, many).await.expect_err("too many").kind(),
        "too_large"
    );
    let title = "x".repeat(MAX_TITLE_BYTES + 1);
    assert_eq!(
        store.rename(&id, &title).await.expect_err("too long").kind(),
        "too_large"
    );
    assert_eq!(
        store
            .create(new_session(&title))
            .await
            .expect_err("too long")
            .kind(),
        "too_large"
    );
    assert_eq!(store.get(&id).await.expect("there").messages, 0);

    let just_fits = user(&"x".repeat(MAX_MESSAGE_BYTES - 2));
    store.append(&id, vec![just_fits]).await.expect("fits");
    assert_eq!(store.load_context(&id).await.expect("loads").messages.len(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    store.append(&id, vec![user("x")]).await.expect("stored");
    store.delete(&id).await.expect("deleted");
    let kinds = [
        store.get(&id).await.expect_err("gone").kind(),
        store.load_context(&id).await.expect_err("gone").kind(),
        store.append(&id, vec![user("x")]).await.expect_err("gone").kind(),
        store.compact(&id, 1, user("x")).await.expect_err("gone").kind(),
        store.fork(&id, None).await.expect_err("gone").kind(),
        store.rename(&id, "x").await.expect_err("gone").kind(),
        store.delete(&id).await.expect_err("gone").kind(),
        store.claim(&id).await.expect_err("gone").kind(),
        store.export_json(&id, Vec::new()).await.expect_err("gone").kind(),
        store
            .total_cost(CostScope::Session(id))
            .await
            .expect_err("gone")
            .kind(),
    ];
    assert!(kinds.iter().all(|kind| *kind == "not_found"), "{kinds:?}");
}

#[tokio::test]
async fn appends_from_many_tasks_keep_each_session_whole() {
    let temp = TempStore::new();
    let store = temp.open();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let id = make(&store, &n.to_string()).await;
            for turn in 0..20_u64 {
                let seqs = store
                    .append(&id, vec![user("q"), assistant("a")])
                    .await
                    .expect("stored");
                assert_eq!(seqs, [2 * turn + 1, 2 * turn + 2]);
            }
            id
        });
    }
    while let Some(id) = tasks.join_next().await {
        let context = store.load_context(&id.expect("no panic")).await.expect("loads");
        assert_eq!(context.messages.len(), 40);
    }
    store.verify().await.expect("whole");
}

#[tokio::test]
async fn dropping_the_store_stores_what_was_queued() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    let appending = {
        let store = store.clone();
        async move { store.append(&id, vec![user("queued")]).await }
    };
    // Polled once, so queued, then given up.
    let gave_up = tokio::time::timeout(Duration::ZERO, appending).await;
    drop((gave_up, store));
    let store = temp.open();
    assert_eq!(
        contents(&store.load_context(&id).await.expect("loads")),
        [r#""queued""#]
    );
}

#[tokio::test]
async fn a_closed_store_says_so_and_leaves_one_file() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    store.append(&id, vec![user("x")]).await.expect("stored");
    store.close().await.expect("closes");
    assert_eq!(
        store
            .append(&id, vec![user("x")])
            .await
            .expect_err("closed")
            .kind(),
        "closed"
    );
    assert_eq!(store.get(&id).await.expect_err("closed").kind(), "closed");
    let names: Vec<_> = std::fs::read_dir(temp.folder.path())
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name())
        .filter(|name| name != "sessions.db-locks")
        .collect();
    assert_eq!(
        names,
        ["sessions.db"],
        "log and index are gone after a clean close"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_this_user_can_read_any_of_it() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| {
        std::fs::symlink_metadata(path)
            .expect("there")
            .permissions()
            .mode()
            & 0o777
    };
    let temp = TempStore::new();
    let folder = temp.folder.path().join("new/data");
    let path = folder.join("sessions.db");
    let store = SessionStore::open(&path).expect("opens");
    let id = make(&store, "t").await;
    store.append(&id, vec![user("secret")]).await.expect("stored");
    assert_eq!(
        (mode(&folder), mode(folder.parent().expect("a parent"))),
        (0o700, 0o700)
    );
    for name in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    let locks = folder.join("sessions.db-locks");
    assert_eq!(mode(&locks), 0o700);
    assert_eq!(mode(&locks.join(id.to_string())), 0o600);
    store.close().await.expect("closes");

    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("changed");
    drop(SessionStore::open(&path).expect("opens"));
    assert_eq!(mode(&path), 0o600, "a loose mode is tightened");
}

#[tokio::test]
async fn deleted_text_leaves_the_disk() {
    let temp = TempStore::new();
    let store = temp.open();
    let (kept, gone) = (make(&store, "kept").await, make(&store, "gone").await);
    for n in 0..30 {
        store
            .append(&kept, vec![user(&format!("ordinary {n}"))])
            .await
            .expect("stored");
        let text = format!("xylophonecanary {n} {}", "filler ".repeat(300));
        store.append(&gone, vec![user(&text)]).await.expect("stored");
    }
    store.delete(&gone).await.expect("deleted");
    store.verify().await.expect("whole");
    for name in ["sessions.db", "sessions.db-wal"] {
        let bytes = super::damage::bytes_of(&temp.folder.path().join(name));
        let found = bytes.windows(9).any(|window| window == b"xylophone");
        assert!(!found, "{name} still holds deleted text");
    }
    assert_eq!(store.load_context(&kept).await.expect("loads").messages.len(), 30);
}

#[tokio::test]
async fn looking_whether_the_store_is_writable_really_writes_and_changes_nothing() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    let before = store.get(&id).await.expect("there");
    let log = temp.path().with_extension("db-wal");
    let size = || std::fs::metadata(&log).map_or(0, |log| log.len());
    let first = size();
    store.check_writable().await.expect("writable");
    assert!(size() > first, "{first} bytes before and after");
    assert_eq!(store.get(&id).await.expect("there"), before);
    store.close().await.expect("closes");
    assert_eq!(store.check_writable().await.expect_err("closed").kind(), "closed");
}
