//! The text itself.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use super::families::Family;
use super::format::Format;
use super::names::{self, Names};
use super::number;
use crate::metrics::samples::Totals;
use crate::metrics::series::Series;
use crate::metrics::tags::TagSet;
use crate::metrics::types::MetricKind;

/// What a series is expected to take, for the first allocation.
const TYPICAL_BYTES: usize = 256;

/// Room for what comes after the last series.
const END_BYTES: usize = 512;

/// Text under way. What is needed for one series is kept for the next.
pub(super) struct Page<'a> {
    out: String,
    format: Format,
    most_bytes: usize,
    left_out: u64,
    totals: Totals,
    /// `key="value",…` of the series under way.
    labels: String,
    /// What the keys of a family's tags are called in it.
    keys: HashMap<&'a str, String, foldhash::fast::RandomState>,
    taken_keys: Names,
    /// The bounds of a family's buckets, as text.
    bounds: Vec<String>,
}

impl<'a> Page<'a> {
    pub(super) fn new(format: Format, most_bytes: usize, series: usize) -> Self {
        let expected = series.saturating_mul(TYPICAL_BYTES).saturating_add(END_BYTES);
        Page {
            out: String::with_capacity(expected.min(most_bytes)),
            format,
            most_bytes,
            left_out: 0,
            totals: Totals::new(),
            labels: String::new(),
            keys: HashMap::default(),
            taken_keys: Names::default(),
            bounds: Vec::new(),
        }
    }

    /// A family that is one number.
    pub(super) fn own_figure(&mut self, family: &Family<'_>, value: u64) {
        self.head(family);
        self.labels.clear();
        self.sample(family, value as f64);
    }

    /// A family with its members, as far as there is room.
    pub(super) fn family(&mut self, family: &Family<'_>, members: &'a [Arc<Series>]) {
        let begin = self.out.len();
        self.head(family);
        self.keys.clear();
        self.taken_keys.clear();
        self.bounds.clear();
        if family.kind == MetricKind::Histogram {
            let (_le, _) = self.taken_keys.claim("le".to_owned(), &[]);
            let with_point = self.format == Format::OpenMetrics;
            let bounds = members[0].bounds.iter();
            self.bounds
                .extend(bounds.map(|bound| number::bound(bound / family.divisor, with_point)));
        }
        let mut written = 0u64;
        for series in members {
            let before = self.out.len();
            self.label(series);
            match family.kind {
                MetricKind::Histogram => self.histogram(family, series),
                MetricKind::Counter | MetricKind::Gauge => {
                    let value = self.value(series);
                    self.sample(family, value / family.divisor);
                }
            }
            if self.out.len() > self.most_bytes.saturating_sub(END_BYTES) {
                self.out.truncate(before);
                self.left_out += 1;
            } else {
                written += 1;
            }
        }
        if written == 0 {
            self.out.truncate(begin);
        }
    }

    pub(super) fn finish(mut self, left_out: &Family<'_>) -> String {
        self.own_figure(left_out, self.left_out);
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn head(&mut self, family: &Family<'_>) {
        // OpenMetrics calls a counter's family without what its samples end with.
        let total = match (self.format, family.kind) {
            (Format::Prometheus, MetricKind::Counter) => "_total",
            _ => "",
        };
        let name = &family.name;
        let (kind, help) = (family.kind.as_str(), &*family.help);
        self.out.push_str("# HELP ");
        self.out.push_str(name);
        self.out.push_str(total);
        self.out.push(' ');
        let quotes = self.format == Format::OpenMetrics;
        push_escaped(&mut self.out, help, quotes);
        writeln!(self.out, "\n# TYPE {name}{total} {kind}").expect("writing to a string does not fail");
        if let (Format::OpenMetrics, Some(unit)) = (self.format, family.unit) {
            writeln!(self.out, "# UNIT {name} {unit}").expect("writing to a string does not fail");
        }
    }

    /// Makes the labels of `series` those under way.
    fn label(&mut self, series: &'a Series) {
        self.labels.clear();
        for (key, value) in series.tags.pairs() {
            // The same key has the same name throughout the family, and different keys have different ones: so
            // different tags stay different labels.
            let name = self
                .keys
                .entry(key)
                .or_insert_with(|| self.taken_keys.claim(names::label(key), &[]).0);
            if !self.labels.is_empty() {
                self.labels.push(',');
            }
            self.labels.push_str(name);
            self.labels.push_str("=\"");
            push_escaped(&mut self.labels, value, true);
            self.labels.push('"');
        }
    }

    /// The value of a counter or gauge, in the series' unit.
    fn value(&mut self, series: &Series) -> f64 {
        if series.nature.kind == MetricKind::Gauge {
            return series.level();
        }
        series.totals_into(&mut self.totals);
        self.totals.figures.sum
    }

    fn sample(&mut self, family: &Family<'_>, value: f64) {
        self.out.push_str(&family.name);
        if family.kind == MetricKind::Counter {
            self.out.push_str("_total");
        }
        self.end_of_name();
        number::push(&mut self.out, value);
        self.out.push('\n');
    }

    fn histogram(&mut self, family: &Family<'_>, series: &Series) {
        series.totals_into(&mut self.totals);
        let figures = self.totals.figures;
        let comma = if self.labels.is_empty() { "" } else { "," };
        let bounds = self.bounds.iter().map(String::as_str).chain(["+Inf"]);
        // Before the first batch is filed there are no counts, not even zeros.
        let counts = self.totals.at_or_below.iter().copied();
        let counts = counts.chain(std::iter::repeat_n(
            0,
            self.bounds.len() - self.totals.at_or_below.len(),
        ));
        for (bound, count) in bounds.zip(counts.chain([figures.count])) {
            self.out.push_str(&family.name);
            self.out.push_str("_bucket{");
            self.out.push_str(&self.labels);
            self.out.push_str(comma);
            self.out.push_str("le=\"");
            self.out.push_str(bound);
            self.out.push_str("\"} ");
            push_count(&mut self.out, count);
        }
        self.out.push_str(&family.name);
        self.out.push_str("_sum");
        self.end_of_name();
        number::push(&mut self.out, figures.sum / family.divisor);
        self.out.push('\n');
        self.out.push_str(&family.name);
        self.out.push_str("_count");
        self.end_of_name();
        push_count(&mut self.out, figures.count);
    }

    /// The labels, and the space before the value.
    fn end_of_name(&mut self) {
        if !self.labels.is_empty() {
            self.out.push('{');
            self.out.push_str(&self.labels);
            self.out.push('}');
        }
        self.out.push(' ');
    }
}

fn push_count(out: &mut String, count: u64) {
    writeln!(out, "{count}").expect("writing to a string does not fail");
}

/// Appends text with backslashes before what would end it.
fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    let special = |c: char| c == '\\' || c == '\n' || (quotes && c == '"');
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}
