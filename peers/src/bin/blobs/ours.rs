//! Sapwood.

use super::files::pieces;
use super::{Peer, Way, sum};
use sapwood::{BlobId, ContentType, Database, ReadableBlobs, ReadableDatabase, StoreOptions};
use std::path::Path;

/// Stores blobs by one commit, where transactions have the methods that Sapwood's have, and gives their ids.
macro_rules! store_blobs {
    ($txn:expr, $blobs:expr, $way:expr, $kind:expr, $options:expr) => {{
        let (txn, whole) = ($txn, $way == super::Way::Whole);
        let store = |blob: &&[u8]| {
            if whole {
                return txn.store_blob(blob, $kind, "", $options).unwrap();
            }
            let mut writer = txn.blob_writer($kind, "", $options).unwrap();
            blob.chunks(super::PIECE).for_each(|piece| writer.write(piece).unwrap());
            writer.finish().unwrap()
        };
        let ids: Vec<_> = $blobs.iter().map(store).collect();
        txn.commit().unwrap();
        ids
    }};
}
pub(super) use store_blobs;

pub struct Store {
    db: Database,
    name: &'static str,
    ids: Vec<BlobId>,
}

impl Store {
    /// With a page cache of so many bytes, if that is said.
    pub fn create(path: &Path, name: &'static str, cache: Option<usize>) -> Self {
        let mut builder = Database::builder();
        if let Some(bytes) = cache {
            builder.set_cache_size(bytes);
        }
        Self { db: builder.create(path).unwrap(), name, ids: Vec::new() }
    }
}

impl Peer for Store {
    fn name(&self) -> &'static str {
        self.name
    }

    fn store(&mut self, blobs: &[&[u8]], way: Way) {
        let txn = self.db.begin_write().unwrap();
        self.ids.extend(store_blobs!(txn, blobs, way, ContentType::OctetStream, StoreOptions::new()));
    }

    fn read(&mut self, at: usize, way: Way) -> u64 {
        let txn = self.db.begin_read().unwrap();
        if way == Way::Pieces {
            return pieces(txn.blob_reader(self.ids[at]).unwrap());
        }
        sum(&txn.get_blob(self.ids[at]).unwrap().unwrap().0)
    }
}
