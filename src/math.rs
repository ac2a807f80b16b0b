//! What floating-point numbers need that is not there without `std`.

/// The square root of a number that is not negative.
#[cfg(feature = "std")]
pub(crate) fn sqrt(number: f32) -> f32 {
    number.sqrt()
}

#[cfg(any(not(feature = "std"), test))]
fn newton(number: f32) -> f32 {
    if number == 0.0 || number == f32::INFINITY {
        return number;
    }
    let number = f64::from(number);
    // Half of the exponent; each step then doubles the digits that are right.
    let mut root = f64::from_bits((number.to_bits() >> 1) + (1023 << 51));
    for _ in 0..5 {
        root = (root + number / root) / 2.0;
    }
    root as f32
}

/// The square root of a number that is not negative.
#[cfg(not(feature = "std"))]
pub(crate) fn sqrt(number: f32) -> f32 {
    newton(number)
}

/// The natural logarithm of a number that is greater than 0, and normal. The same on every machine.
pub(crate) fn ln(number: f64) -> f64 {
    const BIAS: u64 = 1_023;
    let bits = number.to_bits();
    // The number is its fraction times a power of two; the fraction is from the root of a half to that of two.
    let halves = u64::from(bits << 12 > core::f64::consts::SQRT_2.to_bits() << 12);
    let power = (bits >> 52) + halves;
    let fraction = f64::from_bits(bits & ((1 << 52) - 1) | (BIAS - halves) << 52);
    // ln(fraction) is twice the area tangent of this, whose series ends soon.
    let x = (fraction - 1.0) / (fraction + 1.0);
    let (mut term, mut sum) = (x, 0.0);
    for odd in (1..=23_u8).step_by(2) {
        sum += term / f64::from(odd);
        term *= x * x;
    }
    2.0 * sum + core::f64::consts::LN_2 * (power as f64 - BIAS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_std() {
        let numbers = (-300..300).flat_map(|power| [1.0, 1.1, 1.414, 1.415, 1.999].map(|x: f64| x * 2_f64.powi(power)));
        for number in numbers {
            assert!((ln(number) - number.ln()).abs() <= 1e-15 * number.ln().abs().max(1.0), "{number}");
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn roots_are_those_of_std() {
        for bits in (0..f32::INFINITY.to_bits()).step_by(1_021).chain([f32::INFINITY.to_bits(), f32::MAX.to_bits()]) {
            let number = f32::from_bits(bits);
            assert_eq!(newton(number), number.sqrt(), "{number:?}");
        }
    }
}
