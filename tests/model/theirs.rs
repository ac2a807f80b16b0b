//! The same programs on redb, whose answers must be the same.

use crate::common::blobs::Blobs;
use crate::plan::Plan;
use crate::way::Way;
use db::ReadableTable;
use redb as db;
use std::ops::{Bound, RangeBounds};

/// Settings that only this crate has: it has none.
fn tune(_builder: &mut db::Builder, _plan: &Plan) {}

/// Moves a cursor to the gap before the first row that the bound admits.
fn seek<'t, K: db::Key + 'static, V: db::Value + 'static>(
    table: &'t db::Table<'_, K, V>,
    cursor: db::Cursor<'t, K, V>,
    bound: Bound<K::SelfType<'_>>,
) -> Result<db::Cursor<'t, K, V>, db::StorageError> {
    drop(cursor);
    table.lower_bound(bound)
}

/// Length of the value of a key.
fn value_len<K: db::Key + 'static, V: db::Value + 'static>(
    table: &db::Table<'_, K, V>,
    key: K::SelfType<'_>,
) -> Result<Option<u64>, db::StorageError> {
    Ok(table.get(key)?.map(|value| length::<V>(value)))
}

/// Length of the value after a cursor.
fn value_len_at<K: db::Key + 'static, V: db::Value + 'static>(
    cursor: &mut db::Cursor<'_, K, V>,
) -> Result<Option<u64>, db::StorageError> {
    Ok(cursor.peek_next()?.map(|(_, value)| length::<V>(value)))
}

fn length<V: db::Value + 'static>(value: db::AccessGuard<'_, V>) -> u64 {
    V::as_bytes(&value.value()).as_ref().len() as u64
}

/// Number of rows in a range.
fn count<'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &db::Table<'_, K, V>,
    range: impl RangeBounds<K::SelfType<'a>> + 'a,
) -> Result<u64, db::StorageError> {
    Ok(table.range(range)?.count() as u64)
}

/// Removes the rows of a range.
fn delete_range<'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &mut db::Table<'_, K, V>,
    range: impl RangeBounds<K::SelfType<'a>> + 'a,
) -> Result<u64, db::StorageError> {
    Ok(table.extract_from_if(range, |_, _| true)?.count() as u64)
}

/// Removes the rows of a range, and shows those at the ends that are asked for.
fn drain<'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &mut db::Table<'_, K, V>,
    range: impl RangeBounds<K::SelfType<'a>> + 'a,
    fronts: &[bool],
    mut show: impl FnMut(K::SelfType<'_>, V::SelfType<'_>),
) -> Result<(), db::StorageError> {
    let mut rows = table.extract_from_if(range, |_, _| true)?;
    for front in fronts {
        let row = if *front { rows.next() } else { rows.next_back() };
        let Some((key, value)) = row.transpose()? else { break };
        show(key.value(), value.value());
    }
    rows.try_for_each(|row| row.map(drop))
}

/// The values of many keys.
fn get_many<'t, 'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &'t db::Table<'_, K, V>,
    keys: impl Iterator<Item = K::SelfType<'a>>,
) -> Result<Vec<Option<db::AccessGuard<'t, V>>>, db::StorageError> {
    keys.map(|key| table.get(key)).collect()
}

/// Loads sorted rows behind the last. Gives their number, or which row is out of order.
fn bulk_load<'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &mut db::Table<'_, K, V>,
    rows: impl Iterator<Item = (K::SelfType<'a>, V::SelfType<'a>)>,
) -> Result<Result<u64, u64>, db::Error> {
    let bytes = |key: &K::SelfType<'_>| K::as_bytes(key).as_ref().to_vec();
    let mut before = table.last()?.map(|(key, _)| bytes(&key.value()));
    let rows: Vec<_> = rows.collect();
    for (row, (key, _)) in rows.iter().enumerate() {
        let key = bytes(key);
        if before.is_some_and(|before| K::compare(&before, &key).is_ge()) {
            return Ok(Err(row as u64));
        }
        before = Some(key);
    }
    let count = rows.len() as u64;
    for (key, value) in rows {
        table.insert(key, value)?;
    }
    Ok(Ok(count))
}

/// Merges an operand into the value of a key.
fn merge<K: db::Key + 'static, V: db::Value + 'static>(
    table: &mut db::Table<'_, K, V>,
    key: K::SelfType<'_>,
    operand: &[u8],
    way: Way,
) -> Result<(), db::StorageError> {
    let old = table.get(&key)?.map(|old| V::as_bytes(&old.value()).as_ref().to_vec());
    match way.merge(old.as_deref(), operand) {
        Some(new) => table.insert(key, V::from_bytes(&new)).map(drop),
        None => table.remove(key).map(drop),
    }
}

/// One step of blobs: there are none.
fn change_blobs(_txn: &db::WriteTransaction, _blobs: &mut Blobs, _seed: u64) -> Result<(), String> {
    Ok(())
}

/// All blobs: none.
fn blobs_of(_txn: &db::ReadTransaction) -> Result<Blobs, String> {
    Ok(Blobs::new())
}

/// Does nothing and undoes it: there are no checkpoints.
fn go_astray(_txn: &mut db::WriteTransaction, _seed: u64) -> Result<(), String> {
    Ok(())
}

/// Checks the whole file, where the crate can.
fn verify(_db: &db::Database) -> Result<(), db::DatabaseError> {
    Ok(())
}

#[path = "body.rs"]
mod body;

pub use body::run;
