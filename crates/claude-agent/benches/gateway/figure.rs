//! One figure, as `cargo xtask bench` reads it.

use serde_json::json;

pub(crate) struct Figure<'a> {
    pub(crate) name: &'a str,
    pub(crate) ours: f64,
    pub(crate) baseline: Option<f64>,
    pub(crate) unit: &'a str,
    pub(crate) need: Need,
    pub(crate) includes: &'a str,
}

pub(crate) enum Need {
    /// Of `ours` to the baseline.
    RatioAtMost(f64),
    RatioAtLeast(f64),
    /// Of `ours` less the baseline, where there is one.
    AddedAtMost(f64),
    /// Told, and not asked for.
    Nothing,
}

impl Figure<'_> {
    pub(crate) fn print(&self) {
        let ratio = self.baseline.map(|baseline| self.ours / baseline);
        let added = self.ours - self.baseline.unwrap_or(0.0);
        let (need, ok) = match self.need {
            Need::RatioAtMost(most) => (format!("ratio <= {most}"), ratio.unwrap() <= most),
            Need::RatioAtLeast(least) => (format!("ratio >= {least}"), ratio.unwrap() >= least),
            Need::AddedAtMost(most) if self.baseline.is_some() => {
                (format!("at most {most} {} more", self.unit), added <= most)
            }
            Need::Nothing => ("–".to_owned(), true),
            Need::AddedAtMost(most) => (format!("<= {most} {}", self.unit), added <= most),
        };
        println!(
            "{}",
            json!({
                "group": "gateway", "name": self.name, "ours": self.ours, "baseline": self.baseline, "unit": self.unit,
                "ratio": ratio, "need": need, "ok": ok, "includes": self.includes,
            })
        );
    }
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
