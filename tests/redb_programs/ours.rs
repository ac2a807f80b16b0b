//! The programs on sapwood.

use sapwood as db;

#[path = "areas.rs"]
mod areas;

pub use areas::*;
