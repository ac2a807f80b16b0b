//! What is known of a blob, and its bytes.

use crate::error::{BlobError, StorageError};
use crate::index::Relation;
use crate::limits::{MAX_BLOB_LABEL_LENGTH, MAX_CONTENT_TYPE_LENGTH};
use crate::types::{Reader, push_length};
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

macro_rules! content_types {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $mime:literal;)*) => {
        /// What kind of thing a blob's content is.
        ///
        /// ```
        /// use sapwood::ContentType;
        ///
        /// assert_eq!(ContentType::from("image/png"), ContentType::ImagePng);
        /// assert_eq!(ContentType::from("text/rust").as_str(), "text/rust");
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ContentType {
            $($(#[$doc])* $name,)*
            /// Any other, by its MIME type: at most [`MAX_CONTENT_TYPE_LENGTH`] bytes.
            Mime(String),
        }

        impl ContentType {
            /// The MIME type.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $mime,)*
                    Self::Mime(name) => name,
                }
            }

            fn byte(&self) -> u8 {
                match self {
                    $(Self::$name => $byte,)*
                    Self::Mime(_) => OTHER_TYPE,
                }
            }

            fn of_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)*
                    _ => None,
                }
            }

            fn of_name(name: &str) -> Option<Self> {
                match name {
                    $($mime => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

content_types! {
    /// Bytes of which nothing is known.
    #[default]
    OctetStream = 0, "application/octet-stream";
    /// A PNG image.
    ImagePng = 1, "image/png";
    /// A JPEG image.
    ImageJpeg = 2, "image/jpeg";
    /// A WAV recording.
    AudioWav = 3, "audio/wav";
    /// An Ogg recording.
    AudioOgg = 4, "audio/ogg";
    /// An MP4 film.
    VideoMp4 = 5, "video/mp4";
    /// A LAS point cloud.
    PointCloudLas = 6, "application/vnd.las";
    /// Readings of an inertial measurement unit.
    SensorImu = 7, "application/x-imu";
    /// An embedding vector.
    Embedding = 8, "application/x-embedding";
    /// A document about other blobs.
    Metadata = 9, "application/x-metadata";
    /// Plain text.
    TextPlain = 10, "text/plain";
    /// JSON.
    Json = 11, "application/json";
}

/// The byte of a content type that is spelled out.
const OTHER_TYPE: u8 = 255;

impl From<&str> for ContentType {
    fn from(name: &str) -> Self {
        Self::of_name(name).unwrap_or_else(|| Self::Mime(name.to_string()))
    }
}

/// What may be said of a blob when it is stored.
///
/// ```
/// use sapwood::StoreOptions;
///
/// let options = StoreOptions::new().with_time_ms(1_700_000_000_000).with_tags(["rust", "notes"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    pub(super) time: Option<u64>,
    pub(super) tags: Vec<String>,
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

    /// Tags that it has from the start, beside those that were said before.
    #[must_use]
    pub fn with_tags<'t>(mut self, tags: impl IntoIterator<Item = &'t str>) -> Self {
        self.tags.extend(tags.into_iter().map(ToString::to_string));
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
}

/// What is known of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) content_type: ContentType,
    pub(super) label: String,
    pub(super) time: u64,
    pub(super) content: Content,
}

const INLINE: u8 = 0;
const CHUNKS: u8 = 1;

impl Record {
    /// A record without content.
    pub(super) fn new(content_type: ContentType, label: &str, time: u64) -> Result<Self, BlobError> {
        check_length("content type", content_type.as_str(), MAX_CONTENT_TYPE_LENGTH)?;
        Self { content_type, label: String::new(), time, content: Content::Inline(Vec::new()) }.labelled(label)
    }

    /// The same with another label.
    pub(super) fn labelled(self, label: &str) -> Result<Self, BlobError> {
        check_length("label", label, MAX_BLOB_LABEL_LENGTH)?;
        Ok(Self { label: label.to_string(), ..self })
    }

    /// | bytes | field |
    /// |---|---|
    /// | 1 | 0: the content follows at the end; 1: it is in chunks |
    /// | 8 | time |
    /// | 1 | content type; 255: its name follows, behind its length |
    /// | 1, 3 or 5 | length of the label, which follows |
    /// | 8, 8 | of a content in chunks: number, length |
    /// | rest | else the content |
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(if matches!(self.content, Content::Inline(_)) { INLINE } else { CHUNKS });
        out.extend_from_slice(&self.time.to_le_bytes());
        out.push(self.content_type.byte());
        if let ContentType::Mime(name) = &self.content_type {
            push_text(name, &mut out);
        }
        push_text(&self.label, &mut out);
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
        let (form, rest) = bytes.split_first()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let mut reader = Reader::new(rest);
        let content_type = match *kind {
            OTHER_TYPE => ContentType::Mime(take_text(&mut reader)?),
            known => ContentType::of_byte(known)?,
        };
        let label = take_text(&mut reader)?;
        let content = match (*form, reader.rest()) {
            (INLINE, bytes) => Content::Inline(bytes.to_vec()),
            (CHUNKS, place) => match *place.as_chunks::<8>().0 {
                [number, length] if place.len() == 16 => {
                    Content::Chunks(u64::from_le_bytes(number), u64::from_le_bytes(length))
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { content_type, label, time: u64::from_le_bytes(*time), content })
    }

    pub(super) fn into_meta(self, id: BlobId) -> BlobMeta {
        let Self { content_type, label, time, content } = self;
        BlobMeta { id, length: content.len(), content_type, label, time_ms: time }
    }
}

pub(super) fn check_length(what: &'static str, text: &str, limit: usize) -> Result<(), BlobError> {
    let length = text.len();
    if length > limit { Err(BlobError::TooLong { what, length, limit }) } else { Ok(()) }
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    push_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn take_text(reader: &mut Reader<'_>) -> Option<String> {
    let length = reader.length()?;
    core::str::from_utf8(reader.take(length)?).ok().map(ToString::to_string)
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
                &b"\0\x07\0\0\0\0\0\0\0\x0B\x03oak{}"[..],
            ),
            (
                record("a/b".into(), "", Content::Chunks(3, 1 << 20)),
                b"\x01\x07\0\0\0\0\0\0\0\xFF\x03a/b\0\x03\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0",
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
