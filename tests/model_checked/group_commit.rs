//! Batches of several threads: whoever fails, panics or closes, and wherever, nobody waits for ever. The checker notices
//! threads that do.

use super::explore::explore;
use super::{LARGE_CACHE, Memory};
use sapwood::{Builder, Database, Error, GroupCommitError, GroupCommitOptions, OpenOutcome, ReadableDatabase};
use sapwood::{ReadableTable, StorageBackend, TableDefinition, WriteBatch};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const KEYS: TableDefinition<u64, u64> = TableDefinition::new("keys");

/// Memory of which one operation fails or panics: the one at which the count comes to zero.
#[derive(Clone, Debug, Default)]
struct Faulty {
    memory: Memory,
    left: Arc<AtomicI64>,
    panics: bool,
}

impl Faulty {
    fn strike(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::Relaxed) != 1 {
            return Ok(());
        }
        if self.panics {
            resume_unwind(Box::new("a storage that panics"));
        }
        Err(io::Error::other("a fault of the test"))
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.strike()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.strike()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.strike()?;
        self.memory.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.memory.close()
    }
}

fn open(backend: impl StorageBackend, most: u32) -> Database {
    let mut builder = Builder::new();
    builder.set_page_size(512).set_block_size(512).set_cache_size(LARGE_CACHE);
    builder.set_group_commit(GroupCommitOptions::new().set_max_batches(most));
    builder.create_with_backend(backend).unwrap()
}

/// What the database on these bytes holds after they were closed.
fn found_in(memory: &Memory) -> Vec<u64> {
    let db = open(Memory { bytes: memory.bytes.clone(), ..Memory::default() }, 1);
    db.verify().unwrap();
    keys(&db)
}

fn keys(db: &Database) -> Vec<u64> {
    match db.begin_read().unwrap().open_table(KEYS) {
        Ok(table) => table.iter().unwrap().map(|row| row.unwrap().0.value()).collect(),
        Err(_) => Vec::new(),
    }
}

/// A batch that puts a key, and fails or panics if the key says so.
fn batch(key: u64) -> WriteBatch {
    WriteBatch::new(move |txn| {
        let mut table = txn.open_table(KEYS)?;
        table.insert(key, key)?;
        match key % 10 {
            8 => Err(Error::UnorderedKey),
            9 => resume_unwind(Box::new(key)),
            _ => Ok(()),
        }
    })
}

fn submit(db: &Database, key: u64) -> std::thread::Result<Result<(), GroupCommitError>> {
    catch_unwind(AssertUnwindSafe(|| db.submit_write_batch(batch(key))))
}

#[test]
fn model_checked_batches_that_fail_or_panic_hurt_nobody() {
    for most in [1, 2, 8] {
        explore(300, move || {
            let db = Arc::new(open(Memory::default(), most));
            let threads = [10_u64, 28, 39, 40].map(|key| {
                let db = db.clone();
                thread::spawn(move || {
                    let told = submit(&db, key);
                    match key % 10 {
                        8 => assert!(matches!(told, Ok(Err(GroupCommitError::BatchFailed(_)))), "{told:?}"),
                        9 => assert_eq!(told.unwrap_err().downcast_ref(), Some(&key)),
                        _ => assert!(matches!(told, Ok(Ok(()))), "{told:?}"),
                    }
                    db.submit_write_batch(batch(key / 10)).unwrap();
                })
            });
            let writer = db.begin_write().unwrap();
            writer.open_table(KEYS).unwrap().insert(5, 5).unwrap();
            writer.commit().unwrap();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(keys(&db), [1, 2, 3, 4, 5, 10, 40]);
            db.verify().unwrap();
        });
    }
}

/// The storage fails or panics at any of its operations, in whichever thread is at it. Whoever was told that a batch is
/// committed finds it in the file.
#[test]
fn model_checked_a_leader_that_dies_leaves_nobody_waiting() {
    for panics in [false, true] {
        explore(600, move || {
            let faulty = Faulty { panics, ..Faulty::default() };
            let db = Arc::new(open(faulty.clone(), 2));
            faulty.left.store(thread_rng().gen_range(1..30), Ordering::Relaxed);
            let threads = [1_u64, 2, 3].map(|key| {
                let db = db.clone();
                thread::spawn(move || [key, key + 10].map(|key| (key, submit(&db, key))))
            });
            let told: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            faulty.left.store(0, Ordering::Relaxed);
            drop(db);
            let found = found_in(&faulty.memory);
            for (key, told) in told {
                assert!(!matches!(told, Ok(Ok(()))) || found.contains(&key), "{key} is lost: {found:?}");
                assert!(panics || told.is_ok(), "nothing panicked: {told:?}");
            }
        });
    }
}

#[test]
fn model_checked_the_last_batch_is_before_the_end() {
    explore(600, || {
        let memory = Memory::default();
        let db = open(memory.clone(), 8);
        let threads = [1_u64, 2, 3].map(|key| {
            let db = db.clone();
            thread::spawn(move || db.submit_write_batch(batch(key)).unwrap())
        });
        drop(db);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(memory.closes.load(shuttle::sync::atomic::Ordering::SeqCst), 1);
        let again = open(Memory { bytes: memory.bytes, ..Memory::default() }, 8);
        assert_eq!(*again.open_outcome(), OpenOutcome::Clean);
        assert_eq!(keys(&again), [1, 2, 3]);
    });
}
