//! How much room the disk itself has, and which classes have to make do without.

use std::path::Path;

use super::{CLASSES, DiskClass};

const MIB: u64 = 1024 * 1024;

/// Each class stops where less than this is free: a share of the disk in thousandths, or so many bytes on a large disk.
/// The store may go on below what stops new work: what has begun may end. The audit log goes on to the last byte.
const FLOORS: [(u64, u64); CLASSES] = [
    (50, 512 * MIB),
    (40, 256 * MIB),
    (30, 128 * MIB),
    (25, 96 * MIB),
    (10, 16 * MIB),
    (0, 0),
];

/// Below this nothing new is begun.
const WORK_FLOOR: (u64, u64) = (20, 64 * MIB);

/// What was given up comes back with so much more than its floor free, in percent: a disk at its floor would otherwise
/// open and close with every file.
const COMES_BACK_AT: u64 = 125;

/// A reading of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What may still be written to it, in bytes.
    pub free: u64,
    /// Its size, in bytes.
    pub size: u64,
}

impl Room {
    /// Looks at the disk that `folder` is on. Blocks where the disk is far away.
    ///
    /// # Errors
    /// The folder is not there, or can't be looked at.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        let found = rustix::fs::statvfs(folder)?;
        Ok(Room {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            size: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }

    /// What a class wants to leave free on this disk.
    pub(super) fn floor(&self, class: DiskClass) -> u64 {
        self.floor_of(FLOORS[class as usize])
    }

    fn floor_of(&self, (thousandths, most): (u64, u64)) -> u64 {
        (self.size / 1000 * thousandths).min(most)
    }
}

/// What has to do without because the disk is nearly full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenUp {
    pub(super) classes: [bool; CLASSES],
    pub(super) work: bool,
}

impl GivenUp {
    /// After a reading; before it, this was given up.
    pub(super) fn after(self, room: Room) -> Self {
        let short = |floor: u64, was: bool| {
            let enough = if was { floor / 100 * COMES_BACK_AT } else { floor };
            room.free < enough
        };
        let mut after = self;
        for class in DiskClass::ALL {
            let given_up = &mut after.classes[class as usize];
            *given_up = short(room.floor(class), *given_up);
        }
        after.work = short(room.floor_of(WORK_FLOOR), self.work);
        after
    }

    /// How many classes, with new work as one of them: a number for figures.
    pub(super) fn count(self) -> usize {
        self.classes.iter().filter(|given_up| **given_up).count() + usize::from(self.work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_up(before: GivenUp, free: u64, size: u64) -> (GivenUp, String) {
        let after = before.after(Room { free, size });
        let mut names: Vec<&str> = DiskClass::ALL
            .into_iter()
            .filter(|class| after.classes[*class as usize])
            .map(DiskClass::name)
            .collect();
        if after.work {
            names.push("work");
        }
        (after, names.join(" "))
    }

    #[test]
    fn classes_are_given_up_in_the_order_that_is_told() {
        let none = GivenUp::default();
        let size = 1_000_000;
        let cases = [
            (50_000, ""),
            (49_999, "cache"),
            (39_999, "cache spill"),
            (29_999, "cache spill logs"),
            (24_999, "cache spill logs backups"),
            (19_999, "cache spill logs backups work"),
            (9_999, "cache spill logs backups store work"),
            (0, "cache spill logs backups store work"),
        ];
        for (free, expected) in cases {
            assert_eq!(given_up(none, free, size).1, expected, "{free} free");
        }
        // On a large disk it is bytes that count, not shares.
        assert_eq!(given_up(none, 512 * MIB, 1 << 50).1, "");
        assert_eq!(given_up(none, 512 * MIB - 1, 1 << 50).1, "cache");
        assert_eq!(
            given_up(none, 16 * MIB, 1 << 50).1,
            "cache spill logs backups work"
        );
        // A disk that tells no size is never short: there is nothing to judge by.
        assert_eq!(given_up(none, 0, 0).1, "");
    }

    #[test]
    fn what_was_given_up_comes_back_with_room_to_spare() {
        let (short, _) = given_up(GivenUp::default(), 49_000, 1_000_000);
        assert_eq!(given_up(short, 50_000, 1_000_000).1, "cache");
        assert_eq!(given_up(short, 62_499, 1_000_000).1, "cache");
        assert_eq!(given_up(short, 62_500, 1_000_000).1, "");
    }
}
