//! Pages in memory.

pub(crate) mod cache;
