//! What the measurements share: turns, and how a figure is printed.

use std::ops::RangeInclusive;
use std::time::Instant;

use serde_json::json;

/// Each side is run this often, by turns, so that a busy moment hits both.
const ROUNDS: usize = 15;

/// One comparison.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) ours: f64,
    pub(crate) baseline: f64,
    pub(crate) unit: &'static str,
    /// The baseline divided by ours (how many times as fast), or ours by the baseline (how many times the cost).
    pub(crate) ratio: f64,
    /// What the ratio has to be.
    pub(crate) need: RangeInclusive<f64>,
    pub(crate) includes: &'static str,
}

#[allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]
pub(crate) fn print(figure: Figure) {
    let need = match (figure.need.start(), figure.need.end()) {
        // Told for comparison; nothing relies on it.
        (&0.0, &f64::INFINITY) => "none".to_owned(),
        (least, &f64::INFINITY) => format!("ratio >= {least}"),
        (_, most) => format!("ratio <= {most}"),
    };
    let ok = figure.need.contains(&figure.ratio);
    let line = json!({
        "group": "performance", "name": figure.name, "ours": figure.ours, "baseline": figure.baseline,
        "unit": figure.unit, "ratio": figure.ratio, "need": need, "ok": ok, "includes": figure.includes,
    });
    println!("{line}");
}

/// The median seconds of two pieces of work, run by turns.
pub(crate) fn by_turns(mut ours: impl FnMut(), mut baseline: impl FnMut()) -> (f64, f64) {
    let seconds = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(seconds(&mut ours));
        b.push(seconds(&mut baseline));
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    (median(&mut a), median(&mut b))
}
