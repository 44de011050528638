//! With real processes: a stand-in for the agent is killed, and the next start finds what it left.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use super::file::{Child, LedgerFile, Line, Owner};
use super::{ChildLedger, FOLDER, MARK, MAX_CHILDREN, proc, reap_orphans};

/// Where the stand-in works; set only for the process that a test starts.
const DATA: &str = "AGENT_PERFORMANCE_TEST_DATA_FOLDER";
const STAND_IN: &str = "cleanup::children::tests::stand_in_for_an_agent_that_is_killed";

#[expect(
    clippy::disallowed_methods,
    reason = "the tests end these children themselves"
)]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// A process that does nothing. Ended when dropped, so that a failing test leaves nobody.
struct Sleeper(Process);

fn sleeper() -> Sleeper {
    let mut sleep = command("sleep");
    sleep.arg("300").stdout(Stdio::null()).stderr(Stdio::null());
    Sleeper(sleep.spawn().expect("starts"))
}

impl Sleeper {
    fn id(&self) -> u32 {
        self.0.id()
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("ours").is_none()
    }

    fn end(&mut self) {
        // Failing means that it has ended.
        drop(self.0.kill());
        self.0.wait().expect("ours");
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_alive(pid: u32) -> bool {
    proc::stat(pid).is_ok_and(|stat| !stat.zombie)
}

#[expect(clippy::disallowed_methods, reason = "files of a test, a line each")]
fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[track_caller]
fn wait_for<T>(mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A ledger as a dead process would have left it. Its owner has our number, and another start time.
fn left_behind(data: &Path, children: &[Child]) -> Owner {
    let mut owner = Owner::this_process().expect("/proc");
    owner.start += 1;
    let mut file = LedgerFile::create(&data.join(FOLDER), owner.clone()).expect("made");
    for child in children {
        file.begin(child.clone()).expect("written");
    }
    if children.is_empty() {
        std::mem::forget(file);
    }
    owner
}

fn ledgers(data: &Path) -> usize {
    std::fs::read_dir(data.join(FOLDER)).map_or(0, Iterator::count)
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how the test tells its second process what it is"
)]
fn stand_in_for_an_agent_that_is_killed() {
    let Ok(data) = std::env::var(DATA) else { return };
    let data = Path::new(&data);
    let ledger = ChildLedger::open(data).expect("opens");
    let (name, mark) = ledger.mark();
    let (mut entries, mut children) = (Vec::new(), Vec::new());
    for number in 0..10 {
        // A leader of its own group that stays; a child in its group; and one that forks twice into a session of its
        // own and whose parents are gone.
        let script = format!(
            "sleep 60 & echo $! > {number}.child; setsid sh -c 'sleep 60 & echo $! > {number}.daemon' & echo $$ > {number}.leader; wait; sleep 60"
        );
        let mut shell = command("/usr/bin/setsid");
        shell
            .args(["/bin/sh", "-c", &script])
            .env(name, mark)
            .current_dir(data)
            .stderr(Stdio::null());
        let child = shell.spawn().expect("starts");
        entries.push(ledger.record(child.id(), "/bin/sh").expect("recorded"));
        children.push(child);
    }
    // A group whose leader has ended: only the mark proves whose it is.
    let mut gone = command("/usr/bin/setsid");
    gone.args(["/bin/sh", "-c", "sleep 60 & echo $! > 10.child"])
        .env(name, mark)
        .current_dir(data);
    let mut gone = gone.spawn().expect("starts");
    entries.extend(ledger.record(gone.id(), "sh"));
    gone.wait().expect("ends");
    std::fs::write(data.join("ready"), "").expect("written");
    std::thread::sleep(Duration::from_secs(60));
    // Only reached when nobody killed us: then this fails, and says that the test above is broken.
    panic!("{} children of an agent that was not killed", children.len());
}

#[test]
fn a_killed_agent_leaves_nobody_after_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let mut agent = command(
        std::env::current_exe()
            .expect("this program")
            .to_str()
            .expect("plain"),
    )
    .args(["--exact", STAND_IN])
    .env(DATA, data)
    .stdout(Stdio::null())
    .spawn()
    .expect("starts");
    let pid = |name: String| wait_for(|| content(&data.join(&name)).trim().parse::<u32>().ok());
    let mut pids = Vec::new();
    for number in 0..10 {
        pids.extend(["leader", "child", "daemon"].map(|name| pid(format!("{number}.{name}"))));
    }
    pids.push(pid("10.child".into()));
    wait_for(|| data.join("ready").exists().then_some(()));

    let before = reap_orphans(data).expect("reads");
    assert_eq!(
        (before.left_alone, before.killed.len()),
        (1, 0),
        "its writer lives"
    );
    assert!(pids.iter().all(|pid| is_alive(*pid)));

    agent.kill().expect("without a chance to clean up");
    agent.wait().expect("reaped");
    assert!(
        pids.iter().all(|pid| is_alive(*pid)),
        "they survive it, or there would be nothing to do"
    );
    let begun = Instant::now();
    let report = reap_orphans(data).expect("reads");
    for pid in pids {
        wait_for(|| (!is_alive(pid)).then_some(()));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(
        report
            .killed
            .iter()
            .filter(|reaped| reaped.command == "sh")
            .count(),
        10
    );
    assert_eq!(
        (report.survivors, report.recycled, report.unreadable.len()),
        (0, 0, 0)
    );
    assert_eq!(ledgers(data), 0);
}

#[test]
fn a_number_that_belongs_to_others_by_now_is_never_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bystander = sleeper();
    let stat = proc::stat(bystander.id()).expect("alive");
    for start in [stat.start - 1, stat.start + 1, 0, u64::MAX] {
        let child = Child {
            pid: bystander.id(),
            group: bystander.id(),
            start,
            command: "sleep".into(),
        };
        left_behind(folder.path(), &[child]);
        let report = reap_orphans(folder.path()).expect("reads");
        assert_eq!((report.recycled, report.killed.len()), (1, 0));
        assert!(bystander.is_alive());
    }
    // The same with the right start time is the child itself. It leads no group: ours must not be signalled.
    let child = Child {
        pid: bystander.id(),
        group: stat.group,
        start: stat.start,
        command: "sleep".into(),
    };
    left_behind(folder.path(), &[child]);
    assert_eq!(reap_orphans(folder.path()).expect("reads").killed.len(), 1);
    wait_for(|| (!bystander.is_alive()).then_some(()));
    assert_eq!(ledgers(folder.path()), 0);
}

#[test]
fn the_group_of_a_child_ends_with_it_also_without_marks() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shell = command("/usr/bin/setsid");
    shell.args(["/bin/sh", "-c", "sleep 60 & echo $! > member; wait"]);
    shell
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut leader = Sleeper(shell.spawn().expect("starts"));
    let member: u32 = wait_for(|| content(&folder.path().join("member")).trim().parse().ok());
    let stat = proc::stat(leader.id()).expect("alive");
    assert_eq!(stat.group, leader.id());
    let child = Child {
        pid: leader.id(),
        group: stat.group,
        start: stat.start,
        command: "sh".into(),
    };
    left_behind(folder.path(), &[child]);
    assert_eq!(reap_orphans(folder.path()).expect("reads").killed.len(), 1);
    wait_for(|| (!leader.is_alive() && !is_alive(member)).then_some(()));
}

#[test]
fn hostile_numbers_reach_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = std::process::id();
    let start = |pid| proc::stat(pid).map_or(0, |stat| stat.start);
    let children: Vec<Child> = [0, 1, own, u32::MAX, i32::MAX as u32]
        .map(|pid| Child {
            pid,
            group: pid,
            start: start(pid),
            command: String::new(),
        })
        .to_vec();
    left_behind(folder.path(), &children);
    let report = reap_orphans(folder.path()).expect("reads");
    assert_eq!(report.killed, []);
}

#[test]
fn other_boots_other_numberings_and_rubbish() {
    let folder = tempfile::tempdir().expect("a folder");
    let children = folder.path().join(FOLDER);
    let mut bystander = sleeper();
    let stat = proc::stat(bystander.id()).expect("alive");
    let child = Child {
        pid: bystander.id(),
        group: stat.group,
        start: stat.start,
        command: "sleep".into(),
    };
    let mut owner = Owner::this_process().expect("/proc");
    owner.start += 1;
    let write = |change: fn(&mut Owner)| {
        let mut owner = owner.clone();
        change(&mut owner);
        let mut file = LedgerFile::create(&children, owner).expect("made");
        file.begin(child.clone()).expect("written");
    };
    write(|owner| owner.boot = "another".into());
    write(|owner| owner.namespace = "pid:[1]".into());
    std::fs::write(children.join("rubbish"), [0, 159, 146, 150]).expect("written");
    std::fs::write(children.join("torn.jsonl"), "{\"owner\":{\"pi").expect("written");
    std::os::unix::fs::symlink("/proc/self/environ", children.join("link")).expect("made");
    let report = reap_orphans(folder.path()).expect("reads");
    assert_eq!(
        (report.killed.len(), report.left_alone, report.unreadable.len()),
        (0, 1, 1)
    );
    assert!(bystander.is_alive());
    assert_eq!(
        ledgers(folder.path()),
        4,
        "only the ledger of the other boot is gone"
    );
    assert_eq!(
        reap_orphans(Path::new("/nonexistent")).expect("no folder, no orphans"),
        Default::default()
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how the test tells its second process what it is"
)]
fn stand_in_for_an_agent_within_an_agent() {
    let Ok(data) = std::env::var(DATA) else { return };
    let report = reap_orphans(Path::new(&data)).expect("reads");
    assert_eq!((report.left_alone, report.killed.len()), (1, 0));
    std::fs::write(Path::new(&data).join("ready"), "").expect("written");
}

#[test]
fn an_agent_started_by_the_dead_one_does_not_end_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = left_behind(folder.path(), &[]).mark();
    let within = command(
        std::env::current_exe()
            .expect("this program")
            .to_str()
            .expect("plain"),
    )
    .args([
        "--exact",
        "cleanup::children::tests::stand_in_for_an_agent_within_an_agent",
    ])
    .env(DATA, folder.path())
    .env(MARK, mark)
    .stdout(Stdio::null())
    .status();
    assert!(within.expect("starts").success());
    assert!(folder.path().join("ready").exists());
    assert_eq!(ledgers(folder.path()), 1, "somebody else will have to");
}

#[test]
fn the_file_is_private_bounded_and_gone_in_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = ChildLedger::open(folder.path()).expect("opens");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&ledger.path()), 0o600);
    assert_eq!(mode(&folder.path().join(FOLDER)), 0o700);
    let mut child = sleeper();
    let kept = ledger
        .record(child.id(), "/usr/bin/sleep --secret")
        .expect("alive");
    for _ in 0..5 * MAX_CHILDREN {
        drop(ledger.record(child.id(), "sleep").expect("alive"));
    }
    // The same child many times over is one line's end for all; written anew, the file is short.
    assert!(content(&ledger.path()).lines().count() <= 4 * MAX_CHILDREN + 1);
    assert_eq!(mode(&ledger.path()), 0o600, "also when written anew");
    let mut many: Vec<_> = (0..MAX_CHILDREN)
        .map(|_| ledger.record(child.id(), "sleep"))
        .collect();
    assert!(
        ledger.record(child.id(), "sleep").is_err(),
        "more than are ever alive"
    );
    many.clear();
    child.end();
    assert!(ledger.record(child.id(), "sleep").is_err(), "gone already");
    let path = ledger.path();
    drop((kept, ledger));
    assert!(!path.exists());
}

#[test]
fn lines_read_as_they_were_written() {
    for (line, text) in [
        (
            Line::Ended { pid: 1, start: 2 },
            r#"{"ended":{"pid":1,"start":2}}"#,
        ),
        (
            Line::Began(Child {
                pid: 3,
                group: 4,
                start: 5,
                command: "sh".into(),
            }),
            r#"{"began":{"pid":3,"group":4,"start":5,"command":"sh"}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&line).expect("plain"), text);
        assert_eq!(serde_json::from_str::<Line>(text).expect("plain"), line);
    }
}
