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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_those_of_std() {
        for bits in (0..f32::INFINITY.to_bits()).step_by(1_021).chain([f32::INFINITY.to_bits(), f32::MAX.to_bits()]) {
            let number = f32::from_bits(bits);
            assert_eq!(newton(number), number.sqrt(), "{number:?}");
        }
    }
}
