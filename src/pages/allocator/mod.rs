//! Which pages of the file are free.

mod bit_tree;
mod buddy;
mod free_map;
#[cfg(test)]
mod tests;

pub(crate) use buddy::Buddy;
pub(crate) use free_map::{FreeMap, Heat};
