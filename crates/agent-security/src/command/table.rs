//! Programs that print what is there, and the flags with which that is all they do.
//!
//! Left out on purpose, because a flag or an argument makes them run programs, write files, send data or show
//! what should not be shown: `awk`, `env`, `printenv`, `xargs`, `tee`, `less`, `man`, `tar`, `curl`, `ping`, `jq`
//! (`$ENV`), `ps`; and every builtin of the shell, `cd`, `echo` and `pwd` too: what they do depends on what
//! the shell makes of them, and `cd` would move every path after it.

use super::form::{Form, Operands};

/// Programs that may always be asked for their version.
pub(super) const VERSIONED: &[&str] = &[
    "bash", "cargo", "cc", "clang", "cmake", "gcc", "git", "grep", "make", "node", "npm", "python",
    "python3", "rg", "rustc", "rustfmt", "sed",
];

// Left out: `-f` (patterns from a file), `-R` and `-d` (links are followed), `--exclude-from`.
const GREP: &str = "-i -v -n -c -l -L -w -x -r -h -H -o -q -s -E -F -G -P -a -b -z -I -NUM -A# -B# -C# -m# -e^ \
    --ignore-case --invert-match --line-number --count --files-with-matches --files-without-match \
    --word-regexp --line-regexp --recursive --no-filename --with-filename --only-matching --quiet --silent \
    --no-messages --extended-regexp --fixed-strings --basic-regexp --perl-regexp --text --null \
    --after-context# --before-context# --context# --max-count# --regexp^ --color?* --colour?* --include* \
    --exclude* --exclude-dir* --binary-files*";

// Left out: `--pre` and `--pre-glob` (run a program for each file), `-z` (runs decompressors), `--hostname-bin`,
// `-f`, `--ignore-file`, `-L` (links are followed).
const RG: &str = "-i -S -s -v -n -N -c -l -w -x -F -o -P -U -H -I -p -q -a -u -. -0 -e^ -g* -t* -T* -r* -A# -B# -C# \
    -m# -j# -d# -M# --ignore-case --smart-case --case-sensitive --invert-match --line-number --no-line-number \
    --count --count-matches --files-with-matches --files-without-match --word-regexp --line-regexp \
    --fixed-strings --only-matching --pcre2 --multiline --multiline-dotall --with-filename --no-filename \
    --pretty --quiet --text --hidden --no-ignore --no-ignore-vcs --null --json --stats --trim --vimgrep \
    --heading --no-heading --column --no-config --crlf --passthru --regexp^ --glob* --iglob* --type* \
    --type-not* --replace* --color* --colors* --sort* --sortr* --after-context# --before-context# --context# \
    --max-count# --max-depth# --max-columns# --max-filesize# --threads# --files! --type-list!";

// Left out: `-exec`, `-execdir`, `-ok`, `-okdir`, `-delete`, `-fprint`, `-fprint0`, `-fprintf`, `-fls`, `-files0-from`,
// `-follow`, `-L`.
const FIND: &str = "-H -P -name* -iname* -path* -ipath* -wholename* -regex* -iregex* -regextype* -type* -empty \
    -maxdepth# -mindepth# -depth -size# -mtime# -mmin# -atime# -amin# -ctime# -cmin# -newer/ -anewer/ -samefile/ \
    -perm* -user* -group* -links# -inum# -executable -readable -writable -print -print0 -printf* -ls -prune -not \
    -a -and -o -or -xdev -mount -daystart -true -false -quit";

/// The known forms.
pub(super) const FORMS: &[Form] = &[
    Form::reads(
        &["ls"],
        &[
            "-l -a -A -h -1 -R -t -r -S -d -F -G -g -o -i -s -n -p -c -u -x -m -k -X -U -B -C -Q -N -v --all \
            --almost-all --human-readable --recursive --reverse --color?* --classify?* --directory --full-time \
            --group-directories-first --inode --size --sort* --time* --time-style* --si --no-group",
        ],
        Operands::Paths,
    ),
    Form::reads(
        &["cat"],
        &[
            "-n -b -s -A -e -E -t -T -v -u --number --number-nonblank --squeeze-blank --show-all --show-ends \
            --show-tabs --show-nonprinting",
        ],
        Operands::Paths,
    ),
    // Left out: `-f` of tail, which never ends.
    Form::reads(
        &["head"],
        &["-NUM -n# -c# -q -v --lines# --bytes# --quiet --verbose"],
        Operands::Paths,
    ),
    Form::reads(
        &["tail"],
        &["-NUM -n# -c# -q -v -r --lines# --bytes# --quiet --verbose"],
        Operands::Paths,
    ),
    Form::reads(
        &["wc"],
        &["-l -w -c -m -L --lines --words --bytes --chars"],
        Operands::Paths,
    ),
    Form::reads(&["nl"], &["-b* -w# -s*"], Operands::Paths),
    Form::reads(&["tac"], &[], Operands::Paths),
    Form::reads(&["rev"], &[], Operands::Paths),
    Form::reads(&["fold"], &["-w# -s"], Operands::Paths),
    Form::reads(&["paste"], &["-d* -s"], Operands::Paths),
    Form::reads(&["column"], &["-t -s*"], Operands::Paths),
    Form::reads(&["comm"], &["-1 -2 -3"], Operands::Paths),
    Form::reads(&["cmp"], &["-l -s -b"], Operands::Paths),
    Form::reads(
        &["cut"],
        &[
            "-d* -f* -c* -b* -s --delimiter* --fields* --characters* --bytes* --complement --only-delimited \
            --output-delimiter*",
        ],
        Operands::Paths,
    ),
    Form::reads(
        &["tr"],
        &["-d -s -c -C --delete --squeeze-repeats --complement"],
        Operands::Text,
    ),
    // Left out: `-o` (writes), `--compress-program` (runs), `-T`, `--files0-from`, `--random-source`.
    Form::reads(
        &["sort"],
        &[
            "-n -r -u -h -k* -t* -f -b -g -V -c -s -i -d -M -z --numeric-sort --reverse --unique \
            --human-numeric-sort --key* --field-separator* --stable --check --ignore-case --version-sort",
        ],
        Operands::Paths,
    ),
    Form::reads(
        &["uniq"],
        &["-c -d -u -i -f# -s# -w# --count --repeated --unique --ignore-case"],
        Operands::OnePath,
    ),
    // Left out: `-l` (runs pr), `--to-file`, `--from-file`, and all that is for folders.
    Form::reads(
        &["diff"],
        &[
            "-u -q -w -b -B -i -y -c -a -s -p -t -E -Z -d -U# -C# -W# -I* --unified?# --brief --ignore-all-space \
            --ignore-space-change --ignore-blank-lines --ignore-case --side-by-side --color?* --strip-trailing-cr \
            --report-identical-files --suppress-common-lines --width#",
        ],
        Operands::Files,
    ),
    Form::reads(&["grep"], &[GREP], Operands::PatternThenPaths),
    Form::reads(&["egrep"], &[GREP], Operands::PatternThenPaths),
    Form::reads(&["fgrep"], &[GREP], Operands::PatternThenPaths),
    Form::reads(&["rg"], &[RG], Operands::PatternThenPaths),
    // Left out: `-x`, `-X` (run programs), `-l` (runs ls), `-L`, `--base-directory`, `--search-path`.
    Form::reads(
        &["fd"],
        &[
            "-H -I -s -i -g -F -a -p -0 -u -t* -e* -E* -d# --hidden --no-ignore --case-sensitive --ignore-case --glob \
            --fixed-strings --absolute-path --full-path --type* --extension* --exclude* --max-depth# --min-depth# \
            --color*",
        ],
        Operands::PatternThenPaths,
    ),
    Form::reads(&["find"], &[FIND], Operands::Paths).whole_word_flags(),
    // Scripts are judged by the operand: `e` runs programs, `w` writes, `r` reads. Left out: `-i`, `-e`, `-f`.
    Form::reads(
        &["sed"],
        &["-n -E -r --quiet --silent --regexp-extended"],
        Operands::LinesThenPaths,
    ),
    Form::reads(
        &["stat"],
        &["-c* -f -t --format* --printf* --terse --file-system"],
        Operands::Paths,
    ),
    // Left out: `-C` (writes), `-f`, `-m`, `-z` (runs decompressors).
    Form::reads(
        &["file"],
        &["-b -i --brief --mime --mime-type --mime-encoding"],
        Operands::Paths,
    ),
    Form::reads(
        &["du"],
        &[
            "-s -h -a -b -k -m -c -d# --summarize --human-readable --all --total --max-depth# --apparent-size --exclude*",
        ],
        Operands::Paths,
    ),
    Form::reads(&["df"], &["-h -k -T -i --human-readable"], Operands::Paths),
    // Left out: `-o` and `-R` (write), `--fromfile`, `-l` (links are followed).
    Form::reads(
        &["tree"],
        &["-a -d -f -h -s -D -F -C -n -L# -I* -P* --gitignore --dirsfirst --noreport --prune"],
        Operands::Paths,
    )
    .whole_word_flags(),
    Form::reads(&["od"], &["-A* -t* -c -x -d -o -b -v -N# -j#"], Operands::Paths),
    Form::reads(&["hexdump"], &["-C -n# -s# -v"], Operands::Paths),
    // Left out: `-r` (writes).
    Form::reads(&["xxd"], &["-l# -s# -c# -g# -p -b -u -i"], Operands::OnePath).whole_word_flags(),
    // Left out: `-c` (reads whatever files a list names).
    Form::reads(&["sha256sum"], &[], Operands::Paths),
    Form::reads(&["sha1sum"], &[], Operands::Paths),
    Form::reads(&["md5sum"], &[], Operands::Paths),
    Form::reads(&["cksum"], &[], Operands::Paths),
    Form::reads(&["basename"], &["-a -s* -z"], Operands::Text),
    Form::reads(&["dirname"], &["-z"], Operands::Text),
    Form::reads(&["realpath"], &["-e -m -s -q -z"], Operands::Paths),
    Form::reads(&["readlink"], &["-f -e -m -n -q -z"], Operands::Paths),
    Form::reads(&["which"], &["-a"], Operands::Text),
    // Left out: `-s` and plain digits (set the clock), `-f` (prints the lines of a file).
    Form::reads(
        &["date"],
        &["-u -R -I?* --utc --rfc-email --iso-8601?*"],
        Operands::DateFormat,
    ),
    Form::reads(&["uname"], &["-a -s -r -m -n -p -o -v"], Operands::None),
    Form::reads(&["id"], &["-u -g -G -n"], Operands::None),
    Form::reads(&["whoami"], &[], Operands::None),
    Form::reads(&["nproc"], &["--all"], Operands::None),
    Form::reads(&["arch"], &[], Operands::None),
    Form::reads(&["uptime"], &[], Operands::None),
];
