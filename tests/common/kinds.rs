//! A database with rows of every kind.

use super::rng::Rng;
use sapwood::{
    Database, MultimapTableDefinition, ReadTransaction, ReadableMultimapTable, ReadableTable, TableDefinition,
};
use std::collections::BTreeMap;

pub const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
pub const WORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("words");
pub const SETS: MultimapTableDefinition<u64, &[u8]> = MultimapTableDefinition::new("sets");

/// All rows as bytes.
pub fn contents(txn: &ReadTransaction) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut all = BTreeMap::new();
    for row in txn.open_table(ROWS).unwrap().iter().unwrap() {
        let (key, value) = row.unwrap();
        all.insert(key.value().to_be_bytes().to_vec(), value.value().to_vec());
    }
    for row in txn.open_table(WORDS).unwrap().iter().unwrap() {
        let (key, value) = row.unwrap();
        all.insert(key.value().into(), value.value().to_vec());
    }
    for entry in txn.open_multimap_table(SETS).unwrap().iter().unwrap() {
        let (key, values) = entry.unwrap();
        let values: Vec<u8> = values.flat_map(|value| value.unwrap().value().to_vec()).collect();
        all.insert([b"set", &key.value().to_be_bytes()[..]].concat(), values);
    }
    all
}

/// Rows of every kind: small, out of line, with long keys, sets in leaves and in trees. Of `keep` of 256.
pub fn fill(db: &Database, rng: &mut Rng, count: u64, keep: u16) {
    let txn = db.begin_write().unwrap();
    {
        let (mut rows, mut words) = (txn.open_table(ROWS).unwrap(), txn.open_table(WORDS).unwrap());
        let mut sets = txn.open_multimap_table(SETS).unwrap();
        for key in 0..count {
            let length = if key % 17 == 0 { 3000 } else { 40 + key % 100 };
            let value = vec![key as u8; length as usize];
            let word = format!("{key:06}{}", "w".repeat(if key % 13 == 0 { 700 } else { 5 }));
            if !rng.chance(keep) {
                continue;
            }
            rows.insert(key, &*value).unwrap();
            words.insert(&*word, &value[..20]).unwrap();
            for nth in 0..if key % 29 == 0 { 60 } else { 2 } {
                sets.insert(key, &[nth as u8; 30][..]).unwrap();
            }
        }
    }
    txn.commit().unwrap();
}

/// Removes all rows but some.
pub fn thin_out(db: &Database, rng: &mut Rng, keep: u16) {
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        let gone: Vec<u64> = rows.iter().unwrap().map(|row| row.unwrap().0.value()).collect();
        let gone: Vec<u64> = gone.into_iter().filter(|_| !rng.chance(keep)).collect();
        let (mut words, mut sets) = (txn.open_table(WORDS).unwrap(), txn.open_multimap_table(SETS).unwrap());
        for key in gone {
            rows.remove(key).unwrap();
            sets.remove_all(key).unwrap();
            words.retain_in(&*format!("{key:06}")..&*format!("{:06}", key + 1), |_, _| false).unwrap();
        }
    }
    txn.commit().unwrap();
}
