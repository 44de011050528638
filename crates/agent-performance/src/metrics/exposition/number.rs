//! Numbers as both formats read them.

use std::fmt::Write;

/// Whole numbers below this are written without an exponent; a float holds each of them exactly.
const MOST_WHOLE: f64 = 1e15;

/// Appends a value.
pub(super) fn push(out: &mut String, value: f64) {
    let written = if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if value.fract() == 0.0 && value.abs() < MOST_WHOLE {
        write!(out, "{}", value as i64)
    } else if (1e-6..MOST_WHOLE).contains(&value.abs()) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
    written.expect("writing to a string does not fail");
}

/// A bucket's bound as Prometheus' own libraries write it, so that a bound keeps its label whichever of them
/// exposed it; OpenMetrics asks for a point in what looks like a whole number.
pub(super) fn bound(value: f64, with_point: bool) -> String {
    let exponent = format!("{value:e}");
    let (digits, power) = exponent.split_once('e').unwrap_or((&exponent, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", power.unsigned_abs());
    }
    let plain = value.to_string();
    if with_point && !plain.contains('.') {
        return plain + ".0";
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_they_were() {
        for value in [
            0.0,
            -0.0,
            1.0,
            -17.0,
            0.1,
            1e-9,
            2.5e-7,
            123456.789,
            1e15,
            4.5e15,
            1e300,
            -1e-300,
            f64::MAX,
        ] {
            let mut text = String::new();
            push(&mut text, value);
            assert_eq!(text.parse::<f64>().expect("a number"), value, "{text}");
            assert!(text.len() < 26, "{text}");
        }
        let mut text = String::new();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            push(&mut text, value);
        }
        assert_eq!(text, "NaN+Inf-Inf");
    }

    #[test]
    fn bounds_are_written_the_usual_way() {
        for (value, plain, with_point) in [
            (0.0, "0", "0.0"),
            (0.005, "0.005", "0.005"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "1e-05"),
            (1.0, "1", "1.0"),
            (2.5, "2.5", "2.5"),
            (655.36, "655.36", "655.36"),
            (262_144.0, "262144", "262144.0"),
            (1_000_000.0, "1e+06", "1e+06"),
            (67_108_864.0, "6.7108864e+07", "6.7108864e+07"),
        ] {
            assert_eq!((&*bound(value, false), &*bound(value, true)), (plain, with_point));
        }
    }
}
