//! Which calls of one turn may run side by side.

use std::path::Path;

use agent_security::permission::Action;

/// Whether two calls must run one after the other, in the order in which they were asked for.
///
/// Reads never conflict with reads. A write conflicts with every read or write of the same path, of a folder
/// above it (a search sees it) and of anything below it. A command may touch anything, so it conflicts with
/// everything but internal actions.
pub fn conflicts(a: &[Action<'_>], b: &[Action<'_>]) -> bool {
    a.iter()
        .any(|left| b.iter().any(|right| pair_conflicts(left, right)))
}

fn pair_conflicts(a: &Action<'_>, b: &Action<'_>) -> bool {
    match (a, b) {
        (Action::Internal, _) | (_, Action::Internal) | (Action::Read(_), Action::Read(_)) => false,
        (Action::Command(_), _) | (_, Action::Command(_)) => true,
        (Action::Read(a) | Action::Write(a), Action::Read(b) | Action::Write(b)) => {
            overlap(a.as_path(), b.as_path())
        }
    }
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
        let command = Action::Command("true");
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
            (&Action::Internal, &Action::Internal, false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(conflicts(&[*a], &[*b]), expected, "{a:?} {b:?}");
            assert_eq!(conflicts(&[*b], &[*a]), expected, "{b:?} {a:?}");
        }
        assert!(conflicts(&[read, Action::Internal], &[Action::Internal, write]));
    }
}
