#[cfg(feature = "std")]
use super::system;

#[cfg(feature = "std")]
type Raw<T> = system::Mutex<T>;
#[cfg(feature = "std")]
pub(crate) type MutexGuard<'a, T> = system::MutexGuard<'a, T>;

#[cfg(not(feature = "std"))]
type Raw<T> = spin::mutex::SpinMutex<T>;
#[cfg(not(feature = "std"))]
pub(crate) type MutexGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T>;

/// Mutual exclusion without poisoning.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(Raw<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Raw::new(value))
    }

    #[cfg(feature = "std")]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(system::PoisonError::into_inner)
    }

    #[cfg(not(feature = "std"))]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    /// The guard, or `None` while somebody else holds it.
    #[cfg(feature = "std")]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(system::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(system::TryLockError::WouldBlock) => None,
        }
    }

    #[cfg(not(feature = "std"))]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }
}
