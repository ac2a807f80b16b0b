//! The same programs on redb, whose answers must be the same.

use redb as db;

/// Settings that only this crate has: the page size is not among them.
fn tune(_builder: &mut db::Builder, _page: usize) {}

#[path = "body.rs"]
mod body;

pub use body::run;
