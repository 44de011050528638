//! The collector's series as text that Prometheus scrapes: its own format 0.0.4 and OpenMetrics 1.0.
//!
//! Names become what Prometheus expects: dots are underscores, times are seconds and sizes bytes whatever unit they are
//! kept in, shares are ratios, counters end in `_total`. Histograms give the declared buckets since the start.
//!
//! Recorders are not held up: series are listed first, then read one after the other, each as any reader does. The
//! text has a limit ([`MOST_BYTES`]); series that do not fit are left out whole, and `metrics_left_out` says how many.
//!
//! No `_created` lines: a server without the feature for them stores each as one more series.

mod families;
mod format;
mod names;
mod number;
mod page;

use super::catalogue::Declaration;
use super::collector::MetricsCollector;
pub use format::Format;

/// The longest text: 10,000 histograms with a few tags each are below it. Only long tags on thousands of series reach it.
pub const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Everything in Prometheus' text format, version 0.0.4.
pub fn prometheus(collector: &MetricsCollector) -> String {
    write(collector, Format::Prometheus)
}

/// Everything in OpenMetrics' text format, version 1.0.0.
pub fn openmetrics(collector: &MetricsCollector) -> String {
    write(collector, Format::OpenMetrics)
}

/// What the samples of a declared metric are called in either format, for rules and dashboards: of a histogram those of its
/// buckets, count and sum. A part in braces stands for any text here, too.
pub fn sample_names(declared: &Declaration) -> Vec<String> {
    families::scraped(declared)
}

/// Everything in the given format. Takes milliseconds where there are thousands of series: a server of requests calls
/// it on a thread that may block.
pub fn write(collector: &MetricsCollector, format: Format) -> String {
    write_within(collector, format, MOST_BYTES)
}

pub(super) fn write_within(collector: &MetricsCollector, format: Format, most_bytes: usize) -> String {
    let mut series = collector.all_series();
    families::sort(&mut series);
    let mut names = names::Names::default();
    let left_out = families::left_out(&mut names);
    let mut page = page::Page::new(format, most_bytes, series.len());
    for own in families::own(collector) {
        page.own_figure(&own.family(&mut names), own.value);
    }
    for members in families::of(&series) {
        let family = families::Family::named(members, &mut names);
        page.family(&family, members);
    }
    page.finish(&left_out)
}
