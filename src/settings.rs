//! What a builder says of a database that is open.

use crate::changes::CdcConfig;
use crate::clock::Time;
use crate::limits::DEFAULT_CACHE_SIZE;
use crate::merge::Operators;
use crate::sync::Arc;
use core::time::Duration;

/// The settings of one open database.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) cache_size: usize,
    pub(crate) time: Time,
    /// `None` leaves it at what the file says.
    pub(crate) history: Option<HistoryRetention>,
    /// Likewise.
    pub(crate) cdc: Option<CdcConfig>,
    pub(crate) operators: Arc<Operators>,
    pub(crate) blob_dedup: BlobDedup,
}

/// Which contents blobs share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlobDedup {
    /// Whole ones of the same hash.
    pub(crate) contents: bool,
    /// Chunks of the same hash.
    pub(crate) chunks: bool,
    /// Bytes from which on it is worth while.
    pub(crate) min_size: u64,
}

impl Default for BlobDedup {
    fn default() -> Self {
        Self { contents: false, chunks: false, min_size: 4_096 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_size: DEFAULT_CACHE_SIZE,
            time: Time::default(),
            history: None,
            cdc: None,
            operators: Arc::default(),
            blob_dedup: BlobDedup::default(),
        }
    }
}

/// Of what is retained at most so much, a sixteenth more may be there: what is let go goes some at a time, so that most
/// commits need not change the oldest rows.
pub(crate) fn with_slack(most: u64) -> u64 {
    most.saturating_add(most / 16)
}

/// Which past commits stay readable: see [`Builder::set_history_retention`](crate::Builder::set_history_retention).
///
/// A commit goes when there are too many newer ones, or when it is too old, and nobody has
/// [pinned](crate::WriteTransaction::pin_history) it.
///
/// ```
/// use sapwood::HistoryRetention;
/// use std::time::Duration;
///
/// let a_day = HistoryRetention::UNLIMITED.with_max_age(Duration::from_secs(86_400));
/// let a_day_at_most = a_day.with_max_commits(10_000);
/// assert_eq!(HistoryRetention::from(100), HistoryRetention::UNLIMITED.with_max_commits(100));
/// # let _ = a_day_at_most;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRetention {
    /// Newest commits that stay.
    pub(crate) commits: u64,
    /// Milliseconds.
    pub(crate) age: u64,
}

impl HistoryRetention {
    /// No past commit stays, and none is recorded.
    pub const OFF: Self = Self { commits: 0, age: u64::MAX };
    /// All commits stay from now on.
    pub const UNLIMITED: Self = Self { commits: u64::MAX, age: u64::MAX };

    /// So many of the newest commits stay, and a sixteenth more for a while: older ones go some at a time.
    #[must_use]
    pub const fn with_max_commits(self, commits: u64) -> Self {
        Self { commits, ..self }
    }

    /// Commits stay so long, in milliseconds, and a sixteenth longer for a while: they go with a durable commit, some
    /// at a time. Their age is the time between them and that commit. As dates never go back, they hardly age while a
    /// clock that was put back has not come to the date of the newest.
    #[must_use]
    pub fn with_max_age(self, age: Duration) -> Self {
        Self { age: u64::try_from(age.as_millis()).unwrap_or(u64::MAX), ..self }
    }

    pub(crate) fn is_off(self) -> bool {
        self.commits == 0
    }
}

impl From<u64> for HistoryRetention {
    fn from(commits: u64) -> Self {
        Self::UNLIMITED.with_max_commits(commits)
    }
}
