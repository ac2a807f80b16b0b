use super::{Cache, Frame, FrameRef, frame::live};
use crate::format::node::{KeyPart, NodeMut, PageOp, Shape, ValuePart};
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};
use alloc::vec::Vec;

/// The file has the bytes of the page's frame now. False if there is no frame of that birth.
fn written(cache: &Cache, page: u32, birth: u64) -> bool {
    cache.get(page, birth).is_some_and(|frame| cache.mark_clean(&frame))
}

fn word(page: u32, birth: u64) -> u64 {
    u64::from(page).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ birth.wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

fn fill(bytes: &mut [u8], page: u32, birth: u64) {
    let word = word(page, birth).to_le_bytes();
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&word[..part.len()]);
    }
}

fn check(bytes: &[u8], page: u32, birth: u64) {
    let word = word(page, birth).to_le_bytes();
    assert!(bytes.chunks(8).all(|part| part == &word[..part.len()]), "page {page} of {birth}");
}

fn clean(cache: &Cache, page: u32, birth: u64, length: usize) -> FrameRef {
    let mut buffer = cache.buffer(length);
    fill(&mut buffer, page, birth);
    cache.insert_clean(page, birth, 0, buffer)
}

fn dirty(cache: &Cache, page: u32, birth: u64, length: usize) -> FrameRef {
    let mut buffer = cache.buffer(length);
    fill(&mut buffer, page, birth);
    cache.insert_dirty(page, birth, 0, buffer)
}

/// A budget for about so many pages of this size and the table of a small file.
fn budget(pages: usize, length: usize) -> usize {
    (pages * Frame::cost_of(length) + 6000) * 64 / 61 + 64
}

#[test]
fn finds_by_page_and_birth() {
    let cache = Cache::new(1 << 20, 512);
    assert!(cache.get(7, 1).is_none());
    let frame = clean(&cache, 7, 1, 512);
    check(&frame, 7, 1);
    assert!(cache.get(7, 1).is_some_and(|found| found.is(&frame)));
    assert!(cache.get(7, 2).is_none());
    assert!(cache.get(8, 1).is_none());
    let again = clean(&cache, 7, 1, 512);
    assert!(again.is(&frame), "the first one stays");
    let newer = clean(&cache, 7, 3, 512);
    assert!(cache.get(7, 1).is_none() && cache.get(7, 3).is_some_and(|found| found.is(&newer)));
    check(&frame, 7, 1);
    let pin = cache.pin();
    let held = pin.get::<{ super::START }>(7, 3).map(|found| found.hold());
    drop(pin);
    check(&held.unwrap(), 7, 3);
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.evictions), (3, 3, 0));
}

/// Fills a buffer with a page of that many empty rows.
fn fill_leaf(bytes: &mut [u8], rows: usize) {
    let shape = Shape { key_width: Some(0), value_width: Some(0), byte_ordered: true, sets: None };
    let mut leaf = NodeMut::init(bytes, 0, shape);
    let (key, value) = (KeyPart::Inline(&[]), ValuePart::Inline(&[]));
    (0..rows).for_each(|at| leaf.apply(&PageOp::Insert { at, key, value, head: 0 }).unwrap());
}

#[test]
fn a_page_whose_arrays_fit_has_a_front_while_it_is_clean() {
    const { assert!(super::front::length_of(4096) == 320) };
    let cache = Cache::new(4 << 20, 4096);
    let rows_at_front = |page| {
        let pin = cache.pin();
        let sight = pin.glance::<{ super::START }>(page).unwrap();
        (sight.front.len() < 4096).then(|| sight.node().count())
    };
    let leaf = |rows| {
        let mut buffer = cache.buffer(4096);
        fill_leaf(&mut buffer, rows);
        buffer
    };
    // A slab is taken once there is enough for one.
    (100..110).for_each(|page| drop(clean(&cache, page, 1, 4096)));
    cache.insert_clean(1, 1, 0, leaf(30));
    cache.insert_clean(2, 1, 0, leaf(31));
    assert_eq!((rows_at_front(1), rows_at_front(2)), (Some(30), None));
    let frame = cache.insert_dirty(3, 1, 0, leaf(5));
    assert_eq!(rows_at_front(3), None, "it may change at any time");
    cache.mark_clean(&frame);
    assert_eq!(rows_at_front(3), Some(5));
    cache.mark_dirty(&frame);
    assert_eq!(rows_at_front(3), None);
    // SAFETY: nobody else has the frame's bytes.
    fill_leaf(unsafe { frame.bytes_mut() }, 7);
    cache.mark_clean(&frame);
    assert_eq!(rows_at_front(3), Some(7));
    cache.insert_clean(3, 2, 0, leaf(8));
    assert_eq!(rows_at_front(3), Some(8));
}

#[test]
fn all_page_numbers_and_lengths() {
    let cache = Cache::new(1 << 30, 512);
    let pages = [0, 1, 255, 256, 16_383, 16_384, 1 << 20, 1 << 24];
    for (index, &page) in pages.iter().enumerate() {
        clean(&cache, page, 5, index * 1001);
    }
    for (index, &page) in pages.iter().enumerate() {
        let found = cache.get(page, 5).unwrap();
        assert_eq!(found.len(), index * 1001);
        check(&found, page, 5);
    }
}

#[test]
fn eviction_keeps_to_the_budget() {
    for length in [512, 4096] {
        let limit = budget(100, length);
        let cache = Cache::new(limit, length);
        for page in 0..10_000 {
            drop(clean(&cache, page % 1000, u64::from(page), length));
            assert!(cache.used_bytes() <= limit, "{} of {limit}", cache.used_bytes());
        }
        let here = (0..1000).filter(|&page| cache.get(page, 9000 + u64::from(page)).is_some()).count();
        assert!(here >= 85, "{here} of about 100 pages are left");
    }
}

#[test]
fn a_budget_of_nothing_works() {
    let cache = Cache::new(0, 512);
    for page in 0..100 {
        drop(clean(&cache, page, 1, 512));
        assert!(cache.get(page, 1).is_some());
        assert!(page == 0 || cache.get(page - 1, 1).is_none());
    }
    let kept: Vec<_> = (0..100).map(|page| dirty(&cache, page, 2, 512)).collect();
    assert!((0..100).all(|page| cache.get(page, 2).is_some()));
    assert_eq!(cache.dirty_bytes(), 100 * Frame::cost_of(512));
    for (page, frame) in (0..).zip(&kept) {
        check(frame, page, 2);
        assert!(written(&cache, page, 2));
        assert!(cache.get(page, 2).is_none(), "evicted at once");
    }
    assert_eq!(cache.dirty_bytes(), 0);
}

#[test]
fn used_pages_outlive_a_scan_and_branches_outlive_leaves() {
    let length = 1024;
    let cache = Cache::new(budget(100, length), length);
    for page in 0..50 {
        let priority = u8::from(page < 10);
        cache.insert_clean(page, 1, priority, cache.buffer(length));
    }
    for page in 1000..3000u32 {
        clean(&cache, page, 1, length);
        if page.is_multiple_of(10) {
            assert!((0..20).all(|page| cache.get(page, 1).is_some()), "used ones stay");
        }
    }
    assert!((30..50).all(|page| cache.get(page, 1).is_none()));
    for page in 3000..3120 {
        clean(&cache, page, 1, length);
    }
    assert!((0..10).all(|page| cache.get(page, 1).is_some()), "branches stay longer");
}

#[test]
fn dirty_frames_stay_and_can_be_changed() {
    let length = 512;
    let limit = budget(10, length);
    let cache = Cache::new(limit, length);
    let frames: Vec<_> = (0..100).map(|page| dirty(&cache, page, 9, length)).collect();
    assert!(cache.used_bytes() > limit);
    for (page, frame) in (0..).zip(&frames) {
        // SAFETY: nobody else looks.
        fill(unsafe { frame.bytes_mut() }, page + 1, 9);
        check(&cache.get(page, 9).unwrap(), page + 1, 9);
    }
    assert!(!written(&cache, 5, 8) && !written(&cache, 100, 9));
    assert!((0..100).all(|page| written(&cache, page, 9)));
    assert_eq!(cache.dirty_bytes(), 0);
    clean(&cache, 500, 9, length);
    assert!(cache.used_bytes() <= limit);

    cache.clear_clean();
    assert!((0..100).all(|page| cache.get(page, 9).is_none()));
    cache.mark_dirty(&frames[3]);
    cache.mark_dirty(&frames[3]);
    assert!(cache.get(3, 9).is_some_and(|found| found.is(&frames[3])), "put back");
    assert_eq!(cache.dirty_bytes(), Frame::cost_of(length));
    let reread = clean(&cache, 4, 9, length);
    cache.mark_dirty(&frames[4]);
    assert!(!reread.is(&frames[4]) && cache.get(4, 9).is_some_and(|found| found.is(&frames[4])));
    let past = clean(&cache, 4, 8, length);
    assert!(cache.get(4, 8).is_none(), "does not push a dirty frame out");
    check(&past, 4, 8);
    cache.remove(3);
    cache.remove(4);
    assert_eq!(cache.dirty_bytes(), 0);
    assert!(cache.get(3, 9).is_none());
    cache.remove(3);
    cache.remove(1 << 30);
}

#[test]
fn a_run_of_much_of_the_budget_is_not_kept() {
    let cache = Cache::new(1 << 20, 512);
    clean(&cache, 1, 1, 512);
    let run = clean(&cache, 2, 1, 900 << 10);
    check(&run, 2, 1);
    assert!(cache.get(2, 1).is_none() && cache.get(1, 1).is_some());
    clean(&cache, 2, 1, 100 << 10);
    assert!(cache.get(2, 1).is_some());
}

#[test]
fn nothing_leaks_and_holders_outlive_the_cache() {
    let length = 777;
    let cache = Cache::new(budget(50, length), length);
    let mut held = Vec::new();
    for page in 0..2000u32 {
        let frame =
            if page.is_multiple_of(3) { dirty(&cache, page, 1, length) } else { clean(&cache, page, 1, length) };
        if page.is_multiple_of(100) {
            held.push((page, frame));
        }
        if page.is_multiple_of(6) {
            cache.remove(page);
        } else if page.is_multiple_of(3) {
            written(&cache, page, 1);
        }
    }
    let pin = cache.pin();
    for page in 3000..3100 {
        clean(&cache, page, 1, length);
    }
    let before = live::of_length(length);
    assert!(before <= 50 + 5 + held.len() as isize, "{before} frames: more than the pin keeps do not come in");
    drop(pin);
    (4000..4100).for_each(|page| drop(clean(&cache, page, 1, length)));
    assert!(cache.get(4099, 1).is_some());
    let after = live::of_length(length);
    assert!(after <= 50 + 5 + held.len() as isize, "{after} frames");
    dirty(&cache, 5000, 1, length);
    drop(cache);
    assert_eq!(live::of_length(length), held.len() as isize);
    assert!(live::slabs_of_length(length) <= held.len() as isize);
    for (page, frame) in held {
        check(&frame, page, 1);
    }
    assert_eq!((live::of_length(length), live::slabs_of_length(length)), (0, 0));
}

#[test]
fn buffers_are_used_again() {
    let length = 779;
    let cache = Cache::new(1 << 20, length);
    // The last slab has more free frames than are taken below.
    (0..90).for_each(|page| drop(clean(&cache, page, 1, length)));
    let slabs = live::slabs_of_length(length);
    assert!(slabs > 0, "there are slabs");
    let buffers: Vec<_> = (0..5).map(|_| cache.buffer(length)).collect();
    let places: Vec<_> = buffers.iter().map(|buffer| buffer.as_ptr()).collect();
    buffers.into_iter().for_each(drop);
    let again: Vec<_> = (0..5).map(|_| cache.buffer(length)).collect();
    assert!(again.iter().map(|buffer| buffer.as_ptr()).eq(places.into_iter().rev()), "the last one first");
    for round in 0..20 {
        (0..90).for_each(|page| drop(clean(&cache, page, 2 + round, length)));
        cache.clear_clean();
    }
    assert!(live::slabs_of_length(length) <= slabs + 1, "no more memory than for one round");
}

#[test]
fn pages_stand_beside_their_headers_and_not_all_in_the_same_sets() {
    let cache = Cache::new(16 << 20, 4096);
    (0..500).for_each(|page| drop(clean(&cache, page, 1, 4096)));
    let offsets: alloc::collections::BTreeSet<_> =
        (0..500).filter_map(|page| cache.get(page, 1)).map(|frame| frame.as_ptr() as usize % 4096).collect();
    assert!(offsets.iter().all(|offset| offset % 128 == 64));
    assert_eq!(offsets.len(), 32);
}

#[test]
fn a_budget_for_huge_pages_is_kept() {
    let (length, limit) = (4090, 128 << 20);
    let cache = Cache::new(limit, length);
    for page in 0..40_000 {
        drop(clean(&cache, page, 1, length));
        assert!(cache.used_bytes() <= limit);
        assert!(page > 100 || live::slabs_of_length(length) == 0, "a few pages are not worth a slab");
    }
    let slabs = live::slabs_of_length(length);
    assert!((61..=63).contains(&slabs), "{slabs} slabs");
    let here = (0..40_000).filter(|&page| cache.get(page, 1).is_some()).count();
    assert!(here * (length + super::front::length_of(length)) >= limit / 10 * 9, "{here} pages");
    drop(cache);
    assert_eq!(live::slabs_of_length(length), 0);
}

/// Memory in slabs is of use for pages alone: it must go where it is needed.
#[test]
fn slabs_come_and_go_with_the_use_of_pages() {
    let (length, limit) = (1083, 4 << 20);
    let cache = Cache::new(limit, length);
    let runs = 30_000..31_000;
    let run_length = 50_000;
    let mut most_slabs = 0;
    for round in 1..4 {
        for page in 0..8000 {
            drop(clean(&cache, page, round, length));
            assert!(cache.used_bytes() <= limit, "page {page}: {} of {limit}", cache.used_bytes());
        }
        let here = (0..8000).filter(|&page| cache.get(page, round).is_some()).count();
        assert!(here * length > limit / 5 * 4, "{here} pages");
        most_slabs = live::slabs_of_length(length).max(most_slabs);
        let mut pin = (round == 3).then(|| cache.pin());
        for run in runs.clone() {
            drop(clean(&cache, run, round, run_length));
            let used = cache.used_bytes();
            assert!(used <= limit, "run {run}: {used} of {limit}");
        }
        if pin.take().is_some() {
            runs.clone().for_each(|run| drop(clean(&cache, run, round, run_length)));
        }
        let here = runs.clone().filter(|&run| cache.get(run, round).is_some()).count();
        assert!(here * run_length > limit / 5 * 3, "{here} runs");
        assert!(live::slabs_of_length(length) < most_slabs / 3, "{} slabs", live::slabs_of_length(length));
    }
    drop(cache);
    assert_eq!(live::slabs_of_length(length), 0);
}

/// A page in each slab that cannot be evicted keeps all of them: runs have what is left.
#[test]
fn slabs_that_cannot_go_count() {
    let (length, limit) = (1019, 4 << 20);
    let cache = Cache::new(limit, length);
    (0..8000).for_each(|page| drop(clean(&cache, page, 1, length)));
    let here: Vec<_> = (0..8000).filter_map(|page| cache.get(page, 1)).collect();
    let held: Vec<_> = here.iter().step_by(20).cloned().collect();
    drop(here);
    for run in 30_000..30_500 {
        drop(clean(&cache, run, 1, 30_000));
        let used = cache.used_bytes();
        assert!(used <= limit, "run {run}: {used} of {limit}");
    }
    let slabs = live::slabs_of_length(length);
    assert!(slabs > 20, "{slabs} slabs");
    (0..8000).for_each(|page| drop(clean(&cache, page, 2, length)));
    assert!((0..8000).filter(|&page| cache.get(page, 2).is_some()).count() > 2000, "pages take the free frames");
    assert!(cache.used_bytes() <= limit);
    drop(cache);
    held.iter().for_each(|frame| check(frame, frame.frame().page(), 1));
    drop(held);
    assert_eq!((live::slabs_of_length(length), live::of_length(length)), (0, 0));
}

/// Slabs that are on their way out hold free frames too, which must not add up while limbo is patient.
#[test]
fn slabs_that_leave_do_not_add_up() {
    for (length, limit, frames_of_a_slab) in [(1033, 4 << 20, 56), (4099, 16 << 20, 62), (4101, 256 << 20, 490)] {
        let cache = Cache::new(limit, length);
        let pages = (limit / Frame::cost_of(length)) as u32;
        (0..pages).for_each(|page| drop(clean(&cache, page, 1, length)));
        (0..pages).filter(|page| page % frames_of_a_slab != 0).for_each(|page| cache.remove(page));
        let mut most = 0;
        for run in 0..(limit / 20_000) as u32 * 2 {
            drop(clean(&cache, 100_000 + run * 8, 1, 20_000));
            most = cache.used_bytes().max(most);
        }
        assert!(most <= limit, "{most} of {limit}");
    }
}

/// Frames that guards held are free when the guards go, in slabs that others keep. They are used for pages, until those
/// have given way that are in none, and then the budget holds again.
#[test]
fn slabs_of_held_frames_stay_within_the_budget() {
    let (length, limit) = (1039, 4 << 20);
    let cache = Cache::new(limit, length);
    let all: Vec<_> = (0..8000).map(|page| clean(&cache, page, 1, length)).collect();
    let held: Vec<_> = all.iter().step_by(20).cloned().collect();
    drop(all);
    let mut hits = 0;
    for _ in 0..6 {
        let found = |page: &u32| cache.get(*page, 1).map_or_else(|| drop(clean(&cache, *page, 1, length)), drop);
        let before = cache.stats().hits;
        (10_000..11_000).for_each(|page| found(&page));
        hits = cache.stats().hits - before;
    }
    assert!(hits > 900, "{hits} of 1000");
    assert!(cache.used_bytes() <= limit, "{} of {limit}", cache.used_bytes());
    drop(held);
}

#[test]
fn dirty_frames_beyond_the_budget_take_no_slabs() {
    let (length, limit) = (1021, 1 << 20);
    let cache = Cache::new(limit, length);
    let frames: Vec<_> = (0..4000).map(|page| dirty(&cache, page, 1, length)).collect();
    let slabs = live::slabs_of_length(length);
    assert!((40..=64).contains(&slabs), "{slabs} slabs");
    frames.iter().for_each(|frame| assert!(cache.mark_clean(frame)));
    drop(frames);
    for page in 5000..7000 {
        drop(clean(&cache, page, 1, length));
        assert!(page < 5300 || cache.used_bytes() <= limit, "page {page}: {}", cache.used_bytes());
    }
    assert!(live::slabs_of_length(length) >= slabs - 2);
    drop(cache);
    assert_eq!((live::slabs_of_length(length), live::of_length(length)), (0, 0));
}

#[test]
fn many_threads_drop_what_they_hold_while_the_cache_goes() {
    let length = 1031;
    for round in 0..20 {
        let cache = Arc::new(Cache::new(2 << 20, length));
        let held: Vec<_> = (0..1500).map(|page| clean(&cache, page, 1, length)).collect();
        std::thread::scope(|scope| {
            let mut held = held.into_iter();
            for thread in 0..4 {
                let mine: Vec<_> = held.by_ref().take(375).collect();
                let cache = cache.clone();
                scope.spawn(move || {
                    for (index, frame) in mine.into_iter().enumerate() {
                        check(&frame, frame.frame().page(), 1);
                        if index == 100 + 20 * thread + round {
                            cache.clear_clean();
                        }
                        if index.is_multiple_of(7) {
                            drop(clean(&cache, 5000 + index as u32 * 4 + thread as u32, 1, length));
                        }
                    }
                    drop(cache);
                });
            }
            drop(cache);
        });
        assert_eq!((live::slabs_of_length(length), live::of_length(length)), (0, 0));
    }
    let cache = Cache::new(2 << 20, length);
    let mut held: Vec<_> = (0..1500).map(|page| clean(&cache, page, 1, length)).collect();
    drop(cache);
    assert!(live::slabs_of_length(length) > 0);
    std::thread::scope(|scope| {
        while !held.is_empty() {
            let mine = held.split_off(held.len() - 300);
            scope.spawn(move || mine.iter().for_each(|frame| check(frame, frame.frame().page(), 1)));
        }
    });
    assert_eq!((live::slabs_of_length(length), live::of_length(length)), (0, 0));
}

const PAGES: u32 = 600;

/// What is in the file of the stress test: the birth of each page. Only births grow.
struct File(Vec<AtomicU64>);

fn random(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
    (*state >> 33) as u32
}

fn read_a_page(cache: &Cache, file: &File, seed: &mut u64, held: &mut Vec<(u32, u64, FrameRef)>, length: usize) {
    let page = (random(seed) % PAGES) * 97;
    let birth = file.0[(page / 97) as usize].load(Ordering::Acquire);
    let pin = cache.pin();
    let found = match pin.get::<{ super::START }>(page, birth) {
        Some(frame) => {
            check(frame.bytes(), page, birth);
            random(seed).is_multiple_of(16).then(|| frame.hold())
        }
        None => {
            drop(pin);
            let frame = clean(cache, page, birth, length);
            check(&frame, page, birth);
            Some(frame)
        }
    };
    if let Some(frame) = found {
        held.push((page, birth, frame));
    }
    if held.len() > 20 {
        let (page, birth, frame) = held.swap_remove(random(seed) as usize % 20);
        check(&frame, page, birth);
    }
}

fn write_a_page(cache: &Cache, file: &File, seed: &mut u64, birth: u64, length: usize) {
    let index = random(seed) % PAGES;
    let page = index * 97;
    if random(seed).is_multiple_of(4) {
        cache.remove(page);
    }
    let frame = dirty(cache, page, birth, length);
    // SAFETY: readers do not know of this birth yet.
    fill(unsafe { frame.bytes_mut() }, page, birth);
    if random(seed).is_multiple_of(8) {
        return cache.remove(page);
    }
    assert!(cache.get(page, birth).is_some_and(|found| found.is(&frame)), "dirty frames stay");
    file.0[index as usize].store(birth, Ordering::Release);
    assert!(written(cache, page, birth));
    if random(seed).is_multiple_of(16) {
        cache.mark_dirty(&frame);
        written(cache, page, birth);
    }
}

fn stress(length: usize, pages_in_memory: usize, rounds: u64) {
    let cache = Arc::new(Cache::new(budget(pages_in_memory, length), length));
    let file = Arc::new(File((0..PAGES).map(|_| AtomicU64::new(1)).collect()));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|seed| {
            let (cache, file, done) = (cache.clone(), file.clone(), done.clone());
            std::thread::spawn(move || {
                let (mut seed, mut held) = (seed, Vec::new());
                while !done.load(Ordering::Relaxed) {
                    read_a_page(&cache, &file, &mut seed, &mut held, length);
                }
            })
        })
        .collect();
    let mut seed = 99;
    for birth in 2..2 + rounds {
        write_a_page(&cache, &file, &mut seed, birth, length);
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(cache.stats().evictions > 0);
    assert_eq!(cache.dirty_bytes(), 0);
    drop((cache, file));
    assert_eq!((live::of_length(length), live::slabs_of_length(length)), (0, 0), "frames or slabs leaked");
}

#[test]
fn readers_and_a_writer_in_a_tight_cache() {
    stress(1003, 40, 40_000);
}

#[test]
fn readers_and_a_writer_without_a_cache() {
    stress(1005, 0, 40_000);
}

#[test]
fn readers_and_a_writer_in_small_slabs() {
    stress(1011, 330, 40_000);
}

#[test]
fn readers_and_a_writer_in_a_roomy_cache() {
    stress(1007, 500, 40_000);
}

#[test]
fn readers_and_a_writer_on_shared_stripes() {
    let cache = Cache::new(0, 512);
    std::thread::scope(|scope| {
        // Threads that come later have no stripe of their own.
        (0..64).for_each(|_| drop(scope.spawn(|| drop(cache.pin()))));
    });
    stress(1009, 40, 40_000);
}

#[test]
fn a_long_look_costs_hits_and_not_memory() {
    let cache = Cache::new(1 << 20, 512);
    (0..4000).for_each(|page| drop(clean(&cache, page, 1, 512)));
    let pin = cache.pin();
    for page in 4000..20_000 {
        check(&clean(&cache, page, 1, 512), page, 1);
        assert!(cache.used_bytes() <= cache.budget(), "{} at page {page}", cache.used_bytes());
    }
    let evictions = cache.stats().evictions;
    drop(pin);
    (20_000..24_000).for_each(|page| drop(clean(&cache, page, 1, 512)));
    assert!(cache.stats().evictions > evictions + 2000, "pages come in again");
    assert!(cache.used_bytes() <= cache.budget());
}

#[test]
fn what_is_set_aside_has_room_at_once() {
    let cache = Cache::new(1 << 20, 512);
    (0..4000).for_each(|page| drop(clean(&cache, page, 1, 512)));
    for bytes in [10_000, 200_000, 0, 500_000] {
        cache.set_aside(bytes);
        assert!(cache.used_bytes() <= cache.budget(), "{} with {bytes}", cache.used_bytes());
        (0..1000).for_each(|page| drop(clean(&cache, page, 1, 512)));
    }
}
