//! The pages of the file: which are free, which are in use, and which are kept for whom.

pub(crate) mod allocator;
pub(crate) mod page_set;
pub(crate) mod snapshots;

#[cfg(test)]
#[cfg(test)]
mod test_rng;
