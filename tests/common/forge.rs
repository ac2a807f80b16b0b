//! Files that somebody made: any change to a small database, with its checksums put right.

use super::image::Image;
#[cfg(feature = "lz4")]
use sapwood::Compression;
use sapwood::{Builder, MultimapTableDefinition, TableDefinition};
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_128;

pub const NUMBERS: TableDefinition<u64, &[u8]> = TableDefinition::new("numbers");
pub const TEXTS: TableDefinition<&str, &str> = TableDefinition::new("texts");
/// Values that are compressed, in leaves and in runs, if there is a codec.
pub const PACKED: TableDefinition<u64, &[u8]> = {
    let packed = TableDefinition::new("packed");
    #[cfg(feature = "lz4")]
    let packed = packed.with_compression(Compression::Lz4);
    packed
};
pub const TAGS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("tags");
pub const NAMES: MultimapTableDefinition<&str, &str> = MultimapTableDefinition::new("names");
pub const PAGE: usize = 512;
pub const SLOTS: [usize; 2] = [PAGE, 2 * PAGE];
pub const SLOT_SIZE: usize = 208;
pub const POINTER: usize = 40;
/// Bytes of a child in a branch: page number and link.
pub const CHILD: usize = 34;
/// Where a tree page's arrays start.
pub const ARRAYS: usize = 20;
pub const VERSION: u32 = 7;
/// Places of the data root and the system root in a slot.
pub const ROOTS: [usize; 2] = [40, 80];

pub fn u16_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 2).map_or(0, |word| u16::from_le_bytes(word.try_into().unwrap()).into())
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - 16;
    let checksum = xxh3_128(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&checksum);
}

/// Where a pointer stands: whole, or in the arrays of a branch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    Whole(usize),
    Child { number: usize, link: usize },
}

impl At {
    /// Where the page number stands, in four bytes.
    pub fn number(self) -> usize {
        match self {
            Self::Whole(at) | Self::Child { number: at, .. } => at,
        }
    }

    /// Where the flags stand, in one byte.
    pub fn flags(self) -> usize {
        match self {
            Self::Whole(at) => at + 5,
            Self::Child { link, .. } => link + 7,
        }
    }

    /// Where the birth stands, and in how many bytes.
    pub fn birth(self) -> (usize, usize) {
        match self {
            Self::Whole(at) => (at + 8, 8),
            Self::Child { link, .. } => (link, 7),
        }
    }

    pub fn checksum(self) -> usize {
        match self {
            Self::Whole(at) => at + 16,
            Self::Child { link, .. } => link + 8,
        }
    }

    /// Where the size stands, and in how many bytes.
    pub fn size(self) -> (usize, usize) {
        match self {
            Self::Whole(at) => (at + 32, 8),
            Self::Child { link, .. } => (link + 24, 6),
        }
    }
}

/// A file under change. All places are offsets in the file.
#[derive(Clone)]
pub struct Forge {
    pub bytes: Vec<u8>,
}

impl Forge {
    /// A closed file of two tables, with trees of three levels, runs and long keys, of one of compressed values, of two
    /// multimaps, whose sets are in leaves and in trees, and of a savepoint of each step before the last.
    pub fn new() -> Self {
        Self::build(true)
    }

    /// The same, but for savepoints.
    pub fn without_savepoints() -> Self {
        Self::build(false)
    }

    fn build(savepoints: bool) -> Self {
        let image = Image::default();
        let db = builder().create_with_backend(image.clone()).unwrap();
        for step in 0..3 {
            let txn = db.begin_write().unwrap();
            if savepoints {
                txn.persistent_savepoint().unwrap();
            }
            {
                let mut numbers = txn.open_table(NUMBERS).unwrap();
                for key in 0..150 {
                    numbers.insert(key * 3 + step, &[key as u8; 17][..]).unwrap();
                }
                let mut texts = txn.open_table(TEXTS).unwrap();
                for at in 0..6 {
                    let key = format!("{at}{step}{}", "k".repeat(if at % 2 == 0 { 300 } else { 10 }));
                    texts.insert(&*key, &*"v".repeat(if at % 3 == 0 { 900 } else { 20 })).unwrap();
                }
            }
            txn.commit().unwrap();
        }
        let txn = db.begin_write().unwrap();
        {
            let mut packed = txn.open_table(PACKED).unwrap();
            for key in 0..10 {
                let noise =
                    (0..if key % 2 == 0 { 600 } else { 0 }).map(|at: u32| (at * at * 37) as u8 ^ (at >> 3) as u8);
                let value: Vec<u8> = noise.chain([key as u8; 1_200]).collect();
                packed.insert(key, &*value).unwrap();
            }
            let mut tags = txn.open_multimap_table(TAGS).unwrap();
            let mut names = txn.open_multimap_table(NAMES).unwrap();
            for key in 0..8 {
                for value in 0..if key == 3 { 60 } else { 1 + key } {
                    tags.insert(key, value).unwrap();
                    names.insert(&*format!("{key}"), &*format!("{value:03}")).unwrap();
                }
                names.insert("long", &*format!("{key}{}", "n".repeat(200))).unwrap();
            }
        }
        txn.commit().unwrap();
        drop(db);
        Self { bytes: image.bytes() }
    }

    pub fn page_size(&self) -> usize {
        1 << self.bytes[12].min(16)
    }

    /// Where the page or run of the pointer at `at` starts, if it is inside.
    pub fn target(&self, at: At) -> Option<usize> {
        let start = u32_at(&self.bytes, at.number()) as usize * PAGE;
        (start >= 3 * PAGE && start + PAGE <= self.bytes.len()).then_some(start)
    }

    pub fn is_run(&self, at: At) -> bool {
        self.bytes[at.flags()] & 1 != 0
    }

    /// The number of `width` bytes at `at`.
    pub fn number_at(&self, (at, width): (usize, usize)) -> u64 {
        (0..width).rev().fold(0, |number, nth| number << 8 | u64::from(self.bytes[at + nth]))
    }

    /// As much of the number as there is room for.
    pub fn put_number(&mut self, (at, width): (usize, usize), number: u64) {
        self.put(at, &le(number)[..width]);
    }

    /// Makes one pointer name what another does.
    pub fn copy_pointer(&mut self, from: At, to: At) {
        self.bytes.copy_within(from.number()..from.number() + 4, to.number());
        self.bytes[to.flags()] = self.bytes[from.flags()];
        self.put_number(to.birth(), self.number_at(from.birth()));
        self.bytes.copy_within(from.checksum()..from.checksum() + 16, to.checksum());
        self.put_number(to.size(), self.number_at(from.size()));
    }

    /// Child `nth` of the branch at `page`.
    pub fn child(&self, page: usize, nth: usize) -> At {
        let count = u16_at(&self.bytes, page + 2);
        let arrays = page + ARRAYS + 8 * count;
        At::Child { number: arrays + 4 * nth, link: arrays + 4 * count + 30 * nth }
    }

    /// The places of all sets in the page at `page`, and how many bytes each has.
    pub fn sets_in(&self, page: usize) -> Vec<(usize, usize)> {
        let bytes = &self.bytes[page..page + PAGE];
        let (kind, flags, count) = (bytes[0], bytes[1], u16_at(bytes, 2));
        let mut found = Vec::new();
        for at in 0..if kind == 1 && flags & 16 != 0 { count } else { 0 } {
            let slot = ARRAYS + count * 8 + at * slot_width(flags);
            let fixed = flags & 1 != 0;
            let key_length = if fixed { u16_at(bytes, 10) } else { u16_at(bytes, slot + 2) };
            let length = u16_at(bytes, slot + if fixed { 2 } else { 4 });
            if length < 0xFFFB {
                found.push((page + u16_at(bytes, slot) + key_length, length));
            }
        }
        found
    }

    /// The places of all pointers in the page at `page`.
    pub fn pointers_in(&self, page: usize) -> Vec<At> {
        let bytes = &self.bytes[page..page + PAGE];
        let (branch, flags, count) = (bytes[0] == 2, bytes[1], u16_at(bytes, 2));
        let child_width = if branch { CHILD } else { 0 };
        let mut found: Vec<At> = (0..if branch { count } else { 0 }).map(|nth| self.child(page, nth)).collect();
        let slot_width = slot_width(flags);
        for at in 0..if flags & 8 != 0 { count } else { 0 } {
            let slot = ARRAYS + count * (child_width + 8) + at * slot_width;
            let offset = u16_at(bytes, slot);
            let mut code_at = slot + 2;
            let mut key_length = u16_at(bytes, 10);
            if flags & 1 == 0 {
                let code = u16_at(bytes, code_at);
                if code == 0xFFFF {
                    found.push(At::Whole(page + offset + 64));
                }
                key_length = if code == 0xFFFF { 64 + POINTER } else { code };
                code_at += 2;
            }
            if flags & 2 == 0 && u16_at(bytes, code_at) >= 0xFFFC {
                found.push(At::Whole(page + offset + key_length));
            }
        }
        found.retain(|at| at.number() + POINTER <= page + PAGE && at.checksum() + 24 <= page + PAGE);
        found
    }

    /// Every place of a pointer that can be reached, parents first, each once.
    pub fn pointers(&self) -> Vec<At> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut waiting: Vec<At> = ROOTS.iter().map(|root| At::Whole(SLOTS[0] + root)).collect();
        while let Some(at) = waiting.pop() {
            if !seen.insert(at) || found.len() > 5000 {
                continue;
            }
            let Some(page) = self.target(at) else { continue };
            found.push(at);
            if !self.is_run(at) {
                waiting.extend(self.pointers_in(page));
            }
        }
        found
    }

    pub fn is_data_pointer(&self, at: At) -> bool {
        u32_at(&self.bytes, at.number()) != 0
    }

    /// Makes all checksums right, from the leaves up; where pages name each other in a circle, as far as can be.
    /// Both slots name the commit that the first does, as in any closed file.
    pub fn fix(&mut self) {
        self.bytes.copy_within(SLOTS[0]..SLOTS[0] + SLOT_SIZE, SLOTS[1]);
        for slot in SLOTS {
            for root in ROOTS {
                let mut done = HashSet::new();
                self.fix_below(At::Whole(slot + root), &mut done, 0);
            }
            seal(&mut self.bytes[slot..slot + SLOT_SIZE]);
        }
        let mirror = self.bytes.len() - PAGE;
        let slots = self.bytes[SLOTS[0]..SLOTS[0] + SLOT_SIZE].to_vec();
        self.bytes[mirror + 80..mirror + 80 + SLOT_SIZE].copy_from_slice(&slots);
        let slots = self.bytes[SLOTS[1]..SLOTS[1] + SLOT_SIZE].to_vec();
        self.bytes[mirror + 288..mirror + 288 + SLOT_SIZE].copy_from_slice(&slots);
        seal(&mut self.bytes[mirror..mirror + PAGE]);
    }

    fn fix_below(&mut self, at: At, done: &mut HashSet<usize>, depth: usize) {
        let Some(start) = self.target(at) else { return };
        let end = if self.is_run(at) {
            start.saturating_add(self.number_at(at.size()) as usize)
        } else {
            if done.insert(start) && depth < 60 {
                for below in self.pointers_in(start) {
                    self.fix_below(below, done, depth + 1);
                }
            }
            start + PAGE
        };
        if let Some(target) = self.bytes.get(start..end) {
            let checksum = xxh3_128(target).to_le_bytes();
            self.put(at.checksum(), &checksum);
        }
    }

    pub fn put(&mut self, at: usize, value: &[u8]) {
        self.bytes[at..at + value.len()].copy_from_slice(value);
    }

    /// The same change in both slots.
    pub fn put_in_slots(&mut self, at: usize, value: &[u8]) {
        for slot in SLOTS {
            self.put(slot + at, value);
        }
    }

    /// The pointers for which `wanted` holds, which are given their place and that of their target.
    pub fn find(&self, wanted: impl Fn(&Self, At, usize) -> bool) -> Vec<At> {
        let mut found = self.pointers();
        found.retain(|at| self.target(*at).is_some_and(|target| wanted(self, *at, target)));
        found
    }
}

/// Bytes of a slot in a page with these flags.
fn slot_width(flags: u8) -> usize {
    6 - 2 * usize::from(flags & 1) - usize::from(flags & 2)
}

pub fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_page_size(PAGE).set_block_size(PAGE).set_cache_size(1 << 20);
    builder
}

/// Little-endian bytes.
pub fn le(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}
