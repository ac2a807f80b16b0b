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

/// Commits of so many rows, `commits` in a round.
struct Load {
    what: &'static str,
    commits: u64,
    rows: u64,
    retained: u64,
}

impl Load {
    /// Commits until old ones are let go for new ones: the file has its length then.
    fn until_steady(&self) -> u64 {
        self.retained + self.retained / 4 + 2
    }

    fn contenders(&self, folder: &Path) -> Vec<Contender> {
        let config = |mode| CdcConfig::new(mode).with_max_transactions(self.retained);
        let log = |mode| move |builder: &mut Builder| _ = builder.set_cdc(config(mode));
        vec![
            Contender::new("without", folder, |_| {}),
            Contender::new("without, again", folder, |_| {}),
            Contender::new("log off", folder, log(CdcMode::Off)),
            Contender::new("log of keys", folder, log(CdcMode::Keys)),
            Contender::new("log of old and new", folder, log(CdcMode::OldAndNew)),
            Contender::new("history", folder, |builder| _ = builder.set_history_retention(self.retained)),
        ]
    }

    fn run(&self, contenders: &mut [Contender]) {
        let write_round = |db: &Database, from: u64, commits: u64| {
            for commit in 0..commits {
                let start = from + commit * self.rows;
                write(db, start..start + self.rows, start as u8);
            }
        };
        let mut next = 0;
        for contender in &*contenders {
            write_round(&contender.db, next, self.until_steady());
        }
        for round in 0..ROUNDS {
            next += self.commits * self.rows;
            for nth in 0..contenders.len() {
                let place = (nth + round) % contenders.len();
                let contender = &mut contenders[place];
                let start = Instant::now();
                write_round(&contender.db, next, self.commits);
                contender.times.push(start.elapsed().as_nanos());
            }
        }
    }

    fn report(&self, contenders: &[Contender]) {
        let without = contenders[0].median();
        println!("{}: {} us each; {} retained", self.what, without / 1000 / u128::from(self.commits), self.retained);
        for contender in contenders {
            println!("  {:20} {:.2}", contender.name, contender.median() as f64 / without as f64);
        }
    }
}

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    let loads = [
        Load { what: "commits of one row", commits: 50, rows: 1, retained: 1000 },
        Load { what: "batches of 1,000 rows", commits: 1, rows: 1000, retained: 50 },
    ];
    for (nth, load) in loads.iter().enumerate() {
        let folder = folder.join(nth.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let mut contenders = load.contenders(&folder);
        load.run(&mut contenders);
        load.report(&contenders);
    }
}
