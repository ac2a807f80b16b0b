//! The cache under a model checker, which chooses the order in which threads go on at each lock and atomic. What was
//! freed is overwritten (`freed.rs`), so a look at it is noticed. Run as `tests/model_checked.rs` is, whose limits hold
//! here as well.
#![cfg(shuttle)]

use super::epoch::{Epoch, Limbo};
use super::frame::live;
use super::{Cache, Frame, FrameRef};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};
use alloc::vec::Vec;
use explore::explore;
use shuttle::thread;

#[path = "../../../tests/common/explore.rs"]
mod explore;

/// A place that names one of the objects, and which of them were freed.
struct Place {
    epoch: Epoch,
    named: AtomicUsize,
    freed: Vec<AtomicBool>,
    limbo: Mutex<Limbo<usize>>,
}

impl Place {
    fn new(objects: usize) -> Self {
        Self {
            epoch: Epoch::new(),
            named: AtomicUsize::new(0),
            freed: (0..objects).map(|_| AtomicBool::new(false)).collect(),
            limbo: Mutex::new(Limbo::new()),
        }
    }

    fn look(&self) {
        let _pin = self.epoch.pin();
        let found = self.named.load(Ordering::SeqCst);
        for _ in 0..3 {
            assert!(!self.freed[found].load(Ordering::SeqCst), "{found} was freed while somebody looked");
        }
    }

    fn replace(&self, object: usize) {
        let mut limbo = self.limbo.lock();
        let old = self.named.swap(object, Ordering::SeqCst);
        limbo.retire(old, 1);
        self.free(&mut limbo);
    }

    fn free(&self, limbo: &mut Limbo<usize>) {
        for object in limbo.advance(&self.epoch, 0) {
            assert!(!self.freed[object].swap(true, Ordering::SeqCst), "{object} was freed twice");
        }
    }
}

/// Four threads, so that stripes of both kinds are in use, the shared one by two of them.
fn replace_and_look(objects: usize) {
    let place = Arc::new(Place::new(objects));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let place = place.clone();
            thread::spawn(move || (0..2).for_each(|_| place.look()))
        })
        .collect();
    for object in 1..objects {
        place.replace(object);
        place.look();
    }
    for reader in readers {
        reader.join().unwrap();
    }
    let mut limbo = place.limbo.lock();
    // One grace period may be under way, and another has to follow it.
    (0..2).for_each(|_| place.free(&mut limbo));
    assert_eq!(limbo.bytes(), 0, "nobody looks, and something waits");
    let freed = place.freed.iter().filter(|freed| freed.load(Ordering::SeqCst)).count();
    assert_eq!(freed, objects - 1);
}

#[test]
fn what_is_looked_at_is_not_freed() {
    explore(10_000, || replace_and_look(4));
}

const LENGTH: usize = 40;
/// Two chunks and a half.
const PAGES: u32 = 5;

fn byte(page: u32, birth: u64) -> u8 {
    (u64::from(page) * 16 + birth) as u8
}

fn check(bytes: &[u8], page: u32, birth: u64) {
    assert!(bytes.iter().all(|found| *found == byte(page, birth)), "page {page} of {birth}: {bytes:?}");
}

fn new_frame(cache: &Cache, page: u32, birth: u64, dirty: bool) -> FrameRef {
    let mut buffer = cache.buffer(LENGTH);
    buffer.fill(byte(page, birth));
    if dirty { cache.insert_dirty(page, birth, 0, buffer) } else { cache.insert_clean(page, birth, 0, buffer) }
}

/// Looks at each page as of its birth, more than once under the same pin; keeps one beyond it.
fn read(cache: &Cache, births: &[AtomicUsize]) {
    let mut held = Vec::new();
    for page in 0..PAGES {
        let birth = births[page as usize].load(Ordering::SeqCst) as u64;
        let pin = cache.pin();
        match pin.get::<{ super::START }>(page, birth) {
            Some(frame) => {
                check(frame.bytes(), page, birth);
                thread::yield_now();
                check(frame.bytes(), page, birth);
                held.push((page, birth, frame.hold()));
            }
            None => {
                drop(pin);
                held.push((page, birth, new_frame(cache, page, birth, false)));
            }
        }
        if page % 2 == 1 {
            held.truncate(1);
        }
    }
    for (page, birth, frame) in held {
        check(&frame, page, birth);
    }
}

/// Replaces and removes pages, the last ones of their chunks among them.
fn write(cache: &Cache, births: &[AtomicUsize], round: u64) {
    for page in [0, 1, 4] {
        let frame = new_frame(cache, page, round, true);
        births[page as usize].store(round as usize, Ordering::SeqCst);
        cache.mark_clean(&frame);
        if page == 4 {
            cache.remove(page);
        }
    }
}

fn read_and_write(pages_in_memory: usize) {
    let before = live::of_length(LENGTH);
    let (table, _) = super::Table::new();
    let room = size_of_val(&table) + 64 * 100 + pages_in_memory * Frame::cost_of(LENGTH);
    let cache = Arc::new(Cache::new(room * 64 / 61, LENGTH));
    let births: Arc<Vec<_>> = Arc::new((0..PAGES).map(|_| AtomicUsize::new(1)).collect());
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (cache, births) = (cache.clone(), births.clone());
            thread::spawn(move || read(&cache, &births))
        })
        .collect();
    for round in 2..4 {
        write(&cache, &births, round);
    }
    for reader in readers {
        reader.join().unwrap();
    }
    assert_eq!(cache.dirty_bytes(), 0);
    drop(cache);
    assert_eq!(live::of_length(LENGTH), before, "frames leaked");
}

#[test]
fn no_frame_is_freed_while_it_is_looked_at() {
    explore(3000, || read_and_write(2));
    explore(2000, || read_and_write(100));
}
