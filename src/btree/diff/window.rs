//! The comparison of trees in whose order only a type that is not known can put keys.
//!
//! Both still have their rows in one order. Where other rows come next on one side than on the other, both are read on,
//! in turn, until one side comes to a row that the other has come to before: what was read before that row is on one
//! side only. Where the same page comes next on both sides, all that was read is.

use super::side::Next;
use super::{Met, Place, Step, TreeDiff, step_of_pages};
use crate::btree::get::Slice;
use crate::error::StorageError;
use crate::pages::Store;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// What was read, and not told yet.
#[derive(Debug, Default)]
pub(super) struct Window {
    old: Ahead,
    new: Ahead,
    /// What is known to differ.
    settled: VecDeque<Met>,
}

/// Rows that the other side may come to yet.
#[derive(Debug, Default)]
struct Ahead {
    rows: VecDeque<(Slice, Place)>,
    /// Of each key, how many rows were read before it.
    numbers: BTreeMap<Vec<u8>, u64>,
    /// The number of the first row.
    first: u64,
}

#[derive(Clone, Copy)]
enum Which {
    Old,
    New,
}

impl Ahead {
    fn push(&mut self, key: Slice, row: Place) {
        self.numbers.insert(key.to_vec(), self.first + self.rows.len() as u64);
        self.rows.push_back((key, row));
    }

    fn pop(&mut self) -> Option<Place> {
        let (key, row) = self.rows.pop_front()?;
        self.numbers.remove(&*key);
        self.first += 1;
        Some(row)
    }

    /// How many rows are before the one with this key.
    fn find(&self, key: &[u8]) -> Option<u64> {
        self.numbers.get(key).map(|number| number.saturating_sub(self.first))
    }
}

impl Which {
    fn alone(self, row: Place) -> Met {
        match self {
            Self::Old => Met::Old(row),
            Self::New => Met::New(row),
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

impl Window {
    fn ahead(&mut self, which: Which) -> &mut Ahead {
        match which {
            Which::Old => &mut self.old,
            Which::New => &mut self.new,
        }
    }

    /// The other side will not come to these rows.
    fn settle(&mut self, which: Which, rows: u64) {
        for _ in 0..rows {
            let Some(row) = self.ahead(which).pop() else { return };
            self.settled.push_back(which.alone(row));
        }
    }

    fn settle_all(&mut self) {
        self.settle(Which::Old, u64::MAX);
        self.settle(Which::New, u64::MAX);
    }

    fn read(&mut self, store: &Store, which: Which, row: Place) -> Result<(), StorageError> {
        let key = row.key(store)?;
        let Some(before) = self.ahead(which.other()).find(&key) else {
            self.ahead(which).push(key, row);
            return Ok(());
        };
        self.settle(which, u64::MAX);
        self.settle(which.other(), before);
        if let Some(other) = self.ahead(which.other()).pop().filter(|other| !other.has_value_of(&row)) {
            self.settled.push_back(match which {
                Which::Old => Met::Both(row, other),
                Which::New => Met::Both(other, row),
            });
        }
        Ok(())
    }
}

impl TreeDiff {
    pub(super) fn next_unordered(&mut self, store: &Store) -> Result<Option<Met>, StorageError> {
        loop {
            self.settle_ended();
            if let Some(met) = self.window.settled.pop_front() {
                return Ok(Some(met));
            }
            match self.step_unordered() {
                Step::End => return Ok(None),
                Step::Share | Step::Both { alike: true } => {
                    self.window.settle_all();
                    self.pass_both();
                }
                Step::Both { alike: false } => {
                    self.window.settle_all();
                    let met = self.take_both();
                    self.window.settled.extend(met);
                }
                Step::Enter(old, new) => self.enter(store, old, new)?,
                Step::Old => self.old.take().map_or(Ok(()), |row| self.window.read(store, Which::Old, row))?,
                Step::New => self.new.take().map_or(Ok(()), |row| self.window.read(store, Which::New, row))?,
            }
        }
    }

    /// Where a side has ended, it comes to no row of the other.
    fn settle_ended(&mut self) {
        if matches!(self.old.next(), Next::End) {
            self.window.settle(Which::New, u64::MAX);
        }
        if matches!(self.new.next(), Next::End) {
            self.window.settle(Which::Old, u64::MAX);
        }
    }

    /// The side that has read less ahead goes on.
    fn step_unordered(&self) -> Step {
        let old_first = self.window.old.rows.len() <= self.window.new.rows.len();
        match (self.old.next(), self.new.next()) {
            (Next::End, Next::End) => Step::End,
            (Next::Subtree(old), Next::Subtree(new)) => step_of_pages(old, new),
            (Next::Row(old), Next::Row(new)) if old.has_key_of(new) => Step::Both { alike: old.has_value_of(new) },
            (Next::Subtree(page), new) if old_first || matches!(new, Next::End) => Step::Enter(Some(page), None),
            (Next::Row(_), new) if old_first || matches!(new, Next::End) => Step::Old,
            (_, Next::Subtree(page)) => Step::Enter(None, Some(page)),
            _ => Step::New,
        }
    }
}
