//! A multimap table beside its model.

use super::db::{MultimapTable, MultimapTableDefinition, MultimapValue, ReadTransaction, ReadableMultimapTable};
use super::db::{ReadableTableMetadata, TableError, WriteTransaction};
use super::fields::KeyField;
use super::states::States;
use super::store::{Slot, Walk, When, between};
use super::{Outcome, Run};
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::rc::Rc;

type Set<V> = BTreeSet<<V as super::fields::Field>::Owned>;
type Sets<K, V> = BTreeMap<<K as super::fields::Field>::Owned, Set<V>>;
/// Keys are few, so that their sets are large.
const KEYS: usize = 12;

pub struct MultimapStore<K: KeyField, V: KeyField> {
    states: States<Sets<K, V>>,
}

impl<K: KeyField, V: KeyField> Slot for MultimapStore<K, V> {
    fn operate(&mut self, rest: &mut [Box<dyn Slot>], txn: &WriteTransaction, run: &mut Run) -> Outcome {
        let mut table = txn.open_multimap_table(Self::definition(&self.states.working.0))?;
        let mut sets = self.states.working.1.take().unwrap_or_default();
        let map = Rc::make_mut(&mut sets);
        let operations = run.operations();
        let half = run.rng.below(operations + 1);
        for _ in 0..half {
            Self::step(&mut table, map, run)?;
        }
        if let Some((first, others)) = rest.split_first_mut() {
            first.operate(others, txn, run)?;
        }
        for _ in half..operations {
            Self::step(&mut table, map, run)?;
        }
        self.states.working.1 = Some(sets);
        Ok(())
    }

    fn administer(&mut self, others: &[String], txn: &WriteTransaction, run: &mut Run) -> Outcome {
        let definition = Self::definition(&self.states.working.0);
        if run.rng.chance(35) {
            let deleted = txn.delete_multimap_table(definition)?;
            return run.answer("delete_multimap_table", deleted, self.states.working.1.take().is_some());
        }
        let new = self.states.new_name(others, run);
        let renamed = txn.rename_multimap_table(definition, Self::definition(&new));
        self.states.renamed("rename_multimap_table", renamed, new, others, run)
    }

    fn is_multimap(&self) -> bool {
        true
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
        let table = match txn.open_multimap_table(Self::definition(name)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return run.answer("multimap exists", false, state.is_some()),
            Err(err) => return Err(err.into()),
        };
        let Some(sets) = state else { return run.answer("multimap exists", true, false) };
        run.answer("len", table.len()?, pairs::<K, V>(sets))?;
        Self::walk(&table, sets, (Bound::Unbounded, Bound::Unbounded), run)
    }

    fn spoil(&mut self) {
        self.states.spoil(|sets| drop(sets.pop_last()));
    }
}

fn pairs<K: KeyField, V: KeyField>(sets: &Sets<K, V>) -> u64 {
    sets.values().map(|set| set.len() as u64).sum()
}

impl<K: KeyField, V: KeyField> MultimapStore<K, V> {
    pub fn new(name: &'static str) -> Self {
        Self { states: States::new(name) }
    }

    fn definition(name: &str) -> MultimapTableDefinition<'_, K, V> {
        MultimapTableDefinition::new(name)
    }

    fn step(table: &mut MultimapTable<K, V>, map: &mut Sets<K, V>, run: &mut Run) -> Outcome {
        run.operation += 1;
        match run.rng.below(100) {
            0..34 => Self::insert(table, map, run),
            34..54 => Self::remove(table, map, run),
            54..64 => Self::get(table, map, run),
            64..70 => {
                let bounds = (Self::any_bound(run), Self::any_bound(run));
                Self::walk(table, map, bounds, run)
            }
            70..74 => Self::count(table, map, run),
            74..78 => Self::remove_all(table, map, run),
            78..91 => Self::insert_many(table, map, run),
            _ => Self::remove_many(table, map, run),
        }
    }

    /// The same number gives the same key, however often.
    fn any_key(run: &mut Run) -> K::Owned {
        let number = run.rng.below(run.plan.distinct.min(KEYS)) as u64;
        K::make(&mut Rng::new(number, 0), &mut run.plan.key_sizes())
    }

    /// Mostly one of as many as there are different keys, of the lengths of keys; seldom one like other tables' values.
    fn any_value(run: &mut Run) -> V::Owned {
        if run.rng.chance(5) {
            return V::make(&mut run.rng, &mut run.values);
        }
        let number = run.rng.below(run.plan.distinct) as u64;
        V::make(&mut Rng::new(number, 1), &mut run.plan.key_sizes())
    }

    /// A value that the key mostly has.
    fn likely_value(map: &Sets<K, V>, key: &K::Owned, run: &mut Run) -> V::Owned {
        let value = Self::any_value(run);
        if run.rng.chance(20) {
            return value;
        }
        map.get(key).and_then(|set| set.range(&value..).next()).cloned().unwrap_or(value)
    }

    fn any_bound(run: &mut Run) -> Bound<K::Owned> {
        match run.rng.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(Self::any_key(run)),
            _ => Bound::Excluded(Self::any_key(run)),
        }
    }

    fn add(
        table: &mut MultimapTable<K, V>,
        map: &mut Sets<K, V>,
        (key, value): (K::Owned, V::Owned),
        run: &mut Run,
    ) -> Outcome {
        let existed = table.insert(K::lend(&key), V::lend(&value))?;
        run.answer("insert into a multimap", existed, !map.entry(key).or_default().insert(value))
    }

    fn take(
        table: &mut MultimapTable<K, V>,
        map: &mut Sets<K, V>,
        key: &K::Owned,
        value: &V::Owned,
        run: &mut Run,
    ) -> Outcome {
        let existed = table.remove(K::lend(key), V::lend(value))?;
        let expected = map.get_mut(key).is_some_and(|set| set.remove(value));
        if map.get(key).is_some_and(BTreeSet::is_empty) {
            map.remove(key);
        }
        run.answer("remove from a multimap", existed, expected)
    }

    fn insert(table: &mut MultimapTable<K, V>, map: &mut Sets<K, V>, run: &mut Run) -> Outcome {
        let pair = (Self::any_key(run), Self::any_value(run));
        Self::add(table, map, pair, run)
    }

    fn remove(table: &mut MultimapTable<K, V>, map: &mut Sets<K, V>, run: &mut Run) -> Outcome {
        let key = Self::any_key(run);
        let value = Self::likely_value(map, &key, run);
        Self::take(table, map, &key, &value, run)
    }

    /// Many values of one key, ascending, descending or as they come: the set becomes a tree, and its pages split.
    fn insert_many(table: &mut MultimapTable<K, V>, map: &mut Sets<K, V>, run: &mut Run) -> Outcome {
        let key = Self::any_key(run);
        let mut values: Vec<_> = (0..run.rng.below(120)).map(|_| Self::any_value(run)).collect();
        match run.rng.below(3) {
            0 => values.sort(),
            1 => values.sort_by(|a, b| b.cmp(a)),
            _ => {}
        }
        values.into_iter().try_for_each(|value| Self::add(table, map, (key.clone(), value), run))
    }

    /// Neighbours, or nearly all: the tree becomes a set again.
    fn remove_many(table: &mut MultimapTable<K, V>, map: &mut Sets<K, V>, run: &mut Run) -> Outcome {
        let key = Self::any_key(run);
        let spared = run.rng.pick(&[0, 1, 4, 12, 30]);
        let start = run.rng.pick(&[0, spared]);
        let most = map.get(&key).map_or(0, |set| set.len().saturating_sub(spared));
        let set = map.get(&key).into_iter().flatten();
        let values: Vec<_> = set.skip(start).take(most).cloned().collect();
        values.iter().try_for_each(|value| Self::take(table, map, &key, value, run))
    }

    fn remove_all(table: &mut MultimapTable<K, V>, map: &mut Sets<K, V>, run: &mut Run) -> Outcome {
        let key = Self::any_key(run);
        let expected = map.remove(&key).unwrap_or_default();
        Self::values("remove_all", table.remove_all(K::lend(&key))?, &expected, run)
    }

    fn get(table: &MultimapTable<K, V>, map: &Sets<K, V>, run: &mut Run) -> Outcome {
        let key = Self::any_key(run);
        let expected = map.get(&key).cloned().unwrap_or_default();
        Self::values("get from a multimap", table.get(K::lend(&key))?, &expected, run)
    }

    fn count(table: &MultimapTable<K, V>, map: &Sets<K, V>, run: &mut Run) -> Outcome {
        run.answer("len", table.len()?, pairs::<K, V>(map))?;
        run.answer("is_empty", table.is_empty()?, map.is_empty())
    }

    /// Takes values from both ends, mostly all of them.
    fn values(question: &str, mut values: MultimapValue<'_, V>, expected: &Set<V>, run: &mut Run) -> Outcome {
        let mut expected: VecDeque<&V::Owned> = expected.iter().collect();
        let walk = Walk::any(&mut run.rng);
        let most = if run.rng.chance(20) { run.rng.below(10) } else { usize::MAX };
        for step in 0..most {
            run.answer("values left", values.len(), expected.len() as u64)?;
            let front = walk.takes_front(step, &mut run.rng);
            let (got, wanted) =
                if front { (values.next(), expected.pop_front()) } else { (values.next_back(), expected.pop_back()) };
            let got = got.transpose()?.map(|value| V::own(value.value()));
            run.answer(question, got.as_ref(), wanted)?;
            if wanted.is_none() {
                return run.answer("values past their end", values.next_back().is_some(), false);
            }
        }
        Ok(())
    }

    /// Takes the keys between the bounds, mostly all of them, and the values of each.
    fn walk(
        table: &impl ReadableMultimapTable<K, V>,
        map: &Sets<K, V>,
        bounds: (Bound<K::Owned>, Bound<K::Owned>),
        run: &mut Run,
    ) -> Outcome {
        let mut expected = between(map, &bounds);
        let lend = (bounds.0.as_ref().map(K::lend), bounds.1.as_ref().map(K::lend));
        let mut range = table.range::<K::SelfType<'_>>(lend)?;
        let walk = Walk::any(&mut run.rng);
        let most = if run.rng.chance(20) { run.rng.below(5) } else { usize::MAX };
        for step in 0..most {
            let front = walk.takes_front(step, &mut run.rng);
            let (entry, wanted) =
                if front { (range.next(), expected.pop_front()) } else { (range.next_back(), expected.pop_back()) };
            let (Some((key, values)), Some((wanted, set))) = (entry.transpose()?, wanted) else {
                let over = (range.next().is_none(), range.next_back().is_none());
                run.answer("keys left", expected.len(), 0)?;
                return run.answer("a range past its end", over, (true, true));
            };
            run.answer("key of a range", &K::own(key.value()), wanted)?;
            Self::values("value of a range", values, set, run)?;
        }
        Ok(())
    }
}
