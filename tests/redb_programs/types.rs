use super::common::*;
use super::db::*;
use std::cmp::Ordering;
use std::path::Path;

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

pub fn long_tuples(path: &Path) -> Found {
    type Twelve = (u8, i8, u16, i16, u32, i32, u64, i64, bool, char, [u8; 2], u128);
    type Mixed = (
        &'static str,
        u8,
        &'static [u8],
        Option<u16>,
        (),
        String,
        bool,
        char,
        i64,
        (u8, &'static str),
        u8,
        &'static str,
    );
    const TWELVE: TableDefinition<Twelve, (u8,)> = TableDefinition::new("twelve");
    const MIXED: TableDefinition<Mixed, (u8, Option<u8>, [u16; 3])> = TableDefinition::new("mixed");
    type Five = (u8, u8, u8, u8, &'static str);
    const FIVE: TableDefinition<Five, (f32, f64, &str)> = TableDefinition::new("five");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut twelve = txn.open_table(TWELVE)?;
        let mut mixed = txn.open_table(MIXED)?;
        let mut five = txn.open_table(FIVE)?;
        for i in (0..200_u8).map(|i| i.wrapping_mul(77)) {
            let wide = u64::from(i % 5);
            let low = i % 3;
            twelve.insert(
                (low, -(low as i8), 1, -1, u32::from(i), -5, wide, -7, i % 2 == 0, 'x', [i, 1], u128::from(i)),
                (i,),
            )?;
            let name = format!("name {}", i % 7);
            let bytes = [i; 3];
            mixed.insert(
                (
                    "a",
                    low,
                    &bytes[..usize::from(low)],
                    (i % 2 == 0).then_some(7),
                    (),
                    name.clone(),
                    true,
                    'ß',
                    -1,
                    (i, "z"),
                    0,
                    "",
                ),
                (i, None, [1, 2, 3]),
            )?;
            five.insert((1, low, 2, i % 4, name.as_str()), (f32::from(i), -0.0, "five"))?;
        }
    }
    txn.commit()?;
    let txn = db.begin_read()?;
    for row in txn.open_table(TWELVE)?.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    for row in txn.open_table(MIXED)?.iter()?.rev() {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    for row in txn.open_table(FIVE)?.range((1, 1, 0, 0, "")..=(1, 1, 255, 0, ""))? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    Ok(out)
}

pub fn lists(path: &Path) -> Found {
    const LISTS: TableDefinition<u8, Vec<Option<(u8, &str)>>> = TableDefinition::new("lists");
    const NESTED: TableDefinition<u8, Vec<Vec<[u16; 2]>>> = TableDefinition::new("nested");
    const WORDS: TableDefinition<[&str; 2], Option<Option<String>>> = TableDefinition::new("words");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    let mut lists = txn.open_table(LISTS)?;
    lists.insert(1, vec![Some((1, "one")), None, Some((2, ""))])?;
    lists.insert(2, Vec::new())?;
    let mut nested = txn.open_table(NESTED)?;
    nested.insert(1, vec![vec![], vec![[1, 2], [3, 4]], vec![[5, 6]]])?;
    let mut words = txn.open_table(WORDS)?;
    words.insert(["b", ""], Some(None))?;
    words.insert(["a", "z"], None)?;
    words.insert(["a", "bb"], Some(Some("inner".to_string())))?;
    out.push(format!("{:?} {:?}", lists.get(1)?.unwrap().value(), lists.get(2)?.unwrap().value()));
    out.push(format!("{:?}", nested.get(1)?.unwrap().value()));
    for row in words.iter()? {
        let (key, value) = row?;
        out.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    Ok(out)
}

/// Names of types, their widths, and their bytes: a user's own types may be put together of them.
pub fn names_and_widths(_: &Path) -> Found {
    fn of<T: Value>(value: &T::SelfType<'_>) -> String {
        format!("{} {:?} {:02x?}", T::type_name().name(), T::fixed_width(), T::as_bytes(value).as_ref())
    }
    Ok(vec![
        of::<u8>(&7),
        of::<i128>(&-2),
        of::<f32>(&0.5),
        of::<bool>(&true),
        of::<char>(&'ß'),
        of::<()>(&()),
        of::<&str>(&"text"),
        of::<String>(&"text".to_string()),
        of::<&[u8]>(&&[1, 2][..]),
        of::<&[u8; 3]>(&&[1, 2, 3]),
        of::<[u16; 2]>(&[1, 2]),
        of::<Person>(&Person { name: "a".into(), age: 3 }),
        of::<std::num::NonZeroU16>(&std::num::NonZeroU16::MIN),
        format!("{}", TypeName::new("a type") == TypeName::new("a type")),
        format!("{:?}", u64::compare(&1_u64.to_le_bytes(), &256_u64.to_le_bytes())),
        format!("{:?}", <(u8, &str)>::compare(&<(u8, &str)>::as_bytes(&(1, "b")), &<(u8, &str)>::as_bytes(&(1, "ab")))),
        format!("{:?} {:?}", Option::<u32>::fixed_width(), <(u8, u32)>::fixed_width()),
        format!("{:?} {:?}", <[u16; 3]>::fixed_width(), <(u8, &str)>::fixed_width()),
    ])
}

/// A user's type whose name and width are parameters.
#[derive(Debug)]
struct Wide<const WIDTH: usize, const NAME: char>;

impl<const WIDTH: usize, const NAME: char> Value for Wide<WIDTH, NAME> {
    type SelfType<'a> = [u8; WIDTH];
    type AsBytes<'a> = [u8; WIDTH];

    fn fixed_width() -> Option<usize> {
        Some(WIDTH)
    }

    fn from_bytes<'a>(data: &'a [u8]) -> [u8; WIDTH]
    where
        Self: 'a,
    {
        data.try_into().unwrap()
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a [u8; WIDTH]) -> [u8; WIDTH]
    where
        Self: 'b,
    {
        *value
    }

    fn type_name() -> TypeName {
        TypeName::new(&format!("programs::Wide{NAME}"))
    }
}

impl<const WIDTH: usize, const NAME: char> Key for Wide<WIDTH, NAME> {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        // The last byte decides first.
        data1.iter().rev().cmp(data2.iter().rev())
    }
}

pub fn types_changed(path: &Path) -> Found {
    const OWN: TableDefinition<Wide<2, 'a'>, Wide<3, 'b'>> = TableDefinition::new("own");
    const WIDER_KEY: TableDefinition<Wide<4, 'a'>, Wide<3, 'b'>> = TableDefinition::new("own");
    const WIDER_VALUE: TableDefinition<Wide<2, 'a'>, Wide<5, 'b'>> = TableDefinition::new("own");
    const OTHER_NAME: TableDefinition<Wide<2, 'c'>, Wide<3, 'b'>> = TableDefinition::new("own");
    const BUILT_IN: TableDefinition<u16, Wide<3, 'b'>> = TableDefinition::new("own");
    const SETS_OF: MultimapTableDefinition<Wide<2, 'a'>, Wide<3, 'b'>> = MultimapTableDefinition::new("sets");
    const SETS_OF_WIDER: MultimapTableDefinition<Wide<2, 'a'>, Wide<4, 'b'>> = MultimapTableDefinition::new("sets");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    {
        let mut own = txn.open_table(OWN)?;
        for i in 0..100 {
            own.insert([i, 100 - i], [i; 3])?;
        }
        txn.open_multimap_table(SETS_OF)?.insert([1, 2], [3; 3])?;
    }
    for definition in [WIDER_KEY.name(), OTHER_NAME.name()] {
        out.push(definition.to_string());
    }
    out.push(outcome(txn.open_table(WIDER_KEY).map(drop)));
    out.push(outcome(txn.open_table(WIDER_VALUE).map(drop)));
    out.push(outcome(txn.open_table(OTHER_NAME).map(drop)));
    out.push(outcome(txn.open_table(BUILT_IN).map(drop)));
    out.push(outcome(txn.open_multimap_table(SETS_OF_WIDER).map(drop)));
    txn.commit()?;
    let txn = db.begin_read()?;
    out.push(outcome(txn.open_table(WIDER_KEY).map(drop)));
    out.push(outcome(txn.open_table(WIDER_VALUE).map(drop)));
    out.push(outcome(txn.open_table(OTHER_NAME).map(drop)));
    out.push(outcome(txn.open_table(BUILT_IN).map(drop)));
    out.push(outcome(txn.open_multimap_table(SETS_OF_WIDER).map(drop)));
    let own = txn.open_table(OWN)?;
    out.push(format!("{:?}", own.first()?.map(|(key, _)| key.value())));
    for row in own.range([3, 20]..[9, 24])? {
        out.push(format!("{:?}", row?.0.value()));
    }
    Ok(out)
}

#[cfg(all(feature = "chrono_v0_4", feature = "uuid"))]
pub fn of_other_crates(path: &Path) -> Found {
    use chrono_v0_4::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};
    const DAYS: TableDefinition<NaiveDate, NaiveTime> = TableDefinition::new("days");
    const TIMES: TableDefinition<NaiveDateTime, DateTime<FixedOffset>> = TableDefinition::new("times");
    const IDS: TableDefinition<uuid::Uuid, u8> = TableDefinition::new("ids");
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    let mut days = txn.open_table(DAYS)?;
    let mut times = txn.open_table(TIMES)?;
    let mut ids = txn.open_table(IDS)?;
    for i in 0..40_i64 {
        let time = NaiveTime::from_num_seconds_from_midnight_opt(i as u32 * 2_000, 999_999_999).unwrap();
        let day = NaiveDate::from_num_days_from_ce_opt((i as i32 - 20) * 5_000).unwrap();
        days.insert(day, time)?;
        let zone = FixedOffset::east_opt((i as i32 - 20) * 600).unwrap();
        times.insert(day.and_time(time), day.and_time(time).and_local_timezone(zone).unwrap())?;
        ids.insert(uuid::Uuid::from_u128(0x1234_5678 << (i * 2)), i as u8)?;
    }
    for row in days.iter()? {
        let (key, value) = row?;
        out.push(format!("{} {}", key.value(), value.value()));
    }
    for row in times.iter()?.rev() {
        let (key, value) = row?;
        out.push(format!("{} {}", key.value(), value.value()));
    }
    for row in ids.iter()? {
        let (key, value) = row?;
        out.push(format!("{} {}", key.value(), value.value()));
    }
    out.push(format!("{} {}", NaiveDate::type_name().name(), uuid::Uuid::type_name().name()));
    out.push(format!("{:?} {:?}", NaiveTime::fixed_width(), uuid::Uuid::fixed_width()));
    Ok(out)
}
