//! Indexes of things that are known by a key: ids of blobs, or keys of rows of tables.

mod check;
mod graph;
mod own;
mod own_graph;
mod own_tags;
mod tables;
mod tags;
mod walk;

pub(crate) use check::{Hear, Rows, Shown, check_edges, check_own, check_tags};
pub use graph::{DeleteLinks, Edge, Relation};
pub(crate) use graph::{Edges, Linked, Side};
pub(crate) use own::{find, list, make};
pub use own_graph::{Graph, GraphDefinition};
pub use own_tags::{TagIndex, TagIndexDefinition};
pub(crate) use tables::{OpenPart, delete, length_of, open};
pub use tables::{OwnTables, Part};
pub use tags::TagQuery;
pub(crate) use tags::Tags;
pub use walk::Follow;
