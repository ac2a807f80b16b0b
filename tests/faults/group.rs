//! Batches that are committed together while the storage fails.

use crate::common::crash::{Fault, RecordingBackend, Target};
use crate::{TARGETS, is_of_storage, whole};
use sapwood::{
    Builder, Database, Error, GroupCommitError, GroupCommitOptions, ReadableDatabase, ReadableTable, TableDefinition,
    WriteBatch,
};
use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const GROUP: u64 = 4;
const GROUPS: u64 = 3;

fn open(backend: &RecordingBackend) -> Database {
    let options = GroupCommitOptions::new().set_max_batches(GROUP as u32).set_max_delay(Duration::from_millis(200));
    let mut builder = Builder::new();
    builder.set_page_size(512).set_block_size(512).set_cache_size(0).set_group_commit(options);
    builder.create_with_backend(backend.clone()).unwrap()
}

/// Puts rows that take pages, so that the file grows; its last key is that of no other.
fn put(key: u64) -> WriteBatch {
    WriteBatch::new(move |txn| {
        let mut rows = txn.open_table(ROWS)?;
        for nth in 0..10 {
            rows.insert(1_000 + nth * 7, &[key as u8; 600][..])?;
        }
        rows.insert(key, &[1][..])?;
        Ok::<(), Error>(())
    })
}

type Told = Result<(), GroupCommitError>;

/// Groups one after the other. Nobody may wait for ever.
fn submit_all(db: &Database) -> Vec<(u64, Told)> {
    let mut all = Vec::new();
    for group in 0..GROUPS {
        let (say, told) = mpsc::channel();
        for key in group * GROUP..(group + 1) * GROUP {
            let (db, say) = (db.clone(), say.clone());
            std::thread::spawn(move || say.send((key, db.submit_write_batch(put(key)))));
        }
        let next = || told.recv_timeout(Duration::from_secs(60)).expect("everyone is told in time");
        all.extend((0..GROUP).map(|_| next()));
    }
    all
}

fn keys(db: &Database) -> BTreeSet<u64> {
    let Ok(rows) = db.begin_read().unwrap().open_table(ROWS) else { return BTreeSet::new() };
    rows.iter().unwrap().map(|row| row.unwrap().0.value()).filter(|key| *key < 1_000).collect()
}

fn check(target: Target, nth: u64, image: &[u8]) -> bool {
    let backend = RecordingBackend::from_image(image.to_vec());
    let db = open(&backend);
    backend.inject(Fault::once(target, nth));
    let told = submit_all(&db);
    backend.heal();
    let among = |is: fn(&Told) -> bool| -> BTreeSet<u64> {
        told.iter().filter(|(_, told)| is(told)).map(|(key, _)| *key).collect()
    };
    let must = among(Result::is_ok);
    // Of a commit that failed it is not known whether it is on the disk.
    let may = among(|told| matches!(told, Ok(()) | Err(GroupCommitError::CommitFailed(_))));
    let what = format!("{target:?} {nth}: {told:?}");
    assert_eq!(keys(&db), must, "{what}");
    for contents in [backend.contents(), {
        drop(db);
        backend.contents()
    }] {
        let db = open(&RecordingBackend::from_image(contents));
        let found = keys(&db);
        assert!(found.is_superset(&must) && found.is_subset(&may), "{found:?} after {what}");
        whole(&db).unwrap_or_else(|err| panic!("{err} after {what}"));
    }
    let all_typed = told.iter().all(|(_, told)| told.as_ref().err().is_none_or(is_told_of_storage));
    assert!(all_typed, "{what}");
    must.len() < (GROUP * GROUPS) as usize
}

/// Whether a batch was told that the storage failed, and nothing else.
fn is_told_of_storage(err: &GroupCommitError) -> bool {
    match err {
        GroupCommitError::BatchFailed(err) => err.downcast_ref().is_some_and(is_of_storage),
        GroupCommitError::TransactionFailed(_) | GroupCommitError::CommitFailed(_) => true,
        _ => false,
    }
}

#[test]
fn each_batch_is_told_its_fate_whatever_call_fails() {
    let backend = RecordingBackend::new();
    drop(open(&backend));
    let image = backend.contents();
    for target in TARGETS {
        let failed = (0..30).filter(|nth| check(target, *nth, &image)).count();
        assert!(failed > 0, "{target:?}");
    }
}
