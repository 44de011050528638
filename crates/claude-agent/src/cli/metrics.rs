//! `metrics`: what running agents measure, or what the last one did.

use std::collections::BTreeMap;

use agent_config::ProductionConfig;
use agent_performance::metrics::catalogue::{self, GROUPS, Group};
use agent_performance::metrics::{MetricKind, MetricStatistics, MetricUnit, SeriesSnapshot};
use chrono::{DateTime, Local, SubsecRound, Utc};
use serde_json::{Value, json};

use super::Failure;
use super::args::{DataFormat, MetricsArgs};
use super::exit::Exit;
use super::output::{self, Table};
use crate::published::{self, Found, Process};

/// The heading of series that nobody declared: those of other code in the process.
const UNDECLARED: &str = "Others";

/// Tags by key.
type Tags = BTreeMap<String, String>;

/// What to do when there is nothing to show.
pub(super) const NOTHING_YET: &str = "no figures yet: `claude-agent run \"…\"`, `chat` and `serve` write them while they work, unless monitoring.enable_metrics is off";

pub(super) fn execute(config: &ProductionConfig, args: &MetricsArgs, quiet: bool) -> Result<(), Failure> {
    let mut found = find(config)?;
    let prefix = args.prefix.as_deref().unwrap_or_default();
    for process in &mut found.processes {
        let series = &mut process.published.snapshot.series;
        series.retain(|one| one.name.starts_with(prefix));
    }
    match args.output.format {
        DataFormat::Json => output::json(&as_json(&found)),
        DataFormat::Text => {
            if !quiet {
                for note in &found.notes {
                    output::note(&format!("note: {}", output::visible(note)));
                }
            }
            if found.processes.is_empty() {
                return output::line(NOTHING_YET);
            }
            if found
                .processes
                .iter()
                .all(|process| process.published.snapshot.series.is_empty())
            {
                return output::line(&format!(
                    "no figure's name begins with {:?}; `claude-agent metrics` lists all",
                    prefix
                ));
            }
            found.processes.iter().try_for_each(print)
        }
    }
}

/// The published figures in the configured data folder.
pub(super) fn find(config: &ProductionConfig) -> Result<Found, Failure> {
    let data = &config.deployment.data_directory;
    published::read(data).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("the figures in {} can't be read: {error}", data.display()),
        )
        .advise("make its folder `metrics` a folder of your own, or remove it")
    })
}

/// Distributions that nothing was recorded in are left out here: they would be half of the rows.
fn print(process: &Process) -> Result<(), Failure> {
    output::line(&heading(process))?;
    let series = &process.published.snapshot.series;
    let common = common_tags(series);
    if !common.is_empty() {
        let tags: Vec<String> = common
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        output::line(&output::visible(&format!(
            "the same wherever it occurs: {}",
            tags.join(", ")
        )))?;
    }
    for title in GROUPS.iter().map(|group| group.title).chain([UNDECLARED]) {
        let (distributions, values): (Vec<_>, Vec<_>) = series
            .iter()
            .filter(|one| group_of(&one.name) == title)
            .filter(|one| one.kind != MetricKind::Histogram || one.count > 0)
            .partition(|one| one.kind == MetricKind::Histogram);
        let values = (!values.is_empty()).then(|| table_of_values(&values, &common));
        let distributions =
            (!distributions.is_empty()).then(|| table_of_distributions(&distributions, &common));
        if values.is_some() || distributions.is_some() {
            output::line(&format!("\n{title}"))?;
        }
        for table in values.iter().chain(&distributions) {
            output::raw(&format!("\n{table}"))?;
        }
    }
    output::line("")
}

/// Tags that several series carry with one and the same value, such as the address of the API.
fn common_tags(series: &[SeriesSnapshot]) -> Tags {
    let mut seen: BTreeMap<&str, (&str, usize, bool)> = BTreeMap::new();
    for (key, value) in series.iter().flat_map(|one| &one.tags) {
        let (first, count, is_same) = seen.entry(key).or_insert((value, 0, true));
        *count += 1;
        *is_same &= first == value;
    }
    seen.into_iter()
        .filter(|(_, (_, count, is_same))| *is_same && *count > 1)
        .map(|(key, (value, ..))| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Which process, and how old its figures are.
fn heading(process: &Process) -> String {
    let published = &process.published;
    let state = if process.living {
        "running"
    } else {
        "not running any more"
    };
    let left_out = match published.series_left_out {
        0 => String::new(),
        count => format!(", {count} series left out"),
    };
    format!(
        "process {} ({state}), figures from {} to {}{left_out}",
        published.writer.pid,
        local(published.snapshot.started_at),
        local(published.snapshot.taken_at)
    )
}

fn table_of_values(series: &[&SeriesSnapshot], common: &Tags) -> Table {
    let mut table = Table::new(&["name", "kind", "unit", "value"]);
    for one in series {
        table.row([
            full_name(one, common),
            one.kind.as_str().to_owned(),
            unit(one).symbol().to_owned(),
            number(one.value),
        ]);
    }
    table
}

fn table_of_distributions(series: &[&SeriesSnapshot], common: &Tags) -> Table {
    let mut table = Table::new(&[
        "name", "kind", "unit", "count", "sum", "avg", "p50", "p95", "p99", "max",
    ]);
    for one in series {
        let of = |value: fn(&MetricStatistics) -> f64| {
            one.window
                .as_ref()
                .map_or_else(|| "–".to_owned(), |window| number(value(window)))
        };
        table.row([
            full_name(one, common),
            one.kind.as_str().to_owned(),
            unit(one).symbol().to_owned(),
            one.count.to_string(),
            number(one.value),
            of(|window| window.avg),
            of(|window| window.median),
            of(|window| window.p95),
            of(|window| window.p99),
            of(|window| window.max),
        ]);
    }
    table
}

fn as_json(found: &Found) -> Value {
    let processes: Vec<Value> = found
        .processes
        .iter()
        .map(|process| {
            let published = &process.published;
            let snapshot = &published.snapshot;
            json!({
                "pid": published.writer.pid, "version": published.writer.version, "running": process.living,
                "started_at": snapshot.started_at, "taken_at": snapshot.taken_at,
                "series_left_out": published.series_left_out,
                "series": snapshot.series.iter().map(series_as_json).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "processes": processes, "notes": found.notes })
}

fn series_as_json(one: &SeriesSnapshot) -> Value {
    let mut value = json!({
        "group": group_of(&one.name), "name": one.name, "tags": one.tags,
        "kind": one.kind.as_str(), "unit": unit(one).symbol(),
    });
    if one.kind == MetricKind::Histogram {
        value["count"] = one.count.into();
        value["sum"] = one.value.into();
        if let Some(window) = &one.window {
            value["avg"] = window.avg.into();
            value["p50"] = window.median.into();
            value["p95"] = window.p95.into();
            value["p99"] = window.p99.into();
            value["max"] = window.max.into();
        }
    } else {
        value["value"] = one.value.into();
    }
    value
}

fn group_of(name: &str) -> &'static str {
    let Some(declared) = catalogue::find(name) else {
        return UNDECLARED;
    };
    let holds = |group: &&Group| group.rows.iter().any(|row| row.name == declared.name);
    GROUPS.iter().find(holds).map_or(UNDECLARED, |group| group.title)
}

/// The declared unit: a counter's handle does not know whether it counts bytes.
fn unit(one: &SeriesSnapshot) -> MetricUnit {
    catalogue::find(&one.name).map_or(one.unit, |declared| declared.unit)
}

fn full_name(one: &SeriesSnapshot, common: &Tags) -> String {
    let tags = one.tags.iter().filter(|(key, _)| !common.contains_key(*key));
    let tags: Vec<String> = tags.map(|(key, value)| format!("{key}={value}")).collect();
    if tags.is_empty() {
        return one.name.clone();
    }
    format!("{} {{{}}}", one.name, tags.join(", "))
}

/// Five significant digits, and whole numbers whole.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let digits = 4 - value.abs().log10().floor().clamp(-5.0, 4.0) as i32;
    let text = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn local(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local)
        .trunc_subsecs(0)
        .format("%Y-%m-%d %H:%M:%S")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_whole_ones_whole() {
        for (value, expected) in [
            (0.0, "0"),
            (42.0, "42"),
            (12_345_678.0, "12345678"),
            (0.1 + 0.2, "0.3"),
            (1234.567, "1234.6"),
            (0.000_123_456, "0.00012346"),
            (-2.5, "-2.5"),
            (123_456.7, "123457"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn every_declared_metric_is_under_its_heading() {
        for group in GROUPS {
            for row in group.rows {
                assert_eq!(group_of(row.name), group.title, "{}", row.name);
            }
        }
        assert_eq!(group_of("somebody.elses"), UNDECLARED);
    }
}
