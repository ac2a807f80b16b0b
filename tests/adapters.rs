//! `Postcard` and `Pod` in a database.
#![cfg(all(feature = "postcard", feature = "bytemuck"))]

use bytemuck::{AnyBitPattern, NoUninit};
use sapwood::backends::InMemoryBackend;
use sapwood::{
    Database, Pod, Postcard, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError, TypeName,
    Value,
};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::marker::PhantomData;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    height: f64,
    names: Vec<String>,
    parent: Option<Box<Tree>>,
}

#[derive(Clone, Copy, Debug, PartialEq, AnyBitPattern, NoUninit)]
#[repr(C)]
struct Point {
    x: u64,
    y: i64,
}

/// The same names of the types, and the same fields.
mod elsewhere {
    #[derive(serde::Serialize, serde::Deserialize)]
    pub struct Tree {
        pub height: f64,
        pub names: Vec<String>,
        pub parent: Option<Box<Tree>>,
    }

    #[derive(Clone, Copy, bytemuck::AnyBitPattern, bytemuck::NoUninit)]
    #[repr(C)]
    pub struct Point {
        pub x: u64,
        pub y: i64,
    }
}

fn tree(number: usize) -> Tree {
    let names = (0..number % 5).map(|at| "name".repeat(at * at * 20)).collect();
    let parent = number.checked_sub(1).filter(|_| !number.is_multiple_of(3)).map(|parent| Box::new(tree(parent)));
    Tree { height: number as f64 / 2.0, names, parent }
}

fn point(number: usize) -> Point {
    Point { x: number as u64 * 3, y: -(number as i64) }
}

/// Keys of all lengths, so that values begin at all distances from an aligned address.
fn key(number: usize) -> String {
    format!("{number:04}{}", "k".repeat(number % 17))
}

const TREES: TableDefinition<&str, Postcard<Tree>> = TableDefinition::new("trees");
const POINTS: TableDefinition<&str, Pod<Point>> = TableDefinition::new("points");
const ROWS: usize = 300;

fn fill(db: &Database) {
    let txn = db.begin_write().unwrap();
    let mut trees = txn.open_table(TREES).unwrap();
    let mut points = txn.open_table(POINTS).unwrap();
    for number in 0..ROWS {
        trees.insert(&*key(number), Postcard::new(&tree(number)).unwrap()).unwrap();
        points.insert(&*key(number), Pod(point(number))).unwrap();
    }
    drop((trees, points));
    txn.commit().unwrap();
}

#[test]
fn values_are_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapters.sapwood");
    fill(&Database::builder().set_page_size(512).create(&path).unwrap());

    let db = Database::open(&path).unwrap();
    db.verify().unwrap();
    let txn = db.begin_read().unwrap();
    let (trees, points) = (txn.open_table(TREES).unwrap(), txn.open_table(POINTS).unwrap());
    for number in 0..ROWS {
        let found = trees.get(&*key(number)).unwrap().unwrap();
        assert_eq!(found.value().decode().unwrap(), tree(number));
        assert_eq!(points.get(&*key(number)).unwrap().unwrap().value().0, point(number));
    }
    let seen: Vec<Point> = points.iter().unwrap().map(|row| row.unwrap().1.value().0).collect();
    assert_eq!(seen, (0..ROWS).map(point).collect::<Vec<_>>());
}

fn opens<V: Value + 'static>(db: &Database, table: &str) -> bool {
    let definition: TableDefinition<&str, V> = TableDefinition::new(table);
    let in_read = db.begin_read().unwrap().open_table(definition).map(drop);
    let in_write = db.begin_write().unwrap().open_table(definition).map(drop);
    match (in_read, in_write) {
        (Ok(()), Ok(())) => true,
        (Err(TableError::TableTypeMismatch { .. }), Err(TableError::TableTypeMismatch { value, .. })) => {
            assert_ne!(value, V::type_name());
            false
        }
        others => panic!("{others:?}"),
    }
}

#[test]
fn a_table_opens_as_no_other_type() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapters.sapwood");
    fill(&Database::create(&path).unwrap());

    let db = Database::open(&path).unwrap();
    assert!(opens::<Postcard<Tree>>(&db, "trees"));
    assert!(!opens::<Postcard<elsewhere::Tree>>(&db, "trees"));
    assert!(!opens::<Postcard<Option<Tree>>>(&db, "trees"));
    assert!(!opens::<&[u8]>(&db, "trees"));
    assert!(opens::<Pod<Point>>(&db, "points"));
    assert!(!opens::<Pod<elsewhere::Point>>(&db, "points"));
    assert!(!opens::<Pod<[u64; 2]>>(&db, "points"));
    assert!(!opens::<Postcard<(u64, i64)>>(&db, "points"));
    assert!(!opens::<(u64, i64)>(&db, "points"));
}

/// Any bytes, under the name of another type.
#[derive(Debug)]
struct Forged<V>(PhantomData<V>);

impl<V: Value> Value for Forged<V> {
    type SelfType<'a>
        = &'a [u8]
    where
        Self: 'a;
    type AsBytes<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        V::fixed_width()
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
        V::type_name()
    }
}

#[test]
fn bytes_that_are_not_a_value_are_never_seen_as_one() {
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let forged: TableDefinition<&str, Forged<Postcard<Tree>>> = TableDefinition::new("trees");
    let txn = db.begin_write().unwrap();
    let valid = Postcard::new(&tree(1)).unwrap();
    let bytes = <Postcard<Tree>>::as_bytes(&valid);
    let mut table = txn.open_table(forged).unwrap();
    table.insert("cut", &bytes[..bytes.len() - 1]).unwrap();
    table.insert("empty", &[][..]).unwrap();
    table.insert("longer", &*[bytes, &[0]].concat()).unwrap();
    table.insert("valid", bytes).unwrap();
    drop(table);
    txn.commit().unwrap();

    let txn = db.begin_read().unwrap();
    let table = txn.open_table(TREES).unwrap();
    for name in ["cut", "empty", "longer"] {
        let err = table.get(name).map(drop).unwrap_err();
        assert!(matches!(&err, StorageError::Corrupted(what) if what.contains("Postcard<adapters::Tree>")), "{err}");
    }
    assert_eq!(table.get("valid").unwrap().unwrap().value().decode().unwrap(), tree(1));
    assert!(matches!(table.iter().unwrap().next(), Some(Err(StorageError::Corrupted(_)))));
    assert!(matches!(table.iter().unwrap().next_back(), Some(Ok(_))));
}

#[test]
fn they_are_parts_of_other_values() {
    type Parts<'a> = (u8, Option<Pod<Point>>, Vec<Postcard<'a, Tree>>);
    const PARTS: TableDefinition<u8, Parts> = TableDefinition::new("parts");
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let txn = db.begin_write().unwrap();
    let trees = || (0..9).map(|number| Postcard::new(&tree(number)).unwrap()).collect();
    txn.open_table(PARTS).unwrap().insert(1, (7, Some(Pod(point(8))), trees())).unwrap();
    txn.commit().unwrap();

    let table = db.begin_read().unwrap().open_table(PARTS).unwrap();
    let guard = table.get(1).unwrap().unwrap();
    let (number, found, trees) = guard.value();
    assert_eq!((number, found), (7, Some(Pod(point(8)))));
    let trees: Vec<Tree> = trees.iter().map(|tree| tree.decode().unwrap()).collect();
    assert_eq!(trees, (0..9).map(tree).collect::<Vec<_>>());
}

#[cfg(feature = "derive")]
#[test]
fn they_are_fields_of_derived_values() {
    #[derive(Debug, sapwood::Value)]
    struct Row<'a> {
        place: Pod<Point>,
        tree: Postcard<'a, Tree>,
    }
    let row = Row { place: Pod(point(5)), tree: Postcard::new(&tree(5)).unwrap() };
    let bytes = Row::as_bytes(&row);
    assert!(Row::validate(&bytes));
    let read = Row::from_bytes(&bytes);
    assert_eq!((read.place, read.tree.decode().unwrap()), (Pod(point(5)), tree(5)));
    assert!(Row::type_name().name().contains("tree:Postcard<adapters::Tree>"));
}
