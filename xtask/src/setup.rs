//! What the tests need from the system, and how it gets there.

use std::path::Path;
use std::process::Command;

use crate::tools::{is_installed, must_succeed};

struct Need {
    program: &'static str,
    /// The Debian and Ubuntu package that brings it.
    package: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        program: "cc",
        package: "gcc",
        why: "compiles the bundled SQLite and the TLS library",
    },
    Need {
        program: "git",
        package: "git",
        why: "the tests let the agent work in a real checkout",
    },
    Need {
        program: "tmux",
        package: "tmux",
        why: "the tests type into a real terminal",
    },
];

/// Installs what is missing through apt, telling what it does; elsewhere names what is missing.
pub(crate) fn install_missing() -> Result<(), String> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !is_installed(need.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.program, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!(
            "install these with your package manager and run the command again: {}",
            packages.join(" ")
        ));
    }
    println!("installing through apt-get: {}", packages.join(" "));
    must_succeed(apt().arg("update"))?;
    must_succeed(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&packages),
    )
}

fn apt() -> Command {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    let mut command = if is_root {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    };
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=120"]);
    command
}
