//! The checker: what is wrong is named, each table by name, and what is right is counted all the same.
#![cfg(feature = "std")]

mod common;

use common::forge::{ARRAYS, At, Forge, NUMBERS, PAGE, SLOTS, builder, u16_at, u32_at};
use common::image::Image;
use common::kinds::{contents, fill, thin_out};
use common::rng::Rng;
use sapwood::{
    Database, DatabaseError, Durability, IntegrityReport, OpenOutcome, ReadOnlyDatabase, ReadableDatabase,
    ReadableTableMetadata, StorageBackend, StorageError, TableDefinition, VerifyLevel,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const LEVELS: [VerifyLevel; 3] = [VerifyLevel::Structure, VerifyLevel::Pages, VerifyLevel::Rows];
/// Rows of the tables of a forge.
const ROWS: u64 = 450 + 18 + 10 + 2 * (60 + 1 + 2 + 3 + 5 + 6 + 7 + 8) + 8;

fn open(bytes: &[u8]) -> Database {
    builder().create_with_backend(Image::new(bytes.to_vec())).unwrap()
}

fn check(bytes: &[u8], level: VerifyLevel) -> IntegrityReport {
    open(bytes).verify_integrity(level).unwrap()
}

fn is_corrupted<T>(outcome: Result<T, DatabaseError>) -> bool {
    matches!(outcome, Err(DatabaseError::Storage(StorageError::Corrupted(_))))
}

/// Which table each page of a file belongs to, the list of tables to none; by a walk of the test's own.
fn owners(forge: &Forge) -> BTreeMap<u64, Option<&'static str>> {
    let mut owners = BTreeMap::new();
    let root = At::Whole(SLOTS[0] + 40);
    // The rows of the catalog are in the order of names.
    let mut tables = ["names", "numbers", "packed", "tags", "texts"].into_iter();
    let mut waiting = vec![(root, None)];
    while let Some((at, owner)) = waiting.pop() {
        let start = forge.target(at).unwrap();
        owners.insert((start / PAGE) as u64, owner);
        let below = if forge.is_run(at) { Vec::new() } else { forge.pointers_in(start) };
        let is_root = |at: &At| owner.is_none() && matches!(at, At::Whole(_));
        let below: Vec<_> = below.iter().map(|at| (*at, if is_root(at) { tables.next() } else { owner })).collect();
        waiting.extend(below.into_iter().rev());
    }
    assert!(tables.next().is_none());
    owners
}

/// Rows in and below a page, as the pointer to it says; a run is of one row at most.
fn rows_at(forge: &Forge, page: u64) -> u64 {
    let at = forge.find(|_, _, target| target == page as usize * PAGE)[0];
    if forge.is_run(at) { 0 } else { forge.number_at(at.size()) }
}

#[test]
fn a_sound_file_is_clean_at_every_level() {
    for forge in [Forge::new(), Forge::without_savepoints()] {
        let reports = LEVELS.map(|level| check(&forge.bytes, level));
        for (report, level) in reports.iter().zip(LEVELS) {
            assert!(report.is_clean() && report.level == level, "{report:?}");
            assert_eq!((report.rows, report.tables), (ROWS, 5));
            assert_eq!((report.pages, report.runs), (reports[0].pages, reports[0].runs));
        }
        assert!(reports[0].runs > 9);
    }
    let empty = builder().create_with_backend(Image::default()).unwrap();
    let report = empty.verify_integrity(VerifyLevel::Rows).unwrap();
    assert!(report.is_clean() && report.tables + report.rows + report.pages == 0);
}

#[test]
fn a_damaged_byte_is_found_in_its_page_and_table() {
    let whole = Forge::without_savepoints();
    let owners = owners(&whole);
    let mut named = BTreeSet::new();
    for (&page, &owner) in &owners {
        let mut bytes = whole.bytes.clone();
        bytes[page as usize * PAGE + 30] ^= 0x40;
        for level in LEVELS {
            let report = check(&bytes, level);
            let at = whole.find(|_, _, target| target == page as usize * PAGE)[0];
            let leads_on = !whole.is_run(at) && (bytes[page as usize * PAGE] == 2 || bytes[at.flags()] & 2 != 0);
            if level == VerifyLevel::Structure && !leads_on && owner.is_some() {
                assert!(report.is_clean(), "page {page}: {report:?}");
                continue;
            }
            assert!(report.complete && !report.is_clean());
            let [finding] = &report.findings[..] else { panic!("page {page}: {report:?}") };
            assert_eq!((finding.page, finding.table.as_deref()), (Some(page), owner), "{finding}");
            assert!(finding.to_string().contains(&page.to_string()), "{finding}");
            assert_eq!(report.finding_count, 1);
            // All but what is below was counted.
            let lost = if owner.is_some() { rows_at(&whole, page) } else { ROWS - report.rows };
            assert_eq!(report.rows + lost, ROWS, "page {page}");
            named.insert(owner);
        }
        assert!(open(&bytes).verify().is_err());
    }
    assert_eq!(named.len(), 6);
}

#[test]
fn damaged_copies_are_found() {
    let whole = Forge::new();
    let mirror = whole.bytes.len() - PAGE;
    for (offset, what) in [
        (3, "header"),
        (40, "header"),
        (SLOTS[0] + 60, "slot"),
        (SLOTS[1] + 60, "slot"),
        (mirror + 9, "mirror"),
        (mirror + 100, "mirror"),
    ] {
        let image = Image::new(whole.bytes.clone());
        let db = builder().create_with_backend(image.clone()).unwrap();
        image.write(offset as u64, &[!whole.bytes[offset]]).unwrap();
        for level in LEVELS {
            let report = db.verify_integrity(level).unwrap();
            let [finding] = &report.findings[..] else { panic!("{offset}: {report:?}") };
            assert!(finding.what.contains(what) && finding.page.is_none(), "{offset}: {finding}");
            assert_eq!(report.rows, ROWS);
        }
        image.write(offset as u64, &[whole.bytes[offset]]).unwrap();
        assert!(db.verify_integrity(VerifyLevel::Structure).unwrap().is_clean());
        // And of one that is being written.
        let txn = db.begin_write().unwrap();
        txn.open_table(NUMBERS).unwrap().insert(5000, &[][..]).unwrap();
        txn.commit().unwrap();
        let bytes = image.bytes();
        let offset = if offset < mirror { offset } else { bytes.len() - PAGE + offset - mirror };
        image.write(offset as u64, &[!bytes[offset]]).unwrap();
        let report = db.verify_integrity(VerifyLevel::Structure).unwrap();
        assert_eq!(report.finding_count, 1, "{offset}: {report:?}");
    }
    // What a crash leaves is no damage.
    let image = Image::new(whole.bytes);
    let db = builder().create_with_backend(image.clone()).unwrap();
    fill(&db, &mut Rng::new(1), 30, 256);
    let mut crashed = image.bytes();
    let end = crashed.len();
    crashed[end - PAGE..].fill(0);
    let db = open(&crashed);
    assert_eq!(*db.open_outcome(), OpenOutcome::Recovered);
    assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
}

/// A closed file with a change, its checksums right.
fn forged(change: impl FnOnce(&mut Forge)) -> Vec<u8> {
    let mut forge = Forge::without_savepoints();
    change(&mut forge);
    forge.fix();
    forge.bytes
}

/// The first page of a table that is of this kind, and has or lacks flags.
fn page_of(forge: &Forge, table: &str, kind: u8, flags: u8, without: u8) -> usize {
    let owners = owners(forge);
    let pages = owners.iter().filter(|(_, owner)| **owner == Some(table)).map(|(page, _)| *page as usize * PAGE);
    let is_run = |page: usize| forge.is_run(forge.find(|_, _, target| target == page)[0]);
    let wanted = |page: &usize| {
        let [found, own, ..] = forge.bytes[*page..] else { return false };
        !is_run(*page)
            && found == kind
            && own & flags == flags
            && own & without == 0
            && u16_at(&forge.bytes, page + 2) > 1
    };
    pages.into_iter().find(wanted).unwrap()
}

/// Findings must be there from a level on, of a table.
fn found_from(bytes: &[u8], from: VerifyLevel, table: &str, what: &str) {
    for level in LEVELS {
        let report = check(bytes, level);
        assert_eq!(report.is_clean(), level < from, "{what} at {level:?}: {report:?}");
        let named = report.findings.iter().all(|finding| finding.table.as_deref() == Some(table));
        assert!(named && report.complete, "{report:?}");
        assert!(level < from || report.findings.iter().any(|finding| finding.what.contains(what)), "{report:?}");
    }
    assert!(is_corrupted(open(bytes).verify()));
}

#[test]
fn forged_files_are_found_at_the_level_that_promises_it() {
    // Row counts: of a branch at once, of a leaf when it is read.
    let branch = |forge: &Forge| page_of(forge, "numbers", 2, 0, 0);
    let bytes = forged(|forge| {
        let child = forge.child(branch(forge), 0);
        forge.put_number(child.size(), forge.number_at(child.size()) + 1);
    });
    found_from(&bytes, VerifyLevel::Structure, "numbers", "number of rows");
    // Two leaves change places: right checksums and counts, wrong order across pages.
    let bytes = forged(|forge| {
        let owners = owners(forge);
        let branches = forge.find(|forge, _, target| forge.bytes[target] == 2 && forge.bytes[target + 5] == 1);
        let mut pages = branches.iter().map(|at| forge.target(*at).unwrap());
        let page = pages.find(|page| owners[&((page / PAGE) as u64)] == Some("numbers")).unwrap();
        let [one, next] = [0, 1].map(|nth| forge.child(page, nth));
        let (At::Child { number, link }, before) = (next, forge.clone()) else { unreachable!() };
        forge.copy_pointer(one, next);
        let moved = [&forge.bytes[number..number + 4], &forge.bytes[link..link + 30]].concat();
        forge.bytes = before.bytes;
        forge.copy_pointer(next, one);
        forge.put(number, &moved[..4]);
        forge.put(link, &moved[4..]);
    });
    found_from(&bytes, VerifyLevel::Rows, "numbers", "separators");
    // A page that is linked twice.
    let bytes = forged(|forge| {
        let page = branch(forge);
        forge.copy_pointer(forge.child(page, 0), forge.child(page, 1));
    });
    let report = check(&bytes, VerifyLevel::Structure);
    assert!(report.findings.iter().any(|finding| finding.what.contains("twice")), "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.table.as_deref() == Some("numbers")));
}

#[test]
fn a_name_that_is_too_long_for_a_table_is_not_repeated() {
    let image = Image::default();
    let db = builder().create_with_backend(image.clone()).unwrap();
    let name = "n".repeat(4096);
    let txn = db.begin_write().unwrap();
    txn.open_table(TableDefinition::<u64, u64>::new(&name)).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
    drop(db);
    let mut forge = Forge { bytes: image.bytes() };
    assert!(check(&forge.bytes, VerifyLevel::Rows).is_clean());
    let key = forge.find(|forge, at, _| forge.is_run(at) && forge.number_at(at.size()) == 4096 + 2)[0];
    // To the end of the key's last page, where zeros are.
    forge.put_number(key.size(), 9 * PAGE as u64);
    forge.fix();
    let report = check(&forge.bytes, VerifyLevel::Structure);
    let found = &report.findings[0];
    assert!(found.table.is_none() && found.what.contains("about no table"), "{found:?}");
}

/// Where the slots of a leaf are, the first two records, and their heads.
fn first_records(forge: &Forge, page: usize) -> (usize, [usize; 2], [usize; 2]) {
    let count = u16_at(&forge.bytes, page + 2);
    let slot = |nth: usize| page + ARRAYS + 8 * count + 4 * nth;
    (slot(0), [0, 1].map(|nth| page + u16_at(&forge.bytes, slot(nth))), [page + ARRAYS, page + ARRAYS + 8])
}

/// Makes the second key of a leaf, whose slots have two words, the same as the first.
fn double_first_key(forge: &mut Forge, page: usize, length: usize) {
    let (_, [one, next], [head, next_head]) = first_records(forge, page);
    forge.bytes.copy_within(one..one + length, next);
    forge.bytes.copy_within(head..head + 8, next_head);
}

#[test]
fn keys_out_of_order_are_found_by_their_bytes() {
    // A leaf of a set's tree, whose members have three digits.
    let texts = forged(|forge| {
        let owners = owners(forge);
        let mut pages =
            owners.iter().filter(|(_, owner)| **owner == Some("names")).map(|(page, _)| *page as usize * PAGE);
        let is_leaf = |page: &usize| {
            let (kind, flags) = (forge.bytes[*page], forge.bytes[page + 1]);
            let is_run = forge.is_run(forge.find(|_, _, target| target == *page)[0]);
            !is_run
                && kind == 1
                && flags & (2 | 16) == 2
                && u16_at(&forge.bytes, first_records(forge, *page).0 + 2) == 3
        };
        let page = pages.find(is_leaf).unwrap();
        double_first_key(forge, page, 3);
    });
    found_from(&texts, VerifyLevel::Rows, "names", "out of order");
    // Of numbers a page has no more than heads, and equal ones may be of different keys.
    let numbers = forged(|forge| {
        let page = page_of(forge, "numbers", 1, 1, 0);
        double_first_key(forge, page, 8);
    });
    assert!(check(&numbers, VerifyLevel::Rows).is_clean());
}

#[test]
fn a_value_that_is_in_a_set_twice_is_found() {
    let bytes = forged(|forge| {
        let page = page_of(forge, "tags", 1, 16 | 32, 0);
        let (start, _) = forge.sets_in(page).into_iter().find(|(_, length)| *length >= 16).unwrap();
        forge.bytes.copy_within(start..start + 8, start + 8);
    });
    found_from(&bytes, VerifyLevel::Rows, "tags", "twice");
}

#[cfg(feature = "lz4")]
#[test]
fn packed_bytes_that_make_no_value_are_found() {
    for length in [1_200_u32, 1_800] {
        let bytes = forged(|forge| {
            let packing = [&[1][..], &length.to_le_bytes()].concat();
            let page = page_of(forge, "packed", 1, 0, 0);
            let at = (page..page + PAGE).find(|at| forge.bytes[*at..].starts_with(&packing)).unwrap();
            forge.put(at + 1, &(length + 1).to_le_bytes());
        });
        found_from(&bytes, VerifyLevel::Rows, "packed", "packed");
    }
}

#[test]
fn damage_of_a_savepoint_is_found_and_its_rows_are_not_counted() {
    let whole = Forge::new();
    let own: BTreeSet<u64> = owners(&whole).into_keys().collect();
    let mut found = 0;
    for at in whole.pointers() {
        let page = (whole.target(at).unwrap() / PAGE) as u64;
        if own.contains(&page) {
            continue;
        }
        let mut bytes = whole.bytes.clone();
        bytes[page as usize * PAGE + 3] ^= 1;
        let report = check(&bytes, VerifyLevel::Pages);
        assert_eq!((report.rows, report.finding_count), (ROWS, 1), "page {page}: {report:?}");
        found += 1;
    }
    assert!(found > 10);
}

#[test]
fn damage_on_disk_is_found_though_the_page_is_in_memory_and_what_is_only_there_is_checked_there() {
    let image = Image::new(Forge::new().bytes);
    let db = builder().create_with_backend(image.clone()).unwrap();
    let rows = |db: &Database| db.begin_read().unwrap().open_table(NUMBERS).unwrap().len().unwrap();
    assert!(db.verify().is_ok());
    let forge = Forge { bytes: image.bytes() };
    let leaf = forge.find(|forge, at, target| !forge.is_run(at) && forge.bytes[target] == 1).pop().unwrap();
    let place = forge.target(leaf).unwrap() + 100;
    assert!(db.verify_integrity(VerifyLevel::Structure).unwrap().is_clean());
    image.write(place as u64, &[!forge.bytes[place]]).unwrap();
    assert_eq!(db.verify_integrity(VerifyLevel::Pages).unwrap().finding_count, 1);
    assert!(is_corrupted(db.verify()));
    image.write(place as u64, &[forge.bytes[place]]).unwrap();
    // A commit without durability is nowhere but in memory.
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(Durability::None).unwrap();
    for key in 0..400 {
        txn.open_table(NUMBERS).unwrap().insert(10_000 + key, &[1; 30][..]).unwrap();
    }
    txn.commit().unwrap();
    let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.rows, ROWS + rows(&db) - 450);
    // A page that cannot be read is one of many.
    image.fail_read(12);
    let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
    assert!(image.read_failed() && report.complete && report.finding_count == 1, "{report:?}");
    assert!(report.findings[0].what.contains("cannot be read"), "{report:?}");
}

#[test]
fn a_check_runs_beside_a_writer() {
    let db = builder().create_with_backend(Image::default()).unwrap();
    fill(&db, &mut Rng::new(3), 400, 256);
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = Rng::new(4);
            let mut ids = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                fill(&db, &mut rng, 400, 30);
                thin_out(&db, &mut rng, 230);
                let mut txn = db.begin_write().unwrap();
                txn.set_quick_repair(rng.chance(60));
                ids.push(txn.persistent_savepoint().unwrap());
                if ids.len() > 3 {
                    txn.delete_persistent_savepoint(ids.remove(0)).unwrap();
                }
                txn.commit().unwrap();
            }
        });
        for round in 0..60 * common::scale() {
            let report = db.verify_integrity(LEVELS[round as usize % 3]).unwrap();
            assert!(report.is_clean(), "{report:?}");
        }
        ends.store(true, Ordering::Relaxed);
    });
    let before = contents(&db.begin_read().unwrap());
    let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
    assert!(report.is_clean() && report.rows as usize > before.len());
    db.verify().unwrap();
}

#[test]
fn progress_is_told_and_ends_a_check() {
    let db = builder().create_with_backend(Image::default()).unwrap();
    fill(&db, &mut Rng::new(3), 3000, 256);
    let mut told = Vec::new();
    let report = db.verify_integrity_with(VerifyLevel::Rows, |progress| {
        told.push((progress.pages_checked, progress.file_pages));
        ControlFlow::Continue(())
    });
    assert!(report.unwrap().is_clean());
    assert!(told.len() > 4 && told[0].0 == 0 && told.is_sorted(), "{told:?}");
    assert!(told.iter().all(|(checked, all)| checked <= all));
    for most in 1..told.len() {
        let mut calls = 0;
        let report = db.verify_integrity_with(VerifyLevel::Pages, |_| {
            calls += 1;
            if calls == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let report = report.unwrap();
        assert!(!report.complete && !report.is_clean() && report.finding_count == 0 && calls == most);
    }
}

#[test]
fn findings_are_kept_up_to_a_limit() {
    let image = Image::default();
    let db = builder().create_with_backend(image.clone()).unwrap();
    fill(&db, &mut Rng::new(3), 9000, 256);
    drop(db);
    let forge = Forge { bytes: image.bytes() };
    let mut bytes = forge.bytes.clone();
    for page in 3..bytes.len() / PAGE - 1 {
        if bytes[page * PAGE] == 1 && bytes[page * PAGE + 1] & 8 == 0 {
            bytes[page * PAGE + 100] ^= 1;
        }
    }
    let report = check(&bytes, VerifyLevel::Pages);
    assert!(report.finding_count > 1000 && report.complete);
    assert_eq!(report.findings.len(), 1000);
}

#[test]
fn files_of_backups_are_checked_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let verify = |bytes: &[u8], level| {
        fs::write(&path, bytes).unwrap();
        Database::verify_backup(&path, level)
    };
    let db = open(&Forge::new().bytes);
    let mut streamed = Vec::new();
    db.backup_to(&mut streamed).unwrap();
    let copied = dir.path().join("copy");
    db.backup(&copied).unwrap();
    let copied = fs::read(copied).unwrap();
    for bytes in [&streamed, &copied, &Forge::new().bytes, &Forge::without_savepoints().bytes] {
        for level in LEVELS {
            let report = verify(bytes, level).unwrap();
            assert!(report.is_clean() && report.rows == ROWS, "{report:?}");
        }
        assert!(fs::read(&path).unwrap() == **bytes, "checking wrote");
        let read_only = ReadOnlyDatabase::open(&path).unwrap();
        assert!(read_only.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
        let stopped = read_only.verify_integrity_with(VerifyLevel::Rows, |_| ControlFlow::Break(()));
        assert!(!stopped.unwrap().complete);
        drop(read_only);
        // One byte too few, or a page too many, in what is otherwise whole.
        for length in [bytes.len() - 1, bytes.len() + PAGE] {
            let mut other = bytes.clone();
            other.resize(length, 0);
            let outcome = verify(&other, VerifyLevel::Structure);
            assert!(outcome.is_err() || !outcome.unwrap().is_clean());
        }
    }
    assert!(verify(&streamed[..streamed.len() - PAGE], VerifyLevel::Pages).is_err());
    // The saved free map and every page count.
    let mut missed = 0;
    for page in 3..copied.len() / PAGE - 1 {
        let mut bytes = copied.clone();
        bytes[page * PAGE + 1] ^= 1;
        missed += usize::from(verify(&bytes, VerifyLevel::Pages).unwrap().is_clean());
    }
    assert_eq!(missed, 0);
    // A file as its database has it while it is open.
    let image = Image::new(copied);
    let db = builder().create_with_backend(image.clone()).unwrap();
    db.verify().unwrap();
    let report = verify(&image.bytes(), VerifyLevel::Rows).unwrap();
    assert!(report.findings.iter().any(|finding| finding.what.contains("closed")), "{report:?}");
    fs::remove_file(&path).unwrap();
    let missing = Database::verify_backup(&path, VerifyLevel::Rows);
    assert!(matches!(missing, Err(DatabaseError::Storage(StorageError::Io(err))) if err.kind() == ErrorKind::NotFound));
}

/// A bit of the saved free map, its checksum right: a page is lost, or given away.
#[test]
fn a_wrong_record_of_free_pages_is_found() {
    for set in [true, false] {
        let bytes = forged(|forge| {
            let saved = At::Whole(SLOTS[0] + 128);
            let start = u32_at(&forge.bytes, saved.number()) as usize * PAGE;
            let pages = forge.bytes.len() / PAGE;
            let is_set = |page: &usize| forge.bytes[start + 16 + page / 8] >> (page % 8) & 1 != 0;
            let page = (3..pages - 1).find(|page| is_set(page) != set).unwrap();
            forge.bytes[start + 16 + page / 8] ^= 1 << (page % 8);
            let length = forge.number_at(saved.size()) as usize;
            let checksum = xxhash_rust::xxh3::xxh3_128(&forge.bytes[start..start + length]).to_le_bytes();
            SLOTS.iter().for_each(|slot| forge.put(At::Whole(slot + 128).checksum(), &checksum));
        });
        let report = check(&bytes, VerifyLevel::Structure);
        assert_eq!(report.finding_count, 1, "{report:?}");
        let what = if set { "lost" } else { "free" };
        assert!(report.findings[0].what.contains(what), "{report:?}");
    }
}

#[test]
fn a_read_that_fails_once_does_not_make_a_check_pass_over_savepoints() {
    let bytes = Forge::new().bytes;
    for level in LEVELS {
        for nth in 1.. {
            let image = Image::new(bytes.clone());
            let db = builder().create_with_backend(image.clone()).unwrap();
            image.fail_read(nth);
            let outcome = db.verify_integrity(level);
            if !image.read_failed() {
                assert!(nth > 3 && outcome.unwrap().is_clean());
                break;
            }
            let Ok(report) = outcome else { continue };
            // A key that is read for its order alone is read again.
            let told = |what: &str| what.contains("cannot be read") || what.contains("saved free map");
            let others = report.findings.iter().find(|finding| !told(&finding.what));
            assert!(others.is_none() && report.finding_count < 2, "read {nth} at {level:?}: {report:?}");
        }
    }
}
