//! Times `get_many` beside as many calls of `get`, in one run.

use sapwood::backends::InMemoryBackend;
use sapwood::{Database, Error, ReadableDatabase, ReadableTable, TableDefinition};
use std::time::{Duration, Instant};

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
const ROWS: u64 = 500_000;
/// Keys looked up per figure, in batches.
const LOOK_UPS: usize = 1_000_000;

/// A key of 24 bytes that looks random.
fn key(number: u64) -> [u8; 24] {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mut key = [0; 24];
    key[..8].copy_from_slice(&mixed.to_be_bytes());
    key[8..16].copy_from_slice(&number.to_be_bytes());
    key
}

fn main() -> Result<(), Error> {
    let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    let mut keys: Vec<_> = (0..ROWS).map(key).collect();
    keys.sort_unstable();
    let txn = db.begin_write()?;
    txn.open_table(TABLE)?.bulk_load(keys.iter().map(|key| (&key[..], &[7; 150][..])))?;
    txn.commit()?;
    let table = db.begin_read()?.open_table(TABLE)?;
    println!("| keys at once | get | get_many | get_many / get |\n| ---: | ---: | ---: | ---: |");
    for batch in [1, 10, 100, 1_000, 10_000, 100_000] {
        let (mut single, mut many) = (Duration::ZERO, Duration::ZERO);
        for round in 0..LOOK_UPS / batch {
            // No order, and others in each round.
            let place = |at: usize| (round * batch + at) as u64 * 7_919_777 % ROWS;
            let wanted: Vec<_> = (0..batch).map(|at| key(place(at))).collect();
            let start = Instant::now();
            for key in &wanted {
                assert!(table.get(&key[..])?.is_some());
            }
            single += start.elapsed();
            // Other keys, so that their pages are as far away.
            let wanted: Vec<_> = (0..batch).map(|at| key(place(at + ROWS as usize / 2))).collect();
            let start = Instant::now();
            assert!(table.get_many(wanted.iter().map(|key| &key[..]))?.iter().all(Option::is_some));
            many += start.elapsed();
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / LOOK_UPS as f64;
        println!(
            "| {batch} | {:.3} µs | {:.3} µs | {:.2} |",
            each(single),
            each(many),
            many.as_secs_f64() / single.as_secs_f64()
        );
    }
    Ok(())
}
