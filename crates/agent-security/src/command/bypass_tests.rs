//! Shapes by which allowlists of commands were got around, in published reports and in catalogues of programs
//! that do more than they seem to. None of them may ever be approved without asking.

mod programs;
mod shell;

use std::path::PathBuf;

use super::*;

/// What a shape is about, and command lines of that shape.
type Shape = (&'static str, &'static [&'static str]);

fn corpus() -> impl Iterator<Item = &'static Shape> {
    [shell::SHAPES, programs::SHAPES].into_iter().flatten()
}

#[test]
fn no_published_bypass_is_ever_known() {
    let rules = CommandRules::default().with_workspace(PathBuf::from("/repo/app"));
    let mut judged = 0;
    for (about, commands) in corpus() {
        for cmd in *commands {
            let verdict = classify(cmd, &rules);
            assert!(
                matches!(verdict, CommandVerdict::Unknown { .. }),
                "{about}: {cmd:?}: {verdict:?}"
            );
            judged += 1;
        }
    }
    assert!(judged > 300, "only {judged} command lines");
}

#[test]
fn a_bypass_is_not_known_beside_known_commands_either() {
    let rules = CommandRules::default().with_workspace(PathBuf::from("/repo/app"));
    for cmd in corpus().flat_map(|(_, commands)| *commands) {
        for around in [
            format!("ls && {cmd}"),
            format!("git status; {cmd}"),
            format!("cat a | {cmd}"),
            format!("{cmd} && ls"),
        ] {
            let verdict = classify(&around, &rules);
            assert!(
                matches!(verdict, CommandVerdict::Unknown { .. }),
                "{around:?}: {verdict:?}"
            );
        }
    }
}
