use super::catalog::{Definition, TableId, TableKind};
use super::{TableDefinition, TableHandle, WriteTransaction};
use crate::backend::InMemoryBackend;
use crate::error::TableError;
use crate::{Database, ReadableDatabase};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const PLAIN: TableDefinition<u64, u64> = TableDefinition::new("plain");
const MULTIMAP: TableDefinition<u64, u64> = TableDefinition::new("multimap");

/// A transaction with a table, and a multimap, which has no rows.
fn begin(db: &Database) -> WriteTransaction {
    let txn = db.begin_write().unwrap();
    txn.open_table(PLAIN).unwrap().insert(1, 1).unwrap();
    let definition = Definition::of::<u64, u64>().with_kind(TableKind::Multimap);
    txn.tables.define(&mut txn.tables.state.lock().catalog, TableId::of_user(MULTIMAP.name()), &definition).unwrap();
    txn
}

fn assert_multimap<T>(outcome: Result<T, TableError>) {
    assert!(matches!(outcome, Err(TableError::TableIsMultimap(name)) if name == "multimap"));
}

#[test]
fn a_multimap_is_neither_deleted_nor_renamed_nor_listed_as_a_table() {
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let txn = begin(&db);
    assert_multimap(txn.open_table(MULTIMAP));
    assert_multimap(txn.delete_table(MULTIMAP));
    assert_multimap(txn.rename_table(MULTIMAP, MULTIMAP));
    assert_multimap(txn.rename_table(PLAIN, MULTIMAP));
    let names: Vec<String> = txn.list_tables().unwrap().map(|table| table.name().to_string()).collect();
    assert_eq!(names, ["plain"]);
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    assert_multimap(txn.open_untyped_table(MULTIMAP));
    assert_eq!(txn.list_tables().unwrap().count(), 1);
    db.verify().unwrap();
}
