//! Files whose checksums are right and whose contents are not: somebody made them. The answer is a typed error, or some
//! rows; never a panic, a hang, or memory without bound.

mod common;
#[path = "hostile_files/leaf.rs"]
mod leaf;
#[path = "common/memory.rs"]
mod memory;
#[path = "hostile_files/rows.rs"]
mod rows;

use common::batch;
use common::forge::{
    ARRAYS, At, CHILD, Forge, NAMES, NUMBERS, PACKED, PAGE, POINTER, ROOTS, SLOT_SIZE, SLOTS, TAGS, TEXTS, VERSION,
    builder, le, seal, u16_at, u32_at, u64_at,
};
use common::image::Image;
use common::rng::Rng;
use memory::peak_of;
use sapwood::{
    CompactOptions, Database, DatabaseError, Error, Key, MultimapTableDefinition, ReadTransaction, ReadableDatabase,
    ReadableMultimapTable, ReadableTable, ReadableTableMetadata, StorageBackend, StorageError, TableDefinition,
    VerifyLevel,
};
use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_128;

const MEMORY_LIMIT: usize = 64 << 20;
/// Most rows that are read from a table: a hostile tree may claim any number by naming a page often.
const ROW_LIMIT: usize = 3000;
const TIMEOUT: Duration = Duration::from_secs(240);

/// Does everything that can be done with a file. Errors are fine.
fn exercise(bytes: Vec<u8>) -> Result<(), Error> {
    let db = builder().create_with_backend(Image::new(bytes.clone()))?;
    // Of a file that names a page for two things, the assertions on free pages do not hold.
    if !cfg!(feature = "paranoid") || db.verify().is_ok() {
        drop(restore(&db));
        drop(db.compact_online(CompactOptions::new(), |_| ControlFlow::Continue(())));
        drop(db.verify());
    }
    drop(db);
    let db = builder().create_with_backend(Image::new(bytes.clone()))?;
    let reading = read(&db);
    for level in [VerifyLevel::Structure, VerifyLevel::Rows] {
        drop(db.verify_integrity(level));
    }
    if let Ok(report) = db.backup_with_backend(Image::default()) {
        assert!(report.bytes <= bytes.len() as u64 + 2 * PAGE as u64);
    }
    let verified = db.verify();
    let older = db.begin_read()?;
    let written = write(&db);
    drop(compare(&older, &db.begin_read()?));
    drop(older);
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
        drop(table.get_many((0..450).step_by(3)));
        drop(table.count(5..300));
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
    let packed = txn.open_table(PACKED).map_err(Error::from).and_then(|table| {
        for key in 0..10 {
            drop((table.get(key), table.value_len(key)));
        }
        Ok(table.iter()?.take(ROW_LIMIT).try_for_each(|row| row.map(drop))?)
    });
    let tags = read_sets(&txn, TAGS, (0..9).step_by(2).collect());
    let names = read_sets(&txn, NAMES, vec!["0", "3", "7", "long"]);
    numbers.and(texts).and(packed).and(tags).and(names)
}

fn read_sets<K: Key, V: Key>(
    txn: &ReadTransaction,
    definition: MultimapTableDefinition<K, V>,
    keys: Vec<K::SelfType<'static>>,
) -> Result<(), Error> {
    let table = txn.open_multimap_table(definition)?;
    let _ = (table.len()?, table.stats().map(drop));
    for key in keys {
        drop(table.get(&key).map(|values| values.rev().take(ROW_LIMIT).map(drop).count()));
        drop(table.range(key..).map(|entries| entries.take(ROW_LIMIT).map(drop).count()));
    }
    drop(table.iter().map(|entries| entries.rev().take(ROW_LIMIT).map(drop).count()));
    let mut left = ROW_LIMIT;
    for entry in table.iter()?.take(ROW_LIMIT) {
        let (key, values) = entry?;
        std::hint::black_box(key.value());
        for value in values.take(left) {
            std::hint::black_box(value?.value());
            left -= 1;
        }
    }
    Ok(())
}

/// Looks at what differs, both ways, with types and without.
fn compare(older: &ReadTransaction, newer: &ReadTransaction) -> Result<(), Error> {
    for (one, other) in [(older, newer), (newer, older)] {
        for table in one.diff(other)?.take(ROW_LIMIT) {
            let _ = table?.rows().take(ROW_LIMIT).map(drop).count();
        }
        drop(one.diff_table(other, NUMBERS).map(|rows| rows.take(ROW_LIMIT).map(drop).count()));
        drop(one.diff_table(other, TEXTS).map(|rows| rows.take(ROW_LIMIT).map(drop).count()));
        drop(one.diff_multimap_table(other, TAGS).map(|rows| rows.take(ROW_LIMIT).map(drop).count()));
    }
    Ok(())
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
        let _ = numbers.delete_range(100..200)?;
        numbers.drain(250..260)?.close()?;
        let _ = numbers.bulk_load((0..50).map(|at| (u64::MAX - 50 + at, &[8; 40][..])))?;
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
        let _ = texts.delete_range::<&str>("2".."4")?;
        Ok(())
    };
    let texts = changes();
    let changes = || -> Result<(), Error> {
        let mut packed = txn.open_table(PACKED)?;
        for key in 0..5 {
            drop(packed.insert(2 * key, &[9; 2_000][..])?);
        }
        packed.retain(|key, value| key % 3 > 0 && value.len() > 1_000)?;
        Ok(())
    };
    let packed = changes();
    let changes = || -> Result<(), Error> {
        let mut tags = txn.open_multimap_table(TAGS)?;
        for key in 0..9 {
            for value in (0..70).step_by(3) {
                tags.insert(key, value)?;
                tags.remove(key + 1, value + 1)?;
            }
        }
        tags.remove_all(4)?.take(ROW_LIMIT).try_for_each(|value| value.map(drop))?;
        Ok(())
    };
    let tags = changes();
    let changes = || -> Result<(), Error> {
        let mut names = txn.open_multimap_table(NAMES)?;
        for key in ["0", "2", "3", "long"] {
            for value in ["0", "001", "0011", "05", "9"] {
                names.insert(key, value)?;
                names.remove(key, &*format!("{value}1"))?;
            }
        }
        names.remove_all("long")?.rev().take(ROW_LIMIT).try_for_each(|value| value.map(drop))?;
        names.remove_all("3")?;
        Ok(())
    };
    let names = changes();
    let committed = txn.commit();
    numbers?;
    texts?;
    packed?;
    tags?;
    names?;
    Ok(committed?)
}

/// Makes and goes back to checkpoints, restores and deletes savepoints.
fn restore(db: &Database) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    let ids: Vec<_> = txn.list_persistent_savepoints()?.take(ROW_LIMIT).collect();
    // Restoring one deletes those that are younger.
    for id in ids.into_iter().rev() {
        let checkpoint = txn.checkpoint()?;
        let savepoint = txn.get_persistent_savepoint(id)?;
        if txn.restore_savepoint(&savepoint).is_err() {
            txn.rollback_to(&checkpoint)?;
        }
        if let Ok(mut numbers) = txn.open_table(NUMBERS) {
            drop(numbers.insert(1, &[1][..]));
        }
        txn.release_checkpoint(&checkpoint)?;
        txn.delete_persistent_savepoint(id)?;
    }
    Ok(txn.commit()?)
}

/// Fixes the checksums and does everything.
fn examine(mut forge: Forge) -> Result<Result<(), Error>, String> {
    forge.fix();
    measured(|| exercise(forge.bytes))
}

/// Fails if memory or time get out of hand.
fn measured(exercise: impl FnOnce() -> Result<(), Error>) -> Result<Result<(), Error>, String> {
    let start = Instant::now();
    let (result, peak) = peak_of(exercise);
    if let Err(err) = &result {
        assert!(!err.to_string().is_empty());
    }
    if peak > MEMORY_LIMIT {
        return Err(format!("took {peak} bytes of memory"));
    }
    if start.elapsed() > Duration::from_secs(10) {
        return Err(format!("took {:?}", start.elapsed()));
    }
    Ok(result)
}

/// Builds a tower of branches that each name the one below many times, in pages that it adds: few pages, and endless paths.
fn tower(forge: &mut Forge, levels: u8, birth: u64) {
    let base = forge.bytes.len() / PAGE - 1;
    let mirror = forge.bytes.split_off(forge.bytes.len() - PAGE);
    let end = base + usize::from(levels) + 1;
    forge.bytes.resize(end * PAGE, 0);
    let top = tower_in(forge, base..end, birth);
    forge.put_in_slots(ROOTS[0], &top);
    forge.bytes.extend(mirror);
    let pages = (forge.bytes.len() / PAGE) as u32;
    forge.put_in_slots(24, &pages.to_le_bytes());
    let mirror = forge.bytes.len() - PAGE;
    forge.put(mirror + 72, &(pages - 1).to_le_bytes());
    forge.put(mirror + 76, &pages.to_le_bytes());
}

/// Builds such a tower in these pages, a level in each, and gives the pointer to its top.
fn tower_in(forge: &mut Forge, numbers: impl IntoIterator<Item = usize>, birth: u64) -> Vec<u8> {
    let mut below: Option<Vec<u8>> = None;
    for (number, level) in numbers.into_iter().zip(0..) {
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
        let mut pointer = [0u8; POINTER];
        pointer[0..4].copy_from_slice(&(number as u32).to_le_bytes());
        pointer[4] = level;
        pointer[8..16].copy_from_slice(&le(birth));
        pointer[16..32].copy_from_slice(&xxh3_128(&page).to_le_bytes());
        forge.put(number * PAGE, &page);
        below = Some(pointer.to_vec());
    }
    below.unwrap()
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
        if whole.bytes[page] == 1 {
            add(format!("leaf {nth} is empty"), false, &|forge| {
                forge.put(page + 2, &[0; 3]);
                forge.put(page + 6, &[0, 2, 0, 0]);
                forge.put(page + 14, &[0; 6]);
            });
        }
        for (set, length) in whole.sets_in(page) {
            for (word, value) in (0..length / 2).flat_map(|word| [0u16, 1, 2, 3, 6, 0xFFFF].map(|value| (word, value)))
            {
                if (nth + word + usize::from(value)) % 3 == 0 {
                    let place = set + 2 * word;
                    add(format!("page {nth}, word {word} of the set at {set} is {value}"), false, &|forge| {
                        forge.put(place, &value.to_le_bytes());
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
fn a_table_of_endless_paths_without_rows_is_compared_in_no_time() {
    let mut forge = Forge::without_savepoints();
    // The roots of tables stand in leaves.
    let tables =
        forge.find(|forge, at, page| forge.bytes[at.number() / PAGE * PAGE] == 1 && forge.bytes[page + 5] == 2);
    let leaves = forge.find(|forge, at, page| matches!(at, At::Child { .. }) && forge.bytes[page] == 1);
    let pages: Vec<usize> = leaves.iter().map(|at| forge.target(*at).unwrap() / PAGE).collect();
    let top = tower_in(&mut forge, pages[pages.len() - 30..].iter().copied(), 2);
    assert!(!tables.is_empty());
    tables.iter().for_each(|at| forge.put(at.number(), &top));
    forge.fix();
    let db = builder().create_with_backend(Image::new(forge.bytes)).unwrap();
    let older = db.begin_read().unwrap();
    let txn = db.begin_write().unwrap();
    txn.rename_table(NUMBERS, TableDefinition::<u64, &[u8]>::new("others")).unwrap();
    txn.commit().unwrap();
    let newer = db.begin_read().unwrap();
    let told =
        |first: Option<StorageError>| assert!(first.is_some_and(|err| err.to_string().contains("more than once")));
    for (one, other) in [(&older, &newer), (&newer, &older)] {
        told(one.diff_table(other, NUMBERS).unwrap().next().and_then(Result::err));
        let tables: Vec<_> = one.diff(other).unwrap().map(Result::unwrap).collect();
        assert_eq!(tables.len(), 2);
        tables.iter().for_each(|table| told(table.rows().next().and_then(|row| row.err())));
    }
}

/// The error of reading every pair of a multimap of the forged file.
fn refusal<K: Key, V: Key>(mut forge: Forge, table: MultimapTableDefinition<K, V>) -> String {
    forge.fix();
    let db = builder().create_with_backend(Image::new(forge.bytes)).unwrap();
    let table = db.begin_read().unwrap().open_multimap_table(table).unwrap();
    let read = |entries: sapwood::MultimapRange<K, V>| -> Result<(), StorageError> {
        for entry in entries {
            entry?.1.try_for_each(|value| value.map(drop))?;
        }
        Ok(())
    };
    match table.iter().and_then(read) {
        Err(StorageError::Corrupted(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sets_that_are_none_are_refused_by_the_number_of_their_page() {
    let whole = Forge::new();
    let leaves = whole.find(|forge, at, page| !forge.is_run(at) && !forge.sets_in(page).is_empty());
    let fixed = |page: usize| whole.bytes[page + 1] & 32 != 0;
    let (mut unsorted, mut shapeless) = (0, 0);
    for at in leaves {
        let page = whole.target(at).unwrap();
        let named = format!("page {} of", page / PAGE);
        for (set, length) in whole.sets_in(page) {
            let check = |forge: Forge, what: &str| {
                let text = if fixed(page) { refusal(forge, TAGS) } else { refusal(forge, NAMES) };
                assert!(text.contains(&named) && text.contains(what), "{text}");
            };
            // The first two values change places, or are the same.
            let (first, second) = if fixed(page) {
                (set, set + 8)
            } else {
                (set + u16_at(&whole.bytes, set), set + u16_at(&whole.bytes, set + 2))
            };
            let width = second.saturating_sub(first);
            if second + width > set + length || (width != 8 && width != 3) {
                continue;
            }
            for swap in [true, false] {
                let mut forge = whole.clone();
                let values = [first, second].map(|at| whole.bytes[at..at + width].to_vec());
                forge.put(second, &values[0]);
                if swap {
                    forge.put(first, &values[1]);
                }
                check(forge, "holds a set whose values do not ascend");
                unsorted += 1;
            }
            if !fixed(page) {
                for start in [0u16, 1, 0xFFFF] {
                    let mut forge = whole.clone();
                    forge.put(set, &start.to_le_bytes());
                    check(forge, "holds no set of values");
                    shapeless += 1;
                }
            }
        }
    }
    assert!(unsorted > 15 && shapeless > 10, "{unsorted}, {shapeless}");
}

#[test]
fn a_set_with_another_number_of_values_than_its_root_says_is_refused() {
    let whole = Forge::new();
    // Roots of sets: pointers in leaves of multimaps that lead to pages.
    let roots = whole.find(|_, at, _| matches!(at, At::Whole(_)));
    let of_set = |at: &At| {
        let leaf = at.number() / PAGE * PAGE;
        whole.bytes[leaf] == 1 && whole.bytes[leaf + 1] & 16 != 0
    };
    let roots: Vec<At> = roots.into_iter().filter(of_set).collect();
    assert!(roots.len() >= 3, "{}", roots.len());
    for at in roots {
        let rows = whole.number_at(at.size());
        let fixed = whole.bytes[at.number() / PAGE * PAGE + 1] & 32 != 0;
        for claimed in [rows + 1, u64::MAX] {
            let mut forge = whole.clone();
            forge.put_number(at.size(), claimed);
            let text = if fixed { refusal(forge.clone(), TAGS) } else { refusal(forge.clone(), NAMES) };
            assert!(text.contains("holds fewer rows than its pointer says"), "{text}");
            forge.fix();
            let db = builder().create_with_backend(Image::new(forge.bytes)).unwrap();
            assert!(db.verify().unwrap_err().to_string().contains("another number of rows"));
        }
    }
}

#[test]
fn a_set_that_lost_a_value_is_noticed_by_the_count_of_pairs() {
    let whole = Forge::new();
    let fixed = |forge: &Forge, page: usize| forge.bytes[page + 1] & 33 == 33;
    let leaves = whole.find(|forge, at, page| !forge.is_run(at) && fixed(forge, page));
    let leaf = whole.target(leaves[0]).unwrap();
    let count = u16_at(&whole.bytes, leaf + 2);
    // The last entry's set is long enough; its slot is offset and length.
    let length = leaf + ARRAYS + 8 * count + 4 * (count - 1) + 2;
    let mut forge = whole.clone();
    for (place, change) in [(length, -8_i32), (leaf + 8, 8)] {
        let value = u16_at(&whole.bytes, place) as i32 + change;
        forge.put(place, &value.to_le_bytes()[..2]);
    }
    forge.fix();
    let db = builder().create_with_backend(Image::new(forge.bytes)).unwrap();
    read(&db).unwrap();
    let err = db.verify().unwrap_err().to_string();
    assert!(err.contains("another number of rows"), "{err}");
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

/// Savepoints link what the newest commit links, and must say the same of it.
#[test]
fn a_run_that_reaches_into_what_any_root_links_is_refused() {
    let whole = Forge::new();
    let pointers = whole.pointers();
    let place = |at: &At| u32_at(&whole.bytes, at.number());
    let starts: BTreeSet<u32> = pointers.iter().map(place).collect();
    let mut tried = 0;
    for run in pointers.iter().filter(|at| whole.is_run(**at)) {
        let length = whole.number_at(run.size()).next_multiple_of(PAGE as u64);
        if starts.contains(&(place(run) + (length / PAGE as u64) as u32)) {
            let mut forge = whole.clone();
            forge.put_number(run.size(), length + 1);
            forge.fix();
            let db = builder().create_with_backend(Image::new(forge.bytes)).unwrap();
            assert!(
                matches!(db.verify(), Err(DatabaseError::Storage(StorageError::Corrupted(_)))),
                "the run at page {}",
                place(run)
            );
            tried += 1;
        }
    }
    assert!(tried > 9, "{tried}");
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
    let table = db.begin_read().unwrap().open_table(TEXTS).unwrap();
    let (rows, peak) = peak_of(|| table.iter().unwrap().collect::<Vec<_>>());
    assert!(rows.last().unwrap().is_err());
    assert!(peak < MEMORY_LIMIT);
}
