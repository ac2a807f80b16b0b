//! A random program is cut off anywhere: what is found on opening again must be one of its commits, no older than the
//! last that was acknowledged as durable, whole, and fit to go on with. Then the next crash, and the next.
//!
//! `SAPWOOD_TEST_SCALE=10` tries ten times as much; `SAPWOOD_CRASH_SEED=7` only what follows from seed 7.

mod common;
#[path = "crash_everywhere/group.rs"]
mod group;
#[path = "crash_everywhere/model.rs"]
mod model;
#[path = "crash_everywhere/past.rs"]
mod past;
#[path = "crash_everywhere/program.rs"]
mod program;
#[path = "crash_everywhere/work.rs"]
mod work;

use common::clock::Hand;
use common::crash::{CrashImages, CrashState, Fate, Op, Recording, RecordingBackend, Storm};
use common::rng::Rng;
use model::{FADING, History, Model, NUMBERS, Past, text};
use past::check_past;
use program::{Session, Setup};
use sapwood::{Builder, Clock, Database, OpenOutcome, VerifyLevel};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use work::purge;

const SEEDS: u64 = 60;
/// First crashes per seed; the chains that follow some of them come on top.
const IMAGES: u64 = 100;

/// A file after a crash, and what may be in it.
struct Wreck {
    state: CrashState,
    allowed: Vec<Model>,
    past: Past,
    /// Nothing was lost, so that nothing may have to be rolled back.
    complete: bool,
}

fn scale() -> u64 {
    std::env::var("SAPWOOD_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// The seeds to try: as many as `count`, or the one that is asked for.
fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("SAPWOOD_CRASH_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    }
}

/// Runs `trial` on every seed, on all processors. It gives the number of images that it tried, and notes in the string
/// what it is about to do.
fn on_all_seeds(count: u64, trial: impl Fn(u64, &mut String) -> Result<u64, String> + Sync) {
    let range = seeds(count);
    let (next, images, failures) = (AtomicU64::new(range.start), AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= range.end || failures.lock().unwrap().len() >= 5 {
                return;
            }
            let mut story = String::new();
            let result = catch_unwind(AssertUnwindSafe(|| trial(seed, &mut story)));
            match result.unwrap_or_else(|_| Err("panicked, see above".into())) {
                Ok(tried) => _ = images.fetch_add(tried, Ordering::Relaxed),
                Err(err) => {
                    let failure = format!("{err}\n  after {story}\n  repeat with SAPWOOD_CRASH_SEED={seed}");
                    eprintln!("{failure}");
                    failures.lock().unwrap().push(failure);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} seeds failed\n{}", failures.len(), failures.join("\n"));
    println!("{} images of {} seeds", images.into_inner(), range.end - range.start);
}

#[test]
fn every_crash_leaves_a_commit() {
    on_all_seeds(SEEDS * scale(), |seed, story| {
        let mut rng = Rng::new(seed);
        let setup = Setup::random(&mut rng);
        _ = write!(story, "{setup:?}");
        let backend = RecordingBackend::new();
        let mut session = Session::new(&setup, backend.clone(), Model::default(), Past::new(), &mut rng);
        let transactions = 8 + session.rng.below(30) as usize;
        session.run(transactions)?;
        let history = session.history;
        no_violations(&backend)?;
        let recording = backend.recording();
        let beginning = story.len();
        let mut cuts: Vec<usize> = (0..IMAGES).map(|_| rng.below(recording.log.len() as u64 + 1) as usize).collect();
        cuts.sort_unstable();
        let mut images = CrashImages::new(&recording);
        let mut tried = 0;
        for cut in cuts {
            story.truncate(beginning);
            images.seek(cut);
            let wreck = crash(&images, &history, recording.log.len(), 0, &mut rng, story);
            tried += 1;
            if rng.chance(77) {
                tried += crash_again(&setup, wreck, &mut rng, story)?;
            } else {
                check(&setup, &wreck, &mut rng)?;
            }
        }
        Ok(tried)
    });
}

/// The crash at the images' cut, of a kind that is chosen at random.
///
/// Before `settled` operations were done, the file may still say that an earlier crash cost it a commit.
fn crash(
    images: &CrashImages<'_>,
    history: &History,
    len: usize,
    settled: usize,
    rng: &mut Rng,
    story: &mut String,
) -> Wreck {
    let settled = images.at() >= settled;
    let (allowed, past) = (history.allowed(images.marks()), history.past.clone());
    _ = write!(story, ", cut at {} of {len} with {} pending", images.at(), images.pending().len());
    if rng.chance(64) {
        if let Some(state) = rng.chance(64).then(|| images.kill_in_write(rng)).flatten() {
            story.push_str(", killed in a write");
            return Wreck { state, allowed, past, complete: false };
        }
        story.push_str(", killed");
        return Wreck { state: images.kill(), allowed, past, complete: settled };
    }
    let storm = Storm::random(rng);
    _ = write!(story, ", {storm:?}");
    let image = images.power_loss_in(&storm, |_, op| fate(&storm, op, images.marks().is_empty(), rng));
    Wreck { state: CrashState::durable(image), allowed, past, complete: settled && images.pending().is_empty() }
}

/// A file that was given its length and holds garbage where the header goes is nobody's that one could tell; it must
/// not be taken for one that may be overwritten.
fn fate(storm: &Storm, op: &Op, creating: bool, rng: &mut Rng) -> Fate {
    match storm.fate(rng) {
        Fate::Garbage(_) if creating && matches!(op, Op::SetLen { .. }) => Fate::Kept,
        fate => fate,
    }
}

fn no_violations(backend: &RecordingBackend) -> Result<(), String> {
    let violations = backend.violations();
    if violations.is_empty() { Ok(()) } else { Err(format!("{violations:?}")) }
}

/// Opens a wreck and gives what is in it.
fn salvage(setup: &Setup, wreck: &Wreck, backend: &RecordingBackend) -> Result<(Database, Model), String> {
    let db = setup.open(backend)?;
    if wreck.complete && matches!(db.open_outcome(), OpenOutcome::RolledBack(_)) {
        return Err(format!("nothing was lost, but {:?}", db.open_outcome()));
    }
    check_past(&db, &wreck.past)?;
    let found = Model::of(&db, &setup.clock)?;
    if !wreck.allowed.contains(&found) {
        let rows: Vec<usize> = wreck.allowed.iter().map(Model::rows).collect();
        return Err(format!(
            "{} rows, which are none of the commits of {rows:?}; {:?}",
            found.rows(),
            db.open_outcome()
        ));
    }
    Ok((db, found))
}

/// The wreck must hold an allowed state, whole, and take one more commit.
fn check(setup: &Setup, wreck: &Wreck, rng: &mut Rng) -> Result<(), String> {
    let backend = RecordingBackend::from_state(wreck.state.clone());
    let (db, mut model) = salvage(setup, wreck, &backend)?;
    let report = db.verify_integrity(VerifyLevel::Rows).map_err(text)?;
    // Header, slots and mirror may be torn.
    if let Some(finding) = report.findings.iter().find(|finding| finding.page.is_some()) {
        return Err(format!("found {finding}, {:?}", db.open_outcome()));
    }
    db.verify().map_err(|err| format!("verify after opening: {err:?}, {:?}", db.open_outcome()))?;
    go_on(&db, &setup.clock, &mut model, rng)?;
    db.verify().map_err(|err| format!("verify after going on: {err:?}"))?;
    if rng.chance(32) {
        copy_is_whole(&db)?;
    }
    no_violations(&backend)
}

/// A backup must be clean and have all rows.
fn copy_is_whole(db: &Database) -> Result<(), String> {
    let mut bytes = Vec::new();
    db.backup_to(&mut bytes).map_err(|err| format!("backup: {err:?}"))?;
    let copy = Builder::new().create_with_backend(RecordingBackend::from_image(bytes)).map_err(text)?;
    let [rows, copied] = [db, &copy].map(|db| db.verify_integrity(VerifyLevel::Rows));
    let (rows, copied) = (rows.map_err(text)?.rows, copied.map_err(text)?);
    if *copy.open_outcome() != OpenOutcome::Clean || !copied.is_clean() || copied.rows != rows {
        return Err(format!("of {rows} rows: {copied:?}, {:?}", copy.open_outcome()));
    }
    Ok(())
}

/// One more durable commit, read back. By then some rows have expired, and all those are found.
fn go_on(db: &Database, clock: &Hand, model: &mut Model, rng: &mut Rng) -> Result<(), String> {
    let txn = db.begin_write().map_err(|err| format!("begin_write: {err:?}"))?;
    let value = rng.bytes(rng.clone().below(2000) as usize);
    for (definition, rows) in NUMBERS.iter().zip(&mut model.numbers) {
        txn.open_table(*definition).map_err(text)?.insert(7, &value[..]).map_err(text)?;
        rows.insert(7, value.as_slice().into());
    }
    clock.advance(rng.below(200));
    purge(&mut txn.open_ttl_table(FADING).map_err(text)?, model, clock.now_ms(), usize::MAX)?;
    txn.commit().map_err(|err| format!("commit: {err:?}"))?;
    if Model::of(db, clock)? == *model {
        Ok(())
    } else {
        Err("the commit after the crash reads as something else".into())
    }
}

/// Up to three more crashes, each in the session that follows the last one.
fn crash_again(setup: &Setup, mut wreck: Wreck, rng: &mut Rng, story: &mut String) -> Result<u64, String> {
    let mut tried = 0;
    for _ in 0..1 + rng.below(3) {
        let (recording, history, opening) = next_session(setup, &wreck, rng)?;
        let mut images = CrashImages::new(&recording);
        if rng.chance(32) {
            tried += crash_at_every(setup, &recording, &history, opening, rng, story)?;
        }
        // Half of them strike while the database is being opened, or by its opening commit.
        let most = if rng.chance(128) { opening } else { recording.log.len() };
        images.seek(1 + rng.below(most as u64) as usize);
        wreck = crash(&images, &history, recording.log.len(), opening, rng, story);
        tried += 1;
    }
    check(setup, &wreck, rng)?;
    Ok(tried)
}

/// What a session on the wreck does, its commits, and how much of the log is the opening. The first operation of
/// opening is a sync, so whatever is found has to stay.
fn next_session(setup: &Setup, wreck: &Wreck, rng: &mut Rng) -> Result<(Recording, History, usize), String> {
    let backend = RecordingBackend::from_state(wreck.state.clone());
    let (db, model) = salvage(setup, wreck, &backend)?;
    if rng.chance(64) {
        db.verify().map_err(|err| format!("verify after opening: {err:?}, {:?}", db.open_outcome()))?;
    } else {
        db.begin_write().map_err(|err| format!("begin_write: {err:?}"))?.abort().map_err(text)?;
    }
    let opening = backend.recording().log.len();
    let mut session = Session::new(setup, backend.clone(), model, wreck.past.clone(), rng);
    for _ in 0..session.rng.below(5) {
        session.transaction(&db)?;
    }
    session.close(db)?;
    let history = session.history;
    no_violations(&backend)?;
    Ok((backend.recording(), history, opening))
}

/// A crash at every operation of the opening and of the closing commit.
fn crash_at_every(
    setup: &Setup,
    recording: &Recording,
    history: &History,
    opening: usize,
    rng: &mut Rng,
    story: &mut String,
) -> Result<u64, String> {
    let beginning = story.len();
    let mut tried = 0;
    let mut images = CrashImages::new(recording);
    let end = recording.log.len();
    for cut in (1..=opening).chain(end.saturating_sub(8).max(opening + 1)..=end) {
        images.seek(cut);
        let wreck = crash(&images, history, end, opening, rng, story);
        check(setup, &wreck, rng)?;
        story.truncate(beginning);
        tried += 1;
    }
    Ok(tried)
}

#[test]
fn creation_and_closing_can_be_cut_off_anywhere() {
    on_all_seeds(24 * scale(), |seed, story| {
        let mut rng = Rng::new(seed);
        let setup = Setup::random(&mut rng);
        let backend = RecordingBackend::new();
        let mut session = Session::new(&setup, backend.clone(), Model::default(), Past::new(), &mut rng);
        let db = setup.open(&backend)?;
        backend.mark(session.history.acknowledged());
        if seed % 2 == 1 {
            session.transaction(&db)?;
        }
        session.close(db)?;
        let history = session.history;
        let recording = backend.recording();
        let mut images = CrashImages::new(&recording);
        let mut tried = 0;
        loop {
            for _ in 0..8 {
                story.clear();
                _ = write!(story, "{setup:?}");
                let wreck = crash(&images, &history, recording.log.len(), 0, &mut rng, story);
                tried += 1;
                if rng.chance(128) {
                    tried += crash_again(&setup, wreck, &mut rng, story)?;
                } else {
                    check(&setup, &wreck, &mut rng)?;
                }
            }
            if !images.advance() {
                return Ok(tried);
            }
        }
    });
}

/// A hundred crashes, with the same rows each time: no page may be lost to them for good.
#[test]
fn crashes_cost_no_space() {
    on_all_seeds(8 * scale(), |seed, story| {
        let mut rng = Rng::new(seed);
        let setup = Setup::random(&mut rng);
        let rows = 60 + rng.below(100);
        let mut state = CrashState::default();
        let mut lengths = Vec::new();
        for round in 0..100 {
            let backend = RecordingBackend::from_state(state);
            let db = setup.open(&backend)?;
            for _ in 0..6 {
                let txn = db.begin_write().map_err(text)?;
                let mut table = txn.open_table(NUMBERS[0]).map_err(text)?;
                for key in 0..if round == 0 { rows } else { 20 } {
                    let key = if round == 0 { key } else { rng.below(rows) };
                    let value = rng.bytes((key * 37 % 900) as usize);
                    table.insert(key, &value[..]).map_err(text)?;
                }
                drop(table);
                txn.commit().map_err(text)?;
            }
            db.verify().map_err(text)?;
            lengths.push(backend.contents().len());
            let recording = backend.recording();
            drop(db);
            let mut images = CrashImages::new(&recording);
            // The first round's rows must be there, or the file would be measured empty.
            images.seek(if round == 0 { recording.log.len() } else { rng.below(recording.log.len() as u64) as usize });
            state = if rng.chance(128) { images.kill() } else { CrashState::durable(images.power_loss(&mut rng)) };
        }
        _ = write!(story, "{setup:?}, lengths {lengths:?}");
        // Files grow by an eighth, and where a crash strikes decides when the tail is cut: one step is no loss.
        let first = lengths[..10].iter().max().map(|first| first + first / 8 + 8 * setup.page);
        let last = lengths[90..].iter().max().copied();
        if last > first { Err(format!("{last:?} bytes where {first:?} are enough")) } else { Ok(100) }
    });
}
