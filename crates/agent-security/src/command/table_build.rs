//! Building, testing and formatting the project: known, but never read-only, for they run its code.
//!
//! Flags that choose other programs or settings are left out (`cargo --config`, `-Z`, `+toolchain`, `--target-dir`;
//! `go -exec`, `-toolexec`, `-o`; `pytest -p`, `-c`, `-k`, which older versions evaluate), and so is everything
//! that is handed on to the project's own program.

use super::form::{AfterDashes, Form, Operands};

const CARGO: &str = "-q -v -p* -j# -F* --quiet --verbose --package* --exclude* --workspace --all --lib --bin* --bins \
    --example* --examples --test* --tests --bench* --benches --all-targets --features* --all-features \
    --no-default-features --release -r --profile* --jobs# --keep-going --message-format* --color* --locked \
    --offline --frozen --manifest-path/ --ignore-rust-version --timings";

/// What the test harness takes. Left out: `--logfile` (writes).
const HARNESS: Form = Form::reads(
    &[],
    &[
        "-q --nocapture --no-capture --show-output --exact --list --ignored --include-ignored --quiet --skip* \
        --test-threads# --color*",
    ],
    Operands::Text,
);

/// What clippy hands to the compiler: levels of lints, nothing else (`-C linker=…` would run a program).
const LINT_LEVELS: Form = Form::reads(&[], &["-D* -W* -A* -F*"], Operands::None);

const FORMAT_CHECK: Form = Form::reads(&[], &["--check"], Operands::None);

const fn cargo(words: &'static [&'static str], operands: Operands, after_dashes: AfterDashes) -> Form {
    Form::changes(words, &[CARGO], operands, after_dashes)
}

/// The known forms.
pub(super) const FORMS: &[Form] = &[
    cargo(&["cargo", "build"], Operands::None, AfterDashes::Unknown),
    cargo(&["cargo", "check"], Operands::None, AfterDashes::Unknown),
    cargo(
        &["cargo", "clippy"],
        Operands::None,
        AfterDashes::Program(&LINT_LEVELS),
    ),
    Form::changes(
        &["cargo", "test"],
        &[CARGO, "--doc --no-run --no-fail-fast"],
        Operands::Text,
        AfterDashes::Program(&HARNESS),
    ),
    Form::changes(
        &["cargo", "bench"],
        &[CARGO, "--no-run"],
        Operands::Text,
        AfterDashes::Unknown,
    ),
    cargo(&["cargo", "run"], Operands::None, AfterDashes::Unknown),
    // Left out: `--open`.
    Form::changes(
        &["cargo", "doc"],
        &[CARGO, "--no-deps --document-private-items"],
        Operands::None,
        AfterDashes::Unknown,
    ),
    Form::changes(
        &["cargo", "fmt"],
        &["-p* -q -v --package* --all --check --quiet --verbose"],
        Operands::None,
        AfterDashes::Program(&FORMAT_CHECK),
    ),
    Form::changes(
        &["cargo", "tree"],
        &[
            "-p* -i* -e* -d --package* --invert* --edges* --depth# --duplicates --workspace --prefix* --no-dedupe \
            --locked --offline --frozen --all-features --no-default-features --features* -F*",
        ],
        Operands::None,
        AfterDashes::Unknown,
    ),
    Form::changes(
        &["cargo", "metadata"],
        &["--format-version# --no-deps --locked --offline --frozen"],
        Operands::None,
        AfterDashes::Unknown,
    ),
    Form::changes(
        &["rustfmt"],
        &["-q -v --check --edition*"],
        Operands::Paths,
        AfterDashes::Operands,
    ),
    Form::changes(
        &["go", "build"],
        &["-v -race -trimpath"],
        Operands::Paths,
        AfterDashes::Unknown,
    )
    .whole_word_flags(),
    Form::changes(
        &["go", "vet"],
        &["-v -json"],
        Operands::Paths,
        AfterDashes::Unknown,
    )
    .whole_word_flags(),
    Form::changes(
        &["go", "test"],
        &["-v -race -short -cover -failfast -json -benchmem -run* -skip* -bench* -count# -timeout*"],
        Operands::Paths,
        AfterDashes::Unknown,
    )
    .whole_word_flags(),
    Form::changes(
        &["pytest"],
        &[
            "-v -q -x -s -l --verbose --quiet --exitfirst --lf --ff --last-failed --failed-first --maxfail# --tb* \
            --collect-only --durations#",
        ],
        Operands::Paths,
        AfterDashes::Operands,
    ),
    Form::changes(&["npm", "test"], &[], Operands::None, AfterDashes::Unknown),
    Form::changes(
        &["npm", "run", "build"],
        &[],
        Operands::None,
        AfterDashes::Unknown,
    ),
    Form::changes(&["npm", "run", "lint"], &[], Operands::None, AfterDashes::Unknown),
    Form::changes(&["npm", "run", "test"], &[], Operands::None, AfterDashes::Unknown),
    Form::changes(
        &["npm", "run", "typecheck"],
        &[],
        Operands::None,
        AfterDashes::Unknown,
    ),
    Form::changes(&["pnpm", "test"], &[], Operands::None, AfterDashes::Unknown),
    Form::changes(&["yarn", "test"], &[], Operands::None, AfterDashes::Unknown),
];
