use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use http::Uri;
use url::form_urlencoded;

use crate::answer::Refusal;

/// Longest query that is read: every parameter at its longest, percent-encoded, is below it.
const MAX_QUERY_BYTES: usize = 16 * 1024;

/// One parameter of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What it does, for the OpenAPI document.
    pub(crate) help: &'static str,
}

/// What may stand in a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Text of this many characters at most; an empty one counts as absent.
    Text { max_chars: usize },
    /// A whole number in this range.
    Integer {
        min: u64,
        max: u64,
        default: Option<u64>,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A moment, as RFC 3339 writes it.
    Time,
    /// Present or absent. A value of `false` or `0` counts as absent.
    Flag,
}

/// The parameters of one request, all of them as they were declared.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    given: HashMap<&'static str, Cow<'a, str>>,
    declared: &'static [Parameter],
}

impl<'a> Query<'a> {
    /// # Errors
    /// 400 for a parameter that is not declared, that comes twice, or whose value is none that it takes.
    pub(crate) fn read(uri: &'a Uri, declared: &'static [Parameter]) -> Result<Self, Refusal> {
        let text = uri.query().unwrap_or_default();
        if text.len() > MAX_QUERY_BYTES {
            let detail = format!("the query is longer than {MAX_QUERY_BYTES} bytes; ask for less");
            return Err(Refusal::bad_request(detail));
        }
        let mut given = HashMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let Some(parameter) = declared.iter().find(|parameter| parameter.name == name) else {
                return Err(Refusal::bad_request(unknown(&name, declared)));
            };
            if let Err(wanted) = parameter.kind.check(&value) {
                let detail = format!("the parameter `{name}` takes {wanted}; correct it or leave it out");
                return Err(Refusal::bad_request(detail));
            }
            if given.insert(parameter.name, value).is_some() {
                let detail = format!("the parameter `{name}` is there twice; give it once");
                return Err(Refusal::bad_request(detail));
            }
        }
        Ok(Self { given, declared })
    }

    /// The text of a parameter; none when it is absent or empty.
    pub(crate) fn text(&self, name: &'static str) -> Option<&str> {
        debug_assert!(
            self.declared.iter().any(|parameter| parameter.name == name),
            "{name}"
        );
        self.given
            .get(name)
            .map(AsRef::as_ref)
            .filter(|text| !text.is_empty())
    }

    /// The number, or its default.
    pub(crate) fn integer(&self, name: &'static str) -> Option<u64> {
        let default = || {
            let declared = self.declared.iter().find(|parameter| parameter.name == name)?;
            match declared.kind {
                Kind::Integer { default, .. } => default,
                _ => None,
            }
        };
        self.text(name)
            .and_then(|text| text.parse().ok())
            .or_else(default)
    }

    /// The moment.
    pub(crate) fn time(&self, name: &'static str) -> Option<DateTime<Utc>> {
        self.text(name).and_then(time)
    }

    /// Whether the flag is there.
    pub(crate) fn flag(&self, name: &'static str) -> bool {
        self.given
            .get(name)
            .is_some_and(|value| !matches!(value.as_ref(), "false" | "0"))
    }
}

impl Kind {
    /// What it takes, when `value` is not that.
    fn check(self, value: &str) -> Result<(), String> {
        if value.contains(|c: char| c.is_control()) {
            return Err("no control characters".to_owned());
        }
        match self {
            Self::Text { max_chars } if value.chars().count() > max_chars => {
                Err(format!("text of at most {max_chars} characters"))
            }
            Self::Integer { min, max, .. } if !is_integer(value, min, max) => {
                Err(format!("a whole number from {min} to {max}"))
            }
            Self::Choice(words) if !words.contains(&value) => Err(format!("one of {}", words.join(", "))),
            Self::Time if time(value).is_none() => Err("a time such as 2026-11-23T20:15:00Z".to_owned()),
            Self::Flag if !matches!(value, "" | "true" | "false" | "1" | "0") => {
                Err("no value, true or false".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Digits only: other spellings that `parse` takes are none of JSON's.
fn is_integer(value: &str, min: u64, max: u64) -> bool {
    let number = value
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| value.parse::<u64>().ok());
    number
        .flatten()
        .is_some_and(|number| (min..=max).contains(&number))
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.with_timezone(&Utc))
}

fn unknown(name: &str, declared: &[Parameter]) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    if declared.is_empty() {
        return format!("there is no parameter `{name}`: this takes none; leave it out");
    }
    let names: Vec<&str> = declared.iter().map(|parameter| parameter.name).collect();
    format!("there is no parameter `{name}`; there are: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    static DECLARED: &[Parameter] = &[
        Parameter {
            name: "text",
            kind: Kind::Text { max_chars: 3 },
            help: "",
        },
        Parameter {
            name: "limit",
            kind: Kind::Integer {
                min: 1,
                max: 10,
                default: Some(5),
            },
            help: "",
        },
        Parameter {
            name: "format",
            kind: Kind::Choice(&["a", "b"]),
            help: "",
        },
        Parameter {
            name: "since",
            kind: Kind::Time,
            help: "",
        },
        Parameter {
            name: "verbose",
            kind: Kind::Flag,
            help: "",
        },
    ];

    #[test]
    fn what_is_declared_is_read() {
        let uri = "/x?text=%C3%A4+b&limit=7&since=2026-11-23T20:15:00%2B01:00&verbose"
            .parse()
            .unwrap();
        let query = Query::read(&uri, DECLARED).unwrap();
        assert_eq!(
            (query.text("text"), query.integer("limit")),
            (Some("ä b"), Some(7))
        );
        assert_eq!(
            query.time("since").unwrap().to_rfc3339(),
            "2026-11-23T19:15:00+00:00"
        );
        assert!(query.flag("verbose"));
        let uri = "/x?text=&verbose=false".parse().unwrap();
        let query = Query::read(&uri, DECLARED).unwrap();
        assert_eq!((query.text("text"), query.integer("limit")), (None, Some(5)));
        assert!(!query.flag("verbose"));
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!("text={}", "x".repeat(MAX_QUERY_BYTES));
        for query in [
            "what=1",
            "text=abcd",
            "text=a%00",
            "limit=0",
            "limit=11",
            "limit=%2B5",
            "limit=",
            "limit=1e1",
            "limit=99999999999999999999",
            "format=c",
            "since=yesterday",
            "verbose=maybe",
            "limit=1&limit=1",
            &long,
        ] {
            let uri = format!("/x?{query}").parse().unwrap();
            let refusal = Query::read(&uri, DECLARED).expect_err(query);
            assert_eq!(refusal.status(), 400, "{query}");
        }
    }

    #[test]
    fn endpoints_are_never_taken_from_a_query() {
        use crate::{api, operations};
        let all = [
            api::LIST_PARAMETERS,
            api::MESSAGES_PARAMETERS,
            api::EXPORT_PARAMETERS,
            operations::METRICS_PARAMETERS,
            operations::RESOURCES_PARAMETERS,
            operations::LOGS_PARAMETERS,
            operations::PROBE_PARAMETERS,
        ];
        for parameters in all {
            for query in [
                "base_url",
                "url",
                "host",
                "endpoint",
                "gateway",
                "gatewayUrl",
                "proxy",
                "redirect",
                "token",
                "key",
            ] {
                let uri = format!("/x?{query}=https://evil.example").parse().unwrap();
                assert_eq!(Query::read(&uri, parameters).expect_err(query).status(), 400);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_query_is_read_as_declared_or_refused(
            query in proptest::prop_oneof![
                "[!-~]{0,80}",
                "((text|limit|format|since|verbose|what)(=[!-%'-~]{0,12}|=[0-9]{1,22}|=%[0-9a-f]{2}%[0-9A-F]{2})?&?){0,5}",
            ],
        ) {
            let Ok(uri) = format!("/x?{query}").parse::<Uri>() else { return Ok(()) };
            let Ok(read) = Query::read(&uri, DECLARED) else { return Ok(()) };
            let text = read.text("text").unwrap_or_default();
            proptest::prop_assert!(text.chars().count() <= 3 && !text.chars().any(char::is_control));
            proptest::prop_assert!((1..=10).contains(&read.integer("limit").unwrap()));
            let format = read.text("format");
            proptest::prop_assert!(matches!(format, None | Some("a" | "b")), "{format:?}");
        }
    }
}
