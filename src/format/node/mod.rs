//! The bytes of a B-tree page. Pure functions over byte slices: no I/O, no order but that of heads and bytes.
//!
//! A page of `P` bytes uses the first `usable(P)` of them:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | kind: 1 leaf, 2 branch |
//! | 1 | 1 | flags, below |
//! | 2 | 2 | count of entries |
//! | 4 | 1 | prefix length: leading bytes that all keys share (keys in byte order only) |
//! | 5 | 1 | level: 0 in a leaf |
//! | 6 | 2 | lowest byte that a record uses |
//! | 8 | 2 | dead bytes among the records |
//! | 10 | 2 | width of keys, or 0 |
//! | 12 | 2 | width of values, or of members of sets, or 0 |
//! | 14 | 6 | the prefix's first six bytes, padded with zeros |
//! | 20 | | arrays, one right behind the other: heads, places (branch), links (branch), slots |
//! | | | free space |
//! | | | records, placed from the end downward |
//!
//! Flags: 1 keys of one width, 2 values of one width, 4 keys in byte order, 8 an entry holds a pointer, 16 values are
//! sets, 32 their members have one width.
//!
//! What a look-up reads stands together, and at the start, where memory is asked for at once. A place is the page
//! number of a child, its link the rest of the [`Pointer`](super::Pointer) to it. A head is a `u64`. A slot is the
//! record's offset, then the key's code unless keys have one width, then the value's code unless values have one
//! width; each a `u16`. A record is the key part followed by the value part. An empty record's offset is `usable(P)`.
//!
//! A code is the length of an inline part, or says that the part is a pointer: key 0xFFFF: the first [`STUB`] bytes,
//! then the pointer to the run of the whole key; value 0xFFFF: pointer to a run; 0xFFFE: to the root of a subtree;
//! 0xFFFD: to the root of a tree that belongs to somebody else; 0xFFFC: to a run of packed bytes, the packing behind
//! the pointer. Value 0xFFFB: the length of packed bytes, the packing, the packed bytes.
//!
//! In a branch, entry `i`'s key is child `i`'s upper separator: the child holds keys `k` with
//! `sep(i - 1) < k <= sep(i)`. The last child has no bound: its entry has no key, an empty record, and the greatest
//! head. A branch has values of width 0, so that its slots and records follow the leaf's rules.
//!
//! Values that are sets: each is a [`ValueSet`], or the root of a subtree whose keys are the members.
//!
//! Keys in byte order: a head is the eight bytes behind the shared prefix, big-endian, padded with zeros. Other keys'
//! heads are the caller's. Heads never decrease.

mod check;
mod edit;
mod layout;
mod room;
mod search;
mod set;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use edit::{EditError, NodeMut, PageOp};
pub(crate) use layout::{KeyPart, STUB, Shape, ValuePart, capacity};
pub(crate) use set::{SetForm, ValueSet};
pub(crate) use view::{Node, PointerRole};
