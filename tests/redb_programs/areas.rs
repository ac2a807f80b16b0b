//! One module per area. Compiled once per crate, as a child of the module that says which crate `db` is.

mod common;
pub mod compaction;
pub mod cursors;
pub mod entries;
pub mod errors;
pub mod extraction;
pub mod handles;
pub mod integrity;
pub mod multimaps;
pub mod rows;
pub mod savepoints;
pub mod stats;
pub mod storage;
#[allow(dead_code)]
mod surface;
pub mod tables;
pub mod transactions;
pub mod types;

use super::db;
