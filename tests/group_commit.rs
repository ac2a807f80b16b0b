//! Group commit: what is in a group, who is told what, and what a batch can do to others.

mod common;

use common::crash::RecordingBackend;
use common::image::Image;
use common::rng::Rng;
use common::scale;
use sapwood::{Builder, CommitError, Database, Error, GroupCommitError, GroupCommitOptions, MultimapTableDefinition};
use sapwood::{ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, StorageError, TableDefinition};
use sapwood::{TransactionError, WriteBatch, WriteTransaction};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const ROWS: TableDefinition<u64, u64> = TableDefinition::new("rows");
const LONG: TableDefinition<u64, &[u8]> = TableDefinition::new("long");
const SETS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("sets");

type Told = thread::Result<Result<(), GroupCommitError>>;

/// A database whose groups are of so many batches: a leader waits until they are there.
fn groups_of(batches: u32, backend: impl StorageBackend) -> Database {
    let options = GroupCommitOptions::new().set_max_batches(batches).set_max_delay(Duration::from_secs(300));
    let db = Builder::new().set_group_commit(options).create_with_backend(backend).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(ROWS).unwrap();
    txn.commit().unwrap();
    db
}

/// Submits each batch from a thread of its own, and says what became of them.
fn submit_all(db: &Database, batches: Vec<WriteBatch>) -> Vec<Told> {
    thread::scope(|scope| {
        let submit = |batch| scope.spawn(move || db.submit_write_batch(batch));
        let threads: Vec<_> = batches.into_iter().map(submit).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    })
}

fn put(key: u64) -> WriteBatch {
    WriteBatch::new(move |txn| insert(txn, key))
}

fn insert(txn: &WriteTransaction, key: u64) -> Result<(), Error> {
    txn.open_table(ROWS)?.insert(key, key)?;
    Ok(())
}

fn keys(db: &Database) -> Vec<u64> {
    let rows = db.begin_read().unwrap().open_table(ROWS).unwrap();
    rows.iter().unwrap().map(|row| row.unwrap().0.value()).collect()
}

fn assert_committed(told: &Told) {
    assert!(matches!(told, Ok(Ok(()))), "{told:?}");
}

/// As after a write or sync of which nothing is known.
fn is_refused(told: &Told) -> bool {
    let Ok(Err(GroupCommitError::TransactionFailed(err))) = told else { return false };
    matches!(err, TransactionError::Storage(StorageError::PreviousIo))
}

#[test]
fn a_group_is_one_transaction_and_one_sync() {
    for (most, syncs) in [(8, 2), (16, 1), (1, 16), (4, 4)] {
        let backend = RecordingBackend::new();
        let db = groups_of(most, backend.clone());
        let begun = Instant::now();
        backend.take_counters();
        submit_all(&db, (0..16).map(put).collect()).iter().for_each(assert_committed);
        assert_eq!(backend.take_counters().syncs, syncs, "groups of {most}");
        assert!(begun.elapsed() < Duration::from_secs(100), "a full group does not wait");
        assert_eq!(keys(&db), (0..16).collect::<Vec<_>>());
        db.verify().unwrap();
    }
}

#[test]
fn batches_gather_while_another_is_at_work() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    db.submit_write_batch(put(0)).unwrap();
    backend.take_counters();
    let writer = db.begin_write().unwrap();
    thread::scope(|scope| {
        for key in 1..10 {
            let db = &db;
            scope.spawn(move || db.submit_write_batch(put(key)).unwrap());
        }
        thread::sleep(Duration::from_millis(200));
        drop(writer);
    });
    let syncs = backend.take_counters().syncs;
    assert!((1..=3).contains(&syncs), "{syncs} syncs for nine batches that waited together");
    assert_eq!(keys(&db).len(), 10);
}

#[test]
fn a_delay_is_as_long_as_it_says() {
    let delay = Duration::from_millis(150);
    let options = GroupCommitOptions::new().set_max_delay(delay);
    let db = Builder::new().set_group_commit(options).create_with_backend(Image::default()).unwrap();
    let begun = Instant::now();
    db.submit_write_batch(put(1)).unwrap();
    assert!(begun.elapsed() >= delay);
    assert!(begun.elapsed() < Duration::from_secs(60));
    let one = options.set_max_batches(0).set_max_delay(Duration::from_secs(300));
    let db = Builder::new().set_group_commit(one).create_with_backend(Image::default()).unwrap();
    db.submit_write_batch(put(1)).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(100), "nobody waits for others that the transaction does not take");
}

#[test]
fn a_delay_is_counted_from_when_a_batch_came() {
    let delay = Duration::from_secs(2);
    let options = GroupCommitOptions::new().set_max_batches(2).set_max_delay(delay);
    let db = Builder::new().set_group_commit(options).create_with_backend(Image::default()).unwrap();
    let (running, runs) = mpsc::channel();
    let slow = WriteBatch::new(move |txn| {
        running.send(()).map_err(|_| Error::DatabaseClosed)?;
        thread::sleep(delay);
        insert(txn, 1)
    });
    thread::scope(|scope| {
        scope.spawn(|| db.submit_write_batch(slow).unwrap());
        scope.spawn(|| db.submit_write_batch(put(2)).unwrap());
        runs.recv().unwrap();
        // Unless the group's other batch has yet to come, this one is alone in the next.
        let begun = Instant::now();
        db.submit_write_batch(put(3)).unwrap();
        assert!(begun.elapsed() < 2 * delay, "it has waited for a commit already, and not once more");
    });
}

#[test]
fn who_fails_or_panics_is_undone_alone() {
    let db = groups_of(5, Image::default());
    let mut batches = vec![put(1)];
    batches.push(WriteBatch::new(|txn| {
        insert(txn, 2)?;
        txn.open_multimap_table(SETS)?.insert(2, 2)?;
        Err::<(), Error>(Error::DatabaseClosed)
    }));
    batches.push(put(3));
    batches.push(WriteBatch::new(|txn| {
        let mut rows = txn.open_table(ROWS)?;
        rows.insert(4, 4)?;
        resume_unwind(Box::new("a batch that panics"));
        #[expect(unreachable_code, reason = "it says what the closure gives")]
        Ok::<(), Error>(())
    }));
    batches.push(put(5));
    let told = submit_all(&db, batches);
    [0, 2, 4].iter().for_each(|nth| assert_committed(&told[*nth]));
    let Ok(Err(GroupCommitError::BatchFailed(err))) = &told[1] else { panic!("{:?}", told[1]) };
    assert!(matches!(err.downcast_ref(), Some(Error::DatabaseClosed)));
    let Err(payload) = &told[3] else { panic!("{:?}", told[3]) };
    assert_eq!(payload.downcast_ref(), Some(&"a batch that panics"));
    assert_eq!(keys(&db), [1, 3, 5]);
    let listed: Vec<_> = db.begin_read().unwrap().list_multimap_tables().unwrap().collect();
    assert!(listed.is_empty(), "{listed:?}");
    db.verify().unwrap();
}

#[test]
fn a_group_of_failures_commits_nothing() {
    let backend = RecordingBackend::new();
    let db = groups_of(2, backend.clone());
    backend.take_counters();
    let fails = || WriteBatch::new(|txn| insert(txn, 1).and(Err::<(), _>(Error::UnorderedKey)));
    let told = submit_all(&db, vec![fails(), fails()]);
    assert!(told.iter().all(|told| matches!(told, Ok(Err(GroupCommitError::BatchFailed(_))))), "{told:?}");
    assert_eq!(backend.take_counters().syncs, 0);
    assert!(keys(&db).is_empty());
    let txn = db.try_begin_write().unwrap();
    assert!(txn.is_some(), "the transaction has ended");
    drop(txn);
    db.verify().unwrap();
}

#[test]
fn what_a_batch_forgot_is_closed_when_it_ends() {
    let db = groups_of(12, Image::default());
    let forgetful = |key: u64| {
        WriteBatch::new(move |txn| {
            let mut rows = txn.open_table(ROWS)?;
            rows.insert(key, key)?;
            std::mem::forget(rows.get_mut(key)?);
            std::mem::forget(rows.range::<u64>(..)?);
            std::mem::forget(rows);
            let mut sets = txn.open_multimap_table(SETS)?;
            (0..1_000).try_for_each(|value| sets.insert(key, value).map(|_| ()))?;
            std::mem::forget(sets.remove_all(key)?);
            std::mem::forget(sets);
            if key.is_multiple_of(3) { Err(Error::UnorderedKey) } else { Ok(()) }
        })
    };
    let told = submit_all(&db, (1..=12).map(forgetful).collect());
    for (key, told) in (1..).zip(&told) {
        match key % 3 {
            0 => assert!(matches!(told, Ok(Err(GroupCommitError::BatchFailed(_)))), "{told:?}"),
            _ => assert_committed(told),
        }
    }
    assert_eq!(keys(&db), [1, 2, 4, 5, 7, 8, 10, 11]);
    assert_eq!(db.begin_read().unwrap().open_multimap_table(SETS).unwrap().len().unwrap(), 0);
    db.verify().unwrap();
}

/// The transaction is broken by an operation that stopped half-way, and the batch says nothing of it.
#[test]
fn who_hides_a_panic_is_not_committed() {
    let db = groups_of(3, Image::default());
    let hides = WriteBatch::new(|txn| {
        let mut rows = txn.open_table(ROWS)?;
        (10..20).try_for_each(|key| rows.insert(key, key).map(|_| ()))?;
        let predicate = |_: u64, _: u64| -> bool { resume_unwind(Box::new(())) };
        assert!(catch_unwind(AssertUnwindSafe(|| rows.retain(predicate))).is_err());
        Ok::<(), Error>(())
    });
    let told = submit_all(&db, vec![put(1), hides, put(2)]);
    [0, 2].iter().for_each(|nth| assert_committed(&told[*nth]));
    assert!(
        matches!(told[1], Ok(Err(GroupCommitError::CommitFailed(CommitError::TransactionPoisoned)))),
        "{:?}",
        told[1]
    );
    assert_eq!(keys(&db), [1, 2]);
    db.verify().unwrap();
}

#[test]
fn a_batch_that_submits_another_is_told_so() {
    let db = groups_of(2, Image::default());
    let elsewhere = groups_of(1, Image::default());
    let nested = |key: u64| {
        let (db, elsewhere) = (db.clone(), elsewhere.clone());
        WriteBatch::new(move |txn| {
            let inner = db.submit_write_batch(put(100));
            assert!(matches!(inner, Err(GroupCommitError::Nested)), "{inner:?}");
            elsewhere.submit_write_batch(put(key))?;
            insert(txn, key)
        })
    };
    submit_all(&db, vec![nested(1), nested(2)]).iter().for_each(assert_committed);
    assert_eq!((keys(&db), keys(&elsewhere)), (vec![1, 2], vec![1, 2]));
    assert!(matches!(Error::from(GroupCommitError::Nested), Error::NestedBatch));
}

#[test]
fn who_runs_out_of_room_leaves_it_to_others() {
    let image = Image::default();
    let db = groups_of(3, image.clone());
    let large = WriteBatch::new(move |txn| {
        image.fail_set_len(Some(ErrorKind::StorageFull));
        let filled = (0..1_000).try_for_each(|key| {
            txn.open_table(LONG)?.insert(key, &[7; 5_000][..])?;
            Ok::<(), Error>(())
        });
        image.fail_set_len(None);
        filled
    });
    let told = submit_all(&db, vec![put(1), large, put(2)]);
    [0, 2].iter().for_each(|nth| assert_committed(&told[*nth]));
    let Ok(Err(err)) = told.into_iter().nth(1).unwrap() else { panic!("it had no room") };
    assert!(matches!(&err, GroupCommitError::BatchFailed(_)), "{err}");
    assert!(Error::from(err).is_retryable(), "what the batch gave is what it was");
    assert_eq!(keys(&db), [1, 2]);
    db.verify().unwrap();
}

#[test]
fn a_failed_sync_is_told_to_all() {
    let image = Image::default();
    let db = groups_of(4, image.clone());
    submit_all(&db, (0..4).map(put).collect()).iter().for_each(assert_committed);
    image.fail_sync(Some(ErrorKind::BrokenPipe));
    let failing = WriteBatch::new(|txn| insert(txn, 14).map_err(|_| "").and(Err("it fails by itself")));
    let told = submit_all(&db, vec![put(11), put(12), put(13), failing]);
    for told in &told[..3] {
        let Ok(Err(GroupCommitError::CommitFailed(CommitError::Storage(StorageError::Io(err))))) = told else {
            panic!("{told:?}")
        };
        assert_eq!(err.kind(), ErrorKind::BrokenPipe);
        assert!(err.to_string().contains("a fault of the test"), "{err}");
    }
    assert!(matches!(&told[3], Ok(Err(GroupCommitError::BatchFailed(err))) if err.to_string() == "it fails by itself"));
    image.fail_sync(None);
    // A full group, of which one finds out for all.
    let told = submit_all(&db, (21..25).map(put).collect());
    assert!(told.iter().all(is_refused), "{told:?}");
    assert_eq!(keys(&db), [0, 1, 2, 3]);
}

/// A storage whose next sync panics once it is told to.
#[derive(Clone, Debug, Default)]
struct Panicking {
    image: Image,
    armed: Arc<AtomicBool>,
}

impl StorageBackend for Panicking {
    fn len(&self) -> io::Result<u64> {
        self.image.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.image.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.image.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.armed.swap(false, Ordering::SeqCst) {
            resume_unwind(Box::new("a sync that panics"));
        }
        self.image.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.image.write(offset, data)
    }
}

#[test]
fn a_leader_that_dies_leaves_nobody_waiting() {
    let backend = Panicking::default();
    let db = groups_of(4, backend.clone());
    backend.armed.store(true, Ordering::SeqCst);
    let told = submit_all(&db, (0..4).map(put).collect());
    let died = told.iter().filter(|told| told.is_err()).count();
    let peers = told.iter().filter(|told| matches!(told, Ok(Err(GroupCommitError::PeerFailed)))).count();
    assert_eq!((died, peers), (1, 3), "{told:?}");
    let told = submit_all(&db, (10..14).map(put).collect());
    assert!(told.iter().all(is_refused), "nothing is written after a sync of which nothing is known: {told:?}");
    drop(db);
    let db = groups_of(4, Image::new(backend.image.bytes()));
    submit_all(&db, (20..24).map(put).collect()).iter().for_each(assert_committed);
    db.verify().unwrap();
}

/// Each batch fills all places in the leaf anew. Were what it replaced kept until the commit, the file would hold each of
/// them.
#[test]
fn a_group_takes_no_more_room_than_its_changes() {
    let image = Image::default();
    let db = groups_of(64, image.clone());
    let batches = (0..64).map(|round| {
        WriteBatch::new(move |txn| {
            let mut rows = txn.open_table(LONG)?;
            (0..100).try_for_each(|key| rows.insert(key, &[round; 1_000][..]).map(|_| ()))?;
            Ok::<(), Error>(())
        })
    });
    submit_all(&db, batches.collect()).iter().for_each(assert_committed);
    let bytes = image.bytes().len();
    assert!(bytes < 1 << 20, "{bytes} bytes for 100 rows of 1,000 bytes");
    db.verify().unwrap();
}

#[test]
fn writers_of_both_kinds_have_their_turns() {
    let db = Builder::new().create_with_backend(Image::default()).unwrap();
    thread::scope(|scope| {
        for worker in 0..6 {
            let db = &db;
            scope.spawn(move || {
                for key in (worker * 100)..(worker * 100 + 50) {
                    match worker % 2 {
                        0 => db.submit_write_batch(put(key)).unwrap(),
                        _ => db.update(|txn| insert(txn, key)).unwrap(),
                    }
                }
            });
        }
    });
    assert_eq!(keys(&db).len(), 300);
    db.verify().unwrap();
}

#[test]
fn savepoints_go_with_the_batch_that_made_them() {
    let db = groups_of(1, Image::default());
    let fails = WriteBatch::new(|txn| {
        txn.persistent_savepoint()?;
        insert(txn, 1)?;
        Err::<(), Error>(Error::UnorderedKey)
    });
    assert!(db.submit_write_batch(fails).is_err());
    let savepoints = |db: &Database| db.begin_write().unwrap().list_persistent_savepoints().unwrap().count();
    assert_eq!(savepoints(&db), 0);
    let makes = WriteBatch::new(|txn| txn.persistent_savepoint().map_err(Error::from).and(insert(txn, 2)));
    db.submit_write_batch(makes).unwrap();
    assert_eq!((savepoints(&db), keys(&db)), (1, vec![2]));
    db.verify().unwrap();
}

/// Handles go one by one while others submit; whoever is last closes the file, behind all that was submitted.
#[test]
fn the_file_is_closed_behind_the_last_batch() {
    let image = Image::default();
    let db = Builder::new().create_with_backend(image.clone()).unwrap();
    let start = Arc::new(Barrier::new(9));
    let threads: Vec<_> = (0..8)
        .map(|key| {
            let (db, start) = (db.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                db.submit_write_batch(put(key)).unwrap();
            })
        })
        .collect();
    start.wait();
    drop(db);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(image.closes(), 1);
    let db = Builder::new().create_with_backend(Image::new(image.bytes())).unwrap();
    assert_eq!(*db.open_outcome(), sapwood::OpenOutcome::Clean);
    assert_eq!(keys(&db), (0..8).collect::<Vec<_>>());
}

#[test]
fn errors_say_what_happened() {
    let failed = |err: Box<dyn std::error::Error + Send + Sync>| Error::from(GroupCommitError::BatchFailed(err));
    assert!(matches!(failed(Box::new(Error::UnorderedKey)), Error::UnorderedKey));
    assert!(matches!(failed(Box::new(StorageError::PreviousIo)), Error::PreviousIo));
    let foreign = failed("what a program says".into());
    assert!(matches!(&foreign, Error::BatchFailed(_)));
    assert!(foreign.to_string().contains("what a program says"));
    assert!(std::error::Error::source(&foreign).is_some());
    let commit = GroupCommitError::CommitFailed(CommitError::TransactionPoisoned);
    assert!(std::error::Error::source(&commit).is_some_and(|source| source.is::<CommitError>()));
    assert!(matches!(Error::from(commit), Error::TransactionPoisoned));
    assert!(matches!(Error::from(GroupCommitError::PeerFailed), Error::PeerFailed));
    assert!(!Error::PeerFailed.is_retryable());
}

/// What a random batch does, and how it ends.
#[derive(Clone, Debug)]
struct Plan {
    changes: Vec<(u64, Option<u64>)>,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Succeeds,
    Fails,
    Panics,
    /// Deletes the table and makes it anew before its changes.
    Clears,
}

impl Plan {
    fn random(rng: &mut Rng) -> Self {
        let most = if rng.chance(20) { 400 } else { 6 };
        let count = 1 + rng.below(most);
        let changes = (0..count).map(|_| (rng.below(300), rng.chance(170).then(|| rng.next_u64()))).collect();
        let ending = match rng.below(16) {
            0..3 => Ending::Fails,
            3..6 => Ending::Panics,
            6 => Ending::Clears,
            _ => Ending::Succeeds,
        };
        Self { changes, ending }
    }

    fn run(&self, txn: &WriteTransaction) -> Result<(), Error> {
        if self.ending == Ending::Clears {
            txn.delete_table(ROWS)?;
        }
        let (mut rows, mut sets) = (txn.open_table(ROWS)?, txn.open_multimap_table(SETS)?);
        for (key, value) in &self.changes {
            match value {
                Some(value) => {
                    rows.insert(key, value)?;
                    sets.insert(key % 7, key)?;
                }
                None => {
                    rows.remove(key)?;
                }
            }
        }
        match self.ending {
            Ending::Panics => resume_unwind(Box::new("as planned")),
            Ending::Fails => Err(Error::UnorderedKey),
            Ending::Succeeds | Ending::Clears => Ok(()),
        }
    }

    fn apply(&self, model: &mut BTreeMap<u64, u64>) {
        match self.ending {
            Ending::Fails | Ending::Panics => return,
            Ending::Clears => model.clear(),
            Ending::Succeeds => {}
        }
        for (key, value) in &self.changes {
            match value {
                Some(value) => model.insert(*key, *value),
                None => model.remove(key),
            };
        }
    }
}

/// Threads submit what they like; a model takes the same batches in the order in which they ran.
#[test]
fn random_groups_agree_with_a_model() {
    for seed in 0..4 * scale() {
        let mut builder = Builder::new();
        builder.set_page_size(512).set_cache_size(if seed % 2 == 0 { 60_000 } else { 1 << 20 });
        builder.set_group_commit(GroupCommitOptions::new().set_max_batches(5));
        let db = builder.create_with_backend(Image::default()).unwrap();
        let ran: Arc<Mutex<Vec<Plan>>> = Arc::default();
        thread::scope(|scope| {
            for thread in 0..6 {
                let (db, ran, mut rng) = (&db, ran.clone(), Rng::new(seed * 100 + thread));
                scope.spawn(move || (0..25).for_each(|_| submit_planned(db, Plan::random(&mut rng), &ran)));
            }
        });
        let mut model = BTreeMap::new();
        ran.lock().unwrap().iter().for_each(|plan| plan.apply(&mut model));
        let rows = db.begin_read().unwrap().open_table(ROWS).unwrap();
        let rows: Vec<_> =
            rows.iter().unwrap().map(|row| row.unwrap()).map(|(key, value)| (key.value(), value.value())).collect();
        assert_eq!(rows, model.into_iter().collect::<Vec<_>>(), "seed {seed}");
        db.verify().unwrap();
    }
}

fn submit_planned(db: &Database, plan: Plan, ran: &Arc<Mutex<Vec<Plan>>>) {
    let (own, ran) = (plan.clone(), ran.clone());
    let batch = WriteBatch::new(move |txn| {
        ran.lock().unwrap().push(own.clone());
        own.run(txn)
    });
    let told = catch_unwind(AssertUnwindSafe(|| db.submit_write_batch(batch)));
    match plan.ending {
        Ending::Fails => assert!(matches!(told, Ok(Err(GroupCommitError::BatchFailed(_)))), "{told:?}"),
        Ending::Panics => assert!(told.is_err(), "{told:?}"),
        Ending::Succeeds | Ending::Clears => assert_committed(&told),
    }
}

/// Durable rows per second that `threads` threads make by `make`, each one row at a time.
fn rate(threads: u64, make: impl Fn(u64) + Sync) -> f64 {
    let (begun, rows) = (Instant::now(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while begun.elapsed() < Duration::from_millis(500) {
                    make(rows.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
    });
    rows.into_inner() as f64 / begun.elapsed().as_secs_f64()
}

/// On a file, with real syncs.
#[test]
fn eight_threads_commit_three_times_as_many_rows_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::create(dir.path().join("rows.sapwood")).unwrap();
    db.submit_write_batch(put(0)).unwrap();
    let measure = || {
        let alone = rate(1, |key| db.update(|txn| insert(txn, key)).unwrap());
        let together = rate(8, |key| db.submit_write_batch(put(key)).unwrap());
        println!("{alone:.0} rows per second alone, {together:.0} together");
        together / alone
    };
    // The machine has other things to do as well, now in one half of a measurement and now in the other.
    let best = (0..5).map(|_| measure()).find(|ratio| *ratio >= 3.0);
    assert!(best.is_some(), "fewer than three times as many in each of five runs");
}

/// A batch may be submitted while its database's batches wait for something else than the storage.
#[test]
fn who_comes_while_a_batch_runs_is_in_its_group() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    db.submit_write_batch(put(0)).unwrap();
    backend.take_counters();
    let ((running, runs), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel::<()>());
    let slow = WriteBatch::new(move |txn| {
        running.send(())?;
        goes_on.recv()?;
        Ok::<(), Box<dyn std::error::Error + Send + Sync>>(insert(txn, 1)?)
    });
    thread::scope(|scope| {
        scope.spawn(|| db.submit_write_batch(slow).unwrap());
        runs.recv().unwrap();
        (2..6).for_each(|key| {
            drop(scope.spawn({
                let db = &db;
                move || db.submit_write_batch(put(key)).unwrap()
            }))
        });
        thread::sleep(Duration::from_millis(200));
        go_on.send(()).unwrap();
    });
    assert!(backend.take_counters().syncs <= 2);
    assert_eq!(keys(&db).len(), 6);
}
