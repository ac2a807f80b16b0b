use super::common::*;
use super::db::*;
use std::path::Path;

pub fn tables_by_name(path: &Path) -> Found {
    const NEW: TableDefinition<u64, u64> = TableDefinition::new("new");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 500)?;
    txn.open_table(TEXT)?.insert("a", "b")?;
    out.push(table_names(txn.list_tables()?));
    let open = txn.open_table(INTS)?;
    out.push(outcome(txn.delete_table(INTS)));
    out.push(outcome(txn.rename_table(INTS, NEW)));
    out.push(outcome(txn.rename_table(INTS, INTS)));
    out.push(outcome(txn.rename_table(TEXT, INTS)));
    out.push(outcome(txn.rename_table(NEW, INTS)));
    out.push(outcome(txn.rename_table(open, NEW)));
    out.push(outcome(txn.rename_table(NEW, NEW)));
    out.push(outcome(txn.rename_table(BLOBS, BLOBS)));
    fill_ints(&txn, 3)?;
    out.push(table_names(txn.list_tables()?));
    txn.commit()?;

    let txn = db.begin_write()?;
    let open = txn.open_table(NEW)?;
    out.push(format!("{}", open.len()?));
    out.push(outcome(txn.delete_table(open)));
    out.push(outcome(txn.delete_table(NEW)));
    txn.open_table(NEW)?.insert(7, 8)?;
    let handles: Vec<UntypedTableHandle> = txn.list_tables()?.collect();
    for handle in handles.clone() {
        out.push(format!("{} {}", handle.name(), outcome(txn.delete_table(handle.clone()))));
    }
    out.push(table_names(txn.list_tables()?));
    txn.abort()?;

    let reader = db.begin_read()?;
    let txn = db.begin_write()?;
    for handle in txn.list_tables()?.collect::<Vec<_>>() {
        txn.delete_table(handle)?;
    }
    txn.commit()?;
    out.push(format!("{}", db.begin_read()?.list_tables()?.count()));
    out.push(table_names(reader.list_tables()?));
    for handle in reader.list_tables()? {
        let table: ReadOnlyUntypedTable = reader.open_untyped_table(handle)?;
        out.push(format!("{} {} {}", table.name(), table.len()?, table.is_empty()?));
    }
    out.push(outcome(reader.open_untyped_table(BLOBS).map(|_| ())));
    drop(reader);
    Ok(out)
}

/// The error says where the table was opened.
pub fn open_twice(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    let first = txn.open_table(INTS)?;
    let line = line!() - 1;
    let place = |opened: Result<(), TableError>| match opened {
        Err(TableError::TableAlreadyOpen(name, place)) => {
            format!("{name} {} {}", place.line() == line, place.file().ends_with("tables.rs"))
        }
        other => outcome(other),
    };
    out.push(place(txn.open_table(INTS).map(drop)));
    out.push(place(txn.rename_table(INTS, TEXT)));
    out.push(place(txn.delete_table(INTS).map(drop)));
    out.push(first.name().to_string());
    drop(first);
    out.push(place(txn.open_table(INTS).map(drop)));
    // Readers open a table as often as they like.
    txn.commit()?;
    let txn = db.begin_read()?;
    let tables = (txn.open_table(INTS)?, txn.open_table(INTS)?);
    out.push(format!("{} {}", tables.0.len()?, tables.1.name()));
    Ok(out)
}

pub fn untyped(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 2_000)?;
    txn.open_table(BLOBS)?.insert(1, &[7; 10_000][..])?;
    fill_tags(&mut txn.open_multimap_table(TAGS)?)?;
    txn.commit()?;
    let txn = db.begin_read()?;
    for handle in txn.list_tables()? {
        let table = txn.open_untyped_table(handle.clone())?;
        let stats = table.stats()?;
        out.push(format!("{} {} {} {}", handle.name(), table.name(), table.len()?, stats.stored_bytes()));
    }
    for handle in txn.list_multimap_tables()? {
        let table = txn.open_untyped_multimap_table(handle.clone())?;
        out.push(format!("{} {} {} {}", handle.name(), table.name(), table.len()?, table.is_empty()?));
    }
    out.push(outcome(txn.open_untyped_table(TEXT).map(drop)));
    // A handle of one database names a table of another.
    let handles: Vec<UntypedTableHandle> = txn.list_tables()?.collect();
    let other = Database::create(path.with_extension("other"))?;
    let txn = other.begin_write()?;
    for handle in handles {
        out.push(outcome(txn.delete_table(handle)));
    }
    out.push(format!("{INTS} {TAGS}"));
    Ok(out)
}
