use super::guard::{AccessGuard, Lends};
use super::owned::OwnedAccessGuard;
use super::range::Source;
use crate::btree::{Members, MultimapKind, RangeCursor, Slice};
use crate::error::StorageError;
use crate::pages::cache::FrameRef;
use crate::sync::Arc;
use crate::txn::Snapshot;
use crate::types::Key;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;

/// The values of one key of a multimap table, in order, from both ends. After an error it gives no more.
///
/// ```
/// use sapwood::{Database, MultimapTableDefinition, ReadableMultimapTable, backends::InMemoryBackend};
///
/// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let mut tags = txn.open_multimap_table(TAGS)?;
/// for tree in [7, 3, 5] {
///     tags.insert("old", tree)?;
/// }
/// let mut old = tags.get("old")?;
/// assert_eq!(old.len(), 3);
/// assert_eq!(old.next_back().transpose()?.map(|tree| tree.value()), Some(7));
/// assert_eq!(old.next().transpose()?.map(|tree| tree.value()), Some(3));
/// assert_eq!(old.len(), 1);
/// assert!(tags.get("young")?.is_empty());
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct MultimapValue<'a, V: Key + 'static> {
    members: Members,
    source: Source,
    types: Lends<&'a (), V>,
}

impl<'a, V: Key + 'static> MultimapValue<'a, V> {
    pub(super) fn new(members: Members, source: Source) -> Self {
        Self { members, source, types: PhantomData }
    }

    /// How many values it has yet to give.
    pub fn len(&self) -> u64 {
        self.members.len()
    }

    /// Whether it has given all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn guard(
        &mut self,
        member: Result<Option<Slice>, StorageError>,
    ) -> Option<Result<AccessGuard<'a, V>, StorageError>> {
        let guard = member.and_then(|member| member.map(AccessGuard::new).transpose());
        if guard.is_err() {
            self.members = Members::default();
        }
        guard.transpose()
    }
}

impl<'a, V: Key + 'static> Iterator for MultimapValue<'a, V> {
    type Item = Result<AccessGuard<'a, V>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.members.next(self.source.store());
        self.guard(member)
    }
}

impl<V: Key + 'static> DoubleEndedIterator for MultimapValue<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let member = self.members.next_back(self.source.store());
        self.guard(member)
    }
}

impl<V: Key + 'static> Debug for MultimapValue<'_, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MultimapValue").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The keys of a range and the values of each, in key order, from both ends. After an error it gives no more.
///
/// ```
/// use sapwood::{Database, MultimapTableDefinition, ReadableMultimapTable, backends::InMemoryBackend};
///
/// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let mut tags = txn.open_multimap_table(TAGS)?;
/// for (tag, tree) in [("old", 3), ("old", 7), ("tall", 7), ("young", 5)] {
///     tags.insert(tag, tree)?;
/// }
/// for entry in tags.range("p"..)? {
///     let (tag, trees) = entry?;
///     println!("{}: {} trees", tag.value(), trees.len());
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct MultimapRange<'a, K: Key + 'static, V: Key + 'static> {
    cursor: RangeCursor,
    kind: MultimapKind,
    source: Source,
    types: Lends<&'a (), (K, V)>,
}

/// A key and its values as they are given to a user.
type Entry<'a, K, V> = (AccessGuard<'a, K>, MultimapValue<'a, V>);

impl<'a, K: Key + 'static, V: Key + 'static> MultimapRange<'a, K, V> {
    pub(super) fn new(cursor: RangeCursor, kind: MultimapKind, source: Source) -> Self {
        Self { cursor, kind, source, types: PhantomData }
    }

    fn entry(
        &mut self,
        place: Result<Option<(FrameRef, usize)>, StorageError>,
    ) -> Option<Result<Entry<'a, K, V>, StorageError>> {
        let entry = place.and_then(|place| place.map(|(leaf, at)| self.read(&leaf, at)).transpose());
        if entry.is_err() {
            self.cursor = RangeCursor::default();
        }
        entry.transpose()
    }

    fn read(&self, leaf: &FrameRef, at: usize) -> Result<Entry<'a, K, V>, StorageError> {
        let store = self.source.store();
        let key = AccessGuard::new(Slice::of_key(store, leaf, at)?)?;
        let members = Members::of_entry(store, &self.kind, leaf, at)?;
        Ok((key, MultimapValue::new(members, self.source.clone())))
    }
}

impl<'a, K: Key + 'static, V: Key + 'static> Iterator for MultimapRange<'a, K, V> {
    type Item = Result<(AccessGuard<'a, K>, MultimapValue<'a, V>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.cursor.next_place(self.source.store());
        self.entry(place)
    }
}

impl<K: Key + 'static, V: Key + 'static> DoubleEndedIterator for MultimapRange<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let place = self.cursor.next_place_back(self.source.store());
        self.entry(place)
    }
}

impl<K: Key + 'static, V: Key + 'static> Debug for MultimapRange<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MultimapRange").finish_non_exhaustive()
    }
}

/// A [`MultimapValue`] that keeps its read transaction alive, as do the guards that it gives.
///
/// ```
/// use sapwood::{Database, MultimapTableDefinition, OwnedMultimapValue, ReadableDatabase, backends::InMemoryBackend};
///
/// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_multimap_table(TAGS)?.insert("old", 7)?;
/// txn.commit()?;
///
/// let old: OwnedMultimapValue<u64> = db.begin_read()?.open_multimap_table(TAGS)?.get_owned("old")?;
/// for tree in old {
///     assert_eq!(tree?.value(), 7);
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct OwnedMultimapValue<V: Key + 'static> {
    values: MultimapValue<'static, V>,
    snapshot: Arc<Snapshot>,
}

impl<V: Key + 'static> OwnedMultimapValue<V> {
    pub(super) fn new(values: MultimapValue<'static, V>, snapshot: Arc<Snapshot>) -> Self {
        Self { values, snapshot }
    }

    /// How many values it has yet to give.
    pub fn len(&self) -> u64 {
        self.values.len()
    }

    /// Whether it has given all values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn own(&self, guard: AccessGuard<'static, V>) -> OwnedAccessGuard<V> {
        OwnedAccessGuard::new(guard, self.snapshot.clone())
    }
}

impl<V: Key + 'static> Iterator for OwnedMultimapValue<V> {
    type Item = Result<OwnedAccessGuard<V>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.values.next()?;
        Some(value.map(|value| self.own(value)))
    }
}

impl<V: Key + 'static> DoubleEndedIterator for OwnedMultimapValue<V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let value = self.values.next_back()?;
        Some(value.map(|value| self.own(value)))
    }
}

impl<V: Key + 'static> Debug for OwnedMultimapValue<V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OwnedMultimapValue").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A [`MultimapRange`] that keeps its read transaction alive, as do the keys and values that it gives.
///
/// ```
/// use sapwood::{Database, MultimapTableDefinition, OwnedMultimapRange, ReadableDatabase, backends::InMemoryBackend};
///
/// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_multimap_table(TAGS)?.insert("old", 7)?;
/// txn.commit()?;
///
/// let tags: OwnedMultimapRange<&str, u64> = db.begin_read()?.open_multimap_table(TAGS)?.range_owned("a".."z")?;
/// for entry in tags {
///     let (tag, trees) = entry?;
///     assert_eq!((tag.value(), trees.len()), ("old", 1));
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct OwnedMultimapRange<K: Key + 'static, V: Key + 'static> {
    entries: MultimapRange<'static, K, V>,
    snapshot: Arc<Snapshot>,
}

type OwnedEntry<K, V> = (OwnedAccessGuard<K>, OwnedMultimapValue<V>);

impl<K: Key + 'static, V: Key + 'static> OwnedMultimapRange<K, V> {
    pub(super) fn new(entries: MultimapRange<'static, K, V>, snapshot: Arc<Snapshot>) -> Self {
        Self { entries, snapshot }
    }

    fn own(&self, (key, values): Entry<'static, K, V>) -> OwnedEntry<K, V> {
        let key = OwnedAccessGuard::new(key, self.snapshot.clone());
        (key, OwnedMultimapValue::new(values, self.snapshot.clone()))
    }
}

impl<K: Key + 'static, V: Key + 'static> Iterator for OwnedMultimapRange<K, V> {
    type Item = Result<(OwnedAccessGuard<K>, OwnedMultimapValue<V>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(entry.map(|entry| self.own(entry)))
    }
}

impl<K: Key + 'static, V: Key + 'static> DoubleEndedIterator for OwnedMultimapRange<K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next_back()?;
        Some(entry.map(|entry| self.own(entry)))
    }
}

impl<K: Key + 'static, V: Key + 'static> Debug for OwnedMultimapRange<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OwnedMultimapRange").finish_non_exhaustive()
    }
}
