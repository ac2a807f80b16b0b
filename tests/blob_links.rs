//! Links between blobs against a model.

mod common;

use common::clock::Hand;
use common::links::{Links, RELATIONS};
use common::rng::Rng;
use common::scale;
use sapwood::backends::InMemoryBackend;
use sapwood::limits::MAX_EDGE_CONTEXT_LENGTH;
use sapwood::{
    BlobError, BlobId, Builder, ContentType, Database, DeleteLinks, Follow, Link, ReadableBlobs, ReadableDatabase,
    Relation, StoreOptions, VerifyLevel, WriteTransaction,
};
use std::collections::BTreeSet;
use std::time::Duration;

fn memory() -> Database {
    Builder::new().create_with_backend(InMemoryBackend::new()).unwrap()
}

fn store(txn: &WriteTransaction, parents: &[(BlobId, Relation)]) -> Result<BlobId, BlobError> {
    let options = StoreOptions::new().with_time_ms(5);
    let options = parents.iter().fold(options, |options, (parent, relation)| options.with_parent(*parent, *relation));
    txn.store_blob(&[7; 600], ContentType::OctetStream, "", options)
}

fn plain(txn: &WriteTransaction) -> BlobId {
    store(txn, &[]).unwrap()
}

#[derive(Clone)]
struct Model {
    blobs: BTreeSet<BlobId>,
    links: Links<BlobId>,
}

impl Model {
    /// Any blob, and now and then one that is not there.
    fn some(&self, rng: &mut Rng) -> BlobId {
        let known = self.blobs.iter().nth(rng.below(self.blobs.len().max(1) as u64) as usize);
        known.copied().filter(|_| rng.below(32) > 0).unwrap_or(BlobId::new(1 << 40))
    }

    fn missing(&self, ids: &[BlobId]) -> Option<u64> {
        ids.iter().find(|id| !self.blobs.contains(id)).map(|id| id.sequence())
    }
}

fn store_some(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    let parents: Vec<_> = (0..rng.below(3)).map(|_| (model.some(rng), *rng.pick(&RELATIONS))).collect();
    let ids: Vec<_> = parents.iter().map(|(parent, _)| *parent).collect();
    match (store(txn, &parents), model.missing(&ids)) {
        (Ok(id), None) => {
            assert!(model.blobs.insert(id));
            for (parent, relation) in parents {
                model.links.add(&parent, relation, &id, "").unwrap();
            }
        }
        (Err(BlobError::NotFound(number)), Some(missing)) => assert_eq!(number, missing),
        (result, missing) => panic!("{result:?}, {missing:?} is missing"),
    }
}

fn link_some(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    let (parent, child, relation) = (model.some(rng), model.some(rng), *rng.pick(&RELATIONS));
    let context = *rng.pick(&["", "why", "wherefore, ä"]);
    let linked = txn.link_blobs(parent, child, relation, context);
    if let Some(missing) = model.missing(&[parent, child]) {
        assert!(matches!(linked, Err(BlobError::NotFound(number)) if number == missing));
        return;
    }
    match model.links.add(&parent, relation, &child, context) {
        Some(new) => assert_eq!(linked.unwrap(), new),
        None => {
            let ends = (parent.sequence(), child.sequence());
            assert!(matches!(linked, Err(BlobError::Cycle { parent, child }) if (parent, child) == ends));
        }
    }
}

fn unlink_some(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    let known = model.links.0.keys().nth(rng.below(model.links.0.len().max(1) as u64) as usize).copied();
    let unknown = (model.some(rng), *rng.pick(&RELATIONS), model.some(rng));
    let (parent, relation, child) = known.filter(|_| rng.below(4) > 0).unwrap_or(unknown);
    let removed = model.links.remove(&parent, relation, &child);
    assert_eq!(txn.unlink_blobs(parent, child, relation).unwrap(), removed);
}

fn change(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    match rng.below(16) {
        0..5 => store_some(txn, model, rng),
        5..12 => link_some(txn, model, rng),
        12..14 => unlink_some(txn, model, rng),
        _ => {
            let (id, links) = (model.some(rng), *rng.pick(&[DeleteLinks::Cut, DeleteLinks::Heal]));
            let deleted = match links {
                DeleteLinks::Heal => txn.delete_blob_with(id, links),
                _ => txn.delete_blob(id),
            };
            assert_eq!(deleted.unwrap(), model.blobs.remove(&id));
            model.links.remove_thing(&id, links);
        }
    }
}

fn plain_links(links: impl Iterator<Item = Result<Link, BlobError>>) -> Vec<(Relation, BlobId, String)> {
    links.map(Result::unwrap).map(|Link { blob, relation, context, .. }| (relation, blob, context)).collect()
}

fn check(blobs: &impl ReadableBlobs, Model { blobs: ids, links }: &Model, rng: &mut Rng) {
    for id in ids {
        let (children, parents) = (links.children(id), links.parents(id));
        assert_eq!(plain_links(blobs.causal_children(*id)), children);
        assert_eq!(plain_links(blobs.causal_parents(*id)), parents);
        if let Some((at, (relation, child, _))) = children.iter().enumerate().nth(rng.below(3) as usize) {
            assert_eq!(plain_links(blobs.causal_children(*id).after(*relation, *child)), children[at + 1..]);
        }
        let hops = *rng.pick(&[0, 1, 2, 3, u32::MAX]);
        assert_eq!(blobs.causal_chain(*id, hops).unwrap(), links.chain(id, hops));
        links.check_within(id, Follow::Parents, hops, &blobs.causal_ancestors(*id, hops).unwrap());
        links.check_within(id, Follow::Children, hops, &blobs.causal_descendants(*id, hops).unwrap());
        let other = *ids.iter().nth(rng.below(ids.len() as u64) as usize).unwrap();
        let path = blobs.causal_path(*id, other, hops).unwrap();
        links.check_path((id, &other), Follow::Either, hops, path.as_deref());
    }
    let absent = BlobId::new(1 << 40);
    assert!(blobs.causal_chain(absent, 9).unwrap().is_empty());
    assert_eq!(blobs.causal_path(absent, absent, 9).unwrap(), None);
    assert!(blobs.causal_children(absent).next().is_none() && blobs.causal_parents(absent).next().is_none());
}

fn run(db: &mut Database, reopen: impl Fn() -> Database, rng: &mut Rng) {
    let mut committed = Model { blobs: BTreeSet::new(), links: Links::new() };
    for round in 0..10 {
        let mut txn = db.begin_write().unwrap();
        let mut model = committed.clone();
        let savepoint = (rng.below(3) == 0).then(|| txn.ephemeral_savepoint().unwrap());
        for _ in 0..rng.below(if round == 0 { 100 } else { 30 }) {
            if rng.below(16) == 0 {
                let (checkpoint, before) = (txn.checkpoint().unwrap(), model.clone());
                (0..3).for_each(|_| change(&txn, &mut model, rng));
                txn.rollback_to(&checkpoint).unwrap();
                model = before;
            }
            change(&txn, &mut model, rng);
        }
        check(&txn, &model, rng);
        if let Some(savepoint) = savepoint {
            txn.restore_savepoint(&savepoint).unwrap();
            model = committed.clone();
            (0..5).for_each(|_| change(&txn, &mut model, rng));
        }
        if rng.below(4) == 0 {
            txn.abort().unwrap();
        } else {
            txn.commit().unwrap();
            committed = model;
        }
        if rng.below(4) == 0 {
            *db = memory();
            *db = reopen();
        }
        check(&db.begin_read().unwrap(), &committed, rng);
    }
    assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
    let txn = db.begin_write().unwrap();
    committed.blobs.iter().for_each(|id| assert!(txn.delete_blob(*id).unwrap()));
    assert!(txn.stats().unwrap().stored_bytes() < 512, "links are left");
}

#[test]
fn links_are_what_the_model_says() {
    for seed in 0..10 * scale() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blobs");
        let mut db = Database::create(&path).unwrap();
        run(&mut db, || Database::open(&path).unwrap(), &mut Rng::new(seed));
    }
}

#[test]
fn a_context_is_never_shortened() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let (parent, child) = (plain(&txn), plain(&txn));
    let longest = "ä".repeat(MAX_EDGE_CONTEXT_LENGTH / 2);
    let over = format!("{}aä", &longest[2..]);
    assert!(txn.link_blobs(parent, child, Relation::Similar, &longest[2..]).unwrap());
    assert!(!txn.link_blobs(parent, child, Relation::Similar, &longest).unwrap());
    let refused = txn.link_blobs(parent, child, Relation::Similar, &over);
    assert!(matches!(refused, Err(BlobError::TooLong { what: "context", length: 4_097, limit: 4_096 })));
    assert!(txn.link_blobs(parent, child, Relation::Custom(1), &over).is_err());
    let link = (Relation::Similar, child, longest.clone());
    assert_eq!(plain_links(txn.causal_children(parent)), [link]);
    assert_eq!(plain_links(txn.causal_parents(child)), [(Relation::Similar, parent, longest)]);
}

#[test]
fn what_names_a_missing_parent_stores_nothing() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let (kept, gone) = (plain(&txn), plain(&txn));
    let before = txn.stats().unwrap().stored_bytes();
    let options = || {
        let options = StoreOptions::new().with_time_ms(0).with_tags(["oak"]);
        options.with_parent(kept, Relation::Derived).with_parent(gone, Relation::Similar)
    };
    let mut writer = txn.blob_writer(ContentType::OctetStream, "", options()).unwrap();
    writer.write(&[7; 100_000]).unwrap();
    txn.delete_blob(gone).unwrap();
    let missing = |result: Result<BlobId, BlobError>| matches!(result, Err(BlobError::NotFound(number)) if number == gone.sequence());
    assert!(missing(writer.finish()));
    assert!(missing(txn.store_blob(&[7; 100_000], ContentType::OctetStream, "", options())));
    assert!(txn.stats().unwrap().stored_bytes() < before);
    assert_eq!(txn.count_tagged_blobs("oak").unwrap(), 0);
    assert_eq!(txn.causal_children(kept).count(), 0);
}

/// Two searches that know nothing of each other's pages: 200 children are several batches.
#[test]
fn many_links_are_given_in_their_order_from_wherever_one_says() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let hub = plain(&txn);
    let mut expected: Vec<_> = (0..200_u16)
        .map(|at| {
            let relation = if at % 3 == 0 { Relation::Custom(at) } else { Relation::Supports };
            (relation, store(&txn, &[(hub, relation)]).unwrap(), String::new())
        })
        .collect();
    expected.sort();
    assert_eq!(plain_links(txn.causal_children(hub)), expected);
    for at in [0, 63, 64, 127, 198, 199] {
        let (relation, blob, _) = expected[at];
        assert_eq!(plain_links(txn.causal_children(hub).after(relation, blob)), expected[at + 1..]);
    }
    assert!(matches!(txn.link_blobs(expected[150].1, hub, Relation::Derived, ""), Err(BlobError::Cycle { .. })));
    let root = plain(&txn);
    assert!(txn.link_blobs(root, hub, Relation::Derived, "").unwrap());
    assert!(txn.delete_blob_with(hub, DeleteLinks::Heal).unwrap());
    assert_eq!(plain_links(txn.causal_children(root)), expected);
}

/// Two blobs between which there are 2^60 ways, of 120 hops each.
fn lattice(txn: &WriteTransaction) -> (BlobId, BlobId) {
    let first = plain(txn);
    let last = (0..60).fold(first, |last, _| {
        let sides = [0, 1].map(|_| (store(txn, &[(last, Relation::Derived)]).unwrap(), Relation::Derived));
        store(txn, &sides).unwrap()
    });
    (first, last)
}

#[test]
fn ways_that_meet_again_are_followed_once() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let ((first, middle), (other, last)) = (lattice(&txn), lattice(&txn));
    assert!(txn.link_blobs(middle, other, Relation::Derived, "").unwrap());
    assert!(matches!(txn.link_blobs(last, first, Relation::Similar, ""), Err(BlobError::Cycle { .. })));
    assert_eq!(txn.causal_descendants(first, 500).unwrap().len(), 361);
    assert_eq!(txn.causal_path(first, last, 241).unwrap().unwrap().len(), 242);
    assert_eq!(txn.causal_path(first, last, 240).unwrap(), None);
}

/// On a stack that has no room for a frame per blob.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_chain_may_have_any_length() {
    on_a_small_stack(|| {
        let db = memory();
        let txn = db.begin_write().unwrap();
        let length = 100_000;
        let mut chain = vec![plain(&txn)];
        for at in 1..length {
            chain.push(store(&txn, &[(chain[at - 1], Relation::Derived)]).unwrap());
        }
        let (first, last) = (chain[0], chain[length - 1]);
        assert!(matches!(txn.link_blobs(last, first, Relation::Derived, ""), Err(BlobError::Cycle { .. })));
        assert!(txn.link_blobs(chain[length / 3], last, Relation::Similar, "").unwrap());
        assert!(txn.unlink_blobs(chain[length / 3], last, Relation::Similar).unwrap());
        assert!(txn.causal_chain(last, u32::MAX).unwrap().iter().rev().eq(&chain));
        assert_eq!(txn.causal_ancestors(last, u32::MAX).unwrap().last(), Some(&(first, length as u32 - 1)));
        assert_eq!(txn.causal_descendants(first, u32::MAX).unwrap().last(), Some(&(last, length as u32 - 1)));
        assert_eq!(txn.causal_path(last, first, length as u32 - 1).unwrap().unwrap().len(), length);
        assert_eq!(txn.causal_path(last, first, length as u32 - 2).unwrap(), None);
        for middle in chain.iter().skip(1).step_by(2) {
            assert!(txn.delete_blob_with(*middle, DeleteLinks::Heal).unwrap());
        }
        let healed = txn.causal_chain(chain[length - 2], u32::MAX).unwrap();
        assert!(healed.iter().rev().eq(chain.iter().step_by(2)));
    });
}

/// All that can be asked of links, of these blobs.
fn ask_all(blobs: &impl ReadableBlobs, ids: &[BlobId]) -> Vec<String> {
    let mut answers = Vec::new();
    for id in ids {
        answers.push(format!("{:?}", plain_links(blobs.causal_children(*id))));
        answers.push(format!("{:?}", plain_links(blobs.causal_parents(*id))));
        answers.push(format!("{:?}", blobs.causal_chain(*id, 10).unwrap()));
        answers.push(format!("{:?}", blobs.causal_ancestors(*id, 4).unwrap()));
        answers.push(format!("{:?}", blobs.causal_descendants(*id, 4).unwrap()));
        answers.extend(ids.iter().map(|to| format!("{:?}", blobs.causal_path(*id, *to, 5).unwrap())));
    }
    answers
}

#[test]
fn no_way_leads_through_a_blob_that_has_expired() {
    for seed in 0..10 * scale() {
        let (mut rng, clock) = (Rng::new(seed), Hand::default());
        let db = Builder::new().set_clock(clock.clone()).create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        let mut ids = Vec::new();
        for _ in 0..12 {
            let parents = if ids.is_empty() { 0 } else { rng.below(4) };
            let parents: Vec<_> = (0..parents).map(|_| (*rng.pick(&ids), *rng.pick(&RELATIONS))).collect();
            ids.push(store(&txn, &parents).unwrap());
        }
        let mortal: Vec<_> = (0..3).map(|_| *rng.pick(&ids)).collect();
        mortal.iter().for_each(|id| txn.expire_blob(*id, Some(Duration::from_millis(5))).unwrap());
        let before = ask_all(&txn, &ids);
        txn.commit().unwrap();
        assert_eq!(ask_all(&db.begin_read().unwrap(), &ids), before);

        clock.advance(5);
        let seen = ask_all(&db.begin_read().unwrap(), &ids);
        assert_ne!(seen, before);
        let txn = db.begin_write().unwrap();
        assert_eq!(ask_all(&txn, &ids), seen);
        assert!(txn.purge_expired_blobs(u64::MAX).unwrap() > 0);
        assert_eq!(ask_all(&txn, &ids), seen);
    }
}
