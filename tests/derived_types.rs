//! Types whose `Value` and `Key` are derived, in a database.
#![cfg(feature = "derive")]

use sapwood::{Database, Key, ReadableDatabase, ReadableTable, TableDefinition, TableError, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
enum Place<'a> {
    Wild,
    Park { city: &'a str, plot: u32 },
    Garden(&'a str, u8),
}

#[derive(Clone, Debug, PartialEq, Value)]
struct Tree<'a> {
    height: f32,
    names: Vec<&'a str>,
    parents: Option<(u64, u64)>,
}

/// Names that generated code must not take for those of the standard library.
mod hostile {
    #![allow(dead_code, non_camel_case_types)]

    pub struct Vec;
    pub struct Option;
    pub struct Result;
    pub struct Some;
    pub struct None;
    pub struct Cow;
    pub struct Value;
    pub struct Key;
    pub struct AsRef;
    pub struct Ordering;
    pub struct usize;
    pub struct u8;
    pub struct u64;
    pub struct bool;
    pub mod core {}
    pub mod std {}
    pub mod alloc {}
    pub mod sapwood {}

    #[derive(::std::fmt::Debug, ::sapwood::Key, ::sapwood::Value)]
    pub struct Pair<T> {
        pub data: T,
        pub value: u32,
    }

    #[derive(::std::fmt::Debug, ::sapwood::Key, ::sapwood::Value)]
    pub enum Choice {
        SelfType,
        AsBytes(u16, i8),
        Order { number: char, head: u32 },
    }
}

/// As a crate that has sapwood under another name.
mod renamed {
    pub mod within {
        pub use sapwood as database;
    }

    #[derive(Debug, within::database::Key, within::database::Value)]
    #[sapwood(crate = "self::within::database")]
    pub struct Id(pub u64);
}

fn tree(at: u32) -> Tree<'static> {
    let names = ["oak", "Quercus", ""].into_iter().take(at as usize % 4).collect();
    Tree { height: at as f32 / 2.0, names, parents: at.is_multiple_of(3).then_some((at.into(), 9)) }
}

fn places(cities: &[String]) -> Vec<Place<'_>> {
    let parks = cities.iter().flat_map(|city| (0..20).map(|plot| Place::Park { city, plot: plot * 100 }));
    let gardens = cities.iter().flat_map(|city| (0..7).map(|number| Place::Garden(city, number)));
    gardens.chain(parks).chain([Place::Wild]).collect()
}

#[test]
fn rows_are_there_in_their_order_after_opening_again() {
    const TREES: TableDefinition<Place, Tree> = TableDefinition::new("trees");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trees.sapwood");
    let cities: Vec<String> = (0..40).map(|at| format!("{}city", "x".repeat(at % 9 * 30))).collect();
    let places = places(&cities);
    let db = Database::builder().set_page_size(512).create(&path).unwrap();
    let txn = db.begin_write().unwrap();
    let mut model = BTreeMap::new();
    for (at, place) in (0..).zip(&places) {
        txn.open_table(TREES).unwrap().insert(place, tree(at)).unwrap();
        model.insert(place.clone(), tree(at));
    }
    txn.commit().unwrap();
    drop(db);

    let db = Database::open(&path).unwrap();
    let table = db.begin_read().unwrap().open_table(TREES).unwrap();
    let mut expected = model.iter();
    for row in table.iter().unwrap() {
        let (place, tree) = row.unwrap();
        assert_eq!((&place.value(), &tree.value()), expected.next().unwrap());
    }
    assert_eq!(expected.next(), None);
    for (place, tree) in &model {
        assert_eq!(table.get(place).unwrap().unwrap().value(), *tree);
    }
    let parks = Place::Park { city: "", plot: 0 }..Place::Garden("", 0);
    assert_eq!(table.range(parks.clone()).unwrap().count(), model.range(parks).count());
    db.verify().unwrap();
}

/// The same name of the type, and other fields each time.
mod versions {
    pub mod first {
        #[derive(Debug, sapwood::Key, sapwood::Value)]
        pub struct Entry {
            pub at: u32,
        }
    }

    pub mod moved {
        #[derive(Debug, sapwood::Key, sapwood::Value)]
        pub struct Entry {
            pub at: u32,
        }
    }

    pub mod other_type {
        #[derive(Debug, sapwood::Key, sapwood::Value)]
        pub struct Entry {
            pub at: i32,
        }
    }

    pub mod other_field {
        #[derive(Debug, sapwood::Key, sapwood::Value)]
        pub struct Entry {
            pub to: u32,
        }
    }

    pub mod one_more {
        #[derive(Debug, sapwood::Key, sapwood::Value)]
        pub struct Entry {
            pub at: u32,
            pub to: (),
        }
    }

    pub mod other_kind {
        #[derive(Debug, sapwood::Key, sapwood::Value)]
        pub enum Entry {
            At(u32),
        }
    }
}

fn opens<K: Key + 'static, V: Value + 'static>(db: &Database) -> bool {
    let definition: TableDefinition<K, V> = TableDefinition::new("entries");
    match db.begin_read().unwrap().open_table(definition).map(drop) {
        Ok(()) => true,
        Err(TableError::TableTypeMismatch { table, .. }) => {
            assert_eq!(table, "entries");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_changed_declaration_is_another_type() {
    use versions::{first, moved, one_more, other_field, other_kind, other_type};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("entries.sapwood");
    let db = Database::create(&path).unwrap();
    let txn = db.begin_write().unwrap();
    let definition: TableDefinition<first::Entry, Vec<first::Entry>> = TableDefinition::new("entries");
    txn.open_table(definition).unwrap().insert(first::Entry { at: 7 }, vec![first::Entry { at: 8 }]).unwrap();
    txn.commit().unwrap();
    drop(db);

    let db = Database::open(&path).unwrap();
    assert!(opens::<first::Entry, Vec<first::Entry>>(&db));
    assert!(opens::<moved::Entry, Vec<moved::Entry>>(&db));
    assert!(!opens::<other_type::Entry, Vec<first::Entry>>(&db));
    assert!(!opens::<first::Entry, Vec<other_type::Entry>>(&db));
    assert!(!opens::<first::Entry, Vec<other_field::Entry>>(&db));
    assert!(!opens::<first::Entry, Vec<one_more::Entry>>(&db));
    assert!(!opens::<first::Entry, Vec<other_kind::Entry>>(&db));
    assert!(!opens::<first::Entry, Vec<u32>>(&db));
}

#[test]
fn generated_code_is_deaf_to_names_around_it() {
    use hostile::{Choice, Pair};
    let pair = Pair::<&str>::as_bytes(&Pair { data: "ab", value: 7 });
    assert_eq!(Pair::<&str>::from_bytes(&pair).data, "ab");
    assert!(Pair::<&str>::compare(&pair, &pair).is_eq());
    let all = [Choice::SelfType, Choice::AsBytes(1, 2), Choice::Order { number: 'a', head: 3 }];
    assert!(all.iter().map(Choice::as_bytes).is_sorted_by(|one, other| Choice::compare(one, other).is_lt()));
    assert_eq!(renamed::Id::as_bytes(&renamed::Id(7)), 7_u64.to_le_bytes());
}
