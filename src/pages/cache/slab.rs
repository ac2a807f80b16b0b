//! Memory for frames of the page size: slabs of many frames, in huge pages where the system has them.
//!
//! A slab is as large as a huge page if the budget has room for [`PARTS`] of them, and the greatest power of two within
//! a [`PARTS`]th of the budget if not, and its address is a multiple of its size; a cache whose slabs would be of less
//! than [`LEAST`] frames has none:
//!
//! > `slab = min(budget / PARTS, 2 MiB)`, rounded down, hence huge pages from 128 MiB on, and no slabs below about 300
//! > to 600 pages.
//!
//! A slab is taken only when there is no free frame, when it fits what the cache may still take, and when the cache
//! already takes a [`STARTS`]th of it, so that a small database does not pay for a large slab. Else a frame is an
//! allocation of its own, and stays one: so are the frames of dirty pages beyond the budget. The free frames count
//! toward the budget, as does what a slab takes beside its frames.
//!
//! Frames come back from any thread, at any time, also after the cache is gone: each names its slab, each slab owns a
//! share of the pool. A slab without a frame in use goes back to the allocator when the cache is gone or has given the
//! slab up, which it does when free frames take room that others need: see [`Pool::sparsest`].
#![allow(unsafe_code)]

use super::frame::{self, ALIGNMENT, Frame, FrameBuf};
use super::front::{self, Fronts};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};
use alloc::{
    alloc::{Layout, alloc, dealloc},
    vec::Vec,
};
use core::{ops::Deref, ptr::NonNull};

/// A huge page of x86-64, and of AArch64 with pages of 4 KiB.
const HUGE: usize = 2 << 20;
/// Slabs that the budget has room for at least.
const PARTS: usize = 64;
/// Frames of a slab at least: its head and its list must not weigh much.
const LEAST: usize = 4;
/// The part of a slab that the cache takes before there is one.
const STARTS: usize = 4;
/// Not a place in [`Books::open`].
const NOWHERE: usize = usize::MAX;

/// How slabs are made.
#[derive(Clone, Copy)]
struct Shape {
    /// Bytes of a page.
    length: usize,
    layout: Layout,
    frames: usize,
    /// Bytes before the first frame: the head and the fronts.
    first: usize,
    huge: bool,
}

impl Shape {
    fn new(budget: usize, length: usize) -> Self {
        let (head, stride, front) = (size_of::<Head>(), frame::stride(length), front::length_of(length));
        let alignment: usize = (budget / PARTS).min(HUGE).checked_ilog2().map_or(1, |bits| 1 << bits);
        // Short of that: an allocator that keeps notes beside what it gives out can pack slabs side by side. Not
        // shorter: the system gives a huge page only where all of it belongs to the program.
        let size = alignment.saturating_sub(ALIGNMENT);
        let frames = size.saturating_sub(head + ALIGNMENT - 1) / stride.saturating_add(front);
        let first = (head + frames * front).next_multiple_of(ALIGNMENT);
        match Layout::from_size_align(size, alignment) {
            Ok(layout) if frames >= LEAST => Self { length, layout, frames, first, huge: alignment == HUGE },
            _ => Self { length, layout: Layout::new::<()>(), frames: 0, first, huge: false },
        }
    }

    fn fronts(&self) -> Fronts {
        Fronts::new(self.length, size_of::<Head>(), self.first, frame::stride(self.length), self.layout.align())
    }

    /// All memory of a slab, the list of its free frames included.
    fn bytes(&self) -> usize {
        self.layout.size() + self.frames * size_of::<NonNull<Frame>>()
    }

    /// What of it is in no frame.
    fn overhead(&self) -> usize {
        self.bytes() - self.frames * frame::stride(self.length)
    }
}

/// The start of a slab. A front for each frame follows, and then the frames.
#[repr(C, align(128))]
pub(super) struct Head {
    pool: Arc<Pool>,
    index: usize,
}

const _: () = assert!(align_of::<Head>() == ALIGNMENT);

/// All slabs of a cache.
pub(super) struct Pool {
    shape: Shape,
    books: Mutex<Books>,
    /// The books' counts, to be asked without the lock.
    slabs: AtomicUsize,
    spare: AtomicUsize,
    /// Free frames of slabs that are leaving.
    lost: AtomicUsize,
}

struct Books {
    shape: Shape,
    /// By index, which slabs keep as long as they live.
    slabs: Vec<Option<Slab>>,
    vacant: Vec<usize>,
    /// Slabs that have free frames and are not leaving; the one that got a frame back last comes last.
    open: Vec<usize>,
    /// Slabs that go back to the allocator as soon as none of their frames is in use.
    leaving: usize,
    /// Free frames of all slabs.
    free: usize,
    /// Free frames of slabs that are not leaving.
    spare: usize,
    closed: bool,
}

/// The slab whose frames cost least to evict.
pub(super) struct Sparsest {
    index: usize,
    head: NonNull<Head>,
    made: usize,
    /// Frames in use when it was looked for.
    pub(super) in_use: usize,
}

struct Slab {
    head: NonNull<Head>,
    /// Frames that came back.
    free: Vec<NonNull<Frame>>,
    /// Frames that have been made; those behind them never were in use.
    made: usize,
    /// Where in [`Books::open`] the slab is.
    place: usize,
    leaving: bool,
    /// Not every frame that is in use could be evicted at the last look, and none has come or gone since.
    pinned: bool,
}

// SAFETY: the pointers name memory that is tied to no thread, and that the books own: frames that nobody uses, and
// heads, whose one shared part, the pool, is for all threads.
unsafe impl Send for Slab {}

impl Slab {
    fn free(&self, shape: &Shape) -> usize {
        self.free.len() + (shape.frames - self.made)
    }

    fn in_use(&self) -> usize {
        self.made - self.free.len()
    }
}

/// The frame at this index of a slab.
///
/// # Safety
///
/// The slab has so many frames, and is alive.
unsafe fn frame_at(head: NonNull<Head>, shape: &Shape, index: usize) -> NonNull<u8> {
    // SAFETY: within the slab's allocation, which has room for `shape.frames` strides from there on, by the contract.
    unsafe { head.cast::<u8>().add(shape.first + index * frame::stride(shape.length)) }
}

impl Pool {
    fn new(shape: Shape) -> Self {
        let books = Books {
            shape,
            slabs: Vec::new(),
            vacant: Vec::new(),
            open: Vec::new(),
            leaving: 0,
            free: 0,
            spare: 0,
            closed: false,
        };
        let (slabs, spare, lost) = Default::default();
        Self { shape, books: Mutex::new(books), slabs, spare, lost }
    }

    /// Works on the books, then publishes their counts.
    fn change<R>(&self, work: impl FnOnce(&mut Books) -> R) -> R {
        let mut books = self.books.lock();
        let result = work(&mut books);
        self.slabs.store(books.slabs.len() - books.vacant.len(), Ordering::Relaxed);
        self.spare.store(books.spare, Ordering::Relaxed);
        self.lost.store(books.free - books.spare, Ordering::Relaxed);
        result
    }

    /// Where the fronts of its slabs are.
    pub(super) fn fronts(&self) -> Fronts {
        self.shape.fronts()
    }

    /// Memory of one slab.
    pub(super) fn slab_bytes(&self) -> usize {
        self.shape.bytes()
    }

    /// Memory of the slabs that is in no frame.
    pub(super) fn overhead_bytes(&self) -> usize {
        self.slabs.load(Ordering::Relaxed) * self.shape.overhead()
    }

    /// Memory of free frames, but for those in slabs that are leaving.
    pub(super) fn spare_bytes(&self) -> usize {
        self.spare.load(Ordering::Relaxed) * Frame::cost_of(self.shape.length)
    }

    /// Memory of free frames in slabs that are leaving.
    pub(super) fn leaving_bytes(&self) -> usize {
        self.lost.load(Ordering::Relaxed) * Frame::cost_of(self.shape.length)
    }

    /// Memory of the slabs that is in no frame in use.
    pub(super) fn idle_bytes(&self) -> usize {
        self.overhead_bytes() + self.spare_bytes() + self.leaving_bytes()
    }

    /// A frame: one that came back, the last one first; a new one; or one of a new slab, if the cache, which takes
    /// `held` bytes beside free frames, may take `most` in all.
    pub(super) fn take(self: &Arc<Self>, held: usize, most: usize) -> Option<FrameBuf> {
        let shape = &self.shape;
        let (frame, is_new) = self.change(|books| {
            let index = match books.open.last() {
                Some(index) => *index,
                None => match books.reopen() {
                    Some(index) => index,
                    None => self.grow(books, held, most)?,
                },
            };
            books.take_from(index)
        })?;
        if is_new {
            // SAFETY: the frame is this call's alone, and has so many bytes behind its header, which `place` wrote.
            unsafe { frame.add(1).cast::<u8>().write_bytes(0, shape.length) };
        }
        // SAFETY: made by `place`, its bytes zeroed when it was new, and out of the books, which owned it.
        Some(unsafe { FrameBuf::of_slab(frame) })
    }

    fn grow(self: &Arc<Self>, books: &mut Books, held: usize, most: usize) -> Option<usize> {
        let shape = &self.shape;
        let slabs = books.slabs.len() - books.vacant.len();
        let fits = held.max(slabs * shape.bytes()).saturating_add(shape.bytes()) <= most;
        let starts = held >= shape.bytes() / STARTS && fits;
        if !starts || shape.frames == 0 || books.closed {
            return None;
        }
        // SAFETY: the layout has room for a head and frames: it is not of size zero.
        let head = NonNull::new(unsafe { alloc(shape.layout) })?.cast::<Head>();
        if shape.huge {
            advise(head.cast(), shape.layout.size());
        }
        let index = books.vacant.pop().unwrap_or(books.slabs.len());
        // SAFETY: just allocated, with room for a head and aligned for it.
        unsafe { head.write(Head { pool: self.clone(), index }) };
        #[cfg(test)]
        super::frame::live::count_slab(shape.length, 1);
        let free = Vec::with_capacity(shape.frames);
        let slab = Slab { head, free, made: 0, place: NOWHERE, leaving: false, pinned: false };
        if index == books.slabs.len() {
            books.slabs.push(Some(slab));
        } else {
            books.slabs[index] = Some(slab);
        }
        (books.free, books.spare) = (books.free + shape.frames, books.spare + shape.frames);
        books.open(index);
        Some(index)
    }

    /// Of the slabs that have free frames the one that has most, if its other frames have not been looked at in vain.
    ///
    /// The slab stays at least until its cache is dropped or [`give_up`](Self::give_up) is called.
    pub(super) fn sparsest(&self) -> Option<Sparsest> {
        let books = self.books.lock();
        let slabs = books.open.iter().filter_map(|index| Some((*index, books.slabs[*index].as_ref()?)));
        let (index, slab) = slabs.filter(|(_, slab)| !slab.pinned).max_by_key(|(_, slab)| slab.free(&self.shape))?;
        Some(Sparsest { index, head: slab.head, made: slab.made, in_use: slab.in_use() })
    }

    /// The frames of that slab, with what they say of their places on the clock.
    ///
    /// # Safety
    ///
    /// The slab came from [`sparsest`](Self::sparsest) of this pool and has not been given up; the cache is alive.
    pub(super) unsafe fn slots(&self, slab: &Sparsest) -> impl Iterator<Item = (NonNull<Frame>, usize)> {
        let (head, made) = (slab.head, slab.made);
        (0..made).map(move |index| {
            // SAFETY: so many frames were made before the books' lock was let go, which came before this. A slab goes
            // back to the allocator only after it was given up or the cache dropped: not yet, by the contract.
            unsafe {
                let frame = frame_at(head, &self.shape, index).cast();
                (frame, frame::slot_of(frame))
            }
        })
    }

    /// Not all frames of that slab that are in use can be evicted: do not look again before one comes or goes.
    pub(super) fn keep(&self, slab: &Sparsest) {
        self.change(|books| {
            if let Some(slab) = books.slabs.get_mut(slab.index).and_then(Option::as_mut) {
                slab.pinned = true;
            }
        });
    }

    /// All frames of that slab that are in use will come back soon: gives the slab back to the allocator then.
    pub(super) fn give_up(&self, slab: &Sparsest) {
        let unused = self.change(|books| {
            books.retire(slab.index);
            books.take_unused(slab.index)
        });
        release(unused, &self.shape);
    }
}

impl Books {
    fn slab(&mut self, index: usize) -> Option<&mut Slab> {
        self.slabs.get_mut(index)?.as_mut()
    }

    fn open(&mut self, index: usize) {
        let place = self.open.len();
        let Some(slab) = self.slab(index) else { return };
        slab.place = place;
        self.open.push(index);
    }

    fn shut(&mut self, index: usize) {
        let Some(slab) = self.slab(index) else { return };
        let place = core::mem::replace(&mut slab.place, NOWHERE);
        if place == NOWHERE {
            return;
        }
        self.open.swap_remove(place);
        if let Some(moved) = self.open.get(place).copied()
            && let Some(moved) = self.slab(moved)
        {
            moved.place = place;
        }
    }

    /// Takes a free frame of an open slab. Says whether it was made just now, its bytes not initialized.
    fn take_from(&mut self, index: usize) -> Option<(NonNull<Frame>, bool)> {
        let shape = self.shape;
        let slab = self.slab(index)?;
        slab.pinned = false;
        let (frame, is_new) = match slab.free.pop() {
            Some(frame) => (frame, false),
            None if slab.made < shape.frames => {
                // SAFETY: the slab is in the books, so it is alive, and has more frames than were made.
                let base = unsafe { frame_at(slab.head, &shape, slab.made) };
                // SAFETY: a stride from there on is the slab's, holds the header and so many bytes, and is aligned, as
                // slab, head and stride are. Nobody looks there before the frame is made. The slab outlasts its
                // frames. The caller zeroes the bytes.
                let frame = unsafe { frame::place(base, shape.length, Some(slab.head)) };
                slab.made += 1;
                (frame, true)
            }
            None => return None,
        };
        if slab.free(&shape) == 0 {
            self.shut(index);
        }
        (self.free, self.spare) = (self.free - 1, self.spare - 1);
        Some((frame, is_new))
    }

    /// Takes a frame back. Returns its slab if nothing of that is needed any more.
    fn put(&mut self, index: usize, frame: NonNull<Frame>) -> Option<Slab> {
        let slab = self.slab(index)?;
        slab.free.push(frame);
        slab.pinned = false;
        let leaving = slab.leaving;
        self.free += 1;
        if leaving {
            return self.take_unused(index);
        }
        self.spare += 1;
        if self.closed {
            return self.take_unused(index);
        }
        if self.open.last() != Some(&index) {
            self.shut(index);
            self.open(index);
        }
        None
    }

    /// Lets a slab leave.
    fn retire(&mut self, index: usize) {
        self.shut(index);
        let shape = self.shape;
        let Some(slab) = self.slab(index).filter(|slab| !slab.leaving) else { return };
        slab.leaving = true;
        let free = slab.free(&shape);
        self.leaving += 1;
        self.spare -= free;
    }

    /// Lets a slab that was leaving, but is still here, stay if it has free frames.
    fn reopen(&mut self) -> Option<usize> {
        let shape = self.shape;
        if self.leaving == 0 {
            return None;
        }
        let is_leaving = |slab: &Slab| slab.leaving && slab.free(&shape) != 0;
        let index = self.slabs.iter().position(|slab| slab.as_ref().is_some_and(is_leaving))?;
        let slab = self.slab(index)?;
        slab.leaving = false;
        let free = slab.free(&shape);
        self.leaving -= 1;
        self.spare += free;
        self.open(index);
        Some(index)
    }

    /// Takes a slab that is to go out of the books if none of its frames is in use.
    fn take_unused(&mut self, index: usize) -> Option<Slab> {
        let closed = self.closed;
        self.slab(index).filter(|slab| slab.in_use() == 0 && (slab.leaving || closed))?;
        self.shut(index);
        let slab = self.slabs[index].take()?;
        self.vacant.push(index);
        self.free -= self.shape.frames;
        if slab.leaving {
            self.leaving -= 1;
        } else {
            self.spare -= self.shape.frames;
        }
        Some(slab)
    }
}

/// Takes back a frame of the slab with this head.
///
/// # Safety
///
/// The frame is of that slab and has one owner, the caller, who gives it up.
pub(super) unsafe fn put_back(head: NonNull<Head>, frame: NonNull<Frame>) {
    // SAFETY: a slab is released only when all its frames are back, and this one is not yet.
    let Head { pool, index } = unsafe { head.as_ref() };
    // The slab, and its share of the pool, may be gone as soon as the frame is in the books.
    let (pool, index) = (pool.clone(), *index);
    let unused = pool.change(|books| books.put(index, frame));
    release(unused, &pool.shape);
}

/// Gives a slab that was taken out of the books back to the allocator.
fn release(slab: Option<Slab>, shape: &Shape) {
    let Some(slab) = slab else { return };
    #[cfg(test)]
    super::frame::live::count_slab(shape.length, -1);
    // SAFETY: none of its frames is in use, so nobody reads the head any more; the books let go of it. The head is
    // moved out before its memory goes, and both are as `grow` made them. Frames need no drop.
    let head = unsafe {
        let head = slab.head.read();
        dealloc(slab.head.as_ptr().cast(), shape.layout);
        head
    };
    drop(head);
}

/// A cache's pool. Once it is dropped no slab stays longer than a frame of it is in use.
pub(super) struct OwnedPool(Arc<Pool>);

impl OwnedPool {
    pub(super) fn new(budget: usize, length: usize) -> Self {
        Self(Arc::new(Pool::new(Shape::new(budget, length))))
    }
}

impl Deref for OwnedPool {
    type Target = Arc<Pool>;

    fn deref(&self) -> &Arc<Pool> {
        &self.0
    }
}

impl Drop for OwnedPool {
    fn drop(&mut self) {
        let unused: Vec<_> = self.0.change(|books| {
            books.closed = true;
            (0..books.slabs.len()).filter_map(|index| books.take_unused(index)).collect()
        });
        unused.into_iter().for_each(|slab| release(Some(slab), &self.0.shape));
    }
}

/// Asks for huge pages, before anything is written there: what is in small pages by then stays in them.
#[cfg(all(feature = "std", target_os = "linux"))]
fn advise(start: NonNull<u8>, length: usize) {
    use core::ffi::{c_int, c_void};
    const MADV_HUGEPAGE: c_int = 14;
    unsafe extern "C" {
        fn madvise(start: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    // SAFETY: the declaration is that of the C library, which `std` links. This advice changes nothing that the program
    // can see, wherever it points; whether it was taken makes no difference either.
    let _ = unsafe { madvise(start.as_ptr().cast(), length, MADV_HUGEPAGE) };
}

#[cfg(not(all(feature = "std", target_os = "linux")))]
fn advise(_: NonNull<u8>, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_are_a_part_of_the_budget() {
        for budget in [0, 1, 100_000, 1 << 20, 10 << 20, (128 << 20) - 1, 128 << 20, 1 << 30, usize::MAX] {
            for length in [512, 777, 4096, 65_536] {
                let shape = Shape::new(budget, length);
                let size = shape.layout.size();
                assert!(size <= budget / PARTS && size <= HUGE, "{size} of {budget}");
                assert_eq!(shape.huge, budget >= 128 << 20);
                assert_eq!(shape.layout.align(), if shape.frames == 0 { 1 } else { size + ALIGNMENT });
                let (stride, front) = (frame::stride(length), front::length_of(length));
                assert!(shape.frames > 0 || budget / PARTS < 2 * ((LEAST + 1) * (stride + front) + ALIGNMENT));
                assert!(shape.frames == 0 || shape.first >= size_of::<Head>() + shape.frames * front);
                assert!(shape.first + shape.frames * stride <= size || shape.frames == 0);
                assert!(shape.overhead() <= shape.bytes() / 4);
            }
        }
        assert_eq!(Shape::new(1 << 30, 4096).frames, 461);
        assert_eq!(frame::stride(4096), 4224);
        assert_eq!(Shape::new(1 << 30, usize::MAX).frames, 0);
    }

    #[test]
    fn a_new_frame_is_zero_and_none_is_given_twice() {
        let pool = OwnedPool::new(1 << 20, 1000);
        let frames: Vec<_> = (0..100).filter_map(|_| pool.take(1 << 19, 1 << 20)).collect();
        assert_eq!(frames.len(), 100);
        let mut places: Vec<_> = frames.iter().map(|frame| frame.as_ptr() as usize).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= 1000 + 64));
        assert!(frames.iter().all(|frame| frame.iter().all(|byte| *byte == 0)));
        assert!(pool.take(1 << 19, 1 << 19).is_some(), "this slab has another one");
        let rest: Vec<_> = core::iter::from_fn(|| pool.take(1 << 19, 1 << 19)).collect();
        assert!(rest.len() < 64 && rest.iter().all(|frame| frame.len() == 1000));
        assert!(pool.take(0, 1 << 20).is_none(), "the cache is empty");
    }

    #[test]
    fn every_frame_has_a_front_of_its_own() {
        for (budget, length) in
            [(2 << 20, 4096), (20 << 20, 4099), (128 << 20, 4096), (1 << 30, 9000), (1 << 30, 65_536)]
        {
            let pool = OwnedPool::new(budget, length);
            let (fronts, front) = (pool.fronts(), front::length_of(length));
            let frames: Vec<_> = (0..1000).filter_map(|_| pool.take(budget / 2, budget)).collect();
            let frames: Vec<_> = frames.into_iter().map(|buffer| buffer.into_frame(0, 0, 0)).collect();
            let slabs = frames.chunks(pool.shape.frames);
            assert!(front >= length / 16 && slabs.len() > 2, "{} frames of {}", frames.len(), pool.shape.frames);
            for slab in slabs {
                let slab_start = slab[0].address().addr().get() - pool.shape.first;
                assert_eq!(slab_start % pool.shape.layout.align(), 0);
                for (index, frame) in slab.iter().enumerate() {
                    let start = fronts.of(frame.address()).addr().get();
                    assert_eq!(start, slab_start + size_of::<Head>() + index * front);
                }
            }
        }
    }
}
