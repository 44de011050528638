//! The forms of `git` that look at a repository.
//!
//! Global flags but `--no-pager` are left out: `-c`, `--exec-path`, `--config-env` and `-p` run programs,
//! `-C`, `--git-dir` and `--work-tree` go elsewhere. What remains: git obeys the repository's
//! own configuration, and even these forms start the file system monitor, diff drivers and text converters
//! configured there. That configuration is a control file, which is never written unasked.

use super::form::{AfterDashes, Form, Operands};

// Left out: `--output` (writes), `--ext-diff` and `--textconv` (run programs), `--no-index` and `-O` (files elsewhere).
const DIFF: &str = "-p -u -s -w -b -a -R -z -W -U# -M?* -C?* -B?* -D -S* -G* -l# --patch --no-patch --stat?* \
    --shortstat --numstat --dirstat?* --summary --compact-summary --raw --name-only --name-status --color?* \
    --no-color --color-words?* --word-diff?* --word-diff-regex* --color-moved?* --unified# --ignore-all-space \
    --ignore-space-change --ignore-space-at-eol --ignore-blank-lines --ignore-cr-at-eol --diff-filter* --minimal \
    --patience --histogram --diff-algorithm* --no-ext-diff --no-textconv --text --binary --full-index --abbrev?# \
    --no-renames --find-renames?* --find-copies?* --function-context --inter-hunk-context# --pickaxe-regex \
    --pickaxe-all --relative?* --no-prefix --check --exit-code --quiet --submodule?* --ignore-submodules?*";

const LOG: &str = "-NUM -n# -i -E -F -P -g -m -c -t -L* --cc --oneline --max-count# --skip# --graph --decorate?* \
    --no-decorate --all --branches?* --tags?* --remotes?* --author* --committer* --grep* --all-match --invert-grep \
    --since* --until* --after* --before* --format* --pretty?* --date* --relative-date --follow --reverse --merges \
    --no-merges --first-parent --full-history --simplify-by-decoration --ancestry-path --topo-order --date-order \
    --author-date-order --abbrev-commit --no-abbrev-commit --left-right --cherry-pick --cherry-mark --no-walk?* \
    --walk-reflogs --boundary --parents --children --no-notes --clear-decorations";

/// The known forms.
pub(super) const FORMS: &[Form] = &[
    Form::reads(
        &["git", "status"],
        &[
            "-s -b -v -z -u?* --short --branch --verbose --porcelain?* --long --show-stash --ahead-behind \
            --no-ahead-behind --renames --no-renames --untracked-files?* --ignored?* --ignore-submodules?* \
            --column?* --no-column",
        ],
        Operands::Paths,
    ),
    Form::reads(
        &["git", "diff"],
        &[DIFF, "--cached --staged --merge-base --base --ours --theirs"],
        Operands::Paths,
    ),
    Form::reads(&["git", "log"], &[DIFF, LOG], Operands::Paths),
    Form::reads(&["git", "show"], &[DIFF, LOG], Operands::Paths),
    // Operands would create a branch.
    Form::reads(
        &["git", "branch"],
        &[
            "-a -r -v -i --all --remotes --list --verbose --show-current --merged* --no-merged* --contains* \
            --no-contains* --points-at* --sort* --format* --color?* --no-color --column?* --no-column \
            --ignore-case --abbrev?#",
        ],
        Operands::None,
    ),
    Form::reads(
        &["git", "rev-parse"],
        &[
            "-q --quiet --verify --short?# --abbrev-ref?* --symbolic --symbolic-full-name --all --branches?* --tags?* \
            --show-toplevel --show-prefix --show-cdup --show-superproject-working-tree --git-dir \
            --absolute-git-dir --git-common-dir --is-inside-work-tree --is-inside-git-dir \
            --is-bare-repository --is-shallow-repository --show-object-format",
        ],
        Operands::Paths,
    ),
    // Left out: `-X` and `--exclude-from`.
    Form::reads(
        &["git", "ls-files"],
        &[
            "-c -d -m -o -i -s -u -k -z -t -v -x* --cached --deleted --modified --others --ignored --stage \
            --unmerged --killed --exclude* --exclude-standard --directory --no-empty-directory --full-name \
            --error-unmatch --abbrev?# --eol --deduplicate",
        ],
        Operands::Paths,
    ),
    // Left out: `--contents`, `-S` and `--ignore-revs-file` (files elsewhere).
    Form::reads(
        &["git", "blame"],
        &[
            "-w -e -l -s -t -p -c -f -n -b -L* -M?* -C?* --root --porcelain --line-porcelain --show-name \
            --show-number --show-email --date* --since* --reverse --first-parent --ignore-rev* --abbrev#",
        ],
        Operands::Paths,
    ),
    // Left out: `-O` (opens a pager), `-f`, `--no-index`, `--textconv`, `--ext-grep`.
    Form::reads(
        &["git", "grep"],
        &[
            "-n -i -w -v -l -L -c -h -H -o -q -E -F -G -P -I -a -z -W -NUM -A# -B# -C# -m# -e^ --line-number --ignore-case \
            --word-regexp --invert-match --files-with-matches --files-without-match --name-only --count \
            --only-matching --quiet --extended-regexp --fixed-strings --perl-regexp --cached --untracked \
            --heading --break --column --color?* --no-color --after-context# --before-context# --context# \
            --max-depth# --show-function --function-context --and --or --not --all-match",
        ],
        Operands::PatternThenPaths,
    ),
    Form::reads(
        &["git", "ls-tree"],
        &["-r -d -t -l -z --name-only --full-name --full-tree --long"],
        Operands::Paths,
    ),
    // Left out: `--textconv`, `--filters` (run programs).
    Form::reads(&["git", "cat-file"], &["-p -t -s -e"], Operands::Paths),
    Form::reads(&["git", "rev-list"], &[LOG, "--count --objects"], Operands::Paths),
    Form::reads(
        &["git", "merge-base"],
        &["-a --all --is-ancestor --octopus --fork-point"],
        Operands::Text,
    ),
    Form::reads(
        &["git", "describe"],
        &[
            "--all --tags --always --long --dirty?* --abbrev?# --match* --exclude* --exact-match --first-parent",
        ],
        Operands::Text,
    ),
    Form::reads(
        &["git", "shortlog"],
        &["-s -n -e -c --summary --numbered --email --all --since* --until*"],
        Operands::Paths,
    ),
    Form::reads(&["git", "reflog"], &["-NUM -n#"], Operands::None),
    Form::reads(
        &["git", "check-ignore"],
        &["-v -q -n --verbose --quiet --non-matching --no-index"],
        Operands::Paths,
    ),
    Form::reads(&["git", "count-objects"], &["-v -H"], Operands::None),
    // Operands would create a tag, add a remote or change the stash; `remote show` would use the network.
    Form::reads(
        &["git", "tag"],
        &["-l --list --sort* --merged* --no-merged* --contains* --points-at*"],
        Operands::None,
    ),
    Form::reads(&["git", "remote"], &["-v --verbose"], Operands::None),
    Form::reads(&["git", "remote", "get-url"], &["--all --push"], Operands::Text),
    Form::reads(&["git", "stash", "list"], &["-NUM -n# --oneline"], Operands::None),
    Form::reads(&["git", "worktree", "list"], &["-v --porcelain"], Operands::None),
    Form::changes(
        &["git", "add"],
        &["-A -u -v -n -N --all --update --verbose --dry-run --intent-to-add"],
        Operands::Paths,
        AfterDashes::Operands,
    ),
];
