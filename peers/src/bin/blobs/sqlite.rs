//! SQLite: whole blobs as parameters and columns, pieces by incremental blob I/O.

use super::files::pieces;
use super::{PIECE, Peer, Way, sum};
use rusqlite::{Connection, MAIN_DB, params};
use std::io::Write;
use std::path::Path;

pub struct Store(Connection);

impl Store {
    pub fn create(path: &Path) -> Self {
        let db = Connection::open(path).unwrap();
        let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        db.execute_batch("PRAGMA synchronous = FULL; CREATE TABLE blobs (id INTEGER PRIMARY KEY, data BLOB)").unwrap();
        Self(db)
    }
}

impl Peer for Store {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn store(&mut self, blobs: &[&[u8]], way: Way) {
        let txn = self.0.transaction().unwrap();
        for blob in blobs {
            if way == Way::Whole {
                txn.prepare_cached("INSERT INTO blobs (data) VALUES (?1)").unwrap().execute([blob]).unwrap();
                continue;
            }
            let mut insert = txn.prepare_cached("INSERT INTO blobs (data) VALUES (zeroblob(?1))").unwrap();
            insert.execute(params![blob.len() as i64]).unwrap();
            let mut stream = txn.blob_open(MAIN_DB, "blobs", "data", txn.last_insert_rowid(), false).unwrap();
            blob.chunks(PIECE).for_each(|piece| stream.write_all(piece).unwrap());
            stream.close().unwrap();
        }
        txn.commit().unwrap();
    }

    fn read(&mut self, at: usize, way: Way) -> u64 {
        let id = at as i64 + 1;
        if way == Way::Pieces {
            return pieces(self.0.blob_open(MAIN_DB, "blobs", "data", id, true).unwrap());
        }
        let mut select = self.0.prepare_cached("SELECT data FROM blobs WHERE id = ?1").unwrap();
        let blob: Vec<u8> = select.query_row([id], |row| row.get(0)).unwrap();
        sum(&blob)
    }
}
