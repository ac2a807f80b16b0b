//! Sapwood beside redb, through their public interfaces, on the same data: `cargo bench`.
//!
//! The table at the end takes the two in turns and is what to go by on a machine that does other things as well.
//! `cargo run --release --example ratios` prints only the table.

// One body serves two crates.
#![allow(clippy::duplicate_mod)]

mod common;

use common::{Data, NAMES, Place, WORKLOADS, Workload, create, loaded, print_ratios};
use criterion::{BatchSize, Criterion, Throughput};
use std::env;

fn main() {
    let data = Data::from_env();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for workload in &WORKLOADS {
        compare(&mut criterion, workload, &data);
    }
    criterion.final_summary();
    // With arguments of its own criterion lists, tests or filters, and the table is not asked for.
    if env::args().skip(1).all(|arg| arg == "--bench") {
        print_ratios(&data);
    }
}

fn compare(criterion: &mut Criterion, workload: &Workload, data: &Data) {
    let mut group = criterion.benchmark_group(workload.name);
    let job = workload.job(data, 1);
    group.throughput(Throughput::Elements(job.operations() as u64));
    for (kind, name) in NAMES.into_iter().enumerate() {
        if workload.fresh {
            let run = |place: Place| {
                job.run(&*place.subject);
                place
            };
            group.bench_function(name, |bench| bench.iter_batched(|| create(kind), run, BatchSize::PerIteration));
        } else {
            // Loaded only if the filter lets the measurement run.
            let mut place = None;
            group.bench_function(name, |bench| {
                let place = place.get_or_insert_with(|| loaded(kind, data));
                bench.iter(|| job.run(&*place.subject));
            });
        }
    }
    group.finish();
}
