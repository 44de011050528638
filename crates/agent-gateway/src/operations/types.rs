//! The bodies of the operations endpoints. The OpenAPI document is made from these.

use std::collections::BTreeMap;

use agent_performance::cache::CacheStats;
use agent_performance::connection_pool::ConnectionPoolStats;
use agent_performance::memory::{LeakEvidence, LeakSuspect, ResourceInfo};
use agent_performance::metrics::MetricStatistics;
use agent_performance::shared::{SharedState, SharedStatus};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use super::logs::LogPage;

/// What was measured, as statistics of the retention window.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MetricsPage {
    /// When counting began.
    pub(crate) started_at: DateTime<Utc>,
    /// When this was taken.
    pub(crate) taken_at: DateTime<Utc>,
    /// Seconds that the statistics look back, when no `window` was asked for.
    pub(crate) retention_seconds: f64,
    /// The series, by name and tags.
    pub(crate) series: Vec<Series>,
}

/// One series: a name with tags.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Series {
    /// Its name.
    pub(crate) name: String,
    /// Its tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// How it is recorded.
    pub(crate) kind: Kind,
    /// What its values count: `ms`, `s`, `bytes`, `KiB`, `MiB`, `count`, `%` or `1/s`.
    pub(crate) unit: String,
    /// What it tells, where it is one of the product's own.
    pub(crate) help: Option<String>,
    /// The total of a counter, the level of a gauge, the sum of a histogram; since the start.
    pub(crate) value: f64,
    /// Samples since the start.
    pub(crate) count: u64,
    /// The statistics of the retention window, or of `window`; null when nothing was recorded in it.
    pub(crate) statistics: Option<Statistics>,
}

/// How a series is recorded.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// A level.
    Gauge,
    /// Samples whose distribution matters.
    Histogram,
}

/// What the samples of a window look like, in the series' unit.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Statistics {
    /// How many samples.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum: f64,
    /// Their mean.
    pub(crate) avg: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
    /// Half of the samples are at or below it.
    pub(crate) median: f64,
    /// 95 of 100 samples are at or below it.
    pub(crate) p95: f64,
    /// 99 of 100 samples are at or below it.
    pub(crate) p99: f64,
    /// With `window`: false when more samples fell into it than a series keeps, so that these are the latest only.
    pub(crate) is_complete: bool,
}

/// What is alive, and what of it looks like a leak.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Resources {
    /// Live resources, by type.
    pub(crate) resources: BTreeMap<String, Resource>,
    /// Types that look like a leak.
    pub(crate) leak_suspects: Vec<Suspect>,
    /// Resources that ended although they were never seen to begin.
    pub(crate) anomalies: u64,
    /// The latest figures of the process, the machine and its limits, by name; empty where nothing is measured.
    pub(crate) process: BTreeMap<String, Figure>,
}

/// A type of resource.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Resource {
    /// Alive now.
    pub(crate) count: u64,
    /// Bytes they hold now.
    pub(crate) bytes: u64,
    /// The most that were alive at one time.
    pub(crate) peak_count: u64,
    /// Begun since the start.
    pub(crate) begun: u64,
    /// Ended since the start.
    pub(crate) ended: u64,
    /// When the first was seen.
    pub(crate) first_seen: DateTime<Utc>,
    /// When one was last made, used or ended.
    pub(crate) last_used: DateTime<Utc>,
}

/// A type that looks like a leak.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Suspect {
    /// The type.
    pub(crate) resource: String,
    /// Alive now.
    pub(crate) count: u64,
    /// Bytes they hold now.
    pub(crate) bytes: u64,
    /// What speaks against it; never empty.
    pub(crate) evidence: Vec<Evidence>,
}

/// One reason for suspicion.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Evidence {
    /// Nobody touches them.
    Untouched {
        /// How many.
        count: u64,
        /// Bytes they hold.
        bytes: u64,
        /// Seconds since the most neglected one was touched.
        longest_seconds: f64,
        /// Some of them, the longest untouched first.
        examples: Vec<String>,
    },
    /// Their number rises without a fall.
    CountGrowth(Growth),
    /// Their bytes rise without a fall.
    BytesGrowth(Growth),
}

/// A rise without a fall.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Growth {
    /// Over how many seconds.
    pub(crate) window_seconds: f64,
    /// The lowest value in each part of the window, oldest first.
    pub(crate) lows: Vec<u64>,
    /// How many began within the window.
    pub(crate) begun: u64,
    /// How many ended within it.
    pub(crate) ended: u64,
}

/// A number with its unit.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Figure {
    /// The number.
    pub(crate) value: f64,
    /// What it counts.
    pub(crate) unit: String,
}

/// The response cache.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Cache {
    /// False while it is switched off.
    pub(crate) enabled: bool,
    /// Look-ups answered from the cache.
    pub(crate) hits: u64,
    /// Look-ups that found nothing, or only what had expired.
    pub(crate) misses: u64,
    /// Part of the look-ups answered from the cache, 0 to 1.
    pub(crate) hit_rate: f64,
    /// Of the misses, those that were answered by another caller's request.
    pub(crate) coalesced: u64,
    /// Look-ups not made: the request forbade it, or the cache was off.
    pub(crate) bypasses: u64,
    /// Answers stored.
    pub(crate) insertions: u64,
    /// Answers dropped to keep within the bounds.
    pub(crate) evictions: u64,
    /// Answers dropped because their time was over.
    pub(crate) expirations: u64,
    /// Answers not stored.
    pub(crate) refused: u64,
    /// Answers held now.
    pub(crate) entries: u64,
    /// Bytes held now.
    pub(crate) bytes: u64,
    /// Bytes of one, on average.
    pub(crate) average_entry_bytes: f64,
    /// The tier that replicas share; null where none is configured.
    pub(crate) shared: Option<SharedTier>,
}

/// The store that replicas share.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SharedTier {
    /// Where it is.
    pub(crate) address: String,
    /// How it stands.
    pub(crate) state: SharedTierState,
    /// Since when.
    pub(crate) since: DateTime<Utc>,
    /// What went wrong last; null when nothing did.
    pub(crate) last_failure: Option<String>,
}

/// How the store that replicas share stands.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SharedTierState {
    /// The first attempt is under way.
    Connecting,
    /// It answers.
    Up,
    /// It does not; this replica goes on alone.
    Down,
}

/// The connections to the upstream.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Connections {
    /// Open now.
    pub(crate) open: u64,
    /// Of these, serving a request now.
    pub(crate) in_use: u64,
    /// Of these, waiting for one.
    pub(crate) idle: u64,
    /// Opened since the start.
    pub(crate) opened_total: u64,
    /// Responses over a connection that had served before.
    pub(crate) reused_total: u64,
    /// Responses in all.
    pub(crate) responses_total: u64,
    /// Part of the responses that needed no new connection, 0 to 1.
    pub(crate) reuse_ratio: f64,
    /// Requests that had to wait for a connection.
    pub(crate) waited_total: u64,
}

impl Statistics {
    pub(super) fn of(statistics: MetricStatistics, is_complete: bool) -> Self {
        let MetricStatistics {
            count,
            sum,
            avg,
            min,
            max,
            median,
            p95,
            p99,
        } = statistics;
        Self {
            count,
            sum,
            avg,
            min,
            max,
            median,
            p95,
            p99,
            is_complete,
        }
    }
}

impl From<ResourceInfo> for Resource {
    fn from(info: ResourceInfo) -> Self {
        Self {
            count: info.count,
            bytes: info.total_size,
            peak_count: info.peak_count,
            begun: info.allocations,
            ended: info.deallocations,
            first_seen: info.created_at,
            last_used: info.last_accessed,
        }
    }
}

impl From<LeakSuspect> for Suspect {
    fn from(suspect: LeakSuspect) -> Self {
        Self {
            resource: suspect.resource_type,
            count: suspect.live_count,
            bytes: suspect.live_bytes,
            evidence: suspect.evidence.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<LeakEvidence> for Evidence {
    fn from(evidence: LeakEvidence) -> Self {
        let growth = |growth: agent_performance::memory::Growth| Growth {
            window_seconds: growth.window.as_secs_f64(),
            lows: growth.lows,
            begun: growth.begun,
            ended: growth.ended,
        };
        match evidence {
            LeakEvidence::Untouched(untouched) => Self::Untouched {
                count: untouched.instances,
                bytes: untouched.bytes,
                longest_seconds: untouched.longest.as_secs_f64(),
                examples: untouched.examples,
            },
            LeakEvidence::CountGrowth(grown) => Self::CountGrowth(growth(grown)),
            LeakEvidence::BytesGrowth(grown) => Self::BytesGrowth(growth(grown)),
        }
    }
}

impl Cache {
    pub(super) fn of(stats: CacheStats, enabled: bool, shared: Option<SharedTier>) -> Self {
        Self {
            enabled,
            hit_rate: stats.hit_rate(),
            average_entry_bytes: stats.average_entry_size(),
            hits: stats.hits,
            misses: stats.misses,
            coalesced: stats.coalesced,
            bypasses: stats.bypasses,
            insertions: stats.insertions,
            evictions: stats.evictions,
            expirations: stats.expirations,
            refused: stats.refused,
            entries: stats.entries,
            bytes: stats.bytes,
            shared,
        }
    }
}

impl From<SharedStatus> for SharedTier {
    fn from(status: SharedStatus) -> Self {
        Self {
            address: status.address,
            state: match status.state {
                SharedState::Connecting => SharedTierState::Connecting,
                SharedState::Up => SharedTierState::Up,
                SharedState::Down => SharedTierState::Down,
            },
            since: status.since,
            last_failure: status.last_failure.map(|failure| failure.message),
        }
    }
}

impl From<ConnectionPoolStats> for Connections {
    fn from(stats: ConnectionPoolStats) -> Self {
        Self {
            reuse_ratio: stats.reuse_ratio(),
            open: stats.open,
            in_use: stats.in_use,
            idle: stats.idle,
            opened_total: stats.opened_total,
            reused_total: stats.reused_total,
            responses_total: stats.responses_total,
            waited_total: stats.waited_total,
        }
    }
}
