//! A program: transactions on a database beside a model of it. Compiled once per crate, as a child of the module that
//! says which crate `db` is.

mod blobs;
mod fields;
mod merges;
mod multimap;
mod ranges;
mod rows;
mod savepoints;
mod states;
mod store;

use super::{blobs_of, change_blobs, go_astray};
use super::{bulk_load, count, delete_range, drain, get_many};
use super::{db, merge, seek, tune, value_len, value_len_at, verify};
use crate::Told;
use crate::plan::{Limits, Plan, Sizes};
use crate::rng::Rng;
use crate::shared::shared_memory;
use blobs::BlobStore;
use db::{CompactionError, Database, DatabaseError, Durability, ReadTransaction, WriteTransaction};
use db::{MultimapTableHandle, ReadableDatabase, TableHandle};
use fields::Reversed;
use multimap::MultimapStore;
use savepoints::{Live, Savepoints};
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use store::{Slot, Store, When, reserve};

shared_memory!(db::StorageBackend);

/// Why a program failed. Takes any error, so that `?` needs no words.
#[derive(Debug)]
pub struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(err: E) -> Self {
        Self(format!("an error: {err}"))
    }
}

pub type Outcome = Result<(), Failure>;

/// What operations draw from, and where their answers go.
pub struct Run {
    rng: Rng,
    plan: Plan,
    values: Sizes,
    answers: DefaultHasher,
    /// Number of the operation that goes on, the first being 1.
    operation: u64,
    limits: Limits,
}

impl Run {
    /// Notes an answer, which must be the expected one.
    fn answer<T: Debug + Eq + Hash>(&mut self, question: &str, got: T, expected: T) -> Outcome {
        if got != expected {
            let (got, expected) = (brief(&got), brief(&expected));
            return Err(Failure(format!("operation {}, {question}: got {got}, expected {expected}", self.operation)));
        }
        got.hash(&mut self.answers);
        Ok(())
    }

    fn operations(&mut self) -> usize {
        (1 + self.rng.below(self.plan.operations)).min(self.limits.operations)
    }
}

/// The first few characters of what may be long.
fn brief(thing: &impl Debug) -> String {
    let text = format!("{thing:?}");
    let end = text.char_indices().nth(200).map_or(text.len(), |(index, _)| index);
    format!("{} ({} characters)", &text[..end], text.len())
}

/// The database, its model, and a reader that may be held over commits.
struct World {
    storage: SharedMemory,
    db: Option<Database>,
    slots: Vec<Box<dyn Slot>>,
    held: Option<ReadTransaction>,
    savepoints: Savepoints,
    /// Whether a commit waits for a durable one.
    pending: bool,
    run: Run,
}

/// What the program of this seed was told, or why it failed.
pub fn run(seed: u64, limits: &Limits) -> Result<Told, String> {
    let mut world = World::new(seed, limits);
    for index in 0..world.run.plan.transactions {
        // A stream per transaction: leaving one out does not change what the others draw.
        world.run.rng = Rng::new(seed, 2 + index as u64);
        world.transaction().map_err(|failure| format!("transaction {index}: {}", failure.0))?;
        if limits.spoil && index == 0 {
            world.slots.iter_mut().for_each(|slot| slot.spoil());
        }
        if world.run.operation >= world.run.plan.enough {
            break;
        }
    }
    world.reopen().and_then(|()| world.verify()).map_err(|failure| format!("at the end: {}", failure.0))?;
    Ok(Told { answers: world.run.answers.finish(), operations: world.run.operation })
}

/// One table of every kind, and the blobs.
fn all_slots() -> Vec<Option<Box<dyn Slot>>> {
    vec![
        Some(Box::new(Store::<u64, u64>::new("numbers").changing_rows())),
        Some(Box::new(Store::<&str, &[u8]>::new("text to bytes").appending().reserving(reserve).changing_rows())),
        Some(Box::new(Store::<&[u8], &str>::new("bytes to text").appending())),
        Some(Box::new(Store::<(u32, &str), Option<u64>>::new("pairs"))),
        Some(Box::new(Store::<i64, f64>::new("signed to float"))),
        Some(Box::new(Store::<[u8; 3], ()>::new("a set").changing_rows())),
        Some(Box::new(Store::<String, Vec<u32>>::new("string to list"))),
        Some(Box::new(Store::<u128, char>::new("wide to char"))),
        Some(Box::new(Store::<(i8, u16, &[u8]), &[u8]>::new("triples").appending().reserving(reserve).changing_rows())),
        Some(Box::new(Store::<char, String>::new("char to string").appending())),
        Some(Box::new(Store::<bool, &[u8]>::new("two rows at most").appending().reserving(reserve))),
        Some(Box::new(Store::<(), &str>::new("one row at most").appending())),
        Some(Box::new(Store::<Reversed, u64>::new("descending").changing_rows())),
        Some(Box::new(Store::<u64, &[u8]>::new("number to bytes").appending().reserving(reserve))),
        Some(Box::new(Store::<&[u8], &[u8]>::new("bytes to bytes").appending().reserving(reserve).changing_rows())),
        Some(Box::new(MultimapStore::<u64, u64>::new("sets of numbers"))),
        Some(Box::new(MultimapStore::<&str, &[u8]>::new("sets of bytes"))),
        Some(Box::new(MultimapStore::<bool, (u32, &str)>::new("two sets of pairs"))),
        Some(Box::new(MultimapStore::<Reversed, Reversed>::new("descending sets"))),
        Some(Box::new(MultimapStore::<&[u8], ()>::new("sets of one"))),
        Some(Box::new(BlobStore::new())),
    ]
}

/// The names of all tables and of all multimaps that a transaction lists. A macro, because the two kinds of transaction
/// share no trait.
macro_rules! listed {
    ($txn:expr) => {{
        let tables: Vec<String> = $txn.list_tables()?.map(|table| table.name().to_string()).collect();
        let multimaps: Vec<String> = $txn.list_multimap_tables()?.map(|table| table.name().to_string()).collect();
        [tables, multimaps]
    }};
}

impl World {
    fn new(seed: u64, limits: &Limits) -> Self {
        let mut choices = all_slots();
        let make = if limits.long { Plan::long } else { Plan::new };
        let mut plan = make(seed, choices.len());
        plan.transactions = plan.transactions.min(limits.transactions);
        let slots = plan.tables.iter().filter_map(|index| choices[*index].take()).collect();
        let (values, rng, answers) = (plan.values.clone(), Rng::new(seed, 1), DefaultHasher::new());
        let run = Run { rng, plan, values, answers, operation: 0, limits: limits.clone() };
        let (storage, savepoints) = (SharedMemory::default(), Savepoints::default());
        Self { storage, db: None, slots, held: None, savepoints, pending: false, run }
    }

    fn transaction(&mut self) -> Outcome {
        if self.db.is_none() || self.run.rng.chance(15) {
            self.reopen()?;
        }
        let Some(db) = &self.db else { return Err(Failure("no database".into())) };
        let mut txn = db.begin_write()?;
        let durable = !self.run.rng.chance(30);
        if !durable {
            txn.set_durability(Durability::None)?;
        }
        txn.set_two_phase_commit(self.run.rng.chance(15));
        txn.set_quick_repair(self.run.rng.chance(15));
        if self.run.rng.chance(30) {
            let live = Live { txn: &txn, durable, dirty: false };
            self.savepoints.operate(live, &mut self.slots, &mut self.run)?;
        }
        for _ in 0..1 + self.run.rng.below(2) {
            let turn = self.run.rng.below(self.slots.len());
            self.slots.rotate_left(turn);
            if let Some((first, rest)) = self.slots.split_first_mut() {
                first.operate(rest, &txn, &mut self.run)?;
            }
            if self.run.rng.chance(12) {
                self.administer(&txn)?;
            }
            if self.run.rng.chance(10) {
                go_astray(&mut txn, self.run.rng.next()).map_err(Failure)?;
            }
            if self.run.rng.chance(25) {
                self.undo(&mut txn, durable)?;
            }
        }
        if self.run.rng.chance(10) {
            // What is not committed must not be seen.
            self.check()?;
        }
        self.finish(txn, durable)?;
        self.hold_or_release()?;
        if self.run.rng.chance(8) {
            self.maintain()?;
        }
        if self.run.rng.chance(40) { self.check() } else { Ok(()) }
    }

    /// Deletes or renames one table, and lists all.
    fn administer(&mut self, txn: &WriteTransaction) -> Outcome {
        let [tables, multimaps] = self.names(When::Working);
        if let Some(slot) = self.slots.first_mut() {
            let alike = if slot.is_multimap() { multimaps } else { tables };
            if !alike.is_empty() {
                slot.administer(&alike, txn, &mut self.run)?;
            }
        }
        let expected = self.names(When::Working);
        self.run.answer("lists of tables", listed!(txn), expected)
    }

    /// Goes back to a savepoint, or does something else with savepoints in a transaction that has changed something.
    fn undo(&mut self, txn: &mut WriteTransaction, durable: bool) -> Outcome {
        if self.run.rng.chance(30) {
            let live = Live { txn, durable, dirty: true };
            return self.savepoints.operate(live, &mut self.slots, &mut self.run);
        }
        self.savepoints.restore(txn, durable, &mut self.slots, &mut self.run)?;
        let expected = self.names(When::Working);
        self.run.answer("lists of tables", listed!(txn), expected)
    }

    /// Compacts the file or checks it, unless somebody is in the way.
    fn maintain(&mut self) -> Outcome {
        let Some(db) = &mut self.db else { return Ok(()) };
        let busy = (self.held.is_some() || self.savepoints.are_held()).then_some("transaction");
        let (got, expected) = if self.run.rng.chance(50) {
            let got = match db.compact() {
                Ok(_) => None,
                Err(CompactionError::PersistentSavepointExists) => Some("persistent savepoint"),
                Err(CompactionError::EphemeralSavepointExists) => Some("ephemeral savepoint"),
                Err(CompactionError::TransactionInProgress) => Some("transaction"),
                Err(err) => return Err(err.into()),
            };
            (got, self.savepoints.in_the_way().or(busy))
        } else {
            let got = match db.check_integrity() {
                Ok(true) => None,
                Ok(false) => Some("damage"),
                Err(DatabaseError::TransactionInProgress) => Some("transaction"),
                Err(err) => return Err(err.into()),
            };
            (got, busy)
        };
        self.run.answer("in the way of maintenance", got, expected)
    }

    /// The names of all tables and of all multimaps.
    fn names(&self, when: When) -> [Vec<String>; 2] {
        [false, true].map(|multimap| {
            let slots = self.slots.iter().filter(|slot| slot.is_multimap() == multimap);
            let mut names: Vec<String> = slots.filter_map(|slot| slot.name(when)).collect();
            names.sort();
            names
        })
    }

    /// Commits, aborts or drops.
    fn finish(&mut self, txn: WriteTransaction, durable: bool) -> Outcome {
        let end = self.run.rng.below(100);
        match end {
            0..70 => {
                txn.commit()?;
                self.pending = !durable;
            }
            70..85 => txn.abort()?,
            _ => drop(txn),
        }
        self.slots.iter_mut().for_each(|slot| slot.settle(end < 70));
        self.savepoints.settle(end < 70, &mut self.slots, &mut self.run);
        Ok(())
    }

    fn hold_or_release(&mut self) -> Outcome {
        let names = self.names(When::Held);
        if let Some(held) = &self.held {
            self.run.answer("lists of tables", listed!(held), names)?;
            for slot in &self.slots {
                slot.check(held, true, &mut self.run)?;
            }
            if self.run.rng.chance(15) {
                self.held = None;
            }
        } else if self.run.rng.chance(35)
            && let Some(db) = &self.db
        {
            self.held = Some(db.begin_read()?);
            self.slots.iter_mut().for_each(|slot| slot.hold());
        }
        Ok(())
    }

    /// A new reader must see what the model holds.
    fn check(&mut self) -> Outcome {
        let Some(db) = &self.db else { return Ok(()) };
        let txn = db.begin_read()?;
        let expected = self.names(When::Committed);
        self.run.answer("lists of tables", listed!(txn), expected)?;
        self.slots.iter().try_for_each(|slot| slot.check(&txn, false, &mut self.run))
    }

    fn verify(&mut self) -> Outcome {
        if let Some(db) = &self.db {
            verify(db)?;
        }
        self.check()
    }

    /// Closes the database and opens it from its bytes. Only durable commits must survive, so there is one before.
    fn reopen(&mut self) -> Outcome {
        self.held = None;
        self.savepoints.close(&mut self.slots);
        if let Some(db) = self.db.take()
            && self.pending
        {
            db.begin_write()?.commit()?;
        }
        self.pending = false;
        let mut builder = Database::builder();
        builder.set_cache_size(self.run.plan.cache(&mut self.run.rng));
        tune(&mut builder, &self.run.plan);
        self.db = Some(builder.create_with_backend(self.storage.clone())?);
        self.check()
    }
}
