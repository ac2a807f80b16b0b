//! What a seed decides before the first transaction.

use crate::rng::Rng;

/// How far to run a program, for finding the smallest one that fails.
#[derive(Clone, Debug)]
pub struct Limits {
    pub transactions: usize,
    /// Operations per transaction and table.
    pub operations: usize,
    /// Runs that of a seed's programs which uses one database for long.
    pub long: bool,
    /// Takes a row out of the model after the first commit: the run must then fail.
    pub spoil: bool,
}

/// All of a program.
pub const ALL: Limits = Limits { transactions: usize::MAX, operations: usize::MAX, long: false, spoil: false };
/// All of a long program.
pub const LONG: Limits = Limits { long: true, ..ALL };

/// How long keys or values are.
#[derive(Clone, Copy, Debug)]
pub enum Lengths {
    Short,
    /// Around the fractions of a page where pages split and values move out.
    Edges,
    /// Up to this many bytes.
    UpTo(usize),
    /// All of the above in turn, and rarely more than 64 KiB.
    Mixed,
}

/// A source of lengths that gives only short ones when its budget is spent, which keeps programs small.
#[derive(Clone, Debug)]
pub struct Sizes {
    pub lengths: Lengths,
    pub page: usize,
    pub longest: usize,
    pub budget: usize,
    /// So many bytes at the start are the same in all.
    pub alike: usize,
}

impl Sizes {
    pub fn length(&mut self, rng: &mut Rng) -> usize {
        let lengths = if self.budget == 0 { Lengths::Short } else { self.lengths };
        let length = self.of(lengths, rng).min(self.longest);
        self.budget = self.budget.saturating_sub(length);
        length
    }

    fn of(&self, lengths: Lengths, rng: &mut Rng) -> usize {
        match lengths {
            Lengths::Short => rng.below(40),
            Lengths::Edges => (self.page / (1 + rng.below(5)) + 24).saturating_sub(rng.below(80)),
            Lengths::UpTo(most) => rng.below(most + 1),
            Lengths::Mixed => match rng.below(120) {
                0 => 65_536 + rng.below(70_000),
                1..=30 => self.of(Lengths::Edges, rng),
                31..=50 => rng.below(4 * self.page),
                _ => self.of(Lengths::Short, rng),
            },
        }
    }
}

/// How values are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    No,
    Fast,
    Small,
}

/// The shape of a program.
#[derive(Debug)]
pub struct Plan {
    pub page: usize,
    pub transactions: usize,
    /// Most operations per transaction and table.
    pub operations: usize,
    /// Operations after which no transaction begins.
    pub enough: u64,
    /// How many different keys there are.
    pub distinct: usize,
    pub key_lengths: Lengths,
    /// Bytes that all keys begin with.
    pub keys_alike: usize,
    pub values: Sizes,
    /// Which of the tables take part.
    pub tables: Vec<usize>,
    /// How values are compressed, where the crate can.
    pub packed: Packed,
}

const LONGEST_KEY: usize = 5 << 10;
pub const MOST_TRANSACTIONS: usize = 16;
/// After so many operations a long program ends.
pub const LONG_OPERATIONS: u64 = 25_000;

impl Plan {
    pub fn new(seed: u64, tables: usize) -> Self {
        let mut rng = Rng::new(seed, 0);
        let page = rng.pick(&[512, 512, 1_024, 2_048, 4_096, 4_096, 4_096, 8_192, 16_384, 65_536]);
        let lengths = [Lengths::Short, Lengths::Edges, Lengths::UpTo(page), Lengths::UpTo(4 * page), Lengths::Mixed];
        let values = Sizes { lengths: rng.pick(&lengths), page, longest: usize::MAX, budget: 1_000_000, alike: 0 };
        let key_lengths =
            [Lengths::Short, Lengths::Short, Lengths::UpTo(300), Lengths::Edges, Lengths::UpTo(LONGEST_KEY)];
        Self {
            page,
            transactions: 1 + rng.below(MOST_TRANSACTIONS),
            operations: rng.pick(&[5, 15, 40, 120]),
            enough: u64::MAX,
            distinct: rng.pick(&[3, 12, 60, 60, 400, 100_000]),
            key_lengths: rng.pick(&key_lengths),
            values,
            tables: (0..1 + rng.below(3)).map(|_| rng.below(tables)).collect(),
            // Around the bytes of a prefix that a header holds, that there may be, and that a page keeps of a long key.
            keys_alike: rng.pick(&[0, 0, 0, 3, 6, 9, 56, 60, 64, 70]),
            packed: rng.pick(&[Packed::No, Packed::No, Packed::Fast, Packed::Small]),
        }
    }

    /// One database for long, with more tables, of which each is small enough to be read often.
    pub fn long(seed: u64, tables: usize) -> Self {
        let mut rng = Rng::new(seed, 1);
        let short = Self::new(seed, tables);
        Self {
            transactions: usize::MAX,
            operations: rng.pick(&[5, 15, 40]),
            enough: LONG_OPERATIONS,
            distinct: rng.pick(&[12, 60, 400]),
            key_lengths: rng.pick(&[Lengths::Short, Lengths::Short, Lengths::UpTo(300)]),
            tables: (0..6).map(|_| rng.below(tables)).collect(),
            ..short
        }
    }

    /// Bytes of page cache for one opening of the database.
    pub fn cache(&self, rng: &mut Rng) -> usize {
        rng.pick(&[0, self.page, 5 * self.page, 1 << 20, 64 << 20])
    }

    /// Key lengths come from a budget of their own for each key, because the same number must give the same key.
    pub fn key_sizes(&self) -> Sizes {
        Sizes {
            lengths: self.key_lengths,
            page: self.page,
            longest: LONGEST_KEY,
            budget: LONGEST_KEY,
            alike: self.keys_alike,
        }
    }
}
