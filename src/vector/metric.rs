use super::kernel::{Kernels, Sum, Sums, kernels};
use crate::error::VectorError;
use crate::math::sqrt;
use crate::types::F16;

/// How far two vectors are from each other. Less is nearer.
///
/// ```
/// use sapwood::{F16, Metric};
///
/// assert_eq!(Metric::L2.distance(&[0.0_f32, 3.0], &[4.0, 0.0])?, 25.0);
/// assert_eq!(Metric::Cosine.distance(&[1_i8, 0], &[0, 100])?, 1.0);
/// assert_eq!(Metric::InnerProduct.distance(&[F16::from_f32(2.0)], &[F16::from_f32(3.0)])?, -6.0);
/// assert_eq!(Metric::Hamming.distance(&[0b1100_u8], &[0b1010])?, 2.0);
/// # Ok::<(), sapwood::VectorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// The square of the Euclidean distance, which is in the same order as the distance itself.
    L2,
    /// 1 less the cosine of the angle between them: from 0, the same direction, to 2, the opposite one.
    Cosine,
    /// The inner product, negated.
    InnerProduct,
    /// The sum of absolute differences.
    L1,
    /// The number of bits that differ, of vectors of bits: bytes of eight each.
    Hamming,
}

impl Metric {
    /// The distance of two vectors.
    ///
    /// Sums of `i8` and of bits are exact. Those of numbers that are not whole differ in the last digits from one processor
    /// to another.
    ///
    /// # Errors
    ///
    /// [`DimensionMismatch`](VectorError::DimensionMismatch) if one is longer than the other;
    /// [`NotFinite`](VectorError::NotFinite) if an element is infinite or not a number; [`Overflow`](VectorError::Overflow) if
    /// the distance is over [`f32::MAX`]; [`ZeroVector`](VectorError::ZeroVector) for the cosine of a vector that has no direction;
    /// [`MetricUnsupported`](VectorError::MetricUnsupported) for bits by another metric, and for numbers by `Hamming`.
    pub fn distance<E: Element>(self, a: &[E], b: &[E]) -> Result<f32, VectorError> {
        Distance::new(self, a).and_then(|from| from.to(b))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::Cosine => "cosine",
            Self::InnerProduct => "inner product",
            Self::L1 => "L1",
            Self::Hamming => "Hamming",
        }
    }
}

mod sealed {
    use super::{F16, Kernels, Metric};

    pub trait Sealed: Copy + 'static {
        /// What such elements are called.
        const NAME: &'static str;

        fn is_finite(self) -> bool;

        /// The sum that a distance is made of; `None` if there is none of such elements.
        fn sum(kernels: &Kernels, metric: Metric, a: &[Self], b: &[Self]) -> Option<f32>;
    }

    impl Sealed for f32 {
        const NAME: &'static str = "f32";

        fn is_finite(self) -> bool {
            self.is_finite()
        }

        fn sum(kernels: &Kernels, metric: Metric, a: &[Self], b: &[Self]) -> Option<f32> {
            kernels.f32.of(metric).map(|sum| sum(a, b))
        }
    }

    impl Sealed for F16 {
        const NAME: &'static str = "F16";

        fn is_finite(self) -> bool {
            self.is_finite()
        }

        fn sum(kernels: &Kernels, metric: Metric, a: &[Self], b: &[Self]) -> Option<f32> {
            kernels.f16.of(metric).map(|sum| sum(a, b))
        }
    }

    impl Sealed for i8 {
        const NAME: &'static str = "i8";

        fn is_finite(self) -> bool {
            true
        }

        fn sum(kernels: &Kernels, metric: Metric, a: &[Self], b: &[Self]) -> Option<f32> {
            kernels.i8.of(metric).map(|sum| sum(a, b) as f32)
        }
    }

    impl Sealed for u8 {
        const NAME: &'static str = "bits";

        fn is_finite(self) -> bool {
            true
        }

        fn sum(kernels: &Kernels, metric: Metric, a: &[Self], b: &[Self]) -> Option<f32> {
            (metric == Metric::Hamming).then(|| (kernels.hamming)(a, b) as f32)
        }
    }
}

impl<E, S> Sums<E, S> {
    /// The sum that a distance is made of.
    fn of(&self, metric: Metric) -> Option<Sum<E, S>> {
        match metric {
            Metric::L2 => Some(self.l2),
            Metric::Cosine | Metric::InnerProduct => Some(self.dot),
            Metric::L1 => Some(self.l1),
            Metric::Hamming => None,
        }
    }
}

/// What vectors are of: `f32`, [`F16`], `i8`, or bits, which are `u8`s of eight each.
pub trait Element: sealed::Sealed {}

impl Element for f32 {}
impl Element for F16 {}
impl Element for i8 {}
impl Element for u8 {}

/// Distances from one vector.
pub(super) struct Distance<'q, E> {
    kernels: &'static Kernels,
    metric: Metric,
    from: &'q [E],
    /// Its length, if the metric asks for it.
    norm: f32,
}

impl<'q, E: Element> Distance<'q, E> {
    pub(super) fn new(metric: Metric, from: &'q [E]) -> Result<Self, VectorError> {
        let mut distance = Self { kernels: kernels(), metric, from, norm: 0.0 };
        check(from)?;
        // Of no elements at all, so that it is known before any vector comes.
        distance.sum(&[], &[])?;
        if metric == Metric::Cosine {
            distance.norm = distance.norm_of(from)?;
        }
        Ok(distance)
    }

    /// The distance to another vector.
    pub(super) fn to(&self, vector: &[E]) -> Result<f32, VectorError> {
        let (expected, found) = (self.from.len(), vector.len());
        if found != expected {
            return Err(VectorError::DimensionMismatch { expected, found });
        }
        let sum = self.sum(self.from, vector)?;
        let distance = match self.metric {
            Metric::L2 | Metric::L1 | Metric::Hamming => sum,
            Metric::InnerProduct => -sum,
            Metric::Cosine => 1.0 - (sum / self.norm / self.norm_of(vector)?).clamp(-1.0, 1.0),
        };
        // An element that is not finite makes each sum so that it has a part in.
        if distance.is_finite() { Ok(distance) } else { Err(check(vector).err().unwrap_or(VectorError::Overflow)) }
    }

    fn sum(&self, a: &[E], b: &[E]) -> Result<f32, VectorError> {
        let unsupported = || VectorError::MetricUnsupported { metric: self.metric.name(), element: E::NAME };
        E::sum(self.kernels, self.metric, a, b).ok_or_else(unsupported)
    }

    fn norm_of(&self, vector: &[E]) -> Result<f32, VectorError> {
        let square = self.sum(vector, vector)?;
        if square > 0.0 && square.is_finite() {
            return Ok(sqrt(square));
        }
        check(vector)?;
        Err(if square == 0.0 { VectorError::ZeroVector } else { VectorError::Overflow })
    }
}

/// An error if an element is not finite.
fn check<E: Element>(vector: &[E]) -> Result<(), VectorError> {
    match vector.iter().position(|element| !element.is_finite()) {
        Some(at) => Err(VectorError::NotFinite { at }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    const NUMBERS: [Metric; 4] = [Metric::L2, Metric::Cosine, Metric::InnerProduct, Metric::L1];

    /// The distance by its definition.
    fn defined(metric: Metric, a: &[f64], b: &[f64]) -> f64 {
        let pairs = || a.iter().zip(b);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        match metric {
            Metric::L2 => pairs().map(|(x, y)| (x - y).powi(2)).sum(),
            Metric::Cosine => 1.0 - dot(a, b) / dot(a, a).sqrt() / dot(b, b).sqrt(),
            Metric::InnerProduct => -dot(a, b),
            Metric::L1 => pairs().map(|(x, y)| (x - y).abs()).sum(),
            Metric::Hamming => f64::NAN,
        }
    }

    fn check_all<E: Element>(a: &[E], b: &[E], to_f64: impl Fn(&E) -> f64) {
        let [a64, b64] = [a, b].map(|vector| vector.iter().map(&to_f64).collect::<Vec<_>>());
        for metric in NUMBERS {
            let (found, expected) = (metric.distance(a, b).unwrap(), defined(metric, &a64, &b64));
            assert!(
                (f64::from(found) - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
                "{metric:?} {found} {expected}"
            );
            assert_eq!(found, metric.distance(b, a).unwrap(), "{metric:?} is the same from both sides");
        }
    }

    #[test]
    fn distances_are_those_of_the_definition() {
        for dimension in [1, 2, 31, 384, 1_000] {
            let numbers =
                |seed: usize| (0..dimension).map(|at| ((at * 37 + seed * 101) % 255) as i16 - 127).collect::<Vec<_>>();
            let (a, b) = (numbers(1), numbers(3));
            let [a32, b32] = [&a, &b].map(|v| v.iter().map(|x| f32::from(*x) / 16.0).collect::<Vec<_>>());
            check_all(&a32, &b32, |x| f64::from(*x));
            let [a16, b16] = [&a32, &b32].map(|v| v.iter().map(|x| F16::from_f32(*x)).collect::<Vec<_>>());
            check_all(&a16, &b16, |x| f64::from(x.to_f32()));
            let [a8, b8] = [&a, &b].map(|v| v.iter().map(|x| *x as i8).collect::<Vec<_>>());
            check_all(&a8, &b8, |x| f64::from(*x));
        }
    }

    #[test]
    fn what_cannot_be_compared_is_a_typed_error() {
        for metric in NUMBERS {
            let mismatch = VectorError::DimensionMismatch { expected: 2, found: 3 };
            assert_eq!(metric.distance(&[1.0_f32; 2], &[1.0; 3]), Err(mismatch));
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, 40, 69] {
                    let (good, mut vector) = (vec![0.5_f32; 70], vec![0.0; 70]);
                    vector[0] = 1.0;
                    vector[at] = bad;
                    assert_eq!(metric.distance(&good, &vector), Err(VectorError::NotFinite { at }), "{metric:?}");
                    assert_eq!(metric.distance(&vector, &good), Err(VectorError::NotFinite { at }), "{metric:?}");
                    let half = |vector: &[f32]| vector.iter().map(|x| F16::from_f32(*x)).collect::<Vec<_>>();
                    let found = metric.distance(&half(&good), &half(&vector));
                    assert_eq!(found, Err(VectorError::NotFinite { at }), "{metric:?}");
                }
            }
            let unsupported = VectorError::MetricUnsupported { metric: metric.name(), element: "bits" };
            assert_eq!(metric.distance(&[1_u8], &[1]), Err(unsupported));
        }
        let huge = [f32::MAX; 2];
        for metric in [Metric::L2, Metric::InnerProduct, Metric::L1, Metric::Cosine] {
            assert_eq!(metric.distance(&huge, &[-f32::MAX, -f32::MAX]), Err(VectorError::Overflow), "{metric:?}");
        }
        assert_eq!(Metric::Cosine.distance(&huge, &[1.0, -1.0]), Err(VectorError::Overflow));
        for vector in [[0.0, -0.0], [1e-30, 0.0]] {
            assert_eq!(Metric::Cosine.distance(&[1.0, 0.0], &vector), Err(VectorError::ZeroVector));
            assert_eq!(Metric::Cosine.distance(&vector, &[1.0, 0.0]), Err(VectorError::ZeroVector));
        }
        let unsupported = VectorError::MetricUnsupported { metric: "Hamming", element: "f32" };
        assert_eq!(Metric::Hamming.distance(&[1.0_f32], &[1.0]), Err(unsupported));
    }

    #[test]
    fn vectors_without_elements_are_at_the_same_place() {
        assert_eq!(Metric::L2.distance::<f32>(&[], &[]), Ok(0.0));
        assert_eq!(Metric::Hamming.distance::<u8>(&[], &[]), Ok(0.0));
        assert_eq!(Metric::Cosine.distance::<i8>(&[], &[]), Err(VectorError::ZeroVector));
    }
}
