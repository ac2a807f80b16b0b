//! Random programs on a database, on a `BTreeMap`, and on redb: all must give the same answers.
//!
//! `SAPWOOD_TEST_SCALE` is 1 for 2,000 programs (the default) and 10 for 20,000. `SAPWOOD_MODEL_SEED` runs one program.

// One body serves two crates.
#![allow(clippy::duplicate_mod)]

mod ours;
mod plan;
mod rng;
#[path = "../common/shared.rs"]
mod shared;
mod theirs;

use plan::{ALL, Limits, MOST_TRANSACTIONS};
use std::env;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

type Program = fn(u64, &Limits) -> Result<u64, String>;

const PROGRAMS: u64 = 2_000;
/// One in so many programs runs on redb too.
const COMPARED: u64 = 10;

#[test]
fn programs_give_the_answers_of_a_btreemap_and_of_redb() {
    if let Ok(seed) = env::var("SAPWOOD_MODEL_SEED") {
        return check(seed.parse().expect("SAPWOOD_MODEL_SEED is a number"), true).expect("the program succeeds");
    }
    let scale = env::var("SAPWOOD_TEST_SCALE").map_or(1, |scale| scale.parse().expect("the scale is a number"));
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, |count| count.get().min(4));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for seed in seeds.take_while(|seed| *seed < PROGRAMS * scale) {
                    if let Err(failure) = check(seed, seed.is_multiple_of(COMPARED)) {
                        // Nobody takes another seed.
                        next.store(PROGRAMS * scale, Ordering::Relaxed);
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

fn attempt(program: Program, seed: u64, limits: &Limits) -> Result<u64, String> {
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
