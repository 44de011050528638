//! Files that steer programs: writing one is as good as running a command, so it is never done unasked.
//!
//! The list is about names, so it holds for files that do not exist yet and for every folder of the tree
//! (nested repositories, submodules). Names are compared as forgiving file systems compare them: without
//! case, without trailing dots and blanks, without the name of a stream.

use super::RelPath;

const VERSION_CONTROL: &str = "version control runs hooks and programs that are configured here";
const AGENT: &str = "it configures or instructs an agent";
const EDITOR: &str = "editors run tasks and settings from here when the folder is opened";
const SHELL: &str = "shells and command-line programs run or obey it when they start";
const PACKAGES: &str = "package managers and build tools run or obey it when they start";
const AUTOMATION: &str = "automation runs what is written here";
const CREDENTIALS: &str = "it holds credentials or the settings of programs that use them";

/// Folders in which everything counts, and files with the same names.
const FOLDERS: &[(&str, &str)] = &[
    (".git", VERSION_CONTROL),
    // The short name by which Windows file systems reach `.git`.
    ("git~1", VERSION_CONTROL),
    (".hg", VERSION_CONTROL),
    (".svn", VERSION_CONTROL),
    (".jj", VERSION_CONTROL),
    (".bzr", VERSION_CONTROL),
    (".githooks", VERSION_CONTROL),
    (".husky", VERSION_CONTROL),
    (".claude", AGENT),
    (".claude-agent", AGENT),
    (".agents", AGENT),
    (".codex", AGENT),
    (".cursor", AGENT),
    (".gemini", AGENT),
    (".windsurf", AGENT),
    (".clinerules", AGENT),
    (".vscode", EDITOR),
    (".vscode-server", EDITOR),
    (".idea", EDITOR),
    (".fleet", EDITOR),
    (".zed", EDITOR),
    (".vs", EDITOR),
    (".vim", EDITOR),
    (".emacs.d", EDITOR),
    (".devcontainer", EDITOR),
    (".direnv", SHELL),
    (".config", SHELL),
    (".local", SHELL),
    (".venv", SHELL),
    (".bin", SHELL),
    (".cargo", PACKAGES),
    (".yarn", PACKAGES),
    (".mvn", PACKAGES),
    (".bundle", PACKAGES),
    (".gradle", PACKAGES),
    (".mise", PACKAGES),
    (".github", AUTOMATION),
    (".gitlab", AUTOMATION),
    (".circleci", AUTOMATION),
    (".buildkite", AUTOMATION),
    (".ssh", CREDENTIALS),
    (".gnupg", CREDENTIALS),
    (".aws", CREDENTIALS),
    (".azure", CREDENTIALS),
    (".kube", CREDENTIALS),
    (".docker", CREDENTIALS),
];

/// Names of single files, wherever they are.
const FILES: &[(&str, &str)] = &[
    // With `objects` and `refs` beside it, a folder that holds one is a bare repository with its own `config`.
    ("head", VERSION_CONTROL),
    (".gitmodules", VERSION_CONTROL),
    (".gitattributes", VERSION_CONTROL),
    (".gitconfig", VERSION_CONTROL),
    (".hgrc", VERSION_CONTROL),
    (".pre-commit-config.yaml", VERSION_CONTROL),
    (".pre-commit-config.yml", VERSION_CONTROL),
    ("lefthook.yml", VERSION_CONTROL),
    (".lefthook.yml", VERSION_CONTROL),
    (".overcommit.yml", VERSION_CONTROL),
    ("claude.md", AGENT),
    ("claude.local.md", AGENT),
    ("agents.md", AGENT),
    ("agents.override.md", AGENT),
    ("gemini.md", AGENT),
    ("skill.md", AGENT),
    (".mcp.json", AGENT),
    ("mcp.json", AGENT),
    (".cursorrules", AGENT),
    (".windsurfrules", AGENT),
    (".exrc", EDITOR),
    (".vimrc", EDITOR),
    (".gvimrc", EDITOR),
    (".lvimrc", EDITOR),
    (".nvimrc", EDITOR),
    (".nvim.lua", EDITOR),
    (".emacs", EDITOR),
    (".dir-locals.el", EDITOR),
    (".dir-locals-2.el", EDITOR),
    (".devcontainer.json", EDITOR),
    (".envrc", SHELL),
    (".direnvrc", SHELL),
    (".autoenv", SHELL),
    (".profile", SHELL),
    (".bashrc", SHELL),
    (".bash_profile", SHELL),
    (".bash_login", SHELL),
    (".bash_logout", SHELL),
    (".bash_aliases", SHELL),
    (".zshrc", SHELL),
    (".zshenv", SHELL),
    (".zprofile", SHELL),
    (".zlogin", SHELL),
    (".zlogout", SHELL),
    (".kshrc", SHELL),
    (".cshrc", SHELL),
    (".tcshrc", SHELL),
    (".login", SHELL),
    (".inputrc", SHELL),
    (".xprofile", SHELL),
    (".xinitrc", SHELL),
    (".xsession", SHELL),
    (".tmux.conf", SHELL),
    (".screenrc", SHELL),
    (".ripgreprc", SHELL),
    (".curlrc", SHELL),
    (".wgetrc", SHELL),
    (".gdbinit", SHELL),
    (".lldbinit", SHELL),
    (".irbrc", SHELL),
    (".pryrc", SHELL),
    (".rprofile", SHELL),
    (".pythonrc", SHELL),
    (".psqlrc", SHELL),
    (".sqliterc", SHELL),
    (".mailcap", SHELL),
    (".ghci", SHELL),
    (".ocamlinit", SHELL),
    ("sitecustomize.py", PACKAGES),
    ("usercustomize.py", PACKAGES),
    ("rust-toolchain", PACKAGES),
    ("rust-toolchain.toml", PACKAGES),
    (".npmrc", PACKAGES),
    (".pnpmfile.cjs", PACKAGES),
    (".pnpmfile.mjs", PACKAGES),
    (".yarnrc", PACKAGES),
    (".yarnrc.yml", PACKAGES),
    (".pnp.cjs", PACKAGES),
    (".pnp.loader.mjs", PACKAGES),
    ("bunfig.toml", PACKAGES),
    (".bazelrc", PACKAGES),
    (".bazeliskrc", PACKAGES),
    (".buckconfig", PACKAGES),
    (".jvmopts", PACKAGES),
    (".sbtopts", PACKAGES),
    ("pip.conf", PACKAGES),
    ("mise.toml", PACKAGES),
    (".mise.toml", PACKAGES),
    ("mise.local.toml", PACKAGES),
    (".mise.local.toml", PACKAGES),
    (".tool-versions", PACKAGES),
    (".rvmrc", PACKAGES),
    ("gradle-wrapper.properties", PACKAGES),
    ("gradle-wrapper.jar", PACKAGES),
    (".gitlab-ci.yml", AUTOMATION),
    (".travis.yml", AUTOMATION),
    (".drone.yml", AUTOMATION),
    (".woodpecker.yml", AUTOMATION),
    ("azure-pipelines.yml", AUTOMATION),
    ("jenkinsfile", AUTOMATION),
    (".netrc", CREDENTIALS),
    ("_netrc", CREDENTIALS),
    (".pypirc", CREDENTIALS),
    (".pgpass", CREDENTIALS),
    (".git-credentials", CREDENTIALS),
];

/// Endings of file names.
const ENDINGS: &[(&str, &str)] = &[
    (".code-workspace", EDITOR),
    (".sublime-project", EDITOR),
    (".pth", PACKAGES),
];

/// Why writing this file must be asked for every time, whether it exists or not; `None` for ordinary files.
pub fn control_file(rel: &RelPath) -> Option<&'static str> {
    let names: Vec<String> = rel.components().map(folded).collect();
    let in_folder = names.iter().find_map(|name| look_up(FOLDERS, name));
    let last = names.last()?;
    in_folder.or_else(|| look_up(FILES, last)).or_else(|| {
        ENDINGS
            .iter()
            .find(|(ending, _)| last.ends_with(ending))
            .map(|(_, reason)| *reason)
    })
}

fn look_up(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|(entry, _)| *entry == name)
        .map(|(_, reason)| *reason)
}

/// A name as the most forgiving file system reads it.
///
/// Upper case first: it is what brings `ſ` and the ligatures back to plain letters, as full case folding does.
fn folded(name: &str) -> String {
    let file = match name.split_once(':') {
        Some((file, _stream)) if !file.is_empty() => file,
        _ => name,
    };
    let end = |c: char| c == '.' || c.is_whitespace();
    file.trim_end_matches(end).to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::path::check_relative;

    fn is_control(path: &str) -> bool {
        let rel = check_relative(Path::new("/repo"), path).expect("a path inside");
        control_file(&rel).is_some()
    }

    #[test]
    fn control_files_are_found_in_every_spelling() {
        let cases = [
            ".git",
            ".git/config",
            ".git/hooks/pre-commit",
            ".GIT/config",
            ".git./config",
            ".git /config",
            ".git::$INDEX_ALLOCATION/config",
            "GIT~1/config",
            "vendor/dep/.git/hooks/post-checkout",
            "module/.git",
            "bare/HEAD",
            ".gitmodules",
            "CLAUDE.md",
            "claude.MD",
            "sub/folder/Claude.md. .",
            "CLAUDE.md:stream",
            "CLAUDE.local.md",
            "AGENTS.md",
            "AGENTſ.md",
            ".claude",
            ".claude/settings.json",
            "a/.claude/commands/x.md",
            ".claude-agent/config.toml",
            ".mcp.json",
            ".cursor/mcp.json",
            ".vscode/tasks.json",
            ".VSCode/settings.json",
            "x.code-workspace",
            ".idea/workspace.xml",
            ".envrc",
            ".cargo/config.toml",
            "crates/a/.cargo/config",
            "rust-toolchain.toml",
            ".npmrc",
            ".yarnrc.yml",
            ".github/workflows/ci.yml",
            ".husky/pre-commit",
            ".bashrc",
            ".ssh/authorized_keys",
            "gradle/wrapper/gradle-wrapper.properties",
            "lib/evil.pth",
        ];
        for path in cases {
            assert!(is_control(path), "{path:?}");
        }
    }

    #[test]
    fn ordinary_files_are_not_control_files() {
        let cases = [
            ".",
            "src/main.rs",
            "README.md",
            "Cargo.toml",
            "package.json",
            "docs/claude.md.txt",
            "git/config",
            ".gitignore",
            "src/head.rs",
            "header/x",
            "src/.gitkeep",
            ".github.md",
            "config",
            ":x",
        ];
        for path in cases {
            assert!(!is_control(path), "{path:?}");
        }
    }
}
