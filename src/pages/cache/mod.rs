//! Pages and runs in memory, by page number.
//!
//! A page that is here is found without a lock, without a hash, and without a write to memory that other
//! threads write: see [`epoch`] and [`table`]. Everything else is behind one lock.
#![allow(unsafe_code)]

mod clock;
mod epoch;
mod frame;
#[cfg(shuttle)]
mod freed;
mod front;
#[cfg(test)]
mod model_checked;
mod slab;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use frame::{Frame, FrameBuf, FrameRef, FrameStock, prefetch};

use crate::{
    format::{PageNumber, TxnId, node::Node},
    sync::{AtomicUsize, Mutex, Ordering, pause},
};
use alloc::vec::Vec;
use clock::Clock;
use core::fmt;
use epoch::{Epoch, Limbo, Pinned};
use front::Fronts;
use slab::OwnedPool;
use table::{Books, Found, OwnedChunk, Table};

/// Keeps what is in it off the cache lines, and off the neighbouring lines that processors fetch along, of others.
#[derive(Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// Cache lines at the start of a leaf that a look at it needs: the heads of some thirty rows.
pub(crate) const START: usize = 4;
/// Frames that one call evicts at most, beside those that what it brings in takes the place of.
const EVICTIONS_AT_ONCE: usize = 16;
/// The part of the budget that limbo may take before it is looked at.
const SLACK_PART: usize = 64;
const MOST_SLACK: usize = 1 << 20;
/// Rounds of waiting for memory on its way out, at most: some tenths of a second where each takes a time slice.
const ROUNDS: usize = 100;

/// The page cache.
///
/// The bytes of all frames in it, of those on their way out, of what is free in slabs and of the table itself stay
/// within the budget as long as the dirty frames do: those are never evicted.
pub(crate) struct Cache {
    table: Padded<Table>,
    epoch: Epoch,
    fronts: Fronts,
    page_size: usize,
    budget: usize,
    slack: usize,
    /// What frames in the table, the table and slabs without their free frames may take.
    limit: usize,
    /// What they may take with the free frames, and with limbo when a slab is taken.
    most: usize,
    /// The state's count of dirty bytes, to be asked without the lock.
    dirty: AtomicUsize,
    /// Its count of all bytes.
    held: AtomicUsize,
    /// Bytes of the budget that something outside of the cache takes.
    aside: AtomicUsize,
    /// Reads of pages that a write transaction has made, which were here and which were not.
    own_reads: [AtomicUsize; 2],
    state: Padded<Mutex<State>>,
    /// Comes last: the frames in the others are back when it is dropped.
    pool: OwnedPool,
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
    Frame(#[expect(dead_code, reason = "kept for its drop")] FrameRef),
    Chunk(#[expect(dead_code, reason = "kept for its drop")] OwnedChunk),
}

/// Counts since the cache was made, all of reads but the last. Where more threads run than there are stripes some hits
/// go uncounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStats {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) write_hits: u64,
    pub(crate) write_misses: u64,
    pub(crate) evictions: u64,
}

/// A short look at the cache, the length of one descent: while it lasts nothing that was evicted is freed.
pub(crate) struct Pin<'c> {
    cache: &'c Cache,
    pinned: Pinned<'c>,
}

impl Pin<'_> {
    /// The page's frame, if it is here. So many cache lines are asked for, from the page's start on.
    #[inline]
    pub(crate) fn find<const LINES: usize>(&self, page: PageNumber) -> Option<&Frame> {
        // SAFETY: what comes out borrows this pin.
        let found = unsafe { self.cache.table.0.get(page) }?;
        found.frame().prefetch(LINES);
        Some(self.seen(&found, found.frame()))
    }

    /// The page, if it is here, to search it. So many cache lines are asked for, from the start on of what is searched.
    #[inline]
    pub(crate) fn glance<const LINES: usize>(&self, page: PageNumber) -> Option<Sight<'_>> {
        // SAFETY: what comes out borrows this pin.
        let found = unsafe { self.cache.table.0.get(page) }?;
        if !found.is_fronted() {
            found.frame().prefetch(LINES);
            return Some(self.seen(&found, Sight::new(found.frame())));
        }
        // SAFETY: the page has a front, so it is clean, and stays so under this pin: who changes it is its only owner,
        // and takes the front away first.
        let (front, bytes) = unsafe { self.cache.fronts.get(found.address()) };
        prefetch(front, LINES);
        if cfg!(feature = "paranoid") {
            assert!(bytes.starts_with(front), "the front of a page that has changed since");
        }
        Some(self.seen(&found, Sight { frame: found.frame(), front, bytes }))
    }

    /// The page's frame, if it is here and of that birth.
    #[inline]
    pub(crate) fn get<const LINES: usize>(&self, page: PageNumber, birth: TxnId) -> Option<&Frame> {
        // SAFETY: what comes out borrows this pin.
        let found = unsafe { self.cache.table.0.get(page) }?;
        let frame = found.frame();
        frame.prefetch(LINES);
        (frame.birth() == birth).then(|| self.seen(&found, frame))
    }

    #[inline]
    fn seen<T>(&self, found: &Found<'_>, what: T) -> T {
        found.note_use();
        self.pinned.hits.set(self.pinned.hits.get() + 1);
        what
    }
}

/// A page in memory.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'p> {
    frame: &'p Frame,
    /// The page's front, or all of it.
    front: &'p [u8],
    bytes: &'p [u8],
}

impl<'p> Sight<'p> {
    #[inline]
    pub(crate) fn new(frame: &'p Frame) -> Self {
        Self { frame, front: frame.bytes(), bytes: frame.bytes() }
    }

    #[inline]
    pub(crate) fn frame(&self) -> &'p Frame {
        self.frame
    }

    #[inline]
    pub(crate) fn node(&self) -> Node<'p> {
        Node::with_front(self.bytes, self.front)
    }
}

impl Cache {
    pub(crate) fn new(budget: usize, page_size: usize) -> Self {
        let (table, books) = Table::new();
        let pool = OwnedPool::new(budget, page_size);
        let slack = (budget / SLACK_PART).min(MOST_SLACK);
        // Room for limbo, twice: what waits and what leaves; for a chunk; for a slab that is leaving. Between `limit`
        // and `most` the free frames of a new slab have room, and those that limbo, twice, becomes in the end.
        let reserve = slack + OwnedChunk::BYTES + pool.slab_bytes();
        let most = budget.saturating_sub(reserve);
        Self {
            table: Padded(table),
            epoch: Epoch::new(),
            fronts: pool.fronts(),
            page_size,
            budget,
            slack,
            limit: most.saturating_sub(2 * slack + pool.slab_bytes()),
            most,
            dirty: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            aside: AtomicUsize::new(0),
            own_reads: [AtomicUsize::new(0), AtomicUsize::new(0)],
            state: Padded(Mutex::new(State::new(books))),
            pool,
        }
    }

    #[inline]
    pub(crate) fn pin(&self) -> Pin<'_> {
        Pin { cache: self, pinned: self.epoch.pin() }
    }

    /// The page's frame, if it is here and of that birth.
    #[inline]
    pub(crate) fn get(&self, page: PageNumber, birth: TxnId) -> Option<FrameRef> {
        self.pin().get::<START>(page, birth).map(Frame::hold)
    }

    /// A buffer to fill and insert. What is in it is of no meaning.
    pub(crate) fn buffer(&self, length: usize) -> FrameBuf {
        let held = self.held.load(Ordering::Relaxed) + self.pool.overhead_bytes() + self.aside_bytes();
        let frame = if length == self.page_size { self.pool.take(held, self.most) } else { None };
        frame.unwrap_or_else(|| FrameBuf::zeroed(length))
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
                _ if unwelcome || self.is_clogged(state, frame.frame().cost()) => return frame,
                _ => {}
            }
            let fits = self.make_room(state, frame.frame().cost());
            // Free frames, whose slabs cannot go, are of no use for a run.
            let wrong = !fits && frame.len() != self.page_size && self.pool.spare_bytes() > self.most - self.limit;
            if !wrong {
                self.link_clean(state, &frame);
            }
            frame
        })
    }

    /// Counts reads of what was not here and is not brought in.
    pub(crate) fn count_misses(&self, misses: usize) {
        self.state.0.lock().misses += misses as u64;
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
                self.cleanse(state, found);
                self.make_room(state, 0);
            }
            true
        })
    }

    /// The bytes are about to change. If the frame was evicted meanwhile, or read once more, it is put back.
    pub(crate) fn mark_dirty(&self, frame: &FrameRef) {
        self.change(|state| match state.find(&self.table.0, frame.frame().page()) {
            Some(found) if found.is(frame) => state.soil(&self.table.0, frame.frame()),
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

    /// Evicts a page, unless it is not written yet.
    pub(crate) fn remove_clean(&self, page: PageNumber) {
        self.change(|state| {
            if state.find(&self.table.0, page).is_some_and(|frame| !frame.frame().is_dirty()) {
                state.unlink(&self.table.0, page);
            }
        });
    }

    /// Evicts all that is clean.
    pub(crate) fn clear_clean(&self) {
        self.change(|state| {
            while let Some(frame) = state.victim(&self.table.0) {
                state.unlink(&self.table.0, frame.frame().page());
            }
        });
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Takes so many bytes of the budget for something outside of the cache, instead of those that were taken before,
    /// and makes room for them.
    pub(crate) fn set_aside(&self, bytes: usize) {
        let before = self.aside_bytes();
        if bytes == before {
            return;
        }
        let mut seen = None;
        for _ in 0..ROUNDS {
            let now = self.change(|state| {
                let now = (state.evictions, self.used(state));
                self.make_room(state, bytes.saturating_sub(before));
                Some(now)
            });
            // What a round evicts leaves free frames behind, whose slabs the next one gives up.
            if now == seen {
                break;
            }
            seen = now;
        }
        self.aside.store(bytes, Ordering::Relaxed);
    }

    fn aside_bytes(&self) -> usize {
        self.aside.load(Ordering::Relaxed)
    }

    /// All memory that the cache takes, and what was set aside; frames that only their holders keep left out.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used(&self.state.0.lock())
    }

    fn used(&self, state: &State) -> usize {
        state.held() + self.pool.idle_bytes() + self.aside_bytes()
    }

    /// Lets readers finish whose looks keep more from being freed than the budget has room for; not for ever.
    pub(crate) fn let_readers_finish(&self) {
        for _ in 0..ROUNDS {
            if !self.change(|state| self.is_clogged(state, 0)) {
                return;
            }
            pause();
        }
    }

    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let state = self.state.0.lock();
        let [write_hits, write_misses] = self.own_reads.each_ref().map(|count| count.load(Ordering::Relaxed) as u64);
        let hits = self.epoch.hits() as u64;
        CacheStats { hits, misses: state.misses, write_hits, write_misses, evictions: state.evictions }
    }

    /// A write transaction reads a page that it has made, which is here or not. Of several threads some may go
    /// uncounted.
    pub(crate) fn count_own_read(&self, is_here: bool) {
        let [hits, misses] = &self.own_reads;
        let count = if is_here { hits } else { misses };
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Works on the state, then frees, outside of the lock, what nobody can see any more.
    fn change<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let (result, free) = {
            let mut state = self.state.0.lock();
            let result = work(&mut state);
            if self.dirty.load(Ordering::Relaxed) != state.dirty {
                self.dirty.store(state.dirty, Ordering::Relaxed);
            }
            // The reserve has room for one slab that is leaving: the next can follow only when it is gone.
            let patience = if self.pool.leaving_bytes() > 0 { 0 } else { self.slack };
            let free = state.limbo.advance(&self.epoch, patience);
            self.held.store(state.held(), Ordering::Relaxed);
            (result, free)
        };
        drop(free);
        result
    }

    /// Whether a reader that takes its time keeps so much from being freed that an eviction makes no room. What is left
    /// then is for dirty pages, which cannot be turned away.
    fn is_clogged(&self, state: &State, incoming: usize) -> bool {
        let fits = self.used(state) + incoming + 2 * self.slack <= self.budget;
        !fits && state.limbo.bytes() > 2 * self.slack
    }

    fn link(&self, state: &mut State, frame: &FrameRef) {
        self.make_room(state, frame.frame().cost());
        state.link(&self.table.0, frame, false);
    }

    fn link_clean(&self, state: &mut State, frame: &FrameRef) {
        // SAFETY: the frame is new, so nobody has seen it.
        let fronted = unsafe { self.fronts.copy(frame) };
        state.link(&self.table.0, frame, fronted);
    }

    fn cleanse(&self, state: &mut State, frame: FrameRef) {
        // SAFETY: a dirty page has no front. If it had one before it became dirty, nobody looks at that any more: the
        // page is its writer's alone, whose looks were over when it was changed.
        let fronted = unsafe { self.fronts.copy(&frame) };
        state.cleanse(&self.table.0, frame, fronted);
    }

    /// Evicts until `incoming` bytes fit, with room for what the reserve is for, or the call has done its share. Says
    /// whether they fit.
    fn make_room(&self, state: &mut State, incoming: usize) -> bool {
        let mut share = EVICTIONS_AT_ONCE + 2 * incoming.div_ceil(self.page_size.max(1));
        let mut slabs_can_go = true;
        while share > 0 {
            let held =
                state.resident + state.books.bytes() + self.pool.overhead_bytes() + self.aside_bytes() + incoming;
            let crowded = held + self.pool.spare_bytes() > self.most;
            if !crowded && held <= self.limit {
                return true;
            }
            if crowded && slabs_can_go {
                let evicted = self.give_up_slab(state);
                slabs_can_go = evicted.is_some();
                share = share.saturating_sub(evicted.unwrap_or(0).max(1));
                continue;
            }
            let Some(victim) = state.victim(&self.table.0) else { return false };
            state.unlink(&self.table.0, victim.frame().page());
            state.evictions += 1;
            share -= 1;
        }
        false
    }

    /// Evicts what is in the slab with most free frames, so that its memory can be used for something else. Gives the
    /// number of frames that were evicted, or `None` if some of the slab cannot be, or another one is leaving.
    fn give_up_slab(&self, state: &mut State) -> Option<usize> {
        if self.pool.leaving_bytes() > 0 {
            return None;
        }
        let slab = self.pool.sparsest()?;
        // SAFETY: only this function gives slabs up, under the cache's lock, and this one was found under it.
        let slots = unsafe { self.pool.slots(&slab) };
        let frames = slots.filter_map(|(frame, slot)| state.clock.at(slot, frame));
        let pages: Vec<_> = frames.filter(|frame| !frame.is_shared()).map(|frame| frame.frame().page()).collect();
        if pages.len() < slab.in_use {
            self.pool.keep(&slab);
            return None;
        }
        for page in &pages {
            state.unlink(&self.table.0, *page);
            state.evictions += 1;
        }
        self.pool.give_up(&slab);
        Some(pages.len())
    }
}

impl State {
    fn new(books: Books) -> Self {
        let (clock, limbo) = (Clock::default(), Limbo::new());
        Self { books, clock, limbo, resident: 0, dirty: 0, evictions: 0, misses: 0 }
    }

    /// All bytes that are counted here.
    fn held(&self) -> usize {
        self.resident + self.books.bytes() + self.limbo.bytes()
    }

    fn find(&self, table: &Table, page: PageNumber) -> Option<FrameRef> {
        // SAFETY: the books are borrowed with `self` until the frame is held.
        unsafe { table.get(page) }.map(|found| found.frame().hold())
    }

    fn victim(&mut self, table: &Table) -> Option<FrameRef> {
        let books = &mut self.books;
        self.clock.victim(|frame| table.take_use(books, frame.page()))
    }

    /// `fronted` says whether a clean frame has a front.
    fn link(&mut self, table: &Table, frame: &FrameRef, fronted: bool) {
        // SAFETY: it goes to limbo.
        if let Some(old) = unsafe { table.put(&mut self.books, frame.clone(), fronted) } {
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

    fn cleanse(&mut self, table: &Table, frame: FrameRef, fronted: bool) {
        table.set_fronted(&mut self.books, frame.frame().page(), fronted);
        self.dirty -= frame.frame().cost();
        frame.frame().set_dirty(false);
        self.clock.insert(frame);
    }

    fn soil(&mut self, table: &Table, frame: &Frame) {
        if !frame.is_dirty() {
            table.set_fronted(&mut self.books, frame.page(), false);
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
