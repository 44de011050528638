//! Turns and money.

use agent_core::{AgentEvent, ErrorKind, Outcome, RunLimits};
use agent_performance::cache::{CacheLimits, ResponseCache};
use serde_json::json;

use crate::support::fixture::{Fixture, MODEL, limits};
use crate::support::server::{Piece, Reply, answer, answer_with, call, text};

fn looking(n: usize) -> Reply {
    let usage = json!({"input_tokens": 1_000, "output_tokens": 400});
    answer_with(
        [call(&format!("t{n}"), "look", json!({"path": "a"}))],
        "tool_use",
        usage,
    )
}

#[tokio::test]
async fn turns_run_out() {
    let fixture = Fixture::new((0..9).map(looking)).await;
    let ran = fixture
        .run_within(
            "go",
            RunLimits {
                max_turns: 3,
                ..limits()
            },
        )
        .await;
    assert_eq!((ran.finished.outcome, ran.finished.turns), (Outcome::Partial, 3));
    assert_eq!(ran.finished.error.unwrap().kind, ErrorKind::MaxTurns);
    assert_eq!(fixture.server.left(), 6);
}

#[tokio::test]
async fn the_budget_is_not_passed() {
    // 400 output tokens are 0.008 dollars, 1,000 input tokens 0.004.
    let fixture = Fixture::new((0..99).map(looking)).await;
    let ran = fixture
        .run_within(
            "go",
            RunLimits {
                max_budget_usd: Some(0.15),
                max_turns: 99,
                ..limits()
            },
        )
        .await;
    assert_eq!(ran.finished.outcome, Outcome::OverBudget);
    let cost = ran.finished.cost_usd.unwrap();
    assert!(cost > 0.1 && cost <= 0.15, "{cost}");
    // What an answer may cost was lowered to what was left.
    let asked: Vec<u64> = fixture
        .server
        .requests()
        .iter()
        .map(|body| body["max_tokens"].as_u64().unwrap())
        .collect();
    assert!(
        asked[0] < 32_000 && asked.windows(2).all(|pair| pair[1] < pair[0]),
        "{asked:?}"
    );
}

#[tokio::test]
async fn answers_that_break_off_are_not_repeated_beyond_the_budget() {
    // Each begins with a prompt of 10,000 tokens, which is 0.04 dollars.
    let usage = json!({"input_tokens": 10_000, "output_tokens": 1});
    let broken = || match answer_with([text("and so")], "end_turn", usage.clone()) {
        Reply::Stream(mut pieces) => {
            pieces.truncate(pieces.len() - 2);
            pieces.push(Piece::Break);
            Reply::Stream(pieces)
        }
        other => other,
    };
    let fixture = Fixture::new((0..9).map(|_| broken())).await;
    let ran = fixture
        .run_within(
            "go",
            RunLimits {
                max_budget_usd: Some(0.1),
                ..limits()
            },
        )
        .await;
    assert_eq!(ran.finished.outcome, Outcome::UpstreamFailed);
    let cost = ran.finished.cost_usd.unwrap();
    assert!(cost > 0.08 && cost < 0.14, "{cost}");
    assert!(ran.events.iter().any(
        |event| matches!(event, AgentEvent::Warning { message } if message.contains("could pass the budget"))
    ));
    let asked: Vec<u64> = fixture
        .server
        .requests()
        .iter()
        .map(|body| body["max_tokens"].as_u64().unwrap())
        .collect();
    assert!(
        asked.len() < 4 && asked.windows(2).all(|pair| pair[1] < pair[0]),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_text_cut_by_the_budget_is_over_budget() {
    let usage = json!({"input_tokens": 100, "output_tokens": 900});
    let fixture = Fixture::new([answer_with([text("and so")], "max_tokens", usage)]).await;
    let ran = fixture
        .run_within(
            "go",
            RunLimits {
                max_budget_usd: Some(0.04),
                ..limits()
            },
        )
        .await;
    assert_eq!(
        (ran.finished.outcome, ran.finished.text.as_str()),
        (Outcome::OverBudget, "and so")
    );
}

#[tokio::test]
async fn a_budget_without_a_price_sends_nothing() {
    let mut fixture = Fixture::new([answer([text("ok")], "end_turn")]).await;
    fixture.parts.settings.model = "some-local-model".to_owned();
    let ran = fixture
        .run_within(
            "go",
            RunLimits {
                max_budget_usd: Some(100.0),
                ..limits()
            },
        )
        .await;
    assert_eq!(ran.finished.outcome, Outcome::Misconfigured);
    assert_eq!(ran.finished.error.unwrap().kind, ErrorKind::UnknownPrice);
    assert!(fixture.server.requests().is_empty());
}

#[tokio::test]
async fn without_a_budget_an_unknown_price_is_an_unknown_cost() {
    let mut fixture = Fixture::new([answer([text("ok")], "end_turn")]).await;
    fixture.parts.settings.model = "some-local-model".to_owned();
    let ran = fixture.run("go").await;
    assert_eq!(
        (ran.finished.outcome, ran.finished.cost_usd),
        (Outcome::Done, None)
    );
}

#[tokio::test]
async fn an_answer_from_the_cache_costs_nothing() {
    for model in [MODEL, "some-local-model"] {
        let usage = json!({"input_tokens": 1_000, "cache_read_input_tokens": 500, "output_tokens": 400});
        let mut fixture = Fixture::new([answer_with([text("four")], "end_turn", usage)]).await;
        fixture.parts.settings.model = model.to_owned();
        let cache = ResponseCache::with_limits(CacheLimits::default());
        fixture.parts.client = fixture.parts.client.with_cache(cache).with_message_cache();
        let paid = fixture.run("two and two").await.finished;
        let again = fixture.run("two and two").await;
        assert_eq!(fixture.server.requests().len(), 1);
        assert_eq!(paid.usage.output_tokens, 400);
        assert_eq!(paid.cost_usd.is_some_and(|cost| cost > 0.0), model == MODEL);
        assert_eq!(
            (paid.text, paid.turns),
            (again.finished.text, again.finished.turns)
        );
        assert_eq!(again.finished.cost_usd, Some(0.0));
        assert_eq!(again.finished.usage, Default::default());
        assert!(again.events.iter().any(|event| matches!(
            event,
            AgentEvent::UsageReported {
                input_tokens: 0,
                output_tokens: 0,
                cost_usd: Some(0.0),
                ..
            }
        )));
        let session = again.finished.session_id.parse().unwrap();
        let cost = fixture.parts.store.get(&session).await.unwrap().cost;
        assert_eq!((cost.usd, cost.unpriced, cost.output_tokens), (0.0, 0, 0));
    }
}
