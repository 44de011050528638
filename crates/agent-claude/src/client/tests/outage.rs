//! Long outages in simulated time. No sockets here: with a paused clock, time jumps while a socket is waited for.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::{Instant, sleep};

use super::*;
use crate::error::{BudgetReason, TimeoutStage};

fn offline() -> ClaudeClient {
    let mut config = ClaudeConfig::new("http://127.0.0.1:9".parse().unwrap());
    config.timeouts.total = Duration::from_secs(600);
    ClaudeClient::new(config).unwrap()
}

fn overloaded() -> ClaudeError {
    ClaudeError::Api {
        status: 529,
        kind: "overloaded_error".into(),
        message: "Overloaded".into(),
        request_id: None,
        retry_after: None,
        should_retry: None,
    }
}

/// One request whose every try takes 100 ms and ends as `outcome` says.
async fn request(
    client: &ClaudeClient,
    tries: &AtomicU32,
    outcome: impl Fn() -> ClaudeResult<()>,
) -> ClaudeResult<()> {
    let outcome = &outcome;
    let attempt = |turn| async move {
        tries.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(100)).await;
        drop(turn);
        outcome()
    };
    client.with_retries(&client.bounds(), None, attempt).await
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_overload_is_no_storm_and_then_all_is_well() {
    let client = offline();
    let tries = AtomicU32::new(0);
    let begun = Instant::now();
    let mut requests = 0;
    while begun.elapsed() < Duration::from_secs(3600) {
        requests += 1;
        assert!(request(&client, &tries, || Err(overloaded())).await.is_err());
        sleep(Duration::from_secs(1)).await;
    }
    let tries = tries.into_inner();
    assert!(requests > 2000, "{requests} requests were asked for");
    // The breaker: ten failures, then at most one probe for each minute it is open, and those few while it widened.
    assert!((60..=90).contains(&tries), "{tries} tries reached the API");

    sleep(Duration::from_secs(60)).await;
    let good = AtomicU32::new(0);
    assert!(request(&client, &good, || Ok(())).await.is_ok());
    assert!(request(&client, &good, || Ok(())).await.is_ok());
    assert_eq!(good.into_inner(), 2);
}

#[tokio::test(start_paused = true)]
async fn retries_stay_within_the_budget_when_the_breaker_sees_life() {
    // 429 shows an API that is up, so only the budget limits these.
    let client = offline();
    let tries = AtomicU32::new(0);
    let limited = || match overloaded() {
        ClaudeError::Api {
            kind,
            message,
            request_id,
            retry_after,
            should_retry,
            ..
        } => Err(ClaudeError::Api {
            status: 429,
            kind,
            message,
            request_id,
            retry_after,
            should_retry,
        }),
        other => Err(other),
    };
    let mut requests = 0;
    let mut exhausted = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3600) {
        requests += 1;
        let error = request(&client, &tries, limited).await.unwrap_err();
        if let ClaudeError::BudgetExhausted {
            reason: BudgetReason::RetryBudget,
            last: Some(last),
        } = &error
        {
            assert!(last.to_string().contains("429") && error.is_retryable());
            exhausted += 1;
        }
    }
    let retries = tries.into_inner() - requests;
    assert!(
        (100..=141).contains(&retries),
        "{retries} retries for {requests} requests"
    );
    assert!(exhausted > requests / 2, "{exhausted} of {requests}");
}

#[tokio::test(start_paused = true)]
async fn one_probe_goes_through_and_the_others_are_told_when_to_come() {
    let client = offline();
    let tries = AtomicU32::new(0);
    // Silence, not overload: that would also lower the concurrency to one at a time.
    let silent = || {
        Err(ClaudeError::Timeout {
            stage: TimeoutStage::FirstByte,
            after: SHORT,
        })
    };
    while client
        .shared
        .breaker
        .enter()
        .map(|pass| pass.report(None))
        .is_ok()
    {
        assert!(request(&client, &tries, silent).await.is_err());
    }
    sleep(Duration::from_secs(60)).await;
    let tries = AtomicU32::new(0);
    let requests = (0..5).map(|_| request(&client, &tries, || Ok(())));
    let results = futures_util::future::join_all(requests).await;
    assert_eq!(tries.into_inner(), 1, "exactly one probe");
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert!(
            matches!(
                error,
                ClaudeError::BudgetExhausted {
                    reason: BudgetReason::CircuitOpen { .. },
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.retry_after().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn backing_off_takes_growing_and_random_times() {
    let mut waits = Vec::new();
    for _ in 0..20 {
        let client = offline();
        let tries = AtomicU32::new(0);
        let begun = Instant::now();
        assert!(request(&client, &tries, || Err(overloaded())).await.is_err());
        assert_eq!(tries.into_inner(), 5);
        // Five tries, and waits of up to 0.5, 1, 2 and 4 s between them.
        assert!(
            begun.elapsed() <= Duration::from_millis(8000 + 20),
            "{:?}",
            begun.elapsed()
        );
        waits.push(begun.elapsed());
    }
    waits.dedup();
    assert!(waits.len() > 10, "{waits:?}");
}
