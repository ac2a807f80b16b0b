use super::common::*;
use super::db::*;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a storage can be made to refuse.
const LEN: usize = 1;
const READ: usize = 2;
const SET_LEN: usize = 4;
const SYNC: usize = 8;
const WRITE: usize = 16;

/// A storage in memory, of a user's own. Clones share it.
#[derive(Clone, Debug, Default)]
struct Fickle {
    bytes: Arc<Mutex<Vec<u8>>>,
    refused: Arc<AtomicUsize>,
    closed: Arc<AtomicU64>,
}

impl Fickle {
    fn refuse(&self, what: usize) {
        self.refused.store(what, Ordering::SeqCst);
    }

    fn admit(&self, what: usize) -> Result<(), std::io::Error> {
        match self.refused.load(Ordering::SeqCst) & what {
            0 => Ok(()),
            _ => Err(std::io::ErrorKind::ResourceBusy.into()),
        }
    }

    fn closed(&self) -> u64 {
        self.closed.load(Ordering::SeqCst)
    }
}

impl StorageBackend for Fickle {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.admit(LEN)?;
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.admit(READ)?;
        out.copy_from_slice(&self.bytes.lock().unwrap()[offset as usize..][..out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.admit(SET_LEN)?;
        self.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.admit(SYNC)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.admit(WRITE)?;
        self.bytes.lock().unwrap()[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    fn close(&self) -> Result<(), std::io::Error> {
        self.closed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn open(storage: &Fickle) -> Result<Database, DatabaseError> {
    Builder::new().set_cache_size(0).create_with_backend(storage.clone())
}

/// A write transaction from its begin to its commit.
fn write(db: &Database, rows: u64) -> Result<(), Error> {
    let txn = db.begin_write()?;
    fill_ints(&txn, rows)?;
    Ok(txn.commit()?)
}

fn read(db: &Database) -> Result<u64, Error> {
    let table = db.begin_read()?.open_table(INTS)?;
    let mut sum = 0;
    for row in table.iter()? {
        sum += row?.1.value();
    }
    Ok(sum)
}

pub fn closed_once(_: &Path) -> Found {
    let mut out = Vec::new();
    let storage = Fickle::default();
    let db = open(&storage)?;
    write(&db, 10)?;
    out.push(format!("{}", storage.closed()));
    drop(db);
    out.push(format!("{}", storage.closed()));
    let db = open(&storage)?;
    // A write transaction keeps the storage.
    let txn = db.begin_write()?;
    drop(db);
    out.push(format!("{}", storage.closed()));
    fill_ints(&txn, 20)?;
    txn.commit()?;
    out.push(format!("{}", storage.closed()));
    let db = open(&storage)?;
    let reader = db.begin_read()?;
    drop(db);
    out.push(format!("{}", storage.closed()));
    drop(reader);
    out.push(format!("{}", storage.closed()));
    let garbage = Fickle::default();
    *garbage.bytes.lock().unwrap() = vec![7; 100_000];
    out.push(format!("{} {}", outcome(open(&garbage).map(drop)), garbage.closed()));
    Ok(out)
}

/// After a failed write or sync nothing can be written until the database is opened again.
pub fn failing_writes(_: &Path) -> Found {
    let mut out = Vec::new();
    for refused in [SYNC, WRITE, WRITE | SYNC] {
        let storage = Fickle::default();
        let db = open(&storage)?;
        write(&db, 1_000)?;
        storage.refuse(refused);
        out.push(outcome(write(&db, 1_100)));
        out.push(outcome(write(&db, 1_100)));
        storage.refuse(0);
        out.push(outcome(write(&db, 1_100)));
        out.push(outcome(db.begin_write().map(drop)));
        drop(db);
        out.push(format!("{}", storage.closed()));
        let db = open(&storage)?;
        // All of the last commit, or that before it.
        out.push(format!("{}", matches!(db.begin_read()?.open_table(INTS)?.len()?, 1_000 | 1_100)));
        out.push(outcome(write(&db, 1_200)));
        out.push(outcome(read(&db)));
    }
    Ok(out)
}

pub fn failing_reads(_: &Path) -> Found {
    let mut out = Vec::new();
    let storage = Fickle::default();
    write(&open(&storage)?, 5_000)?;
    let db = open(&storage)?;
    let before = db.begin_read()?;
    storage.refuse(READ);
    out.push(outcome(read(&db)));
    storage.refuse(0);
    drop(before);
    drop(db);
    out.push(format!("{}", storage.closed()));
    let db = open(&storage)?;
    out.push(outcome(read(&db)));
    drop(db);
    storage.refuse(READ);
    out.push(format!("{} {}", outcome(open(&storage).map(drop)), storage.closed()));
    storage.refuse(0);
    out.push(outcome(read(&open(&storage)?)));
    Ok(out)
}

pub fn failing_length(_: &Path) -> Found {
    let mut out = Vec::new();
    for refused in [LEN, SET_LEN, SYNC, WRITE] {
        let storage = Fickle::default();
        storage.refuse(refused);
        out.push(format!("{} {}", outcome(open(&storage).map(drop)), storage.closed()));
    }
    let storage = Fickle::default();
    write(&open(&storage)?, 10)?;
    storage.refuse(LEN);
    out.push(format!("{} {}", outcome(open(&storage).map(drop)), storage.closed()));
    storage.refuse(0);
    out.push(outcome(read(&open(&storage)?)));
    Ok(out)
}

/// A storage that is full ends the transaction that needs more.
pub fn failing_growth(_: &Path) -> Found {
    let mut out = Vec::new();
    let storage = Fickle::default();
    let db = open(&storage)?;
    write(&db, 100)?;
    storage.refuse(SET_LEN);
    let txn = db.begin_write()?;
    let grown = fill_ints(&txn, 300_000).and_then(|()| Ok(txn.commit()?));
    out.push(outcome(grown));
    storage.refuse(0);
    drop(db);
    let db = open(&storage)?;
    out.push(outcome(write(&db, 300)));
    out.push(outcome(read(&db)));
    Ok(out)
}

/// An iterator that met an error gives no more rows; what goes on without the storage goes on.
pub fn iterators_that_fail(_: &Path) -> Found {
    let mut out = Vec::new();
    let storage = Fickle::default();
    write(&open(&storage)?, 20_000)?;
    for back in [false, true] {
        let db = open(&storage)?;
        let table = db.begin_read()?.open_table(INTS)?;
        let mut range = table.iter()?;
        let mut take = || if back { range.next_back() } else { range.next() };
        for _ in 0..10 {
            take().unwrap()?;
        }
        storage.refuse(READ);
        let failed = std::iter::from_fn(&mut take).find_map(|row| row.err()).map(|err| told(&err.into()));
        out.push(format!("{failed:?}"));
        storage.refuse(0);
    }
    // A removal that fails half-way is undone with its transaction.
    for part in 0..3 {
        let db = open(&storage)?;
        let txn = db.begin_write()?;
        let mut table = txn.open_table(INTS)?;
        table.insert(1, 7)?;
        storage.refuse(READ);
        let removed = match part {
            0 => table.retain(|key, _| key % 2 == 0),
            1 => table.extract_if(|key, _| key % 2 == 0)?.try_for_each(|row| row.map(drop)),
            _ => (0..20_000).try_for_each(|key| table.remove(key).map(drop)),
        };
        out.push(outcome(removed));
        storage.refuse(0);
        drop(table);
        drop((txn, db));
        out.push(outcome(read(&open(&storage)?)));
    }
    Ok(out)
}
