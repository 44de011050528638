//! The text form of a fault.

use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

use super::{ALL, Fault, FaultSpec, MAX_HUGE_EVENT};
use crate::units;

/// A text that describes no fault; says which part is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault {spec:?}: {reason}")]
pub struct FaultError {
    /// The text as given.
    pub spec: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(spec: &str) -> Result<Self, FaultError> {
        parse(spec.trim()).map_err(|reason| FaultError {
            spec: spec.to_owned(),
            reason,
        })
    }
}

fn parse(spec: &str) -> Result<FaultSpec, String> {
    let (rest, probability) = match spec.rsplit_once('@') {
        None => (spec, 1.0),
        Some((rest, text)) => (rest, probability(text)?),
    };
    let (rest, count) = match rest.rsplit_once('*') {
        None => (rest, None),
        Some((rest, text)) => match text.parse::<u64>() {
            Ok(count) if count > 0 => (rest, Some(count)),
            _ => {
                return Err(format!(
                    "{text:?} is no count of requests: a whole number above 0"
                ));
            }
        },
    };
    let (name, argument) = match rest.split_once('=') {
        None => (rest, None),
        Some((name, argument)) => (name, Some(argument)),
    };
    Ok(FaultSpec {
        fault: fault(name, argument)?,
        count,
        probability,
    })
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(chance) if chance > 0.0 && chance <= 1.0 => Ok(chance),
        _ => Err(format!(
            "{text:?} is no probability: a number above 0 and up to 1"
        )),
    }
}

fn fault(name: &str, argument: Option<&str>) -> Result<Fault, String> {
    if let Ok(code) = name.parse::<u16>() {
        let retry_after = argument.map(retry_after).transpose()?;
        return Ok(Fault::Status {
            code: status(code)?,
            retry_after,
        });
    }
    match (name, argument) {
        ("latency", Some(text)) => Ok(Fault::Latency(text.parse().map_err(|error| format!("{error}"))?)),
        ("status", Some(text)) => match text.parse() {
            Ok(code) => Ok(Fault::Status {
                code: status(code)?,
                retry_after: None,
            }),
            Err(_) => Err(format!("{text:?} is no status code")),
        },
        ("reset-before", None) => Ok(Fault::ResetBefore),
        ("reset-mid", None) => Ok(Fault::ResetMid),
        ("error-event", kind) => Ok(Fault::ErrorEvent(error_kind(kind.unwrap_or("overloaded"))?)),
        ("silence", None) => Ok(Fault::Silence),
        ("pings", None) => Ok(Fault::Pings),
        ("truncate", None) => Ok(Fault::Truncate),
        ("malformed", None) => Ok(Fault::Malformed),
        ("huge-event", size) => huge_event(size.unwrap_or("8MiB")),
        ("trickle", gap) => Ok(Fault::Trickle(duration(gap.unwrap_or("5ms"))?)),
        ("content-type", None) => Ok(Fault::ContentType),
        ("latency" | "status", None) => Err(format!("{name} needs an argument, as in {:?}", example(name))),
        (known, Some(_)) if ALL.iter().any(|help| help.name == known) => {
            Err(format!("{known} takes no argument"))
        }
        _ => Err(format!(
            "there is no fault {name:?}; valid: {}",
            FaultSpec::all_names().join(", ")
        )),
    }
}

fn example(name: &str) -> &'static str {
    ALL.iter()
        .find(|help| help.name == name)
        .map_or("", |help| help.example)
}

fn status(code: u16) -> Result<StatusCode, String> {
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| (400..600).contains(&status.as_u16()))
        .ok_or_else(|| format!("{code} is no error status: 400 to 599"))
}

fn retry_after(argument: &str) -> Result<Duration, String> {
    match argument.split_once(':') {
        Some(("retry-after", text)) => duration(text),
        _ => Err(format!(
            "{argument:?} is not understood; write retry-after:DURATION"
        )),
    }
}

/// The short names end in `_error` on the wire; others go out as they are.
fn error_kind(kind: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_lowercase() || c == '_';
    if kind.is_empty() || !kind.chars().all(valid) {
        return Err(format!(
            "{kind:?} is no error type: lower-case letters and _, such as overloaded"
        ));
    }
    Ok(if kind.ends_with("_error") {
        kind.to_owned()
    } else {
        format!("{kind}_error")
    })
}

fn huge_event(size: &str) -> Result<Fault, String> {
    match units::size(size).map_err(|error| format!("{error}"))? {
        bytes if bytes > MAX_HUGE_EVENT => Err(format!(
            "{size} is more than {}",
            units::show_size(MAX_HUGE_EVENT)
        )),
        bytes => Ok(Fault::HugeEvent(bytes)),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_help_parse_and_print_as_they_parse() {
        for help in FaultSpec::all() {
            let spec: FaultSpec = help.example.parse().unwrap();
            assert_eq!(
                spec.to_string().parse::<FaultSpec>().unwrap(),
                spec,
                "{}",
                help.example
            );
            assert!(help.example.starts_with(help.name));
        }
    }

    #[test]
    fn texts_become_faults() {
        let ms = Duration::from_millis;
        let code = |code| StatusCode::from_u16(code).unwrap();
        for (text, fault, count, probability) in [
            (
                "latency=normal:200ms,50ms",
                Fault::Latency(Latency::Normal {
                    mean: ms(200),
                    deviation: ms(50),
                }),
                None,
                1.0,
            ),
            (
                "status=529*2",
                Fault::Status {
                    code: code(529),
                    retry_after: None,
                },
                Some(2),
                1.0,
            ),
            (
                "429=retry-after:1s*1",
                Fault::Status {
                    code: code(429),
                    retry_after: Some(ms(1000)),
                },
                Some(1),
                1.0,
            ),
            (
                "500",
                Fault::Status {
                    code: code(500),
                    retry_after: None,
                },
                None,
                1.0,
            ),
            ("reset-mid*3@0.25", Fault::ResetMid, Some(3), 0.25),
            (
                "error-event=overloaded",
                Fault::ErrorEvent("overloaded_error".into()),
                None,
                1.0,
            ),
            ("huge-event=8MiB", Fault::HugeEvent(8 << 20), None, 1.0),
            ("trickle", Fault::Trickle(ms(5)), None, 1.0),
        ] {
            assert_eq!(
                text.parse::<FaultSpec>().unwrap(),
                FaultSpec {
                    fault,
                    count,
                    probability
                },
                "{text}"
            );
        }
    }

    #[test]
    fn errors_name_the_part_and_the_remedy() {
        for (text, part) in [
            ("statsu=529", "valid: latency, status"),
            ("status=200", "400 to 599"),
            ("status", "needs an argument"),
            ("silence=3s", "takes no argument"),
            ("status=529*0", "count"),
            ("status=529@2", "probability"),
            ("429=after:1s", "retry-after:DURATION"),
            ("huge-event=1GiB", "64"),
            ("", "valid:"),
        ] {
            let error = text.parse::<FaultSpec>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_prints_back(text in "[a-z0-9=:*@.,-]{0,30}") {
            if let Ok(spec) = text.parse::<FaultSpec>() {
                prop_assert_eq!(spec.to_string().parse::<FaultSpec>().unwrap(), spec);
            }
        }

        #[test]
        fn faults_survive_being_written(
            help in proptest::sample::select(ALL),
            count in proptest::option::of(1u64..1000),
            probability in 0.001f64..=1.0,
        ) {
            let fault = help.example.split('*').next().unwrap().parse::<FaultSpec>().unwrap().fault;
            let spec = FaultSpec { fault, count, probability };
            prop_assert_eq!(spec.to_string().parse::<FaultSpec>().unwrap(), spec);
        }
    }
}
