//! What the programs of several areas use.

use super::db::*;

pub type Found = Result<Vec<String>, Error>;

pub const INTS: TableDefinition<u64, u64> = TableDefinition::new("ints");

pub const TEXT: TableDefinition<&str, &str> = TableDefinition::new("text");

pub const BLOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("blobs");

pub fn fill_text(table: &mut Table<&str, &str>) -> Result<(), StorageError> {
    for word in ["a", "aa", "ab", "b", "bc", "c", "ca", "d"] {
        table.insert(word, word.to_uppercase().as_str())?;
    }
    Ok(())
}

pub fn words<'a>(
    table: &impl ReadableTable<&'static str, &'static str>,
    from: &'a str,
    to: &'a str,
) -> Result<String, StorageError> {
    let mut all = String::new();
    for row in table.range(from..to)? {
        let (key, value) = row?;
        all += &format!("{}={} ", key.value(), value.value());
    }
    Ok(all)
}

/// A row at a cursor.
pub fn at<K: Key + 'static, V: Value + 'static>(row: Option<(AccessGuard<K>, AccessGuard<V>)>) -> String {
    row.map_or("none".into(), |(key, value)| format!("{:?}={:?}", key.value(), value.value()))
}

pub fn table_names(tables: impl Iterator<Item = UntypedTableHandle>) -> String {
    tables.map(|table| table.name().to_string()).collect::<Vec<_>>().join(" ")
}

/// What an operation gave: the value, or which error, without what the crates word differently.
pub fn outcome<T: std::fmt::Debug>(outcome: Result<T, impl Into<Error>>) -> String {
    match outcome {
        Ok(value) => format!("Ok({value:?})"),
        Err(err) => told(&err.into()),
    }
}

/// The variant of an error, and those of its fields that must be the same.
pub fn told(err: &Error) -> String {
    match err {
        Error::TableTypeMismatch { table, key, value } => format!("mismatch {table} {} {}", key.name(), value.name()),
        Error::TypeDefinitionChanged { name, width, .. } => format!("changed {} {width:?}", name.name()),
        Error::TableAlreadyOpen(name, place) => format!("{name} open at {}:{}", place.line(), place.column()),
        Error::TableIsMultimap(name) => format!("multimap {name}"),
        Error::TableIsNotMultimap(name) => format!("no multimap {name}"),
        Error::TableDoesNotExist(name) => format!("missing {name}"),
        Error::TableExists(name) => format!("exists {name}"),
        Error::ValueTooLarge(length) => format!("too large {length}"),
        Error::UpgradeRequired(version) => format!("upgrade {version}"),
        Error::Io(err) => format!("I/O {:?}", err.kind()),
        Error::Corrupted(_) => "corrupted".into(),
        Error::LockPoisoned(_) => "lock poisoned".into(),
        Error::ReadTransactionStillInUse(_) => "still in use".into(),
        Error::DatabaseAlreadyOpen
        | Error::InvalidSavepoint
        | Error::ImmediateDurabilityRequired
        | Error::RepairAborted
        | Error::PersistentSavepointModified
        | Error::PersistentSavepointExists
        | Error::EphemeralSavepointExists
        | Error::TransactionInProgress
        | Error::TransactionPoisoned
        | Error::UnorderedKey
        | Error::Unsupported
        | Error::DatabaseClosed
        | Error::PreviousIo => format!("{err:?}"),
        _ => "a variant that this program does not know".into(),
    }
}

pub fn fill_ints(txn: &WriteTransaction, rows: u64) -> Result<(), Error> {
    let mut table = txn.open_table(INTS)?;
    for key in 0..rows {
        table.insert(key, key)?;
    }
    Ok(())
}

pub const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");

pub const SETS: MultimapTableDefinition<u64, &[u8]> = MultimapTableDefinition::new("sets");

pub fn fill_tags(table: &mut MultimapTable<&str, u64>) -> Result<(), StorageError> {
    for number in (0..2000).rev() {
        table.insert(if number % 2 == 0 { "even" } else { "odd" }, number)?;
        if number % 100 == 0 {
            table.insert("hundreds", &number)?;
        }
    }
    table.insert("single", 7).map(drop)
}

pub fn multimap_names(tables: impl Iterator<Item = UntypedMultimapTableHandle>) -> String {
    tables.map(|table| table.name().to_string()).collect::<Vec<_>>().join(", ")
}
