use std::os::unix::fs::PermissionsExt as _;

use chrono::TimeDelta;

use super::*;

/// As the kernel does it: nothing of the process runs any more.
fn kill(watch: OwnWatch) {
    std::mem::forget(watch);
}

fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn begin(folder: &Path) -> OwnWatch {
    OwnWatch::begin(folder, "1.2.3").unwrap()
}

#[test]
fn an_end_in_order_leaves_nothing_to_report() {
    let folder = tempfile::tempdir().unwrap();
    let watch = begin(folder.path());
    assert!(watch.found().is_none() && watch.safe_mode().is_none());
    watch.ended_in_order();
    assert!(begin(folder.path()).found().is_none());
    assert_eq!(files_in(folder.path()), ["starts.json"]);
}

#[test]
fn a_kill_is_reported_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("crash");
    kill(begin(&place));
    let watch = begin(&place);
    let (file, report) = watch.found().unwrap();
    assert_eq!(
        (report.ended, &*report.version, report.pid),
        (Ended::Killed, "1.2.3", std::process::id())
    );
    let kept: CrashReport = files::read(file).unwrap().unwrap();
    assert_eq!(&kept, report);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(watch.recent_crashes(), 1);
    drop(watch);
    assert!(
        begin(&place).found().is_none(),
        "a drop without a panic is an end in order"
    );
}

#[test]
fn a_panic_is_in_the_report_and_only_one_of_the_main_thread_is_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (thread, ended) in [("tokio-rt-worker", Ended::Killed), ("main", Ended::Panicked)] {
        let watch = begin(folder.path());
        let notes = watch.panics();
        let noting = std::thread::Builder::new().name(thread.to_owned());
        noting
            .spawn(move || notes.note(&"é".repeat(20_000)))
            .unwrap()
            .join()
            .unwrap();
        kill(watch);
        let watch = begin(folder.path());
        let (_, report) = watch.found().unwrap();
        assert_eq!(report.ended, ended);
        let panic = report.last_panic.as_ref().unwrap();
        assert_eq!((panic.thread.as_str(), panic.text.len()), (thread, 16 * 1024));
        kill(watch);
        assert!(
            begin(folder.path()).found().unwrap().1.last_panic.is_none(),
            "told once"
        );
    }
}

#[test]
fn a_watch_that_a_panic_drops_leaves_its_marker() {
    let folder = tempfile::tempdir().unwrap();
    let watch = begin(folder.path());
    std::thread::spawn(move || {
        let _watch = watch;
        panic!("on purpose");
    })
    .join()
    .unwrap_err();
    assert!(begin(folder.path()).found().is_some());
}

#[test]
fn a_machine_that_was_started_again_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = begin(folder.path());
    watch.marker.boot = Some("another".to_owned());
    watch.marker.write(folder.path()).unwrap();
    kill(watch);
    let watch = begin(folder.path());
    assert_eq!(watch.found().unwrap().1.ended, Ended::MachineStopped);
    assert_eq!(watch.recent_crashes(), 0);
}

#[test]
fn five_crashes_in_half_an_hour_are_a_loop_and_an_end_in_order_is_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let began = Utc::now();
    let at = |minute| OwnWatch::begin_at(folder.path(), "1", began + TimeDelta::minutes(minute)).unwrap();
    kill(at(0));
    for minute in 1..=4 {
        let watch = at(minute);
        assert_eq!(watch.safe_mode(), None, "minute {minute}");
        kill(watch);
    }
    let watch = at(5);
    let why = watch.safe_mode().unwrap();
    assert!(why.contains("5 times within 30 minutes"), "{why}");
    watch.ended_in_order();
    let watch = at(6);
    assert_eq!(watch.safe_mode(), None);
    kill(watch);
    assert_eq!(at(7).safe_mode(), None);
}

#[test]
fn crashes_that_are_half_an_hour_apart_are_no_loop() {
    let folder = tempfile::tempdir().unwrap();
    let began = Utc::now();
    for hour in 0..10 {
        let watch = OwnWatch::begin_at(folder.path(), "1", began + TimeDelta::minutes(hour * 30)).unwrap();
        assert_eq!(watch.safe_mode(), None);
        kill(watch);
    }
}

#[test]
fn the_folder_stays_small_however_often_it_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let began = Utc::now();
    for second in 0..100 {
        let watch = OwnWatch::begin_at(folder.path(), "1", began + TimeDelta::seconds(second)).unwrap();
        watch.panics().note(&"\u{1}".repeat(100_000));
        kill(watch);
    }
    let names = files_in(folder.path());
    let reports = names.iter().filter(|name| name.starts_with("report-")).count();
    assert_eq!(reports, MAX_REPORTS, "{names:?}");
    let latest = names.iter().rfind(|name| name.starts_with("report-")).unwrap();
    let report: CrashReport = files::read(&folder.path().join(latest)).unwrap().unwrap();
    assert_eq!(report.found_at, began + TimeDelta::seconds(99));
    let sizes = names
        .iter()
        .map(|name| folder.path().join(name).metadata().unwrap().len());
    assert!(sizes.sum::<u64>() < 2 * 1024 * 1024);
    assert_eq!(Starts::read(folder.path()).totals(), (0, 99));
}

#[test]
fn files_that_something_else_put_there_stop_nobody() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["running.json", "panic.json", "starts.json"] {
        std::fs::write(folder.path().join(name), b"\xff{").unwrap();
    }
    let watch = begin(folder.path());
    assert_eq!(watch.found().unwrap().1.ended, Ended::Killed);
    assert_eq!(watch.recent_crashes(), 1);
}

#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (place, foreign) = (folder.path().join("crash"), folder.path().join("foreign"));
    std::fs::create_dir(&place).unwrap();
    std::fs::write(&foreign, "{}").unwrap();
    std::os::unix::fs::symlink(&foreign, place.join("starts.new")).unwrap();
    OwnWatch::begin(&place, "1").unwrap_err();
    std::fs::remove_file(place.join("starts.new")).unwrap();
    std::os::unix::fs::symlink(&foreign, place.join("running.json")).unwrap();
    assert_eq!(
        begin(&place).found().unwrap().1.started_at,
        None,
        "it is there, and is not read"
    );
    #[expect(clippy::disallowed_methods, reason = "two bytes")]
    let untouched = std::fs::read_to_string(&foreign).unwrap();
    assert_eq!(untouched, "{}");
}

#[tokio::test(start_paused = true)]
async fn the_marker_says_that_its_process_lives() {
    let folder = tempfile::tempdir().unwrap();
    let watch = begin(folder.path());
    let metrics = MetricsCollector::new();
    watch.record(&metrics);
    let resident = metrics.gauge("process.memory_rss", MetricUnit::Bytes, NO_TAGS);
    resident.set(123.0);
    let token = CancellationToken::new();
    let living = watch.signs_of_life(Some(metrics), token.clone());
    let read = || -> Marker { files::read(&folder.path().join("running.json")).unwrap().unwrap() };
    assert_eq!(read().resident_bytes, 0);
    let stop = async {
        while read().resident_bytes == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        token.cancel();
    };
    tokio::join!(living, stop);
    assert!(read().seen_at > watch.marker.seen_at);
}
