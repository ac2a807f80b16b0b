use super::open::OpenTree;
use crate::btree::{NewValue, Slice};
use crate::error::StorageError;
use crate::pages::PageMut;
use crate::txn::Loan;
use crate::types::{MutInPlaceValue, Value};
use alloc::format;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;
use core::ops::Range;

/// Stands for what a guard or range borrows and for the types that it decodes, without owning either.
pub(super) type Lends<Borrow, Decoded> = PhantomData<(Borrow, fn() -> Decoded)>;

/// A key or value that was read. It keeps its bytes in memory, not its transaction.
pub struct AccessGuard<'a, V: Value + 'static> {
    bytes: Slice,
    types: Lends<&'a (), V>,
}

impl<V: Value + 'static> AccessGuard<'_, V> {
    pub(super) fn new(bytes: Slice) -> Result<Self, StorageError> {
        if !V::validate(&bytes) {
            let name = V::type_name();
            return Err(StorageError::corrupted(format!("{} bytes are not a {}", bytes.len(), name.name())));
        }
        Ok(Self { bytes, types: PhantomData })
    }

    /// The same without a hold on a page, which can then be changed in place.
    pub(crate) fn detached(self) -> Self {
        Self { bytes: self.bytes.detached(), types: PhantomData }
    }

    /// The bytes, for who does not hold on to the table.
    pub(crate) fn into_bytes(self) -> Slice {
        self.bytes
    }

    /// The key or value.
    pub fn value(&self) -> V::SelfType<'_> {
        V::from_bytes(&self.bytes)
    }
}

impl<V: Value + 'static> Debug for AccessGuard<'_, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        self.value().fmt(f)
    }
}

/// A value that can be replaced.
pub struct AccessGuardMut<'a, V: Value + 'static> {
    open: OpenTree<'a>,
    key: Vec<u8>,
    current: AccessGuard<'a, V>,
}

impl<'a, V: Value + 'static> AccessGuardMut<'a, V> {
    pub(super) fn new(open: OpenTree<'a>, key: &[u8], current: AccessGuard<'a, V>) -> Self {
        Self { open, key: key.to_vec(), current }
    }

    /// The value as it stands.
    pub fn value(&self) -> V::SelfType<'_> {
        self.current.value()
    }

    /// Replaces the value.
    pub fn insert<'v>(&mut self, value: impl Borrow<V::SelfType<'v>>) -> Result<(), StorageError> {
        let bytes = V::as_bytes(value.borrow());
        let bytes = bytes.as_ref();
        self.open.edit(|editor| editor.insert(&self.key, NewValue::Bytes(bytes)))?;
        self.current = AccessGuard::new(Slice::Owned(bytes.to_vec()))?;
        Ok(())
    }
}

impl<V: Value + 'static> Debug for AccessGuardMut<'_, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        self.value().fmt(f)
    }
}

/// A reserved value, to be filled in where it lies.
pub struct AccessGuardMutInPlace<'a, V: Value + 'static> {
    page: PageMut,
    range: Range<usize>,
    _loan: Loan,
    /// Not a `&mut`, which would keep the guard out of `catch_unwind`.
    types: Lends<&'a (), V>,
}

impl<V: Value + 'static> AccessGuardMutInPlace<'_, V> {
    pub(super) fn new(page: PageMut, range: Range<usize>, loan: Loan) -> Self {
        Self { page, range, _loan: loan, types: PhantomData }
    }
}

impl<V: MutInPlaceValue + 'static> AsMut<V::BaseRefType> for AccessGuardMutInPlace<'_, V> {
    fn as_mut(&mut self) -> &mut V::BaseRefType {
        let bytes = self.page.bytes_mut().get_mut(self.range.clone()).unwrap_or_default();
        V::from_bytes_mut(bytes)
    }
}

impl<V: Value + 'static> Debug for AccessGuardMutInPlace<'_, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AccessGuardMutInPlace").field("bytes", &self.range.len()).finish_non_exhaustive()
    }
}
