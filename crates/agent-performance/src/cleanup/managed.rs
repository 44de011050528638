//! A value with a clean-up that can't be forgotten and can't run twice.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `cleanup` on the value when dropped, also during unwinding; unless [`take`](Self::take) disarmed it or
/// [`release`](Self::release) ran it before.
pub struct ManagedResource<T> {
    armed: Option<(T, Cleanup<T>)>,
}

type Cleanup<T> = Box<dyn FnOnce(T) + Send>;

impl<T> ManagedResource<T> {
    /// Takes charge of `value`.
    pub fn new(value: T, cleanup: impl FnOnce(T) + Send + 'static) -> Self {
        ManagedResource {
            armed: Some((value, Box::new(cleanup))),
        }
    }

    /// The value, until it is released.
    pub fn get(&self) -> Option<&T> {
        self.armed.as_ref().map(|(value, _)| value)
    }

    /// The value, until it is released.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.armed.as_mut().map(|(value, _)| value)
    }

    /// The value without its clean-up, which will not run. `None` when it was released.
    pub fn take(mut self) -> Option<T> {
        self.armed.take().map(|(value, _)| value)
    }

    /// Cleans up now. A second call does nothing.
    pub fn release(&mut self) {
        if let Some((value, cleanup)) = self.armed.take() {
            cleanup(value);
        }
    }
}

impl<T> Drop for ManagedResource<T> {
    fn drop(&mut self) {
        // A panic that leaves a drop during unwinding would end the process.
        if catch_unwind(AssertUnwindSafe(|| self.release())).is_err() {
            tracing::error!(
                resource = std::any::type_name::<T>(),
                "the clean-up of a resource panicked"
            );
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for ManagedResource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManagedResource").field(&self.get()).finish()
    }
}
