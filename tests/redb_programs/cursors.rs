use super::common::*;
use super::db::*;
use std::ops::Bound;
use std::path::Path;

pub fn cursors(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(INTS)?;
        let mut cursor = table.upper_bound_mut(Bound::<u64>::Unbounded)?;
        out.push(at(cursor.peek_next()?));
        out.push(at(cursor.remove_prev()?));
        for i in 0..1_000 {
            cursor.insert_before(i * 10, i)?;
        }
        out.push(at(cursor.next()?));
        out.push(at(cursor.peek_prev()?));
        out.push(format!("{:?}", matches!(cursor.insert_before(9_990, 0), Err(CursorError::UnorderedKey))));
        cursor.close()?;
        let mut cursor = table.lower_bound_mut(Bound::Excluded(500))?;
        for i in (501..510).rev() {
            cursor.insert_after(i, i)?;
        }
        out.push(format!("{:?}", matches!(cursor.insert_after(501, 0), Err(CursorError::UnorderedKey))));
        out.push(at(cursor.next()?));
        out.push(at(cursor.next()?));
        out.push(at(cursor.prev()?));
        out.push(at(cursor.remove_prev()?));
        out.push(at(cursor.remove_next()?));
        out.push(at(cursor.peek_next()?));
        while cursor.remove_prev()?.is_some() {}
        out.push(at(cursor.prev()?));
        out.push(at(cursor.peek_next()?));
        drop(cursor);
        out.push(format!("{}", table.len()?));
        for bound in [Bound::Included(700), Bound::Excluded(700), Bound::Included(701), Bound::Unbounded] {
            let (mut low, mut high) = (table.lower_bound(bound)?, table.upper_bound(bound)?);
            out.push(at(low.peek_prev()?));
            out.push(at(low.peek_next()?));
            out.push(at(low.next()?));
            out.push(at(low.next()?));
            out.push(at(high.peek_next()?));
            out.push(at(high.peek_prev()?));
            out.push(at(high.prev()?));
            out.push(at(high.prev()?));
        }
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    let table = txn.open_table(INTS)?;
    let mut cursor = table.lower_bound(Bound::Included(&9_000))?;
    while let Some((key, value)) = cursor.next()? {
        out.push(format!("{} {}", key.value(), value.value()));
    }
    out.push(format!("{}", Error::from(CursorError::UnorderedKey).to_string().is_empty()));
    Ok(out)
}

/// Insertions and removals by turns, over many pages.
pub fn cursors_that_write(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    let mut table = txn.open_table(INTS)?;
    for i in 0..3_000 {
        table.insert(i * 10, i)?;
    }
    let mut cursor = table.lower_bound_mut(Bound::Included(5_000))?;
    for step in 0..400_u64 {
        let row = match step % 5 {
            0 => cursor.remove_next()?,
            1 => cursor.remove_prev()?,
            2 => cursor.next()?,
            3 => cursor.peek_prev()?,
            _ => cursor.prev()?,
        };
        out.push(at(row));
    }
    let told = |done: Result<(), CursorError>| outcome(done);
    for key in [0, 5_000, 4_999, 29_991, u64::MAX] {
        out.push(format!("{key} {} ", told(cursor.insert_before(key, 1))));
        out.push(format!("{key} {} ", told(cursor.insert_after(key, 1))));
    }
    cursor.close()?;
    out.push(format!("{}", table.len()?));
    let mut cursor = table.upper_bound_mut(Bound::Excluded(100))?;
    for key in 91..100 {
        out.push(told(cursor.insert_before(key, key)));
    }
    out.push(told(cursor.insert_before(99, 0)));
    out.push(at(cursor.remove_prev()?));
    drop(cursor);
    out.push(format!("{:?}", table.range(80..130)?.map(|row| row.unwrap().0.value()).collect::<Vec<_>>()));
    let sum: u64 = table.iter()?.map(|row| row.unwrap().0.value()).sum();
    out.push(format!("{sum}"));
    Ok(out)
}

/// Tables of no row, of one, and of two.
pub fn cursors_over_few_rows(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    for rows in 0..3 {
        let mut table = txn.open_table(INTS)?;
        for key in 0..rows {
            table.insert(key * 10 + 10, key)?;
        }
        for bound in
            [Bound::Unbounded, Bound::Included(10), Bound::Excluded(10), Bound::Included(15), Bound::Included(30)]
        {
            let mut low = table.lower_bound(bound)?;
            out.push(format!("{} {} {}", at(low.peek_prev()?), at(low.next()?), at(low.next()?)));
            out.push(format!("{} {} {}", at(low.next()?), at(low.prev()?), at(low.prev()?)));
            let mut high = table.upper_bound(bound)?;
            out.push(format!("{} {} {}", at(high.peek_next()?), at(high.prev()?), at(high.prev()?)));
        }
        let mut cursor = table.lower_bound_mut(Bound::Included(15))?;
        out.push(outcome(cursor.insert_before(15, 0)));
        out.push(outcome(cursor.insert_after(15, 0)));
        out.push(at(cursor.remove_prev()?));
        out.push(at(cursor.peek_prev()?));
    }
    Ok(out)
}
