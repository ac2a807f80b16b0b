use super::expiry::sight;
use super::paged::{BATCH, Listed, Paged};
use super::read::record;
use super::record::{BlobId, check_length};
use super::tables::BLOBS;
use super::tags::{blob, thing};
use super::write::delete;
use crate::error::{BlobError, StorageError};
use crate::index::{DeleteLinks, Edge, Edges, Follow, Linked, OwnTables, Relation, Side};
use crate::limits::MAX_EDGE_CONTEXT_LENGTH;
use crate::txn::{BlobChange, WriteTransaction};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

/// The links between blobs.
pub(super) fn edges<T: OwnTables>(tables: &T) -> Edges<'_, T> {
    Edges::new(tables, BLOBS)
}

fn check_exists(tables: &impl OwnTables, id: BlobId) -> Result<(), BlobError> {
    record(tables, id)?.map(drop).ok_or(BlobError::NotFound(id.sequence()))
}

/// An error unless all of them are there.
pub(super) fn check_parents(txn: &WriteTransaction, parents: &[(BlobId, Relation)]) -> Result<(), BlobError> {
    parents.iter().try_for_each(|(parent, _)| check_exists(txn, *parent))
}

/// Links a new blob to its parents, which are there.
pub(super) fn add_parents(
    txn: &WriteTransaction,
    id: BlobId,
    parents: &[(BlobId, Relation)],
) -> Result<(), StorageError> {
    let add = |(parent, relation): &(BlobId, Relation)| edges(txn).add(&thing(*parent), *relation, &thing(id), "");
    parents.iter().try_for_each(|parent| add(parent).map(drop))
}

/// Removes the links of a blob that is deleted.
pub(super) fn remove(txn: &WriteTransaction, id: BlobId, links: DeleteLinks) -> Result<(), StorageError> {
    edges(txn).remove_thing(&thing(id), links)
}

/// A link as one of its blobs sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The blob at the other end.
    pub blob: BlobId,
    /// What the child is to the parent.
    pub relation: Relation,
    /// What was said of the link.
    pub context: String,
}

/// The children or the parents of a blob, in the order of relations and ids. After an error it gives no more.
///
/// Some are looked up at a time. In a write transaction those that are linked meanwhile may be among them or not.
pub struct LinkedBlobs<'t, T: OwnTables> {
    tables: &'t T,
    of: BlobId,
    side: Side,
    found: Paged<Link>,
}

impl Listed for Link {
    type Place = (Relation, BlobId);

    fn place(&self) -> Self::Place {
        (self.relation, self.blob)
    }

    fn blob(&self) -> BlobId {
        self.blob
    }
}

impl<'t, T: OwnTables> LinkedBlobs<'t, T> {
    pub(super) fn new(tables: &'t T, of: BlobId, side: Side) -> Self {
        Self { tables, of, side, found: Paged::behind(None) }
    }

    /// The same behind a link that was given before, by this or another one.
    #[must_use]
    pub fn after(self, relation: Relation, blob: BlobId) -> Self {
        Self { found: Paged::behind(Some((relation, blob))), ..self }
    }
}

fn fetch(
    tables: &impl OwnTables,
    of: BlobId,
    side: Side,
    after: Option<(Relation, BlobId)>,
) -> Result<Vec<Link>, StorageError> {
    if record(tables, of)?.is_none() {
        return Ok(Vec::new());
    }
    let after = after.map(|(relation, id)| (relation, thing(id)));
    let after = after.as_ref().map(|(relation, thing)| (*relation, &thing[..]));
    let link = |Edge { thing, relation, context }| Ok(Link { blob: blob(thing)?, relation, context });
    edges(tables).list(side, &thing(of), after, BATCH)?.into_iter().map(link).collect()
}

impl<T: OwnTables> Iterator for LinkedBlobs<'_, T> {
    type Item = Result<Link, BlobError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.found.next(self.tables, |last| fetch(self.tables, self.of, self.side, last));
        next.map_err(BlobError::from).transpose()
    }
}

impl<T: OwnTables> Debug for LinkedBlobs<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LinkedBlobs").field("of", &self.of).finish_non_exhaustive()
    }
}

fn blobs(things: Vec<Vec<u8>>) -> Result<Vec<BlobId>, BlobError> {
    Ok(things.into_iter().map(blob).collect::<Result<_, _>>()?)
}

/// Ways lead neither to nor through a blob that has expired.
fn sight_of_things<T: OwnTables>(tables: &T) -> Result<impl Fn(&[u8]) -> Result<bool, StorageError>, StorageError> {
    let is_seen = sight(tables)?;
    Ok(move |thing: &[u8]| is_seen(blob(thing.to_vec())?))
}

pub(super) fn chain(tables: &impl OwnTables, id: BlobId, hops: u32) -> Result<Vec<BlobId>, BlobError> {
    let _held = tables.hold();
    if record(tables, id)?.is_none() {
        return Ok(Vec::new());
    }
    blobs(edges(tables).chain(&thing(id), hops, sight_of_things(tables)?)?)
}

pub(super) fn path(
    tables: &impl OwnTables,
    from: BlobId,
    to: BlobId,
    hops: u32,
) -> Result<Option<Vec<BlobId>>, BlobError> {
    let _held = tables.hold();
    if record(tables, from)?.is_none() {
        return Ok(None);
    }
    let is_seen = sight_of_things(tables)?;
    edges(tables).path(&thing(from), &thing(to), Follow::Either, hops, is_seen)?.map(blobs).transpose()
}

pub(super) fn within(
    tables: &impl OwnTables,
    id: BlobId,
    follow: Follow,
    hops: u32,
) -> Result<Vec<(BlobId, u32)>, BlobError> {
    let _held = tables.hold();
    if record(tables, id)?.is_none() {
        return Ok(Vec::new());
    }
    let found = edges(tables).within(&thing(id), follow, hops, sight_of_things(tables)?)?.into_iter();
    found.map(|(thing, hops)| Ok((blob(thing)?, hops))).collect()
}

impl WriteTransaction {
    /// Makes a blob the child of another, with a relation and a context: any text. Says whether there was no such link; one
    /// that was there has the new context then. Two blobs may have a link of each relation, and a blob any number of parents.
    ///
    /// Takes no time if the child has no children or the parent no parents, and otherwise as long as the shorter of two
    /// searches: among what is below the child, and what is above the parent.
    ///
    /// ```
    /// use sapwood::{BlobError, ContentType, Database, ReadableBlobs, Relation, StoreOptions, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let store = |label| txn.store_blob(b"", ContentType::TextPlain, label, StoreOptions::new());
    /// let (claim, proof) = (store("claim")?, store("proof")?);
    /// assert!(txn.link_blobs(claim, proof, Relation::Supports, "page 7")?);
    /// assert!(matches!(txn.link_blobs(proof, claim, Relation::Derived, ""), Err(BlobError::Cycle { .. })));
    /// assert_eq!(txn.causal_parents(proof).next().unwrap()?.context, "page 7");
    /// assert!(txn.unlink_blobs(claim, proof, Relation::Supports)?);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if one of the blobs is not there; [`TooLong`](BlobError::TooLong) for a context of
    /// more than [`MAX_EDGE_CONTEXT_LENGTH`] bytes; [`Cycle`](BlobError::Cycle) if the parent is the child, or comes from it.
    pub fn link_blobs(
        &self,
        parent: BlobId,
        child: BlobId,
        relation: Relation,
        context: &str,
    ) -> Result<bool, BlobError> {
        check_length("context", context, MAX_EDGE_CONTEXT_LENGTH)?;
        let _held = self.hold();
        [parent, child].into_iter().try_for_each(|id| check_exists(self, id))?;
        match edges(self).add(&thing(parent), relation, &thing(child), context)? {
            Linked::Cycle => Err(BlobError::Cycle { parent: parent.sequence(), child: child.sequence() }),
            linked => {
                self.log_blob(child.sequence(), BlobChange::Known)?;
                Ok(linked == Linked::New)
            }
        }
    }

    /// Removes a link, and says whether there was one.
    pub fn unlink_blobs(&self, parent: BlobId, child: BlobId, relation: Relation) -> Result<bool, BlobError> {
        let _held = self.hold();
        let went = edges(self).remove(&thing(parent), relation, &thing(child))?;
        if went {
            self.log_blob(child.sequence(), BlobChange::Known)?;
        }
        Ok(went)
    }

    /// Deletes a blob, as [`delete_blob`](Self::delete_blob) does, and says what becomes of its links.
    ///
    /// ```
    /// # use sapwood::{ContentType, Database, DeleteLinks, ReadableBlobs, Relation, StoreOptions};
    /// # use sapwood::backends::InMemoryBackend;
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let store = |options| txn.store_blob(b"", ContentType::TextPlain, "", options);
    /// let first = store(StoreOptions::new())?;
    /// let second = store(StoreOptions::new().with_parent(first, Relation::Derived))?;
    /// let third = store(StoreOptions::new().with_parent(second, Relation::Supersedes))?;
    /// txn.delete_blob_with(second, DeleteLinks::Heal)?;
    /// assert_eq!(txn.causal_chain(third, 10)?, [third, first]);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn delete_blob_with(&self, id: BlobId, links: DeleteLinks) -> Result<bool, BlobError> {
        let _held = self.hold();
        delete(self, id, links)
    }
}
