//! What the catalogue's metrics are called and measured in on the wire.
//!
//! Names of the catalogue are those of OpenTelemetry's conventions already, but for figures of the process, which go by the
//! names that Prometheus made common. Units are those that a collector turns into the suffixes that `/metrics` has: so
//! rules and dashboards work on either way.

use agent_performance::metrics::{MetricKind, MetricUnit};

/// Ours, theirs, and their kind.
const AGREED: &[(&str, &str, MetricKind)] = &[
    ("process.cpu.time", "process.cpu.time", MetricKind::Counter),
    ("process.cpu_usage", "process.cpu.utilization", MetricKind::Gauge),
    ("process.memory_rss", "process.memory.usage", MetricKind::Gauge),
    ("process.memory_vms", "process.memory.virtual", MetricKind::Gauge),
    ("process.threads", "process.thread.count", MetricKind::Gauge),
    (
        "process.open_fds",
        "process.unix.file_descriptor.count",
        MetricKind::Gauge,
    ),
];

/// Things that have a name of their own; others are just counted.
const COUNTED: &[(&str, &str)] = &[
    ("gen_ai.client.token.usage", "{token}"),
    ("agent_cost_usd_total", "{USD}"),
];

/// Name and kind of a metric that is recorded as `name` and `kind`.
pub(super) fn of(name: &str, kind: MetricKind) -> (&str, MetricKind) {
    match AGREED.iter().find(|(ours, _, _)| *ours == name) {
        Some(&(_, theirs, kind)) => (theirs, kind),
        None => (name, kind),
    }
}

/// The unit in UCUM's letters, and what values are divided by to be in it.
pub(super) fn unit(name: &str, unit: MetricUnit) -> (&'static str, f64) {
    let (base, divisor) = unit.base();
    let letters = match base {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ratio") => "1",
        Some(_) => "{count}/s",
        // Not "1", which would make a share of it.
        None => COUNTED
            .iter()
            .find(|(counted, _)| *counted == name)
            .map_or("{count}", |&(_, unit)| unit),
    };
    (letters, divisor)
}

/// Tags whose values the conventions want as whole numbers.
pub(super) fn is_number(tag: &str) -> bool {
    matches!(tag, "server.port" | "http.response.status_code")
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_performance::metrics::catalogue::GROUPS;
    use agent_performance::metrics::exposition::sample_names;

    /// As a collector names what it hands on to Prometheus.
    fn translated(name: &str, kind: MetricKind, unit: &str) -> String {
        let mut name = name.replace('.', "_");
        let suffix = match unit {
            "s" => "_seconds",
            "By" => "_bytes",
            "1" if kind == MetricKind::Gauge => "_ratio",
            "{count}/s" => "_per_second",
            _ => "",
        };
        if kind == MetricKind::Counter && name.ends_with("_total") {
            name.truncate(name.len() - "_total".len());
        }
        if !name.ends_with(suffix) {
            name += suffix;
        }
        match kind {
            MetricKind::Counter if !name.ends_with("_total") => name + "_total",
            MetricKind::Histogram => name + "_bucket",
            _ => name,
        }
    }

    #[test]
    fn a_collector_makes_the_names_of_the_metrics_page_of_them() {
        let mut compared = 0;
        for row in GROUPS.iter().flat_map(|group| group.rows) {
            if AGREED.iter().any(|(ours, _, _)| *ours == row.name) || row.name.contains('{') {
                continue;
            }
            let (name, kind) = of(row.name, row.kind);
            let (letters, _) = unit(row.name, row.unit);
            assert_eq!(
                translated(name, kind, letters),
                sample_names(row)[0],
                "{}",
                row.name
            );
            compared += 1;
        }
        assert!(compared > 50, "{compared}");
    }

    #[test]
    fn figures_of_the_process_go_by_the_names_of_the_conventions() {
        for (ours, theirs, letters) in [
            ("process.cpu.time", "process.cpu.time", "s"),
            ("process.cpu_usage", "process.cpu.utilization", "1"),
            ("process.memory_rss", "process.memory.usage", "By"),
            ("process.memory_vms", "process.memory.virtual", "By"),
            ("process.threads", "process.thread.count", "{count}"),
            (
                "process.open_fds",
                "process.unix.file_descriptor.count",
                "{count}",
            ),
        ] {
            let row = agent_performance::metrics::catalogue::find(ours).unwrap();
            assert_eq!(of(ours, row.kind).0, theirs);
            assert_eq!(unit(ours, row.unit).0, letters);
        }
    }
}
