//! The arithmetic of the budget: what is used and reserved by class, and how far each class may fill it.

use super::{CLASSES, DiskClass};

/// How far the whole may be filled by what each class adds, in percent of the budget. Who is given up later may go
/// further, so that there is always room for it that the others left.
const CEILINGS: [u64; CLASSES] = [90, 92, 94, 96, 99, 100];

/// Beyond this share new work is refused; what has begun may fill the rest up to the ceiling of the store.
pub(super) const WORK_CEILING: u64 = 97;

/// New work is taken again below this share, so that it does not open and close with every file.
pub(super) const WORK_REOPENS: u64 = 95;

/// The account. Nothing in it is ever negative, and what is reserved never takes it above the budget.
#[derive(Clone, Debug)]
pub(super) struct Account {
    budget: u64,
    rows: [Row; CLASSES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    used: u64,
    reserved: u64,
    /// Written since the last reading began: it may have come too late to be seen by it.
    unseen: u64,
}

impl Account {
    pub(super) fn new(budget: u64) -> Self {
        Account {
            budget,
            rows: Default::default(),
        }
    }

    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    pub(super) fn used(&self, class: DiskClass) -> u64 {
        self.rows[class as usize].used
    }

    /// Used and reserved, of all classes.
    pub(super) fn total(&self) -> u64 {
        self.rows.iter().fold(0, |sum: u64, row| {
            sum.saturating_add(row.used).saturating_add(row.reserved)
        })
    }

    /// A share of the budget, in percent.
    pub(super) fn share(&self, percent: u64) -> u64 {
        // 128 bits: a budget without limit is the largest number there is.
        let share = u128::from(self.budget) * u128::from(percent) / 100;
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Sets `bytes` aside. Where there is no room, what would have to be freed first is the error.
    pub(super) fn reserve(&mut self, class: DiskClass, bytes: u64) -> Result<(), u64> {
        let ceiling = self.share(CEILINGS[class as usize]);
        let wanted = self.total().saturating_add(bytes);
        if wanted > ceiling {
            return Err(wanted - ceiling);
        }
        self.rows[class as usize].reserved += bytes;
        Ok(())
    }

    /// What was set aside is written, as far as `written` goes; the rest is free again.
    pub(super) fn commit(&mut self, class: DiskClass, reserved: u64, written: u64) {
        let row = &mut self.rows[class as usize];
        row.reserved = row.reserved.saturating_sub(reserved);
        row.used = row.used.saturating_add(written);
        row.unseen = row.unseen.saturating_add(written);
    }

    pub(super) fn freed(&mut self, class: DiskClass, bytes: u64) {
        let row = &mut self.rows[class as usize];
        row.used = row.used.saturating_sub(bytes);
        row.unseen = row.unseen.saturating_sub(bytes);
    }

    /// To be called before the files of a class are looked at.
    pub(super) fn begin_reading(&mut self, class: DiskClass) {
        self.rows[class as usize].unseen = 0;
    }

    /// What the files of a class took. What was written meanwhile may be counted twice, until the next reading.
    pub(super) fn end_reading(&mut self, class: DiskClass, bytes: u64) {
        let row = &mut self.rows[class as usize];
        row.used = bytes.saturating_add(row.unseen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Reserve(usize, u64),
        /// The n-th that is open, and how much of it is written, in percent.
        Commit(usize, u64),
        Free(usize, u64),
        Read(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = prop_oneof![0_u64..2_000, Just(u64::MAX)];
        prop_oneof![
            4 => (0..CLASSES, bytes.clone()).prop_map(|(class, bytes)| Step::Reserve(class, bytes)),
            4 => (0_usize..8, 0_u64..=100).prop_map(|(open, share)| Step::Commit(open, share)),
            1 => (0..CLASSES, bytes).prop_map(|(class, bytes)| Step::Free(class, bytes)),
            1 => (0..CLASSES).prop_map(Step::Read),
        ]
    }

    proptest! {
        /// Against the files as they would be: never below zero, never above the budget, and never less than is there.
        #[test]
        fn the_account_holds_whatever_happens(budget in 0_u64..10_000, steps in prop::collection::vec(step(), 0..200)) {
            let mut account = Account::new(budget);
            let mut files = [0_u64; CLASSES];
            let mut open: Vec<(DiskClass, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Reserve(class, bytes) => {
                        let class = DiskClass::ALL[class];
                        let before = account.total();
                        match account.reserve(class, bytes) {
                            Ok(()) => open.push((class, bytes)),
                            Err(missing) => {
                                prop_assert!(missing > 0);
                                prop_assert_eq!(account.total(), before, "a refusal changes nothing");
                            }
                        }
                    }
                    Step::Commit(at, share) if at < open.len() => {
                        let (class, reserved) = open.swap_remove(at);
                        let written = reserved / 100 * share;
                        account.commit(class, reserved, written);
                        files[class as usize] += written;
                    }
                    Step::Commit(..) => {}
                    Step::Free(class, bytes) => {
                        let freed = bytes.min(files[class]);
                        files[class] -= freed;
                        account.freed(DiskClass::ALL[class], freed);
                    }
                    Step::Read(class) => {
                        account.begin_reading(DiskClass::ALL[class]);
                        account.end_reading(DiskClass::ALL[class], files[class]);
                    }
                }
                let reserved: u64 = open.iter().map(|(_, bytes)| bytes).sum();
                prop_assert_eq!(account.total(), files.iter().sum::<u64>() + reserved);
                prop_assert!(account.total() <= budget);
            }
        }
    }

    #[test]
    fn who_is_given_up_later_finds_room_that_the_others_left() {
        let mut account = Account::new(1_000);
        for (class, ceiling) in DiskClass::ALL.into_iter().zip(CEILINGS) {
            assert!(account.reserve(class, 1_000).is_err());
            while account.reserve(class, 1).is_ok() {}
            assert_eq!(account.total(), ceiling * 10, "{class:?}");
        }
        assert_eq!(account.reserve(DiskClass::Audit, 5), Err(5));
    }

    #[test]
    fn what_is_written_during_a_reading_is_not_lost() {
        let mut account = Account::new(1_000);
        account.reserve(DiskClass::Logs, 10).unwrap();
        account.begin_reading(DiskClass::Logs);
        account.commit(DiskClass::Logs, 10, 10);
        account.end_reading(DiskClass::Logs, 100);
        assert_eq!(account.used(DiskClass::Logs), 110);
    }
}
