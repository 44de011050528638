use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::{cache, check_balance};
use crate::cache::{CacheStatus, FetchError, Fetched, Found, RequestCaching, ResponseCache, Source};
use crate::lifecycle::{Lifecycle, TaskHandle};

type Answer = Result<Found, FetchError<String>>;

/// An upstream that answers when it is let, and counts its calls.
#[derive(Clone)]
struct Upstream {
    calls: Arc<AtomicUsize>,
    called: Arc<Notify>,
    go: Arc<Semaphore>,
}

impl Upstream {
    fn new() -> Self {
        Upstream {
            calls: Arc::default(),
            called: Arc::default(),
            go: Arc::new(Semaphore::new(0)),
        }
    }

    async fn call(&self) -> String {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.called.notify_one();
        self.go.acquire().await.unwrap().forget();
        format!("answer {call}")
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn keep(value: String) -> Result<Fetched, String> {
    let value = Bytes::from(value);
    Ok(Fetched::Keep { value, ttl: None })
}

struct Scene {
    lifecycle: Lifecycle,
    cache: ResponseCache,
    upstream: Upstream,
}

impl Scene {
    fn new() -> Self {
        Scene {
            lifecycle: Lifecycle::new(),
            cache: cache(10, 1000),
            upstream: Upstream::new(),
        }
    }

    fn ask(
        &self,
        caching: RequestCaching,
        judge: fn(String) -> Result<Fetched, String>,
    ) -> TaskHandle<Answer> {
        let (cache, upstream) = (self.cache.clone(), self.upstream.clone());
        self.lifecycle.spawn("caller", async move {
            let fetch = || async { judge(upstream.call().await) };
            cache.get_or_fetch("key", caching, fetch).await
        })
    }

    /// Asks, and waits until the upstream is called.
    async fn lead(&self, judge: fn(String) -> Result<Fetched, String>) -> TaskHandle<Answer> {
        let leader = self.ask(RequestCaching::Use, judge);
        self.upstream.called.notified().await;
        leader
    }

    /// Asks so many times, and waits until all of them wait.
    async fn follow(&self, count: usize) -> Vec<TaskHandle<Answer>> {
        let before = self.cache.waiting_for("key");
        let followers: Vec<_> = (0..count).map(|_| self.ask(RequestCaching::Use, keep)).collect();
        while self.cache.waiting_for("key") < before + count {
            tokio::task::yield_now().await;
        }
        followers
    }
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.as_ref().unwrap().value).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_make_one_call() {
    let scene = Scene::new();
    let leader = scene.lead(keep).await;
    let followers = scene.follow(99).await;
    scene.upstream.go.add_permits(100);
    let led = leader.await.unwrap();
    assert_eq!(
        (text(&led), led.clone().unwrap().source),
        ("answer 1", Source::Fetched)
    );
    for follower in followers {
        let answer = follower.await.unwrap();
        assert_eq!(
            (text(&answer), answer.clone().unwrap().source),
            ("answer 1", Source::Shared)
        );
    }
    assert_eq!(scene.upstream.calls(), 1);
    let after = scene.ask(RequestCaching::Use, keep).await.unwrap().unwrap();
    assert_eq!((after.status(), after.age_seconds()), (CacheStatus::Hit, Some(0)));
    let stats = scene.cache.get_stats();
    assert_eq!(
        (stats.hits, stats.misses, stats.coalesced, stats.insertions),
        (1, 100, 99, 1)
    );
    check_balance(&stats);
}

#[tokio::test]
async fn when_the_leader_is_cancelled_one_of_the_waiting_takes_over() {
    let scene = Scene::new();
    let (cache, upstream) = (scene.cache.clone(), scene.upstream.clone());
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let leader = scene.lifecycle.spawn("leader", async move {
        let fetch = || async { keep(upstream.call().await) };
        let asked = cache.get_or_fetch("key", RequestCaching::Use, fetch);
        tokio::select! { _ = asked => false, () = stopped.cancelled() => true }
    });
    scene.upstream.called.notified().await;
    let followers = scene.follow(10).await;
    stop.cancel();
    assert!(leader.await.unwrap());
    scene.upstream.called.notified().await;
    scene.upstream.go.add_permits(1);
    for follower in followers {
        assert_eq!(text(&follower.await.unwrap()), "answer 2");
    }
    assert_eq!(scene.upstream.calls(), 2);
}

#[tokio::test]
async fn when_the_leader_panics_one_of_the_waiting_takes_over() {
    let scene = Scene::new();
    let leader = scene.lead(|_| panic!("planted")).await;
    let followers = scene.follow(3).await;
    scene.upstream.go.add_permits(2);
    assert!(leader.await.is_err());
    for follower in followers {
        assert_eq!(text(&follower.await.unwrap()), "answer 2");
    }
}

#[tokio::test]
async fn a_failure_is_shared_and_not_remembered() {
    let scene = Scene::new();
    let leader = scene.lead(|_| Err("overloaded".to_owned())).await;
    let followers = scene.follow(5).await;
    scene.upstream.go.add_permits(1);
    let expected = FetchError::Fetch("overloaded".to_owned());
    assert_eq!(leader.await.unwrap(), Err(expected.clone()));
    for follower in followers {
        assert_eq!(follower.await.unwrap(), Err(expected.clone()));
    }
    scene.upstream.go.add_permits(1);
    assert_eq!(
        text(&scene.ask(RequestCaching::Use, keep).await.unwrap()),
        "answer 2"
    );
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_shared_and_not_stored() {
    let scene = Scene::new();
    let leader = scene.lead(|answer| Ok(Fetched::Pass(Bytes::from(answer)))).await;
    let followers = scene.follow(1).await;
    scene.upstream.go.add_permits(1);
    assert_eq!(text(&leader.await.unwrap()), "answer 1");
    for follower in followers {
        assert_eq!(text(&follower.await.unwrap()), "answer 1");
    }
    assert_eq!(scene.cache.get_stats().entries, 0);
}

#[tokio::test]
async fn callers_with_another_type_of_error_fetch_for_themselves() {
    let scene = Scene::new();
    let leader = scene.lead(|_| Err("broken".to_owned())).await;
    let (cache, asked) = (scene.cache.clone(), Arc::new(Notify::new()));
    let other = scene.lifecycle.spawn("other", async move {
        asked.notify_one();
        let fetch = || async { Err::<Fetched, u16>(529) };
        cache.get_or_fetch("key", RequestCaching::Use, fetch).await
    });
    while scene.cache.waiting_for("key") == 0 {
        tokio::task::yield_now().await;
    }
    scene.upstream.go.add_permits(1);
    assert!(leader.await.unwrap().is_err());
    assert_eq!(other.await.unwrap(), Err(FetchError::Fetch(529)));
}

#[tokio::test]
async fn an_answer_asked_for_before_an_invalidation_is_not_stored_after_it() {
    for change in ["invalidate", "clear", "put", "off and on"] {
        let scene = Scene::new();
        let leader = scene.lead(keep).await;
        let followers = scene.follow(2).await;
        match change {
            "invalidate" => scene.cache.invalidate("key").await,
            "clear" => scene.cache.clear().await,
            "put" => super::put(&scene.cache, "key", "newer").await,
            _ => {
                scene.cache.set_enabled(false);
                scene.cache.set_enabled(true);
            }
        }
        scene.upstream.go.add_permits(1);
        assert_eq!(text(&leader.await.unwrap()), "answer 1", "{change}");
        for follower in followers {
            assert_eq!(text(&follower.await.unwrap()), "answer 1", "{change}");
        }
        let expected = (change == "put").then_some(&b"newer"[..]);
        assert_eq!(scene.cache.get("key").await.as_deref(), expected, "{change}");
    }
}

#[tokio::test]
async fn a_refresh_fetches_anew_and_its_answer_is_the_one_kept() {
    let scene = Scene::new();
    let older = scene.lead(keep).await;
    let refresh = scene.ask(RequestCaching::Refresh, keep);
    scene.upstream.called.notified().await;
    let followers = scene.follow(2).await;
    scene.upstream.go.add_permits(2);
    assert_eq!(text(&older.await.unwrap()), "answer 1");
    let refreshed = refresh.await.unwrap();
    assert_eq!(text(&refreshed), "answer 2");
    assert_eq!(refreshed.unwrap().status(), CacheStatus::Bypass);
    for follower in followers {
        assert_eq!(text(&follower.await.unwrap()), "answer 2");
    }
    assert_eq!(scene.cache.get("key").await.as_deref(), Some(&b"answer 2"[..]));
}

#[tokio::test]
async fn a_bypass_or_a_cache_that_is_off_shares_and_stores_nothing() {
    for off in [false, true] {
        let scene = Scene::new();
        scene.cache.set_enabled(!off);
        let caching = if off {
            RequestCaching::Use
        } else {
            RequestCaching::Bypass
        };
        scene.upstream.go.add_permits(2);
        let answers = [scene.ask(caching, keep), scene.ask(caching, keep)];
        for answer in answers {
            assert_eq!(answer.await.unwrap().unwrap().source, Source::Bypassed);
        }
        assert_eq!(
            (scene.upstream.calls(), scene.cache.get_stats().insertions),
            (2, 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_is_bounded_in_number_and_in_time() {
    let scene = Scene::new();
    let leader = scene.lead(keep).await;
    let followers = scene.follow(1024).await;
    let refused = scene.ask(RequestCaching::Use, keep).await.unwrap();
    assert_eq!(refused, Err(FetchError::Crowded { limit: 1024 }));
    // The upstream never answers, and time is simulated.
    for follower in followers {
        let after = Duration::from_secs(600);
        assert_eq!(follower.await.unwrap(), Err(FetchError::WaitedTooLong { after }));
    }
    assert_eq!(scene.cache.waiting_for("key"), 0);
    scene.upstream.go.add_permits(1);
    assert_eq!(text(&leader.await.unwrap()), "answer 1");
    check_balance(&scene.cache.get_stats());
}
