//! B-trees of pages: search, ordered walks, and the one mutator through which every change of a tree goes.
//!
//! - Child `i` of a branch holds the keys `k` with `separator(i - 1) < k <= separator(i)`.
//! - No page but a root is empty, and a root branch has at least two children.
//! - A pointer that is unsealed names a page that the live write transaction owns; its row count and flags are those
//!   of the last sealing.
//! - In a multimap a key's values are a set in the key's leaf, or the keys of a tree whose root stands there and whose
//!   values are empty. The pointer to that root has the right row count, sealed or not. No set is empty.

mod bulk;
mod count;
mod cursor;
mod cut;
mod diff;
mod edit;
mod edit_cursor;
mod gap;
mod get;
mod get_many;
mod insert;
mod kind;
mod members;
mod merge;
mod multimap;
#[cfg(test)]
mod range_tests;
mod remove;
mod sink;
mod stats;
#[cfg(test)]
mod tests;

pub(crate) use bulk::Loader;
pub(crate) use count::count;
pub(crate) use cursor::{GapCursor, RangeCursor, is_empty};
pub(crate) use diff::{RowDiff, RowDiffs};
pub(crate) use edit::{Tree, TreeEditor};
pub(crate) use edit_cursor::EditCursor;
pub(crate) use gap::{Aim, Side};
pub(crate) use get::{Found, Row, Slice, find, first_or_last, get, locate, value_length};
pub(crate) use get_many::get_many;
pub(crate) use insert::{NewValue, Reserved, check_row};
pub(crate) use kind::TreeKind;
pub(crate) use members::Members;
pub(crate) use multimap::{MultimapEditor, MultimapKind};
pub(crate) use remove::Target;
pub(crate) use sink::{Change, ChangeSink};
pub(crate) use stats::TreeStats;
