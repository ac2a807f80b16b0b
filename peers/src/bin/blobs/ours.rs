//! Sapwood.

use super::files::pieces;
use super::{PIECE, Peer, Way, sum};
use sapwood::{BlobId, ContentType, Database, ReadableBlobs, ReadableDatabase, StoreOptions};
use std::path::Path;

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
        for blob in blobs {
            let (kind, options) = (ContentType::OctetStream, StoreOptions::new());
            let id = if way == Way::Whole {
                txn.store_blob(blob, kind, "", options).unwrap()
            } else {
                let mut writer = txn.blob_writer(kind, "", options).unwrap();
                blob.chunks(PIECE).for_each(|piece| writer.write(piece).unwrap());
                writer.finish().unwrap()
            };
            self.ids.push(id);
        }
        txn.commit().unwrap();
    }

    fn read(&mut self, at: usize, way: Way) -> u64 {
        let txn = self.db.begin_read().unwrap();
        if way == Way::Pieces {
            return pieces(txn.blob_reader(self.ids[at]).unwrap());
        }
        sum(&txn.get_blob(self.ids[at]).unwrap().unwrap().0)
    }
}
