//! Full text against a model that counts words.

mod common;

use common::crash::RecordingBackend;
use common::rng::Rng;
use common::scale;
use sapwood::limits::{MAX_TERM_LENGTH, MAX_THING_LENGTH};
use sapwood::{
    Builder, Database, IndexError, ReadableDatabase, StorageError, TableError, TextHit, TextIndexDefinition, TextQuery,
    Tokenizer, VerifyLevel, WriteTransaction, backends::InMemoryBackend,
};
use std::collections::{BTreeMap, BTreeSet};

const INDEX: TextIndexDefinition<'_> = TextIndexDefinition::new("texts");
const WORDS: [&str; 8] = ["oak", "oaks", "Elm", "größe", "年", "a", "the", "ring"];

/// Each thing with its words, and when it got them.
#[derive(Clone, Debug, Default)]
struct Model {
    texts: BTreeMap<Vec<u8>, (u64, Vec<String>)>,
    clock: u64,
}

impl Model {
    fn put(&mut self, thing: &[u8], text: &str) -> bool {
        self.clock += 1;
        let words = text.split(' ').filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        self.texts.insert(thing.to_vec(), (self.clock, words)).is_some()
    }

    /// By the definition of BM25, from the words alone.
    fn search(&self, query: &[&str], all_terms: bool, limit: usize) -> Vec<(Vec<u8>, f64)> {
        let count = self.texts.len() as f64;
        let tokens: usize = self.texts.values().map(|(_, words)| words.len()).sum();
        let average = (tokens as f64 / count).max(1.0);
        let query: Vec<_> = query.iter().map(|word| word.to_lowercase()).collect();
        let with = |word: &String| self.texts.values().filter(|(_, words)| words.contains(word)).count() as f64;
        let mut found = Vec::new();
        for (thing, (put, words)) in &self.texts {
            let mut score = 0.0;
            for word in &query {
                let frequency = words.iter().filter(|other| *other == word).count() as f64;
                let rarity = (1.0 + (count - with(word) + 0.5) / (with(word) + 0.5)).ln();
                let share = 1.2 * (0.25 + 0.75 * words.len() as f64 / average);
                score += rarity * frequency * 2.2 / (frequency + share);
            }
            let has_all = query.iter().all(|word| words.contains(word));
            if score > 0.0 && (has_all || !all_terms) {
                found.push((score, *put, thing.clone()));
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(limit);
        found.into_iter().map(|(score, _, thing)| (thing, score)).collect()
    }
}

/// As many as expected, with these scores. What has the same score but for rounding may be in another order.
fn check_hits(found: &[TextHit], expected: &[(Vec<u8>, f64)]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (hit, (thing, score)) in found.iter().zip(expected) {
        assert!((hit.score - score).abs() < 1e-9, "{found:?} {expected:?}");
        let is_alone = expected.iter().filter(|(_, other)| (other - score).abs() < 1e-9).count() == 1;
        assert!(!is_alone || hit.thing == *thing || expected.last().is_some_and(|last| (last.1 - score).abs() < 1e-9));
    }
}

fn some_words(rng: &mut Rng) -> Vec<&'static str> {
    (0..rng.below(7)).map(|_| *rng.pick(&WORDS)).collect()
}

fn change(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    let index = txn.open_text_index(INDEX).unwrap();
    let thing = vec![7; rng.below(12) as usize];
    if rng.below(3) == 0 {
        assert_eq!(index.remove(&thing).unwrap(), model.texts.remove(&thing).is_some());
    } else {
        let text = some_words(rng).join(" ");
        assert_eq!(index.put(&thing, &text).unwrap(), model.put(&thing, &text));
    }
}

macro_rules! check {
    ($txn:expr, $model:expr, $rng:expr) => {
        let (txn, model, rng): (_, &Model, &mut Rng) = (&$txn, $model, $rng);
        let index = txn.open_text_index(INDEX).unwrap();
        assert_eq!(index.count().unwrap(), model.texts.len() as u64);
        for length in 0..12 {
            assert_eq!(index.contains(&vec![7; length]).unwrap(), model.texts.contains_key(&vec![7; length]));
        }
        for _ in 0..6 {
            let (words, all_terms, limit) = (some_words(rng), rng.below(2) == 0, rng.below(6) as usize);
            let query = TextQuery::new(&words.join(", ")).with_all_terms(all_terms).with_limit(limit);
            check_hits(&index.search(&query).unwrap(), &model.search(&words, all_terms, limit));
        }
    };
}

#[test]
fn texts_are_found_as_their_words_say() {
    for seed in 0..40 * scale() {
        let mut rng = Rng::new(seed);
        let (page_size, mut backend) = (512 << rng.below(4), RecordingBackend::new());
        let open = |backend: &RecordingBackend| {
            let mut builder = Builder::new();
            builder.set_page_size(page_size).set_cache_size(1 << 20).set_history_retention(3);
            builder.create_with_backend(backend.clone()).unwrap()
        };
        let mut db = open(&backend);
        let (mut committed, mut readers) = (Model::default(), Vec::new());
        db.begin_write().unwrap().open_text_index(INDEX).unwrap();
        for _ in 0..10 {
            let (mut txn, mut model) = (db.begin_write().unwrap(), committed.clone());
            for _ in 0..rng.below(8) {
                let (checkpoint, before) = (txn.checkpoint().unwrap(), model.clone());
                change(&txn, &mut model, &mut rng);
                if rng.below(4) == 0 {
                    txn.rollback_to(&checkpoint).unwrap();
                    model = before;
                }
            }
            check!(txn, &model, &mut rng);
            if rng.below(4) == 0 {
                txn.abort().unwrap();
                continue;
            }
            txn.commit().unwrap();
            committed = model;
            check!(db.begin_read().unwrap(), &committed, &mut rng);
            readers.push((db.begin_read().unwrap(), committed.clone()));
            if rng.below(4) == 0 {
                readers.clear();
                drop(db);
                backend = backend.reopened();
                db = open(&backend);
            }
            for (reader, model) in &readers {
                check!(reader, model, &mut rng);
            }
        }
        assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
        let txn = db.begin_write().unwrap();
        let index = txn.open_text_index(INDEX).unwrap();
        for thing in committed.texts.keys() {
            assert!(index.remove(thing).unwrap());
        }
        drop(index);
        assert!(txn.stats().unwrap().stored_bytes() < 512, "{:?}", txn.stats());
    }
}

fn memory() -> Database {
    Builder::new().create_with_backend(InMemoryBackend::new()).unwrap()
}

#[test]
fn what_is_not_admitted_makes_room_for_others() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let index = txn.open_text_index(INDEX).unwrap();
    for nth in 0..200_u8 {
        index.put(&[nth], &"oak ".repeat(1 + usize::from(nth % 5))).unwrap();
    }
    let mut asked = BTreeSet::new();
    let query = TextQuery::new("OAK").with_limit(20);
    let found = index.search_among(&query, |thing| Ok(asked.insert(thing[0]) && thing[0] % 10 == 3)).unwrap();
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|hit| hit.thing[0] % 10 == 3) && found.windows(2).all(|two| two[0].score >= two[1].score));
    let failed = index.search_among(&query, |_| Err(StorageError::PreviousIo));
    assert!(matches!(failed, Err(IndexError::Storage(StorageError::PreviousIo))));
}

#[derive(Debug)]
struct Lines;

impl Tokenizer for Lines {
    fn name(&self) -> &str {
        "lines"
    }

    fn tokens(&self, text: &str, take: &mut dyn FnMut(&str)) {
        text.lines().for_each(take);
    }
}

#[test]
fn an_index_keeps_its_tokenizer() {
    let db = memory();
    let lines = INDEX.with_tokenizer(&Lines);
    let is_refused = |result: Result<_, TableError>| matches!(result, Err(TableError::TokenizerMismatch { stored, .. }) if stored == "lines");
    let txn = db.begin_write().unwrap();
    txn.open_text_index(lines).unwrap().put(b"1", "The Oak\nrings\n\n").unwrap();
    assert!(is_refused(txn.open_text_index(INDEX).map(drop)));
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    assert!(is_refused(txn.open_text_index(INDEX).map(drop)));
    let index = txn.open_text_index(lines).unwrap();
    assert_eq!(index.search(&TextQuery::new("The Oak")).unwrap().len(), 1);
    assert_eq!(index.search(&TextQuery::new("oak")).unwrap(), []);
    let absent = txn.open_text_index(TextIndexDefinition::new("other"));
    assert!(matches!(absent, Err(TableError::TableDoesNotExist(name)) if name == "other"));
    assert_eq!(txn.list_text_indexes().unwrap(), ["texts"]);
}

#[test]
fn limits_of_ids_and_terms() {
    let db = memory();
    let txn = db.begin_write().unwrap();
    let index = txn.open_text_index(INDEX).unwrap();
    let longest = vec![1; MAX_THING_LENGTH];
    assert!(!index.put(&longest, "oak").unwrap() && index.put(&longest, "elm").unwrap());
    let refused = index.put(&vec![1; MAX_THING_LENGTH + 1], "oak");
    assert!(matches!(refused, Err(IndexError::Storage(StorageError::ValueTooLarge(_)))));
    for (length, is_found) in [(MAX_TERM_LENGTH, true), (MAX_TERM_LENGTH + 1, false)] {
        let word = "x".repeat(length);
        index.put(b"long", &format!("{word} oak")).unwrap();
        assert_eq!(index.search(&TextQuery::new(&word)).unwrap().len(), usize::from(is_found));
        assert_eq!(index.search(&TextQuery::new("oak")).unwrap().len(), 1);
    }
    assert!(!index.put(b"", "").unwrap() && index.contains(b"").unwrap());
    drop(index);
    assert!(txn.delete_text_index(INDEX).unwrap() && !txn.delete_text_index(INDEX).unwrap());
    let index = txn.open_text_index(INDEX).unwrap();
    assert_eq!((index.count().unwrap(), index.search(&TextQuery::new("oak")).unwrap()), (0, vec![]));
    txn.delete_text_index(INDEX).unwrap();
    assert!(!index.put(b"1", "oak").unwrap());
    assert_eq!(index.search(&TextQuery::new("oak")).unwrap().len(), 1);
}
