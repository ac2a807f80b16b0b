use super::mutex::MutexGuard;
use super::system;
use std::time::Duration;

/// Where threads wait for a change of what a mutex guards.
#[derive(Debug, Default)]
pub(crate) struct Condvar(system::Condvar);

impl Condvar {
    /// Waits as long as that holds.
    pub(crate) fn wait_while<'m, T>(
        &self,
        guard: MutexGuard<'m, T>,
        holds: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'m, T> {
        self.0.wait_while(guard, holds).unwrap_or_else(system::PoisonError::into_inner)
    }

    /// Waits as long as that holds, but not longer than `patience`.
    pub(crate) fn wait_while_within<'m, T>(
        &self,
        guard: MutexGuard<'m, T>,
        patience: Duration,
        holds: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'m, T> {
        self.0.wait_timeout_while(guard, patience, holds).unwrap_or_else(system::PoisonError::into_inner).0
    }

    /// Says that something has changed.
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
