//! Prints how many bytes of file a row takes, in sapwood and in redb, as a Markdown table:
//! `cargo run --release --example space`.
//!
//! Keys are 24 random bytes. All rows are written in one transaction. "Pages" counts the pages of the table, used or
//! not; "file" is the length of the file when the database is closed, with what it keeps for growing.

// The one line that says which crate is "sapwood" here.
use sapwood as ours;
use std::fs;
use std::path::Path;

const KEY: usize = 24;
/// Bytes of keys and values per database.
const VOLUME: usize = 40 << 20;

/// Bytes of a table's pages, and of its file.
type Space = (u64, u64);

/// Defines a function that writes rows with values of a length and gives the space they take.
macro_rules! write_with {
    ($name:ident, $db:ident) => {
        fn $name(path: &Path, keys: &[[u8; KEY]], length: usize) -> Result<Space, $db::Error> {
            use $db::{ReadableDatabase, ReadableTableMetadata};
            let rows = $db::TableDefinition::<&[u8], &[u8]>::new("rows");
            let db = $db::Database::create(path)?;
            let txn = db.begin_write()?;
            let mut table = txn.open_table(rows)?;
            let mut value = vec![0; length];
            for key in keys {
                value[..KEY].copy_from_slice(key);
                table.insert(key.as_slice(), value.as_slice())?;
            }
            drop(table);
            txn.commit()?;
            let stats = db.begin_read()?.open_table(rows)?.stats()?;
            let pages = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
            drop(db);
            Ok((pages, fs::metadata(path)?.len()))
        }
    };
}
write_with!(write_ours, ours);
write_with!(write_theirs, redb);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("| value bytes | order | key + value | sapwood pages | redb pages | ratio | sapwood file | redb file |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for length in [150, 600, 1_100, 2_000, 3_000] {
        let mut keys = random_keys(VOLUME / (KEY + length));
        print_row("random", &keys, length)?;
        keys.sort_unstable();
        print_row("sorted", &keys, length)?;
    }
    Ok(())
}

fn print_row(order: &str, keys: &[[u8; KEY]], length: usize) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let per_row = |space: Space| (space.0 as f64 / keys.len() as f64, space.1 as f64 / keys.len() as f64);
    let own = per_row(write_ours(&folder.path().join("ours"), keys, length)?);
    let theirs = per_row(write_theirs(&folder.path().join("theirs"), keys, length)?);
    print!("| {length} | {order} | {} | {:.0} | {:.0} | {:.2} ", KEY + length, own.0, theirs.0, own.0 / theirs.0);
    println!("| {:.0} | {:.0} |", own.1, theirs.1);
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
