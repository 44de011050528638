//! Tasks as data: a task, a folder, the tools offered; the calls of each turn and what the report must say.

use super::*;

struct Case {
    task: &'static str,
    folder: Folder,
    tools: &'static [&'static str],
    calls: &'static [&'static str],
    says: &'static [&'static str],
}

pub(super) fn sample() -> Folder {
    Folder::new(&[
        ("hello.py", "# TODO: tidy\nprint('Helo')\n"),
        ("src/util.py", "def f():\n    return 1  # TODO\n\n"),
        ("notes.txt", "one two\nthree\n"),
        ("test.sh", "python3 hello.py\n"),
    ])
    .with_command("sh test.sh", "Hello\n[exit status 0; took 0.1 s]", false)
    .with_command("false", "(no output)\n[exit status 1; took 0.0 s]", true)
}

fn cases() -> Vec<Case> {
    let case = |task, calls, says| Case {
        task,
        folder: sample(),
        tools: ALL,
        calls,
        says,
    };
    vec![
        case(
            "What is in this folder?",
            &["list_directory"],
            &["4 entries", "hello.py", "notes.txt"],
        ),
        case(
            "read notes.txt and hello.py",
            &["read_file notes.txt | read_file hello.py"],
            &["three", "print('Helo')", "(2 lines)"],
        ),
        case(
            "find every TODO",
            &["grep TODO"],
            &["2 lines", "2 files", "`hello.py:1`", "`src/util.py:2`"],
        ),
        case(
            "count occurrences of 'o' in notes.txt",
            &["grep o notes.txt"],
            &["**2 times**", "1 line"],
        ),
        case(
            "how many lines do the Python files have?",
            &["glob **/*.py", "bash wc -l hello.py src/util.py"],
            &["**5 lines** in 2 files", "`hello.py`: 2", "`src/util.py`: 3"],
        ),
        Case {
            tools: &["glob", "read_file"],
            ..case(
                "count the words of notes.txt",
                &["read_file notes.txt"],
                &["**3 words** in 1 file"],
            )
        },
        case(
            "replace 'Helo' with 'Hello' in hello.py",
            &[
                "read_file hello.py",
                "edit_file hello.py Helo Hello",
                "read_file hello.py",
            ],
            &["`Helo` is now `Hello`", "2\tprint('Hello')"],
        ),
        case(
            "replace 'zzz' with 'y' in hello.py",
            &["read_file hello.py"],
            &["does not contain `zzz`", "nothing was changed"],
        ),
        case(
            "change 'o' to '0' in notes.txt",
            &["read_file notes.txt", "edit_file notes.txt o 0"],
            &[
                "was not changed",
                "occurs 2 times",
                "2 times (lines 1 and 1)",
                "replace all",
            ],
        ),
        case(
            "change every 'TODO' to 'DONE' everywhere",
            &[
                "grep TODO",
                "read_file hello.py | read_file src/util.py",
                "edit_file hello.py TODO DONE true | edit_file src/util.py TODO DONE true",
                "read_file hello.py | read_file src/util.py",
            ],
            &["# DONE: tidy", "return 1  # DONE"],
        ),
        case(
            "read util.py",
            &["read_file util.py", "glob **/util.py", "read_file src/util.py"],
            &["`util.py` does not exist; I took `src/util.py`", "def f()"],
        ),
        case(
            "read gone.txt",
            &["read_file gone.txt", "glob **/gone.txt"],
            &["does not exist", "No file named `gone.txt`"],
        ),
        case(
            "create x.txt with 'hi there', then read it",
            &["write_file x.txt hi there\n", "read_file x.txt"],
            &["`x.txt` is written", "hi there"],
        ),
        case(
            "add 'four' to notes.txt",
            &[
                "read_file notes.txt",
                "write_file notes.txt one two\nthree\nfour\n",
            ],
            &["`notes.txt` is written (3 lines)"],
        ),
        case(
            "run `sh test.sh`",
            &["bash sh test.sh"],
            &["exit status 0", "Hello"],
        ),
        case(
            "run the tests",
            &["list_directory", "bash sh test.sh"],
            &["`sh test.sh` ended: exit status 0"],
        ),
        case(
            "run `false`, then read notes.txt",
            &["bash false", "read_file notes.txt"],
            &["(not done)", "exit status 1", "1 of 2 steps", "three"],
        ),
        case(
            "find all Python files",
            &["glob **/*.py"],
            &["2 files", "`src/util.py`"],
        ),
        case("how many files are there?", &["glob **/*"], &["**4 files**"]),
        case(
            "paint the house",
            &[],
            &["did not understand", "no language model", "run `sh test.sh`"],
        ),
        case(
            "read notes.txt and then sing",
            &["read_file notes.txt"],
            &["three"],
        ),
        case(
            "read notes.txt; paint the house",
            &["read_file notes.txt"],
            &[
                "did not understand “paint the house”",
                "1 of 2",
                "no language model",
            ],
        ),
        case("hello", &[], &["Hello!", "simulation"]),
        Case {
            tools: &["read_file"],
            ..case("run `ls`", &[], &["`bash` was not offered"])
        },
        Case {
            tools: &[],
            ..case("look around", &[], &["`list_directory` was not offered"])
        },
        Case {
            tools: &["bash"],
            ..case(
                "find every TODO",
                &["bash grep -rnF -e TODO ."],
                &["The search failed"],
            )
        },
        Case {
            folder: Folder {
                denied: vec!["edit_file"],
                ..sample()
            },
            ..case(
                "replace 'Helo' with 'Hello' in hello.py",
                &["read_file hello.py", "edit_file hello.py Helo Hello"],
                &["was not changed", "denied by the policy"],
            )
        },
        case(
            "Look around, find every TODO, count the lines of the Python files, fix the greeting in hello.py (replace \
             'Helo' with 'Hello'), run the tests with `sh test.sh`, and tell me what you did",
            &[
                "list_directory | grep TODO | glob **/*.py",
                "bash wc -l hello.py src/util.py",
                "read_file hello.py",
                "edit_file hello.py Helo Hello",
                "read_file hello.py",
                "bash sh test.sh",
            ],
            &[
                "All 5 steps are done.",
                "### 1. Look around",
                "`hello.py:1`",
                "**5 lines**",
                "print('Hello')",
                "exit status 0",
            ],
        ),
    ]
}

#[test]
fn tasks_are_done_with_the_tools_and_reported_as_they_went() {
    for mut case in cases() {
        let (calls, said) = work(
            &mut Vec::new(),
            case.task,
            &mut case.folder,
            case.tools,
            &json!({}),
        );
        assert_eq!(calls, case.calls, "{}\n{said}", case.task);
        for part in case.says {
            assert!(said.contains(part), "{}: {part:?} is not in\n{said}", case.task);
        }
    }
}

#[test]
fn thinking_or_one_call_at_a_time_change_nothing_in_the_outcome() {
    let extras = [
        json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } }),
        json!({ "tool_choice": { "type": "auto", "disable_parallel_tool_use": true } }),
    ];
    for extra in extras {
        let single = extra.get("tool_choice").is_some();
        for mut case in cases() {
            // A choice among no tools is refused.
            let extra = if single && case.tools.is_empty() {
                json!({})
            } else {
                extra.clone()
            };
            let (calls, said) = work(&mut Vec::new(), case.task, &mut case.folder, case.tools, &extra);
            assert!(
                !single || calls.iter().all(|turn| !turn.contains(" | ")),
                "{calls:?}"
            );
            for part in case.says {
                assert!(said.contains(part), "{}: {part:?} is not in\n{said}", case.task);
            }
        }
    }
}
