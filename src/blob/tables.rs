//! The tables that blobs are kept in.

use crate::index::Part;
use crate::txn::Space;

/// The name of these tables: there is one set of them.
pub(super) const BLOBS: &str = "";

/// From the id of a blob to its record.
#[derive(Debug)]
pub enum Records {}

impl Part for Records {
    type Key = u64;
    type Value = &'static [u8];
    const SPACE: Space = Space::Blobs;
}

/// From the number of a content and that of a chunk to the chunk's bytes.
#[derive(Debug)]
pub enum Chunks {}

impl Part for Chunks {
    type Key = ChunkKey;
    type Value = &'static [u8];
    const SPACE: Space = Space::Chunks;
}

/// Both numbers, big-endian.
pub(super) type ChunkKey = [u8; 12];

/// When a blob was made, and its id.
#[derive(Debug)]
pub enum Times {}

impl Part for Times {
    type Key = TimeKey;
    type Value = ();
    const SPACE: Space = Space::Times;
}

/// Both numbers, big-endian.
pub(super) type TimeKey = [u8; 16];
