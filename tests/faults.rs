//! Every call of the storage fails once, beneath all that changes over time: history, change log, rows that expire, merges,
//! batches, differences. What follows is a typed error, and a file that has what was promised and nothing half-done.

#[path = "common/mod.rs"]
mod common;
#[path = "faults/group.rs"]
mod group;
#[path = "faults/merges.rs"]
mod merges;
#[path = "faults/steps.rs"]
mod steps;

use common::clock::Hand;
use common::crash::{CrashImages, CrashState, Fault, RecordingBackend, Target};
use common::rng::Rng;
use common::scale;
use sapwood::{
    BlobWriter, Builder, CdcConfig, CdcMode, ChangePosition, ContentType, Database, Error, NamespaceQuota, NumericAdd,
    ReadTransaction, ReadableBlobs, ReadableDatabase, ReadableTable, ReadableTtlTable, StoreOptions, TableError,
    TableHandle, VerifyLevel,
};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use steps::{COUNTS, FADING, OTHERS, ROWS, Step, all_steps};

const TARGETS: [Target; 4] = [Target::Read, Target::Write, Target::SetLen, Target::Sync];
/// So many of the calls of each kind are made to fail, in turns.
const FAILING: usize = 60;

/// All that a database shows, a line for each thing.
type State = Vec<String>;

fn open(backend: &RecordingBackend, clock: &Hand, cache: usize) -> Result<Database, Error> {
    let mut builder = Builder::new();
    builder.set_page_size(512).set_block_size(512).set_cache_size(cache).set_clock(clock.clone());
    builder.set_history_retention(3).register_merge_operator("sum", NumericAdd);
    builder.set_cdc(CdcConfig::new(CdcMode::OldAndNew).with_max_transactions(4));
    Ok(builder.create_with_backend(backend.clone())?)
}

fn line(name: &str, things: Vec<impl Debug>) -> String {
    let mut hasher = DefaultHasher::new();
    format!("{things:?}").hash(&mut hasher);
    format!("{name}: {} of {:x}", things.len(), hasher.finish())
}

fn opened<T>(table: Result<T, TableError>) -> Result<Option<T>, TableError> {
    match table {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        other => other.map(Some),
    }
}

fn tables(txn: &ReadTransaction) -> Result<State, Error> {
    let mut lines = State::new();
    for definition in [ROWS, OTHERS] {
        if let Some(table) = opened(txn.open_table(definition))? {
            let rows = table.iter()?.map(|row| row.map(|(key, value)| (key.value(), value.value().to_vec())));
            lines.push(line(definition.name(), rows.collect::<Result<_, _>>()?));
        }
    }
    if let Some(table) = opened(txn.open_table(COUNTS))? {
        let rows = table.iter()?.map(|row| row.map(|(key, value)| (key.value(), value.value())));
        lines.push(line("counts", rows.collect::<Result<_, _>>()?));
    }
    if let Some(table) = opened(txn.open_ttl_table(FADING))? {
        let rows = table.iter()?.map(|row| row.map(|row| (row.0.value(), row.1.value(), row.1.expires_at_ms())));
        lines.push(line("fading", rows.collect::<Result<_, _>>()?));
    }
    lines.push(line("blobs", blobs(txn)?));
    lines.push(format!("{:?}, {:?}", txn.blob_stats()?, txn.dedup_stats()?));
    lines.push(format!("namespaces: {:?}", txn.list_blob_namespaces(None, 10)?));
    Ok(lines)
}

fn blobs(txn: &ReadTransaction) -> Result<Vec<impl Debug>, Error> {
    let mut blobs = Vec::new();
    for found in txn.blobs_in_time_range(..) {
        let (_, id) = found?;
        blobs.push((txn.get_blob(id)?, txn.blob_tags(id)?, txn.blob_content_hash(id)?));
    }
    Ok(blobs)
}

/// What a database shows, its past and its log as well.
fn state(db: &Database, clock: &Hand) -> Result<State, Error> {
    // Nothing has expired.
    clock.set(0);
    let txn = db.begin_read()?;
    let mut lines = tables(&txn)?;
    for info in db.transaction_history()? {
        lines.push(line(&format!("{info:?}"), tables(&db.begin_read_at(info.transaction_id)?)?));
    }
    lines.push(format!("pins: {:?}", db.history_pins()?));
    lines.push(format!("cursors: {:?}", txn.cdc_cursors()?));
    let pruned = txn.cdc_pruned_up_to()?;
    lines.push(format!("log: {pruned:?} to {:?}", txn.latest_cdc_position()?));
    let events = txn.read_cdc_since(pruned.unwrap_or(ChangePosition::START))?;
    lines.push(line("events", events.collect::<Result<_, _>>()?));
    Ok(lines)
}

/// Whether an error says that the storage failed, and nothing else.
fn is_of_storage(err: &Error) -> bool {
    matches!(err, Error::Io(_) | Error::PreviousIo | Error::TransactionPoisoned)
}

/// The program as it goes when nothing fails.
struct Plan {
    cache: usize,
    image: Vec<u8>,
    steps: Vec<Step>,
    /// Before the first step, and after each.
    states: Vec<State>,
    /// Calls of each kind.
    calls: [u64; 4],
}

/// What the clock shows in a step.
fn time(step: usize) -> u64 {
    1_000 + 40 * step as u64
}

impl Plan {
    fn new(cache: usize) -> Result<Self, Error> {
        let (backend, clock) = (RecordingBackend::new(), Hand::default());
        drop(open(&backend, &clock, cache)?);
        let image = backend.contents();
        let backend = RecordingBackend::from_image(image.clone());
        let db = open(&backend, &clock, cache)?;
        let steps = all_steps();
        let mut states = vec![state(&db, &clock)?];
        for (nth, step) in steps.iter().enumerate() {
            clock.set(time(nth));
            step(&db)?;
            states.push(state(&db, &clock)?);
        }
        let mut plan = Self { cache, image, steps, states, calls: [0; 4] };
        plan.calls = plan.count_calls()?;
        Ok(plan)
    }

    /// Of a run in which nothing else is read.
    fn count_calls(&self) -> Result<[u64; 4], Error> {
        let (backend, clock) = (RecordingBackend::from_image(self.image.clone()), Hand::default());
        let db = open(&backend, &clock, self.cache)?;
        backend.take_counters();
        self.run(&db, &clock, 0).map_or(Ok(()), |(_, err)| Err(err))?;
        let counted = backend.take_counters();
        Ok([counted.reads.len() as u64, counted.writes, counted.set_lens, counted.syncs])
    }

    /// Runs the steps from one on. Gives the first that fails, and how.
    fn run(&self, db: &Database, clock: &Hand, from: usize) -> Option<(usize, Error)> {
        for (nth, step) in self.steps.iter().enumerate().skip(from) {
            clock.set(time(nth));
            if let Err(err) = step(db) {
                return Some((nth, err));
            }
        }
        None
    }

    /// Runs the program on a storage that fails.
    fn try_with(&self, fault: Fault, rng: &mut Rng) -> Result<(), String> {
        let (backend, clock) = (RecordingBackend::from_image(self.image.clone()), Hand::default());
        // Whoever reads goes on with what is cached, and a file that is not cut is only longer.
        let must_fail = fault.count > 1 && matches!(fault.target, Target::Write | Target::Sync);
        let (target, db) = (fault.target, open(&backend, &clock, self.cache).map_err(|err| format!("{err:?}"))?);
        backend.inject(fault);
        let failed = self.run(&db, &clock, 0);
        backend.heal();
        let last = self.states.len() - 1;
        let allowed = match &failed {
            Some((_, err)) if !is_of_storage(err) => return Err(format!("{err:?}")),
            Some((nth, _)) => &self.states[*nth..=*nth + 1],
            None if must_fail => return Err("nothing failed".into()),
            None => &self.states[last..],
        };
        let told = |when: &str, err: String| format!("{when}, after {failed:?}: {err}");
        let now = check(&db, &clock, allowed).map_err(|err| told("still open", err))?;
        self.check_files(&backend, &clock, allowed, rng).map_err(|err| told("after a crash", err))?;
        if let Some((nth, _)) = &failed
            && target == Target::Read
        {
            let retry = nth + usize::from(now != self.states[*nth]);
            if let Some((step, err)) = self.run(&db, &clock, retry) {
                return Err(told("again", format!("step {step}: {err:?}")));
            }
            let rows =
                |state: &State| state.iter().take_while(|line| !line.contains("Info")).cloned().collect::<State>();
            let found = state(&db, &clock).map_err(|err| told("at the end", format!("{err:?}")))?;
            if rows(&found) != rows(&self.states[last]) {
                return Err(told("at the end", format!("{found:#?} instead of {:#?}", self.states[last])));
            }
            return whole(&db);
        }
        drop(db);
        let db = open(&backend.reopened(), &clock, self.cache).map_err(|err| format!("{err:?}"))?;
        check(&db, &clock, allowed).map_err(|err| told("after closing", err))?;
        whole(&db)
    }

    /// The files that the process leaves if it dies now, with the power or without.
    fn check_files(
        &self,
        backend: &RecordingBackend,
        clock: &Hand,
        allowed: &[State],
        rng: &mut Rng,
    ) -> Result<(), String> {
        let recording = backend.recording();
        let mut images = CrashImages::new(&recording);
        images.seek(recording.log.len());
        for state in [images.kill(), CrashState::durable(images.power_loss(rng))] {
            let backend = RecordingBackend::from_state(state);
            let db = open(&backend, clock, self.cache).map_err(|err| format!("{err:?}"))?;
            check(&db, clock, allowed)?;
            whole(&db)?;
        }
        Ok(())
    }
}

/// The database must show one of these.
fn check(db: &Database, clock: &Hand, allowed: &[State]) -> Result<State, String> {
    let found = state(db, clock).map_err(|err| format!("{err:?}"))?;
    if allowed.contains(&found) { Ok(found) } else { Err(format!("{found:#?} instead of {allowed:#?}")) }
}

fn whole(db: &Database) -> Result<(), String> {
    let report = db.verify_integrity(VerifyLevel::Rows).map_err(|err| format!("{err:?}"))?;
    // Header, slots and mirror may be torn.
    if let Some(finding) = report.findings.iter().find(|finding| finding.page.is_some()) {
        return Err(finding.to_string());
    }
    db.verify().map(drop).map_err(|err| format!("verify: {err:?}"))
}

fn fail_everywhere(cache: usize, seed: u64) {
    let plan = Plan::new(cache).unwrap();
    let mut rng = Rng::new(seed);
    for (target, calls) in TARGETS.into_iter().zip(plan.calls) {
        assert!(calls > 0, "{target:?}");
        let stride = (calls / (FAILING as u64 * scale())).max(1);
        for nth in (rng.below(stride)..calls).step_by(stride as usize) {
            let fault = match rng.below(4) {
                0 => Fault::lasting(target, nth),
                1 => Fault { partial: true, ..Fault::once(target, nth) },
                _ => Fault::once(target, nth),
            };
            let what = format!("{fault:?}, cache of {cache}");
            let outcome = catch_unwind(AssertUnwindSafe(|| plan.try_with(fault, &mut rng)));
            outcome.unwrap_or_else(|_| panic!("{what}")).unwrap_or_else(|err| panic!("{what}: {err}"));
        }
    }
}

#[test]
fn a_call_that_fails_is_told_and_nothing_is_half_done_without_a_cache() {
    fail_everywhere(0, 1);
}

#[test]
fn a_call_that_fails_is_told_and_nothing_is_half_done_with_a_small_cache() {
    fail_everywhere(60_000, 2);
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..length).map(|_| rng.below(256) as u8).collect()
}

/// What ends a writer without a blob.
type Ending = fn(BlobWriter<'_>);

/// Whoever drops a writer hears of no error: it is the commit that tells.
#[test]
fn what_a_writer_leaves_half_done_is_not_committed() {
    const ENDINGS: [Ending; 3] =
        [|writer| drop(writer), |writer| drop(writer.suspend()), |writer| drop(writer.finish())];
    let mut failed = [0; 3];
    for (ending, in_pieces) in (0..ENDINGS.len()).flat_map(|ending| [(ending, true), (ending, false)]) {
        for nth in (0..).step_by(3) {
            let (backend, clock) = (RecordingBackend::new(), Hand::default());
            let db = open(&backend, &clock, 0).unwrap();
            let options = || StoreOptions::new().with_chunk_dedup(in_pieces).with_namespace("full").with_time_ms(7);
            let bytes = noise(1, 400_000);
            let txn = db.begin_write().unwrap();
            txn.store_blob(&bytes[..200_000], ContentType::Json, "", options()).unwrap();
            txn.set_namespace_quota("full", NamespaceQuota::UNLIMITED.with_max_blobs(1)).unwrap();
            txn.commit().unwrap();
            let txn = db.begin_write().unwrap();
            let mut writer = txn.blob_writer(ContentType::Json, "", options()).unwrap();
            writer.write(&bytes).unwrap();
            backend.take_counters();
            backend.inject(Fault::once(Target::Read, nth));
            ENDINGS[ending](writer);
            let committed = txn.commit();
            let reads = backend.take_counters().reads.len() as u64;
            backend.heal();
            whole(&db).unwrap_or_else(|err| panic!("{ending}, read {nth}, {in_pieces}, {committed:?}: {err}"));
            failed[ending] += u64::from(committed.is_err());
            if reads <= nth {
                committed.unwrap();
                break;
            }
        }
    }
    assert!(failed.iter().all(|failed| *failed > 0), "{failed:?}");
}
