//! For the model checker: freed memory that stays for a while, so that a look at what was written over it is noticed.
#![allow(unsafe_code)]

use crate::format::TxnId;
use alloc::alloc::Layout;
use alloc::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The birth of a frame that was freed.
pub(super) const BIRTH: TxnId = TxnId::MAX - 1;
/// What is in freed memory.
pub(super) const GARBAGE: u8 = 0xDB;
/// Pieces that stay at most.
const MOST: usize = 2000;

struct Piece(*mut u8, Layout);

// SAFETY: the memory has no other owner, and is tied to no thread.
unsafe impl Send for Piece {}

static KEPT: Mutex<VecDeque<Piece>> = Mutex::new(VecDeque::new());

/// Frees the memory later.
///
/// # Safety
///
/// It was allocated with this layout and is the caller's alone.
pub(super) unsafe fn dealloc(start: *mut u8, layout: Layout) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.push_back(Piece(start, layout));
    if kept.len() > MOST
        && let Some(Piece(start, layout)) = kept.pop_front()
    {
        // SAFETY: the caller that brought it in vouched, and it was taken out once.
        unsafe { alloc::alloc::dealloc(start, layout) };
    }
}
