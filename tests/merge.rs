//! Merging into values: against a map, whatever else is done in between; errors, limits, and operators by name.
#![cfg(feature = "std")]

mod common;

use common::rng::Rng;
use sapwood::backends::InMemoryBackend;
use sapwood::limits::{MAX_NAME_LENGTH, MAX_VALUE_LENGTH};
use sapwood::{
    BitwiseAnd, BitwiseOr, BitwiseXor, Builder, BytesAppend, CheckedAdd, CommitError, CompactOptions, Compression,
    Database, DatabaseError, Error, Key, MergeError, MergeOperator, NumericAdd, NumericMax, ReadOnlyDatabase,
    ReadableDatabase, ReadableTable, ReadableTableMetadata, SetUnion, StorageError, Table, TableDefinition, TableError,
    TypeName, Value, WriteTransaction, merge_fn,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

type Blobs = BTreeMap<Vec<u8>, Vec<u8>>;

const BLOBS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("blobs");
const OTHERS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("others");
const COUNTS: TableDefinition<u64, u64> = TableDefinition::new("counts");

fn in_memory(builder: &mut Builder) -> Database {
    builder.create_with_backend(InMemoryBackend::new()).unwrap()
}

fn database(page: usize, cache: usize) -> Database {
    in_memory(Database::builder().set_page_size(page).set_cache_size(cache))
}

fn scale() -> u64 {
    std::env::var("SAPWOOD_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// Removes the row if the operand is as long as the value, else replaces it.
fn replace_or_remove() -> impl MergeOperator {
    merge_fn(|_, existing, operand| (existing.map(<[u8]>::len) != Some(operand.len())).then(|| operand.to_vec()))
}

fn operators() -> Vec<Box<dyn MergeOperator>> {
    vec![
        Box::new(NumericAdd),
        Box::new(CheckedAdd::Signed),
        Box::new(NumericMax::Unsigned),
        Box::new(BitwiseAnd),
        Box::new(BitwiseOr),
        Box::new(BitwiseXor),
        Box::new(BytesAppend),
        Box::new(BytesAppend),
        Box::new(BytesAppend),
        Box::new(replace_or_remove()),
        Box::new(replace_or_remove()),
        Box::new(SetUnion::<u16>::new()),
    ]
}

/// Few keys, some of which do not fit a page of 512 bytes.
fn any_key(rng: &mut Rng) -> Vec<u8> {
    let few = rng.chance(128);
    let number = rng.below(if few { 4 } else { 60 });
    let mut key = number.to_be_bytes()[6..].to_vec();
    key.resize(if number % 9 == 2 { 200 } else { 3 }, b'k');
    key
}

/// Some do not fit a page of 512 bytes, some can be compressed.
fn any_value(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.below(8) {
        0 => 0,
        1..=4 => 8,
        5 | 6 => 1 + rng.below(40),
        _ => 100 + rng.below(1_500),
    };
    let mut value = vec![rng.below(256) as u8; length as usize];
    if rng.chance(128) {
        rng.fill(&mut value);
    }
    value
}

/// Merges, and checks that an error is the operator's own and changes nothing.
fn merge(table: &mut Table<&[u8], &[u8]>, map: &mut Blobs, rng: &mut Rng, operators: &[Box<dyn MergeOperator>]) {
    let (key, operand, operator) = (any_key(rng), any_value(rng), rng.pick(operators));
    let merged = table.merge(key.as_slice(), &operand, &**operator);
    match operator.merge(&key, map.get(&key).map(Vec::as_slice), &operand) {
        Ok(value) => {
            merged.unwrap();
            match value {
                Some(value) => _ = map.insert(key, value),
                None => _ = map.remove(&key),
            }
        }
        Err(MergeError::WidthMismatch { existing, operand }) => match merged.unwrap_err() {
            StorageError::MergeValueWidthMismatch { merge, existing: found, operand: given } => {
                assert_eq!((found, given, merge.operator.as_str()), (existing, operand, operator.name()));
            }
            other => panic!("{other}"),
        },
        Err(_) => assert!(matches!(merged, Err(StorageError::MergeRefused { .. }))),
    }
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn rows(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Rows {
    table
        .iter()
        .unwrap()
        .map(|row| row.unwrap())
        .map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
        .collect()
}

fn expected(map: &Blobs) -> Rows {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Looks at the table in one of all ways: each must see the merges that wait.
fn look(table: &Table<&[u8], &[u8]>, map: &Blobs, rng: &mut Rng) {
    let key = any_key(rng);
    let bytes = key.as_slice();
    let known = map.get(&key).map(Vec::as_slice);
    match rng.below(12) {
        0 => assert_eq!(table.get(bytes).unwrap().as_ref().map(|value| value.value()), known),
        1 => assert_eq!(rows(table), expected(map)),
        2 => assert_eq!(table.len().unwrap(), map.len() as u64),
        3 => assert_eq!(table.first().unwrap().map(|row| row.1.value().to_vec()), map.values().next().cloned()),
        4 => assert_eq!(table.last().unwrap().map(|row| row.1.value().to_vec()), map.values().next_back().cloned()),
        5 => assert_eq!(table.value_len(bytes).unwrap(), known.map(|value| value.len() as u64)),
        6 => assert_eq!(table.count(bytes..).unwrap(), map.range(key..).count() as u64),
        7 => assert_eq!(table.prefix(&bytes[..2]).unwrap().count(), usize::from(known.is_some())),
        8 => {
            let found = table.get_many([bytes]).unwrap();
            assert_eq!(found[0].as_ref().map(|value| value.value()), known);
        }
        9 => {
            let mut cursor = table.lower_bound(std::ops::Bound::Included(bytes)).unwrap();
            let next = cursor.next().unwrap().map(|(key, _)| key.value().to_vec());
            assert_eq!(next, map.range(key..).next().map(|row| row.0.clone()));
        }
        10 => {
            let mut cursor = table.upper_bound(std::ops::Bound::Included(bytes)).unwrap();
            let before = cursor.prev().unwrap().map(|(key, _)| key.value().to_vec());
            assert_eq!(before, map.range(..=key).next_back().map(|row| row.0.clone()));
        }
        _ => {
            let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
            // What is compressed counts as it is stored.
            assert!(table.stats().unwrap().stored_bytes() <= bytes as u64);
        }
    }
}

/// Changes the table in one of all other ways.
fn change(table: &mut Table<&[u8], &[u8]>, map: &mut Blobs, rng: &mut Rng) {
    let (key, value) = (any_key(rng), any_value(rng));
    let bytes = key.as_slice();
    let known = map.get(&key).cloned();
    match rng.below(16) {
        0..=3 => {
            let old = table.insert(bytes, value.as_slice()).unwrap().map(|old| old.value().to_vec());
            assert_eq!(old, known);
            map.insert(key, value);
        }
        4 | 5 => {
            assert_eq!(table.remove(bytes).unwrap().map(|old| old.value().to_vec()), known);
            map.remove(&key);
        }
        6 => {
            let popped = table.pop_first().unwrap().map(|(key, value)| (key.value().to_vec(), value.value().to_vec()));
            assert_eq!(popped, map.pop_first());
        }
        7 => {
            let popped = table.pop_last().unwrap().map(|(key, value)| (key.value().to_vec(), value.value().to_vec()));
            assert_eq!(popped, map.pop_last());
        }
        8 => {
            if let Some(mut guard) = table.get_mut(bytes).unwrap() {
                assert_eq!(Some(guard.value().to_vec()), known);
                guard.insert(value.as_slice()).unwrap();
                map.insert(key, value);
            }
        }
        9 => {
            let entry = table.entry(bytes).unwrap().or_insert(value.as_slice()).unwrap();
            assert_eq!(entry.value(), map.entry(key.clone()).or_insert(value));
        }
        10 => {
            table.retain(|key, value| !(key[1] as usize + value.len()).is_multiple_of(8)).unwrap();
            map.retain(|key, value| !(key[1] as usize + value.len()).is_multiple_of(8));
        }
        11 => {
            let gone = table
                .extract_if(|_, value| value.len() == 8)
                .unwrap()
                .next_back()
                .map(|row| row.unwrap().0.value().to_vec());
            let last = map.iter().rfind(|(_, value)| value.len() == 8).map(|row| row.0.clone());
            last.as_ref().and_then(|key| map.remove(key));
            assert_eq!(gone, last);
        }
        12 => {
            let end = any_key(rng);
            let before = map.len();
            map.retain(|at, _| *at < key || *at >= end);
            assert_eq!(table.delete_range(bytes..end.as_slice()).unwrap(), (before - map.len()) as u64);
        }
        13 => {
            let drained = table.drain(bytes..=bytes).unwrap().count();
            assert_eq!(drained, usize::from(map.remove(&key).is_some()));
        }
        14 => {
            let mut cursor = table.lower_bound_mut(std::ops::Bound::Included(bytes)).unwrap();
            let removed = cursor.remove_next().unwrap().map(|(key, _)| key.value().to_vec());
            cursor.close().unwrap();
            let next = map.range(key..).next().map(|row| row.0.clone());
            next.as_ref().and_then(|key| map.remove(key));
            assert_eq!(removed, next);
        }
        _ => {
            let mut reserved = table.insert_reserve(bytes, value.len()).unwrap();
            reserved.as_mut().copy_from_slice(&value);
            drop(reserved);
            map.insert(key, value);
        }
    }
}

/// Two tables, as the program should find them.
type Maps = [Blobs; 2];

struct World {
    db: Database,
    rng: Rng,
    operators: Vec<Box<dyn MergeOperator>>,
    definitions: [TableDefinition<'static, &'static [u8], &'static [u8]>; 2],
    committed: Maps,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let cache = *rng.pick(&[0, 64 << 10, 4 << 20]);
        let db = database(if rng.chance(128) { 512 } else { 4096 }, cache);
        let packed = if cfg!(feature = "lz4") && rng.chance(128) { packed() } else { Compression::None };
        let definitions = [BLOBS.with_compression(packed), OTHERS.with_merge("bytes_append")];
        Self { db, rng, operators: operators(), definitions, committed: Maps::default() }
    }

    /// Works on both tables for a while, both of them open.
    fn session(&mut self, txn: &WriteTransaction, maps: &mut Maps) {
        let mut tables = self.definitions.map(|definition| txn.open_table(definition).unwrap());
        for _ in 0..self.rng.below(60) {
            let at = self.rng.below(2) as usize;
            let (table, map, rng) = (&mut tables[at], &mut maps[at], &mut self.rng);
            match rng.below(16) {
                0..=11 => merge(table, map, rng, &self.operators),
                12 | 13 => look(table, map, rng),
                14 => change(table, map, rng),
                _ => {
                    let (key, operand) = (any_key(rng), any_value(rng));
                    let merged = tables[1].merge_registered(key.as_slice(), &operand);
                    merged.unwrap();
                    maps[1].entry(key).or_default().extend(operand);
                }
            }
        }
    }

    /// Tables as a whole, when they are closed.
    fn administer(&mut self, txn: &WriteTransaction, maps: &mut Maps) {
        match self.rng.below(6) {
            0 => {
                txn.rename_table(BLOBS, COUNTS).unwrap();
                let renamed = TableDefinition::<&[u8], &[u8]>::new("counts");
                assert_eq!(rows(&txn.open_table(renamed).unwrap()), expected(&maps[0]));
                txn.rename_table(renamed, BLOBS).unwrap();
            }
            1 if self.rng.chance(64) => {
                assert!(txn.delete_table(OTHERS).unwrap());
                maps[1].clear();
                txn.open_table(self.definitions[1]).unwrap();
            }
            2 => {
                let mut table = txn.open_table(self.definitions[1]).unwrap();
                merge(&mut table, &mut maps[1], &mut self.rng, &self.operators);
                let last = [u8::MAX; 4];
                if table.bulk_load([(&last[..], &b"loaded"[..])]).is_ok() {
                    maps[1].insert(last.to_vec(), b"loaded".to_vec());
                }
                assert_eq!(rows(&table), expected(&maps[1]));
            }
            _ => _ = txn.stats().unwrap(),
        }
    }

    fn transaction(&mut self) {
        let savepoint = self.db.begin_write().unwrap().ephemeral_savepoint().unwrap();
        let saved = self.committed.clone();
        let mut txn = self.db.begin_write().unwrap();
        let mut maps = self.committed.clone();
        let mut checkpoints = Vec::new();
        for _ in 0..1 + self.rng.below(6) {
            self.session(&txn, &mut maps);
            self.administer(&txn, &mut maps);
            match self.rng.below(6) {
                0 => checkpoints.push((txn.checkpoint().unwrap(), maps.clone())),
                1 if !checkpoints.is_empty() => {
                    let (checkpoint, then) = checkpoints.last().unwrap();
                    txn.rollback_to(checkpoint).unwrap();
                    maps = then.clone();
                }
                2 => _ = checkpoints.pop().map(|(checkpoint, _)| txn.release_checkpoint(&checkpoint).unwrap()),
                3 if self.rng.chance(64) => {
                    txn.restore_savepoint(&savepoint).unwrap();
                    maps = saved.clone();
                }
                _ => {}
            }
        }
        if self.rng.chance(64) {
            txn.abort().unwrap();
        } else {
            txn.commit().unwrap();
            self.committed = maps;
        }
    }

    /// Compacts in steps, between which others work.
    fn compact(&mut self) {
        let mut steps = self.rng.below(6);
        let options = CompactOptions::new().set_pages_per_step(1 + self.rng.below(8) as u32);
        let db = self.db.clone();
        db.compact_online(options, |_| {
            if steps == 0 {
                return ControlFlow::Break(());
            }
            steps -= 1;
            self.transaction();
            ControlFlow::Continue(())
        })
        .unwrap();
    }

    fn check(&self) {
        self.db.verify().unwrap();
        let txn = self.db.begin_read().unwrap();
        for (definition, map) in self.definitions.iter().zip(&self.committed) {
            match txn.open_table(*definition) {
                Ok(table) => assert_eq!(rows(&table), expected(map)),
                Err(err) => assert!(map.is_empty(), "{err}"),
            }
        }
    }
}

fn packed() -> Compression {
    #[cfg(feature = "lz4")]
    return Compression::Lz4;
    #[cfg(not(feature = "lz4"))]
    Compression::None
}

#[test]
fn programs_of_merges_and_all_else_give_what_a_map_gives() {
    for seed in 0..60 * scale() {
        let run = catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..8 {
                world.transaction();
                world.check();
                if world.rng.chance(24) {
                    world.compact();
                    world.check();
                }
            }
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}

/// Counts comparisons; ASCII letters are equal in both cases.
#[derive(Debug)]
struct Caseless;

static COMPARISONS: AtomicU64 = AtomicU64::new(0);

impl Value for Caseless {
    type SelfType<'a> = &'a [u8];
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        data
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a &'b [u8]) -> &'a [u8]
    where
        Self: 'b,
    {
        value
    }

    fn type_name() -> TypeName {
        TypeName::new("Caseless")
    }
}

impl Key for Caseless {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        COMPARISONS.fetch_add(1, Relaxed);
        data1.to_ascii_lowercase().cmp(&data2.to_ascii_lowercase())
    }
}

const CASELESS: TableDefinition<Caseless, &[u8]> = TableDefinition::new("caseless");

/// One test, as the count of comparisons is one.
#[test]
fn a_hot_key_is_not_looked_for_and_keys_that_are_equal_are_one() {
    let db = database(4096, 64 << 20);
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(CASELESS).unwrap();
    for number in 0..5_000_u32 {
        table.insert(number.to_string().as_bytes(), &b"value"[..]).unwrap();
    }
    let before = COMPARISONS.load(Relaxed);
    for number in 0..100_000_u32 {
        table.merge(b"77".as_slice(), &number.to_le_bytes(), &BytesAppend).unwrap();
    }
    let taken = COMPARISONS.load(Relaxed) - before;
    assert!(taken < 100, "{taken} comparisons for one look at the tree");
    assert_eq!(table.get(b"77".as_slice()).unwrap().unwrap().value().len(), 5 + 400_000);
    for (key, operand) in [("Oak", "1"), ("oak", "2"), ("elm", "3"), ("OAK", "4"), ("ELM", "5")] {
        table.merge(key.as_bytes(), operand.as_bytes(), &BytesAppend).unwrap();
    }
    let mut found = table.range(b"a".as_slice()..).unwrap().map(|row| row.unwrap());
    let mut next = || found.next().map(|(key, value)| (key.value().to_vec(), value.value().to_vec()));
    assert_eq!(next(), Some((b"elm".to_vec(), b"35".to_vec())));
    assert_eq!(next(), Some((b"Oak".to_vec(), b"124".to_vec())));
    assert_eq!(next(), None);
    let mut program = |rows: &[(&str, &str)]| {
        for (key, operand) in rows {
            table.merge(key.as_bytes(), operand.as_bytes(), &replace_or_remove()).unwrap();
        }
        let last = table.last().unwrap().unwrap().0.value().to_vec();
        table.remove(b"yew".as_slice()).unwrap();
        last
    };
    // The row is removed, and comes back under the other bytes.
    assert_eq!(program(&[("Yew", "one"), ("yew", "two"), ("YEW", "three")]), b"YEW");
    assert_eq!(program(&[("Yew", "one"), ("yew", "three"), ("YEW", "four")]), b"Yew");
    assert_eq!(program(&[("Yew", "one"), ("yew", "two")]), b"Oak");
}

/// Appends as `BytesAppend` does, and must never be asked for the whole value.
struct AppendOnly;

impl MergeOperator for AppendOnly {
    fn merge(&self, _: &[u8], _: Option<&[u8]>, _: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
        Err(MergeError::Refused("the value was copied".into()))
    }

    fn suffix<'o>(&self, _: &[u8], _: Option<&[u8]>, operand: &'o [u8]) -> Option<&'o [u8]> {
        Some(operand)
    }
}

#[test]
fn a_value_that_grows_is_not_copied() {
    let db = database(4096, 64 << 20);
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(BLOBS).unwrap();
    for number in 0..200_000_u64 {
        table.merge(b"log".as_slice(), &number.to_le_bytes(), &AppendOnly).unwrap();
    }
    let whole: Vec<u8> = (0..200_000_u64).flat_map(u64::to_le_bytes).collect();
    assert!(table.get(b"log".as_slice()).unwrap().unwrap().value() == whole);
    drop(table);
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn what_the_type_does_not_take_is_refused_and_changes_nothing() {
    const TEXTS: TableDefinition<u8, &str> = TableDefinition::new("texts");
    const UNITS: TableDefinition<u8, ()> = TableDefinition::new("units");
    let db = database(512, 1 << 20);
    let txn = db.begin_write().unwrap();
    {
        let mut texts = txn.open_table(TEXTS).unwrap();
        for key in [1, 2] {
            if key == 1 {
                texts.merge(key, "für".as_bytes(), &BytesAppend).unwrap();
            }
            let half = texts.merge(key, &[0xC3], &BytesAppend).unwrap_err();
            let StorageError::MergeResultInvalid { merge, value_type, length } = half else { panic!("{half}") };
            assert_eq!((merge.table.as_str(), merge.operator.as_str()), ("texts", "bytes_append"));
            assert_eq!((value_type.name(), length), ("&str", if key == 1 { 5 } else { 1 }));
        }
        texts.merge_in(1, " dich", &BytesAppend).unwrap();
        assert_eq!(texts.get(1).unwrap().unwrap().value(), "für dich");
        assert_eq!(texts.len().unwrap(), 1);

        let mut counts = txn.open_table(COUNTS).unwrap();
        counts.insert(1, 7).unwrap();
        let narrow = merge_fn(|_, _, operand| Some(operand.to_vec()));
        let refused = counts.merge(1, &[1, 2], &narrow);
        assert!(matches!(refused, Err(StorageError::MergeResultInvalid { length: 2, .. })));
        counts.merge_in(1, 3, &NumericAdd).unwrap();
        assert_eq!(counts.get(1).unwrap().unwrap().value(), 10);

        let mut units = txn.open_table(UNITS).unwrap();
        units.merge(1, &[], &BytesAppend).unwrap();
        units.merge_in(2, (), &BitwiseOr).unwrap();
        assert!(matches!(units.merge(3, &[0], &BytesAppend), Err(StorageError::MergeResultInvalid { .. })));
        assert_eq!(units.len().unwrap(), 2);
    }
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn an_error_names_table_operator_and_widths() {
    let db = database(4096, 1 << 20);
    let txn = db.begin_write().unwrap();
    let mut counts = txn.open_table(COUNTS).unwrap();
    counts.insert(1, u64::MAX).unwrap();
    let wide = Error::from(counts.merge(1, &[1; 4], &NumericAdd).unwrap_err());
    assert_eq!(wide.to_string(), "merging by 'add' into table 'counts': a value of 8 bytes takes no operand of 4");
    let over = Error::from(counts.merge_in(1, 1, &CheckedAdd::Unsigned).unwrap_err());
    let expected = "merging by 'checked_add.unsigned' into table 'counts': the sum does not fit 8 bytes";
    assert_eq!(over.to_string(), expected);
    let none = Error::from(counts.merge_registered(1, &[1; 8]).unwrap_err());
    assert!(matches!(&none, Error::MergeOperatorMissing(merge) if merge.operator.is_empty()), "{none}");
    assert_eq!(counts.get(1).unwrap().unwrap().value(), u64::MAX);
}

#[test]
fn what_is_over_the_limit_is_refused_and_changes_nothing() {
    let db = database(4096, 1 << 20);
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(BLOBS).unwrap();
    table.merge(b"a".as_slice(), b"kept", &BytesAppend).unwrap();
    let huge = merge_fn(|_, _, _| Some(vec![0; MAX_VALUE_LENGTH + 1]));
    let refused = table.merge(b"a".as_slice(), b"", &huge);
    assert!(matches!(refused, Err(StorageError::ValueTooLarge(length)) if length == MAX_VALUE_LENGTH + 1));
    // Zero bytes that nobody touches take no memory.
    let rest = vec![0; MAX_VALUE_LENGTH - 3];
    let refused = table.merge(b"a".as_slice(), &rest, &BytesAppend);
    assert!(matches!(refused, Err(StorageError::ValueTooLarge(length)) if length == MAX_VALUE_LENGTH + 1));
    let key = vec![0; sapwood::limits::MAX_KEY_LENGTH + 1];
    assert!(matches!(table.merge(key.as_slice(), b"", &BytesAppend), Err(StorageError::ValueTooLarge(_))));
    assert_eq!(table.get(b"a".as_slice()).unwrap().unwrap().value(), b"kept");
    assert_eq!(table.len().unwrap(), 1);
}

#[test]
fn a_panic_of_the_operator_ends_the_transaction_but_not_a_checkpoint() {
    let db = database(4096, 1 << 20);
    let mut txn = db.begin_write().unwrap();
    txn.open_table(COUNTS).unwrap().merge_in(1, 1, &NumericAdd).unwrap();
    let checkpoint = txn.checkpoint().unwrap();
    let fails = merge_fn(|_, _, _| panic!("as the test wants it"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut counts = txn.open_table(COUNTS).unwrap();
        counts.merge_in(1, 5, &NumericAdd).unwrap();
        counts.merge_in(1, 5, &fails).unwrap();
    }));
    assert!(panicked.is_err());
    assert!(matches!(txn.open_table(COUNTS).unwrap().merge_in(1, 1, &NumericAdd), Err(StorageError::PreviousIo)));
    txn.rollback_to(&checkpoint).unwrap();
    txn.open_table(COUNTS).unwrap().merge_in(1, 2, &NumericAdd).unwrap();
    assert_eq!(txn.open_table(COUNTS).unwrap().get(1).unwrap().unwrap().value(), 3);
    txn.commit().unwrap();

    let txn = db.begin_write().unwrap();
    _ = catch_unwind(AssertUnwindSafe(|| txn.open_table(COUNTS).unwrap().merge_in(1, 5, &fails)));
    assert!(matches!(txn.commit(), Err(CommitError::TransactionPoisoned)));
    assert_eq!(db.begin_read().unwrap().open_table(COUNTS).unwrap().get(1).unwrap().unwrap().value(), 3);
}

#[test]
fn an_operator_may_use_other_tables_of_its_transaction() {
    let db = database(4096, 64 << 10);
    let txn = db.begin_write().unwrap();
    let mut counts = txn.open_table(COUNTS).unwrap();
    let (txn_ref, inner) = (&txn, AtomicBool::new(false));
    let operator = merge_fn(|key, existing, operand| {
        // So much that what waits is brought to the trees meanwhile.
        let mut blobs = txn_ref.open_table(BLOBS).ok()?;
        blobs.merge(key, &[7; 40_000], &BytesAppend).ok()?;
        inner.store(true, Relaxed);
        let sum = existing.map_or(0, u64::from_bytes) + u64::from_bytes(operand);
        Some(sum.to_le_bytes().to_vec())
    });
    for number in 0..10 {
        counts.merge_in(number % 2, 1, &operator).unwrap();
    }
    assert!(inner.load(Relaxed));
    assert_eq!(counts.get(0).unwrap().unwrap().value(), 5);
    drop(counts);
    drop(operator);
    assert_eq!(txn.open_table(BLOBS).unwrap().value_len(1_u64.to_le_bytes().as_slice()).unwrap(), Some(200_000));
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn merges_into_a_table_that_is_leaked_are_committed() {
    let db = database(4096, 1 << 20);
    let txn = db.begin_write().unwrap();
    let mut counts = txn.open_table(COUNTS).unwrap();
    counts.merge_in(1, 41, &NumericAdd).unwrap();
    counts.merge_in(1, 1, &NumericAdd).unwrap();
    std::mem::forget(counts);
    txn.commit().unwrap();
    assert_eq!(db.begin_read().unwrap().open_table(COUNTS).unwrap().get(1).unwrap().unwrap().value(), 42);
}

const NAMED: TableDefinition<u64, u64> = TableDefinition::new("named").with_merge("mine");

fn named(definition: TableDefinition<u64, u64>, db: &Database) -> Result<(), Error> {
    let txn = db.begin_write()?;
    txn.open_table(definition)?.merge_registered(1, &5_u64.to_le_bytes())?;
    Ok(txn.commit()?)
}

#[test]
fn the_file_keeps_the_name_of_a_table_s_operator() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("named.sapwood");
    let mut knows = Database::builder();
    knows.register_merge_operator("mine", NumericMax::Unsigned).register_merge_operator("other", NumericAdd);
    let db = knows.create(&path).unwrap();
    named(NAMED, &db).unwrap();
    // What names none merges as the file says.
    named(TableDefinition::new("named"), &db).unwrap();
    let txn = db.begin_write().unwrap();
    let other = txn.open_table(TableDefinition::<u64, u64>::new("named").with_merge("other")).map(drop);
    let Err(TableError::MergeOperatorMismatch { table, stored, wanted }) = other else { panic!("{other:?}") };
    assert_eq!((table.as_str(), stored.as_str(), wanted.as_str()), ("named", "mine", "other"));
    txn.rename_table(NAMED, COUNTS).unwrap();
    txn.rename_table(COUNTS, NAMED).unwrap();
    txn.commit().unwrap();
    drop(db);

    let db = ReadOnlyDatabase::open(&path).unwrap();
    let reader = db.begin_read().unwrap();
    assert!(reader.open_table(NAMED.with_merge("other")).is_err());
    assert_eq!(reader.open_table(NAMED).unwrap().get(1).unwrap().unwrap().value(), 5);
    drop((reader, db));
    let db = Database::open(&path).unwrap();
    let unknown = named(NAMED, &db);
    let Err(Error::MergeOperatorMissing(merge)) = unknown else { panic!("{unknown:?}") };
    assert_eq!((merge.table.as_str(), merge.operator.as_str()), ("named", "mine"));
    // All else goes on without the operator.
    let txn = db.begin_write().unwrap();
    txn.open_table(NAMED).unwrap().insert(1, 4).unwrap();
    txn.commit().unwrap();
    drop(db);
    named(NAMED, &knows.open(&path).unwrap()).unwrap();
    let db = Database::open(&path).unwrap();
    assert_eq!(db.begin_read().unwrap().open_table(NAMED).unwrap().get(1).unwrap().unwrap().value(), 5);
}

#[test]
fn a_table_without_an_operator_takes_the_first_that_is_named() {
    let db = in_memory(Database::builder().register_merge_operator("mine", NumericAdd));
    let txn = db.begin_write().unwrap();
    txn.open_table(COUNTS).unwrap().insert(1, 2).unwrap();
    txn.commit().unwrap();
    let reader = db.begin_read().unwrap();
    named(COUNTS.with_merge(""), &db).unwrap_err();
    named(COUNTS.with_merge("mine"), &db).unwrap();
    named(COUNTS, &db).unwrap();
    assert!(matches!(named(COUNTS.with_merge("add"), &db), Err(Error::MergeOperatorMismatch { .. })));
    assert_eq!(db.begin_read().unwrap().open_table(COUNTS).unwrap().get(1).unwrap().unwrap().value(), 12);
    // The reader's state has no operator, so that no name is wrong.
    assert!(reader.open_table(COUNTS.with_merge("add")).is_ok());
    db.verify().unwrap();
}

#[test]
fn a_name_means_one_operator() {
    for name in ["add", "mine"] {
        let mut builder = Database::builder();
        builder.register_merge_operator("mine", NumericAdd).register_merge_operator(name, BitwiseOr);
        let refused = builder.create_with_backend(InMemoryBackend::new());
        let Err(DatabaseError::Storage(StorageError::Io(err))) = refused else { panic!("{refused:?}") };
        assert_eq!(err.kind(), std::io::ErrorKind::InvalidInput);
        assert!(err.to_string().contains(name), "{err}");
    }
}

#[test]
fn a_name_has_a_limit() {
    let (most, over) = ("n".repeat(MAX_NAME_LENGTH), "n".repeat(MAX_NAME_LENGTH + 1));
    let db = in_memory(Database::builder().register_merge_operator(&most, NumericAdd));
    let refused = named(COUNTS.with_merge(&over), &db);
    assert!(matches!(refused, Err(Error::ValueTooLarge(length)) if length == MAX_NAME_LENGTH + 1));
    named(COUNTS.with_merge(&most), &db).unwrap();
    db.verify().unwrap();
    let txn = db.begin_write().unwrap();
    assert_eq!(txn.list_tables().unwrap().count(), 1);
}

#[test]
fn threads_merge_into_tables_of_one_transaction() {
    let db = Arc::new(database(512, 64 << 10));
    let txn = db.begin_write().unwrap();
    let names = ["a", "b", "c"];
    std::thread::scope(|scope| {
        for name in names {
            let txn = &txn;
            scope.spawn(move || {
                let mut table = txn.open_table(TableDefinition::<u64, &[u8]>::new(name)).unwrap();
                for number in 0..6_000_u64 {
                    table.merge(number % 97, &number.to_le_bytes(), &BytesAppend).unwrap();
                    if number % 1_000 == 0 {
                        assert!(table.get(number % 97).unwrap().is_some());
                    }
                }
            });
        }
    });
    txn.commit().unwrap();
    db.verify().unwrap();
    let txn = db.begin_read().unwrap();
    for name in names {
        let table = txn.open_table(TableDefinition::<u64, &[u8]>::new(name)).unwrap();
        for key in 0..97_u64 {
            let whole: Vec<u8> = (key..6_000).step_by(97).flat_map(u64::to_le_bytes).collect();
            assert_eq!(table.get(key).unwrap().unwrap().value(), whole);
        }
    }
}
