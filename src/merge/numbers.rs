//! Numbers, little-endian as the built-in types store them. An operand without a value is the value.

use super::{MergeError, MergeOperator};
use crate::types::padded;
use alloc::format;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Adds integers of 1, 2, 4, 8 or 16 bytes, signed or not: a sum that does not fit wraps around. Without a value the
/// operand is the value.
///
/// ```
/// use sapwood::{MergeOperator, NumericAdd};
///
/// assert_eq!(NumericAdd.merge(b"", Some(&[250]), &[10]), Ok(Some(vec![4])));
/// let sum = NumericAdd.merge(b"", Some(&5_i32.to_le_bytes()), &(-7_i32).to_le_bytes());
/// assert_eq!(sum, Ok(Some((-2_i32).to_le_bytes().to_vec())));
/// assert!(NumericAdd.merge(b"", Some(&[250]), &[10, 0]).is_err());
/// ```
///
/// Errors as of any operator for numbers: [`WidthMismatch`](MergeError::WidthMismatch) unless value and operand have
/// one width, and it is one that the operator is for. [`FloatAdd`] is for floats.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumericAdd;

/// Adds integers of 1, 2, 4, 8 or 16 bytes: a sum that does not fit becomes the greatest or least number that does.
/// Without a value the operand is the value.
///
/// ```
/// use sapwood::{MergeOperator, SaturatingAdd};
///
/// assert_eq!(SaturatingAdd::Unsigned.merge(b"", Some(&[250]), &[10]), Ok(Some(vec![255])));
/// // As signed numbers these are -6 and 10.
/// assert_eq!(SaturatingAdd::Signed.merge(b"", Some(&[250]), &[10]), Ok(Some(vec![4])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaturatingAdd {
    /// For `u8` to `u128`.
    Unsigned,
    /// For `i8` to `i128`.
    Signed,
}

/// Adds integers of 1, 2, 4, 8 or 16 bytes: a sum that does not fit is an error, and changes nothing. Without a value
/// the operand is the value.
///
/// ```
/// use sapwood::{CheckedAdd, MergeOperator};
///
/// assert_eq!(CheckedAdd::Unsigned.merge(b"", Some(&[250]), &[5]), Ok(Some(vec![255])));
/// assert!(CheckedAdd::Unsigned.merge(b"", Some(&[250]), &[6]).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckedAdd {
    /// For `u8` to `u128`.
    Unsigned,
    /// For `i8` to `i128`.
    Signed,
}

/// Adds floats of 4 or 8 bytes, as `+` does. Without a value the operand is the value. A sum that is not a number is
/// stored as the one `NAN` of the standard library, whatever NaN it came from.
///
/// ```
/// use sapwood::{FloatAdd, MergeOperator};
///
/// let sum = FloatAdd.merge(b"", Some(&1.5_f64.to_le_bytes()), &0.25_f64.to_le_bytes());
/// assert_eq!(sum, Ok(Some(1.75_f64.to_le_bytes().to_vec())));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct FloatAdd;

/// Declares an operator that keeps one of two numbers.
macro_rules! keeps {
    ($(#[$doc:meta])* $name:ident, $wins:ident, $unsigned:literal, $signed:literal, $float:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            /// For `u8` to `u128`.
            Unsigned,
            /// For `i8` to `i128`.
            Signed,
            /// For `f32` and `f64`. A NaN loses to any number; of two the `NAN` of the standard library is kept. Zeros
            /// differ: -0 is less than +0.
            Float,
        }

        impl MergeOperator for $name {
            fn name(&self) -> &str {
                match self {
                    Self::Unsigned => $unsigned,
                    Self::Signed => $signed,
                    Self::Float => $float,
                }
            }

            fn merge(
                &self,
                _: &[u8],
                existing: Option<&[u8]>,
                operand: &[u8],
            ) -> Result<Option<Vec<u8>>, MergeError> {
                let wins = Ordering::$wins;
                match self {
                    Self::Unsigned => integers(existing, operand, |pair| Ok(pair.keep(pair.unsigned_order(), wins))),
                    Self::Signed => integers(existing, operand, |pair| Ok(pair.keep(pair.signed_order(), wins))),
                    Self::Float => floats(existing, operand, |a, b| keep_float(a, b, wins)),
                }
            }
        }
    };
}

keeps! {
    /// Keeps the greater of two numbers: integers of 1, 2, 4, 8 or 16 bytes, or floats of 4 or 8. Without a value the
    /// operand is the value.
    ///
    /// ```
    /// use sapwood::{MergeOperator, NumericMax};
    ///
    /// let (two, minus) = (2_i16.to_le_bytes(), (-1_i16).to_le_bytes());
    /// assert_eq!(NumericMax::Signed.merge(b"", Some(&two), &minus), Ok(Some(two.to_vec())));
    /// // As an unsigned number, -1 is 65,535.
    /// assert_eq!(NumericMax::Unsigned.merge(b"", Some(&two), &minus), Ok(Some(minus.to_vec())));
    /// ```
    NumericMax, Greater, "max.unsigned", "max.signed", "max.float"
}

keeps! {
    /// Keeps the lesser of two numbers: integers of 1, 2, 4, 8 or 16 bytes, or floats of 4 or 8. Without a value the
    /// operand is the value.
    ///
    /// ```
    /// use sapwood::{MergeOperator, NumericMin};
    ///
    /// let (half, nan) = (0.5_f32.to_le_bytes(), f32::NAN.to_le_bytes());
    /// assert_eq!(NumericMin::Float.merge(b"", Some(&nan), &half), Ok(Some(half.to_vec())));
    /// ```
    NumericMin, Less, "min.unsigned", "min.signed", "min.float"
}

impl MergeOperator for NumericAdd {
    fn name(&self) -> &str {
        "add"
    }

    fn merge(&self, _: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
        integers(existing, operand, |pair| Ok(pair.value.wrapping_add(pair.operand)))
    }
}

impl MergeOperator for SaturatingAdd {
    fn name(&self) -> &str {
        match self {
            Self::Unsigned => "saturating_add.unsigned",
            Self::Signed => "saturating_add.signed",
        }
    }

    fn merge(&self, _: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
        integers(existing, operand, |pair| Ok(pair.sum(*self == Self::Signed).unwrap_or_else(|bound| bound)))
    }
}

impl MergeOperator for CheckedAdd {
    fn name(&self) -> &str {
        match self {
            Self::Unsigned => "checked_add.unsigned",
            Self::Signed => "checked_add.signed",
        }
    }

    fn merge(&self, _: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
        let overflow = |_| MergeError::Refused(format!("the sum does not fit {} bytes", operand.len()));
        integers(existing, operand, |pair| pair.sum(*self == Self::Signed).map_err(overflow))
    }
}

impl MergeOperator for FloatAdd {
    fn name(&self) -> &str {
        "float_add"
    }

    fn merge(&self, _: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
        floats(existing, operand, |a, b| a + b)
    }
}

/// The bits of two integers of one width, without their signs.
struct Pair {
    value: u128,
    operand: u128,
    /// Bits of a `u128` that the numbers leave free.
    free: u32,
}

impl Pair {
    fn sum(&self, signed: bool) -> Result<u128, u128> {
        if signed { self.signed_sum() } else { self.unsigned_sum() }
    }

    /// The sum, or else the bound that it passes.
    fn unsigned_sum(&self) -> Result<u128, u128> {
        let most = u128::MAX >> self.free;
        self.value.checked_add(self.operand).filter(|sum| *sum <= most).ok_or(most)
    }

    fn signed_sum(&self) -> Result<u128, u128> {
        let (least, most) = (i128::MIN >> self.free, i128::MAX >> self.free);
        let (value, operand) = (self.signed(self.value), self.signed(self.operand));
        let sum = value.checked_add(operand).filter(|sum| (least..=most).contains(sum));
        let bound = if operand < 0 { least } else { most };
        sum.map(i128::cast_unsigned).ok_or(bound.cast_unsigned())
    }

    fn signed(&self, bits: u128) -> i128 {
        (bits << self.free).cast_signed() >> self.free
    }

    fn unsigned_order(&self) -> Ordering {
        self.operand.cmp(&self.value)
    }

    fn signed_order(&self) -> Ordering {
        self.signed(self.operand).cmp(&self.signed(self.value))
    }

    /// The operand if its order to the value is the one that `wins`.
    fn keep(&self, order: Ordering, wins: Ordering) -> u128 {
        if order == wins { self.operand } else { self.value }
    }
}

/// What `combine` makes of two integers of one width.
fn integers(
    existing: Option<&[u8]>,
    operand: &[u8],
    combine: impl FnOnce(Pair) -> Result<u128, MergeError>,
) -> Result<Option<Vec<u8>>, MergeError> {
    let free = match operand.len() {
        1 => 120,
        2 => 112,
        4 => 96,
        8 => 64,
        16 => 0,
        _ => return Err(MergeError::widths(existing, operand)),
    };
    let Some(existing) = same_width(existing, operand)? else { return Ok(Some(operand.to_vec())) };
    let number = |bytes| u128::from_le_bytes(padded(bytes));
    let made = combine(Pair { value: number(existing), operand: number(operand), free })?;
    Ok(Some(made.to_le_bytes().into_iter().take(operand.len()).collect()))
}

/// What `combine` makes of two floats of one width. Two of 4 bytes are combined as two of 8, which gives the same: no
/// sum of theirs is rounded twice to another number.
fn floats(
    existing: Option<&[u8]>,
    operand: &[u8],
    combine: impl FnOnce(f64, f64) -> f64,
) -> Result<Option<Vec<u8>>, MergeError> {
    let narrow = match operand.len() {
        4 => true,
        8 => false,
        _ => return Err(MergeError::widths(existing, operand)),
    };
    let Some(existing) = same_width(existing, operand)? else { return Ok(Some(operand.to_vec())) };
    let number =
        |bytes| if narrow { f32::from_le_bytes(padded(bytes)).into() } else { f64::from_le_bytes(padded(bytes)) };
    let made = combine(number(existing), number(operand));
    let made = if made.is_nan() { f64::NAN } else { made };
    Ok(Some(if narrow { (made as f32).to_le_bytes().to_vec() } else { made.to_le_bytes().to_vec() }))
}

fn keep_float(value: f64, operand: f64, wins: Ordering) -> f64 {
    if value.is_nan() || (!operand.is_nan() && operand.total_cmp(&value) == wins) { operand } else { value }
}

/// The value, if there is one, which must be as wide as the operand.
pub(super) fn same_width<'e>(existing: Option<&'e [u8]>, operand: &[u8]) -> Result<Option<&'e [u8]>, MergeError> {
    match existing {
        Some(bytes) if bytes.len() != operand.len() => Err(MergeError::widths(existing, operand)),
        other => Ok(other),
    }
}
