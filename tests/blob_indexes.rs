//! All that blobs are found by, against what their records say: time, tags, namespaces, contents, expiry, sums.

mod common;

use common::clock::Hand;
use common::crash::RecordingBackend;
use common::rng::Rng;
use common::scale;
use sapwood::backends::InMemoryBackend;
use sapwood::limits::{MAX_METADATA_LENGTH, MAX_NAMESPACE_LENGTH};
use sapwood::{
    BlobError, BlobId, Builder, ContentType, Database, HybridTime, Metadata, MetadataValue, NamespaceQuota,
    ReadableBlobs, ReadableDatabase, StoreOptions, TagQuery, VerifyLevel, WriteTransaction,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NAMESPACES: [&str; 4] = ["", "a", "ab", "größe"];
const TAGS: [&str; 3] = ["x", "xy", "z"];

/// What is said of a blob.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    content: Vec<u8>,
    shared: bool,
    in_pieces: bool,
    time: u64,
    namespace: Option<String>,
    tags: BTreeSet<String>,
    expires: Option<u64>,
    metadata: Metadata,
    label: String,
}

#[derive(Clone, Debug, Default)]
struct Model {
    blobs: BTreeMap<BlobId, Told>,
    quotas: BTreeMap<String, u64>,
    ttls: BTreeMap<String, u64>,
}

impl Model {
    fn seen(&self, now: u64) -> impl Iterator<Item = (BlobId, &Told)> {
        let blobs = self.blobs.iter().map(|(id, told)| (*id, told));
        blobs.filter(move |(_, told)| told.expires.is_none_or(|expires| expires > now))
    }

    fn some_id(&self, now: u64, rng: &mut Rng) -> Option<BlobId> {
        let seen: Vec<_> = self.seen(now).collect();
        (!seen.is_empty()).then(|| rng.pick(&seen).0)
    }

    fn bytes_in(&self, namespace: &str) -> u64 {
        let of_it = self.blobs.values().filter(|told| told.namespace.as_deref() == Some(namespace));
        of_it.map(|told| told.content.len() as u64).sum()
    }

    /// Whether a namespace may have so much more.
    fn admits(&self, namespace: Option<&str>, less: usize, more: usize) -> bool {
        let Some(namespace) = namespace.filter(|_| more > less) else { return true };
        let quota = self.quotas.get(namespace).copied().unwrap_or(u64::MAX);
        self.bytes_in(namespace) - less as u64 + more as u64 <= quota
    }
}

/// The chunks that such a content is cut into, by what they are: its bytes are all the same, and no chunk ends early.
fn chunks_of(content: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let chunks = if content.len() <= 512 { &[] } else { content };
    chunks.chunks(65_536).map(|chunk| (chunk[0], chunk.len()))
}

fn some_content(rng: &mut Rng) -> Vec<u8> {
    let length = *rng.pick(&[0, 10, 512, 513, 4_096, 65_536, 70_000, 140_000]);
    vec![rng.below(3) as u8; length]
}

fn some_name(rng: &mut Rng, names: &[&str]) -> String {
    rng.pick(names).to_string()
}

fn is_quota(result: &Result<impl Sized, BlobError>) -> bool {
    matches!(result, Err(BlobError::QuotaExceeded { what: "bytes", .. }))
}

struct Session {
    rng: Rng,
    clock: Hand,
    last_hybrid: HybridTime,
}

impl Session {
    fn now(&self) -> u64 {
        sapwood::Clock::now_ms(&self.clock)
    }

    fn store(&mut self, txn: &WriteTransaction, model: &mut Model, now: u64) {
        let rng = &mut self.rng;
        let content = some_content(rng);
        let mut told = Told {
            shared: rng.chance(128) && content.len() >= 1000,
            in_pieces: rng.chance(80) && content.len() >= 1000,
            content,
            time: rng.below(20),
            namespace: rng.chance(160).then(|| some_name(rng, &NAMESPACES)),
            tags: (0..rng.below(3)).map(|_| some_name(rng, &TAGS)).collect(),
            expires: None,
            metadata: Metadata::new(),
            label: some_name(rng, &["", "oak", "größe"]),
        };
        let mut options = StoreOptions::new().with_time_ms(told.time).with_dedup(told.shared);
        options = options.with_chunk_dedup(told.in_pieces).with_tags(told.tags.iter().map(String::as_str));
        if let Some(namespace) = &told.namespace {
            options = options.with_namespace(namespace);
            told.expires = model.ttls.get(namespace).map(|ttl| now + ttl);
        }
        if rng.chance(64) {
            let ttl = rng.below(40);
            (told.expires, options) = (Some(now + ttl), options.with_ttl(Duration::from_millis(ttl)));
        }
        if rng.chance(64) {
            let value = rng.next_u64();
            told.metadata.insert("stars".into(), value.into());
            options = options.with_metadata("stars", value);
        }
        let stored = if rng.chance(128) {
            txn.store_blob(&told.content, ContentType::Json, &told.label, options)
        } else {
            let mut writer = txn.blob_writer(ContentType::Json, &told.label, options).unwrap();
            told.content.chunks(30_000).for_each(|piece| writer.write(piece).unwrap());
            writer.finish()
        };
        if !model.admits(told.namespace.as_deref(), 0, told.content.len()) {
            assert!(is_quota(&stored), "{stored:?}");
            return;
        }
        if let Some(same) =
            model.blobs.values().find(|other| told.shared && other.shared && other.content == told.content)
        {
            told.in_pieces = same.in_pieces;
        }
        let id = stored.unwrap();
        let hybrid = txn.get_blob_meta(id).unwrap().map(|meta| meta.hybrid_time);
        assert!(hybrid.is_none_or(|hybrid| hybrid > self.last_hybrid && hybrid.ms() >= now));
        self.last_hybrid = hybrid.unwrap_or(self.last_hybrid);
        assert!(model.blobs.insert(id, told).is_none());
    }

    fn change(&mut self, txn: &WriteTransaction, model: &mut Model, now: u64) {
        let Some(id) = model.some_id(now, &mut self.rng) else { return self.store(txn, model, now) };
        let rng = &mut self.rng;
        let told = model.blobs[&id].clone();
        let mut after = told.clone();
        let changed = match rng.below(10) {
            0 => {
                after.time = rng.below(20);
                txn.retime_blob(id, after.time)
            }
            1 => {
                after.namespace = rng.chance(200).then(|| some_name(rng, &NAMESPACES));
                txn.move_blob(id, after.namespace.as_deref())
            }
            2 => {
                let tag = some_name(rng, &TAGS);
                assert_eq!(txn.tag_blob(id, &tag).unwrap(), after.tags.insert(tag));
                Ok(())
            }
            3 => {
                let tag = some_name(rng, &TAGS);
                assert_eq!(txn.untag_blob(id, &tag).unwrap(), after.tags.remove(&tag));
                Ok(())
            }
            4 => {
                after.expires = rng.chance(128).then(|| now + rng.below(40));
                txn.expire_blob(id, after.expires.map(|expires| Duration::from_millis(expires - now)))
            }
            5 => {
                let value = rng.chance(128).then(|| MetadataValue::from("much"));
                after.metadata.remove("stars");
                value.iter().for_each(|value| drop(after.metadata.insert("stars".into(), value.clone())));
                txn.set_blob_metadata(id, "stars", value)
            }
            6 => {
                let more = vec![told.content.first().copied().unwrap_or_default(); some_content(rng).len()];
                after.content.extend(&more);
                after.shared = false;
                txn.append_blob(id, &more)
            }
            7 => {
                (after.content, after.shared, after.in_pieces) = (some_content(rng), false, false);
                txn.replace_blob(id, &after.content)
            }
            8 => {
                after.label = some_name(rng, &["", "oak", "größe"]);
                txn.relabel_blob(id, &after.label)
            }
            _ => {
                assert!(txn.delete_blob(id).unwrap());
                model.blobs.remove(&id);
                return;
            }
        };
        let less = if told.namespace == after.namespace { told.content.len() } else { 0 };
        if !model.admits(after.namespace.as_deref(), less, after.content.len()) {
            assert!(is_quota(&changed), "{changed:?}");
            return;
        }
        changed.unwrap();
        model.blobs.insert(id, after);
    }

    /// What concerns many blobs.
    fn sweep(&mut self, txn: &WriteTransaction, model: &mut Model, now: u64) {
        let rng = &mut self.rng;
        let name = some_name(rng, &NAMESPACES);
        let before = model.blobs.len();
        let is_seen = |told: &Told| told.expires.is_none_or(|expires| expires > now);
        let deleted = match rng.below(6) {
            0 => {
                let quota = *rng.pick(&[0, 100_000, 300_000, u64::MAX]);
                model.quotas.insert(name.clone(), quota);
                return txn.set_namespace_quota(&name, NamespaceQuota::UNLIMITED.with_max_bytes(quota)).unwrap();
            }
            1 => {
                let ttl = rng.chance(128).then(|| rng.below(60));
                model.ttls.remove(&name);
                model.ttls.extend(ttl.map(|ttl| (name.clone(), ttl)));
                return txn.set_namespace_ttl(&name, ttl.map(Duration::from_millis)).unwrap();
            }
            2 => {
                model.blobs.retain(|_, told| !is_seen(told) || told.namespace.as_ref() != Some(&name));
                txn.delete_blobs_in_namespace(&name)
            }
            3 => {
                model.blobs.retain(|_, told| !is_seen(told) || !told.tags.contains("xy"));
                txn.delete_selected_blobs(&TagQuery::new().all_of(["xy"]))
            }
            4 => {
                model.blobs.retain(|_, told| !is_seen(told) || !(3..5).contains(&told.time));
                txn.delete_blobs_in_time_range(3..5)
            }
            _ => {
                let limit = rng.below(4);
                let mut gone: Vec<_> = model.blobs.iter().filter(|(_, told)| !is_seen(told)).collect();
                gone.sort_by_key(|(id, told)| (told.expires, **id));
                let gone: Vec<_> = gone.into_iter().take(limit as usize).map(|(id, _)| *id).collect();
                gone.iter().for_each(|id| drop(model.blobs.remove(id)));
                txn.purge_expired_blobs(limit)
            }
        };
        assert_eq!(deleted.unwrap(), (before - model.blobs.len()) as u64);
    }
}

/// The blobs that are seen and of which something is so.
type Listing<'m> = dyn Fn(&dyn Fn(&Told) -> bool) -> Vec<BlobId> + 'm;

fn all<I>(found: impl Iterator<Item = Result<I, BlobError>>) -> Vec<I> {
    found.collect::<Result<_, _>>().unwrap()
}

/// Every way to find blobs gives what the model has.
fn check(blobs: &impl ReadableBlobs, model: &Model, now: u64) {
    let seen: BTreeMap<BlobId, &Told> = model.seen(now).collect();
    let ids = |is: &dyn Fn(&Told) -> bool| -> Vec<BlobId> {
        seen.iter().filter(|(_, told)| is(told)).map(|(id, _)| *id).collect()
    };
    assert_eq!(all(blobs.list_blobs(None)), ids(&|_| true));
    for (id, told) in &model.blobs {
        let found = blobs.get_blob(*id).unwrap();
        let Some((content, meta)) = found else {
            assert!(!seen.contains_key(id));
            continue;
        };
        assert!(content == told.content, "blob {id}");
        assert_eq!((meta.id, meta.time_ms, &meta.label), (*id, told.time, &told.label));
        assert_eq!(
            (&meta.namespace, meta.expires_at_ms, &meta.metadata),
            (&told.namespace, told.expires, &told.metadata)
        );
        assert_eq!(blobs.blob_tags(*id).unwrap().into_iter().collect::<BTreeSet<_>>(), told.tags);
    }
    let mut by_time: Vec<_> = seen.iter().map(|(id, told)| (told.time, *id)).collect();
    by_time.sort_unstable();
    assert_eq!(all(blobs.blobs_in_time_range(..)), by_time);
    assert!(all(blobs.blobs_in_time_range(..).rev()).iter().eq(by_time.iter().rev()));
    for tag in TAGS {
        assert_eq!(all(blobs.select_blobs(TagQuery::new().all_of([tag]), None)), ids(&|told| told.tags.contains(tag)));
        let tagged = model.blobs.values().filter(|told| told.tags.contains(tag)).count();
        assert_eq!(blobs.count_tagged_blobs(tag).unwrap(), tagged as u64);
    }
    check_namespaces(blobs, model, &ids);
    check_sums(blobs, model, &ids);
}

fn check_namespaces(blobs: &impl ReadableBlobs, model: &Model, ids: &Listing<'_>) {
    let mut expected = Vec::new();
    for name in NAMESPACES {
        assert_eq!(all(blobs.blobs_in_namespace(name, None)), ids(&|told| told.namespace.as_deref() == Some(name)));
        let count = model.blobs.values().filter(|told| told.namespace.as_deref() == Some(name)).count() as u64;
        let quota = model.quotas.get(name).copied().filter(|quota| *quota != u64::MAX);
        if count > 0 || quota.is_some() || model.ttls.contains_key(name) {
            expected.push((name.to_string(), count, model.bytes_in(name)));
        }
        let info = blobs.blob_namespace_info(name).unwrap();
        assert_eq!(info.is_some(), expected.last().is_some_and(|(last, ..)| last == name));
    }
    let listed = blobs.list_blob_namespaces(None, 10).unwrap().into_iter();
    assert_eq!(listed.map(|info| (info.name, info.blobs, info.bytes)).collect::<Vec<_>>(), expected);
}

fn check_sums(blobs: &impl ReadableBlobs, model: &Model, ids: &Listing<'_>) {
    let stats = blobs.blob_stats().unwrap();
    let bytes: usize = model.blobs.values().map(|told| told.content.len()).sum();
    assert_eq!((stats.blobs, stats.bytes), (model.blobs.len() as u64, bytes as u64));
    let shared: Vec<_> = model.blobs.values().filter(|told| told.shared).collect();
    let contents: BTreeSet<_> = shared.iter().map(|told| &told.content).collect();
    let (mut plain, mut pieces, mut seen) = (0, BTreeMap::new(), BTreeSet::new());
    for told in model.blobs.values().filter(|told| !told.shared || seen.insert(&told.content)) {
        match told.in_pieces {
            true => chunks_of(&told.content).for_each(|piece| *pieces.entry(piece).or_insert(0) += 1),
            false => plain += chunks_of(&told.content).count(),
        }
    }
    assert_eq!(stats.chunks, (plain + pieces.len()) as u64);
    let dedup = blobs.dedup_stats().unwrap();
    let length = |told: &&Told| told.content.len();
    let saved = shared.iter().map(length).sum::<usize>() - contents.iter().map(|content| content.len()).sum::<usize>();
    let saved = saved + pieces.iter().map(|((_, length), uses)| length * (uses - 1)).sum::<usize>();
    assert_eq!(dedup.chunks, pieces.len() as u64);
    assert_eq!((dedup.contents, dedup.blobs), (contents.len() as u64, shared.len() as u64));
    assert_eq!(dedup.saved_bytes, saved as u64);
    for (id, told) in &model.blobs {
        let Some(hash) = blobs.blob_content_hash(*id).unwrap() else { continue };
        let same = ids(&|other| other.shared && other.content == told.content);
        assert!(told.shared && all(blobs.blobs_by_content(hash, None)) == same);
    }
}

#[test]
fn all_that_blobs_are_found_by_is_what_their_records_say() {
    for seed in 0..60 * scale() {
        println!("seed {seed}");
        let mut session = Session { rng: Rng::new(seed), clock: Hand::default(), last_hybrid: HybridTime::default() };
        session.clock.set(1_000);
        let page_size = 512 << session.rng.below(8);
        let cache = *session.rng.pick(&[0, 1 << 20]);
        let mut backend = RecordingBackend::new();
        let open = |backend: &RecordingBackend, clock: &Hand| -> Database {
            let mut builder = Builder::new();
            builder.set_page_size(page_size).set_cache_size(cache).set_clock(clock.clone()).set_history_retention(5);
            builder.set_blob_dedup_min_size(1000).create_with_backend(backend.clone()).unwrap()
        };
        let mut db = open(&backend, &session.clock);
        let (mut committed, mut past) = (Model::default(), BTreeMap::new());
        for _ in 0..15 {
            session.clock.advance(session.rng.below(30));
            let now = session.now();
            let (mut txn, mut model) = (db.begin_write().unwrap(), committed.clone());
            let committed_hybrid = session.last_hybrid;
            for _ in 0..session.rng.below(8) {
                let (checkpoint, before, last) = (txn.checkpoint().unwrap(), model.clone(), session.last_hybrid);
                match session.rng.below(5) {
                    0 => session.sweep(&txn, &mut model, now),
                    1 | 2 => session.change(&txn, &mut model, now),
                    _ => session.store(&txn, &mut model, now),
                }
                if session.rng.chance(30) {
                    txn.rollback_to(&checkpoint).unwrap();
                    (model, session.last_hybrid) = (before, last);
                }
            }
            check(&txn, &model, now);
            if session.rng.chance(40) {
                txn.abort().unwrap();
                session.last_hybrid = committed_hybrid;
            } else {
                txn.commit().unwrap();
                committed = model;
                assert_eq!(db.verify_integrity(VerifyLevel::Rows).unwrap().findings, []);
            }
            if session.rng.chance(30) {
                drop(db);
                backend = RecordingBackend::from_image(backend.contents());
                db = open(&backend, &session.clock);
            }
            check(&db.begin_read().unwrap(), &committed, session.now());
            let newest = db.transaction_history().unwrap().last().copied();
            newest
                .into_iter()
                .for_each(|info| drop(past.insert(info.transaction_id, (info.timestamp_ms, committed.clone()))));
        }
        for info in db.transaction_history().unwrap() {
            let (time, model) = &past[&info.transaction_id];
            check(&db.begin_read_at(info.transaction_id).unwrap(), model, *time);
        }
        assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
    }
}

fn memory() -> (Database, Hand) {
    let clock = Hand::default();
    clock.set(1_000);
    (Builder::new().set_clock(clock.clone()).create_with_backend(InMemoryBackend::new()).unwrap(), clock)
}

fn put(txn: &WriteTransaction, options: StoreOptions) -> Result<BlobId, BlobError> {
    txn.store_blob(&[7; 5_000], ContentType::Json, "", options)
}

#[test]
fn namespaces_and_metadata_are_refused_over_their_limits_and_never_cut() {
    let (db, _) = memory();
    let txn = db.begin_write().unwrap();
    let longest = "ä".repeat(MAX_NAMESPACE_LENGTH / 2);
    let near = [longest.clone(), format!("{}a", &longest[2..]), format!("{}ö", &longest[2..])];
    let ids: Vec<_> = near.iter().map(|name| put(&txn, StoreOptions::new().with_namespace(name)).unwrap()).collect();
    for (name, id) in near.iter().zip(&ids) {
        assert_eq!(all(txn.blobs_in_namespace(name, None)), [*id]);
        assert_eq!(txn.blob_namespace(*id).unwrap().as_ref(), Some(name));
    }
    let over = format!("{longest}a");
    let too_long = |result: Result<(), BlobError>, what| {
        assert!(
            matches!(result, Err(BlobError::TooLong { what: found, length, limit }) if found == what && length > limit)
        );
    };
    too_long(put(&txn, StoreOptions::new().with_namespace(&over)).map(drop), "namespace");
    too_long(txn.move_blob(ids[0], Some(&over)), "namespace");
    too_long(txn.set_namespace_quota(&over, NamespaceQuota::UNLIMITED), "namespace");
    // A count, the length of a name, the name, a kind, the length of a text in three or five bytes.
    let text = "ä".repeat((MAX_METADATA_LENGTH - 1 - 2 - 1 - 3) / 2);
    let id = put(&txn, StoreOptions::new().with_metadata("n", &*text)).unwrap();
    assert_eq!(txn.get_blob_meta(id).unwrap().unwrap().metadata["n"], text.as_str().into());
    too_long(put(&txn, StoreOptions::new().with_metadata("n", format!("{text}ab"))).map(drop), "metadata");
    too_long(txn.set_blob_metadata(id, "m", Some(1_u64.into())), "metadata");
    assert_eq!(txn.get_blob_meta(id).unwrap().unwrap().metadata.len(), 1);
    assert_eq!(txn.blob_stats().unwrap().blobs, 4);
}

#[test]
fn a_blob_over_the_quota_leaves_nothing() {
    let (db, _) = memory();
    let txn = db.begin_write().unwrap();
    txn.set_namespace_quota("full", NamespaceQuota::UNLIMITED.with_max_blobs(1)).unwrap();
    let in_full = || StoreOptions::new().with_namespace("full").with_tags(["t"]);
    let first = put(&txn, in_full()).unwrap();
    let before = txn.stats().unwrap().stored_bytes();
    for dedup in [false, true] {
        let refused = put(&txn, in_full().with_dedup(dedup));
        assert!(matches!(refused, Err(BlobError::QuotaExceeded { what: "blobs", limit: 1, .. })));
    }
    assert_eq!(txn.stats().unwrap().stored_bytes(), before);
    assert_eq!(txn.blob_stats().unwrap().chunks, 1);
    assert!(txn.delete_blob(first).unwrap());
    put(&txn, in_full()).unwrap();
}

#[test]
fn what_has_expired_is_gone_for_those_who_begin_later() {
    let (db, clock) = memory();
    let txn = db.begin_write().unwrap();
    let id = put(&txn, StoreOptions::new().with_ttl(Duration::from_millis(5))).unwrap();
    txn.commit().unwrap();
    let early = db.begin_read().unwrap();
    assert!(early.get_blob_meta(id).unwrap().is_some());
    clock.advance(5);
    assert!(early.get_blob_meta(id).unwrap().is_some(), "a transaction's time is one");
    assert!(db.begin_read().unwrap().get_blob_meta(id).unwrap().is_none());
    let txn = db.begin_write().unwrap();
    assert!(matches!(txn.expire_blob(id, None), Err(BlobError::NotFound(_))));
    assert!(!txn.delete_blob(id).unwrap());
    assert_eq!(txn.blob_stats().unwrap().blobs, 1);
    assert_eq!(txn.purge_expired_blobs(u64::MAX).unwrap(), 1);
    assert_eq!(txn.blob_stats().unwrap().blobs, 0);
}

#[test]
fn hybrid_times_go_on_behind_those_that_were_seen() {
    let (db, clock) = memory();
    let txn = db.begin_write().unwrap();
    let hybrid = |id| txn.get_blob_meta(id).unwrap().unwrap().hybrid_time;
    let first = hybrid(put(&txn, StoreOptions::new()).unwrap());
    assert_eq!((first.ms(), first.counter()), (1_000, 0));
    let remote = HybridTime::new(5_000, 7).unwrap();
    assert_eq!(hybrid(put(&txn, StoreOptions::new().with_hybrid_time(remote)).unwrap()), remote);
    let next = hybrid(put(&txn, StoreOptions::new()).unwrap());
    assert_eq!((next.ms(), next.counter()), (5_000, 8));
    clock.set(9_000);
    assert_eq!(HybridTime::new(1 << 48, 0), None);
    txn.commit().unwrap();
    let txn = db.begin_write().unwrap();
    let id = put(&txn, StoreOptions::new()).unwrap();
    assert_eq!(txn.get_blob_meta(id).unwrap().unwrap().hybrid_time.ms(), 9_000);
}

#[test]
fn deleting_one_of_many_tagged_blobs_touches_as_many_pages_as_of_few() {
    let pages_of = |count: u64| {
        let backend = RecordingBackend::new();
        let db = Builder::new().create_with_backend(backend.clone()).unwrap();
        let txn = db.begin_write().unwrap();
        for nth in 0..count {
            let options = StoreOptions::new().with_time_ms(nth).with_tags(["all", "of", "them"]).with_namespace("here");
            txn.store_blob(&[7; 100], ContentType::Json, "", options).unwrap();
        }
        txn.commit().unwrap();
        backend.take_counters();
        let txn = db.begin_write().unwrap();
        assert!(txn.delete_blob(BlobId::new(count / 2)).unwrap());
        txn.commit().unwrap();
        backend.take_counters().bytes_written / 4096
    };
    let (few, many) = (pages_of(1_000), pages_of(10_000 * scale().min(10)));
    println!("{few} pages of 1,000, {many} pages of {}", 10_000 * scale().min(10));
    // A level more in each of the trees.
    assert!(few <= 16, "{few} pages");
    assert!(many <= few + 10, "{many} pages, and {few} of few");
}
