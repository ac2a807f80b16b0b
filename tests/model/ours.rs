//! The programs on sapwood.

use redb as db;

/// Settings that only this crate has.
fn tune(_builder: &mut db::Builder, _page: usize) {
    // _builder.set_page_size(_page);
}

#[path = "body.rs"]
mod body;

pub use body::run;
