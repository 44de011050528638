//! Changes to a log that was written: each is found.

use super::*;

#[test]
fn every_change_of_a_single_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 7, 1000);
    let all = files(folder.path());
    assert!(all.len() > 1);
    for path in all {
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            for change in [0x01, 0x20, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= change;
                std::fs::write(&path, &bad).unwrap();
                assert!(
                    checked(folder.path()).is_err(),
                    "{}: byte {at} ^ {change}",
                    path.display()
                );
            }
        }
        std::fs::write(&path, good).unwrap();
    }
    checked(folder.path()).unwrap();
}

#[test]
fn every_line_removed_added_or_moved_and_every_cut_is_found() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 9, 1500);
    let all = files(folder.path());
    for path in &all {
        let good = std::fs::read(path).unwrap();
        let lines: Vec<&[u8]> = good.split_inclusive(|&byte| byte == b'\n').collect();
        let mut bad = Vec::new();
        for at in 0..lines.len() {
            let mut removed = lines.clone();
            removed.remove(at);
            bad.push(removed.concat());
            let mut twice = lines.clone();
            twice.insert(at, lines[at]);
            bad.push(twice.concat());
            if at > 0 {
                let mut moved = lines.clone();
                moved.swap(at - 1, at);
                bad.push(moved.concat());
            }
            let mut blank = lines.clone();
            blank.insert(at, b"\n");
            bad.push(blank.concat());
        }
        bad.extend((0..good.len()).map(|length| good[..length].to_vec()));
        for (number, bad) in bad.iter().enumerate() {
            std::fs::write(path, bad).unwrap();
            assert!(
                checked(folder.path()).is_err(),
                "{}: change {number}",
                path.display()
            );
        }
        std::fs::remove_file(path).unwrap();
        assert!(checked(folder.path()).is_err(), "{} removed", path.display());
        std::fs::write(path, good).unwrap();
    }
    checked(folder.path()).unwrap();
}

/// Changes the event of line `at` and seals it anew, and with it the lines that follow it where `whole` says so. Gives the new head.
fn forge(path: &Path, at: usize, whole: bool) -> Head {
    let text = std::fs::read_to_string(path).unwrap();
    let mut forged = String::new();
    let mut head = Head::default();
    for (number, line) in text.lines().enumerate() {
        let (mut record, old) = Record::open(line.as_bytes()).unwrap();
        if number == at {
            record.event = call(4711);
        }
        if number > at && whole {
            record.prev.clone_from(&head.hash);
        }
        let (line, sealed) = record.seal().unwrap();
        forged.push_str(&line);
        head = if number < at { old } else { sealed };
    }
    std::fs::write(path, forged).unwrap();
    head
}

#[test]
fn a_line_that_was_changed_and_sealed_anew_breaks_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 6, MAX_SEGMENT_BYTES);
    let path = files(folder.path()).pop().unwrap();
    let good = std::fs::read(&path).unwrap();
    for at in 0..6 {
        forge(&path, at, false);
        assert!(checked(folder.path()).is_err(), "line {at}");
        std::fs::write(&path, &good).unwrap();
    }
    checked(folder.path()).unwrap();
}

#[test]
fn lines_before_a_checkpoint_can_not_be_forged_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 300, MAX_SEGMENT_BYTES);
    let path = files(folder.path()).pop().unwrap();
    let head = forge(&path, 10, true);
    std::fs::write(
        folder.path().join(segments::HEAD),
        format!("{:020}:{}\n", head.seq, head.hash),
    )
    .unwrap();
    let fault = checked(folder.path()).unwrap_err();
    assert!(fault.what.contains("signature"), "{fault}");
}

/// Cuts the last line off the newest segment.
fn cut_last_line(folder: &Path) {
    let path = files(folder).pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let end = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    std::fs::write(&path, &text[..end]).unwrap();
}

#[test]
fn a_cut_end_is_still_found_after_the_log_went_on() {
    for cut in [
        (|folder: &Path| cut_last_line(folder)) as fn(&Path),
        |folder| {
            cut_last_line(folder);
            std::fs::write(folder.join(segments::HEAD), "").unwrap();
        },
        |folder| {
            files(folder)
                .iter()
                .for_each(|path| std::fs::remove_file(path).unwrap())
        },
    ] {
        let folder = tempfile::tempdir().unwrap();
        log(folder.path(), 5, MAX_SEGMENT_BYTES);
        cut(folder.path());
        log(folder.path(), 3, MAX_SEGMENT_BYTES);
        let fault = checked(folder.path()).unwrap_err();
        assert!(fault.what.contains("were missing"), "{fault}");
        let told = events(folder.path());
        let lost = |event: &&AuditEvent| matches!(event, AuditEvent::LinesMissing { .. });
        assert_eq!(told.iter().filter(lost).count(), 1, "{told:?}");
    }
}

/// What somebody may do to lines: of all segments together, by number modulo how many there are.
#[derive(Clone, Debug)]
enum Tampering {
    Edit { line: usize, at: usize, change: u8 },
    Replace { line: usize, by: usize },
    Remove { from: usize, count: usize },
    Repeat { from: usize, count: usize, to: usize },
    Move { from: usize, count: usize, to: usize },
    Reverse { from: usize, count: usize },
    Cut { after: usize },
    CutBytes { bytes: usize },
}

impl Tampering {
    fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        use proptest::prelude::*;
        let (place, count) = (0..64_usize, 1..5_usize);
        prop_oneof![
            (place.clone(), 0..4096_usize, 1..=255_u8).prop_map(|(line, at, change)| Self::Edit {
                line,
                at,
                change
            }),
            (place.clone(), place.clone()).prop_map(|(line, by)| Self::Replace { line, by }),
            (place.clone(), count.clone()).prop_map(|(from, count)| Self::Remove { from, count }),
            (place.clone(), count.clone(), place.clone()).prop_map(|(from, count, to)| Self::Repeat {
                from,
                count,
                to
            }),
            (place.clone(), count.clone(), place.clone()).prop_map(|(from, count, to)| Self::Move {
                from,
                count,
                to
            }),
            (place.clone(), 2..6_usize).prop_map(|(from, count)| Self::Reverse { from, count }),
            place.prop_map(|after| Self::Cut { after }),
            (1..2000_usize).prop_map(|bytes| Self::CutBytes { bytes }),
        ]
    }

    /// Each line with its end, and the segment that it is in.
    fn apply(&self, lines: &mut Vec<(usize, Vec<u8>)>) {
        let all = lines.len();
        let range = |from: usize, count: usize| {
            let from = from % all;
            from..(from + count).min(all)
        };
        match *self {
            Self::Edit { line, at, change } => {
                let line = &mut lines[line % all].1;
                let at = at % line.len();
                line[at] ^= change;
            }
            Self::Replace { line, by } => lines[line % all].1 = lines[by % all].1.clone(),
            Self::Remove { from, count } => drop(lines.drain(range(from, count))),
            Self::Repeat { from, count, to } => {
                let again = lines[range(from, count)].to_vec();
                lines.splice(to % all..to % all, again);
            }
            Self::Move { from, count, to } => {
                let moved: Vec<_> = lines.drain(range(from, count)).collect();
                let to = to % (lines.len() + 1);
                lines.splice(to..to, moved);
            }
            Self::Reverse { from, count } => lines[range(from, count)].reverse(),
            Self::Cut { after } => lines.truncate(after % all),
            Self::CutBytes { bytes } => {
                let mut left = bytes;
                while left > 0
                    && let Some((_, line)) = lines.last_mut()
                {
                    let cut = left.min(line.len());
                    line.truncate(line.len() - cut);
                    left -= cut;
                    if line.is_empty() {
                        lines.pop();
                    }
                }
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_edit_removal_reordering_or_cut_is_found(
        acts in 2..14_usize,
        max_segment in 300..3000_u64,
        done in proptest::collection::vec(Tampering::any(), 1..4),
        removes_empty_segments in proptest::bool::ANY,
    ) {
        let folder = tempfile::tempdir().unwrap();
        log(folder.path(), acts, max_segment);
        checked(folder.path()).unwrap();
        let paths = files(folder.path());
        let mut lines = Vec::new();
        for (segment, path) in paths.iter().enumerate() {
            let text = std::fs::read(path).unwrap();
            lines.extend(text.split_inclusive(|&byte| byte == b'\n').map(|line| (segment, line.to_vec())));
        }
        let texts = |lines: &[(usize, Vec<u8>)]| -> Vec<Vec<u8>> {
            let of = |segment| lines.iter().filter(move |(of, _)| *of == segment);
            let text = |segment| of(segment).flat_map(|(_, line)| line.iter().copied()).collect();
            (0..paths.len()).map(text).collect()
        };
        let before = texts(&lines);
        for tampering in &done {
            if !lines.is_empty() {
                tampering.apply(&mut lines);
            }
        }
        let after = texts(&lines);
        // Two changes may undo each other, and one may change nothing.
        proptest::prop_assume!(after != before);
        for (path, text) in paths.iter().zip(&after) {
            match text.is_empty() && removes_empty_segments {
                true => std::fs::remove_file(path).unwrap(),
                false => std::fs::write(path, text).unwrap(),
            }
        }
        match checked(folder.path()) {
            Err(_) => {}
            // Half a line after all of them is what a crash leaves, and is told.
            Ok(verified) => {
                let added = after.concat().strip_prefix(&before.concat()[..]).map(<[u8]>::to_vec);
                let added = added.unwrap_or_default();
                proptest::prop_assert!(
                    verified.torn > 0 && verified.torn == added.len() && !added.contains(&b'\n'),
                    "{done:?}"
                );
            }
        }
    }
}
