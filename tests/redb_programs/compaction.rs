use super::common::*;
use super::db::*;
use std::path::Path;

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

pub fn compaction(path: &Path) -> Found {
    let mut out = Vec::new();
    let mut db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 30_000)?;
    txn.open_table(TEXT)?.insert("a", "kept")?;
    txn.commit()?;
    let txn = db.begin_write()?;
    txn.open_table(INTS)?.retain(|key, _| key % 1000 == 0)?;
    txn.commit()?;
    out.push(outcome(db.compact()));
    out.push(outcome(db.compact()));
    out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    out.push(outcome(db.check_integrity()));
    drop(db);
    out.push(format!("{}", size(path) < 200_000));
    let db = Database::open(path)?;
    out.push(format!("{:?}", db.begin_read()?.open_table(TEXT)?.get("a")?.map(|value| value.value().to_string())));
    Ok(out)
}

pub fn compaction_refused(path: &Path) -> Found {
    let mut out = Vec::new();
    let mut db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 3_000)?;
    txn.commit()?;
    let txn = db.begin_write()?;
    out.push(outcome(db.compact()));
    txn.abort()?;
    let txn = db.begin_read()?;
    out.push(outcome(db.compact()));
    let table = txn.open_table(INTS)?;
    out.push(outcome(txn.close()));
    drop(table);
    let owned = db.begin_read()?.open_table(INTS)?.get_owned(7)?;
    out.push(outcome(db.compact()));
    drop(owned);
    let txn = db.begin_write()?;
    let savepoint = txn.ephemeral_savepoint()?;
    out.push(outcome(db.compact()));
    let id = txn.persistent_savepoint()?;
    txn.commit()?;
    out.push(outcome(db.compact()));
    let reader = db.begin_read()?;
    out.push(outcome(db.compact()));
    drop(savepoint);
    out.push(outcome(db.compact()));
    let txn = db.begin_write()?;
    txn.delete_persistent_savepoint(id)?;
    out.push(outcome(db.compact()));
    txn.commit()?;
    out.push(outcome(db.compact()));
    drop(reader);
    out.push(format!("{}", db.compact().is_ok()));
    Ok(out)
}
