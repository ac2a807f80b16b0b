//! Savepoints and checkpoints against a model, with crashes and reopening in between, and their errors one by one.

mod common;

use common::crash::{CrashImages, Fate, RecordingBackend, Storm};
use common::rng::Rng;
use common::scale;
use sapwood::{Builder, Checkpoint, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable};
use sapwood::{
    ReadableTableMetadata, Savepoint, SavepointError, SetDurabilityError, TableDefinition, WriteTransaction,
};
use std::collections::{BTreeMap, BTreeSet};

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const MORE: TableDefinition<&[u8], u64> = TableDefinition::new("more");

/// What the tables hold; `None` for a table that does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    rows: Option<BTreeMap<u64, Vec<u8>>>,
    more: Option<BTreeMap<Vec<u8>, u64>>,
}

impl Model {
    fn of(txn: &ReadTransaction) -> Self {
        let rows = txn.open_table(ROWS).ok().map(|table| {
            let rows = table.iter().unwrap().map(|row| row.unwrap());
            rows.map(|(key, value)| (key.value(), value.value().to_vec())).collect()
        });
        let more = txn.open_table(MORE).ok().map(|table| {
            let rows = table.iter().unwrap().map(|row| row.unwrap());
            rows.map(|(key, value)| (key.value().to_vec(), value.value())).collect()
        });
        Self { rows, more }
    }
}

/// A savepoint as the model has it. Its age tells which are invalid once an older one is restored.
#[derive(Clone, Debug)]
struct Made {
    age: u64,
    model: Model,
}

/// What a transaction can go back to, but for the tables' rows.
#[derive(Clone, Default)]
struct Persistent {
    by_id: BTreeMap<u64, Made>,
    /// What it deleted by id: that can still be restored through a handle.
    deleted: BTreeSet<u64>,
    /// The age of the savepoint that was restored.
    restored: Option<u64>,
    dirty: bool,
}

struct Session {
    rng: Rng,
    page: usize,
    cache: usize,
    backend: RecordingBackend,
    committed: Model,
    /// What a crash now leads to at least.
    durable: (Model, BTreeMap<u64, Made>),
    persistent: BTreeMap<u64, Made>,
    ephemeral: Vec<(Savepoint, Made)>,
    /// Ages of ephemeral savepoints that went invalid.
    invalid: BTreeSet<u64>,
    /// Handles of persistent savepoints.
    handles: Vec<(Savepoint, u64, Made)>,
    readers: Vec<(ReadTransaction, Model)>,
    ages: u64,
}

impl Session {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (page, cache) = (*rng.pick(&[512, 512, 1024, 4096]), *rng.pick(&[0, 20_000, 1 << 24]));
        Self {
            rng,
            page,
            cache,
            backend: RecordingBackend::new(),
            committed: Model::default(),
            durable: Default::default(),
            persistent: BTreeMap::new(),
            ephemeral: Vec::new(),
            invalid: BTreeSet::new(),
            handles: Vec::new(),
            readers: Vec::new(),
            ages: 0,
        }
    }

    fn open(&self) -> Database {
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_cache_size(self.cache);
        builder.create_with_backend(self.backend.clone()).unwrap()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    fn age(&mut self) -> u64 {
        self.ages += 1;
        self.ages
    }

    fn run(&mut self, transactions: usize) {
        let mut db = self.open();
        for _ in 0..transactions {
            self.transaction(&db);
            self.look(&db);
            match self.rng.below(24) {
                0 => drop(db.verify().unwrap()),
                1 => {
                    self.forget_handles();
                    drop(db);
                    self.durable = (self.committed.clone(), self.persistent.clone());
                    self.backend = RecordingBackend::from_image(self.backend.contents());
                    db = self.open();
                    assert_eq!(Model::of(&db.begin_read().unwrap()), self.committed);
                }
                2 => {
                    self.forget_handles();
                    self.backend = RecordingBackend::from_state(self.backend.kill());
                    drop(db);
                    db = self.open();
                    (self.committed, self.persistent) = self.durable.clone();
                    assert_eq!(Model::of(&db.begin_read().unwrap()), self.committed);
                }
                _ => {}
            }
        }
        self.forget_handles();
        drop(db);
        self.backend = RecordingBackend::from_image(self.backend.contents());
        let db = self.open();
        db.verify().unwrap();
        self.free_everything(&db);
    }

    fn forget_handles(&mut self) {
        (self.ephemeral, self.handles, self.readers) = Default::default();
    }

    /// Readers see what they saw, and some go, as do savepoints.
    fn look(&mut self, db: &Database) {
        if self.rng.chance(64) {
            self.readers.push((db.begin_read().unwrap(), self.committed.clone()));
        }
        for (txn, model) in &self.readers {
            assert_eq!(Model::of(txn), *model);
        }
        if self.readers.len() > 3 || self.rng.chance(32) {
            let gone = self.below(self.readers.len().max(1));
            self.readers.drain(gone..(gone + 1).min(self.readers.len()));
        }
        if self.ephemeral.len() > 3 || (self.rng.chance(32) && !self.ephemeral.is_empty()) {
            let gone = self.below(self.ephemeral.len());
            self.ephemeral.remove(gone);
        }
        if self.handles.len() > 3 {
            self.handles.remove(0);
        }
    }

    fn transaction(&mut self, db: &Database) {
        let mut txn = db.begin_write().unwrap();
        let durable = !self.rng.chance(100);
        txn.set_durability(if durable { Durability::Immediate } else { Durability::None }).unwrap();
        txn.set_quick_repair(durable && self.rng.chance(80));
        let mut model = self.committed.clone();
        let mut state = Persistent { by_id: self.persistent.clone(), ..Persistent::default() };
        let mut marks: Vec<(Checkpoint, Model, Persistent)> = Vec::new();
        let mut released = Vec::new();
        for _ in 0..self.rng.below(12) {
            match self.rng.below(14) {
                0..=4 => {
                    state.dirty |= self.change(&txn, &mut model);
                }
                5 => self.make_ephemeral(&txn, &state),
                6 => self.make_persistent(&txn, durable, &mut state),
                7 => self.get_or_delete(&txn, durable, &mut state),
                8 | 9 => self.restore(&mut txn, durable, &mut state, &mut model),
                10 | 11 => marks.push((txn.checkpoint().unwrap(), model.clone(), state.clone())),
                12 if !marks.is_empty() => {
                    let nth = self.below(marks.len());
                    released.extend(marks.drain(nth + 1..).map(|(gone, ..)| gone));
                    let (checkpoint, then, state_then) = &marks[nth];
                    txn.rollback_to(checkpoint).unwrap();
                    (model, state) = (then.clone(), state_then.clone());
                }
                13 if !marks.is_empty() => {
                    let nth = self.below(marks.len());
                    txn.release_checkpoint(&marks[nth].0).unwrap();
                    released.extend(marks.drain(nth..).map(|(gone, ..)| gone));
                }
                _ => {
                    let listed: Vec<_> = txn.list_persistent_savepoints().unwrap().collect();
                    assert!(listed.iter().eq(state.by_id.keys()));
                }
            }
        }
        for gone in &released {
            assert!(matches!(txn.rollback_to(gone), Err(SavepointError::InvalidSavepoint)));
        }
        if self.rng.chance(48) {
            if self.rng.chance(128) {
                txn.abort().unwrap()
            } else {
                drop(txn)
            }
            return;
        }
        txn.commit().unwrap();
        if let Some(restored) = state.restored {
            self.invalid.extend(restored + 1..=self.ages);
        }
        (self.committed, self.persistent) = (model, state.by_id);
        if durable {
            self.durable = (self.committed.clone(), self.persistent.clone());
        }
    }

    /// Gives whether there was anything to change.
    fn change(&mut self, txn: &WriteTransaction, model: &mut Model) -> bool {
        let rng = &mut self.rng;
        match rng.below(10) {
            0 => {
                let deleted = txn.delete_table(MORE).unwrap();
                assert_eq!(deleted, model.more.take().is_some());
                return deleted;
            }
            1..=3 => {
                let mut table = txn.open_table(MORE).unwrap();
                let more = model.more.get_or_insert_default();
                for _ in 0..rng.below(30) {
                    let key = vec![7; 1 + rng.below(300) as usize];
                    let value = rng.next_u64();
                    table.insert(&*key, value).unwrap();
                    more.insert(key, value);
                }
            }
            _ => {
                let mut table = txn.open_table(ROWS).unwrap();
                let rows = model.rows.get_or_insert_default();
                for _ in 0..rng.below(60) {
                    let key = rng.below(200);
                    if rng.chance(80) {
                        assert_eq!(table.remove(key).unwrap().is_some(), rows.remove(&key).is_some());
                    } else {
                        let length = if rng.chance(20) { rng.below(3000) } else { rng.below(60) };
                        let value = vec![rng.next_u64() as u8; length as usize];
                        table.insert(key, &*value).unwrap();
                        rows.insert(key, value);
                    }
                }
            }
        }
        true
    }

    fn make_ephemeral(&mut self, txn: &WriteTransaction, state: &Persistent) {
        match txn.ephemeral_savepoint() {
            Ok(savepoint) if !state.dirty => {
                let made = Made { age: self.age(), model: self.committed.clone() };
                self.ephemeral.push((savepoint, made));
            }
            Err(SavepointError::InvalidSavepoint) if state.dirty => {}
            other => panic!("dirty: {}, and {other:?}", state.dirty),
        }
    }

    fn make_persistent(&mut self, txn: &WriteTransaction, durable: bool, state: &mut Persistent) {
        match txn.persistent_savepoint() {
            Ok(id) if !state.dirty && durable => {
                let made = Made { age: self.age(), model: self.committed.clone() };
                assert!(state.by_id.insert(id, made).is_none());
            }
            Err(SavepointError::ImmediateDurabilityRequired) if !durable => {}
            Err(SavepointError::InvalidSavepoint) if state.dirty => {}
            other => panic!("dirty: {}, durable: {durable}, and {other:?}", state.dirty),
        }
    }

    fn get_or_delete(&mut self, txn: &WriteTransaction, durable: bool, state: &mut Persistent) {
        let ids: Vec<_> = state.by_id.keys().copied().chain([u64::MAX]).collect();
        let id = *self.rng.pick(&ids);
        let made = state.by_id.get(&id).cloned();
        if self.rng.chance(128) {
            match (txn.get_persistent_savepoint(id), made) {
                (Ok(savepoint), Some(made)) => self.handles.push((savepoint, id, made)),
                (Err(SavepointError::InvalidSavepoint), None) => {}
                (other, made) => panic!("{made:?}, and {other:?}"),
            }
            return;
        }
        match txn.delete_persistent_savepoint(id) {
            Ok(deleted) if durable => {
                assert_eq!(deleted, state.by_id.remove(&id).is_some());
                state.deleted.insert(id);
            }
            Err(SavepointError::ImmediateDurabilityRequired) if !durable => {}
            other => panic!("durable: {durable}, and {other:?}"),
        }
    }

    fn restore(&mut self, txn: &mut WriteTransaction, durable: bool, state: &mut Persistent, model: &mut Model) {
        let count = self.ephemeral.len() + self.handles.len();
        if count == 0 {
            return;
        }
        let nth = self.below(count);
        let (savepoint, made, exists) = match self.ephemeral.get(nth) {
            Some((savepoint, made)) => (savepoint, made, !self.invalid.contains(&made.age)),
            None => {
                let (savepoint, id, made) = &self.handles[nth - self.ephemeral.len()];
                (savepoint, made, state.by_id.contains_key(id) || state.deleted.contains(id))
            }
        };
        let valid = exists && state.restored.is_none_or(|restored| made.age <= restored);
        let deletes = state.by_id.values().any(|other| other.age > made.age);
        match txn.restore_savepoint(savepoint) {
            Ok(()) if valid && (durable || !deletes) => {
                *model = made.model.clone();
                state.by_id.retain(|_, other| other.age <= made.age);
                state.restored = Some(made.age);
                state.dirty = true;
            }
            Err(SavepointError::InvalidSavepoint) if !valid => {}
            Err(SavepointError::ImmediateDurabilityRequired) if valid && deletes && !durable => {}
            other => panic!("valid: {valid}, deletes: {deletes}, durable: {durable}, and {other:?}"),
        }
    }

    /// With tables and savepoints gone, all space comes back.
    fn free_everything(&mut self, db: &Database) {
        let mut txn = db.begin_write().unwrap();
        let ids: Vec<_> = txn.list_persistent_savepoints().unwrap().collect();
        for (id, made) in ids.iter().zip(self.persistent.clone().values()) {
            let savepoint = txn.get_persistent_savepoint(*id).unwrap();
            if self.rng.chance(128) {
                let checkpoint = txn.checkpoint().unwrap();
                txn.restore_savepoint(&savepoint).unwrap();
                let rows = txn.open_table(ROWS).unwrap();
                assert_eq!(rows.len().unwrap(), made.model.rows.as_ref().map_or(0, |rows| rows.len() as u64));
                drop(rows);
                txn.rollback_to(&checkpoint).unwrap();
            }
        }
        assert!(ids.iter().eq(self.persistent.keys()));
        for id in ids {
            assert!(txn.delete_persistent_savepoint(id).unwrap());
        }
        txn.delete_table(ROWS).unwrap();
        txn.delete_table(MORE).unwrap();
        txn.commit().unwrap();
        for _ in 0..3 {
            db.begin_write().unwrap().commit().unwrap();
        }
        let report = db.verify().unwrap();
        assert_eq!((report.linked_pages, report.kept_pages), (0, 0));
    }
}

#[test]
fn programs_give_the_answers_of_the_model() {
    if let Ok(seed) = std::env::var("SAPWOOD_SAVEPOINTS_SEED") {
        return Session::new(seed.parse().unwrap()).run(60);
    }
    for seed in 0..60 * scale() {
        let outcome = std::panic::catch_unwind(|| Session::new(seed).run(60));
        assert!(outcome.is_ok(), "SAPWOOD_SAVEPOINTS_SEED={seed} fails");
    }
}

fn fill(db: &Database, keys: std::ops::Range<u64>, value: &[u8]) {
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        keys.for_each(|key| drop(rows.insert(key, value).unwrap()));
    }
    txn.commit().unwrap();
}

/// Walking both trees from end to end would take as long as the database is large.
#[test]
fn restoring_reads_what_differs() {
    let backend = RecordingBackend::new();
    let db = Builder::new().set_cache_size(0).set_page_size(512).create_with_backend(backend.clone()).unwrap();
    fill(&db, 0..20_000, &[1; 20]);
    let txn = db.begin_write().unwrap();
    let savepoint = txn.ephemeral_savepoint().unwrap();
    txn.open_table(MORE).unwrap().insert(&b"key"[..], 1).unwrap();
    txn.commit().unwrap();
    fill(&db, 7..8, &[2; 20]);
    let mut txn = db.begin_write().unwrap();
    backend.take_counters();
    txn.restore_savepoint(&savepoint).unwrap();
    let reads = backend.take_counters().reads.len();
    assert!(reads <= 20, "{reads} reads, and the way to the one row is of five pages");
    txn.commit().unwrap();
    assert_eq!(db.begin_read().unwrap().open_table(ROWS).unwrap().get(7).unwrap().unwrap().value(), [1; 20]);
    db.verify().unwrap();
}

#[test]
fn a_savepoint_is_of_one_database_and_a_checkpoint_of_one_transaction() {
    let [one, other] = [(); 2].map(|()| Builder::new().create_with_backend(RecordingBackend::new()).unwrap());
    let mut txn = one.begin_write().unwrap();
    let savepoint = txn.ephemeral_savepoint().unwrap();
    let checkpoint = txn.checkpoint().unwrap();
    let mut foreign = other.begin_write().unwrap();
    let checkpoints = [checkpoint, foreign.checkpoint().unwrap()];
    assert!(matches!(foreign.restore_savepoint(&savepoint), Err(SavepointError::InvalidSavepoint)));
    assert!(matches!(foreign.rollback_to(&checkpoints[0]), Err(SavepointError::InvalidSavepoint)));
    assert!(matches!(txn.release_checkpoint(&checkpoints[1]), Err(SavepointError::InvalidSavepoint)));
    txn.commit().unwrap();
    let mut txn = one.begin_write().unwrap();
    assert!(matches!(txn.rollback_to(&checkpoints[0]), Err(SavepointError::InvalidSavepoint)));
    txn.restore_savepoint(&savepoint).unwrap();
    drop(one);
    txn.commit().unwrap();
}

#[test]
fn persistent_savepoints_are_durable_or_an_error() {
    let db = Builder::new().create_with_backend(RecordingBackend::new()).unwrap();
    let mut txn = db.begin_write().unwrap();
    let id = txn.persistent_savepoint().unwrap();
    assert!(matches!(txn.set_durability(Durability::None), Err(SetDurabilityError::PersistentSavepointModified)));
    txn.set_durability(Durability::Immediate).unwrap();
    txn.commit().unwrap();
    let mut txn = db.begin_write().unwrap();
    let savepoint = txn.get_persistent_savepoint(id).unwrap();
    txn.set_durability(Durability::None).unwrap();
    assert!(matches!(txn.persistent_savepoint(), Err(SavepointError::ImmediateDurabilityRequired)));
    assert!(matches!(txn.delete_persistent_savepoint(id), Err(SavepointError::ImmediateDurabilityRequired)));
    txn.restore_savepoint(&savepoint).unwrap();
    txn.commit().unwrap();
    db.begin_write().unwrap().abort().unwrap();
    let err = sapwood::Error::from(SavepointError::InvalidSavepoint).to_string();
    assert!(err.contains("savepoint"), "{err}");
}

/// A panic of a user's predicate leaves a table half-way; what was before it must not be lost with it.
#[test]
fn going_back_to_a_checkpoint_mends_a_broken_transaction() {
    let db = Builder::new().create_with_backend(RecordingBackend::new()).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.open_table(ROWS).unwrap().insert(1, &[1][..]).unwrap();
    let checkpoint = txn.checkpoint().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        txn.open_table(ROWS).unwrap().retain(|_, _| panic!("a predicate that panics"))
    }));
    assert!(panicked.is_err());
    txn.rollback_to(&checkpoint).unwrap();
    txn.open_table(ROWS).unwrap().insert(2, &[2][..]).unwrap();
    txn.commit().unwrap();
    assert_eq!(db.begin_read().unwrap().open_table(ROWS).unwrap().len().unwrap(), 2);
}

#[test]
fn a_savepoint_keeps_what_it_can_see_and_no_more() {
    for persistent in [false, true] {
        let backend = RecordingBackend::new();
        let db = small().create_with_backend(backend.clone()).unwrap();
        fill(&db, 0..1000, &[0; 50]);
        let start = backend.contents().len();
        let txn = db.begin_write().unwrap();
        let _held = if persistent { None } else { Some(txn.ephemeral_savepoint().unwrap()) };
        if persistent {
            txn.persistent_savepoint().unwrap();
        }
        txn.commit().unwrap();
        for round in 0..1000 {
            fill(&db, 0..1000, &[round as u8; 50]);
            if round % 100 == 0 {
                backend.restart();
            }
        }
        let end = backend.contents().len();
        assert!(end <= 5 * start, "{end} bytes, and {start} before");
        db.verify().unwrap();
    }
}

/// The record of free pages that the commit saves must not keep what only the savepoint needed.
#[test]
fn a_savepoint_that_comes_and_goes_in_one_transaction_keeps_no_page() {
    let backend = RecordingBackend::new();
    let db = small().create_with_backend(backend.clone()).unwrap();
    fill(&db, 0..300, &[0; 40]);
    let mut txn = db.begin_write().unwrap();
    txn.set_quick_repair(true);
    let id = txn.persistent_savepoint().unwrap();
    assert!(txn.delete_persistent_savepoint(id).unwrap());
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        (0..200).for_each(|key| drop(rows.insert(key, [1; 40].as_slice()).unwrap()));
    }
    txn.commit().unwrap();
    after_every_power_loss(&backend, |_, _| {});
}

#[test]
fn what_is_said_of_a_snapshot_is_what_it_gives_back() {
    let db = small().create_with_backend(RecordingBackend::new()).unwrap();
    fill(&db, 0..3_000, &[0; 40]);
    let oldest = db.begin_read().unwrap();
    fill(&db, 0..1_000, &[1; 40]);
    let txn = db.begin_write().unwrap();
    let (ephemeral, persistent) = (txn.ephemeral_savepoint().unwrap(), txn.persistent_savepoint().unwrap());
    txn.commit().unwrap();
    fill(&db, 500..1_500, &[2; 40]);
    let [younger, twin] = [(); 2].map(|()| db.begin_read().unwrap());
    fill(&db, 1_200..2_000, &[3; 40]);
    // Until the third commit the slots hold what was before.
    (0..3).for_each(|_| fill(&db, 0..1, &[4; 40]));

    let all = db.snapshots();
    assert!(all.is_sorted_by_key(|snapshot| snapshot.transaction_id));
    let holders: Vec<_> = all.iter().map(|snapshot| (snapshot.readers, snapshot.references)).collect();
    assert_eq!(holders, [(1, 0), (0, 2), (2, 0)]);
    assert!(all.iter().all(|snapshot| snapshot.own_pages > 0 && snapshot.shared_pages > 0));
    assert!(all.is_sorted_by(|older, younger| older.age.unwrap() >= younger.age.unwrap()));

    // It takes the last holder to let go.
    drop((twin, ephemeral));
    assert_eq!(
        db.snapshots().iter().map(|snapshot| snapshot.own_pages).sum::<u64>(),
        all.iter().map(|s| s.own_pages).sum()
    );
    for reader in [younger, oldest] {
        let (kept, own) = (db.verify().unwrap().kept_pages, db.snapshots());
        drop(reader);
        let left = db.snapshots();
        let gone =
            own.iter().find(|snapshot| !left.iter().any(|other| other.transaction_id == snapshot.transaction_id));
        assert_eq!(db.verify().unwrap().kept_pages, kept - gone.unwrap().own_pages);
    }
    let txn = db.begin_write().unwrap();
    txn.delete_persistent_savepoint(persistent).unwrap();
    txn.commit().unwrap();
    fill(&db, 0..1, &[5; 40]);
    assert_eq!(db.snapshots(), []);
}

#[test]
fn verify_looks_at_what_savepoints_keep() {
    let backend = RecordingBackend::new();
    let db = small().create_with_backend(backend.clone()).unwrap();
    put(&db, Durability::Immediate, &[0xAB; 300]);
    let txn = db.begin_write().unwrap();
    txn.persistent_savepoint().unwrap();
    txn.commit().unwrap();
    put(&db, Durability::Immediate, &[0xCD; 300]);
    drop(db);
    let mut image = backend.contents();
    let db = small().create_with_backend(RecordingBackend::from_image(image.clone())).unwrap();
    assert!(db.verify().unwrap().kept_pages > 10);
    let kept = image.windows(300).position(|window| window == [0xAB; 300]).unwrap();
    image[kept + 7] ^= 1;
    let db = small().create_with_backend(RecordingBackend::from_image(image)).unwrap();
    assert!(matches!(db.verify(), Err(sapwood::DatabaseError::Storage(sapwood::StorageError::Corrupted(_)))));
}

// ---- Orders of events that broke drafts of the design -------------------------------------------------------------

fn put(db: &Database, how: Durability, value: &[u8]) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(how).unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        (0..20).for_each(|key| drop(rows.insert(key, value).unwrap()));
    }
    txn.commit().unwrap();
}

/// The value that all rows have.
fn value_of(rows: &impl ReadableTable<u64, &'static [u8]>) -> Vec<u8> {
    let mut values = rows.iter().unwrap().map(|row| row.unwrap().1.value().to_vec());
    let first = values.next().unwrap();
    assert_eq!(values.filter(|value| *value == first).count(), 19);
    first
}

fn value_in(db: &Database) -> Vec<u8> {
    value_of(&db.begin_read().unwrap().open_table(ROWS).unwrap())
}

/// What opening finds after power loss at any moment of what the backend has recorded, with the newest mark by then: in
/// some ways at random, and in each in which one operation is lost that was not synced.
fn after_every_power_loss(backend: &RecordingBackend, mut look: impl FnMut(&Database, u64)) {
    let (recording, mut rng) = (backend.recording(), Rng::new(5));
    let mut images = CrashImages::new(&recording);
    while images.advance() {
        let random: Vec<_> = (0..4).map(|_| images.power_loss(&mut rng)).collect();
        let one_less = (0..images.pending().len()).map(|lost| {
            let fate = |index, _: &_| if index == lost { Fate::Dropped } else { Fate::Kept };
            images.power_loss_in(&Storm::dropping(), fate)
        });
        for image in random.into_iter().chain(one_less) {
            let db = small().create_with_backend(RecordingBackend::from_image(image)).unwrap();
            look(&db, images.last_mark().unwrap_or(0));
            db.verify().unwrap();
        }
    }
}

fn small() -> Builder {
    let mut builder = Builder::new();
    builder.set_page_size(512).set_block_size(512);
    builder
}

/// A page that a restore had linked again was given away with the savepoint: it had been unlinked in between.
#[test]
fn pages_that_a_restore_links_again_outlive_the_savepoint() {
    for (cache, reopened) in [(1 << 20, false), (0, false), (1 << 20, true), (0, true)] {
        let backend = RecordingBackend::new();
        let mut builder = small();
        let mut db = builder.set_cache_size(cache).create_with_backend(backend.clone()).unwrap();
        put(&db, Durability::Immediate, &[5; 300]);
        let txn = db.begin_write().unwrap();
        let id = txn.persistent_savepoint().unwrap();
        txn.commit().unwrap();
        put(&db, Durability::Immediate, &[7; 300]);
        let reader = db.begin_read().unwrap();
        put(&db, Durability::Immediate, &[8; 300]);
        if reopened {
            drop((reader, db));
            db = builder.open_with_backend_of(&backend);
        }
        let mut txn = db.begin_write().unwrap();
        let savepoint = txn.get_persistent_savepoint(id).unwrap();
        txn.restore_savepoint(&savepoint).unwrap();
        drop(savepoint);
        assert!(txn.delete_persistent_savepoint(id).unwrap());
        txn.commit().unwrap();
        for _ in 0..4 {
            fill(&db, 1000..1100, &[1; 300]);
            let txn = db.begin_write().unwrap();
            txn.open_table(ROWS).unwrap().retain(|key, _| key < 1000).unwrap();
            txn.commit().unwrap();
        }
        assert_eq!(value_in(&db), [5; 300]);
        db.verify().unwrap();
    }
}

trait Reopen {
    fn open_with_backend_of(&self, backend: &RecordingBackend) -> Database;
}

impl Reopen for Builder {
    fn open_with_backend_of(&self, backend: &RecordingBackend) -> Database {
        self.create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap()
    }
}

/// Pages of an unsynced commit, replaced by a later one and linked again by a restore, were thought to be on disk.
#[test]
fn restoring_an_unsynced_commit_survives_power_loss() {
    let backend = RecordingBackend::new();
    let db = small().create_with_backend(backend.clone()).unwrap();
    put(&db, Durability::Immediate, &[6; 300]);
    backend.restart();
    put(&db, Durability::None, &[7; 300]);
    let txn = db.begin_write().unwrap();
    let savepoint = txn.ephemeral_savepoint().unwrap();
    txn.abort().unwrap();
    put(&db, Durability::None, &[8; 300]);
    put(&db, Durability::Immediate, &[9; 300]);
    backend.mark(9);
    let mut txn = db.begin_write().unwrap();
    txn.restore_savepoint(&savepoint).unwrap();
    txn.commit().unwrap();
    backend.mark(10);
    assert_eq!(value_in(&db), [7; 300]);
    after_every_power_loss(&backend, |db, mark| {
        let found = value_in(db)[0];
        let allowed: &[u8] = match mark {
            9 => &[9, 7],
            10 => &[7],
            _ => &[6, 9],
        };
        assert!(allowed.contains(&found), "{found} after {mark}");
    });
}

/// A savepoint of an unsynced commit refers to pages that the commit which brings it to disk has replaced.
#[test]
fn a_persistent_savepoint_of_an_unsynced_commit_survives_power_loss() {
    let backend = RecordingBackend::new();
    let db = small().create_with_backend(backend.clone()).unwrap();
    put(&db, Durability::Immediate, &[6; 300]);
    backend.restart();
    put(&db, Durability::None, &[8; 300]);
    let txn = db.begin_write().unwrap();
    let id = txn.persistent_savepoint().unwrap();
    txn.open_table(ROWS).unwrap().retain(|_, _| false).unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        (0..20).for_each(|key| drop(rows.insert(key, &[9; 300][..]).unwrap()));
    }
    txn.commit().unwrap();
    backend.mark(9);
    after_every_power_loss(&backend, |db, mark| {
        let found = value_in(db)[0];
        assert!(found == 9 || (found == 6 && mark < 9), "{found} after {mark}");
        let mut txn = db.begin_write().unwrap();
        assert_eq!(txn.list_persistent_savepoints().unwrap().eq([id]), found == 9);
        if found == 9 {
            let savepoint = txn.get_persistent_savepoint(id).unwrap();
            txn.restore_savepoint(&savepoint).unwrap();
            txn.commit().unwrap();
            assert_eq!(value_in(db), [8; 300]);
        }
    });
}

/// The pages of a savepoint were used again by the transaction that deleted it, or by the next: a crash, or a damaged
/// slot, then led back to a commit that named it.
#[test]
fn a_deleted_savepoint_is_whole_in_the_commit_before() {
    let backend = RecordingBackend::new();
    let db = small().set_cache_size(64 << 10).create_with_backend(backend.clone()).unwrap();
    put(&db, Durability::Immediate, &[5; 300]);
    let txn = db.begin_write().unwrap();
    let id = txn.persistent_savepoint().unwrap();
    txn.commit().unwrap();
    put(&db, Durability::Immediate, &[8; 300]);
    put(&db, Durability::Immediate, &[9; 300]);
    backend.restart();
    let restores = |db: &Database| {
        let mut txn = db.begin_write().unwrap();
        let exists = txn.list_persistent_savepoints().unwrap().eq([id]);
        if exists {
            let savepoint = txn.get_persistent_savepoint(id).unwrap();
            txn.restore_savepoint(&savepoint).unwrap();
            assert_eq!(value_of(&txn.open_table(ROWS).unwrap()), [5; 300]);
        }
        exists
    };
    let txn = db.begin_write().unwrap();
    assert!(txn.delete_persistent_savepoint(id).unwrap());
    txn.open_table(ROWS).unwrap().insert(7, &[9; 300][..]).unwrap();
    {
        let mut rows = txn.open_table(MORE).unwrap();
        (0..40_u64).for_each(|key| drop(rows.insert(&key.to_be_bytes()[..], key).unwrap()));
    }
    txn.commit().unwrap();
    backend.mark(10);
    after_every_power_loss(&backend, |db, mark| assert!(restores(db) || mark == 10 || value_in(db)[0] == 9));

    // A transaction larger than the cache writes to pages that are free by now.
    let before = backend.take_counters();
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        (0..2000).for_each(|key| drop(rows.insert(key, &[11; 300][..]).unwrap()));
    }
    assert!(backend.take_counters().writes > 100, "{before:?}");
    txn.abort().unwrap();
    let mut image = backend.contents();
    let ids = [1, 2].map(|slot| u64::from_le_bytes(image[slot * 512 + 8..][..8].try_into().unwrap()));
    let newest = 1 + usize::from(ids[1] > ids[0]);
    let mirror = (0..image.len() / 512).rev().find(|page| image[page * 512..].starts_with(b"sapmirr")).unwrap();
    for block in [newest, mirror] {
        image[block * 512..][..512].fill(0xEE);
    }
    let db = small().create_with_backend(RecordingBackend::from_image(image)).unwrap();
    assert!(restores(&db), "the commit before still names it");
    db.verify().unwrap();
}

/// The handle went, and with it the pages, before the commit that had restored them, or its abort.
#[test]
fn a_restored_savepoint_may_be_dropped_before_the_end() {
    for commits in [true, false] {
        let db = small().create_with_backend(RecordingBackend::new()).unwrap();
        put(&db, Durability::Immediate, &[5; 300]);
        let txn = db.begin_write().unwrap();
        let savepoint = txn.ephemeral_savepoint().unwrap();
        txn.abort().unwrap();
        put(&db, Durability::Immediate, &[7; 300]);
        put(&db, Durability::Immediate, &[8; 300]);
        let mut txn = db.begin_write().unwrap();
        txn.restore_savepoint(&savepoint).unwrap();
        drop(savepoint);
        {
            let mut rows = txn.open_table(MORE).unwrap();
            (0..400_u64).for_each(|key| drop(rows.insert(&key.to_be_bytes()[..], key).unwrap()));
        }
        assert_eq!(value_of(&txn.open_table(ROWS).unwrap()), [5; 300]);
        if commits {
            txn.commit().unwrap()
        } else {
            txn.abort().unwrap()
        }
        assert_eq!(value_in(&db), if commits { [5; 300] } else { [8; 300] });
        db.verify().unwrap();
    }
}

/// A transaction larger than the cache had written pages, and forgot which, when it went back.
#[test]
fn a_transaction_larger_than_the_cache_goes_back() {
    let db = small().set_cache_size(64 << 10).create_with_backend(RecordingBackend::new()).unwrap();
    put(&db, Durability::Immediate, &[5; 300]);
    let mut txn = db.begin_write().unwrap();
    let savepoint = txn.ephemeral_savepoint().unwrap();
    let insert = |txn: &WriteTransaction, byte: u8| {
        let mut rows = txn.open_table(ROWS).unwrap();
        (0..2000).for_each(|key| drop(rows.insert(key, &[byte; 300][..]).unwrap()));
    };
    insert(&txn, 6);
    let checkpoint = txn.checkpoint().unwrap();
    insert(&txn, 7);
    txn.rollback_to(&checkpoint).unwrap();
    let is = |txn: &WriteTransaction, key: u64, byte: u8| {
        assert_eq!(txn.open_table(ROWS).unwrap().get(key).unwrap().unwrap().value(), [byte; 300]);
    };
    (0..2000).for_each(|key| is(&txn, key, 6));
    insert(&txn, 8);
    (0..2000).for_each(|key| is(&txn, key, 8));
    txn.restore_savepoint(&savepoint).unwrap();
    assert_eq!(value_of(&txn.open_table(ROWS).unwrap()), [5; 300]);
    txn.rollback_to(&checkpoint).unwrap();
    (0..2000).for_each(|key| is(&txn, key, 6));
    txn.commit().unwrap();
    db.verify().unwrap();
}
