//! The one door to bytes that change in place.

#![allow(unsafe_code)]

use super::cache::FrameRef;

/// A page or run of the live write transaction, whose bytes may be changed.
///
/// Invariant: the frame was born in the live write transaction and is reached only through the tree that owns it,
/// whose lock or exclusive borrow the holder has; when this was made, nobody else held on to the frame.
#[derive(Debug)]
pub(crate) struct PageMut(FrameRef);

impl PageMut {
    pub(super) fn new(frame: FrameRef) -> Self {
        Self(frame)
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: by the invariant no other thread reaches the frame, and `self` is borrowed exclusively.
        unsafe { self.0.bytes_mut() }
    }

    /// Whether somebody else holds on to the frame meanwhile.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    pub(crate) fn into_frame(self) -> FrameRef {
        self.0
    }

    /// The frame, for a guard that reads it while the tree stays borrowed.
    pub(crate) fn frame(&self) -> &FrameRef {
        &self.0
    }
}
