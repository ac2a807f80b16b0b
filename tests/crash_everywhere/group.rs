//! Batches that are committed together, some of which fail or panic half-way.

use crate::common::rng::Rng;
use crate::model::Model;
use crate::program::Setup;
use crate::work::Work;
use sapwood::{Clock, Database, GroupCommitError, WriteBatch, WriteTransaction};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::thread;

/// What batches say that fail.
const REFUSED: &str = "as the program wants it";

/// How a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Error,
    Panic,
    Done,
}

/// What the batches of one group share. What a batch does follows from when its turn comes, as nobody knows who is first.
pub struct Group {
    model: Mutex<Model>,
    turns: Mutex<Vec<(u64, End)>>,
    page: usize,
    now: u64,
}

impl Group {
    pub fn new(setup: &Setup, model: Model, rng: &mut Rng) -> Arc<Self> {
        let ends = [End::Error, End::Panic, End::Done, End::Done];
        let turns = (0..setup.group).map(|_| (rng.next_u64(), *rng.pick(&ends))).collect();
        let (page, now) = (setup.page, setup.clock.now_ms());
        Arc::new(Self { model: Mutex::new(model), turns: Mutex::new(turns), page, now })
    }

    /// Submits each batch from a thread of its own. Gives the tables as they are since, and whether anything was committed.
    pub fn run(self: Arc<Self>, db: &Database) -> Result<(Model, bool), String> {
        let count = self.turns.lock().unwrap().len();
        let told = thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| self.submit(db))).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|told| told.unwrap_or_else(|_| Err("a thread panicked".into()))).collect()
        });
        let told: Result<Vec<End>, String> = told;
        let committed = told?.contains(&End::Done);
        let model = self.model.lock().unwrap().clone();
        Ok((model, committed))
    }

    /// Who submits a batch must be told of its own end.
    fn submit(self: &Arc<Self>, db: &Database) -> Result<End, String> {
        let ended = Arc::new(Mutex::new(None));
        let (group, note) = (self.clone(), ended.clone());
        let batch = WriteBatch::new(move |txn| {
            let (seed, end) = group.turns.lock().unwrap().pop().ok_or("there are more batches than turns")?;
            *note.lock().unwrap() = Some(end);
            group.change(txn, seed, end)
        });
        let told = catch_unwind(AssertUnwindSafe(|| db.submit_write_batch(batch)));
        let end = *ended.lock().unwrap();
        match (told, end) {
            (Ok(Err(GroupCommitError::BatchFailed(err))), Some(End::Error)) if err.to_string() == REFUSED => {
                Ok(End::Error)
            }
            (Err(payload), Some(End::Panic)) if payload.downcast_ref() == Some(&REFUSED) => Ok(End::Panic),
            (Ok(Ok(())), Some(End::Done)) => Ok(End::Done),
            (told, end) => Err(format!("who was to end by {end:?} was told {told:?}")),
        }
    }

    fn change(&self, txn: &WriteTransaction, seed: u64, end: End) -> Result<(), String> {
        let mut model = self.model.lock().unwrap().clone();
        Work { rng: &mut Rng::new(seed), page: self.page, now: self.now }.change(txn, &mut model)?;
        match end {
            End::Error => Err(REFUSED.into()),
            End::Panic => resume_unwind(Box::new(REFUSED)),
            End::Done => {
                *self.model.lock().unwrap() = model;
                Ok(())
            }
        }
    }
}
