//! Putting windows and series together into statistics.

use super::types::MetricStatistics;
use super::window::Figures;

/// Values with how often each came, from any number of windows and series.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) figures: Figures,
    pub(crate) values: Vec<(f64, u64)>,
}

impl Gathered {
    pub(crate) fn new() -> Self {
        Gathered {
            figures: Figures::NONE,
            values: Vec::new(),
        }
    }

    /// The statistics; none without samples.
    pub(crate) fn statistics(mut self) -> Option<MetricStatistics> {
        let Figures { count, sum, min, max } = self.figures;
        if count == 0 {
            return None;
        }
        self.values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        Some(MetricStatistics {
            count,
            sum,
            avg: sum / count as f64,
            min,
            max,
            median: self.at_rank(50).clamp(min, max),
            p95: self.at_rank(95).clamp(min, max),
            p99: self.at_rank(99).clamp(min, max),
        })
    }

    /// The smallest value with at least `percent` of all at or below it.
    fn at_rank(&self, percent: u64) -> f64 {
        let total: u64 = self.values.iter().map(|&(_, times)| times).sum();
        let rank = (u128::from(total) * u128::from(percent)).div_ceil(100);
        let mut below = 0u128;
        for &(value, times) in &self.values {
            below += u128::from(times);
            if below >= rank {
                return value;
            }
        }
        self.figures.max
    }
}
