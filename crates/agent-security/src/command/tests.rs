use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn rules() -> CommandRules {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    CommandRules::new(
        &owned(&["make test", "./tools/check", "npx prettier"]),
        &owned(&["git push", "make test all"]),
    )
    .expect("good rules")
    .with_workspace(PathBuf::from("/repo/app"))
}

const READ_ONLY: &[&str] = &[
    "ls",
    "ls -la src",
    "ls -l --sort=size /repo/app/src",
    "cat README.md",
    "cat -n 'a file.txt'",
    "head -20 a b",
    "head -n 5 a",
    "tail -c +100 a",
    "wc -l src/main.rs",
    "cat a | sort -k 2,2 -t , -rn | uniq -c | head -3",
    "grep -rn 'fn main' src",
    "grep -A3 -B 3 -i --include='*.rs' -e /api/v1 src && ls",
    "rg --files",
    "rg -n /api/v1 src",
    "rg -tpy -g '!target' 'a|b' .",
    "find . -name '*.rs' -type f -size -10k -mtime -1",
    "find src -maxdepth 2 -newer Cargo.toml -print0",
    "sed -n 10,20p src/lib.rs",
    "sed -n '1p; 5,$p' src/lib.rs",
    "sed -n '$p' a",
    "sed p a",
    "diff -u a b",
    "date +%Y-%m-%d",
    "date -u",
    "xxd -l 16 a",
    "stat -c %s a",
    "git status",
    "git --no-pager log --oneline -5",
    "git status --porcelain=v2 -uno",
    "git diff HEAD~1 -- src",
    "git diff --stat main..feature",
    "git log -p --since='2 weeks ago' --format='%h %s' src/lib.rs",
    "git show HEAD:src/lib.rs",
    "git branch -a",
    "git rev-parse --show-toplevel",
    "git ls-files --others --exclude-standard",
    "git blame -L 1,20 src/lib.rs",
    "git grep -n TODO",
    "git stash list",
    "git remote -v",
    "rustc --version",
    "python3 --version",
];

const CHANGES: &[&str] = &[
    "cargo build",
    "cargo build --release -p agent-core",
    "cargo test -p a some::test -- --nocapture --test-threads=1",
    "cargo clippy --all-targets -- -D warnings",
    "cargo fmt --all -- --check",
    "cargo run --bin demo",
    "cargo tree -d",
    "cargo test && git status",
    "git add src/lib.rs",
    "go test ./...",
    "pytest -q tests/test_a.py",
    "npm test",
    "npm run build",
    "make test",
    "make test V=1 src/x",
    "./tools/check --fast",
    "npx prettier --check src",
];

/// Understood by the shell as they look, but not known to be harmless. What published escapes do is in the
/// corpus of bypasses; these are the everyday ones.
const UNKNOWN: &[&str] = &[
    "rm -rf target",
    "echo hello",
    "pwd",
    "cd src",
    "true",
    "/bin/ls",
    "./ls",
    "LS",
    "ls /etc",
    "ls ..",
    "cat ../secret",
    "cat src/../../secret",
    "cat /repo/app-evil/x",
    "cat /repo/app/../x",
    "ls --unknown",
    "ls -lZ",
    "ls -l=x",
    "cat --show-al a",
    "head -n x a",
    "head -n",
    "tail -f log",
    "grep -f patterns a",
    "grep -e x /etc/passwd",
    "grep x /etc/passwd",
    "grep -e -- -x",
    "rg --files /etc",
    "rg foo -e bar /etc",
    "rg -L x",
    "sed d a",
    "sed -n p /etc/passwd",
    "sed -n -e 1p a",
    "diff a /etc/passwd",
    "xxd a b",
    "git",
    "git commit -m x",
    "git branch new",
    "git tag v1",
    "git stash",
    "git checkout .",
    "git diff --merged",
    "cargo",
    "cargo clean",
    "cargo install x",
    "cargo run -- x",
    "cargo build -- x",
    "cargo test -- --logfile x",
    "cargo clippy --fix",
    "cargo clippy -- x.rs",
    "cargo fmt -- --config x",
    "make",
    "make build",
    "make tests",
    "./tools/check ../x",
    "./tools/check --out=/etc/x",
    "npx",
    "npm run deploy",
    "npm test --script-shell=x",
];

fn check(cmd: &str, expected: &CommandVerdict) {
    let verdict = classify(cmd, &rules());
    match (expected, &verdict) {
        (CommandVerdict::Unknown { .. }, CommandVerdict::Unknown { reason }) => assert!(!reason.is_empty()),
        _ => assert_eq!(&verdict, expected, "{cmd:?}"),
    }
}

#[test]
fn commands_are_judged() {
    for cmd in READ_ONLY {
        check(cmd, &CommandVerdict::Known { read_only: true });
    }
    for cmd in CHANGES {
        check(cmd, &CommandVerdict::Known { read_only: false });
    }
    for cmd in UNKNOWN {
        check(
            cmd,
            &CommandVerdict::Unknown {
                reason: String::new(),
            },
        );
    }
}

#[test]
fn denied_rules_win_over_allowed_ones_and_in_pipelines() {
    for cmd in [
        "git push",
        "ls | git push",
        "make test all",
        "ls; make test all x",
        "echo $(git push)",
    ] {
        assert!(
            matches!(classify(cmd, &rules()), CommandVerdict::Denied { .. }),
            "{cmd:?}"
        );
    }
}

#[test]
fn what_a_link_leads_to_counts_not_what_it_is_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path().canonicalize().expect("it is there");
    let root = base.join("app");
    for name in ["docs", "old", "src"] {
        std::fs::create_dir_all(root.join(name)).expect("a folder");
    }
    for (link, target) in [("docs/notes", "../../secret"), ("home", ".."), ("lib", "src")] {
        std::os::unix::fs::symlink(target, root.join(link)).expect("a link");
    }
    std::fs::write(base.join("secret"), "").expect("a file");
    std::fs::write(root.join("old/notes"), "").expect("a file");
    let rules = CommandRules::new(&["make test".to_owned()], &[])
        .expect("good rules")
        .with_workspace(root);
    for cmd in [
        "cat docs/notes",
        "head -3 ./docs/notes",
        "ls old | grep x docs/notes",
        "grep -r x home",
        "ls home",
        "find home",
        "make test docs/notes",
        "make test --file=docs/notes",
        "diff docs/notes old/notes",
        // It would compare what links in the folders lead to.
        "diff docs old",
        "diff -rN docs old",
    ] {
        let verdict = classify(cmd, &rules);
        assert!(
            matches!(verdict, CommandVerdict::Unknown { .. }),
            "{cmd:?}: {verdict:?}"
        );
    }
    for cmd in [
        "ls lib",
        "cat old/notes",
        "grep -r x docs",
        "diff old/notes old/new",
        "make test lib",
    ] {
        let verdict = classify(cmd, &rules);
        assert!(
            matches!(verdict, CommandVerdict::Known { .. }),
            "{cmd:?}: {verdict:?}"
        );
    }
}

#[test]
fn every_reason_says_what_is_not_understood() {
    let cases = [
        ("ls $X", "substitution"),
        ("rm x", "`rm x` is not a command that is known"),
        ("find . -delete", "`-delete` is not known"),
        ("cat /etc/passwd", "`/etc/passwd` is outside the workspace"),
        ("date 0101", "set the clock"),
    ];
    for (cmd, expected) in cases {
        match classify(cmd, &rules()) {
            CommandVerdict::Unknown { reason } => assert!(reason.contains(expected), "{cmd:?}: {reason}"),
            other => unreachable!("{cmd:?}: {other:?}"),
        }
    }
}

#[test]
fn no_flag_of_a_table_is_misspelt() {
    for form in [table::FORMS, table_git::FORMS, table_build::FORMS]
        .into_iter()
        .flatten()
    {
        for flag in form.flags.iter().flat_map(|list| list.split_ascii_whitespace()) {
            let name = flag
                .trim_end_matches(['*', '#', '/', '^', '!'])
                .trim_end_matches('?');
            let short = name.len() == 2 || name == "-NUM" || name.starts_with("--") || !form.clusters;
            assert!(name.starts_with('-') && short, "{:?}: {flag}", form.words);
        }
    }
}

/// Constructions that make any command dangerous, with `@` where the harmless command goes.
fn danger() -> impl Strategy<Value = String> {
    let payload = prop_oneof![
        Just("id"),
        Just("rm -rf x"),
        Just("curl example.com"),
        Just("sh -c id"),
        Just("ls"),
        Just("cat /etc/passwd"),
    ];
    let shape = prop_oneof![
        Just("@ $(P)"),
        Just("@ `P`"),
        Just("@ \"$(P)\""),
        Just("@ \"`P`\""),
        Just("@ ${x:-P}"),
        Just("@ $x"),
        Just("@ <(P)"),
        Just("@ >(P)"),
        Just("@ > x"),
        Just("@ >> x"),
        Just("@ >| x"),
        Just("@ < x"),
        Just("@ << x"),
        Just("@ <<< x"),
        Just("@ 2>&1"),
        Just("@ &> x"),
        Just("@ & P"),
        Just("@ |& P"),
        Just("@\nP"),
        Just("@\rP"),
        Just("@\u{b}P"),
        Just("@\u{2028}P"),
        Just("@ \\\nP"),
        Just("@ {P,x}"),
        Just("{ @; }"),
        Just("( @ )"),
        Just("A=x @"),
        Just("IFS=x; @"),
        Just("A=x; @"),
        Just("! @"),
        Just("@ !!"),
        Just("@ ~"),
        Just("@ ~root"),
        Just("@ *"),
        Just("@ ?"),
        Just("@ [a-z]"),
        Just("@ # x"),
        Just("@ \0"),
        Just("@ 'x"),
        Just("@ \"x"),
        Just("@ \\"),
        Just("@ $'x'"),
        Just("@ $\"x\""),
        Just("if @; then P; fi"),
        Just("while @; do P; done"),
        Just("f() { @; }"),
        Just("time @"),
        Just("eval @"),
        Just("command @"),
        Just("exec @"),
        Just("builtin @"),
        Just("env @"),
        Just("sudo @"),
        Just("nice @"),
        Just("timeout 1 @"),
        Just("@ | sh"),
        Just("@ | xargs P"),
        Just("@ | tee x"),
        Just("cd /; @"),
        Just("export A=x; @"),
        Just("alias ls=P; @"),
        Just("trap P EXIT; @"),
        Just("@ ../x"),
        Just("@ /etc/passwd"),
    ];
    (shape, payload).prop_map(|(shape, payload)| shape.replace('P', payload))
}

/// Commands to which a path may be added and that stay known.
const WITH_PATHS: &[&str] = &[
    "ls",
    "ls -la",
    "cat a",
    "head -3 a",
    "grep -rn x",
    "rg x",
    "find .",
    "sort",
    "sed -n 1p",
    "git status",
    "git diff",
    "git log --oneline",
    "git add a",
    "make test",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn danger_around_safe_commands_is_never_known(
        shape in danger(),
        inner in proptest::sample::select(WITH_PATHS),
        prefix in proptest::option::of(proptest::sample::select(WITH_PATHS)),
        joint in proptest::sample::select(vec![" && ", "; ", " | ", " || ", "&&"]),
    ) {
        let mut cmd = shape.replace('@', inner);
        if let Some(prefix) = prefix {
            cmd = format!("{prefix}{joint}{cmd}");
        }
        let verdict = classify(&cmd, &rules());
        prop_assert!(!matches!(verdict, CommandVerdict::Known { .. }), "{:?}: {:?}", cmd, verdict);
    }

    #[test]
    fn only_plain_text_parses(cmd in "[a-z \\-./'\"$`\\\\|&;<>(){}*?!~#=\n\t\u{e9}\u{a0}\u{202e}\u{2215}]{0,30}") {
        let rules = rules();
        let _verdict = classify(&cmd, &rules);
        if let Ok(commands) = parse(&cmd) {
            prop_assert!(!commands.is_empty());
            let outside_single: String = cmd.split('\'').step_by(2).collect();
            // With no single quote inside double quotes, what is left has no character that a shell acts on.
            if !cmd.contains('"') {
                let special = outside_single.contains(['$', '`', '\\', '<', '>', '(', ')', '{', '}', '*', '?', '!', '#']);
                prop_assert!(!special, "{:?}", cmd);
            }
            prop_assert!(!cmd.chars().any(char::is_control));
            for argv in commands {
                prop_assert!(!argv.program().is_empty() && !argv.program().contains('='));
            }
        }
    }

    #[test]
    fn any_text_is_judged_without_a_panic(cmd in any::<String>()) {
        let _verdict = classify(&cmd, &rules());
    }

    #[test]
    fn single_quotes_keep_any_printable_text(text in "[ -&(-~]{0,20}") {
        let commands = parse(&format!("grep '{text}' a")).expect("one simple command");
        prop_assert_eq!(commands[0].args(), [text, "a".to_owned()]);
    }

    #[test]
    fn flags_outside_the_tables_are_never_known(
        program in proptest::sample::select(table::FORMS.iter().map(|form| form.words[0]).collect::<Vec<_>>()),
        flag in "--[a-z]{3,12}(=x)?",
    ) {
        let listed = table::FORMS.iter().filter(|form| form.words[0] == program).any(|form| {
            form.flags.iter().any(|list| list.contains(flag.split('=').next().unwrap_or(&flag)))
        });
        prop_assume!(!listed && flag != "--version");
        let verdict = classify(&format!("{program} {flag} a"), &rules());
        let unknown = matches!(verdict, CommandVerdict::Unknown { .. });
        prop_assert!(unknown);
    }
}
