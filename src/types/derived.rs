//! What the code of the derive macros calls. A struct lies in bytes as the tuple of its fields does.
//!
//! An enum is the variant's number, one byte, and the variant's fields as a tuple; if all variants have fixed widths,
//! then zeros up to the widest.

use super::tuples::{Widths, append};
use super::{TypeName, Value};

pub use super::KeyOrder;
pub use super::heads::{HeadBuilder, exact_bits, order_of};
pub use super::tuples::{Element, join, separator, split, total, whole};
pub use alloc::borrow::Cow;
pub use alloc::vec::Vec;

/// Width of a variant's number.
const NUMBER: usize = 1;

/// A type whose bytes are known to the derive macros, for its `Value` is derived.
#[diagnostic::on_unimplemented(
    message = "`Key` can be derived for `{Self}` only if `Value` is derived too",
    label = "the layout of these keys is not known"
)]
pub trait Derived: Value {}

/// The name of a type: each text with the name behind it, then the last text.
///
/// Each declaration has a name of its own: identifiers hold no punctuation, and no other type of ours has a name that
/// begins with `struct` or `enum`.
pub fn type_name<const N: usize>(parts: [(&str, TypeName); N], end: &str) -> TypeName {
    let begin = TypeName::builtin("");
    parts.iter().fold(begin, |name, (text, inner)| name.text(text).inner(inner)).text(end)
}

/// The width of an enum whose variants have these widths.
pub fn enum_width<const N: usize>(widths: Widths<N>) -> Option<usize> {
    let widest = widths.into_iter().try_fold(0, |widest, width| Some(width?.max(widest)));
    widest.map(|width: usize| width.saturating_add(NUMBER))
}

/// The encoding of a variant of an enum that has this width.
pub fn join_variant<const N: usize>(
    number: u8,
    enum_width: Option<usize>,
    widths: Widths<N>,
    fields: [&[u8]; N],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(enum_width.unwrap_or(NUMBER));
    out.push(number);
    append(widths, fields, &mut out);
    out.resize(enum_width.unwrap_or(out.len()), 0);
    out
}

/// The number of the variant and what is behind it. Damaged bytes may give a number that no variant has: it counts as
/// the last one's.
pub fn split_variant(variants: usize, data: &[u8]) -> (u8, &[u8]) {
    let (number, content) = data.split_first().unwrap_or((&0, &[]));
    let last = u8::try_from(variants.saturating_sub(1)).unwrap_or(u8::MAX);
    (last.min(*number), content)
}

/// Whether data of an enum that has this width begins with a variant's number.
pub fn is_variant(variants: usize, enum_width: Option<usize>, data: &[u8]) -> bool {
    let known = data.first().is_some_and(|number| usize::from(*number) < variants);
    known && enum_width.is_none_or(|width| width == data.len())
}

/// The encodings of a variant's fields; `None` if no variant has this content.
pub fn whole_variant<const N: usize>(
    enum_width: Option<usize>,
    widths: Widths<N>,
    content: &[u8],
) -> Option<[&[u8]; N]> {
    let (Some(_), Some(width)) = (enum_width, total(widths)) else {
        return whole(widths, content);
    };
    let (fields, filling) = content.split_at_checked(width)?;
    if filling.iter().any(|byte| *byte != 0) { None } else { whole(widths, fields) }
}

/// Bits that tell so many variants apart.
const fn number_bits(variants: usize) -> u32 {
    usize::BITS - variants.saturating_sub(1).leading_zeros()
}

/// Exact bits of an enum's head, from those of its variants: as many as the longest needs.
pub const fn exact_enum_bits(variants: &[Option<u32>]) -> Option<u32> {
    let (mut most, mut rest) = (0, variants);
    while let [first, others @ ..] = rest {
        match *first {
            Some(bits) => most = if bits > most { bits } else { most },
            None => return None,
        }
        rest = others;
    }
    exact_bits(&[Some(number_bits(variants.len())), Some(most)])
}

/// The head of an enum's key, with no fields in it yet.
pub fn variant_head(variants: usize, number: u8) -> HeadBuilder {
    let bits = number_bits(variants);
    let mut head = HeadBuilder::default();
    head.push_bits(u64::from(number).checked_shl(u64::BITS.saturating_sub(bits)).unwrap_or_default(), Some(bits));
    head
}
