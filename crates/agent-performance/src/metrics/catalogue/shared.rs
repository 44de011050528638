//! What replicas share through Redis or Valkey.

use super::bounds::MILLISECONDS;
use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::gauge(
        "shared.up",
        MetricUnit::Count,
        "1 while the shared store answers, 0 while this replica goes on alone",
        &[],
    ),
    Declaration::counter("shared.connects", "Connections made to the shared store", &[]),
    Declaration::counter(
        "shared.commands",
        "Commands to the shared store: `ok`, `refused` by it, `timed_out`, `failed` with the connection, or `skipped` because it is down",
        &["outcome"],
    ),
    Declaration::histogram(
        "shared.command_duration",
        MetricUnit::Milliseconds,
        "Time of a command that was sent to the shared store",
        &[],
        MILLISECONDS,
    ),
    Declaration::counter(
        "shared.cache_hits",
        "Look-ups answered from the shared part of the response cache; each is a `cache.hits` too",
        &[],
    ),
    Declaration::counter(
        "shared.cache_misses",
        "Look-ups that found nothing in the shared part of the response cache",
        &[],
    ),
    Declaration::counter(
        "shared.cache_foreign",
        "Values under the cache's keys that no replica of this version stored, taken as misses",
        &[],
    ),
    Declaration::counter(
        "shared.cache_written",
        "Answers stored in the shared part of the response cache",
        &[],
    ),
    Declaration::counter(
        "shared.cache_dropped",
        "Answers kept by this replica alone: too large to share, too many waiting, or the shared store was down",
        &[],
    ),
    Declaration::counter(
        "shared.cache_invalidations",
        "Invalidations that came from other replicas, or were missed and made up for by emptying this replica's memory",
        &[],
    ),
];
