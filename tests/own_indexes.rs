//! Indexes of users' own, of tags and of edges, beside the rows that they are of.

mod common;

use common::crash::{Fault, RecordingBackend, Target};
use common::links::{Links, RELATIONS};
use common::rng::Rng;
use common::scale;
use sapwood::backends::InMemoryBackend;
use sapwood::limits::{MAX_EDGE_CONTEXT_LENGTH, MAX_NAME_LENGTH, MAX_TAG_LENGTH, MAX_THING_LENGTH};
use sapwood::{
    Builder, ContentType, Database, DeleteLinks, Edge, Error, Follow, Graph, GraphDefinition, IndexError,
    ReadableBlobs, ReadableDatabase, ReadableTable, Relation, StorageError, StoreOptions, TableDefinition, TableError,
    TagIndexDefinition, TagQuery, VerifyLevel, WriteTransaction,
};
use std::collections::BTreeSet;

const TREES: TableDefinition<&str, u64> = TableDefinition::new("trees");
const KINDS: TagIndexDefinition = TagIndexDefinition::new("trees");
const GROWTH: GraphDefinition = GraphDefinition::new("trees");

/// Ids that begin alike, the empty one, and those that could be taken for lengths and relations.
const IDS: [&[u8]; 10] =
    [b"", b"\0", b"\0\0", b"\0\0\0", b"\0\x01a", b"a", b"a\0", b"a\0\0\0", b"a\xFF\0\x01", b"\xFF\xFF\xFF"];

fn memory() -> Database {
    Builder::new().create_with_backend(InMemoryBackend::new()).unwrap()
}

type Model = Links<&'static [u8]>;

fn change(graph: &Graph<'_, WriteTransaction>, model: &mut Model, rng: &mut Rng) {
    let (parent, child, relation) = (*rng.pick(&IDS), *rng.pick(&IDS), *rng.pick(&RELATIONS));
    match rng.below(12) {
        0..3 => {
            assert_eq!(graph.remove(parent, child, relation).unwrap(), model.remove(&parent, relation, &child));
        }
        3 => {
            let links = *rng.pick(&[DeleteLinks::Cut, DeleteLinks::Heal]);
            graph.remove_thing(parent, links).unwrap();
            model.remove_thing(&parent, links);
        }
        _ => {
            let context = *rng.pick(&["", "why"]);
            let added = graph.add(parent, child, relation, context);
            match model.add(&parent, relation, &child, context) {
                Some(new) => assert_eq!(added.unwrap(), new),
                None => assert!(matches!(added, Err(IndexError::Cycle { parent: above, child: below })
                    if above == parent && below == child)),
            }
        }
    }
}

fn plain(edges: Vec<Edge>) -> Vec<(Relation, Vec<u8>, String)> {
    edges.into_iter().map(|Edge { thing, relation, context, .. }| (relation, thing, context)).collect()
}

/// Things as the model knows them.
fn known(thing: &[u8]) -> &'static [u8] {
    IDS.into_iter().find(|id| *id == thing).unwrap()
}

macro_rules! check {
    ($graph:expr, $model:expr, $rng:expr) => {{
        let (graph, model, rng): (_, &Model, &mut Rng) = (&$graph, &$model, &mut $rng);
        assert_eq!(graph.count().unwrap(), model.0.len() as u64);
        for ((parent, relation, child), context) in &model.0 {
            assert_eq!(graph.context(parent, child, *relation).unwrap().as_ref(), Some(context));
        }
        for id in IDS {
            let owned = |(relation, id, context): (Relation, &[u8], String)| (relation, id.to_vec(), context);
            let children: Vec<_> = model.children(&id).into_iter().map(owned).collect();
            let parents: Vec<_> = model.parents(&id).into_iter().map(owned).collect();
            assert_eq!(plain(graph.children(id, None, usize::MAX).unwrap()), children);
            assert_eq!(plain(graph.parents(id, None, usize::MAX).unwrap()), parents);
            for (at, (relation, other, _)) in parents.iter().enumerate() {
                let behind = &parents[at + 1..];
                let found = plain(graph.parents(id, Some((*relation, other)), 2).unwrap());
                assert_eq!(found, behind[..behind.len().min(2)]);
            }
            let hops = *rng.pick(&[0, 1, 2, u32::MAX]);
            let shared = |found: Vec<(Vec<u8>, u32)>| -> Vec<_> {
                found.into_iter().map(|(thing, hops)| (known(&thing), hops)).collect()
            };
            model.check_within(&id, Follow::Parents, hops, &shared(graph.ancestors(id, hops).unwrap()));
            model.check_within(&id, Follow::Children, hops, &shared(graph.descendants(id, hops).unwrap()));
            assert_eq!(graph.chain(id, hops).unwrap(), model.chain(&id, hops));
            let (other, follow) = (*rng.pick(&IDS), *rng.pick(&[Follow::Parents, Follow::Children, Follow::Either]));
            let path = graph.path(id, other, follow, hops).unwrap();
            let path: Option<Vec<_>> = path.map(|path| path.iter().map(|thing| known(thing)).collect());
            model.check_path((&id, &other), follow, hops, path.as_deref());
        }
    }};
}

#[test]
fn graphs_of_any_ids_are_what_the_model_says() {
    for seed in 0..20 * scale() {
        let mut rng = Rng::new(seed);
        let db = memory();
        let mut committed = Model::new();
        for _ in 0..6 {
            let txn = db.begin_write().unwrap();
            let mut model = committed.clone();
            let graph = txn.open_graph(GROWTH).unwrap();
            for _ in 0..rng.below(40) {
                change(&graph, &mut model, &mut rng);
            }
            check!(graph, model, rng);
            if rng.below(4) > 0 {
                txn.commit().unwrap();
                committed = model;
            }
            let txn = db.begin_read().unwrap();
            if let Ok(graph) = txn.open_graph(GROWTH) {
                check!(graph, committed, rng);
            }
        }
        assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
    }
}

#[test]
fn tags_of_any_ids_do_not_mix() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let kinds = txn.open_tag_index(KINDS).unwrap();
    let tags = |id: &[u8]| -> BTreeSet<String> {
        IDS.iter().filter(|tag| **tag >= id).map(|tag| format!("{tag:?}")).collect()
    };
    for id in IDS {
        for tag in tags(id) {
            assert!(kinds.add(id, &tag).unwrap());
            assert!(!kinds.add(id, &tag).unwrap());
        }
    }
    for id in IDS {
        assert!(kinds.tags_of(id).unwrap().iter().eq(&tags(id)));
        let query = TagQuery::new().all_of([&format!("{id:?}")[..]]);
        let mut expected: Vec<_> = IDS.into_iter().filter(|other| tags(other).contains(&format!("{id:?}"))).collect();
        expected.sort_unstable();
        assert_eq!(kinds.select(&query, None, 100).unwrap(), expected);
        assert_eq!(kinds.select(&query, Some(expected[0]), 2).unwrap(), expected[1..][..2.min(expected.len() - 1)]);
        assert_eq!(kinds.count(&format!("{id:?}")).unwrap(), expected.len() as u64);
    }
    assert_eq!(kinds.list(None, 100).unwrap().len(), IDS.len());
    IDS.into_iter().for_each(|id| kinds.clear(id).unwrap());
    assert!(kinds.list(None, 100).unwrap().is_empty());
    assert!(!kinds.remove(b"a", "a").unwrap());
}

#[test]
fn limits_are_errors_and_change_nothing() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let (kinds, growth) = (txn.open_tag_index(KINDS).unwrap(), txn.open_graph(GROWTH).unwrap());
    let (longest, over) = (vec![7; MAX_THING_LENGTH], vec![7; MAX_THING_LENGTH + 1]);
    let too_large = |err: IndexError| matches!(err, IndexError::Storage(StorageError::ValueTooLarge(65_536)));
    assert!(kinds.add(&longest, "oak").unwrap());
    assert!(growth.add(&longest, b"acorn", Relation::Derived, "").unwrap());
    assert!(growth.add(b"root", &longest, Relation::Derived, "").unwrap());
    assert!(too_large(kinds.add(&over, "yew").unwrap_err()));
    assert!(too_large(kinds.clear(&over).unwrap_err()));
    assert!(too_large(growth.add(&over, b"acorn", Relation::Derived, "").unwrap_err()));
    assert!(too_large(growth.add(b"acorn", &over, Relation::Derived, "").unwrap_err()));
    assert!(too_large(growth.remove_thing(&over, DeleteLinks::Heal).unwrap_err()));

    let tag = "ä".repeat(MAX_TAG_LENGTH / 2);
    assert!(kinds.add(b"oak", &tag).unwrap());
    let refused = kinds.add(b"oak", &format!("{tag}a"));
    assert!(matches!(refused, Err(IndexError::TooLong { what: "tag", length: 1_025, limit: 1_024 })));
    let context = "ä".repeat(MAX_EDGE_CONTEXT_LENGTH / 2);
    assert!(growth.add(b"oak", b"leaf", Relation::Custom(7), &context).unwrap());
    let refused = growth.add(b"oak", b"leaf", Relation::Custom(7), &format!("{context}a"));
    assert!(matches!(refused, Err(IndexError::TooLong { what: "context", length: 4_097, limit: 4_096 })));
    assert!(matches!(growth.add(b"oak", b"oak", Relation::Similar, ""), Err(IndexError::Cycle { .. })));

    assert_eq!((kinds.list(None, 9).unwrap().len(), growth.count().unwrap()), (2, 3));
    assert_eq!(growth.context(b"oak", b"leaf", Relation::Custom(7)).unwrap(), Some(context));
    assert_eq!(growth.path(b"root", b"acorn", Follow::Children, 2).unwrap().unwrap()[1], longest);
    txn.commit().unwrap();
    assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
}

#[test]
fn names_are_their_own() -> Result<(), Error> {
    let db = memory();
    let txn = db.begin_read()?;
    assert!(matches!(txn.open_tag_index(KINDS), Err(TableError::TableDoesNotExist(name)) if name == "trees"));
    assert!(matches!(txn.open_graph(GROWTH), Err(TableError::TableDoesNotExist(name)) if name == "trees"));
    let long = "n".repeat(MAX_NAME_LENGTH + 1);
    let txn = db.begin_write()?;
    let too_large = |err: TableError| matches!(err, TableError::Storage(StorageError::ValueTooLarge(4_097)));
    assert!(too_large(txn.open_graph(GraphDefinition::new(&long)).unwrap_err()));
    assert!(too_large(txn.open_tag_index(TagIndexDefinition::new(&long)).unwrap_err()));
    let longest = GraphDefinition::new(&long[1..]);
    txn.open_table(TREES)?.insert("oak", 300)?;
    txn.open_tag_index(KINDS)?.add(b"oak", "broadleaf")?;
    txn.open_graph(GROWTH)?.add(b"acorn", b"oak", Relation::Derived, "")?;
    txn.open_graph(longest)?.add(b"oak", b"acorn", Relation::Derived, "")?;
    let parent = txn.store_blob(b"", ContentType::Json, "", StoreOptions::new().with_time_ms(0).with_tags(["blob"]))?;
    let options = StoreOptions::new().with_time_ms(0).with_parent(parent, Relation::Similar);
    let child = txn.store_blob(b"", ContentType::Json, "", options)?;
    assert_eq!(
        (txn.list_tag_indexes()?, txn.list_graphs()?),
        (vec!["trees".into()], vec![long[1..].into(), "trees".into()])
    );
    assert_eq!(txn.list_tables()?.count(), 1);
    assert!(txn.delete_graph(longest)?);
    assert!(!txn.delete_graph(longest)?);
    assert!(!txn.delete_tag_index(TagIndexDefinition::new("kinds"))?);
    txn.commit()?;

    let txn = db.begin_write()?;
    let (kinds, growth) = (txn.open_tag_index(KINDS)?, txn.open_graph(GROWTH)?);
    assert!(txn.delete_tag_index(KINDS)? && txn.delete_graph(GROWTH)?);
    assert!(kinds.tags_of(b"oak")?.is_empty() && growth.count()? == 0);
    assert!(txn.list_tag_indexes()?.is_empty() && txn.list_graphs()?.is_empty());
    assert_eq!(txn.open_table(TREES)?.get("oak")?.unwrap().value(), 300);
    txn.commit()?;
    let txn = db.begin_read()?;
    assert!(txn.open_graph(GROWTH).is_err() && txn.open_tag_index(KINDS).is_err());
    assert_eq!(txn.count_tagged_blobs("blob")?, 1);
    assert_eq!(txn.causal_chain(child, 9)?, [child, parent]);
    assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
    Ok(())
}

#[test]
#[should_panic(expected = "must not be empty")]
fn an_empty_name_of_a_graph_panics() {
    GraphDefinition::new("");
}

#[test]
#[should_panic(expected = "must not be empty")]
fn an_empty_name_of_an_index_of_tags_panics() {
    TagIndexDefinition::new("");
}

fn plant(txn: &WriteTransaction, tree: &str, parent: &str) -> Result<(), Error> {
    txn.open_table(TREES)?.insert(tree, 1)?;
    txn.open_tag_index(KINDS)?.add(tree.as_bytes(), "young")?;
    txn.open_graph(GROWTH)?.add(parent.as_bytes(), tree.as_bytes(), Relation::Derived, "seed")?;
    Ok(())
}

/// The rows, what is tagged, and what comes from the oak.
macro_rules! forest {
    ($txn:expr) => {{
        let txn = &$txn;
        let trees = txn.open_table(TREES)?;
        let rows: Vec<_> = trees.range::<&str>(..)?.map(|row| row.unwrap().0.value().as_bytes().to_vec()).collect();
        let young = txn.open_tag_index(KINDS)?.select(&TagQuery::new().all_of(["young"]), None, 99)?;
        let mut below: Vec<_> = txn.open_graph(GROWTH)?.descendants(b"oak", 9)?.into_iter().map(|(id, _)| id).collect();
        below.sort_unstable();
        assert_eq!((&young, &below), (&rows, &rows));
        rows.len()
    }};
}

#[test]
fn rows_and_their_indexes_are_of_one_state() -> Result<(), Error> {
    let db = Builder::new().set_history_retention(9).create_with_backend(InMemoryBackend::new())?;
    let txn = db.begin_write()?;
    plant(&txn, "a", "oak")?;
    plant(&txn, "ab", "a")?;
    txn.commit()?;
    let first = db.begin_read()?;

    let mut txn = db.begin_write()?;
    let savepoint = txn.ephemeral_savepoint().unwrap();
    plant(&txn, "b", "ab")?;
    let checkpoint = txn.checkpoint()?;
    plant(&txn, "c", "b")?;
    assert_eq!(forest!(txn), 4);
    txn.rollback_to(&checkpoint)?;
    assert_eq!(forest!(txn), 3);
    txn.restore_savepoint(&savepoint).unwrap();
    assert_eq!(forest!(txn), 2);
    plant(&txn, "d", "a")?;
    plant(&txn, "e", "d")?;
    txn.commit()?;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    db.backup(&path).unwrap();
    assert_eq!(forest!(db.begin_read()?), 4);
    assert_eq!(forest!(first), 2);
    assert_eq!(forest!(db.begin_read_at(first.transaction_id())?), 2);
    let copy = Database::open(&path)?;
    assert_eq!(forest!(copy.begin_read()?), 4);

    let txn = db.begin_write()?;
    txn.open_table(TREES)?.remove("a")?;
    txn.open_tag_index(KINDS)?.clear(b"a")?;
    txn.open_graph(GROWTH)?.remove_thing(b"a", DeleteLinks::Heal)?;
    assert_eq!(forest!(txn), 3);
    txn.commit()?;
    assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
    Ok(())
}

fn small(backend: RecordingBackend) -> Database {
    Builder::new().set_page_size(512).set_block_size(512).set_cache_size(0).create_with_backend(backend).unwrap()
}

/// All edges, as parents and as children know them, and all tags, as things and as lists know them.
fn index_rows(db: &Database) -> Result<BTreeSet<String>, Error> {
    let txn = db.begin_read()?;
    let (graph, kinds) = (txn.open_graph(GROWTH)?, txn.open_tag_index(KINDS)?);
    let (mut down, mut up, mut of, mut with) = Default::default();
    let line = |set: &mut BTreeSet<String>, from: &[u8], to: &[u8], what: &str| {
        _ = set.insert(format!("{from:?} {to:?} {what}"))
    };
    for thing in 0..=u8::MAX {
        let thing = &[thing][..];
        let edges = graph.children(thing, None, usize::MAX)?;
        edges.iter().for_each(|edge| line(&mut down, thing, &edge.thing, &edge.context));
        let edges = graph.parents(thing, None, usize::MAX)?;
        edges.iter().for_each(|edge| line(&mut up, &edge.thing, thing, &edge.context));
        kinds.tags_of(thing)?.iter().for_each(|tag| line(&mut of, thing, b"", tag));
    }
    for (tag, count) in kinds.list(None, 99)? {
        let things = kinds.select(&TagQuery::new().all_of([&tag[..]]), None, 999)?;
        assert_eq!(things.len() as u64, count);
        things.iter().for_each(|thing| line(&mut with, thing, b"", &tag));
    }
    assert_eq!((&down, &of), (&up, &with));
    Ok(down.into_iter().chain(of).collect())
}

/// Takes a thing with many edges and tags out of both indexes.
fn remove_hub(txn: &WriteTransaction) -> Result<(), Error> {
    txn.open_graph(GROWTH)?.remove_thing(&[100], DeleteLinks::Heal)?;
    Ok(txn.open_tag_index(KINDS)?.clear(&[100])?)
}

#[test]
fn a_read_that_fails_leaves_nothing_half_done() -> Result<(), Error> {
    let backend = RecordingBackend::new();
    let db = small(backend.clone());
    let txn = db.begin_write()?;
    let (graph, kinds) = (txn.open_graph(GROWTH)?, txn.open_tag_index(KINDS)?);
    for other in 0..80 {
        let (parent, child) = if other < 4 { (other, 100) } else { (100, other + 100) };
        graph.add(&[parent], &[child], Relation::Derived, "why")?;
        kinds.add(&[other], "other")?;
        kinds.add(&[100], &format!("tag {}", other % 30))?;
    }
    txn.commit()?;
    let before = index_rows(&db)?;
    drop(db);
    let image = backend.contents();
    let (mut failed, mut after) = (0, None);
    for nth in (0..40).chain((40..).step_by(61)) {
        let backend = RecordingBackend::from_image(image.clone());
        let db = small(backend.clone());
        let txn = db.begin_write()?;
        backend.inject(Fault::once(Target::Read, nth));
        let removed = remove_hub(&txn);
        backend.heal();
        let committed = txn.commit();
        let found = index_rows(&db)?;
        if removed.is_ok() {
            committed?;
            after = Some(found);
            break;
        }
        failed += 1;
        if committed.is_err() || found == before {
            assert_eq!(found, before);
            continue;
        }
        let edges = |rows: &BTreeSet<String>| rows.iter().filter(|row| row.ends_with("why")).count();
        assert!((edges(&found), found.len()) == (4 * 76, 4 * 76 + before.len() - 80), "after read {nth}");
    }
    assert!(failed > 20, "{failed}");
    assert_eq!(after.map(|rows| rows.len()), Some(4 * 76 + 80));
    Ok(())
}
