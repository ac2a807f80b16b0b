//! Operations on many rows: ranges that are counted, deleted and drained, look-ups of many keys, and bulk loading.

use super::db::Table;
use super::fields::{Field, KeyField};
use super::rows::everything;
use super::store::{Rows, Store, Walk, between};
use super::{Outcome, Run};
use super::{bulk_load, count, delete_range, drain, get_many};
use std::ops::Bound;

type Bounds<K> = (Bound<<K as Field>::Owned>, Bound<<K as Field>::Owned>);

fn lend<K: KeyField>((low, high): &Bounds<K>) -> (Bound<K::SelfType<'_>>, Bound<K::SelfType<'_>>) {
    (low.as_ref().map(K::lend), high.as_ref().map(K::lend))
}

impl<K: KeyField, V: Field> Store<K, V> {
    pub fn change_ranges(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        match run.rng.below(6) {
            0 => Self::count_range(table, map, run),
            1 => Self::delete_range(table, map, run),
            2 => Self::drain(table, map, run),
            3 => Self::get_many(table, map, run),
            _ => Self::bulk_load(table, map, run),
        }
    }

    fn count_range(table: &Table<K, V>, map: &Rows<K, V>, run: &mut Run) -> Outcome {
        let bounds = (Self::any_bound(map, run), Self::any_bound(map, run));
        let expected = between(map, &bounds).len() as u64;
        run.answer("count", count(table, lend::<K>(&bounds))?, expected)
    }

    fn delete_range(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let bounds = (Self::any_bound(map, run), Self::any_bound(map, run));
        let doomed: Vec<_> = between(map, &bounds).into_iter().map(|(key, _)| key.clone()).collect();
        run.answer("delete_range", delete_range(table, lend::<K>(&bounds))?, doomed.len() as u64)?;
        doomed.iter().for_each(|key| drop(map.remove(key)));
        Self::walk(table, map, everything(), Walk::any(&mut run.rng), run)
    }

    /// Takes some rows from both ends; the others go with the iterator.
    fn drain(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let bounds = (Self::any_bound(map, run), Self::any_bound(map, run));
        let mut expected = between(map, &bounds);
        let doomed: Vec<_> = expected.iter().map(|(key, _)| (*key).clone()).collect();
        let most = run.rng.pick(&[0, 3, 30, 1_000]);
        let fronts: Vec<_> = (0..most).map(|_| run.rng.chance(50)).collect();
        let mut given = Vec::new();
        drain(table, lend::<K>(&bounds), &fronts, |key, value| given.push((K::own(key), V::own(value))))?;
        let wanted: Vec<_> = fronts
            .iter()
            .map_while(|front| if *front { expected.pop_front() } else { expected.pop_back() })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        run.answer("drained", given, wanted)?;
        doomed.iter().for_each(|key| drop(map.remove(key)));
        Self::walk(table, map, everything(), Walk::any(&mut run.rng), run)
    }

    fn get_many(table: &Table<K, V>, map: &Rows<K, V>, run: &mut Run) -> Outcome {
        let most = run.rng.pick(&[0, 1, 8, 200]);
        let keys: Vec<_> = (0..most).map(|_| Self::likely_key(map, run)).collect();
        let found = get_many(table, keys.iter().map(K::lend))?;
        let found: Vec<_> = found.into_iter().map(|value| value.map(|value| V::own(value.value()))).collect();
        run.answer("get_many", found, keys.iter().map(|key| map.get(key).cloned()).collect())
    }

    /// Loads behind the last row, often after all rows were deleted, and sometimes out of order.
    fn bulk_load(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        if run.rng.chance(60) {
            let bounds = (Self::any_bound(map, run), Bound::Unbounded);
            let doomed: Vec<_> = between(map, &bounds).into_iter().map(|(key, _)| key.clone()).collect();
            run.answer("rows deleted", delete_range(table, lend::<K>(&bounds))?, doomed.len() as u64)?;
            doomed.iter().for_each(|key| drop(map.remove(key)));
        }
        let mut rows: Vec<_> = (0..run.rng.below(150)).map(|_| (Self::any_key(run), Self::any_value(run))).collect();
        let last = map.last_key_value().map(|(key, _)| key.clone());
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        rows.dedup_by(|(one, _), (other, _)| one == other);
        rows.retain(|(key, _)| last.as_ref().is_none_or(|last| last < key));
        if run.rng.chance(20) && !rows.is_empty() {
            let (from, to) = (run.rng.below(rows.len()), run.rng.below(rows.len()));
            let row = rows[from].clone();
            rows.insert(to, row);
        }
        let mut before = last.as_ref();
        let mut expected = Ok(rows.len() as u64);
        for (row, (key, _)) in rows.iter().enumerate() {
            if before.is_some_and(|before| before >= key) {
                expected = Err(row as u64);
                break;
            }
            before = Some(key);
        }
        let loaded = bulk_load(table, rows.iter().map(|(key, value)| (K::lend(key), V::lend(value))))?;
        run.answer("bulk_load", loaded, expected)?;
        if loaded.is_ok() {
            map.extend(rows);
        }
        Self::walk(table, map, everything(), Walk::any(&mut run.rng), run)
    }
}
