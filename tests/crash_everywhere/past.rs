//! Past commits, and the log of what led from one to the next.

use crate::model::{Model, Past, text};
use sapwood::{Change, ChangePosition, Database, ReadTransaction, ReadableDatabase};
use std::collections::BTreeMap;

/// A table's name and a row's key, and in a multimap the value, which is part of what the row is called.
type Name = (String, Vec<u8>, Option<Vec<u8>>);
/// The value before and the value since.
type Values = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Every commit of the history must have the rows that it had, and the log between two of them say what differs.
pub fn check_past(db: &Database, known: &Past) -> Result<(), String> {
    let newest = db.begin_read().map_err(text)?;
    let mut before: Option<ReadTransaction> = None;
    for info in db.transaction_history().map_err(text)? {
        let past = db.begin_read_at(info.transaction_id).map_err(|err| format!("{info:?}: {err:?}"))?;
        let found = Model::read(&past).map_err(|err| format!("{info:?}: {err}"))?;
        if known.get(&info.transaction_id).is_none_or(|then| then.seen_at(info.timestamp_ms) != found) {
            return Err(format!("{info:?} has other rows than were committed"));
        }
        if let Some(before) = before {
            check_log(&newest, &before, &past)?;
        }
        before = Some(past);
    }
    Ok(())
}

fn check_log(newest: &ReadTransaction, from: &ReadTransaction, to: &ReadTransaction) -> Result<(), String> {
    let [after, until] = [from, to].map(|txn| ChangePosition::after_transaction(txn.transaction_id()));
    let kept = newest.cdc_pruned_up_to().map_err(text)?.is_none_or(|pruned| after >= pruned);
    if newest.latest_cdc_position().map_err(text)?.is_none() || !kept {
        return Ok(());
    }
    let Some(logged) = logged(newest, after, until)? else { return Ok(()) };
    let differing = differing(from, to)?;
    if logged == differing {
        Ok(())
    } else {
        Err(format!("the log says {logged:?}, and what differs is {differing:?}"))
    }
}

/// What became of rows by the log; `None` if it tells of more than single rows.
fn logged(
    newest: &ReadTransaction,
    after: ChangePosition,
    until: ChangePosition,
) -> Result<Option<BTreeMap<Name, Values>>, String> {
    let mut rows: BTreeMap<Name, Values> = BTreeMap::new();
    for event in newest.read_cdc_range(after, until).map_err(text)? {
        let event = event.map_err(text)?;
        let (key, pair, old, new) = match event.change {
            Change::Insert { key, new } => (key, None, None, new),
            Change::Update { key, old, new } => (key, None, old, new),
            Change::Delete { key, old } | Change::Expire { key, old } => (key, None, old, None),
            Change::Merge { key, old, new, .. } => (key, None, old, new),
            Change::InsertPair { key, value } => (key, Some(value), None, Some(Vec::new())),
            Change::DeletePair { key, value } => (key, Some(value), Some(Vec::new()), None),
            Change::CreateTable { .. } => continue,
            _ => return Ok(None),
        };
        rows.entry((event.table, key, pair)).or_insert_with(|| (old, None)).1 = new;
    }
    rows.retain(|_, (old, new)| old != new);
    Ok(Some(rows))
}

fn differing(from: &ReadTransaction, to: &ReadTransaction) -> Result<BTreeMap<Name, Values>, String> {
    let mut rows = BTreeMap::new();
    for table in from.diff(to).map_err(text)? {
        let table = table.map_err(text)?;
        let is_multimap = format!("{:?}", table.new_kind().or(table.old_kind())).contains("Multimap");
        for row in table.rows() {
            let row = row.map_err(text)?;
            let [old, new] = [row.old_value(), row.new_value()].map(|value| value.map(<[u8]>::to_vec));
            let name = |pair| (table.name().to_string(), row.key().to_vec(), pair);
            if !is_multimap {
                rows.insert(name(None), (old, new));
                continue;
            }
            old.into_iter().for_each(|value| _ = rows.insert(name(Some(value)), (Some(Vec::new()), None)));
            new.into_iter().for_each(|value| _ = rows.insert(name(Some(value)), (None, Some(Vec::new()))));
        }
    }
    Ok(rows)
}
