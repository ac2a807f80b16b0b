//! What is done to a database whose storage fails. A step makes one commit at most.

use sapwood::{
    BytesAppend, CdcMode, ChangePosition, ContentType, Database, Error, NamespaceQuota, NumericMax, ReadableBlobs,
    ReadableDatabase, ReadableTable, ReadableTtlTable, StoreOptions, TableDefinition, TtlTableDefinition,
    WriteTransaction,
};
use std::time::Duration;

pub const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
pub const OTHERS: TableDefinition<u64, &[u8]> = TableDefinition::new("others");
pub const COUNTS: TableDefinition<u64, u64> = TableDefinition::new("counts").with_merge("sum");
pub const FADING: TtlTableDefinition<u64, u64> = TtlTableDefinition::new("fading");

pub type Step = fn(&Database) -> Result<(), Error>;

pub fn all_steps() -> Vec<Step> {
    let prepared: [Step; 5] = [fill, expire, merge, store_blobs, churn::<1>];
    let kept: [Step; 8] = [pin, churn::<2>, churn::<3>, read_past, churn::<4>, churn::<5>, read_log, compare];
    let let_go: [Step; 9] = [advance, unpin, churn::<6>, purge, key_history, touch, merge, change_blobs, churn::<7>];
    let gone_back: [Step; 8] = [revert, read_log, save, churn::<8>, restore, rename, churn::<9>, purge];
    [&prepared[..], &kept, &let_go, &gone_back].concat()
}

fn commit(db: &Database, change: impl FnOnce(&mut WriteTransaction) -> Result<(), Error>) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    change(&mut txn)?;
    Ok(txn.commit()?)
}

fn fill(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        txn.set_table_cdc("others", Some(CdcMode::Keys))?;
        let (mut rows, mut others) = (txn.open_table(ROWS)?, txn.open_table(OTHERS)?);
        for key in 0..60 {
            let length = if key % 20 == 7 { 900 } else { 30 };
            rows.insert(key, &vec![key as u8; length][..])?;
            others.insert(key, &b"other"[..])?;
        }
        Ok(())
    })
}

fn expire(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        let mut rows = txn.open_ttl_table(FADING)?;
        for key in 0..60 {
            rows.insert_with_ttl(key, key, Duration::from_millis(100 + key * 37 % 1_000))?;
        }
        Ok(())
    })
}

/// So much that values which wait are brought to their trees half-way.
fn merge(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        let (mut rows, mut counts) = (txn.open_table(ROWS)?, txn.open_table(COUNTS)?);
        for round in 0..3 {
            for key in 0..30 {
                rows.merge(key * 3, &[round; 60], &BytesAppend)?;
                counts.merge_registered(key, &key.to_le_bytes())?;
                counts.merge_in(key + 10, 70, &NumericMax::Unsigned)?;
            }
            rows.insert(1, &b"in between"[..])?;
        }
        Ok(())
    })
}

fn store_blobs(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        let options = || StoreOptions::new().with_dedup(true).with_namespace("bark").with_tags(["rough", "grey"]);
        for length in [10, 5_000, 5_000, 600] {
            txn.store_blob(&vec![7; length], ContentType::Json, "bark", options())?;
        }
        let mut stream = txn.blob_writer(ContentType::Json, "", StoreOptions::new())?;
        (0..70).try_for_each(|nth| stream.write(&[nth; 1_000]))?;
        stream.finish()?;
        let fading = StoreOptions::new().with_ttl(Duration::from_millis(60)).with_metadata("rings", 7_u64);
        txn.store_blob(&[8; 2_000], ContentType::Json, "fading", fading)?;
        Ok(())
    })
}

/// All of what may be done to blobs; a writer is left.
fn change_blobs(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        txn.purge_expired_blobs(10)?;
        let ids = txn.list_blobs(None).take(5).collect::<Result<Vec<_>, _>>()?;
        let [inline, shared, other, plain, stream] = ids[..] else { return Ok(()) };
        let mut left = txn.blob_writer(ContentType::Json, "", StoreOptions::new())?;
        left.write(&[1; 70_000])?;
        left.suspend()?;
        txn.append_blob(shared, &[9; 100])?;
        txn.append_blob(stream, &[9; 100])?;
        txn.replace_blob(inline, &[3; 3_000])?;
        txn.move_blob(other, Some("wood"))?;
        txn.set_namespace_quota("wood", NamespaceQuota::UNLIMITED.with_max_blobs(2))?;
        txn.retime_blob(other, 77)?;
        txn.untag_blob(other, "grey")?;
        txn.tag_blob(stream, "long")?;
        txn.delete_blob(plain)?;
        Ok(())
    })
}

/// A commit that makes an older one leave the history, and the log.
fn churn<const ROUND: u8>(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        let mut rows = txn.open_table(ROWS)?;
        for key in 0..20 {
            rows.insert(key * 5 % 64, &[ROUND; 50][..])?;
        }
        rows.remove(u64::from(ROUND))?;
        rows.delete_range(40..43)?;
        Ok(())
    })
}

fn oldest(db: &Database) -> Result<u64, Error> {
    Ok(db.transaction_history()?.first().map_or(0, |info| info.transaction_id))
}

fn pin(db: &Database) -> Result<(), Error> {
    let id = oldest(db)?;
    commit(db, |txn| {
        txn.hold_cdc_cursor("slow", true)?;
        Ok(txn.pin_history("kept", id)?)
    })
}

fn unpin(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        txn.delete_cdc_cursor("fast")?;
        txn.unpin_history("kept")?;
        Ok(())
    })
}

fn advance(db: &Database) -> Result<(), Error> {
    let newest = db.begin_read()?.latest_cdc_position()?.unwrap_or(ChangePosition::START);
    commit(db, |txn| {
        txn.advance_cdc_cursor("slow", newest)?;
        txn.advance_cdc_cursor("fast", newest)?;
        Ok(txn.hold_cdc_cursor("slow", false)?)
    })
}

fn read_past(db: &Database) -> Result<(), Error> {
    for info in db.transaction_history()? {
        let past = db.begin_read_at(info.transaction_id)?;
        past.open_table(ROWS)?.iter()?.try_for_each(|row| row.map(drop))?;
        db.begin_read_at_time(info.timestamp_ms)?;
    }
    Ok(())
}

fn read_log(db: &Database) -> Result<(), Error> {
    let txn = db.begin_read()?;
    let from = txn.cdc_pruned_up_to()?.unwrap_or(ChangePosition::START);
    txn.read_cdc_since(from)?.try_for_each(|event| event.map(drop))?;
    txn.cdc_cursor("slow")?;
    Ok(())
}

fn compare(db: &Database) -> Result<(), Error> {
    let newest = db.begin_read()?;
    for info in db.transaction_history()? {
        for table in db.begin_read_at(info.transaction_id)?.diff(&newest)? {
            table?.rows().try_for_each(|row| row.map(drop))?;
        }
    }
    Ok(())
}

fn key_history(db: &Database) -> Result<(), Error> {
    db.key_history(ROWS, 5)?.try_for_each(|version| version.map(drop))
}

fn purge(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        let mut rows = txn.open_ttl_table(FADING)?;
        rows.purge_expired(8)?;
        Ok(())
    })
}

fn touch(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        let mut rows = txn.open_ttl_table(FADING)?;
        let live: Vec<u64> = rows.iter()?.map(|row| row.map(|row| row.0.value())).collect::<Result<_, _>>()?;
        for key in live {
            rows.touch(key, Duration::from_millis(50 + key))?;
        }
        rows.persist(59)?;
        Ok(())
    })
}

fn revert(db: &Database) -> Result<(), Error> {
    let id = oldest(db)?;
    commit(db, |txn| Ok(txn.revert_to(id)?))
}

fn save(db: &Database) -> Result<(), Error> {
    commit(db, |txn| Ok(txn.persistent_savepoint().map(drop)?))
}

fn restore(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        let ids: Vec<u64> = txn.list_persistent_savepoints()?.collect();
        for id in ids {
            let savepoint = txn.get_persistent_savepoint(id)?;
            txn.restore_savepoint(&savepoint)?;
            txn.delete_persistent_savepoint(id)?;
        }
        Ok(())
    })
}

fn rename(db: &Database) -> Result<(), Error> {
    commit(db, |txn| {
        txn.delete_table(OTHERS)?;
        let checkpoint = txn.checkpoint()?;
        txn.open_table(ROWS)?.merge(3, b"undone", &BytesAppend)?;
        txn.rename_table(ROWS, OTHERS)?;
        txn.rollback_to(&checkpoint)?;
        txn.rename_table(ROWS, OTHERS)?;
        Ok(txn.rename_table(OTHERS, ROWS)?)
    })
}
