use super::lengths::padded;
use super::{TypeName, Value};
use core::cmp::Ordering;
use core::fmt::{Debug, Display, Formatter};

/// A number of 16 bits: the binary16 of IEEE 754, with 11 significant bits, up to 65,504. As a value of a table it takes 2
/// bytes, little-endian; `[F16; 384]` and `Vec<F16>` are vectors of them.
///
/// ```
/// use sapwood::F16;
///
/// assert_eq!(F16::from_f32(0.1).to_f32(), 0.099975586);
/// assert_eq!(F16::from_f32(65_504.0), F16::MAX);
/// assert_eq!(F16::from_f32(1e6).to_f32(), f32::INFINITY);
/// ```
#[derive(Clone, Copy, Default)]
pub struct F16(u16);

impl F16 {
    /// The greatest finite number.
    pub const MAX: Self = Self(0x7BFF);

    /// The number with these bits.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits of the number.
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The nearest number, of two that are as near the even one. What is too great is infinite.
    pub fn from_f32(number: f32) -> Self {
        let bits = number.to_bits();
        let (sign, magnitude) = ((bits >> 16) & 0x8000, bits & 0x7FFF_FFFF);
        let half = if magnitude > 0x7F80_0000 {
            // Not a number: what is kept of its bits must not be those of infinity.
            0x7E00 | (magnitude >> 13 & 0x3FF)
        } else if magnitude >= 0x4780_0000 {
            0x7C00
        } else if magnitude < 0x3880_0000 {
            // Less than a normal number has: adding one half brings the last bit that stays to the last place.
            (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits()
        } else {
            let odd = (magnitude >> 13) & 1;
            (magnitude - 0x3800_0000 + 0xFFF + odd) >> 13
        };
        Self((sign | half) as u16)
    }

    /// The same number.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        let bits = u32::from(self.0);
        // As if the exponent were that of an f32; a product, so that it is right of numbers below the normal ones too.
        let scaled = f32::from_bits((bits & 0x7FFF) << 13) * f32::from_bits(0x7780_0000);
        let unlimited = if bits & 0x7C00 == 0x7C00 { 0x7F80_0000 } else { 0 };
        f32::from_bits(scaled.to_bits() | unlimited | (bits & 0x8000) << 16)
    }

    /// Whether it is a number, and not infinite.
    pub const fn is_finite(self) -> bool {
        self.0 & 0x7C00 != 0x7C00
    }
}

impl From<F16> for f32 {
    fn from(number: F16) -> Self {
        number.to_f32()
    }
}

impl PartialEq for F16 {
    fn eq(&self, other: &Self) -> bool {
        self.to_f32() == other.to_f32()
    }
}

impl PartialOrd for F16 {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.to_f32().partial_cmp(&other.to_f32())
    }
}

impl Debug for F16 {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        Debug::fmt(&self.to_f32(), f)
    }
}

impl Display for F16 {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        Display::fmt(&self.to_f32(), f)
    }
}

impl Value for F16 {
    type SelfType<'a> = Self;
    type AsBytes<'a> = [u8; 2];

    fn fixed_width() -> Option<usize> {
        Some(2)
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> Self
    where
        Self: 'a,
    {
        Self(u16::from_le_bytes(padded(data)))
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a Self) -> [u8; 2]
    where
        Self: 'b,
    {
        value.0.to_le_bytes()
    }

    fn type_name() -> TypeName {
        TypeName::builtin("sapwood::F16")
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        data.len() == 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number that the bits stand for, by the definition.
    fn defined(bits: u16) -> f64 {
        let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
        let magnitude = match exponent {
            0 => fraction / 1024.0 * 2_f64.powi(-14),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
        };
        if bits & 0x8000 == 0 { magnitude } else { -magnitude }
    }

    #[test]
    fn every_number_is_what_its_bits_say_and_comes_back() {
        for bits in 0..=u16::MAX {
            let (number, expected) = (F16(bits).to_f32(), defined(bits));
            assert!(f64::from(number) == expected || number.is_nan() && expected.is_nan(), "{bits:#x}");
            assert_eq!(number.is_sign_negative(), bits & 0x8000 != 0);
            assert_eq!(F16(bits).is_finite(), number.is_finite());
            let back = F16::from_f32(number);
            assert!(back.0 == bits || number.is_nan() && back.to_f32().is_nan(), "{bits:#x}");
        }
    }

    #[test]
    fn what_lies_between_two_numbers_becomes_the_nearer_one() {
        for bits in (0..0x7BFF_u16).chain([0x7BFE]) {
            let (low, high) = (f64::from(F16(bits).to_f32()), f64::from(F16(bits + 1).to_f32()));
            let middle = ((low + high) / 2.0) as f32;
            let even = bits + (bits & 1);
            for sign in [1.0, -1.0] {
                let rounded = |number: f32| F16::from_f32(sign * number).0 & 0x7FFF;
                assert_eq!(rounded(middle), even, "{bits:#x}");
                assert_eq!(rounded(middle.next_down()), bits);
                assert_eq!(rounded(middle.next_up()), bits + 1);
            }
        }
        assert_eq!(F16::from_f32(65_519.996), F16::MAX);
        assert_eq!(F16::from_f32(65_520.0).0, 0x7C00);
        assert!(F16::from_f32(f32::from_bits(0x7F80_0001)).to_f32().is_nan());
    }
}
