//! Values in postcard's bytes.

use super::*;
use crate::types::Postcard;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use proptest::collection::btree_map;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    id: u64,
    depth: i32,
    mark: char,
    alive: bool,
    height: Option<f32>,
    names: BTreeMap<String, Vec<u16>>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Seed,
    Graft(Box<Tree>, i128),
    Planted { by: String, at: (u8, u32) },
}

fn kind(graft: Option<Tree>) -> impl Strategy<Value = Kind> {
    let planted = (text(), any::<(u8, u32)>()).prop_map(|(by, at)| Kind::Planted { by, at });
    let grafted = any::<i128>().prop_map(move |length| match &graft {
        Some(tree) => Kind::Graft(Box::new(tree.clone()), length),
        None => Kind::Seed,
    });
    prop_oneof![planted, grafted]
}

fn tree(graft: Option<Tree>) -> impl Strategy<Value = Tree> {
    let numbers = (any::<u64>(), any::<i32>(), any::<char>(), any::<bool>(), any::<Option<f32>>());
    let names = btree_map(text(), many(any::<u16>(), 0..3), 0..3);
    (numbers, names, kind(graft)).prop_map(|((id, depth, mark, alive, height), names, kind)| {
        let height = height.filter(|height| !height.is_nan());
        Tree { id, depth, mark, alive, height, names, kind }
    })
}

fn trees() -> impl Strategy<Value = Tree> {
    tree(None).prop_flat_map(|inner| tree(Some(inner)))
}

fn bytes_of<T: Serialize + DeserializeOwned + 'static>(value: &T) -> Vec<u8> {
    let encoded = Postcard::new(value).unwrap();
    let bytes = <Postcard<T>>::as_bytes(&encoded).to_vec();
    assert!(<Postcard<T>>::validate(&bytes));
    bytes
}

proptest! {
    #[test]
    fn values_come_back(tree in trees()) {
        let bytes = bytes_of(&tree);
        prop_assert_eq!(<Postcard<Tree>>::from_bytes(&bytes).decode().unwrap(), tree.clone());
        prop_assert_eq!(Postcard::new(&tree).unwrap().clone().decode().unwrap(), tree);
    }

    #[test]
    fn no_more_and_no_fewer_bytes_are_a_value(tree in trees(), more in byte()) {
        let bytes = bytes_of(&tree);
        for end in 0..bytes.len() {
            prop_assert!(!<Postcard<Tree>>::validate(&bytes[..end]), "{} of {}", end, bytes.len());
        }
        prop_assert!(!<Postcard<Tree>>::validate(&[&bytes[..], &[more]].concat()));
    }

    #[test]
    fn what_is_accepted_is_decoded(data in damaged(trees().prop_map(|tree| bytes_of(&tree)))) {
        check_any_bytes::<Postcard<Tree>>(&data);
        let decoded = <Postcard<Tree>>::from_bytes(&data).decode();
        prop_assert_eq!(decoded.is_ok(), <Postcard<Tree>>::validate(&data));
    }
}

#[test]
fn golden_bytes() {
    assert_eq!(bytes_of(&300_u32), [0xac, 2]);
    assert_eq!(bytes_of(&-1_i64), [1]);
    assert_eq!(bytes_of(&(Some(7_u8), String::from("ab"))), b"\x01\x07\x02ab");
    assert_eq!(bytes_of(&vec![1_u16, 2]), [2, 1, 2]);
    assert_eq!(bytes_of(&1.0_f32), 1_f32.to_le_bytes());
    assert_eq!(bytes_of(&()), []);
}

#[test]
fn bytes_that_are_not_a_value_are_refused() {
    fn check<T: DeserializeOwned + 'static>(data: &[u8]) {
        assert!(!<Postcard<T>>::validate(data), "{data:?}");
        assert!(<Postcard<T>>::from_bytes(data).decode().is_err(), "{data:?}");
    }
    check::<bool>(&[2]);
    check::<u8>(&[]);
    check::<u16>(&[0xff, 0xff, 0x7f]);
    check::<Option<u8>>(&[2, 0]);
    check::<char>(&[4, 0xed, 0xa0, 0x80, 0]);
    check::<String>(&[1, 0xff]);
    check::<String>(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    check::<Vec<u64>>(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    check::<Kind>(&[3]);
    check::<()>(&[0]);
}

#[test]
fn a_name_contains_that_of_the_type() {
    let name = <Postcard<Tree>>::type_name();
    assert_eq!(name.name(), format!("Postcard<{}>", core::any::type_name::<Tree>()));
    assert!(name.name().ends_with("::postcard::Tree>"));
    assert_ne!(name, <Postcard<Kind>>::type_name());
    assert_ne!(name, <Postcard<Vec<Tree>>>::type_name());
    assert_ne!(name, TypeName::new(name.name()));
    assert_ne!(<Postcard<u32>>::type_name(), u32::type_name());
    assert_eq!(TypeName::from_bytes(&name.to_bytes()), Some(name));
}

/// A sequence that does not know its length.
struct Endless;

impl Serialize for Endless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_seq(None)?.end()
    }
}

impl<'de> Deserialize<'de> for Endless {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// What is never written.
struct Secret;

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not to be written"))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// What is written, and then read by no one.
#[derive(Serialize)]
struct Lost(u8);

impl<'de> Deserialize<'de> for Lost {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("not to be read"))
    }
}

#[derive(Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u8>,
    second: u8,
}

#[derive(Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    all: BTreeMap<String, u8>,
}

/// More is written than is read.
#[derive(Serialize)]
struct Long(u8, u8);

impl<'de> Deserialize<'de> for Long {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(|first| Self(first, 0))
    }
}

#[test]
fn what_could_not_be_read_again_is_refused_before_it_is_written() {
    fn check<T: Serialize + DeserializeOwned>(value: &T) {
        let err = Postcard::new(value).unwrap_err();
        assert!(format!("{err}").starts_with("postcard: "), "{err}");
    }
    check(&Endless);
    check(&Secret);
    check(&Lost(1));
    check(&Long(1, 2));
    check(&Sparse { first: None, second: 7 });
    check(&Flat { all: BTreeMap::from([("a".into(), 1)]) });
    assert!(Postcard::new(&Sparse { first: Some(1), second: 7 }).is_ok());
}

#[test]
fn a_field_that_is_not_written_is_its_default() {
    #[derive(Serialize, Deserialize)]
    struct Cached {
        number: u8,
        #[serde(skip)]
        square: u32,
    }
    let decoded = Postcard::new(&Cached { number: 3, square: 9 }).unwrap().decode().unwrap();
    assert_eq!((decoded.number, decoded.square), (3, 0));
}
