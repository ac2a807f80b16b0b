//! Merges that wait while the storage fails, in a transaction that is committed all the same.

use crate::common::crash::{Fault, RecordingBackend, Target};
use crate::common::rng::Rng;
use crate::whole;
use sapwood::{
    Builder, BytesAppend, CommitError, Database, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition,
};
use std::collections::BTreeMap;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const KEYS: u64 = 300;

type Rows = BTreeMap<u64, Vec<u8>>;

fn open(backend: &RecordingBackend) -> Database {
    let mut builder = Builder::new();
    builder.set_page_size(512).set_block_size(512).set_cache_size(20_000);
    builder.create_with_backend(backend.clone()).unwrap()
}

fn rows(db: &Database) -> Rows {
    let table = db.begin_read().unwrap().open_table(ROWS).unwrap();
    table.iter().unwrap().map(|row| row.unwrap()).map(|(key, value)| (key.value(), value.value().to_vec())).collect()
}

/// Merges, until the storage fails; now and then what waits must go to the tree. The model has what was done.
fn work(table: &mut Table<'_, u64, &'static [u8]>, model: &mut Rows, rng: &mut Rng) -> Result<(), StorageError> {
    for _ in 0..60 {
        let (key, operand) = (rng.below(KEYS), rng.bytes(8));
        table.merge(key, &operand, &BytesAppend)?;
        model.entry(key).or_default().extend(operand);
        if rng.chance(12) {
            table.first()?;
        }
    }
    Ok(())
}

#[test]
fn merges_are_committed_as_far_as_they_were_made_or_not_at_all() {
    let backend = RecordingBackend::new();
    let db = open(&backend);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(ROWS).unwrap();
        (0..KEYS).for_each(|key| drop(table.insert(key, &[key as u8; 40][..]).unwrap()));
    }
    txn.commit().unwrap();
    let before = rows(&db);
    drop(db);
    let image = backend.contents();
    let (mut poisoned, mut committed) = (0, 0);
    for nth in 0..150 {
        let backend = RecordingBackend::from_image(image.clone());
        let db = open(&backend);
        let mut model = before.clone();
        let txn = db.begin_write().unwrap();
        let mut table = txn.open_table(ROWS).unwrap();
        backend.inject(Fault::once(Target::Read, nth));
        let done = work(&mut table, &mut model, &mut Rng::new(7));
        drop(table);
        let told = txn.commit();
        backend.heal();
        match (done, told) {
            (Ok(()) | Err(StorageError::Io(_)), Ok(())) => {
                assert!(rows(&db) == model, "the read {nth} failed");
                committed += 1;
            }
            (_, Err(CommitError::TransactionPoisoned | CommitError::Storage(StorageError::Io(_)))) => {
                assert!(rows(&db) == before, "the read {nth} failed");
                poisoned += 1;
            }
            other => panic!("{other:?} after read {nth}"),
        }
        whole(&db).unwrap();
    }
    assert!(poisoned > 0 && committed > 0, "{poisoned} were refused, {committed} were not");
}
