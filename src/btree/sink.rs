use crate::error::StorageError;
use core::ops::Bound;

/// One row that changed, as the tree saw it. Of a multimap: a key and one of its values that came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<'c> {
    pub(crate) key: &'c [u8],
    /// The value before, if there was one.
    pub(crate) old: Option<&'c [u8]>,
    /// The value now; `None` if the row is gone.
    pub(crate) new: Option<&'c [u8]>,
}

/// Learns of every change of a tree where it is made. An error breaks the transaction. `()` wants no change, and costs
/// nothing.
pub(crate) trait ChangeSink {
    /// Whether changes need to be put together at all.
    fn is_active(&self) -> bool;

    fn changed(&mut self, change: Change<'_>) -> Result<(), StorageError>;

    /// Whether it has to hear of each row of a range that goes at once.
    fn hears_rows(&self) -> bool {
        false
    }

    /// All rows of a range went at once, and it need not hear of each.
    fn range_removed(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>, rows: u64) -> Result<(), StorageError>;
}

impl ChangeSink for () {
    #[inline]
    fn is_active(&self) -> bool {
        false
    }

    fn changed(&mut self, _: Change<'_>) -> Result<(), StorageError> {
        Ok(())
    }

    fn range_removed(&mut self, _: Bound<&[u8]>, _: Bound<&[u8]>, _: u64) -> Result<(), StorageError> {
        Ok(())
    }
}
