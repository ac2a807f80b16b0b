//! What tables and databases say of the room that they take.

mod common;

use common::rng::Rng;
use sapwood::backends::InMemoryBackend;
use sapwood::{
    Builder, Database, DatabaseStats, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableStats, WriteTransaction,
};

const NUMBERS: TableDefinition<u64, u64> = TableDefinition::new("numbers");
const BYTES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("bytes");

fn database(page: usize) -> Database {
    Builder::new().set_page_size(page).create_with_backend(InMemoryBackend::new()).unwrap()
}

fn bytes(stats: &TableStats) -> u64 {
    stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes()
}

fn pages(stats: &TableStats) -> u64 {
    stats.leaf_pages() + stats.branch_pages()
}

fn numbers(stats: &TableStats) -> [u64; 6] {
    let height = stats.tree_height().into();
    [
        height,
        stats.leaf_pages(),
        stats.branch_pages(),
        stats.stored_bytes(),
        stats.metadata_bytes(),
        stats.fragmented_bytes(),
    ]
}

/// All pages that are not free are those of the trees, the mirror, what the other slot's commit needs, and the saved
/// free map that the last closing may have left.
fn check(stats: &DatabaseStats, tables: &[TableStats], page: usize) {
    let sum = |of: fn(&TableStats) -> u64| tables.iter().map(of).sum::<u64>();
    assert_eq!(stats.page_size(), page);
    assert_eq!(stats.leaf_pages(), sum(TableStats::leaf_pages));
    assert_eq!(stats.stored_bytes(), sum(TableStats::stored_bytes));
    assert!(stats.branch_pages() > sum(TableStats::branch_pages));
    assert!(stats.metadata_bytes() > sum(TableStats::metadata_bytes));
    let tallest = tables.iter().map(TableStats::tree_height).max().unwrap();
    assert!(stats.tree_height() > tallest);
    let linked = stats.leaf_pages() + stats.branch_pages();
    assert!(stats.allocated_pages() > linked);
    let all = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
    assert_eq!(all % page as u64, 0);
    assert!(all >= linked * page as u64);
}

fn fill(txn: &WriteTransaction, rng: &mut Rng, page: usize, rows: u64) {
    let mut numbers = txn.open_table(NUMBERS).unwrap();
    let mut bytes = txn.open_table(BYTES).unwrap();
    for _ in 0..rows {
        numbers.insert(rng.below(10_000), 1).unwrap();
        let mut length = || match rng.below(10) {
            0 => rng.below(4 * page as u64) as usize,
            1 => page / 4 - 4 + rng.below(8) as usize,
            _ => rng.below(30) as usize,
        };
        let (key, value) = (length(), length());
        bytes.insert(&*rng.bytes(key), &*rng.bytes(value)).unwrap();
        if rng.chance(50) {
            bytes.pop_first().unwrap();
        }
    }
}

/// A transaction that fits the cache finds what it has made there, and one that does not goes to the storage.
#[test]
fn reads_of_pages_that_a_transaction_made_are_counted() {
    for (cache, fits) in [(1 << 24, true), (64 << 10, false)] {
        let db = Database::builder().set_cache_size(cache).create_with_backend(InMemoryBackend::new()).unwrap();
        let before = db.cache_stats();
        assert_eq!((before.write_hits(), before.write_misses()), (0, 0));
        let txn = db.begin_write().unwrap();
        {
            let mut table = txn.open_table(TableDefinition::<u64, &[u8]>::new("rows")).unwrap();
            for key in 0..5_000_u64 {
                table.insert(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), &[1; 100][..]).unwrap();
            }
        }
        txn.commit().unwrap();
        let stats = db.cache_stats();
        assert!(stats.write_hits() > 5_000, "{stats:?}");
        assert_eq!(stats.write_misses() == 0, fits, "{stats:?}");
    }
}

#[test]
fn every_byte_of_a_table_is_accounted_for() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let page = *rng.pick(&[512, 1024, 4096, 65_536]);
        let db = database(page);
        for rows in [1, 10, 300, 1000] {
            let txn = db.begin_write().unwrap();
            fill(&txn, &mut rng, page, rows);
            let unsealed =
                [txn.open_table(NUMBERS).unwrap().stats().unwrap(), txn.open_table(BYTES).unwrap().stats().unwrap()];
            check(&txn.stats().unwrap(), &unsealed, page);
            txn.commit().unwrap();
            let txn = db.begin_read().unwrap();
            let stored: u64 = txn.open_table(BYTES).unwrap().iter().unwrap().fold(0, |sum, row| {
                let (key, value) = row.unwrap();
                sum + (key.value().len() + value.value().len()) as u64
            });
            let typed =
                [txn.open_table(NUMBERS).unwrap().stats().unwrap(), txn.open_table(BYTES).unwrap().stats().unwrap()];
            assert_eq!(typed[0].stored_bytes(), txn.open_table(NUMBERS).unwrap().len().unwrap() * 16);
            assert_eq!(typed[1].stored_bytes(), stored);
            for (at, stats) in typed.iter().enumerate() {
                assert_eq!(bytes(stats), pages(stats) * page as u64, "{stats:?}");
                assert_eq!(numbers(stats), numbers(&unsealed[at]));
            }
            let untyped = [
                txn.open_untyped_table(NUMBERS).unwrap().stats().unwrap(),
                txn.open_untyped_table(BYTES).unwrap().stats().unwrap(),
            ];
            assert_eq!(typed.map(|stats| numbers(&stats)), untyped.map(|stats| numbers(&stats)));
        }
    }
}

#[test]
fn pages_agree_with_what_the_checker_finds() {
    let db = database(512);
    let mut rng = Rng::new(3);
    for _ in 0..5 {
        let txn = db.begin_write().unwrap();
        fill(&txn, &mut rng, 512, 200);
        txn.commit().unwrap();
    }
    let report = db.verify().unwrap();
    let txn = db.begin_write().unwrap();
    let stats = txn.stats().unwrap();
    assert_eq!(stats.leaf_pages() + stats.branch_pages(), report.linked_pages);
    // The last page is the mirror.
    assert_eq!(stats.allocated_pages(), report.linked_pages + report.kept_pages + 1);
    let all = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
    assert_eq!(all, (report.linked_pages + report.free_pages) * 512);
}

#[test]
fn a_table_without_rows_takes_nothing() {
    let db = database(4096);
    let txn = db.begin_write().unwrap();
    assert_eq!(txn.stats().unwrap().tree_height(), 0);
    assert_eq!(numbers(&txn.open_table(NUMBERS).unwrap().stats().unwrap()), [0; 6]);
    let stats = txn.stats().unwrap();
    assert_eq!((stats.tree_height(), stats.leaf_pages(), stats.branch_pages(), stats.stored_bytes()), (1, 0, 1, 0));
}

#[test]
fn what_is_out_of_line_counts_where_it_is_pointed_to() {
    let db = database(4096);
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(BYTES).unwrap();
    table.insert(&b"key"[..], &[1; 10_000][..]).unwrap();
    let stats = table.stats().unwrap();
    assert_eq!([stats.tree_height().into(), stats.leaf_pages(), stats.branch_pages()], [1, 4, 0]);
    assert_eq!(stats.stored_bytes(), 10_003);
    // Keys that differ only at their end need separators as long as themselves.
    for last in 0..100 {
        let mut key = vec![7; 5000];
        key.push(last);
        table.insert(&*key, &b""[..]).unwrap();
    }
    let stats = table.stats().unwrap();
    assert_eq!(stats.tree_height(), 2);
    assert!(stats.branch_pages() > 2 * 2, "{stats:?}");
    assert_eq!(stats.stored_bytes(), 10_003 + 100 * 5001);
    assert_eq!(bytes(&stats), pages(&stats) * 4096);
}

#[test]
fn an_open_table_counts_as_it_was_before() {
    let db = database(4096);
    let txn = db.begin_write().unwrap();
    txn.open_table(NUMBERS).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(NUMBERS).unwrap();
    table.insert(2, 2).unwrap();
    assert_eq!(txn.stats().unwrap().stored_bytes(), 16);
    drop(table);
    assert_eq!(txn.stats().unwrap().stored_bytes(), 32);
    txn.rename_table(NUMBERS, TableDefinition::<u64, u64>::new("others")).unwrap();
    assert_eq!(txn.stats().unwrap().stored_bytes(), 32);
    txn.delete_table(TableDefinition::<u64, u64>::new("others")).unwrap();
    assert_eq!(txn.stats().unwrap().stored_bytes(), 0);
}

#[test]
fn an_open_table_counts_as_it_was_before_checkpoints_too() {
    let db = database(4096);
    let mut txn = db.begin_write().unwrap();
    txn.open_table(NUMBERS).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
    txn = db.begin_write().unwrap();
    txn.open_table(NUMBERS).unwrap().insert(2, 2).unwrap();
    let checkpoint = txn.checkpoint().unwrap();
    (0..1000).for_each(|number| drop(txn.open_table(NUMBERS).unwrap().insert(number, 3).unwrap()));
    txn.release_checkpoint(&checkpoint).unwrap();
    // The pages of the checkpoint are free, and used again.
    let mut table = txn.open_table(NUMBERS).unwrap();
    (1000..2000).for_each(|number| drop(table.insert(number, 3).unwrap()));
    assert_eq!(txn.stats().unwrap().stored_bytes(), 16);
}
