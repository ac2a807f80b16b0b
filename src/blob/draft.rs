use super::content::{CHUNK, CONTENTS, chunk, chunk_key, chunk_of, damaged, remove};
use super::dedup::{self, ContentHash};
use super::pieces;
use super::record::Content;
use super::tables::{BLOBS, Chunks};
use crate::compression::Codec;
use crate::error::StorageError;
use crate::index::open;
use crate::limits::MAX_BLOB_LENGTH;
use crate::txn::WriteTransaction;
use alloc::boxed::Box;
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// Longest content that lies beside what is known of its blob.
const MOST_INLINE: usize = 512;

/// How a content is stored.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    /// Whether it is cut into pieces that other contents may have too.
    pub(super) in_pieces: bool,
    /// What makes its chunks shorter, if not what the database says.
    pub(super) codec: Option<Codec>,
}

/// A content that is being written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    layout: Layout,
    /// The number of what is stored already.
    number: Option<u64>,
    /// Bytes that are stored: whole chunks, or pieces.
    stored: u64,
    /// What follows them, less than a chunk.
    rest: Vec<u8>,
    hash: Hash,
}

/// What is known of a draft's hash.
#[derive(Debug, Default)]
enum Hash {
    #[default]
    NotWanted,
    Running(Box<Sha256>),
    Known(ContentHash),
}

impl Draft {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, ..Self::default() }
    }

    /// The same, whose hash is wanted.
    pub(super) fn hashed(self) -> Self {
        Self { hash: Hash::Running(Box::default()), ..self }
    }

    /// The same, which will have this hash.
    pub(super) fn with_hash(self, hash: ContentHash) -> Self {
        Self { hash: Hash::Known(hash), ..self }
    }

    /// The same of a content of that length: one that is too short is not cut into pieces.
    pub(super) fn of_length(mut self, txn: &WriteTransaction, length: usize) -> Self {
        self.layout.in_pieces &= length as u64 >= txn.settings().blob_dedup.min_size;
        self
    }

    /// Goes on behind a content: one that is nobody else's is the draft's from then on, else a copy.
    pub(super) fn of(txn: &WriteTransaction, content: Content) -> Result<Self, StorageError> {
        let (number, length) = match content {
            Content::Inline(rest) => return Ok(Self { rest, ..Self::default() }),
            Content::Chunks(number, length) => (number, length),
        };
        let layout = Layout { in_pieces: pieces::are_of(number), codec: None };
        if dedup::hash_of(txn, number)?.is_some() {
            return Self::copy_of(txn, number, length, layout);
        }
        let (stored, last) = match length.checked_sub(1) {
            Some(last) => chunk(txn, number, length, last)?,
            None => return Err(damaged()),
        };
        if last.len() == CHUNK {
            return Ok(Self { layout, number: Some(number), stored: length, ..Self::default() });
        }
        if layout.in_pieces {
            // It ended where the content did.
            pieces::remove(txn, number, stored)?;
        }
        Ok(Self { layout, number: Some(number), stored, rest: last.to_vec(), hash: Hash::NotWanted })
    }

    fn copy_of(txn: &WriteTransaction, number: u64, length: u64, layout: Layout) -> Result<Self, StorageError> {
        let mut draft = Self::new(layout);
        while draft.len() < length {
            let (_, bytes) = chunk(txn, number, length, draft.len())?;
            draft.push(txn, &bytes)?;
        }
        Ok(draft)
    }

    pub(super) fn len(&self) -> u64 {
        self.stored + self.rest.len() as u64
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, txn: &WriteTransaction, mut bytes: &[u8]) -> Result<(), StorageError> {
        if let Hash::Running(hash) = &mut self.hash {
            hash.update(bytes);
        }
        while !bytes.is_empty() {
            let room = CHUNK.saturating_sub(self.rest.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            if now.len() == CHUNK {
                let stored = self.store(txn, now)?;
                bytes = bytes.get(stored..).unwrap_or_default();
                continue;
            }
            self.rest.extend_from_slice(now);
            if self.rest.len() == CHUNK {
                self.store_rest(txn)?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Stores the rest, or the first piece of it.
    fn store_rest(&mut self, txn: &WriteTransaction) -> Result<(), StorageError> {
        let mut rest = core::mem::take(&mut self.rest);
        let stored = self.store(txn, &rest)?;
        rest.drain(..stored.min(rest.len()));
        self.rest = rest;
        Ok(())
    }

    /// Stores what begins with these bytes, a chunk or all that is left, and says how much of them that is.
    fn store(&mut self, txn: &WriteTransaction, bytes: &[u8]) -> Result<usize, StorageError> {
        let number = match self.number {
            Some(number) => number,
            None => *self.number.insert(self.take_number(txn)?),
        };
        // The last byte is in the same chunk as the first, if they are not in pieces; these may be no longer in all.
        let chunk = chunk_of(self.stored + (bytes.len() as u64).saturating_sub(1))?;
        let stored = if self.layout.in_pieces {
            let piece = bytes.get(..pieces::cut(bytes)).unwrap_or(bytes);
            pieces::add(txn, (number, self.stored), piece, self.layout.codec)?;
            piece.len()
        } else {
            open::<Chunks>(txn, BLOBS)?.insert_packed(chunk_key(number, chunk), bytes, self.layout.codec)?;
            bytes.len()
        };
        self.stored += stored as u64;
        Ok(stored)
    }

    fn take_number(&self, txn: &WriteTransaction) -> Result<u64, StorageError> {
        let number = txn.take_number(CONTENTS)?;
        Ok(if self.layout.in_pieces { pieces::number(number) } else { number })
    }

    /// Stores what is left, and gives the content, which others may share if it has a hash and is long enough.
    pub(super) fn finish(mut self, txn: &WriteTransaction) -> Result<Content, StorageError> {
        let least = txn.settings().blob_dedup.min_size;
        self.layout.in_pieces &= self.len() >= least || self.number.is_some();
        let hash = match core::mem::take(&mut self.hash) {
            Hash::NotWanted => None,
            Hash::Running(hash) => Some(hash.finalize().into()),
            Hash::Known(hash) => Some(hash),
        };
        let content = self.finish_own(txn)?;
        match hash.filter(|_| content.len() >= least) {
            Some(hash) => dedup::share(txn, content, &hash),
            None => Ok(content),
        }
    }

    fn finish_own(mut self, txn: &WriteTransaction) -> Result<Content, StorageError> {
        if self.number.is_none() && self.rest.len() <= MOST_INLINE {
            return Ok(Content::Inline(self.rest));
        }
        while !self.rest.is_empty() {
            self.store_rest(txn)?;
        }
        self.number.map_or_else(|| Err(damaged()), |number| Ok(Content::Chunks(number, self.stored)))
    }

    /// What a row about it has: neither its layout nor its hash.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = [self.number.unwrap_or(u64::MAX), self.stored].map(u64::to_le_bytes).as_flattened().to_vec();
        bytes.extend_from_slice(&self.rest);
        bytes
    }

    /// Goes on, in a draft without bytes, with the one that such a row is about. Of one that is stored in part the rest is
    /// stored likewise. If its hash is wanted it is made of what is there already.
    pub(super) fn resumed(mut self, txn: &WriteTransaction, row: &[u8]) -> Result<Self, StorageError> {
        let malformed = || StorageError::corrupted("a draft of a blob's content is malformed");
        let (number, row) = row.split_first_chunk().ok_or_else(malformed)?;
        let (stored, rest) = row.split_first_chunk().ok_or_else(malformed)?;
        let (number, stored) = (u64::from_le_bytes(*number), u64::from_le_bytes(*stored));
        self.number = Some(number).filter(|number| *number != u64::MAX);
        self.layout.in_pieces = self.number.map_or(self.layout.in_pieces, pieces::are_of);
        let is_whole = self.number.is_some_and(pieces::are_of) || stored % CHUNK as u64 == 0;
        if !is_whole || (stored > 0) != self.number.is_some() || rest.len() >= CHUNK || stored > MAX_BLOB_LENGTH {
            return Err(malformed());
        }
        (self.stored, self.rest) = (stored, rest.to_vec());
        self.hash_again(txn)?;
        Ok(self)
    }

    fn hash_again(&mut self, txn: &WriteTransaction) -> Result<(), StorageError> {
        let Hash::Running(hash) = &mut self.hash else { return Ok(()) };
        let mut at = 0;
        while let (Some(number), true) = (self.number, at < self.stored) {
            let (_, bytes) = chunk(txn, number, self.stored, at)?;
            hash.update(&*bytes);
            at += bytes.len() as u64;
        }
        hash.update(&self.rest);
        Ok(())
    }

    /// Leaves nothing behind.
    pub(super) fn abandon(self, txn: &WriteTransaction) -> Result<(), StorageError> {
        self.number.map_or(Ok(()), |number| remove(txn, number))
    }
}
