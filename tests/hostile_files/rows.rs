//! Files whose trees are right and whose rows make no sense: those of the system tree, which say what was and what was
//! logged, and those of TTL tables and their indexes.

use super::leaf::{Leaf, REFERENCE, RUN, Row, SUBTREE};
use super::{Image, ROW_LIMIT, SLOT_SIZE, le, measured, seal, u32_at};
use crate::common::batch;
use crate::common::clock::Hand;
use sapwood::{
    Builder, CdcConfig, CdcMode, ChangePosition, CompactOptions, Database, Error, ReadTransaction, ReadableDatabase,
    ReadableTable, ReadableTableMetadata, ReadableTtlTable, TableDefinition, TtlTable, TtlTableDefinition, VerifyLevel,
    WriteTransaction,
};
use std::ops::ControlFlow;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

const PAGE: usize = 4096;
const SLOTS: [usize; 2] = [PAGE, 2 * PAGE];
const DATA: usize = 40;
const SYSTEM: usize = 80;
const ROWS: TableDefinition<&str, &str> = TableDefinition::new("rows");
const FADING: TtlTableDefinition<&str, &str> = TtlTableDefinition::new("fading");
const NOW: u64 = 5_000;
const BATCH: usize = 500;

fn builder(bounded: bool) -> Builder {
    let clock = Hand::default();
    clock.set(NOW);
    let mut builder = Builder::new();
    builder.set_cache_size(1 << 16).set_clock(clock);
    if bounded {
        // Old rows are let go by the next commit.
        builder.set_history_retention(1);
        builder.set_cdc(CdcConfig::new(CdcMode::OldAndNew).with_max_transactions(1));
    }
    builder
}

/// A small file, each of whose trees is one leaf, with rows of every sort.
#[derive(Clone)]
struct File {
    bytes: Vec<u8>,
    system: Leaf,
    catalog: Leaf,
    rows: Leaf,
    index: Leaf,
}

/// A row of the catalog: 1 is that of a table's root, 2 that of its index.
fn catalog_key(part: u8) -> Vec<u8> {
    [&[1], FADING_NAME, &[part]].concat()
}

const FADING_NAME: &[u8] = b"fading";

impl File {
    fn new() -> Self {
        let (image, clock) = (Image::default(), Hand::default());
        let mut builder = builder(false);
        builder.set_clock(clock.clone()).set_history_retention(20);
        builder.set_cdc(CdcConfig::new(CdcMode::OldAndNew).with_max_transactions(3));
        let db = builder.create_with_backend(image.clone()).unwrap();
        for round in 0..5_u64 {
            clock.set(1_000 + 500 * round);
            let mut txn = db.begin_write().unwrap();
            if round == 4 {
                txn.persistent_savepoint().unwrap();
            }
            if round == 2 {
                txn.set_table_cdc("other", Some(CdcMode::Keys)).unwrap();
                txn.hold_cdc_cursor("slow", false).unwrap();
                let oldest = db.transaction_history().unwrap()[0].transaction_id;
                txn.pin_history("kept", oldest).unwrap();
            }
            {
                let mut rows = txn.open_table(ROWS).unwrap();
                rows.insert("oak", &*format!("rings: {round}")).unwrap();
                let mut fading = txn.open_ttl_table(FADING).unwrap();
                for key in ["ash", "elm", "fir"] {
                    let ttl = Duration::from_millis(1_000 * (1 + round));
                    fading.insert_with_ttl(&*format!("{key}{round}"), key, ttl).unwrap();
                }
                fading.insert(&*format!("yew{round}"), "never").unwrap();
            }
            txn.commit().unwrap();
        }
        drop(db);
        Self::parse(image.bytes())
    }

    fn parse(bytes: Vec<u8>) -> Self {
        let leaf = |pointer: &[u8]| {
            let page = u32_at(pointer, 0) as usize * PAGE;
            Leaf::parse(&bytes[page..page + PAGE])
        };
        let catalog = leaf(&bytes[SLOTS[0] + DATA..]);
        let root = |part| &catalog.rows.iter().find(|row| row.key == catalog_key(part)).unwrap().value;
        let (rows, index) = (leaf(root(1)), leaf(root(2)));
        let system = leaf(&bytes[SLOTS[0] + SYSTEM..]);
        Self { bytes, system, catalog, rows, index }
    }

    /// Whether every pointer in a row is one of another file's rows.
    fn points_as(&self, other: &Self) -> bool {
        let rows = |file: &Self| [&file.system.rows[..], &file.catalog.rows].concat();
        let known = rows(other);
        let named = |row: &Row| known.iter().any(|known| (known.code, &known.value) == (row.code, &row.value));
        rows(self).iter().filter(|row| row.code.is_some()).all(named)
    }

    /// The page and the pointer that names it, unless that is forged to name none.
    fn put_leaf(bytes: &mut [u8], leaf: &Leaf, pointer: &mut [u8]) {
        let start = pointer.first_chunk().map_or(0, |number| u32::from_le_bytes(*number)) as usize * PAGE;
        let page = leaf.page(PAGE);
        if start == 0 || start + PAGE > bytes.len() || pointer.len() != 40 {
            return;
        }
        pointer[16..32].copy_from_slice(&xxh3_128(&page).to_le_bytes());
        pointer[32..40].copy_from_slice(&le(Leaf::parse(&page).rows.len() as u64));
        bytes[start..start + PAGE].copy_from_slice(&page);
    }

    /// The file, all its checksums right. What is not closed is looked at as a whole by who opens it.
    fn forged(mut self, closed: bool) -> Vec<u8> {
        let mut bytes = self.bytes;
        for (part, leaf) in [(1, &self.rows), (2, &self.index)] {
            if let Some(row) = self.catalog.rows.iter_mut().find(|row| row.key == catalog_key(part)) {
                Self::put_leaf(&mut bytes, leaf, &mut row.value);
            }
        }
        let mut slot = bytes[SLOTS[0]..SLOTS[0] + SLOT_SIZE].to_vec();
        let before = slot[DATA + 16..DATA + 40].to_vec();
        Self::put_leaf(&mut bytes, &self.catalog, &mut slot[DATA..DATA + 40]);
        // The newest commit of the history is the one that the slot names.
        let newest = self.system.rows.iter_mut().filter(|row| row.value.get(16..40) == Some(&before));
        newest.for_each(|row| row.value[16..40].copy_from_slice(&slot[DATA + 16..DATA + 40]));
        Self::put_leaf(&mut bytes, &self.system, &mut slot[SYSTEM..SYSTEM + 40]);
        if !closed {
            slot[4..8].fill(0);
            slot[32..40].fill(0);
        }
        seal(&mut slot);
        let mirror = bytes.len() - PAGE;
        for at in [SLOTS[0], SLOTS[1], mirror + 80, mirror + 288] {
            bytes[at..at + SLOT_SIZE].copy_from_slice(&slot);
        }
        seal(&mut bytes[mirror..mirror + 512]);
        bytes
    }
}

/// What is put in the place of numbers.
const NUMBERS: [u64; 7] = [0, 1, 9, NOW, 1 << 56, u64::MAX - 1, u64::MAX];

/// Everything that is done to one row.
fn variants(row: &Row) -> Vec<(String, Option<Row>)> {
    let mut all = vec![("is gone".to_string(), None)];
    let mut add = |name: String, row: Row| all.push((name, Some(row)));
    for length in 1..row.key.len() {
        add(format!("has a key of {length} bytes"), Row { key: row.key[..length].to_vec(), ..row.clone() });
    }
    for more in [&[0][..], &[255; 8]] {
        add(format!("has {} bytes more of key", more.len()), Row { key: [&row.key, more].concat(), ..row.clone() });
    }
    for at in (1..row.key.len().saturating_sub(7)).step_by(8) {
        for number in NUMBERS {
            let mut key = row.key.clone();
            key[at..at + 8].copy_from_slice(&number.to_be_bytes());
            add(format!("has {number} at {at} of its key"), Row { key, ..row.clone() });
        }
    }
    for (code, what) in [(REFERENCE, "reference"), (SUBTREE, "tree"), (RUN, "run")] {
        let mut value = row.value.clone();
        value.resize(40, 0);
        add(format!("has a {what} for a value"), Row { code: Some(code), value, ..row.clone() });
    }
    if row.code.is_some() {
        add("has bytes for a pointer".into(), Row { code: None, ..row.clone() });
        add("has no bytes for a pointer".into(), Row { code: None, value: Vec::new(), ..row.clone() });
        for at in [0, 4, 5, 8, 32] {
            for number in NUMBERS {
                let mut value = row.value.clone();
                let width = if at == 0 { 4 } else { (40 - at).min(if at < 8 { 1 } else { 8 }) };
                value[at..at + width].copy_from_slice(&le(number)[..width]);
                add(format!("has {number} at {at} of its pointer"), Row { value, ..row.clone() });
            }
        }
        return all;
    }
    for length in 0..row.value.len() {
        add(format!("has a value of {length} bytes"), Row { value: row.value[..length].to_vec(), ..row.clone() });
    }
    add("has a byte more of value".into(), Row { value: [&row.value[..], &[0]].concat(), ..row.clone() });
    for at in (0..row.value.len().saturating_sub(7)).step_by(8) {
        for number in NUMBERS {
            let mut value = row.value.clone();
            value[at..at + 8].copy_from_slice(&le(number));
            add(format!("has {number} at {at} of its value"), Row { value, ..row.clone() });
        }
    }
    for at in 0..row.value.len() {
        for byte in [0, 0xFF, row.value[at] ^ 1] {
            let mut value = row.value.clone();
            value[at] = byte;
            add(format!("has {byte} at {at} of its value"), Row { value, ..row.clone() });
        }
    }
    all
}

/// All files, each with its name, and whether the checker must find fault with it.
fn crafted() -> Vec<(String, File, bool)> {
    let whole = File::new();
    let mut out = vec![("untouched".to_string(), whole.clone(), false)];
    type Pick = fn(&mut File) -> &mut Leaf;
    let leaves: [(&str, Pick); 4] = [
        ("system", |file| &mut file.system),
        ("catalog", |file| &mut file.catalog),
        ("TTL", |file| &mut file.rows),
        ("index", |file| &mut file.index),
    ];
    for (name, pick) in leaves {
        for nth in 0..pick(&mut whole.clone()).rows.len() {
            for (what, row) in variants(&pick(&mut whole.clone()).rows[nth]) {
                let mut file = whole.clone();
                let rows = &mut pick(&mut file).rows;
                rows.remove(nth);
                rows.extend(row);
                out.push((format!("row {nth} of the {name} tree {what}"), file, false));
            }
        }
    }
    out.extend(out_of_step(&whole));
    out.extend(misdirected(&whole));
    out.extend(odd(&whole));
    out
}

/// Rows whose index says something else.
fn out_of_step(whole: &File) -> Vec<(String, File, bool)> {
    let mut out = Vec::new();
    let mut add = |name: &str, change: &dyn Fn(&mut File)| {
        let mut file = whole.clone();
        change(&mut file);
        out.push((name.to_string(), file, true));
    };
    let extra = |key: &[u8]| Row { key: key.to_vec(), code: None, value: Vec::new() };
    add("a row that expires is not in the index", &|file| drop(file.index.rows.remove(0)));
    add("the index has a row that is not there", &|file| drop(file.rows.rows.remove(0)));
    add("the index has a key that nobody has", &|file| file.index.rows.push(extra(b"\0\0\0\0\0\0\0\x01nobody")));
    add("the index has no key at all", &|file| file.index.rows.push(extra(b"\0\0\0\0\0\0\0\x01")));
    add("the index has a time that is cut short", &|file| file.index.rows.push(extra(b"\0\0\0")));
    add("the index has an empty key", &|file| file.index.rows.push(extra(b"")));
    add("a row expires later than its index says", &|file| file.rows.rows[0].value[..8].copy_from_slice(&le(NOW + 1)));
    add("a row of the index never expires", &|file| file.rows.rows[0].value[..8].fill(0xFF));
    add("the index is of a table without rows", &|file| file.rows.rows.clear());
    add("there is no index", &|file| file.catalog.rows.retain(|row| row.key != catalog_key(2)));
    add("the index is empty", &|file| file.index.rows.clear());
    add("a row has no time", &|file| file.rows.rows[1].value.truncate(5));
    add("no row has a time", &|file| file.rows.rows.iter_mut().for_each(|row| row.value.clear()));
    out
}

/// Rows of the history that lead to something else than the tables of a commit.
fn misdirected(whole: &File) -> Vec<(String, File, bool)> {
    let slot = |root: usize| whole.bytes[SLOTS[0] + root..][..40].to_vec();
    let tree = |part| whole.catalog.rows.iter().find(|row| row.key == catalog_key(part)).unwrap().value.clone();
    let targets = [("system tree", slot(SYSTEM)), ("rows", tree(1)), ("index", tree(2)), ("tables of now", slot(DATA))];
    let mut out = Vec::new();
    for (nth, row) in whole.system.rows.iter().enumerate().filter(|(_, row)| row.code == Some(REFERENCE)) {
        for (what, pointer) in &targets {
            let mut file = whole.clone();
            file.system.rows[nth].value = pointer.clone();
            out.push((format!("row {nth} ({:?}) leads to the {what}", row.key[0]), file, false));
        }
    }
    out
}

/// Rows of no sort, and commits of any time.
fn odd(whole: &File) -> Vec<(String, File, bool)> {
    let mut out = Vec::new();
    for key in [&[][..], &[0], &[10], &[255; 17], &[1], &[2], &[9], &[9; 9], &[2; 30]] {
        for (code, value) in
            [(None, vec![]), (None, vec![7; 48]), (Some(REFERENCE), whole.bytes[SLOTS[0] + DATA..][..40].to_vec())]
        {
            let mut file = whole.clone();
            file.system.rows.push(Row { key: key.to_vec(), code, value });
            out.push((format!("a row of the system tree has the key {key:?}, {code:?}"), file, false));
        }
    }
    for time in NUMBERS {
        let mut file = whole.clone();
        file.bytes[SLOTS[0] + 16..][..8].copy_from_slice(&le(time));
        out.push((format!("the commit's time is {time}"), file, false));
    }
    out
}

/// What may be refused, by an error or by an iterator's end. Answers are of no interest.
fn read(db: &Database) -> Result<(), Error> {
    let listed = db.transaction_history();
    drop(db.history_pins());
    for time in [0, 1, NOW / 2, u64::MAX - 1, u64::MAX] {
        drop(db.begin_read_at_time(time).map(|txn| read_tables(&txn)));
    }
    let ids = listed.unwrap_or_default().into_iter().map(|info| info.transaction_id).take(ROW_LIMIT);
    for id in ids.chain([0, 2, u64::MAX]) {
        drop(db.begin_read_at(id).map_err(Error::from).and_then(|past| {
            drop(read_tables(&past));
            read_log(&past)?;
            compare(&past, &db.begin_read()?)
        }));
    }
    drop(db.key_history(ROWS, "oak").map(|versions| versions.take(ROW_LIMIT).map(drop).count()));
    let txn = db.begin_read()?;
    drop(read_log(&txn));
    read_tables(&txn)
}

fn compare(older: &ReadTransaction, newer: &ReadTransaction) -> Result<(), Error> {
    for (one, other) in [(older, newer), (newer, older)] {
        for table in one.diff(other)?.take(ROW_LIMIT) {
            let _ = table?.rows().take(ROW_LIMIT).map(drop).count();
        }
    }
    Ok(())
}

fn read_log(txn: &ReadTransaction) -> Result<(), Error> {
    let _ = (txn.latest_cdc_position(), txn.cdc_cursors(), txn.cdc_cursor("slow"));
    let pruned = txn.cdc_pruned_up_to();
    let starts = pruned.ok().flatten().into_iter().chain([0, 1, 9, u64::MAX].map(ChangePosition::after_transaction));
    for start in starts.chain([ChangePosition::START]) {
        drop(txn.read_cdc_since(start).map(|events| events.take(ROW_LIMIT).map(drop).count()));
        let end = ChangePosition::after_transaction(start.transaction_id / 2 + 8);
        drop(txn.read_cdc_range(start, end).map(|events| events.take(ROW_LIMIT).map(drop).count()));
    }
    Ok(())
}

fn read_tables(txn: &ReadTransaction) -> Result<(), Error> {
    drop(txn.open_table(ROWS).map(|rows| rows.iter().map(|rows| rows.take(ROW_LIMIT).map(drop).count())));
    let fading = txn.open_ttl_table(FADING)?;
    let _ = (fading.len(), fading.len_live(), fading.is_empty(), fading.first().map(drop), fading.last().map(drop));
    let _ = (fading.stats(), fading.count("b".."f"), fading.expires_at("ash1"), fading.remaining("elm2"));
    drop(fading.range("b".."f").map(|rows| rows.rev().take(ROW_LIMIT).map(drop).count()));
    for row in fading.iter()?.take(ROW_LIMIT) {
        let (key, value) = row?;
        std::hint::black_box((key.value().len(), value.value().len(), value.expires_at_ms()));
    }
    Ok(())
}

type Change = fn(&mut TtlTable<'_, &'static str, &'static str>) -> Result<(), Error>;

/// Each is done behind a checkpoint, so that none keeps the next from being tried.
const CHANGES: [Change; 12] = [
    |rows| Ok(rows.purge_expired(u64::MAX).map(drop)?),
    |rows| Ok(rows.purge_expired(1).map(drop)?),
    |rows| ["ash0", "ash4", "yew1"].iter().try_for_each(|key| Ok(rows.remove(*key).map(drop)?)),
    |rows| ["elm0", "elm4", "yew2"].iter().try_for_each(|key| Ok(rows.insert(*key, "new").map(drop)?)),
    |rows| Ok(rows.touch("fir4", Duration::from_secs(9)).map(drop)?),
    |rows| Ok(rows.persist("fir3").map(drop)?),
    |rows| Ok(rows.retain(|key, value| key.len() + value.len() > 7)?),
    |rows| rows.extract_if(|_, value| value == "ash")?.take(ROW_LIMIT).try_for_each(|row| Ok(row.map(drop)?)),
    |rows| Ok(rows.delete_range("b".."g").map(drop)?),
    |rows| rows.drain("b".."g")?.take(ROW_LIMIT).try_for_each(|row| Ok(row.map(drop)?)),
    |rows| Ok(rows.pop_first().map(drop)?),
    |rows| Ok(rows.pop_last().map(drop)?),
];

fn write(db: &Database) -> Result<(), Error> {
    let ids: Vec<u64> = db.transaction_history().unwrap_or_default().iter().map(|info| info.transaction_id).collect();
    let mut txn = db.begin_write()?;
    for change in CHANGES {
        let checkpoint = txn.checkpoint()?;
        let _ = txn.open_ttl_table(FADING).map_err(Error::from).and_then(|mut rows| change(&mut rows));
        txn.rollback_to(&checkpoint)?;
    }
    for id in ids.into_iter().take(ROW_LIMIT).chain([u64::MAX]) {
        let checkpoint = txn.checkpoint()?;
        let _ = (txn.pin_history("new", id), txn.revert_to(id));
        drop(txn.open_table(ROWS).map_err(Error::from).and_then(|mut rows| Ok(rows.insert("ivy", "1").map(drop)?)));
        txn.rollback_to(&checkpoint)?;
    }
    for id in txn.list_persistent_savepoints()?.take(ROW_LIMIT) {
        let checkpoint = txn.checkpoint()?;
        let restored = txn.get_persistent_savepoint(id).and_then(|savepoint| txn.restore_savepoint(&savepoint));
        let _ = (restored, txn.delete_persistent_savepoint(id));
        txn.rollback_to(&checkpoint)?;
    }
    let changed = change(&mut txn);
    txn.commit()?;
    changed
}

fn change(txn: &mut WriteTransaction) -> Result<(), Error> {
    let _ = (txn.unpin_history("kept"), txn.set_table_cdc("rows", Some(CdcMode::OldAndNew)));
    let _ = (txn.hold_cdc_cursor("slow", true), txn.advance_cdc_cursor("slow", ChangePosition::START));
    txn.open_table(ROWS)?.insert("oak", "felled")?;
    let mut rows = txn.open_ttl_table(FADING)?;
    rows.purge_expired(u64::MAX)?;
    rows.insert_with_ttl("box", "new", Duration::from_secs(1))?;
    Ok(())
}

/// Does everything that can be done with a file; writes to it only if its free pages are what they should, if asked to.
fn exercise(bytes: &[u8], bounded: bool, careful: bool) -> Result<(), Error> {
    let open = || builder(bounded).create_with_backend(Image::new(bytes.to_vec()));
    let db = open()?;
    let reading = read(&db);
    let report = db.verify_integrity(VerifyLevel::Rows)?;
    let clean = report.findings.iter().all(|finding| finding.page.is_none() && finding.table.is_none());
    drop(db.backup_with_backend(Image::default()));
    let verified = db.verify();
    let writable = !careful || verified.is_ok();
    let written = (0..if writable { 3 } else { 0 }).try_for_each(|_| write(&db));
    drop((read(&db), db.verify()));
    drop(db);
    let db = open()?;
    if writable {
        drop(db.compact_online(CompactOptions::new(), |_| ControlFlow::Continue(())));
    }
    drop(db.verify());
    reading?;
    verified?;
    if !clean {
        return Err(Error::Corrupted(format!("{report:?}")));
    }
    written
}

fn cases() -> impl Iterator<Item = (String, File, bool, [bool; 2])> {
    let ways = [[true, true], [false, false], [true, false], [false, true]];
    // Each is tried in one way, so that its neighbours are in others.
    crafted().into_iter().enumerate().map(move |(nth, (name, file, refused))| (name, file, refused, ways[nth % 4]))
}

#[test]
fn rows_that_make_no_sense_are_survived() {
    if batch::batch().is_some() {
        return;
    }
    let batches = (0..cases().count()).step_by(BATCH).map(|from| from.to_string()).collect();
    batch::run("rows::worker", batches, super::TIMEOUT);
}

#[test]
fn the_file_is_taken_apart_and_put_together() {
    let whole = File::new();
    assert_eq!(whole.clone().forged(true).len(), whole.bytes.len());
    let sorts: Vec<u8> = whole.system.rows.iter().map(|row| row.key[0]).collect();
    assert!((1..=9).all(|sort| sorts.contains(&sort)), "{sorts:?}");
    assert_eq!((whole.rows.rows.len(), whole.index.rows.len()), (20, 15));
    for closed in [true, false] {
        exercise(&whole.clone().forged(closed), closed, false).unwrap();
    }
}

/// Not a test of its own: what the children of the test above run.
#[test]
fn worker() {
    let Some(from) = batch::batch().and_then(|batch| batch.parse::<usize>().ok()) else { return };
    let whole = File::new();
    let cases: Vec<_> = cases().skip(from).take(BATCH).collect();
    batch::work(cases.iter().map(|case| &case.0).enumerate().map(|(at, name)| format!("{at}: {name}")), |case| {
        let at: usize = case.split(':').next().unwrap().parse().unwrap();
        let (_, file, refused, [closed, bounded]) = &cases[at];
        // Of a file that names a page for two things, the assertions on free pages do not hold.
        let careful = cfg!(feature = "paranoid") && !file.points_as(&whole);
        let bytes = file.clone().forged(*closed);
        match measured(|| exercise(&bytes, *bounded, careful))? {
            Ok(()) if *refused => Err("accepted".to_string()),
            _ => Ok(()),
        }
    });
}
