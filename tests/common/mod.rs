//! What the integration tests share. Each of them uses a part of it.
#![allow(dead_code)]

pub mod batch;
pub mod blobs;
pub mod clock;
pub mod crash;
pub mod forge;
pub mod image;
pub mod kinds;
pub mod links;
pub mod no_case;
pub mod rng;

/// How much work the tests with many rounds do, as a multiple of the least that still says something.
pub fn scale() -> u64 {
    std::env::var("SAPWOOD_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1).max(1)
}
