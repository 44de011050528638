//! The one task that makes connections: at the start, and after each that breaks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, RedisError};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::link::Link;

/// What an attempt may take: a look-up, a TCP and perhaps a TLS handshake, and a greeting. No request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause before the second attempt; the first comes at once, because most breaks are of the connection alone.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause. A recovery is seen at most this much later; a server that comes back is not stormed.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A connection that lived this long was good, and the pauses begin anew. One that greets and then fails every command
/// would otherwise cost a request its time-out again and again.
const STABLE: Duration = Duration::from_secs(10);

/// Commands that wait to be written. With more, callers wait their turn, within their own time-outs.
const PIPELINE: usize = 256;

/// Runs until the token is cancelled, and leaves a connection that is up as it is: requests still in flight use it.
pub(super) async fn supervise(link: Arc<Link>, token: CancellationToken) {
    let stopped = token.cancelled();
    tokio::select! {
        biased;
        () = stopped => {}
        () = keep_connected(&link) => {}
    }
}

async fn keep_connected(link: &Arc<Link>) {
    let mut pause = Duration::ZERO;
    for generation in 0.. {
        match connect(link, generation).await {
            Ok(connection) => {
                let since = Instant::now();
                link.went_up(connection, generation);
                link.until_down().await;
                if since.elapsed() >= STABLE {
                    pause = Duration::ZERO;
                }
            }
            Err(message) => link.attempt_failed(link.config.redact(&message)),
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).clamp(FIRST_PAUSE, MAX_PAUSE);
    }
}

/// A connection that has answered, and listens to the events.
async fn connect(link: &Arc<Link>, generation: u64) -> Result<MultiplexedConnection, String> {
    let said_nothing = |_| {
        let seconds = CONNECT_TIMEOUT.as_secs();
        format!("no greeting within {seconds} s")
    };
    timeout(CONNECT_TIMEOUT, greet(link, generation))
        .await
        .map_err(said_nothing)?
        .map_err(|error| error.to_string())
}

async fn greet(link: &Arc<Link>, generation: u64) -> Result<MultiplexedConnection, RedisError> {
    // Weak: the link holds the connection, and the connection this.
    let listener = Arc::downgrade(link);
    let config = AsyncConnectionConfig::new()
        // Both are bounded from outside: by this attempt, and by each command.
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(PIPELINE)
        .set_push_sender(move |push| hand_over(&listener, generation, push));
    let client = Client::open(link.config.info.clone())?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    redis::cmd("PING").exec_async(&mut connection).await?;
    connection.subscribe(link.config.channel()).await?;
    Ok(connection)
}

fn hand_over(link: &Weak<Link>, generation: u64, push: PushInfo) -> Result<(), redis::aio::SendError> {
    let link = link.upgrade().ok_or(redis::aio::SendError)?;
    link.pushed(generation, push);
    Ok(())
}

/// Between three quarters and all of it, so that replicas do not come back in step. Any number that differs between
/// processes will do, and the clock's nanoseconds do.
fn jittered(pause: Duration) -> Duration {
    let nanos = chrono::Utc::now().timestamp_subsec_nanos();
    let share = f64::from(nanos % 1000) / 1000.0;
    pause.mul_f64(0.75 + 0.25 * share)
}
