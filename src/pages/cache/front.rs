//! Copies of the starts of pages, side by side.
//!
//! A look-up reads of most leaves nothing but the arrays at their start, and of another one record. The starts of pages
//! lie pages apart, and what a processor fetches around each of them takes more room in its caches than what is read.
//! So a slab keeps, before its frames, a front for each of them: where a page's arrays fit its front, it has a copy
//! there as long as it is clean, and searches read that. [`LENGTH_PART`] of a page is enough for the arrays of rows of
//! some 170 bytes.
//!
//! A front is where its frame is: both are known by the frame's address, and no memory is read to find one.
#![allow(unsafe_code)]

use super::frame::{Frame, FrameRef};
use crate::format::node::Node;
use core::{ptr::NonNull, slice};

/// The part of a page that its front has room for.
const LENGTH_PART: (usize, usize) = (5, 64);
/// Bytes of a front are a multiple of this: a cache line.
const UNIT: usize = 64;
/// Shorter fronts would hold the arrays of no usual leaf.
const LEAST: usize = 256;

/// Where fronts are in slabs whose addresses are multiples of a power of two.
#[derive(Clone, Copy, Default)]
pub(super) struct Fronts {
    /// Bytes of a page.
    page: usize,
    /// Bytes of a front.
    length: usize,
    /// Bytes before the first front.
    start: usize,
    /// Bytes before the first frame.
    frames: usize,
    /// All ones below the slab's alignment.
    mask: usize,
    /// The least number whose product with the distance between two frames is 2^32 or more.
    reciprocal: u64,
}

/// Bytes of a front of such a page.
pub(super) const fn length_of(page: usize) -> usize {
    let (part, whole) = LENGTH_PART;
    let length = page / whole * part / UNIT * UNIT;
    if length < LEAST { 0 } else { length }
}

impl Fronts {
    /// `alignment` is a power of two of at most 2^32, and slabs are no longer.
    pub(super) fn new(page: usize, start: usize, frames: usize, stride: usize, alignment: usize) -> Self {
        let reciprocal = (1u64 << 32).div_ceil(stride.max(1) as u64);
        Self { page, length: length_of(page), start, frames, mask: alignment.wrapping_sub(1), reciprocal }
    }

    /// Where the front of a frame of such a slab is.
    ///
    /// The frame's index is exact: with `i` of `n` frames, `d` the distance of two, and `r` the reciprocal, `i d r /
    /// 2^32` is `i` and `i (d r - 2^32) / 2^32`, where the bracket is less than `d`, and `i d` less than the slab's
    /// length.
    #[inline]
    pub(super) fn of(&self, frame: NonNull<Frame>) -> NonNull<u8> {
        let offset = frame.addr().get() & self.mask;
        let index = ((offset.wrapping_sub(self.frames) as u64).wrapping_mul(self.reciprocal) >> 32) as usize;
        let back = offset.wrapping_sub(self.start).wrapping_sub(index.wrapping_mul(self.length));
        let front = frame.cast::<u8>().as_ptr().wrapping_sub(back);
        NonNull::new(front).unwrap_or(frame.cast())
    }

    /// Copies the start of a page to its front, if it has one that all of its arrays fit.
    ///
    /// # Safety
    ///
    /// The frame is of a cache whose slabs are as `self` says. Nobody reads the front meanwhile, nor did so under a pin
    /// that is still there.
    pub(super) unsafe fn copy(&self, frame: &FrameRef) -> bool {
        let page = frame.frame().bytes();
        if self.length == 0 || !frame.frame().is_of_slab() || Node::new(page).front_len() > self.length {
            return false;
        }
        let Some(start) = page.get(..self.length) else { return false };
        // SAFETY: a frame of a slab has a front of this length before all frames, where nobody looks, by the contract.
        unsafe { self.of(frame.address()).copy_from_nonoverlapping(NonNull::from(start).cast(), self.length) };
        true
    }

    /// The front of a page, and all of it. Reads nothing.
    ///
    /// # Safety
    ///
    /// [`copy`](Self::copy) was true for the frame, and neither frame nor front change for as long as the slices are
    /// used.
    #[inline]
    pub(super) unsafe fn get<'p>(&self, frame: NonNull<Frame>) -> (&'p [u8], &'p [u8]) {
        // SAFETY: `copy` has filled the front; a frame's bytes follow its header, and in a slab there are `page` of
        // them.
        unsafe {
            let bytes = frame.add(1).cast::<u8>();
            (
                slice::from_raw_parts(self.of(frame).as_ptr(), self.length),
                slice::from_raw_parts(bytes.as_ptr(), self.page),
            )
        }
    }
}
