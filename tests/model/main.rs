//! Random programs on a database, on a `BTreeMap`, and on redb: all must give the same answers.
//!
//! There are short programs, of which some run on redb too, and long ones, which all do. Every answer is compared with
//! that of the model as soon as it is given: the first one that differs fails the program, with the operation's number.
//!
//! `SAPWOOD_TEST_SCALE` is 1 for 2,000 short programs and 100,000 operations in long ones (the default), and 10 for ten
//! times as many. `SAPWOOD_MODEL_SEED` runs one short program, `SAPWOOD_MODEL_LONG_SEED` one long one.

// One body serves two crates.
#![allow(clippy::duplicate_mod)]

mod common;
mod ours;
mod plan;
mod rng;
#[path = "../common/shared.rs"]
mod shared;
mod theirs;
mod way;

use plan::{ALL, LONG, LONG_OPERATIONS, Limits, MOST_TRANSACTIONS};
use std::env;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

type Program = fn(u64, &Limits) -> Result<Told, String>;

/// What a program was told.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The hash of all answers.
    answers: u64,
    operations: u64,
}

const PROGRAMS: u64 = 2_000;
/// One in so many programs runs on redb too.
const COMPARED: u64 = 10;
/// Operations of long programs.
const OPERATIONS: u64 = 100_000;

#[test]
fn programs_give_the_answers_of_a_btreemap_and_of_redb() {
    if let Some(seed) = number("SAPWOOD_MODEL_SEED") {
        return check(seed, true).expect("the program succeeds");
    }
    in_parallel(PROGRAMS * scale(), |seed| check(seed, seed.is_multiple_of(COMPARED)));
}

#[test]
fn long_programs_give_the_answers_of_a_btreemap_and_of_redb() {
    if let Some(seed) = number("SAPWOOD_MODEL_LONG_SEED") {
        check_long(seed).expect("the program succeeds");
        return;
    }
    let operations = AtomicU64::new(0);
    in_parallel(OPERATIONS / LONG_OPERATIONS * scale(), |seed| {
        operations.fetch_add(check_long(seed)?, Ordering::Relaxed);
        Ok(())
    });
    let operations = operations.into_inner();
    assert!(operations >= OPERATIONS * scale(), "only {operations} operations were compared");
}

fn number(variable: &str) -> Option<u64> {
    let set = env::var(variable).ok()?;
    Some(set.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn scale() -> u64 {
    number("SAPWOOD_TEST_SCALE").unwrap_or(1)
}

/// Checks the seeds below `count`, until one fails.
fn in_parallel(count: u64, check: impl Fn(u64) -> Result<(), String> + Sync) {
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, |count| count.get().min(4));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for seed in seeds.take_while(|seed| *seed < count) {
                    if let Err(failure) = check(seed) {
                        // Nobody takes another seed.
                        next.store(count, Ordering::Relaxed);
                        panic!("{failure}");
                    }
                }
            });
        }
    });
}

#[test]
fn a_wrong_answer_fails_the_program() {
    let spoilt = Limits { spoil: true, ..ALL };
    let noticed = (0..40).filter(|seed| ours::run(*seed, &spoilt).is_err()).count();
    assert!(noticed >= 20, "a row was taken out of the model in 40 programs, and only {noticed} noticed");
}

#[test]
fn the_same_seed_gives_the_same_answers_and_another_seed_others() {
    assert_eq!(ours::run(7, &ALL), ours::run(7, &ALL));
    assert_ne!(ours::run(7, &ALL), ours::run(8, &ALL));
}

fn check(seed: u64, compare: bool) -> Result<(), String> {
    let ours = attempt(ours::run, seed, &ALL).map_err(|failure| least(ours::run, seed, &failure))?;
    if !compare {
        return Ok(());
    }
    let theirs = attempt(theirs::run, seed, &ALL).map_err(|failure| least(theirs::run, seed, &failure))?;
    if ours == theirs { Ok(()) } else { Err(format!("seed {seed}: the answers differ from redb's")) }
}

/// The number of operations that both crates were asked for.
fn check_long(seed: u64) -> Result<u64, String> {
    let of = |program: Program, name: &str| {
        let told = attempt(program, seed, &LONG);
        told.map_err(|failure| format!("SAPWOOD_MODEL_LONG_SEED={seed} fails on {name}: {failure}"))
    };
    let (ours, theirs) = (of(ours::run, "sapwood")?, of(theirs::run, "redb")?);
    if ours == theirs { Ok(ours.operations) } else { Err(format!("long seed {seed}: the answers differ from redb's")) }
}

fn attempt(program: Program, seed: u64, limits: &Limits) -> Result<Told, String> {
    catch_unwind(|| program(seed, limits)).unwrap_or_else(|_| Err("it panicked, see above".into()))
}

/// Finds the fewest transactions, then the fewest operations, that still fail, and says how to run them.
fn least(program: Program, seed: u64, failure: &str) -> String {
    let fails = |limits: &Limits| attempt(program, seed, limits).is_err();
    let by_transactions =
        (1..MOST_TRANSACTIONS).map(|transactions| Limits { transactions, ..ALL }).find(|limits| fails(limits));
    let least = by_transactions.unwrap_or(ALL);
    let by_operations = (1..120).map(|operations| Limits { operations, ..least.clone() }).find(|limits| fails(limits));
    let least = by_operations.unwrap_or(least);
    let last = attempt(program, seed, &least);
    format!("SAPWOOD_MODEL_SEED={seed} fails: {failure}\nthe least that fails is {least:?}: {last:?}")
}
