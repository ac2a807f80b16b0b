use crate::error::StorageError;

/// One row that changed, as the tree saw it. Of a multimap: a key and one of its values that came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<'c> {
    pub(crate) key: &'c [u8],
    /// The value before, if there was one.
    pub(crate) old: Option<&'c [u8]>,
    /// The value now; `None` if the row is gone.
    pub(crate) new: Option<&'c [u8]>,
}

/// Learns of every change of a tree where it is made. `()` wants none, and costs nothing.
pub(crate) trait ChangeSink {
    /// Whether changes need to be put together at all.
    fn is_active(&self) -> bool;

    /// An error fails the change, which is half done, and so breaks the transaction.
    fn changed(&mut self, change: Change<'_>) -> Result<(), StorageError>;
}

impl ChangeSink for () {
    #[inline]
    fn is_active(&self) -> bool {
        false
    }

    fn changed(&mut self, _: Change<'_>) -> Result<(), StorageError> {
        Ok(())
    }
}
