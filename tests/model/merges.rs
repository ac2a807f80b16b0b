//! Merges, several into a value, in between what else is done to it.

use super::db::Table;
use super::fields::{Field, KeyField};
use super::merge;
use super::store::{Rows, Store};
use super::{Outcome, Run};
use crate::way::Way;

/// Appending goes on up to so many bytes.
const MOST_APPENDED: usize = 20_000;

fn bytes<V: Field>(value: &V::Owned) -> Vec<u8> {
    V::as_bytes(&V::lend(value)).as_ref().to_vec()
}

impl<K: KeyField, V: Field> Store<K, V> {
    /// Into one value or a few, which are looked at or not.
    pub fn merge(&self, table: &mut Table<K, V>, map: &mut Rows<K, V>, run: &mut Run) -> Outcome {
        let mut key = Self::likely_key(map, run);
        for _ in 0..1 + run.rng.below(6) {
            if run.rng.chance(30) {
                key = Self::any_key(run);
            }
            let operand = if run.rng.chance(20) { map.get(&key).cloned() } else { None };
            let operand = bytes::<V>(&operand.unwrap_or_else(|| Self::any_value(run)));
            let old = map.get(&key).map(bytes::<V>);
            let way = self.any_way(old.as_ref().map_or(0, Vec::len), run);
            merge(table, K::lend(&key), &operand, way)?;
            match way.merge(old.as_deref(), &operand) {
                Some(new) => _ = map.insert(key.clone(), V::own(V::from_bytes(&new))),
                None => _ = map.remove(&key),
            }
            if run.rng.chance(20) {
                Self::get(table, map, run)?;
            }
        }
        Ok(())
    }

    fn any_way(&self, length: usize, run: &mut Run) -> Way {
        let way = run.rng.pick(&[Way::Last, Way::Greatest, Way::Toggle, Way::Append, Way::Append]);
        let appends = self.appends && length < MOST_APPENDED;
        if way == Way::Append && !appends { Way::Last } else { way }
    }
}
