//! Where to send and how, from the configuration and OpenTelemetry's own variables, which win.

use std::time::Duration;

use agent_config::Secret;
use agent_config::environment::Environment;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use url::{Host, Url};

use super::resource::{self, decoded};

/// How long a collector may take to answer where `OTEL_EXPORTER_OTLP_TIMEOUT` does not say it: OpenTelemetry's own default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The times that may be set; a second is as often as telemetry may be the load it watches.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Headers that may be added.
const MAX_HEADERS: usize = 32;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Figures.
    Metrics,
    /// Spans.
    Traces,
    /// Lines of the log.
    Logs,
}

impl Signal {
    /// Its part of the names of variables.
    fn variable(self) -> &'static str {
        match self {
            Signal::Metrics => "METRICS",
            Signal::Traces => "TRACES",
            Signal::Logs => "LOGS",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Signal::Metrics => "v1/metrics",
            Signal::Traces => "v1/traces",
            Signal::Logs => "v1/logs",
        }
    }

    /// The variable with the milliseconds between two requests.
    fn interval(self) -> &'static str {
        match self {
            Signal::Metrics => "OTEL_METRIC_EXPORT_INTERVAL",
            Signal::Traces => "OTEL_BSP_SCHEDULE_DELAY",
            Signal::Logs => "OTEL_BLRP_SCHEDULE_DELAY",
        }
    }
}

/// How long spans and lines wait for others to go with them, where `OTEL_BSP_SCHEDULE_DELAY` or `OTEL_BLRP_SCHEDULE_DELAY` does
/// not say it.
pub const BATCH_WAIT: Duration = Duration::from_secs(5);

/// Where one signal goes.
#[derive(Clone, Debug)]
pub struct OtlpSettings {
    /// Requests are posted here.
    pub url: Url,
    /// Sent with each; their values are never printed.
    pub headers: HeaderMap,
    /// How long one may take.
    pub timeout: Duration,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// How often.
    pub interval: Duration,
    /// Who sends.
    pub(super) resource: Resource,
}

/// A variable that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} can't be used: {why}")]
pub struct SettingsError {
    /// Which.
    pub variable: String,
    /// What is wrong; never its value, which may be a credential.
    pub why: &'static str,
}

impl OtlpSettings {
    /// What `configured` and the variables say; none where neither names an endpoint, or the variables turn the signal off.
    ///
    /// # Errors
    /// A variable that can't be used: to send elsewhere or otherwise than asked would be worse than to say so.
    pub fn of(
        signal: Signal,
        configured: Option<&Url>,
        interval: Duration,
        environment: &Environment,
    ) -> Result<Option<Self>, SettingsError> {
        let variables = Variables { environment, signal };
        if variables.is("OTEL_SDK_DISABLED", "true")
            || variables.is(&format!("OTEL_{}_EXPORTER", signal.variable()), "none")
        {
            return Ok(None);
        }
        let Some(url) = variables.endpoint(configured)? else {
            return Ok(None);
        };
        variables.one_of(
            "PROTOCOL",
            &["http/protobuf"],
            "this program speaks http/protobuf only",
        )?;
        if signal == Signal::Metrics {
            variables.one_of(
                "TEMPORALITY_PREFERENCE",
                &["cumulative"],
                "this program sends cumulative figures only",
            )?;
        }
        let headers = variables.headers()?;
        if !headers.is_empty() && url.scheme() == "http" && !is_this_machine(&url) {
            return Err(SettingsError {
                variable: "OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
                why: "headers carry credentials, and the endpoint is on another machine without https",
            });
        }
        Ok(Some(OtlpSettings {
            url,
            headers,
            timeout: variables.time("TIMEOUT")?.unwrap_or(TIMEOUT),
            gzip: variables.one_of("COMPRESSION", &["none", "gzip"], "it is `gzip` or `none`")?
                == Some("gzip"),
            interval: variables.milliseconds(signal.interval())?.unwrap_or(interval),
            resource: resource::of(environment),
        }))
    }

    /// The values that must not be printed.
    pub fn secrets(&self) -> Vec<Secret> {
        self.headers
            .values()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| {
                // The credential of `Bearer …` is secret without the word, too.
                let last = value.rsplit(' ').next().unwrap_or(value);
                [Secret::from(value), Secret::from(last)]
            })
            .collect()
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

struct Variables<'a> {
    environment: &'a Environment,
    signal: Signal,
}

impl<'a> Variables<'a> {
    fn is(&self, name: &str, value: &str) -> bool {
        self.environment
            .get(name)
            .is_some_and(|given| given.trim().eq_ignore_ascii_case(value))
    }

    /// The variable for this signal alone.
    fn own(&self, name: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{name}", self.signal.variable())
    }

    /// The variable for this signal alone, or the one for all, with its name.
    fn given(&self, name: &str) -> Option<(String, &'a str)> {
        [self.own(name), format!("OTEL_EXPORTER_OTLP_{name}")]
            .into_iter()
            .find_map(|variable| Some((variable.clone(), self.environment.get(&variable)?.trim())))
    }

    fn time(&self, name: &str) -> Result<Option<Duration>, SettingsError> {
        match self.given(name) {
            Some((variable, _)) => self.milliseconds(&variable),
            None => Ok(None),
        }
    }

    /// The one for this signal is taken as it is; to the one for all, and to ours, the path is added.
    fn endpoint(&self, configured: Option<&Url>) -> Result<Option<Url>, SettingsError> {
        let parse = |variable: &str, text: &str| {
            let url = Url::parse(text).ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
            url.ok_or_else(|| SettingsError {
                variable: variable.to_owned(),
                why: "it is no address like http://127.0.0.1:4318, without user and password",
            })
        };
        let own = self.own("ENDPOINT");
        if let Some(text) = self.environment.get(&own) {
            return parse(&own, text).map(Some);
        }
        let common = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let base = match self.environment.get(common) {
            Some(text) => Some(parse(common, text)?),
            None => configured.cloned(),
        };
        Ok(base.map(|mut url| {
            let path = format!("{}/{}", url.path().trim_end_matches('/'), self.signal.path());
            url.set_path(&path);
            url
        }))
    }

    fn one_of(
        &self,
        name: &str,
        allowed: &[&'static str],
        why: &'static str,
    ) -> Result<Option<&'static str>, SettingsError> {
        let Some((variable, given)) = self.given(name) else {
            return Ok(None);
        };
        let found = allowed.iter().find(|allowed| given.eq_ignore_ascii_case(allowed));
        match found {
            Some(found) => Ok(Some(found)),
            None => Err(SettingsError { variable, why }),
        }
    }

    fn milliseconds(&self, name: &str) -> Result<Option<Duration>, SettingsError> {
        let Some(given) = self.environment.get(name) else {
            return Ok(None);
        };
        let time = given.trim().parse().map(Duration::from_millis).ok();
        match time.filter(|time| (SHORTEST..=LONGEST).contains(time)) {
            Some(time) => Ok(Some(time)),
            None => Err(SettingsError {
                variable: name.to_owned(),
                why: "it is no number of milliseconds from a second to a day",
            }),
        }
    }

    /// `name=value,name=value`, values with percent signs where they need them. Of names in both variables, those of the signal win.
    fn headers(&self) -> Result<HeaderMap, SettingsError> {
        let mut headers = HeaderMap::new();
        for variable in ["OTEL_EXPORTER_OTLP_HEADERS".to_owned(), self.own("HEADERS")] {
            let given = self.environment.get(&variable).unwrap_or_default();
            for pair in given.split(',').filter(|pair| !pair.trim().is_empty()) {
                let wrong = |why| SettingsError {
                    variable: variable.clone(),
                    why,
                };
                let (name, value) = pair
                    .split_once('=')
                    .ok_or_else(|| wrong("it is no list of name=value, with commas between"))?;
                let name = HeaderName::from_bytes(name.trim().as_bytes())
                    .map_err(|_| wrong("a name in it is no name of a header"))?;
                let mut value = HeaderValue::from_str(&decoded(value.trim()))
                    .map_err(|_| wrong("a value in it can't stand in a header"))?;
                value.set_sensitive(true);
                headers.insert(name, value);
                if headers.len() > MAX_HEADERS {
                    return Err(wrong("it names more than 32 headers"));
                }
            }
        }
        Ok(headers)
    }
}
