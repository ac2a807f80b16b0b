//! Blobs beside their model, and a table with a row that says what they are. Where the crate has no blobs there are none.

use super::db::{ReadTransaction, TableDefinition, TableError, WriteTransaction};
use super::states::States;
use super::store::{Slot, When};
use super::{Failure, Outcome, Run, blobs_of, change_blobs};
use crate::common::blobs::Blobs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

const NAME: &str = "beside blobs";
const ABOUT: TableDefinition<(), u64> = TableDefinition::new(NAME);
/// Steps of a transaction. Each looks at all blobs.
const MOST_STEPS: usize = 6;

pub struct BlobStore(States<Blobs>);

fn digest(blobs: &Blobs) -> u64 {
    let mut hasher = DefaultHasher::new();
    blobs.hash(&mut hasher);
    hasher.finish()
}

fn expect<T: PartialEq>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected { Ok(()) } else { Err(Failure(format!("{what}: not as expected"))) }
}

impl BlobStore {
    pub fn new() -> Self {
        Self(States::new(NAME))
    }
}

impl Slot for BlobStore {
    fn operate(&mut self, rest: &mut [Box<dyn Slot>], txn: &WriteTransaction, run: &mut Run) -> Outcome {
        let mut blobs = self.0.working.1.take().unwrap_or_default();
        let map = Rc::make_mut(&mut blobs);
        let steps = run.operations().min(MOST_STEPS);
        let half = run.rng.below(steps);
        for step in 0..steps {
            if step == half
                && let Some((first, others)) = rest.split_first_mut()
            {
                first.operate(others, txn, run)?;
            }
            run.operation += 1;
            change_blobs(txn, map, run.rng.next()).map_err(Failure)?;
        }
        txn.open_table(ABOUT)?.insert((), digest(map))?;
        self.0.working.1 = Some(blobs);
        Ok(())
    }

    /// Blobs have no name.
    fn administer(&mut self, _others: &[String], _txn: &WriteTransaction, _run: &mut Run) -> Outcome {
        Ok(())
    }

    fn name(&self, when: When) -> Option<String> {
        self.0.name(when)
    }

    fn settle(&mut self, committed: bool) {
        self.0.settle(committed);
    }

    fn hold(&mut self) {
        self.0.hold();
    }

    fn save(&mut self, age: u64) {
        self.0.save(age);
    }

    fn restore(&mut self, age: u64) {
        self.0.restore(age);
    }

    fn forget(&mut self, age: u64) {
        self.0.forget(age);
    }

    fn check(&self, txn: &ReadTransaction, held: bool, _run: &mut Run) -> Outcome {
        let (_, state) = self.0.of(if held { When::Held } else { When::Committed });
        let expected = state.as_deref().cloned().unwrap_or_default();
        expect("blobs", blobs_of(txn).map_err(Failure)? == expected, true)?;
        let said = match txn.open_table(ABOUT) {
            Ok(table) => table.get(())?.map(|said| said.value()),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(err) => return Err(err.into()),
        };
        expect("what is said of blobs", said, state.as_deref().map(digest))
    }

    fn spoil(&mut self) {
        self.0.spoil(|blobs| drop(blobs.pop_last()));
    }
}
