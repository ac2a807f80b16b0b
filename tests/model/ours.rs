//! The programs on sapwood.

use db::ReadableTable;
use sapwood as db;
use std::ops::Bound;

/// Settings that only this crate has.
fn tune(builder: &mut db::Builder, page: usize) {
    builder.set_page_size(page);
}

/// Moves a cursor to the gap before the first row that the bound admits.
fn seek<'t, K: db::Key + 'static, V: db::Value + 'static>(
    _table: &'t db::Table<'_, K, V>,
    mut cursor: db::Cursor<'t, K, V>,
    bound: Bound<K::SelfType<'_>>,
) -> Result<db::Cursor<'t, K, V>, db::StorageError> {
    cursor.seek(bound)?;
    Ok(cursor)
}

/// Length of the value of a key.
fn value_len<K: db::Key + 'static, V: db::Value + 'static>(
    table: &db::Table<'_, K, V>,
    key: K::SelfType<'_>,
) -> Result<Option<u64>, db::StorageError> {
    table.value_len(key)
}

/// Length of the value after a cursor.
fn value_len_at<K: db::Key + 'static, V: db::Value + 'static>(
    cursor: &mut db::Cursor<'_, K, V>,
) -> Result<Option<u64>, db::StorageError> {
    cursor.value_len()
}

/// Checks the whole file, where the crate can.
fn verify(db: &db::Database) -> Result<(), db::DatabaseError> {
    db.verify().map(drop)
}

#[path = "body.rs"]
mod body;

pub use body::run;
