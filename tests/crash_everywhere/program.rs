//! Random work on a database: transactions of every kind, readers that outlive them, closing and opening in between.

use crate::common::clock::Hand;
use crate::common::crash::RecordingBackend;
use crate::common::rng::Rng;
use crate::group::Group;
use crate::model::{FADING, History, JOINED, Model, Past, joined, text};
use crate::past::check_past;
use crate::work::Work;
use sapwood::{
    Builder, CdcConfig, CdcMode, Clock, CompactOptions, Compression, Database, Durability, GroupCommitOptions,
    ReadTransaction, ReadableDatabase, WriteTransaction,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// How the file is laid out and how much memory there is.
#[derive(Clone, Debug)]
pub struct Setup {
    pub page: usize,
    pub block: usize,
    pub cache: usize,
    /// Values are compressed, if there is a codec.
    pub packed: bool,
    /// Commits of the history that stay.
    pub retained: u64,
    /// Transactions of the change log that stay; 0 if there is none.
    pub logged: u64,
    /// Batches that are committed together.
    pub group: u32,
    pub clock: Hand,
}

impl Setup {
    pub fn random(rng: &mut Rng) -> Self {
        let clock = Hand::default();
        clock.set(1_000);
        Self {
            page: *rng.pick(&[512, 512, 1024, 4096]),
            block: *rng.pick(&[512, 4096]),
            cache: *rng.pick(&[0, 0, 20_000, 200_000, 1 << 24]),
            packed: rng.chance(100),
            retained: *rng.pick(&[0, 0, 2, 20]),
            logged: *rng.pick(&[0, 0, 3, 8]),
            group: *rng.pick(&[1, 2, 4]),
            clock,
        }
    }

    /// Opens what is there, or creates it.
    pub fn open(&self, backend: &RecordingBackend) -> Result<Database, String> {
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_block_size(self.block).set_cache_size(self.cache);
        builder.set_compression(match self.packed {
            #[cfg(feature = "lz4")]
            true => Compression::Lz4,
            _ => Compression::None,
        });
        builder.set_history_retention(self.retained).set_clock(self.clock.clone());
        builder.register_merge_operator(JOINED, joined());
        // A leader waits until all are there.
        let all_at_once = GroupCommitOptions::new().set_max_delay(Duration::from_secs(300));
        builder.set_group_commit(all_at_once.set_max_batches(self.group));
        if self.logged > 0 {
            builder.set_cdc(CdcConfig::new(CdcMode::OldAndNew).with_max_transactions(self.logged));
        }
        builder.create_with_backend(backend.clone()).map_err(|err| format!("opening: {err:?}"))
    }
}

/// A program at work.
pub struct Session<'r> {
    pub setup: Setup,
    pub backend: RecordingBackend,
    pub history: History,
    pub model: Model,
    pub rng: &'r mut Rng,
    readers: Vec<(ReadTransaction, Model)>,
}

impl<'r> Session<'r> {
    pub fn new(setup: &Setup, backend: RecordingBackend, model: Model, past: Past, rng: &'r mut Rng) -> Self {
        let history = History::new(model.clone(), past);
        Self { setup: setup.clone(), backend, history, model, rng, readers: Vec::new() }
    }

    /// Opens the database, does `transactions`, and closes it.
    pub fn run(&mut self, transactions: usize) -> Result<(), String> {
        let mut db = self.setup.open(&self.backend)?;
        for _ in 0..transactions {
            if self.rng.chance(24) {
                self.batches(&db)?;
            } else {
                self.transaction(&db)?;
            }
            self.read(&db)?;
            if self.rng.chance(8) {
                self.compact(&db)?;
            }
            if self.rng.chance(12) {
                db.verify().map_err(|err| format!("verify between transactions: {err:?}"))?;
            }
            if self.rng.chance(12) {
                self.close(db)?;
                db = self.setup.open(&self.backend)?;
                self.check_head(&db)?;
            }
        }
        self.close(db)
    }

    /// Compacts the file, which makes the newest commit durable.
    fn compact(&mut self, db: &Database) -> Result<(), String> {
        self.backend.mark(self.history.start(self.model.clone(), true));
        let mut steps = self.rng.below(20);
        let options = CompactOptions::new().set_pages_per_step(1 + self.rng.below(40) as u32);
        db.compact_online(options, |_| {
            steps = steps.saturating_sub(1);
            if steps == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(|err| format!("compacting: {err:?}"))?;
        self.backend.mark(self.history.acknowledged());
        Ok(())
    }

    /// Closes the database, which makes its newest commit durable.
    pub fn close(&mut self, db: Database) -> Result<(), String> {
        if self.rng.chance(128) {
            self.readers.clear();
        }
        self.backend.mark(self.history.start(self.model.clone(), true));
        drop(db);
        self.backend.mark(self.history.acknowledged());
        self.readers.clear();
        match self.backend.take_counters().closes {
            1 => Ok(()),
            closes => Err(format!("closed {closes} times")),
        }
    }

    fn check_head(&self, db: &Database) -> Result<(), String> {
        check_past(db, &self.history.past)?;
        if Model::of(db, &self.setup.clock)? == self.model {
            Ok(())
        } else {
            Err("what was closed was opened as something else".into())
        }
    }

    /// The clock goes on, or back.
    fn turn_clock(&mut self) {
        let (now, step) = (self.setup.clock.now_ms(), self.rng.below(60));
        self.setup.clock.set(if self.rng.chance(40) { now.saturating_sub(step).max(1) } else { now + step });
    }

    fn work(&mut self) -> Work<'_> {
        Work { rng: self.rng, page: self.setup.page, now: self.setup.clock.now_ms() }
    }

    /// One write transaction.
    pub fn transaction(&mut self, db: &Database) -> Result<(), String> {
        self.turn_clock();
        let mut txn = db.begin_write().map_err(text)?;
        let durable = !self.rng.chance(100);
        txn.set_durability(if durable { Durability::Immediate } else { Durability::None }).map_err(text)?;
        txn.set_two_phase_commit(self.rng.chance(64));
        txn.set_quick_repair(self.rng.chance(24));
        let mut model = self.model.clone();
        self.change_savepoints(&mut txn, &mut model, durable)?;
        if self.rng.chance(32) {
            self.work().rearrange(&txn, &mut model)?;
        }
        self.work().change(&txn, &mut model)?;
        if self.rng.chance(24) {
            self.try_and_go_back(&mut txn, &mut model)?;
        }
        if self.rng.chance(32) {
            self.work().rearrange(&txn, &mut model)?;
        }
        match self.rng.below(16) {
            0 => txn.abort().map_err(text),
            1 => {
                drop(txn);
                Ok(())
            }
            _ => self.commit(db, txn, model, durable),
        }
    }

    /// Work after a checkpoint, which is gone back to, or not.
    fn try_and_go_back(&mut self, txn: &mut WriteTransaction, model: &mut Model) -> Result<(), String> {
        let checkpoint = txn.checkpoint().map_err(text)?;
        let before = model.clone();
        self.work().change(txn, model)?;
        if self.rng.chance(128) {
            txn.rollback_to(&checkpoint).map_err(text)?;
            *model = before;
            return self.work().change(txn, model);
        }
        txn.release_checkpoint(&checkpoint).map_err(text)
    }

    /// A group of batches.
    fn batches(&mut self, db: &Database) -> Result<(), String> {
        self.turn_clock();
        self.backend.mark(self.history.start(self.model.clone(), true));
        let group = Group::new(&self.setup, self.model.clone(), self.rng);
        let (model, committed) = group.run(db)?;
        self.history.amend(model.clone(), committed);
        self.model = model;
        if committed { self.committed(db) } else { Ok(()) }
    }

    /// Makes, restores and deletes persistent savepoints.
    fn change_savepoints(
        &mut self,
        txn: &mut WriteTransaction,
        model: &mut Model,
        durable: bool,
    ) -> Result<(), String> {
        if durable && self.rng.chance(28) {
            model.savepoints.insert(txn.persistent_savepoint().map_err(text)?, Arc::new(model.tables()));
        }
        let ids: Vec<_> = model.savepoints.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let id = *self.rng.pick(&ids);
        let is_youngest = ids.last() == Some(&id);
        if (durable || is_youngest) && self.rng.chance(24) {
            let savepoint = txn.get_persistent_savepoint(id).map_err(text)?;
            txn.restore_savepoint(&savepoint).map_err(text)?;
            model.restore(id);
        }
        if durable && (ids.len() > 3 || self.rng.chance(28)) {
            let deleted = txn.delete_persistent_savepoint(id).map_err(text)?;
            return if deleted == model.savepoints.remove(&id).is_some() {
                Ok(())
            } else {
                Err("delete_savepoint".into())
            };
        }
        Ok(())
    }

    fn commit(&mut self, db: &Database, txn: WriteTransaction, model: Model, durable: bool) -> Result<(), String> {
        self.model = model;
        self.backend.mark(self.history.start(self.model.clone(), durable));
        txn.commit().map_err(|err| format!("commit: {err:?}"))?;
        if durable { self.committed(db) } else { Ok(()) }
    }

    /// The newest commit is durable.
    fn committed(&mut self, db: &Database) -> Result<(), String> {
        self.backend.mark(self.history.acknowledged());
        let id = db.begin_read().map_err(text)?.transaction_id();
        self.history.past.insert(id, Arc::new(self.model.tables()));
        Ok(())
    }

    /// Opens and ends read transactions; those that end must still see what they saw.
    fn read(&mut self, db: &Database) -> Result<(), String> {
        if self.rng.chance(40) {
            let seen = self.model.seen_at(self.setup.clock.now_ms());
            let txn = db.begin_read().map_err(text)?;
            // From the first table with times on, its time stands still.
            _ = txn.open_ttl_table(FADING);
            self.readers.push((txn, seen));
        }
        if self.rng.chance(40) && !self.readers.is_empty() {
            let at = self.rng.below(self.readers.len() as u64) as usize;
            let (txn, model) = self.readers.swap_remove(at);
            if Model::read(&txn)? != model {
                return Err("a reader's snapshot has changed".into());
            }
        }
        Ok(())
    }
}
