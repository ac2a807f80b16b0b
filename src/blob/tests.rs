//! Rows that no release of this crate writes, under right checksums: whoever meets them gets an error, not a panic, and comes
//! to an end.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod limits;

use super::tables::*;
use super::*;
use crate::backend::InMemoryBackend;
use crate::index::{OwnTables, TagQuery, open};
use crate::pages::test_rng::Rng;
use crate::table::ReadableTable;
use crate::txn::WriteTransaction;
use crate::{BlobError, Clock, Database, ReadableDatabase, StorageError, VerifyLevel};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> u64 {
        1_000
    }
}

/// One blob of each kind, and a writer that is put aside. Gives its number.
fn store_some(txn: &WriteTransaction) -> u64 {
    for (nth, length) in [10, 5_000, 5_000, 70_000, 600, 70_000, 5_000].into_iter().enumerate() {
        let options = StoreOptions::new().with_namespace(["a", "b"][nth % 2]).with_tags(["x", "y"]).with_dedup(nth < 3);
        let options = options.with_chunk_dedup(nth > 4);
        let options = if nth == 4 { options.with_ttl(Duration::ZERO) } else { options };
        txn.store_blob(&vec![7; length], ContentType::Json, "label", options.with_metadata("n", 1_u64)).unwrap();
    }
    txn.set_namespace_quota("b", NamespaceQuota::UNLIMITED.with_max_bytes(1 << 20)).unwrap();
    let mut writer = txn.blob_writer(ContentType::Json, "", StoreOptions::new()).unwrap();
    writer.write(&[1; 70_000]).unwrap();
    writer.suspend().unwrap()
}

fn any_pair(rng: &mut Rng) -> PairKey {
    let first = [0, 1, 2, 500, u64::MAX][rng.below(5) as usize];
    pair_key(first, BlobId::new(u64::from(rng.below(8))))
}

type Forgery = fn(&WriteTransaction, &mut Rng) -> Result<(), StorageError>;

const FORGERIES: [Forgery; 24] = [
    |txn, rng| {
        let (mut records, id) = (open::<Records>(txn, BLOBS)?, 1 + u64::from(rng.below(5)));
        let mut bytes = records.get(id)?.map(|bytes| bytes.value().to_vec()).unwrap_or_default();
        // A byte of what is known of it, more often than of its content.
        let at = rng.below(60.min(bytes.len() as u32)) as usize;
        let byte = [0, 1, 255, rng.next() as u8][rng.below(4) as usize];
        bytes.get_mut(at).into_iter().for_each(|place| *place = byte);
        records.insert(id, &bytes[..]).map(drop)
    },
    |txn, rng| {
        let (mut records, id) = (open::<Records>(txn, BLOBS)?, 1 + u64::from(rng.below(5)));
        let bytes = records.get(id)?.map(|bytes| bytes.value().to_vec()).unwrap_or_default();
        let length = rng.below(bytes.len() as u32 + 1) as usize;
        records.insert(id, &bytes[..length]).map(drop)
    },
    |txn, rng| open::<Records>(txn, BLOBS)?.remove(1 + u64::from(rng.below(5))).map(drop),
    |txn, rng| open::<Times>(txn, BLOBS)?.insert(any_pair(rng), ()).map(drop),
    |txn, _| open::<Times>(txn, BLOBS)?.pop_first().map(drop),
    |txn, rng| open::<Expiries>(txn, BLOBS)?.insert(any_pair(rng), ()).map(drop),
    |txn, _| open::<Expiries>(txn, BLOBS)?.pop_first().map(drop),
    |txn, rng| {
        let mut any = || [0, 1, u64::MAX - 1, u64::MAX][rng.below(4) as usize];
        let row = (any(), any(), any(), any(), any(), "c");
        open::<Namespaces>(txn, BLOBS)?.insert(1 + u64::from(rng.below(3)), row).map(drop)
    },
    |txn, _| open::<Namespaces>(txn, BLOBS)?.pop_first().map(drop),
    |txn, rng| open::<NamespaceNumbers>(txn, BLOBS)?.insert("a", u64::from(rng.below(5))).map(drop),
    |txn, _| open::<NamespaceNumbers>(txn, BLOBS)?.pop_first().map(drop),
    |txn, rng| open::<InNamespace>(txn, BLOBS)?.insert(any_pair(rng), ()).map(drop),
    |txn, _| open::<InNamespace>(txn, BLOBS)?.pop_first().map(drop),
    |txn, rng| open::<Totals>(txn, BLOBS)?.insert(rng.below(2) as u8, [0, u64::MAX][rng.below(2) as usize]).map(drop),
    |txn, rng| open::<SharedContents>(txn, BLOBS)?.insert(u64::from(rng.below(4)), [7; 32]).map(drop),
    |txn, _| open::<SharedContents>(txn, BLOBS)?.pop_first().map(drop),
    |txn, _| open::<ContentNumbers>(txn, BLOBS)?.pop_first().map(drop),
    |txn, rng| open::<ContentUsers>(txn, BLOBS)?.insert(any_pair(rng), ()).map(drop),
    |txn, rng| {
        let mut chunks = open::<Chunks>(txn, BLOBS)?;
        let Some((key, length)) = chunks.first()?.map(|(key, bytes)| (key.value(), bytes.value().len())) else {
            return Ok(());
        };
        let other = [0, 1, length.saturating_sub(1), length + 1, 70_000][rng.below(5) as usize];
        chunks.insert(key, &vec![7; other][..]).map(drop)
    },
    |txn, rng| {
        let bytes: Vec<u8> = (0..rng.below(40)).map(|_| [0, 255][rng.below(2) as usize]).collect();
        open::<Drafts>(txn, BLOBS)?.insert(u64::from(rng.below(3)), &bytes[..]).map(drop)
    },
    |txn, rng| {
        let mut lists = open::<PieceLists>(txn, BLOBS)?;
        let Some((key, row)) = lists.last()?.map(|(key, row)| (key.value(), row.value())) else { return Ok(()) };
        let ((content, start), mut any) = (numbers_of(key), || [0, 1, 5_000, u32::MAX][rng.below(4) as usize]);
        let key = number_key(content, [start, 0, any().into(), u64::MAX][any() as usize % 4]);
        lists.insert(key, ([row.0, any().into()][any() as usize % 2], [row.1, any()][any() as usize % 2])).map(drop)
    },
    |txn, _| open::<PieceLists>(txn, BLOBS)?.pop_first().map(drop),
    |txn, rng| {
        let mut pieces = open::<Pieces>(txn, BLOBS)?;
        let Some((piece, row)) = pieces.first()?.map(|(piece, row)| (piece.value(), row.value())) else {
            return Ok(());
        };
        let uses = [0, 1, 2, u64::MAX][rng.below(4) as usize];
        match rng.below(3) {
            0 => pieces.remove(piece).map(drop),
            1 => pieces.insert(piece, (row.0, uses)).map(drop),
            _ => pieces.insert(piece, ([7; 32], row.1)).map(drop),
        }
    },
    |txn, rng| match rng.below(2) {
        0 => open::<PieceNumbers>(txn, BLOBS)?.pop_first().map(drop),
        _ => {
            let mut numbers = open::<PieceNumbers>(txn, BLOBS)?;
            let Some(hash) = numbers.first()?.map(|(hash, _)| hash.value()) else { return Ok(()) };
            numbers.insert(hash, u64::from(rng.below(6))).map(drop)
        }
    },
];

/// Nothing but what a damaged file may be answered with.
fn expect<T>(result: Result<T, BlobError>) {
    match result {
        Ok(_) | Err(BlobError::NotFound(_) | BlobError::QuotaExceeded { .. }) => {}
        Err(BlobError::Storage(StorageError::Corrupted(_) | StorageError::PreviousIo)) => {}
        Err(BlobError::Storage(err)) => assert!(err.to_string().contains("transaction"), "{err:?}"),
        Err(err) => panic!("{err:?}"),
    }
}

fn read_all(blobs: &impl ReadableBlobs) {
    for id in (0..10).map(BlobId::new) {
        // A length from a forged record is not believed.
        expect(blobs.get_blob_meta(id));
        expect(blobs.read_blob_range(id, 0, 1).or_else(|err| match err {
            BlobError::RangeOutOfBounds { .. } => Ok(Vec::new()),
            err => Err(err),
        }));
        expect(blobs.blob_tags(id));
        expect(blobs.blob_content_hash(id));
        if let Ok(mut reader) = blobs.blob_reader(id) {
            for _ in 0..4 {
                let Ok(read) = reader.next_bytes().map(<[u8]>::len) else { break };
                reader.skip(read);
            }
        }
    }
    expect(blobs.list_blobs(None).collect::<Result<Vec<_>, _>>());
    expect(blobs.blobs_in_time_range(..).rev().collect::<Result<Vec<_>, _>>());
    expect(blobs.blobs_in_namespace("a", None).collect::<Result<Vec<_>, _>>());
    expect(blobs.select_blobs(TagQuery::new().all_of(["x"]), None).collect::<Result<Vec<_>, _>>());
    expect(blobs.list_blob_namespaces(None, 100));
    expect(blobs.blob_stats());
    expect(blobs.dedup_stats());
}

fn change_all(txn: &WriteTransaction, writer: u64, rng: &mut Rng) {
    let id = BlobId::new(1 + u64::from(rng.below(7)));
    match rng.below(14) {
        0 => expect(txn.append_blob(id, &[7; 3_000])),
        1 => expect(txn.replace_blob(id, &[7; 3_000])),
        2 => expect(txn.move_blob(id, Some("b"))),
        3 => expect(txn.retime_blob(id, 7)),
        4 => expect(txn.expire_blob(id, None)),
        5 => expect(txn.delete_blob(id)),
        6 => expect(txn.purge_expired_blobs(u64::MAX)),
        7 => expect(txn.delete_blobs_in_namespace("a")),
        8 => expect(txn.delete_selected_blobs(&TagQuery::new().any_of(["x", "y"]))),
        9 => expect(txn.delete_blobs_in_time_range(..)),
        10 => expect(txn.resume_blob_writer(writer, ContentType::Json, "", StoreOptions::new().with_dedup(true))),
        11 => {
            let options = StoreOptions::new().with_namespace("a").with_tags(["x"]).with_dedup(true);
            expect(txn.store_blob(&[7; 5_000], ContentType::Json, "", options));
        }
        12 => {
            let options = StoreOptions::new().with_chunk_dedup(true);
            expect(txn.store_blob(&[7; 75_000], ContentType::Json, "", options));
        }
        _ => expect(txn.tag_blob(id, "z")),
    }
}

#[test]
fn forged_rows_are_errors_and_nothing_worse() {
    for seed in 1..1_500 {
        let mut rng = Rng(seed * 77);
        let db = Database::builder().set_clock(Noon).create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        let writer = store_some(&txn);
        let forged = {
            let _held = txn.hold();
            (0..1 + rng.below(2)).try_for_each(|_| FORGERIES[rng.below(24) as usize](&txn, &mut rng))
        };
        forged.unwrap();
        read_all(&txn);
        (0..3).for_each(|_| change_all(&txn, writer, &mut rng));
        read_all(&txn);
        if txn.commit().is_ok() {
            // Whatever it finds, it comes to its end.
            assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().complete);
            read_all(&db.begin_read().unwrap());
        }
    }
}
