use super::hybrid::HybridTime;
use super::metadata::{self, Metadata, MetadataValue};
use super::record::{BlobId, check_length};
use crate::compression::{Codec, Compression};
use crate::error::{BlobError, StorageError};
use crate::index::Relation;
use crate::limits::{MAX_NAMESPACE_LENGTH, MAX_TAG_LENGTH};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

/// What may be said of a blob when it is stored.
///
/// ```
/// use sapwood::StoreOptions;
///
/// let options = StoreOptions::new().with_namespace("notes").with_tags(["rust", "db"]).with_metadata("stars", 5_u64);
/// ```
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    pub(super) time: Option<u64>,
    pub(super) hybrid: Option<HybridTime>,
    pub(super) tags: Vec<String>,
    pub(super) namespace: Option<String>,
    pub(super) ttl: Option<Duration>,
    pub(super) metadata: Metadata,
    pub(super) dedup: Option<bool>,
    pub(super) chunk_dedup: Option<bool>,
    pub(super) compression: Option<Compression>,
    pub(super) parents: Vec<(BlobId, Relation)>,
}

impl StoreOptions {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// When the blob was made, in milliseconds since 1970. Else it is the transaction's time, by the
    /// [clock](crate::Builder::set_clock).
    #[must_use]
    pub fn with_time_ms(self, time: u64) -> Self {
        Self { time: Some(time), ..self }
    }

    /// The blob's hybrid time, as another database gave it. What is stored later has a greater one.
    #[must_use]
    pub fn with_hybrid_time(self, time: HybridTime) -> Self {
        Self { hybrid: Some(time), ..self }
    }

    /// Tags that it has from the start, beside those that were said before.
    #[must_use]
    pub fn with_tags<'t>(mut self, tags: impl IntoIterator<Item = &'t str>) -> Self {
        self.tags.extend(tags.into_iter().map(ToString::to_string));
        self
    }

    /// The namespace that it is in. Else it is in none.
    #[must_use]
    pub fn with_namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_string()), ..self }
    }

    /// How long it lives: to the millisecond, from the transaction's time on. Else as long as its namespace says.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    /// A value of the user's own, beside those that were said before under other names.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, value: impl Into<MetadataValue>) -> Self {
        self.metadata.insert(name.to_string(), value.into());
        self
    }

    /// A blob that it comes from, beside those that were said before. The link has no context.
    ///
    /// ```
    /// use sapwood::{BlobId, Relation, StoreOptions};
    ///
    /// let options = StoreOptions::new().with_parent(BlobId::new(7), Relation::Derived);
    /// ```
    #[must_use]
    pub fn with_parent(mut self, parent: BlobId, relation: Relation) -> Self {
        self.parents.push((parent, relation));
        self
    }

    /// Whether its content may be one with that of other blobs. Else it is as the
    /// [builder](crate::Builder::set_blob_dedup) says.
    #[must_use]
    pub fn with_dedup(self, dedup: bool) -> Self {
        Self { dedup: Some(dedup), ..self }
    }

    /// Whether its content is cut into chunks of about 32 KiB, 64 KiB at most, that end where its bytes say so, and are one
    /// with the same chunks of other blobs: for contents that are alike but not the same. Else it is as the
    /// [builder](crate::Builder::set_blob_chunk_dedup) says.
    #[must_use]
    pub fn with_chunk_dedup(self, dedup: bool) -> Self {
        Self { chunk_dedup: Some(dedup), ..self }
    }

    /// How its chunks are made shorter, those that are not there already. Else it is as the
    /// [builder](crate::Builder::set_compression) said when the database was created.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        Self { compression: Some(compression), ..self }
    }

    /// What makes its chunks shorter, if that is said.
    pub(super) fn codec(&self) -> Result<Option<Codec>, StorageError> {
        self.compression.map(Compression::codec).transpose()
    }

    /// An error if something is longer than it may be.
    pub(super) fn check(&self) -> Result<(), BlobError> {
        self.tags.iter().try_for_each(|tag| check_tag(tag))?;
        self.namespace.as_deref().map_or(Ok(()), check_namespace)?;
        metadata::check(&self.metadata)
    }
}

pub(super) fn check_tag(tag: &str) -> Result<(), BlobError> {
    check_length("tag", tag, MAX_TAG_LENGTH)
}

pub(super) fn check_namespace(name: &str) -> Result<(), BlobError> {
    check_length("namespace", name, MAX_NAMESPACE_LENGTH)
}
