//! Operations on rows where they lie: entries, cursors, and removals by a predicate.

use super::db::{CursorError, Entry, ReadableTable, Table};
use super::fields::{Field, KeyField};
use super::store::{Rows, Store, Walk, between, own};
use super::{Outcome, Run};
use super::{seek, value_len, value_len_at};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Bound;

/// Which rows a predicate takes: so many of 16, told from a hash of the row.
#[derive(Clone, Copy)]
struct Sieve {
    share: u64,
    salt: u64,
}

impl Sieve {
    fn any(run: &mut Run) -> Self {
        Self { share: run.rng.pick(&[0, 1, 8, 15, 16]), salt: run.rng.next() }
    }

    fn takes(self, row: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.salt, row).hash(&mut hasher);
        hasher.finish() % 16 < self.share
    }
}

impl<K: KeyField, V: Field> Store<K, V> {
    pub fn change_rows(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        match run.rng.below(18) {
            0..4 => Self::entry(table, map, run),
            4 => Self::retain(table, map, run),
            5 | 6 => Self::extract(table, map, run),
            7 | 8 => Self::cursor(table, map, run),
            9 => Self::lengths(table, map, run),
            10..16 => Self::change_ranges(table, map, run),
            _ => Self::cursor_mut(table, map, run),
        }
    }

    fn entry(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let key = if run.rng.chance(50) { Self::any_key(run) } else { Self::likely_key(map, run) };
        let value = Self::any_value(run);
        let old = map.get(&key).cloned();
        let asked = key.clone();
        let entry = table.entry(K::lend(&asked))?;
        match (run.rng.below(4), entry) {
            (0, entry) => {
                let modified = entry.and_modify(|guard| guard.insert(V::lend(&value)))?;
                let guard = modified.or_insert_with(|| V::lend(&value))?;
                run.answer("modified or inserted", V::own(guard.value()), value.clone())?;
                map.insert(key, value);
            }
            (_, Entry::Vacant(entry)) => {
                run.answer("vacant", None, old.as_ref())?;
                let guard = entry.insert(V::lend(&value))?;
                run.answer("insert of an entry", V::own(guard.value()), value.clone())?;
                map.insert(key, value);
            }
            (1, Entry::Occupied(mut entry)) => {
                let before = V::own(entry.insert(V::lend(&value))?.value());
                run.answer("replaced entry", Some(before), old)?;
                run.answer("entry as replaced", V::own(entry.get()?.value()), value.clone())?;
                map.insert(key, value);
            }
            (2, Entry::Occupied(entry)) => {
                let removed = V::own(entry.remove()?.value());
                run.answer("removed entry", Some(removed), map.remove(&key))?;
            }
            (_, Entry::Occupied(mut entry)) => {
                let seen = V::own(entry.get_mut()?.value());
                run.answer("get_mut of an entry", Some(seen), old)?;
                entry.get_mut()?.insert(V::lend(&value))?;
                let mut guard = entry.into_mut()?;
                run.answer("entry as changed", V::own(guard.value()), value)?;
                let value = Self::any_value(run);
                guard.insert(V::lend(&value))?;
                map.insert(key, value);
            }
        }
        Ok(())
    }

    fn retain(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let sieve = Sieve::any(run);
        let keep = |key: K::SelfType<'_>, value: V::SelfType<'_>| sieve.takes(&(K::own(key), V::own(value)));
        let whole = run.rng.chance(50);
        let bounds = if whole { everything() } else { (Self::any_bound(map, run), Self::any_bound(map, run)) };
        let doomed: Vec<_> = between(map, &bounds)
            .into_iter()
            .filter(|(key, value)| !sieve.takes(&(*key, *value)))
            .map(|(key, _)| key.clone())
            .collect();
        if whole {
            table.retain(keep)?;
        } else {
            let lend = (bounds.0.as_ref().map(K::lend), bounds.1.as_ref().map(K::lend));
            table.retain_in::<K::SelfType<'_>, _>(lend, keep)?;
        }
        doomed.iter().for_each(|key| drop(map.remove(key)));
        Self::walk(table, map, everything(), Walk::any(&mut run.rng), run)
    }

    /// Takes rows from both ends, mostly all of them, and holds on to some.
    fn extract(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let sieve = Sieve::any(run);
        let bounds = (Self::any_bound(map, run), Self::any_bound(map, run));
        let mut expected = between(map, &bounds);
        expected.retain(|(key, value)| sieve.takes(&(*key, *value)));
        let lend = (bounds.0.as_ref().map(K::lend), bounds.1.as_ref().map(K::lend));
        let mut rows = table
            .extract_from_if::<K::SelfType<'_>, _>(lend, |key, value| sieve.takes(&(K::own(key), V::own(value))))?;
        let (walk, mut held, mut gone) = (Walk::any(&mut run.rng), Vec::new(), Vec::new());
        let most = if run.rng.chance(30) { run.rng.below(10) } else { usize::MAX };
        for step in 0..most {
            let front = walk.takes_front(step, &mut run.rng);
            let (row, wanted) =
                if front { (rows.next(), expected.pop_front()) } else { (rows.next_back(), expected.pop_back()) };
            let row = row.transpose()?;
            let got = row.as_ref().map(|(key, value)| (K::own(key.value()), V::own(value.value())));
            run.answer("extracted", got.as_ref().map(|(key, value)| (key, value)), wanted)?;
            let Some((key, value)) = got else { break };
            gone.push(key);
            held.push((row, value));
            if run.rng.chance(50) {
                held.clear();
            }
        }
        if run.rng.chance(50) {
            rows.close()?;
        } else {
            drop(rows);
        }
        for (row, value) in held {
            let kept = row.map(|(_, kept)| V::own(kept.value()));
            run.answer("a value that was held", kept, Some(value))?;
        }
        gone.iter().for_each(|key| drop(map.remove(key)));
        run.answer("len after an extraction", table.iter()?.count(), map.len())
    }

    fn lengths(table: &Table<K, V>, map: &Rows<K, V>, run: &mut Run) -> Outcome {
        let key = Self::likely_key(map, run);
        let expected = map.get(&key).map(|value| V::as_bytes(&V::lend(value)).as_ref().len() as u64);
        run.answer("length of a value", value_len(table, K::lend(&key))?, expected)
    }

    fn cursor(table: &Table<K, V>, map: &Rows<K, V>, run: &mut Run) -> Outcome {
        let rows: Vec<_> = map.iter().collect();
        let bound = Self::any_bound(map, run);
        let mut at = first_admitted::<K, V>(&rows, &bound);
        let mut cursor = if run.rng.chance(50) {
            table.lower_bound(bound.as_ref().map(K::lend))?
        } else {
            at = last_admitted::<K, V>(&rows, &bound);
            table.upper_bound(bound.as_ref().map(K::lend))?
        };
        let onward = run.rng.chance(50);
        for _ in 0..run.rng.below(120) {
            let (before, after) = (at.checked_sub(1).map(|at| rows[at]), rows.get(at).copied());
            let (question, got, wanted) = match run.rng.below(20) {
                0 => {
                    let bound = Self::any_bound(map, run);
                    cursor = seek(table, cursor, bound.as_ref().map(K::lend))?;
                    at = first_admitted::<K, V>(&rows, &bound);
                    continue;
                }
                1 => {
                    let wanted = after.map(|(_, value)| V::as_bytes(&V::lend(value)).as_ref().len() as u64);
                    run.answer("length at a cursor", value_len_at(&mut cursor)?, wanted)?;
                    continue;
                }
                2 => ("peek_next", own!(cursor.peek_next()?), after),
                3 => ("peek_prev", own!(cursor.peek_prev()?), before),
                turn if (turn < 16) == onward => {
                    at = rows.len().min(at + 1);
                    ("next of a cursor", own!(cursor.next()?), after)
                }
                _ => {
                    at = at.saturating_sub(1);
                    ("prev of a cursor", own!(cursor.prev()?), before)
                }
            };
            run.answer(question, got.as_ref().map(|(key, value)| (key, value)), wanted)?;
        }
        Ok(())
    }

    fn cursor_mut(table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let bound = Self::any_bound(map, run);
        let mut rows: Vec<_> = std::mem::take(map).into_iter().collect();
        let mut at = {
            let lent: Vec<_> = rows.iter().map(|(key, value)| (key, value)).collect();
            first_admitted::<K, V>(&lent, &bound)
        };
        let mut cursor = table.lower_bound_mut(bound.as_ref().map(K::lend))?;
        let mut habit = run.rng.below(6);
        for _ in 0..run.rng.below(150) {
            if run.rng.chance(10) {
                habit = run.rng.below(6);
            }
            let (before, after) = (at.checked_sub(1).map(|at| rows[at].clone()), rows.get(at).cloned());
            let step = if run.rng.chance(15) { run.rng.below(8) } else { habit };
            let (question, got, wanted) = match step {
                0 | 1 => {
                    let (key, value) = (Self::any_key(run), Self::any_value(run));
                    let fits =
                        before.is_none_or(|(before, _)| before < key) && after.is_none_or(|(after, _)| key < after);
                    let inserted = if step == 0 {
                        cursor.insert_before(K::lend(&key), V::lend(&value))
                    } else {
                        cursor.insert_after(K::lend(&key), V::lend(&value))
                    };
                    let told = match inserted {
                        Ok(()) => true,
                        Err(CursorError::UnorderedKey) => false,
                        Err(err) => return Err(err.into()),
                    };
                    run.answer("insert at a cursor", told, fits)?;
                    if fits {
                        rows.insert(at, (key, value));
                        at += usize::from(step == 0);
                    }
                    continue;
                }
                2 => {
                    if after.is_some() {
                        rows.remove(at);
                    }
                    ("remove_next", own!(cursor.remove_next()?), after)
                }
                3 => {
                    if before.is_some() {
                        at -= 1;
                        rows.remove(at);
                    }
                    ("remove_prev", own!(cursor.remove_prev()?), before)
                }
                4 => {
                    at = rows.len().min(at + 1);
                    ("next of a cursor_mut", own!(cursor.next()?), after)
                }
                5 => {
                    at = at.saturating_sub(1);
                    ("prev of a cursor_mut", own!(cursor.prev()?), before)
                }
                6 => ("peek_next of a cursor_mut", own!(cursor.peek_next()?), after),
                _ => ("peek_prev of a cursor_mut", own!(cursor.peek_prev()?), before),
            };
            run.answer(question, got, wanted)?;
        }
        if run.rng.chance(50) {
            cursor.close()?;
        } else {
            drop(cursor);
        }
        map.extend(rows);
        Self::walk(table, map, everything(), Walk::any(&mut run.rng), run)
    }
}

/// The bounds of all rows.
pub fn everything<T>() -> (Bound<T>, Bound<T>) {
    (Bound::Unbounded, Bound::Unbounded)
}

type Lent<'m, K, V> = (&'m <K as Field>::Owned, &'m <V as Field>::Owned);

/// Index of the first row that a lower bound admits.
fn first_admitted<K: KeyField, V: Field>(rows: &[Lent<'_, K, V>], bound: &Bound<K::Owned>) -> usize {
    match bound {
        Bound::Unbounded => 0,
        Bound::Included(bound) => rows.partition_point(|(key, _)| *key < bound),
        Bound::Excluded(bound) => rows.partition_point(|(key, _)| *key <= bound),
    }
}

/// Index after the last row that an upper bound admits.
fn last_admitted<K: KeyField, V: Field>(rows: &[Lent<'_, K, V>], bound: &Bound<K::Owned>) -> usize {
    match bound {
        Bound::Unbounded => rows.len(),
        Bound::Included(bound) => rows.partition_point(|(key, _)| *key <= bound),
        Bound::Excluded(bound) => rows.partition_point(|(key, _)| *key < bound),
    }
}
