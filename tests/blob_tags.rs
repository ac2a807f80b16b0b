//! Tags of blobs against a model.

mod common;

use common::rng::Rng;
use sapwood::backends::InMemoryBackend;
use sapwood::limits::MAX_TAG_LENGTH;
use sapwood::{
    BlobError, BlobId, Builder, ContentType, Database, ReadableBlobs, ReadableDatabase, StoreOptions, TagQuery,
    VerifyLevel, WriteTransaction,
};
use std::collections::{BTreeMap, BTreeSet};

/// Tags that are easily taken for each other.
const TAGS: [&str; 9] = ["", "a", "a\0", "ab", "ä", "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaab", "b", "rs"];

fn scale() -> u64 {
    std::env::var("SAPWOOD_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

fn memory() -> Database {
    Builder::new().create_with_backend(InMemoryBackend::new()).unwrap()
}

fn store(txn: &WriteTransaction, tags: &[&str]) -> BlobId {
    let options = StoreOptions::new().with_time_ms(5).with_tags(tags.iter().copied());
    txn.store_blob(&[7; 100], ContentType::OctetStream, "", options).unwrap()
}

type Model = BTreeMap<BlobId, BTreeSet<&'static str>>;

fn some_tags(rng: &mut Rng, most: u64) -> Vec<&'static str> {
    (0..rng.below(most + 1)).map(|_| *rng.pick(&TAGS)).collect()
}

fn some_blob(rng: &mut Rng, model: &Model) -> Option<BlobId> {
    model.keys().nth(rng.below(model.len().max(1) as u64) as usize).copied()
}

fn change(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    let tag = *rng.pick(&TAGS);
    match (rng.below(6), some_blob(rng, model)) {
        (0, Some(id)) => {
            assert!(txn.delete_blob(id).unwrap());
            model.remove(&id);
            assert!(txn.blob_tags(id).unwrap().is_empty());
            assert!(matches!(txn.tag_blob(id, tag), Err(BlobError::NotFound(_))));
        }
        (1 | 2, Some(id)) => {
            assert_eq!(txn.tag_blob(id, tag).unwrap(), model.get_mut(&id).unwrap().insert(tag));
        }
        (3, Some(id)) => assert_eq!(txn.untag_blob(id, tag).unwrap(), model.get_mut(&id).unwrap().remove(tag)),
        _ => {
            let tags = some_tags(rng, 4);
            let id = store(txn, &tags);
            model.insert(id, tags.into_iter().collect());
        }
    }
}

fn check(blobs: &impl ReadableBlobs, model: &Model, rng: &mut Rng) {
    for (id, tags) in model {
        assert!(blobs.blob_tags(*id).unwrap().iter().eq(tags));
    }
    let count = |tag: &str| model.values().filter(|tags| tags.contains(tag)).count() as u64;
    let listed = blobs.list_blob_tags(None, 100).unwrap();
    let expected: Vec<_> =
        TAGS.iter().map(|tag| (tag.to_string(), count(tag))).filter(|(_, count)| *count > 0).collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), expected.into_iter().collect());
    assert!(listed.is_sorted());
    if let Some((first, _)) = listed.first() {
        assert_eq!(
            blobs.list_blob_tags(Some(first), 1).unwrap(),
            listed[1..].iter().take(1).cloned().collect::<Vec<_>>()
        );
    }
    for tag in TAGS {
        assert_eq!(blobs.count_tagged_blobs(tag).unwrap(), count(tag));
    }
    for _ in 0..10 {
        let (all, any, none) = (some_tags(rng, 2), some_tags(rng, 3), some_tags(rng, 2));
        let query = TagQuery::new().all_of(all.clone()).any_of(any.clone()).none_of(none.clone());
        let after = some_blob(rng, model).filter(|_| rng.chance(128));
        let fits = |tags: &BTreeSet<&str>| {
            let has = |tag: &&str| tags.contains(tag);
            all.iter().all(has) && (any.is_empty() || any.iter().any(has)) && !none.iter().any(has)
        };
        let asks = all.len() + any.len() > 0;
        let expected = model.iter().filter(|(id, tags)| asks && fits(tags) && after.is_none_or(|after| **id > after));
        let found: Vec<_> = blobs.select_blobs(query, after).map(Result::unwrap).collect();
        assert!(found.iter().eq(expected.map(|(id, _)| id)), "{all:?} {any:?} {none:?}");
    }
}

#[test]
fn tags_are_what_the_model_says() {
    for seed in 0..5 * scale() {
        let mut rng = Rng::new(seed);
        let db = memory();
        let mut committed = Model::new();
        for round in 0..10 {
            let mut txn = db.begin_write().unwrap();
            let mut model = committed.clone();
            for _ in 0..rng.below(if round == 0 { 200 } else { 20 }) {
                if rng.below(16) == 0 {
                    let (checkpoint, before) = (txn.checkpoint().unwrap(), model.clone());
                    change(&txn, &mut model, &mut rng);
                    txn.rollback_to(&checkpoint).unwrap();
                    model = before;
                }
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
        let txn = db.begin_write().unwrap();
        committed.keys().for_each(|id| assert!(txn.delete_blob(*id).unwrap()));
        assert!(txn.list_blob_tags(None, 1).unwrap().is_empty());
        assert!(txn.stats().unwrap().stored_bytes() < 512);
    }
}

#[test]
fn a_tag_is_never_shortened() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let longest = "ä".repeat(MAX_TAG_LENGTH / 2);
    let (cut, over) = (&longest[..MAX_TAG_LENGTH - 2], format!("{longest}a"));
    let id = store(&txn, &[&longest]);
    assert_eq!(txn.blob_tags(id).unwrap(), [&longest[..]]);
    assert_eq!(txn.count_tagged_blobs(cut).unwrap(), 0);
    let refused =
        |err: &BlobError| matches!(err, BlobError::TooLong { what: "tag", length, .. } if *length == over.len());
    assert!(txn.tag_blob(id, &over).is_err_and(|err| refused(&err)));
    let options = StoreOptions::new().with_time_ms(0).with_tags([&over[..]]);
    assert!(txn.store_blob(b"", ContentType::Json, "", options).is_err_and(|err| refused(&err)));
    assert_eq!(txn.count_tagged_blobs(&over).unwrap(), 0);
    assert!(!txn.untag_blob(id, &over).unwrap());
}

#[test]
fn small_tagged_blobs_take_little_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blobs");
    let count = 10_000 * scale().min(10);
    let db = Database::create(&path).unwrap();
    let txn = db.begin_write().unwrap();
    (0..count).for_each(|_| _ = store(&txn, &["notes"]));
    txn.commit().unwrap();
    drop(db);
    let length = std::fs::metadata(path).unwrap().len();
    assert!(length / count <= 240, "{}", length / count);
}
