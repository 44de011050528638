use std::time::Duration;

use super::{Decision, Gcra};

/// [`Gcra::decide`] as a script for Redis and Valkey, atomic and by the server's own clock, so that several processes share a limit
/// exactly. One key; arguments from [`Gcra::script_arguments`]; its answer goes to [`Decision::from_script`].
///
/// A key expires when it says no more than no key would. Where the clock of the server goes back, its clients wait
/// for it to catch up, at most one window.
pub const GCRA_LUA: &str = include_str!("gcra.lua");

impl Gcra {
    /// The arguments of [`GCRA_LUA`].
    pub fn script_arguments(&self) -> [String; 2] {
        [self.emission_us.to_string(), self.burst.to_string()]
    }
}

impl Decision {
    /// What [`GCRA_LUA`] answered; `None` when it can't have been that script.
    pub fn from_script(answer: [i64; 4]) -> Option<Self> {
        let [allowed, remaining, retry, reset] = answer;
        let micros = |number: i64| u64::try_from(number).ok().map(Duration::from_micros);
        Some(Self {
            allowed: match allowed {
                0 => false,
                1 => true,
                _ => return None,
            },
            remaining: u32::try_from(remaining).ok()?,
            retry_after: micros(retry)?,
            reset_after: micros(reset)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_script_is_refused() {
        let good = Decision::from_script([1, 3, 0, 1_500_000]).unwrap();
        assert_eq!(
            (good.allowed, good.remaining, good.reset_after),
            (true, 3, Duration::from_millis(1500))
        );
        for bad in [
            [2, 0, 0, 0],
            [1, -1, 0, 0],
            [0, 0, -5, 0],
            [0, 0, 0, -1],
            [1, i64::MAX, 0, 0],
        ] {
            assert_eq!(Decision::from_script(bad), None, "{bad:?}");
        }
    }
}
