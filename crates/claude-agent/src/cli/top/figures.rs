//! The few figures that `top` shows, drawn from what all running processes published.

use agent_performance::metrics::{MetricStatistics, SeriesSnapshot};

use crate::published::Process;

/// What the running processes do, taken together: counts and sizes are sums, percentiles those of the slowest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) requests: u64,
    pub(super) failed_requests: u64,
    pub(super) answer_p95: Option<f64>,
    pub(super) first_token_p95: Option<f64>,
    pub(super) input_tokens: f64,
    pub(super) output_tokens: f64,
    pub(super) cost_usd: f64,
    pub(super) tools: u64,
    pub(super) failed_tools: u64,
    pub(super) tool_p95: Option<f64>,
    pub(super) cache_hits: f64,
    pub(super) cache_misses: f64,
    pub(super) connections_open: f64,
    pub(super) connections_in_use: f64,
    pub(super) connections_opened: f64,
    pub(super) connections_reused: f64,
    pub(super) sessions: f64,
    pub(super) resident: f64,
    pub(super) cpu_percent: f64,
    pub(super) lag_p95_ms: Option<f64>,
    pub(super) pressure: f64,
    pub(super) leak_suspects: f64,
}

impl Figures {
    pub(super) fn of(processes: &[Process]) -> Self {
        let mut figures = Self::default();
        for process in processes {
            for series in &process.published.snapshot.series {
                figures.add(series, process.living);
            }
        }
        figures
    }

    /// The share of look-ups that the cache answered, in percent; none before the first.
    pub(super) fn cache_hit_rate(&self) -> Option<f64> {
        let asked = self.cache_hits + self.cache_misses;
        (asked > 0.0).then(|| 100.0 * self.cache_hits / asked)
    }

    fn add(&mut self, series: &SeriesSnapshot, living: bool) {
        let failed = u64::from(series.tags.contains_key("error.type")) * series.count;
        // What a process that ended held is free.
        let level = if living { series.value } else { 0.0 };
        match series.name.as_str() {
            "gen_ai.client.operation.duration" => {
                self.requests += series.count;
                self.failed_requests += failed;
                slowest(&mut self.answer_p95, series);
            }
            "gen_ai.client.operation.time_to_first_chunk" => slowest(&mut self.first_token_p95, series),
            "gen_ai.client.token.usage" => match series.tags.get("gen_ai.token.type").map(String::as_str) {
                Some("input") => self.input_tokens += series.value,
                Some("output") => self.output_tokens += series.value,
                _ => {}
            },
            "agent_cost_usd_total" => self.cost_usd += series.value,
            "gen_ai.execute_tool.duration" => {
                self.tools += series.count;
                self.failed_tools += failed;
                slowest(&mut self.tool_p95, series);
            }
            "cache.hits" => self.cache_hits += series.value,
            "cache.misses" => self.cache_misses += series.value,
            "connections.open" => self.connections_open += level,
            "connections.in_use" => self.connections_in_use += level,
            "connections.opened" => self.connections_opened += series.value,
            "connections.reused" => self.connections_reused += series.value,
            "sessions.open" => self.sessions += level,
            "process.memory_rss" => self.resident += series.value,
            "process.cpu_usage" => self.cpu_percent += series.value,
            "runtime.event_loop_lag" => slowest(&mut self.lag_p95_ms, series),
            "memory.pressure" => self.pressure = self.pressure.max(series.value),
            "resources.leak_suspects" => self.leak_suspects += series.value,
            _ => {}
        }
    }
}

fn slowest(so_far: &mut Option<f64>, series: &SeriesSnapshot) {
    if let Some(MetricStatistics { p95, .. }) = series.window {
        *so_far = Some(so_far.map_or(p95, |known| known.max(p95)));
    }
}
