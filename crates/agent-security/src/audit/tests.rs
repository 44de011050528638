#![expect(
    clippy::disallowed_methods,
    reason = "tests read the small files that they wrote"
)]

use std::path::Path;

use agent_config::Secret;
use chrono::TimeZone as _;

use super::append::Appender;
use super::*;

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 2, 12, 0, 0).unwrap()
}

fn act(number: usize) -> AuditEvent {
    AuditEvent::Administered {
        act: format!("act {number}"),
        subject: "session".to_owned(),
        by: "cli".to_owned(),
    }
}

fn call(number: usize) -> AuditEvent {
    AuditEvent::ToolExecuted {
        session: "s".to_owned(),
        tool: "bash".to_owned(),
        action: format!("run {number}"),
        outcome: ToolOutcome::Done,
        duration_ms: 1,
    }
}

fn append(appender: &mut Appender, time: DateTime<Utc>, event: AuditEvent) -> Result<(), AuditError> {
    appender.append(vec![(time, event)]).pop().unwrap()
}

/// A log of so many acts in segments of so many bytes.
fn log(folder: &Path, acts: usize, max_segment: u64) {
    let mut appender = Appender::with_segments_of(folder.to_owned(), max_segment).unwrap();
    for number in 0..acts {
        append(&mut appender, noon(), call(number)).unwrap();
    }
}

fn checked(folder: &Path) -> Result<Verified, Fault> {
    verify(folder, &Expected::default()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    segments::list(folder)
        .unwrap()
        .into_iter()
        .map(|(_, path)| path)
        .collect()
}

fn events(folder: &Path) -> Vec<AuditEvent> {
    let mut events = Vec::new();
    assert_eq!(read(folder, |record| events.push(record.event)).unwrap(), 0);
    events
}

#[test]
fn a_log_that_nobody_touched_verifies_over_processes_and_segments() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        checked(folder.path()).unwrap().lines,
        0,
        "nothing was recorded yet"
    );
    for _ in 0..3 {
        log(folder.path(), 300, 20_000);
    }
    let verified = checked(folder.path()).unwrap();
    assert!(files(folder.path()).len() > 3);
    assert!(verified.checkpoints as usize >= files(folder.path()).len());
    let calls = events(folder.path());
    let calls = calls
        .iter()
        .filter(|event| matches!(event, AuditEvent::ToolExecuted { .. }));
    assert_eq!(calls.count(), 900);
    let head = verified.head.to_string().parse::<Head>().unwrap();
    let expected = |head: Head| Expected {
        head: Some(head),
        public_key: verified.public_key.clone(),
    };
    assert!(verify(folder.path(), &expected(head.clone())).unwrap().is_ok());
    let other = Head {
        hash: "0".repeat(64),
        ..head
    };
    assert!(verify(folder.path(), &expected(other)).unwrap().is_err());
}

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

#[test]
fn a_chain_made_anew_is_not_taken_for_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 300, MAX_SEGMENT_BYTES);
    let old = checked(folder.path()).unwrap();
    std::fs::remove_dir_all(folder.path()).unwrap();
    log(folder.path(), 300, MAX_SEGMENT_BYTES);
    checked(folder.path()).unwrap();
    let by_key = Expected {
        public_key: old.public_key,
        head: None,
    };
    assert!(verify(folder.path(), &by_key).unwrap().is_err());
    let by_head = Expected {
        public_key: None,
        head: Some(old.head),
    };
    assert!(verify(folder.path(), &by_head).unwrap().is_err());
}

#[test]
fn a_torn_line_is_kept_aside_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 3, MAX_SEGMENT_BYTES);
    let path = files(folder.path()).pop().unwrap();
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_slice(b"{\"seq\":4,\"ti");
    std::fs::write(&path, torn).unwrap();
    assert_eq!(checked(folder.path()).unwrap().torn, 12, "a crash is no change");
    log(folder.path(), 1, MAX_SEGMENT_BYTES);
    assert_eq!(checked(folder.path()).unwrap().torn, 0);
    let Some(AuditEvent::TornLine { kept_in }) = events(folder.path()).into_iter().nth(3) else {
        panic!("{:?}", events(folder.path()));
    };
    assert_eq!(
        std::fs::read(folder.path().join(kept_in)).unwrap(),
        b"{\"seq\":4,\"ti"
    );
}

#[test]
fn the_oldest_segment_goes_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), MAX_SEGMENTS + 5, 1);
    assert_eq!(files(folder.path()).len(), MAX_SEGMENTS);
    let verified = checked(folder.path()).unwrap();
    assert!(verified.first > 1);
    std::fs::remove_file(&files(folder.path())[0]).unwrap();
    assert!(checked(folder.path()).is_err(), "this one nobody told of");
}

#[test]
fn a_segment_that_was_ended_or_only_begun_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 4, 1);
    let begun = files(folder.path()).pop().unwrap();
    assert_eq!(std::fs::metadata(&begun).unwrap().len(), 0);
    log(folder.path(), 1, MAX_SEGMENT_BYTES);
    checked(folder.path()).unwrap();
    log(folder.path(), 1, 1);
    std::fs::remove_file(files(folder.path()).pop().unwrap()).unwrap();
    log(folder.path(), 1, MAX_SEGMENT_BYTES);
    checked(folder.path()).unwrap();
}

#[test]
fn writers_at_the_same_time_make_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| log(folder.path(), 150, 10_000));
        }
    });
    checked(folder.path()).unwrap();
    let calls = events(folder.path());
    let calls = calls
        .iter()
        .filter(|event| matches!(event, AuditEvent::ToolExecuted { .. }));
    assert_eq!(calls.count(), 600);
}

#[test]
fn secrets_and_long_texts_do_not_get_in() {
    let folder = tempfile::tempdir().unwrap();
    let redactor = Redactor::new(vec![Secret::from("planted-secret-in-the-audit")]);
    let log = AuditLog::open(folder.path().to_owned(), redactor, noon, WhenUnwritable::Refuse).unwrap();
    // It lies over the place where the text is cut.
    let text = format!("{}planted-secret-in-the-audit", "x".repeat(MAX_TEXT - 9));
    log.record(AuditEvent::LoginFailed { client: text }).unwrap();
    let text = std::fs::read_to_string(&files(folder.path())[0]).unwrap();
    assert!(!text.contains("planted"), "{text}");
    assert!(text.len() < MAX_TEXT + 400);
}

#[test]
fn what_can_not_be_recorded_is_refused_or_told() {
    let folder = tempfile::tempdir().unwrap();
    let open = |when| AuditLog::open(folder.path().join("audit"), Redactor::new(Vec::new()), noon, when);
    let (strict, lax) = (
        open(WhenUnwritable::Refuse).unwrap(),
        open(WhenUnwritable::Warn).unwrap(),
    );
    strict.record(act(1)).unwrap();
    let path = files(&folder.path().join("audit")).pop().unwrap();
    std::fs::write(&path, "somebody else's line\n").unwrap();
    let error = strict.record(act(2)).unwrap_err().to_string();
    assert!(error.contains("audit verify"), "{error}");
    lax.record(act(2)).unwrap();
    assert!(open(WhenUnwritable::Warn).is_err(), "told at the start");
    AuditLog::off().record(act(3)).unwrap();
}

#[test]
fn only_the_owner_can_read_it_and_links_are_not_followed() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    log(&audit, 1, MAX_SEGMENT_BYTES);
    for entry in std::fs::read_dir(&audit).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    assert_eq!(audit.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let segment = files(&audit).pop().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&segment, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &segment).unwrap();
    assert!(Appender::open(audit.clone()).is_err());
    assert!(verify(&audit, &Expected::default()).is_err());
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

#[test]
fn lines_are_signed_by_time_too_and_only_when_there_are_any() {
    let folder = tempfile::tempdir().unwrap();
    let mut appender = Appender::open(folder.path().to_owned()).unwrap();
    let at = |minutes| noon() + TimeDelta::minutes(minutes);
    let signed = |folder: &Path| checked(folder).unwrap().checkpoints;
    appender.sign_if_due(at(60), CHECKPOINT_WITHIN).unwrap();
    assert_eq!(signed(folder.path()), 0, "nothing to sign");
    append(&mut appender, at(0), call(1)).unwrap();
    append(&mut appender, at(9), call(2)).unwrap();
    assert_eq!(appender.unsigned_since(), Some(at(0)));
    appender.sign_if_due(at(9), CHECKPOINT_WITHIN).unwrap();
    assert_eq!(signed(folder.path()), 0);
    appender.sign_if_due(at(10), CHECKPOINT_WITHIN).unwrap();
    assert_eq!((signed(folder.path()), appender.unsigned_since()), (1, None));
    appender.sign_if_due(at(99), CHECKPOINT_WITHIN).unwrap();
    assert_eq!(signed(folder.path()), 1);
    append(&mut appender, at(100), call(3)).unwrap();
    // Another process takes up what this one left unsigned.
    let mut other = Appender::open(folder.path().to_owned()).unwrap();
    assert_eq!(other.unsigned_since(), Some(at(100)));
    other.sign_if_due(at(110), CHECKPOINT_WITHIN).unwrap();
    append(&mut appender, at(111), call(4)).unwrap();
    assert_eq!(
        appender.unsigned_since(),
        Some(at(111)),
        "the other one's signature counts"
    );
    assert_eq!(signed(folder.path()), 2);
}

fn strict(folder: &Path) -> AuditLog {
    let redactor = Redactor::default();
    AuditLog::open(folder.to_owned(), redactor, noon, WhenUnwritable::Refuse).unwrap()
}

fn asynchronous() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn events_of_tasks_are_all_written_in_their_order_and_beside_those_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let log = strict(folder.path());
    const EACH: usize = 2 * MAX_WAITING;
    std::thread::scope(|scope| {
        scope.spawn(|| (0..50).for_each(|number| log.record(call(number)).unwrap()));
        asynchronous().block_on(tokio::task::unconstrained(async {
            // More than may wait at once. What is asked for first is written first.
            let all = (0..EACH).map(|number| log.record_async(act(number)));
            let mut all: Vec<_> = all.map(Box::pin).collect();
            for one in &mut all {
                // Asked for, and given up where it has to wait for the disk: written all the same.
                let _begun = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(Future::poll(one.as_mut(), context).is_ready())
                })
                .await;
            }
            for one in all.split_off(MAX_WAITING) {
                one.await.unwrap();
            }
        }));
    });
    let verified = checked(folder.path()).unwrap();
    let standing = log.standing();
    assert_eq!((standing.written, standing.failed), (EACH as u64 + 50, 0));
    assert!(verified.lines >= standing.written);
    let acts: Vec<String> = events(folder.path())
        .into_iter()
        .filter_map(|event| match event {
            AuditEvent::Administered { act, .. } => Some(act),
            _ => None,
        })
        .collect();
    let wanted: Vec<String> = (0..EACH).map(|number| format!("act {number}")).collect();
    assert_eq!(acts, wanted);
}

#[test]
fn a_failure_is_told_to_each_who_waits_and_stands_until_something_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = strict(folder.path());
    log.record(act(0)).unwrap();
    let path = files(folder.path()).pop().unwrap();
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "somebody else's line\n").unwrap();
    let runtime = asynchronous();
    let both = || async { tokio::join!(log.record_async(act(1)), log.record_async(call(2))) };
    let (one, other) = runtime.block_on(both());
    assert!(one.is_err() && other.is_err() && log.sign_if_due().is_err());
    assert_eq!((log.standing().written, log.standing().failed), (1, 2));
    assert!(log.standing().failure.is_some());
    std::fs::write(&path, good).unwrap();
    let (one, other) = runtime.block_on(both());
    assert!(one.is_ok() && other.is_ok());
    assert_eq!((log.standing().written, log.standing().failure), (3, None));
    checked(folder.path()).unwrap();
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
