//! The programs on redb.

use redb as db;

#[path = "areas.rs"]
mod areas;

pub use areas::*;
