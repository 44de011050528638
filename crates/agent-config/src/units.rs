//! Human units: [`ByteSize`] (`"10 MiB"`) and [`HumanDuration`] (`"30s"`).
//!
//! One number and one unit, both exact: arithmetic is on integers, so that what is printed reads back as the
//! same value. Fractions are accepted (`"1.5 GiB"`) and rounded down to a whole byte or nanosecond.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// The longest text that is looked at: the longest duration there is, in nanoseconds, has 29 digits.
const MAX_TEXT: usize = 64;
/// Digits behind the point: finer than any unit here can show, and 10^18 times a week in nanoseconds fits 128 bits.
const MAX_FRACTION_DIGITS: usize = 18;

const SIZE_UNITS: &str = "B, KiB, MiB, GiB, TiB, KB, MB, GB or TB";
const DURATION_UNITS: &str = "ns, us, ms, s, m, h, d or w";

/// Why a text is not a size or a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

/// A number of bytes. Written as `"10 MiB"`, `"1.5 GiB"`, `"500 KB"`, or as a plain number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A length of time. Written as `"250ms"`, `"30s"`, `"10 m"`, `"1.5h"` or `"30 d"`; a number without a unit is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl ByteSize {
    /// `count` times 1024 bytes; the largest size there is, where that is more.
    pub const fn kib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 10))
    }

    /// `count` times 1024² bytes; the largest size there is, where that is more.
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; the largest length there is, where that is more.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl HumanDuration {
    /// `count` milliseconds.
    pub const fn millis(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    /// `count` seconds.
    pub const fn secs(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// `count` hours.
    pub const fn hours(count: u64) -> Self {
        Self(Duration::from_secs(count.saturating_mul(3600)))
    }

    /// `count` days of 24 hours.
    pub const fn days(count: u64) -> Self {
        Self::hours(count.saturating_mul(24))
    }

    /// The same as a standard duration.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<ByteSize> for u64 {
    fn from(size: ByteSize) -> Self {
        size.0
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, SIZE_UNITS)?;
        let factor = match unit {
            "B" | "b" | "byte" | "bytes" => 1,
            "KiB" | "kib" => 1 << 10,
            "MiB" | "mib" => 1 << 20,
            "GiB" | "gib" => 1 << 30,
            "TiB" | "tib" => 1 << 40,
            "KB" | "kB" | "kb" => 1_000,
            "MB" | "mb" => 1_000_000,
            "GB" | "gb" => 1_000_000_000,
            "TB" | "tb" => 1_000_000_000_000,
            "K" | "k" | "M" | "m" | "G" | "g" | "T" | "t" => {
                let letter = unit.to_ascii_uppercase();
                return Err(UnitError(format!(
                    "`{unit}` could mean two sizes; write {letter}iB (powers of 1024) or {letter}B (powers of 1000)"
                )));
            }
            "" => return Err(UnitError(format!("has no unit; add {SIZE_UNITS}"))),
            other => {
                return Err(UnitError(format!(
                    "`{other}` is not a unit of size; use {SIZE_UNITS}"
                )));
            }
        };
        let bytes = scale(number, factor).and_then(|bytes| u64::try_from(bytes).ok());
        bytes
            .map(Self)
            .ok_or_else(|| UnitError("is more bytes than 64 bits can count".into()))
    }
}

impl FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const SECOND: u128 = 1_000_000_000;
        let (number, unit) = split(text, DURATION_UNITS)?;
        let factor = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
            "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND,
            "h" | "hr" | "hour" | "hours" => 3600 * SECOND,
            "d" | "day" | "days" => 24 * 3600 * SECOND,
            "w" | "week" | "weeks" => 7 * 24 * 3600 * SECOND,
            "" => return Err(UnitError(format!("has no unit; add {DURATION_UNITS}"))),
            other => {
                return Err(UnitError(format!(
                    "`{other}` is not a unit of time; use {DURATION_UNITS}"
                )));
            }
        };
        let too_long = || UnitError("is longer than can be counted".into());
        let nanos = scale(number, factor).ok_or_else(too_long)?;
        let secs = u64::try_from(nanos / SECOND).map_err(|_| too_long())?;
        let rest = u32::try_from(nanos % SECOND).map_err(|_| too_long())?;
        Ok(Self(Duration::new(secs, rest)))
    }
}

/// A decimal number as it was written: the digits before the point and behind it.
#[derive(Clone, Copy)]
struct Decimal<'a> {
    whole: &'a str,
    fraction: &'a str,
}

/// Cuts "1.5 GiB" into its number and its unit, and refuses what is not a plain decimal number.
fn split<'a>(text: &'a str, units: &str) -> Result<(Decimal<'a>, &'a str), UnitError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(UnitError(format!("is empty; write a number and a unit: {units}")));
    }
    if text.len() > MAX_TEXT {
        return Err(UnitError(format!(
            "is longer than {MAX_TEXT} bytes; write one number and one unit"
        )));
    }
    if text.starts_with(['-', '\u{2212}']) {
        return Err(UnitError("is negative".into()));
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction, has_point) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, fraction, true),
        None => (number, "", false),
    };
    if whole.is_empty() || fraction.contains('.') || (has_point && fraction.is_empty()) {
        return Err(UnitError("does not start with a number such as 30 or 1.5".into()));
    }
    if fraction.len() > MAX_FRACTION_DIGITS {
        return Err(UnitError(format!(
            "has more than {MAX_FRACTION_DIGITS} digits behind the point"
        )));
    }
    Ok((Decimal { whole, fraction }, unit.trim_start()))
}

/// The number times the unit, rounded down; `None` where 128 bits are too few.
fn scale(number: Decimal<'_>, factor: u128) -> Option<u128> {
    let whole = number.whole.parse::<u128>().ok()?.checked_mul(factor)?;
    if number.fraction.is_empty() {
        return Some(whole);
    }
    let digits = number.fraction.parse::<u128>().ok()?;
    let parts = 10_u128.pow(u32::try_from(number.fraction.len()).ok()?);
    whole.checked_add(digits.checked_mul(factor)? / parts)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
        ];
        let exact = UNITS
            .iter()
            .find(|(factor, _)| self.0 != 0 && self.0.is_multiple_of(*factor));
        let (factor, unit) = exact.copied().unwrap_or((1, "B"));
        write!(f, "{} {unit}", self.0 / factor)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 6] = [
            (24 * 3_600_000_000_000, " d"),
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        let exact = UNITS.iter().find(|(factor, _)| nanos.is_multiple_of(*factor));
        let (factor, unit) = exact.copied().unwrap_or((1, "ns"));
        write!(f, "{}{unit}", nanos / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"10 MiB\", or a whole number of bytes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::custom("is negative"))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = HumanDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"30s\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Read)
    }
}

impl schemars::JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*([KMGT]i?B|[kmgt]i?b|kB|B|b|bytes?)\\s*$",
        })
    }
}

impl schemars::JsonSchema for HumanDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HumanDuration".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*(ns|us|µs|ms|s(ec(ond)?s?)?|m(in(ute)?s?)?|h(r|ours?)?|d(ays?)?|w(eeks?)?)\\s*$",
        })
    }
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
