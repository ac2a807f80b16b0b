//! Waiting for commits: which are told of, and who is woken.

use sapwood::backends::InMemoryBackend;
use sapwood::{
    CommitWatch, CompactOptions, Database, Durability, Error, ReadableDatabase, StorageError, TableDefinition,
    WriteBatch,
};
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const ROWS: TableDefinition<u64, u64> = TableDefinition::new("rows");

fn database() -> Database {
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    put(&db, 0, Durability::Immediate);
    db
}

/// Gives the id of the commit.
fn put(db: &Database, value: u64, durability: Durability) -> u64 {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    txn.open_table(ROWS).unwrap().insert(1, value).unwrap();
    txn.commit().unwrap();
    db.begin_read().unwrap().transaction_id()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn new() -> (Arc<Self>, Waker) {
        let count = Arc::<Self>::default();
        (count.clone(), count.into())
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll(watch: &mut CommitWatch, waker: &Waker) -> Poll<Result<u64, StorageError>> {
    pin!(watch.next_commit()).poll(&mut Context::from_waker(waker))
}

#[test]
fn the_newest_commit_is_told_once_to_each() {
    let db = database();
    let (mut one, mut other) = (db.watch(), db.watch());
    assert_eq!(one.try_next().unwrap(), None, "what was there before is no news");
    put(&db, 1, Durability::Immediate);
    let newest = put(&db, 2, Durability::None);
    for watch in [&mut one, &mut other] {
        assert_eq!(watch.wait(None).unwrap(), Some(newest));
        assert_eq!(watch.wait(Some(Duration::ZERO)).unwrap(), None);
    }
    drop(db.begin_write().unwrap());
    assert_eq!(one.try_next().unwrap(), None, "an aborted transaction is none");
    db.submit_write_batch(WriteBatch::new(|txn| txn.open_table(ROWS)?.insert(1, 3).map(drop).map_err(Error::from)))
        .unwrap();
    assert_eq!(one.try_next().unwrap(), Some(db.begin_read().unwrap().transaction_id()));
    db.compact_online(CompactOptions::new(), |_| ControlFlow::Continue(())).unwrap();
    let told = one.try_next().unwrap();
    assert!(told.is_none_or(|id| id == db.begin_read().unwrap().transaction_id()), "{told:?}");
}

#[test]
fn a_timeout_is_as_long_as_it_says() {
    let db = database();
    let mut watch = db.watch();
    let start = Instant::now();
    assert_eq!(watch.wait(Some(Duration::from_millis(30))).unwrap(), None);
    assert!(start.elapsed() >= Duration::from_millis(30));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| watch.wait(Some(Duration::MAX)).unwrap());
        thread::sleep(Duration::from_millis(5));
        assert_eq!(put(&db, 1, Durability::None), waiting.join().unwrap().unwrap());
    });
}

#[test]
fn who_waits_hears_of_the_end_after_all_commits() {
    let db = database();
    let (mut late, mut waits, mut polled) = (db.watch(), db.watch(), db.watch());
    let newest = put(&db, 1, Durability::Immediate);
    assert_eq!(waits.try_next().unwrap(), Some(newest));
    assert!(matches!(poll(&mut polled, Waker::noop()), Poll::Ready(Ok(id)) if id == newest));
    let (count, waker) = Count::new();
    assert!(poll(&mut polled, &waker).is_pending());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            loop {
                if let Err(err) = waits.wait(None) {
                    return err;
                }
            }
        });
        thread::sleep(Duration::from_millis(5));
        drop(db);
        assert!(matches!(waiting.join().unwrap(), StorageError::DatabaseClosed));
    });
    assert_eq!(count.get(), 1);
    assert!(late.try_next().unwrap().is_some_and(|id| id >= newest));
    assert!(matches!(late.wait(Some(Duration::ZERO)), Err(StorageError::DatabaseClosed)));
}

#[test]
fn a_watch_calls_the_waker_that_it_was_given_last_once() {
    let db = database();
    let (mut one, mut other) = (db.watch(), db.watch());
    let ((first, first_waker), (second, second_waker)) = (Count::new(), Count::new());
    for _ in 0..3 {
        assert!(poll(&mut one, &first_waker).is_pending());
        assert!(poll(&mut other, &first_waker).is_pending());
    }
    // The watch goes to another task.
    assert!(poll(&mut one, &second_waker).is_pending());
    let newest = put(&db, 1, Durability::None);
    assert_eq!((first.get(), second.get()), (1, 1));
    assert!(matches!(poll(&mut one, &second_waker), Poll::Ready(Ok(id)) if id == newest));
    put(&db, 2, Durability::None);
    assert_eq!((first.get(), second.get()), (1, 1), "nobody has asked since");
}

#[test]
fn wakers_do_not_pile_up_while_nobody_commits() {
    let db = database();
    let mut lasting = db.watch();
    let mut counts = Vec::new();
    for _ in 0..100 {
        let (count, waker) = Count::new();
        assert!(poll(&mut lasting, &waker).is_pending());
        assert!(poll(&mut db.watch(), &waker).is_pending());
        counts.push(count);
    }
    let held = counts.iter().filter(|count| Arc::strong_count(count) > 1).count();
    assert_eq!(held, 1, "that of the last call");
    put(&db, 1, Durability::None);
    assert_eq!(counts.iter().map(|count| count.get()).sum::<usize>(), 1);
}

#[test]
fn nobody_sleeps_through_a_commit() {
    const COMMITS: u64 = 500;
    let db = database();
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut watch = db.watch();
            let db = &db;
            scope.spawn(move || {
                let (mut told, mut value) = (0, 0);
                while value < COMMITS {
                    let id = watch.wait(Some(Duration::from_secs(60))).unwrap().expect("there are more to come");
                    assert!(id > told);
                    told = id;
                    let txn = db.begin_read().unwrap();
                    assert!(txn.transaction_id() >= id, "what is told of can be seen");
                    value = txn.open_table(ROWS).unwrap().get(1).unwrap().unwrap().value();
                }
            });
        }
        (1..=COMMITS).for_each(|value| _ = put(&db, value, Durability::None));
    });
}
