use super::common::*;
use super::db::*;
use std::path::Path;

pub fn errors(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    match db.begin_read()?.open_table(INTS) {
        Err(TableError::TableDoesNotExist(name)) => out.push(name),
        Err(err) => return Err(err.into()),
        Ok(_) => out.push("exists".into()),
    }
    let txn = db.begin_write()?;
    {
        let table = txn.open_table(INTS)?;
        match txn.open_table(INTS) {
            Err(TableError::TableAlreadyOpen(name, _)) => out.push(format!("{name} is open")),
            _ => out.push("opened twice".into()),
        }
        drop(table);
        txn.open_table(INTS)?;
    }
    const WRONG: TableDefinition<u64, &str> = TableDefinition::new("ints");
    let wrong = txn.open_table(WRONG).map(drop);
    match wrong.map_err(Error::from) {
        Err(Error::TableTypeMismatch { table, key, value }) => {
            out.push(format!("{table} {} {}", key.name(), value.name()))
        }
        other => out.push(format!("{other:?}")),
    }
    txn.commit()?;
    fn fails(db: &Database) -> Result<(), Error> {
        db.begin_read()?.open_table(TEXT)?;
        Ok(())
    }
    match fails(&db) {
        Err(Error::TableDoesNotExist(name)) => out.push(format!("no {name}")),
        other => out.push(format!("{other:?}")),
    }
    let boxed: Result<(), Box<dyn std::error::Error>> = (|| Ok(fails(&db)?))();
    out.push(format!("{}", boxed.is_err()));
    match Database::open(path) {
        Err(DatabaseError::DatabaseAlreadyOpen) => out.push("already open".into()),
        Err(err) => out.push(format!("{err:?}")),
        Ok(_) => out.push("opened twice".into()),
    }
    drop(db);
    match Database::open(path.with_extension("missing")) {
        Err(DatabaseError::Storage(StorageError::Io(err))) => out.push(format!("{:?}", err.kind())),
        _ => out.push("?".into()),
    }
    std::fs::write(path, [7; 20_000]).unwrap();
    match Database::create(path) {
        Err(DatabaseError::Storage(StorageError::Io(err))) => out.push(format!("{:?}", err.kind())),
        Err(err) => out.push(format!("{err:?}")),
        Ok(_) => out.push("took a file of another program".into()),
    }
    Ok(out)
}

/// Every conversion between errors that programs use with `?`.
pub fn conversions(_: &Path) -> Found {
    fn through<T: Into<Error>>(err: T) -> String {
        told(&err.into())
    }
    let io = || std::io::Error::from(std::io::ErrorKind::WouldBlock);
    let place = std::panic::Location::caller();
    let unsupported = || std::io::Error::from(std::io::ErrorKind::Unsupported);
    Ok(vec![
        through(io()),
        through(StorageError::from(io())),
        through(DatabaseError::from(io())),
        through(BackendError::from(io())),
        through(BackendError::from(unsupported())),
        through(StorageError::from(BackendError::Unsupported)),
        through(DatabaseError::from(BackendError::Unsupported)),
        format!("{:?}", std::io::Error::from(BackendError::Io(io())).kind()),
        through(BackendError::Io(io())),
        through(TableError::from(StorageError::PreviousIo)),
        through(TransactionError::from(StorageError::DatabaseClosed)),
        through(CommitError::from(StorageError::Corrupted("here".into()))),
        through(CompactionError::from(StorageError::ValueTooLarge(7))),
        through(SavepointError::from(StorageError::LockPoisoned(place))),
        through(CursorError::from(StorageError::Unsupported)),
        through(DatabaseError::from(StorageError::PreviousIo)),
        through(DatabaseError::UpgradeRequired(9)),
        through(DatabaseError::RepairAborted),
        through(CompactionError::EphemeralSavepointExists),
        through(SetDurabilityError::PersistentSavepointModified),
        through(SavepointError::ImmediateDurabilityRequired),
        through(CommitError::TransactionPoisoned),
        through(TableError::TableAlreadyOpen("t".into(), place)),
        through(TableError::TypeDefinitionChanged { name: TypeName::new("n"), alignment: 1, width: Some(3) }),
        through(poisoned()),
        through(StorageError::from(poisoned())),
    ])
}

fn poisoned() -> std::sync::PoisonError<()> {
    std::sync::PoisonError::new(())
}

/// Each error says something. Which have a source is not compared: of redb's only `BackendError` has one.
pub fn messages(_: &Path) -> Found {
    use std::error::Error as StdError;
    fn of(err: impl StdError) -> String {
        let debug = format!("{err:?}");
        let name: String = debug.chars().take_while(|letter| letter.is_alphanumeric()).collect();
        format!("{name} {}", !err.to_string().is_empty())
    }
    let io = || std::io::Error::other("of this test");
    let storage = || StorageError::Io(io());
    let place = std::panic::Location::caller();
    Ok(vec![
        of(storage()),
        of(StorageError::PreviousIo),
        of(StorageError::Corrupted(String::new())),
        of(StorageError::LockPoisoned(place)),
        of(StorageError::ValueTooLarge(1)),
        of(TableError::Storage(storage())),
        of(TableError::TableIsMultimap("t".into())),
        of(TableError::TableExists("t".into())),
        of(DatabaseError::Storage(storage())),
        of(DatabaseError::DatabaseAlreadyOpen),
        of(TransactionError::Storage(storage())),
        of(CommitError::Storage(storage())),
        of(CompactionError::Storage(storage())),
        of(CompactionError::TransactionInProgress),
        of(SavepointError::Storage(storage())),
        of(SavepointError::InvalidSavepoint),
        of(SetDurabilityError::PersistentSavepointModified),
        of(CursorError::Storage(storage())),
        of(CursorError::UnorderedKey),
        of(BackendError::Io(io())),
        format!("{}", BackendError::Io(io()).source().is_some()),
        of(BackendError::Unsupported),
        of(Error::Io(io())),
        of(Error::from(storage())),
        of(Error::DatabaseClosed),
    ])
}
