//! Readers, writers and closing under a model checker, which chooses the order in which threads go on at each lock and
//! atomic of the crate: that the new root is published before the snapshots are evaluated, that a reader's announcement
//! and the root that it takes are one step, and that no frame is freed under a reader. Run by
//! `RUSTFLAGS="--cfg shuttle" cargo test --lib --test model_checked model_checked`.
//!
//! What it cannot find: it tries random orders, not all of them; and each is sequentially consistent, so nothing that a
//! weaker ordering than `SeqCst` allows ever happens.
#![cfg(shuttle)]

#[path = "common/explore.rs"]
mod explore;
#[path = "model_checked/group_commit.rs"]
mod group_commit;

use explore::explore;
use sapwood::backends::InMemoryBackend;
use sapwood::{Builder, Database, Durability, Error, OpenOutcome, ReadTransaction, ReadableDatabase, ReadableTable};
use sapwood::{StorageBackend, TableDefinition};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;
use std::io;
use std::sync::Arc;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
/// Enough for four leaves and a root, of values as long as these.
const COUNT: u64 = 8;
const LENGTH: usize = 100;
/// For all pages of these databases.
const LARGE_CACHE: usize = 1 << 20;
/// For a few of them, beside the page table, whose cells are larger than usual here.
const SMALL_CACHE: usize = 12_000;

/// Memory that outlives the database on it and counts how often it was closed.
#[derive(Clone, Debug, Default)]
struct Memory {
    bytes: Arc<InMemoryBackend>,
    closes: Arc<AtomicU64>,
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.bytes.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        assert_eq!(self.closes.load(Ordering::SeqCst), 0, "written to after it was closed");
        self.bytes.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.closes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn open(memory: Memory, cache: usize) -> Arc<Database> {
    let mut builder = Builder::new();
    builder.set_page_size(512).set_block_size(512).set_cache_size(cache);
    Arc::new(builder.create_with_backend(memory).unwrap())
}

/// Gives every row the number of the commit.
fn put(db: &Database, round: u64, durability: Durability) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    {
        let mut table = txn.open_table(ROWS).unwrap();
        for key in 0..COUNT {
            table.insert(key, &[round as u8; LENGTH][..]).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn round_of(value: &[u8]) -> u64 {
    assert!(value.len() == LENGTH && value.iter().all(|byte| *byte == value[0]), "{value:?}");
    u64::from(value[0])
}

/// The commit that all rows are of, which is the one that the transaction began with.
fn read_all(txn: &ReadTransaction) -> Result<u64, Error> {
    let table = txn.open_table(ROWS)?;
    let round = round_of(table.get(COUNT / 2)?.unwrap().value());
    let mut count = 0;
    for row in table.iter()? {
        assert_eq!(round_of(row?.1.value()), round, "a snapshot of two commits");
        count += 1;
    }
    assert_eq!(count, COUNT);
    assert_eq!(round_of(table.get(0)?.unwrap().value()), round);
    Ok(round)
}

fn durability(round: u64) -> Durability {
    if round.is_multiple_of(2) { Durability::None } else { Durability::Immediate }
}

/// Commits rounds, each of them with the pages that the one before the last has left, and says which is the newest.
fn write_rounds(db: &Database, rounds: std::ops::Range<u64>, newest: &AtomicU64) {
    for round in rounds {
        put(db, round, durability(round));
        newest.store(round, Ordering::SeqCst);
    }
}

/// Once no reader is left the file is as full as at first, and sound.
fn settle(db: &Database) {
    (0..3).for_each(|_| put(db, 99, Durability::Immediate));
    let report = db.verify().unwrap();
    assert!(report.kept_pages <= 8, "pages are kept for nobody: {report:?}");
}

fn readers_begin_while_a_writer_publishes(cache: usize, readers: usize) {
    let db = open(Memory::default(), cache);
    let newest = Arc::new(AtomicU64::new(1));
    put(&db, 1, Durability::Immediate);
    let readers: Vec<_> = (0..readers)
        .map(|_| {
            let (db, newest) = (db.clone(), newest.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    let low = newest.load(Ordering::SeqCst);
                    let txn = db.begin_read().unwrap();
                    let round = read_all(&txn).unwrap();
                    assert!(round >= low, "{round} after {low} was committed");
                    assert_eq!(read_all(&txn).unwrap(), round);
                }
            })
        })
        .collect();
    write_rounds(&db, 2..6, &newest);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    if cache == SMALL_CACHE {
        assert!(db.cache_stats().evictions() > 0, "the cache is too large to be tested");
    }
    settle(&db);
}

#[test]
fn model_checked_readers_begin_while_a_writer_publishes() {
    explore(1000, || readers_begin_while_a_writer_publishes(LARGE_CACHE, 1));
    explore(800, || readers_begin_while_a_writer_publishes(LARGE_CACHE, 2));
}

#[test]
fn model_checked_readers_in_a_cache_of_a_few_pages() {
    explore(800, || readers_begin_while_a_writer_publishes(SMALL_CACHE, 2));
}

#[test]
fn model_checked_readers_end_while_a_writer_publishes() {
    explore(1000, || {
        let db = open(Memory::default(), SMALL_CACHE);
        put(&db, 1, Durability::Immediate);
        let old = db.begin_read().unwrap();
        put(&db, 2, Durability::None);
        let young = db.begin_read().unwrap();
        let readers = [(old, 1), (young, 2)].map(|(txn, round)| {
            thread::spawn(move || {
                assert_eq!(read_all(&txn).unwrap(), round);
                txn.close().unwrap();
            })
        });
        write_rounds(&db, 3..6, &AtomicU64::new(2));
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        settle(&db);
    });
}

#[test]
fn model_checked_guards_outlive_their_transaction() {
    explore(800, || {
        let db = open(Memory::default(), SMALL_CACHE);
        put(&db, 1, Durability::Immediate);
        let reader = {
            let db = db.clone();
            thread::spawn(move || {
                let table = db.begin_read().unwrap().open_table(ROWS).unwrap();
                let guards: Vec<_> = (0..COUNT).step_by(3).map(|key| table.get(key).unwrap().unwrap()).collect();
                let mut range = table.range(1..).unwrap();
                let first = range.next().unwrap().unwrap();
                let round = round_of(first.1.value());
                drop(table);
                assert!(range.all(|row| round_of(row.unwrap().1.value()) == round));
                thread::yield_now();
                assert!(guards.iter().all(|guard| round_of(guard.value()) == round));
                assert_eq!(round_of(first.1.value()), round);
            })
        };
        write_rounds(&db, 2..5, &AtomicU64::new(1));
        reader.join().unwrap();
        settle(&db);
    });
}

#[test]
fn model_checked_writers_wait_for_each_other() {
    const SUM: TableDefinition<(), u64> = TableDefinition::new("sum");
    explore(1000, || {
        let db = open(Memory::default(), LARGE_CACHE);
        let add = |db: &Database, commits: bool| {
            let txn = db.begin_write().unwrap();
            {
                let mut table = txn.open_table(SUM).unwrap();
                let sum = table.get(()).unwrap().map_or(0, |sum| sum.value());
                table.insert((), sum + 1).unwrap();
            }
            if commits {
                txn.commit().unwrap();
            }
        };
        let writers = [true, false, true].map(|commits| {
            let db = db.clone();
            thread::spawn(move || (0..2).for_each(|_| add(&db, commits)))
        });
        db.verify().unwrap();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let sum = db.begin_read().unwrap().open_table(SUM).unwrap().get(()).unwrap().unwrap().value();
        assert_eq!(sum, 4);
        db.verify().unwrap();
    });
}

/// Whoever is last closes the file, once, when nobody writes any more; a reader that is left finds its rows or an
/// error.
#[test]
fn model_checked_a_database_is_dropped_while_its_writer_lives() {
    explore(800, || {
        let memory = Memory::default();
        let db = open(memory.clone(), SMALL_CACHE);
        put(&db, 1, Durability::Immediate);
        let snapshot = db.begin_read().unwrap();
        let txn = db.begin_write().unwrap();
        let writer = thread::spawn(move || {
            {
                let mut table = txn.open_table(ROWS).unwrap();
                (0..COUNT).for_each(|key| drop(table.insert(key, &[2; LENGTH][..]).unwrap()));
            }
            txn.commit().unwrap();
        });
        let reader = thread::spawn(move || match read_all(&snapshot) {
            Ok(round) => assert_eq!(round, 1),
            Err(Error::DatabaseClosed) => {}
            Err(other) => panic!("{other:?}"),
        });
        drop(db);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(memory.closes.load(Ordering::SeqCst), 1);
        let again = Memory { bytes: memory.bytes, closes: Arc::default() };
        let db = open(again, LARGE_CACHE);
        assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
        assert_eq!(read_all(&db.begin_read().unwrap()).unwrap(), 2);
        db.verify().unwrap();
    });
}
