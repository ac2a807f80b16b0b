use super::common::*;
use super::db::*;
use std::path::Path;

pub fn owned(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 100)?;
    txn.commit()?;
    let txn = db.begin_read()?;
    let guard: OwnedAccessGuard<u64> = txn.open_table(INTS)?.get_owned(&7)?.unwrap();
    out.push(format!("{}", txn.open_table(INTS)?.get_owned(700)?.is_none()));
    let mut range: OwnedRange<u64, u64> = txn.open_table(INTS)?.range_owned(5..=50)?;
    let again = range.clone();
    let txn = match txn.close() {
        Err(TransactionError::ReadTransactionStillInUse(txn)) => *txn,
        _ => return Ok(vec!["closed in use".into()]),
    };
    let last = range.next_back().unwrap()?;
    drop((range, guard));
    out.push(format!("{}", again.map(|row| row.unwrap().1.value()).sum::<u64>()));
    let txn = match txn.close() {
        Err(TransactionError::ReadTransactionStillInUse(txn)) => *txn,
        _ => return Ok(vec!["closed in use by a guard".into()]),
    };
    out.push(format!("{} {}", last.0.value(), last.1.value()));
    drop(last);
    txn.close()?;
    Ok(out)
}

fn sum(db: &impl ReadableDatabase) -> Result<u64, Error> {
    let table = db.begin_read()?.open_table(INTS)?;
    Ok(table.iter()?.map(|row| row.unwrap().1.value()).sum())
}

pub fn read_only(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 100)?;
    txn.commit()?;
    let taken = |opened| matches!(opened, Err(DatabaseError::DatabaseAlreadyOpen));
    out.push(format!("{}", taken(ReadOnlyDatabase::open(path).map(drop))));
    drop(db);
    let one = ReadOnlyDatabase::open(path)?;
    let another = Builder::new().set_cache_size(1 << 20).open_read_only(path)?;
    out.push(format!("{} {}", sum(&one)?, sum(&another)?));
    drop(another);
    out.push(format!("{}", taken(Database::open(path).map(drop))));
    drop(one);
    let db = Database::open(path)?;
    out.push(format!("{}", sum(&db)?));
    match ReadOnlyDatabase::open(path.with_extension("missing")) {
        Err(DatabaseError::Storage(StorageError::Io(err))) => out.push(format!("{:?}", err.kind())),
        _ => out.push("?".into()),
    }
    Ok(out)
}

/// Guards of a write transaction's table live as long as the table; what readers give outlives it.
pub fn guards_outlive(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 1_000)?;
    {
        let mut text = txn.open_table(TEXT)?;
        fill_text(&mut text)?;
        let removed = text.remove("a")?.map(|value| value.value().to_string());
        let replaced = text.insert("b", "new")?.map(|value| value.value().to_string());
        out.push(format!("{removed:?} {replaced:?}"));
        let guard = text.remove("c")?.unwrap();
        out.push(guard.value().to_string());
    }
    txn.commit()?;
    let guard = db.begin_read()?.open_table(INTS)?.get_owned(7)?.unwrap();
    let range = db.begin_read()?.open_table(INTS)?.range_owned(990..)?;
    let txn = db.begin_write()?;
    txn.open_table(INTS)?.retain(|_, _| false)?;
    txn.commit()?;
    for _ in 0..3 {
        let txn = db.begin_write()?;
        fill_ints(&txn, 2_000)?;
        txn.commit()?;
    }
    out.push(format!("{} {}", guard.value(), range.map(|row| row.unwrap().1.value()).sum::<u64>()));
    let sent = std::thread::spawn(move || guard.value()).join().unwrap();
    out.push(format!("{sent}"));
    Ok(out)
}
