//! Every metric that this product records, declared once: name, kind, unit, help, labels, buckets.
//!
//! The conventions for generative models still move; [`SCHEMA`] names the state that the `gen_ai.*` rows follow.
//! Recording under a name that is not declared works, for code that was written elsewhere; it is then not documented.

mod agent;
mod audit;
mod bounds;
mod claude;
mod connections;
mod gateway;
mod gen_ai;
mod health;
mod markdown;
mod performance;
mod resources;
mod shared;
mod system;
mod telemetry;

use super::types::{MetricKind, MetricUnit};

pub use markdown::reference_markdown;

/// The state of the conventions that the names follow: OpenTelemetry's for generative models, in development.
pub const SCHEMA: &str = "semantic-conventions-genai, development, November 2026";

/// A metric as it is declared.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// The name; a part in braces stands for any text: `timing.{operation}`.
    pub name: &'static str,
    /// How it is recorded.
    pub kind: MetricKind,
    /// What its values count.
    pub unit: MetricUnit,
    /// What it tells, in a sentence without a full stop.
    pub help: &'static str,
    /// Its tags; their values come from closed sets.
    pub labels: &'static [&'static str],
    /// Upper bounds of the buckets that are exported, in its unit; histograms only.
    pub bounds: &'static [f64],
}

impl Declaration {
    /// A counter of things.
    pub const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Declaration {
            name,
            kind: MetricKind::Counter,
            unit: MetricUnit::Count,
            help,
            labels,
            bounds: &[],
        }
    }

    /// A level.
    pub const fn gauge(
        name: &'static str,
        unit: MetricUnit,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Declaration {
            name,
            kind: MetricKind::Gauge,
            unit,
            help,
            labels,
            bounds: &[],
        }
    }

    /// A distribution.
    pub const fn histogram(
        name: &'static str,
        unit: MetricUnit,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Self {
        Declaration {
            name,
            kind: MetricKind::Histogram,
            unit,
            help,
            labels,
            bounds,
        }
    }

    /// The same in another unit.
    pub const fn in_unit(mut self, unit: MetricUnit) -> Self {
        self.unit = unit;
        self
    }

    fn covers(&self, name: &str) -> bool {
        match self.name.split_once('{') {
            Some((prefix, rest)) => {
                let suffix = rest.split_once('}').map_or("", |(_, suffix)| suffix);
                name.len() > prefix.len() + suffix.len() && name.starts_with(prefix) && name.ends_with(suffix)
            }
            None => name == self.name,
        }
    }
}

/// Rows under a heading.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The rows.
    pub rows: &'static [Declaration],
}

/// Everything that is declared.
pub const GROUPS: &[Group] = &[
    Group {
        title: "The collector and the code it measures",
        rows: performance::ROWS,
    },
    Group {
        title: "The model's API, tools and agents",
        rows: gen_ai::ROWS,
    },
    Group {
        title: "The client of the model's API",
        rows: claude::ROWS,
    },
    Group {
        title: "Runs, sessions and their store",
        rows: agent::ROWS,
    },
    Group {
        title: "The daemon's server",
        rows: gateway::ROWS,
    },
    Group {
        title: "Process and system",
        rows: system::ROWS,
    },
    Group {
        title: "Memory, resources and cleanup",
        rows: resources::ROWS,
    },
    Group {
        title: "Health",
        rows: health::ROWS,
    },
    Group {
        title: "Export of telemetry",
        rows: telemetry::ROWS,
    },
    Group {
        title: "The audit log",
        rows: audit::ROWS,
    },
    Group {
        title: "Connections and cache",
        rows: connections::ROWS,
    },
    Group {
        title: "What replicas share",
        rows: shared::ROWS,
    },
];

/// The declaration that covers `name`: the one with exactly this name, or else one with a part in braces.
pub fn find(name: &str) -> Option<&'static Declaration> {
    let rows = || GROUPS.iter().flat_map(|group| group.rows);
    rows()
        .find(|row| row.name == name)
        .or_else(|| rows().find(|row| row.covers(name)))
}

/// The bounds for a histogram called `name`: the declared ones, or those of a duration in seconds.
pub(crate) fn bounds_of(name: &str) -> &'static [f64] {
    find(name).map_or(bounds::GENERATION_SECONDS, |row| row.bounds)
}
