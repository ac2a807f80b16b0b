//! Every byte of a file, damaged: the rows are right, or it is said that they are not.

mod common;

use common::batch;
use common::blobs::{Blob, Blobs, forget, store, with};
use common::image::Image;
use sapwood::{
    BlobError, BlobId, Builder, CdcConfig, CdcMode, Compression, Database, Durability, Error, Key,
    MultimapTableDefinition, OpenOutcome, ReadTransaction, ReadableBlobs, ReadableDatabase, ReadableMultimapTable,
    ReadableTable, ReadableTableMetadata, TableDefinition, TableError, TagQuery, Value, WriteTransaction,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NUMBERS: TableDefinition<u64, &[u8]> = TableDefinition::new("numbers");
const TEXTS: TableDefinition<&str, &str> = TableDefinition::new("texts").with_compression(Compression::None);
/// Values that are compressed, in leaves and in runs, if there is a codec.
const PACKED: TableDefinition<u64, &[u8]> = TableDefinition::new("packed");
const SETS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("sets");
const PAGE: usize = 512;
const MASKS: [u8; 2] = [0x01, 0xFF];
/// Cases in a child process.
const BATCH: usize = 4000;
const TIMEOUT: Duration = Duration::from_secs(240);
/// The commit that makes a savepoint.
const LAST_STEP: u64 = 7;
/// A row that only the test of writing writes.
const NEW_KEY: u64 = 1 << 40;

/// What the tables of a commit hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rows {
    numbers: BTreeMap<u64, Vec<u8>>,
    texts: BTreeMap<String, String>,
    packed: BTreeMap<u64, Vec<u8>>,
    sets: BTreeMap<u64, BTreeSet<u64>>,
    blobs: Blobs,
}

/// A file, and what the last commit and the one before it hold.
struct Fixture {
    bytes: Vec<u8>,
    last: Rows,
    before: Rows,
    /// What the file's savepoint leads to.
    saved: Rows,
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Closed,
    /// The process died after a commit that wrote pages and slot in one sync.
    Unclean,
    /// The process died after a commit that synced its pages first.
    TwoPhase,
}

const KINDS: [(&str, Kind); 3] = [("closed", Kind::Closed), ("unclean", Kind::Unclean), ("two-phase", Kind::TwoPhase)];

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_page_size(PAGE).set_block_size(PAGE).set_cache_size(1 << 20);
    #[cfg(feature = "lz4")]
    builder.set_compression(Compression::Lz4);
    builder
}

fn text_key(at: u64) -> String {
    // Every third is longer than a page of 512 bytes holds, and has a run of its own.
    format!("{:04}{}", at * 7, "k".repeat(if at.is_multiple_of(3) { 300 } else { 20 }))
}

/// A byte that long contents consist of, so that it is known which pages have nothing else.
const FILL: u8 = 0xB7;

/// Blobs of all lengths first, two of which share their content; then one more, and one of them changes.
fn change_blobs(txn: &WriteTransaction, blobs: &mut Blobs, step: u64) {
    let mut put = |length: usize, parents: &[u64]| {
        let blob = Blob {
            content: vec![FILL; length].into(),
            time: step,
            namespace: (length < 5_000).then(|| "wood".to_string()),
            tags: [format!("of {step}"), "tagged".to_string()].into(),
            shared: length == 5_000,
            parents: parents.iter().copied().collect(),
        };
        store(txn, blobs, blob).unwrap();
    };
    if step == 0 {
        let first: [(_, &[u64]); 5] = [(100, &[]), (3_000, &[1]), (66_000, &[1, 2]), (5_000, &[]), (5_000, &[4])];
        return first.into_iter().for_each(|(length, parents)| put(length, parents));
    }
    put(100, &[1]);
    let blob = blobs.get_mut(&2).unwrap();
    let more = [step as u8; 200];
    txn.append_blob(BlobId::new(2), &more).unwrap();
    (blob.content, blob.time) = ([&*blob.content, &more].concat().into(), step);
    txn.retime_blob(BlobId::new(2), step).unwrap();
    if step == LAST_STEP {
        txn.delete_blob(BlobId::new(5)).unwrap();
        forget(blobs, 5);
    }
}

/// One commit: new rows, replaced rows, removed rows.
fn change(db: &Database, rows: &mut Rows, step: u64, two_phase: bool, durability: Durability) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    txn.set_two_phase_commit(two_phase);
    if step == LAST_STEP {
        txn.persistent_savepoint().unwrap();
    }
    if step <= LAST_STEP {
        change_blobs(&txn, &mut rows.blobs, step);
    }
    {
        let mut packed = txn.open_table(PACKED).unwrap();
        for key in (0..8).filter(|key| key % 4 == step % 4 || step == 0) {
            // Half of them shrink to less than a page, and half to more.
            let noise = (0..key % 2 * 600).map(|at| (at * at * 37 + step) as u8 ^ (at >> 3) as u8);
            let value: Vec<u8> = noise.chain([key as u8; 900]).collect();
            packed.insert(key, &*value).unwrap();
            rows.packed.insert(key, value);
        }
        let mut sets = txn.open_multimap_table(SETS).unwrap();
        for key in (0..6).filter(|key| key % 3 == step % 3 || step == 0) {
            for value in 0..if key == 2 { 60 } else { 4 } {
                sets.insert(key, value * 10 + step).unwrap();
                rows.sets.entry(key).or_default().insert(value * 10 + step);
                sets.remove(key, value * 10 + step.saturating_sub(3)).unwrap();
                rows.sets.entry(key).or_default().remove(&(value * 10 + step.saturating_sub(3)));
            }
        }
        rows.sets.retain(|_, values| !values.is_empty());
        let mut numbers = txn.open_table(NUMBERS).unwrap();
        for key in (0..260).filter(|key| key % 5 == step % 5 || step == 0) {
            let value = vec![(key + step) as u8; 10 + (key % 13) as usize];
            numbers.insert(key, &value[..]).unwrap();
            rows.numbers.insert(key, value);
        }
        numbers.remove(step * 3).unwrap();
        rows.numbers.remove(&(step * 3));
        let mut texts = txn.open_table(TEXTS).unwrap();
        for at in (0..16).filter(|at| at % 4 == step % 4 || step == 0) {
            let value = format!("{step}").repeat(if at % 2 == 0 { 700 } else { 30 });
            texts.insert(&*text_key(at), &*value).unwrap();
            rows.texts.insert(text_key(at), value);
        }
        texts.remove(&*text_key(step)).unwrap();
        rows.texts.remove(&text_key(step));
    }
    txn.commit().unwrap();
}

fn fixture(kind: Kind) -> Fixture {
    let image = Image::default();
    let two_phase = kind == Kind::TwoPhase;
    let mut builder = builder();
    if two_phase {
        builder.set_history_retention(1).set_cdc(CdcConfig::new(CdcMode::Keys).with_max_transactions(1));
    }
    let db = builder.create_with_backend(image.clone()).unwrap();
    let mut last = Rows::default();
    change(&db, &mut last, 0, two_phase, Durability::Immediate);
    let reader = db.begin_read().unwrap();
    for step in 1..5 {
        change(&db, &mut last, step + 100, two_phase, Durability::None);
        change(&db, &mut last, step, two_phase, Durability::Immediate);
    }
    let before = last.clone();
    // The last durable commit takes non-durable work along.
    change(&db, &mut last, 6, two_phase, Durability::None);
    let saved = last.clone();
    change(&db, &mut last, LAST_STEP, two_phase, Durability::Immediate);
    let unclean = image.bytes();
    drop(reader);
    drop(db);
    let closed = kind == Kind::Closed;
    Fixture { bytes: if closed { image.bytes() } else { unclean }, last, before, saved, closed }
}

/// What reading came to: right rows of which state, if all could be read.
#[derive(Debug, PartialEq, Eq)]
enum Reading {
    Whole,
    /// Everything that could be read was right, and the rest was an error.
    Error(String),
}

fn error(err: impl Into<Error>) -> String {
    let err = err.into();
    assert!(!err.to_string().is_empty());
    format!("{err:?}")
}

/// Reads everything in every way. `Err` is a wrong row.
fn read(db: &Database, rows: &Rows) -> Result<Reading, String> {
    let txn = match db.begin_read() {
        Ok(txn) => txn,
        Err(err) => return Ok(Reading::Error(error(err))),
    };
    let bytes = |(key, value): (&u64, &Vec<u8>)| (key.to_le_bytes().to_vec(), value.clone());
    let text = |(key, value): (&String, &String)| (key.clone().into_bytes(), value.clone().into_bytes());
    let readings = [
        read_table(&txn, NUMBERS, &rows.numbers.iter().map(bytes).collect::<Vec<_>>())?,
        read_table(&txn, TEXTS, &rows.texts.iter().map(text).collect::<Vec<_>>())?,
        read_table(&txn, PACKED, &rows.packed.iter().map(bytes).collect::<Vec<_>>())?,
        read_sets(&txn, &rows.sets)?,
        read_blobs(&txn, &rows.blobs)?,
    ];
    Ok(readings.into_iter().find(|reading| *reading != Reading::Whole).unwrap_or(Reading::Whole))
}

/// Reads a table, of which key and value are given as they are stored.
fn read_table<K: Key + 'static, V: Value + 'static>(
    txn: &ReadTransaction,
    definition: TableDefinition<K, V>,
    rows: &[(Vec<u8>, Vec<u8>)],
) -> Result<Reading, String> {
    let table = match txn.open_table(definition) {
        Ok(table) => table,
        Err(TableError::Storage(err)) => return Ok(Reading::Error(error(err))),
        Err(err) => return Err(format!("{definition}: {err}")),
    };
    let stored = |value: V::SelfType<'_>| V::as_bytes(&value).as_ref().to_vec();
    let (mut seen, mut expected) = (Reading::Whole, rows.iter());
    for row in table.iter().map_err(error).into_iter().flatten() {
        match row {
            Ok((key, value)) => {
                let found = (K::as_bytes(&key.value()).as_ref().to_vec(), stored(value.value()));
                if expected.next() != Some(&found) {
                    return Err(format!("{definition}: {:?} is wrong", found.0));
                }
            }
            Err(err) => seen = Reading::Error(error(err)),
        }
    }
    let ended = expected.next().is_none();
    for (key, value) in rows {
        match table.get(K::from_bytes(key)) {
            Ok(Some(found)) if stored(found.value()) == *value => {}
            Ok(found) => return Err(format!("{definition}: {key:?} is {found:?}")),
            Err(err) => seen = Reading::Error(error(err)),
        }
    }
    if table.len().is_ok_and(|len| len != rows.len() as u64) {
        return Err(format!("{definition}: the number of rows is wrong"));
    }
    if !ended && seen == Reading::Whole { Err(format!("{definition} ends early")) } else { Ok(seen) }
}

fn read_sets(txn: &ReadTransaction, rows: &BTreeMap<u64, BTreeSet<u64>>) -> Result<Reading, String> {
    let table = match txn.open_multimap_table(SETS) {
        Ok(table) => table,
        Err(TableError::Storage(err)) => return Ok(Reading::Error(error(err))),
        Err(err) => return Err(format!("sets: {err}")),
    };
    let (mut seen, mut expected) = (Reading::Whole, rows.iter());
    let gather = |values: sapwood::MultimapValue<'_, u64>| {
        values.map(|value| value.map(|value| value.value())).collect::<Result<BTreeSet<u64>, _>>()
    };
    for row in table.iter().map_err(error).into_iter().flatten() {
        match row.and_then(|(key, values)| Ok((key.value(), gather(values)?))) {
            Ok((key, values)) if expected.next() == Some((&key, &values)) => {}
            Ok((key, values)) => return Err(format!("sets: {key} is {values:?}")),
            // The iterator has gone past the key.
            Err(err) => {
                seen = Reading::Error(error(err));
                break;
            }
        }
    }
    let ended = expected.next().is_none();
    for (key, values) in rows {
        match table.get(key).and_then(gather) {
            Ok(found) if found == *values => {}
            Ok(found) => return Err(format!("sets: {key} is {found:?}")),
            Err(err) => seen = Reading::Error(error(err)),
        }
    }
    if !ended && seen == Reading::Whole { Err("sets end early".to_string()) } else { Ok(seen) }
}

/// What asking came to until now.
struct Asked(Reading);

impl Asked {
    fn same<T: PartialEq>(&mut self, what: &str, found: Result<T, BlobError>, expected: T) -> Result<(), String> {
        match found {
            Ok(found) if found == expected => {}
            Ok(_) => return Err(format!("blobs: {what} is wrong")),
            Err(err) => self.0 = Reading::Error(error(err)),
        }
        Ok(())
    }
}

fn all<I>(found: impl Iterator<Item = Result<I, BlobError>>) -> Result<Vec<I>, BlobError> {
    found.collect()
}

/// Asks for each blob, and for all by what they have.
fn read_blobs(txn: &ReadTransaction, blobs: &Blobs) -> Result<Reading, String> {
    let mut asked = Asked(Reading::Whole);
    for (id, blob) in blobs {
        let id = BlobId::new(*id);
        let found = txn.get_blob(id).map(|found| found.map(|(content, meta)| (content, meta.time_ms, meta.namespace)));
        asked.same("a blob", found, Some((blob.content.to_vec(), blob.time, blob.namespace.clone())))?;
        let length = blob.content.len() as u64;
        let end = txn.read_blob_range(id, length / 2, length - length / 2);
        asked.same("a part", end, blob.content[blob.content.len() / 2..].to_vec())?;
        asked.same("a list of tags", txn.blob_tags(id), blob.tags.iter().cloned().collect())?;
        let parents = all(txn.causal_parents(id).map(|link| Ok(link?.blob.sequence())));
        asked.same("a list of parents", parents, blob.parents.iter().copied().collect())?;
        let children = all(txn.causal_children(id).map(|link| Ok(link?.blob)));
        asked.same("a list of children", children, with(blobs, |blob| blob.parents.contains(&id.sequence())))?;
        asked.same("a hash", txn.blob_content_hash(id).map(|hash| hash.is_some()), blob.shared)?;
    }
    asked.same("the list", all(txn.list_blobs(None)), with(blobs, |_| true))?;
    for tag in ["tagged", "of 0", "of 6"] {
        let tagged = with(blobs, |blob| blob.tags.contains(tag));
        asked.same("a count", txn.count_tagged_blobs(tag), tagged.len() as u64)?;
        asked.same("a selection", all(txn.select_blobs(TagQuery::new().all_of([tag]), None)), tagged)?;
    }
    let members = with(blobs, |blob| blob.namespace.is_some());
    asked.same("a namespace", all(txn.blobs_in_namespace("wood", None)), members)?;
    let mut by_time: Vec<_> = blobs.iter().map(|(id, blob)| (blob.time, BlobId::new(*id))).collect();
    by_time.sort_unstable();
    asked.same("the order of times", all(txn.blobs_in_time_range(..)), by_time)?;
    let bytes: usize = blobs.values().map(|blob| blob.content.len()).sum();
    asked.same(
        "a sum",
        txn.blob_stats().map(|stats| (stats.blobs, stats.bytes)),
        (blobs.len() as u64, bytes as u64),
    )?;
    Ok(asked.0)
}

/// Which state an opened file shows, as far as it can be read.
fn state_of<'f>(db: &Database, fixture: &'f Fixture) -> Result<(&'f Rows, Reading), String> {
    let wrong = match read(db, &fixture.last) {
        Ok(reading) => return Ok((&fixture.last, reading)),
        Err(wrong) => wrong,
    };
    let rolled_back = matches!(db.open_outcome(), OpenOutcome::RolledBack(_));
    match read(db, &fixture.before) {
        Ok(reading) if !fixture.closed && rolled_back => Ok((&fixture.before, reading)),
        Ok(_) => Err(format!("the commit before, but the outcome is {:?}", db.open_outcome())),
        Err(other) => Err(format!("neither commit: {wrong}; {other}; {:?}", db.open_outcome())),
    }
}

/// Opens a damaged file, reads, checks and writes it. `Err` is an answer that the database must not give.
fn examine(bytes: Vec<u8>, fixture: &Fixture, reopen: bool) -> Result<(), String> {
    let image = Image::new(bytes);
    let db = match builder().create_with_backend(image.clone()) {
        Ok(db) => db,
        Err(err) => {
            error(err);
            return Ok(());
        }
    };
    let (rows, reading) = state_of(&db, fixture)?;
    if let Err(err) = db.verify() {
        error(err);
    } else if let Reading::Error(err) = &reading {
        return Err(format!("verify passes a file that cannot be read: {err}"));
    }
    if !write(&db)? {
        return Ok(());
    }
    let mut rows = rows.clone();
    rows.numbers.insert(NEW_KEY, b"new".to_vec());
    if write_blobs(&db) {
        rows.blobs.get_mut(&1).unwrap().content = [&[FILL; 100][..], b"new"].concat().into();
        forget(&mut rows.blobs, 4);
    }
    read(&db, &rows).map_err(|wrong| format!("after a commit: {wrong}"))?;
    drop(db);
    if reopen {
        match builder().create_with_backend(image) {
            Ok(db) => {
                read(&db, &rows).map_err(|wrong| format!("after reopening: {wrong}"))?;
                if restore(&db) {
                    read(&db, &fixture.saved).map_err(|wrong| format!("after restoring: {wrong}"))?;
                }
            }
            Err(err) if reading == Reading::Whole => return Err(format!("does not open again: {}", error(err))),
            Err(err) => drop(error(err)),
        }
    }
    Ok(())
}

/// Whether a commit went through.
fn write(db: &Database) -> Result<bool, String> {
    let attempt = || -> Result<(), Error> {
        let txn = db.begin_write()?;
        txn.open_table(NUMBERS)?.insert(NEW_KEY, &b"new"[..])?;
        Ok(txn.commit()?)
    };
    match attempt() {
        Ok(()) => Ok(true),
        Err(err) => {
            error(err);
            Ok(false)
        }
    }
}

/// Whether a commit that changes one blob and deletes another went through. If not, nothing of it may be seen.
fn write_blobs(db: &Database) -> bool {
    let attempt = || -> Result<(), Error> {
        let txn = db.begin_write()?;
        txn.append_blob(BlobId::new(1), b"new")?;
        txn.delete_blob(BlobId::new(4))?;
        Ok(txn.commit()?)
    };
    attempt().map_err(error).is_ok()
}

/// Whether the savepoint could be restored, if it is there.
fn restore(db: &Database) -> bool {
    let attempt = || -> Result<bool, Error> {
        let mut txn = db.begin_write()?;
        let Some(id) = txn.list_persistent_savepoints()?.next() else { return Ok(false) };
        let savepoint = txn.get_persistent_savepoint(id)?;
        txn.restore_savepoint(&savepoint)?;
        txn.commit()?;
        Ok(true)
    };
    attempt().map_err(error).unwrap_or(false)
}

/// The offsets to damage: at scale 10 all, else a tenth, but always header, slots and mirror. Of what long contents consist
/// of, a tenth of that: each byte there is like the others.
fn offsets(bytes: &[u8], mask: u8) -> Vec<usize> {
    let (part, length) = (if batch::scale() >= 10 { 1 } else { 10 }, bytes.len());
    let phase = if mask == MASKS[0] { 3 } else { 8 };
    let is_fixed = |at: usize| at < 3 * PAGE || at >= length - PAGE;
    let is_filled = |at: usize| bytes[at / PAGE * PAGE..].iter().take(PAGE).all(|byte| *byte == FILL);
    let is_due = |at: usize| {
        let part = if is_filled(at) { 10 * part } else { part };
        at % part == phase % part
    };
    (0..length).filter(|at| is_fixed(*at) || is_due(*at)).collect()
}

#[test]
fn the_files_are_what_they_should_be() {
    for (name, kind) in KINDS {
        let fixture = fixture(kind);
        assert!((100_000..500_000).contains(&fixture.bytes.len()), "{name}: {}", fixture.bytes.len());
        assert_ne!(fixture.last, fixture.before);
        let db = builder().create_with_backend(Image::new(fixture.bytes.clone())).unwrap();
        let outcome = if fixture.closed { OpenOutcome::Clean } else { OpenOutcome::Recovered };
        assert_eq!(*db.open_outcome(), outcome, "{name}");
        assert_eq!(read(&db, &fixture.last), Ok(Reading::Whole), "{name}");
        assert!(read(&db, &fixture.before).is_err());
        db.verify().unwrap();
        assert!(restore(&db), "{name}");
        assert_eq!(read(&db, &fixture.saved), Ok(Reading::Whole), "{name}");
        assert_ne!(fixture.saved, fixture.last);
        drop(db);
        examine(fixture.bytes.clone(), &fixture, true).unwrap();
    }
}

#[test]
fn every_damaged_byte_is_survived() {
    if batch::batch().is_some() {
        return;
    }
    let mut batches = Vec::new();
    for (name, kind) in KINDS {
        let bytes = fixture(kind).bytes;
        for mask in MASKS {
            let count = offsets(&bytes, mask).len();
            batches.extend((0..count).step_by(BATCH).map(|from| format!("{name} {mask} {from}")));
        }
    }
    batch::run("worker", batches, TIMEOUT);
}

/// Not a test of its own: what the children of the test above run.
#[test]
fn worker() {
    let Some(batch) = batch::batch() else { return };
    let [name, mask, from] = batch.split(' ').collect::<Vec<_>>()[..] else { panic!("{batch}") };
    let kind = KINDS.iter().find(|(other, _)| *other == name).unwrap().1;
    let (mask, from): (u8, usize) = (mask.parse().unwrap(), from.parse().unwrap());
    let fixture = fixture(kind);
    let offsets = offsets(&fixture.bytes, mask);
    let cases = offsets.iter().skip(from).take(BATCH).map(|at| format!("{name} {mask:#04x} {at}"));
    batch::work(cases, |case| {
        let at: usize = case.rsplit(' ').next().unwrap().parse().unwrap();
        let mut bytes = fixture.bytes.clone();
        bytes[at] ^= mask;
        examine(bytes, &fixture, at.is_multiple_of(8) || at < 3 * PAGE)
    });
}

/// Damages the parts of a set together: header, slot A, slot B, mirror.
fn damage_parts(bytes: &mut [u8], parts: usize) {
    let mirror = bytes.len() - PAGE;
    for (bit, at) in [(1, 20), (2, PAGE + 16), (4, 2 * PAGE + 16), (8, mirror + 100)] {
        if parts & bit != 0 {
            bytes[at] ^= 0x10;
        }
    }
}

#[test]
fn damaged_copies_are_never_passed_over_in_silence() {
    for (name, kind) in KINDS {
        let fixture = fixture(kind);
        for parts in 1..16 {
            let mut bytes = fixture.bytes.clone();
            damage_parts(&mut bytes, parts);
            let place = format!("{name}, parts {parts:#b}");
            examine(bytes.clone(), &fixture, true).unwrap_or_else(|wrong| panic!("{place}: {wrong}"));
            let opened = builder().create_with_backend(Image::new(bytes));
            if parts & 8 == 0 {
                let db = opened.unwrap_or_else(|err| panic!("{place}: {err}, though the mirror is whole"));
                assert_eq!(read(&db, &fixture.last), Ok(Reading::Whole), "{place}");
                assert_eq!(*db.open_outcome(), OpenOutcome::Recovered, "{place}");
            } else if parts == 8 {
                assert_eq!(read(&opened.unwrap(), &fixture.last), Ok(Reading::Whole), "{place}");
            } else if parts & 6 == 6 {
                opened.map(drop).expect_err(&place);
            } else if let Ok(db) = opened {
                assert_ne!(*db.open_outcome(), OpenOutcome::Clean, "{place}");
            }
        }
    }
}

/// Pages that the last commit wrote: those that differ from what the file held before it.
fn pages_of_last_commit(kind: Kind) -> (Fixture, Vec<usize>) {
    let fixture = fixture(kind);
    let pages = fixture.bytes.len() / PAGE;
    let fresh = |page: &usize| {
        let mut bytes = fixture.bytes.clone();
        bytes[page * PAGE + 100] ^= 4;
        let db = builder().create_with_backend(Image::new(bytes)).unwrap();
        matches!(db.open_outcome(), OpenOutcome::RolledBack(_)) || read(&db, &fixture.last) != Ok(Reading::Whole)
    };
    let damaging = (3..pages - 1).filter(fresh).collect();
    (fixture, damaging)
}

#[test]
fn a_torn_page_of_the_last_commit_is_rolled_back_or_an_error() {
    let (_, pages) = pages_of_last_commit(Kind::Unclean);
    assert!(pages.len() > 20);
    let (fixture, pages) = pages_of_last_commit(Kind::Unclean);
    let mut rolled_back = 0;
    for page in pages {
        let mut bytes = fixture.bytes.clone();
        bytes[page * PAGE + 100] ^= 4;
        let db = builder().create_with_backend(Image::new(bytes)).unwrap();
        assert_ne!(*db.open_outcome(), OpenOutcome::Clean);
        if matches!(db.open_outcome(), OpenOutcome::RolledBack(_)) {
            rolled_back += 1;
            assert_eq!(read(&db, &fixture.before), Ok(Reading::Whole), "page {page}");
        }
    }
    assert!(rolled_back > 10, "{rolled_back}");
    for kind in [Kind::TwoPhase, Kind::Closed] {
        let (fixture, pages) = pages_of_last_commit(kind);
        for page in pages {
            let mut bytes = fixture.bytes.clone();
            bytes[page * PAGE + 100] ^= 4;
            let db = builder().create_with_backend(Image::new(bytes)).unwrap();
            assert!(!matches!(db.open_outcome(), OpenOutcome::RolledBack(_)), "{kind:?} page {page}");
            let reading = read(&db, &fixture.last);
            assert!(matches!(reading, Ok(Reading::Error(_))), "{kind:?} page {page}: {reading:?}");
        }
    }
}

/// A header of zeros does not make a database a file whose creation stopped.
#[test]
fn a_wiped_header_is_not_a_half_created_file() {
    for (name, kind) in KINDS {
        let fixture = fixture(kind);
        let mut bytes = fixture.bytes.clone();
        bytes[..PAGE].fill(0);
        let image = Image::new(bytes);
        let db = builder().create_with_backend(image.clone()).unwrap();
        assert_eq!(read(&db, &fixture.last), Ok(Reading::Whole), "{name}");
        assert_eq!(*db.open_outcome(), OpenOutcome::Recovered, "{name}");
        assert_eq!(write(&db), Ok(true));
        drop(db);
        // The first write heals what it can.
        let db = builder().create_with_backend(image).unwrap();
        assert_eq!(*db.open_outcome(), OpenOutcome::Clean, "{name}");
    }
}

#[test]
fn damaged_files_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.sapwood");
    for (_, kind) in KINDS {
        let fixture = fixture(kind);
        for at in (0..fixture.bytes.len()).step_by(997) {
            let mut bytes = fixture.bytes.clone();
            bytes[at] ^= 0x40;
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(db) = Database::open(&path) {
                state_of(&db, &fixture).unwrap_or_else(|wrong| panic!("{kind:?} {at}: {wrong}"));
            }
        }
    }
}
