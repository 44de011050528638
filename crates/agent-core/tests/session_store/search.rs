use agent_claude::messages::Role;
use agent_core::session::{SearchQuery, SessionStore};
use proptest::prelude::*;

use super::support::{TempStore, assistant, make, message, new_session, user};

async fn find(store: &SessionStore, text: &str) -> Vec<u64> {
    let hits = store
        .search(SearchQuery {
            text: text.into(),
            ..SearchQuery::default()
        })
        .await
        .expect("searches");
    let mut seqs: Vec<u64> = hits.iter().map(|hit| hit.seq).collect();
    seqs.sort_unstable();
    seqs
}

#[tokio::test]
async fn words_phrases_and_beginnings_are_found() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    let call = r#"[{"type":"tool_use","id":"t","name":"grep","input":{"pattern":"parse_config"}}]"#;
    let result = r#"[{"type":"tool_result","tool_use_id":"t","content":"src/main.rs: fn parse_config()"}]"#;
    let new = vec![
        user("The quick brown fox"),
        assistant("jumps over the lazy dog, naïvely"),
        message(Role::Assistant, call),
        message(Role::User, result),
    ];
    store.append(&id, new).await.expect("stored");
    let cases: [(&str, &[u64]); 12] = [
        ("quick", &[1]),
        ("QUICK fox", &[1]),
        ("quick dog", &[]),
        ("\"brown fox\"", &[1]),
        ("\"fox brown\"", &[]),
        ("qui*", &[1]),
        ("qui", &[]),
        ("naively", &[2]),
        ("parse_config", &[3, 4]),
        ("main.rs", &[4]),
        ("the", &[1, 2]),
        ("", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(find(&store, text).await, expected, "{text}");
    }
    let query = SearchQuery {
        text: "lazy".into(),
        ..SearchQuery::default()
    };
    let hit = store.search(query).await.expect("searches").remove(0);
    assert_eq!((hit.session, hit.seq, hit.title.as_str()), (id, 2, "t"));
    assert_eq!(&hit.snippet.text[hit.snippet.marks[0].clone()], "lazy");
}

#[tokio::test]
async fn the_index_follows_fork_compact_and_delete() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    store
        .append(&id, vec![user("alpha"), user("beta"), user("alpha beta")])
        .await
        .expect("stored");
    store.compact(&id, 3, assistant("gamma")).await.expect("compacts");
    assert_eq!(find(&store, "alpha").await, [1, 3], "history stays searchable");
    let fork = store.fork(&id, Some(2)).await.expect("forks");
    assert_eq!(find(&store, "alpha").await, [1, 1, 3]);
    let query = SearchQuery {
        text: "alpha".into(),
        session: Some(fork),
        ..SearchQuery::default()
    };
    assert_eq!(store.search(query).await.expect("searches").len(), 1);
    store.delete(&id).await.expect("deleted");
    assert_eq!(find(&store, "alpha").await, [1]);
    store.verify().await.expect("index and text agree");
    store.delete(&fork).await.expect("deleted");
    assert_eq!(find(&store, "alpha").await, [0_u64; 0]);
    store.verify().await.expect("index and text agree");
}

#[tokio::test]
async fn hits_are_bounded_and_kept_to_a_workspace() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    store
        .append(&id, vec![user("common word"); 300])
        .await
        .expect("stored");
    let mut elsewhere = new_session("other");
    elsewhere.workspace = "/elsewhere".into();
    let other = store.create(elsewhere).await.expect("made");
    store
        .append(&other, vec![user("common place")])
        .await
        .expect("stored");

    assert_eq!(find(&store, "common").await.len(), agent_core::session::MAX_HITS);
    let query = SearchQuery {
        text: "common".into(),
        limit: 7,
        ..SearchQuery::default()
    };
    assert_eq!(store.search(query).await.expect("searches").len(), 7);
    let query = SearchQuery {
        text: "common".into(),
        workspace: Some("/elsewhere".into()),
        ..SearchQuery::default()
    };
    let hits = store.search(query).await.expect("searches");
    assert_eq!(hits.iter().map(|hit| hit.session).collect::<Vec<_>>(), [other]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// No text is an error, and none reaches another column, operator or table.
    #[test]
    fn any_text_is_a_query(text in r#"([a-z]{1,3}|AND|OR|NOT|NEAR|["'()*:^+{},.;-]|\PC|[ \t\n\x00\x02]){0,30}"#) {
        use std::sync::LazyLock;
        static SHARED: LazyLock<(TempStore, SessionStore, tokio::runtime::Runtime)> = LazyLock::new(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
            let temp = TempStore::new();
            let store = temp.open();
            runtime.block_on(async {
                let id = make(&store, "t").await;
                store.append(&id, vec![user("a b c and or not near")]).await.expect("stored");
            });
            (temp, store, runtime)
        });
        let (_, store, runtime) = &*SHARED;
        runtime.block_on(find(store, &text));
    }
}
