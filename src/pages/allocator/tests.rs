use super::bit_tree::BitTree;
use super::buddy::{Buddy, SpaceError};
use super::free_map::{FreeMap, Heat};
use crate::pages::test_rng::Rng;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// Which pages are allocated.
struct Model {
    reserved: u32,
    used: Vec<bool>,
}

impl Model {
    fn new(reserved: u32, len: u32) -> Self {
        Self { reserved, used: (0..len).map(|page| page < reserved).collect() }
    }

    fn is_free(&self, start: u32, pages: u32) -> bool {
        self.used.get(start as usize..(start + pages) as usize).is_some_and(|range| !range.contains(&true))
    }

    fn set(&mut self, start: u32, pages: u32, used: bool) {
        self.used[start as usize..(start + pages) as usize].fill(used);
    }

    /// `(start, length)` of all aligned blocks of an order from `smallest` on that are free.
    fn aligned_blocks(&self, smallest: u32) -> Vec<(u32, u32)> {
        let len = self.used.len() as u32;
        let orders = (smallest..32).take_while(|order| len >> order != 0);
        let starts = orders.flat_map(|order| (0..len >> order).map(move |index| (index << order, 1 << order)));
        starts.filter(|(start, pages)| self.is_free(*start, *pages)).collect()
    }

    fn check(&self, buddy: &Buddy) {
        assert_eq!(buddy.len(), self.used.len() as u32);
        let pages = 0..self.used.len() as u32 + 70;
        let expected = pages.clone().map(|page| self.used.get(page as usize) == Some(&true));
        assert!(expected.eq(pages.map(|page| buddy.is_allocated(page))));
        let last = self.used.iter().rposition(|used| *used).map(|page| page as u32);
        assert_eq!(buddy.last_allocated(|_| false), last);
        let before = last.and_then(|last| self.used[..last as usize].iter().rposition(|used| *used));
        assert_eq!(buddy.last_allocated(|page| Some(page) == last), before.map(|page| page as u32));
        self.check_copy(buddy);
    }

    /// What is written and read back is the same allocator.
    fn check_copy(&self, buddy: &Buddy) {
        let bitmap = buddy.to_bitmap();
        let mut expected = vec![0; self.used.len().div_ceil(8)];
        for page in (0..self.used.len()).filter(|page| self.used[*page]) {
            expected[page / 8] |= 1 << (page % 8);
        }
        assert_eq!(bitmap, expected);
        let read = Buddy::from_bitmap(self.reserved, buddy.len(), &bitmap).unwrap();
        assert_eq!((read.to_bitmap(), read.len()), (bitmap, buddy.len()));
        assert!(read.free_blocks().eq(buddy.free_blocks()));
    }
}

struct Walk {
    rng: Rng,
    buddy: Buddy,
    model: Model,
}

impl Walk {
    fn step(&mut self) {
        match self.rng.below(10) {
            0..4 => self.alloc(),
            4..7 => self.free(),
            7 => self.free_anything(),
            8 => self.take_range(),
            _ => self.change_length(),
        }
    }

    fn random_range(&mut self) -> (u32, u32) {
        let longest = [1, 4, 40][self.rng.below(3) as usize];
        (self.rng.below(self.buddy.len() + 3), self.rng.below(longest + 1))
    }

    fn alloc(&mut self) {
        let pages = self.random_range().1;
        let smallest = pages.next_power_of_two().trailing_zeros();
        let blocks = self.model.aligned_blocks(smallest).into_iter();
        let lowest = blocks.map(|(start, _)| start).min().filter(|_| pages != 0);
        let got = self.buddy.alloc(pages);
        assert_eq!(got, lowest);
        if let Some(start) = got {
            self.model.set(start, pages, true);
        }
    }

    /// Frees what is allocated around a page.
    fn free(&mut self) {
        let (start, longest) = self.random_range();
        let start = start.max(self.model.reserved);
        let pages = (start..).take(longest as usize).take_while(|page| self.buddy.is_allocated(*page)).count() as u32;
        if start <= self.buddy.len() {
            assert_eq!(self.buddy.free(start, pages), Ok(()));
            self.model.set(start, pages, false);
        }
    }

    fn free_anything(&mut self) {
        let (start, pages) = self.random_range();
        let result = self.buddy.free(start, pages);
        let free = (start..start + pages).find(|page| self.model.is_free(*page, 1));
        if start + pages > self.buddy.len() {
            assert_eq!(result, Err(SpaceError::BeyondEnd));
        } else if start < self.model.reserved && pages != 0 {
            assert_eq!(result, Err(SpaceError::Reserved));
        } else if free.is_some() {
            let Err(SpaceError::AlreadyFree(page)) = result else { panic!("{result:?}") };
            assert!((start..start + pages).contains(&page) && self.model.is_free(page, 1));
        } else {
            assert_eq!(result, Ok(()));
            self.model.set(start, pages, false);
        }
    }

    fn take_range(&mut self) {
        let (start, pages) = self.random_range();
        let expected = self.model.is_free(start, pages);
        assert_eq!(self.buddy.allocate_range(start, pages), expected);
        if expected {
            self.model.set(start, pages, true);
        }
    }

    fn change_length(&mut self) {
        let len = self.buddy.len();
        if self.rng.one_in(2) {
            let longer = (len + self.rng.below(60)).min(700);
            self.buddy.grow(longer);
            self.model.used.resize(longer.max(len) as usize, false);
            return;
        }
        let shorter = len.saturating_sub(self.rng.below(60));
        let result = self.buddy.shrink(shorter);
        if shorter < self.model.reserved {
            assert_eq!(result, Err(SpaceError::Reserved));
        } else if self.model.is_free(shorter, len - shorter) {
            assert_eq!(result, Ok(()));
            self.model.used.truncate(shorter as usize);
        } else {
            assert_eq!(result, Err(SpaceError::InUse(self.buddy.last_allocated(|_| false).unwrap())));
        }
    }
}

#[test]
fn buddy_agrees_with_a_list_of_pages() {
    for (seed, reserved, len) in [(1, 0, 0), (2, 1, 1), (3, 1, 64), (4, 5, 300), (5, 70, 513), (6, 0, 600)] {
        let (buddy, model) = (Buddy::new(reserved, len), Model::new(reserved, len));
        let mut walk = Walk { rng: Rng(seed), buddy, model };
        for _ in 0..3000 {
            walk.step();
            walk.model.check(&walk.buddy);
        }
    }
}

#[test]
fn everything_freed_is_one_block_again() {
    let mut rng = Rng(3);
    let mut buddy = Buddy::new(0, 1 << 14);
    let mut runs = Vec::new();
    for longest in (1..10).rev() {
        let lengths = core::iter::repeat_with(|| 1 + rng.below(longest));
        runs.extend(lengths.map_while(|pages| Some((buddy.alloc(pages)?, pages))));
    }
    assert_eq!(buddy.free_blocks().count(), 0);
    while !runs.is_empty() {
        let (start, pages) = runs.swap_remove(rng.below(runs.len() as u32) as usize);
        assert_eq!(buddy.free(start, pages), Ok(()));
    }
    assert_eq!(buddy.alloc(1 << 14), Some(0));
    assert_eq!(buddy.alloc(1), None);
}

#[test]
fn bitmaps_that_cannot_be_are_refused() {
    let mut buddy = Buddy::new(2, 21);
    assert_eq!(buddy.alloc(1), Some(2));
    let good = buddy.to_bitmap();
    assert_eq!(good, [7, 0, 0]);
    for (reserved, len, bytes) in [(2, 21, [7, 0, 32]), (2, 21, [6, 0, 0]), (4, 21, [7, 0, 0]), (2, 25, [7, 0, 0])] {
        assert!(Buddy::from_bitmap(reserved, len, &bytes).is_none(), "{reserved} {len} {bytes:?}");
    }
    assert!(Buddy::from_bitmap(22, 21, &[0xFF, 0xFF, 0x1F]).is_none());
    assert!(Buddy::from_bitmap(2, 21, &[7, 0]).is_none());
}

#[test]
fn bit_tree_agrees_with_a_set() {
    let mut rng = Rng(5);
    let (mut tree, mut model, mut bits) = (BitTree::default(), BTreeSet::new(), 0);
    for _ in 0..20_000 {
        if rng.one_in(300) {
            let longest = [3, 70, 5_000, 300_000][rng.below(4) as usize];
            bits = rng.below(longest);
            let cut: Vec<u32> = model.range(bits..).copied().collect();
            assert!(cut.into_iter().all(|bit| model.remove(&bit) && tree.take(bit)));
            tree.resize(bits);
        }
        let bit = rng.below(bits + 1);
        if bit < bits && rng.one_in(2) {
            tree.set(bit);
            model.insert(bit);
        } else {
            assert_eq!(tree.take(bit), model.remove(&bit));
        }
        let (from, to) = (rng.below(bits + 2), rng.below(bits + 2));
        assert_eq!(tree.first_in(from, from.max(to)), model.range(from..=from.max(to)).next().copied());
        assert_eq!(tree.first(), model.first().copied());
        assert_eq!(tree.get(bit), model.contains(&bit));
        assert!(!rng.one_in(50) || tree.iter().eq(model.iter().copied()));
    }
}

/// A free map beside a list of pages and a plain buddy system with the same pages.
struct HotWalk {
    rng: Rng,
    map: FreeMap,
    model: Model,
    /// How often a page was taken that lowest first would not have taken.
    preferred: u32,
}

impl HotWalk {
    fn new(seed: u64, reserved: u32, len: u32) -> Self {
        Self {
            rng: Rng(seed),
            map: FreeMap::new(Buddy::new(reserved, len)),
            model: Model::new(reserved, len),
            preferred: 0,
        }
    }

    /// A plain buddy system would have had the pages exactly if the map has them.
    fn alloc(&mut self, pages: u32, heat: Heat) -> Option<u32> {
        let plain = self.map.to_buddy().alloc(pages);
        let got = self.map.alloc(pages, heat);
        assert_eq!(got.is_some(), plain.is_some(), "{pages} {heat:?}");
        self.preferred += u32::from(got != plain);
        if let Some(start) = got {
            assert!(self.model.is_free(start, pages), "{start}+{pages} is given out twice");
            self.model.set(start, pages, true);
        }
        got
    }

    fn free(&mut self, start: u32, pages: u32) {
        assert_eq!(self.map.free(start, pages), Ok(()));
        self.model.set(start, pages, false);
    }

    /// Frees what is allocated from a random page on, or learns that it is free already.
    fn free_some(&mut self) {
        let start = self.model.reserved + self.rng.below(self.map.len() - self.model.reserved);
        let longest = [1, 5, 70][self.rng.below(3) as usize];
        let used = self.model.used[start as usize..].iter().take(longest).take_while(|used| **used).count();
        if used == 0 {
            assert_eq!(self.map.free(start, 1), Err(SpaceError::AlreadyFree(start)));
        } else {
            self.free(start, used as u32);
        }
    }

    fn take_range(&mut self) {
        let (start, pages) = (self.rng.below(self.map.len()), self.rng.below(4));
        let expected = self.model.is_free(start, pages);
        assert_eq!(self.map.allocate_range(start, pages), expected);
        if expected {
            self.model.set(start, pages, true);
        }
    }

    fn change_length(&mut self) {
        if self.rng.one_in(2) {
            let longer = (self.map.len() + self.rng.below(300)).min(4000);
            self.map.grow(longer);
            self.model.used.resize((longer.max(self.map.len())) as usize, false);
            return;
        }
        let end = self.map.last_allocated(None).map_or(self.model.reserved, |last| last + 1);
        assert_eq!(self.map.shrink(end.max(600)), Ok(()));
        self.model.used.truncate(end.max(600) as usize);
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0 => self.map = FreeMap::new(self.map.to_buddy()),
            1..50 => {
                let heat = [Heat::Hot, Heat::Warm, Heat::Cold][self.rng.below(3) as usize];
                for _ in 0..self.rng.below(30) {
                    self.alloc(1, heat);
                }
            }
            50..54 => {
                let pages = self.rng.below(90);
                self.alloc(pages, Heat::Cold);
            }
            54..97 => self.free_some(),
            97 => self.take_range(),
            _ => self.change_length(),
        }
    }
}

#[test]
fn free_map_agrees_with_a_list_of_pages() {
    for (seed, reserved, len) in [(1, 3, 600), (2, 0, 1024), (3, 70, 2500), (4, 1, 3999)] {
        let mut walk = HotWalk::new(seed, reserved, len);
        for step in 0..3000 {
            // Now and then the file is full.
            let heat = if step % 1000 == 300 { Heat::Hot } else { Heat::Cold };
            while step % 500 == 300 && walk.alloc(1, heat).is_some() {}
            walk.step();
            if step % 10 == 0 {
                walk.model.check(&walk.map.to_buddy());
                let last = walk.model.used.iter().rposition(|used| *used).map(|page| page as u32);
                assert_eq!(walk.map.last_allocated(None), last);
            }
        }
        assert!(walk.preferred > 1000, "{}", walk.preferred);
    }
}

/// Commits that replace hot pages and cold ones; hot pages live for few of them.
#[test]
fn hot_pages_lie_together() {
    let mut walk = HotWalk::new(9, 3, 4000);
    let mut live: Vec<(Heat, u32)> = Vec::new();
    for page in 0..3000 {
        let heat = if page % 30 == 0 { Heat::Hot } else { Heat::Cold };
        live.push((heat, walk.map.alloc(1, heat).unwrap()));
    }
    let (mut kept, mut pages, mut runs) = (Vec::new(), 0, 0);
    for commit in 0..100 {
        let (mut unlinked, mut written) = (Vec::new(), BTreeSet::new());
        for _ in 0..70 {
            for place in [walk.rng.below(100) * 30, walk.rng.below(3000)] {
                let (heat, page) = &mut live[place as usize];
                unlinked.push(*page);
                *page = walk.map.alloc(1, *heat).unwrap();
                if *heat == Heat::Hot {
                    written.insert(*page);
                }
            }
        }
        for page in core::mem::replace(&mut kept, unlinked) {
            assert_eq!(walk.map.free(page, 1), Ok(()));
        }
        if commit >= 50 {
            pages += written.len();
            runs += written.iter().filter(|page| **page == 0 || !written.contains(&(**page - 1))).count();
        }
    }
    assert!(runs < pages / 2, "{runs} runs of {pages} pages");
}

/// Pages enough to let two groups be hot are in use at the start.
fn half_full() -> FreeMap {
    let mut map = FreeMap::new(Buddy::new(0, 2048));
    assert_eq!(map.alloc(1024, Heat::Cold), Some(0));
    map
}

#[test]
fn free_pages_of_hot_groups_are_given_out_before_the_file_grows() {
    let mut map = half_full();
    assert_eq!((map.alloc(1, Heat::Hot), map.alloc(1, Heat::Cold)), (Some(1024), Some(1088)));
    for _ in 1026..2048 {
        assert!(map.alloc(1, Heat::Cold).is_some());
    }
    assert_eq!((map.alloc(1, Heat::Cold), map.alloc(1, Heat::Hot)), (None, None));
    assert_eq!(map.free(1024, 8), Ok(()));
    assert_eq!(map.alloc(8, Heat::Cold), Some(1024));
}

#[test]
fn a_group_that_is_free_is_hot_no_more() {
    let mut map = half_full();
    let hot: Vec<_> = (0..64).map(|_| map.alloc(1, Heat::Hot).unwrap()).collect();
    assert_eq!(hot, (1024..1088).collect::<Vec<_>>());
    assert_eq!(map.alloc(1, Heat::Cold), Some(1088));
    assert_eq!(map.free(0, 1089), Ok(()));
    assert_eq!(map.alloc(2048, Heat::Cold), Some(0));
}

#[test]
fn groups_are_known_again_by_what_is_free_in_them() {
    let mut buddy = Buddy::new(0, 2108);
    let used = [(0, 1024), (1024, 48), (1088, 49), (2048, 1), (2064, 1)];
    assert!(used.into_iter().all(|(at, pages)| buddy.allocate_range(at, pages)));
    let bitmap = buddy.to_bitmap();
    let mut map = FreeMap::new(buddy);
    assert_eq!(map.to_buddy().to_bitmap(), bitmap);
    assert_eq!((map.alloc(1, Heat::Cold), map.alloc(1, Heat::Hot)), (Some(1137), Some(1152)));
    // Only an eighth of what is in use.
    let mut buddy = Buddy::new(0, 1024);
    assert!((0..16).all(|group| buddy.allocate_range(group * 64, 40)));
    let mut map = FreeMap::new(buddy);
    assert_eq!((map.alloc(1, Heat::Cold), map.alloc(1, Heat::Hot)), (Some(104), Some(40)));
}

#[test]
fn hot_pages_move_down_when_there_is_room() {
    let mut map = FreeMap::new(Buddy::new(0, 8192));
    assert_eq!((map.alloc(2048, Heat::Cold), map.alloc(4096, Heat::Cold)), (Some(0), Some(4096)));
    let mut hot: Vec<_> = (0..100).map(|_| map.alloc(1, Heat::Hot).unwrap()).collect();
    assert!(hot.iter().all(|page| *page >= 2048));
    assert_eq!(map.free(0, 2048), Ok(()));
    for _ in 0..2 {
        for page in &mut hot {
            let old = core::mem::replace(page, map.alloc(1, Heat::Hot).unwrap());
            assert_eq!(map.free(old, 1), Ok(()));
        }
    }
    assert!(hot.iter().all(|page| *page < 2048), "{hot:?}");
}

#[test]
fn warm_pages_lie_beside_each_other_and_not_in_single_holes() {
    let mut map = FreeMap::new(Buddy::new(0, 64));
    assert_eq!(map.alloc(40, Heat::Cold), Some(0));
    // Holes of one, of two and of four pages.
    assert!([(3, 1), (8, 2), (12, 4)].into_iter().all(|(start, pages)| map.free(start, pages).is_ok()));
    let mut warm = |count| (0..count).map(|_| map.alloc(1, Heat::Warm).unwrap()).collect::<Vec<_>>();
    assert_eq!(warm(16), (48..64).collect::<Vec<_>>());
    assert_eq!(warm(8), (40..48).collect::<Vec<_>>());
    assert_eq!(warm(7), [12, 13, 14, 15, 8, 9, 3]);
    assert_eq!(map.alloc(1, Heat::Warm), None);
}

#[test]
fn warm_pages_stay_in_a_stretch_that_others_take_from() {
    let mut map = FreeMap::new(Buddy::new(0, 64));
    assert_eq!((map.alloc(1, Heat::Warm), map.alloc(1, Heat::Cold)), (Some(0), Some(1)));
    assert_eq!((map.alloc(1, Heat::Warm), map.free(0, 1)), (Some(2), Ok(())));
    assert_eq!((map.alloc(1, Heat::Warm), map.alloc(1, Heat::Cold)), (Some(3), Some(0)));
}

#[test]
fn little_in_use_is_without_groups() {
    let mut map = half_full();
    assert_eq!(map.alloc(1, Heat::Hot), Some(1024));
    assert_eq!(map.alloc(1, Heat::Cold), Some(1088));
    assert_eq!(map.free(0, 1024), Ok(()));
    assert_eq!((map.alloc(1, Heat::Hot), map.alloc(1, Heat::Cold)), (Some(0), Some(1)));
}
