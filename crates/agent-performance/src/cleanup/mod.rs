//! Giving back what is no longer needed: on a timer, under memory pressure, at the end, and after a crash.
//!
//! * [`ResourceCleanupManager`] runs registered tasks and watches memory; its answers to pressure are a level that
//!   subsystems watch, responders that give memory back, and an [`Admission`] that refuses new work.
//! * [`ManagedResource`] runs its clean-up exactly once.
//! * [`ChildLedger`] remembers child processes, so that the next start can end those that a crash left behind.

mod admission;
#[cfg(target_os = "linux")]
mod children;
mod managed;
mod manager;
mod pressure;
mod task;
mod worker;

#[cfg(test)]
mod tests;

pub use admission::{Admission, Overloaded};
#[cfg(target_os = "linux")]
pub use children::{ChildEntry, ChildLedger, ReapReport, Reaped, reap_orphans};
pub use managed::ManagedResource;
pub use manager::{CleanupConfig, ResourceCleanupManager, StopReport};
pub use pressure::{MemoryReader, PressureConfig, PressureLevel};
pub use task::{Outcome, RegisterError, TaskFailure};
pub use worker::CycleReport;
