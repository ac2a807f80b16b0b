//! Where the time comes from.

use crate::error::StorageError;
use crate::sync::{Arc, Mutex};
use core::fmt::Debug;

/// A source of the time, for what a database dates: commits, when its history or change log is on, and rows that
/// expire.
///
/// With `std` there is one unless [`Builder::set_clock`](crate::Builder::set_clock) gives another: [`SystemClock`].
/// Without `std` there is none but that.
///
/// ```
/// use sapwood::{Builder, Clock, backends::InMemoryBackend};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Debug, Default)]
/// struct Ticks(AtomicU64);
///
/// impl Clock for Ticks {
///     fn now_ms(&self) -> u64 {
///         self.0.fetch_add(1, Ordering::Relaxed)
///     }
/// }
///
/// let db = Builder::new().set_clock(Ticks::default()).create_with_backend(InMemoryBackend::new())?;
/// # Ok::<(), sapwood::Error>(())
/// ```
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970 began in UTC.
    ///
    /// It may stand still or go back: commits are dated later than the ones before them all the same.
    fn now_ms(&self) -> u64;
}

/// The clock of the operating system.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(feature = "std")]
impl Clock for SystemClock {
    /// Zero where the system's clock stands before 1970, or there is none.
    fn now_ms(&self) -> u64 {
        use std::time::{SystemTime, UNIX_EPOCH};
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The clock of a database, if it has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Time {
    clock: Option<Arc<dyn Clock>>,
}

impl Time {
    pub(crate) fn of(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock) }
    }

    /// Whether somebody chose the clock, and so wants commits to be dated.
    pub(crate) fn is_chosen(&self) -> bool {
        self.clock.is_some()
    }

    /// The time now.
    pub(crate) fn now(&self) -> Result<u64, StorageError> {
        match &self.clock {
            Some(clock) => Ok(clock.now_ms()),
            #[cfg(feature = "std")]
            None => Ok(SystemClock.now_ms()),
            #[cfg(not(feature = "std"))]
            None => Err(StorageError::ClockMissing),
        }
    }

    /// The time of the commit after one of the time `before`: now, but later than that. Without a clock they are
    /// counted.
    pub(crate) fn after(&self, before: u64) -> u64 {
        self.now().unwrap_or(0).max(before.saturating_add(1))
    }
}

/// The time as one transaction sees it: the clock is read when somebody first asks, and not again.
#[derive(Debug, Default)]
pub(crate) struct TransactionTime(Mutex<Option<u64>>);

impl TransactionTime {
    /// Of a transaction that sees the past.
    pub(crate) fn at(time: u64) -> Self {
        Self(Mutex::new(Some(time)))
    }

    pub(crate) fn is_known(&self) -> bool {
        self.0.lock().is_some()
    }

    pub(crate) fn now(&self, time: &Time) -> Result<u64, StorageError> {
        if let Some(known) = *self.0.lock() {
            return Ok(known);
        }
        // A user's clock does not run under a lock.
        let now = time.now()?;
        Ok(*self.0.lock().get_or_insert(now))
    }
}
