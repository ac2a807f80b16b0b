//! Files whose checksums are right and whose contents are not: somebody made them. The answer is a typed error, or some
//! rows; never a panic, a hang, or memory without bound.

mod common;

use common::batch;
use common::image::Image;
use common::rng::Rng;
use sapwood::{
    Builder, Database, DatabaseError, Error, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend,
    TableDefinition,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_128;

const NUMBERS: TableDefinition<u64, &[u8]> = TableDefinition::new("numbers");
const TEXTS: TableDefinition<&str, &str> = TableDefinition::new("texts");
const PAGE: usize = 512;
const SLOTS: [usize; 2] = [PAGE, 2 * PAGE];
const SLOT_SIZE: usize = 208;
const POINTER: usize = 40;
/// Bytes of a child in a branch: page number and link.
const CHILD: usize = 34;
/// Where a tree page's arrays start.
const ARRAYS: usize = 20;
const VERSION: u32 = 2;
/// Places of the data root and the system root in a slot.
const ROOTS: [usize; 2] = [40, 80];
const MEMORY_LIMIT: usize = 64 << 20;
/// Most rows that are read from a table: a hostile tree may claim any number by naming a page often.
const ROW_LIMIT: usize = 3000;
const TIMEOUT: Duration = Duration::from_secs(240);

/// Counts the memory that is in use, and the most that ever was.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn u16_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 2).map_or(0, |word| u16::from_le_bytes(word.try_into().unwrap()).into())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - 16;
    let checksum = xxh3_128(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&checksum);
}

/// Where a pointer stands: whole, or in the arrays of a branch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Whole(usize),
    Child { number: usize, link: usize },
}

impl At {
    /// Where the page number stands, in four bytes.
    fn number(self) -> usize {
        match self {
            Self::Whole(at) | Self::Child { number: at, .. } => at,
        }
    }

    /// Where the flags stand, in one byte.
    fn flags(self) -> usize {
        match self {
            Self::Whole(at) => at + 5,
            Self::Child { link, .. } => link + 7,
        }
    }

    /// Where the birth stands, and in how many bytes.
    fn birth(self) -> (usize, usize) {
        match self {
            Self::Whole(at) => (at + 8, 8),
            Self::Child { link, .. } => (link, 7),
        }
    }

    fn checksum(self) -> usize {
        match self {
            Self::Whole(at) => at + 16,
            Self::Child { link, .. } => link + 8,
        }
    }

    /// Where the size stands, and in how many bytes.
    fn size(self) -> (usize, usize) {
        match self {
            Self::Whole(at) => (at + 32, 8),
            Self::Child { link, .. } => (link + 24, 6),
        }
    }
}

/// A file under change. All places are offsets in the file.
#[derive(Clone)]
struct Forge {
    bytes: Vec<u8>,
}

impl Forge {
    /// A closed file of both tables, with trees of three levels, runs and long keys.
    fn new() -> Self {
        let image = Image::default();
        let db = builder().create_with_backend(image.clone()).unwrap();
        for step in 0..3 {
            let txn = db.begin_write().unwrap();
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
        drop(db);
        Self { bytes: image.bytes() }
    }

    fn page_size(&self) -> usize {
        1 << self.bytes[12].min(16)
    }

    /// Where the page or run of the pointer at `at` starts, if it is inside.
    fn target(&self, at: At) -> Option<usize> {
        let start = u32_at(&self.bytes, at.number()) as usize * PAGE;
        (start >= 3 * PAGE && start + PAGE <= self.bytes.len()).then_some(start)
    }

    fn is_run(&self, at: At) -> bool {
        self.bytes[at.flags()] & 1 != 0
    }

    /// The number of `width` bytes at `at`.
    fn number_at(&self, (at, width): (usize, usize)) -> u64 {
        (0..width).rev().fold(0, |number, nth| number << 8 | u64::from(self.bytes[at + nth]))
    }

    /// As much of the number as there is room for.
    fn put_number(&mut self, (at, width): (usize, usize), number: u64) {
        self.put(at, &le(number)[..width]);
    }

    /// Makes one pointer name what another does.
    fn copy_pointer(&mut self, from: At, to: At) {
        self.bytes.copy_within(from.number()..from.number() + 4, to.number());
        self.bytes[to.flags()] = self.bytes[from.flags()];
        self.put_number(to.birth(), self.number_at(from.birth()));
        self.bytes.copy_within(from.checksum()..from.checksum() + 16, to.checksum());
        self.put_number(to.size(), self.number_at(from.size()));
    }

    /// Child `nth` of the branch at `page`.
    fn child(&self, page: usize, nth: usize) -> At {
        let count = u16_at(&self.bytes, page + 2);
        let arrays = page + ARRAYS + 8 * count;
        At::Child { number: arrays + 4 * nth, link: arrays + 4 * count + 30 * nth }
    }

    /// The places of all pointers in the page at `page`.
    fn pointers_in(&self, page: usize) -> Vec<At> {
        let bytes = &self.bytes[page..page + PAGE];
        let (branch, flags, count) = (bytes[0] == 2, bytes[1], u16_at(bytes, 2));
        let child_width = if branch { CHILD } else { 0 };
        let mut found: Vec<At> = (0..if branch { count } else { 0 }).map(|nth| self.child(page, nth)).collect();
        let slot_width = 6 - 2 * usize::from(flags & 1) - usize::from(flags & 2);
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
            if flags & 2 == 0 && u16_at(bytes, code_at) >= 0xFFFD {
                found.push(At::Whole(page + offset + key_length));
            }
        }
        found.retain(|at| at.number() + POINTER <= page + PAGE && at.checksum() + 24 <= page + PAGE);
        found
    }

    /// Every place of a pointer that can be reached, parents first, each once.
    fn pointers(&self) -> Vec<At> {
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

    fn is_data_pointer(&self, at: At) -> bool {
        u32_at(&self.bytes, at.number()) != 0
    }

    /// Makes all checksums right, from the leaves up; where pages name each other in a circle, as far as can be.
    /// Both slots name the commit that the first does, as in any closed file.
    fn fix(&mut self) {
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

    fn put(&mut self, at: usize, value: &[u8]) {
        self.bytes[at..at + value.len()].copy_from_slice(value);
    }

    /// The same change in both slots.
    fn put_in_slots(&mut self, at: usize, value: &[u8]) {
        for slot in SLOTS {
            self.put(slot + at, value);
        }
    }

    /// The pointers for which `wanted` holds, which are given their place and that of their target.
    fn find(&self, wanted: impl Fn(&Self, At, usize) -> bool) -> Vec<At> {
        let mut found = self.pointers();
        found.retain(|at| self.target(*at).is_some_and(|target| wanted(self, *at, target)));
        found
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_page_size(PAGE).set_block_size(PAGE).set_cache_size(1 << 20);
    builder
}

/// Does everything that can be done with a file. Errors are fine.
fn exercise(bytes: Vec<u8>) -> Result<(), Error> {
    let db = builder().create_with_backend(Image::new(bytes))?;
    let reading = read(&db);
    let verified = db.verify();
    let written = write(&db);
    drop(db.verify());
    drop(read(&db));
    drop(db);
    reading?;
    verified?;
    written
}

fn read(db: &Database) -> Result<(), Error> {
    let txn = db.begin_read()?;
    // One table's damage must not keep the others from being tried.
    let numbers = txn.open_table(NUMBERS).map_err(Error::from).and_then(|table| {
        let _ = (table.len()?, table.first().map(drop), table.last().map(drop));
        for key in (0..450).step_by(7) {
            drop(table.get(key));
        }
        drop(table.range(5..100).map(|rows| rows.take(ROW_LIMIT).map(drop).count()));
        drop(table.iter().map(|rows| rows.rev().take(ROW_LIMIT).map(drop).count()));
        for row in table.iter()?.take(ROW_LIMIT) {
            let (key, value) = row?;
            std::hint::black_box((key.value(), value.value().len()));
        }
        Ok(())
    });
    let texts = txn.open_table(TEXTS).map_err(Error::from).and_then(|table| {
        let _ = (table.len()?, table.first().map(drop), table.last().map(drop));
        for at in 0..6 {
            drop(table.get(&*format!("{at}1{}", "k".repeat(if at % 2 == 0 { 300 } else { 10 }))));
        }
        drop(table.iter().map(|rows| rows.rev().take(ROW_LIMIT).map(drop).count()));
        for row in table.iter()?.take(ROW_LIMIT) {
            let (key, value) = row?;
            std::hint::black_box((key.value().len(), value.value().len()));
        }
        Ok(())
    });
    numbers.and(texts)
}

fn write(db: &Database) -> Result<(), Error> {
    let txn = db.begin_write()?;
    let changes = || -> Result<(), Error> {
        let mut numbers = txn.open_table(NUMBERS)?;
        for key in (0..460).step_by(5) {
            drop(numbers.insert(key, &[7; 40][..])?);
            drop(numbers.remove(key + 1)?);
        }
        drop(numbers.pop_first()?);
        drop(numbers.pop_last()?);
        Ok(())
    };
    let numbers = changes();
    let changes = || -> Result<(), Error> {
        let mut texts = txn.open_table(TEXTS)?;
        for at in 0..6 {
            let key = format!("{at}1{}", "k".repeat(if at % 2 == 0 { 300 } else { 10 }));
            drop(texts.insert(&*key, &*"w".repeat(1000))?);
            drop(texts.remove(&*key.replacen('1', "2", 1))?);
            drop(texts.insert(&*key.replacen('1', "5", 1), "new")?);
        }
        Ok(())
    };
    let texts = changes();
    let committed = txn.commit();
    numbers?;
    texts?;
    Ok(committed?)
}

/// Fixes the checksums and does everything; fails if memory or time got out of hand.
fn examine(mut forge: Forge) -> Result<Result<(), Error>, String> {
    forge.fix();
    let (before, start) = (USED.load(Ordering::Relaxed), Instant::now());
    PEAK.store(before, Ordering::Relaxed);
    let result = exercise(forge.bytes);
    if let Err(err) = &result {
        assert!(!err.to_string().is_empty());
    }
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    if peak > MEMORY_LIMIT {
        return Err(format!("took {peak} bytes of memory"));
    }
    if start.elapsed() > Duration::from_secs(10) {
        return Err(format!("took {:?}", start.elapsed()));
    }
    Ok(result)
}

fn le(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

/// Builds a tower of branches that each name the one below many times: few pages, and endless paths.
fn tower(forge: &mut Forge, levels: u8, birth: u64) {
    let base = forge.bytes.len() / PAGE;
    let mirror = forge.bytes.split_off(forge.bytes.len() - PAGE);
    let base = base - 1;
    let mut below: Option<Vec<u8>> = None;
    for level in 0..=levels {
        let mut page = vec![0u8; PAGE];
        // Values of the catalog vary in width: a leaf's slots have three words, a branch's two.
        let (kind, flags, count): (u8, u8, u16) = if level == 0 { (1, 4, 0) } else { (2, 2 | 4, 6) };
        page[0..6].copy_from_slice(&[kind, flags, count as u8, 0, 0, level]);
        page[6..8].copy_from_slice(&(PAGE as u16).to_le_bytes());
        if let Some(below) = &below {
            for at in 0..6 {
                let number = ARRAYS + 6 * 8 + at * 4;
                page[number..number + 4].copy_from_slice(&below[0..4]);
                let link = ARRAYS + 6 * (8 + 4) + at * 30;
                page[link..link + 7].copy_from_slice(&below[8..15]);
                page[link + 8..link + 24].copy_from_slice(&below[16..32]);
                let last = at == 5;
                let head = if last { u64::MAX } else { 0 };
                page[ARRAYS + at * 8..ARRAYS + at * 8 + 8].copy_from_slice(&le(head));
                let slots = ARRAYS + 6 * (8 + CHILD);
                page[slots + at * 4..slots + at * 4 + 2].copy_from_slice(&(PAGE as u16).to_le_bytes());
            }
        }
        let number = (base + usize::from(level)) as u32;
        let mut pointer = [0u8; POINTER];
        pointer[0..4].copy_from_slice(&number.to_le_bytes());
        pointer[4] = level;
        pointer[8..16].copy_from_slice(&le(birth));
        pointer[16..32].copy_from_slice(&xxh3_128(&page).to_le_bytes());
        forge.bytes.extend(page);
        below = Some(pointer.to_vec());
    }
    forge.put_in_slots(ROOTS[0], &below.unwrap());
    forge.bytes.extend(mirror);
    let pages = (forge.bytes.len() / PAGE) as u32;
    forge.put_in_slots(24, &pages.to_le_bytes());
    let mirror = forge.bytes.len() - PAGE;
    forge.put(mirror + 72, &(pages - 1).to_le_bytes());
    forge.put(mirror + 76, &pages.to_le_bytes());
}

/// All crafted files, each with a name and whether it must be refused by something.
fn crafted() -> Vec<(String, Forge, bool)> {
    let whole = Forge::new();
    let mut out: Vec<(String, Forge, bool)> = vec![("untouched".into(), whole.clone(), false)];
    let mut add = |name: String, refused: bool, change: &dyn Fn(&mut Forge)| {
        let mut forge = whole.clone();
        change(&mut forge);
        out.push((name, forge, refused));
    };
    let pages = (whole.bytes.len() / PAGE) as u32;
    let children = whole.find(|forge, at, _| !forge.is_run(at));
    let branches = whole.find(|forge, at, page| !forge.is_run(at) && forge.bytes[page] == 2);
    let runs = whole.find(|forge, at, _| forge.is_run(at));
    assert!(!branches.is_empty() && runs.len() > 6);
    for (nth, &at) in children.iter().enumerate().step_by(3) {
        for page in [0, 1, 2, pages - 1, pages, u32::MAX] {
            add(format!("child {nth} is page {page}"), true, &|forge| forge.put(at.number(), &page.to_le_bytes()));
        }
        let level_at = whole.target(at).unwrap() + 5;
        for level in [1, 2, 7, 40, 41, 254, 255] {
            let level = whole.bytes[level_at].wrapping_add(level);
            add(format!("child {nth} is of level {level}"), true, &|forge| forge.put(level_at, &[level]));
        }
        add(format!("child {nth} is a run"), true, &|forge| forge.put(at.flags(), &[1]));
        add(format!("child {nth} has unknown flags"), false, &|forge| forge.put(at.flags(), &[0xF0]));
        for birth in [u64::MAX, u64::MAX - 1, 1 << 33, u64_at(&whole.bytes, SLOTS[0] + 8) + 1] {
            add(format!("child {nth} is born {birth}"), true, &|forge| {
                forge.put_number(at.birth(), birth);
            });
        }
        for rows in [0, 1, u64::MAX, u64::MAX / 2] {
            add(format!("child {nth} has {rows} rows"), false, &|forge| forge.put_number(at.size(), rows));
        }
        add(format!("child {nth} has no checksum"), false, &|forge| forge.put(at.checksum(), &[0; 16]));
    }
    for (nth, &at) in branches.iter().enumerate() {
        let page = whole.target(at).unwrap();
        let own = u32_at(&whole.bytes, at.number());
        let (first, second) = (whole.child(page, 0), whole.child(page, 1));
        add(format!("branch {nth} names itself"), true, &|forge| forge.put(first.number(), &own.to_le_bytes()));
        add(format!("branch {nth} names itself, of its birth"), true, &|forge| forge.copy_pointer(at, first));
        add(format!("branch {nth} names a child twice"), true, &|forge| forge.copy_pointer(first, second));
    }
    for (nth, &at) in runs.iter().enumerate() {
        for length in [0, 1, PAGE as u64 - 1, 3 << 30, (3 << 30) + 1, 1 << 40, u64::MAX - 511, u64::MAX] {
            add(format!("run {nth} of {length} bytes"), false, &|forge| forge.put_number(at.size(), length));
        }
        add(format!("run {nth} is a page"), true, &|forge| forge.put(at.flags(), &[0]));
        add(format!("run {nth} has a level"), true, &|forge| forge.put(at.number() + 4, &[3]));
        let other = runs[(nth + 1) % runs.len()];
        add(format!("run {nth} is another run"), true, &|forge| forge.copy_pointer(other, at));
        let child = children[nth % children.len()];
        add(format!("run {nth} is a tree page"), true, &|forge| forge.copy_pointer(child, at));
    }
    // Only the pointers' flag tells that a leaf must be read to find all pages.
    add("no pointer says that runs are below".into(), true, &|forge| {
        for &at in &children {
            forge.bytes[at.flags()] &= !2;
        }
    });
    for (nth, &at) in children.iter().enumerate() {
        let page = whole.target(at).unwrap();
        for field in [0, 1, 2, 4, 5, 6, 8, 10, 12, 14, 16, 22] {
            for value in [0u16, 1, 2, 8, 15, 16, 100, 511, 512, 513, 0x7FFF, 0xFFFC, 0xFFFD, 0xFFFF] {
                let old = u16_at(&whole.bytes, page + field);
                if usize::from(value) != old && (nth + field + usize::from(value)) % 5 == 0 {
                    add(format!("page {nth}, field {field} is {value}"), false, &|forge| {
                        forge.put(page + field, &value.to_le_bytes());
                    });
                }
            }
        }
        let count = u16_at(&whole.bytes, page + 2);
        let arrays = ARRAYS + count * if whole.bytes[page] == 2 { CHILD + 8 } else { 8 };
        for word in 0..4 {
            for value in [0u16, 0xFFFC, 0xFFFE, 0xFFFF, 511] {
                add(format!("page {nth}, slot word {word} is {value}"), false, &|forge| {
                    let at = (page + arrays + 2 * word).min(page + PAGE - 2);
                    forge.put(at, &value.to_le_bytes());
                });
            }
        }
    }
    for file_pages in [0, 1, 3, 4, 10, pages - 1, pages + 1, pages * 2, 1 << 31, u32::MAX - 1, u32::MAX] {
        add(format!("{file_pages} pages"), false, &|forge| forge.put_in_slots(24, &file_pages.to_le_bytes()));
    }
    for id in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63] {
        add(format!("commit {id}"), false, &|forge| forge.put_in_slots(8, &le(id)));
        add(format!("largest id {id}"), false, &|forge| forge.put_in_slots(120, &le(id)));
        add(format!("verified above {id}, one-phase"), false, &|forge| {
            forge.put_in_slots(32, &le(id));
            forge.put_in_slots(4, &[0; 4]);
        });
    }
    for flags in [0u32, 1, 2, 3, 4, 7, u32::MAX] {
        add(format!("slot flags {flags}"), false, &|forge| forge.put_in_slots(4, &flags.to_le_bytes()));
    }
    add("the system root is the data root".into(), true, &|forge| {
        let root = forge.bytes[SLOTS[0] + ROOTS[0]..][..POINTER].to_vec();
        forge.put_in_slots(ROOTS[1], &root);
    });
    for (levels, flags) in [(39, 0u32), (39, 1), (39, 3), (40, 0), (40, 3)] {
        add(format!("a tower of {levels} levels, flags {flags}"), true, &|forge| {
            tower(forge, levels, 2);
            forge.put_in_slots(32, &[0; 8]);
            forge.put_in_slots(4, &flags.to_le_bytes());
        });
    }
    out
}

/// One of the changes that the fuzz makes.
fn mutate(forge: &mut Forge, rng: &mut Rng, pointers: &[At]) {
    let numbers: [u64; 14] = [0, 1, 2, 3, 7, 8, 40, 0x7F, 0xFF, 0x1FF, 0x200, 0xFFFD, u64::from(u32::MAX), u64::MAX];
    let number = *rng.pick(&numbers);
    let width = *rng.pick(&[1, 1, 2, 2, 4, 8]);
    let at = *rng.pick(pointers);
    let Some(page) = forge.target(at) else { return };
    match rng.below(8) {
        // A page's header, arrays, or any place in it.
        0 => forge.put(page + rng.below(ARRAYS as u64) as usize, &le(number)[..width]),
        1 => forge.put(page + ARRAYS + rng.below(200) as usize, &le(number)[..width]),
        2 => forge.put(page + rng.below((PAGE - 8) as u64) as usize, &le(rng.next_u64())[..width]),
        3 => {
            let place = page + rng.below((PAGE - 8) as u64) as usize;
            forge.bytes[place] = forge.bytes[place].wrapping_add(*rng.pick(&[1, 2, 0xFF, 0x80]));
        }
        // A pointer.
        4 => {
            let fields = [at.number(), at.number() + 4, at.flags(), at.birth().0, at.size().0];
            forge.put(*rng.pick(&fields), &le(number)[..width]);
        }
        5 => forge.copy_pointer(*rng.pick(pointers), at),
        // A whole page in another's place.
        6 => {
            if let Some(other) = forge.target(*rng.pick(pointers)) {
                let other = forge.bytes[other..other + PAGE].to_vec();
                forge.put(page, &other);
            }
        }
        // A slot's field; what its flags say of closing decides much.
        _ => {
            let field = *rng.pick(&[4, 8, 24, 32, 40, 44, 45, 48, 72, 120]);
            forge.put_in_slots(field, &le(number)[..width]);
        }
    }
}

fn fuzzed(whole: &Forge, pointers: &[At], seed: u64) -> Forge {
    let mut rng = Rng::new(seed);
    let mut forge = whole.clone();
    if rng.chance(128) {
        // As if the process had died, so that opening looks at everything.
        forge.put_in_slots(4, &[0; 4]);
        forge.put_in_slots(32, &[0; 8]);
    }
    for _ in 0..1 + rng.below(3) {
        mutate(&mut forge, &mut rng, pointers);
    }
    forge
}

#[test]
fn the_forge_forges() {
    let whole = Forge::new();
    let pages = whole.pointers().into_iter().filter(|at| !whole.is_run(*at));
    let targets = pages.filter_map(|at| whole.target(at));
    let levels: HashSet<u8> = targets.map(|page| whole.bytes[page + 5]).collect();
    assert!(levels.contains(&2), "{levels:?}");
    assert!((20_000..150_000).contains(&whole.bytes.len()), "{}", whole.bytes.len());
    let mut fixed = whole.clone();
    fixed.fix();
    assert!(fixed.bytes == whole.bytes, "fixing what is right changes nothing");
    examine(whole).unwrap().unwrap();
}

#[test]
fn crafted_files_are_survived() {
    if batch::batch().is_some() {
        return;
    }
    let batches = (0..crafted().len()).step_by(1500).map(|from| format!("crafted {from}")).collect();
    batch::run("worker", batches, TIMEOUT);
}

#[test]
fn mutated_files_are_survived() {
    if batch::batch().is_some() {
        return;
    }
    let count = batch::scale() * 2000;
    batch::run("worker", (0..count).step_by(1000).map(|from| format!("fuzzed {from}")).collect(), TIMEOUT);
}

/// Not a test of its own: what the children of the tests above run.
#[test]
fn worker() {
    let Some(batch) = batch::batch() else { return };
    let (kind, from) = batch.split_once(' ').unwrap();
    let from: usize = from.parse().unwrap();
    if kind == "crafted" {
        let crafted = crafted();
        let names = crafted.iter().map(|(name, ..)| name).enumerate().skip(from).take(1500);
        batch::work(names.map(|(at, name)| format!("{at}: {name}")), |case| {
            let at: usize = case.split(':').next().unwrap().parse().unwrap();
            let (_, forge, refused) = &crafted[at];
            match examine(forge.clone())? {
                Ok(()) if *refused => Err("accepted".to_string()),
                _ => Ok(()),
            }
        });
    } else {
        let whole = Forge::new();
        let pointers = whole.pointers();
        assert!(pointers.len() > 50, "the forge does not know the format");
        batch::work(from..from + 1000, |seed| examine(fuzzed(&whole, &pointers, *seed as u64)).map(drop));
    }
}

fn header(version: u32, page_log: u8, block_log: u8) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..8].copy_from_slice(b"sapwood\x1A");
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[12..14].copy_from_slice(&[page_log, block_log]);
    seal(&mut header);
    header
}

#[test]
fn headers_that_do_not_suit_the_file() {
    let whole = Forge::new();
    assert_eq!(whole.page_size(), PAGE);
    assert!(whole.pointers().iter().all(|at| whole.is_data_pointer(*at)));
    for version in [0, 1, 200, 255] {
        let mut forge = whole.clone();
        forge.put(0, &header(version, 9, 9));
        let opened = builder().create_with_backend(Image::new(forge.bytes));
        let Err(DatabaseError::UpgradeRequired(found)) = opened else { panic!("{opened:?}") };
        assert_eq!(u32::from(found), version);
    }
    for version in [256, u32::MAX] {
        let mut forge = whole.clone();
        forge.put(0, &header(version, 9, 9));
        let opened = builder().create_with_backend(Image::new(forge.bytes));
        assert!(matches!(opened, Err(DatabaseError::UpgradeRequired(_))), "{opened:?}");
    }
    for (page_log, block_log) in (0..=255).flat_map(|page| [0, 8, 9, 12, 16, 17, 63, 255].map(|block| (page, block))) {
        let mut forge = whole.clone();
        forge.put(0, &header(VERSION, page_log, block_log));
        let result = exercise(forge.bytes);
        if (page_log, block_log) == (9, 9) {
            result.unwrap();
        }
        // A header alone, with nothing behind it.
        exercise(header(VERSION, page_log, block_log)).unwrap_err();
    }
}

/// Says that it is terabytes long, and reads as zero where nothing was written.
#[derive(Debug)]
struct Sparse {
    start: Image,
    length: u64,
}

impl StorageBackend for Sparse {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(self.length)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        if offset + out.len() as u64 > self.length {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let start = self.start.bytes();
        if let Some(rest) = start.get(usize::try_from(offset).unwrap()..) {
            let length = rest.len().min(out.len());
            out[..length].copy_from_slice(&rest[..length]);
        }
        Ok(())
    }
    fn set_len(&self, _: u64) -> Result<(), std::io::Error> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.start.write(offset, data)
    }
}

/// A run within a file of terabytes is still no value: the limit of a value is what bounds memory.
#[test]
fn runs_over_the_limit_in_a_file_of_terabytes() {
    let mut forge = Forge::new();
    for at in forge.find(|forge, at, _| forge.is_run(at)) {
        forge.put_number(at.size(), 1 << 39);
    }
    forge.fix();
    let db = builder().create_with_backend(Sparse { start: Image::new(forge.bytes), length: 1 << 40 }).unwrap();
    PEAK.store(USED.load(Ordering::Relaxed), Ordering::Relaxed);
    let before = USED.load(Ordering::Relaxed);
    let table = db.begin_read().unwrap().open_table(TEXTS).unwrap();
    let rows: Vec<_> = table.iter().unwrap().collect();
    assert!(rows.last().unwrap().is_err());
    assert!(PEAK.load(Ordering::Relaxed) - before < MEMORY_LIMIT);
}
