//! The loops compiled for what some processors have and others have not.
#![allow(unsafe_code)]

use super::{Kernels, Sums, sums};
use crate::types::F16;

/// A set of kernels that needs these features.
macro_rules! kernels_with {
    ($name:ident, $features:literal, $($feature:tt),*) => {
        pub(super) mod $name {
            use super::{F16, Kernels, Sums, sums};

            /// The kernels, if this processor can run them.
            pub(in super::super) fn detected() -> Option<&'static Kernels> {
                ($(std::arch::is_x86_feature_detected!($feature))&&*).then_some(&KERNELS)
            }

            // SAFETY, of all calls: what they need was detected before they were given out.
            static KERNELS: Kernels = Kernels {
                f32: Sums {
                    dot: |a, b| unsafe { dot_f32(a, b) },
                    l2: |a, b| unsafe { l2_f32(a, b) },
                    l1: |a, b| unsafe { l1_f32(a, b) },
                },
                f16: Sums {
                    dot: |a, b| unsafe { dot_f16(a, b) },
                    l2: |a, b| unsafe { l2_f16(a, b) },
                    l1: |a, b| unsafe { l1_f16(a, b) },
                },
                i8: Sums {
                    dot: |a, b| unsafe { dot_i8(a, b) },
                    l2: |a, b| unsafe { l2_i8(a, b) },
                    l1: |a, b| unsafe { l1_i8(a, b) },
                },
                hamming: |a, b| unsafe { hamming(a, b) },
            };

            kernels_with!(@ $features, f32 => f32:
                dot_f32 = |a, b| sums::dot_f32(a, b, f32::mul_add),
                l2_f32 = |a, b| sums::l2_f32(a, b, f32::mul_add),
                l1_f32 = sums::l1_f32
            );
            kernels_with!(@ $features, F16 => f32:
                dot_f16 = |a, b| sums::dot_f16(a, b, f32::mul_add),
                l2_f16 = |a, b| sums::l2_f16(a, b, f32::mul_add),
                l1_f16 = sums::l1_f16
            );
            kernels_with!(@ $features, i8 => i64: dot_i8 = sums::dot_i8, l2_i8 = sums::l2_i8, l1_i8 = sums::l1_i8);
            kernels_with!(@ $features, u8 => u64: hamming = sums::hamming);
        }
    };
    (@ $features:literal, $element:ty => $sum:ty: $($name:ident = $body:expr),*) => {
        $(
            #[target_feature(enable = $features)]
            fn $name(a: &[$element], b: &[$element]) -> $sum {
                ($body)(a, b)
            }
        )*
    };
}

kernels_with!(avx2, "avx2,fma,f16c,popcnt", "avx2", "fma", "f16c", "popcnt");
kernels_with!(
    avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,fma,f16c,popcnt",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512vpopcntdq",
    "fma",
    "f16c",
    "popcnt"
);
