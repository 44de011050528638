//! `health`: what a running daemon knows of itself and of what it needs.

use agent_config::ProductionConfig;
use http::StatusCode;
use serde_json::Value;

use super::Failure;
use super::args::{DataFormat, DataOutput};
use super::daemon_client;
use super::exit::Exit;
use super::output::{self, Table};

/// The exit code tells a failure; what only warns works.
pub(super) async fn execute(config: &ProductionConfig, output: DataOutput) -> Result<Exit, Failure> {
    let told = daemon_client::get(config, "/health").await?;
    let exit = match told.status {
        StatusCode::OK => Exit::Done,
        StatusCode::SERVICE_UNAVAILABLE if told.document["checks"].is_object() => Exit::Failed,
        _ => return Err(told.refusal()),
    };
    match output.format {
        DataFormat::Json => output::json(&told.document)?,
        DataFormat::Text => output::raw(&text(&told.document))?,
    }
    Ok(exit)
}

/// The report for a person: the whole in a line, then each check.
fn text(report: &Value) -> String {
    let word = |value: &Value| output::visible(value.as_str().unwrap_or("–")).into_owned();
    let notes = report["notes"].as_array().into_iter().flatten();
    let notes: Vec<String> = notes.map(word).collect();
    let mut text = format!(
        "{}: claude-agent {}, {}\n\n",
        word(&report["status"]),
        word(&report["version"]),
        notes.join(", ")
    );
    let mut table = Table::new(&["check", "status", "observed", "says"]);
    let checks = report["checks"].as_object().into_iter().flatten();
    for (key, items) in checks {
        let (name, measurement) = key.split_once(':').unwrap_or((key, ""));
        for item in items.as_array().into_iter().flatten() {
            table.row([
                name.to_owned(),
                word(&item["status"]),
                observed(measurement, item),
                item["output"].as_str().unwrap_or_default().to_owned(),
            ]);
        }
    }
    text.push_str(&table.to_string());
    text
}

fn observed(measurement: &str, item: &Value) -> String {
    let unit = item["observedUnit"].as_str().unwrap_or_default();
    match &item["observedValue"] {
        Value::Number(value) => {
            let value = value.as_f64().unwrap_or(f64::NAN);
            let digits = if value.abs() < 10.0 && value.fract() != 0.0 {
                2
            } else {
                0
            };
            format!("{measurement} {value:.digits$} {unit}")
        }
        Value::String(value) => format!("{measurement} {value} {unit}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_told_check_by_check() {
        let report = json!({
            "status": "fail", "version": "1.2.3", "notes": ["up 61 s"],
            "checks": {
                "api:responseTime": [{ "status": "fail", "observedValue": 0.25, "observedUnit": "ms", "output": "refused\u{1b}[2J" }],
                "disk:utilization": [{ "status": "pass", "observedValue": 33.0, "observedUnit": "percent" }],
            },
        });
        let told = text(&report);
        assert!(
            told.starts_with("fail: claude-agent 1.2.3, up 61 s\n\n"),
            "{told}"
        );
        assert!(told.contains("responseTime 0.25 ms"), "{told}");
        assert!(told.contains("utilization 33 percent"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
}
