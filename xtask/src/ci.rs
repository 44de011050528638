//! `cargo xtask ci`: what must hold before a change lands.

use crate::tools::{cargo, is_installed, must_succeed};
use crate::{setup, test};

/// Formatting and lints first (seconds), tests last, so that the closing line is theirs.
pub(crate) fn run() -> Result<(), String> {
    setup::install_missing()?;
    must_succeed(cargo().args(["fmt", "--all", "--check"]))?;
    must_succeed(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    if is_installed("cargo-deny") {
        // Advisories need a database from the network; licences, bans and sources do not.
        must_succeed(cargo().args(["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        println!("cargo-deny is not installed: licences, bans and sources were not checked here");
    }
    test::run(None)
}
