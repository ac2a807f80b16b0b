use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64,
    NonZeroU128,
};
use proptest::collection::vec as many;
use proptest::prelude::*;

#[cfg(feature = "derive")]
#[cfg(test)]
mod derived;
#[cfg(feature = "bytemuck")]
#[cfg(test)]
mod pod;
#[cfg(feature = "postcard")]
#[cfg(test)]
mod postcard;

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![3 => 0_u8..5, 2 => 0x7e_u8..0x82, 1 => b'a'..b'd', 2 => 0xfd_u8..=0xff, 1 => any::<u8>()]
}

/// Bytes near those of a valid encoding, or far from any.
fn damaged(valid: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let near = (valid, any::<prop::sample::Index>(), byte(), 0..4).prop_map(|(mut data, at, byte, damage)| {
        match (damage, data.is_empty()) {
            (0, _) => data.push(byte),
            (_, true) => {}
            (1, _) => data.truncate(at.index(data.len())),
            _ => {
                let at = at.index(at.index(data.len()) + 1);
                data[at] = byte;
            }
        }
        data
    });
    prop_oneof![3 => near, 1 => many(byte(), 0..20)]
}

fn mixed<S: Strategy<Value = Vec<u8>>>(valid: fn() -> S) -> impl Strategy<Value = Vec<Vec<u8>>> {
    many(prop_oneof![1 => valid(), 2 => damaged(valid())], 4).prop_map(|mut all| {
        let shorter = all[0].split_last().map_or_else(Vec::new, |(_, shorter)| shorter.to_vec());
        all.push([&shorter[..], &[0]].concat());
        all.push(shorter);
        all
    })
}

fn check_any_bytes<V: Value>(data: &[u8]) {
    let value = V::from_bytes(data);
    if V::validate(data) {
        assert_eq!(V::as_bytes(&value).as_ref(), data, "{value:?}");
        assert!(V::fixed_width().is_none_or(|width| width == data.len()));
    }
}

fn check_pair<K: Key>(a: &[u8], b: &[u8]) {
    let (head_a, head_b) = (K::head(a), K::head(b));
    let order = K::compare(a, b);
    assert_eq!(order, K::compare(b, a).reverse());
    assert!(order.is_ne() || head_a == head_b);
    assert!(order.is_gt() || head_a <= head_b, "{a:?} {b:?} {head_a:x} {head_b:x}");
    let whole = |data: &[u8]| K::fixed_width().is_none_or(|width| width == data.len());
    if K::ORDER == KeyOrder::Bytes && whole(a) && whole(b) {
        assert_eq!(order, a.cmp(b));
    }
    if let Some(bits) = K::EXACT_HEAD_BITS {
        assert_eq!(order, head_a.cmp(&head_b), "{a:?} {b:?} {head_a:x} {head_b:x}");
        assert_eq!(head_a.checked_shl(bits).unwrap_or(0), 0);
    }
    if order.is_lt() {
        check_separator::<K>(a, b);
    }
}

fn check_separator<K: Key>(left: &[u8], right: &[u8]) {
    let separator = K::separator(left, right);
    assert!(K::compare(left, &separator).is_le(), "{left:?} {separator:?} {right:?}");
    assert!(K::compare(&separator, right).is_lt(), "{left:?} {separator:?} {right:?}");
    assert!(separator.len() <= left.len());
    assert!(K::validate(&separator) || !(K::validate(left) && K::validate(right)));
}

fn check_keys<K: Key>(keys: &[Vec<u8>]) {
    for a in keys {
        check_any_bytes::<K>(a);
        assert!(K::min_encoded_key().is_none_or(|min| K::validate(&min) && K::compare(&min, a).is_le()));
        for b in keys {
            check_pair::<K>(a, b);
            for c in keys {
                let transitive = K::compare(a, b).is_gt() || K::compare(b, c).is_gt() || K::compare(a, c).is_le();
                assert!(transitive, "{a:?} {b:?} {c:?}");
            }
        }
    }
}

fn check_like_redb<K: Key + redb::Key>(keys: &[Vec<u8>]) {
    for a in keys {
        for b in keys {
            assert_eq!(<K as Key>::compare(a, b), <K as redb::Key>::compare(a, b), "{a:?} {b:?}");
        }
    }
}

/// A module of tests for each type: its name, an owned value's strategy, and how to view that as the type's value.
macro_rules! types {
    ($kind:ident: $($name:ident $type:ty: $owned:expr, |$value:pat_param| $view:expr;)*) => {$(
        mod $name {
            use super::*;

            fn valid() -> impl Strategy<Value = Vec<u8>> {
                ($owned).prop_map(|$value| {
                    let value: <$type as Value>::SelfType<'_> = $view;
                    let ours = <$type as Value>::as_bytes(&value);
                    let ours: &[u8] = ours.as_ref();
                    let theirs = <$type as redb::Value>::as_bytes(&value);
                    assert_eq!(ours, AsRef::<[u8]>::as_ref(&theirs), "{value:?}");
                    assert!(<$type as Value>::validate(ours), "{value:?}");
                    assert_eq!(format!("{:?}", <$type as Value>::from_bytes(ours)), format!("{value:?}"));
                    ours.to_vec()
                })
            }

            #[test]
            fn name_and_width_are_redbs() {
                let name = <$type as Value>::type_name();
                assert_eq!(name.name(), <$type as redb::Value>::type_name().name());
                assert_ne!(name, TypeName::new(name.name()), "a user's type may have this name");
                assert_eq!(<$type as Value>::fixed_width(), <$type as redb::Value>::fixed_width());
                assert_eq!(<$type as Value>::NICHE, <$type as redb::Value>::NICHE);
            }

            types!(@$kind $type);
        }
    )*};
    (@keys $type:ty) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(48))]

            #[test]
            fn any_bytes_obey_the_laws(keys in mixed(valid)) {
                check_keys::<$type>(&keys);
            }

            #[test]
            fn order_is_redbs(keys in many(valid(), 4)) {
                check_like_redb::<$type>(&keys);
                check_keys::<$type>(&keys);
            }
        }
    };
    (@values $type:ty) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(200))]

            #[test]
            fn any_bytes_are_read_or_refused(all in mixed(valid)) {
                all.iter().for_each(|data| check_any_bytes::<$type>(data));
            }
        }
    };
}

fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![3 => Just('a'), 2 => Just('\u{7f}'), 1 => any::<char>()];
    many(character, 0..5).prop_map(|characters| characters.into_iter().collect())
}

fn long_text() -> impl Strategy<Value = String> {
    prop_oneof![4 => text(), 1 => Just("x".repeat(254)), 1 => Just("y".repeat(66_000))]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    many(byte(), 0..12)
}

types! { keys:
    unit (): Just(()), |value| value;
    boolean bool: any::<bool>(), |value| value;
    character char: any::<char>(), |value| value;
    u_8 u8: any::<u8>(), |value| value;
    u_16 u16: any::<u16>(), |value| value;
    u_32 u32: any::<u32>(), |value| value;
    u_64 u64: any::<u64>(), |value| value;
    u_128 u128: any::<u128>(), |value| value;
    i_8 i8: any::<i8>(), |value| value;
    i_16 i16: any::<i16>(), |value| value;
    i_32 i32: any::<i32>(), |value| value;
    i_64 i64: any::<i64>(), |value| value;
    i_128 i128: any::<i128>(), |value| value;
    nonzero_u8 NonZeroU8: any::<NonZeroU8>(), |value| value;
    nonzero_u16 NonZeroU16: any::<NonZeroU16>(), |value| value;
    nonzero_u32 NonZeroU32: any::<NonZeroU32>(), |value| value;
    nonzero_u64 NonZeroU64: any::<NonZeroU64>(), |value| value;
    nonzero_u128 NonZeroU128: any::<NonZeroU128>(), |value| value;
    nonzero_i8 NonZeroI8: any::<NonZeroI8>(), |value| value;
    nonzero_i16 NonZeroI16: any::<NonZeroI16>(), |value| value;
    nonzero_i32 NonZeroI32: any::<NonZeroI32>(), |value| value;
    nonzero_i64 NonZeroI64: any::<NonZeroI64>(), |value| value;
    nonzero_i128 NonZeroI128: any::<NonZeroI128>(), |value| value;
    byte_slice &[u8]: bytes(), |ref value| value;
    bytes_3 &[u8; 3]: any::<[u8; 3]>(), |ref value| value;
    bytes_12 &[u8; 12]: [byte(), byte()].prop_map(|[a, b]| [a, a, a, a, a, a, a, a, a, b, b, b]), |ref value| value;
    string String: text(), |value| value;
    str_slice &str: text(), |ref value| value;
    option_unit Option<()>: any::<Option<()>>(), |value| value;
    option_bool Option<bool>: any::<Option<bool>>(), |value| value;
    option_option_u8 Option<Option<u8>>: any::<Option<Option<u8>>>(), |value| value;
    option_u64 Option<u64>: any::<Option<u64>>(), |value| value;
    option_nonzero Option<NonZeroI16>: any::<Option<NonZeroI16>>(), |value| value;
    option_option_nonzero Option<Option<NonZeroU8>>: any::<Option<Option<NonZeroU8>>>(), |value| value;
    option_str Option<&str>: prop::option::of(text()), |ref value| value.as_deref();
    array_u8 [u8; 5]: [byte(), byte(), byte(), byte(), byte()], |value| value;
    array_u8_long [u8; 9]: [byte(), byte()].prop_map(|[a, b]| [a, a, a, a, a, a, a, a, b]), |value| value;
    array_i16 [i16; 3]: any::<[i16; 3]>(), |value| value;
    array_none [String; 0]: any::<[u8; 0]>(), |value| value.map(|_: u8| String::new());
    array_bool [bool; 30]: any::<u32>(), |value| core::array::from_fn(|bit| value >> bit & 1 == 1);
    array_str [&str; 2]: [text(), text()], |ref value| value.each_ref().map(String::as_str);
    array_option [Option<String>; 2]: [prop::option::of(text()), prop::option::of(text())], |value| value;
    array_array [[u8; 2]; 3]: any::<[[u8; 2]; 3]>(), |value| value;
    tuple_u32 (u32,): any::<(u32,)>(), |value| value;
    tuple_str (&str,): text(), |ref value| (value.as_str(),);
    tuple_nonzero Option<(NonZeroU16,)>: any::<Option<(NonZeroU16,)>>(), |value| value;
    tuple_fixed (u16, i8): any::<(u16, i8)>(), |value| value;
    tuple_full (u32, char, bool, i16): any::<(u32, char, bool, i16)>(), |value| value;
    tuple_tail (u8, &str): (byte(), text()), |(a, ref b)| (a, b.as_str());
    tuple_lead (&str, i64): (long_text(), any::<i64>()), |(ref a, b)| (a.as_str(), b);
    tuple_mixed (bool, &[u8], u8, String, Option<&str>): (any::<bool>(), bytes(), byte(), text(), text()),
        |(a, ref b, c, d, ref e)| (a, b.as_slice(), c, d, Some(e.as_str()));
    tuple_nested ((u8, &str), (i8, bool)): (byte(), text(), any::<(i8, bool)>()), |(a, ref b, c)| ((a, b.as_str()), c);
    tuple_12 (u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, String): (any::<[u8; 11]>(), text()), |(a, b)|
        (a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], b);
    tuple_7 (String, u8, &[u8], (), String, bool, char):
        (text(), byte(), bytes(), text(), any::<bool>(), any::<char>()),
        |(a, b, ref c, d, e, f)| (a, b, c.as_slice(), (), d, e, f);
}

types! { values:
    f_32 f32: any::<f32>(), |value| value;
    f_64 f64: any::<f64>(), |value| value;
    vec_u16 Vec<u16>: many(any::<u16>(), 0..5), |value| value;
    vec_unit Vec<()>: many(Just(()), 0..300), |value| value;
    vec_str Vec<&str>: many(long_text(), 0..5), |ref value| value.iter().map(String::as_str).collect();
    vec_vec Vec<Vec<Option<u8>>>: many(any::<Vec<Option<u8>>>(), 0..4), |value| value;
    vec_tuple Vec<(u8, String)>: many((byte(), text()), 0..4), |value| value;
    vec_long Vec<bool>: many(any::<bool>(), 0..600), |value| value;
    tuple_vec (Vec<u8>, f32, [Vec<u8>; 2]): (bytes(), any::<f32>(), [bytes(), bytes()]), |value| value;
    option_vec Option<Vec<u32>>: any::<Option<Vec<u32>>>(), |value| value;
}

#[cfg(feature = "uuid")]
types! { keys:
    uuids ::uuid::Uuid: byte_pair(), |value| ::uuid::Uuid::from_bytes(value);
    optional_uuid Option<::uuid::Uuid>: prop::option::of(byte_pair()), |value| value.map(::uuid::Uuid::from_bytes);
}

/// Sixteen bytes, often the same.
#[cfg(feature = "uuid")]
fn byte_pair() -> impl Strategy<Value = [u8; 16]> {
    [byte(), byte()].prop_map(|[a, b]| [a, a, a, a, a, a, a, a, a, b, b, b, b, b, b, b])
}

#[cfg(feature = "chrono_v0_4")]
#[cfg(test)]
mod chrono;

/// A user's key, which says nothing of its order.
#[derive(Debug)]
struct Reversed;

impl Value for Reversed {
    type SelfType<'a> = u8;
    type AsBytes<'a> = [u8; 1];

    fn fixed_width() -> Option<usize> {
        Some(1)
    }

    fn from_bytes<'a>(data: &'a [u8]) -> u8
    where
        Self: 'a,
    {
        data[0]
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a u8) -> [u8; 1]
    where
        Self: 'b,
    {
        [*value]
    }

    fn type_name() -> TypeName {
        TypeName::new("Reversed")
    }
}

impl Key for Reversed {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        data2.cmp(data1)
    }
}

#[test]
fn composites_of_users_keys_are_opaque() {
    fn check<K: Key>() {
        assert_eq!(K::ORDER, KeyOrder::Opaque);
        assert_eq!(K::EXACT_HEAD_BITS, None);
        assert_eq!(K::head(&[1; 20]), 0);
    }
    check::<Reversed>();
    check::<(Reversed,)>();
    check::<Option<Reversed>>();
    check::<[Reversed; 2]>();
    check::<(u64, Reversed)>();
    check::<(u8, Option<[Reversed; 2]>, &str)>();
}

#[test]
fn what_is_known_of_the_order() {
    assert_eq!(<[u8; 32]>::ORDER, KeyOrder::Bytes);
    assert_eq!(<[u8; 4]>::EXACT_HEAD_BITS, Some(32));
    assert_eq!(<[u8; 9]>::EXACT_HEAD_BITS, None);
    assert_eq!(<[[u8; 2]; 9]>::ORDER, KeyOrder::Bytes);
    assert_eq!(<[&str; 2]>::ORDER, KeyOrder::Heads);
    assert_eq!(<[u16; 2]>::ORDER, KeyOrder::Heads);
    assert_eq!(<[u16; 4]>::EXACT_HEAD_BITS, Some(64));
    assert_eq!(<[u16; 5]>::EXACT_HEAD_BITS, None);
    assert_eq!(<(u32, char, bool)>::EXACT_HEAD_BITS, Some(54));
    assert_eq!(<(u32, u32)>::EXACT_HEAD_BITS, Some(64));
    assert_eq!(<(u64, u8)>::EXACT_HEAD_BITS, None);
    assert_eq!(<Option<Option<u8>>>::EXACT_HEAD_BITS, Some(10));
    assert_eq!(<(u8, &str)>::EXACT_HEAD_BITS, None);
}

#[test]
fn golden_heads() {
    assert_eq!(u16::head(&[1, 2]), 0x0201 << 48);
    assert_eq!(i16::head(&(-1_i16).to_le_bytes()), 0x7fff << 48);
    assert_eq!(u128::head(&(7_u128 << 64 | 9).to_le_bytes()), 7);
    assert_eq!(<&str>::head(b"ab"), 0x6162 << 48);
    assert_eq!(<&[u8]>::head(b"abcdefghij"), 0x6162_6364_6566_6768);
    assert_eq!(<(u8, &str, u8)>::head(b"\x02\x01abz"), 0x0161_6200_0000_0000);
    assert_eq!(<(u16, u8)>::head(&[1, 2, 3]), 0x0201_0300_0000_0000);
    assert_eq!(<Option<u8>>::head(&[1, 0xff]), 0xff80 << 48);
    assert_eq!(<[&str; 2]>::head(&<[&str; 2]>::as_bytes(&["ab", "c"])), 0x6162 << 48);
}

#[test]
fn golden_bytes() {
    assert_eq!(u32::as_bytes(&0x0102), [2, 1, 0, 0]);
    assert_eq!(char::as_bytes(&'\u{1f600}'), [0, 0xf6, 1]);
    assert_eq!(<Option<u16>>::as_bytes(&None), [0, 0, 0]);
    assert_eq!(<Option<u16>>::as_bytes(&Some(5)), [1, 5, 0]);
    assert_eq!(<Option<&str>>::as_bytes(&None), [0]);
    assert_eq!(<Option<NonZeroU16>>::as_bytes(&None), [0, 0]);
    assert_eq!(<Option<NonZeroU16>>::as_bytes(&NonZeroU16::new(5)), [5, 0]);
    assert_eq!(<[&str; 2]>::as_bytes(&["ab", "c"]), b"\x0a\0\0\0\x0b\0\0\0abc");
    assert_eq!(<Vec<&str>>::as_bytes(&vec!["ab", "c"]), b"\x02\x02ab\x01c");
    assert_eq!(<Vec<u16>>::as_bytes(&vec![1, 2]), [2, 1, 0, 2, 0]);
    assert_eq!(<(&str, u8, &str)>::as_bytes(&("ab", 7, "c")), b"\x02ab\x07c");
}

#[test]
fn bad_bytes_are_refused() {
    fn check<V: Value>(data: &[u8]) {
        assert!(!V::validate(data), "{data:?}");
    }
    check::<()>(&[0]);
    check::<bool>(&[2]);
    check::<bool>(&[]);
    check::<u32>(&[0; 3]);
    check::<f64>(&[0; 9]);
    check::<char>(&[0, 0xd8, 0]);
    check::<char>(&[0, 0, 0x11]);
    check::<NonZeroI64>(&[0; 8]);
    check::<&str>(&[0xc3]);
    check::<&[u8; 3]>(&[0; 4]);
    check::<Option<u8>>(&[2, 0]);
    check::<Option<u8>>(&[0, 1]);
    check::<Option<u8>>(&[]);
    check::<Option<&str>>(&[0, 0]);
    check::<Option<bool>>(&[1, 2]);
    check::<[bool; 2]>(&[1, 2]);
    check::<[&str; 0]>(&[0]);
    check::<[&str; 2]>(b"\x0b\0\0\0\x0a\0\0\0abc");
    check::<[&str; 2]>(b"\x08\0\0\0\x09\0\0\0ab");
    check::<[&str; 1]>(b"\0\0\0\0");
    check::<Vec<u8>>(&[2, 0]);
    check::<Vec<u8>>(&[1, 0, 0]);
    check::<Vec<&str>>(&[1, 1, 0xff]);
    check::<(u8, bool)>(&[0, 2]);
    check::<(u8, bool)>(&[0, 1, 0]);
    check::<(&str, u8)>(b"\x01a");
    check::<(&str, u8)>(b"\x01abc");
    check::<(&str, &str)>(b"\xfe\x01\0ab");
    check::<((&str, u8), u8)>(b"\x03\x02ab");
}

#[test]
fn a_few_bytes_do_not_ask_for_all_memory() {
    let most = [0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(!<Vec<&[u8; 0]>>::validate(&most));
    assert!(<Vec<&[u8; 0]>>::from_bytes(&most).is_empty());
    assert!(!<Vec<u64>>::validate(&most));
    assert!(<Vec<&str>>::from_bytes(&most).is_empty());
}

#[test]
fn bytes_are_seen_in_place() {
    let mut data = *b"abc";
    <&[u8] as MutInPlaceValue>::initialize(&mut data);
    <&[u8] as MutInPlaceValue>::from_bytes_mut(&mut data)[0] = b'x';
    assert_eq!(&data, b"xbc");
}

/// All strings of at most three of the symbols.
fn strings<S: Copy>(symbols: &[S]) -> Vec<Vec<S>> {
    let mut out = vec![Vec::new()];
    let mut begin = 0;
    for _ in 0..3 {
        let end = out.len();
        for i in begin..end {
            out.extend(symbols.iter().map(|symbol| [&out[i][..], &[*symbol]].concat()).collect::<Vec<_>>());
        }
        begin = end;
    }
    out
}

/// Checks that no other string is a shorter separator.
fn check_shortest<K: Key>(keys: &[Vec<u8>], others: &[Vec<u8>]) {
    for left in keys {
        for right in keys.iter().filter(|right| left < *right) {
            check_separator::<K>(left, right);
            let length = K::separator(left, right).len();
            let shorter = others.iter().filter(|other| other.len() < length);
            let better = shorter.clone().find(|other| left <= *other && *other < right);
            assert_eq!(better, None, "{left:?} {right:?}");
        }
    }
}

#[test]
fn separators_of_bytes_are_shortest() {
    check_shortest::<&[u8]>(&strings(&[0, 1, 2, 0xfe, 0xff]), &strings(&[0, 1, 2, 3, 0xfe, 0xff]));
}

#[test]
fn separators_of_composites_are_short() {
    fn check<K: Key>(left: &K::SelfType<'_>, right: &K::SelfType<'_>, between: &K::SelfType<'_>) {
        let (left, right) = (K::as_bytes(left), K::as_bytes(right));
        check_separator::<K>(left.as_ref(), right.as_ref());
        assert_eq!(K::separator(left.as_ref(), right.as_ref()), K::as_bytes(between).as_ref());
    }
    check::<Option<&str>>(&Some("birch bark"), &Some("birds"), &Some("bird"));
    check::<Option<&str>>(&None, &Some("birds"), &None);
    check::<(&str,)>(&("birch",), &("cedar",), &("c",));
    check::<(u64, &str)>(&(7, "birch"), &(7, "cedar"), &(7, "c"));
    check::<(u64, &str)>(&(7, "birch"), &(8, "cedar"), &(8, ""));
    check::<(u64, &str)>(&(7, "birch"), &(8, ""), &(7, "birch"));
    check::<(u64, u8, &str)>(&(7, 9, "birch"), &(8, 1, "cedar"), &(8, 1, ""));
    check::<(&str, u64, &[u8])>(&("birch", 1, b"bark"), &("cedar", 2, b"cone"), &("c", 2, b""));
    check::<(&str, Option<u8>)>(&("birch", Some(1)), &("cedar", Some(2)), &("c", None));
    check::<(String, u8)>(&("x".repeat(300), 1), &("y".repeat(300), 1), &("y".into(), 1));
    check::<(u64, u8)>(&(1, 1), &(2, 2), &(1, 1));
}

#[test]
fn separators_of_text_are_shortest() {
    let encode = |symbols: &[char]| -> Vec<Vec<u8>> {
        let texts = strings(symbols).into_iter();
        texts.map(|text| text.into_iter().collect::<String>().into_bytes()).collect()
    };
    let keys = encode(&['a', 'b', '\u{7f}', '\u{80}', char::MAX]);
    check_shortest::<&str>(&keys, &encode(&['\0', 'a', 'b', 'c', '\u{7f}', '\u{80}', '\u{81}', char::MAX]));
    let keys = encode(&['\u{7ff}', '\u{800}', '\u{d7ff}', '\u{e000}', '\u{ffff}']);
    check_shortest::<String>(&keys, &encode(&['\0', '\u{7ff}', '\u{800}', '\u{801}', '\u{e000}', '\u{10000}']));
}
