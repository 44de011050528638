//! The environments of other programs' clients, all under `target/clients/`.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use super::environment::{Environment, Kind};

const ENVIRONMENTS: &[Environment] = &[
    Environment {
        name: "anthropic-python-1",
        kind: Kind::Python,
    },
    Environment {
        name: "anthropic-python-2",
        kind: Kind::Python,
    },
    Environment {
        name: "claude-code",
        kind: Kind::Node,
    },
    Environment {
        name: "node",
        kind: Kind::Node,
    },
    Environment {
        name: "openapi",
        kind: Kind::Python,
    },
];

/// Makes the environments that are missing or were made from other requirements, all at once.
pub(super) fn install_missing(root: &Path) -> Result<(), String> {
    let folder = root.join("target/clients");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("{} can't be made: {error}", folder.display()))?;
    // Two of these commands at once would delete each other's half-made environments.
    let _alone = lock(&folder.join("lock"))?;
    let stale: Vec<&Environment> = ENVIRONMENTS
        .iter()
        .filter(|environment| !environment.is_current(root))
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = stale.iter().map(|environment| environment.name).collect();
    println!(
        "installing into target/clients from their package registries: {}",
        names.join(", ")
    );
    let start = Instant::now();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = stale
            .iter()
            .map(|environment| scope.spawn(|| environment.make(root)))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().expect("installing does not panic").err())
            .collect()
    });
    if !failures.is_empty() {
        return Err(failures.join("\n"));
    }
    println!("installed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn lock(path: &Path) -> Result<File, String> {
    let failed = |error: std::io::Error| format!("{} can't be locked: {error}", path.display());
    let file = File::create(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
