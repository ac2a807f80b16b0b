use super::common::*;
use super::db::*;
use std::path::Path;

pub fn snapshots(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::builder().set_cache_size(1 << 20).create(path)?;
    let write = |value: u64, durability: Durability, commit: bool| -> Result<(), Error> {
        let mut txn = db.begin_write()?;
        txn.set_durability(durability)?;
        {
            let mut table = txn.open_table(INTS)?;
            for key in 0..200 {
                table.insert(key, value)?;
            }
        }
        if commit {
            txn.commit()?
        } else {
            txn.abort()?
        }
        Ok(())
    };
    write(1, Durability::Immediate, true)?;
    let first = db.begin_read()?.open_table(INTS)?;
    write(2, Durability::None, true)?;
    let guard: AccessGuard<'static, u64> = db.begin_read()?.open_table(INTS)?.get(5)?.unwrap();
    let range = db.begin_read()?.open_table(INTS)?.range(10..12)?;
    write(3, Durability::Immediate, false)?;
    write(4, Durability::Immediate, true)?;
    out.push(format!("{} {}", first.get(3)?.unwrap().value(), guard.value()));
    out.push(format!("{:?}", range.map(|row| row.unwrap().1.value()).collect::<Vec<_>>()));
    let txn = db.begin_read()?;
    out.push(format!("{}", txn.open_table(INTS)?.get(0)?.unwrap().value()));
    txn.close()?;
    let txn = db.begin_read()?;
    let table = txn.open_table(INTS)?;
    out.push(format!("{}", txn.close().is_err()));
    drop(table);
    Ok(out)
}

pub fn threads(path: &Path) -> Found {
    let db = std::sync::Arc::new(Database::create(path)?);
    let txn = db.begin_write()?;
    txn.open_table(INTS)?;
    txn.commit()?;
    let mut workers = Vec::new();
    for worker in 0..4 {
        let db = db.clone();
        workers.push(std::thread::spawn(move || -> Result<(), Error> {
            for i in 0..10 {
                let mut txn = db.begin_write()?;
                txn.set_durability(Durability::None)?;
                txn.open_table(INTS)?.insert(worker * 100 + i, i)?;
                txn.commit()?;
                let table = db.begin_read()?.open_table(INTS)?;
                assert_eq!(table.get(worker * 100 + i)?.unwrap().value(), i);
            }
            Ok(())
        }));
    }
    for worker in workers {
        worker.join().unwrap()?;
    }
    let txn = db.begin_write()?;
    std::thread::scope(|scope| {
        scope.spawn(|| drop(txn.open_table(BLOBS).unwrap().insert(1, [1_u8].as_slice()).unwrap()));
        scope.spawn(|| drop(txn.open_table(TEXT).unwrap().insert("a", "b").unwrap()));
    });
    txn.commit()?;
    let txn = db.begin_read()?;
    let sum: u64 = txn.open_table(INTS)?.iter()?.map(|row| row.unwrap().0.value()).sum();
    Ok(vec![format!("{} {sum}", txn.open_table(BLOBS)?.len()?), format!("{}", txn.open_table(TEXT)?.len()?)])
}

/// What is without durability is there until the file is left without closing; a durable commit makes it durable.
pub fn durability(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let copied = |name: &str| -> Result<u64, Error> {
        let copy = path.with_extension(name);
        std::fs::copy(path, &copy).unwrap();
        let db = Database::open(&copy)?;
        match db.begin_read()?.open_table(INTS) {
            Ok(table) => Ok(table.len()?),
            Err(_) => Ok(0),
        }
    };
    let write = |rows: u64, durability: Durability, two_phase: bool, quick: bool| -> Result<(), Error> {
        let mut txn = db.begin_write()?;
        txn.set_durability(durability)?;
        txn.set_two_phase_commit(two_phase);
        txn.set_quick_repair(quick);
        fill_ints(&txn, rows)?;
        Ok(txn.commit()?)
    };
    let mut rows = 100;
    for (two_phase, quick) in [(false, false), (true, false), (false, true), (true, true)] {
        for durability in [Durability::Immediate, Durability::None, Durability::None] {
            write(rows, durability, two_phase, quick)?;
            rows += 100;
        }
        out.push(format!("{}", copied("copy")?));
        out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    }
    db.begin_write()?.commit()?;
    out.push(format!("{}", copied("after")?));
    write(rows, Durability::None, false, false)?;
    drop(db);
    // Closing makes all durable.
    out.push(format!("{}", Database::open(path)?.begin_read()?.open_table(INTS)?.len()?));
    Ok(out)
}

/// Transactions that end without a commit leave no trace.
pub fn ended_unread(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 10)?;
    out.push(outcome(txn.abort()));
    out.push(format!("{}", db.begin_read()?.list_tables()?.count()));
    let txn = db.begin_write()?;
    txn.open_table(INTS)?;
    txn.commit()?;
    // An empty table exists from the commit on.
    out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    drop(db.begin_write()?);
    out.push(outcome(db.begin_write()?.commit()));
    let txn = db.begin_write()?;
    txn.delete_table(INTS)?;
    drop(txn);
    out.push(format!("{}", db.begin_read()?.list_tables()?.count()));
    let early = db.begin_read()?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 10)?;
    out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    txn.commit()?;
    out.push(format!("{} {}", early.open_table(INTS)?.len()?, db.begin_read()?.open_table(INTS)?.len()?));
    Ok(out)
}

/// A write transaction keeps a dropped database open; readers are told that it is closed.
pub fn outliving_the_database(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 20_000)?;
    txn.commit()?;
    let txn = db.begin_write()?;
    let reader = db.begin_read()?;
    drop(db);
    out.push(outcome(Database::open(path).map(drop)));
    out.push(format!("{}", reader.open_table(INTS)?.len()?));
    txn.open_table(INTS)?.remove(1)?;
    out.push(outcome(txn.commit()));
    let db = Builder::new().set_cache_size(0).open(path)?;
    out.push(outcome(reader.open_table(INTS).and_then(|table| Ok(table.get(19_000)?.map(|value| value.value())))));
    drop(reader);
    let reader = db.begin_read()?;
    let table = reader.open_table(INTS)?;
    drop(db);
    out.push(outcome(table.get(19_000).map(|value| value.map(|value| value.value()))));
    let walk = table.range(10_000..).and_then(|range| range.map(|row| row.map(drop)).collect::<Result<Vec<_>>>());
    out.push(outcome(walk));
    drop(table);
    out.push(outcome(reader.close()));
    let db = Database::open(path)?;
    out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    let txn = db.begin_write()?;
    drop(db);
    drop(txn);
    out.push(outcome(Database::open(path).map(drop)));
    Ok(out)
}

/// Several threads change tables of one transaction.
pub fn tables_in_threads(path: &Path) -> Found {
    let names: Vec<String> = (0..6).map(|number| format!("table {number}")).collect();
    let db = Database::create(path)?;
    for round in 0..3_u64 {
        let txn = db.begin_write()?;
        std::thread::scope(|scope| {
            for (number, name) in names.iter().enumerate() {
                let txn = &txn;
                scope.spawn(move || {
                    let definition = TableDefinition::<u64, u64>::new(name);
                    let mut table = txn.open_table(definition).unwrap();
                    for key in 0..500 * (number as u64 + 1) {
                        table.insert(key * 3 + round, round).unwrap();
                    }
                    table.retain(|key, _| key % 7 != round).unwrap();
                });
            }
        });
        if round == 1 { txn.abort()? } else { txn.commit()? }
    }
    let txn = db.begin_read()?;
    let mut out = vec![table_names(txn.list_tables()?)];
    for name in &names {
        let table = txn.open_table(TableDefinition::<u64, u64>::new(name))?;
        out.push(format!("{} {}", table.len()?, table.iter()?.map(|row| row.unwrap().0.value()).sum::<u64>()));
    }
    Ok(out)
}

/// Tables of several kinds open at once, and again after they were dropped.
pub fn several_open(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut ints = txn.open_table(INTS)?;
        let mut text = txn.open_table(TEXT)?;
        let mut tags = txn.open_multimap_table(TAGS)?;
        for key in 0..300 {
            ints.insert(key, key)?;
            let word = key.to_string();
            text.insert(word.as_str(), "word")?;
            tags.insert(&*word, key % 9)?;
            tags.insert("all", key)?;
        }
        out.push(format!("{} {} {}", ints.len()?, text.len()?, tags.len()?));
        out.push(format!("{}", format!("{ints:?}").contains("ints")));
    }
    out.push(format!("{}", txn.open_table(INTS)?.len()?));
    txn.commit()?;
    out.push(format!("{}", db.begin_read()?.open_multimap_table(TAGS)?.get("all")?.len()));
    Ok(out)
}
