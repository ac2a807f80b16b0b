//! What a change log records, and for how long.

use core::time::Duration;

/// What the change log says of a row that changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CdcMode {
    /// Nothing: the table's changes are not logged.
    #[default]
    Off,
    /// Its key, and what became of it. Of a multimap the pair of key and value, in all modes.
    Keys,
    /// Its value since as well.
    NewValues,
    /// Its value before as well.
    OldAndNew,
}

impl CdcMode {
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Keys => 1,
            Self::NewValues => 2,
            Self::OldAndNew => 3,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Off, Self::Keys, Self::NewValues, Self::OldAndNew].into_iter().find(|mode| mode.to_byte() == byte)
    }
}

/// What is logged, and what of the log stays: see [`Builder::set_cdc`](crate::Builder::set_cdc).
///
/// The oldest transactions go when there are more, when they have more bytes, or when they are older than is said here,
/// and no [cursor](crate::WriteTransaction::hold_cdc_cursor) holds them. They go with a commit, some at a time: a
/// sixteenth more may be there. The newest one stays, whatever the limits are.
///
/// ```
/// use sapwood::{CdcConfig, CdcMode};
/// use std::time::Duration;
///
/// let config = CdcConfig::new(CdcMode::OldAndNew)
///     .with_max_transactions(100_000)
///     .with_max_bytes(1 << 30)
///     .with_max_age(Duration::from_secs(7 * 86_400));
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CdcConfig {
    pub(crate) mode: CdcMode,
    pub(crate) transactions: u64,
    pub(crate) bytes: u64,
    /// Milliseconds.
    pub(crate) age: u64,
}

impl CdcConfig {
    /// Logs the changes of all tables that do not say otherwise for themselves, and keeps the log for good.
    pub const fn new(mode: CdcMode) -> Self {
        Self { mode, transactions: u64::MAX, bytes: u64::MAX, age: u64::MAX }
    }

    /// So many transactions stay in the log.
    #[must_use]
    pub const fn with_max_transactions(self, transactions: u64) -> Self {
        Self { transactions, ..self }
    }

    /// So many bytes of events stay in the log: keys, values and names, and some bytes for each.
    #[must_use]
    pub const fn with_max_bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    /// Events stay in the log so long, in milliseconds.
    #[must_use]
    pub fn with_max_age(self, age: Duration) -> Self {
        Self { age: u64::try_from(age.as_millis()).unwrap_or(u64::MAX), ..self }
    }

    pub(crate) fn to_bytes(self) -> [u8; 25] {
        let mut bytes = [self.mode.to_byte(); 25];
        let limits = [self.transactions, self.bytes, self.age].map(u64::to_le_bytes);
        bytes.iter_mut().skip(1).zip(limits.as_flattened()).for_each(|(place, byte)| *place = *byte);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (mode, limits) = bytes.split_first()?;
        let (limits, rest) = limits.as_chunks::<8>();
        let [transactions, bytes, age] = *limits else { return None };
        let [transactions, bytes, age] = [transactions, bytes, age].map(u64::from_le_bytes);
        rest.is_empty().then_some(Self { mode: CdcMode::from_byte(*mode)?, transactions, bytes, age })
    }
}

/// The place of an event in the change log. Places ascend as events were committed.
///
/// ```
/// use sapwood::ChangePosition;
///
/// let (start, later) = (ChangePosition::START, ChangePosition { transaction_id: 7, sequence: 2 });
/// assert!(start < later && later < ChangePosition::after_transaction(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangePosition {
    /// Id of the transaction that made the change, as in
    /// [`TransactionInfo`](crate::TransactionInfo).
    pub transaction_id: u64,
    /// Number of the event in its transaction, from 1.
    pub sequence: u64,
}

impl ChangePosition {
    /// Before all events.
    pub const START: Self = Self { transaction_id: 0, sequence: 0 };

    /// After all events of a transaction, and of those before it.
    pub const fn after_transaction(transaction_id: u64) -> Self {
        Self { transaction_id, sequence: u64::MAX }
    }
}
