//! Read and write transactions.

/// A snapshot of the whole database.
#[derive(Debug)]
pub struct ReadTransaction;
