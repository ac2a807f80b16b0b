//! Prints how long sapwood takes beside redb, as a Markdown table: `cargo run --release --example ratios`.
//!
//! Both run in turns on the same data, in files in the temporary folder. A ratio below 1 means that sapwood is faster.
//! `SAPWOOD_BENCH_ROWS` says how many rows (500,000 unless set).

// One body serves two crates, and the benchmark uses more of it.
#![allow(clippy::duplicate_mod, dead_code)]

#[path = "../benches/common/mod.rs"]
mod common;

fn main() {
    common::print_ratios(&common::Data::from_env());
}
