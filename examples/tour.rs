//! Puts a folder of text files into a database, indexes their words, and asks it questions.
//!
//! Run it as `cargo run --release --example tour -- [PATH] [DBFILE]`.
//! PATH is this repository unless given, DBFILE is `target/tour.sapwood`. A second run on the same DBFILE brings it
//! up to date: changed files are indexed anew, files that are gone leave together with their words. It then tells what it
//! changed, from the change log, and how many files there were before, from the history. Each file is a blob as well, with
//! its extension for a tag, in the namespace of its folder, and linked to the run that stored it.

use sapwood::{
    BlobId, Builder, CdcConfig, CdcMode, Change, ChangePosition, ContentType, Database, Error, ReadTransaction,
    ReadableBlobs, ReadableDatabase, ReadableTable, ReadableTableMetadata, Relation, StoreOptions, Table,
    TableDefinition, TagQuery, TtlTableDefinition, WriteTransaction,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, io};

/// Path within PATH → contents.
const FILES: TableDefinition<&str, &str> = TableDefinition::new("files");
/// (word, path) → how often the word is in the file. All files of a word lie side by side.
const WORDS: TableDefinition<(&str, &str), u32> = TableDefinition::new("words");
/// Extension → (files, bytes).
const EXTENSIONS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("extensions");

/// Path → number of the blob that has the file.
const BLOBS: TableDefinition<&str, u64> = TableDefinition::new("blobs of files");
/// The tag of blobs that stand for runs.
const RUN: &str = "a run of the tour";

/// Who looks at the files, for as long as they do.
const SESSIONS: TtlTableDefinition<&str, u64> = TtlTableDefinition::new("sessions");

/// The name of the place in the change log up to which the runs have told of it.
const TOLD: &str = "told";

/// The word that the look-ups ask for.
const WORD: &str = "database";

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut args = env::args().skip(1).map(PathBuf::from);
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = args.next().unwrap_or_else(|| home.to_path_buf());
    let file = args.next().unwrap_or_else(|| home.join("target").join("tour.sapwood"));
    fs::create_dir_all(home.join("target"))?;
    let db = Builder::new()
        .set_cdc(CdcConfig::new(CdcMode::Keys).with_max_transactions(100))
        .set_history_retention(10)
        .create(&file)?;
    store(&db, &path)?;
    tell_changes(&db)?;
    look_back(&db)?;
    expire(&db)?;
    drop(db);
    ask(&file)
}

/// Writes all of `path` into the database, in one transaction: whoever reads meanwhile sees all of it or nothing.
fn store(db: &Database, path: &Path) -> Outcome {
    let mut texts = BTreeMap::new();
    collect(path, path, &mut texts)?;
    let start = Instant::now();
    let txn = db.begin_write()?;
    let words = update(&txn, &texts)?;
    store_blobs(&txn, &texts)?;
    txn.commit()?;
    let bytes = texts.values().map(String::len).sum::<usize>();
    let speed = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!("stored  {} files, {words} words, {bytes} bytes: {speed:.1} MB/s with a durable commit", texts.len());
    Ok(())
}

fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|name| name.to_str()).unwrap_or("none")
}

/// Makes a blob of each file that has none of this content, and deletes those of files that are gone.
fn store_blobs(txn: &WriteTransaction, texts: &BTreeMap<String, String>) -> Result<(), Error> {
    let nth = txn.count_tagged_blobs(RUN)? + 1;
    let run = StoreOptions::new().with_tags([RUN]).with_metadata("number", nth);
    let run = txn.store_blob(b"", ContentType::Metadata, &format!("run {nth}"), run)?;
    let mut blobs = txn.open_table(BLOBS)?;
    let known = blobs.iter()?.map(|row| row.map(|(path, id)| (path.value().to_owned(), BlobId::new(id.value()))));
    let known = known.collect::<Result<BTreeMap<_, _>, _>>()?;
    for (path, id) in &known {
        let now = texts.get(path).map(String::as_bytes);
        if now != txn.get_blob(*id)?.map(|(content, _)| content).as_deref() {
            txn.delete_blob(*id)?;
            blobs.remove(path.as_str())?;
        }
    }
    for (path, text) in texts {
        if blobs.get(path.as_str())?.is_none() {
            let folder = Path::new(path).parent().unwrap_or(Path::new("")).to_string_lossy();
            let options = StoreOptions::new().with_tags([extension(path)]).with_namespace(&folder);
            let options = options.with_parent(run, Relation::Derived);
            let id = txn.store_blob(text.as_bytes(), ContentType::TextPlain, path, options)?;
            blobs.insert(path.as_str(), id.sequence())?;
        }
    }
    Ok(())
}

/// What blobs are found by.
fn ask_blobs(txn: &ReadTransaction) -> Outcome {
    let now = u64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_millis())?;
    let yesterday = now.saturating_sub(86_400_000);
    println!("blobs stored since yesterday: {}", txn.blobs_in_time_range(yesterday..).count());
    let runs = txn.select_blobs(TagQuery::new().all_of([RUN]), None).collect::<Result<Vec<_>, _>>()?;
    for (nth, run) in (1..).zip(&runs) {
        println!("blobs that came from run {nth} and are there: {}", txn.causal_children(*run).count());
    }
    let tagged = TagQuery::new().any_of(["rs", "md"]);
    println!("blobs tagged `rs` or `md`: {}", txn.select_blobs(tagged, None).count());
    let most = txn.list_blob_namespaces(None, 1_000)?.into_iter().max_by_key(|namespace| namespace.blobs);
    let stats = txn.blob_stats()?;
    println!("{} blobs of {} bytes; most in {:?}", stats.blobs, stats.bytes, most.map(|most| (most.name, most.blobs)));
    Ok(())
}

/// Reads on in the change log where the run before ended, and notes where this one does.
fn tell_changes(db: &Database) -> Outcome {
    let txn = db.begin_read()?;
    let told = txn.cdc_cursor(TOLD)?.map(|cursor| cursor.position);
    let (mut last, mut counts) = (told.unwrap_or(ChangePosition::START), BTreeMap::<_, u64>::new());
    for event in txn.read_cdc_since(last)? {
        let event = event?;
        last = event.position;
        let what = match event.change {
            Change::Insert { .. } => "inserted",
            Change::Update { .. } => "updated",
            Change::Delete { .. } | Change::Expire { .. } => "deleted",
            Change::Blob { .. } => "touched",
            _ => continue,
        };
        *counts.entry((event.table, what)).or_default() += 1;
    }
    for ((table, what), rows) in counts {
        let table = if table.is_empty() { "blobs" } else { &table };
        println!("changed {table}: {rows} {what}");
    }
    let txn = db.begin_write()?;
    txn.advance_cdc_cursor(TOLD, last)?;
    Ok(txn.commit()?)
}

/// Reads the files as they were before this run.
fn look_back(db: &Database) -> Outcome {
    let history = db.transaction_history()?;
    let now = db.begin_read()?.open_table(FILES)?.len()?;
    for commit in history.iter().rev().skip(2).take(1) {
        let before = db.begin_read_at(commit.transaction_id)?.open_table(FILES)?.len()?;
        println!("history of {} commits: {before} files before this run, {now} now", history.len());
    }
    Ok(())
}

/// A row that goes by itself.
fn expire(db: &Database) -> Outcome {
    let txn = db.begin_write()?;
    txn.open_ttl_table(SESSIONS)?.insert_with_ttl("visitor", 1, Duration::from_millis(20))?;
    txn.commit()?;
    let is_there = || -> Outcome<bool> { Ok(db.begin_read()?.open_ttl_table(SESSIONS)?.get("visitor")?.is_some()) };
    let before = is_there()?;
    std::thread::sleep(Duration::from_millis(30));
    println!("session there: {before}, and after its time: {}", is_there()?);
    let txn = db.begin_write()?;
    txn.open_ttl_table(SESSIONS)?.purge_expired(100)?;
    Ok(txn.commit()?)
}

/// Text files under `folder` by their path within `root`.
fn collect(root: &Path, folder: &Path, texts: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        let name = path.file_name().unwrap_or_default();
        if kind.is_dir() && name != "target" && name != ".git" {
            collect(root, &path, texts)?;
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs::read(&path)?)
            && !text.contains('\0')
        {
            let inner = path.strip_prefix(root).unwrap_or(&path);
            texts.insert(inner.to_string_lossy().into_owned(), text);
        }
    }
    Ok(())
}

/// Makes the three tables say what `texts` says. Gives the number of words, repetitions counted.
fn update(txn: &WriteTransaction, texts: &BTreeMap<String, String>) -> Result<u64, Error> {
    let mut files = txn.open_table(FILES)?;
    let mut words = txn.open_table(WORDS)?;
    forget(&mut files, &mut words, texts)?;
    let mut total = 0;
    let mut extensions = BTreeMap::<&str, (u64, u64)>::new();
    for (path, text) in texts {
        let count = extensions.entry(extension(path)).or_default();
        *count = (count.0 + 1, count.1 + text.len() as u64);
        let known = files.insert(path.as_str(), text.as_str())?.is_some();
        for (word, times) in words_of(text) {
            total += u64::from(times);
            // An unchanged file was not forgotten, so its words are there.
            if !known {
                words.insert((word, path.as_str()), times)?;
            }
        }
    }
    let mut table = txn.open_table(EXTENSIONS)?;
    while table.pop_first()?.is_some() {}
    for (extension, count) in extensions {
        table.insert(extension, count)?;
    }
    Ok(total)
}

/// Removes the files that changed or are gone, and their words.
fn forget(
    files: &mut Table<&str, &str>,
    words: &mut Table<(&str, &str), u32>,
    texts: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let mut stale = Vec::new();
    for entry in files.iter()? {
        let (path, text) = entry?;
        if texts.get(path.value()).is_none_or(|now| now != text.value()) {
            stale.push((path.value().to_owned(), text.value().to_owned()));
        }
    }
    for (path, text) in stale {
        files.remove(path.as_str())?;
        for word in words_of(&text).into_keys() {
            words.remove((word, path.as_str()))?;
        }
    }
    Ok(())
}

/// The words of a text, each with how often it is there.
fn words_of(text: &str) -> BTreeMap<&str, u32> {
    let mut counts = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()) {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// Opens `file` again, as another run of the program would, and looks things up.
fn ask(file: &Path) -> Outcome {
    let db = Database::open(file)?;
    let txn = db.begin_read()?;
    let (files, words, extensions) = (txn.open_table(FILES)?, txn.open_table(WORDS)?, txn.open_table(EXTENSIONS)?);
    let (count, bytes) = extensions.get("rs")?.map_or((0, 0), |found| found.value());
    println!("look up extension `rs`: {count} files, {bytes} bytes");
    let length = files.get("README.md")?.map(|text| text.value().len());
    println!("look up file `README.md`: {length:?} bytes");
    let times = words.get((WORD, "README.md"))?.map_or(0, |found| found.value());
    println!("look up word `{WORD}` in it: {times} times");

    let found = words.range((WORD, "")..=(WORD, "\u{10ffff}"))?.collect::<Result<Vec<_>, _>>()?;
    let most = found.iter().map(|(_, times)| times.value()).max();
    println!("range of word `{WORD}`: {} files, at most {most:?} times in one", found.len());

    let (rows, size) = (files.len()? + words.len()? + extensions.len()?, fs::metadata(file)?.len());
    ask_blobs(&txn)?;
    println!("{} holds {} files, {rows} rows in {size} bytes", file.display(), files.len()?);
    Ok(())
}
