//! A program of transactions, chosen by the input, on a database and on `BTreeMap`s, with readers that live on, closing
//! and opening, and a crash at the end: the answers must agree, and what is found after the crash must be one of the
//! commits that a crash may leave.
//! Run with `cargo +nightly fuzz run programs -- -timeout=30 -malloc_limit_mb=200 -max_len=3000`.
#![no_main]

#[path = "../input.rs"]
mod input;
#[allow(dead_code)]
#[path = "../../tests/common"]
mod common {
    pub mod crash;
    pub mod rng;
}

use common::crash::{CrashImages, RecordingBackend, Storm};
use common::rng::Rng;
use input::Input;
use libfuzzer_sys::fuzz_target;
use sapwood::{Builder, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use sapwood::{Table, TableDefinition};
use std::collections::BTreeMap;
use std::ops::Bound;

const BYTES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("bytes");
const NUMBERS: TableDefinition<u32, &[u8]> = TableDefinition::new("numbers");
/// Steps of one program.
const STEPS: usize = 400;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The rows of both tables; numbers by their bytes, greatest first.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    bytes: Rows,
    numbers: Rows,
}

impl Model {
    fn read(txn: &ReadTransaction) -> Self {
        let mut found = Self::default();
        if let Ok(table) = txn.open_table(BYTES) {
            let rows = table.iter().unwrap().map(Result::unwrap);
            found.bytes = rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect();
            assert_eq!(table.len().unwrap(), found.bytes.len() as u64);
            let back = table.iter().unwrap().rev().map(|row| row.unwrap().0.value().to_vec());
            assert!(back.eq(found.bytes.keys().rev().cloned()), "backwards is not forwards");
        }
        if let Ok(table) = txn.open_table(NUMBERS) {
            let rows = table.iter().unwrap().map(Result::unwrap);
            found.numbers =
                rows.map(|(key, value)| (key.value().to_be_bytes().to_vec(), value.value().to_vec())).collect();
            assert_eq!(table.len().unwrap(), found.numbers.len() as u64);
        }
        found
    }
}

impl Input<'_> {
    /// Mostly short; sometimes as long as decides where a row goes; keys that begin alike.
    fn bytes(&mut self, page: usize) -> Vec<u8> {
        let kind = self.byte();
        let length = match kind & 0x1F {
            short @ 0..24 => usize::from(short),
            24 | 25 => usize::from(self.byte()),
            26 | 27 => (page / 4).saturating_add_signed(isize::from(self.byte() as i8)),
            28 => page.saturating_add_signed(isize::from(self.byte() as i8)),
            29 => page / 2 + usize::from(self.byte()),
            _ => self.word() % (6 * page),
        };
        let mut out = vec![kind & 0x80; length];
        let end = self.byte();
        for (place, step) in out.iter_mut().rev().zip(0_u8..2) {
            *place = end.wrapping_mul(step.wrapping_add(1));
        }
        out
    }
}

struct Setup {
    page: usize,
    cache: usize,
}

impl Setup {
    fn open(&self, backend: &RecordingBackend) -> Database {
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_block_size(512).set_cache_size(self.cache);
        builder.create_with_backend(backend.clone()).unwrap()
    }
}

fn bound(kind: u8, key: &[u8]) -> Bound<&[u8]> {
    match kind % 3 {
        0 => Bound::Unbounded,
        1 => Bound::Included(key),
        _ => Bound::Excluded(key),
    }
}

fn edit_bytes(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    rows: &mut Rows,
    input: &mut Input<'_>,
    page: usize,
) {
    let (kind, key) = (input.byte(), input.bytes(page));
    match kind % 12 {
        0..4 => {
            let value = input.bytes(page);
            let old = table.insert(&key[..], &value[..]).unwrap().map(|old| old.value().to_vec());
            assert_eq!(old, rows.insert(key, value));
        }
        4 => {
            let value = input.bytes(page);
            table.insert_reserve(&key[..], value.len()).unwrap().as_mut().copy_from_slice(&value);
            rows.insert(key, value);
        }
        5 | 6 => {
            let old = table.remove(&key[..]).unwrap().map(|old| old.value().to_vec());
            assert_eq!(old, rows.remove(&key));
        }
        7 => {
            // The nearest key that is there.
            let Some(near) = rows.range(key..).next().map(|row| row.0.clone()) else { return };
            let old = table.remove(&near[..]).unwrap().map(|old| old.value().to_vec());
            assert_eq!(old, rows.remove(&near));
        }
        8 => {
            let old = table.pop_first().unwrap().map(|(key, value)| (key.value().to_vec(), value.value().to_vec()));
            assert_eq!(old, rows.pop_first());
        }
        9 => {
            let old = table.pop_last().unwrap().map(|(key, value)| (key.value().to_vec(), value.value().to_vec()));
            assert_eq!(old, rows.pop_last());
        }
        10 => {
            let found = table.get(&key[..]).unwrap().map(|value| value.value().to_vec());
            assert_eq!(found.as_ref(), rows.get(&key));
        }
        _ => {
            let other = input.bytes(page);
            let (low, high) = if key <= other { (key, other) } else { (other, key) };
            let kinds = input.byte();
            if low == high && kinds % 3 == 2 && kinds / 3 % 3 == 2 {
                return;
            }
            let range = (bound(kinds, &low), bound(kinds / 3, &high));
            let found: Vec<_> =
                table.range::<&[u8]>(range).unwrap().map(|row| row.unwrap().0.value().to_vec()).collect();
            let expected: Vec<_> = rows.range::<[u8], _>(range).map(|row| row.0.clone()).collect();
            assert_eq!(found, expected);
        }
    }
}

fn edit_numbers(table: &mut Table<'_, u32, &'static [u8]>, rows: &mut Rows, input: &mut Input<'_>, page: usize) {
    let (kind, start) = (input.byte(), input.word() as u32);
    let count = u32::from(kind >> 4).pow(2);
    let value = input.bytes(page);
    for key in start..start + count + 1 {
        if kind % 3 == 0 {
            let old = table.remove(key).unwrap().map(|old| old.value().to_vec());
            assert_eq!(old, rows.remove(&key.to_be_bytes()[..]));
        } else {
            let old = table.insert(key, &value[..]).unwrap().map(|old| old.value().to_vec());
            assert_eq!(old, rows.insert(key.to_be_bytes().to_vec(), value.clone()));
        }
    }
}

/// A database at work, what should be in it, and all states that it had.
struct Session<'i> {
    setup: Setup,
    input: Input<'i>,
    backend: RecordingBackend,
    model: Model,
    /// Each with whether it was durable. A mark of `2 n` says that state `n` was begun, one more that it is durable.
    states: Vec<(Model, bool)>,
    readers: Vec<(ReadTransaction, Model)>,
    steps: usize,
}

impl Session<'_> {
    fn transaction(&mut self, db: &Database) {
        let how = self.input.byte();
        let mut txn = db.begin_write().unwrap();
        let durable = how & 3 != 0;
        txn.set_durability(if durable { Durability::Immediate } else { Durability::None }).unwrap();
        txn.set_two_phase_commit(how & 4 != 0);
        txn.set_quick_repair(how & 24 == 24);
        let mut model = self.model.clone();
        if how & 32 == 0 {
            let mut table = txn.open_table(BYTES).unwrap();
            for _ in 0..=self.input.byte() % 64 {
                edit_bytes(&mut table, &mut model.bytes, &mut self.input, self.setup.page);
                self.steps += 1;
            }
        }
        if how & 64 != 0 {
            let mut table = txn.open_table(NUMBERS).unwrap();
            edit_numbers(&mut table, &mut model.numbers, &mut self.input, self.setup.page);
            self.steps += 10;
        }
        if how & 128 != 0 && self.input.byte() % 2 == 0 {
            return drop(txn);
        }
        let mark = self.begin_state(model, durable);
        txn.commit().unwrap();
        if durable {
            self.backend.mark(mark + 1);
        }
    }

    fn begin_state(&mut self, model: Model, durable: bool) -> u64 {
        let mark = 2 * self.states.len() as u64;
        self.model = model.clone();
        self.states.push((model, durable));
        self.backend.mark(mark);
        mark
    }

    fn check(&self, db: &Database) {
        assert!(Model::read(&db.begin_read().unwrap()) == self.model, "not what was committed");
    }

    fn close(&mut self, db: Database) {
        let mark = self.begin_state(self.model.clone(), true);
        drop(db);
        self.backend.mark(mark + 1);
        self.readers.clear();
        assert_eq!(self.backend.take_counters().closes, 1);
    }

    fn step(&mut self, mut db: Database) -> Database {
        self.steps += 1;
        match self.input.byte() % 16 {
            0..10 => self.transaction(&db),
            10 | 11 => self.readers.push((db.begin_read().unwrap(), self.model.clone())),
            12 => {
                if let Some((txn, model)) = self.readers.pop() {
                    assert!(Model::read(&txn) == model, "a snapshot has changed");
                }
            }
            13 => {
                if !self.readers.is_empty() {
                    drop(self.readers.remove(0));
                }
            }
            14 => drop(db.verify().unwrap()),
            _ => {
                self.close(db);
                db = self.setup.open(&self.backend);
                self.check(&db);
            }
        }
        db
    }

    /// The states that a crash may leave: those that were begun, from the newest that was durable on.
    fn allowed(&self, marks: &[u64]) -> Vec<&Model> {
        let begun = marks.iter().map(|mark| *mark / 2 + 1).max().unwrap_or(0) as usize;
        let oldest = marks.iter().filter(|mark| *mark % 2 == 1).map(|mark| *mark / 2).max();
        let from = oldest.map_or(0, |oldest| oldest as usize);
        self.states[from..begun.max(from)].iter().map(|state| &state.0).collect()
    }

    fn crash(&mut self) {
        let recording = self.backend.recording();
        let mut images = CrashImages::new(&recording);
        images.seek(self.input.word() % (recording.log.len() + 1));
        let mut rng = Rng::new(self.input.word() as u64);
        let storm = Storm::random(&mut rng);
        // Before anything was durable the file may be nobody's.
        if !images.marks().iter().any(|mark| mark % 2 == 1) {
            return;
        }
        let kill = self.input.byte() % 4 == 0;
        let image =
            if kill { images.kill().contents() } else { images.power_loss_in(&storm, |_, _| storm.fate(&mut rng)) };
        let backend = RecordingBackend::from_image(image);
        let db = self.setup.open(&backend);
        let found = Model::read(&db.begin_read().unwrap());
        let allowed = self.allowed(images.marks());
        assert!(allowed.contains(&&found), "after a crash there is what was not committed, or older");
        db.verify().unwrap();
        self.model = found;
        (self.backend, self.states) = (backend, Vec::new());
        self.transaction(&db);
        self.check(&db);
        db.verify().unwrap();
        self.close(db);
        let db = self.setup.open(&self.backend);
        self.check(&db);
        db.verify().unwrap();
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let setup = Setup {
        page: [512, 512, 1024, 4096][usize::from(input.byte() % 4)],
        cache: [0, 20_000, 60_000, 1 << 24][usize::from(input.byte() % 4)],
    };
    let backend = RecordingBackend::new();
    let (model, states) = (Model::default(), vec![(Model::default(), true)]);
    let mut session = Session { setup, input, backend, model, states, readers: Vec::new(), steps: 0 };
    let mut db = session.setup.open(&session.backend);
    session.backend.mark(1);
    while session.steps < STEPS && session.input.0.len() > 5 {
        db = session.step(db);
    }
    session.check(&db);
    for (txn, model) in session.readers.drain(..) {
        assert!(Model::read(&txn) == model, "a snapshot has changed");
    }
    session.close(db);
    assert_eq!(session.backend.violations(), [""; 0]);
    session.crash();
});
