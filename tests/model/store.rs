//! A table beside its model: the operations, and the answers that they must give.

use super::db::{ReadTransaction, ReadableTable, ReadableTableMetadata, Result as DbResult};
use super::db::{StorageError, Table, TableDefinition, TableError, WriteTransaction};
use super::fields::{Field, KeyField};
use super::states::States;
use super::{Failure, Outcome, Run};
use crate::plan::Packed;
use crate::rng::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::rc::Rc;

pub type Rows<K, V> = BTreeMap<<K as Field>::Owned, <V as Field>::Owned>;
type Reserve<K, V> =
    for<'t> fn(&mut Table<'t, K, V>, &<K as Field>::Owned, &<V as Field>::Owned) -> DbResult<(), StorageError>;

/// A table of any kind.
pub trait Slot {
    /// Opens the table, operates on it, and lets the rest do the same half-way, so that several tables are open.
    fn operate(&mut self, rest: &mut [Box<dyn Slot>], txn: &WriteTransaction, run: &mut Run) -> Outcome;
    /// Deletes or renames the table; `others` are the names of all that there are.
    fn administer(&mut self, others: &[String], txn: &WriteTransaction, run: &mut Run) -> Outcome;
    /// Whether it is a multimap.
    fn is_multimap(&self) -> bool {
        false
    }
    /// The table's name, if it exists in that state.
    fn name(&self, when: When) -> Option<String>;
    /// The transaction was committed, or was not.
    fn settle(&mut self, committed: bool);
    /// A reader began that will be held.
    fn hold(&mut self);
    /// A savepoint of this age keeps what is committed.
    fn save(&mut self, age: u64);
    /// The savepoint of this age was restored.
    fn restore(&mut self, age: u64);
    /// The savepoint of this age is gone.
    fn forget(&mut self, age: u64);
    /// Compares all rows that a reader sees: the held one, or a new one.
    fn check(&self, txn: &ReadTransaction, held: bool, run: &mut Run) -> Outcome;
    /// Makes the model wrong.
    fn spoil(&mut self);
}

type Change<K, V> = for<'t> fn(&mut Table<'t, K, V>, &mut Rows<K, V>, &mut Run) -> Outcome;
/// Which state is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Working,
    Committed,
    Held,
}

pub struct Store<K: KeyField, V: Field> {
    states: States<Rows<K, V>>,
    reserve: Option<Reserve<K, V>>,
    change_rows: Option<Change<K, V>>,
    /// Whether two values, one behind the other, are a value.
    pub appends: bool,
}

/// Inserts through `insert_reserve`.
#[expect(clippy::ptr_arg, reason = "the owned form of a value, as `Reserve` wants it")]
pub fn reserve<K: KeyField>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: &K::Owned,
    value: &Vec<u8>,
) -> DbResult<(), StorageError> {
    table.insert_reserve(K::lend(key), value.len())?.as_mut().copy_from_slice(value);
    Ok(())
}

impl<K: KeyField, V: Field> Slot for Store<K, V> {
    fn operate(&mut self, rest: &mut [Box<dyn Slot>], txn: &WriteTransaction, run: &mut Run) -> Outcome {
        let mut table = txn.open_table(Self::definition(&self.states.working.0))?;
        let mut rows = self.states.working.1.take().unwrap_or_default();
        let map = Rc::make_mut(&mut rows);
        let operations = run.operations();
        let half = run.rng.below(operations + 1);
        for _ in 0..half {
            self.step(&mut table, map, run)?;
        }
        if let Some((first, others)) = rest.split_first_mut() {
            first.operate(others, txn, run)?;
        }
        for _ in half..operations {
            self.step(&mut table, map, run)?;
        }
        self.states.working.1 = Some(rows);
        Ok(())
    }

    fn administer(&mut self, others: &[String], txn: &WriteTransaction, run: &mut Run) -> Outcome {
        let definition = Self::definition(&self.states.working.0);
        if run.rng.chance(35) {
            return run.answer("delete_table", txn.delete_table(definition)?, self.states.working.1.take().is_some());
        }
        let new = self.states.new_name(others, run);
        let renamed = txn.rename_table(definition, Self::definition(&new));
        self.states.renamed("rename_table", renamed, new, others, run)
    }

    fn name(&self, when: When) -> Option<String> {
        self.states.name(when)
    }

    fn settle(&mut self, committed: bool) {
        self.states.settle(committed);
    }

    fn hold(&mut self) {
        self.states.hold();
    }

    fn save(&mut self, age: u64) {
        self.states.save(age);
    }

    fn restore(&mut self, age: u64) {
        self.states.restore(age);
    }

    fn forget(&mut self, age: u64) {
        self.states.forget(age);
    }

    fn check(&self, txn: &ReadTransaction, held: bool, run: &mut Run) -> Outcome {
        let (name, state) = self.states.of(if held { When::Held } else { When::Committed });
        let table = match txn.open_table(Self::definition(name)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return run.answer("table exists", false, state.is_some()),
            Err(err) => return Err(err.into()),
        };
        let Some(rows) = state else { return run.answer("table exists", true, false) };
        run.answer("len", table.len()?, rows.len() as u64)?;
        Self::check_stored(table.stats()?.stored_bytes(), rows, run.plan.packed)?;
        let mode = Walk::any(&mut run.rng);
        Self::walk(&table, rows, (Bound::Unbounded, Bound::Unbounded), mode, run)
    }

    fn spoil(&mut self) {
        self.states.spoil(|rows| drop(rows.pop_last()));
    }
}

/// From which end rows are taken.
#[derive(Clone, Copy)]
pub enum Walk {
    Forward,
    Backward,
    InTurns,
    AtRandom,
}

impl Walk {
    pub fn any(rng: &mut Rng) -> Self {
        rng.pick(&[Self::Forward, Self::Forward, Self::Backward, Self::InTurns, Self::AtRandom])
    }

    pub fn takes_front(self, step: usize, rng: &mut Rng) -> bool {
        match self {
            Self::Forward => true,
            Self::Backward => false,
            Self::InTurns => step.is_multiple_of(2),
            Self::AtRandom => rng.chance(50),
        }
    }
}

pub type Row<K, V> = (<K as Field>::Owned, <V as Field>::Owned);

/// What two guards hold, owned. A macro, because the crates' guards share no trait.
macro_rules! own {
    ($entry:expr) => {
        $entry.map(|(key, value)| (K::own(key.value()), V::own(value.value())))
    };
}

pub(super) use own;

impl<K: KeyField, V: Field> Store<K, V> {
    pub fn new(name: &'static str) -> Self {
        Self { states: States::new(name), reserve: None, change_rows: None, appends: false }
    }

    fn definition(name: &str) -> TableDefinition<'_, K, V> {
        TableDefinition::new(name)
    }

    /// No answer, as the crates do not encode all types in as many bytes.
    fn check_stored(said: u64, rows: &Rows<K, V>, packed: Packed) -> Outcome {
        let length = |(key, value): (&K::Owned, &V::Owned)| {
            K::as_bytes(&K::lend(key)).as_ref().len() + V::as_bytes(&V::lend(value)).as_ref().len()
        };
        let stored: usize = rows.iter().map(length).sum();
        let exact = packed == Packed::No;
        if said == stored as u64 || said < stored as u64 && !exact {
            Ok(())
        } else {
            Err(Failure(format!("stored_bytes is {said} of {stored}")))
        }
    }

    pub fn reserving(self, reserve: Reserve<K, V>) -> Self {
        Self { reserve: Some(reserve), ..self }
    }

    /// With operations on rows where they lie. Not every table has them, as each is compiled for each.
    pub fn changing_rows(self) -> Self {
        Self { change_rows: Some(Self::change_rows), ..self }
    }

    /// Of text or bytes.
    pub fn appending(self) -> Self {
        Self { appends: true, ..self }
    }

    fn step(&self, table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        run.operation += 1;
        match run.rng.below(100) {
            0..26 => Self::insert(table, map, run),
            26..38 => Self::remove(table, map, run),
            38..46 => self.change_rows.map_or(Ok(()), |change| change(table, map, run)),
            46..56 => Self::get(table, map, run),
            56..66 => Self::range(table, map, run),
            66..70 => Self::ends(table, map, run),
            70..76 => Self::pop(table, map, run),
            76..79 => Self::count(table, map, run),
            79..84 => Self::change(table, map, run),
            84..89 => self.fill(table, map, run),
            89..92 => self.merge(table, map, run),
            92..96 => Self::insert_many(table, map, run),
            _ => Self::remove_many(table, map, run),
        }
    }

    /// The same number gives the same key, however often.
    pub fn any_key(run: &mut Run) -> K::Owned {
        let number = run.rng.below(run.plan.distinct) as u64;
        K::make(&mut Rng::new(number, 0), &mut run.plan.key_sizes())
    }

    /// A key that is mostly in the table.
    pub fn likely_key(map: &Rows<K, V>, run: &mut Run) -> K::Owned {
        let key = Self::any_key(run);
        if run.rng.chance(25) {
            return key;
        }
        map.range(&key..).next().map_or(key, |(found, _)| found.clone())
    }

    pub fn any_value(run: &mut Run) -> V::Owned {
        V::make(&mut run.rng, &mut run.values)
    }

    fn insert(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let key = if run.rng.chance(50) { Self::any_key(run) } else { Self::likely_key(map, run) };
        let value = Self::any_value(run);
        let old = table.insert(K::lend(&key), V::lend(&value))?.map(|old| V::own(old.value()));
        run.answer("insert", old, map.insert(key, value))
    }

    fn remove(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let key = Self::likely_key(map, run);
        let old = table.remove(K::lend(&key))?.map(|old| V::own(old.value()));
        run.answer("remove", old, map.remove(&key))
    }

    pub fn get(table: &Table<K, V>, map: &Rows<K, V>, run: &mut Run) -> Outcome {
        let key = Self::likely_key(map, run);
        let got = table.get(K::lend(&key))?.map(|found| V::own(found.value()));
        run.answer("get", got.as_ref(), map.get(&key))
    }

    fn ends(table: &Table<K, V>, map: &Rows<K, V>, run: &mut Run) -> Outcome {
        let copy = |(key, value): (&K::Owned, &V::Owned)| (key.clone(), value.clone());
        run.answer("first", own!(table.first()?), map.first_key_value().map(copy))?;
        run.answer("last", own!(table.last()?), map.last_key_value().map(copy))
    }

    fn pop(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        if run.rng.chance(50) {
            run.answer("pop_first", own!(table.pop_first()?), map.pop_first())
        } else {
            run.answer("pop_last", own!(table.pop_last()?), map.pop_last())
        }
    }

    fn count(table: &Table<K, V>, map: &Rows<K, V>, run: &mut Run) -> Outcome {
        run.answer("len", table.len()?, map.len() as u64)?;
        run.answer("is_empty", table.is_empty()?, map.is_empty())
    }

    /// Reads and replaces through `get_mut`, or only reads.
    fn change(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let key = Self::likely_key(map, run);
        let value = Self::any_value(run);
        let replace = run.rng.chance(75);
        let found = table.get_mut(K::lend(&key))?;
        let (old, new) = match found {
            None => (None, None),
            Some(mut guard) => {
                let old = V::own(guard.value());
                if replace {
                    guard.insert(V::lend(&value))?;
                }
                (Some(old), Some(V::own(guard.value())))
            }
        };
        run.answer("get_mut", old.as_ref(), map.get(&key))?;
        let slot = map.get_mut(&key);
        if replace && let Some(slot) = slot {
            *slot = value;
        }
        run.answer("get_mut, changed", new.as_ref(), map.get(&key))
    }

    /// `insert_reserve`, or `insert` where the value type has it not.
    fn fill(&self, table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let Some(reserve) = self.reserve else { return Self::insert(table, map, run) };
        let (key, value) = (Self::any_key(run), Self::any_value(run));
        reserve(table, &key, &value)?;
        map.insert(key, value);
        Ok(())
    }

    /// Many rows, ascending, descending or as they come: the pages fill and split.
    fn insert_many(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let mut keys: Vec<_> = (0..run.rng.below(80)).map(|_| Self::any_key(run)).collect();
        match run.rng.below(3) {
            0 => keys.sort(),
            1 => keys.sort_by(|a, b| b.cmp(a)),
            _ => {}
        }
        for key in keys {
            let value = Self::any_value(run);
            let old = table.insert(K::lend(&key), V::lend(&value))?.map(|old| V::own(old.value()));
            run.answer("insert of many", old, map.insert(key, value))?;
        }
        Ok(())
    }

    /// Neighbours, or all from one end: the pages empty and merge.
    fn remove_many(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let start = Self::any_key(run);
        let most = run.rng.pick(&[10, 50, 1_000]);
        let keys: Vec<_> = map.range(start..).take(most).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let old = table.remove(K::lend(&key))?.map(|old| V::own(old.value()));
            run.answer("remove of many", old, map.remove(&key))?;
        }
        Ok(())
    }

    fn range(table: &Table<K, V>, map: &Rows<K, V>, run: &mut Run) -> Outcome {
        let bounds = (Self::any_bound(map, run), Self::any_bound(map, run));
        let walk = Walk::any(&mut run.rng);
        Self::walk(table, map, bounds, walk, run)
    }

    pub fn any_bound(map: &Rows<K, V>, run: &mut Run) -> Bound<K::Owned> {
        match run.rng.below(5) {
            0 => Bound::Unbounded,
            1 | 2 => Bound::Included(Self::likely_key(map, run)),
            _ => Bound::Excluded(Self::likely_key(map, run)),
        }
    }

    /// Takes the rows between the bounds, mostly all of them.
    pub fn walk(
        table: &impl ReadableTable<K, V>,
        map: &Rows<K, V>,
        bounds: (Bound<K::Owned>, Bound<K::Owned>),
        walk: Walk,
        run: &mut Run,
    ) -> Outcome {
        let mut expected = between(map, &bounds);
        let lend = (bounds.0.as_ref().map(K::lend), bounds.1.as_ref().map(K::lend));
        let mut range = table.range::<K::SelfType<'_>>(lend)?;
        let most = if run.rng.chance(20) { run.rng.below(10) } else { usize::MAX };
        for step in 0..most {
            let front = walk.takes_front(step, &mut run.rng);
            let (entry, row) =
                if front { (range.next(), expected.pop_front()) } else { (range.next_back(), expected.pop_back()) };
            let got: Option<Row<K, V>> = own!(entry.transpose()?);
            let got = got.as_ref().map(|(key, value)| (key, value));
            let over = row.is_none();
            run.answer(if front { "next of a range" } else { "next_back of a range" }, got, row)?;
            if over {
                // Past the end it stays at the end, from both sides.
                let more = range.next().is_some() || range.next_back().is_some();
                return run.answer("a range past its end", more, false);
            }
        }
        Ok(())
    }
}

/// Rows of the model between the bounds: none if they are the wrong way round, where the standard map panics.
pub fn between<'m, K: Ord, V>(map: &'m BTreeMap<K, V>, (low, high): &(Bound<K>, Bound<K>)) -> VecDeque<(&'m K, &'m V)> {
    let empty = match (low, high) {
        (Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low > high,
        _ => false,
    };
    if empty {
        return VecDeque::new();
    }
    map.range::<K, _>((low.as_ref(), high.as_ref())).collect()
}
