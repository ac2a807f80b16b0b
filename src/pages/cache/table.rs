//! From page numbers to frames, without a hash and without a lock.
#![allow(unsafe_code)]

use super::frame::{Frame, FrameRef};
use crate::{
    format::PageNumber,
    sync::{AtomicPtr, AtomicUsize, Ordering},
};
use alloc::{boxed::Box, vec::Vec};
use core::ptr::{self, NonNull};

/// Cells in a chunk: few enough that a chunk for the sake of one page costs half as much as the page. The model checker
/// has chunks that come and go.
const CELLS: usize = 1 << CELL_BITS;
const CELL_BITS: u32 = if cfg!(shuttle) { 1 } else { 8 };
/// Chunks that the first segment has room for. Each later one has room for as many as all before it.
const FIRST_SEGMENT: usize = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 6;
/// Enough for all page numbers.
const SEGMENTS: usize = (PageNumber::BITS - CELL_BITS - FIRST_BITS + 1) as usize;

type ChunkCell = AtomicPtr<Chunk>;

/// Of a frame's address in a cell, which is a multiple of more: the page has a front.
const FRONTED: usize = 1;
/// The page was looked at since the clock took notice.
const USED: usize = 2;

/// The address of a frame without its marks.
#[inline]
fn unmarked(marked: *mut Frame) -> *mut Frame {
    marked.map_addr(|address| address & !(FRONTED | USED))
}

fn marked(frame: *mut Frame, fronted: bool) -> *mut Frame {
    frame.map_addr(|address| address | if fronted { FRONTED } else { 0 })
}

/// What a cell says.
pub(super) struct Found<'t> {
    cell: &'t AtomicPtr<Frame>,
    marked: *mut Frame,
    frame: NonNull<Frame>,
}

impl<'t> Found<'t> {
    #[inline]
    pub(super) fn frame(&self) -> &'t Frame {
        // SAFETY: the table's own reference was in the frame when the cell was read; who reads cells sees to it that it
        // stays long enough: the contract of `Table::get`.
        unsafe { self.frame.as_ref() }
    }

    #[inline]
    pub(super) fn address(&self) -> NonNull<Frame> {
        self.frame
    }

    #[inline]
    pub(super) fn is_fronted(&self) -> bool {
        self.marked.addr() & FRONTED != 0
    }

    /// Notes a use. Writes only after the clock has taken notice of the last one, so a hot page's line stays shared.
    #[inline]
    pub(super) fn note_use(&self) {
        if self.marked.addr() & USED == 0 {
            let used = self.marked.map_addr(|address| address | USED);
            // Lost if the cell changes meanwhile: then it is another frame's, or this one has just come.
            let _ = self.cell.compare_exchange(self.marked, used, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// The cells of [`CELLS`] pages in a row. Exists while one of them has a frame.
pub(super) struct Chunk {
    cells: [AtomicPtr<Frame>; CELLS],
    /// Cells that are not null; changed under the cache's lock.
    taken: AtomicUsize,
}

/// An array of arrays of cells. The upper level grows by segments that stay where they are until the table is
/// dropped: 8 bytes for a chunk of pages, which no eviction could give back for long.
pub(super) struct Table {
    segments: [AtomicPtr<ChunkCell>; SEGMENTS],
}

/// The permission to change the table, and the memory that it takes. One table has one, behind the cache's lock.
pub(super) struct Books {
    bytes: usize,
}

impl Books {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Where the chunk of a page is: the segment and the place in it.
#[inline]
const fn place(page: PageNumber) -> (usize, usize) {
    let number = (page >> CELL_BITS) as usize + FIRST_SEGMENT;
    let segment = (usize::BITS - 1 - number.leading_zeros() - FIRST_BITS) as usize;
    (segment, number - segment_length(segment))
}

#[inline]
const fn segment_length(segment: usize) -> usize {
    FIRST_SEGMENT << segment
}

const fn cell(page: PageNumber) -> usize {
    page as usize % CELLS
}

impl Table {
    pub(super) fn new() -> (Self, Books) {
        let segments = [const { AtomicPtr::new(ptr::null_mut()) }; SEGMENTS];
        (Self { segments }, Books { bytes: size_of::<Self>() })
    }

    #[inline]
    fn chunk_cell(&self, page: PageNumber) -> Option<&ChunkCell> {
        let (segment, index) = place(page);
        let first = NonNull::new(self.segments.get(segment)?.load(Ordering::Acquire))?;
        // SAFETY: a segment that is there has `segment_length` cells, which `place` keeps to, and stays until the
        // table is dropped.
        Some(unsafe { first.add(index).as_ref() })
    }

    /// The frame of a page, whatever its birth.
    ///
    /// # Safety
    ///
    /// The caller is pinned, or has borrowed the books, for as long as it uses what it gets.
    #[inline]
    pub(super) unsafe fn get(&self, page: PageNumber) -> Option<Found<'_>> {
        let chunk = self.chunk_cell(page)?.load(Ordering::SeqCst);
        // SAFETY: a chunk that was found is freed after a grace period, which the caller's pin holds up, or by
        // someone with the books.
        let chunk = unsafe { chunk.as_ref() }?;
        let cell = &chunk.cells[cell(page)];
        let marked = cell.load(Ordering::SeqCst);
        NonNull::new(unmarked(marked)).map(|frame| Found { cell, marked, frame })
    }

    /// Says of a page that has a frame whether it has a front.
    pub(super) fn set_fronted(&self, _: &mut Books, page: PageNumber, fronted: bool) {
        // SAFETY: the books are borrowed for as long as the frame's cell is looked at.
        let Some(found) = (unsafe { self.get(page) }) else { return };
        // A use that is noted at this moment is lost.
        found.cell.store(marked(found.frame.as_ptr(), fronted), Ordering::SeqCst);
    }

    /// Whether the page was used since this was last asked.
    pub(super) fn take_use(&self, _: &mut Books, page: PageNumber) -> bool {
        // SAFETY: the books are borrowed for as long as the frame's cell is looked at.
        let Some(found) = (unsafe { self.get(page) }) else { return false };
        let used = found.marked.addr() & USED != 0;
        if used {
            found.cell.store(marked(found.frame.as_ptr(), found.is_fronted()), Ordering::SeqCst);
        }
        used
    }

    /// Makes `frame` its page's frame, and returns the one before.
    ///
    /// # Safety
    ///
    /// What is returned must be kept until a grace period is over.
    pub(super) unsafe fn put(&self, books: &mut Books, frame: FrameRef, fronted: bool) -> Option<FrameRef> {
        let page = frame.frame().page();
        let chunk_cell = self.chunk_cell_or_new(books, page)?;
        // SAFETY: only who has the books frees chunks.
        let chunk = match unsafe { chunk_cell.load(Ordering::Relaxed).as_ref() } {
            Some(chunk) => chunk,
            None => new_chunk(books, chunk_cell),
        };
        let old = chunk.cells[cell(page)].swap(marked(frame.into_raw(), fronted), Ordering::SeqCst);
        if old.is_null() {
            chunk.taken.store(chunk.taken.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        // SAFETY: cells hold nothing but such addresses, and the swap took this one out.
        unsafe { FrameRef::from_raw(unmarked(old)) }
    }

    /// Empties the page's cell, and takes the chunk away if that was its last.
    ///
    /// # Safety
    ///
    /// What is returned must be kept until a grace period is over.
    pub(super) unsafe fn take(&self, books: &mut Books, page: PageNumber) -> (Option<FrameRef>, Option<OwnedChunk>) {
        let Some(chunk_cell) = self.chunk_cell(page) else { return (None, None) };
        // SAFETY: only who has the books frees chunks.
        let Some(chunk) = (unsafe { chunk_cell.load(Ordering::Relaxed).as_ref() }) else { return (None, None) };
        let old = unmarked(chunk.cells[cell(page)].swap(ptr::null_mut(), Ordering::SeqCst));
        // SAFETY: cells hold nothing but such addresses, and the swap took this one out.
        let frame = unsafe { FrameRef::from_raw(old) };
        if frame.is_none() {
            return (None, None);
        }
        let taken = chunk.taken.load(Ordering::Relaxed) - 1;
        chunk.taken.store(taken, Ordering::Relaxed);
        if taken != 0 {
            return (frame, None);
        }
        books.bytes -= OwnedChunk::BYTES;
        (frame, NonNull::new(chunk_cell.swap(ptr::null_mut(), Ordering::SeqCst)).map(OwnedChunk))
    }

    /// `None` for no page number at all.
    fn chunk_cell_or_new(&self, books: &mut Books, page: PageNumber) -> Option<&ChunkCell> {
        let (segment, _) = place(page);
        let first = self.segments.get(segment)?;
        if first.load(Ordering::Relaxed).is_null() {
            let length = segment_length(segment);
            let cells: Vec<ChunkCell> = (0..length).map(|_| ChunkCell::default()).collect();
            books.bytes += length * size_of::<ChunkCell>();
            first.store(Box::into_raw(cells.into_boxed_slice()).cast(), Ordering::Release);
        }
        self.chunk_cell(page)
    }
}

fn new_chunk<'a>(books: &mut Books, cell: &'a ChunkCell) -> &'a Chunk {
    let cells = [const { AtomicPtr::new(ptr::null_mut()) }; CELLS];
    let chunk = Box::into_raw(Box::new(Chunk { cells, taken: AtomicUsize::new(0) }));
    books.bytes += OwnedChunk::BYTES;
    cell.store(chunk, Ordering::SeqCst);
    // SAFETY: just made; it is freed only by someone with the books, which are borrowed by the caller.
    unsafe { &*chunk }
}

impl Drop for Table {
    fn drop(&mut self) {
        for (index, segment) in self.segments.iter().enumerate() {
            let first = segment.load(Ordering::Relaxed);
            if first.is_null() {
                continue;
            }
            // SAFETY: made by `chunk_cell_or_new` from a box of this length; nobody looks at a table that is dropped.
            let cells = unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(first, segment_length(index))) };
            for cell in &cells {
                drop(NonNull::new(cell.load(Ordering::Relaxed)).map(OwnedChunk));
            }
        }
    }
}

/// A chunk that is out of the table. Not a `Box`, which would claim that nobody else looks at it.
pub(super) struct OwnedChunk(NonNull<Chunk>);

// SAFETY: its memory is tied to no thread, and what it holds is atomic.
unsafe impl Send for OwnedChunk {}

impl OwnedChunk {
    pub(super) const BYTES: usize = size_of::<Chunk>();
}

impl Drop for OwnedChunk {
    fn drop(&mut self) {
        // SAFETY: from `new_chunk`; out of the table, and dropped after a grace period or with the table.
        let chunk = unsafe { Box::from_raw(self.0.as_ptr()) };
        if chunk.taken.load(Ordering::Relaxed) != 0 {
            for cell in &chunk.cells {
                // SAFETY: cells hold nothing but such addresses, and nobody else will turn this one back.
                drop(unsafe { FrameRef::from_raw(unmarked(cell.load(Ordering::Relaxed))) });
            }
        }
        #[cfg(shuttle)]
        keep_freed(chunk);
    }
}

/// Overwrites the chunk, whose atomics then refuse to be looked at, and frees it later.
#[cfg(shuttle)]
fn keep_freed(chunk: Box<Chunk>) {
    let start = Box::into_raw(chunk).cast::<u8>();
    // SAFETY: the memory of a box that nobody owns any more, whose contents need no drop.
    unsafe {
        start.write_bytes(super::freed::GARBAGE, OwnedChunk::BYTES);
        super::freed::dealloc(start, core::alloc::Layout::new::<Chunk>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_number_has_a_place_of_its_own() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(63 << 8), (0, 63));
        assert_eq!(place(64 << 8), (1, 0));
        assert_eq!(place(191 << 8 | 255), (1, 127));
        assert_eq!(place(192 << 8), (2, 0));
        let (segment, index) = place(PageNumber::MAX);
        assert_eq!((segment, index), (SEGMENTS - 1, FIRST_SEGMENT - 1));
    }
}
