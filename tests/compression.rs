//! Compressed values: every way in and out, what is stored, and files that say something else.
#![cfg(all(feature = "lz4", feature = "zstd"))]

mod common;

use common::crash::RecordingBackend;
use common::forge::{self, Forge, PAGE};
use common::image::Image;
use sapwood::{
    BlobError, Builder, Compression, ContentType, Database, DatabaseError, Entry, ReadableBlobs, ReadableDatabase,
    ReadableTable, ReadableTableMetadata, StorageError, StoreOptions, TableDefinition, TableError, TableHandle,
    VerifyLevel,
};
use std::ops::Bound;

const FAST: TableDefinition<u64, &[u8]> = TableDefinition::new("fast").with_compression(Compression::Lz4);
const SMALL: TableDefinition<u64, &[u8]> =
    TableDefinition::new("small").with_compression(Compression::Zstd { level: 3 });
const RAW: TableDefinition<u64, &[u8]> = TableDefinition::new("raw").with_compression(Compression::None);
const UNSAID: TableDefinition<u64, &[u8]> = TableDefinition::new("unsaid");

fn create(page: usize, image: &Image) -> Database {
    Builder::new().set_page_size(page).create_with_backend(image.clone()).unwrap()
}

/// `length` bytes that compress well, others for each `key`.
fn text(key: u64, length: usize) -> Vec<u8> {
    format!("{key} rings of sapwood, ").into_bytes().into_iter().cycle().take(length).collect()
}

/// `length` bytes that do not compress.
fn noise(key: u64, length: usize) -> Vec<u8> {
    let mut state = key + 1;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Every kind of length, of both kinds of bytes.
fn values(page: usize) -> Vec<Vec<u8>> {
    let lengths = [0, 1, 63, 64, 65, 200, page / 4, page / 2, page, 3 * page, 20 * page, 300_000];
    lengths.iter().zip(0..).flat_map(|(length, key)| [text(key, *length), noise(key, *length)]).collect()
}

fn pages(table: &impl ReadableTableMetadata) -> u64 {
    let stats = table.stats().unwrap();
    stats.leaf_pages() + stats.branch_pages()
}

/// What each way of reading finds.
fn check(table: &impl ReadableTable<u64, &'static [u8]>, values: &[Vec<u8>]) {
    assert_eq!(table.len().unwrap(), values.len() as u64);
    for (key, value) in (0..).zip(values) {
        assert_eq!(table.get(key).unwrap().unwrap().value(), value);
        assert_eq!(table.value_len(key).unwrap(), Some(value.len() as u64));
    }
    let read = |row: Result<(_, sapwood::AccessGuard<'_, &'static [u8]>), _>| row.unwrap().1.value().to_vec();
    assert!(table.iter().unwrap().map(read).eq(values.iter().cloned()));
    assert!(table.iter().unwrap().rev().map(read).eq(values.iter().rev().cloned()));
    let many = table.get_many((0..values.len() as u64).rev()).unwrap();
    assert!(many.iter().map(|value| value.as_ref().unwrap().value()).eq(values.iter().rev().map(Vec::as_slice)));
    let mut cursor = table.lower_bound(Bound::Included(1)).unwrap();
    assert_eq!(cursor.value_len().unwrap(), Some(values[1].len() as u64));
    assert_eq!(cursor.next().unwrap().unwrap().1.value(), values[1]);
    assert_eq!(table.first().unwrap().unwrap().1.value(), values[0]);
    assert_eq!(table.last().unwrap().unwrap().1.value(), values[values.len() - 1]);
}

#[test]
fn values_of_all_lengths_are_read_as_they_were_written() {
    for (page, definition) in
        [512, 4_096, 65_536].into_iter().flat_map(|page| [FAST, SMALL, RAW].map(|table| (page, table)))
    {
        let image = Image::default();
        let db = create(page, &image);
        let (values, others) = (values(page), values(page).into_iter().rev().collect::<Vec<_>>());
        let txn = db.begin_write().unwrap();
        {
            let mut table = txn.open_table(definition).unwrap();
            for (key, value) in (0..).zip(&others) {
                table.insert(key, &**value).unwrap();
            }
            for ((key, value), old) in (0..).zip(&values).zip(&others) {
                assert_eq!(table.insert(key, &**value).unwrap().unwrap().value(), old);
            }
            check(&table, &values);
        }
        txn.commit().unwrap();
        check(&db.begin_read().unwrap().open_table(definition).unwrap(), &values);
        db.verify().unwrap();
        drop(db);
        let mut db = create(page, &image);
        // What a definition says of a table that exists does not count.
        let plain = TableDefinition::new(definition.name());
        check(&db.begin_read().unwrap().open_table(plain).unwrap(), &values);
        db.compact().unwrap();
        check(&db.begin_read().unwrap().open_table(plain).unwrap(), &values);
        assert!(db.check_integrity().unwrap());
    }
}

#[test]
fn every_way_in_compresses_and_every_way_out_unpacks() {
    for length in [300, 50_000] {
        let value = |key: u64| text(key, length);
        let db = create(4_096, &Image::default());
        let txn = db.begin_write().unwrap();
        let mut table = txn.open_table(FAST).unwrap();
        table.insert(0, &*value(0)).unwrap();
        table.insert(1, [0; 10].as_slice()).unwrap();
        table.get_mut(1).unwrap().unwrap().insert(&*value(1)).unwrap();
        let Entry::Vacant(vacant) = table.entry(2).unwrap() else { panic!("2 is new") };
        assert_eq!(vacant.insert(&*value(2)).unwrap().value(), value(2));
        table.entry(3).unwrap().or_insert([1; 10].as_slice()).unwrap();
        let Entry::Occupied(mut occupied) = table.entry(3).unwrap() else { panic!("3 is there") };
        occupied.insert(&*value(3)).unwrap();
        assert_eq!(occupied.get().unwrap().value(), value(3));
        let mut cursor = table.upper_bound_mut(Bound::<u64>::Unbounded).unwrap();
        cursor.insert_before(4, &*value(4)).unwrap();
        cursor.close().unwrap();
        let bytes = value(5);
        table.bulk_load([(5, &*bytes)]).unwrap();
        check(&table, &(0..6).map(value).collect::<Vec<_>>());
        let stored = table.stats().unwrap().stored_bytes() as usize;
        assert!(stored < 6 * length / 2, "{stored} bytes are stored of 6 times {length}");

        assert_eq!(table.remove(0).unwrap().unwrap().value(), value(0));
        assert_eq!(table.pop_first().unwrap().unwrap().1.value(), value(1));
        assert_eq!(table.pop_last().unwrap().unwrap().1.value(), value(5));
        let mut extracted = table.extract_if(|key, found| key == 3 && found == value(3)).unwrap();
        assert_eq!(extracted.next().unwrap().unwrap().1.value(), value(3));
        extracted.close().unwrap();
        assert_eq!(table.drain::<u64>(..3).unwrap().next().unwrap().unwrap().1.value(), value(2));
        table.retain(|_, found| found != value(4)).unwrap();
        assert!(table.is_empty().unwrap());
        drop(table);
        txn.commit().unwrap();
        assert_eq!(db.verify().unwrap().linked_pages, 1, "the catalog alone is left");
    }
}

#[test]
fn reserved_values_stay_as_they_are() {
    let db = create(4_096, &Image::default());
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(FAST).unwrap();
    table.insert_reserve(1, 2_000).unwrap().as_mut().fill(7);
    assert_eq!(table.stats().unwrap().stored_bytes(), 8 + 2_000);
    table.insert(1, [7; 2_000].as_slice()).unwrap();
    assert!(table.stats().unwrap().stored_bytes() < 100);
    table.insert_reserve(1, 1_000).unwrap().as_mut().fill(8);
    assert_eq!(table.get(1).unwrap().unwrap().value(), [8; 1_000]);
}

#[test]
fn a_definition_goes_before_the_database_and_what_exists_before_both() {
    let image = Image::default();
    let fill = |db: &Database, definition: TableDefinition<u64, &'static [u8]>| {
        let txn = db.begin_write().unwrap();
        let mut table = txn.open_table(definition).unwrap();
        let first = table.len().unwrap();
        (first..first + 100).for_each(|key| drop(table.insert(key, &*text(key, 1_000)).unwrap()));
        let pages = pages(&table);
        drop(table);
        txn.commit().unwrap();
        pages
    };
    let db = Builder::new().set_compression(Compression::Lz4).create_with_backend(image.clone()).unwrap();
    assert!(fill(&db, UNSAID) < 10);
    assert!(fill(&db, RAW) > 30);
    drop(db);
    let db = create(4_096, &image);
    assert!(fill(&db, UNSAID) < 20, "a table keeps what it was created with");
    let another = TableDefinition::new("another");
    assert!(fill(&db, another) < 10, "a file keeps what it was created with");
    assert!(fill(&db, RAW.with_compression(Compression::Lz4)) > 60);
    drop(db);
    let plain = create(4_096, &Image::default());
    assert!(fill(&plain, UNSAID) > 30);
    assert!(fill(&plain, SMALL) < 10);
}

#[test]
fn what_does_not_shrink_takes_no_more_room_and_is_read_without_a_copy() {
    let db = create(4_096, &Image::default());
    let txn = db.begin_write().unwrap();
    let (mut packed, mut raw) = (txn.open_table(FAST).unwrap(), txn.open_table(RAW).unwrap());
    for key in 0..300 {
        for table in [&mut packed, &mut raw] {
            table.insert(key, &*noise(key, 100 * (key as usize % 60))).unwrap();
        }
    }
    let [one, other] = [&packed, &raw].map(|table| table.stats().unwrap());
    assert_eq!((pages(&packed), one.stored_bytes()), (pages(&raw), other.stored_bytes()));
    let (one, other) = (packed.get(57).unwrap().unwrap(), packed.get(57).unwrap().unwrap());
    assert_eq!(one.value().as_ptr(), other.value().as_ptr(), "both look at the page");
}

#[test]
fn a_run_that_would_take_as_many_pages_is_not_compressed() {
    let db = create(4_096, &Image::default());
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(FAST).unwrap();
    // A sixth of it shrinks: of five pages that leaves five, of twenty it leaves seventeen.
    for (key, length, shrinks) in [(1, 5 * 4_096 - 100, false), (2, 20 * 4_096 - 100, true)] {
        let mut value = noise(key, length);
        value[..length / 6].fill(0);
        let before = table.stats().unwrap().stored_bytes();
        table.insert(key, &*value).unwrap();
        let stored = (table.stats().unwrap().stored_bytes() - before) as usize;
        assert_eq!(stored < length, shrinks, "{stored} of {length}");
        assert_eq!(table.get(key).unwrap().unwrap().value(), value);
    }
}

#[test]
fn narrow_values_and_multimaps_are_never_compressed() {
    let db = Builder::new().set_compression(Compression::Lz4).create_with_backend(Image::default()).unwrap();
    let txn = db.begin_write().unwrap();
    let mut fixed = txn.open_table(TableDefinition::<u64, [u8; 500]>::new("fixed")).unwrap();
    fixed.insert(1, [0; 500]).unwrap();
    assert_eq!(fixed.stats().unwrap().stored_bytes(), 508);
    let mut wide = txn.open_table(TableDefinition::<u64, [u8; 3_000]>::new("wide")).unwrap();
    wide.insert(1, [0; 3_000]).unwrap();
    assert!(wide.stats().unwrap().stored_bytes() < 100, "it has no width as far as pages are concerned");
    assert_eq!(wide.get(1).unwrap().unwrap().value(), [0; 3_000]);
    let mut sets = txn.open_multimap_table(forge::NAMES).unwrap();
    sets.insert("key", &*"v".repeat(500)).unwrap();
    assert!(sets.stats().unwrap().stored_bytes() > 500);
}

#[test]
fn the_length_of_a_value_is_known_without_its_run() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(FAST).unwrap().insert(1, &*text(1, 10_000_000)).unwrap();
    txn.commit().unwrap();
    drop(db);
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    let table = db.begin_read().unwrap().open_table(FAST).unwrap();
    backend.take_counters();
    assert_eq!(table.value_len(1).unwrap(), Some(10_000_000));
    assert!(backend.take_counters().reads.iter().all(|(_, length)| *length <= 4_096));
}

#[test]
fn a_blob_is_compressed_as_is_said_of_it_and_else_as_the_database_says() {
    let zstd = Compression::Zstd { level: 3 };
    for of_all in [Compression::None, Compression::Lz4] {
        let db = Builder::new().set_compression(of_all).create_with_backend(Image::default()).unwrap();
        let mut stored = Vec::new();
        for (said, in_chunks) in
            [(None, false), (Some(Compression::None), false), (Some(zstd), false), (Some(zstd), true)]
        {
            let txn = db.begin_write().unwrap();
            let before = txn.stats().unwrap().allocated_pages();
            let options = StoreOptions::new().with_chunk_dedup(in_chunks);
            let options = said.map_or(options.clone(), |said| options.with_compression(said));
            let (compressible, random) = (text(7, 400_000), noise(stored.len() as u64, 100_000));
            let id = txn.store_blob(&compressible, ContentType::TextPlain, "", options.clone()).unwrap();
            txn.append_blob(id, b"and more").unwrap();
            let mut writer = txn.blob_writer(ContentType::TextPlain, "", options).unwrap();
            writer.write(&random).unwrap();
            let other = writer.finish().unwrap();
            txn.commit().unwrap();
            let txn = db.begin_read().unwrap();
            assert!(txn.get_blob(id).unwrap().unwrap().0 == [&compressible[..], b"and more"].concat());
            assert!(txn.get_blob(other).unwrap().unwrap().0 == random);
            assert!(txn.read_blob_range(id, 65_530, 100).unwrap() == compressible[65_530..][..100]);
            stored.push(db.begin_write().unwrap().stats().unwrap().allocated_pages() - before);
        }
        let (raw, packed) = (120..150, 20..45);
        let as_of_all = if of_all == Compression::None { &raw } else { &packed };
        let expected = [as_of_all, &raw, &packed, &packed];
        assert!(expected.iter().zip(&stored).all(|(expected, pages)| expected.contains(pages)), "{stored:?}");
    }
}

#[test]
fn a_level_that_there_is_not_is_refused() {
    let db = Builder::new().create_with_backend(Image::default()).unwrap();
    let options = StoreOptions::new().with_compression(Compression::Zstd { level: 23 });
    let refused = db.begin_write().unwrap().store_blob(b"", ContentType::Json, "", options);
    assert!(matches!(refused, Err(BlobError::Storage(StorageError::Io(_)))), "{refused:?}");
    for level in [0, 23] {
        let compression = Compression::Zstd { level };
        let made = Builder::new().set_compression(compression).create_with_backend(Image::default());
        assert!(matches!(made, Err(DatabaseError::Storage(StorageError::Io(_)))));
        let txn = create(4_096, &Image::default()).begin_write().unwrap();
        let opened = txn.open_table(UNSAID.with_compression(compression));
        assert!(matches!(opened, Err(TableError::Storage(StorageError::Io(_)))));
        assert_eq!(txn.list_tables().unwrap().count(), 0);
    }
}

/// A closed file with a compressed value in a leaf and one in a run, and what stands in the page and in the leaf before
/// their packings.
fn forgery() -> Forge {
    let image = Image::default();
    let db = forge::builder().create_with_backend(image.clone()).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(FAST).unwrap();
        table.insert(1, &*text(1, 400)).unwrap();
        table.insert(2, &*text(2, 100_000)).unwrap();
    }
    txn.commit().unwrap();
    drop(db);
    Forge { bytes: image.bytes() }
}

/// Where `wanted` stands, which it does once.
fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    let mut places = (0..bytes.len() - wanted.len()).filter(|at| bytes[*at..].starts_with(wanted));
    let place = places.next().expect("it is there");
    assert_eq!(places.next(), None);
    place
}

fn open(file: &Forge) -> Database {
    forge::builder().create_with_backend(Image::new(file.bytes.clone())).unwrap()
}

fn is_missing_codec(error: &StorageError) -> bool {
    matches!(error, StorageError::CodecUnavailable(name) if name == "number 9")
}

#[test]
fn a_codec_that_this_build_lacks_is_named_when_a_table_needs_it() {
    let mut file = forgery();
    let definition = find(&file.bytes, b"\x01fast\0\x01\x01\0") + 7;
    file.put(definition, &[9]);
    file.fix();
    let db = open(&file);
    let refused = |error: TableError| matches!(error, TableError::Storage(error) if is_missing_codec(&error));
    assert!(refused(db.begin_read().unwrap().open_table(FAST).unwrap_err()));
    let txn = db.begin_write().unwrap();
    assert!(refused(txn.open_table(FAST).unwrap_err()));
    txn.open_table(RAW).unwrap().insert(1, b"other tables can be used".as_slice()).unwrap();
    txn.commit().unwrap();

    let mut file = forgery();
    let mirror = file.bytes.len() - PAGE;
    for header in [0, mirror + 8] {
        file.put(header + 14, &[9]);
        forge::seal(&mut file.bytes[header..header + 64]);
    }
    file.fix();
    let txn = open(&file).begin_write().unwrap();
    assert_eq!(txn.open_table(FAST).unwrap().get(1).unwrap().unwrap().value(), text(1, 400));
    assert!(refused(txn.open_table(UNSAID).unwrap_err()), "it would be created with the codec of the file");
    assert_eq!(txn.list_tables().unwrap().count(), 1);
    txn.open_table(RAW).unwrap();
}

/// Contents that are known by their hash are read by the check.
#[test]
fn a_blob_whose_codec_this_build_lacks_is_no_finding() {
    for options in [StoreOptions::new().with_dedup(true), StoreOptions::new().with_chunk_dedup(true)] {
        let image = Image::default();
        let db = forge::builder().create_with_backend(image.clone()).unwrap();
        let txn = db.begin_write().unwrap();
        let options = options.with_compression(Compression::Lz4).with_time_ms(7);
        let id = txn.store_blob(&[7; 7_001], ContentType::Json, "", options).unwrap();
        txn.commit().unwrap();
        drop(db);
        let mut file = Forge { bytes: image.bytes() };
        let packing = find(&file.bytes, &[&[1][..], &7_001_u32.to_le_bytes()].concat());
        file.put(packing, &[9]);
        file.fix();
        let db = open(&file);
        let read = db.begin_read().unwrap().get_blob(id);
        assert!(matches!(read, Err(BlobError::Storage(error)) if is_missing_codec(&error)));
        assert_eq!(db.verify_integrity(VerifyLevel::Rows).unwrap().findings, []);
        db.verify().unwrap();
    }
}

#[test]
fn what_a_file_says_of_a_packed_value_is_not_believed() {
    let packings = |file: &Forge| {
        [(1_u64, 400_u32), (2, 100_000)].map(|(key, length)| {
            let packing = [&[1][..], &length.to_le_bytes()].concat();
            (key, find(&file.bytes, &packing))
        })
    };
    for length in [0, 1, 399, 401, 99_999, 100_001, 10_000_000, 1 << 30, u32::MAX] {
        let mut file = forgery();
        for (_, at) in packings(&file) {
            file.put(at + 1, &u32::to_le_bytes(length));
        }
        file.fix();
        let db = open(&file);
        let table = db.begin_read().unwrap().open_table(FAST).unwrap();
        for key in [1, 2] {
            let error = table.get(key).unwrap_err();
            assert!(matches!(error, StorageError::Corrupted(_)), "{length}: {error}");
            assert_eq!(table.value_len(key).unwrap(), Some(length.into()), "nobody has looked");
        }
    }
    for (codec, missing) in [(0, false), (2, false), (9, true)] {
        let mut file = forgery();
        for (_, at) in packings(&file) {
            file.put(at, &[codec]);
        }
        file.fix();
        let db = open(&file);
        let table = db.begin_read().unwrap().open_table(FAST).unwrap();
        for key in [1, 2] {
            let error = table.get(key).unwrap_err();
            assert_eq!(is_missing_codec(&error), missing, "{codec}: {error}");
            assert!(missing || matches!(error, StorageError::Corrupted(_)), "{codec}: {error}");
        }
        // What cannot be read can be removed with what is around it.
        let txn = db.begin_write().unwrap();
        assert_eq!(txn.open_table(FAST).unwrap().delete_range::<u64>(..).unwrap(), 2);
        txn.commit().unwrap();
        db.verify().unwrap();
    }
}
