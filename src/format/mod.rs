//! The bytes on disk, and nothing else.

pub(crate) mod node;
pub(crate) mod pointer;
pub(crate) mod superblock;

pub(crate) use pointer::{Checksum, MAX_TXN_ID, PageNumber, Pointer, TxnId};
pub(crate) use superblock::{CommitSlot, Geometry, Mirror};
