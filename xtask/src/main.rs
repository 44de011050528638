//! The project's own commands. `cargo xtask help` lists them.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on its terminal"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a development tool runs cargo and reads small files of its own repository"
)]

mod bench;
mod ci;
mod secrets;
mod setup;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  setup                    install what the tests need: programs through apt, clients into target/clients
  test [FILTER]            the same, then run every test of the workspace
  ci                       formatting, clippy, dependency policy, then `test`
  tidy                     the repository's own rules: crate edges, file lengths, documents
  bench [GROUP] [--check] [--output json]
                           run the benchmarks, write docs/benchmarks.md;
                           --check exits non-zero where a required figure is not met
  help                     this text

Examples:
  cargo xtask test
  cargo xtask bench decoder --check
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["setup"] => setup::install_missing(),
        ["test"] => test::run(None),
        ["test", filter] => test::run(Some(filter)),
        ["ci"] => ci::run(),
        ["tidy"] => tidy::run(),
        ["bench", rest @ ..] => bench::run(rest),
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("unknown command: {}\n\n{HELP}", words.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
