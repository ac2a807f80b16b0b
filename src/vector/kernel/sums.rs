//! The loops. All are inlined where they are called, so that they are compiled for what that may use.

use crate::types::F16;

/// Sums that are kept beside each other: enough that no addition waits for the one before.
const LANES: usize = 32;
/// Elements of 8 bits of which a sum has room in 32 bits.
const BLOCK: usize = 1 << 12;

/// A product and a sum: fused into one where the processor does that.
pub(super) trait MultiplyAdd: Fn(f32, f32, f32) -> f32 + Copy {}

impl<F: Fn(f32, f32, f32) -> f32 + Copy> MultiplyAdd for F {}

#[inline(always)]
pub(super) fn rounded_twice(x: f32, y: f32, sum: f32) -> f32 {
    x * y + sum
}

/// The sum of what `step` adds for each pair.
#[inline(always)]
fn in_lanes<E: Copy>(a: &[E], b: &[E], step: impl Fn(f32, E, E) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum = step(*sum, *x, *y);
        }
    }
    for (sum, (x, y)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum = step(*sum, *x, *y);
    }
    // Always in the same order.
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = sums.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        width /= 2;
    }
    let [sum, ..] = sums;
    sum
}

/// The sum of the terms of all pairs, none of which is more than 2^16. Nothing can overflow; saying so keeps checks out of the
/// loop, which could then not be one of vector instructions.
#[inline(always)]
fn in_blocks(a: &[i8], b: &[i8], term: impl Fn(i32, i32) -> i32) -> i64 {
    let mut total = 0_i64;
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        let mut sum = 0_i32;
        for (x, y) in a.iter().zip(b) {
            sum = sum.wrapping_add(term((*x).into(), (*y).into()));
        }
        total = total.wrapping_add(sum.into());
    }
    total
}

#[inline(always)]
pub(super) fn dot_f32(a: &[f32], b: &[f32], multiply_add: impl MultiplyAdd) -> f32 {
    in_lanes(a, b, |sum, x, y| multiply_add(x, y, sum))
}

#[inline(always)]
pub(super) fn l2_f32(a: &[f32], b: &[f32], multiply_add: impl MultiplyAdd) -> f32 {
    in_lanes(a, b, |sum, x, y| multiply_add(x - y, x - y, sum))
}

#[inline(always)]
pub(super) fn l1_f32(a: &[f32], b: &[f32]) -> f32 {
    in_lanes(a, b, |sum, x, y| sum + (x - y).abs())
}

#[inline(always)]
pub(super) fn dot_f16(a: &[F16], b: &[F16], multiply_add: impl MultiplyAdd) -> f32 {
    in_lanes(a, b, |sum, x, y| multiply_add(x.to_f32(), y.to_f32(), sum))
}

#[inline(always)]
pub(super) fn l2_f16(a: &[F16], b: &[F16], multiply_add: impl MultiplyAdd) -> f32 {
    in_lanes(a, b, |sum, x, y| multiply_add(x.to_f32() - y.to_f32(), x.to_f32() - y.to_f32(), sum))
}

#[inline(always)]
pub(super) fn l1_f16(a: &[F16], b: &[F16]) -> f32 {
    in_lanes(a, b, |sum, x, y| sum + (x.to_f32() - y.to_f32()).abs())
}

#[inline(always)]
pub(super) fn dot_i8(a: &[i8], b: &[i8]) -> i64 {
    in_blocks(a, b, i32::wrapping_mul)
}

#[inline(always)]
pub(super) fn l2_i8(a: &[i8], b: &[i8]) -> i64 {
    in_blocks(a, b, |x, y| x.wrapping_sub(y).wrapping_mul(x.wrapping_sub(y)))
}

#[inline(always)]
pub(super) fn l1_i8(a: &[i8], b: &[i8]) -> i64 {
    in_blocks(a, b, |x, y| x.wrapping_sub(y).wrapping_abs())
}

#[inline(always)]
pub(super) fn hamming(a: &[u8], b: &[u8]) -> u64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut bits = 0_u64;
    for (x, y) in a.iter().zip(b) {
        bits = bits.wrapping_add((u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y)).count_ones().into());
    }
    for (x, y) in a_rest.iter().zip(b_rest) {
        bits = bits.wrapping_add((x ^ y).count_ones().into());
    }
    bits
}
