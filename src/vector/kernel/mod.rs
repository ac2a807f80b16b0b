//! What distances are made of: sums over two vectors of the same length.
//!
//! The loops are written once (`sums.rs`), in lanes, so that a compiler makes vector instructions of them. Where there is
//! `std` they are compiled for several instruction sets, and the best that the machine has is chosen when it runs; where not,
//! for the one that the build is for: so NEON, and wasm with `simd128`. Sums of integers are the same everywhere; sums of
//! floating-point numbers differ in the last bits, as where products are fused they are rounded once less.

mod sums;
#[cfg(test)]
mod tests;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86;

use crate::types::F16;
use sums::rounded_twice;

/// A sum over two vectors.
pub(crate) type Sum<E, S> = fn(&[E], &[E]) -> S;

/// The sums of one instruction set. If a vector is longer than the other, the rest of it counts for nothing.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    pub(crate) f32: Sums<f32, f32>,
    pub(crate) f16: Sums<F16, f32>,
    pub(crate) i8: Sums<i8, i64>,
    /// Bits that differ.
    pub(crate) hamming: Sum<u8, u64>,
}

/// Sums over vectors of one type of element.
#[derive(Clone, Copy, Debug)]
pub struct Sums<E: 'static, S> {
    /// Of products.
    pub(crate) dot: Sum<E, S>,
    /// Of squares of differences.
    pub(crate) l2: Sum<E, S>,
    /// Of absolute differences.
    pub(crate) l1: Sum<E, S>,
}

/// Those that every processor can run that the build is for.
static PORTABLE: Kernels = Kernels {
    f32: Sums {
        dot: |a, b| sums::dot_f32(a, b, rounded_twice),
        l2: |a, b| sums::l2_f32(a, b, rounded_twice),
        l1: sums::l1_f32,
    },
    f16: Sums {
        dot: |a, b| sums::dot_f16(a, b, rounded_twice),
        l2: |a, b| sums::l2_f16(a, b, rounded_twice),
        l1: sums::l1_f16,
    },
    i8: Sums { dot: sums::dot_i8, l2: sums::l2_i8, l1: sums::l1_i8 },
    hamming: sums::hamming,
};

/// The best kernels that this processor can run.
#[inline]
pub(crate) fn kernels() -> &'static Kernels {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if let Some(kernels) = x86::avx512::detected().or_else(x86::avx2::detected) {
        return kernels;
    }
    &PORTABLE
}
