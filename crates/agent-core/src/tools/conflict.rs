//! Which calls of one turn may run side by side.

use std::path::Path;

use agent_security::command::{CommandRules, CommandVerdict, classify};
use agent_security::permission::Action;

/// Whether two calls must run one after the other, in the order in which they were asked for.
///
/// Reads never conflict with reads. A write conflicts with every read or write of the same path, of a folder
/// above it (a search sees it) and of anything below it. A command that is known to read only is a read of everything;
/// any other may touch anything, so it conflicts with everything but internal actions and requests to
/// other hosts, which touch nothing here.
pub fn conflicts(a: &[Action<'_>], b: &[Action<'_>]) -> bool {
    a.iter()
        .any(|left| b.iter().any(|right| pair_conflicts(left, right)))
}

fn pair_conflicts(a: &Action<'_>, b: &Action<'_>) -> bool {
    match (a, b) {
        (Action::Internal | Action::Fetch(..), _)
        | (_, Action::Internal | Action::Fetch(..))
        | (Action::Read(_), Action::Read(_)) => false,
        (Action::Command(a), Action::Command(b)) => !(only_reads(a) && only_reads(b)),
        (Action::Command(command), Action::Read(_)) | (Action::Read(_), Action::Command(command)) => {
            !only_reads(command)
        }
        (Action::Command(_), Action::Write(_)) | (Action::Write(_), Action::Command(_)) => true,
        (Action::Read(a) | Action::Write(a), Action::Read(b) | Action::Write(b)) => {
            overlap(a.as_path(), b.as_path())
        }
    }
}

/// By the built-in table alone: a rule of the configuration says that a command may run, not that it changes nothing.
fn only_reads(command: &str) -> bool {
    let verdict = classify(command, &CommandRules::default());
    verdict == CommandVerdict::Known { read_only: true }
}

fn overlap(a: &Path, b: &Path) -> bool {
    let inside = |outer: &Path, inner: &Path| outer == Path::new(".") || inner.starts_with(outer);
    inside(a, b) || inside(b, a)
}

#[cfg(test)]
mod tests {
    use agent_security::path::{RelPath, check_relative};

    use super::*;

    fn path(text: &str) -> RelPath {
        check_relative(Path::new("/w"), text).expect("a plain path")
    }

    #[test]
    fn calls_conflict_when_one_could_see_the_other() {
        let (file, sibling, folder, root) = (path("src/a.rs"), path("src/a.rs.bak"), path("src"), path("."));
        let read = Action::Read(&file);
        let write = Action::Write(&file);
        let command = Action::Command("cargo build");
        let (looks, counts) = (
            Action::Command("ls src | head -n 3"),
            Action::Command("wc -l src/a.rs"),
        );
        let cases = [
            (&read, &read, false),
            (&read, &write, true),
            (&write, &write, true),
            (&write, &Action::Write(&sibling), false),
            (&write, &Action::Read(&folder), true),
            (&write, &Action::Read(&root), true),
            (&command, &read, true),
            (&command, &write, true),
            (&command, &command, true),
            (&command, &Action::Internal, false),
            (&looks, &counts, false),
            (&looks, &read, false),
            (&looks, &write, true),
            (&looks, &command, true),
            (&Action::Command("ls > list"), &read, true),
            (&Action::Command("made-up --look"), &read, true),
            (&Action::Internal, &Action::Internal, false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(conflicts(&[*a], &[*b]), expected, "{a:?} {b:?}");
            assert_eq!(conflicts(&[*b], &[*a]), expected, "{b:?} {a:?}");
        }
        assert!(conflicts(&[read, Action::Internal], &[Action::Internal, write]));
    }
}
