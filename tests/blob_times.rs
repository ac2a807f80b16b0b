//! When blobs were made, against a model.

mod common;

use common::rng::Rng;
use sapwood::backends::InMemoryBackend;
use sapwood::{
    BlobError, BlobId, Builder, ContentType, ReadableBlobs, ReadableDatabase, StoreOptions, VerifyLevel,
    WriteTransaction,
};
use std::collections::BTreeSet;
use std::ops::Bound;

type Model = BTreeSet<(u64, BlobId)>;

fn scale() -> u64 {
    std::env::var("SAPWOOD_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

fn some_time(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => *rng.pick(&[0, 1, u64::MAX, u64::MAX - 1]),
        _ => rng.below(50),
    }
}

fn change(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    let time = some_time(rng);
    let nth = rng.below(model.len().max(1) as u64) as usize;
    match (rng.below(4), model.iter().nth(nth).copied()) {
        (0, Some((old, id))) => {
            txn.retime_blob(id, time).unwrap();
            assert_eq!(txn.get_blob_meta(id).unwrap().unwrap().time_ms, time);
            assert!(model.remove(&(old, id)) && model.insert((time, id)));
        }
        (1, Some((old, id))) => {
            assert!(txn.delete_blob(id).unwrap() && model.remove(&(old, id)));
            assert!(matches!(txn.retime_blob(id, 1), Err(BlobError::NotFound(_))));
        }
        _ => {
            let options = StoreOptions::new().with_time_ms(time);
            assert!(model.insert((time, txn.store_blob(b"", ContentType::Json, "", options).unwrap())));
        }
    }
}

fn some_bound(rng: &mut Rng) -> Bound<u64> {
    let time = some_time(rng);
    [Bound::Unbounded, Bound::Included(time), Bound::Excluded(time)][rng.below(3) as usize]
}

fn check(blobs: &impl ReadableBlobs, model: &Model, rng: &mut Rng) {
    for _ in 0..10 {
        let range = (some_bound(rng), some_bound(rng));
        let within: Vec<_> =
            model.iter().copied().filter(|(time, _)| std::ops::RangeBounds::contains(&range, time)).collect();
        let (mut found, mut expected) = (blobs.blobs_in_time_range(range), within.iter().copied());
        loop {
            let (ours, theirs) = match rng.below(2) {
                0 => (found.next(), expected.next()),
                _ => (found.next_back(), expected.next_back()),
            };
            assert_eq!(ours.transpose().unwrap(), theirs);
            if theirs.is_none() {
                break;
            }
        }
        if let Some(&(time, id)) = within.get(rng.below(within.len().max(1) as u64) as usize) {
            let at = within.iter().position(|entry| *entry == (time, id)).unwrap();
            let behind = blobs.blobs_in_time_range(range).after(time, id);
            assert!(behind.map(Result::unwrap).eq(within[at + 1..].iter().copied()));
            let before = blobs.blobs_in_time_range(range).before(time, id);
            assert!(before.rev().map(Result::unwrap).eq(within[..at].iter().rev().copied()));
            let window = some_time(rng);
            let near = model.iter().filter(|(other, _)| other.abs_diff(time) <= window);
            assert!(blobs.blobs_near(id, window).unwrap().map(Result::unwrap).eq(near.copied()));
        }
    }
}

#[test]
fn times_are_what_the_model_says() {
    for seed in 0..5 * scale() {
        let mut rng = Rng::new(seed);
        let db = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        let mut committed = Model::new();
        for round in 0..10 {
            let txn = db.begin_write().unwrap();
            let mut model = committed.clone();
            for _ in 0..rng.below(if round == 0 { 500 } else { 30 }) {
                change(&txn, &mut model, &mut rng);
            }
            check(&txn, &model, &mut rng);
            if rng.below(4) == 0 {
                txn.abort().unwrap();
            } else {
                txn.commit().unwrap();
                committed = model;
            }
            check(&db.begin_read().unwrap(), &committed, &mut rng);
        }
        assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
    }
}
