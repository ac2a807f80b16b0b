//! What users say of their blobs: values by name.

use crate::error::BlobError;
use crate::limits::MAX_METADATA_LENGTH;
use crate::types::{Reader, push_length};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Values by name, all of which take at most [`MAX_METADATA_LENGTH`] bytes.
pub type Metadata = BTreeMap<String, MetadataValue>;

/// A value of a blob's metadata.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetadataValue {
    /// A text.
    Text(String),
    /// Any bytes.
    Bytes(Vec<u8>),
    /// An integer with sign.
    I64(i64),
    /// An integer without sign.
    U64(u64),
    /// A number.
    F64(f64),
    /// Yes or no.
    Bool(bool),
}

macro_rules! from {
    ($($from:ty => $variant:ident;)*) => {
        $(impl From<$from> for MetadataValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from! {
    &str => Text;
    String => Text;
    &[u8] => Bytes;
    Vec<u8> => Bytes;
    i64 => I64;
    u64 => U64;
    f64 => F64;
    bool => Bool;
}

const TEXT: u8 = 0;
const BYTES: u8 = 1;
const I64: u8 = 2;
const U64: u8 = 3;
const F64: u8 = 4;
const FALSE: u8 = 5;
const TRUE: u8 = 6;

impl MetadataValue {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => push_sized(TEXT, text.as_bytes(), out),
            Self::Bytes(bytes) => push_sized(BYTES, bytes, out),
            Self::I64(number) => push(I64, &number.to_le_bytes(), out),
            Self::U64(number) => push(U64, &number.to_le_bytes(), out),
            Self::F64(number) => push(F64, &number.to_le_bytes(), out),
            Self::Bool(truth) => out.push(if *truth { TRUE } else { FALSE }),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [kind] = *reader.take(1)?.first_chunk()?;
        Some(match kind {
            TEXT => Self::Text(take_text(reader)?),
            BYTES => {
                let length = reader.length()?;
                Self::Bytes(reader.take(length)?.to_vec())
            }
            I64 => Self::I64(i64::from_le_bytes(*reader.take(8)?.first_chunk()?)),
            U64 => Self::U64(u64::from_le_bytes(*reader.take(8)?.first_chunk()?)),
            F64 => Self::F64(f64::from_le_bytes(*reader.take(8)?.first_chunk()?)),
            FALSE => Self::Bool(false),
            TRUE => Self::Bool(true),
            _ => return None,
        })
    }
}

fn push(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn push_sized(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    push_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

pub(super) fn push_text(text: &str, out: &mut Vec<u8>) {
    push_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn take_text(reader: &mut Reader<'_>) -> Option<String> {
    let length = reader.length()?;
    core::str::from_utf8(reader.take(length)?).ok().map(ToString::to_string)
}

/// How many there are, as a length; of each its name and its value, in the order of names.
pub(super) fn encode(metadata: &Metadata, out: &mut Vec<u8>) {
    push_length(metadata.len(), out);
    for (name, value) in metadata {
        push_text(name, out);
        value.encode(out);
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Metadata> {
    let mut metadata = Metadata::new();
    for _ in 0..reader.length()? {
        let (name, value) = (take_text(reader)?, MetadataValue::read(reader)?);
        let ascends = metadata.last_key_value().is_none_or(|(last, _)| *last < name);
        ascends.then_some(())?;
        metadata.insert(name, value);
    }
    Some(metadata)
}

/// An error if it takes more bytes than it may.
pub(super) fn check(metadata: &Metadata) -> Result<(), BlobError> {
    let mut bytes = Vec::new();
    encode(metadata, &mut bytes);
    let (what, length, limit) = ("metadata", bytes.len(), MAX_METADATA_LENGTH);
    if length > limit { Err(BlobError::TooLong { what, length, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_round_trips_and_damage_is_refused() {
        let values: [MetadataValue; 8] = [
            "größe".into(),
            [0, 255].as_slice().into(),
            i64::MIN.into(),
            u64::MAX.into(),
            0.5.into(),
            true.into(),
            false.into(),
            "".into(),
        ];
        let metadata: Metadata = ('a'..).map(String::from).zip(values).collect();
        let mut bytes = Vec::new();
        encode(&metadata, &mut bytes);
        assert_eq!(read(&mut Reader::new(&bytes)), Some(metadata));
        assert!((0..bytes.len()).all(|length| read(&mut Reader::new(&bytes[..length])).is_none()));
        for bad in [&b"\x01\x01a\x07"[..], b"\x02\x01b\x05\x01a\x05", b"\x02\x01a\x05\x01a\x05", b"\x01\x01\xFF\x05"] {
            assert_eq!(read(&mut Reader::new(bad)), None, "{bad:?}");
        }
    }
}
