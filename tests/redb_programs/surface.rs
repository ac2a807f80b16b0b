//! Every public item of redb, named and used with its signature: what compiles for both crates has one shape in both.
//!
//! Nothing here runs. Functions whose arguments are `impl Trait` are called, all others are taken as function pointers.

use super::db::backends::{FileBackend, InMemoryBackend};
use super::db::*;
use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::fs::File;
use std::io::Error as IoError;
use std::num::*;
use std::ops::{Bound, RangeFull};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::sync::PoisonError;

type Bytes = &'static [u8];
type Row<'a> = (AccessGuard<'a, u64>, AccessGuard<'a, Bytes>);
type Predicate = for<'f> fn(u64, &'f [u8]) -> bool;

const TABLE: TableDefinition<u64, Bytes> = TableDefinition::new("table");
const SETS: MultimapTableDefinition<u64, Bytes> = MultimapTableDefinition::new("sets");

/// Types, and the traits that they have.
macro_rules! types {
    ($($name:ty: $first:ident $(+ $rest:ident)*;)*) => {
        const _: () = {
            $({
                const fn check<T: $first $(+ $rest)*>() {}
                check::<$name>();
            })*
        };
    };
}

types! {
    InMemoryBackend: Send + Sync + UnwindSafe + RefUnwindSafe + Default + Debug + StorageBackend;
    FileBackend: Send + Sync + UnwindSafe + RefUnwindSafe + Debug + StorageBackend;
    ReadOnlyDatabase: Send + Sync + ReadableDatabase;
    CacheStats: Send + Sync + UnwindSafe + RefUnwindSafe + Debug;
    Database: Send + Sync + ReadableDatabase + Debug;
    MultimapTableDefinition<'static, u64, Bytes>:
        Send + Sync + UnwindSafe + RefUnwindSafe + MultimapTableHandle + Clone + Copy + Display;
    TableDefinition<'static, u64, Bytes>:
        Send + Sync + UnwindSafe + RefUnwindSafe + TableHandle + Clone + Copy + Display;
    RepairSession: Send + Sync + UnwindSafe + RefUnwindSafe;
    UntypedMultimapTableHandle: Send + Sync + UnwindSafe + RefUnwindSafe + Clone + MultimapTableHandle;
    UntypedTableHandle: Send + Sync + UnwindSafe + RefUnwindSafe + Clone + TableHandle;
    BackendError: Send + Sync + Debug + Display + StdError;
    CommitError: Send + Sync + Debug + Display + StdError;
    CompactionError: Send + Sync + Debug + Display + StdError;
    CursorError: Send + Sync + Debug + Display + StdError;
    DatabaseError: Send + Sync + Debug + Display + StdError;
    Error: Send + Sync + Debug + Display + StdError;
    SavepointError: Send + Sync + Debug + Display + StdError;
    SetDurabilityError: Send + Sync + UnwindSafe + RefUnwindSafe + Debug + Display + StdError;
    StorageError: Send + Sync + Debug + Display + StdError;
    TableError: Send + Sync + Debug + Display + StdError;
    TransactionError: Send + Sync + Debug + Display + StdError;
    MultimapRange<'static, u64, Bytes>: Send + Sync + DoubleEndedIterator;
    MultimapTable<'static, u64, Bytes>: Send + Sync + MultimapTableHandle + ReadableTableMetadata;
    MultimapValue<'static, Bytes>: Send + Sync + DoubleEndedIterator;
    OwnedMultimapRange<u64, Bytes>: Send + Sync + DoubleEndedIterator;
    OwnedMultimapValue<Bytes>: Send + Sync + DoubleEndedIterator;
    ReadOnlyMultimapTable<u64, Bytes>: Send + Sync + MultimapTableHandle + ReadableTableMetadata;
    ReadOnlyUntypedMultimapTable: Send + Sync + MultimapTableHandle + ReadableTableMetadata;
    Cursor<'static, u64, Bytes>: Send + Sync;
    CursorMut<'static, u64, Bytes>: Send + Sync;
    Entry<'static, u64, Bytes>: Send + Sync;
    ExtractIf<'static, u64, Bytes, Predicate>: Send + Sync + DoubleEndedIterator;
    OccupiedEntry<'static, u64, Bytes>: Send + Sync;
    OwnedAccessGuard<u64>: Send + Sync;
    OwnedRange<u64, Bytes>: Send + Sync + Clone + DoubleEndedIterator;
    Range<'static, u64, Bytes>: Send + Sync + Clone + DoubleEndedIterator;
    ReadOnlyTable<u64, Bytes>: Send + Sync + TableHandle + ReadableTableMetadata + Debug;
    ReadOnlyUntypedTable: Send + Sync + TableHandle + ReadableTableMetadata;
    Table<'static, u64, Bytes>: Send + Sync + TableHandle + ReadableTableMetadata + Debug;
    TableStats: Send + Sync + UnwindSafe + RefUnwindSafe + Debug;
    VacantEntry<'static, u64, Bytes>: Send + Sync;
    DatabaseStats: Send + Sync + UnwindSafe + RefUnwindSafe + Debug;
    Durability: Send + Sync + UnwindSafe + RefUnwindSafe + Copy + Clone + Debug;
    ReadTransaction: Send + Sync + Debug;
    WriteTransaction: Send + Sync;
    AccessGuard<'static, u64>: Send + Sync + UnwindSafe + RefUnwindSafe;
    AccessGuardMut<'static, u64>: Send + Sync;
    AccessGuardMutInPlace<'static, Bytes>: Send + Sync + UnwindSafe + RefUnwindSafe;
    Savepoint: Send + Sync;
    TypeName: Send + Sync + UnwindSafe + RefUnwindSafe + Debug + Clone + PartialEq + Eq;
}

/// Errors, and what they become.
macro_rules! conversions {
    ($($from:ty => $($to:ty),+;)*) => {
        const _: () = {
            const fn check<From, To: std::convert::From<From>>() {}
            $($(check::<$from, $to>();)+)*
        };
    };
}

conversions! {
    IoError => BackendError, DatabaseError, StorageError, Error;
    BackendError => IoError, DatabaseError, StorageError, Error;
    StorageError =>
        CommitError, CompactionError, CursorError, DatabaseError, SavepointError, TableError, TransactionError, Error;
    CommitError => Error;
    CompactionError => Error;
    CursorError => Error;
    DatabaseError => Error;
    SavepointError => Error;
    SetDurabilityError => Error;
    TableError => Error;
    TransactionError => Error;
    PoisonError<u8> => StorageError, Error;
}

/// Types that are keys.
macro_rules! keys {
    ($($name:ty),* $(,)?) => {
        const _: () = {
            const fn check<T: Key>() {}
            $(check::<$name>();)*
        };
    };
}

keys![(), bool, char, &str, String, Option<u8>, &[u8], &[u8; 3], [u8; 3], [&str; 2]];
keys![u8, u16, u32, u64, u128, i8, i16, i32, i64, i128];
keys![NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU128];
keys![NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128];
keys![(u8,), (u8, &str), (u8, u8, u8), (u8, u8, u8, u8), (u8, u8, u8, u8, u8), (u8, u8, u8, u8, u8, u8)];
keys![(u8, u8, u8, u8, u8, u8, u8), (u8, u8, u8, u8, u8, u8, u8, u8), (u8, u8, u8, u8, u8, u8, u8, u8, u8)];
keys![(u8, u8, u8, u8, u8, u8, u8, u8, u8, u8), (u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8)];
keys![(u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8)];

const _: () = {
    const fn is_value<T: Value>() {}
    const fn is_changed_in_place<T: MutInPlaceValue<BaseRefType = [u8]>>() {}
    is_value::<Vec<&str>>();
    is_value::<f32>();
    is_value::<f64>();
    is_changed_in_place::<&[u8]>();
};

fn of_backends(file: File, backend: &dyn StorageBackend) {
    let _: fn() -> InMemoryBackend = InMemoryBackend::new;
    let _: Result<FileBackend, DatabaseError> = FileBackend::new(file);
    let all = Bound::<u64>::Unbounded;
    let _: Result<u64, IoError> = backend.len();
    let _: Result<(), IoError> = backend.read(0, &mut []);
    let _: Result<(), IoError> = backend.set_len(0);
    let _: Result<(), IoError> = backend.sync_data();
    let _: Result<(), IoError> = backend.write(0, &[]);
    let _: Result<(), IoError> = backend.close();
    let _: Result<bool, BackendError> = backend.try_lock_range(all, all);
    let _: Result<bool, BackendError> = backend.try_lock_shared_range(all, all);
    let _: Result<(), BackendError> = backend.lock_range(all, all);
    let _: Result<(), BackendError> = backend.lock_shared_range(all, all);
    let _: Result<(), BackendError> = backend.unlock_range(all, all);
    let _: Result<bool, BackendError> = backend.query_lock_range(all, all);
}

/// A backend needs no more than these five.
#[derive(Debug)]
struct Least;

impl StorageBackend for Least {
    fn len(&self) -> Result<u64, IoError> {
        Ok(0)
    }
    fn read(&self, _: u64, _: &mut [u8]) -> Result<(), IoError> {
        Ok(())
    }
    fn set_len(&self, _: u64) -> Result<(), IoError> {
        Ok(())
    }
    fn sync_data(&self) -> Result<(), IoError> {
        Ok(())
    }
    fn write(&self, _: u64, _: &[u8]) -> Result<(), IoError> {
        Ok(())
    }
}

#[allow(deprecated)]
fn of_databases(file: File, path: &Path) {
    let _: fn() -> Builder = Builder::new;
    let _: for<'b> fn(&'b mut Builder, usize) -> &'b mut Builder = Builder::set_cache_size;
    let mut builder = Builder::new();
    let _: &mut Builder = builder.set_repair_callback(|session: &mut RepairSession| session.abort());
    let _: fn(&RepairSession) -> f64 = RepairSession::progress;
    let _: fn(&mut RepairSession) = RepairSession::abort;
    let _: Result<Database, DatabaseError> = builder.create(path);
    let _: Result<Database, DatabaseError> = builder.open(path);
    let _: Result<ReadOnlyDatabase, DatabaseError> = builder.open_read_only(path);
    let _: Result<Database, DatabaseError> = builder.create_file(file);
    let _: Result<Database, DatabaseError> = builder.create_with_backend(Least);
    let _: Result<Database, DatabaseError> = Database::create(path);
    let _: Result<Database, DatabaseError> = Database::open(path);
    let _: Result<ReadOnlyDatabase, DatabaseError> = ReadOnlyDatabase::open(path);
    let _: fn() -> Builder = Database::builder;
    let _: fn(&mut Database) -> Result<bool, DatabaseError> = Database::check_integrity;
    let _: fn(&mut Database) -> Result<bool, CompactionError> = Database::compact;
    let _: fn(&Database) -> Result<WriteTransaction, TransactionError> = Database::begin_write;
    let _: fn(&Database) -> Result<ReadTransaction, TransactionError> = Database::begin_read;
    let _: fn(&ReadOnlyDatabase) -> Result<ReadTransaction, TransactionError> = ReadOnlyDatabase::begin_read;
    let _: fn(&Database) -> CacheStats = ReadableDatabase::cache_stats;
    let _: [fn(&CacheStats) -> u64; 3] = [CacheStats::evictions, CacheStats::read_hits, CacheStats::read_misses];
    let _: [fn(&CacheStats) -> u64; 2] = [CacheStats::write_hits, CacheStats::write_misses];
    let _: fn(&CacheStats) -> usize = CacheStats::used_bytes;
}

fn of_names(table: UntypedTableHandle, sets: UntypedMultimapTableHandle) {
    let _: (&str, &str) = (TableHandle::name(&TABLE), MultimapTableHandle::name(&SETS));
    let _: (&str, &str) = (table.name(), sets.name());
    let _: fn(&str) -> TypeName = TypeName::new;
    let _: fn(&TypeName) -> &str = TypeName::name;
}

fn of_write_transactions(mut txn: WriteTransaction, savepoint: &Savepoint) -> Result<(), Error> {
    let _: Result<u64, SavepointError> = txn.persistent_savepoint();
    let _: Result<Savepoint, SavepointError> = txn.get_persistent_savepoint(1);
    let _: Result<bool, SavepointError> = txn.delete_persistent_savepoint(1);
    let _: Vec<u64> = txn.list_persistent_savepoints()?.collect();
    let _: Result<Savepoint, SavepointError> = txn.ephemeral_savepoint();
    let _: Result<(), SavepointError> = txn.restore_savepoint(savepoint);
    let _: Result<(), SetDurabilityError> = txn.set_durability(Durability::None);
    let _: fn(&mut WriteTransaction, bool) = WriteTransaction::set_two_phase_commit;
    let _: fn(&mut WriteTransaction, bool) = WriteTransaction::set_quick_repair;
    {
        let _: Result<Table<'_, u64, Bytes>, TableError> = txn.open_table(TABLE);
        let _: Result<MultimapTable<'_, u64, Bytes>, TableError> = txn.open_multimap_table(SETS);
    }
    let _: Result<(), TableError> = txn.rename_table(TABLE, TABLE);
    let _: Result<(), TableError> = txn.rename_multimap_table(SETS, SETS);
    let _: Result<bool, TableError> = txn.delete_table(TABLE);
    let _: Result<bool, TableError> = txn.delete_multimap_table(SETS);
    let _: Vec<UntypedTableHandle> = txn.list_tables()?.collect();
    let _: Vec<UntypedMultimapTableHandle> = txn.list_multimap_tables()?.collect();
    let _: fn(WriteTransaction) -> Result<(), CommitError> = WriteTransaction::commit;
    let _: fn(WriteTransaction) -> Result = WriteTransaction::abort;
    let _: fn(&WriteTransaction) -> Result<DatabaseStats> = WriteTransaction::stats;
    Ok(())
}

fn of_stats() {
    let _: fn(&DatabaseStats) -> u32 = DatabaseStats::tree_height;
    let _: [fn(&DatabaseStats) -> u64; 6] = [
        DatabaseStats::allocated_pages,
        DatabaseStats::leaf_pages,
        DatabaseStats::branch_pages,
        DatabaseStats::stored_bytes,
        DatabaseStats::metadata_bytes,
        DatabaseStats::fragmented_bytes,
    ];
    let _: fn(&DatabaseStats) -> usize = DatabaseStats::page_size;
    let _: fn(&TableStats) -> u32 = TableStats::tree_height;
    let _: [fn(&TableStats) -> u64; 5] = [
        TableStats::leaf_pages,
        TableStats::branch_pages,
        TableStats::stored_bytes,
        TableStats::metadata_bytes,
        TableStats::fragmented_bytes,
    ];
}

fn of_read_transactions(txn: ReadTransaction) -> Result<(), Error> {
    let _: Result<ReadOnlyTable<u64, Bytes>, TableError> = txn.open_table(TABLE);
    let _: Result<ReadOnlyUntypedTable, TableError> = txn.open_untyped_table(TABLE);
    let _: Result<ReadOnlyMultimapTable<u64, Bytes>, TableError> = txn.open_multimap_table(SETS);
    let _: Result<ReadOnlyUntypedMultimapTable, TableError> = txn.open_untyped_multimap_table(SETS);
    let _: Vec<UntypedTableHandle> = txn.list_tables()?.collect();
    let _: Vec<UntypedMultimapTableHandle> = txn.list_multimap_tables()?.collect();
    let _: fn(ReadTransaction) -> Result<(), TransactionError> = ReadTransaction::close;
    Ok(())
}

fn of_tables(mut table: Table<'_, u64, Bytes>) -> Result<(), Error> {
    let all: Predicate = |_, _| true;
    let _: Result<Option<AccessGuardMut<'_, Bytes>>> = table.get_mut(1);
    let _: Result<Option<Row<'_>>> = table.pop_first();
    let _: Result<Option<Row<'_>>> = table.pop_last();
    let _: Result<ExtractIf<'_, u64, Bytes, Predicate>> = table.extract_if(all);
    let _: Result<ExtractIf<'_, u64, Bytes, Predicate>> = table.extract_from_if(1..2, all);
    let _: Result = table.retain(|_, _| true);
    let _: Result = table.retain_in::<u64, _>(.., |_, _| true);
    let _: Result<Option<AccessGuard<'_, Bytes>>> = table.insert(&1, &b"value".as_slice());
    let _: Result<Option<AccessGuard<'_, Bytes>>> = table.remove(&1);
    let _: Result<CursorMut<'_, u64, Bytes>> = table.lower_bound_mut(Bound::Included(1));
    let _: Result<CursorMut<'_, u64, Bytes>> = table.upper_bound_mut(Bound::<&u64>::Unbounded);
    let _: Result<Entry<'_, u64, Bytes>> = table.entry(1);
    let mut reserved: AccessGuardMutInPlace<'_, Bytes> = table.insert_reserve(1, 5)?;
    let _: &mut [u8] = reserved.as_mut();
    Ok(())
}

fn of_readable_tables<T: ReadableTable<u64, Bytes>>(table: &T) {
    let _: Result<Option<AccessGuard<'_, Bytes>>> = table.get(1);
    let _: Result<Range<'_, u64, Bytes>> = table.range(1..2);
    let _: Result<Range<'_, u64, Bytes>> = table.range::<u64>(RangeFull);
    let _: Result<Option<Row<'_>>> = table.first();
    let _: Result<Option<Row<'_>>> = table.last();
    let _: Result<Cursor<'_, u64, Bytes>> = table.lower_bound(Bound::Included(1));
    let _: Result<Cursor<'_, u64, Bytes>> = table.upper_bound(Bound::Included(&1));
    let _: Result<Range<'_, u64, Bytes>> = table.iter();
    let _: fn(&T) -> Result<TableStats> = T::stats;
    let _: fn(&T) -> Result<u64> = T::len;
    let _: fn(&T) -> Result<bool> = T::is_empty;
}

/// What readers' tables have beyond the traits borrows nothing.
fn of_read_only_tables(table: &ReadOnlyTable<u64, Bytes>, sets: &ReadOnlyMultimapTable<u64, Bytes>) {
    let _: Result<Option<AccessGuard<'static, Bytes>>> = table.get(&1);
    let _: Result<Option<OwnedAccessGuard<Bytes>>> = table.get_owned(1);
    let _: Result<Range<'static, u64, Bytes>> = table.range(1..);
    let _: Result<OwnedRange<u64, Bytes>> = table.range_owned(..=7);
    let _: Result<MultimapValue<'static, Bytes>> = sets.get(&1);
    let _: Result<OwnedMultimapValue<Bytes>> = sets.get_owned(1);
    let _: Result<MultimapRange<'static, u64, Bytes>> = sets.range(1..);
    let _: Result<OwnedMultimapRange<u64, Bytes>> = sets.range_owned(..=7);
}

fn of_multimaps(mut table: MultimapTable<'_, u64, Bytes>) {
    let _: Result<bool> = table.insert(1, b"value".as_slice());
    let _: Result<bool> = table.remove(&1, &b"value".as_slice());
    let _: Result<MultimapValue<'_, Bytes>> = table.remove_all(1);
}

fn of_readable_multimaps<T: ReadableMultimapTable<u64, Bytes>>(table: &T) {
    let _: Result<MultimapValue<'_, Bytes>> = table.get(1);
    let _: Result<MultimapRange<'_, u64, Bytes>> = table.range(1..2);
    let _: Result<MultimapRange<'_, u64, Bytes>> = table.iter();
    let _: fn(&MultimapValue<'static, Bytes>) -> u64 = MultimapValue::len;
    let _: fn(&MultimapValue<'static, Bytes>) -> bool = MultimapValue::is_empty;
    let _: fn(&OwnedMultimapValue<Bytes>) -> u64 = OwnedMultimapValue::len;
    let _: fn(&OwnedMultimapValue<Bytes>) -> bool = OwnedMultimapValue::is_empty;
}

fn of_iterators<'a>(
    mut range: Range<'a, u64, Bytes>,
    mut owned: OwnedRange<u64, Bytes>,
    mut sets: MultimapRange<'a, u64, Bytes>,
    mut owned_sets: OwnedMultimapRange<u64, Bytes>,
    mut rows: ExtractIf<'a, u64, Bytes, Predicate>,
) -> Result {
    let _: Option<Result<Row<'a>>> = range.next();
    let _: Option<Result<(OwnedAccessGuard<u64>, OwnedAccessGuard<Bytes>)>> = owned.next_back();
    let _: Option<Result<(AccessGuard<'a, u64>, MultimapValue<'a, Bytes>)>> = sets.next();
    let _: Option<Result<(OwnedAccessGuard<u64>, OwnedMultimapValue<Bytes>)>> = owned_sets.next();
    let _: Option<Result<Row<'a>>> = rows.next_back();
    rows.close()
}

fn of_values<'a>(mut values: MultimapValue<'a, Bytes>, mut owned: OwnedMultimapValue<Bytes>) {
    let _: Option<Result<AccessGuard<'a, Bytes>>> = values.next();
    let _: Option<Result<OwnedAccessGuard<Bytes>>> = owned.next();
}

fn of_cursors<'a>(mut cursor: Cursor<'a, u64, Bytes>) {
    let _: [Result<Option<Row<'a>>>; 4] = [cursor.peek_next(), cursor.peek_prev(), cursor.next(), cursor.prev()];
}

fn of_mutable_cursors(mut cursor: CursorMut<'_, u64, Bytes>) -> Result {
    let _: Result<Option<Row<'_>>> = cursor.peek_next();
    let _: Result<Option<Row<'_>>> = cursor.peek_prev();
    let _: Result<Option<Row<'_>>> = cursor.next();
    let _: Result<Option<Row<'_>>> = cursor.prev();
    let _: Result<(), CursorError> = cursor.insert_before(1, b"value".as_slice());
    let _: Result<(), CursorError> = cursor.insert_after(&1, &b"value".as_slice());
    let _: Result<Option<Row<'_>>> = cursor.remove_next();
    let _: Result<Option<Row<'_>>> = cursor.remove_prev();
    cursor.close()
}

fn of_entries<'a>(entry: Entry<'a, u64, Bytes>, which: u8) -> Result {
    let _: &u64 = entry.key();
    match which {
        0 => drop::<AccessGuardMut<'a, Bytes>>(entry.or_insert(b"value".as_slice())?),
        1 => drop::<AccessGuardMut<'a, Bytes>>(entry.or_insert_with(|| b"value".as_slice())?),
        2 => drop::<AccessGuardMut<'a, Bytes>>(entry.or_insert_with_key(|_| b"value".as_slice())?),
        _ => _ = entry.and_modify(|guard: &mut AccessGuardMut<'_, Bytes>| guard.insert(b"value".as_slice()))?.key(),
    }
    Ok(())
}

fn of_occupied_entries<'a>(mut entry: OccupiedEntry<'a, u64, Bytes>, which: u8) -> Result {
    let _: &u64 = entry.key();
    let _: Result<AccessGuard<'_, Bytes>> = entry.get();
    let _: Result<AccessGuardMut<'_, Bytes>> = entry.get_mut();
    let _: Result<AccessGuard<'_, Bytes>> = entry.insert(b"value".as_slice());
    match which {
        0 => drop::<AccessGuardMut<'a, Bytes>>(entry.into_mut()?),
        1 => drop::<AccessGuard<'a, Bytes>>(entry.remove()?),
        _ => drop::<(u64, AccessGuard<'a, Bytes>)>(entry.remove_entry()?),
    }
    Ok(())
}

/// An entry is one of two, and no third.
fn of_vacant_entries<'a>(entry: Entry<'a, u64, Bytes>, kept: bool) -> Result<Option<AccessGuardMut<'a, Bytes>>> {
    match entry {
        Entry::Occupied(_) => Ok(None),
        Entry::Vacant(entry) if kept => {
            let _: &u64 = entry.key();
            Ok(Some(entry.insert(b"value".as_slice())?))
        }
        Entry::Vacant(entry) => {
            let _: u64 = entry.into_key();
            Ok(None)
        }
    }
}

fn of_guards(guard: AccessGuard<'_, Bytes>, owned: OwnedAccessGuard<Bytes>, mut changing: AccessGuardMut<'_, Bytes>) {
    let _: (&[u8], &[u8], &[u8]) = (guard.value(), owned.value(), changing.value());
    let _: Result<()> = changing.insert(b"value".as_slice());
}

/// The bounds of the type itself, not of its methods.
fn of_reserved<'a, V: Value + 'static>(guard: AccessGuardMutInPlace<'a, V>) -> impl Sized + use<'a, V> {
    guard
}

fn of_types<T: Key + MutInPlaceValue>(bytes: &[u8], changing: &mut [u8]) {
    let _: fn(&[u8], &[u8]) -> Ordering = T::compare;
    let _: for<'a> fn(&'a [u8], &'a [u8]) -> Cow<'a, [u8]> = T::separator;
    let _: fn() -> Option<Cow<'static, [u8]>> = T::min_encoded_key;
    let _: fn() -> Option<usize> = T::fixed_width;
    let _: fn() -> TypeName = T::type_name;
    let value: T::SelfType<'_> = T::from_bytes(bytes);
    let _: T::AsBytes<'_> = T::as_bytes(&value);
    let _ = T::NICHE.is_some();
    T::initialize(changing);
    let _: &mut T::BaseRefType = T::from_bytes_mut(changing);
}

/// Keys are taken by value or borrowed.
fn of_borrowed_keys<'k>(table: &ReadOnlyTable<&'static str, u8>, key: impl Borrow<&'k str>) -> Result<bool> {
    Ok(table.get(key)?.is_some())
}
