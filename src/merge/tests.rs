use super::*;
use crate::types::Value;
use alloc::string::ToString;
use alloc::vec;

type Merged = Result<Option<Vec<u8>>, MergeError>;

fn merge(operator: &dyn MergeOperator, existing: &[u8], operand: &[u8]) -> Merged {
    operator.merge(b"key", Some(existing), operand)
}

fn some(bytes: impl AsRef<[u8]>) -> Merged {
    Ok(Some(bytes.as_ref().to_vec()))
}

fn numeric() -> Vec<&'static dyn MergeOperator> {
    vec![
        &NumericAdd,
        &SaturatingAdd::Unsigned,
        &SaturatingAdd::Signed,
        &CheckedAdd::Unsigned,
        &CheckedAdd::Signed,
        &NumericMax::Unsigned,
        &NumericMax::Signed,
        &NumericMin::Unsigned,
        &NumericMin::Signed,
    ]
}

/// The numbers of a type at which sums and orders turn, and some between.
macro_rules! edges {
    ($number:ident) => {{
        let mut edges = vec![$number::MIN, $number::MIN + 1, $number::MAX - 1, $number::MAX, $number::MAX / 2, 0, 1, 2];
        let mut state = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
        for _ in 0..24 {
            state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).rotate_left(29) ^ 0x5bd1;
            edges.push(state as $number);
        }
        edges
    }};
}

macro_rules! against_the_type {
    ($test:ident, $number:ident, $kind:ident) => {
        #[test]
        fn $test() {
            for a in edges!($number) {
                for b in edges!($number) {
                    let (one, other) = (a.to_le_bytes(), b.to_le_bytes());
                    let made = |operator: &dyn MergeOperator| merge(operator, &one, &other);
                    assert_eq!(made(&NumericAdd), some(a.wrapping_add(b).to_le_bytes()), "{a} + {b}");
                    assert_eq!(made(&SaturatingAdd::$kind), some(a.saturating_add(b).to_le_bytes()), "{a} + {b}");
                    assert_eq!(made(&NumericMax::$kind), some(a.max(b).to_le_bytes()), "{a} max {b}");
                    assert_eq!(made(&NumericMin::$kind), some(a.min(b).to_le_bytes()), "{a} min {b}");
                    match a.checked_add(b) {
                        Some(sum) => assert_eq!(made(&CheckedAdd::$kind), some(sum.to_le_bytes()), "{a} + {b}"),
                        None => assert!(matches!(made(&CheckedAdd::$kind), Err(MergeError::Refused(_))), "{a} + {b}"),
                    }
                }
            }
        }
    };
}
against_the_type!(numbers_are_merged_as_u8, u8, Unsigned);
against_the_type!(numbers_are_merged_as_u16, u16, Unsigned);
against_the_type!(numbers_are_merged_as_u32, u32, Unsigned);
against_the_type!(numbers_are_merged_as_u64, u64, Unsigned);
against_the_type!(numbers_are_merged_as_u128, u128, Unsigned);
against_the_type!(numbers_are_merged_as_i8, i8, Signed);
against_the_type!(numbers_are_merged_as_i16, i16, Signed);
against_the_type!(numbers_are_merged_as_i32, i32, Signed);
against_the_type!(numbers_are_merged_as_i64, i64, Signed);
against_the_type!(numbers_are_merged_as_i128, i128, Signed);

macro_rules! against_the_float {
    ($test:ident, $float:ident, $bits:ident) => {
        #[test]
        fn $test() {
            let mut floats = vec![0.0, -0.0, 1.0, -1.5, $float::MAX, $float::MIN, $float::MIN_POSITIVE];
            floats.extend([$float::INFINITY, $float::NEG_INFINITY, $float::NAN, -$float::NAN, $float::EPSILON]);
            floats.extend([$float::from_bits(1), $float::from_bits($bits::MAX)]);
            floats.extend(edges!($bits).into_iter().map($float::from_bits));
            for a in &floats {
                for b in &floats {
                    let (one, other) = (a.to_le_bytes(), b.to_le_bytes());
                    let canonical = |float: $float| if float.is_nan() { $float::NAN } else { float };
                    assert_eq!(merge(&FloatAdd, &one, &other), some(canonical(a + b).to_le_bytes()), "{a} + {b}");
                    let (low, high) = if a.total_cmp(b).is_le() { (a, b) } else { (b, a) };
                    let of_two = |kept: &$float| match (a.is_nan(), b.is_nan()) {
                        (true, _) => canonical(*b),
                        (_, true) => *a,
                        _ => *kept,
                    };
                    assert_eq!(merge(&NumericMax::Float, &one, &other), some(of_two(high).to_le_bytes()), "{a} {b}");
                    assert_eq!(merge(&NumericMin::Float, &one, &other), some(of_two(low).to_le_bytes()), "{a} {b}");
                }
            }
        }
    };
}
against_the_float!(floats_of_four_bytes_are_merged_as_such, f32, u32);
against_the_float!(floats_of_eight_bytes_are_merged_as_such, f64, u64);

#[test]
fn without_a_value_the_operand_is_the_value() {
    let operand = 0x0102_0304_u32.to_le_bytes();
    let others: [&dyn MergeOperator; 7] =
        [&FloatAdd, &NumericMax::Float, &NumericMin::Float, &BitwiseAnd, &BitwiseOr, &BitwiseXor, &BytesAppend];
    for operator in numeric().into_iter().chain(others) {
        assert_eq!(operator.merge(b"", None, &operand), some(operand), "{}", operator.name());
    }
    assert_eq!(BytesAppend.merge(b"", None, b""), some(b""));
}

#[test]
fn widths_that_differ_or_are_no_number_s_are_refused() {
    for operator in numeric() {
        for existing in 0..20 {
            for operand in 0..20 {
                let made = merge(operator, &vec![1; existing], &vec![1; operand]);
                let fits = existing == operand && [1, 2, 4, 8, 16].contains(&operand);
                let expected = if fits { None } else { Some(MergeError::WidthMismatch { existing, operand }) };
                assert_eq!(made.err(), expected, "{}", operator.name());
            }
        }
        let without = operator.merge(b"", None, &[1; 3]);
        assert_eq!(without, Err(MergeError::WidthMismatch { existing: 0, operand: 3 }), "{}", operator.name());
    }
    for operator in [&FloatAdd as &dyn MergeOperator, &NumericMax::Float, &NumericMin::Float] {
        for width in 0..20 {
            let fits = [4, 8].contains(&width);
            assert_eq!(merge(operator, &vec![1; width], &vec![1; width]).is_ok(), fits, "{}", operator.name());
            assert_eq!(operator.merge(b"", None, &vec![1; width]).is_ok(), fits, "{}", operator.name());
        }
    }
    for operator in [&BitwiseAnd as &dyn MergeOperator, &BitwiseOr, &BitwiseXor] {
        assert_eq!(merge(operator, b"", b""), some(b""));
        assert_eq!(merge(operator, b"abc", b"ab"), Err(MergeError::WidthMismatch { existing: 3, operand: 2 }));
    }
}

#[test]
fn bits_are_merged_byte_by_byte() {
    for (a, b) in [(0x00, 0xff), (0b1100, 0b1010), (0xff, 0x81), (0x55, 0xaa)] {
        let (one, other) = ([a, b, 0, 7, 1], [b, a, 9, 7, 2]);
        let each = |operation: fn(u8, u8) -> u8| -> Vec<u8> {
            one.iter().zip(other).map(|(one, other)| operation(*one, other)).collect()
        };
        assert_eq!(merge(&BitwiseAnd, &one, &other), some(each(|a, b| a & b)));
        assert_eq!(merge(&BitwiseOr, &one, &other), some(each(|a, b| a | b)));
        assert_eq!(merge(&BitwiseXor, &one, &other), some(each(|a, b| a ^ b)));
    }
}

#[test]
fn a_suffix_is_what_a_merge_puts_behind_the_value() {
    for existing in [None, Some(&b""[..]), Some(b"abc")] {
        for operand in [&b""[..], b"d", b"efg"] {
            let suffix = BytesAppend.suffix(b"", existing, operand).unwrap();
            let whole = [existing.unwrap_or_default(), suffix].concat();
            assert_eq!(BytesAppend.merge(b"", existing, operand), some(whole));
        }
    }
    assert_eq!(NumericAdd.suffix(b"", None, b"a"), None);
}

#[test]
fn a_union_is_sorted_and_has_each_element_once() {
    let bytes = |set: &[i16]| <Vec<i16>>::as_bytes(&set.to_vec());
    let union = SetUnion::<i16>::new();
    assert_eq!(union.merge(b"", None, &bytes(&[3, -1, 3])), some(bytes(&[-1, 3])));
    assert_eq!(merge(&union, &bytes(&[5, -7]), &bytes(&[300, 5, -300])), some(bytes(&[-300, -7, 5, 300])));
    assert_eq!(merge(&union, &bytes(&[]), &bytes(&[])), some(bytes(&[])));
    let texts = SetUnion::<&str>::new();
    let (one, other) = (<Vec<&str>>::as_bytes(&vec!["b", "a"]), <Vec<&str>>::as_bytes(&vec!["", "b", "ab"]));
    assert_eq!(merge(&texts, &one, &other), some(<Vec<&str>>::as_bytes(&vec!["", "a", "ab", "b"])));
}

#[test]
fn a_union_refuses_what_is_no_set() {
    let set = <Vec<u16>>::as_bytes(&vec![1, 2]);
    let union = SetUnion::<u16>::new();
    let broken = &set[..set.len() - 1];
    for (existing, operand) in [(Some(&set[..]), broken), (Some(broken), &set[..]), (None, b"")] {
        assert!(matches!(union.merge(b"", existing, operand), Err(MergeError::Refused(_))));
    }
}

#[test]
fn every_built_in_operator_is_found_by_its_own_name() {
    let names = "add,saturating_add.unsigned,saturating_add.signed,checked_add.unsigned,checked_add.signed,float_add,\
                 max.unsigned,max.signed,max.float,min.unsigned,min.signed,min.float,bitwise_and,bitwise_or,\
                 bitwise_xor,bytes_append";
    let operators = Operators::default();
    for name in names.split(',') {
        let found = operators.named(name.to_string());
        assert_eq!(found.operator.unwrap().name(), name);
    }
    assert!(operators.named("subtract".to_string()).operator.is_none());
}
