//! One page or run in memory: its header, its bytes and the counted references to it.
#![allow(unsafe_code)]

#[cfg(shuttle)]
use super::freed::dealloc;
use super::slab::{self, Head};
use crate::{
    format::{PageNumber, TxnId},
    sync::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence},
};
#[cfg(not(shuttle))]
use alloc::alloc::dealloc;
use alloc::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
};

/// The header of a page or run in memory; the bytes follow it in the same allocation, of their own or in a slab.
///
/// All of it is one cache line, and the first line of the bytes is its neighbour, which processors fetch along: a
/// reader that keeps a cold page waits for memory once. Only who keeps a page writes the line, so branches, which
/// descents only look at, stay shared between the processors.
#[repr(C, align(64))]
pub(crate) struct Frame {
    birth: TxnId,
    /// Derived from the whole allocation, so that it may name bytes and header beyond what a `&Frame` may.
    bytes: NonNull<u8>,
    length: usize,
    page: PageNumber,
    warmest: u32,
    warmth: AtomicU32,
    dirty: AtomicBool,
    references: AtomicUsize,
    /// Written only as an atomic once the frame is made: [`slot_of`] may read it at any time.
    slot: AtomicUsize,
    /// The slab that the frame is a part of.
    home: Option<NonNull<Head>>,
}

const HEADER: usize = size_of::<Frame>();
/// Bytes that a processor fetches at once.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;
/// Two cache lines.
pub(super) const ALIGNMENT: usize = 128;
const _: () = assert!((HEADER == 64 || cfg!(shuttle)) && ALIGNMENT >= align_of::<Frame>());

/// Memory from the start of one frame of `length` bytes to that of the next one in a slab.
///
/// It is not a power of two, so that the starts of pages are not all in the same few sets of a processor's cache.
pub(super) const fn stride(length: usize) -> usize {
    length.saturating_add(HEADER + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
}

/// Extra chances that each step of priority gives: a scan of so many times the cache leaves the branches in it, though
/// it looks at each of them but once.
const CHANCES: u32 = 24;

/// What [`Frame::slot`] says of a frame that is not on the clock.
pub(super) const NO_SLOT: usize = usize::MAX;

// SAFETY: what a `&Frame` changes is atomic. The bytes are changed only through `FrameBuf`, which is the
// only owner, or under the contract of `FrameRef::bytes_mut`.
unsafe impl Sync for Frame {}

impl Frame {
    /// Memory that a frame of `length` bytes takes, its place on the clock included.
    pub(super) const fn cost_of(length: usize) -> usize {
        stride(length).saturating_add(size_of::<FrameRef>())
    }

    pub(super) fn cost(&self) -> usize {
        Self::cost_of(self.length)
    }

    #[inline]
    pub(crate) fn birth(&self) -> TxnId {
        #[cfg(shuttle)]
        assert_ne!(self.birth, super::freed::BIRTH, "a frame that was freed");
        self.birth
    }

    pub(crate) fn page(&self) -> PageNumber {
        self.page
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        #[cfg(shuttle)]
        assert_ne!(self.birth, super::freed::BIRTH, "the bytes of a frame that was freed");
        // SAFETY: `bytes` and `length` name initialized memory of this frame's allocation, which lives at
        // least as long as `self`; whoever changes the bytes vouches that no such slice exists.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.length) }
    }

    /// Whether the bytes are nowhere but here.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Relaxed)
    }

    pub(super) fn set_dirty(&self, dirty: bool) {
        self.dirty.store(dirty, Ordering::Relaxed);
    }

    /// Takes one chance away and says how many there were: all of them, if the frame was used.
    pub(super) fn cool(&self, used: bool) -> u32 {
        let warmth = if used { self.warmest } else { self.warmth.load(Ordering::Relaxed) };
        self.warmth.store(warmth.saturating_sub(1), Ordering::Relaxed);
        warmth
    }

    /// Where the clock keeps the frame; read and written under the cache's lock.
    pub(super) fn slot(&self) -> usize {
        self.slot.load(Ordering::Relaxed)
    }

    pub(super) fn set_slot(&self, slot: usize) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// Asks for the first `lines` cache lines of the bytes before they are needed. Looks at nothing, so that it goes
    /// on beside the first look at the header.
    #[inline]
    pub(crate) fn prefetch(&self, lines: usize) {
        prefetch_lines(core::ptr::from_ref(self).cast::<u8>().wrapping_add(HEADER), lines);
    }

    /// Asks for what [`hold`](Self::hold) writes.
    #[inline]
    pub(crate) fn prefetch_header(&self) {
        prefetch_lines(core::ptr::from_ref(self).cast(), 1);
    }

    /// Whether the frame is a part of a slab.
    pub(super) fn is_of_slab(&self) -> bool {
        self.home.is_some()
    }

    /// A counted reference. Whoever has a `&Frame` knows that somebody else's reference lasts as long as it.
    #[inline]
    pub(crate) fn hold(&self) -> FrameRef {
        self.references.fetch_add(1, Ordering::Relaxed);
        FrameRef(self.base())
    }

    /// This frame's address, good for all of its allocation.
    fn base(&self) -> NonNull<Frame> {
        // SAFETY: `bytes` lies `HEADER` bytes into the allocation that it was derived from.
        unsafe { self.bytes.sub(HEADER).cast() }
    }
}

/// Asks for the first `lines` cache lines from where `bytes` begins before they are needed.
#[inline]
pub(crate) fn prefetch(bytes: &[u8], lines: usize) {
    prefetch_lines(bytes.as_ptr(), lines);
}

#[inline]
fn prefetch_lines(start: *const u8, lines: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..lines {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program sees, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line * LINE).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, lines);
}

fn layout(length: usize) -> Layout {
    match Layout::from_size_align(HEADER.saturating_add(length), ALIGNMENT) {
        Ok(layout) => layout,
        Err(_) => handle_alloc_error(Layout::new::<Frame>()),
    }
}

/// A buffer with one owner, on its way to becoming a frame.
pub(crate) struct FrameBuf(NonNull<Frame>);

// SAFETY: it is the only owner of its memory, all of which may be used from any thread.
unsafe impl Send for FrameBuf {}
// SAFETY: `&FrameBuf` gives out nothing but `&[u8]`.
unsafe impl Sync for FrameBuf {}

/// Makes a frame of zeros with one owner, in memory that has `HEADER` bytes and `length` more.
///
/// # Safety
///
/// `base` is good for writing so many bytes, is aligned to [`ALIGNMENT`], and nobody else looks there. It is good as
/// long as the frame, and so is `home`. The bytes are zero, or become so before they are read.
pub(super) unsafe fn place(base: NonNull<u8>, length: usize, home: Option<NonNull<Head>>) -> NonNull<Frame> {
    // SAFETY: there are `HEADER` bytes and `length` more, by the contract.
    let bytes = unsafe { base.add(HEADER) };
    let frame = base.cast::<Frame>();
    let (references, slot) = (AtomicUsize::new(1), AtomicUsize::new(NO_SLOT));
    let (warmth, dirty) = (AtomicU32::new(0), AtomicBool::new(false));
    let header = Frame { birth: 0, bytes, length, page: 0, warmest: 1, warmth, dirty, references, slot, home };
    // SAFETY: room for a `Frame`, aligned for it, and nobody else's, by the contract.
    unsafe { frame.write(header) };
    frame
}

/// What the frame says of its place on the clock: true of one that is on the clock, of no meaning for others.
///
/// # Safety
///
/// [`place`] made the frame, before in the order of threads, and its memory is not given back meanwhile.
pub(super) unsafe fn slot_of(frame: NonNull<Frame>) -> usize {
    // SAFETY: initialized since `place`, by the contract. Of the header's other parts, which an owner may be writing
    // without atomics, no reference is made; this one changes by atomics alone.
    unsafe { (*frame.as_ptr()).slot.load(Ordering::Relaxed) }
}

impl FrameBuf {
    /// In an allocation of its own.
    pub(super) fn zeroed(length: usize) -> Self {
        let layout = layout(length);
        // SAFETY: the header makes the size more than zero.
        let Some(base) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation is `HEADER` bytes and `length` more, aligned as the layout says, zero and new; it
        // lasts until the frame is dropped.
        let frame = unsafe { place(base, length, None) };
        #[cfg(test)]
        live::count(length, 1);
        Self(frame)
    }

    /// A frame of a slab.
    ///
    /// # Safety
    ///
    /// [`place`] made the frame, all of its bytes are initialized, and the caller, who is its only owner, gives it up.
    pub(super) unsafe fn of_slab(frame: NonNull<Frame>) -> Self {
        // SAFETY: the caller was the frame's only owner. It is in use again.
        #[cfg(shuttle)]
        unsafe {
            (*frame.as_ptr()).birth = 0;
        }
        let buffer = Self(frame);
        #[cfg(test)]
        live::count(buffer.len(), 1);
        buffer
    }

    /// Names the bytes. `priority` is the number of chances that the clock gives beyond the usual one.
    pub(super) fn into_frame(self, page: PageNumber, birth: TxnId, priority: u8) -> FrameRef {
        let base = ManuallyDrop::new(self).0;
        let frame = base.as_ptr();
        let extra = CHANCES * u32::from(priority);
        // SAFETY: the buffer's only owner is here, so nobody else looks at the header, but for its slot, which a look
        // at all frames of a slab may load: so no reference is made to the whole, and the slot is stored to.
        unsafe {
            ((*frame).page, (*frame).birth, (*frame).warmest) = (page, birth, 1 + extra);
            (*frame).warmth = AtomicU32::new(extra);
            (*frame).dirty = AtomicBool::new(false);
            (*frame).references = AtomicUsize::new(1);
            (*frame).slot.store(NO_SLOT, Ordering::Relaxed);
        }
        FrameRef(base)
    }

    fn header(&self) -> &Frame {
        // SAFETY: the header was written when the buffer was made, and lives as long as the buffer.
        unsafe { self.0.as_ref() }
    }
}

impl Deref for FrameBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.header().bytes()
    }
}

impl DerefMut for FrameBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (bytes, length) = (self.header().bytes, self.header().length);
        // SAFETY: initialized memory of this allocation, whose only owner is borrowed for as long as the slice.
        unsafe { slice::from_raw_parts_mut(bytes.as_ptr(), length) }
    }
}

impl Drop for FrameBuf {
    fn drop(&mut self) {
        let (length, home) = (self.header().length, self.header().home);
        #[cfg(test)]
        live::count(length, -1);
        #[cfg(shuttle)]
        self.overwrite();
        match home {
            // SAFETY: the frame is of that slab, and its only owner gives it up here.
            Some(slab) => unsafe { slab::put_back(slab, self.0) },
            // SAFETY: allocated by `zeroed` with this layout and owned by nobody else. The header needs no drop.
            None => unsafe { dealloc(self.0.as_ptr().cast(), layout(length)) },
        }
    }
}

#[cfg(shuttle)]
impl FrameBuf {
    /// Makes every later look at the frame fail.
    fn overwrite(&mut self) {
        // SAFETY: the buffer's only owner is here, so nobody else looks at the header.
        let frame = unsafe { self.0.as_mut() };
        (frame.birth, frame.references) = (super::freed::BIRTH, AtomicUsize::new(usize::MAX / 2));
        self.fill(super::freed::GARBAGE);
    }
}

impl fmt::Debug for FrameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameBuf({} bytes)", self.len())
    }
}

/// A counted reference to a frame, which lasts as long as the reference whatever the cache does.
pub(crate) struct FrameRef(NonNull<Frame>);

// SAFETY: like `Arc<Frame>`: the count is atomic and the frame is `Sync`; the last owner, on whatever
// thread, frees memory that is tied to no thread.
unsafe impl Send for FrameRef {}
// SAFETY: as above; `&FrameRef` gives out `&Frame` and clones.
unsafe impl Sync for FrameRef {}

impl FrameRef {
    #[inline]
    pub(crate) fn frame(&self) -> &Frame {
        // SAFETY: this reference is counted, so the frame is alive; headers in use change only by atomics.
        unsafe { self.0.as_ref() }
    }

    /// Whether somebody besides the caller and the page table holds on to a dirty frame.
    pub(crate) fn is_shared(&self) -> bool {
        self.frame().references.load(Ordering::Acquire) > 2
    }

    /// The frame's address, good for all of its allocation.
    pub(super) fn address(&self) -> NonNull<Frame> {
        self.0
    }

    /// Whether both refer to one frame.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.is_at(other.0)
    }

    /// Whether this is the frame at that address.
    pub(super) fn is_at(&self, frame: NonNull<Frame>) -> bool {
        self.0 == frame
    }

    /// The bytes, to change.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody else reads or writes the bytes, and no other slice of them exists. That is
    /// so for a page born in the one write transaction, which is the caller: no reader can name its birth.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn bytes_mut(&self) -> &mut [u8] {
        let frame = self.frame();
        // SAFETY: initialized memory of the frame's allocation; the caller vouches that it is nobody else's.
        unsafe { slice::from_raw_parts_mut(frame.bytes.as_ptr(), frame.length) }
    }

    /// Gives the reference up; the last one gets the buffer. Takes an address, not a reference: once the count is down
    /// another thread may free the frame.
    fn give_up(base: NonNull<Frame>) -> Option<FrameBuf> {
        // SAFETY: the caller's count is still in, so the frame is alive until the subtraction.
        let before = unsafe { (*base.as_ptr()).references.fetch_sub(1, Ordering::Release) };
        if before != 1 {
            return None;
        }
        // What the other holders did with the frame comes before its next use.
        fence(Ordering::Acquire);
        Some(FrameBuf(base))
    }

    /// The address, with the reference in it.
    pub(super) fn into_raw(self) -> *mut Frame {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// # Safety
    ///
    /// `raw` is null or comes from [`Self::into_raw`], and is turned back only once.
    pub(super) unsafe fn from_raw(raw: *mut Frame) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }
}

impl Clone for FrameRef {
    #[inline]
    fn clone(&self) -> Self {
        self.frame().hold()
    }
}

impl Drop for FrameRef {
    #[inline]
    fn drop(&mut self) {
        drop(Self::give_up(self.0));
    }
}

impl Deref for FrameRef {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.frame().bytes()
    }
}

/// A reference with more of them in stock, counted all at once: giving one out writes nothing that others see.
pub(crate) struct FrameStock {
    own: FrameRef,
    /// Counted references besides `own` that nobody has.
    left: usize,
}

impl FrameStock {
    pub(crate) fn new(own: FrameRef) -> Self {
        Self { own, left: 0 }
    }

    /// Puts `count` references in stock if there are none, and says whether it did.
    #[inline]
    pub(crate) fn stock(&mut self, count: usize) -> bool {
        let empty = self.left == 0;
        if empty {
            self.own.frame().references.fetch_add(count, Ordering::Relaxed);
            self.left = count;
        }
        empty
    }

    #[inline]
    pub(crate) fn frame(&self) -> &FrameRef {
        &self.own
    }

    /// One of the references.
    #[inline]
    pub(crate) fn take(&mut self) -> FrameRef {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                FrameRef(self.own.0)
            }
            None => self.own.clone(),
        }
    }
}

impl Clone for FrameStock {
    fn clone(&self) -> Self {
        Self { own: self.own.clone(), left: 0 }
    }
}

impl Drop for FrameStock {
    fn drop(&mut self) {
        // `own` is still counted, so these are not the last.
        self.own.frame().references.fetch_sub(self.left, Ordering::Release);
    }
}

impl fmt::Debug for FrameStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.own.fmt(f)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (page, birth, length) = (self.page, self.birth, self.length);
        write!(f, "Frame(page {page}, birth {birth}, {length} bytes, dirty: {})", self.is_dirty())
    }
}

impl fmt::Debug for FrameRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame().fmt(f)
    }
}

/// Frames in use, and slabs, by length, so that a test with a length of its own can look for leaks beside other tests.
#[cfg(test)]
pub(super) mod live {
    use alloc::collections::BTreeMap;
    // Not the model checker's: it counts, and must be no point at which other threads go on.
    use std::sync::{Mutex, PoisonError};

    static ALIVE: Mutex<BTreeMap<usize, isize>> = Mutex::new(BTreeMap::new());
    static SLABS: Mutex<BTreeMap<usize, isize>> = Mutex::new(BTreeMap::new());

    pub(super) fn count(length: usize, change: isize) {
        *ALIVE.lock().unwrap_or_else(PoisonError::into_inner).entry(length).or_default() += change;
    }

    pub(in super::super) fn of_length(length: usize) -> isize {
        ALIVE.lock().unwrap_or_else(PoisonError::into_inner).get(&length).copied().unwrap_or_default()
    }

    pub(in super::super) fn count_slab(length: usize, change: isize) {
        *SLABS.lock().unwrap_or_else(PoisonError::into_inner).entry(length).or_default() += change;
    }

    pub(in super::super) fn slabs_of_length(length: usize) -> isize {
        SLABS.lock().unwrap_or_else(PoisonError::into_inner).get(&length).copied().unwrap_or_default()
    }
}
