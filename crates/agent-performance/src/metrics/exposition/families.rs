//! Families: the series of one name, and what Prometheus calls them.

use std::borrow::Cow;
use std::sync::Arc;

use super::names::{self, Names};
use crate::metrics::MetricsCollector;
use crate::metrics::catalogue::{self, Declaration};
use crate::metrics::series::Series;
use crate::metrics::tags::TagSet;
use crate::metrics::types::{MetricKind, MetricUnit};

/// Names that all libraries and dashboards have agreed on, and the kind they have there.
const AGREED: &[(&str, &str, MetricKind)] = &[
    ("process.cpu.time", "process_cpu_seconds", MetricKind::Counter),
    (
        "process.memory_rss",
        "process_resident_memory_bytes",
        MetricKind::Gauge,
    ),
    (
        "process.memory_vms",
        "process_virtual_memory_bytes",
        MetricKind::Gauge,
    ),
];

/// What series of one name, kind and unit are called.
#[derive(Debug)]
pub(super) struct Family<'a> {
    /// Without the `_total` of a counter.
    pub(super) name: String,
    pub(super) kind: MetricKind,
    /// The unit at the name's end, if it has one there.
    pub(super) unit: Option<&'static str>,
    pub(super) help: Cow<'a, str>,
    /// What values are divided by to be in that unit: dividing by a thousand is exact where it can be, multiplying by a
    /// thousandth is not.
    pub(super) divisor: f64,
}

impl<'a> Family<'a> {
    /// The family of `members`, of which there is at least one.
    pub(super) fn named(members: &'a [Arc<Series>], names: &mut Names) -> Self {
        let first = &members[0];
        Self::of(&first.name, first.nature.kind, first.nature.unit, names)
    }

    fn of(name: &'a str, kind: MetricKind, unit: MetricUnit, names: &mut Names) -> Self {
        let help = match catalogue::find(name) {
            Some(declared) => Cow::Borrowed(declared.help),
            None => Cow::Owned(format!("Recorded as {name}, which is not declared")),
        };
        let (suffix, divisor) = unit.base();
        let agreed = AGREED.iter().find(|(ours, _, _)| *ours == name);
        let (wanted, kind) = match agreed {
            Some(&(_, theirs, kind)) => (theirs.to_owned(), kind),
            None => (with_unit(name, kind, suffix), kind),
        };
        let (name, numbered) = names.claim(wanted, suffixes(kind));
        // A unit may be told only where the name ends with it.
        let unit = suffix.filter(|unit| !numbered && ends_with(&name, unit));
        Family {
            name,
            kind,
            unit,
            help,
            divisor,
        }
    }
}

/// What a declared metric is called by whoever scrapes it, all of its samples. A part in braces stays as it is.
pub(super) fn scraped(declared: &Declaration) -> Vec<String> {
    // A letter for the braces, which no name may hold; declared names have no capitals.
    const ANY: &str = "X";
    let (name, part) = match declared.name.find('{').zip(declared.name.find('}')) {
        Some((from, to)) => {
            let part = &declared.name[from..=to];
            (declared.name.replace(part, ANY), part)
        }
        None => (declared.name.to_owned(), ANY),
    };
    let family = Family::of(&name, declared.kind, declared.unit, &mut Names::default());
    let base = family.name.replace(ANY, part);
    match suffixes(family.kind) {
        [] => vec![base],
        suffixes => suffixes.iter().map(|suffix| format!("{base}{suffix}")).collect(),
    }
}

/// A figure of the collector itself.
pub(super) struct Own {
    name: &'static str,
    kind: MetricKind,
    pub(super) value: u64,
}

/// The family of the figure that is told last: what did not fit is known only then.
pub(super) fn left_out(names: &mut Names) -> Family<'static> {
    Family::of("metrics.left_out", MetricKind::Gauge, MetricUnit::Count, names)
}

/// The collector's other own figures.
pub(super) fn own(collector: &MetricsCollector) -> [Own; 3] {
    let counter = |name, value| Own {
        name,
        kind: MetricKind::Counter,
        value,
    };
    [
        Own {
            name: "metrics.series",
            kind: MetricKind::Gauge,
            value: collector.series_count() as u64,
        },
        counter("metrics.series_overflowed", collector.series_overflowed()),
        counter("metrics.values_refused", collector.values_refused()),
    ]
}

impl Own {
    pub(super) fn family(&self, names: &mut Names) -> Family<'static> {
        Family::of(self.name, self.kind, MetricUnit::Count, names)
    }
}

/// Sorts by what makes a family, then by tags: the same order in every scrape, which compresses well.
pub(super) fn sort(series: &mut [Arc<Series>]) {
    series.sort_unstable_by(|a, b| {
        key_of(a)
            .cmp(&key_of(b))
            .then_with(|| a.tags.pairs().cmp(b.tags.pairs()))
    });
}

/// The families of sorted series.
pub(super) fn of(series: &[Arc<Series>]) -> impl Iterator<Item = &[Arc<Series>]> {
    series.chunk_by(|a, b| key_of(a) == key_of(b))
}

fn key_of(series: &Series) -> (&str, &'static str, &'static str) {
    let nature = series.nature;
    (&series.name, nature.kind.as_str(), nature.unit.symbol())
}

/// The name with its unit at the end, as often as it is there already; of a counter without `_total`.
fn with_unit(name: &str, kind: MetricKind, unit: Option<&str>) -> String {
    let mut wanted = names::metric(name);
    if kind == MetricKind::Counter && wanted.len() > "_total".len() && wanted.ends_with("_total") {
        wanted.truncate(wanted.len() - "_total".len());
    }
    if let Some(unit) = unit
        && !ends_with(&wanted, unit)
    {
        wanted.push('_');
        wanted.push_str(unit);
    }
    wanted
}

fn ends_with(name: &str, unit: &str) -> bool {
    name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

/// What stands behind the family's name in the names of its samples, in either format.
fn suffixes(kind: MetricKind) -> &'static [&'static str] {
    match kind {
        MetricKind::Counter => &["_total"],
        MetricKind::Gauge => &[],
        MetricKind::Histogram => &["_bucket", "_count", "_sum"],
    }
}
