//! Blobs against a model, and beside snapshots, savepoints and the end of a writer.

mod common;

use common::crash::RecordingBackend;
use common::rng::Rng;
use sapwood::backends::InMemoryBackend;
use sapwood::{
    BlobError, BlobId, Builder, ContentType, Database, ReadableBlobs, ReadableDatabase, Result, StorageError,
    StoreOptions, VerifyLevel, WriteTransaction,
};
use std::collections::BTreeMap;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};

fn scale() -> u64 {
    std::env::var("SAPWOOD_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

fn options() -> StoreOptions {
    StoreOptions::new().with_time_ms(5)
}

fn store(txn: &WriteTransaction, data: &[u8]) -> BlobId {
    txn.store_blob(data, ContentType::OctetStream, "", options()).unwrap()
}

fn memory(page_size: usize, cache: usize) -> Database {
    let mut builder = Builder::new();
    builder.set_page_size(page_size).set_cache_size(cache);
    builder.create_with_backend(InMemoryBackend::new()).unwrap()
}

fn check_whole(db: &Database) {
    let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// Lengths around everything that is decided by one.
fn some_length(rng: &mut Rng) -> usize {
    let near = [0, 1, 511, 512, 513, 4000, 4096, 65_535, 65_536, 65_537, 131_072, 200_000];
    match rng.below(3) {
        0 => near[rng.below(near.len() as u64) as usize],
        1 => rng.below(2_000) as usize,
        _ => rng.below(150_000) as usize,
    }
}

fn some_bytes(rng: &mut Rng, length: usize) -> Vec<u8> {
    let first = rng.below(256) as u8;
    (0..length).map(|at| first.wrapping_add((at / 7) as u8)).collect()
}

type Model = BTreeMap<BlobId, Vec<u8>>;

fn check(blobs: &impl ReadableBlobs, model: &Model, rng: &mut Rng) {
    for (id, expected) in model {
        let (content, meta) = blobs.get_blob(*id).unwrap().unwrap();
        assert_eq!((content.len() as u64, meta.id), (meta.length, *id));
        assert!(content == *expected, "blob {id}");
        let start = rng.below(expected.len() as u64 + 1);
        let length = rng.below(expected.len() as u64 + 1 - start);
        let part = &expected[start as usize..(start + length) as usize];
        assert!(blobs.read_blob_range(*id, start, length).unwrap() == part);
        let mut reader = blobs.blob_reader(*id).unwrap();
        reader.seek(SeekFrom::Start(start)).unwrap();
        let mut read = vec![0; length as usize];
        reader.read_exact(&mut read).unwrap();
        assert!(read == part);
    }
    let absent = BlobId::new(model.keys().next_back().map_or(1, |id| id.sequence() + 1));
    assert!(blobs.get_blob(absent).unwrap().is_none() && blobs.get_blob_meta(absent).unwrap().is_none());
    assert!(matches!(blobs.blob_reader(absent), Err(BlobError::NotFound(_))));
}

fn change(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    let options = options().with_chunk_dedup(rng.chance(128));
    let length = some_length(rng);
    let data = some_bytes(rng, length);
    let some_id = |rng: &mut Rng, model: &Model| {
        let nth = rng.below(model.len().max(1) as u64) as usize;
        model.keys().nth(nth).copied()
    };
    match (rng.below(8), some_id(rng, model)) {
        (0, Some(id)) => {
            txn.append_blob(id, &data).unwrap();
            model.get_mut(&id).unwrap().extend(data);
        }
        (1, Some(id)) => {
            txn.replace_blob(id, &data).unwrap();
            model.insert(id, data);
        }
        (2 | 3, Some(id)) => {
            assert!(txn.delete_blob(id).unwrap() && !txn.delete_blob(id).unwrap());
            model.remove(&id);
        }
        (4, _) => {
            let mut writers: Vec<_> =
                (0..3).map(|_| txn.blob_writer(ContentType::Json, "piecewise", options.clone()).unwrap()).collect();
            for piece in data.chunks(1 + rng.below(70_000) as usize) {
                writers.iter_mut().for_each(|writer| writer.write(piece).unwrap());
            }
            writers.remove(1);
            for writer in writers {
                assert_eq!(writer.bytes_written(), data.len() as u64);
                assert!(model.insert(writer.finish().unwrap(), data.clone()).is_none());
            }
        }
        _ => {
            let id = txn.store_blob(&data, ContentType::OctetStream, "", options).unwrap();
            assert!(model.insert(id, data).is_none());
        }
    }
}

#[test]
fn blobs_are_what_the_model_says() {
    for seed in 0..4 * scale() {
        let mut rng = Rng::new(seed);
        let page_size = 512 << rng.below(8);
        let db = memory(page_size, [0, 1 << 20][rng.below(2) as usize]);
        let (mut committed, mut readers) = (Model::new(), Vec::new());
        for _ in 0..12 {
            let mut txn = db.begin_write().unwrap();
            let mut model = committed.clone();
            for _ in 0..rng.below(6) {
                if rng.below(4) == 0 {
                    let (checkpoint, before) = (txn.checkpoint().unwrap(), model.clone());
                    change(&txn, &mut model, &mut rng);
                    txn.rollback_to(&checkpoint).unwrap();
                    model = before;
                }
                change(&txn, &mut model, &mut rng);
            }
            check(&txn, &model, &mut rng);
            if rng.below(4) == 0 {
                txn.abort().unwrap();
            } else {
                txn.commit().unwrap();
                committed = model;
            }
            if rng.below(3) == 0 {
                readers.push((db.begin_read().unwrap(), committed.clone()));
            }
            check(&db.begin_read().unwrap(), &committed, &mut rng);
        }
        for (reader, model) in &readers {
            check(reader, model, &mut rng);
        }
        drop(readers);
        check_whole(&db);
        let txn = db.begin_write().unwrap();
        committed.keys().for_each(|id| assert!(txn.delete_blob(*id).unwrap()));
        txn.commit().unwrap();
        check_whole(&db);
        assert!(db.begin_write().unwrap().stats().unwrap().stored_bytes() < 512);
    }
}

#[test]
fn savepoints_and_the_past_have_their_blobs() -> Result {
    let db = Builder::new().set_history_retention(9).create_with_backend(InMemoryBackend::new()).unwrap();
    let txn = db.begin_write().unwrap();
    let kept = store(&txn, &[1; 100_000]);
    txn.commit().unwrap();
    let then = db.begin_read().unwrap().transaction_id();
    let mut txn = db.begin_write().unwrap();
    let savepoint = txn.ephemeral_savepoint().unwrap();
    txn.replace_blob(kept, b"other").unwrap();
    let lost = store(&txn, &[2; 100_000]);
    txn.restore_savepoint(&savepoint).unwrap();
    let next = store(&txn, &[3; 100_000]);
    assert_ne!(next, lost);
    assert_eq!(txn.get_blob(lost).unwrap(), None);
    assert_eq!(txn.get_blob(kept).unwrap().unwrap().0, [1; 100_000]);
    txn.delete_blob(kept).unwrap();
    txn.commit().unwrap();
    assert_eq!(db.begin_read_at(then).unwrap().get_blob(kept).unwrap().unwrap().0, [1; 100_000]);
    assert_eq!(db.begin_read().unwrap().get_blob(kept).unwrap(), None);
    check_whole(&db);
    Ok(())
}

#[test]
fn a_reader_ends_where_the_blob_was_changed() {
    let db = memory(4096, 1 << 20);
    let txn = db.begin_write().unwrap();
    let id = store(&txn, &[7; 200_000]);
    let mut reader = txn.blob_reader(id).unwrap();
    assert_eq!(reader.fill_buf().unwrap().len(), 65_536);
    reader.consume(65_536);
    txn.append_blob(id, b"more").unwrap();
    assert!(matches!(reader.next_bytes(), Err(BlobError::NotFound(_))));
    assert_eq!(reader.seek(SeekFrom::End(-1)).unwrap(), 199_999);
    assert!(reader.seek(SeekFrom::Current(-200_000)).is_err());
    assert_eq!(reader.position(), 199_999);
}

#[test]
fn ranges_beyond_the_end_are_refused() {
    let db = memory(4096, 1 << 20);
    let txn = db.begin_write().unwrap();
    for length in [0, 10, 70_000] {
        let id = store(&txn, &vec![7; length as usize]);
        assert_eq!(txn.read_blob_range(id, length, 0).unwrap(), []);
        for (offset, wanted) in [(length, 1), (0, length + 1), (u64::MAX, 1), (1, u64::MAX)] {
            let refused = txn.read_blob_range(id, offset, wanted);
            assert!(matches!(refused, Err(BlobError::RangeOutOfBounds { blob, .. }) if blob == length));
        }
    }
}

/// Reads the file length after closing.
fn closed_length(write: impl FnOnce(&Database)) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blobs");
    let db = Database::create(&path).unwrap();
    write(&db);
    drop(db);
    std::fs::metadata(path).unwrap().len()
}

#[test]
fn blobs_take_little_more_than_their_bytes() {
    let mebibytes = 16 * scale().min(16);
    let length = closed_length(|db| {
        let txn = db.begin_write().unwrap();
        let data: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
        (0..mebibytes).for_each(|_| _ = store(&txn, &data));
        txn.commit().unwrap();
    });
    assert!(length <= (mebibytes << 20) * 260 / 256, "{length}");
    let small = 10_000 * scale().min(10);
    let length = closed_length(|db| {
        let txn = db.begin_write().unwrap();
        (0..small).for_each(|_| _ = store(&txn, &[7; 100]));
        txn.commit().unwrap();
    });
    assert!(length / small <= 190, "{length}");
}

#[test]
fn a_deleted_blob_gives_its_pages_to_the_next() {
    let db = memory(4096, 1 << 20);
    let mut pages = Vec::new();
    for round in 0..20u8 {
        let txn = db.begin_write().unwrap();
        let id = store(&txn, &[round; 1 << 20]);
        txn.commit().unwrap();
        let txn = db.begin_write().unwrap();
        pages.push(txn.stats().unwrap().allocated_pages());
        txn.delete_blob(id).unwrap();
        txn.commit().unwrap();
    }
    assert!(pages[19] <= pages[3], "{pages:?}");
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_behind() {
    let db = memory(4096, 1 << 20);
    let txn = db.begin_write().unwrap();
    let before = txn.stats().unwrap();
    let mut writer = txn.blob_writer(ContentType::OctetStream, "", options()).unwrap();
    writer.write_all(&[7; 1_000_000]).unwrap();
    drop(writer);
    assert_eq!(txn.stats().unwrap().stored_bytes(), before.stored_bytes());
    txn.commit().unwrap();
    check_whole(&db);
}

#[test]
fn threads_share_a_transaction() {
    let db = memory(4096, 1 << 20);
    let txn = db.begin_write().unwrap();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4u8)
            .map(|nth| {
                let txn = &txn;
                scope.spawn(move || {
                    let id = store(txn, &[nth; 150_000]);
                    assert_eq!(txn.get_blob(id).unwrap().unwrap().0, [nth; 150_000]);
                    (id, nth)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    for (id, nth) in ids {
        assert_eq!(txn.get_blob(id).unwrap().unwrap().0, [nth; 150_000]);
    }
    check_whole(&db);
}

#[test]
fn a_suspended_writer_goes_on_or_leaves_nothing_behind() {
    let db = memory(4096, 1 << 20);
    let mut txn = db.begin_write().unwrap();
    let data = some_bytes(&mut Rng::new(7), 300_000);
    let resume = |txn: &WriteTransaction, number, dedup| -> std::result::Result<BlobId, BlobError> {
        let options = options().with_dedup(dedup);
        let mut writer = txn.resume_blob_writer(number, ContentType::Json, "", options)?;
        assert_eq!(writer.bytes_written(), 100_000);
        writer.write(&data[100_000..])?;
        writer.finish()
    };
    let suspended = |txn: &WriteTransaction| {
        let mut writer = txn.blob_writer(ContentType::Json, "", options()).unwrap();
        writer.write(&data[..100_000]).unwrap();
        writer.suspend().unwrap()
    };
    let numbers = [suspended(&txn), suspended(&txn), suspended(&txn)];
    let whole = txn.store_blob(&data, ContentType::Json, "", options().with_dedup(true)).unwrap();
    let checkpoint = txn.checkpoint().unwrap();
    let early = suspended(&txn);
    let resumed = resume(&txn, numbers[1], true).unwrap();
    assert!(txn.get_blob(resumed).unwrap().unwrap().0 == data);
    assert_eq!(txn.dedup_stats().unwrap().blobs, 2);
    assert!(matches!(resume(&txn, numbers[1], false), Err(BlobError::NotFound(_))));
    txn.rollback_to(&checkpoint).unwrap();
    assert!(matches!(resume(&txn, early, false), Err(BlobError::NotFound(_))));
    let resumed = resume(&txn, numbers[1], false).unwrap();
    assert_eq!(txn.blob_stats().unwrap().chunks, 2 * 5 + 2);
    txn.commit().unwrap();
    let txn = db.begin_write().unwrap();
    assert!(matches!(resume(&txn, numbers[0], false), Err(BlobError::NotFound(_))));
    assert_eq!(txn.blob_stats().unwrap().chunks, 2 * 5);
    assert!([whole, resumed].iter().all(|id| txn.get_blob(*id).unwrap().unwrap().0 == data));
    drop(txn);
    check_whole(&db);
}

fn random_bytes(rng: &mut Rng, length: usize) -> Vec<u8> {
    (0..length).map(|_| rng.next_u64() as u8).collect()
}

#[test]
fn contents_that_are_alike_share_their_chunks() {
    let db = memory(4096, 1 << 20);
    let mut rng = Rng::new(5);
    let first = random_bytes(&mut rng, 1_000_000);
    let mut second = first.clone();
    second.splice(400_000..400_010, *b"ten bytes and some more");
    let in_chunks = || options().with_chunk_dedup(true);
    let store = |txn: &WriteTransaction, data: &[u8]| txn.store_blob(data, ContentType::Json, "", in_chunks()).unwrap();
    let txn = db.begin_write().unwrap();
    let ids = [store(&txn, &first), store(&txn, &second)];
    let mut writer = txn.blob_writer(ContentType::Json, "", in_chunks()).unwrap();
    second.chunks(10_001).for_each(|piece| writer.write_all(piece).unwrap());
    let streamed = writer.finish().unwrap();
    let stats = txn.dedup_stats().unwrap();
    assert!(stats.saved_bytes > 1_800_000 && stats.contents == 0, "{stats:?}");
    assert_eq!(txn.blob_stats().unwrap().chunks, stats.chunks);
    txn.append_blob(streamed, &first).unwrap();
    txn.append_blob(streamed, b"end").unwrap();
    let appended = [&second[..], &first[..], b"end"].concat();
    assert!(txn.dedup_stats().unwrap().saved_bytes > 2_700_000);
    txn.commit().unwrap();

    let txn = db.begin_read().unwrap();
    for (id, expected) in [(ids[0], &first), (ids[1], &second), (streamed, &appended)] {
        assert!(txn.get_blob(id).unwrap().unwrap().0 == *expected);
        let mut reader = txn.blob_reader(id).unwrap();
        for _ in 0..50 {
            let at = rng.below(expected.len() as u64 + 1);
            let length = rng.below(200_000).min(expected.len() as u64 - at);
            let expected = &expected[at as usize..(at + length) as usize];
            assert!(txn.read_blob_range(id, at, length).unwrap() == expected);
            reader.seek(SeekFrom::Start(at)).unwrap();
            let mut read = vec![0; expected.len()];
            reader.read_exact(&mut read).unwrap();
            assert!(read == expected);
        }
    }
    drop(txn);
    check_whole(&db);

    let txn = db.begin_write().unwrap();
    ids.into_iter().chain([streamed]).for_each(|id| assert!(txn.delete_blob(id).unwrap()));
    let stats = txn.dedup_stats().unwrap();
    assert_eq!((stats.chunks, stats.saved_bytes, txn.blob_stats().unwrap().chunks), (0, 0, 0));
    txn.commit().unwrap();
    check_whole(&db);
}

#[test]
fn what_is_too_short_to_be_shared_is_not_cut() {
    let mut builder = Builder::new();
    builder.set_blob_dedup(true).set_blob_chunk_dedup(true).set_blob_dedup_min_size(200_000);
    let db = builder.create_with_backend(InMemoryBackend::new()).unwrap();
    let txn = db.begin_write().unwrap();
    let known = || txn.dedup_stats().map(|stats| (stats.contents, stats.chunks > 0)).unwrap();
    let id = store(&txn, &[7; 199_999]);
    txn.replace_blob(id, &[7; 150_000]).unwrap();
    assert_eq!(known(), (0, false));
    store(&txn, &[7; 200_000]);
    assert_eq!(known(), (1, true));
}

#[test]
fn a_suspended_writer_goes_on_as_it_began() {
    let db = memory(4096, 1 << 20);
    let data = random_bytes(&mut Rng::new(6), 300_000);
    let txn = db.begin_write().unwrap();
    let whole = options().with_chunk_dedup(true).with_dedup(true);
    txn.store_blob(&data, ContentType::Json, "", whole.clone()).unwrap();
    let chunks = txn.dedup_stats().unwrap().chunks;
    for (suspended_at, resumed_as) in [(150_000, options()), (100_000, whole.clone()), (100, whole)] {
        let mut writer = txn.blob_writer(ContentType::Json, "", options().with_chunk_dedup(true)).unwrap();
        writer.write(&data[..suspended_at]).unwrap();
        let number = writer.suspend().unwrap();
        let mut writer = txn.resume_blob_writer(number, ContentType::Json, "", resumed_as).unwrap();
        writer.write(&data[suspended_at..]).unwrap();
        let id = writer.finish().unwrap();
        assert!(txn.get_blob(id).unwrap().unwrap().0 == data);
        assert_eq!(txn.dedup_stats().unwrap().chunks, chunks);
    }
    assert_eq!(txn.dedup_stats().unwrap().blobs, 3);
    let mut writer = txn.blob_writer(ContentType::Json, "", options().with_chunk_dedup(true)).unwrap();
    writer.write(&data).unwrap();
    writer.suspend().unwrap();
    let uses = txn.dedup_stats().unwrap().saved_bytes;
    txn.commit().unwrap();
    assert!(db.begin_read().unwrap().dedup_stats().unwrap().saved_bytes < uses);
    check_whole(&db);
}

/// Reads in every way, at random places.
fn read_in_all_ways(blobs: &impl ReadableBlobs, id: BlobId, expected: &[u8], rng: &mut Rng) {
    assert!(blobs.get_blob(id).unwrap().unwrap().0 == expected);
    let mut reader = blobs.blob_reader(id).unwrap();
    for _ in 0..60 {
        let at = if rng.below(2) == 0 { rng.below(expected.len() as u64 + 1) } else { reader.position() };
        let at = at / [1, 65_536][rng.below(2) as usize] * [1, 65_536][rng.below(2) as usize];
        let at = at.min(expected.len() as u64);
        reader.set_position(at);
        let behind = &expected[at as usize..];
        if rng.below(2) == 0 {
            let bytes = reader.next_bytes().unwrap();
            assert!(behind.starts_with(bytes) && bytes.is_empty() == behind.is_empty());
            let skipped = rng.below(bytes.len() as u64 + 1) as usize;
            reader.skip(skipped);
        } else {
            let length = [70_000, 65_536, 300_000, 10][rng.below(4) as usize].min(behind.len());
            let mut read = vec![0; length];
            reader.read_exact(&mut read).unwrap();
            assert!(read == behind[..length]);
            assert!(blobs.read_blob_range(id, at, length as u64).unwrap() == read);
        }
    }
}

#[test]
fn what_is_too_long_for_the_cache_is_read_right_in_every_way() {
    for seed in 0..10 * scale() {
        let mut rng = Rng::new(seed);
        let page_size = 512 << rng.below(8);
        let db = memory(page_size, [0, 1 << 20][rng.below(2) as usize]);
        let mut expected = random_bytes(&mut rng, 500_000);
        let txn = db.begin_write().unwrap();
        let options = options().with_chunk_dedup(rng.chance(128)).with_dedup(rng.chance(128));
        let id = txn.store_blob(&expected, ContentType::Json, "", options).unwrap();
        read_in_all_ways(&txn, id, &expected, &mut rng);
        let more = random_bytes(&mut rng, 1 + 200_000 * (seed as usize % 2));
        txn.append_blob(id, &more).unwrap();
        expected.extend(more);
        read_in_all_ways(&txn, id, &expected, &mut rng);
        txn.commit().unwrap();
        read_in_all_ways(&db.begin_read().unwrap(), id, &expected, &mut rng);
    }
}

#[test]
fn a_damaged_chunk_is_never_given_and_the_others_are() {
    let mut content = random_bytes(&mut Rng::new(8), 600_000);
    content[200_000..200_008].copy_from_slice(b"sentinel");
    let backend = RecordingBackend::new();
    let db = Builder::new().set_cache_size(1 << 20).create_with_backend(backend.clone()).unwrap();
    let txn = db.begin_write().unwrap();
    let id = store(&txn, &content);
    txn.commit().unwrap();
    drop(db);
    let mut image = backend.contents();
    let at = image.windows(8).position(|bytes| bytes == b"sentinel").unwrap();
    image[at] ^= 1;
    let db = Builder::new().set_cache_size(1 << 20).create_with_backend(RecordingBackend::from_image(image)).unwrap();
    let txn = db.begin_read().unwrap();
    let is_damaged = |err: &BlobError| matches!(err, BlobError::Storage(StorageError::Corrupted(_)));
    assert!(txn.get_blob(id).is_err_and(|err| is_damaged(&err)));
    assert!(txn.read_blob_range(id, 196_608, 65_536).is_err_and(|err| is_damaged(&err)));
    assert!(txn.read_blob_range(id, 0, 196_608).unwrap() == content[..196_608]);
    assert!(txn.read_blob_range(id, 262_144, 300_000).unwrap() == content[262_144..562_144]);
    let mut reader = txn.blob_reader(id).unwrap();
    let mut read = Vec::new();
    assert!(reader.read_to_end(&mut read).is_err() && content.starts_with(&read));
    while let Ok(bytes @ [_, ..]) = reader.next_bytes() {
        read.extend_from_slice(bytes);
        let length = bytes.len();
        reader.skip(length);
    }
    assert!(content[..196_608].starts_with(&read));
    reader.set_position(262_144);
    assert!(content[262_144..].starts_with(reader.next_bytes().unwrap()));
}
