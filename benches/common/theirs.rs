//! The workloads on redb.

use redb as db;

#[path = "store.rs"]
mod store;

pub use store::Store;
