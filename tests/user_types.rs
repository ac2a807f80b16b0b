//! Keys and values of the user's own types, as programs for redb define them.

mod common;

use common::crash::RecordingBackend;
use common::no_case::NoCase;
use common::rng::Rng;
use sapwood::{Builder, Database, Key, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition};
use sapwood::{TableError, TypeName, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Numbers, the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Descending(u64);

impl Value for Descending {
    type SelfType<'a> = Self;
    type AsBytes<'a> = [u8; 8];

    fn fixed_width() -> Option<usize> {
        Some(8)
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Self
    where
        Self: 'a,
    {
        Self(u64::from_le_bytes(data.try_into().unwrap()))
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Self) -> [u8; 8]
    where
        Self: 'b,
    {
        value.0.to_le_bytes()
    }

    fn type_name() -> TypeName {
        TypeName::new("user_types::Descending")
    }
}

impl Key for Descending {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        Self::from_bytes(data2).0.cmp(&Self::from_bytes(data1).0)
    }
}

impl PartialOrd for Descending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Descending {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.cmp(&self.0)
    }
}

/// A struct of several fields, its bytes laid out by hand, longer than a page may hold inline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    rank: i16,
    name: String,
    rest: Vec<u8>,
}

impl Value for Record {
    type SelfType<'a> = Self;
    type AsBytes<'a> = Vec<u8>;

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Self
    where
        Self: 'a,
    {
        let rank = i16::from_le_bytes(data[..2].try_into().unwrap());
        let (name, rest) = data[3..].split_at(usize::from(data[2]));
        Self { rank, name: String::from_utf8(name.to_vec()).unwrap(), rest: rest.to_vec() }
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Self) -> Vec<u8>
    where
        Self: 'b,
    {
        let mut out = value.rank.to_le_bytes().to_vec();
        out.push(value.name.len() as u8);
        out.extend_from_slice(value.name.as_bytes());
        out.extend_from_slice(&value.rest);
        out
    }

    fn type_name() -> TypeName {
        TypeName::new("user_types::Record")
    }
}

impl Key for Record {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        Self::from_bytes(data1).cmp(&Self::from_bytes(data2))
    }
}

fn create(page: usize) -> Database {
    Builder::new().set_page_size(page).set_cache_size(400_000).create_with_backend(RecordingBackend::new()).unwrap()
}

/// Thousands of random changes against a map in the same order, with ranges from both ends.
fn compare_with_model<K>(page: usize, seed: u64, mut key: impl FnMut(&mut Rng) -> K)
where
    K: for<'a> Value<SelfType<'a> = K> + Key + Clone + Ord + Debug + 'static,
{
    let definition: TableDefinition<K, Vec<u8>> = TableDefinition::new("table");
    let db = create(page);
    let mut rng = Rng::new(seed);
    let mut model: BTreeMap<K, Vec<u8>> = BTreeMap::new();
    for round in 0..6 {
        let txn = db.begin_write().unwrap();
        {
            let mut table = txn.open_table(definition).unwrap();
            for _ in 0..1000 {
                let key = key(&mut rng);
                if rng.chance(if round % 3 == 2 { 200 } else { 60 }) {
                    let near = model.range(key..).next().map(|(key, _)| key.clone());
                    let Some(near) = near else { continue };
                    let old = table.remove(&near).unwrap().map(|old| old.value());
                    assert_eq!(old, model.remove(&near));
                } else {
                    let value = vec![round; rng.below(60) as usize];
                    let old = table.insert(&key, &value).unwrap().map(|old| old.value());
                    assert_eq!(old, model.insert(key, value));
                }
            }
            same_rows(&table, &model, &key(&mut rng), &key(&mut rng));
        }
        txn.commit().unwrap();
        db.verify().unwrap();
        let table = db.begin_read().unwrap().open_table(definition).unwrap();
        same_rows(&table, &model, &key(&mut rng), &key(&mut rng));
    }
}

fn same_rows<K>(table: &impl ReadableTable<K, Vec<u8>>, model: &BTreeMap<K, Vec<u8>>, one: &K, other: &K)
where
    K: for<'a> Value<SelfType<'a> = K> + Key + Clone + Ord + Debug + 'static,
{
    assert_eq!(table.len().unwrap(), model.len() as u64);
    let rows = table.iter().unwrap().map(|row| row.map(|(key, value)| (key.value(), value.value())).unwrap());
    assert!(rows.eq(model.iter().map(|(key, value)| (key.clone(), value.clone()))));
    let (low, high) = (one.min(other).clone(), one.max(other).clone());
    let rows = table.range(low.clone()..high.clone()).unwrap().rev();
    let rows = rows.map(|row| row.map(|(key, _)| key.value()).unwrap());
    assert!(rows.eq(model.range(low.clone()..high.clone()).rev().map(|(key, _)| key.clone())));
    assert_eq!(table.range(high.clone()..low.clone()).unwrap().count(), 0);
    for key in model.keys().step_by(17).chain([&low, &high]) {
        assert_eq!(table.get(key).unwrap().map(|value| value.value()).as_ref(), model.get(key));
    }
    assert_eq!(table.first().unwrap().map(|(key, _)| key.value()).as_ref(), model.keys().next());
    assert_eq!(table.last().unwrap().map(|(key, _)| key.value()).as_ref(), model.keys().next_back());
}

#[test]
fn a_reversed_order_holds_in_every_operation() {
    for page in [512, 4096] {
        compare_with_model(page, 1, |rng| Descending(rng.below(5000)));
    }
}

#[test]
fn an_order_that_no_bytes_show_holds_with_short_and_long_keys() {
    for page in [512, 4096, 65_536] {
        compare_with_model(page, 2, |rng| Record {
            rank: rng.below(40) as i16 - 20,
            name: format!("name {}", rng.below(50)),
            rest: vec![rng.below(3) as u8; if rng.chance(20) { 1500 } else { rng.below(20) as usize }],
        });
    }
}

#[test]
fn keys_that_compare_equal_are_one_row() {
    const WORDS: TableDefinition<NoCase, u64> = TableDefinition::new("words");
    let db = create(512);
    let txn = db.begin_write().unwrap();
    {
        let mut words = txn.open_table(WORDS).unwrap();
        for at in 0..2000_u64 {
            let word = format!("Word {at}");
            assert!(words.insert(word.as_str(), at).unwrap().is_none());
        }
        for at in 0..2000_u64 {
            let word = format!("wORD {at}");
            assert_eq!(words.get(word.as_str()).unwrap().unwrap().value(), at);
            assert_eq!(words.insert(word.as_str(), at + 1).unwrap().unwrap().value(), at);
        }
        assert_eq!(words.len().unwrap(), 2000);
        let in_range = words.range("WORD 10".."word 11").unwrap().count();
        assert_eq!(in_range, 111, "10, 100 to 109, and 1000 to 1099");
        for at in (0..2000_u64).rev() {
            assert!(words.remove(format!("WORD {at}").as_str()).unwrap().is_some());
        }
        assert!(words.is_empty().unwrap());
    }
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn user_types_stand_within_built_in_ones() {
    const NESTED: TableDefinition<(Descending, &str), Option<Record>> = TableDefinition::new("nested");
    const LISTS: TableDefinition<Option<Descending>, Vec<Record>> = TableDefinition::new("lists");
    let record = |rank: i16| Record { rank, name: "n".repeat(rank as usize), rest: vec![1; 3] };
    let db = create(4096);
    let txn = db.begin_write().unwrap();
    {
        let mut nested = txn.open_table(NESTED).unwrap();
        let mut lists = txn.open_table(LISTS).unwrap();
        for at in 0..300_u64 {
            let name = format!("name {at}");
            nested.insert((Descending(at % 10), name.as_str()), (at % 2 == 0).then(|| record(at as i16 % 50))).unwrap();
            lists.insert(Some(Descending(at)), vec![record(1), record(at as i16 % 20)]).unwrap();
        }
        lists.insert(None, vec![]).unwrap();
    }
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    let nested = txn.open_table(NESTED).unwrap();
    let ranks: Vec<u64> = nested.iter().unwrap().map(|row| row.unwrap().0.value().0.0).collect();
    assert!(ranks.is_sorted_by(|a, b| a >= b));
    let nines = nested.range((Descending(9), "")..(Descending(8), "")).unwrap().count();
    assert_eq!(nines, 30);
    assert_eq!(nested.get((Descending(4), "name 14")).unwrap().unwrap().value(), Some(record(14)));
    let lists = txn.open_table(LISTS).unwrap();
    assert_eq!(lists.first().unwrap().unwrap().0.value(), None);
    assert_eq!(lists.range(Some(Descending(299))..).unwrap().count(), 300);
    assert_eq!(lists.get(Some(Descending(7))).unwrap().unwrap().value(), [record(1), record(7)]);
    db.verify().unwrap();
}

#[test]
fn a_table_opens_only_as_the_types_it_was_made_with() {
    const TABLE: TableDefinition<Descending, u64> = TableDefinition::new("table");
    const OTHER: TableDefinition<u64, u64> = TableDefinition::new("table");
    let db = create(4096);
    let txn = db.begin_write().unwrap();
    txn.open_table(TABLE).unwrap().insert(Descending(1), 1).unwrap();
    match txn.open_table(OTHER).map(drop) {
        Err(TableError::TableTypeMismatch { table, key, .. }) => {
            assert_eq!((table.as_str(), key.name()), ("table", "user_types::Descending"));
        }
        other => panic!("{other:?}"),
    }
    txn.commit().unwrap();
    assert!(db.begin_read().unwrap().open_table(OTHER).is_err());
}

/// A `compare` that panics must not leave a half-made change behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Touchy(u64);

impl Value for Touchy {
    type SelfType<'a> = Self;
    type AsBytes<'a> = [u8; 8];

    fn fixed_width() -> Option<usize> {
        Some(8)
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Self
    where
        Self: 'a,
    {
        Self(u64::from_le_bytes(data.try_into().unwrap()))
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Self) -> [u8; 8]
    where
        Self: 'b,
    {
        value.0.to_le_bytes()
    }

    fn type_name() -> TypeName {
        TypeName::new("user_types::Touchy")
    }
}

impl Key for Touchy {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        let (one, other) = (Self::from_bytes(data1), Self::from_bytes(data2));
        assert!(one.0 != 666 && other.0 != 666, "the number of the beast");
        one.cmp(&other)
    }
}

#[test]
fn a_comparison_that_panics_spoils_its_transaction_only() {
    const TABLE: TableDefinition<Touchy, u64> = TableDefinition::new("table");
    let fill = |table: &mut Table<Touchy, u64>| (0..500).for_each(|key| drop(table.insert(Touchy(key), key).unwrap()));
    let db = create(512);
    let txn = db.begin_write().unwrap();
    fill(&mut txn.open_table(TABLE).unwrap());
    txn.commit().unwrap();
    let before = db.verify().unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(TABLE).unwrap();
        fill(&mut table);
        let insert = std::panic::AssertUnwindSafe(|| table.insert(Touchy(666), 1).map(drop));
        assert!(std::panic::catch_unwind(insert).is_err());
    }
    assert!(txn.commit().is_err());
    let after = db.verify().unwrap();
    assert_eq!((before.linked_pages, before.kept_pages), (after.linked_pages, after.kept_pages));
    let table = db.begin_read().unwrap().open_table(TABLE).unwrap();
    assert!(table.iter().unwrap().map(|row| row.unwrap().0.value().0).eq(0..500));
}
