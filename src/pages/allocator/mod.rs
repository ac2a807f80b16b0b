//! Which pages of the file are free.

mod bit_tree;
mod buddy;
#[cfg(test)]
mod tests;

pub(crate) use buddy::Buddy;
