//! What a model may send that no tool can use: the model is told, the run goes on.

use super::{Run, goes_on};
use crate::support::{Machine, Simulator};

/// A scenario of one answer with these calls and then a text.
fn scenario(machine: &Machine, calls: &str) -> Simulator {
    let file = machine.home().join("answers.toml");
    let text = format!(
        "[[steps]]\ntext = \"Here I go.\"\ntool_calls = [\n{calls}\n]\n\n[[steps]]\ntext = \"That did not work, and I know why.\"\n"
    );
    std::fs::write(&file, text).unwrap();
    Simulator::start(&["--scenario", file.to_str().unwrap()])
}

#[test]
fn arguments_that_do_not_fit_are_told_to_the_model_and_the_run_goes_on() {
    let machine = Machine::new();
    machine.write("a.txt", "text\n");
    for (call, tool, parts) in [
        (
            "{ name = \"read_file\", input = { path = 7 } }",
            "read_file",
            &["path", "string"][..],
        ),
        ("{ name = \"read_file\", input = {} }", "read_file", &["path"]),
        (
            "{ name = \"read_file\", input = { path = \"a.txt\", colour = \"red\" } }",
            "read_file",
            &["colour"],
        ),
        (
            "{ name = \"read_file\", input = { path = \"a.txt\", offset = -1 } }",
            "read_file",
            &["offset"],
        ),
        (
            "{ name = \"read_file\", input = { path = \"\" } }",
            "read_file",
            &["path"],
        ),
        (
            "{ name = \"read_file\", input = { path = \"a\\u0000b\" } }",
            "read_file",
            &[],
        ),
        (
            "{ name = \"grep\", input = { pattern = \"(\" } }",
            "grep",
            &["pattern"],
        ),
        (
            "{ name = \"edit_file\", input = { path = \"a.txt\" } }",
            "edit_file",
            &[],
        ),
        (
            "{ name = \"bash\", input = { command = [\"ls\"] } }",
            "bash",
            &["command"],
        ),
        (
            "{ name = \"write_file\", input = { path = \"..\", content = \"x\" } }",
            "write_file",
            &[".."],
        ),
        (
            "{ name = \"teleport\", input = { to = \"mars\" } }",
            "teleport",
            &["teleport", "read_file"],
        ),
    ] {
        let simulator = scenario(&machine, call);
        let run = Run::done(&machine, &simulator, "Go");
        let results = run.results(tool);
        assert_eq!(results.len(), 1, "{call}: {:?}", run.events);
        assert_eq!(results[0]["is_error"], true, "{call}: {}", results[0]);
        let told = results[0]["output"].as_str().unwrap();
        assert!(!told.is_empty(), "{call}");
        for part in parts {
            assert!(told.contains(part), "{call}: {part:?} in {told}");
        }
        assert_eq!(
            run.events.last().unwrap()["text"],
            "That did not work, and I know why."
        );
        goes_on(&machine, &Simulator::start(&[]), &run.session, run.acknowledged());
    }
    assert_eq!(machine.read("a.txt"), "text\n");
}

#[test]
fn one_bad_call_among_good_ones_does_not_keep_them_back() {
    let machine = Machine::new();
    machine.write("a.txt", "first text\n");
    machine.write("b.txt", "second text\n");
    let calls = "{ name = \"read_file\", input = { path = \"a.txt\" } },\n\
                 { name = \"read_file\", input = { file = \"a.txt\" } },\n\
                 { name = \"teleport\" },\n\
                 { name = \"read_file\", input = { path = \"b.txt\" } },";
    let simulator = scenario(&machine, calls);
    let run = Run::done(&machine, &simulator, "Go");
    let mut good: Vec<&str> = run
        .results("read_file")
        .into_iter()
        .filter(|result| result["is_error"] == false)
        .map(|result| result["output"].as_str().unwrap())
        .collect();
    good.sort_unstable();
    assert!(
        good.len() == 2 && good[0].contains("first text") && good[1].contains("second text"),
        "{good:?}"
    );
    goes_on(&machine, &Simulator::start(&[]), &run.session, run.acknowledged());
}
