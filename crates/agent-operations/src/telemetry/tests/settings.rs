//! What the variables decide.

use super::*;

#[test]
fn the_standard_variables_decide() {
    let url = Url::parse("http://127.0.0.1:1").unwrap();
    let read = |configured: Option<&Url>, variables: &[(&str, &str)]| {
        let environment = Environment::from_pairs(variables.iter().copied());
        OtlpSettings::of(Signal::Metrics, configured, Duration::from_secs(60), &environment)
    };
    let to = |configured, variables: &[(&str, &str)]| {
        read(configured, variables)
            .unwrap()
            .map(|settings| settings.url.to_string())
    };
    assert_eq!(to(None, &[]), None, "off unless it is asked for");
    assert_eq!(to(Some(&url), &[]).unwrap(), "http://127.0.0.1:1/v1/metrics");
    assert_eq!(to(Some(&url), &[("OTEL_SDK_DISABLED", "True")]), None);
    assert_eq!(to(Some(&url), &[("OTEL_METRICS_EXPORTER", "none")]), None);
    let common = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c.example/otlp/");
    assert_eq!(
        to(Some(&url), &[common]).unwrap(),
        "https://c.example/otlp/v1/metrics"
    );
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m.example/push");
    assert_eq!(to(None, &[common, own]).unwrap(), "https://m.example/push");
    let all = read(
        Some(&url),
        &[
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1500"),
        ],
    );
    let all = all.unwrap().unwrap();
    assert_eq!(
        (all.interval, all.timeout),
        (Duration::from_secs(5), Duration::from_millis(1500))
    );

    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://a/"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:never-printed@a/"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "never-printed"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=never-printed"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=never%0Aprinted"),
    ] {
        let error = read(Some(&url), &[(name, value)]).unwrap_err();
        assert_eq!(error.variable, name);
        assert!(!error.to_string().contains("printed"), "{error}");
    }
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abcdefgh");
    let open = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c.example");
    assert!(read(None, &[open]).unwrap().is_some());
    let error = read(None, &[open, headers]).unwrap_err();
    assert!(error.why.contains("without https"), "{error}");
    let kept = read(Some(&url), &[headers]).unwrap().unwrap();
    assert!(!format!("{kept:?}").contains("abcdefgh"), "{kept:?}");
    assert!(kept.secrets().iter().any(|secret| secret.expose() == "abcdefgh"));
}

proptest::proptest! {
    #[test]
    fn no_variable_makes_it_panic(value in "\\PC{0,40}", which in 0usize..6) {
        let name = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_SERVICE_NAME",
            "OTEL_METRIC_EXPORT_INTERVAL",
        ][which];
        let environment = Environment::from_pairs([(name, value)]);
        let url = Url::parse("http://127.0.0.1:1").unwrap();
        drop(OtlpSettings::of(Signal::Metrics, Some(&url), Duration::from_secs(1), &environment));
    }
}
