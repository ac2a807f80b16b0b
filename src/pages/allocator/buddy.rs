use super::bit_tree::BitTree;
use crate::format::PageNumber;
use crate::pages::page_set::{PageSet, masks, runs};
use alloc::vec::Vec;
use core::iter;

/// Why pages could not be freed or cut off. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpaceError {
    /// A page of the range lies beyond the end.
    BeyondEnd,
    /// A page of the range is never free.
    Reserved,
    /// This page is free already.
    AlreadyFree(PageNumber),
    /// This page is in use.
    InUse(PageNumber),
}

/// The free pages among `0..len`, as a buddy system.
///
/// - A free page is in exactly one free block; a block of order `k` is `2^k` pages at a multiple of `2^k`.
/// - Two free buddies are always merged, so the largest aligned free block is one block.
/// - The first `reserved` pages are never free.
///
/// Bit `i` of `orders[k]` is set when block `i` of order `k` is free, and `orders[k]` has a bit for each block that
/// ends within `len`: two bits per page over all orders.
#[derive(Clone, Debug)]
pub(crate) struct Buddy {
    reserved: u32,
    len: u32,
    orders: Vec<BitTree>,
}

#[derive(Clone, Copy)]
struct Block {
    order: usize,
    index: u32,
}

impl Block {
    fn start(self) -> PageNumber {
        self.index << self.order
    }

    fn pages(self) -> u32 {
        1 << self.order
    }

    fn end(self) -> PageNumber {
        self.start() + self.pages()
    }
}

impl Buddy {
    /// All pages after the reserved ones are free.
    pub(crate) fn new(reserved: u32, len: u32) -> Self {
        let mut buddy = Self::full(reserved, len);
        buddy.place(reserved, len);
        buddy
    }

    /// All pages are allocated.
    pub(crate) fn full(reserved: u32, len: u32) -> Self {
        let mut buddy = Self { reserved, len: 0, orders: Vec::new() };
        buddy.resize(len);
        buddy
    }

    /// Reads what [`to_bitmap`](Self::to_bitmap) wrote; `None` if it can't have written this.
    pub(crate) fn from_bitmap(reserved: u32, len: u32, bitmap: &[u8]) -> Option<Self> {
        let words: Vec<u64> = bitmap.chunks(8).map(word_of).collect();
        let whole = bitmap.len() == len.div_ceil(8) as usize;
        let spare_is_clear = masks(0, len).zip(&words).all(|((_, pages), word)| word & !pages == 0);
        let reserved_is_set = masks(0, reserved).zip(&words).all(|((_, pages), word)| word & pages == pages);
        if reserved > len || !whole || !spare_is_clear || !reserved_is_set {
            return None;
        }
        let mut buddy = Self::full(reserved, len);
        let free = masks(0, len).zip(&words).map(|((at, pages), word)| (at, pages & !word));
        for (start, pages) in runs(free) {
            buddy.place(start, start + pages);
        }
        Some(buddy)
    }

    /// A bit per page, from the lowest bit of the first byte on, set for allocated pages; spare bits are clear.
    pub(crate) fn to_bitmap(&self) -> Vec<u8> {
        let mut words: Vec<u64> = masks(0, self.len).map(|(_, pages)| pages).collect();
        for (start, end) in self.free_blocks() {
            for (at, pages) in masks(start, end) {
                if let Some(word) = words.get_mut(at as usize) {
                    *word &= !pages;
                }
            }
        }
        words.into_iter().flat_map(u64::to_le_bytes).take(self.len.div_ceil(8) as usize).collect()
    }

    /// The allocated pages, without the reserved ones.
    pub(crate) fn allocated_set(&self) -> PageSet {
        let mut set = PageSet::new();
        set.insert_range(self.reserved, self.len.saturating_sub(self.reserved));
        for (start, end) in self.free_blocks() {
            set.remove_range(start, end - start);
        }
        set
    }

    /// `start..end` of each free block.
    pub(super) fn free_blocks(&self) -> impl Iterator<Item = (PageNumber, PageNumber)> {
        let orders = self.orders.iter().enumerate();
        let blocks = orders.flat_map(|(order, bits)| bits.iter().map(move |index| Block { order, index }));
        blocks.map(|block| (block.start(), block.end()))
    }

    /// Takes the lowest run of pages that begins a free block.
    ///
    /// `None` for no pages and when no free block is large enough.
    pub(crate) fn alloc(&mut self, pages: u32) -> Option<PageNumber> {
        let block = self.lowest_block(pages)?;
        Some(self.carve(block, pages))
    }

    /// What [`alloc`](Self::alloc) would take.
    pub(super) fn lowest(&self, pages: u32) -> Option<PageNumber> {
        self.lowest_block(pages).map(Block::start)
    }

    /// The lowest of the free blocks that hold so many pages.
    fn lowest_block(&self, pages: u32) -> Option<Block> {
        let smallest = pages.checked_next_power_of_two().filter(|_| pages != 0)?.trailing_zeros() as usize;
        let mut lowest = (PageNumber::MAX, 0);
        for (order, bits) in self.orders.iter().enumerate().skip(smallest) {
            // Comparing without a branch: which order wins changes from call to call.
            let start = bits.first().map_or(PageNumber::MAX, |index| index << order);
            lowest = if start < lowest.0 { (start, order) } else { lowest };
        }
        let (start, order) = lowest;
        (start != PageNumber::MAX).then_some(Block { order, index: start >> order })
    }

    /// Takes the first pages of a free block.
    fn carve(&mut self, block: Block, pages: u32) -> PageNumber {
        self.withdraw(block);
        // No block of the tail has a free buddy: it lies in the tail, in another block of it, or holds the first page.
        self.place(block.start() + pages, block.end());
        block.start()
    }

    /// Takes exactly these pages, if all of them are free.
    pub(crate) fn allocate_range(&mut self, start: PageNumber, pages: u32) -> bool {
        let Some(end) = self.end_of(start, pages) else { return false };
        if !self.is_free(start, end) {
            return false;
        }
        let mut at = start;
        while at < end
            && let Some(block) = self.free_block_at(at)
        {
            self.withdraw(block);
            self.place(block.start(), at);
            self.place(end, block.end());
            at = block.end();
        }
        true
    }

    /// Gives pages back, all of which must be allocated and not reserved.
    pub(crate) fn free(&mut self, start: PageNumber, pages: u32) -> Result<(), SpaceError> {
        let end = self.end_of(start, pages).ok_or(SpaceError::BeyondEnd)?;
        if pages == 0 {
            return Ok(());
        }
        if start < self.reserved {
            return Err(SpaceError::Reserved);
        }
        if let Some(page) = self.any_free(start, end - 1) {
            return Err(SpaceError::AlreadyFree(page));
        }
        self.merge_in(start, end);
        Ok(())
    }

    /// Adds pages at the end, free.
    pub(crate) fn grow(&mut self, new_len: u32) {
        let old_len = self.len;
        if new_len > old_len {
            self.resize(new_len);
            self.merge_in(old_len.max(self.reserved), new_len);
        }
    }

    /// Cuts pages off the end, all of which must be free.
    pub(crate) fn shrink(&mut self, new_len: u32) -> Result<(), SpaceError> {
        let cut = self.len.checked_sub(new_len).ok_or(SpaceError::BeyondEnd)?;
        if new_len < self.reserved {
            return Err(SpaceError::Reserved);
        }
        if !self.allocate_range(new_len, cut) {
            return Err(self.last_allocated(|_| false).map_or(SpaceError::Reserved, SpaceError::InUse));
        }
        self.resize(new_len);
        Ok(())
    }

    /// Sets the length; of pages that are cut off none may be free any more.
    fn resize(&mut self, len: u32) {
        let orders = u32::BITS - len.leading_zeros();
        self.orders.resize_with(orders as usize, BitTree::default);
        for (order, bits) in self.orders.iter_mut().enumerate() {
            bits.resize(len >> order);
        }
        self.len = len;
    }

    /// The highest allocated page that is not ignored.
    pub(super) fn last_allocated(&self, ignored: impl Fn(PageNumber) -> bool) -> Option<PageNumber> {
        let mut end = self.len;
        loop {
            let page = end.checked_sub(1)?;
            end = match self.free_block_at(page) {
                Some(block) => block.start(),
                None if ignored(page) => page,
                None => return Some(page),
            }
        }
    }

    /// Pages beyond the end are not allocated.
    pub(crate) fn is_allocated(&self, page: PageNumber) -> bool {
        page < self.len && self.any_free(page, page).is_none()
    }

    /// All pages, free or not.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// How many of the first pages are never free.
    pub(super) fn reserved(&self) -> u32 {
        self.reserved
    }

    fn end_of(&self, start: PageNumber, pages: u32) -> Option<PageNumber> {
        start.checked_add(pages).filter(|end| *end <= self.len)
    }

    /// A free page of `first..=last`, if there is one.
    fn any_free(&self, first: PageNumber, last: PageNumber) -> Option<PageNumber> {
        let mut orders = self.orders.iter().enumerate();
        orders.find_map(|(order, bits)| {
            let index = bits.first_in(first >> order, last >> order)?;
            Some(first.max(index << order))
        })
    }

    /// Whether all pages of `start..end` are free.
    fn is_free(&self, start: PageNumber, end: PageNumber) -> bool {
        let mut at = start;
        while at < end {
            let Some(block) = self.free_block_at(at) else { return false };
            at = block.end();
        }
        true
    }

    fn free_block_at(&self, page: PageNumber) -> Option<Block> {
        let order = (0..).zip(&self.orders).find_map(|(order, bits)| bits.get(page >> order).then_some(order))?;
        Some(Block { order, index: page >> order })
    }

    /// Makes allocated pages free whose blocks have no free buddies outside of the range.
    fn place(&mut self, start: PageNumber, end: PageNumber) {
        for block in blocks(start, end) {
            if let Some(bits) = self.orders.get_mut(block.order) {
                bits.set(block.index);
            }
        }
    }

    /// Makes allocated pages free.
    fn merge_in(&mut self, start: PageNumber, end: PageNumber) {
        for mut block in blocks(start, end) {
            while let Some(bits) = self.orders.get_mut(block.order) {
                if !bits.take(block.index ^ 1) {
                    bits.set(block.index);
                    break;
                }
                block = Block { order: block.order + 1, index: block.index / 2 };
            }
        }
    }

    /// Makes the pages of a free block allocated.
    fn withdraw(&mut self, block: Block) {
        if let Some(bits) = self.orders.get_mut(block.order) {
            bits.take(block.index);
        }
    }
}

/// The largest aligned blocks that `start..end` consists of, ascending.
fn blocks(start: PageNumber, end: PageNumber) -> impl Iterator<Item = Block> {
    let mut at = start;
    iter::from_fn(move || {
        let room = end.checked_sub(at).filter(|room| *room != 0)?;
        let order = room.ilog2().min(at.trailing_zeros());
        let block = Block { order: order as usize, index: at >> order };
        at = block.end();
        Some(block)
    })
}

/// Up to eight bytes, the lowest first.
fn word_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
