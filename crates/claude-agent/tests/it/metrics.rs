//! `claude-agent metrics` and `top`: the figures of a run, seen from outside.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::chat::Terminal;
use crate::support::{
    Machine, Simulator, events, exists, expect_code, finish, of_type, stderr, stdout, wait_until,
};

/// One tool after the other, and long enough for the runtime's lag to be measured.
const TASK: &str = "Read a.txt, then run `sleep 1.3`, then search for needle";

fn folder(machine: &Machine) -> PathBuf {
    machine.data().join("metrics")
}

fn workspace(machine: &Machine) {
    machine.write("a.txt", "a needle in a haystack\n");
}

/// The events of a run that used tools.
fn run(machine: &Machine, simulator: &Simulator, flags: &[&str]) -> Vec<Value> {
    let mut arguments = vec![
        "run",
        "--output-format",
        "stream-json",
        "--permission-mode",
        "policy",
    ];
    arguments.extend(flags);
    arguments.push(TASK);
    events(&expect_code(
        &finish(&mut machine.against(simulator, &arguments)),
        0,
    ))
}

fn metrics(machine: &Machine, arguments: &[&str]) -> Value {
    let mut all = vec!["metrics", "--output", "json"];
    all.extend(arguments);
    serde_json::from_str(&expect_code(&finish(&mut machine.command(&all)), 0)).unwrap()
}

/// The only process's series.
fn series(found: &Value) -> &[Value] {
    let processes = found["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 1, "{found}");
    processes[0]["series"].as_array().unwrap()
}

/// A field of all series of a name with these tags, summed.
fn sum(series: &[Value], name: &str, tags: &[(&str, &str)], field: &str) -> f64 {
    let matching: Vec<&Value> = series
        .iter()
        .filter(|one| one["name"] == name && tags.iter().all(|(key, value)| one["tags"][*key] == *value))
        .collect();
    assert!(!matching.is_empty(), "{name} {tags:?} is missing in {series:#?}");
    matching.iter().filter_map(|one| one[field].as_f64()).sum()
}

#[test]
fn memory_is_judged_by_the_limit_that_the_operator_sets() {
    for (limit, short) in [("16 MiB", true), ("64 GiB", false)] {
        let machine = Machine::new();
        workspace(&machine);
        let simulator = Simulator::start(&[]);
        let mut run = machine.against(&simulator, &["run", "--permission-mode", "policy", TASK]);
        run.env("CLAUDE_AGENT__PERFORMANCE__MEMORY_LIMIT", limit);
        expect_code(&finish(&mut run), 0);
        let found = metrics(&machine, &[]);
        let answered = series(&found).iter().any(|one| {
            one["name"] == "timing.cleanup.pressure_response" && one["tags"]["level"] == "critical"
        });
        assert_eq!(answered, short, "{limit}");
    }
}

#[test]
fn a_run_with_tools_shows_every_figure_with_its_true_count() {
    let machine = Machine::new();
    workspace(&machine);
    let simulator = Simulator::start(&[]);
    let events = run(&machine, &simulator, &[]);
    let found = metrics(&machine, &[]);
    assert_eq!(found["processes"][0]["running"], false);
    assert_eq!(found["notes"], json!([]));
    let series = series(&found);
    let total = |name: &str, tags: &[(&str, &str)], field: &str| sum(series, name, tags, field);

    let usage = of_type(&events, "usage_reported");
    let requests = usage.len() as f64;
    assert!(requests >= 3.0, "{requests}");
    assert_eq!(total("gen_ai.client.operation.duration", &[], "count"), requests);
    assert_eq!(
        total("gen_ai.client.operation.time_to_first_chunk", &[], "count"),
        requests
    );
    assert!(total("gen_ai.client.operation.time_per_output_chunk", &[], "count") >= requests);
    assert!(total("gen_ai.client.operation.duration", &[], "sum") > 0.0);

    let told = |field: &str| -> f64 { usage.iter().filter_map(|event| event[field].as_f64()).sum() };
    let input = told("input_tokens") + told("cache_read_input_tokens") + told("cache_creation_input_tokens");
    let tokens = |kind| total("gen_ai.client.token.usage", &[("gen_ai.token.type", kind)], "sum");
    assert_eq!(tokens("input"), input);
    assert_eq!(tokens("output"), told("output_tokens"));
    let cost = total("agent_cost_usd_total", &[], "value");
    assert!((cost - told("cost_usd")).abs() < 1e-9 && cost > 0.0, "{cost}");

    let finished = of_type(&events, "tool_finished");
    for tool in ["read_file", "bash", "grep"] {
        let tags = [("gen_ai.tool.name", tool)];
        let calls = finished.iter().filter(|event| event["name"] == tool).count() as f64;
        assert!(calls > 0.0, "{tool}");
        for name in [
            "gen_ai.execute_tool.duration",
            "tools.queue",
            "tools.output_bytes",
        ] {
            assert_eq!(total(name, &tags, "count"), calls, "{name} of {tool}");
        }
    }
    assert!(
        total(
            "gen_ai.execute_tool.duration",
            &[("gen_ai.tool.name", "bash")],
            "sum"
        ) > 1.3
    );

    assert_eq!(total("gen_ai.invoke_agent.duration", &[], "count"), 1.0);
    assert_eq!(total("agent.turns", &[], "value"), requests);
    let stored = of_type(&events, "message_stored").len() as f64;
    assert!(total("store.write.commit", &[], "count") >= 1.0);
    assert!(total("store.write.queue", &[], "count") >= stored);
    assert_eq!(total("sessions.open", &[], "value"), 0.0, "all are closed");
    for kind in ["sessions", "streams", "child_processes", "pooled_buffers"] {
        assert_eq!(total("resources.live", &[("type", kind)], "value"), 0.0, "{kind}");
    }

    assert!(total("connections.opened", &[], "value") >= 1.0);
    let answers = total("connections.opened", &[], "value") + total("connections.reused", &[], "value");
    assert_eq!(answers, requests);
    assert_eq!(total("connections.in_use", &[], "value"), 0.0);
    for name in [
        "cache.hits",
        "cache.misses",
        "cache.entries",
        "pool.held_bytes",
        "resources.leak_suspects",
        "memory.pressure",
    ] {
        assert!(total(name, &[], "value") >= 0.0);
    }
    assert_eq!(total("pool.held_bytes", &[], "value"), 0.0);
    let idle = total("pool.idle_bytes", &[], "value");
    assert!(idle > 0.0, "what commands print is read through it");
    assert_eq!(total("resources.leak_suspects", &[], "value"), 0.0);
    assert!(total("runtime.event_loop_lag", &[], "count") >= 1.0);
    assert!(total("timing.cleanup.cycle", &[], "count") >= 1.0);
    let resident = total("process.memory_rss", &[], "value");
    assert!((1e6..1e9).contains(&resident), "{resident}");
    assert!(total("process.cpu.time", &[], "value") > 0.0);
    assert_eq!(total("metrics.values_refused", &[], "value"), 0.0);

    // What is shown is declared, each under its heading, and no text of the task became a name or a tag.
    let text = found.to_string();
    for one in series {
        assert_ne!(one["group"], "Others", "{one}");
    }
    let session = events.last().unwrap()["session_id"].as_str().unwrap();
    for private in ["needle", "haystack", "a.txt", session, "test-key-never-printed"] {
        assert!(!text.contains(private), "{private}");
    }
}

#[test]
fn tables_are_for_people_and_a_prefix_chooses() {
    let machine = Machine::new();
    workspace(&machine);
    let simulator = Simulator::start(&[]);
    run(&machine, &simulator, &[]);
    let all = expect_code(&finish(&mut machine.command(&["metrics"])), 0);
    for expected in [
        "(not running any more)",
        "Connections and cache",
        "p50",
        "agent_cost_usd_total",
        "histogram",
    ] {
        assert!(all.contains(expected), "{expected} in {all}");
    }
    let some = expect_code(&finish(&mut machine.command(&["metrics", "connections."])), 0);
    assert!(
        some.contains("connections.opened") && !some.contains("gen_ai"),
        "{some}"
    );
    let chosen = metrics(&machine, &["connections.op"]);
    assert_eq!(series(&chosen).len(), 2, "{chosen}");
    let none = expect_code(&finish(&mut machine.command(&["metrics", "nothing-like-it"])), 0);
    assert!(none.contains("no figure's name begins"), "{none}");
}

#[test]
fn files_are_readable_by_their_owner_alone_and_only_the_newest_are_kept() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    std::fs::create_dir(folder(&machine)).unwrap();
    for pid in 0..30 {
        std::fs::write(
            folder(&machine).join(format!("{}.json", 4_000_000_000u32 + pid)),
            "{}",
        )
        .unwrap();
    }
    expect_code(
        &finish(&mut machine.against(&simulator, &["run", "Look around"])),
        0,
    );
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder(&machine)), 0o700);
    let files: Vec<PathBuf> = std::fs::read_dir(folder(&machine))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 16, "{files:?}");
    let ours = files
        .into_iter()
        .find(|file| file.metadata().unwrap().len() > 2)
        .expect("the run's own is among them");
    assert_eq!(mode(ours), 0o600);
}

#[test]
fn where_figures_are_not_wanted_nothing_is_written() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let mut command = machine.against(&simulator, &["run", "Look around"]);
    command.env("CLAUDE_AGENT__MONITORING__ENABLE_METRICS", "false");
    let output = finish(&mut command);
    expect_code(&output, 0);
    assert!(!stderr(&output).contains("enable_metrics"), "{}", stderr(&output));
    assert!(!exists(&folder(&machine)));
    assert_eq!(metrics(&machine, &[]), json!({ "processes": [], "notes": [] }));
    let told = expect_code(&finish(&mut machine.command(&["metrics"])), 0);
    assert!(
        told.contains("no figures yet") && told.contains("claude-agent run"),
        "{told}"
    );
}

#[test]
fn planted_files_are_ignored_and_told() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    expect_code(
        &finish(&mut machine.against(&simulator, &["run", "Look around"])),
        0,
    );
    let folder = folder(&machine);
    let own = std::fs::read_dir(&folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let own_text = std::fs::read_to_string(&own).unwrap();
    std::fs::write(folder.join("11.json"), b"\x00\xff garbage").unwrap();
    std::fs::write(folder.join("12.json"), "{}").unwrap();
    // True figures under another process's number.
    std::fs::write(folder.join("13.json"), &own_text).unwrap();
    let huge = std::fs::File::create(folder.join("14.json")).unwrap();
    huge.set_len(1 << 32).unwrap();
    std::os::unix::fs::symlink(&own, folder.join("15.json")).unwrap();
    std::fs::create_dir(folder.join("16.json")).unwrap();
    let pipe = folder.join("17.json");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    std::fs::write(folder.join("shopping.txt"), "milk").unwrap();

    let found = metrics(&machine, &[]);
    assert!(!series(&found).is_empty());
    let notes: Vec<&str> = found["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note.as_str().unwrap())
        .collect();
    for (file, why) in [
        ("11.json", "does not hold figures"),
        ("12.json", "does not hold figures"),
        ("13.json", "does not hold figures"),
        ("14.json", "larger than"),
        ("15.json", "link"),
        ("16.json", "not a file"),
        ("17.json", "not a file"),
        ("shopping.txt", "not a file of figures"),
    ] {
        assert!(
            notes.iter().any(|note| note.contains(file) && note.contains(why)),
            "{file}: {notes:?}"
        );
    }
    let output = finish(&mut machine.command(&["metrics"]));
    expect_code(&output, 0);
    assert!(stderr(&output).contains("14.json"), "{}", stderr(&output));
}

#[test]
fn a_run_goes_on_where_its_figures_cannot_be_written() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    std::fs::write(folder(&machine), "a file where the folder should be").unwrap();
    let output = finish(&mut machine.against(&simulator, &["run", "Look around", "--log-level", "warn"]));
    expect_code(&output, 0);
    assert!(
        stderr(&output).contains("figures can't be published"),
        "{}",
        stderr(&output)
    );
    let told = finish(&mut machine.command(&["metrics"]));
    assert_eq!(told.status.code(), Some(1));
    assert!(stderr(&told).contains("can't be read"), "{}", stderr(&told));
}

/// Not in order: its last file says that it lives, and its number and start tell that it does not.
#[test]
fn a_process_that_was_killed_does_not_count_as_running() {
    let machine = Machine::new();
    workspace(&machine);
    let simulator = Simulator::start(&[]);
    let mut child = machine
        .against(
            &simulator,
            &["run", "Run `sleep 30`", "--permission-mode", "policy"],
        )
        .spawn()
        .unwrap();
    let running = || metrics(&machine, &["process."])["processes"][0]["running"].clone();
    wait_until("the run is seen", || running() == true);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(running(), false);
}

#[test]
fn top_without_a_terminal_names_metrics() {
    let machine = Machine::new();
    let output = finish(&mut machine.command(&["top"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("claude-agent metrics"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn top_shows_a_run_while_it_runs_and_q_quits() {
    let machine = Machine::new();
    workspace(&machine);
    let simulator = Simulator::start(&[]);
    let terminal = Terminal::open(&machine, &simulator, "top");
    terminal.wait_for("no figures yet");
    let child = machine
        .against(
            &simulator,
            &[
                "run",
                "Read a.txt, then run `sleep 6`",
                "--permission-mode",
                "policy",
            ],
        )
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    terminal.wait_for(&format!("process {pid} · for"));
    terminal.wait_for("sessions      1 open");
    for row in [
        "requests      2",
        "first token   p95",
        "tokens",
        "cost          $0.0",
        "tools",
        "cache hits",
        "connections",
        "memory",
        "MiB",
        "processor",
        "loop lag      p95",
        "pressure      normal",
        "leak suspects none",
    ] {
        terminal.wait_for(row);
    }
    let output = crate::support::finish_child(child);
    assert!(output.status.success());
    terminal.wait_for(&format!("process {pid} · ended"));
    terminal.wait_for("sessions      0 open");
    terminal.send("q");
    terminal.wait_for("CHAT-EXIT-0");
    assert!(
        !terminal.screen().contains("loop lag"),
        "the screen is as it was:\n{}",
        terminal.screen()
    );
}
