//! Random operations on the store and on a plain model of it; after each step both tell the same.

use agent_core::session::{ListFilter, SearchQuery, SessionId, SessionStore};
use proptest::prelude::*;

use super::support::{TempStore, assistant, contents, make, user};

const WORDS: [&str; 5] = ["apple", "banana", "cherry", "date", "elder"];

#[derive(Clone, Debug)]
enum Step {
    Create,
    Append { session: usize, words: Vec<usize> },
    Compact { session: usize, at: u64 },
    Fork { session: usize, at: u64 },
    Rename { session: usize, word: usize },
    Delete { session: usize },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0..4_usize;
    prop_oneof![
        2 => Just(Step::Create),
        8 => (session.clone(), prop::collection::vec(0..WORDS.len(), 1..4))
            .prop_map(|(session, words)| Step::Append { session, words }),
        2 => (session.clone(), 0..12_u64).prop_map(|(session, at)| Step::Compact { session, at }),
        2 => (session.clone(), 0..12_u64).prop_map(|(session, at)| Step::Fork { session, at }),
        1 => (session.clone(), 0..WORDS.len()).prop_map(|(session, word)| Step::Rename { session, word }),
        1 => session.prop_map(|session| Step::Delete { session }),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Clone, Debug, Default)]
struct Modelled {
    title: String,
    messages: Vec<usize>,
    compactions: Vec<u64>,
}

type Model = Vec<(SessionId, Modelled)>;

async fn apply(step: Step, temp: &TempStore, store: &mut SessionStore, model: &mut Model) {
    let pick = |session: usize| (!model.is_empty()).then(|| session % model.len());
    match step {
        Step::Create => {
            let id = make(store, "new").await;
            model.push((
                id,
                Modelled {
                    title: "new".into(),
                    ..Modelled::default()
                },
            ));
        }
        Step::Append { session, words } => {
            let Some(at) = pick(session) else { return };
            let (id, modelled) = &mut model[at];
            let new = words.iter().map(|word| user(WORDS[*word])).collect();
            let seqs = store.append(id, new).await.expect("stored");
            let first = modelled.messages.len() as u64 + 1;
            assert_eq!(seqs, (first..first + words.len() as u64).collect::<Vec<_>>());
            modelled.messages.extend(words);
        }
        Step::Compact { session, at: upto } => {
            let Some(at) = pick(session) else { return };
            let (id, modelled) = &mut model[at];
            let begin = modelled.compactions.last().copied().unwrap_or(0);
            let valid = upto > begin && upto <= modelled.messages.len() as u64;
            let result = store.compact(id, upto, assistant("summary")).await;
            assert_eq!(result.is_ok(), valid, "{result:?}");
            modelled.compactions.extend(valid.then_some(upto));
        }
        Step::Fork { session, at: upto } => {
            let Some(at) = pick(session) else { return };
            let (id, mut copy) = model[at].clone();
            match store.fork(&id, Some(upto)).await {
                Ok(fork) => {
                    assert!(upto <= copy.messages.len() as u64);
                    copy.messages.truncate(usize::try_from(upto).expect("small"));
                    copy.compactions.retain(|compacted| *compacted <= upto);
                    model.push((fork, copy));
                }
                Err(error) => {
                    assert_eq!(error.kind(), "no_such_message");
                    assert!(upto > copy.messages.len() as u64);
                }
            }
        }
        Step::Rename { session, word } => {
            let Some(at) = pick(session) else { return };
            let (id, modelled) = &mut model[at];
            store.rename(id, WORDS[word]).await.expect("renamed");
            modelled.title = WORDS[word].into();
        }
        Step::Delete { session } => {
            let Some(at) = pick(session) else { return };
            let (id, _) = model.remove(at);
            store.delete(&id).await.expect("deleted");
            assert_eq!(store.get(&id).await.expect_err("gone").kind(), "not_found");
        }
        Step::Reopen => {
            store.close().await.expect("closes");
            *store = temp.open();
        }
    }
}

async fn compare(store: &SessionStore, model: &Model) {
    let listed = store
        .list(ListFilter {
            limit: 1_000,
            ..ListFilter::default()
        })
        .await
        .expect("lists");
    assert_eq!(listed.len(), model.len());
    for (id, modelled) in model {
        let context = store.load_context(id).await.expect("loads");
        let begin = modelled.compactions.last().copied().unwrap_or(0);
        assert_eq!(
            context.summary.as_ref().map_or(0, |summary| summary.upto_seq),
            begin
        );
        assert_eq!(context.session.title, modelled.title);
        let begin = usize::try_from(begin).expect("small");
        let expected: Vec<String> = modelled.messages[begin..]
            .iter()
            .map(|word| format!("\"{}\"", WORDS[*word]))
            .collect();
        assert_eq!(contents(&context), expected);
    }
    for (n, word) in WORDS.iter().enumerate() {
        let expected: usize = model
            .iter()
            .map(|(_, m)| m.messages.iter().filter(|message| **message == n).count())
            .sum();
        let query = SearchQuery {
            text: (*word).into(),
            ..SearchQuery::default()
        };
        let found = store.search(query).await.expect("searches").len();
        assert_eq!(found, expected.min(agent_core::session::MAX_HITS), "{word}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_its_model_does(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let temp = TempStore::new();
            let (mut store, mut model) = (temp.open(), Model::new());
            for step in steps {
                apply(step, &temp, &mut store, &mut model).await;
                compare(&store, &model).await;
            }
            store.verify().await.expect("whole");
        });
    }
}
