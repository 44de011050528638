use super::*;
use crate::mind::step::{Needle, Scope, Unit};
use proptest::prelude::*;

fn needle(text: &str) -> Needle {
    Needle {
        text: text.into(),
        is_regex: false,
        ignore_case: false,
    }
}

fn file(name: &str) -> Target {
    Target::File(name.into())
}

fn pattern(name: &str) -> Target {
    Target::Pattern(name.into())
}

fn scope(path: Option<&str>, glob: Option<&str>) -> Scope {
    Scope {
        path: path.map(str::to_owned),
        glob: glob.map(str::to_owned),
    }
}

fn look(path: Option<&str>) -> Step {
    Step::LookAround {
        path: path.map(str::to_owned),
    }
}

fn search(text: &str, path: Option<&str>, glob: Option<&str>) -> Step {
    Step::Search {
        needle: needle(text),
        scope: scope(path, glob),
    }
}

fn count(text: &str, path: Option<&str>, glob: Option<&str>) -> Step {
    Step::CountMatches {
        needle: needle(text),
        scope: scope(path, glob),
    }
}

fn read(names: &[&str]) -> Step {
    Step::Read {
        files: names.iter().map(|name| file(name)).collect(),
    }
}

fn replace(old: &str, new: &str, place: Option<Target>, every: bool) -> Step {
    Step::Replace {
        old: old.into(),
        new: new.into(),
        place,
        every,
    }
}

fn write(path: &str, content: &str) -> Step {
    Step::Write {
        path: path.into(),
        content: content.into(),
    }
}

fn run(command: &str) -> Step {
    Step::Run {
        command: Some(command.into()),
    }
}

fn files(pattern: &str) -> Step {
    Step::FindFiles {
        pattern: pattern.into(),
    }
}

fn measure(unit: Unit, targets: Vec<Target>) -> Step {
    Step::Measure { unit, files: targets }
}

#[test]
fn single_steps() {
    let cases = [
        ("look around", look(None)),
        ("What is in this folder?", look(None)),
        ("what's here", look(None)),
        ("list the files in src", look(Some("src"))),
        ("Show me the files", look(None)),
        ("explore the project", look(None)),
        ("what is in the tests folder?", look(Some("tests"))),
        ("list all the files", look(None)),
        ("Read hello.py", read(&["hello.py"])),
        (
            "read `a.txt`, b.txt and src/c.rs",
            read(&["a.txt", "b.txt", "src/c.rs"]),
        ),
        ("show me notes.md", read(&["notes.md"])),
        ("What does config.toml say?", read(&["config.toml"])),
        ("what is in notes.txt?", read(&["notes.txt"])),
        ("summarize README.md", read(&["README.md"])),
        (
            "read all the markdown files",
            Step::Read {
                files: vec![pattern("**/*.md")],
            },
        ),
        ("find every TODO", search("TODO", None, None)),
        ("find all TODO comments in src", search("TODO", Some("src"), None)),
        ("find the TODOs", search("TODO", None, None)),
        (
            "search for \"fn main\" in the Rust files",
            search("fn main", None, Some("**/*.rs")),
        ),
        ("grep TODO", search("TODO", None, None)),
        (
            "look for errors in log.txt",
            search("errors", Some("log.txt"), None),
        ),
        ("search in src for unwrap", search("unwrap", Some("src"), None)),
        (
            "find where `parse_line` is defined",
            search("parse_line", None, None),
        ),
        ("list every FIXME", search("FIXME", None, None)),
        ("find all Python files", files("**/*.py")),
        ("find *.toml", files("*.toml")),
        ("list the Python files", files("**/*.py")),
        ("find hello.py", files("**/hello.py")),
        (
            "count the lines of the Python files",
            measure(Unit::Lines, vec![pattern("**/*.py")]),
        ),
        (
            "count the words in a.txt and b.txt",
            measure(Unit::Words, vec![file("a.txt"), file("b.txt")]),
        ),
        (
            "how many lines are in hello.py?",
            measure(Unit::Lines, vec![file("hello.py")]),
        ),
        (
            "how many files are there?",
            Step::CountFiles {
                pattern: "**/*".into(),
            },
        ),
        (
            "count the Python files",
            Step::CountFiles {
                pattern: "**/*.py".into(),
            },
        ),
        (
            "count occurrences of 'foo' in bar.txt",
            count("foo", Some("bar.txt"), None),
        ),
        (
            "how many times does error appear in log.txt",
            count("error", Some("log.txt"), None),
        ),
        ("count every TODO", count("TODO", None, None)),
        (
            "replace 'Helo' with 'Hello' in hello.py",
            replace("Helo", "Hello", Some(file("hello.py")), false),
        ),
        (
            "change Helo to Hello in hello.py",
            replace("Helo", "Hello", Some(file("hello.py")), false),
        ),
        (
            "in hello.py replace 'a' with 'b'",
            replace("a", "b", Some(file("hello.py")), false),
        ),
        (
            "In `hello.py`, change 'a' to 'b'.",
            replace("a", "b", Some(file("hello.py")), false),
        ),
        ("Could you list the files in sub, please?", look(Some("sub"))),
        ("Which files contain TODO?", search("TODO", None, None)),
        (
            "check if there is a TODO in hello.py",
            search("TODO", Some("hello.py"), None),
        ),
        ("how many TODOs are there?", count("TODO", None, None)),
        ("delete a.txt and `b c.txt`", run("rm a.txt 'b c.txt'")),
        ("rename a.txt to b.txt", run("mv a.txt b.txt")),
        (
            "fix the greeting in hello.py (replace 'Helo' with 'Hello')",
            replace("Helo", "Hello", Some(file("hello.py")), false),
        ),
        (
            "replace all occurrences of `x` by `y` in `a.txt`",
            replace("x", "y", Some(file("a.txt")), true),
        ),
        (
            "change the word colour from \"colour\" to \"color\" in b.txt",
            replace("colour", "color", Some(file("b.txt")), false),
        ),
        ("rename foo to bar everywhere", replace("foo", "bar", None, true)),
        (
            "replace 'a' with 'b' in the Rust files",
            replace("a", "b", Some(pattern("**/*.rs")), false),
        ),
        (
            "create notes.txt with \"hello world\"",
            write("notes.txt", "hello world\n"),
        ),
        ("write 'x = 1' to src/a.py", write("src/a.py", "x = 1\n")),
        (
            "create a file called NOTES with the text 'hi'",
            write("NOTES", "hi\n"),
        ),
        ("make an empty file empty.txt", write("empty.txt", "")),
        (
            "write a.md containing: Some words here",
            write("a.md", "Some words here\n"),
        ),
        (
            "add 'last line' to notes.txt",
            Step::Append {
                path: "notes.txt".into(),
                text: "last line".into(),
            },
        ),
        ("run `cargo test --quiet`", run("cargo test --quiet")),
        ("run the tests with `sh test.sh`", run("sh test.sh")),
        ("run ls -la", run("ls -la")),
        ("run test.sh", run("sh test.sh")),
        ("execute the command 'wc -l a.txt'", run("wc -l a.txt")),
        ("run the tests", Step::Run { command: None }),
        ("tell me what you did", Step::Report),
        ("Summarize the results", Step::Report),
        ("now change it back", Step::Undo),
        ("undo that", Step::Undo),
        (
            "sing a song",
            Step::NotUnderstood {
                text: "sing a song".into(),
            },
        ),
        (
            "delete everything",
            Step::NotUnderstood {
                text: "delete everything".into(),
            },
        ),
    ];
    for (task, expected) in cases {
        assert_eq!(steps(task), [expected], "{task}");
    }
}

#[test]
fn several_steps_keep_their_order_and_know_what_it_is() {
    assert_eq!(
        steps(
            "Look around, find every TODO, count the lines of the Python files, fix the greeting in hello.py \
             (replace 'Helo' with 'Hello'), run the tests with `sh test.sh`, and tell me what you did"
        ),
        [
            look(None),
            search("TODO", None, None),
            measure(Unit::Lines, vec![pattern("**/*.py")]),
            replace("Helo", "Hello", Some(file("hello.py")), false),
            run("sh test.sh"),
            Step::Report,
        ]
    );
    assert_eq!(
        steps("1. Create greet.py with \"print('hi')\"\n2. Read it\n3. Run it\n4. Count the lines of it"),
        [
            write("greet.py", "print('hi')\n"),
            read(&["greet.py"]),
            run("python3 greet.py"),
            measure(Unit::Lines, vec![file("greet.py")]),
        ]
    );
    assert_eq!(
        steps("Find the word later and replace it with 'sooner' in notes.txt"),
        [
            search("later", None, None),
            replace("later", "sooner", Some(file("notes.txt")), false)
        ]
    );
    assert_eq!(
        steps("Search for TODO and FIXME; then please read a.txt."),
        [search("TODO and FIXME", None, None), read(&["a.txt"])]
    );
}

#[test]
fn case_and_patterns_can_be_asked_for() {
    let [Step::Search { needle, .. }] = &steps("search for the regex `a+b` ignoring case")[..] else {
        panic!()
    };
    assert_eq!(
        *needle,
        Needle {
            text: "a+b".into(),
            is_regex: true,
            ignore_case: true
        }
    );
}

#[test]
fn a_task_cannot_have_more_steps_than_the_limit() {
    assert_eq!(steps(&"read a.txt; ".repeat(1000)).len(), MAX_STEPS);
}

proptest! {
    #[test]
    fn no_text_panics(task in "\\PC{0,200}") {
        steps(&task);
    }

    #[test]
    fn no_mixture_of_words_panics(words in proptest::collection::vec(
        proptest::sample::select(vec!["replace", "with", "'", "`", "in", "a.py", "write", "to", ":", "find", "count",
            "lines", "of", "run", "it", "and", "then", "(", ")", "\n", "list", "*", "é", "the", "\u{e000}", "```"]), 0..20)) {
        steps(&words.join(" "));
    }
}
