//! What is seen as time passes, and what else a TTL table shares with other tables.

use crate::Hand;
use crate::common::no_case::NoCase;
use sapwood::backends::InMemoryBackend;
use sapwood::limits::MAX_EXPIRY_MS;
use sapwood::{
    Builder, CdcConfig, CdcMode, Change, ChangePosition, Database, DiffError, Expiry, HistoryRetention,
    ReadableDatabase, ReadableTableMetadata, ReadableTtlTable, TableChange, TableDefinition, TableError, TableKind,
    TtlTableDefinition, TtlTableHandle, WriteTransaction,
};
use std::time::Duration;

const ROWS: TtlTableDefinition<u64, &str> = TtlTableDefinition::new("rows");
const PLAIN: TableDefinition<u64, u64> = TableDefinition::new("plain");

fn with_clock(clock: &Hand) -> Database {
    let mut builder = Builder::new();
    builder.set_clock(clock.clone()).set_history_retention(HistoryRetention::UNLIMITED);
    builder.create_with_backend(InMemoryBackend::new()).unwrap()
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn keys(table: &impl ReadableTtlTable<u64, &'static str>) -> Vec<u64> {
    table.iter().unwrap().map(|row| row.unwrap().0.value()).collect()
}

fn update(db: &Database, change: impl FnOnce(&WriteTransaction)) {
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

/// Row 1 expires at 110, row 2 at 120, row 3 never; it is 100.
fn three_rows(clock: &Hand) -> Database {
    clock.set(100);
    let db = with_clock(clock);
    update(&db, |txn| {
        let mut rows = txn.open_ttl_table(ROWS).unwrap();
        rows.insert_with_ttl(1, "ten", ms(10)).unwrap();
        rows.insert_with_ttl(2, "twenty", ms(20)).unwrap();
        rows.insert(3, "for good").unwrap();
    });
    db
}

#[test]
fn a_row_is_seen_until_the_millisecond_it_expires_in() {
    let clock = Hand::default();
    let db = three_rows(&clock);
    for (now, expected) in
        [(100, vec![1, 2, 3]), (109, vec![1, 2, 3]), (110, vec![2, 3]), (119, vec![2, 3]), (120, vec![3])]
    {
        clock.set(now);
        let rows = db.begin_read().unwrap().open_ttl_table(ROWS).unwrap();
        assert_eq!(keys(&rows), expected, "at {now}");
        assert_eq!((rows.len().unwrap(), rows.len_live().unwrap()), (3, expected.len() as u64));
        assert_eq!(rows.get(1).unwrap().is_some(), now < 110);
        assert_eq!(rows.remaining(2).unwrap(), (now < 120).then(|| ms(120 - now)));
    }
    clock.set(u64::MAX);
    assert_eq!(keys(&db.begin_read().unwrap().open_ttl_table(ROWS).unwrap()), [3]);
}

#[test]
fn what_a_transaction_sees_does_not_change_as_the_clock_goes_on() {
    let clock = Hand::default();
    let db = three_rows(&clock);
    let read = db.begin_read().unwrap();
    let rows = read.open_ttl_table(ROWS).unwrap();
    let txn = db.begin_write().unwrap();
    drop(txn.open_ttl_table(ROWS).unwrap());
    clock.set(1_000);
    assert_eq!(keys(&rows), [1, 2, 3]);
    assert_eq!(keys(&read.open_ttl_table(ROWS).unwrap()), [1, 2, 3], "a table that is opened later has the same time");
    let mut written = txn.open_ttl_table(ROWS).unwrap();
    assert_eq!(written.purge_expired(10).unwrap(), 0);
    written.insert_with_ttl(4, "five", ms(5)).unwrap();
    assert_eq!(written.expires_at(4).unwrap(), Some(Expiry::At(105)));
    assert_eq!(keys(&written), [1, 2, 3, 4]);
    clock.set(0);
    assert_eq!(keys(&written), [1, 2, 3, 4]);
    drop(written);
    txn.commit().unwrap();
    clock.set(105);
    assert_eq!(keys(&db.begin_read().unwrap().open_ttl_table(ROWS).unwrap()), [1, 2, 3]);
}

#[test]
fn who_opens_no_ttl_table_does_not_read_the_clock() {
    let clock = Hand::default();
    let db = three_rows(&clock);
    let (early, late) = (db.begin_read().unwrap(), db.begin_read().unwrap());
    drop(early.open_ttl_table(ROWS).unwrap());
    clock.set(110);
    assert_eq!(keys(&late.open_ttl_table(ROWS).unwrap()), [2, 3]);
    assert_eq!(keys(&early.open_ttl_table(ROWS).unwrap()), [1, 2, 3]);
}

#[test]
fn the_past_is_seen_as_it_was() {
    let clock = Hand::default();
    let db = three_rows(&clock);
    let first = db.transaction_history().unwrap()[0];
    clock.set(115);
    update(&db, |txn| assert_eq!(txn.open_ttl_table(ROWS).unwrap().purge_expired(10).unwrap(), 1));
    clock.set(1_000);
    let past = db.begin_read_at(first.transaction_id).unwrap();
    assert_eq!(keys(&past.open_ttl_table(ROWS).unwrap()), [1, 2, 3]);
    let later = db.begin_read_at_time(500).unwrap();
    assert_eq!(later.timestamp_ms(), Some(115));
    assert_eq!(keys(&later.open_ttl_table(ROWS).unwrap()), [2, 3]);
}

#[test]
fn a_commit_that_saw_a_ttl_table_is_dated() {
    let db = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
    update(&db, |txn| drop(txn.open_table(PLAIN).unwrap().insert(1, 1).unwrap()));
    assert_eq!(db.begin_read().unwrap().timestamp_ms(), None);
    update(&db, |txn| drop(txn.open_ttl_table(ROWS).unwrap()));
    assert!(db.begin_read().unwrap().timestamp_ms().unwrap() > 1_700_000_000_000);
}

#[test]
fn zero_is_never_seen_and_the_longest_ends_before_never() {
    let clock = Hand::default();
    clock.set(7);
    let db = with_clock(&clock);
    let txn = db.begin_write().unwrap();
    let mut rows = txn.open_ttl_table(ROWS).unwrap();
    assert!(rows.insert_with_ttl(1, "zero", Duration::ZERO).unwrap().is_none());
    assert!(rows.insert_with_ttl(1, "again", Duration::from_micros(999)).unwrap().is_none());
    assert!(rows.get(1).unwrap().is_none() && rows.remove(1).unwrap().is_none());
    for ttl in [Duration::MAX, ms(u64::MAX), ms(MAX_EXPIRY_MS - 7)] {
        rows.insert_with_ttl(2, "long", ttl).unwrap();
        assert_eq!(rows.expires_at(2).unwrap(), Some(Expiry::At(MAX_EXPIRY_MS)));
    }
    assert!(rows.persist(2).unwrap());
    assert_eq!((rows.expires_at(2).unwrap(), rows.remaining(2).unwrap()), (Some(Expiry::Never), Some(Duration::MAX)));
    assert!(rows.touch(2, ms(3)).unwrap());
    assert_eq!(rows.expires_at(2).unwrap(), Some(Expiry::At(10)));
    assert!(!rows.touch(1, ms(3)).unwrap() && !rows.persist(1).unwrap());
}

#[test]
fn the_default_ttl_is_for_rows_of_which_nothing_is_said() {
    let clock = Hand::default();
    let db = with_clock(&clock);
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_ttl_table(ROWS.with_default_ttl(ms(50))).unwrap();
        rows.insert(1, "default").unwrap();
        rows.insert_with_ttl(2, "said", ms(5)).unwrap();
        rows.entry(3).unwrap().or_insert("default").unwrap();
        rows.get_mut(2).unwrap().unwrap().insert("as before").unwrap();
    }
    let rows = txn.open_ttl_table(ROWS).unwrap();
    let times: Vec<_> = (1..4).map(|key| rows.expires_at(key).unwrap().unwrap().as_ms().unwrap()).collect();
    assert_eq!(times, [50, 5, 50]);
}

#[test]
fn tables_are_listed_renamed_and_deleted_with_their_index() {
    const OTHER: TtlTableDefinition<u64, &str> = TtlTableDefinition::new("other");
    let clock = Hand::default();
    let db = three_rows(&clock);
    let txn = db.begin_write().unwrap();
    drop(txn.open_table(PLAIN).unwrap());
    txn.open_ttl_table(ROWS).unwrap().insert_with_ttl(4, "five", ms(5)).unwrap();
    txn.rename_ttl_table(ROWS, OTHER).unwrap();
    let names: Vec<_> = txn.list_ttl_tables().unwrap().map(|table| table.name().to_string()).collect();
    assert_eq!((names, txn.list_tables().unwrap().count()), (vec!["other".to_string()], 1));
    txn.commit().unwrap();
    db.verify().unwrap();
    clock.set(115);
    let read = db.begin_read().unwrap();
    assert_eq!((read.list_ttl_tables().unwrap().count(), read.list_tables().unwrap().count()), (1, 1));
    assert_eq!(keys(&read.open_ttl_table(OTHER).unwrap()), [2, 3]);
    update(&db, |txn| {
        assert_eq!(txn.open_ttl_table(OTHER).unwrap().purge_expired(10).unwrap(), 2);
        assert!(txn.delete_ttl_table(OTHER).unwrap() && !txn.delete_ttl_table(OTHER).unwrap());
        let rows = txn.open_ttl_table(OTHER).unwrap();
        assert_eq!((rows.len().unwrap(), rows.stats().unwrap().leaf_pages()), (0, 0));
    });
    db.verify().unwrap();
}

#[test]
fn statistics_count_the_index_as_bookkeeping() {
    let clock = Hand::default();
    let db = with_clock(&clock);
    update(&db, |txn| {
        let mut rows = txn.open_ttl_table(ROWS).unwrap();
        (0..1_000).for_each(|key| drop(rows.insert_with_ttl(key, "value", ms(10)).unwrap()));
    });
    let stats = db.begin_read().unwrap().open_ttl_table(ROWS).unwrap().stats().unwrap();
    assert_eq!(stats.stored_bytes(), 1_000 * (8 + 8 + 5));
    assert!(stats.metadata_bytes() > 1_000 * 16);
    let pages = stats.leaf_pages() + stats.branch_pages();
    assert_eq!(stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes(), pages * 4096);
    let txn = db.begin_write().unwrap();
    let whole = txn.stats().unwrap();
    assert_eq!((whole.leaf_pages(), whole.stored_bytes()), (stats.leaf_pages(), stats.stored_bytes()));
}

#[cfg(feature = "lz4")]
#[test]
fn values_are_compressed_with_their_times() {
    let clock = Hand::default();
    let db = with_clock(&clock);
    let long = "again and ".repeat(1_000);
    update(&db, |txn| {
        let definition = ROWS.with_compression(sapwood::Compression::Lz4);
        let mut rows = txn.open_ttl_table(definition).unwrap();
        (0..20).for_each(|key| drop(rows.insert_with_ttl(key, long.as_str(), ms(10 + key)).unwrap()));
        assert!(rows.touch(7, ms(100)).unwrap());
        assert!(rows.stats().unwrap().stored_bytes() < 20_000);
    });
    db.verify().unwrap();
    clock.set(15);
    let rows = db.begin_read().unwrap().open_ttl_table(ROWS).unwrap();
    assert_eq!(rows.get(7).unwrap().unwrap().value(), long);
    assert_eq!((rows.len_live().unwrap(), rows.first().unwrap().unwrap().0.value()), (14, 6));
}

#[test]
fn the_change_log_tells_what_expired() {
    let clock = Hand::default();
    let mut builder = Builder::new();
    builder.set_clock(clock.clone()).set_cdc(CdcConfig::new(CdcMode::OldAndNew));
    let db = builder.create_with_backend(InMemoryBackend::new()).unwrap();
    clock.set(100);
    update(&db, |txn| {
        let mut rows = txn.open_ttl_table(ROWS).unwrap();
        (1..=6).for_each(|key| drop(rows.insert_with_ttl(key, "v", ms(10)).unwrap()));
        rows.insert(7, "w").unwrap();
    });
    let start = ChangePosition::after_transaction(db.begin_read().unwrap().transaction_id());
    clock.set(110);
    update(&db, |txn| {
        let mut rows = txn.open_ttl_table(ROWS).unwrap();
        rows.insert(6, "x").unwrap();
        assert!(rows.remove(5).unwrap().is_none());
        drop(rows.entry(4).unwrap());
        assert_eq!(rows.delete_range(3..4).unwrap(), 0);
        assert_eq!(rows.purge_expired(1).unwrap(), 1);
        assert_eq!(rows.pop_first().unwrap().unwrap().0.value(), 6);
        assert!(rows.touch(7, ms(1)).unwrap());
        assert_eq!(rows.delete_range(7..).unwrap(), 1);
    });
    db.verify().unwrap();
    let dated = |time: u64, value: &str| Some([&time.to_le_bytes(), value.as_bytes()].concat());
    let key = |key: u64| key.to_le_bytes().to_vec();
    let expire = |number| Change::Expire { key: key(number), old: dated(110, "v") };
    let (never, touched) = (dated(u64::MAX, "w"), dated(111, "w"));
    let expected = [
        expire(6),
        Change::Insert { key: key(6), new: dated(u64::MAX, "x") },
        expire(5),
        expire(4),
        expire(3),
        expire(1),
        expire(2),
        Change::Delete { key: key(6), old: dated(u64::MAX, "x") },
        Change::Update { key: key(7), old: never, new: touched.clone() },
        Change::Delete { key: key(7), old: touched },
    ];
    let read = db.begin_read().unwrap();
    let told: Vec<Change> = read.read_cdc_since(start).unwrap().map(|event| event.unwrap().change).collect();
    assert_eq!(told, expected);
    let first = read.read_cdc_since(ChangePosition::START).unwrap().next().unwrap().unwrap();
    assert!(matches!(first.change, Change::CreateTable { ttl: true, multimap: false, .. }), "{first:?}");
}

#[test]
fn what_differs_is_told_with_the_times() {
    let clock = Hand::default();
    let db = three_rows(&clock);
    let older = db.begin_read().unwrap();
    clock.set(115);
    update(&db, |txn| {
        let mut rows = txn.open_ttl_table(ROWS).unwrap();
        assert_eq!(rows.purge_expired(10).unwrap(), 1);
        assert!(rows.touch(2, ms(10)).unwrap());
    });
    let newer = db.begin_read().unwrap();
    let tables: Vec<_> = older.diff(&newer).unwrap().map(Result::unwrap).collect();
    assert_eq!(tables.len(), 1);
    assert_eq!((tables[0].name(), tables[0].change()), ("rows", TableChange::Kept));
    assert_eq!((tables[0].old_kind(), tables[0].new_kind()), (Some(TableKind::Ttl), Some(TableKind::Ttl)));
    let dated = |time: u64, value: &str| Some([&time.to_le_bytes(), value.as_bytes()].concat());
    let bytes = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
    let rows = tables[0].rows().map(|row| row.unwrap());
    let rows: Vec<_> = rows.map(|row| (row.key()[0], bytes(row.old_value()), bytes(row.new_value()))).collect();
    assert_eq!(rows, [(1, dated(110, "ten"), None), (2, dated(120, "twenty"), dated(125, "twenty"))]);
    let err = older.diff_table(&newer, TableDefinition::<u64, &str>::new("rows")).unwrap_err();
    assert!(matches!(err, DiffError::Table(TableError::TableIsTtl(_))));
}

#[test]
fn keys_that_are_equal_and_look_otherwise_are_one_row_of_the_index() {
    const WORDS: TtlTableDefinition<NoCase, u64> = TtlTableDefinition::new("words");
    let clock = Hand::default();
    let db = with_clock(&clock);
    for long in [0, 5000] {
        let word = |word: &str| word.to_string() + &"x".repeat(long);
        update(&db, |txn| {
            let mut words = txn.open_ttl_table(WORDS).unwrap();
            words.insert_with_ttl(&*word("oak"), 1, ms(10)).unwrap();
            words.insert_with_ttl(&*word("Oak"), 2, ms(20)).unwrap();
            assert!(words.touch(&*word("OAK"), ms(30)).unwrap());
            words.insert(&*word("elm"), 3).unwrap();
            assert!(words.touch(&*word("ELM"), ms(30)).unwrap());
        });
        db.verify().unwrap();
        clock.advance(100);
        update(&db, |txn| assert_eq!(txn.open_ttl_table(WORDS).unwrap().purge_expired(9).unwrap(), 2));
        db.verify().unwrap();
    }
}
