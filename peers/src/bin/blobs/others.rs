//! Redb, where blobs are values, and shodh-redb, which has blobs.

use super::files::pieces;
use super::ours::store_blobs;
use super::{Peer, Way, sum};
use redb::{ReadableDatabase, TableDefinition};
use shodh_redb::{BlobId, ContentType, ReadableDatabase as _, StoreOptions};
use std::path::Path;

const BLOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("blobs");

pub struct Redb {
    db: redb::Database,
    count: u64,
}

impl Redb {
    pub fn create(path: &Path) -> Self {
        Self { db: redb::Database::create(path).unwrap(), count: 0 }
    }
}

impl Peer for Redb {
    fn name(&self) -> &'static str {
        "redb, values"
    }

    fn can(&self, way: Way) -> bool {
        way == Way::Whole
    }

    fn store(&mut self, blobs: &[&[u8]], _way: Way) {
        let txn = self.db.begin_write().unwrap();
        let mut table = txn.open_table(BLOBS).unwrap();
        for blob in blobs {
            table.insert(self.count, *blob).unwrap();
            self.count += 1;
        }
        drop(table);
        txn.commit().unwrap();
    }

    fn read(&mut self, at: usize, _way: Way) -> u64 {
        let table = self.db.begin_read().unwrap().open_table(BLOBS).unwrap();
        let blob = table.get(at as u64).unwrap().unwrap().value().to_vec();
        sum(&blob)
    }
}

pub struct Shodh {
    db: shodh_redb::Database,
    ids: Vec<BlobId>,
}

impl Shodh {
    pub fn create(path: &Path) -> Self {
        Self { db: shodh_redb::Database::create(path).unwrap(), ids: Vec::new() }
    }
}

impl Peer for Shodh {
    fn name(&self) -> &'static str {
        "shodh-redb"
    }

    fn store(&mut self, blobs: &[&[u8]], way: Way) {
        let txn = self.db.begin_write().unwrap();
        self.ids.extend(store_blobs!(txn, blobs, way, ContentType::OctetStream, StoreOptions::default()));
    }

    fn read(&mut self, at: usize, way: Way) -> u64 {
        let txn = self.db.begin_read().unwrap();
        if way == Way::Pieces {
            return pieces(txn.blob_reader(&self.ids[at]).unwrap().unwrap());
        }
        sum(&txn.get_blob(&self.ids[at]).unwrap().unwrap().0)
    }
}
