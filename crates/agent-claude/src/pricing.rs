//! What a reply cost, at list prices. A model without a known price has no known cost, which is not the same as none.

use crate::messages::Usage;
use crate::models::{BUILT_IN, Catalogue, ModelEntry, ModelsFile};

/// Prices by model.
#[derive(Clone, Debug)]
pub struct PriceTable {
    catalogue: Catalogue,
}

/// A prices file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prices cannot be read: {0}")]
pub struct PriceError(String);

impl PriceTable {
    /// The prices that are part of this program; [`PriceTable::date`] says of when.
    pub fn built_in() -> Self {
        Self {
            catalogue: BUILT_IN.clone(),
        }
    }

    /// These prices with a file's entries in place of those with the same id. The file has the form of
    /// `data/models.toml`; every part of it is optional, but a model's entry must be whole.
    ///
    /// # Errors
    /// When the text is not such a file, or a price is negative or not a number.
    pub fn with_overrides(&self, text: &str) -> Result<Self, PriceError> {
        let file = ModelsFile::parse(text).map_err(PriceError)?;
        let mut table = self.clone();
        table.catalogue.add(file);
        Ok(table)
    }

    /// The day the prices are of, as `YYYY-MM-DD`.
    pub fn date(&self) -> &str {
        &self.catalogue.general.date
    }

    /// What a message cost in US dollars; `None` when the model's price is not known.
    pub fn cost_usd(&self, model: &str, usage: &Usage) -> Option<f64> {
        let general = &self.catalogue.general;
        let entry = self.catalogue.find(model)?;
        let searches = usage
            .server_tool_use
            .as_ref()
            .and_then(|tools| tools.web_search_requests)
            .unwrap_or(0);
        let tokens = tokens_usd(entry, usage)
            * factor(
                usage.service_tier.as_deref() == Some("batch"),
                general.batch_multiplier,
            )
            * factor(
                usage.inference_geo.as_deref() == Some("us"),
                general.us_inference_multiplier,
            );
        Some(tokens + searches as f64 * general.web_search_per_1000 / 1000.0)
    }
}

fn factor(applies: bool, multiplier: f64) -> f64 {
    if applies { multiplier } else { 1.0 }
}

fn tokens_usd(entry: &ModelEntry, usage: &Usage) -> f64 {
    let written = usage.cache_creation.as_ref();
    let for_hour = written.map_or(0, |written| written.ephemeral_1h_input_tokens);
    // The total is the truth; what the breakdown does not put in the dearer hour is in the five minutes.
    let total = usage.cache_creation_input_tokens;
    let for_minutes = match total {
        Some(total) => total.saturating_sub(for_hour),
        None => written.map_or(0, |written| written.ephemeral_5m_input_tokens),
    };
    let read = usage.cache_read_input_tokens.unwrap_or(0);
    let fresh = usage.input_tokens.unwrap_or(0);

    let prompt = fresh
        .saturating_add(for_minutes)
        .saturating_add(for_hour)
        .saturating_add(read);
    let long = entry.long_prompt.filter(|long| prompt > long.over_tokens);
    let (input_factor, output_factor) =
        long.map_or((1.0, 1.0), |long| (long.input_multiplier, long.output_multiplier));

    let input = fresh as f64 * entry.input
        + for_minutes as f64 * entry.cache_write_5m
        + for_hour as f64 * entry.cache_write_1h
        + read as f64 * entry.cache_read;
    let output = usage.output_tokens.unwrap_or(0) as f64 * entry.output;
    let fast = factor(
        usage.speed.as_deref() == Some("fast"),
        entry.fast_multiplier.unwrap_or(1.0),
    );
    (input * input_factor + output * output_factor) * fast / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(model: &str, usage: Value, expected: Option<f64>) {
        let usage = serde_json::from_value(usage).unwrap();
        let cost = PriceTable::built_in().cost_usd(model, &usage);
        let near = match (cost, expected) {
            (Some(cost), Some(expected)) => (cost - expected).abs() < 1e-9,
            (cost, expected) => cost == expected,
        };
        assert!(near, "{model}: {cost:?}, expected {expected:?}");
    }

    #[test]
    fn every_model_at_its_list_price() {
        // input, output, written for 5 minutes, for an hour, read; a little of each, to stay under every threshold.
        for (models, prices) in [
            (
                "claude-fable-5-2 claude-mythos-5-2",
                [8.0, 40.0, 10.0, 16.0, 0.20],
            ),
            (
                "claude-fable-5-1 claude-mythos-5-1",
                [10.0, 50.0, 12.5, 20.0, 0.25],
            ),
            (
                "claude-fable-5 claude-mythos-5 claude-mythos-preview",
                [10.0, 50.0, 12.5, 20.0, 1.0],
            ),
            ("claude-opus-5-5", [4.0, 20.0, 5.0, 8.0, 0.20]),
            (
                "claude-opus-5 claude-opus-4-8 claude-opus-4-7 claude-opus-4-6",
                [5.0, 25.0, 6.25, 10.0, 0.50],
            ),
            (
                "claude-opus-4-5 claude-opus-4-5-20251101",
                [5.0, 25.0, 6.25, 10.0, 0.50],
            ),
            (
                "claude-opus-4-1 claude-opus-4-1-20250805",
                [15.0, 75.0, 18.75, 30.0, 1.50],
            ),
            ("claude-sonnet-5-5", [2.0, 10.0, 2.5, 4.0, 0.10]),
            ("claude-sonnet-5", [2.0, 10.0, 2.5, 4.0, 0.20]),
            (
                "claude-sonnet-4-6 claude-sonnet-4-5 claude-sonnet-4-5-20250929",
                [3.0, 15.0, 3.75, 6.0, 0.30],
            ),
            ("claude-haiku-5-5", [0.10, 0.50, 0.125, 0.20, 0.01]),
            (
                "claude-haiku-4-5 claude-haiku-4-5-20251001",
                [1.0, 5.0, 1.25, 2.0, 0.10],
            ),
        ] {
            let counts = [1000.0, 200.0, 30.0, 4.0, 5000.0];
            let expected: f64 = prices
                .iter()
                .zip(counts)
                .map(|(price, count)| price * count / 1e6)
                .sum();
            for model in models.split(' ') {
                let usage = json!({
                    "input_tokens": 1000, "output_tokens": 200, "cache_creation_input_tokens": 34,
                    "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 4},
                    "cache_read_input_tokens": 5000
                });
                check(model, usage, Some(expected));
            }
        }
    }

    #[test]
    fn what_changes_a_price() {
        let million = 1_000_000;
        check("claude-opus-5-5", json!({"output_tokens": million}), Some(20.0));
        check(
            "claude-opus-5-5",
            json!({"output_tokens": million, "speed": "fast"}),
            Some(40.0),
        );
        check(
            "claude-sonnet-5-5",
            json!({"output_tokens": million, "speed": "fast"}),
            Some(10.0),
        );
        check(
            "claude-opus-5-5",
            json!({"output_tokens": million, "service_tier": "batch"}),
            Some(10.0),
        );
        check(
            "claude-opus-5-5",
            json!({"output_tokens": million, "inference_geo": "us"}),
            Some(22.0),
        );
        check(
            "claude-opus-5-5",
            json!({"server_tool_use": {"web_search_requests": 3}}),
            Some(0.03),
        );
        // Without a breakdown, what was written to the cache is for five minutes.
        check(
            "claude-opus-5-5",
            json!({"cache_creation_input_tokens": million}),
            Some(5.0),
        );
        check("claude-opus-5-5", json!({}), Some(0.0));
    }

    #[test]
    fn a_long_prompt_costs_five_times_as_much_on_haiku() {
        let usage = |fresh: u64| json!({"input_tokens": fresh, "cache_read_input_tokens": 60_000, "output_tokens": 1000});
        let plain = |fresh: f64| (fresh * 0.10 + 60_000.0 * 0.01 + 1000.0 * 0.50) / 1e6;
        check("claude-haiku-5-5", usage(40_000), Some(plain(40_000.0)));
        check("claude-haiku-5-5", usage(40_001), Some(5.0 * plain(40_001.0)));
        check(
            "claude-sonnet-4-5",
            json!({"input_tokens": 300_000, "output_tokens": 1000}),
            Some(1.8 + 0.015),
        );
    }

    #[test]
    fn an_unknown_model_has_no_known_cost() {
        check("gpt-17", json!({"input_tokens": 5}), None);
        check("claude-opus-5-5-next", json!({"input_tokens": 5}), None);
    }

    #[test]
    fn overrides_replace_whole_entries_and_add_new_ones() {
        let text = r#"
            date = "2027-01-01"
            [[model]]
            ids = ["claude-opus-5-5", "house-model"]
            input = 1.0
            output = 2.0
            cache_write_5m = 0.0
            cache_write_1h = 0.0
            cache_read = 0.0
        "#;
        let table = PriceTable::built_in().with_overrides(text).unwrap();
        let usage = Usage {
            input_tokens: Some(1_000_000),
            speed: Some("fast".into()),
            ..Usage::default()
        };
        assert_eq!(table.cost_usd("house-model", &usage), Some(1.0));
        assert_eq!(table.cost_usd("claude-opus-5-5", &usage), Some(1.0));
        assert_eq!(table.cost_usd("claude-opus-5", &usage), Some(10.0));
        assert_eq!(table.date(), "2027-01-01");
        assert_eq!(PriceTable::built_in().cost_usd("house-model", &usage), None);
    }

    #[test]
    fn a_bad_prices_file_is_refused_with_the_reason() {
        let entry =
            "[[model]]\nids = [\"m\"]\noutput = 1\ncache_write_5m = 1\ncache_write_1h = 1\ncache_read = 1\n";
        for (text, reason) in [
            (format!("{entry}input = -1.0"), "not negative"),
            (format!("{entry}input = nan"), "not negative"),
            (format!("{entry}input = 1.0\ninptu = 2"), "inptu"),
            (entry.to_owned(), "input"),
            (entry.replace("\"m\"", "") + "input = 1", "without ids"),
            ("model = 5".to_owned(), "model"),
            ("web_search_per_1000 = inf".to_owned(), "web_search_per_1000"),
        ] {
            let error = PriceTable::built_in()
                .with_overrides(&text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
