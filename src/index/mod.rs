//! Indexes of things that are known by a key: ids of blobs, or keys of rows of tables.

mod tables;
mod tags;

pub(crate) use tables::open;
pub use tables::{OwnTables, Part};
pub use tags::TagQuery;
pub(crate) use tags::Tags;
