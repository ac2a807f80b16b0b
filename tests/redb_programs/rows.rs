use super::common::*;
use super::db::*;
use std::path::Path;

pub fn int_keys(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let write_txn = db.begin_write()?;
    {
        let mut table = write_txn.open_table(INTS)?;
        for i in 0..500 {
            table.insert(&i, &(i * i))?;
        }
        table.insert(7, 77)?;
        let old = table.insert(&7, 78)?.map(|guard| guard.value());
        out.push(format!("{old:?}"));
        out.push(format!("{:?}", table.remove(&8)?.map(|guard| guard.value())));
        out.push(format!("{:?}", table.remove(8)?.is_none()));
    }
    write_txn.commit()?;
    let read_txn = db.begin_read()?;
    let table = read_txn.open_table(INTS)?;
    out.push(format!("{} {}", table.len()?, table.is_empty()?));
    out.push(format!("{:?}", table.get(&7)?.unwrap().value()));
    for row in table.range(5..)?.rev().take(3) {
        let (key, value) = row?;
        out.push(format!("{} {}", key.value(), value.value()));
    }
    let keys: Result<Vec<u64>, StorageError> =
        table.range(5..=12)?.map(|row| row.map(|(key, _)| key.value())).collect();
    out.push(format!("{:?}", keys?));
    let mut both = table.range::<u64>(10..14)?;
    out.push(format!("{:?}", both.next().transpose()?.map(|(key, _)| key.value())));
    out.push(format!("{:?}", both.next_back().transpose()?.map(|(key, _)| key.value())));
    out.push(format!("{}", both.count()));
    let (first, last) = (table.first()?.unwrap(), table.last()?.unwrap());
    out.push(format!("{} {}", first.0.value(), last.1.value()));
    out.push(format!("{}", table.range(20..20)?.count()));
    Ok(out)
}

pub fn ranges_of_text(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(TEXT)?;
        fill_text(&mut table)?;
        out.push(words(&table, "a", "c")?);
        let start = String::from("ab");
        let range = table.range(start.as_str()..)?;
        out.push(format!("{}", range.count()));
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    let table = txn.open_table(TEXT)?;
    out.push(words(&table, "b", "ca")?);
    out.push(format!("{}", table.range("a".."c")?.count()));
    out.push(format!("{}", table.range::<&str>(..)?.count()));
    out.push(format!("{}", table.range(.."b")?.count()));
    out.push(format!("{}", table.range(..="b")?.rev().count()));
    let (low, high) = (String::from("aa"), String::from("bz"));
    for row in table.range(low.as_str()..=high.as_str())? {
        out.push(row?.0.value().to_string());
    }
    let key = { table.last()?.map(|(key, _)| key.value().to_string()) };
    out.push(format!("{key:?}"));
    Ok(out)
}

pub fn values_in_place(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut blobs = txn.open_table(BLOBS)?;
        {
            let mut guard = blobs.insert_reserve(1, 5)?;
            guard.as_mut().copy_from_slice(b"hello");
        }
        blobs.insert_reserve(&2, 10_000)?.as_mut().fill(9);
        let mut ints = txn.open_table(INTS)?;
        ints.insert(1, 1)?;
        if let Some(mut guard) = ints.get_mut(1)? {
            let value = guard.value();
            guard.insert(value + 41)?;
            out.push(format!("{}", guard.value()));
        }
        out.push(format!("{}", ints.get_mut(&2)?.is_none()));
        for i in 0..10 {
            ints.insert(i, i)?;
        }
        while let Some((key, value)) = ints.pop_first()? {
            out.push(format!("{} {}", key.value(), value.value()));
            if key.value() == 4 {
                break;
            }
        }
        out.push(format!("{:?}", ints.pop_last()?.map(|(key, value)| (key.value(), value.value()))));
        let counter = |ints: &mut Table<u64, u64>| -> Result<u64, StorageError> {
            let next = ints.get(100)?.map_or(0, |guard| guard.value()) + 1;
            ints.insert(100, next)?;
            Ok(next)
        };
        out.push(format!("{} {}", counter(&mut ints)?, counter(&mut ints)?));
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    for row in txn.open_table(BLOBS)?.iter()? {
        let (key, value) = row?;
        out.push(format!("{} {} {:?}", key.value(), value.value().len(), &value.value()[..5]));
    }
    out.push(format!("{}", txn.open_table(INTS)?.len()?));
    Ok(out)
}

pub fn opened_again(path: &Path) -> Found {
    let mut out = Vec::new();
    for round in 0..4_u64 {
        let db = Database::create(path)?;
        let txn = db.begin_write()?;
        {
            let mut table = txn.open_table(INTS)?;
            out.push(format!("{}", table.len()?));
            for key in round * 100..round * 150 + 100 {
                table.insert(key, round)?;
            }
        }
        if round % 2 == 0 { txn.commit()? } else { drop(txn) }
    }
    let db = Database::open(path)?;
    let sum: u64 = db.begin_read()?.open_table(INTS)?.iter()?.map(|row| row.unwrap().1.value()).sum();
    out.push(format!("{sum}"));
    Ok(out)
}

/// What a range gives when it is taken from both ends, by turns that a number decides.
fn by_turns(table: &impl ReadableTable<u64, u64>, low: u64, high: u64, turns: u64) -> Result<String, StorageError> {
    let mut range = table.range(low..high)?;
    let mut taken = Vec::new();
    for step in 0.. {
        let row = if turns >> (step % 16) & 1 == 0 { range.next() } else { range.next_back() };
        let Some(row) = row else { break };
        taken.push(row?.0.value());
    }
    // Past its end it stays there, from both sides.
    Ok(format!("{taken:?} {} {}", range.next().is_none(), range.next_back().is_none()))
}

pub fn ends_that_meet(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 2_000)?;
    for turns in [0, 0xffff, 0x5555, 0x00ff, 0x8001, 0x7ffe] {
        let table = txn.open_table(INTS)?;
        for (low, high) in [(0, 0), (0, 1), (5, 8), (100, 700), (1_990, 5_000), (9, 3)] {
            out.push(by_turns(&table, low, high, turns)?);
        }
    }
    txn.commit()?;
    let table = db.begin_read()?.open_table(INTS)?;
    out.push(by_turns(&table, 1, 1_999, 0x1234)?);
    let mut range = table.range(10..20)?;
    range.next();
    let mut copy = range.clone();
    range.next_back();
    out.push(format!("{} {}", range.count(), copy.by_ref().count()));
    out.push(format!("{}", copy.next_back().is_none()));
    out.push(format!("{:?}", table.iter()?.size_hint().0));
    Ok(out)
}

pub fn pops(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 1_000)?;
    let mut table = txn.open_table(INTS)?;
    for step in 0..1_002 {
        let row = if step % 3 == 0 { table.pop_last()? } else { table.pop_first()? };
        out.push(at(row));
    }
    out.push(format!("{} {}", table.is_empty()?, table.len()?));
    out.push(format!("{} {}", table.first()?.is_none(), table.last()?.is_none()));
    Ok(out)
}

/// Reserved bytes are zero until they are filled, and a shorter value replaces a longer one.
pub fn values_reserved(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(BLOBS)?;
        for length in [0, 1, 2_000, 4_096, 100_000, 3, 5_000] {
            let mut guard = table.insert_reserve(1, length)?;
            out.push(format!("{}", guard.as_mut().len()));
            guard.as_mut().fill(length as u8);
            drop(guard);
            let value = table.get(1)?.unwrap();
            out.push(format!("{:?}", value.value().first().copied()));
            out.push(format!("{} {}", value.value().len(), value.value().is_sorted()));
        }
        drop(table.insert_reserve(2, 10)?);
        out.push(format!("{:?}", table.get(2)?.map(|value| value.value().to_vec())));
        out.push(format!("{}", table.len()?));
    }
    txn.commit()?;
    out.push(format!("{:?}", db.begin_read()?.open_table(BLOBS)?.get(1)?.map(|value| value.value().len())));
    Ok(out)
}
