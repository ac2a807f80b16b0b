//! Key types that are known by name: how keys are compared where nobody says their type.

use super::{Compare, Key, TypeName, Value};
use alloc::string::String;

/// How keys of the type with this name are compared, if it is a built-in type with no other within.
pub(crate) fn order_of(name: &TypeName) -> Option<Compare> {
    macro_rules! look_up {
        ($($known:ty),*) => {
            [$((<$known>::type_name(), <$known>::compare as Compare)),*]
        };
    }
    let known = look_up!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, bool, char, (), &str, String, &[u8]);
    known.into_iter().find_map(|(known, compare)| (known == *name).then_some(compare))
}
