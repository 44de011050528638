use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::metrics::MetricsCollector;

const MIB: u64 = 1024 * 1024;

#[test]
fn what_is_not_committed_is_given_back() {
    let budget = DiskBudget::new(1_000);
    let room = budget.reserve(DiskClass::Audit, 800).unwrap();
    let full = budget.reserve(DiskClass::Audit, 800).err().unwrap();
    assert_eq!(
        full.shortage,
        Shortage::Budget {
            used: 800,
            budget: 1_000
        }
    );
    assert!(full.to_string().contains("deployment.disk_budget"), "{full}");
    room.commit(100);
    drop(budget.reserve(DiskClass::Audit, 800).unwrap());
    assert_eq!(budget.report().total, 100);
    budget.freed(DiskClass::Audit, 70);
    assert_eq!(budget.report().total, 30);
}

/// Files as they would be, each class with a pile of them that can be removed.
fn with_pile(budget: &DiskBudget, class: DiskClass, bytes: u64) -> Arc<AtomicU64> {
    let pile = Arc::new(AtomicU64::new(bytes));
    budget.reserve(class, bytes).unwrap().commit(bytes);
    let own = Arc::clone(&pile);
    budget.reclaim_with(class, move |wanted| {
        let freed = wanted.min(own.load(Ordering::Relaxed));
        own.fetch_sub(freed, Ordering::Relaxed);
        freed
    });
    pile
}

#[test]
fn over_the_budget_old_files_go_in_order_and_nothing_above_the_asker() {
    let metrics = MetricsCollector::new();
    let folder = tempfile::tempdir().unwrap();
    let budget = DiskBudget::on(folder.path(), 1_000, Some(&metrics));
    // Registered in another order than they are given up in.
    let backups = with_pile(&budget, DiskClass::Backups, 300);
    let logs = with_pile(&budget, DiskClass::Logs, 300);
    let cache = with_pile(&budget, DiskClass::Cache, 300);
    let left = || [&cache, &logs, &backups].map(|pile| pile.load(Ordering::Relaxed));
    // 94 % of the budget are for logs and what goes before them.
    budget.reserve(DiskClass::Logs, 340).unwrap().commit(340);
    assert_eq!(left(), [0, 300, 300]);
    budget.reserve(DiskClass::Logs, 100).unwrap().commit(100);
    assert_eq!(left(), [0, 200, 300]);
    assert!(
        budget.reserve(DiskClass::Logs, 500).is_err(),
        "backups are not for logs"
    );
    assert_eq!(left(), [0, 0, 300]);
    let statistics = metrics.get_metric_statistics("disk.refused").unwrap();
    assert_eq!(statistics.sum, 1.0);
}

#[test]
fn new_work_is_refused_before_running_work_is_and_comes_back_with_room_to_spare() {
    let budget = DiskBudget::new(1_000);
    budget.reserve(DiskClass::Store, 970).unwrap().commit(970);
    let full = budget.admit_work().unwrap_err();
    assert_eq!(full.class, DiskClass::Store);
    assert!(!full.retry_after.is_zero());
    budget.reserve(DiskClass::Store, 20).unwrap().commit(20);
    assert!(budget.reserve(DiskClass::Store, 1).is_err());
    assert!(budget.reserve(DiskClass::Audit, 1).is_ok());
    budget.freed(DiskClass::Store, 40);
    assert!(budget.admit_work().is_err(), "at 95 %");
    budget.freed(DiskClass::Store, 1);
    assert!(budget.admit_work().is_ok());
    assert_eq!(budget.report().refused[DiskClass::Store as usize].1, 3);
}

#[test]
fn a_reading_puts_the_account_right_and_raises_the_alarm_once() {
    let folder = tempfile::tempdir().unwrap();
    let budget = DiskBudget::on(folder.path(), 10 * MIB, None);
    let file = folder.path().join("logs");
    let own = folder.path().to_owned();
    budget.measure(DiskClass::Logs, move || folder_bytes(&own));
    std::fs::write(&file, vec![0; 9 << 20]).unwrap();
    budget.refresh();
    let report = budget.report();
    assert!(report.total >= 9 * MIB && report.is_alarmed, "{report:?}");
    assert!(report.room.is_some_and(|room| room.size > 0));
    std::fs::remove_file(&file).unwrap();
    budget.refresh();
    assert_eq!(budget.report().total, report.total, "a second has not passed");
    budget.forget_reading();
    budget.refresh();
    assert_eq!((budget.report().total, budget.report().is_alarmed), (0, false));
}

impl DiskBudget {
    fn with_room(free: u64, size: u64) -> Self {
        let budget = Self::new(u64::MAX);
        budget.sees(free, size);
        budget
    }
}

#[test]
fn a_full_disk_refuses_whatever_the_budget_says_and_recovers() {
    let budget = DiskBudget::with_room(15_000, 1_000_000);
    for class in [
        DiskClass::Cache,
        DiskClass::Spill,
        DiskClass::Logs,
        DiskClass::Backups,
    ] {
        let full = budget.admit(class).unwrap_err();
        assert_eq!(full.shortage, Shortage::Disk { free: 15_000 });
        assert!(full.to_string().contains("make room"), "{full}");
    }
    assert!(budget.admit_work().is_err());
    assert!(budget.admit(DiskClass::Store).is_ok(), "what has begun may end");
    budget.sees(5_000, 1_000_000);
    assert!(budget.admit(DiskClass::Store).is_err());
    assert!(budget.admit(DiskClass::Audit).is_ok());
    budget.sees(500_000, 1_000_000);
    assert!(budget.admit_work().is_ok());
    assert_eq!(budget.report().given_up, []);
}

#[test]
fn clones_on_many_threads_never_pass_the_budget() {
    let budget = DiskBudget::new(10_000);
    std::thread::scope(|scope| {
        for class in DiskClass::ALL {
            let budget = budget.clone();
            scope.spawn(move || {
                for bytes in (0..200).cycle().take(2_000) {
                    if let Ok(room) = budget.reserve(class, bytes) {
                        assert!(budget.report().total <= 10_000);
                        room.commit(bytes / 2);
                        budget.freed(class, bytes / 2);
                    }
                }
            });
        }
    });
    assert_eq!(budget.report().total, 0);
}

#[tokio::test(start_paused = true)]
async fn it_reads_by_itself_until_the_lifecycle_ends() {
    let lifecycle = crate::lifecycle::Lifecycle::new();
    let budget = DiskBudget::new(MIB);
    let read = Arc::new(AtomicU64::new(0));
    let own = Arc::clone(&read);
    budget.measure(DiskClass::Store, move || own.fetch_add(1, Ordering::Relaxed));
    let _watching = budget.watch(&lifecycle);
    while read.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(
        lifecycle
            .shutdown(std::time::Duration::from_secs(1))
            .await
            .is_clean()
    );
}
