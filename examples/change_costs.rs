//! What the change log and the history cost: `cargo run --release --example change_costs [folder]`.
//!
//! Databases with and without them take turns, so that what else the machine does meets all alike; printed are the medians
//! of many rounds, as multiples of the time without.

use sapwood::{Builder, CdcConfig, CdcMode, Database, TableDefinition};
use std::path::{Path, PathBuf};
use std::time::Instant;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const STORED: u64 = 100_000;
const ROUNDS: usize = 41;

struct Contender {
    name: &'static str,
    db: Database,
    /// Nanoseconds, by round.
    times: Vec<u128>,
}

impl Contender {
    fn new(name: &'static str, folder: &Path, set: impl FnOnce(&mut Builder)) -> Self {
        let mut builder = Builder::new();
        set(&mut builder);
        let db = builder.create(folder.join(name)).unwrap();
        write(&db, 0..STORED, 1);
        Self { name, db, times: Vec::new() }
    }

    fn median(&self) -> u128 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

fn write(db: &Database, numbers: impl Iterator<Item = u64>, version: u8) {
    let txn = db.begin_write().unwrap();
    let mut rows = txn.open_table(ROWS).unwrap();
    for number in numbers {
        let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % STORED;
        rows.insert(key, &[version; 150][..]).unwrap();
    }
    drop(rows);
    txn.commit().unwrap();
}

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    let log = |mode| move |builder: &mut Builder| _ = builder.set_cdc(CdcConfig::new(mode).with_max_transactions(1000));
    let mut contenders = [
        Contender::new("without", &folder, |_| {}),
        Contender::new("without, again", &folder, |_| {}),
        Contender::new("log off", &folder, log(CdcMode::Off)),
        Contender::new("log of keys", &folder, log(CdcMode::Keys)),
        Contender::new("log of old and new", &folder, log(CdcMode::OldAndNew)),
        Contender::new("history of 1,000", &folder, |builder| _ = builder.set_history_retention(1000)),
    ];
    for (what, commits, rows) in [("commits of one row", 50, 1), ("batches of 1,000 rows", 1, 1000)] {
        let mut next = 0;
        for contender in &mut contenders {
            contender.times.clear();
            if rows == 1 {
                (0..1200).for_each(|number| write(&contender.db, number..number + 1, 2));
            }
        }
        for round in 0..ROUNDS {
            for nth in 0..contenders.len() {
                let place = (nth + round) % contenders.len();
                let contender = &mut contenders[place];
                let start = Instant::now();
                for commit in 0..commits {
                    let from = next + commit * rows;
                    write(&contender.db, from..from + rows, round as u8);
                }
                contender.times.push(start.elapsed().as_nanos());
            }
            next += commits * rows;
        }
        let without = contenders[0].median();
        println!("{what}: {} us each", without / 1000 / u128::from(commits));
        for contender in &contenders {
            println!("  {:20} {:.2}", contender.name, contender.median() as f64 / without as f64);
        }
    }
}
