use crate::compression::{Codec, Packing};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{KeyPart, Node, STUB, SetForm, Shape, ValuePart, capacity};
use crate::pages::Store;
use crate::pages::cache::{Pin, prefetch};
use crate::types::{KeyOrder, KeyType};
use alloc::vec::Vec;

/// What all pages of a tree have in common: the order of keys, and which keys and values lie in the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeKind {
    pub(crate) key: KeyType,
    pub(crate) shape: Shape,
    /// What makes new values shorter.
    pub(super) codec: Codec,
    page_size: usize,
}

/// Cache lines of a record that are asked for ahead.
pub(super) const RECORD_LINES: usize = 4;

/// A key that is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) head: u64,
}

impl TreeKind {
    pub(crate) fn new(key: KeyType, value_width: Option<usize>, page_size: usize) -> Self {
        let narrow = |width: usize, most: usize| u16::try_from(width).ok().filter(|width| usize::from(*width) <= most);
        let key_width = key.width.and_then(|width| narrow(width, key_limit(page_size)));
        let value_width = value_width.and_then(|width| narrow(width, page_size / 4));
        let shape = Shape { key_width, value_width, byte_ordered: key.order == KeyOrder::Bytes, sets: None };
        Self { key, shape, codec: Codec::NONE, page_size }
    }

    /// The same kind, of which new values are compressed.
    pub(crate) fn packed_with(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// The kind of a tree whose values are sets.
    pub(super) fn of_sets(key: KeyType, form: SetForm, page_size: usize) -> Self {
        let kind = Self::new(key, None, page_size);
        Self { shape: Shape { sets: Some(form), ..kind.shape }, ..kind }
    }

    pub(crate) fn sought<'k>(&self, bytes: &'k [u8]) -> Sought<'k> {
        let head = if self.shape.byte_ordered { 0 } else { (self.key.head)(bytes) };
        Sought { bytes, head }
    }

    /// A pin for a descent. There is none where comparing keys runs a user's code, which may take any time.
    #[inline]
    pub(crate) fn pin<'s>(&self, store: &'s Store) -> Option<Pin<'s>> {
        (self.key.order != KeyOrder::Opaque).then(|| store.cache().pin())
    }

    /// Keys of at most this many bytes lie in the page.
    pub(crate) fn key_is_inline(&self, length: usize) -> bool {
        self.shape.key_width.is_some() || length <= key_limit(self.page_size)
    }

    /// Whether a value lies in the page: one that fits beside its key does, as a run of its own would take no less.
    pub(crate) fn value_is_inline(&self, stored_key: usize, length: usize) -> bool {
        self.shape.value_width.is_some() || self.shape.leaf_entry_room(stored_key, length) <= self.capacity()
    }

    /// A value made shorter, if it then takes less room beside a key of that length.
    pub(super) fn pack(
        &self,
        key: usize,
        value: &[u8],
        codec: Codec,
    ) -> Result<Option<(Packing, Vec<u8>)>, StorageError> {
        if self.shape.value_width.is_some() {
            return Ok(None);
        }
        let stored_key = if self.key_is_inline(key) { key } else { STUB + Pointer::SIZE };
        let room = |length: usize| match self.value_is_inline(stored_key, length) {
            true => length,
            false => length.next_multiple_of(self.page_size),
        };
        let packed = codec.pack(value)?;
        Ok(packed.filter(|(_, block)| room(ValuePart::packed_len(block.len())) < room(value.len())))
    }

    pub(crate) fn capacity(&self) -> usize {
        capacity(self.page_size)
    }

    /// First entry of `node` whose key is not less than the sought one, and whether it is equal.
    #[inline]
    pub(crate) fn search(
        &self,
        store: &Store,
        node: &Node<'_>,
        sought: &Sought<'_>,
    ) -> Result<(usize, bool), StorageError> {
        match self.seek(node, sought) {
            (first, true) => self.search_keys(store, node, first, sought),
            miss => Ok(miss),
        }
    }

    /// The first half of a search: see [`Node::seek_head`].
    #[inline]
    pub(super) fn seek(&self, node: &Node<'_>, sought: &Sought<'_>) -> (usize, bool) {
        node.seek_head(sought.bytes, sought.head)
    }

    /// The second half, if the first found equal heads.
    pub(super) fn search_keys(
        &self,
        store: &Store,
        node: &Node<'_>,
        first: usize,
        sought: &Sought<'_>,
    ) -> Result<(usize, bool), StorageError> {
        let sought = sought.bytes;
        node.seek_key(first, |at| match node.key(at) {
            KeyPart::Inline(key) => {
                // Heads are equal, so this is most likely the row, and its value is wanted next.
                prefetch(node.record_start(at), RECORD_LINES);
                Ok(if self.shape.byte_ordered { key.cmp(sought) } else { (self.key.compare)(key, sought) })
            }
            KeyPart::Long { run, .. } => Ok((self.key.compare)(&store.load(&run)?, sought)),
        })
    }
}

fn key_limit(page_size: usize) -> usize {
    page_size / 4
}
