use super::common::*;
use super::db::*;
use std::path::Path;

pub fn integrity(path: &Path) -> Found {
    let mut out = Vec::new();
    let mut db = Database::create(path)?;
    out.push(format!("{:?}", db.check_integrity()?));
    let txn = db.begin_write()?;
    fill_ints(&txn, 3000)?;
    txn.commit()?;
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::None)?;
    fill_text(&mut txn.open_table(TEXT)?)?;
    let in_progress = |checked| matches!(checked, Err(DatabaseError::TransactionInProgress));
    out.push(format!("{}", in_progress(db.check_integrity())));
    txn.commit()?;
    let range = db.begin_read()?.open_table(INTS)?.range_owned(1..9)?;
    out.push(format!("{}", in_progress(db.check_integrity())));
    out.push(format!("{}", range.count()));
    out.push(format!("{:?}", db.check_integrity()?));

    let copy = path.with_extension("copy");
    std::fs::copy(path, &copy).unwrap();
    let heard = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let notes = heard.clone();
    let mut builder = Builder::new();
    builder.set_repair_callback(move |session: &mut RepairSession| notes.borrow_mut().push(session.progress()));
    let mut copied = builder.open(&copy)?;
    let all = heard.take();
    out.push(format!("{}", !all.is_empty() && all.iter().all(|progress| (0.0..1.0).contains(progress))));
    out.push(format!("{}", copied.begin_read()?.open_table(TEXT)?.len()?));
    out.push(format!("{:?}", copied.check_integrity()?));
    drop(copied);
    builder.open(&copy)?;
    out.push(format!("{:?}", heard.take()));
    std::fs::copy(path, &copy).unwrap();
    let aborted = Builder::new().set_repair_callback(|session| session.abort()).open(&copy);
    out.push(format!("{}", matches!(aborted, Err(DatabaseError::RepairAborted))));
    Ok(out)
}

/// Over openings, deletions, savepoints and the settings of commits.
pub fn integrity_of_used_files(path: &Path) -> Found {
    let mut out = Vec::new();
    for (round, (two_phase, quick)) in
        [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
    {
        let mut db = Database::create(path)?;
        out.push(outcome(db.check_integrity()));
        let mut txn = db.begin_write()?;
        txn.set_two_phase_commit(two_phase);
        txn.set_quick_repair(quick);
        fill_ints(&txn, 2_000 * round as u64)?;
        fill_tags(&mut txn.open_multimap_table(TAGS)?)?;
        txn.commit()?;
        out.push(outcome(db.check_integrity()));
        let mut txn = db.begin_write()?;
        txn.set_durability(Durability::None)?;
        txn.set_quick_repair(quick);
        out.push(outcome(txn.delete_multimap_table(TAGS)));
        txn.commit()?;
        out.push(outcome(db.check_integrity()));
        out.push(format!("{}", db.begin_read()?.list_multimap_tables()?.count()));
        let txn = db.begin_write()?;
        txn.persistent_savepoint()?;
        txn.commit()?;
        out.push(outcome(db.check_integrity()));
    }
    let db = ReadOnlyDatabase::open(path)?;
    out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    Ok(out)
}
