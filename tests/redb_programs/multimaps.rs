use super::common::*;
use super::db::*;
use std::path::Path;

fn all<V: Key + 'static, T>(
    values: MultimapValue<V>,
    own: impl Fn(V::SelfType<'_>) -> T,
) -> Result<Vec<T>, StorageError> {
    values.map(|value| value.map(|value| own(value.value()))).collect()
}

fn summary(range: MultimapRange<&str, u64>) -> Result<Vec<String>, StorageError> {
    let entry = |entry: Result<(AccessGuard<&str>, MultimapValue<u64>), StorageError>| {
        let (key, mut values) = entry?;
        let length = values.len();
        let ends = (values.next().transpose()?, values.next_back().transpose()?);
        let ends = (ends.0.map(|value| value.value()), ends.1.map(|value| value.value()));
        Ok(format!("{} {length} {ends:?} {} {}", key.value(), values.len(), values.is_empty()))
    };
    range.map(entry).collect()
}

fn read_tags(table: &impl ReadableMultimapTable<&'static str, u64>, out: &mut Vec<String>) -> Result<(), Error> {
    out.push(format!("{} {}", table.len()?, table.is_empty()?));
    out.extend(summary(table.iter()?)?);
    out.extend(summary(table.range("f"..)?)?);
    out.extend(summary(table.range("hundreds"..="odd")?)?);
    out.push(format!("{}", table.range("z".."a")?.count()));
    for key in ["even", "single", "none"] {
        let values = all(table.get(key)?, |value| value)?;
        out.push(format!(
            "{} {:?} {:?}",
            values.len(),
            values.first(),
            values.iter().rev().take(3).collect::<Vec<_>>()
        ));
    }
    let backward: Result<Vec<u64>, StorageError> =
        table.get(&"hundreds")?.rev().map(|value| value.map(|value| value.value())).collect();
    out.push(format!("{:?}", backward?));
    let mut keys = table.iter()?;
    let ends = (keys.next_back().unwrap()?.0.value().to_string(), keys.next().unwrap()?.0.value().to_string());
    out.push(format!("{ends:?} {}", keys.rev().count()));
    Ok(())
}

pub fn multimaps(path: &Path) -> Found {
    const UNITS: MultimapTableDefinition<u64, ()> = MultimapTableDefinition::new("units");
    const PAIRS: MultimapTableDefinition<(u8, &str), (i16, Option<u8>)> = MultimapTableDefinition::new("pairs");
    let mut out = vec![format!("{TAGS} {} {PAIRS}", MultimapTableHandle::name(&TAGS))];
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut tags = txn.open_multimap_table(TAGS)?;
        fill_tags(&mut tags)?;
        out.push(format!("{} {}", tags.insert("even", 0)?, tags.insert("even", 1)?));
        out.push(format!("{} {}", tags.remove("even", 1)?, tags.remove("even", 1)?));
        out.push(format!("{} {}", tags.remove("none", 1)?, tags.remove("single", 7)?));
        read_tags(&tags, &mut out)?;
        let mut sets = txn.open_multimap_table(SETS)?;
        for length in [0, 1, 100, 3000, 5000, 70_000] {
            out.push(format!("{}", sets.insert(length as u64 % 3, vec![9; length].as_slice())?));
        }
        let mut units = txn.open_multimap_table(UNITS)?;
        out.push(format!("{} {} {}", units.insert(1, ())?, units.insert(1, ())?, units.get(1)?.len()));
        out.push(format!("{} {} {}", units.remove(1, ())?, units.remove(1, ())?, units.is_empty()?));
        units.insert(2, ())?;
        let mut pairs = txn.open_multimap_table(PAIRS)?;
        for number in 0..50 {
            pairs.insert((number as u8 % 2, "p"), (number * 31 % 17 - 8, (number % 3 > 0).then_some(number as u8)))?;
        }
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    let tags: ReadOnlyMultimapTable<&str, u64> = txn.open_multimap_table(TAGS)?;
    read_tags(&tags, &mut out)?;
    let sets = txn.open_multimap_table(SETS)?;
    for key in 0..3 {
        out.push(format!("{:?}", all(sets.get(key)?, <[u8]>::len)?));
    }
    let pairs = txn.open_multimap_table(PAIRS)?;
    out.push(format!("{:?}", all(pairs.get((1, "p"))?, |value| value)?));
    out.push(format!("{:?}", all(txn.open_multimap_table(UNITS)?.get(2)?, |value| value)?));
    drop(txn);
    let txn = db.begin_write()?;
    {
        let mut tags = txn.open_multimap_table(TAGS)?;
        for number in 0..1990 {
            tags.remove(if number % 2 == 0 { "even" } else { "odd" }, number)?;
        }
        out.extend(summary(tags.iter()?)?);
    }
    txn.abort()?;
    out.push(format!("{}", db.begin_read()?.open_multimap_table(TAGS)?.len()?));
    Ok(out)
}

pub fn multimaps_by_name(path: &Path) -> Found {
    const NEW: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("new");
    const MISSING: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("missing");
    const INTS_AS_SETS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("ints");
    const TAGS_AS_TABLE: TableDefinition<&str, u64> = TableDefinition::new("tags");
    const TAGS_OF_TEXT: MultimapTableDefinition<&str, &str> = MultimapTableDefinition::new("tags");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 500)?;
    fill_tags(&mut txn.open_multimap_table(TAGS)?)?;
    txn.open_multimap_table(SETS)?.insert(1, &[1][..])?;
    out.push(format!("{}; {}", table_names(txn.list_tables()?), multimap_names(txn.list_multimap_tables()?)));
    out.push(outcome(txn.open_multimap_table(INTS_AS_SETS).map(drop)));
    out.push(outcome(txn.open_table(TAGS_AS_TABLE).map(drop)));
    out.push(outcome(txn.open_multimap_table(TAGS_OF_TEXT).map(drop)));
    out.push(outcome(txn.delete_multimap_table(INTS_AS_SETS)));
    out.push(outcome(txn.delete_table(TAGS_AS_TABLE)));
    out.push(outcome(txn.rename_multimap_table(INTS_AS_SETS, NEW)));
    out.push(outcome(txn.rename_multimap_table(TAGS, INTS_AS_SETS)));
    out.push(outcome(txn.rename_table(TAGS_AS_TABLE, INTS)));
    out.push(outcome(txn.rename_table(INTS, TAGS_AS_TABLE)));
    let open = txn.open_multimap_table(TAGS)?;
    out.push(outcome(txn.open_multimap_table(TAGS).map(drop)));
    out.push(outcome(txn.open_table(TAGS_AS_TABLE).map(drop)));
    out.push(outcome(txn.delete_multimap_table(TAGS)));
    out.push(outcome(txn.rename_multimap_table(TAGS, NEW)));
    out.push(outcome(txn.rename_multimap_table(SETS, TAGS)));
    out.push(open.name().to_string());
    out.push(outcome(txn.rename_multimap_table(open, NEW)));
    out.push(outcome(txn.rename_multimap_table(NEW, NEW)));
    out.push(outcome(txn.rename_multimap_table(MISSING, NEW)));
    out.push(outcome(txn.delete_multimap_table(MISSING)));
    txn.open_multimap_table(TAGS)?.insert("again", 1)?;
    txn.commit()?;

    let reader = db.begin_read()?;
    out.push(multimap_names(reader.list_multimap_tables()?));
    for handle in reader.list_multimap_tables()? {
        let table: ReadOnlyUntypedMultimapTable = reader.open_untyped_multimap_table(handle.clone())?;
        out.push(format!("{} {} {}", table.name(), table.len()?, table.stats()?.tree_height() > 0));
    }
    out.push(outcome(reader.open_untyped_multimap_table(INTS_AS_SETS).map(drop)));
    out.push(outcome(reader.open_untyped_table(TAGS_AS_TABLE).map(drop)));
    out.push(outcome(reader.open_multimap_table(INTS_AS_SETS).map(drop)));
    out.push(outcome(reader.open_table(TAGS_AS_TABLE).map(drop)));
    out.push(outcome(reader.open_multimap_table(TAGS_OF_TEXT).map(drop)));
    out.push(outcome(reader.open_multimap_table(MISSING).map(drop)));
    let txn = db.begin_write()?;
    let open = txn.open_multimap_table(NEW)?;
    out.push(outcome(txn.delete_multimap_table(open)));
    for handle in txn.list_multimap_tables()?.collect::<Vec<_>>() {
        out.push(outcome(txn.delete_multimap_table(handle)));
    }
    out.push(format!("{}", txn.list_multimap_tables()?.count()));
    txn.commit()?;
    out.push(format!("{}", reader.open_multimap_table(NEW)?.get("odd")?.count()));
    drop(reader);
    let db = {
        drop(db);
        ReadOnlyDatabase::open(path)?
    };
    out.push(format!("{}", db.begin_read()?.list_multimap_tables()?.count()));
    Ok(out)
}

pub fn multimaps_removed(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_tags(&mut txn.open_multimap_table(TAGS)?)?;
    txn.commit()?;
    let txn = db.begin_write()?;
    {
        let mut tags = txn.open_multimap_table(TAGS)?;
        let mut ints = txn.open_table(INTS)?;
        let mut odd = tags.remove_all("odd")?;
        out.push(format!("{} {}", odd.len(), odd.is_empty()));
        let first = odd.next().unwrap()?;
        // Another table is changed while the values are read.
        for number in 0..5000 {
            ints.insert(number, number)?;
        }
        let rest = all(odd, |value| value)?;
        out.push(format!("{} {} {:?}", first.value(), rest.len(), rest.last()));
        drop(first);
        let again = tags.remove_all("odd")?.len();
        out.push(format!("{again} {}", tags.len()?));
        out.push(format!("{:?}", all(tags.remove_all("hundreds")?, |value| value)?));
        drop(tags.remove_all("even")?);
        tags.insert("even", 3)?;
        out.extend(summary(tags.iter()?)?);
    }
    txn.commit()?;
    out.extend(summary(db.begin_read()?.open_multimap_table(TAGS)?.iter()?)?);
    Ok(out)
}

pub fn multimaps_owned(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_tags(&mut txn.open_multimap_table(TAGS)?)?;
    txn.commit()?;
    let txn = db.begin_read()?;
    let mut values: OwnedMultimapValue<u64> = txn.open_multimap_table(TAGS)?.get_owned("even")?;
    let mut entries: OwnedMultimapRange<&str, u64> = txn.open_multimap_table(TAGS)?.range_owned("f"..)?;
    out.push(format!("{} {}", values.len(), values.is_empty()));
    let in_use = |txn: ReadTransaction| match txn.close() {
        Err(TransactionError::ReadTransactionStillInUse(txn)) => Some(*txn),
        _ => None,
    };
    let txn = in_use(txn).unwrap();
    let last: OwnedAccessGuard<u64> = values.next_back().unwrap()?;
    out.push(format!("{:?}", values.next().transpose()?.map(|value| value.value())));
    drop(values);
    let (key, inner) = entries.next_back().unwrap()?;
    drop(entries);
    let txn = in_use(txn).unwrap();
    out.push(format!(
        "{} {:?} {}",
        key.value(),
        inner.map(|value| value.unwrap().value()).collect::<Vec<_>>(),
        last.value()
    ));
    drop(last);
    let txn = in_use(txn).unwrap();
    drop(key);
    // What borrows nothing keeps the transaction, too.
    let values = txn.open_multimap_table(TAGS)?.get("odd")?;
    let txn = in_use(txn).unwrap();
    let entries = txn.open_multimap_table(TAGS)?.range::<&str>(..)?;
    out.push(format!("{} {}", values.count(), entries.count()));
    txn.close()?;
    Ok(out)
}

/// Values and keys taken from both ends until the ends meet.
pub fn ends_that_meet_in_sets(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_tags(&mut txn.open_multimap_table(TAGS)?)?;
    txn.commit()?;
    let table = db.begin_read()?.open_multimap_table(TAGS)?;
    for key in ["even", "hundreds", "single", "none"] {
        let mut values = table.get(key)?;
        let mut taken = Vec::new();
        for step in 0.. {
            let value = if step % 3 == 1 { values.next_back() } else { values.next() };
            let Some(value) = value else { break };
            taken.push((value?.value(), values.len()));
        }
        out.push(format!("{taken:?} {} {}", values.next().is_none(), values.next_back().is_none()));
        out.push(format!("{} {}", values.len(), values.is_empty()));
    }
    for turns in [0b0000, 0b1111, 0b0101, 0b1000, 0b0110] {
        let mut keys = table.range("even"..)?;
        for step in 0..6 {
            let entry = if turns >> (step % 4) & 1 == 0 { keys.next() } else { keys.next_back() };
            out.push(format!("{:?}", entry.transpose()?.map(|(key, values)| (key.value().to_string(), values.len()))));
        }
    }
    Ok(out)
}
