//! Orders of events that broke drafts of the design or programs like this one. Each test says what went wrong.

mod common;

use common::crash::{CrashImages, CrashState, Fault, RecordingBackend, Storm, Target};
use common::rng::Rng;
use common::scale;
use sapwood::{Builder, Database, DatabaseError, Durability, OpenOutcome, ReadableDatabase, ReadableTable};
use sapwood::{ReadableTableMetadata, StorageError, TableDefinition};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::xxh3_128;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const OTHER: TableDefinition<u64, &[u8]> = TableDefinition::new("other");
const KEYS: TableDefinition<&[u8], u64> = TableDefinition::new("keys");
const LEFT: TableDefinition<u64, i64> = TableDefinition::new("left");
const RIGHT: TableDefinition<u64, i64> = TableDefinition::new("right");

fn put(
    db: &Database,
    table: TableDefinition<u64, &[u8]>,
    keys: impl Iterator<Item = u64>,
    value: &[u8],
    how: Durability,
) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(how).unwrap();
    {
        let mut rows = txn.open_table(table).unwrap();
        for key in keys {
            rows.insert(key, value).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn all_rows_are(db: &Database, table: TableDefinition<u64, &[u8]>, count: u64, value: &[u8]) {
    let rows = db.begin_read().unwrap().open_table(table).unwrap();
    assert_eq!(rows.len().unwrap(), count);
    assert_eq!(rows.iter().unwrap().filter(|row| row.as_ref().unwrap().1.value() == value).count() as u64, count);
}

// ---- 1, 10: pages and readers -------------------------------------------------------------------------------------

/// The head was not counted as a snapshot: a page of an unsynced commit, unlinked by the next transaction, was used
/// again inside it, and a reader, or an abort, found other bytes there.
#[test]
fn a_page_of_an_unsynced_commit_is_not_reused_by_the_transaction_that_unlinks_it() {
    for cache in [0, 200_000, 1 << 26] {
        let db = Builder::new().set_cache_size(cache).create_with_backend(RecordingBackend::new()).unwrap();
        put(&db, ROWS, 0..300, &[5; 5000], Durability::Immediate);
        put(&db, ROWS, 0..300, &[8; 5000], Durability::None);
        let reader = db.begin_read().unwrap().open_table(ROWS).unwrap();
        let txn = db.begin_write().unwrap();
        {
            let mut rows = txn.open_table(ROWS).unwrap();
            for round in 0..3 {
                for key in 0..300 {
                    rows.insert(key, &[90 + round; 5000][..]).unwrap();
                }
                assert!(reader.iter().unwrap().all(|row| row.unwrap().1.value() == [8; 5000]));
            }
        }
        all_rows_are(&db, ROWS, 300, &[8; 5000]);
        txn.abort().unwrap();
        all_rows_are(&db, ROWS, 300, &[8; 5000]);
        db.verify().unwrap();
    }
}

/// A transaction larger than the cache took memory without bound, or lost the pages that were written early.
#[test]
fn a_transaction_larger_than_the_cache_stays_within_it() {
    for end in ["commit", "abort", "crash"] {
        let backend = RecordingBackend::new();
        let budget = 1 << 20;
        let db = Builder::new().set_cache_size(budget).create_with_backend(backend.clone()).unwrap();
        put(&db, ROWS, 0..2000, &[1; 100], Durability::Immediate);
        let txn = db.begin_write().unwrap();
        let mut most = 0;
        {
            let mut rows = txn.open_table(ROWS).unwrap();
            for at in 0..40_000_u64 {
                rows.insert(at.wrapping_mul(7919) % 40_000, &[2; 100][..]).unwrap();
                if at % 100 == 0 {
                    most = most.max(db.cache_stats().used_bytes());
                }
            }
            assert_eq!(rows.len().unwrap(), 40_000);
        }
        println!("{most} bytes of {budget}");
        assert!(most <= budget + budget / 8, "{most} bytes of {budget}");
        match end {
            "commit" => {
                txn.commit().unwrap();
                all_rows_are(&db, ROWS, 40_000, &[2; 100]);
                db.verify().unwrap();
            }
            "abort" => {
                txn.abort().unwrap();
                all_rows_are(&db, ROWS, 2000, &[1; 100]);
                db.verify().unwrap();
            }
            _ => {
                let recording = backend.recording();
                let mut images = CrashImages::new(&recording);
                images.seek(recording.log.len());
                let image = images.power_loss(&mut Rng::new(1));
                let db = Builder::new().create_with_backend(RecordingBackend::from_image(image)).unwrap();
                all_rows_are(&db, ROWS, 2000, &[1; 100]);
                db.verify().unwrap();
            }
        }
    }
}

/// The changed pages of a table that nobody was working on could not be written, so a transaction over two tables took
/// memory without bound.
#[test]
fn a_large_transaction_beside_an_idle_open_table_full_of_changes_stays_within_the_cache() {
    let budget = 1 << 20;
    let backend = RecordingBackend::new();
    let db = Builder::new().set_cache_size(budget).create_with_backend(backend.clone()).unwrap();
    let txn = db.begin_write().unwrap();
    let mut most = 0;
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        let mut other = txn.open_table(OTHER).unwrap();
        for at in 0..3_800 {
            other.insert(at, &[1; 100][..]).unwrap();
        }
        for at in 0..20_000_u64 {
            rows.insert(at.wrapping_mul(7919) % 20_000, &[2; 100][..]).unwrap();
            if at % 100 == 0 {
                most = most.max(db.cache_stats().used_bytes());
            }
        }
        for at in 0..3_800 {
            assert_eq!(other.insert(at, &[3; 100][..]).unwrap().unwrap().value(), [1; 100]);
        }
    }
    txn.commit().unwrap();
    let written = backend.counters().bytes_written;
    println!("{most} bytes of {budget}, {written} bytes written");
    all_rows_are(&db, ROWS, 20_000, &[2; 100]);
    all_rows_are(&db, OTHER, 3_800, &[3; 100]);
    db.verify().unwrap();
    assert!(most <= budget + budget / 8, "{most} bytes of {budget}");
    assert!(written < 100 * budget as u64, "{written} bytes written: every row pays for the idle table's pages");
}

/// Many tables, each with fewer changes than make pressure by itself.
#[test]
fn many_open_tables_with_some_changes_each_stay_within_the_cache() {
    let budget = 1 << 20;
    let db = Builder::new().set_cache_size(budget).create_with_backend(RecordingBackend::new()).unwrap();
    let names: Vec<String> = (0..20).map(|at| format!("table {at}")).collect();
    let txn = db.begin_write().unwrap();
    let mut most = 0;
    {
        let tables = names.iter().map(|name| txn.open_table::<u64, &[u8]>(TableDefinition::new(name)).unwrap());
        let mut tables: Vec<_> = tables.collect();
        for at in 0..1000_u64 {
            for table in &mut tables {
                table.insert(at.wrapping_mul(7919) % 1000, &[2; 100][..]).unwrap();
            }
            most = most.max(db.cache_stats().used_bytes());
        }
    }
    txn.commit().unwrap();
    println!("{most} bytes of {budget}");
    for name in &names {
        all_rows_are(&db, TableDefinition::new(name), 1000, &[2; 100]);
    }
    db.verify().unwrap();
    assert!(most <= budget + budget / 8, "{most} bytes of {budget}");
}

/// One thread wrote, under memory pressure, the pages that another was changing: bytes of two moments, or a changed page
/// counted as written.
#[test]
fn two_threads_change_two_tables_of_one_transaction_larger_than_the_cache() {
    for seed in 0..3 * scale() {
        let backend = RecordingBackend::new();
        let db = Builder::new().set_cache_size(300_000).create_with_backend(backend.clone()).unwrap();
        put(&db, ROWS, 0..500, &[1; 100], Durability::Immediate);
        put(&db, OTHER, 0..500, &[1; 100], Durability::None);
        let txn = db.begin_write().unwrap();
        let work = |table: TableDefinition<u64, &[u8]>, seed: u64| {
            let mut rng = Rng::new(seed);
            let mut rows = txn.open_table(table).unwrap();
            let mut model: BTreeMap<u64, Vec<u8>> = (0..500).map(|key| (key, vec![1; 100])).collect();
            for _ in 0..12_000 {
                let key = rng.below(5000);
                match rng.below(10) {
                    0 => {
                        let old = rows.remove(key).unwrap().map(|old| old.value().to_vec());
                        assert_eq!(old, model.remove(&key));
                    }
                    1 => {
                        let found = rows.get(key).unwrap().map(|found| found.value().to_vec());
                        assert_eq!(found.as_ref(), model.get(&key));
                    }
                    2 => {
                        let value = vec![seed as u8; 200];
                        rows.insert_reserve(key, 200).unwrap().as_mut().copy_from_slice(&value);
                        model.insert(key, value);
                    }
                    3 => {
                        let near: Vec<_> =
                            rows.range(key..).unwrap().take(5).map(|row| row.unwrap().0.value()).collect();
                        assert!(near.iter().eq(model.range(key..).take(5).map(|(key, _)| key)));
                    }
                    length => {
                        let value = rng.bytes(if length == 9 { 5000 } else { 100 });
                        let old = rows.insert(key, &value[..]).unwrap().map(|old| old.value().to_vec());
                        assert_eq!(old, model.insert(key, value));
                    }
                }
            }
            model
        };
        let (left, right) = std::thread::scope(|scope| {
            let left = scope.spawn(|| work(ROWS, seed * 2 + 100));
            let right = scope.spawn(|| work(OTHER, seed * 2 + 101));
            (left.join().unwrap(), right.join().unwrap())
        });
        txn.commit().unwrap();
        assert_eq!(backend.violations(), [""; 0]);
        for (table, model) in [(ROWS, left), (OTHER, right)] {
            let rows = db.begin_read().unwrap().open_table(table).unwrap();
            let found = rows.iter().unwrap().map(Result::unwrap);
            let found: BTreeMap<_, _> = found.map(|(key, value)| (key.value(), value.value().to_vec())).collect();
            assert!(found == model, "seed {seed}");
        }
        db.verify().unwrap();
        let copy = Builder::new().create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
        copy.verify().unwrap();
    }
}

/// A reader of an unsynced commit asked the file for a page that a later transaction shares, evicted before any sync.
#[test]
fn a_reader_of_an_unsynced_commit_reads_pages_that_a_later_one_evicted() {
    let db = Builder::new().set_cache_size(400_000).create_with_backend(RecordingBackend::new()).unwrap();
    put(&db, ROWS, 0..10, &[1; 100], Durability::Immediate);
    put(&db, ROWS, 0..1500, &[8; 100], Durability::None);
    let eight = db.begin_read().unwrap().open_table(ROWS).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(Durability::None).unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        for key in 100_000..110_000 {
            rows.insert(key, &[9; 100][..]).unwrap();
        }
        assert!(eight.iter().unwrap().all(|row| row.unwrap().1.value() == [8; 100]));
        assert_eq!(rows.len().unwrap(), 11_500);
    }
    txn.commit().unwrap();
    assert!(db.cache_stats().evictions() > 0);
    assert_eq!(eight.iter().unwrap().count(), 1500);
    assert!(eight.iter().unwrap().all(|row| row.unwrap().1.value() == [8; 100]));
    let nine = db.begin_read().unwrap().open_table(ROWS).unwrap();
    assert_eq!(nine.iter().unwrap().map(|row| row.unwrap().0.value()).max(), Some(109_999));
    db.verify().unwrap();
}

// ---- 5, 7, 8: crashes ---------------------------------------------------------------------------------------------

/// What is known to be committed: every row of the table holds the number of its commit, so a torn state shows.
struct Chain {
    page: usize,
    block: usize,
    /// What the newest acknowledged commit wrote, and the newest that was begun.
    acknowledged: u64,
    begun: u64,
    /// Creating the database has returned.
    created: bool,
}

const CHAIN_ROWS: u64 = 40;

impl Chain {
    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_block_size(self.block).set_cache_size(40 * self.page);
        builder
    }

    /// What the rows hold; all of them must hold the same.
    fn value(db: &Database) -> u64 {
        let txn = db.begin_read().unwrap();
        let Ok(rows) = txn.open_table(ROWS) else { return 0 };
        let mut found = None;
        let mut count = 0;
        for row in rows.iter().unwrap() {
            let (key, value) = row.unwrap();
            let value = value.value();
            let number = u64::from_le_bytes(value[..8].try_into().unwrap());
            assert_eq!(*found.get_or_insert(number), number, "row {}", key.value());
            assert_eq!(value.len(), Self::length(key.value(), number));
            assert!(value[8..].iter().all(|byte| *byte == number as u8));
            count += 1;
        }
        let number = found.unwrap_or(0);
        assert_eq!(count, Self::rows(number));
        number
    }

    fn rows(number: u64) -> u64 {
        if number == 0 { 0 } else { CHAIN_ROWS + number % 5 * 20 }
    }

    fn length(key: u64, number: u64) -> usize {
        (8 + (key * 37 + number * 11) % 150
            + if (key + number).is_multiple_of(9) { 1500 + number % 3 * 3000 } else { 0 }) as usize
    }

    fn commit(&mut self, db: &Database, backend: &RecordingBackend, durability: Durability, two_phase: bool) {
        self.begun += 1;
        let number = self.begun;
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(durability).unwrap();
        txn.set_two_phase_commit(two_phase);
        {
            let mut rows = txn.open_table(ROWS).unwrap();
            let last = rows.last().unwrap().map_or(0, |(key, _)| key.value() + 1);
            for key in 0..Self::rows(number) {
                let mut value = vec![number as u8; Self::length(key, number)];
                value[..8].copy_from_slice(&number.to_le_bytes());
                rows.insert(key, &value[..]).unwrap();
            }
            for key in Self::rows(number)..last {
                rows.remove(key).unwrap();
            }
        }
        txn.commit().unwrap();
        if durability == Durability::Immediate {
            backend.mark(number);
        }
    }

    /// Opens, checks that nothing acknowledged is missing, and works for a while. Ends with a crash at a random moment,
    /// of which it gives the state.
    fn session(&mut self, state: CrashState, rng: &mut Rng) -> CrashState {
        let backend = RecordingBackend::from_state(state);
        let db = match self.builder().create_with_backend(backend.clone()) {
            Ok(db) => db,
            // A creation that power loss stopped before its first sync may have left anything.
            Err(_) if !self.created => return CrashState::default(),
            Err(err) => panic!("{err}"),
        };
        let value = Self::value(&db);
        let (low, high) = (self.acknowledged, self.begun);
        assert!(low <= value && value <= high, "commit {value} was found, {low} acknowledged, {high} begun");
        // What an opening has shown is synced, and must not vanish either.
        backend.mark(value);
        for _ in 0..rng.below(4) {
            let durability = if rng.chance(64) { Durability::None } else { Durability::Immediate };
            self.commit(&db, &backend, durability, rng.chance(64));
        }
        if rng.chance(96) {
            db.verify().unwrap();
        }
        let closes = rng.chance(128);
        if closes {
            drop(db);
        }
        assert_eq!(backend.violations(), [""; 0]);
        self.crash(&backend, rng)
    }

    fn crash(&mut self, backend: &RecordingBackend, rng: &mut Rng) -> CrashState {
        let recording = backend.recording();
        let mut images = CrashImages::new(&recording);
        let cut = rng.below(recording.log.len() as u64 + 1) as usize;
        images.seek(cut);
        self.acknowledged = images.marks().iter().copied().fold(self.acknowledged, u64::max);
        self.created |= !images.marks().is_empty();
        match rng.below(3) {
            0 => images.kill_in_write(rng).unwrap_or_else(|| images.kill()),
            1 => images.kill(),
            _ => CrashState::durable(images.power_loss(rng)),
        }
    }
}

/// Killed between a slot's write and its sync, opened, one more commit, power loss; torn and garbage sectors of 512 and
/// 4,096 bytes; crashes while the file is made, grows, shrinks, is opened and is closed: acknowledged commits were lost.
#[test]
fn no_chain_of_crashes_loses_an_acknowledged_commit() {
    let only = std::env::var("SAPWOOD_CHAIN_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = only.map_or(0..1000 * scale(), |seed| seed..seed + 1);
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let (page, block) = *rng.pick(&[(512, 512), (512, 4096), (1024, 512), (4096, 4096), (4096, 512)]);
        let mut chain = Chain { page, block, acknowledged: 0, begun: 0, created: false };
        let mut state = CrashState::default();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..8 {
                state = chain.session(std::mem::take(&mut state), &mut rng);
            }
        }));
        assert!(caught.is_ok(), "SAPWOOD_CHAIN_SEED={seed} page {page} block {block}");
    }
}

/// Every moment of a session with growth, shrinking and a clean close; each pending write kept or lost.
#[test]
fn a_crash_at_any_moment_of_a_session_loses_nothing_acknowledged() {
    let mut chain = Chain { page: 512, block: 512, acknowledged: 0, begun: 0, created: false };
    let backend = RecordingBackend::new();
    let db = chain.builder().create_with_backend(backend.clone()).unwrap();
    backend.mark(0);
    for round in 0..6 {
        let durability = if round == 2 { Durability::None } else { Durability::Immediate };
        chain.commit(&db, &backend, durability, round == 4);
    }
    drop(db);
    let recording = backend.recording();
    let mut images = CrashImages::new(&recording);
    let mut rng = Rng::new(9);
    loop {
        // Before its first sync a creation may have left anything.
        let created = images.last_mark();
        let low = created.unwrap_or(0);
        let mut files: Vec<Vec<u8>> = (0..4).map(|_| images.power_loss(&mut rng)).collect();
        files.push(images.kill().contents());
        files.push(images.power_loss_in(&Storm::dropping(), |_, _| common::crash::Fate::Dropped));
        for file in files {
            let opened = chain.builder().create_with_backend(RecordingBackend::from_image(file));
            if created.is_none() && opened.is_err() {
                continue;
            }
            let db = opened.unwrap();
            let value = Chain::value(&db);
            assert!(value >= low, "{value} found, {low} acknowledged, cut {}", images.at());
            db.verify().unwrap();
        }
        if !images.advance() {
            break;
        }
    }
}

/// The newest commit's slot was torn and only the mirror had it. The opening commit then put slot and mirror in flight
/// together: power loss in that moment left no readable slot at all.
#[test]
fn a_commit_that_only_the_mirror_has_survives_power_loss_during_recovery() {
    let mut chain = Chain { page: 4096, block: 4096, acknowledged: 0, begun: 0, created: false };
    let backend = RecordingBackend::new();
    let db = chain.builder().create_with_backend(backend.clone()).unwrap();
    for _ in 0..4 {
        chain.commit(&db, &backend, Durability::Immediate, false);
    }
    let mut image = backend.contents();
    let newest = newest_slot(&image);
    image[4096 * (1 + newest)..][..208].fill(0xA5);
    let backend = RecordingBackend::from_image(image);
    let db = chain.builder().create_with_backend(backend.clone()).unwrap();
    assert_eq!(*db.open_outcome(), OpenOutcome::Recovered);
    assert_eq!(Chain::value(&db), 4);
    drop(db.begin_write().unwrap());
    let recording = backend.recording();
    let mut images = CrashImages::new(&recording);
    let storm = Storm { sector: 4096, keep: 256, tear: 0, garbage: 256, extends: false, neighbours: false };
    while images.advance() {
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let file = images.power_loss_in(&storm, |_, _| common::crash::Fate::Garbage(rng.next_u64()));
            let db = chain.builder().create_with_backend(RecordingBackend::from_image(file)).unwrap();
            assert_eq!(Chain::value(&db), 4, "cut {}", images.at());
        }
    }
}

fn slot_id(image: &[u8], slot: usize) -> u64 {
    let at = 4096 * (1 + slot);
    u64::from_le_bytes(image[at + 8..at + 16].try_into().unwrap())
}

fn newest_slot(image: &[u8]) -> usize {
    usize::from(slot_id(image, 1) > slot_id(image, 0))
}

fn mirror_at(image: &[u8]) -> usize {
    (0..image.len() / 4096).rev().map(|page| page * 4096).find(|at| image[*at..].starts_with(b"sapmirr")).unwrap()
}

// ---- 6: damage ----------------------------------------------------------------------------------------------------

fn small_file(closed: bool) -> (Vec<u8>, Vec<u8>) {
    let mut chain = Chain { page: 4096, block: 4096, acknowledged: 0, begun: 0, created: false };
    let backend = RecordingBackend::new();
    let db = chain.builder().create_with_backend(backend.clone()).unwrap();
    for _ in 0..2 {
        chain.commit(&db, &backend, Durability::Immediate, false);
    }
    let before = backend.contents();
    chain.commit(&db, &backend, Durability::Immediate, false);
    if closed {
        drop(db);
    }
    (before, backend.contents())
}

/// What is found in a damaged file: the commit and how the opening put it, or the error.
fn look(image: Vec<u8>) -> Result<(u64, OpenOutcome), String> {
    let backend = RecordingBackend::from_image(image);
    let db = Builder::new().create_with_backend(backend).map_err(|err| err.to_string())?;
    let outcome = db.open_outcome().clone();
    db.verify().map_err(|err| err.to_string())?;
    Ok((Chain::value(&db), outcome))
}

/// Damage to the newest slot of a closed file fell back to an older commit, or to a copy, without a word.
#[test]
fn a_damaged_byte_in_a_slot_of_a_closed_file_is_reported() {
    let (_, image) = small_file(true);
    assert_eq!(look(image.clone()), Ok((3, OpenOutcome::Clean)));
    for start in [0, 4096, 8192, mirror_at(&image)] {
        let length = match start {
            0 => 64,
            4096 | 8192 => 208,
            _ => 512,
        };
        for at in start..start + length {
            let mut damaged = image.clone();
            damaged[at] ^= 0x10;
            match look(damaged) {
                Ok((3, OpenOutcome::Recovered)) => {}
                // No copy is read while header and slots are whole.
                Ok((3, OpenOutcome::Clean)) if start == mirror_at(&image) => {}
                // The version is read before anything else, and its checksum may be another version's.
                Err(_) if start == 0 => {}
                found => panic!("byte {at}: {found:?}"),
            }
        }
    }
}

/// The same with both slots gone at once, where only the mirror is left, and with all three.
#[test]
fn damage_to_all_slots_of_a_closed_file_is_survived_by_the_mirror() {
    let (_, image) = small_file(true);
    let mut damaged = image.clone();
    damaged[4096 + 100] ^= 1;
    damaged[8192 + 100] ^= 1;
    assert_eq!(look(damaged.clone()), Ok((3, OpenOutcome::Recovered)));
    let mirror = mirror_at(&image);
    damaged[mirror + 300] ^= 1;
    match look(damaged) {
        Err(_) | Ok((_, OpenOutcome::RolledBack(_))) => {}
        found => panic!("{found:?}"),
    }
}

/// A file whose first sector was lost was taken for one whose creation had not finished, and laid out anew.
#[test]
fn a_lost_first_sector_is_not_taken_for_an_unfinished_creation() {
    for closed in [false, true] {
        let (_, mut image) = small_file(closed);
        image[..4096].fill(0);
        let length = image.len();
        let backend = RecordingBackend::from_image(image);
        let found = Builder::new().create_with_backend(backend.clone()).map(|db| Chain::value(&db));
        match found {
            Ok(value) => assert_eq!(value, 3),
            Err(_) => assert_eq!(backend.contents().len(), length),
        }
    }
}

/// A page of a closed file's last commit was damaged: the file is not rolled back, and what cannot be read is an error.
#[test]
fn a_damaged_page_of_a_closed_file_is_an_error_and_never_an_older_commit() {
    let (_, image) = small_file(true);
    let mut errors = 0;
    for page in 3..image.len() / 4096 {
        let mut damaged = image.clone();
        damaged[page * 4096 + 40] ^= 1;
        match look(damaged) {
            Ok((3, OpenOutcome::Clean | OpenOutcome::Recovered)) => {}
            Ok(found) => panic!("page {page}: {found:?}"),
            Err(_) => errors += 1,
        }
    }
    assert!(errors > 10, "{errors}");
}

/// The same of an unclean file: "rolled back" is said, and the commit before is whole.
#[test]
fn a_damaged_page_of_the_last_commit_of_an_unclean_file_is_rolled_back_and_reported() {
    let (before, image) = small_file(false);
    let mut rolled_back = 0;
    for page in 3..image.len() / 4096 {
        let old = before.get(page * 4096..(page + 1) * 4096);
        let last = old != Some(&image[page * 4096..(page + 1) * 4096]);
        let mut damaged = image.clone();
        damaged[page * 4096] ^= 1;
        match look(damaged) {
            Ok((3, OpenOutcome::Recovered)) => {}
            Ok((2, OpenOutcome::RolledBack(_))) if last => rolled_back += 1,
            Err(_) if !last => {}
            found => panic!("page {page}, of the last commit: {last}: {found:?}"),
        }
    }
    assert!(rolled_back > 3, "{rolled_back}");
}

/// The newest slot of an unclean file is read from the mirror; with both gone the opening says that it went back.
#[test]
fn a_lost_newest_slot_of_an_unclean_file_is_found_or_reported() {
    let (_, image) = small_file(false);
    let newest = 4096 * (1 + newest_slot(&image));
    let mut damaged = image.clone();
    damaged[newest + 20] ^= 1;
    assert_eq!(look(damaged.clone()), Ok((3, OpenOutcome::Recovered)));
    let mirror = mirror_at(&image);
    damaged[mirror + 20] ^= 1;
    match look(damaged) {
        Ok((2, OpenOutcome::RolledBack(_))) => {}
        found => panic!("{found:?}"),
    }
}

// ---- 7: mirrors in wrong places -----------------------------------------------------------------------------------

/// A forged mirror that stands at the page it names.
fn forge(image: &[u8], page: usize) -> Vec<u8> {
    let mut forged = image[mirror_at(image)..][..512].to_vec();
    forged[72..76].copy_from_slice(&(page as u32).to_le_bytes());
    forged[76..80].copy_from_slice(&(page as u32 + 1).to_le_bytes());
    let sum = xxh3_128(&forged[..496]);
    forged[496..512].copy_from_slice(&sum.to_le_bytes());
    forged
}

/// The image of an old mirror, stored as a user's value at the very page that it names, was taken for the mirror.
#[test]
fn a_mirror_that_a_user_stored_is_not_believed() {
    let build = |value: &[u8]| {
        let backend = RecordingBackend::new();
        let db = Builder::new().create_with_backend(backend.clone()).unwrap();
        put(&db, OTHER, 0..1, &[1; 10], Durability::Immediate);
        put(&db, ROWS, 0..1, &[0x5C; 64 * 4096], Durability::Immediate);
        put(&db, OTHER, 0..1, &[2; 10], Durability::Immediate);
        put(&db, ROWS, 0..1, value, Durability::Immediate);
        put(&db, OTHER, 0..1, &[3; 10], Durability::Immediate);
        drop(db.begin_write().unwrap());
        backend.contents()
    };
    let plain = build(&[0xC5; 64 * 4096]);
    let run = (0..plain.len() / 4096).find(|page| plain[page * 4096..(page + 1) * 4096] == [0xC5; 4096]).unwrap();
    let value: Vec<u8> = (0..64)
        .flat_map(|at| {
            let mut page = forge(&plain, run + at);
            page.resize(4096, 0);
            page
        })
        .collect();
    let image = build(&value);
    assert_eq!(image[run * 4096..(run + 64) * 4096], value[..], "the run lies elsewhere");
    let check = |image: Vec<u8>, what: &str| {
        let db = Builder::new().create_with_backend(RecordingBackend::from_image(image)).unwrap();
        all_rows_are(&db, OTHER, 1, &[3; 10]);
        all_rows_are(&db, ROWS, 1, &value);
        db.verify().unwrap_or_else(|err| panic!("{what}: {err}"));
    };
    check(image.clone(), "whole");
    let mut damaged = image.clone();
    damaged[4096 * (1 + newest_slot(&image)) + 9] ^= 1;
    check(damaged, "newest slot damaged");
    let mut damaged = image.clone();
    damaged[20] ^= 1;
    check(damaged, "header damaged");
    let mut longer = image.clone();
    longer.resize(image.len() + 5 * 4096, 0);
    longer[4096 * (1 + newest_slot(&image)) + 9] ^= 1;
    check(longer, "newest slot damaged after growth");
}

/// The file had grown past its mirror when the process died: the stale mirror in its middle was not found, or the file
/// was cut there.
#[test]
fn a_stale_mirror_in_the_middle_of_the_file_does_no_harm() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    put(&db, ROWS, 0..50, &[1; 100], Durability::Immediate);
    let small = backend.contents();
    for round in 2..5 {
        put(&db, ROWS, 0..50 * u64::from(round), &[round; 3000], Durability::Immediate);
    }
    let mut image = backend.contents();
    let stale = mirror_at(&small);
    assert!(stale < mirror_at(&image));
    // The page of the stale mirror is free, or in use by now: where it is free it may still hold the old bytes.
    let check = |image: Vec<u8>| {
        let db = Builder::new().create_with_backend(RecordingBackend::from_image(image)).unwrap();
        all_rows_are(&db, ROWS, 200, &[4; 3000]);
        db.verify().unwrap();
    };
    check(image.clone());
    let end = image.len();
    image.extend_from_slice(&vec![0; 10 * 4096]);
    let late = forge(&small, end / 4096 + 2);
    image[end + 2 * 4096..][..512].copy_from_slice(&late);
    check(image.clone());
    let newest = 4096 * (1 + newest_slot(&image));
    image[newest + 9] ^= 1;
    let db = Builder::new().create_with_backend(RecordingBackend::from_image(image)).unwrap();
    // Whether the newest commit is found or not, the file must not become the old one.
    let rows = db.begin_read().unwrap().open_table(ROWS).unwrap();
    let value = rows.get(0).unwrap().unwrap().value().to_vec();
    assert!(value == [4; 3000] || (value == [3; 3000] && matches!(db.open_outcome(), OpenOutcome::RolledBack(_))));
}

// ---- 12: publication ----------------------------------------------------------------------------------------------

/// A reader that began between the publication of a commit and the evaluation of the snapshots saw pages that were freed
/// under it, or the roots of two commits.
#[test]
fn readers_that_begin_while_commits_are_published_see_whole_snapshots() {
    let db =
        Builder::new().set_page_size(512).set_cache_size(100_000).create_with_backend(RecordingBackend::new()).unwrap();
    let transfer = |round: u64| {
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(if round.is_multiple_of(8) { Durability::Immediate } else { Durability::None }).unwrap();
        {
            let mut left = txn.open_table(LEFT).unwrap();
            let mut right = txn.open_table(RIGHT).unwrap();
            for key in 0..50 {
                let amount = (round * 31 + key * 17) as i64 % 1000;
                left.insert(key, amount).unwrap();
                right.insert(key, 1000 - amount).unwrap();
            }
        }
        txn.commit().unwrap();
    };
    transfer(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let txn = db.begin_read().unwrap();
                    let left = txn.open_table(LEFT).unwrap();
                    let right = txn.open_table(RIGHT).unwrap();
                    let mut sum = 0;
                    for (a, b) in left.iter().unwrap().zip(right.iter().unwrap()) {
                        let (a, b) = (a.unwrap().1.value(), b.unwrap().1.value());
                        assert_eq!(a + b, 1000);
                        sum += a + b;
                    }
                    assert_eq!(sum, 50_000);
                }
            });
        }
        for round in 1..2000 * scale() {
            transfer(round);
        }
        done.store(true, Ordering::Relaxed);
    });
    db.verify().unwrap();
}

// ---- 15: keys -----------------------------------------------------------------------------------------------------

fn long_key(length: usize, at: u64) -> Vec<u8> {
    let mut key = vec![b'x'; length];
    key[length - 8..].copy_from_slice(&at.to_be_bytes());
    key
}

/// A key that does not fit the page, deleted while a branch still had it as a separator: the branch's copy was freed
/// with it, or never.
#[test]
fn long_keys_are_deleted_while_they_are_separators() {
    for (page, length, count) in [(4096, 3 << 10, 400), (512, 300, 600), (4096, 1 << 20, 12), (65_536, 1 << 20, 12)] {
        let db = Builder::new().set_page_size(page).create_with_backend(RecordingBackend::new()).unwrap();
        put(&db, ROWS, 0..1, &[0], Durability::Immediate);
        put(&db, ROWS, 0..1, &[1], Durability::Immediate);
        let base = db.verify().unwrap();
        for order in 0..3 {
            let mut txn = db.begin_write().unwrap();
            txn.set_durability(Durability::None).unwrap();
            {
                let mut keys = txn.open_table(KEYS).unwrap();
                for at in 0..count {
                    keys.insert(&long_key(length, at)[..], at).unwrap();
                }
            }
            txn.commit().unwrap();
            db.verify().unwrap();
            let mut model: Vec<u64> = (0..count).collect();
            match order {
                0 => {}
                1 => model.reverse(),
                _ => Rng::new(7).shuffle(&mut model),
            }
            for half in model.chunks(model.len().div_ceil(3)) {
                let txn = db.begin_write().unwrap();
                {
                    let mut keys = txn.open_table(KEYS).unwrap();
                    for at in half {
                        let old = keys.remove(&long_key(length, *at)[..]).unwrap();
                        assert_eq!(old.map(|old| old.value()), Some(*at), "page {page}, key of {length}");
                        assert!(keys.get(&long_key(length, *at)[..]).unwrap().is_none());
                    }
                    let left = keys.iter().unwrap().map(|row| row.unwrap().1.value()).collect::<Vec<_>>();
                    assert!(left.is_sorted());
                    assert_eq!(left.len() as u64, keys.len().unwrap());
                    for at in left {
                        assert_eq!(keys.get(&long_key(length, at)[..]).unwrap().map(|value| value.value()), Some(at));
                    }
                }
                txn.commit().unwrap();
                db.verify().unwrap();
            }
        }
        put(&db, ROWS, 0..1, &[2], Durability::Immediate);
        put(&db, ROWS, 0..1, &[3], Durability::Immediate);
        let after = db.verify().unwrap();
        assert!(after.linked_pages <= base.linked_pages + 1, "{base:?} became {after:?}");
        assert!(after.kept_pages <= base.kept_pages + 2, "{base:?} became {after:?}");
    }
}

/// A page of 64 KiB with very small entries overflowed a 16-bit count or offset.
#[test]
fn as_many_tiny_rows_as_there_are_fit_pages_of_64_kib() {
    const WIDE: TableDefinition<u16, ()> = TableDefinition::new("wide");
    const BYTES: TableDefinition<&[u8], ()> = TableDefinition::new("bytes");
    const ONE: TableDefinition<u32, u8> = TableDefinition::new("one");
    let db = Builder::new().set_page_size(65_536).create_with_backend(RecordingBackend::new()).unwrap();
    for round in 0..2 {
        let txn = db.begin_write().unwrap();
        {
            let mut wide = txn.open_table(WIDE).unwrap();
            let mut bytes = txn.open_table(BYTES).unwrap();
            let mut one = txn.open_table(ONE).unwrap();
            for at in 0..65_536_u32 {
                let at = if round == 0 { at } else { at.wrapping_mul(40_503) % 65_536 };
                wide.insert(at as u16, ()).unwrap();
                bytes.insert(&at.to_be_bytes()[2..], ()).unwrap();
                one.insert(at, at as u8).unwrap();
            }
            bytes.insert(&[][..], ()).unwrap();
            (0..=255).for_each(|byte| drop(bytes.insert(&[byte][..], ()).unwrap()));
        }
        txn.commit().unwrap();
        db.verify().unwrap();
        let txn = db.begin_write().unwrap();
        {
            let mut wide = txn.open_table(WIDE).unwrap();
            let mut bytes = txn.open_table(BYTES).unwrap();
            let mut one = txn.open_table(ONE).unwrap();
            assert_eq!((wide.len().unwrap(), bytes.len().unwrap(), one.len().unwrap()), (65_536, 65_793, 65_536));
            assert!(wide.iter().unwrap().map(|row| row.unwrap().0.value()).eq(0..=u16::MAX));
            assert!(one.iter().unwrap().all(|row| row.map(|(key, value)| key.value() as u8 == value.value()).unwrap()));
            while wide.pop_last().unwrap().is_some() {}
            while bytes.pop_first().unwrap().is_some() {}
            (0..65_536).for_each(|at| assert!(one.remove(at).unwrap().is_some()));
        }
        txn.commit().unwrap();
        db.verify().unwrap();
    }
}

// ---- 16: the disk is full -----------------------------------------------------------------------------------------

/// A growth that failed left the book-keeping longer than the file, or poisoned the database although nothing had been
/// written.
#[test]
fn a_full_disk_fails_the_transaction_and_nothing_else() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    put(&db, ROWS, 0..100, &[1; 100], Durability::Immediate);
    let full = backend.contents().len() as u64;
    backend.limit(full);
    for _ in 0..2 {
        let txn = db.begin_write().unwrap();
        let failed = {
            let mut rows = txn.open_table(ROWS).unwrap();
            (0..1000).find_map(|key| rows.insert(key, &[2; 3000][..]).err())
        };
        assert!(matches!(failed, Some(StorageError::Io(_))), "{failed:?}");
        assert!(txn.commit().is_err());
        all_rows_are(&db, ROWS, 100, &[1; 100]);
        db.verify().unwrap();
        assert!(backend.contents().len() as u64 <= full);
    }
    backend.heal();
    put(&db, ROWS, 0..100, &[3; 3000], Durability::Immediate);
    all_rows_are(&db, ROWS, 100, &[3; 3000]);
    db.verify().unwrap();
    drop(db);
    assert_eq!(backend.violations(), [""; 0]);
    let db = Builder::new().create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
    assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
    all_rows_are(&db, ROWS, 100, &[3; 3000]);
}

/// The growth for the mirror failed within the commit.
#[test]
fn growth_may_fail_at_any_call_and_succeed_later() {
    for nth in 0..12 {
        let backend = RecordingBackend::new();
        let db = Builder::new().set_page_size(512).create_with_backend(backend.clone()).unwrap();
        put(&db, ROWS, 0..10, &[1; 100], Durability::Immediate);
        backend.inject(Fault { target: Target::SetLen, nth, count: 2, partial: false });
        let mut value = [1; 100];
        for round in 2..20_u8 {
            let txn = db.begin_write();
            let Ok(txn) = txn else { continue };
            let inserted = (|| {
                let mut rows = txn.open_table(ROWS).ok()?;
                (0..10).try_for_each(|key| rows.insert(key, &[round; 100][..]).ok().map(drop))?;
                rows.insert(u64::from(round) + 100, &vec![7; usize::from(round) * 700][..]).ok()?;
                (100..100 + u64::from(round)).for_each(|key| drop(rows.remove(key)));
                Some(())
            })();
            let ended = if inserted.is_some() { txn.commit().is_ok() } else { txn.abort().is_err() };
            if ended {
                value = [round; 100];
            }
            let rows = db.begin_read().unwrap().open_table(ROWS).unwrap();
            assert!((0..10).all(|key| rows.get(key).unwrap().unwrap().value() == value), "fault {nth}, round {round}");
            drop(rows);
            db.verify().unwrap();
        }
        assert!(backend.counters().set_lens >= nth + 2, "fault {nth} was met");
        assert_eq!(value, [19; 100], "the database is usable again");
        drop(db);
        let db = Builder::new().create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
        assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
        db.verify().unwrap();
    }
}

/// The opening commit needed to grow the file and could not; the next transaction took it for done, so that a crash was
/// not seen afterwards.
#[test]
fn an_opening_commit_that_fails_is_made_again() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    put(&db, ROWS, 0..200, &[1; 1000], Durability::Immediate);
    drop(db);
    // Without its last page, the mirror's, the file must grow before anything can be written.
    let mut image = backend.contents();
    image.truncate(image.len() - 4096);
    let full = image.len() as u64;
    let backend = RecordingBackend::from_image(image);
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    all_rows_are(&db, ROWS, 200, &[1; 1000]);
    backend.limit(full);
    for _ in 0..2 {
        assert!(db.begin_write().is_err());
    }
    backend.heal();
    let txn = db.begin_write().unwrap();
    let dirty = Builder::new().create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
    assert_eq!(*dirty.open_outcome(), OpenOutcome::Recovered);
    txn.open_table(ROWS).unwrap().insert(0, &[1; 1000][..]).unwrap();
    txn.commit().unwrap();
    all_rows_are(&db, ROWS, 200, &[1; 1000]);
    db.verify().unwrap();
}

/// After a failed sync a later sync that succeeds proves nothing: the database went on writing.
#[test]
fn after_a_failed_write_or_sync_nothing_more_is_written_until_reopening() {
    for target in [Target::Write, Target::Sync] {
        for nth in 0..3 {
            let backend = RecordingBackend::new();
            let db = Builder::new().create_with_backend(backend.clone()).unwrap();
            put(&db, ROWS, 0..100, &[1; 100], Durability::Immediate);
            backend.inject(Fault::once(target, nth));
            let mut failed = false;
            for round in 2..6 {
                let Ok(txn) = db.begin_write() else { continue };
                (0..100).for_each(|key| drop(txn.open_table(ROWS).unwrap().insert(key, &[round; 100][..]).unwrap()));
                let outcome = txn.commit();
                assert!(!failed || outcome.is_err());
                failed |= outcome.is_err();
            }
            assert!(failed);
            backend.take_counters();
            assert!(matches!(db.begin_write(), Err(sapwood::TransactionError::Storage(StorageError::PreviousIo))));
            assert!(matches!(db.verify(), Err(DatabaseError::Storage(StorageError::PreviousIo))));
            assert_eq!(db.begin_read().unwrap().open_table(ROWS).unwrap().len().unwrap(), 100);
            drop(db);
            let counters = backend.take_counters();
            assert_eq!((counters.writes, counters.syncs, counters.closes), (0, 0, 1));
            let db = Builder::new().create_with_backend(RecordingBackend::from_state(backend.kill())).unwrap();
            db.verify().unwrap();
            put(&db, ROWS, 0..100, &[9; 100], Durability::Immediate);
            all_rows_are(&db, ROWS, 100, &[9; 100]);
        }
    }
}

/// Of a long key a page has only the first 64 bytes. An inline key that begins with the same is longer than these, and
/// was taken for greater when their pages were merged.
#[test]
fn pages_merge_whose_long_and_inline_keys_begin_alike() {
    let db = Builder::new().create_with_backend(sapwood::backends::InMemoryBackend::new()).unwrap();
    let key = |nth: u32| {
        let mut key = vec![b'p'; 64];
        key.extend(nth.to_be_bytes());
        key.resize(if nth.is_multiple_of(3) { 2000 } else { 300 }, 0);
        key
    };
    let txn = db.begin_write().unwrap();
    for nth in 0..2000 {
        txn.open_table(KEYS).unwrap().insert(&*key(nth), u64::from(nth)).unwrap();
    }
    txn.commit().unwrap();
    let stays = |nth: &u32| nth.is_multiple_of(16);
    let txn = db.begin_write().unwrap();
    for nth in (0..2000).filter(|nth| !stays(nth)) {
        assert!(txn.open_table(KEYS).unwrap().remove(&*key(nth)).unwrap().is_some());
    }
    txn.commit().unwrap();
    let rows = db.begin_read().unwrap().open_table(KEYS).unwrap();
    let rows: Vec<_> =
        rows.iter().unwrap().map(|row| row.map(|(key, nth)| (key.value().to_vec(), nth.value())).unwrap()).collect();
    let expected: Vec<_> = (0..2000).filter(stays).map(|nth| (key(nth), u64::from(nth))).collect();
    assert_eq!(rows, expected);
    db.verify().unwrap();
}
