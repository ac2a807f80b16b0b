//! The workloads' calls. Compiled once per crate, as a child of the module that says which crate `db` is.

use super::super::{Data, RANGE, Subject, sum_of};
use super::db::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use std::path::Path;

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

pub struct Store(Database);

impl Store {
    pub fn create(path: &Path) -> Self {
        Self(Database::create(path).unwrap())
    }
}

impl Subject for Store {
    fn load(&self, data: &Data, order: &[usize]) -> u64 {
        let txn = self.0.begin_write().unwrap();
        let mut table = txn.open_table(ROWS).unwrap();
        for row in order {
            table.insert(data.key(*row), data.value(*row)).unwrap();
        }
        let rows = table.len().unwrap();
        drop(table);
        txn.commit().unwrap();
        rows
    }

    fn get(&self, data: &Data, picks: &[usize]) -> u64 {
        let table = self.0.begin_read().unwrap().open_table(ROWS).unwrap();
        picks.iter().map(|row| sum_of(data.key(*row), table.get(data.key(*row)).unwrap().unwrap().value())).sum()
    }

    fn miss(&self, data: &Data, picks: &[usize]) -> u64 {
        let table = self.0.begin_read().unwrap().open_table(ROWS).unwrap();
        picks.iter().filter(|row| table.get(data.absent(**row).as_slice()).unwrap().is_none()).count() as u64
    }

    fn ranges(&self, data: &Data, picks: &[usize]) -> u64 {
        let table = self.0.begin_read().unwrap().open_table(ROWS).unwrap();
        let ranges = picks.iter().map(|row| table.range(data.key(*row)..).unwrap().take(RANGE));
        ranges.flatten().map(Result::unwrap).map(|(key, value)| sum_of(key.value(), value.value())).sum()
    }

    fn scan(&self) -> u64 {
        let table = self.0.begin_read().unwrap().open_table(ROWS).unwrap();
        table.iter().unwrap().map(Result::unwrap).map(|(key, value)| sum_of(key.value(), value.value())).sum()
    }

    fn replace(&self, data: &Data, picks: &[usize]) -> u64 {
        let txn = self.0.begin_write().unwrap();
        let mut table = txn.open_table(ROWS).unwrap();
        let mut replaced = 0;
        for row in picks {
            replaced += u64::from(table.insert(data.key(*row), data.value(*row)).unwrap().is_some());
        }
        drop(table);
        txn.commit().unwrap();
        replaced
    }
}
