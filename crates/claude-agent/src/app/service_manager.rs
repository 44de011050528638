//! What the service manager that started the daemon is told (sd_notify(3)): that it is ready, that it lives, that it stops.
//! Without `NOTIFY_SOCKET` in the environment nothing is told.

use std::io;
use std::time::Duration;

use agent_core::session::SessionStore;
use agent_performance::lifecycle::Lifecycle;
use sd_notify::NotifyState;

/// The watchdog is never fed more often than this, however short a time the service manager asks for.
const SHORTEST_FEED: Duration = Duration::from_millis(100);

/// Tells that requests are answered from now on, and starts what feeds the watchdog; both end with `lifecycle`, which is told, too.
///
/// The watchdog is fed at half of its time, and only when the event loop ran and the store's writer answered within that half.
/// A store that answers with an error is alive: starting again would not mend a full disk.
pub(super) fn report(store: &SessionStore, lifecycle: &Lifecycle) {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    let (store, stop) = (store.clone(), lifecycle.token());
    let watchdog = sd_notify::watchdog_enabled();
    drop(lifecycle.spawn("service manager", async move {
        match watchdog {
            Some(limit) => {
                let half = (limit / 2).max(SHORTEST_FEED);
                stop.run_until_cancelled(feed(&store, half)).await;
            }
            None => stop.cancelled().await,
        }
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("letting what is under way end"),
        ]);
    }));
}

/// Tells that the configuration is being read again; [`reloaded`] has to follow. `Type=notify-reload` wants the time with it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::debug!(%error, "the time of a reload could not be told to the service manager")
        }
    }
}

/// Tells that the configuration was read, whether a new one holds or the old one was kept.
pub(super) fn reloaded() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// For ever.
async fn feed(store: &SessionStore, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match tokio::time::timeout(interval, store.check_writable()).await {
            Ok(_) => tell(&[NotifyState::Watchdog]),
            Err(_) => tracing::warn!(
                "the session store has not answered for {interval:?}, so the service manager's watchdog is not fed"
            ),
        }
    }
}

/// The daemon works on when nobody listens; the service manager's own log says what it missed.
fn tell(state: &[NotifyState<'_>]) {
    match sd_notify::notify(state) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::debug!(%error, "no service manager listens");
        }
        Err(error) => tracing::warn!(%error, "the service manager could not be told"),
    }
}
