//! Savepoints, known by their age, beside the states of the tables that they must bring back.

use super::db::{Savepoint, SavepointError, WriteTransaction};
use super::store::Slot;
use super::{Failure, Outcome, Run};

/// So many are kept at most.
const MOST: usize = 4;

enum Handle {
    /// Whether no older one was restored since.
    Ephemeral(Savepoint, bool),
    Persistent(u64),
}

struct Kept {
    age: u64,
    handle: Handle,
    /// The live transaction made it, and it is persistent.
    new: bool,
    /// The live transaction deleted it.
    deleted: bool,
}

impl Kept {
    fn is_persistent(&self) -> bool {
        matches!(self.handle, Handle::Persistent(_))
    }
}

/// What the savepoints must know of the live transaction.
#[derive(Clone, Copy)]
pub struct Live<'t> {
    pub txn: &'t WriteTransaction,
    pub durable: bool,
    /// Whether it has changed something.
    pub dirty: bool,
}

#[derive(Default)]
pub struct Savepoints {
    /// Oldest first.
    kept: Vec<Kept>,
    next_age: u64,
    /// Age of the one that the live transaction restored.
    restored: Option<u64>,
}

/// The outcomes that a program meets.
fn told<T>(outcome: Result<T, SavepointError>) -> Result<(&'static str, Option<T>), Failure> {
    match outcome {
        Ok(made) => Ok(("done", Some(made))),
        Err(SavepointError::InvalidSavepoint) => Ok(("invalid", None)),
        Err(SavepointError::ImmediateDurabilityRequired) => Ok(("must be durable", None)),
        Err(err) => Err(err.into()),
    }
}

impl Savepoints {
    /// Makes, deletes or lists.
    pub fn operate(&mut self, live: Live<'_>, slots: &mut [Box<dyn Slot>], run: &mut Run) -> Outcome {
        match run.rng.below(4) {
            0 => self.delete(live, run),
            1 | 2 if self.kept.len() < MOST => self.make(live, slots, run),
            _ => {
                let listed = live.txn.list_persistent_savepoints()?.count();
                let expected = self.kept.iter().filter(|kept| kept.is_persistent() && !kept.deleted).count();
                run.answer("number of persistent savepoints", listed, expected)
            }
        }
    }

    fn make(&mut self, live: Live<'_>, slots: &mut [Box<dyn Slot>], run: &mut Run) -> Outcome {
        let new = run.rng.chance(40);
        let (got, handle) = if new {
            let (got, id) = told(live.txn.persistent_savepoint())?;
            (got, id.map(Handle::Persistent))
        } else {
            let (got, savepoint) = told(live.txn.ephemeral_savepoint())?;
            (got, savepoint.map(|savepoint| Handle::Ephemeral(savepoint, true)))
        };
        let expected = match live {
            Live { durable: false, .. } if new => "must be durable",
            Live { dirty: true, .. } => "invalid",
            _ => "done",
        };
        run.answer("make a savepoint", got, expected)?;
        if let Some(handle) = handle {
            let age = self.next_age;
            self.next_age += 1;
            slots.iter_mut().for_each(|slot| slot.save(age));
            self.kept.push(Kept { age, handle, new, deleted: false });
        }
        Ok(())
    }

    fn delete(&mut self, live: Live<'_>, run: &mut Run) -> Outcome {
        let nth = run.rng.below(self.kept.len() + 1);
        let (id, exists) = match self.kept.get(nth) {
            Some(Kept { handle: Handle::Persistent(id), deleted, .. }) => (*id, !deleted),
            Some(Kept { handle: Handle::Ephemeral(..), .. }) => return Ok(()),
            None => (u64::MAX, false),
        };
        let (got, deleted) = told(live.txn.delete_persistent_savepoint(id))?;
        let expected = if live.durable { ("done", Some(exists)) } else { ("must be durable", None) };
        run.answer("delete a savepoint", (got, deleted), expected)?;
        if live.durable && exists {
            self.kept[nth].deleted = true;
        }
        Ok(())
    }

    /// Restores one of them.
    pub fn restore(
        &mut self,
        txn: &mut WriteTransaction,
        durable: bool,
        slots: &mut [Box<dyn Slot>],
        run: &mut Run,
    ) -> Outcome {
        if self.kept.is_empty() {
            return Ok(());
        }
        let chosen = &self.kept[run.rng.below(self.kept.len())];
        let age = chosen.age;
        let young_enough = self.restored.is_none_or(|restored| age <= restored);
        let (got, valid) = match &chosen.handle {
            Handle::Ephemeral(savepoint, valid) => (txn.restore_savepoint(savepoint), *valid && young_enough),
            Handle::Persistent(id) => {
                let (got, savepoint) = told(txn.get_persistent_savepoint(*id))?;
                run.answer("get a savepoint", got, if chosen.deleted { "invalid" } else { "done" })?;
                let Some(savepoint) = savepoint else { return Ok(()) };
                (txn.restore_savepoint(&savepoint), young_enough)
            }
        };
        let deletes = self.kept.iter().any(|kept| kept.is_persistent() && !kept.deleted && kept.age > age);
        let expected = match (valid, deletes && !durable) {
            (false, _) => "invalid",
            (true, true) => "must be durable",
            (true, false) => "done",
        };
        let (got, done) = told(got)?;
        run.answer("restore a savepoint", got, expected)?;
        if done.is_some() {
            slots.iter_mut().for_each(|slot| slot.restore(age));
            self.kept.iter_mut().filter(|kept| kept.age > age).for_each(|kept| kept.deleted = kept.is_persistent());
            self.restored = Some(age);
        }
        Ok(())
    }

    /// The transaction was committed, or was not.
    pub fn settle(&mut self, committed: bool, slots: &mut [Box<dyn Slot>], run: &mut Run) {
        let restored = self.restored.take().filter(|_| committed);
        for kept in &mut self.kept {
            if let Handle::Ephemeral(_, valid) = &mut kept.handle {
                *valid &= restored.is_none_or(|restored| kept.age <= restored);
            }
        }
        let most = if run.rng.chance(20) { 1 } else { MOST };
        let mut left = self.kept.len();
        self.keep(slots, |kept| {
            let gone = if committed { kept.deleted } else { kept.new };
            let dropped = !kept.is_persistent() && left > most;
            left -= usize::from(gone || dropped);
            (kept.new, kept.deleted) = (false, false);
            !gone && !dropped
        });
    }

    /// The database is closed: only what is persistent stays.
    pub fn close(&mut self, slots: &mut [Box<dyn Slot>]) {
        self.keep(slots, |kept| kept.is_persistent());
    }

    fn keep(&mut self, slots: &mut [Box<dyn Slot>], mut keep: impl FnMut(&mut Kept) -> bool) {
        self.kept.retain_mut(|kept| {
            let stays = keep(kept);
            if !stays {
                slots.iter_mut().for_each(|slot| slot.forget(kept.age));
            }
            stays
        });
    }

    /// Why the database cannot be compacted now, if readers do not keep it from being so.
    pub fn in_the_way(&self) -> Option<&'static str> {
        if self.kept.iter().any(Kept::is_persistent) {
            return Some("persistent savepoint");
        }
        let valid = self.kept.iter().any(|kept| matches!(kept.handle, Handle::Ephemeral(_, true)));
        valid.then_some("ephemeral savepoint")
    }

    /// Whether handles of ephemeral savepoints are held, valid or not.
    pub fn are_held(&self) -> bool {
        self.kept.iter().any(|kept| !kept.is_persistent())
    }
}
