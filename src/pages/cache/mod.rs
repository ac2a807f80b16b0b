//! Pages and runs in memory, by page number.
//!
//! A page that is here is found without a lock, without a hash, and without a write to memory that other
//! threads write: see [`epoch`] and [`table`]. Everything else is behind one lock.
#![allow(unsafe_code)]

mod clock;
mod epoch;
mod frame;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use frame::{Frame, FrameBuf, FrameRef, FrameStock, prefetch};

use crate::{
    format::{PageNumber, TxnId},
    sync::{AtomicUsize, Mutex, Ordering},
};
use alloc::vec::Vec;
use clock::Clock;
use core::fmt;
use epoch::{Epoch, Limbo, Pinned};
use table::{Books, OwnedChunk, Table};

/// Keeps what is in it off the cache lines, and off the neighbouring lines that processors fetch along, of others.
#[derive(Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// Cache lines at the start of a page that every look at it needs: the heads of some thirty rows.
const START: usize = 4;
/// Frames that one call evicts at most, beside those that what it brings in takes the place of.
const EVICTIONS_AT_ONCE: usize = 16;
/// The part of the budget that limbo may take before it is looked at, and spare buffers may take.
const SLACK_PART: usize = 64;
const MOST_SLACK: usize = 1 << 20;

/// The page cache.
///
/// The bytes of all frames in it, of those on their way out, of spare buffers and of the table itself stay within
/// the budget as long as the dirty frames do: those are never evicted.
pub(crate) struct Cache {
    table: Padded<Table>,
    epoch: Epoch,
    page_size: usize,
    budget: usize,
    slack: usize,
    /// The state's count of dirty bytes, to be asked without the lock.
    dirty: AtomicUsize,
    state: Padded<Mutex<State>>,
    /// Buffers of the page size, ready for use.
    spares: Padded<Mutex<Vec<FrameBuf>>>,
}

/// What the cache's lock guards.
struct State {
    books: Books,
    clock: Clock,
    limbo: Limbo<Retired>,
    /// Bytes of the table's frames.
    resident: usize,
    /// Bytes of those of them that are dirty.
    dirty: usize,
    evictions: u64,
    misses: u64,
}

enum Retired {
    Frame(FrameRef),
    Chunk(#[expect(dead_code, reason = "kept for its drop")] OwnedChunk),
}

/// Counts since the cache was made. Where more threads run than there are stripes some hits go uncounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStats {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) evictions: u64,
}

/// A short look at the cache, the length of one descent: while it lasts nothing that was evicted is freed.
pub(crate) struct Pin<'c> {
    cache: &'c Cache,
    pinned: Pinned<'c>,
}

impl Pin<'_> {
    /// The page's frame, if it is here and of that birth.
    #[inline]
    pub(crate) fn get(&self, page: PageNumber, birth: TxnId) -> Option<&Frame> {
        // SAFETY: what comes out borrows this pin.
        let frame = unsafe { self.cache.table.0.get(page) }?;
        frame.prefetch(START);
        if frame.birth() != birth {
            return None;
        }
        frame.touch();
        self.pinned.hits.set(self.pinned.hits.get() + 1);
        Some(frame)
    }
}

impl Cache {
    pub(crate) fn new(budget: usize, page_size: usize) -> Self {
        let (table, books) = Table::new();
        Self {
            table: Padded(table),
            epoch: Epoch::new(),
            page_size,
            budget,
            slack: (budget / SLACK_PART).min(MOST_SLACK),
            dirty: AtomicUsize::new(0),
            state: Padded(Mutex::new(State::new(books))),
            spares: Padded(Mutex::new(Vec::new())),
        }
    }

    #[inline]
    pub(crate) fn pin(&self) -> Pin<'_> {
        Pin { cache: self, pinned: self.epoch.pin() }
    }

    /// The page's frame, if it is here and of that birth.
    #[inline]
    pub(crate) fn get(&self, page: PageNumber, birth: TxnId) -> Option<FrameRef> {
        self.pin().get(page, birth).map(Frame::hold)
    }

    /// A buffer to fill and insert. What is in it is of no meaning.
    pub(crate) fn buffer(&self, length: usize) -> FrameBuf {
        let spare = if length == self.page_size { self.spares.0.lock().pop() } else { None };
        spare.unwrap_or_else(|| FrameBuf::zeroed(length))
    }

    /// Brings in what was read from the file and verified. If another thread was faster its frame is returned.
    ///
    /// `priority` is 0 for leaves and runs, 1 for branches, which go last. What must not push others out, a run
    /// of much of the budget, or the past of a page that is being rewritten, lives only as long as its holder.
    pub(crate) fn insert_clean(&self, page: PageNumber, birth: TxnId, priority: u8, bytes: FrameBuf) -> FrameRef {
        let frame = bytes.into_frame(page, birth, priority);
        let unwelcome = frame.len() > self.page_size && frame.frame().cost() > self.budget / 4;
        self.change(|state| {
            state.misses += 1;
            match state.find(&self.table.0, page) {
                Some(found) if found.frame().birth() == birth => return found,
                Some(found) if found.frame().is_dirty() => return frame,
                _ if unwelcome => return frame,
                _ => {}
            }
            self.link(state, &frame);
            frame
        })
    }

    /// Brings in a page or run that the file does not have yet: it stays until it is marked clean or removed.
    pub(crate) fn insert_dirty(&self, page: PageNumber, birth: TxnId, priority: u8, bytes: FrameBuf) -> FrameRef {
        let frame = bytes.into_frame(page, birth, priority);
        frame.frame().set_dirty(true);
        self.change(|state| self.link(state, &frame));
        frame
    }

    /// The file has the frame's bytes now. False if the page has another frame meanwhile, or none.
    pub(crate) fn mark_clean(&self, frame: &FrameRef) -> bool {
        self.change(|state| {
            let found = state.find(&self.table.0, frame.frame().page());
            let Some(found) = found.filter(|found| found.is(frame)) else { return false };
            if found.frame().is_dirty() {
                state.cleanse(found);
                self.make_room(state, 0);
            }
            true
        })
    }

    /// The bytes are about to change. If the frame was evicted meanwhile, or read once more, it is put back.
    pub(crate) fn mark_dirty(&self, frame: &FrameRef) {
        self.change(|state| match state.find(&self.table.0, frame.frame().page()) {
            Some(found) if found.is(frame) => state.soil(frame.frame()),
            _ => {
                frame.frame().set_dirty(true);
                self.link(state, frame);
            }
        });
    }

    /// The page was freed, or its transaction rolled back: forgets its frame, whatever it is.
    pub(crate) fn remove(&self, page: PageNumber) {
        self.change(|state| {
            state.unlink(&self.table.0, page);
        });
    }

    /// Evicts all that is clean.
    #[cfg(test)]
    fn clear_clean(&self) {
        self.change(|state| {
            while let Some(frame) = state.clock.victim() {
                state.unlink(&self.table.0, frame.frame().page());
            }
        });
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// All memory that the cache takes, frames that only their holders keep left out.
    pub(crate) fn used_bytes(&self) -> usize {
        let spare = self.spares.0.lock().len() * Frame::cost_of(self.page_size);
        let state = self.state.0.lock();
        state.resident + state.books.bytes() + state.limbo.bytes() + spare
    }

    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let state = self.state.0.lock();
        CacheStats { hits: self.epoch.hits() as u64, misses: state.misses, evictions: state.evictions }
    }

    /// Works on the state, then frees, outside of the lock, what nobody can see any more.
    fn change<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let (result, free) = {
            let mut state = self.state.0.lock();
            let result = work(&mut state);
            if self.dirty.load(Ordering::Relaxed) != state.dirty {
                self.dirty.store(state.dirty, Ordering::Relaxed);
            }
            (result, state.limbo.advance(&self.epoch, self.slack))
        };
        if !free.is_empty() {
            self.recycle(free);
        }
        result
    }

    fn recycle(&self, free: Vec<Retired>) {
        let most = self.slack / Frame::cost_of(self.page_size);
        for retired in free {
            let Retired::Frame(frame) = retired else { continue };
            let Some(buffer) = frame.release().filter(|buffer| buffer.len() == self.page_size) else { continue };
            let mut spares = self.spares.0.lock();
            if spares.len() < most {
                spares.push(buffer);
            }
        }
    }

    fn link(&self, state: &mut State, frame: &FrameRef) {
        self.make_room(state, frame.frame().cost());
        state.link(&self.table.0, frame);
    }

    /// Evicts until `incoming` bytes and a chunk fit, with room for limbo and spares, or the call has done its share.
    fn make_room(&self, state: &mut State, incoming: usize) {
        let limit = (self.budget - 3 * self.slack).saturating_sub(OwnedChunk::BYTES);
        let mut share = EVICTIONS_AT_ONCE + 2 * incoming.div_ceil(self.page_size.max(1));
        while share > 0 && state.resident + state.books.bytes() + incoming > limit {
            let Some(victim) = state.clock.victim() else { return };
            state.unlink(&self.table.0, victim.frame().page());
            state.evictions += 1;
            share -= 1;
        }
    }
}

impl State {
    fn new(books: Books) -> Self {
        let (clock, limbo) = (Clock::default(), Limbo::new());
        Self { books, clock, limbo, resident: 0, dirty: 0, evictions: 0, misses: 0 }
    }

    fn find(&self, table: &Table, page: PageNumber) -> Option<FrameRef> {
        // SAFETY: the books are borrowed with `self` until the frame is held.
        unsafe { table.get(page) }.map(Frame::hold)
    }

    fn link(&mut self, table: &Table, frame: &FrameRef) {
        // SAFETY: it goes to limbo.
        if let Some(old) = unsafe { table.put(&mut self.books, frame.clone()) } {
            self.retire(old);
        }
        let cost = frame.frame().cost();
        self.resident += cost;
        if frame.frame().is_dirty() {
            self.dirty += cost;
        } else {
            self.clock.insert(frame.clone());
        }
    }

    fn unlink(&mut self, table: &Table, page: PageNumber) {
        // SAFETY: both go to limbo.
        let (frame, chunk) = unsafe { table.take(&mut self.books, page) };
        if let Some(frame) = frame {
            self.retire(frame);
        }
        if let Some(chunk) = chunk {
            self.limbo.retire(Retired::Chunk(chunk), OwnedChunk::BYTES);
        }
    }

    fn retire(&mut self, old: FrameRef) {
        let frame = old.frame();
        let cost = frame.cost();
        self.resident -= cost;
        if frame.is_dirty() {
            self.dirty -= cost;
            frame.set_dirty(false);
        } else {
            self.clock.remove(frame);
        }
        self.limbo.retire(Retired::Frame(old), cost);
    }

    fn cleanse(&mut self, frame: FrameRef) {
        self.dirty -= frame.frame().cost();
        frame.frame().set_dirty(false);
        self.clock.insert(frame);
    }

    fn soil(&mut self, frame: &Frame) {
        if !frame.is_dirty() {
            self.clock.remove(frame);
            frame.set_dirty(true);
            self.dirty += frame.cost();
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("budget", &self.budget).finish_non_exhaustive()
    }
}
