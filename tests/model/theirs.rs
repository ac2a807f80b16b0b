//! The same programs on redb, whose answers must be the same.

use db::ReadableTable;
use redb as db;
use std::ops::Bound;

/// Settings that only this crate has: the page size is not among them.
fn tune(_builder: &mut db::Builder, _page: usize) {}

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

/// Checks the whole file, where the crate can.
fn verify(_db: &db::Database) -> Result<(), db::DatabaseError> {
    Ok(())
}

#[path = "body.rs"]
mod body;

pub use body::run;
