//! What the integration tests share. Each of them uses a part of it.
#![allow(dead_code)]

pub mod batch;
pub mod crash;
pub mod image;
pub mod rng;
