//! The OpenAPI document of the running daemon: valid, and true of the server that hands it out.

use std::process::Output;

use serde_json::Value;

use crate::compatibility::client::python;
use crate::compatibility::rig::{Rig, repository};
use crate::support::{finish, stderr, stdout};

const PATH: &str = "/api/v1/openapi.json";
/// Requests for each operation in each phase: enough for every parameter to be missing, too long and of another type once.
const EXAMPLES: &str = "8";
/// The whole run, in seconds; a fuzzer finds always more to do.
const TIME: &str = "40";

/// A tool of the environment `openapi`.
fn tool(rig: &Rig, module: &str, arguments: &[&str]) -> Output {
    let python = python("openapi").unwrap_or_else(|error| panic!("{error}"));
    finish(rig.command(python).args(["-m", module]).args(arguments))
}

#[test]
fn the_document_is_valid_and_names_every_surface() {
    let rig = Rig::start(&[]);
    let text = rig.get(PATH, &[]);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    for path in ["/v1/messages", "/livez", "/metrics", "/api/v1/sessions"] {
        assert!(document["paths"][path].is_object(), "{path} is missing");
    }
    rig.machine.write("openapi.json", &text);
    let output = tool(&rig, "openapi_spec_validator", &["openapi.json"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_document_that_is_not_valid_would_be_refused() {
    let rig = Rig::start(&[]);
    rig.machine.write(
        "openapi.json",
        r#"{ "openapi": "3.1.0", "info": {}, "paths": {} }"#,
    );
    assert!(
        !tool(&rig, "openapi_spec_validator", &["openapi.json"])
            .status
            .success()
    );
}

/// Requests made from the document, right and wrong ones: each answer is one that the document promises.
#[test]
fn the_server_keeps_what_the_document_promises() {
    let rig = Rig::start(&[]);
    rig.machine.write("openapi.json", rig.get(PATH, &[]));
    let config = repository().join("fixtures/clients/openapi/schemathesis.toml");
    // Both ways, or the tool makes one up for the other.
    let (bearer, key) = (
        format!("authorization: Bearer {}", rig.token),
        format!("x-api-key: {}", rig.token),
    );
    let output = tool(
        &rig,
        "schemathesis.cli",
        &[
            "--config-file",
            config.to_str().unwrap(),
            "--no-color",
            "run",
            "openapi.json",
            "--url",
            &rig.url,
            "--header",
            &bearer,
            "--header",
            &key,
            "--phases",
            "examples,coverage,fuzzing,stateful",
            "--max-examples",
            EXAMPLES,
            "--max-time",
            TIME,
            // What fails once fails each time, here and elsewhere.
            "--generation-deterministic",
            "--no-shrink",
            "--workers",
            "1",
            "--request-timeout",
            "10",
            "--suppress-health-check",
            "all",
        ],
    );
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}
