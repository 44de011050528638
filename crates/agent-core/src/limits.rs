//! What one run may use: turns, money, time.

use std::time::Duration;

use agent_claude::messages::Usage;
use agent_claude::pricing::PriceTable;

use crate::event::UsageTotals;

/// The limits of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLimits {
    /// Requests to the model; reaching it ends the run as `partial`.
    pub max_turns: u32,
    /// US dollars; none is no limit. With a limit, a model whose price is not known is not asked at all.
    pub max_budget_usd: Option<f64>,
    /// Wall-clock time from the start of the run; reaching it ends the run as `timed_out`.
    pub timeout: Duration,
}

/// Fewest output tokens worth asking for: less than this rarely holds one tool call, and the answer would be paid for
/// and thrown away.
const MIN_USEFUL_OUTPUT: u32 = 512;

/// What the next prompt is thought to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PromptEstimate {
    /// Tokens that the server has cached, as its last answer in this run showed.
    pub(crate) cached: u64,
    /// All others; they are counted at the price of writing the cache, the dearest.
    pub(crate) fresh: u64,
}

impl PromptEstimate {
    pub(crate) fn total(self) -> u64 {
        self.cached.saturating_add(self.fresh)
    }
}

/// Why a request may not be made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refused {
    /// A budget is set and nobody knows what the model costs.
    UnknownPrice,
    /// The prompt and a useful answer cost more than what is left.
    Exhausted { spent: f64, limit: f64 },
}

/// The money of one run. One request is in flight at a time, so what is reserved is what that request may cost.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    prices: PriceTable,
    model: String,
    limit: Option<f64>,
    /// None as soon as one request's cost is not known.
    spent: Option<f64>,
    totals: UsageTotals,
}

impl Ledger {
    pub(crate) fn new(prices: PriceTable, model: String, limit: Option<f64>) -> Self {
        Self {
            prices,
            model,
            limit,
            spent: Some(0.0),
            totals: UsageTotals::default(),
        }
    }

    /// Reserves the next request: how many output tokens (at most `max_tokens`) it may ask for, so that it stays
    /// within the budget even if it uses all of them.
    pub(crate) fn reserve(&self, prompt: PromptEstimate, max_tokens: u32) -> Result<u32, Refused> {
        let Some(limit) = self.limit else {
            return Ok(max_tokens);
        };
        let spent = self.spent.ok_or(Refused::UnknownPrice)?;
        let cost = |output| {
            self.cost(&estimated_usage(prompt, output))
                .ok_or(Refused::UnknownPrice)
        };
        let (silent, full) = (cost(0)?, cost(u64::from(max_tokens))?);
        let left = limit - spent;
        if full <= left {
            return Ok(max_tokens);
        }
        // Between the two the cost is a straight line in the number of output tokens.
        let affordable = (f64::from(max_tokens) * (left - silent) / (full - silent)).floor();
        if affordable >= f64::from(MIN_USEFUL_OUTPUT.min(max_tokens)) {
            // In range: at least MIN_USEFUL_OUTPUT, at most max_tokens.
            Ok(affordable as u32)
        } else {
            Err(Refused::Exhausted { spent, limit })
        }
    }

    /// Like [`reserve`](Self::reserve), when answers that broke have used `wasted`, which is not booked yet.
    pub(crate) fn reserve_again(
        &self,
        wasted: &[Usage],
        prompt: PromptEstimate,
        max_tokens: u32,
    ) -> Result<u32, Refused> {
        let mut ledger = self.clone();
        for usage in wasted {
            ledger.settle(usage);
        }
        ledger.reserve(prompt, max_tokens)
    }

    /// Books what a request really used, and gives its cost.
    pub(crate) fn settle(&mut self, usage: &Usage) -> Option<f64> {
        let cost = self.cost(usage);
        self.spent = self.spent.zip(cost).map(|(spent, cost)| spent + cost);
        add(&mut self.totals, usage);
        cost
    }

    pub(crate) fn limit(&self) -> Option<f64> {
        self.limit
    }

    pub(crate) fn spent(&self) -> Option<f64> {
        self.spent
    }

    pub(crate) fn totals(&self) -> UsageTotals {
        self.totals
    }

    fn cost(&self, usage: &Usage) -> Option<f64> {
        self.prices.cost_usd(&self.model, usage)
    }
}

fn estimated_usage(prompt: PromptEstimate, output: u64) -> Usage {
    Usage {
        input_tokens: Some(0),
        cache_read_input_tokens: Some(prompt.cached),
        cache_creation_input_tokens: Some(prompt.fresh),
        output_tokens: Some(output),
        ..Usage::default()
    }
}

fn add(totals: &mut UsageTotals, usage: &Usage) {
    let add = |total: &mut u64, tokens: Option<u64>| *total = total.saturating_add(tokens.unwrap_or(0));
    add(&mut totals.input_tokens, usage.input_tokens);
    add(&mut totals.output_tokens, usage.output_tokens);
    add(&mut totals.cache_read_input_tokens, usage.cache_read_input_tokens);
    add(
        &mut totals.cache_creation_input_tokens,
        usage.cache_creation_input_tokens,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MODEL: &str = "claude-opus-5-5";

    fn ledger(model: &str, limit: Option<f64>) -> Ledger {
        Ledger::new(PriceTable::built_in(), model.to_owned(), limit)
    }

    #[test]
    fn without_a_budget_nothing_is_refused() {
        let prompt = PromptEstimate {
            cached: 0,
            fresh: 1_000_000,
        };
        assert_eq!(ledger("nobody-knows", None).reserve(prompt, 1000), Ok(1000));
    }

    #[test]
    fn an_unknown_price_fails_closed() {
        let ledger = ledger("nobody-knows", Some(1000.0));
        assert_eq!(
            ledger.reserve(PromptEstimate::default(), 1000),
            Err(Refused::UnknownPrice)
        );
    }

    #[test]
    fn a_cost_that_is_not_known_is_not_zero() {
        let mut ledger = ledger("nobody-knows", None);
        let usage = Usage {
            input_tokens: Some(3),
            ..Usage::default()
        };
        assert_eq!(ledger.settle(&usage), None);
        assert_eq!(ledger.spent(), None);
        assert_eq!(ledger.totals().input_tokens, 3);
    }

    proptest! {
        /// However the model uses what it was allowed, the budget holds as far as the prompt was not underestimated.
        #[test]
        fn the_budget_is_never_passed(
            limit in 0.0f64..2.0,
            prompts in prop::collection::vec((0u64..100_000, 0u64..50_000, 0.0f64..=1.0), 1..40),
        ) {
            let mut ledger = ledger(MODEL, Some(limit));
            for (cached, fresh, used) in prompts {
                let prompt = PromptEstimate { cached, fresh };
                match ledger.reserve(prompt, 32_000) {
                    Ok(allowed) => {
                        prop_assert!((MIN_USEFUL_OUTPUT..=32_000).contains(&allowed));
                        let output = (f64::from(allowed) * used) as u64;
                        ledger.settle(&estimated_usage(prompt, output));
                        prop_assert!(ledger.spent().unwrap() <= limit + 1e-9);
                    }
                    Err(refused) => {
                        prop_assert_eq!(refused, Refused::Exhausted { spent: ledger.spent().unwrap(), limit });
                    }
                }
            }
        }
    }
}
