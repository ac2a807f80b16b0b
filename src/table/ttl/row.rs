//! A value with the time of its expiry, and the times themselves.

use crate::btree::TreeKind;
use crate::limits::MAX_EXPIRY_MS;
use crate::types::{Key, KeyType, TypeName, Value};
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::time::Duration;

/// Bytes of the time before each value, and before each key of the index.
pub(super) const TIME_WIDTH: usize = 8;
/// Stands for the time of a row that does not expire.
pub(super) const NEVER: u64 = u64::MAX;

/// When a row of a TTL table expires.
///
/// ```
/// use sapwood::Expiry;
///
/// assert!(Expiry::At(1_700_000_000_000) < Expiry::Never);
/// assert_eq!((Expiry::At(7).as_ms(), Expiry::Never.as_ms()), (Some(7), None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expiry {
    /// In that millisecond since 1970: from then on it is not seen.
    At(u64),
    /// It does not.
    Never,
}

impl Expiry {
    pub(super) fn of(time: u64) -> Self {
        if time == NEVER { Self::Never } else { Self::At(time) }
    }

    /// In milliseconds since 1970; `None` if it is never.
    pub fn as_ms(self) -> Option<u64> {
        match self {
            Self::At(time) => Some(time),
            Self::Never => None,
        }
    }
}

/// The time as a transaction sees it, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub struct Now(u64);

impl Now {
    pub(super) fn new(time: u64) -> Self {
        Self(time.min(MAX_EXPIRY_MS))
    }

    pub(super) fn has_come(self, time: u64) -> bool {
        time <= self.0
    }

    /// The time so long from now.
    pub(super) fn after(self, ttl: Duration) -> u64 {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(MAX_EXPIRY_MS);
        self.0.saturating_add(ttl).min(MAX_EXPIRY_MS)
    }

    /// How long it is until then, which has not come yet.
    pub(super) fn until(self, time: u64) -> Duration {
        match Expiry::of(time) {
            Expiry::At(time) => Duration::from_millis(time.saturating_sub(self.0)),
            Expiry::Never => Duration::MAX,
        }
    }

    /// The first time that has not come.
    pub(super) fn next(self) -> u64 {
        self.0.saturating_add(1)
    }
}

/// What the tree of rows holds for a `V`: a time, and the value's bytes.
#[derive(Debug)]
pub struct Expiring<V>(PhantomData<fn() -> V>);

/// Time and bytes of a value.
pub(super) type Dated<'a> = (u64, &'a [u8]);

/// Time and bytes of what a tree of rows holds.
pub(super) fn split(data: &[u8]) -> Dated<'_> {
    data.split_first_chunk().map_or((NEVER, &[]), |(time, bytes)| (u64::from_le_bytes(*time), bytes))
}

impl<V: Value> Value for Expiring<V> {
    type SelfType<'a>
        = (u64, &'a [u8])
    where
        Self: 'a;
    type AsBytes<'a>
        = Vec<u8>
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        V::fixed_width().map(|width| width.saturating_add(TIME_WIDTH))
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Dated<'a>
    where
        Self: 'a,
    {
        split(data)
    }

    fn as_bytes<'a, 'b: 'a>((time, bytes): &'a Dated<'b>) -> Vec<u8>
    where
        Self: 'b,
    {
        let mut data = Vec::with_capacity(TIME_WIDTH + bytes.len());
        data.extend_from_slice(&time.to_le_bytes());
        data.extend_from_slice(bytes);
        data
    }

    fn type_name() -> TypeName {
        V::type_name()
    }

    fn validate(data: &[u8]) -> bool {
        data.split_first_chunk::<TIME_WIDTH>().is_some_and(|(_, bytes)| V::validate(bytes))
    }
}

/// The kind of the tree of rows.
pub(crate) fn row_kind<K: Key, V: Value>(page_size: usize) -> TreeKind {
    TreeKind::new(KeyType::of::<K>(), Expiring::<V>::fixed_width(), page_size)
}

/// When new rows expire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub(super) now: Now,
    pub(super) default_ttl: Option<Duration>,
}

impl Lifetimes {
    /// The time of a row of which nothing else is said.
    pub(super) fn default_time(&self) -> u64 {
        self.default_ttl.map_or(NEVER, |ttl| self.now.after(ttl))
    }
}
