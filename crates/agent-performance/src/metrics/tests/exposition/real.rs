//! The judgement of Prometheus' own tool, which the development setup installs.

use std::io::Write;
use std::process::Stdio;

use crate::metrics::catalogue::GROUPS;
use crate::metrics::exposition;
use crate::metrics::{MetricKind, MetricsCollector};

/// What the tool says of the text; empty when it finds nothing wrong, style included.
fn complaints(text: &str) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool that ends by itself once it has read its input"
    )]
    let mut tool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(
            "promtool is installed: it comes with the system's package `prometheus`, see `cargo xtask setup`",
        );
    let mut input = tool.stdin.take().expect("piped");
    input.write_all(text.as_bytes()).expect("it reads all of it");
    drop(input);
    let output = tool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn promtool_finds_nothing_wrong_with_any_declared_metric() {
    let collector = MetricsCollector::new();
    for row in GROUPS.iter().flat_map(|group| group.rows) {
        let name = row.name.replace(['{', '}'], "");
        // The collector tells its own figures by itself.
        if name.starts_with("metrics.") {
            continue;
        }
        let tags: Vec<(&str, &str)> = row.labels.iter().map(|&label| (label, "a \"b\" \\ c")).collect();
        match row.kind {
            MetricKind::Counter => collector.counter(&name, tags.as_slice()).add(1.5),
            MetricKind::Gauge => collector.gauge(&name, row.unit, tags.as_slice()).set(-2.25),
            MetricKind::Histogram => collector.histogram(&name, row.unit, tags.as_slice()).record(17.0),
        }
    }
    let text = exposition::prometheus(&collector);
    assert_eq!(complaints(&text), "", "{text}");
}

#[test]
fn promtool_is_really_asked() {
    assert!(complaints("x{ 1\n").contains("parsing error"));
    assert!(complaints("# HELP x y\n# TYPE x counter\nx 1\n").contains("_total"));
}
