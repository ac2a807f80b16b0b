//! The workloads of the comparison: the same calls on the same data, in sapwood and in redb.
//!
//! Rows have 24-byte keys and 150-byte values; `SAPWOOD_BENCH_ROWS` says how many (500,000 unless set).

use std::env;
use std::time::{Duration, Instant};
use tempfile::TempDir;

mod ours;
mod theirs;

pub const KEY: usize = 24;
pub const VALUE: usize = 150;
/// Rows of one short range.
pub const RANGE: usize = 10;
/// Rows of one batch.
pub const BATCH: usize = 1_000;

/// What both databases can do. Sums come back, so that nothing can be skipped.
pub trait Subject {
    /// Inserts the rows in this order, in one durable transaction. Gives the number of rows after.
    fn load(&self, data: &Data, order: &[usize]) -> u64;
    /// Gets these rows.
    fn get(&self, data: &Data, picks: &[usize]) -> u64;
    /// Asks for keys that are not there. Gives how many were not.
    fn miss(&self, data: &Data, picks: &[usize]) -> u64;
    /// Reads a few rows from each of these keys on.
    fn ranges(&self, data: &Data, picks: &[usize]) -> u64;
    /// Reads all rows.
    fn scan(&self) -> u64;
    /// Replaces these rows in one durable transaction. Gives how many were there.
    fn replace(&self, data: &Data, picks: &[usize]) -> u64;
}

/// A number that depends on a row's ends.
pub fn sum_of(key: &[u8], value: &[u8]) -> u64 {
    u64::from(key[0]) + u64::from(value[0]) + (u64::from(value[VALUE - 1]) << 8)
}

/// Splitmix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The rows: keys in random order, values out of a pool.
pub struct Data {
    keys: Vec<[u8; KEY]>,
    pool: Vec<u8>,
    sorted: Vec<usize>,
}

impl Data {
    pub fn new(rows: usize) -> Self {
        let mut rng = Rng(1);
        let keys: Vec<[u8; KEY]> = (0..rows).map(|_| Self::make_key(&mut rng)).collect();
        let pool = (0..1 << 16).map(|_| rng.next() as u8).collect();
        let mut sorted: Vec<usize> = (0..rows).collect();
        sorted.sort_by_key(|row| keys[*row]);
        Self { keys, pool, sorted }
    }

    /// As many rows as the environment asks for.
    pub fn from_env() -> Self {
        let rows = env::var("SAPWOOD_BENCH_ROWS").map_or(500_000, |rows| rows.parse().expect("a number of rows"));
        Self::new(rows)
    }

    fn make_key(rng: &mut Rng) -> [u8; KEY] {
        let mut key = [0; KEY];
        key.chunks_mut(8).for_each(|part| part.copy_from_slice(&rng.next().to_le_bytes()));
        // The last bit tells keys that are there from keys that are not.
        key[KEY - 1] &= 0xfe;
        key
    }

    pub fn key(&self, row: usize) -> &[u8] {
        &self.keys[row]
    }

    /// A random key that is not there.
    pub fn absent(&self, row: usize) -> [u8; KEY] {
        let mut key = Self::make_key(&mut Rng(!(row as u64)));
        key[KEY - 1] |= 1;
        key
    }

    pub fn value(&self, row: usize) -> &[u8] {
        let start = row * 37 % (self.pool.len() - VALUE);
        &self.pool[start..start + VALUE]
    }

    /// Rows by chance, the same for the same seed.
    pub fn picks(&self, count: usize, seed: u64) -> Vec<usize> {
        let mut rng = Rng(seed);
        (0..count).map(|_| (rng.next() % self.keys.len() as u64) as usize).collect()
    }

    fn sum(&self, rows: impl Iterator<Item = usize>) -> u64 {
        rows.map(|row| sum_of(self.key(row), self.value(row))).sum()
    }

    fn sum_of_ranges(&self, picks: &[usize]) -> u64 {
        let places = picks.iter().map(|row| self.sorted.partition_point(|other| self.keys[*other] < self.keys[*row]));
        places.map(|place| self.sum(self.sorted[place..].iter().take(RANGE).copied())).sum()
    }
}

/// One thing to measure.
pub struct Workload {
    pub name: &'static str,
    /// Whether each run needs an empty database.
    pub fresh: bool,
    /// Rounds of the ratio table.
    pub rounds: u64,
    /// Rows that one run works on, in order, picked by a seed.
    picks: fn(&Data, u64) -> Vec<usize>,
    /// What the run must give.
    expected: fn(&Data, &[usize]) -> u64,
    run: fn(&dyn Subject, &Data, &[usize]) -> u64,
}

/// A run made ready: picking rows and adding up their sums is not measured.
pub struct Job<'a> {
    workload: &'a Workload,
    data: &'a Data,
    picks: Vec<usize>,
    expected: u64,
}

impl Workload {
    pub fn job<'a>(&'a self, data: &'a Data, seed: u64) -> Job<'a> {
        let picks = (self.picks)(data, seed);
        let expected = (self.expected)(data, &picks);
        Job { workload: self, data, picks, expected }
    }
}

impl Job<'_> {
    pub fn run(&self, subject: &dyn Subject) {
        let sum = (self.workload.run)(subject, self.data, &self.picks);
        assert_eq!(sum, self.expected, "{}: something was skipped or is wrong", self.workload.name);
    }

    pub fn operations(&self) -> usize {
        self.picks.len()
    }
}

const PICKS: usize = 100_000;

pub const WORKLOADS: [Workload; 8] = [
    Workload {
        name: "bulk load, random order",
        fresh: true,
        rounds: 3,
        picks: |data, _| (0..data.keys.len()).collect(),
        expected: |data, _| data.keys.len() as u64,
        run: |subject, data, picks| subject.load(data, picks),
    },
    Workload {
        name: "bulk load, sorted",
        fresh: true,
        rounds: 3,
        picks: |data, _| data.sorted.clone(),
        expected: |data, _| data.keys.len() as u64,
        run: |subject, data, picks| subject.load(data, picks),
    },
    Workload {
        name: "get",
        fresh: false,
        rounds: 21,
        picks: |data, seed| data.picks(PICKS, seed),
        expected: |data, picks| data.sum(picks.iter().copied()),
        run: |subject, data, picks| subject.get(data, picks),
    },
    Workload {
        name: "get of missing keys",
        fresh: false,
        rounds: 21,
        picks: |data, seed| data.picks(PICKS, seed),
        expected: |_, picks| picks.len() as u64,
        run: |subject, data, picks| subject.miss(data, picks),
    },
    Workload {
        name: "range of 10 rows",
        fresh: false,
        rounds: 21,
        picks: |data, seed| data.picks(PICKS / RANGE, seed),
        expected: |data, picks| data.sum_of_ranges(picks),
        run: |subject, data, picks| subject.ranges(data, picks),
    },
    Workload {
        name: "full scan, per row",
        fresh: false,
        rounds: 21,
        picks: |data, _| data.sorted.clone(),
        expected: |data, picks| data.sum(picks.iter().copied()),
        run: |subject, _, _| subject.scan(),
    },
    Workload {
        name: "durable commit of 1 row",
        fresh: false,
        rounds: 9,
        picks: |data, seed| data.picks(20, seed),
        expected: |_, picks| picks.len() as u64,
        run: |subject, data, picks| picks.chunks(1).map(|pick| subject.replace(data, pick)).sum(),
    },
    Workload {
        name: "durable commit of 1,000 random rows, per row",
        fresh: false,
        rounds: 9,
        picks: |data, seed| data.picks(5 * BATCH, seed),
        expected: |_, picks| picks.len() as u64,
        run: |subject, data, picks| picks.chunks(BATCH).map(|batch| subject.replace(data, batch)).sum(),
    },
];

/// A database in a file of its own, which goes with it.
pub struct Place {
    pub subject: Box<dyn Subject>,
    _folder: TempDir,
}

/// The two that are compared, by name.
pub const NAMES: [&str; 2] = ["sapwood", "redb"];

/// A new database of the kind at this index of [`NAMES`].
pub fn create(kind: usize) -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rows");
    let subject: Box<dyn Subject> =
        if kind == 0 { Box::new(ours::Store::create(&path)) } else { Box::new(theirs::Store::create(&path)) };
    Place { subject, _folder: folder }
}

/// A new database with all rows.
pub fn loaded(kind: usize, data: &Data) -> Place {
    let place = create(kind);
    WORKLOADS[0].job(data, 0).run(&*place.subject);
    place
}

/// Measures everything in turns, a round of one beside a round of the other, and prints a Markdown table. The ratio is
/// the median of the rounds' ratios: what slows the machine for longer than a round slows both.
pub fn print_ratios(data: &Data) {
    let places = [loaded(0, data), loaded(1, data)];
    println!("| {} rows | sapwood | redb | sapwood / redb |\n| --- | ---: | ---: | ---: |", data.keys.len());
    for workload in &WORKLOADS {
        let mut times = [Vec::new(), Vec::new()];
        let mut operations = 0;
        for round in 0..workload.rounds {
            let job = workload.job(data, round);
            operations = job.operations();
            for turn in 0..2 {
                let kind = (round as usize + turn) % 2;
                times[kind].push(time(&job, &places[kind], kind));
            }
        }
        let ratios = times[0].iter().zip(&times[1]).map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64());
        let ratio = median(ratios.collect());
        let per = operations as f64;
        let [ours, theirs] = times.map(|times| median(times.iter().map(Duration::as_secs_f64).collect()) / per * 1e6);
        println!("| {} | {ours:.3} µs | {theirs:.3} µs | {ratio:.2} |", workload.name);
    }
}

fn time(job: &Job, place: &Place, kind: usize) -> Duration {
    let fresh = job.workload.fresh.then(|| create(kind));
    let subject = &fresh.as_ref().unwrap_or(place).subject;
    let start = Instant::now();
    job.run(&**subject);
    start.elapsed()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
