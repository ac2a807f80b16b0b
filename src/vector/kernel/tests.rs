use super::*;
use alloc::vec::Vec;

/// Every set of kernels that this machine can run, the portable one first.
fn all() -> Vec<(&'static str, &'static Kernels)> {
    let mut all = std::vec![("portable", &PORTABLE)];
    #[cfg(target_arch = "x86_64")]
    {
        all.extend(x86::avx2::detected().map(|kernels| ("avx2", kernels)));
        all.extend(x86::avx512::detected().map(|kernels| ("avx512", kernels)));
    }
    all
}

/// Lengths around the widths of all registers and blocks.
fn lengths() -> impl Iterator<Item = usize> {
    (0..70).chain([96, 127, 128, 129, 384, 4_095, 4_096, 4_097, 8_200, 65_536])
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    core::iter::repeat_with(next).take(length).collect()
}

fn floats(seed: u64, length: usize) -> Vec<f32> {
    bytes(seed, length).into_iter().map(|byte| (f32::from(byte) - 127.0) / 31.0).collect()
}

fn check_float(found: f32, terms: impl Iterator<Item = f64>) {
    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term: f64| (sum + term, size + term.abs()));
    assert!((f64::from(found) - sum).abs() <= 1e-6 * size + 1e-30, "{found} {sum}");
}

#[test]
fn sums_of_floats_are_those_of_the_definition() {
    for length in lengths() {
        let (a, b) = (floats(1, length), floats(2, length));
        let halves = |numbers: &[f32]| numbers.iter().map(|number| F16::from_f32(*number)).collect::<Vec<_>>();
        let (a16, b16) = (halves(&a), halves(&b));
        let pairs = || a.iter().zip(&b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
        let pairs16 = || a16.iter().zip(&b16).map(|(x, y)| (f64::from(x.to_f32()), f64::from(y.to_f32())));
        for (_, kernels) in all() {
            check_float((kernels.f32.dot)(&a, &b), pairs().map(|(x, y)| x * y));
            check_float((kernels.f32.l2)(&a, &b), pairs().map(|(x, y)| (x - y) * (x - y)));
            check_float((kernels.f32.l1)(&a, &b), pairs().map(|(x, y)| (x - y).abs()));
            check_float((kernels.f16.dot)(&a16, &b16), pairs16().map(|(x, y)| x * y));
            check_float((kernels.f16.l2)(&a16, &b16), pairs16().map(|(x, y)| (x - y) * (x - y)));
            check_float((kernels.f16.l1)(&a16, &b16), pairs16().map(|(x, y)| (x - y).abs()));
        }
    }
}

#[test]
fn sums_of_integers_are_the_same_everywhere() {
    for length in lengths() {
        let extreme =
            [(-128, -128), (-128, 127), (127, 127)].map(|(x, y)| (std::vec![x; length], std::vec![y; length]));
        let signed = |seed| bytes(seed, length).into_iter().map(|byte| byte as i8).collect::<Vec<_>>();
        for (a, b) in extreme.into_iter().chain([(signed(1), signed(2))]) {
            let pairs = || a.iter().zip(&b).map(|(x, y)| (i64::from(*x), i64::from(*y)));
            for (_, kernels) in all() {
                assert_eq!((kernels.i8.dot)(&a, &b), pairs().map(|(x, y)| x * y).sum::<i64>());
                assert_eq!((kernels.i8.l2)(&a, &b), pairs().map(|(x, y)| (x - y) * (x - y)).sum::<i64>());
                assert_eq!((kernels.i8.l1)(&a, &b), pairs().map(|(x, y)| (x - y).abs()).sum::<i64>());
            }
        }
        let (a, b) = (bytes(1, length), bytes(2, length));
        let expected: u64 = a.iter().zip(&b).map(|(x, y)| u64::from((x ^ y).count_ones())).sum();
        for (_, kernels) in all() {
            assert_eq!((kernels.hamming)(&a, &b), expected);
            assert_eq!((kernels.hamming)(&std::vec![0; length], &std::vec![255; length]), 8 * length as u64);
        }
    }
}
