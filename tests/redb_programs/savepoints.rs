use super::common::*;
use super::db::*;
use std::path::Path;

/// Commits one more row: the table's length tells the state.
fn grow(db: &Database) -> Result<(), Error> {
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(INTS)?;
        let next = table.len()?;
        table.insert(next, next)?;
    }
    Ok(txn.commit()?)
}

fn length(db: &Database) -> Result<u64, Error> {
    match db.begin_read()?.open_table(INTS) {
        Ok(table) => Ok(table.len()?),
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        Err(err) => Err(err.into()),
    }
}

fn ephemeral_of(db: &Database) -> Result<Savepoint, Error> {
    let txn = db.begin_write()?;
    let savepoint = txn.ephemeral_savepoint()?;
    txn.abort()?;
    Ok(savepoint)
}

fn persistent_of(db: &Database) -> Result<u64, Error> {
    let txn = db.begin_write()?;
    let id = txn.persistent_savepoint()?;
    txn.commit()?;
    Ok(id)
}

fn restored(db: &Database, savepoint: &Savepoint) -> Result<String, Error> {
    let mut txn = db.begin_write()?;
    let restored = outcome(txn.restore_savepoint(savepoint));
    txn.commit()?;
    Ok(format!("{restored} {}", length(db)?))
}

fn count(db: &Database) -> Result<usize, Error> {
    Ok(db.begin_write()?.list_persistent_savepoints()?.count())
}

pub fn ephemeral(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let empty = ephemeral_of(&db)?;
    grow(&db)?;
    let first = ephemeral_of(&db)?;
    grow(&db)?;
    let second = ephemeral_of(&db)?;
    let same = ephemeral_of(&db)?;
    grow(&db)?;
    out.push(restored(&db, &second)?);
    grow(&db)?;
    // Twice, and after the state was restored.
    out.push(restored(&db, &second)?);
    out.push(restored(&db, &second)?);
    out.push(restored(&db, &same)?);
    out.push(restored(&db, &first)?);
    // Younger ones are not valid any more.
    out.push(restored(&db, &second)?);
    let third = ephemeral_of(&db)?;
    grow(&db)?;
    drop(first);
    out.push(restored(&db, &third)?);
    out.push(restored(&db, &empty)?);
    out.push(restored(&db, &third)?);
    drop(empty);
    grow(&db)?;
    out.push(length(&db)?.to_string());
    Ok(out)
}

pub fn persistent(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    grow(&db)?;
    let first = persistent_of(&db)?;
    grow(&db)?;
    let second = persistent_of(&db)?;
    grow(&db)?;
    let txn = db.begin_write()?;
    out.push(format!("{}", txn.list_persistent_savepoints()?.collect::<Vec<_>>() == [first, second]));
    out.push(outcome(txn.get_persistent_savepoint(u64::MAX).map(drop)));
    out.push(outcome(txn.delete_persistent_savepoint(u64::MAX)));
    let handle = txn.get_persistent_savepoint(second)?;
    txn.abort()?;
    out.push(restored(&db, &handle)?);
    grow(&db)?;
    out.push(format!("{} {}", restored(&db, &handle)?, count(&db)?));
    let mut txn = db.begin_write()?;
    let older = txn.get_persistent_savepoint(first)?;
    out.push(outcome(txn.restore_savepoint(&older)));
    out.push(format!("{}", txn.list_persistent_savepoints()?.count()));
    out.push(outcome(txn.restore_savepoint(&handle)));
    out.push(outcome(txn.get_persistent_savepoint(second).map(drop)));
    txn.commit()?;
    out.push(format!("{} {}", length(&db)?, count(&db)?));
    out.push(restored(&db, &handle)?);
    let txn = db.begin_write()?;
    out.push(outcome(txn.delete_persistent_savepoint(second)));
    out.push(outcome(txn.delete_persistent_savepoint(first)));
    out.push(outcome(txn.delete_persistent_savepoint(first)));
    out.push(outcome(txn.get_persistent_savepoint(first).map(drop)));
    txn.commit()?;
    out.push(restored(&db, &older)?);
    out.push(format!("{}", count(&db)?));
    Ok(out)
}

/// Ids ascend, also over openings and after all were deleted; their distance is no matter of the API.
pub fn ids(path: &Path) -> Found {
    let mut out = Vec::new();
    let mut all = Vec::new();
    for round in 0..3 {
        let db = Database::create(path)?;
        all.push(persistent_of(&db)?);
        let txn = db.begin_write()?;
        all.push(txn.persistent_savepoint()?);
        all.push(txn.persistent_savepoint()?);
        txn.commit()?;
        let txn = db.begin_write()?;
        let listed: Vec<u64> = txn.list_persistent_savepoints()?.collect();
        out.push(format!("{} {}", listed.len(), listed.is_sorted()));
        if round == 1 {
            for id in listed {
                txn.delete_persistent_savepoint(id)?;
            }
        }
        txn.commit()?;
    }
    out.push(format!("{}", all.is_sorted_by(|a, b| a < b)));
    Ok(out)
}

/// What an aborted transaction did to savepoints is undone.
pub fn aborted(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    grow(&db)?;
    let kept = persistent_of(&db)?;
    grow(&db)?;
    let younger = ephemeral_of(&db)?;
    let txn = db.begin_write()?;
    out.push(outcome(txn.delete_persistent_savepoint(kept)));
    let made = txn.persistent_savepoint()?;
    let handle = txn.get_persistent_savepoint(made)?;
    out.push(format!("{}", txn.list_persistent_savepoints()?.count()));
    txn.abort()?;
    out.push(format!("{}", count(&db)?));
    out.push(restored(&db, &handle)?);
    let mut txn = db.begin_write()?;
    out.push(outcome(txn.get_persistent_savepoint(made).map(drop)));
    let savepoint = txn.get_persistent_savepoint(kept)?;
    out.push(outcome(txn.restore_savepoint(&savepoint)));
    out.push(outcome(txn.restore_savepoint(&younger)));
    drop(txn);
    out.push(format!("{}", length(&db)?));
    out.push(restored(&db, &younger)?);
    out.push(restored(&db, &savepoint)?);
    out.push(restored(&db, &younger)?);
    Ok(out)
}

pub fn rules_of_durability(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    grow(&db)?;
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::None)?;
    out.push(outcome(txn.persistent_savepoint().map(drop)));
    out.push(outcome(txn.delete_persistent_savepoint(1)));
    out.push(outcome(txn.ephemeral_savepoint().map(drop)));
    out.push(outcome(txn.set_durability(Durability::Immediate)));
    let id = txn.persistent_savepoint()?;
    out.push(outcome(txn.set_durability(Durability::None)));
    out.push(outcome(txn.set_durability(Durability::Immediate)));
    txn.commit()?;
    let mut txn = db.begin_write()?;
    txn.delete_persistent_savepoint(id)?;
    out.push(outcome(txn.set_durability(Durability::None)));
    drop(txn);
    let mut txn = db.begin_write()?;
    out.push(outcome(txn.delete_persistent_savepoint(u64::MAX)));
    out.push(outcome(txn.set_durability(Durability::None)));
    drop(txn);
    // Restoring an older one deletes what is persistent, which must be durable.
    let mut txn = db.begin_write()?;
    let older = txn.ephemeral_savepoint()?;
    txn.abort()?;
    grow(&db)?;
    persistent_of(&db)?;
    txn = db.begin_write()?;
    txn.set_durability(Durability::None)?;
    out.push(outcome(txn.restore_savepoint(&older)));
    let newest = txn.ephemeral_savepoint()?;
    out.push(outcome(txn.restore_savepoint(&newest)));
    txn.commit()?;
    let mut txn = db.begin_write()?;
    txn.restore_savepoint(&older)?;
    out.push(outcome(txn.set_durability(Durability::None)));
    txn.commit()?;
    out.push(format!("{} {}", length(&db)?, count(&db)?));
    Ok(out)
}

/// Which transactions can make a savepoint, and whose savepoints a database takes.
pub fn invalid(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    grow(&db)?;
    let other = Database::create(path.with_extension("other"))?;
    grow(&other)?;
    let foreign = ephemeral_of(&other)?;
    out.push(restored(&db, &foreign)?);
    drop(other);
    out.push(restored(&db, &foreign)?);

    let made = |txn: &WriteTransaction| {
        let made = (outcome(txn.ephemeral_savepoint().map(drop)), outcome(txn.persistent_savepoint().map(drop)));
        format!("{made:?}")
    };
    let mut txn = db.begin_write()?;
    txn.set_two_phase_commit(true);
    txn.set_quick_repair(true);
    out.push(format!("{} {}", txn.list_tables()?.count(), txn.stats()?.tree_height()));
    out.push(made(&txn));
    out.push(outcome(txn.delete_table(INTS)));
    out.push(made(&txn));
    drop(txn);
    let txn = db.begin_write()?;
    out.push(outcome(txn.rename_table(INTS, TEXT)));
    out.push(made(&txn));
    drop(txn);
    let txn = db.begin_write()?;
    drop(txn.open_table(INTS)?);
    out.push(made(&txn));
    drop(txn);
    let txn = db.begin_write()?;
    out.push(outcome(txn.open_multimap_table(TAGS).map(drop)));
    out.push(made(&txn));
    drop(txn);
    let savepoint = ephemeral_of(&db)?;
    let mut txn = db.begin_write()?;
    out.push(outcome(txn.restore_savepoint(&foreign)));
    out.push(made(&txn));
    out.push(outcome(txn.restore_savepoint(&savepoint)));
    out.push(made(&txn));
    // Restored, changed, and restored again.
    txn.open_table(INTS)?.insert(77, 7)?;
    out.push(outcome(txn.restore_savepoint(&savepoint)));
    txn.open_table(INTS)?.insert(78, 7)?;
    txn.commit()?;
    out.push(length(&db)?.to_string());
    Ok(out)
}

pub fn with_multimaps(path: &Path) -> Found {
    const RENAMED: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("renamed");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_tags(&mut txn.open_multimap_table(TAGS)?)?;
    fill_ints(&txn, 500)?;
    txn.commit()?;
    let id = persistent_of(&db)?;
    let txn = db.begin_write()?;
    drop(txn.open_multimap_table(TAGS)?.remove_all("even")?);
    txn.rename_multimap_table(TAGS, RENAMED)?;
    txn.delete_table(INTS)?;
    txn.commit()?;
    let mut txn = db.begin_write()?;
    out.push(multimap_names(txn.list_multimap_tables()?));
    let savepoint = txn.get_persistent_savepoint(id)?;
    txn.restore_savepoint(&savepoint)?;
    out.push(format!("{} {}", multimap_names(txn.list_multimap_tables()?), table_names(txn.list_tables()?)));
    out.push(format!("{}", txn.open_multimap_table(TAGS)?.get("even")?.len()));
    txn.open_multimap_table(TAGS)?.insert("even", 1)?;
    txn.commit()?;
    let txn = db.begin_read()?;
    out.push(format!("{} {}", txn.open_multimap_table(TAGS)?.len()?, txn.open_table(INTS)?.len()?));
    Ok(out)
}

pub fn over_openings(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    grow(&db)?;
    let id = persistent_of(&db)?;
    let brief = ephemeral_of(&db)?;
    let mut txn = db.begin_write()?;
    let handle = txn.get_persistent_savepoint(id)?;
    txn.set_durability(Durability::None)?;
    fill_ints(&txn, 40)?;
    txn.commit()?;
    drop(db);
    let mut db = Database::open(path)?;
    out.push(format!("{} {}", length(&db)?, count(&db)?));
    // Handles and ephemeral savepoints are of the database that was closed.
    out.push(restored(&db, &brief)?);
    out.push(restored(&db, &handle)?);
    drop((brief, handle));
    out.push(outcome(db.compact()));
    let mut txn = db.begin_write()?;
    let handle = txn.get_persistent_savepoint(id)?;
    txn.restore_savepoint(&handle)?;
    out.push(outcome(txn.delete_persistent_savepoint(id)));
    out.push(outcome(txn.restore_savepoint(&handle)));
    txn.commit()?;
    out.push(format!("{} {}", length(&db)?, count(&db)?));
    drop(handle);
    out.push(format!("{}", db.compact().is_ok()));
    out.push(outcome(db.check_integrity()));
    Ok(out)
}
