//! The programs on sapwood.

use sapwood as db;

/// Settings that only this crate has.
fn tune(builder: &mut db::Builder, page: usize) {
    builder.set_page_size(page);
}

#[path = "body.rs"]
mod body;

pub use body::run;
