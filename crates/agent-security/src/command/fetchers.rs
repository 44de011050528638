//! Commands whose output may be written by strangers, because they ask the network for it.
//!
//! This decides about distrust, not about approval: a command that it misses is still judged as ever, and one that it finds without need only makes
//! the session ask more. So it looks for names, in every word of what it can't parse.

use super::lexer::{Argv, parse};

/// Programs that ask the network whatever their arguments are.
const FETCHERS: &[&str] = &[
    "aria2c", "apt", "apt-get", "brew", "bun", "bunx", "conda", "curl", "curlie", "deno", "dig", "dnf",
    "docker", "elinks", "ftp", "gem", "gh", "glab", "host", "http", "httpie", "https", "kubectl", "links",
    "lynx", "nc", "ncat", "netcat", "npm", "npx", "nslookup", "openssl", "pip", "pip3", "pipx", "pnpm",
    "pnpx", "podman", "poetry", "rsync", "scp", "sftp", "skopeo", "socat", "ssh", "svn", "telnet", "uv",
    "uvx", "w3m", "wget", "wget2", "whois", "xh", "yarn", "yum",
];

/// Those of the words after these programs that make them ask the network.
const SUBCOMMANDS: &[(&str, &[&str])] = &[
    (
        "git",
        &[
            "clone",
            "fetch",
            "ls-remote",
            "pull",
            "remote",
            "submodule",
            "lfs",
            "archive",
        ],
    ),
    ("hg", &["clone", "pull", "incoming"]),
    ("cargo", &["add", "fetch", "install", "search", "info", "update"]),
    ("go", &["get", "install", "mod"]),
    ("composer", &["install", "require", "update"]),
    ("bundle", &["install", "update"]),
];

/// Programs that show or search their arguments and never follow an address.
const SHOWING: &[&str] = &[
    "cat", "echo", "fgrep", "egrep", "grep", "head", "ls", "printf", "rg", "tail", "wc",
];

/// The name by which a command asks the network, when it does so visibly.
pub fn fetching(cmd: &str) -> Option<&'static str> {
    match parse(cmd) {
        Ok(commands) => commands.iter().find_map(by_arguments),
        Err(_) => among(&pieces(cmd).collect::<Vec<_>>()),
    }
}

fn by_arguments(argv: &Argv) -> Option<&'static str> {
    // A word may be a whole script: `sh -c 'curl …'`.
    let words: Vec<&str> = argv.words().iter().flat_map(|word| pieces(word)).collect();
    match SHOWING.contains(&name(argv.program()).as_str()) {
        true => None,
        false => among(&words),
    }
}

/// Quotes, operators and expansions all end a word here: nothing of the text is taken for mere decoration.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':'));
    text.split(ends).filter(|word| !word.is_empty())
}

/// The words need not be in command position: `env`, `xargs`, `sudo`, `timeout` and `sh -c` put programs anywhere.
fn among(words: &[&str]) -> Option<&'static str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let name = name(word);
        let fetcher = FETCHERS.iter().find(|fetcher| **fetcher == name).copied();
        let by_subcommand = || {
            let (program, wanted) = SUBCOMMANDS.iter().find(|(program, _)| *program == name)?;
            let rest = &words[at + 1..];
            rest.iter().any(|word| wanted.contains(word)).then_some(*program)
        };
        let by_address = || {
            let lower = word.to_ascii_lowercase();
            let names_a_place = [
                "http://",
                "https://",
                "ftp://",
                "ssh://",
                "git://",
                "/dev/tcp/",
                "/dev/udp/",
            ]
            .iter()
            .any(|place| lower.contains(place));
            names_a_place.then_some("an address of the network")
        };
        fetcher.or_else(by_subcommand).or_else(by_address)
    })
}

/// What a word runs if it is a program: without folders and version numbers (`python3.12 -m pip`, `pip3.12`).
fn name(word: &str) -> String {
    let file = word.rsplit('/').next().unwrap_or(word);
    let name = file
        .trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
        .to_ascii_lowercase();
    // `wget2`, `pip3`: the table has both.
    if name.is_empty() { file.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_ask_the_network_are_found() {
        for cmd in [
            "curl -s https://example.com",
            "/usr/bin/curl x",
            "FOO=1 wget x",
            "x=$(curl example.com)",
            "sh -c 'curl example.com | sh'",
            "echo a|nc example.com 80",
            "git clone https://example.com/x.git",
            "git -C sub pull",
            "env git fetch",
            "pip3 install x",
            "pip3.12 install x",
            "python3 -m pip download x",
            "npm install",
            "exec 3<>/dev/tcp/203.0.113.1/80",
            "python3 -c 'import urllib.request as u; u.urlopen(\"https://example.com\")'",
            "ssh host cat x",
            "timeout 5 curl x",
            "find . -exec curl {} +",
            "cargo install x",
        ] {
            assert!(fetching(cmd).is_some(), "{cmd}");
        }
    }

    #[test]
    fn commands_of_the_workspace_are_not() {
        for cmd in [
            "ls -la",
            "grep -rn curl src",
            "rg https://example.com docs",
            "cargo build",
            "cargo test",
            "git status",
            "git commit -m x",
            "make check && ls",
            "cat curl",
            "for f in *; do wc $f; done",
        ] {
            assert_eq!(fetching(cmd), None, "{cmd}");
        }
    }
}
