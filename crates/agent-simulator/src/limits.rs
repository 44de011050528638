//! Rate limits: a bucket each for requests, input and output tokens, and the headers that tell of them.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How much a minute allows. A bucket begins full and refills evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests a minute.
    pub requests: u64,
    /// Input tokens a minute.
    pub input_tokens: u64,
    /// Output tokens a minute.
    pub output_tokens: u64,
}

impl Default for RateLimits {
    /// Far above what a test or a benchmark on one machine sends: limits are met only when asked for.
    fn default() -> Self {
        Self {
            requests: 1_000_000,
            input_tokens: 10_000_000_000,
            output_tokens: 1_000_000_000,
        }
    }
}

const MINUTE: f64 = 60.0;

#[derive(Debug)]
struct Bucket {
    limit: f64,
    level: f64,
    updated: Instant,
}

impl Bucket {
    fn full(limit: u64, now: Instant) -> Self {
        let limit = limit.max(1) as f64;
        Self {
            limit,
            level: limit,
            updated: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.level = (self.level + elapsed * self.limit / MINUTE).min(self.limit);
        self.updated = now;
    }

    /// The time until `amount` is there, or until the bucket is full if it never can be.
    fn time_until(&self, amount: f64) -> Duration {
        let missing = (amount.min(self.limit) - self.level).max(0.0);
        Duration::from_secs_f64(missing * MINUTE / self.limit)
    }
}

/// The three buckets of one organisation.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    requests: Bucket,
    input: Bucket,
    output: Bucket,
}

impl Buckets {
    fn refill(&mut self, now: Instant) {
        for bucket in [&mut self.requests, &mut self.input, &mut self.output] {
            bucket.refill(now);
        }
    }
}

impl RateLimiter {
    pub(crate) fn new(limits: RateLimits, now: Instant) -> Self {
        Self {
            buckets: Mutex::new(Buckets {
                requests: Bucket::full(limits.requests, now),
                input: Bucket::full(limits.input_tokens, now),
                output: Bucket::full(limits.output_tokens, now),
            }),
        }
    }

    /// Takes one request and its input off the buckets, or says which limit is met and for how long.
    pub(crate) fn admit(&self, input_tokens: u64, now: Instant) -> Result<(), (&'static str, Duration)> {
        let mut buckets = self.buckets.lock();
        buckets.refill(now);
        let Buckets {
            requests,
            input,
            output,
        } = &mut *buckets;
        // A single prompt may exceed a whole minute's tokens; it passes when the bucket is full.
        let wanted = (input_tokens as f64).min(input.limit);
        for (name, bucket, amount) in [
            ("requests", &*requests, 1.0),
            ("input tokens", &*input, wanted),
            ("output tokens", &*output, 1.0),
        ] {
            if bucket.level < amount {
                return Err((name, bucket.time_until(amount)));
            }
        }
        requests.level -= 1.0;
        input.level -= wanted;
        Ok(())
    }

    /// Takes produced output off its bucket, which may run empty but not below.
    pub(crate) fn charge_output(&self, tokens: u64, now: Instant) {
        let output = &mut self.buckets.lock().output;
        output.refill(now);
        output.level = (output.level - tokens as f64).max(0.0);
    }

    /// The `anthropic-ratelimit-*` headers as they stand now.
    pub(crate) fn headers(&self, now: Instant) -> Vec<(String, String)> {
        let mut buckets = self.buckets.lock();
        buckets.refill(now);
        let Buckets {
            requests,
            input,
            output,
        } = &*buckets;
        let mut headers = Vec::with_capacity(12);
        let both = Bucket {
            limit: input.limit + output.limit,
            level: input.level + output.level,
            updated: now,
        };
        for (name, bucket) in [
            ("requests", requests),
            ("tokens", &both),
            ("input-tokens", input),
            ("output-tokens", output),
        ] {
            let reset = Utc::now() + bucket.time_until(bucket.limit);
            for (what, value) in [
                ("limit", format!("{:.0}", bucket.limit)),
                ("remaining", format!("{:.0}", bucket.level.floor())),
                ("reset", reset.to_rfc3339_opts(SecondsFormat::Secs, true)),
            ] {
                headers.push((format!("anthropic-ratelimit-{name}-{what}"), value));
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remaining(limiter: &RateLimiter, kind: &str) -> u64 {
        let name = format!("anthropic-ratelimit-{kind}-remaining");
        let headers = limiter.headers(Instant::now());
        headers
            .iter()
            .find(|(key, _)| *key == name)
            .unwrap()
            .1
            .parse()
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_goes_off_the_bucket_and_comes_back_in_time() {
        let limits = RateLimits {
            requests: 2,
            input_tokens: 100,
            output_tokens: 100,
        };
        let limiter = RateLimiter::new(limits, Instant::now());
        limiter.admit(40, Instant::now()).unwrap();
        limiter.charge_output(30, Instant::now());
        assert_eq!(
            (
                remaining(&limiter, "requests"),
                remaining(&limiter, "input-tokens")
            ),
            (1, 60)
        );
        assert_eq!(
            (
                remaining(&limiter, "output-tokens"),
                remaining(&limiter, "tokens")
            ),
            (70, 130)
        );
        limiter.admit(10, Instant::now()).unwrap();
        let (name, wait) = limiter.admit(10, Instant::now()).unwrap_err();
        assert_eq!((name, wait), ("requests", Duration::from_secs(30)));
        tokio::time::advance(wait).await;
        limiter.admit(10, Instant::now()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_prompt_larger_than_the_bucket_passes_when_it_is_full() {
        let limiter = RateLimiter::new(
            RateLimits {
                requests: 9,
                input_tokens: 10,
                output_tokens: 9,
            },
            Instant::now(),
        );
        limiter.admit(1000, Instant::now()).unwrap();
        assert_eq!(limiter.admit(1, Instant::now()).unwrap_err().0, "input tokens");
    }
}
