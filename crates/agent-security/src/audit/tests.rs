#![expect(
    clippy::disallowed_methods,
    reason = "tests read the small files that they wrote"
)]

mod tampering;

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
    appender.sign_if_due(at(50), CHECKPOINT_WITHIN).unwrap();
    assert_eq!(signed(folder.path()), 3, "a clock that was set back");
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
