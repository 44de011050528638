//! Delays drawn from a distribution.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt;
use rand_distr::{Distribution, Exp, LogNormal, Normal};

use crate::digest::Random;
use crate::units::{self, UnitError};

/// No drawn delay is longer: the tails of the distributions have no end, a test has.
pub const MAX_LATENCY: Duration = Duration::from_secs(600);

/// A delay and how it varies.
///
/// Written as `fixed:200ms` (or just `200ms`), `uniform:10ms,50ms`, `normal:200ms,50ms` (mean, standard
/// deviation), `lognormal:200ms,0.5` (median, sigma) and `exponential:200ms` (mean).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Evenly between two bounds.
    Uniform {
        /// The shortest delay.
        low: Duration,
        /// The longest delay.
        high: Duration,
    },
    /// Normal; what would be below zero is zero.
    Normal {
        /// The mean.
        mean: Duration,
        /// The standard deviation.
        deviation: Duration,
    },
    /// Log-normal: a long tail to the right, as real services have.
    LogNormal {
        /// Half of the delays are shorter.
        median: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// Exponential.
    Exponential {
        /// The mean.
        mean: Duration,
    },
}

impl Latency {
    /// No delay.
    pub const NONE: Self = Self::Fixed(Duration::ZERO);

    /// One delay, never above [`MAX_LATENCY`].
    pub(crate) fn sample(&self, random: &mut Random) -> Duration {
        let seconds = match *self {
            Self::Fixed(delay) => return delay.min(MAX_LATENCY),
            Self::Uniform { low, high } => random.random_range(low.as_secs_f64()..=high.as_secs_f64()),
            Self::Normal { mean, deviation } => draw(
                Normal::new(mean.as_secs_f64(), deviation.as_secs_f64()).ok(),
                random,
            ),
            Self::LogNormal { median, sigma } => {
                draw(LogNormal::new(median.as_secs_f64().ln(), sigma).ok(), random)
            }
            Self::Exponential { mean } => draw(Exp::new(mean.as_secs_f64().recip()).ok(), random),
        };
        Duration::try_from_secs_f64(seconds.max(0.0))
            .unwrap_or(MAX_LATENCY)
            .min(MAX_LATENCY)
    }
}

/// A distribution whose parameters make no sense (a median of zero) yields no delay.
fn draw(distribution: Option<impl Distribution<f64>>, random: &mut Random) -> f64 {
    distribution.map_or(0.0, |distribution| distribution.sample(random))
}

impl FromStr for Latency {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (kind, arguments) = text.split_once(':').unwrap_or(("fixed", text));
        let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
        match (kind.trim(), arguments.as_slice()) {
            ("fixed", [delay]) => Ok(Self::Fixed(units::duration(delay)?)),
            ("uniform", [low, high]) => {
                let (low, high) = (units::duration(low)?, units::duration(high)?);
                if low > high {
                    return Err(UnitError(format!(
                        "{text:?}: the first bound must not exceed the second"
                    )));
                }
                Ok(Self::Uniform { low, high })
            }
            ("normal", [mean, deviation]) => Ok(Self::Normal {
                mean: units::duration(mean)?,
                deviation: units::duration(deviation)?,
            }),
            ("lognormal", [median, sigma]) => match sigma.parse::<f64>() {
                Ok(value) if value.is_finite() && (0.0..=10.0).contains(&value) => Ok(Self::LogNormal {
                    median: units::duration(median)?,
                    sigma: value,
                }),
                _ => Err(UnitError(format!("{sigma:?} is no sigma: a number from 0 to 10"))),
            },
            ("exponential", [mean]) => Ok(Self::Exponential {
                mean: units::duration(mean)?,
            }),
            _ => Err(UnitError(format!(
                "{text:?} is no latency; valid: fixed:D, uniform:LOW,HIGH, normal:MEAN,DEVIATION, \
                 lognormal:MEDIAN,SIGMA, exponential:MEAN (durations such as 200ms)"
            ))),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = units::show_duration;
        match self {
            Self::Fixed(delay) => write!(f, "fixed:{}", show(*delay)),
            Self::Uniform { low, high } => write!(f, "uniform:{},{}", show(*low), show(*high)),
            Self::Normal { mean, deviation } => write!(f, "normal:{},{}", show(*mean), show(*deviation)),
            Self::LogNormal { median, sigma } => write!(f, "lognormal:{},{sigma}", show(*median)),
            Self::Exponential { mean } => write!(f, "exponential:{}", show(*mean)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::random_for;

    fn mean_ms(text: &str) -> f64 {
        let latency: Latency = text.parse().unwrap();
        let mut random = random_for(7, 0, b"");
        let total: f64 = (0..4000).map(|_| latency.sample(&mut random).as_secs_f64()).sum();
        total / 4.0
    }

    #[test]
    fn each_distribution_has_the_mean_it_should() {
        for (text, expected) in [
            ("fixed:200ms", 200.0),
            ("200ms", 200.0),
            ("uniform:100ms,300ms", 200.0),
            ("normal:200ms,20ms", 200.0),
            // exp(mu + sigma²/2) with mu = ln 200.
            ("lognormal:200ms,0.5", 226.6),
            ("exponential:200ms", 200.0),
        ] {
            let mean = mean_ms(text);
            assert!((mean - expected).abs() < expected * 0.06, "{text}: {mean}");
        }
    }

    #[test]
    fn nonsense_parameters_give_no_delay_and_no_panic() {
        for text in [
            "lognormal:0ms,1",
            "exponential:0ms",
            "normal:0ms,0ms",
            "lognormal:1h,10",
        ] {
            let latency: Latency = text.parse().unwrap();
            let mut random = random_for(1, 0, b"");
            for _ in 0..100 {
                assert!(latency.sample(&mut random) <= MAX_LATENCY, "{text}");
            }
        }
    }

    #[test]
    fn texts_that_are_no_latency_say_what_would_be() {
        for text in ["", "normal:1s", "uniform:5s,1s", "gauss:1s", "lognormal:1s,NaN"] {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
        assert!(
            "gauss:1s"
                .parse::<Latency>()
                .unwrap_err()
                .to_string()
                .contains("normal:MEAN")
        );
    }
}
