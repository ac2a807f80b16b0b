//! Which clean frame goes next.

use super::frame::{Frame, FrameRef, NO_SLOT};
use alloc::vec::Vec;
use core::ptr::NonNull;

/// The clean frames of the table, in a ring with a hand. Dirty frames are not here, so they cost the hand nothing.
#[derive(Default)]
pub(super) struct Clock {
    frames: Vec<FrameRef>,
    hand: usize,
}

/// Frames that the hand passes at most in search of a cold one before it takes the coldest of those.
const REACH: usize = 64;

impl Clock {
    pub(super) fn insert(&mut self, frame: FrameRef) {
        frame.frame().set_slot(self.frames.len());
        self.frames.push(frame);
    }

    pub(super) fn remove(&mut self, frame: &Frame) {
        let slot = frame.slot();
        if slot >= self.frames.len() {
            return;
        }
        frame.set_slot(NO_SLOT);
        drop(self.frames.swap_remove(slot));
        if let Some(moved) = self.frames.get(slot) {
            moved.frame().set_slot(slot);
        }
    }

    /// The frame at this address, if it is here, and says that it is in this slot.
    pub(super) fn at(&self, slot: usize, frame: NonNull<Frame>) -> Option<&FrameRef> {
        self.frames.get(slot).filter(|found| found.is_at(frame))
    }

    /// Passes the hand over frames, taking a chance from each, until one has none left. `take_use` says whether a frame
    /// was used since it was asked before.
    ///
    /// The hand ends beyond the victim: the youngest frame, which takes the victim's place, is the last to be
    /// looked at again.
    pub(super) fn victim(&mut self, mut take_use: impl FnMut(&Frame) -> bool) -> Option<FrameRef> {
        let mut coldest: Option<(u32, &FrameRef)> = None;
        for _ in 0..REACH.min(self.frames.len()) {
            if self.hand >= self.frames.len() {
                self.hand = 0;
            }
            let frame = self.frames.get(self.hand)?;
            self.hand += 1;
            let warmth = frame.frame().cool(take_use(frame.frame()));
            if warmth == 0 {
                return Some(frame.clone());
            }
            if coldest.is_none_or(|(least, _)| warmth < least) {
                coldest = Some((warmth, frame));
            }
        }
        coldest.map(|(_, frame)| frame.clone())
    }
}
