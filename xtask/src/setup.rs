//! What the tests need beside Rust, and how it gets there: programs from the system's packages, and other programs'
//! clients in folders of their own under `target/`.

mod clients;
mod environment;

use std::path::Path;
use std::process::Command;

use crate::tools::{is_installed, must_succeed, root};

struct Need {
    program: &'static str,
    /// The Debian and Ubuntu package that brings it.
    package: &'static str,
    why: &'static str,
    is_there: fn(&str) -> bool,
}

const NEEDS: &[Need] = &[
    Need {
        program: "cc",
        package: "gcc",
        why: "compiles the bundled SQLite and the TLS library",
        is_there: is_installed,
    },
    Need {
        program: "git",
        package: "git",
        why: "the tests let the agent work in a real checkout",
        is_there: is_installed,
    },
    Need {
        program: "tmux",
        package: "tmux",
        why: "the tests type into a real terminal",
        is_there: is_installed,
    },
    Need {
        program: "redis-server",
        package: "redis-server",
        why: "the tests let two daemons share limits and a cache",
        is_there: is_installed,
    },
    Need {
        program: "nginx",
        package: "nginx-light",
        why: "the gateway is compared with it",
        is_there: is_a_server,
    },
    Need {
        program: "prometheus",
        package: "prometheus",
        why: "the tests let it scrape the daemon's metrics",
        is_there: is_installed,
    },
    Need {
        program: "promtool",
        package: "prometheus",
        why: "the tests let it check the daemon's metrics",
        is_there: is_installed,
    },
    Need {
        program: "dbus-daemon",
        package: "dbus-daemon",
        why: "the tests give the daemon a session's bus",
        is_there: is_installed,
    },
    Need {
        program: "gnome-keyring-daemon",
        package: "gnome-keyring",
        why: "the tests take API keys from a real keyring",
        is_there: is_installed,
    },
    Need {
        program: "secret-tool",
        package: "libsecret-tools",
        why: "the tests put API keys into it",
        is_there: is_installed,
    },
    Need {
        program: "python3",
        package: "python3-venv",
        why: "the tests run Python clients against the gateway",
        is_there: makes_virtual_environments,
    },
    Need {
        program: "node",
        package: "nodejs",
        why: "the tests run TypeScript clients against the gateway",
        is_there: is_installed,
    },
    Need {
        program: "npm",
        package: "npm",
        why: "installs the TypeScript clients",
        is_there: is_installed,
    },
];

/// What apt runs around the installation: no daemon may be started by it, now or when the machine starts again.
///
/// `policy-rc.d` is how Debian's packages are told not to start their services; one that is already there stays.
const INSTALL: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get --quiet -o DPkg::Lock::Timeout=120 update
apt-get --quiet -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "$@"
if [ -d /run/systemd/system ]; then
    for package in "$@"; do
        case "$package" in
            redis-server|prometheus) systemctl --quiet disable "$package.service" ;;
            nginx-light) systemctl --quiet disable nginx.service ;;
            gnome-keyring) systemctl --quiet --global disable gnome-keyring-daemon.socket gnome-keyring-daemon.service ;;
        esac
    done
fi
"#;

/// Installs what is missing, telling what it does; where there is no apt it names what is missing.
pub(crate) fn install_missing() -> Result<(), String> {
    install_packages()?;
    clients::install_missing(&root())
}

fn install_packages() -> Result<(), String> {
    let missing: Vec<&Need> = NEEDS
        .iter()
        .filter(|need| !(need.is_there)(need.program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.program, need.why);
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!(
            "install these with your package manager and run the command again: {}",
            packages.join(" ")
        ));
    }
    println!(
        "installing through apt-get, with every service left stopped and disabled: {}",
        packages.join(" ")
    );
    must_succeed(&mut as_root(&packages))
}

fn as_root(packages: &[&str]) -> Command {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    let mut words = vec![
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "sh",
        "-c",
        INSTALL,
        "install",
    ];
    if !is_root {
        words.insert(0, "sudo");
    }
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(packages);
    command
}

/// A server in `/usr/sbin`, which is not on every user's path.
fn is_a_server(program: &str) -> bool {
    Path::new("/usr/sbin").join(program).exists() || is_installed(program)
}

/// Debian splits what a virtual environment needs off its Python.
fn makes_virtual_environments(python: &str) -> bool {
    Command::new(python)
        .args(["-c", "import venv, ensurepip"])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
