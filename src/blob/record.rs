//! What is known of a blob, and its bytes.

use super::content_type::{ContentType, OTHER_TYPE};
use super::hybrid::HybridTime;
use super::metadata::{self, Metadata, push_text, take_text};
use crate::error::{BlobError, StorageError};
use crate::limits::{MAX_BLOB_LABEL_LENGTH, MAX_BLOB_LENGTH, MAX_CONTENT_TYPE_LENGTH};
use crate::types::Reader;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Display, Formatter};

/// A blob's name within its database. Ids ascend in the order in which blobs are stored; none is given to another blob
/// by a later commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(u64);

impl BlobId {
    /// The blob with this number.
    pub const fn new(sequence: u64) -> Self {
        Self(sequence)
    }

    /// The blob's number, from 1 on.
    pub const fn sequence(self) -> u64 {
        self.0
    }
}

impl Display for BlobId {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a blob.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BlobMeta {
    /// The blob.
    pub id: BlobId,
    /// Length of the content in bytes.
    pub length: u64,
    /// What kind of thing it is.
    pub content_type: ContentType,
    /// What it is called.
    pub label: String,
    /// When it was made, in milliseconds since 1970.
    pub time_ms: u64,
    /// When it was stored, as databases that know of each other see it.
    pub hybrid_time: HybridTime,
    /// The namespace that it is in.
    pub namespace: Option<String>,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// What the user says of it.
    pub metadata: Metadata,
}

/// Where a blob's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Inline(Vec<u8>),
    /// Number and length of a content in chunks.
    Chunks(u64, u64),
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Chunks(_, length) => *length,
        }
    }
}

/// A row of the table of blobs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) content_type: ContentType,
    pub(super) label: String,
    pub(super) time: u64,
    pub(super) hybrid: HybridTime,
    /// Number of the namespace; 0 for none.
    pub(super) namespace: u64,
    pub(super) expires: Option<u64>,
    pub(super) metadata: Metadata,
    pub(super) content: Content,
}

/// What becomes of a blob's record: it comes, changes or goes.
#[derive(Clone, Copy)]
pub(super) struct Step<'r> {
    pub(super) id: BlobId,
    pub(super) before: Option<&'r Record>,
    pub(super) after: Option<&'r Record>,
}

impl<'r> Step<'r> {
    /// Something of the record as it was and as it will be.
    pub(super) fn map<K>(&self, of: impl Fn(&'r Record) -> Option<K>) -> (Option<K>, Option<K>) {
        (self.before.and_then(&of), self.after.and_then(&of))
    }
}

/// What a record has, by the bits of its first byte.
const CHUNKS: u8 = 1;
const NAMESPACE: u8 = 1 << 1;
const EXPIRES: u8 = 1 << 2;
const METADATA: u8 = 1 << 3;

impl Record {
    /// A record without content.
    pub(super) fn new(content_type: ContentType, label: &str, time: u64) -> Result<Self, BlobError> {
        let record = Self {
            content_type: ContentType::default(),
            label: String::new(),
            time,
            hybrid: HybridTime::default(),
            namespace: 0,
            expires: None,
            metadata: Metadata::new(),
            content: Content::Inline(Vec::new()),
        };
        record.typed(content_type)?.labelled(label)
    }

    /// The same with another label.
    pub(super) fn labelled(self, label: &str) -> Result<Self, BlobError> {
        check_length("label", label, MAX_BLOB_LABEL_LENGTH)?;
        Ok(Self { label: label.to_string(), ..self })
    }

    /// The same with another content type.
    pub(super) fn typed(self, content_type: ContentType) -> Result<Self, BlobError> {
        check_length("content type", content_type.as_str(), MAX_CONTENT_TYPE_LENGTH)?;
        Ok(Self { content_type, ..self })
    }

    fn has(&self) -> u8 {
        let flag = |has: bool, bit| if has { bit } else { 0 };
        flag(matches!(self.content, Content::Chunks(..)), CHUNKS)
            | flag(self.namespace != 0, NAMESPACE)
            | flag(self.expires.is_some(), EXPIRES)
            | flag(!self.metadata.is_empty(), METADATA)
    }

    /// | bytes | field |
    /// |---|---|
    /// | 1 | what it has: 1 a content in chunks, 2 a namespace, 4 a time at which it expires, 8 metadata |
    /// | 8, 8 | time, hybrid time |
    /// | 8 | number of the namespace, if it is in one |
    /// | 8 | when it expires, if it does |
    /// | 1 | content type; 255: its name follows, behind its length |
    /// | 1, 3 or 5 | length of the label, which follows |
    /// | ... | metadata, if it has any |
    /// | 8, 8 | of a content in chunks: number, length |
    /// | rest | else the content |
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(self.has());
        let namespace = Some(self.namespace).filter(|number| *number != 0);
        let numbers = [Some(self.time), Some(self.hybrid.to_bits()), namespace, self.expires];
        numbers.into_iter().flatten().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        out.push(self.content_type.byte());
        if let ContentType::Mime(name) = &self.content_type {
            push_text(name, &mut out);
        }
        push_text(&self.label, &mut out);
        if !self.metadata.is_empty() {
            metadata::encode(&self.metadata, &mut out);
        }
        match &self.content {
            Content::Inline(bytes) => out.extend_from_slice(bytes),
            Content::Chunks(number, length) => {
                out.extend_from_slice(&number.to_le_bytes());
                out.extend_from_slice(&length.to_le_bytes());
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        Self::read(bytes).ok_or_else(|| StorageError::corrupted("the record of a blob is malformed"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let [has] = *reader.take(1)?.first_chunk()?;
        let if_any =
            |reader: &mut Reader<'_>, bit| if has & bit == 0 { Some(None) } else { take_u64(reader).map(Some) };
        let (time, hybrid) = (take_u64(&mut reader)?, HybridTime::from_bits(take_u64(&mut reader)?));
        let (namespace, expires) = (if_any(&mut reader, NAMESPACE)?, if_any(&mut reader, EXPIRES)?);
        let [kind] = *reader.take(1)?.first_chunk()?;
        let content_type = match kind {
            OTHER_TYPE => ContentType::Mime(take_text(&mut reader)?),
            known => ContentType::of_byte(known)?,
        };
        let label = take_text(&mut reader)?;
        let metadata = if has & METADATA == 0 { Metadata::new() } else { metadata::read(&mut reader)? };
        let content = if has & CHUNKS == 0 {
            Content::Inline(reader.rest().to_vec())
        } else {
            Content::Chunks(take_u64(&mut reader)?, take_u64(&mut reader)?)
        };
        let namespace = namespace.unwrap_or(0);
        let record = Self { content_type, label, time, hybrid, namespace, expires, metadata, content };
        let is_whole = match record.content {
            Content::Inline(_) => true,
            Content::Chunks(_, length) => reader.rest().is_empty() && length > 0 && length <= MAX_BLOB_LENGTH,
        };
        (is_whole && record.has() == has).then_some(record)
    }

    /// Whether the blob has expired at that time.
    pub(super) fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    pub(super) fn into_meta(self, id: BlobId, namespace: Option<String>) -> BlobMeta {
        let length = self.content.len();
        let Self { content_type, label, time, hybrid, expires, metadata, .. } = self;
        let (time_ms, hybrid_time, expires_at_ms) = (time, hybrid, expires);
        BlobMeta { id, length, content_type, label, time_ms, hybrid_time, namespace, expires_at_ms, metadata }
    }
}

fn take_u64(reader: &mut Reader<'_>) -> Option<u64> {
    reader.take(8)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

pub(super) fn check_length(what: &'static str, text: &str, limit: usize) -> Result<(), BlobError> {
    let length = text.len();
    if length > limit { Err(BlobError::TooLong { what, length, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content_type: ContentType, label: &str, content: Content) -> Record {
        Record { content, ..Record::new(content_type, label, 7).unwrap() }
    }

    #[test]
    fn records_have_these_bytes() {
        for (record, bytes) in [
            (
                record(ContentType::Json, "oak", Content::Inline(b"{}".to_vec())),
                &b"\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0B\x03oak{}"[..],
            ),
            (
                record("a/b".into(), "", Content::Chunks(3, 1 << 20)),
                b"\x01\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\x03a/b\0\x03\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0",
            ),
        ] {
            assert_eq!(record.encode(), bytes);
            assert_eq!(Record::decode(bytes).unwrap(), record);
            let least = bytes.len() - record.content.len().min(2) as usize;
            assert!((0..least).all(|length| Record::read(&bytes[..length]).is_none()));
        }
    }

    #[test]
    fn what_is_too_long_is_refused_and_never_cut() {
        let label = |length| Record::new(ContentType::OctetStream, &"ä".repeat(length), 0);
        assert_eq!(label(MAX_BLOB_LABEL_LENGTH / 2).unwrap().label.len(), MAX_BLOB_LABEL_LENGTH);
        let refused = label(MAX_BLOB_LABEL_LENGTH / 2 + 1);
        assert!(
            matches!(refused, Err(BlobError::TooLong { what: "label", length, .. }) if length == MAX_BLOB_LABEL_LENGTH + 2)
        );
        let kind = ContentType::Mime("t".repeat(MAX_CONTENT_TYPE_LENGTH + 1));
        assert!(matches!(Record::new(kind, "", 0), Err(BlobError::TooLong { what: "content type", .. })));
    }
}
