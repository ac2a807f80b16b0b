//! What other tests share, as far as it is used here.

#[path = "../common/blobs.rs"]
#[allow(dead_code)]
pub mod blobs;
#[path = "../common/rng.rs"]
#[allow(dead_code)]
pub mod rng;
