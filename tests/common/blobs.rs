//! Random changes of blobs beside a model, which is a map; and whether all that blobs are found by is what they have.

use super::rng::Rng;
use sapwood::{
    BlobError, BlobId, BlobWriter, ContentType, MetadataValue, ReadableBlobs, Relation, StoreOptions, TagQuery,
    WriteTransaction,
};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hasher;
use std::sync::Arc;

const TAGS: [&str; 3] = ["old", "older", "oldest"];
const NAMESPACES: [&str; 2] = ["wood", "woods"];
/// The name under which the metadata have a hash of the content.
const HASH: &str = "hash";
/// Contents of at least so many bytes may be shared.
const SHARED_FROM: usize = 4_096;

/// From so many blobs on none comes.
const MOST: usize = 40;

/// What is known of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Blob {
    pub content: Arc<[u8]>,
    pub time: u64,
    pub namespace: Option<String>,
    pub tags: BTreeSet<String>,
    pub shared: bool,
    /// Those whose child it is.
    pub parents: BTreeSet<u64>,
}

pub type Blobs = BTreeMap<u64, Blob>;

fn text(err: impl Debug) -> String {
    format!("{err:?}")
}

fn all<I>(found: impl Iterator<Item = Result<I, BlobError>>) -> Result<Vec<I>, String> {
    found.collect::<Result<_, _>>().map_err(text)
}

fn hash_of(content: &[u8]) -> MetadataValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    hasher.finish().into()
}

/// All blobs; an error if they are not found by what they have, and by nothing else.
pub fn blobs_of(txn: &impl ReadableBlobs) -> Result<Blobs, String> {
    let mut blobs = Blobs::new();
    for id in all(txn.list_blobs(None))? {
        let (content, meta) = txn.get_blob(id).map_err(text)?.ok_or("a blob that is listed is not there")?;
        same("hash of a content", meta.metadata.get(HASH), Some(&hash_of(&content)))?;
        let blob = Blob {
            content: content.into(),
            time: meta.time_ms,
            namespace: meta.namespace,
            tags: txn.blob_tags(id).map_err(text)?.into_iter().collect(),
            shared: txn.blob_content_hash(id).map_err(text)?.is_some(),
            parents: all(txn.causal_parents(id))?.into_iter().map(|link| link.blob.sequence()).collect(),
        };
        blobs.insert(id.sequence(), blob);
    }
    check_indexes(txn, &blobs)?;
    check_links(txn, &blobs)?;
    check_sums(txn, &blobs)?;
    Ok(blobs)
}

/// The blobs of which something is so.
pub fn with(blobs: &Blobs, has: impl Fn(&Blob) -> bool) -> Vec<BlobId> {
    blobs.iter().filter(|(_, blob)| has(blob)).map(|(id, _)| BlobId::new(*id)).collect()
}

fn check_indexes(txn: &impl ReadableBlobs, blobs: &Blobs) -> Result<(), String> {
    let tags: BTreeSet<_> = blobs.values().flat_map(|blob| &blob.tags).collect();
    let listed = txn.list_blob_tags(None, usize::MAX).map_err(text)?;
    same("tags", listed.iter().map(|(tag, _)| tag).collect(), tags)?;
    for (tag, count) in listed {
        let tagged = with(blobs, |blob| blob.tags.contains(&tag));
        same("count of a tag", count, tagged.len() as u64)?;
        same(&tag, all(txn.select_blobs(TagQuery::new().all_of([&*tag]), None))?, tagged)?;
    }
    let names: BTreeSet<_> = blobs.values().filter_map(|blob| blob.namespace.as_ref()).collect();
    let listed = txn.list_blob_namespaces(None, usize::MAX).map_err(text)?;
    same("namespaces", listed.iter().map(|info| &info.name).collect(), names)?;
    for info in listed {
        let members = with(blobs, |blob| blob.namespace.as_ref() == Some(&info.name));
        same("count of a namespace", info.blobs, members.len() as u64)?;
        let bytes: usize = members.iter().map(|id| blobs[&id.sequence()].content.len()).sum();
        same("bytes of a namespace", info.bytes, bytes as u64)?;
        same(&info.name, all(txn.blobs_in_namespace(&info.name, None))?, members)?;
    }
    let mut by_time: Vec<_> = blobs.iter().map(|(id, blob)| (blob.time, BlobId::new(*id))).collect();
    by_time.sort_unstable();
    same("times", all(txn.blobs_in_time_range(..))?, by_time)
}

fn check_links(txn: &impl ReadableBlobs, blobs: &Blobs) -> Result<(), String> {
    for id in blobs.keys() {
        let children: Vec<_> = all(txn.causal_children(BlobId::new(*id)))?.into_iter().map(|link| link.blob).collect();
        same("children", children, with(blobs, |blob| blob.parents.contains(id)))?;
    }
    Ok(())
}

fn check_sums(txn: &impl ReadableBlobs, blobs: &Blobs) -> Result<(), String> {
    let bytes = |blobs: &mut dyn Iterator<Item = &Arc<[u8]>>| blobs.map(|content| content.len() as u64).sum::<u64>();
    let stats = txn.blob_stats().map_err(text)?;
    let contents = bytes(&mut blobs.values().map(|blob| &blob.content));
    same("sums", (stats.blobs, stats.bytes), (blobs.len() as u64, contents))?;
    let dedup = txn.dedup_stats().map_err(text)?;
    let shared: Vec<_> = blobs.values().filter(|blob| blob.shared).map(|blob| &blob.content).collect();
    let contents: BTreeSet<_> = shared.iter().copied().collect();
    let saved = bytes(&mut shared.iter().copied()) - bytes(&mut contents.iter().copied());
    let expected = (shared.len() as u64, contents.len() as u64, saved);
    same("shared", (dedup.blobs, dedup.contents, dedup.saved_bytes), expected)
}

fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}")) }
}

fn some_content(rng: &mut Rng) -> Vec<u8> {
    // Two chunks make a file large, and each of its images slow.
    let length = if rng.chance(4) { 70_000 } else { *rng.pick(&[0, 100, 600, 3_000, 5_000]) };
    vec![rng.below(2) as u8; length]
}

fn some_blob(blobs: &Blobs, rng: &mut Rng) -> Option<u64> {
    blobs.keys().nth(rng.below(blobs.len().max(1) as u64) as usize).copied()
}

/// One step: a blob comes, changes or goes.
pub fn change_blobs(txn: &WriteTransaction, blobs: &mut Blobs, rng: &mut Rng) -> Result<(), String> {
    match some_blob(blobs, rng).filter(|_| blobs.len() >= MOST || rng.chance(160)) {
        Some(id) => change_blob(txn, blobs, id, rng),
        None => store_blob(txn, blobs, rng),
    }
}

fn store_blob(txn: &WriteTransaction, blobs: &mut Blobs, rng: &mut Rng) -> Result<(), String> {
    let blob = Blob {
        content: some_content(rng).into(),
        time: rng.below(50),
        namespace: rng.chance(128).then(|| rng.pick(&NAMESPACES).to_string()),
        tags: (0..rng.below(3)).map(|_| rng.pick(&TAGS).to_string()).collect(),
        shared: rng.chance(128),
        parents: some_blob(blobs, rng).filter(|_| rng.chance(100)).into_iter().collect(),
    };
    let writer = write(txn, &blob)?;
    if rng.chance(16) {
        // Nothing may be left of it.
        drop(writer);
        return Ok(());
    }
    finish(writer, blobs, blob)
}

/// Stores a blob that is such.
pub fn store(txn: &WriteTransaction, blobs: &mut Blobs, blob: Blob) -> Result<(), String> {
    finish(write(txn, &blob)?, blobs, blob)
}

fn write<'t>(txn: &'t WriteTransaction, blob: &Blob) -> Result<BlobWriter<'t>, String> {
    let options = StoreOptions::new().with_time_ms(blob.time).with_dedup(blob.shared);
    let options = options.with_tags(blob.tags.iter().map(String::as_str)).with_metadata(HASH, hash_of(&blob.content));
    let options = blob.namespace.iter().fold(options, |options, name| options.with_namespace(name));
    let options =
        blob.parents.iter().fold(options, |options, id| options.with_parent(BlobId::new(*id), Relation::Derived));
    let mut writer = txn.blob_writer(ContentType::Json, "", options).map_err(text)?;
    for piece in blob.content.chunks(2_500) {
        writer.write(piece).map_err(text)?;
    }
    Ok(writer)
}

fn finish(writer: BlobWriter<'_>, blobs: &mut Blobs, blob: Blob) -> Result<(), String> {
    let id = writer.finish().map_err(text)?;
    let shared = blob.shared && blob.content.len() >= SHARED_FROM;
    match blobs.insert(id.sequence(), Blob { shared, ..blob }) {
        None => Ok(()),
        Some(_) => Err(format!("the id {id} was given out twice")),
    }
}

fn set_content(txn: &WriteTransaction, id: BlobId, blob: &mut Blob, content: Vec<u8>) -> Result<(), String> {
    txn.set_blob_metadata(id, HASH, Some(hash_of(&content))).map_err(text)?;
    (blob.content, blob.shared) = (content.into(), false);
    Ok(())
}

/// Takes a blob that was deleted out of the model, with its links.
pub fn forget(blobs: &mut Blobs, id: u64) {
    blobs.remove(&id);
    for blob in blobs.values_mut() {
        blob.parents.remove(&id);
    }
}

fn change_blob(txn: &WriteTransaction, blobs: &mut Blobs, id: u64, rng: &mut Rng) -> Result<(), String> {
    let (other, own) = (some_blob(blobs, rng), BlobId::new(id));
    let Some(blob) = blobs.get_mut(&id) else { return Ok(()) };
    match rng.below(7) {
        0 => {
            let more = some_content(rng);
            txn.append_blob(own, &more).map_err(text)?;
            let content = [&*blob.content, &more].concat();
            set_content(txn, own, blob, content)?;
        }
        1 => {
            let content = some_content(rng);
            txn.replace_blob(own, &content).map_err(text)?;
            set_content(txn, own, blob, content)?;
        }
        2 => {
            blob.time = rng.below(50);
            txn.retime_blob(own, blob.time).map_err(text)?;
        }
        3 => {
            blob.namespace = rng.chance(128).then(|| rng.pick(&NAMESPACES).to_string());
            txn.move_blob(own, blob.namespace.as_deref()).map_err(text)?;
        }
        4 => {
            let tag = *rng.pick(&TAGS);
            if blob.tags.remove(tag) {
                txn.untag_blob(own, tag).map_err(text)?;
            } else {
                txn.tag_blob(own, tag).map_err(text)?;
                blob.tags.insert(tag.to_string());
            }
        }
        5 => {
            // From older to younger ones, so that no link closes a circle.
            let Some(parent) = other.filter(|other| *other < id) else { return Ok(()) };
            if blob.parents.remove(&parent) {
                txn.unlink_blobs(BlobId::new(parent), own, Relation::Derived).map_err(text)?;
            } else {
                txn.link_blobs(BlobId::new(parent), own, Relation::Derived, "").map_err(text)?;
                blob.parents.insert(parent);
            }
        }
        _ => {
            txn.delete_blob(own).map_err(text)?;
            forget(blobs, id);
        }
    }
    Ok(())
}
