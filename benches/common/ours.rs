//! The workloads on sapwood.

use sapwood as db;

#[path = "store.rs"]
mod store;

pub use store::Store;
