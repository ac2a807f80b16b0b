//! Blobs, and all that they are found by.

use crate::common::rng::Rng;
use crate::model::{Bytes, Model, text};
use crate::work::Work;
use sapwood::{BlobError, BlobId, ContentType, ReadableBlobs, StoreOptions, TagQuery, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};

const TAGS: [&str; 3] = ["old", "older", "oldest"];
const NAMESPACES: [&str; 2] = ["wood", "woods"];

/// What is known of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    content: Bytes,
    time: u64,
    namespace: Option<&'static str>,
    tags: BTreeSet<&'static str>,
    shared: bool,
}

pub type Blobs = BTreeMap<u64, Blob>;

fn ids<I>(found: impl Iterator<Item = Result<I, BlobError>>) -> Result<Vec<I>, String> {
    found.collect::<Result<_, _>>().map_err(text)
}

/// All blobs; an error if they are not found by what they have, and by nothing else.
pub fn blobs_of(txn: &impl ReadableBlobs) -> Result<Blobs, String> {
    let mut blobs = Blobs::new();
    for id in ids(txn.list_blobs(None))? {
        let (content, meta) = txn.get_blob(id).map_err(text)?.ok_or("a blob that is listed is not there")?;
        let has = txn.blob_tags(id).map_err(text)?;
        let tags = TAGS.into_iter().filter(|tag| has.iter().any(|has| has == tag)).collect();
        let namespace = NAMESPACES.into_iter().find(|name| meta.namespace.as_deref() == Some(*name));
        let shared = txn.blob_content_hash(id).map_err(text)?.is_some();
        blobs.insert(id.sequence(), Blob { content: content.into(), time: meta.time_ms, namespace, tags, shared });
    }
    check(txn, &blobs)?;
    Ok(blobs)
}

fn check(txn: &impl ReadableBlobs, blobs: &Blobs) -> Result<(), String> {
    let all_with = |has: &dyn Fn(&Blob) -> bool| -> Vec<BlobId> {
        blobs.iter().filter(|(_, blob)| has(blob)).map(|(id, _)| BlobId::new(*id)).collect()
    };
    for tag in TAGS {
        let query = TagQuery::new().all_of([tag]);
        same(tag, ids(txn.select_blobs(query, None))?, all_with(&|blob| blob.tags.contains(tag)))?;
    }
    for name in NAMESPACES {
        let members = all_with(&|blob| blob.namespace == Some(name));
        let info = txn.blob_namespace_info(name).map_err(text)?;
        same("count of a namespace", info.map_or(0, |info| info.blobs), members.len() as u64)?;
        same(name, ids(txn.blobs_in_namespace(name, None))?, members)?;
    }
    let mut by_time: Vec<_> = blobs.iter().map(|(id, blob)| (blob.time, BlobId::new(*id))).collect();
    by_time.sort_unstable();
    same("times", ids(txn.blobs_in_time_range(..))?, by_time)?;
    let stats = txn.blob_stats().map_err(text)?;
    let bytes = blobs.values().map(|blob| blob.content.len() as u64).sum();
    same("sums", (stats.blobs, stats.bytes), (blobs.len() as u64, bytes))?;
    let shared = blobs.values().filter(|blob| blob.shared).count() as u64;
    same("shared", txn.dedup_stats().map_err(text)?.blobs, shared)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}")) }
}

fn content(rng: &mut Rng) -> Vec<u8> {
    // Two chunks make a file large, and each of its images slow.
    let length = if rng.chance(4) { 70_000 } else { *rng.pick(&[0, 100, 600, 3_000, 5_000]) };
    vec![rng.below(2) as u8; length]
}

impl Work<'_> {
    pub fn change_blobs(&mut self, txn: &WriteTransaction, model: &mut Model, steps: u64) -> Result<(), String> {
        for _ in 0..steps.min(8) {
            let nth = self.rng.below(model.blobs.len().max(1) as u64) as usize;
            match model.blobs.keys().nth(nth).copied().filter(|_| self.rng.chance(160)) {
                Some(id) => self.change_blob(txn, &mut model.blobs, id)?,
                None => self.store_blob(txn, &mut model.blobs)?,
            }
        }
        Ok(())
    }

    fn store_blob(&mut self, txn: &WriteTransaction, blobs: &mut Blobs) -> Result<(), String> {
        let rng = &mut *self.rng;
        let (content, time) = (content(rng), rng.below(50));
        let (shared, namespace) = (rng.chance(128), rng.chance(128).then(|| *rng.pick(&NAMESPACES)));
        let tags: BTreeSet<_> = (0..rng.below(3)).map(|_| *rng.pick(&TAGS)).collect();
        let options = StoreOptions::new().with_time_ms(time).with_tags(tags.iter().copied()).with_dedup(shared);
        let options = namespace.map_or(options.clone(), |name| options.with_namespace(name));
        let mut writer = txn.blob_writer(ContentType::Json, "", options).map_err(text)?;
        for piece in content.chunks(2_500) {
            writer.write(piece).map_err(text)?;
        }
        if rng.chance(16) {
            // Nothing may be left of it.
            drop(writer);
            return Ok(());
        }
        let id = writer.finish().map_err(text)?;
        let shared = shared && content.len() >= 4_096;
        let blob = Blob { content: content.into(), time, namespace, tags, shared };
        match blobs.insert(id.sequence(), blob) {
            None => Ok(()),
            Some(_) => Err(format!("the id {id} was given out twice")),
        }
    }

    fn change_blob(&mut self, txn: &WriteTransaction, blobs: &mut Blobs, id: u64) -> Result<(), String> {
        let (Some(blob), rng, own) = (blobs.get_mut(&id), &mut *self.rng, BlobId::new(id)) else { return Ok(()) };
        match rng.below(6) {
            0 => {
                let more = content(rng);
                txn.append_blob(own, &more).map_err(text)?;
                (blob.content, blob.shared) = ([&*blob.content, &more].concat().into(), false);
            }
            1 => {
                let other = content(rng);
                txn.replace_blob(own, &other).map_err(text)?;
                (blob.content, blob.shared) = (other.into(), false);
            }
            2 => {
                blob.time = rng.below(50);
                txn.retime_blob(own, blob.time).map_err(text)?;
            }
            3 => {
                blob.namespace = rng.chance(128).then(|| *rng.pick(&NAMESPACES));
                txn.move_blob(own, blob.namespace).map_err(text)?;
            }
            4 => {
                let tag = *rng.pick(&TAGS);
                if !blob.tags.remove(tag) {
                    blob.tags.insert(tag);
                    return txn.tag_blob(own, tag).map_err(text).map(drop);
                }
                txn.untag_blob(own, tag).map_err(text)?;
            }
            _ => {
                txn.delete_blob(own).map_err(text)?;
                blobs.remove(&id);
            }
        }
        Ok(())
    }
}
