//! Prints how many bytes of file a row takes, in sapwood and in redb, as a Markdown table:
//! `cargo run --release --example space`.
//!
//! Keys are 24 random bytes. All rows are written in one transaction. The length is that of the file after a clean
//! close, with what it keeps for growing. redb is compacted before it is closed, as its file grows by large steps;
//! sapwood is not.

// The one line that says which crate is "sapwood" here.
use sapwood as ours;
use std::error::Error;
use std::fs;
use std::path::Path;

const KEY: usize = 24;
const ROWS: usize = 100_000;

/// Defines a function that writes rows with values of a length and gives the length of the file.
macro_rules! write_with {
    ($name:ident, $db:ident, $before_close:expr) => {
        fn $name(path: &Path, keys: &[[u8; KEY]], length: usize) -> Result<u64, Box<dyn Error>> {
            let mut db = $db::Database::create(path)?;
            let txn = db.begin_write()?;
            let mut table = txn.open_table($db::TableDefinition::<&[u8], &[u8]>::new("rows"))?;
            let mut value = vec![0; length];
            for key in keys {
                value[..KEY].copy_from_slice(key);
                table.insert(key.as_slice(), value.as_slice())?;
            }
            drop(table);
            txn.commit()?;
            $before_close(&mut db)?;
            drop(db);
            Ok(fs::metadata(path)?.len())
        }
    };
}
write_with!(write_ours, ours, |_: &mut ours::Database| Ok::<_, ours::Error>(()));
write_with!(write_theirs, redb, |db: &mut redb::Database| db.compact());

fn main() -> Result<(), Box<dyn Error>> {
    println!("| value bytes | order | key + value | sapwood file | redb file | ratio |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: |");
    for length in [150, 600, 1_100, 2_000, 3_000] {
        let mut keys = random_keys(ROWS);
        print_row("random", &keys, length)?;
        keys.sort_unstable();
        print_row("sorted", &keys, length)?;
    }
    Ok(())
}

fn print_row(order: &str, keys: &[[u8; KEY]], length: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let per_row = |bytes: u64| bytes as f64 / keys.len() as f64;
    let own = per_row(write_ours(&folder.path().join("ours"), keys, length)?);
    let theirs = per_row(write_theirs(&folder.path().join("theirs"), keys, length)?);
    println!("| {length} | {order} | {} | {own:.0} | {theirs:.0} | {:.2} |", KEY + length, own / theirs);
    Ok(())
}

/// Keys from a multiplicative sequence: scattered, and all different.
fn random_keys(count: usize) -> Vec<[u8; KEY]> {
    let key = |number: u64| {
        let mut key = [0; KEY];
        for (index, part) in (1..).zip(key.chunks_mut(8)) {
            part.copy_from_slice(&(number * 2 + index).wrapping_mul(0x9e37_79b9_7f4a_7c15).swap_bytes().to_le_bytes());
        }
        key
    };
    (0..count as u64).map(key).collect()
}
