//! Types whose `Value` and `Key` are derived: the laws of all types, and the order of derived `Ord`.

use super::*;
use crate::{Key, Value};
use core::fmt::Debug;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Unit;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Nothing {}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Id(u64);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Handle {
    number: NonZeroU16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Text<'a>(&'a str);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Point {
    x: i16,
    r#type: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Named<'a, 'b: 'a> {
    name: &'a str,
    count: u32,
    tail: &'b [u8],
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Pair<A, B = u8>(A, B);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Bounded<T: Clone, U>
where
    T: Ord,
    Option<U>: PartialEq<Option<U>>,
{
    first: T,
    second: Option<U>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Many<const N: usize>([u16; N]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
enum Kind {
    Oak = -1,
    Ash,
    Elm = 7,
    Fir,
    Yew = 0x10,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
enum Only {
    This(u32),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
enum Shape {
    Dot,
    Circle(u16),
    Rectangle { width: u8, height: i32 },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
enum Place<'a, T> {
    Nowhere,
    City(&'a str),
    Street { city: &'a str, number: T },
    Long(T, [u8; 2], String, Option<&'a [u8]>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Key, Value)]
#[sapwood(crate = "crate")]
struct Outer<'a> {
    kind: Kind,
    place: Place<'a, Option<Point>>,
    shape: (Shape, Only),
}

#[derive(Clone, Debug, PartialEq, Value)]
#[sapwood(crate = "crate")]
struct Record<'a> {
    weight: f32,
    places: Vec<Place<'a, u16>>,
    rest: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Value)]
#[sapwood(crate = "crate")]
enum Reading {
    None,
    Number(f64),
    Series(Vec<f32>, bool),
}

/// A module of tests for each type: its name, an owned value's strategy, and how to view that as the type's value.
macro_rules! derived {
    ($kind:ident: $($name:ident $type:ty: $owned:expr, |$value:pat_param| $view:expr;)*) => {$(
        mod $name {
            use super::*;

            fn valid() -> impl Strategy<Value = Vec<u8>> {
                ($owned).prop_map(|$value| {
                    let value: <$type as Value>::SelfType<'_> = $view;
                    let bytes = <$type as Value>::as_bytes(&value);
                    assert!(<$type as Value>::validate(&bytes), "{value:?}");
                    assert_eq!(<$type as Value>::from_bytes(&bytes), value);
                    bytes
                })
            }

            derived!(@$kind $type: $owned, |$value| $view);
        }
    )*};
    (@keys $type:ty: $owned:expr, |$value:pat_param| $view:expr) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(48))]

            #[test]
            fn any_bytes_obey_the_laws(keys in mixed(valid)) {
                check_keys::<$type>(&keys);
            }

            #[test]
            fn order_is_that_of_ord(one in $owned, other in $owned) {
                match one {
                    $value => {
                        let one: $type = $view;
                        match other {
                            $value => {
                                let other: $type = $view;
                                let [left, right] = [&one, &other].map(<$type>::as_bytes);
                                prop_assert_eq!(<$type>::compare(&left, &right), one.cmp(&other));
                            }
                        }
                    }
                }
            }
        }
    };
    (@values $type:ty: $owned:expr, |$value:pat_param| $view:expr) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(200))]

            #[test]
            fn any_bytes_are_read_or_refused(all in mixed(valid)) {
                all.iter().for_each(|data| check_any_bytes::<$type>(data));
            }
        }
    };
}

fn point() -> impl Strategy<Value = Point> {
    (any::<i16>(), byte()).prop_map(|(x, r#type)| Point { x, r#type })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Oak, Kind::Ash, Kind::Elm, Kind::Fir, Kind::Yew])
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Dot),
        any::<u16>().prop_map(Shape::Circle),
        (byte(), any::<i32>()).prop_map(|(width, height)| Shape::Rectangle { width, height }),
    ]
}

/// What a place borrows from, and what chooses its variant.
type Parts = (u8, String, String, Vec<u8>);

fn parts() -> impl Strategy<Value = Parts> {
    (0_u8..5, long_text(), text(), bytes())
}

fn place<T>((variant, one, other, tail): &Parts, number: T) -> Place<'_, T> {
    match variant {
        0 => Place::Nowhere,
        1 => Place::City(one),
        2 => Place::Street { city: one, number },
        3 => Place::Long(number, [1, 2], one.clone(), None),
        _ => Place::Long(number, [2, 1], other.clone(), Some(tail)),
    }
}

derived! { keys:
    unit Unit: Just(()), |()| Unit;
    nothing Nothing: Just(()), |()| Nothing {};
    id Id: any::<u64>(), |id| Id(id);
    handle Handle: any::<NonZeroU16>(), |number| Handle { number };
    optional_handle Option<Handle>: any::<Option<NonZeroU16>>(), |value| value.map(|number| Handle { number });
    text_slice Text<'_>: text(), |ref text| Text(text);
    points Point: point(), |value| value;
    named Named<'_, '_>: (long_text(), any::<u32>(), bytes()), |(ref name, count, ref tail)| Named { name, count, tail };
    pair Pair<&str>: (text(), byte()), |(ref a, b)| Pair(a.as_str(), b);
    pair_of_pairs Pair<Pair<String, u16>, Option<&str>>: (text(), any::<u16>(), text()), |(a, b, ref c)|
        Pair(Pair(a, b), Some(c.as_str()));
    bounded Bounded<u16, bool>: any::<(u16, Option<bool>)>(), |(first, second)| Bounded { first, second };
    many_none Many<0>: Just([]), |value| Many(value);
    many_three Many<3>: any::<[u16; 3]>(), |value| Many(value);
    kinds Kind: kind(), |value| value;
    only Only: any::<u32>(), |value| Only::This(value);
    shapes Shape: shape(), |value| value;
    places Place<'_, u16>: (parts(), any::<u16>()), |(ref parts, number)| place(parts, number);
    places_of_pairs Place<'_, Pair<i8, &str>>: (parts(), any::<i8>(), text()), |(ref parts, a, ref b)|
        place(parts, Pair(a, b.as_str()));
    arrays [Shape; 2]: [shape(), shape()], |value| value;
    outer Outer<'_>: (kind(), parts(), prop::option::of(point()), shape(), any::<u32>()),
        |(kind, ref parts, point, shape, only)|
        Outer { kind, place: place(parts, point), shape: (shape, Only::This(only)) };
}

derived! { values:
    record Record<'_>: (-9_f32..9.0, many(parts(), 0..4), bytes()), |(weight, ref all, rest)|
        Record { weight, places: all.iter().map(|parts| place(parts, 7)).collect(), rest };
    reading_none Reading: Just(()), |()| Reading::None;
    reading_number Reading: -9_f64..9.0, |value| Reading::Number(value);
    reading_series Reading: (many(-9_f32..9.0, 0..5), any::<bool>()), |(all, last)| Reading::Series(all, last);
}

fn same_as<Ours: Value, Tuple: Value>(ours: &Ours::SelfType<'_>, tuple: &Tuple::SelfType<'_>) {
    assert_eq!(Ours::as_bytes(ours).as_ref(), Tuple::as_bytes(tuple).as_ref());
    assert_eq!(Ours::fixed_width(), Tuple::fixed_width());
    assert_eq!(Ours::NICHE, Tuple::NICHE);
}

fn keys_as<Ours: Key, Tuple: Key>(keys: &[Vec<u8>]) {
    assert_eq!((Ours::ORDER, Ours::EXACT_HEAD_BITS), (Tuple::ORDER, Tuple::EXACT_HEAD_BITS));
    assert_eq!(Ours::min_encoded_key(), Tuple::min_encoded_key());
    for pair in keys.windows(2) {
        assert_eq!(Ours::head(&pair[0]), Tuple::head(&pair[0]));
        assert_eq!(Ours::separator(&pair[0], &pair[1]), Tuple::separator(&pair[0], &pair[1]));
    }
}

#[test]
fn structs_are_as_tuples() {
    same_as::<Unit, ()>(&Unit, &());
    same_as::<Id, u64>(&Id(7), &7);
    same_as::<Handle, (NonZeroU16,)>(&Handle { number: NonZeroU16::MAX }, &(NonZeroU16::MAX,));
    same_as::<Text, &str>(&Text("birch"), &"birch");
    same_as::<Point, (i16, u8)>(&Point { x: -1, r#type: 2 }, &(-1, 2));
    let named = Named { name: "birch", count: 3, tail: &[1] };
    same_as::<Named, (&str, u32, &[u8])>(&named, &("birch", 3, &[1]));

    let encoded = |name, count| Named::as_bytes(&Named { name, count, tail: b"" });
    keys_as::<Named, (&str, u32, &[u8])>(&[encoded("birch bark", 1), encoded("birds", 2), encoded("cedar", 3)]);
    keys_as::<Text, &str>(&[b"birch bark".to_vec(), b"birds".to_vec(), b"cedar".to_vec()]);
    keys_as::<Point, (i16, u8)>(&[Point::as_bytes(&Point { x: -3, r#type: 2 }), vec![1, 2, 3]]);
    keys_as::<Pair<[u8; 4], [u8; 4]>, ([u8; 4], [u8; 4])>(&[vec![1; 8], vec![2; 8]]);
    keys_as::<(Pair<Id>,), (Id, u8)>(&[vec![1; 9], vec![2; 9]]);
}

#[test]
fn enums_in_bytes() {
    assert_eq!(Kind::as_bytes(&Kind::Fir), [3]);
    assert_eq!(Kind::fixed_width(), Some(1));
    assert_eq!(Shape::fixed_width(), Some(6));
    assert_eq!(Shape::as_bytes(&Shape::Dot), [0, 0, 0, 0, 0, 0]);
    assert_eq!(Shape::as_bytes(&Shape::Circle(0x0102)), [1, 2, 1, 0, 0, 0]);
    assert_eq!(Shape::as_bytes(&Shape::Rectangle { width: 3, height: -1 }), [2, 3, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(Place::<u16>::fixed_width(), None);
    assert_eq!(Place::<u16>::as_bytes(&Place::Nowhere), [0]);
    assert_eq!(Place::<u16>::as_bytes(&Place::City("ab")), b"\x01ab");
    assert_eq!(Place::<u16>::as_bytes(&Place::Street { city: "ab", number: 1 }), b"\x02\x02ab\x01\0");
    let long = Place::Long(1_u16, [8, 9], "x".into(), Some(b"y"));
    assert_eq!(Place::<u16>::as_bytes(&long), b"\x03\x01\x01\0\x08\x09x\x01y");
}

#[test]
fn what_is_known_of_the_order_of_enums() {
    assert_eq!((Kind::ORDER, Kind::EXACT_HEAD_BITS), (KeyOrder::Heads, Some(3)));
    assert_eq!((Only::ORDER, Only::EXACT_HEAD_BITS), (KeyOrder::Heads, Some(32)));
    assert_eq!(Shape::EXACT_HEAD_BITS, Some(2 + 40));
    assert_eq!((Place::<u16>::ORDER, Place::<u16>::EXACT_HEAD_BITS), (KeyOrder::Heads, None));
    assert_eq!(<(Kind, Kind)>::EXACT_HEAD_BITS, Some(6));
    assert_eq!(Kind::head(&[3]), 3 << 61);
    assert_eq!(Shape::head(&[1, 2, 1, 0, 0, 0]), 1 << 62 | 0x0102 << 46);
    assert_eq!(<Place<u16>>::head(b"\x01ab"), 1 << 62 | 0x6162 << 46);
}

#[test]
fn what_holds_a_users_key_is_opaque() {
    #[derive(Debug, Key, Value)]
    #[sapwood(crate = "crate")]
    enum Holder<T> {
        Empty,
        Full(u8, T),
    }
    type Opaque = Holder<Reversed>;
    assert_eq!((Opaque::ORDER, Opaque::EXACT_HEAD_BITS), (KeyOrder::Opaque, None));
    assert_eq!(Pair::<u64, Reversed>::ORDER, KeyOrder::Opaque);
    assert_eq!((Opaque::head(&[1, 2, 3]), Pair::<u64, Reversed>::head(&[1; 9])), (0, 0));
    let [less, more] = [9, 7].map(|second| [1, 5, second]);
    assert_eq!(Opaque::compare(&less, &more), Ordering::Less);
    assert_eq!(Opaque::compare(&Opaque::as_bytes(&Holder::Empty), &less), Ordering::Less);
    assert_eq!(Opaque::as_bytes(&Holder::Full(5, 7)), more);
}

#[test]
fn bad_bytes_of_derived_types_are_refused() {
    fn check<V: Value>(data: &[u8]) {
        assert!(!V::validate(data), "{data:?}");
    }
    check::<Unit>(&[0]);
    check::<Id>(&[0; 7]);
    check::<Handle>(&[0, 0]);
    check::<Text>(&[0xff]);
    check::<Point>(&[0; 4]);
    check::<Named>(b"\x05abcd\0\0\0\0");
    check::<Kind>(&[]);
    check::<Kind>(&[5]);
    check::<Kind>(&[0, 0]);
    check::<Shape>(&[0]);
    check::<Shape>(&[0, 0, 0, 0, 0, 1]);
    check::<Shape>(&[1, 1, 1, 1, 0, 0]);
    check::<Shape>(&[3, 0, 0, 0, 0, 0]);
    check::<Shape>(&[2, 0, 0, 0, 0, 0, 0]);
    check::<Place<u16>>(&[0, 0]);
    check::<Place<u16>>(b"\x02\x03ab\x01\0");
    check::<Place<bool>>(b"\x02\x02ab\x02");
}

#[test]
fn names_are_declarations() {
    fn name<V: Value>() -> String {
        V::type_name().name().into()
    }
    assert_eq!(name::<Unit>(), "struct Unit");
    assert_eq!(name::<Nothing>(), "struct Nothing{}");
    assert_eq!(name::<Point>(), "struct Point{x:i16,type:u8}");
    assert_eq!(name::<Pair<Id, &str>>(), "struct Pair(struct Id(u64),&str)");
    assert_eq!(name::<Many<3>>(), "struct Many([u16;3])");
    assert_eq!(name::<Kind>(), "enum Kind{Oak,Ash,Elm,Fir,Yew}");
    assert_eq!(name::<Shape>(), "enum Shape{Dot,Circle(u16),Rectangle{width:u8,height:i32}}");
}

#[test]
fn names_of_derived_and_other_types_differ() {
    assert_ne!(Unit::type_name(), TypeName::new("struct Unit"));
    assert_ne!(Pair::<Reversed>::type_name(), TypeName::new("struct Pair(Reversed,u8)"));
    assert_eq!(TypeName::from_bytes(&Pair::<Reversed>::type_name().to_bytes()), Some(Pair::<Reversed>::type_name()));
}
