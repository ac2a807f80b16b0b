use db::{
    AccessGuard, Builder, CommitError, CursorError, Database, DatabaseError, Durability, Entry, Error, Key,
    MultimapRange, MultimapTable, MultimapTableDefinition, MultimapTableHandle, MultimapValue, OwnedAccessGuard,
    OwnedMultimapRange, OwnedMultimapValue, OwnedRange, ReadOnlyDatabase, ReadOnlyMultimapTable,
    ReadOnlyUntypedMultimapTable, ReadOnlyUntypedTable, ReadableDatabase, ReadableMultimapTable, ReadableTable,
    ReadableTableMetadata, RepairSession, StorageError, Table, TableDefinition, TableError, TableHandle, TypeName,
    UntypedMultimapTableHandle, UntypedTableHandle, Value, WriteTransaction,
};
use std::cmp::Ordering;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

type Found = Result<Vec<String>, Error>;

const INTS: TableDefinition<u64, u64> = TableDefinition::new("ints");
const TEXT: TableDefinition<&str, &str> = TableDefinition::new("text");
const BLOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("blobs");

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

pub fn special_values(path: &Path) -> Found {
    const UNIT: TableDefinition<(), ()> = TableDefinition::new("unit");
    const BYTES: TableDefinition<&[u8], Vec<&str>> = TableDefinition::new("bytes");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut unit = txn.open_table(UNIT)?;
        out.push(format!("{:?}", unit.insert((), ())?.is_none()));
        out.push(format!("{:?}", unit.insert(&(), &())?.map(|guard| guard.value())));
        let mut bytes = txn.open_table(BYTES)?;
        bytes.insert(b"".as_slice(), vec!["", "a"])?;
        bytes.insert([0_u8, 255].as_slice(), &vec![])?;
        let key = vec![0_u8; 3000];
        bytes.insert(key.as_slice(), vec!["long key"; 2000])?;
        let mut text = txn.open_table(TEXT)?;
        text.insert("", "")?;
        text.insert("\u{0}", "nul")?;
        text.insert("käse", "brot")?;
        let owned = String::from("owned");
        text.insert(owned.as_str(), "owned".repeat(900).as_str())?;
        text.insert(&*owned, &*owned.clone())?;
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    for row in txn.open_table(BYTES)?.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value().len(), value.value()));
    }
    for row in txn.open_table(TEXT)?.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    Ok(out)
}

fn fill_text(table: &mut Table<&str, &str>) -> Result<(), StorageError> {
    for word in ["a", "aa", "ab", "b", "bc", "c", "ca", "d"] {
        table.insert(word, word.to_uppercase().as_str())?;
    }
    Ok(())
}

fn words<'a>(
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

pub fn composite_keys(path: &Path) -> Found {
    const PAIRS: TableDefinition<(u32, &str), u64> = TableDefinition::new("pairs");
    const TRIPLES: TableDefinition<(&str, i64, [u8; 4]), (&str, bool)> = TableDefinition::new("triples");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut pairs = txn.open_table(PAIRS)?;
        for i in 0..30_u32 {
            pairs.insert((i % 3, format!("name {i}").as_str()), u64::from(i))?;
        }
        pairs.insert(&(1, "zz"), &99)?;
        let mut triples = txn.open_table(TRIPLES)?;
        for i in -3..3_i64 {
            triples.insert(("x", i, i.to_le_bytes()[..4].try_into().unwrap()), ("value", i > 0))?;
        }
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    let pairs = txn.open_table(PAIRS)?;
    for row in pairs.range((1, "")..(2, ""))? {
        let (key, value) = row?;
        let (number, name) = key.value();
        out.push(format!("{number} {name} {}", value.value()));
    }
    out.push(format!("{:?}", pairs.get((1, "zz"))?.map(|guard| guard.value())));
    out.push(format!("{:?}", pairs.get(&(4, "zz"))?.is_none()));
    for row in txn.open_table(TRIPLES)?.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    Ok(out)
}

pub fn options_and_arrays(path: &Path) -> Found {
    const OPTIONS: TableDefinition<Option<u32>, Option<&str>> = TableDefinition::new("options");
    const IDS: TableDefinition<&[u8; 16], [u32; 3]> = TableDefinition::new("ids");
    const NESTED: TableDefinition<u8, Option<(u64, &[u8])>> = TableDefinition::new("nested");
    const CHARS: TableDefinition<char, Vec<Option<u8>>> = TableDefinition::new("chars");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut options = txn.open_table(OPTIONS)?;
        options.insert(Some(5), Some("five"))?;
        options.insert(None, None)?;
        options.insert(&Some(1), &None)?;
        let mut ids = txn.open_table(IDS)?;
        for i in 0..20 {
            ids.insert(&[i; 16], [u32::from(i); 3])?;
        }
        let mut nested = txn.open_table(NESTED)?;
        nested.insert(1, Some((7, [1_u8, 2].as_slice())))?;
        nested.insert(2, None)?;
        let mut chars = txn.open_table(CHARS)?;
        chars.insert('ß', vec![Some(1), None])?;
        chars.insert('a', vec![])?;
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    for row in txn.open_table(OPTIONS)?.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    let ids = txn.open_table(IDS)?;
    out.push(format!("{:?}", ids.get(&[3; 16])?.map(|guard| guard.value())));
    out.push(format!(
        "{:?}",
        ids.range::<&[u8; 16]>(&[3; 16]..&[6; 16])?.map(|row| row.unwrap().1.value()).collect::<Vec<_>>()
    ));
    for row in txn.open_table(NESTED)?.iter()? {
        out.push(format!("{:?}", row?.1.value()));
    }
    for row in txn.open_table(CHARS)?.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
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

pub fn snapshots(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::builder().set_cache_size(1 << 20).create(path)?;
    let write = |value: u64, durability: Durability, commit: bool| -> Result<(), Error> {
        let mut txn = db.begin_write()?;
        txn.set_durability(durability)?;
        {
            let mut table = txn.open_table(INTS)?;
            for key in 0..200 {
                table.insert(key, value)?;
            }
        }
        if commit {
            txn.commit()?
        } else {
            txn.abort()?
        }
        Ok(())
    };
    write(1, Durability::Immediate, true)?;
    let first = db.begin_read()?.open_table(INTS)?;
    write(2, Durability::None, true)?;
    let guard: AccessGuard<'static, u64> = db.begin_read()?.open_table(INTS)?.get(5)?.unwrap();
    let range = db.begin_read()?.open_table(INTS)?.range(10..12)?;
    write(3, Durability::Immediate, false)?;
    write(4, Durability::Immediate, true)?;
    out.push(format!("{} {}", first.get(3)?.unwrap().value(), guard.value()));
    out.push(format!("{:?}", range.map(|row| row.unwrap().1.value()).collect::<Vec<_>>()));
    let txn = db.begin_read()?;
    out.push(format!("{}", txn.open_table(INTS)?.get(0)?.unwrap().value()));
    txn.close()?;
    let txn = db.begin_read()?;
    let table = txn.open_table(INTS)?;
    out.push(format!("{}", txn.close().is_err()));
    drop(table);
    Ok(out)
}

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
        Err(db::DatabaseError::DatabaseAlreadyOpen) => out.push("already open".into()),
        Err(err) => out.push(format!("{err:?}")),
        Ok(_) => out.push("opened twice".into()),
    }
    drop(db);
    match Database::open(path.with_extension("missing")) {
        Err(db::DatabaseError::Storage(StorageError::Io(err))) => out.push(format!("{:?}", err.kind())),
        _ => out.push("?".into()),
    }
    std::fs::write(path, [7; 20_000]).unwrap();
    match Database::create(path) {
        Err(db::DatabaseError::Storage(StorageError::Io(err))) => out.push(format!("{:?}", err.kind())),
        Err(err) => out.push(format!("{err:?}")),
        Ok(_) => out.push("took a file of another program".into()),
    }
    Ok(out)
}

pub fn threads(path: &Path) -> Found {
    let db = std::sync::Arc::new(Database::create(path)?);
    let txn = db.begin_write()?;
    txn.open_table(INTS)?;
    txn.commit()?;
    let mut workers = Vec::new();
    for worker in 0..4 {
        let db = db.clone();
        workers.push(std::thread::spawn(move || -> Result<(), Error> {
            for i in 0..10 {
                let mut txn = db.begin_write()?;
                txn.set_durability(Durability::None)?;
                txn.open_table(INTS)?.insert(worker * 100 + i, i)?;
                txn.commit()?;
                let table = db.begin_read()?.open_table(INTS)?;
                assert_eq!(table.get(worker * 100 + i)?.unwrap().value(), i);
            }
            Ok(())
        }));
    }
    for worker in workers {
        worker.join().unwrap()?;
    }
    let txn = db.begin_write()?;
    std::thread::scope(|scope| {
        scope.spawn(|| drop(txn.open_table(BLOBS).unwrap().insert(1, [1_u8].as_slice()).unwrap()));
        scope.spawn(|| drop(txn.open_table(TEXT).unwrap().insert("a", "b").unwrap()));
    });
    txn.commit()?;
    let txn = db.begin_read()?;
    let sum: u64 = txn.open_table(INTS)?.iter()?.map(|row| row.unwrap().0.value()).sum();
    Ok(vec![format!("{} {sum}", txn.open_table(BLOBS)?.len()?), format!("{}", txn.open_table(TEXT)?.len()?)])
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Person {
    name: String,
    age: u32,
}

impl Value for Person {
    type SelfType<'a>
        = Person
    where
        Self: 'a;
    type AsBytes<'a>
        = Vec<u8>
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Person
    where
        Self: 'a,
    {
        let (age, name) = data.split_at(4);
        Person { name: String::from_utf8(name.to_vec()).unwrap(), age: u32::from_le_bytes(age.try_into().unwrap()) }
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Person) -> Vec<u8>
    where
        Self: 'b,
    {
        [value.age.to_le_bytes().as_slice(), value.name.as_bytes()].concat()
    }

    fn type_name() -> TypeName {
        TypeName::new("programs::Person")
    }
}

impl Key for Person {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        Person::from_bytes(data1).cmp(&Person::from_bytes(data2))
    }
}

pub fn user_types(path: &Path) -> Found {
    const PEOPLE: TableDefinition<Person, Person> = TableDefinition::new("people");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let person = |i: u32| Person { name: format!("name {}", i * 7 % 500), age: i };
    let txn = db.begin_write()?;
    {
        let mut people = txn.open_table(PEOPLE)?;
        for i in 0..500 {
            people.insert(person(i), &person(i + 1))?;
        }
        for i in (0..500).step_by(3) {
            people.remove(&person(i))?;
        }
    }
    txn.commit()?;
    let people = db.begin_read()?.open_table(PEOPLE)?;
    for row in people.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    out.push(format!("{}", people.range(person(10)..person(50))?.count()));
    Ok(out)
}

pub fn numbers(path: &Path) -> Found {
    const SIGNED: TableDefinition<i32, f64> = TableDefinition::new("signed");
    const WIDE: TableDefinition<u128, i128> = TableDefinition::new("wide");
    const SMALL: TableDefinition<(u8, i8, bool), f32> = TableDefinition::new("small");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut signed = txn.open_table(SIGNED)?;
        let mut wide = txn.open_table(WIDE)?;
        let mut small = txn.open_table(SMALL)?;
        for i in [0, 1, -1, i32::MIN, i32::MAX, 255, 256, -256] {
            signed.insert(i, f64::from(i) / 3.0)?;
            wide.insert(i as u128, &i128::from(i))?;
            small.insert((i as u8, i as i8, i % 2 == 0), i as f32)?;
        }
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    for row in txn.open_table(SIGNED)?.range(-256..=i32::MAX)? {
        let (key, value) = row?;
        out.push(format!("{} {}", key.value(), value.value()));
    }
    for row in txn.open_table(WIDE)?.iter()?.rev() {
        let (key, value) = row?;
        out.push(format!("{} {}", key.value(), value.value()));
    }
    for row in txn.open_table(SMALL)?.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {}", key.value(), value.value()));
    }
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

pub fn entries(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(TEXT)?;
        for word in ["oak", "elm", "oak", "yew"] {
            let entry = table.entry(word)?.and_modify(|guard| guard.insert("again"))?;
            out.push(entry.key().to_string());
            out.push(entry.or_insert("new")?.value().to_string());
        }
        let made = table.entry("ash")?.or_insert_with_key(|key| key.len().to_string().leak() as &str)?.value().len();
        out.push(format!("{made} {}", table.entry("ash")?.or_insert_with(|| "unused")?.value()));
        match table.entry("oak")? {
            Entry::Occupied(mut entry) => {
                out.push(format!("{:?}", entry.insert("third")?.value()));
                out.push(format!("{:?}", entry.get()?.value()));
                entry.get_mut()?.insert("fourth")?;
                out.push(format!("{:?}", entry.get()?.value()));
                let (key, value) = entry.remove_entry()?;
                out.push(format!("{key} {}", value.value()));
            }
            Entry::Vacant(_) => out.push("vacant".into()),
        }
        if let Entry::Vacant(entry) = table.entry("oak")? {
            out.push(entry.into_key().to_string());
        }
        let failed = table.entry("elm")?.and_modify(|_| Err(StorageError::DatabaseClosed));
        out.push(format!("{:?}", failed.is_err()));
        out.push(words(&table, "", "zzz")?);
    }
    txn.commit()?;
    Ok(out)
}

pub fn extraction(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(INTS)?;
        for i in 0..3_000 {
            table.insert(i, i % 7)?;
        }
        let mut held = Vec::new();
        {
            let mut rows = table.extract_if(|_, value| value == 3)?;
            for step in 0..100 {
                let row = if step % 3 == 0 { rows.next_back() } else { rows.next() };
                held.push(row.unwrap()?);
            }
            rows.close()?;
        }
        out.push(format!("{:?}", held.iter().map(|(key, _)| key.value()).collect::<Vec<_>>()));
        drop(held);
        out.push(format!("{}", table.len()?));
        let mut tested = 0;
        drop(table.extract_if(|_, _| {
            tested += 1;
            true
        })?);
        out.push(format!("{tested} {}", table.len()?));
        let some = table.extract_from_if(100..=110, |_, _| true)?.map(|row| row.map(|(key, _)| key.value()));
        out.push(format!("{:?}", some.collect::<Result<Vec<_>, _>>()?));
        let mut over = table.extract_from_if(500..500, |_, _| true)?;
        out.push(format!("{} {}", over.next().is_none(), over.next_back().is_none()));
        drop(over);
        table.retain_in(1_000.., |key, _| key % 10 == 0)?;
        table.retain(|_, value| value != 5)?;
        out.push(format!("{} {:?}", table.len()?, table.range(900..1100)?.count()));
        table.retain(|_, _| false)?;
        out.push(format!("{}", table.is_empty()?));
    }
    txn.commit()?;
    Ok(out)
}

pub fn predicates_that_panic(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    for part in 0..3 {
        let txn = db.begin_write()?;
        {
            let mut table = txn.open_table(INTS)?;
            for i in 0..50 {
                table.insert(i, i)?;
            }
            let panicked = catch_unwind(AssertUnwindSafe(|| match part {
                0 => table.retain(|key, _| if key == 20 { panic!("a predicate of this test") } else { false }),
                1 => table.extract_if(|_, _| panic!("a predicate of this test")).map(|mut rows| drop(rows.next())),
                _ => table.retain(|key, _| key > 10),
            }));
            out.push(format!("{}", panicked.is_err()));
        }
        out.push(format!("{:?}", matches!(txn.commit(), Err(CommitError::TransactionPoisoned))));
    }
    out.push(format!("{}", db.begin_read()?.open_table(INTS)?.len()?));
    Ok(out)
}

fn at<K: Key + 'static, V: Value + 'static>(row: Option<(AccessGuard<K>, AccessGuard<V>)>) -> String {
    row.map_or("none".into(), |(key, value)| format!("{:?}={:?}", key.value(), value.value()))
}

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

fn table_names(tables: impl Iterator<Item = UntypedTableHandle>) -> String {
    tables.map(|table| table.name().to_string()).collect::<Vec<_>>().join(" ")
}

fn outcome<T: std::fmt::Debug>(outcome: Result<T, TableError>) -> String {
    match outcome {
        Err(TableError::TableTypeMismatch { table, key, value }) => format!("{table} {} {}", key.name(), value.name()),
        Err(TableError::TableAlreadyOpen(name, place)) => format!("{name} open at {}", place.line()),
        other => format!("{other:?}"),
    }
}

fn fill_ints(txn: &WriteTransaction, rows: u64) -> Result<(), Error> {
    let mut table = txn.open_table(INTS)?;
    for key in 0..rows {
        table.insert(key, key)?;
    }
    Ok(())
}

pub fn tables_by_name(path: &Path) -> Found {
    const NEW: TableDefinition<u64, u64> = TableDefinition::new("new");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 500)?;
    txn.open_table(TEXT)?.insert("a", "b")?;
    out.push(table_names(txn.list_tables()?));
    let open = txn.open_table(INTS)?;
    out.push(outcome(txn.delete_table(INTS)));
    out.push(outcome(txn.rename_table(INTS, NEW)));
    out.push(outcome(txn.rename_table(INTS, INTS)));
    out.push(outcome(txn.rename_table(TEXT, INTS)));
    out.push(outcome(txn.rename_table(NEW, INTS)));
    out.push(outcome(txn.rename_table(open, NEW)));
    out.push(outcome(txn.rename_table(NEW, NEW)));
    out.push(outcome(txn.rename_table(BLOBS, BLOBS)));
    fill_ints(&txn, 3)?;
    out.push(table_names(txn.list_tables()?));
    txn.commit()?;

    let txn = db.begin_write()?;
    let open = txn.open_table(NEW)?;
    out.push(format!("{}", open.len()?));
    out.push(outcome(txn.delete_table(open)));
    out.push(outcome(txn.delete_table(NEW)));
    txn.open_table(NEW)?.insert(7, 8)?;
    let handles: Vec<UntypedTableHandle> = txn.list_tables()?.collect();
    for handle in handles.clone() {
        out.push(format!("{} {}", handle.name(), outcome(txn.delete_table(handle.clone()))));
    }
    out.push(table_names(txn.list_tables()?));
    txn.abort()?;

    let reader = db.begin_read()?;
    let txn = db.begin_write()?;
    for handle in txn.list_tables()?.collect::<Vec<_>>() {
        txn.delete_table(handle)?;
    }
    txn.commit()?;
    out.push(format!("{}", db.begin_read()?.list_tables()?.count()));
    out.push(table_names(reader.list_tables()?));
    for handle in reader.list_tables()? {
        let table: ReadOnlyUntypedTable = reader.open_untyped_table(handle)?;
        out.push(format!("{} {} {}", table.name(), table.len()?, table.is_empty()?));
    }
    out.push(outcome(reader.open_untyped_table(BLOBS).map(|_| ())));
    drop(reader);
    Ok(out)
}

pub fn stats(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    out.push(format!("{}", txn.stats()?.stored_bytes()));
    fill_ints(&txn, 3)?;
    let mut text = txn.open_table(TEXT)?;
    fill_text(&mut text)?;
    let of_text = text.stats()?;
    out.push(format!("{} {}", of_text.tree_height(), of_text.leaf_pages()));
    out.push(format!("{} {}", of_text.branch_pages(), of_text.stored_bytes()));
    // An open table counts as it was.
    out.push(format!("{}", txn.stats()?.stored_bytes()));
    drop(text);
    let all = txn.stats()?;
    out.push(format!("{} {} {}", all.tree_height(), all.leaf_pages(), all.branch_pages()));
    out.push(format!("{} {} {}", all.stored_bytes(), all.page_size(), all.allocated_pages() >= 3));
    txn.open_table(BLOBS)?.insert(1, &[1; 100_000][..])?;
    fill_ints(&txn, 5000)?;
    txn.commit()?;
    let txn = db.begin_read()?;
    let ints = txn.open_table(INTS)?.stats()?;
    out.push(format!("{} {}", ints.stored_bytes(), ints.tree_height()));
    out.push(format!("{}", ints.leaf_pages() > 10 && ints.branch_pages() > 0 && ints.metadata_bytes() > 0));
    let blobs = txn.open_untyped_table(BLOBS)?.stats()?;
    out.push(format!("{} {}", blobs.stored_bytes(), blobs.tree_height()));
    Ok(out)
}

pub fn owned(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 100)?;
    txn.commit()?;
    let txn = db.begin_read()?;
    let guard: OwnedAccessGuard<u64> = txn.open_table(INTS)?.get_owned(&7)?.unwrap();
    out.push(format!("{}", txn.open_table(INTS)?.get_owned(700)?.is_none()));
    let mut range: OwnedRange<u64, u64> = txn.open_table(INTS)?.range_owned(5..=50)?;
    let again = range.clone();
    let txn = match txn.close() {
        Err(db::TransactionError::ReadTransactionStillInUse(txn)) => *txn,
        _ => return Ok(vec!["closed in use".into()]),
    };
    let last = range.next_back().unwrap()?;
    drop((range, guard));
    out.push(format!("{}", again.map(|row| row.unwrap().1.value()).sum::<u64>()));
    let txn = match txn.close() {
        Err(db::TransactionError::ReadTransactionStillInUse(txn)) => *txn,
        _ => return Ok(vec!["closed in use by a guard".into()]),
    };
    out.push(format!("{} {}", last.0.value(), last.1.value()));
    drop(last);
    txn.close()?;
    Ok(out)
}

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

fn sum(db: &impl ReadableDatabase) -> Result<u64, Error> {
    let table = db.begin_read()?.open_table(INTS)?;
    Ok(table.iter()?.map(|row| row.unwrap().1.value()).sum())
}

pub fn read_only(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 100)?;
    txn.commit()?;
    let taken = |opened| matches!(opened, Err(DatabaseError::DatabaseAlreadyOpen));
    out.push(format!("{}", taken(ReadOnlyDatabase::open(path).map(drop))));
    drop(db);
    let one = ReadOnlyDatabase::open(path)?;
    let another = Builder::new().set_cache_size(1 << 20).open_read_only(path)?;
    out.push(format!("{} {}", sum(&one)?, sum(&another)?));
    drop(another);
    out.push(format!("{}", taken(Database::open(path).map(drop))));
    drop(one);
    let db = Database::open(path)?;
    out.push(format!("{}", sum(&db)?));
    match ReadOnlyDatabase::open(path.with_extension("missing")) {
        Err(DatabaseError::Storage(StorageError::Io(err))) => out.push(format!("{:?}", err.kind())),
        _ => out.push("?".into()),
    }
    Ok(out)
}

const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
const SETS: MultimapTableDefinition<u64, &[u8]> = MultimapTableDefinition::new("sets");

fn fill_tags(table: &mut MultimapTable<&str, u64>) -> Result<(), StorageError> {
    for number in (0..2000).rev() {
        table.insert(if number % 2 == 0 { "even" } else { "odd" }, number)?;
        if number % 100 == 0 {
            table.insert("hundreds", &number)?;
        }
    }
    table.insert("single", 7).map(drop)
}

fn all<V: Key + 'static, T>(values: MultimapValue<V>, own: impl Fn(V::SelfType<'_>) -> T) -> Result<Vec<T>, StorageError> {
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
        out.push(format!("{} {:?} {:?}", values.len(), values.first(), values.iter().rev().take(3).collect::<Vec<_>>()));
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

fn multimap_names(tables: impl Iterator<Item = UntypedMultimapTableHandle>) -> String {
    tables.map(|table| table.name().to_string()).collect::<Vec<_>>().join(", ")
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
    let db = { drop(db); ReadOnlyDatabase::open(path)? };
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
    let in_use = |txn: db::ReadTransaction| match txn.close() {
        Err(db::TransactionError::ReadTransactionStillInUse(txn)) => Some(*txn),
        _ => None,
    };
    let txn = in_use(txn).unwrap();
    let last: OwnedAccessGuard<u64> = values.next_back().unwrap()?;
    out.push(format!("{:?}", values.next().transpose()?.map(|value| value.value())));
    drop(values);
    let (key, inner) = entries.next_back().unwrap()?;
    drop(entries);
    let txn = in_use(txn).unwrap();
    out.push(format!("{} {:?} {}", key.value(), inner.map(|value| value.unwrap().value()).collect::<Vec<_>>(), last.value()));
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
