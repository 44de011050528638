use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::registry::Registry;
use super::{Lifecycle, TaskError};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_task_gives_its_result_and_leaves_the_registry() {
    let lifecycle = Lifecycle::new();
    let handle = lifecycle.spawn("adder", async { 40 + 2 });
    assert_eq!(lifecycle.running(), ["adder"]);
    assert_eq!(handle.name(), "adder");
    assert_eq!(handle.await, Ok(42));
    assert!(lifecycle.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_and_the_rest_goes_on() {
    let lifecycle = Lifecycle::new();
    let handle = lifecycle.spawn("doomed", async { panic!("no more {}", "ink") });
    let expected = TaskError::Panicked {
        name: "doomed".into(),
        message: "no more ink".into(),
    };
    assert_eq!(handle.await, Err::<(), _>(expected));
    assert_eq!(lifecycle.spawn("next", async { 1 }).await, Ok(1));
    let report = lifecycle.shutdown(SOON).await;
    assert_eq!(report.panicked, ["doomed"]);
    assert!(!report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_the_obedient_and_names_the_others() {
    let lifecycle = Lifecycle::new();
    let token = lifecycle.token();
    let _obedient = lifecycle.spawn("obedient", async move {
        token.cancelled().await;
        sleep(Duration::from_secs(1)).await;
    });
    let dropped = Arc::new(AtomicBool::new(false));
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let flag = Flag(Arc::clone(&dropped));
    let deaf = lifecycle.spawn("deaf", async move {
        let _flag = flag;
        std::future::pending::<()>().await;
    });
    let begun = Instant::now();
    let report = lifecycle.shutdown(SOON).await;
    assert_eq!(begun.elapsed(), SOON);
    assert_eq!(report.finished, 1);
    assert_eq!(report.aborted, ["deaf"]);
    assert!(
        dropped.load(Ordering::SeqCst),
        "an aborted task is dropped before shutdown returns"
    );
    assert_eq!(deaf.await, Err(TaskError::Aborted { name: "deaf".into() }));
    assert!(lifecycle.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn shutdown_returns_as_soon_as_the_last_task_ends() {
    let lifecycle = Lifecycle::new();
    let token = lifecycle.token();
    let _task = lifecycle.spawn("quick", async move { token.cancelled().await });
    let begun = Instant::now();
    assert!(lifecycle.shutdown(Duration::from_secs(3600)).await.is_clean());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn nothing_starts_after_shutdown() {
    let lifecycle = Lifecycle::new();
    lifecycle.shutdown(SOON).await;
    let ran = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ran);
    let late = lifecycle.spawn("late", async move { seen.store(true, Ordering::SeqCst) });
    assert!(late.is_finished());
    assert_eq!(
        late.await,
        Err(TaskError::Refused {
            name: "late".into(),
            reason: "shutting down"
        })
    );
    assert!(!ran.load(Ordering::SeqCst));
}

#[test]
fn the_registry_is_bounded_and_places_are_given_back() {
    let registry = Arc::new(Registry::new(2));
    let first = registry.enter("a".into()).unwrap();
    let _second = registry.enter("b".into()).unwrap();
    assert!(registry.enter("c".into()).is_err());
    drop(first);
    assert!(registry.enter("c".into()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_leaves_the_task_running_and_abort_ends_it() {
    let lifecycle = Lifecycle::new();
    drop(lifecycle.spawn("detached", std::future::pending::<()>()));
    let other = lifecycle.spawn("other", std::future::pending::<()>());
    tokio::task::yield_now().await;
    assert_eq!(lifecycle.running(), ["detached", "other"]);
    other.abort();
    assert!(other.await.is_err());
    assert_eq!(lifecycle.running(), ["detached"]);
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_the_last_blocker() {
    let lifecycle = Lifecycle::new();
    let store = lifecycle.block_readiness("store");
    let again = lifecycle.block_readiness("store");
    let listener = lifecycle.block_readiness("listener");
    assert_eq!(lifecycle.readiness_blockers(), ["listener", "store"]);
    drop((store, listener));
    assert!(!lifecycle.is_ready());
    let waiting = lifecycle.clone();
    let ready = lifecycle.spawn("waiter", async move { waiting.ready().await });
    drop(again);
    assert_eq!(ready.await, Ok(true));
    assert!(lifecycle.is_ready());
    lifecycle.shutdown(SOON).await;
    assert!(!lifecycle.is_ready());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_ends_with_shutdown() {
    let lifecycle = Lifecycle::new();
    let _blocker = lifecycle.block_readiness("never");
    let waiting = lifecycle.clone();
    let ready = lifecycle.spawn("waiter", async move { waiting.ready().await });
    lifecycle.shutdown(SOON).await;
    assert_eq!(ready.await, Ok(false));
}
