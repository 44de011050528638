//! What happens to children when the whole agent is killed. The rest is tested through `bash`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use agent_performance::memory::MemoryPool;

use super::{End, Held, LiveOutput, Spec, open, run, spawn};
use crate::tools::Children;
use crate::tools::testing::{content, is_alive};

/// Where the stand-in for the agent works; set only for the process that the test below starts.
const FOLDER: &str = "AGENT_CORE_TEST_KILLED_AGENT_FOLDER";
const STAND_IN: &str = "tools::process::tests::stand_in_for_an_agent_that_is_killed";

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "how the test tells its second process what it is"
)]
async fn stand_in_for_an_agent_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let spec = Spec {
        program: "/bin/sh",
        arguments: &[
            "-c",
            "sleep 300 & echo $! > child; (sleep 300 & echo $! > grandchild); echo $$ > leader; wait",
        ],
        folder: Path::new(&folder),
        environment: &environment,
        timeout: Duration::from_secs(30),
        max_output: 100,
        children: &Children::default(),
    };
    run(&spec, &CancellationToken::new(), &LiveOutput::none())
        .await
        .expect("it starts");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test itself kills this child")]
fn children_die_with_an_agent_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut agent = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", STAND_IN])
        .env(FOLDER, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let pid = |name: &str| {
        wait_until(|| {
            let path = folder.path().join(name);
            let text = path.exists().then(|| content(&path))?;
            String::from_utf8(text).ok()?.trim().parse::<u32>().ok()
        })
    };
    let pids = [pid("leader"), pid("child"), pid("grandchild")];
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    agent.kill().expect("killed, without a chance to clean up");
    agent.wait().expect("reaped");
    for pid in pids {
        wait_until(|| (!is_alive(pid)).then_some(()));
    }
}

#[tokio::test]
async fn nothing_runs_before_its_watcher_knows_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let environment = BTreeMap::new();
    let spec = Spec {
        program: "/bin/sh",
        arguments: &["-c", "echo began > began"],
        folder: folder.path(),
        environment: &environment,
        timeout: Duration::from_secs(30),
        max_output: 100,
        children: &Children::default(),
    };
    for watched in [false, true] {
        let Held { mut child, gate, .. } = spawn(&spec).expect("it starts");
        if watched {
            open(gate);
        } else {
            drop(gate);
        }
        child.inner_mut().wait().await.expect("it ends");
        assert_eq!(folder.path().join("began").exists(), watched);
    }
}

#[tokio::test]
async fn buffers_come_back_however_a_command_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let pool = MemoryPool::new();
    let children = Children::default().with_buffers(&pool);
    let held = || pool.get_stats().held_buffers;
    let spec = |script, seconds| Spec {
        program: "/bin/sh",
        arguments: script,
        folder: folder.path(),
        environment: &environment,
        timeout: Duration::from_secs(seconds),
        max_output: 64 * 1024,
        children: &children,
    };
    let (cancel, live) = (CancellationToken::new(), LiveOutput::none());

    let flood = spec(&["-c", "head -c 3000000 /dev/zero | tr '\\0' y; echo end"], 60);
    let ended = run(&flood, &cancel, &live).await.expect("it starts");
    assert!(ended.output.text.ends_with("yyyend\n"), "{:?}", ended.how);
    assert_eq!(ended.output.left_out, 3_000_004 - 64 * 1024);
    let stats = pool.get_stats();
    assert_eq!(
        (stats.held_buffers, stats.allocations),
        (0, 2),
        "read into one, kept in another"
    );

    let chatty = spec(&["-c", "echo begun; exec sleep 300"], 1);
    let ended = run(&chatty, &cancel, &live).await.expect("it starts");
    assert_eq!((ended.how, held()), (End::TimedOut, 0));

    let endless = spec(&["-c", "echo begun; exec sleep 300"], 60);
    let dropped = tokio::time::timeout(Duration::from_millis(300), run(&endless, &cancel, &live)).await;
    assert!(dropped.is_err(), "it runs on");
    assert_eq!(held(), 0);

    cancel.cancel();
    let ended = run(&endless, &cancel, &live).await;
    assert_eq!((ended.expect("it starts").how, held()), (End::Cancelled, 0));
    let stats = pool.get_stats();
    assert_eq!(
        (stats.cache_misses, stats.held_bytes),
        (2, 0),
        "the two buffers served them all: {stats:?}"
    );
}

#[track_caller]
fn wait_until<T>(mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}
