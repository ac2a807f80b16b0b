//! Values whose bytes in memory are their bytes in the file.

use super::*;
use crate::types::Pod;
use bytemuck::{AnyBitPattern, NoUninit};

#[derive(Clone, Copy, Debug, PartialEq, AnyBitPattern, NoUninit)]
#[repr(C)]
struct Point {
    id: u64,
    x: i16,
    y: [u8; 6],
}

/// Of the strictest alignment that numbers have.
#[derive(Clone, Copy, Debug, PartialEq, AnyBitPattern, NoUninit)]
#[repr(C)]
struct Wide(u128, [u64; 2]);

/// Reads the value at all distances from an aligned address.
fn check_at_all_places<T: AnyBitPattern + NoUninit + PartialEq + Debug>(value: T) {
    let bytes = <Pod<T>>::as_bytes(&Pod(value)).to_vec();
    assert_eq!(<Pod<T>>::fixed_width(), Some(bytes.len()));
    for before in 0..align_of::<T>() + 1 {
        let mut room = vec![0_u8; before];
        room.extend_from_slice(&bytes);
        let data = &room[before..];
        assert!(<Pod<T>>::validate(data));
        assert_eq!(<Pod<T>>::from_bytes(data).0, value, "{before}");
        check_any_bytes::<Pod<T>>(data);
    }
}

proptest! {
    #[test]
    fn values_come_back_from_anywhere(id in any::<u64>(), x in any::<i16>(), y in any::<[u8; 6]>(), wide in any::<u128>()) {
        check_at_all_places(Point { id, x, y });
        check_at_all_places(Wide(wide, [id, !id]));
        check_at_all_places(y);
        check_at_all_places(id);
    }

    #[test]
    fn any_bytes_of_the_width_are_a_value(data in many(any::<u8>(), 0..40)) {
        check_any_bytes::<Pod<Point>>(&data);
        prop_assert_eq!(<Pod<Point>>::validate(&data), data.len() == 16);
        check_any_bytes::<Option<Pod<Point>>>(&data);
        check_any_bytes::<(u8, Pod<Point>)>(&data);
        check_any_bytes::<Vec<Pod<u32>>>(&data);
    }
}

#[test]
fn too_few_or_too_many_bytes_are_refused() {
    for length in [0, 1, 15, 17, 32] {
        let data = vec![0xff; length];
        assert!(!<Pod<Point>>::validate(&data));
        assert_eq!(<Pod<Point>>::from_bytes(&data).0, Point { id: 0, x: 0, y: [0; 6] });
    }
    assert!(<Pod<()>>::validate(&[]));
    assert!(!<Pod<()>>::validate(&[0]));
}

#[test]
fn bytes_are_those_in_memory() {
    let point = Point { id: 0x0102_0304_0506_0708, x: -2, y: *b"abcdef" };
    let expected = [&point.id.to_ne_bytes()[..], &point.x.to_ne_bytes(), b"abcdef"].concat();
    assert_eq!(<Pod<Point>>::as_bytes(&Pod(point)), expected);
}

#[test]
fn a_name_contains_that_of_the_type_and_depends_on_the_byte_order() {
    let name = <Pod<Point>>::type_name();
    let prefix = if 1_u16.to_ne_bytes() == [1, 0] { "Pod" } else { "PodBigEndian" };
    assert_eq!(name.name(), format!("{prefix}<{}>", core::any::type_name::<Point>()));
    assert!(name.name().ends_with("::pod::Point>"));
    assert_ne!(name, <Pod<Wide>>::type_name());
    assert_ne!(name, TypeName::new(name.name()));
    assert_ne!(<Pod<u32>>::type_name(), <Pod<i32>>::type_name());
}
