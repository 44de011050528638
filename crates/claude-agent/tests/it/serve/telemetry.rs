//! Figures sent to a collector that decodes them with the published definitions, and to one that is not there.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

use super::{Daemon, command, question};
use crate::support::{DEADLINE, Machine, Simulator, expect_code, finish, stderr, wait_until};

/// A credential for the collector: the run of all tests looks for it in every file and in what is printed.
const HEADERS: &str = "x-collector-key=collector-key-never-printed";

/// A collector on loopback: where it is, and the head and message of each request that it got for `path`.
fn receiver<M: Message + Default + 'static>(path: &'static str) -> (String, Receiver<(String, M)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, got) = sync_channel(100);
    // It ends with the test's process; a connection serves any number of requests.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut bytes) = (stream.unwrap(), Vec::new());
            let mut piece = [0; 65536];
            while let Ok(read @ 1..) = stream.read(&mut piece) {
                bytes.extend_from_slice(&piece[..read]);
                let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") else {
                    continue;
                };
                let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.unwrap().parse().unwrap();
                if bytes.len() < end + 4 + length {
                    continue;
                }
                let body: Vec<u8> = bytes.drain(..end + 4 + length).skip(end + 4).collect();
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .unwrap();
                if head.starts_with(&format!("post {path} ")) {
                    sender.try_send((head, M::decode(&*body).unwrap())).ok();
                }
            }
        }
    });
    (url, got)
}

/// The sum of a counter's series.
fn total(message: &ExportMetricsServiceRequest, name: &str) -> f64 {
    let metrics = message
        .resource_metrics
        .iter()
        .flat_map(|one| &one.scope_metrics)
        .flat_map(|one| &one.metrics);
    metrics
        .filter(|metric| metric.name == name)
        .filter_map(|metric| match metric.data.as_ref()? {
            metric::Data::Sum(sum) => Some(&sum.data_points),
            _ => None,
        })
        .flatten()
        .map(|point| match point.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            _ => panic!("{point:?}"),
        })
        .sum()
}

#[test]
fn a_collector_gets_what_the_daemon_does_and_its_credential_goes_nowhere_else() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let (url, got) = receiver::<ExportMetricsServiceRequest>("/v1/metrics");
    let mut command = command(
        &machine,
        &simulator,
        &[("MONITORING__METRICS_EXPORT_INTERVAL", "1s")],
    );
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .env("OTEL_EXPORTER_OTLP_HEADERS", HEADERS)
        .env("OTEL_SERVICE_NAME", "mine");
    let daemon = Daemon::start_command(&machine, command);
    daemon.post("/v1/messages", &question("Hello")).expect(200);
    let arrived = |wanted: f64| {
        wait_until("the figures arrive", || {
            let (head, message) = got.recv_timeout(DEADLINE).unwrap();
            assert!(
                head.contains("x-collector-key: collector-key-never-printed"),
                "{head}"
            );
            let resource = format!("{:?}", message.resource_metrics[0].resource);
            assert!(resource.contains("\"mine\""), "{resource}");
            total(&message, "claude.requests") == wanted
        });
    };
    arrived(1.0);
    daemon.post("/v1/messages", &question("Hello again")).expect(200);
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    arrived(2.0);
    assert!(
        stderr(&output).contains("metrics are sent to http://127.0.0.1"),
        "{}",
        stderr(&output)
    );
}

/// The caller's span, of whose trace everything is part.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_turn_is_a_trace_from_the_caller_down_to_the_command() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let (url, got) = receiver::<ExportTraceServiceRequest>("/v1/traces");
    machine.write("show.sh", "env > seen.txt");
    let allowed = ("TOOLS__ALLOWED_COMMANDS", r#"["sh show.sh"]"#);
    let settings = [
        allowed,
        ("AGENT__PERMISSION_MODE", "policy"),
        ("MONITORING__OTLP_ENDPOINT", &url),
    ];
    let mut command = command(&machine, &simulator, &settings);
    command.env("OTEL_BSP_SCHEDULE_DELAY", "1000");
    let daemon = Daemon::start_command(&machine, command);
    let caller = format!("00-{TRACE}-{CALLER}-01");
    let session = daemon
        .post("/api/v1/sessions", &json!({"workspace": machine.workspace()}))
        .expect(201)
        .json();
    let session = session["id"].as_str().unwrap();
    daemon
        .request("POST", &format!("/api/v1/sessions/{session}/turns"))
        .header("traceparent", &caller)
        .json(&json!({"prompt": "Run `sh show.sh`"}))
        .send(daemon.connect())
        .expect(201);
    daemon
        .request("POST", "/v1/messages")
        .header("traceparent", &caller)
        .json(&question("Hello"))
        .send(daemon.connect())
        .expect(200);
    let mut spans: Vec<Span> = Vec::new();
    wait_until("the turn's spans arrive", || {
        let Ok((_, message)) = got.recv_timeout(DEADLINE) else {
            panic!("no more spans came: {spans:#?}");
        };
        spans.extend(message.resource_spans[0].scope_spans[0].spans.clone());
        spans.iter().any(|span| span.name == "invoke_agent claude-agent") && spans.len() >= 5
    });
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:?}");
    let named =
        |name: &str| -> Vec<&Span> { spans.iter().filter(|span| span.name.starts_with(name)).collect() };
    let attributes = |span: &Span| format!("{:?}", span.attributes);
    let run = named("invoke_agent")[0];
    assert_eq!(hex(&run.parent_span_id), CALLER);
    assert!(attributes(run).contains(session), "{run:?}");
    let tool = named("execute_tool bash")[0];
    assert_eq!(tool.parent_span_id, run.span_id);
    let (own, relayed): (Vec<&Span>, Vec<&Span>) = named("chat claude")
        .into_iter()
        .partition(|chat| chat.parent_span_id == run.span_id);
    assert_eq!((own.len(), relayed.len()), (2, 1), "{spans:?}");
    assert_eq!(hex(&relayed[0].parent_span_id), CALLER);
    for chat in own.iter().chain(&relayed) {
        assert_eq!(chat.kind, 3, "a client");
        for said in [
            "gen_ai.usage.input_tokens",
            "gen_ai.response.model",
            "\"anthropic\"",
            "server.address",
        ] {
            assert!(attributes(chat).contains(said), "{said}: {chat:?}");
        }
    }
    assert!(
        attributes(own[0]).contains("tool_use"),
        "the reason that it ended: {:?}",
        own[0]
    );
    assert!(
        !format!("{spans:?}").contains("show.sh"),
        "no prompts, no arguments"
    );
    let seen = machine.read("seen.txt");
    let below = format!("TRACEPARENT=00-{TRACE}-{}-01", hex(&tool.span_id));
    assert!(
        seen.contains(&below) && !seen.contains("OTEL_"),
        "{below}: {seen}"
    );
}

#[test]
fn lines_of_the_log_reach_a_collector_without_secrets() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let (url, got) = receiver::<ExportLogsServiceRequest>("/v1/logs");
    let mut command = command(&machine, &simulator, &[("MONITORING__OTLP_ENDPOINT", &url)]);
    command
        .env("OTEL_BLRP_SCHEDULE_DELAY", "1000")
        .env("OTEL_EXPORTER_OTLP_HEADERS", HEADERS);
    let daemon = Daemon::start_command(&machine, command);
    let mut all = String::new();
    let mut until = |wanted: &str| {
        wait_until(wanted, || {
            let (_, message) = got.recv_timeout(DEADLINE).unwrap();
            all += &format!("{message:?}");
            all.contains(wanted)
        });
    };
    until("lines of the log are sent to");
    daemon.signal("TERM");
    expect_code(&daemon.output(), 0);
    until("stopped serving");
    assert!(!all.contains("never-printed"), "{all}");
}

#[test]
fn commands_get_no_credential_of_the_collector() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    machine.write("show.sh", "env > seen.txt");
    let mut run = machine.against(
        &simulator,
        &["run", "--permission-mode", "policy", "Run `sh show.sh`"],
    );
    run.env("CLAUDE_AGENT__TOOLS__ALLOWED_COMMANDS", r#"["sh show.sh"]"#)
        .env("OTEL_EXPORTER_OTLP_HEADERS", HEADERS)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let output = finish(&mut run);
    expect_code(&output, 0);
    let seen = machine.read("seen.txt");
    assert!(seen.contains("PATH=") && !seen.contains("OTEL_"), "{seen}");
}

#[test]
fn a_collector_that_is_not_there_is_warned_of_once_and_a_wrong_variable_sends_nothing() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{closed}");
    let settings = [
        ("MONITORING__OTLP_ENDPOINT", &*endpoint),
        ("MONITORING__METRICS_EXPORT_INTERVAL", "1s"),
    ];
    let daemon = Daemon::start_with(&machine, &simulator, &settings);
    wait_until("it was tried again and again", || {
        let text = daemon.get("/metrics").expect(200).text();
        let failed = "telemetry_exports_total{outcome=\"failed\",signal=\"metrics\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(failed));
        line.is_some_and(|count| count.parse::<f64>().unwrap() >= 3.0)
    });
    daemon.post("/v1/messages", &question("Hello")).expect(200);
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    let told = stderr(&output)
        .matches("metrics do not reach the collector")
        .count();
    assert_eq!(told, 1, "{}", stderr(&output));

    // A variable for the whole machine, meant for others.
    let mut wrong = command(&machine, &simulator, &settings);
    wrong.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let daemon = Daemon::start_command(&machine, wrong);
    daemon.post("/v1/messages", &question("Hello")).expect(200);
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    let said = stderr(&output);
    assert!(
        said.contains("OTEL_EXPORTER_OTLP_PROTOCOL can't be used"),
        "{said}"
    );
    assert!(!said.contains("do not reach"), "{said}");
}
