//! The programs on sapwood.

use crate::common::blobs::{self, Blobs};
use crate::common::rng::Rng;
use crate::plan::{Packed, Plan};
use crate::way::Way;
use db::{Compression, ReadableBlobs, ReadableTable};
use sapwood as db;
use std::ops::{Bound, RangeBounds};

/// Settings that only this crate has.
fn tune(builder: &mut db::Builder, plan: &Plan) {
    builder.set_page_size(plan.page).set_compression(match plan.packed {
        Packed::No => Compression::None,
        #[cfg(feature = "lz4")]
        Packed::Fast => Compression::Lz4,
        #[cfg(feature = "zstd")]
        Packed::Small => Compression::Zstd { level: 3 },
        #[cfg(not(all(feature = "lz4", feature = "zstd")))]
        _ => Compression::None,
    });
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

/// Number of rows in a range.
fn count<'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &db::Table<'_, K, V>,
    range: impl RangeBounds<K::SelfType<'a>> + 'a,
) -> Result<u64, db::StorageError> {
    table.count(range)
}

/// Removes the rows of a range.
fn delete_range<'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &mut db::Table<'_, K, V>,
    range: impl RangeBounds<K::SelfType<'a>> + 'a,
) -> Result<u64, db::StorageError> {
    table.delete_range(range)
}

/// Removes the rows of a range, and shows those at the ends that are asked for.
fn drain<'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &mut db::Table<'_, K, V>,
    range: impl RangeBounds<K::SelfType<'a>> + 'a,
    fronts: &[bool],
    mut show: impl FnMut(K::SelfType<'_>, V::SelfType<'_>),
) -> Result<(), db::StorageError> {
    let mut rows = table.drain(range)?;
    for front in fronts {
        let row = if *front { rows.next() } else { rows.next_back() };
        let Some((key, value)) = row.transpose()? else { break };
        show(key.value(), value.value());
    }
    Ok(())
}

/// The values of many keys.
fn get_many<'t, 'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &'t db::Table<'_, K, V>,
    keys: impl Iterator<Item = K::SelfType<'a>>,
) -> Result<Vec<Option<db::AccessGuard<'t, V>>>, db::StorageError> {
    table.get_many(keys)
}

/// Loads sorted rows behind the last. Gives their number, or which row is out of order.
fn bulk_load<'a, K: db::Key + 'static, V: db::Value + 'static>(
    table: &mut db::Table<'_, K, V>,
    rows: impl Iterator<Item = (K::SelfType<'a>, V::SelfType<'a>)>,
) -> Result<Result<u64, u64>, db::Error> {
    match table.bulk_load(rows) {
        Ok(count) => Ok(Ok(count)),
        Err(db::BulkLoadError::Unordered { row }) => Ok(Err(row)),
        Err(err) => Err(err.into()),
    }
}

/// Merges an operand into the value of a key.
fn merge<K: db::Key + 'static, V: db::Value + 'static>(
    table: &mut db::Table<'_, K, V>,
    key: K::SelfType<'_>,
    operand: &[u8],
    way: Way,
) -> Result<(), db::StorageError> {
    match way {
        Way::Append => table.merge(key, operand, &db::BytesAppend),
        way => table.merge(key, operand, &db::merge_fn(|_, old, operand| way.merge(old, operand))),
    }
}

/// One step of blobs.
fn change_blobs(txn: &db::WriteTransaction, blobs: &mut Blobs, seed: u64) -> Result<(), String> {
    blobs::change_blobs(txn, blobs, &mut Rng::new(seed))
}

/// All blobs, found in every way.
fn blobs_of(txn: &impl ReadableBlobs) -> Result<Blobs, String> {
    blobs::blobs_of(txn)
}

/// Changes blobs and deletes tables, and goes back to a checkpoint before.
fn go_astray(txn: &mut db::WriteTransaction, seed: u64) -> Result<(), String> {
    let text = |err: &dyn std::error::Error| err.to_string();
    let (mut rng, mut blobs) = (Rng::new(seed), blobs_of(txn)?);
    let before = blobs.clone();
    let checkpoint = txn.checkpoint().map_err(|err| text(&err))?;
    for _ in 0..rng.below(6) {
        blobs::change_blobs(txn, &mut blobs, &mut rng)?;
    }
    for table in txn.list_tables().map_err(|err| text(&err))?.filter(|_| rng.chance(128)).collect::<Vec<_>>() {
        txn.delete_table(table).map_err(|err| text(&err))?;
    }
    let astray = blobs_of(txn)?;
    txn.rollback_to(&checkpoint).map_err(|err| text(&err))?;
    if astray == blobs && blobs_of(txn)? == before { Ok(()) } else { Err("blobs about a checkpoint".into()) }
}

/// Checks the whole file, where the crate can.
fn verify(db: &db::Database) -> Result<(), db::DatabaseError> {
    db.verify().map(drop)
}

#[path = "body.rs"]
mod body;

pub use body::run;
