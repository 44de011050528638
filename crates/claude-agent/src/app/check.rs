//! What only this program can say of a configuration: whether its rules can be read, and whether the files that it names
//! can be used. The start finds the same; here everything is found at once and with its place.

use std::path::Path;

use agent_config::{Examined, Origins, Problem, Problems, ProductionConfig};
use agent_security::command::CommandRules;
use agent_security::network::HostRules;
use agent_security::permission::DeniedPaths;
use agent_security::token;

use super::{cut, daemon};

/// Examines the configuration of `sources` wholly. Reads the files that it names, and changes nothing.
pub fn examine(sources: &agent_config::Sources) -> Examined {
    let mut examined = agent_config::examine(sources);
    let found = Found {
        config: &examined.config,
        origins: &examined.origins,
        known: &examined.problems,
        new: Vec::new(),
    };
    for problem in found.all() {
        examined.problems.push(problem);
    }
    examined.problems.sort();
    examined
}

struct Found<'a> {
    config: &'a ProductionConfig,
    origins: &'a Origins,
    known: &'a Problems,
    new: Vec<Problem>,
}

impl Found<'_> {
    fn all(mut self) -> Vec<Problem> {
        let config = self.config;
        let tools = &config.tools;
        // Each list by itself, so that each is told by its own name.
        let nothing: &[String] = &[];
        let rule = "rules as the reference of the configuration describes them";
        let commands = |allowed, denied| CommandRules::new(allowed, denied).map(drop);
        self.tell(
            "tools.allowed_commands",
            commands(&tools.allowed_commands, nothing),
            rule,
        );
        self.tell(
            "tools.denied_commands",
            commands(nothing, &tools.denied_commands),
            rule,
        );
        self.tell(
            "tools.denied_paths",
            DeniedPaths::new(&tools.denied_paths).map(drop),
            rule,
        );
        self.tell(
            "tools.allowed_hosts",
            HostRules::new(&tools.allowed_hosts).map(drop),
            rule,
        );
        self.tell(
            "api.prices_file",
            cut::prices(config).map(drop),
            "a file of prices, or none",
        );
        if config.security.enable_request_signing {
            for key in &config.security.request_signing_keys {
                self.tell(
                    "security.request_signing_keys",
                    daemon::verifying_key(key).map(drop),
                    "entries whose key files can be read and hold such keys",
                );
            }
        }
        self.tell(
            "server.token_file",
            token::load(&daemon::token_file(config)).map(drop),
            "a private file with a token, or one that does not exist yet",
        );
        if config.security.enable_tls {
            for (key, path) in [
                ("security.tls_cert_path", &config.security.tls_cert_path),
                ("security.tls_key_path", &config.security.tls_key_path),
            ] {
                if let Some(path) = path {
                    self.tell(key, readable(path), "a file that this user may read");
                }
            }
        }
        self.new
    }

    fn tell<E: std::fmt::Display>(&mut self, key: &str, result: Result<(), E>, valid: &str) {
        let Err(error) = result else { return };
        // What is wrong with the value has been said.
        if self.known.concern(key) {
            return;
        }
        let entry = self.origins.iter().find(|entry| entry.key == key);
        self.new.push(Problem {
            key: key.to_owned(),
            value: entry.and_then(|entry| entry.value.clone()),
            origin: entry.map(|entry| entry.origin.clone()),
            message: format!("can't be used: {error}"),
            valid: valid.to_owned(),
        });
    }
}

/// Whether this user may read it. A pipe is not opened: that waits for its other end.
fn readable(path: &Path) -> std::io::Result<()> {
    if !path.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    std::fs::File::open(path).map(drop)
}
