use super::*;
use crate::answer::Block;
use crate::digest::random_for;

fn play(toml: &str, texts: &[&str]) -> Vec<String> {
    let script = Script::new(Some(toml.parse().unwrap()));
    let mut random = random_for(1, 1, b"");
    texts
        .iter()
        .map(|text| match script.next(text, &mut random).reply {
            Ok(None) => "mind".to_owned(),
            Ok(Some(reply)) => match &reply.blocks[0] {
                Block::Text(text) => text.clone(),
                other => format!("{other:?}"),
            },
            Err(error) => format!("{}: {}", error.status.as_u16(), error.message),
        })
        .collect()
}

#[test]
fn steps_are_taken_in_order_and_conditions_wait_for_their_request() {
    let toml = r#"
        description = "three steps"
        [[steps]]
        match.contains = "weather"
        text = "sunny"
        [[steps]]
        text = "first"
        times = 2
        [[steps]]
        match.request = 4
        error = { status = 529, message = "busy", retry_after = "2s" }
    "#;
    let said = play(toml, &["hello", "the weather?", "hello", "hello", "weather"]);
    assert_eq!(said, ["first", "sunny", "first", "529: busy", "mind"]);
}

#[test]
fn a_scenario_may_refuse_what_it_does_not_script() {
    let said = play("exhausted = \"refuse\"\n[[steps]]\ntext = \"once\"", &["a", "b"]);
    assert_eq!(said[0], "once");
    assert!(
        said[1].starts_with("400: simulator: the scenario has no step for request 2"),
        "{}",
        said[1]
    );
}

#[test]
fn errors_name_the_line() {
    for (toml, line, part) in [
        ("exhausted = \"mind\"\nstep = []", 2, "unknown field `step`"),
        (
            "[[steps]]\ntext = \"a\"\n\n[[steps]]\ntxt = \"b\"",
            5,
            "unknown field `txt`",
        ),
        ("[[steps]]\ntext = 3", 2, "invalid type"),
        (
            "[[steps]]\ntool_calls = [{ name = \"x\", imput = {} }]",
            2,
            "imput",
        ),
        ("\n[[steps]]\ntimes = 2", 2, "a step needs"),
        (
            "[[steps]]\ntext = \"a\"\n[[steps]]\nfault = \"sillence\"",
            3,
            "valid:",
        ),
        ("[[steps]]\nfault = \"silence*2\"", 1, "times"),
        ("[[steps]]\ntext = \"a\"\nerror = { status = 500 }", 1, "either"),
        ("[[steps]]\nerror = { status = 200 }", 1, "400 to 599"),
    ] {
        let error = toml.parse::<Scenario>().unwrap_err();
        assert_eq!(error.line, Some(line), "{toml}: {error}");
        assert!(error.to_string().contains(part), "{toml}: {error}");
    }
}

#[test]
fn files_are_named_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.toml");
    let error = Scenario::load(&path).unwrap_err();
    assert!(error.to_string().contains("broken.toml: cannot be opened"));
    std::fs::write(&path, "[[steps]]\ntext = \"a\"\nnonsense = 1").unwrap();
    let error = Scenario::load(&path).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("broken.toml:3: unknown field `nonsense`"),
        "{error}"
    );
}

#[test]
fn the_examples_in_the_repository_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scenarios");
    let mut loaded = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        Scenario::load(&entry.unwrap().path()).unwrap();
        loaded += 1;
    }
    assert!(loaded >= 3, "{loaded}");
}
