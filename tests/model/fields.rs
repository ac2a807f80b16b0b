//! Keys and values: what the tables hold, beside an owned form for the model.

use super::db::{self, Key, TypeName, Value};
use crate::plan::Sizes;
use crate::rng::Rng;
use std::cmp::{Ordering, Reverse};
use std::fmt::Debug;
use std::hash::Hash;

/// A type that a table can hold.
pub trait Field: Value + 'static {
    type Owned: Clone + Debug + Eq + Hash;
    fn lend(owned: &Self::Owned) -> Self::SelfType<'_>;
    fn own(lent: Self::SelfType<'_>) -> Self::Owned;
    fn make(rng: &mut Rng, sizes: &mut Sizes) -> Self::Owned;
}

/// A key, whose owned form has the order that the table must have.
pub trait KeyField: Field<Owned: Ord> + Key {}

impl<T: Field<Owned: Ord> + Key> KeyField for T {}

macro_rules! plain_field {
    ($($name:ty: $make:expr;)*) => {$(
        impl Field for $name {
            type Owned = $name;
            fn lend(owned: &$name) -> $name {
                owned.clone()
            }
            fn own(lent: $name) -> $name {
                lent
            }
            fn make(rng: &mut Rng, sizes: &mut Sizes) -> $name {
                let make: fn(&mut Rng, &mut Sizes) -> $name = $make;
                make(rng, sizes)
            }
        }
    )*};
}

plain_field! {
    u16: |rng, _| rng.next() as u16;
    i8: |rng, _| rng.next() as i8;
    u32: |rng, _| rng.next() as u32;
    u64: |rng, _| spread(rng);
    i64: |rng, _| spread(rng).cast_signed();
    u128: |rng, _| u128::from(spread(rng)) << rng.pick(&[0, 1, 64]);
    bool: |rng, _| rng.chance(50);
    (): |_, _| ();
    [u8; 3]: |rng, _| [rng.next() as u8, 0, rng.next() as u8];
    char: |rng, _| char::from_u32(rng.next() as u32 % 0x11_0000).unwrap_or('\u{d7ff}');
    Option<u64>: |rng, _| rng.chance(70).then(|| spread(rng));
    String: |rng, sizes| {
        let length = sizes.length(rng);
        let alike = sizes.alike.min(length);
        "p".repeat(alike) + &rng.text(length - alike)
    };
    Vec<u32>: |rng, sizes| (0..sizes.length(rng) / 4).map(|_| rng.next() as u32).collect();
}

/// Numbers at both ends and in the middle.
fn spread(rng: &mut Rng) -> u64 {
    let number = rng.next();
    match number % 4 {
        0 => number >> 56,
        1 => !(number >> 56),
        2 => number >> 20,
        _ => number,
    }
}

/// The model keeps the bits, so that -0.0 is not 0.0.
impl Field for f64 {
    type Owned = u64;
    fn lend(owned: &u64) -> f64 {
        f64::from_bits(*owned)
    }
    fn own(lent: f64) -> u64 {
        lent.to_bits()
    }
    fn make(rng: &mut Rng, _: &mut Sizes) -> u64 {
        rng.pick(&[0.0, -0.0, f64::INFINITY, f64::MIN_POSITIVE, rng.clone().next() as f64]).to_bits()
    }
}

impl Field for &'static [u8] {
    type Owned = Vec<u8>;
    fn lend(owned: &Vec<u8>) -> &[u8] {
        owned
    }
    fn own(lent: &[u8]) -> Vec<u8> {
        lent.to_vec()
    }
    fn make(rng: &mut Rng, sizes: &mut Sizes) -> Vec<u8> {
        let length = sizes.length(rng);
        let mut bytes = rng.bytes(length);
        bytes.iter_mut().take(sizes.alike).for_each(|byte| *byte = b'p');
        bytes
    }
}

impl Field for &'static str {
    type Owned = String;
    fn lend(owned: &String) -> &str {
        owned
    }
    fn own(lent: &str) -> String {
        lent.to_owned()
    }
    fn make(rng: &mut Rng, sizes: &mut Sizes) -> String {
        String::make(rng, sizes)
    }
}

/// Few different first parts, so that the second part decides.
impl Field for (u32, &'static str) {
    type Owned = (u32, String);
    fn lend(owned: &Self::Owned) -> (u32, &str) {
        (owned.0, &owned.1)
    }
    fn own(lent: (u32, &str)) -> Self::Owned {
        (lent.0, lent.1.to_owned())
    }
    fn make(rng: &mut Rng, sizes: &mut Sizes) -> Self::Owned {
        (rng.pick(&[0, 1, 256, u32::MAX]), String::make(rng, sizes))
    }
}

impl Field for (i8, u16, &'static [u8]) {
    type Owned = (i8, u16, Vec<u8>);
    fn lend(owned: &Self::Owned) -> (i8, u16, &[u8]) {
        (owned.0, owned.1, &owned.2)
    }
    fn own(lent: (i8, u16, &[u8])) -> Self::Owned {
        (lent.0, lent.1, lent.2.to_vec())
    }
    fn make(rng: &mut Rng, sizes: &mut Sizes) -> Self::Owned {
        (rng.pick(&[-128, -1, 0, 127]), rng.pick(&[1, 256, 513]), <&[u8]>::make(rng, sizes))
    }
}

/// A user's key type: bytes in descending order.
#[derive(Debug)]
pub struct Reversed;

impl Value for Reversed {
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
        db::TypeName::new("model::Reversed")
    }
}

impl Key for Reversed {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        data2.cmp(data1)
    }
}

impl Field for Reversed {
    type Owned = Reverse<Vec<u8>>;
    fn lend(owned: &Self::Owned) -> &[u8] {
        &owned.0
    }
    fn own(lent: &[u8]) -> Self::Owned {
        Reverse(lent.to_vec())
    }
    fn make(rng: &mut Rng, sizes: &mut Sizes) -> Self::Owned {
        Reverse(<&[u8]>::make(rng, sizes))
    }
}
