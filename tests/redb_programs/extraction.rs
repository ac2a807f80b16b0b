use super::common::*;
use super::db::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

pub fn extraction(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(INTS)?;
        for i in 0..3_000 {
            table.insert(i, i % 7)?;
        }
        let mut held = Vec::new();
        {
            let mut rows = table.extract_if(|_, value| value == 3)?;
            for step in 0..100 {
                let row = if step % 3 == 0 { rows.next_back() } else { rows.next() };
                held.push(row.unwrap()?);
            }
            rows.close()?;
        }
        out.push(format!("{:?}", held.iter().map(|(key, _)| key.value()).collect::<Vec<_>>()));
        drop(held);
        out.push(format!("{}", table.len()?));
        let mut tested = 0;
        drop(table.extract_if(|_, _| {
            tested += 1;
            true
        })?);
        out.push(format!("{tested} {}", table.len()?));
        let some = table.extract_from_if(100..=110, |_, _| true)?.map(|row| row.map(|(key, _)| key.value()));
        out.push(format!("{:?}", some.collect::<Result<Vec<_>, _>>()?));
        let mut over = table.extract_from_if(500..500, |_, _| true)?;
        out.push(format!("{} {}", over.next().is_none(), over.next_back().is_none()));
        drop(over);
        table.retain_in(1_000.., |key, _| key % 10 == 0)?;
        table.retain(|_, value| value != 5)?;
        out.push(format!("{} {:?}", table.len()?, table.range(900..1100)?.count()));
        table.retain(|_, _| false)?;
        out.push(format!("{}", table.is_empty()?));
    }
    txn.commit()?;
    Ok(out)
}

pub fn predicates_that_panic(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    for part in 0..3 {
        let txn = db.begin_write()?;
        {
            let mut table = txn.open_table(INTS)?;
            for i in 0..50 {
                table.insert(i, i)?;
            }
            let panicked = catch_unwind(AssertUnwindSafe(|| match part {
                0 => table.retain(|key, _| if key == 20 { panic!("a predicate of this test") } else { false }),
                1 => table.extract_if(|_, _| panic!("a predicate of this test")).map(|mut rows| drop(rows.next())),
                _ => table.retain(|key, _| key > 10),
            }));
            out.push(format!("{}", panicked.is_err()));
        }
        out.push(format!("{:?}", matches!(txn.commit(), Err(CommitError::TransactionPoisoned))));
    }
    out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    Ok(out)
}

/// An iterator that is dropped half-way has removed what it gave, and no more.
pub fn left_half_way(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 4_000)?;
    let mut table = txn.open_table(INTS)?;
    for (taken, close) in [(0, true), (1, false), (40, true), (41, false), (700, false)] {
        let mut rows = table.extract_from_if(500..3_000, |key, _| key % 2 == taken % 2)?;
        let mut given = Vec::new();
        for step in 0..taken {
            let row = if step % 4 == 3 { rows.next_back() } else { rows.next() };
            given.push(row.transpose()?.map(|(key, _)| key.value()));
        }
        if close {
            rows.close()?;
        } else {
            drop(rows);
        }
        out.push(format!("{given:?} {}", table.len()?));
        out.push(format!("{:?}", table.range(490..520)?.map(|row| row.unwrap().0.value()).collect::<Vec<_>>()));
    }
    let kept = table.extract_if(|key, value| key != value)?.count();
    out.push(format!("{kept} {}", table.extract_if(|_, _| true)?.rev().count()));
    out.push(format!("{}", table.len()?));
    table.retain_in(0..10, |_, _| false)?;
    Ok(out)
}

/// A panic in a predicate poisons the transaction, not the database.
pub fn panicking_tables(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 300)?;
    txn.commit()?;
    for part in 0..4 {
        let txn = db.begin_write()?;
        let mut table = txn.open_table(INTS)?;
        let panicked = catch_unwind(AssertUnwindSafe(|| match part {
            0 => table.retain_in(10..20, |_, _| panic!("a predicate of this test")).is_ok(),
            1 => {
                table.extract_from_if(10..20, |key, _| key < 15 || panic!("a predicate of this test")).unwrap().count()
                    > 0
            }
            2 => table.extract_if(|_, _| panic!("a predicate of this test")).unwrap().next_back().is_some(),
            _ => {
                let changed = table.entry(5).unwrap().and_modify(|_| panic!("a change of this test"));
                changed.is_ok()
            }
        }));
        out.push(format!("{part} {}", panicked.is_err()));
        drop(table);
        out.push(outcome(txn.commit()));
        out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    }
    let txn = db.begin_write()?;
    fill_ints(&txn, 301)?;
    out.push(outcome(txn.commit()));
    Ok(out)
}
