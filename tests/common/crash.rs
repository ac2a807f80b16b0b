//! A storage that records what is done to it, and the files that a crash at any point could leave.
//!
//! A test works on a [`RecordingBackend`], marking what it was promised. [`CrashImages`] then walks
//! the [`Recording`] from operation to operation, and gives at each of them
//! - files as they may be after power loss there ([`CrashImages::power_loss`]), and
//! - the state after the process was killed there ([`CrashImages::kill`]), from which a next
//!   session goes on with [`RecordingBackend::from_state`], and may lose power yet.

use super::rng::Rng;
use sapwood::StorageBackend;
use std::fmt::{Debug, Formatter};
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// What was done to a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Write {
        offset: u64,
        data: Arc<[u8]>,
    },
    SetLen {
        len: u64,
    },
    Sync,
    /// A sync that returned an error: what it should have covered may be lost in spite of later syncs.
    FailedSync,
    /// The test's own note, such as "commit 7 was acknowledged".
    Mark(u64),
}

/// What is known of the survival of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The next sync makes it durable.
    Open,
    /// A sync of it failed: no later one makes it durable.
    Doubtful,
    /// It survives power loss. It waits behind a doubtful one, as the order matters.
    Certain,
}

/// A write or `set_len` that is not part of the durable base yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub op: Op,
    pub standing: Standing,
}

/// A storage as a crash left it: what is durable, and what followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashState {
    pub base: Vec<u8>,
    pub pending: Vec<Pending>,
}

impl CrashState {
    /// A storage all of whose bytes are durable, as after power loss.
    pub fn durable(base: Vec<u8>) -> Self {
        Self { base, pending: Vec::new() }
    }

    /// What a process reads: everything that was done.
    pub fn contents(&self) -> Vec<u8> {
        let mut image = self.base.clone();
        for pending in &self.pending {
            apply(&mut image, &pending.op);
        }
        image
    }

    fn take(&mut self, op: &Op) {
        match op {
            Op::Write { .. } | Op::SetLen { .. } => {
                self.pending.push(Pending { op: op.clone(), standing: Standing::Open });
            }
            Op::FailedSync => self.turn_open_into(Standing::Doubtful),
            Op::Sync => {
                self.turn_open_into(Standing::Certain);
                self.settle();
            }
            Op::Mark(_) => {}
        }
    }

    fn turn_open_into(&mut self, standing: Standing) {
        self.pending.iter_mut().filter(|pending| pending.standing == Standing::Open).for_each(|pending| {
            pending.standing = standing;
        });
    }

    fn settle(&mut self) {
        let certain = self.pending.iter().take_while(|pending| pending.standing == Standing::Certain).count();
        for pending in self.pending.drain(..certain) {
            apply(&mut self.base, &pending.op);
        }
    }
}

/// Applies an operation as a storage does that keeps everything.
fn apply(image: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { offset, data } => put(image, *offset as usize, data, true),
        Op::SetLen { len } => image.resize(*len as usize, 0),
        Op::Sync | Op::FailedSync | Op::Mark(_) => {}
    }
}

/// Writes `data`; what is past the end makes the image longer, or is lost.
fn put(image: &mut Vec<u8>, offset: usize, data: &[u8], extends: bool) {
    let end = offset + data.len();
    if extends && end > image.len() {
        image.resize(end, 0);
    }
    let start = offset.min(image.len());
    let kept = end.min(image.len()) - start;
    image[start..start + kept].copy_from_slice(&data[..kept]);
}

/// The operations of a storage that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Read,
    Write,
    SetLen,
    Sync,
}

/// An error to come: the `nth` next operation of its kind fails (0 is the very next), and `count` in all.
#[derive(Clone, Debug)]
pub struct Fault {
    pub target: Target,
    pub nth: u64,
    pub count: u64,
    /// A write that fails has written its first half.
    pub partial: bool,
}

impl Fault {
    /// One failure.
    pub fn once(target: Target, nth: u64) -> Self {
        Self { target, nth, count: 1, partial: false }
    }

    /// Failure from there on.
    pub fn lasting(target: Target, nth: u64) -> Self {
        Self { target, nth, count: u64::MAX, partial: false }
    }

    /// Whether this operation fails.
    fn strikes(&mut self, target: Target) -> bool {
        if self.target != target || self.count == 0 {
            return false;
        }
        if self.nth > 0 {
            self.nth -= 1;
            return false;
        }
        self.count -= 1;
        true
    }
}

/// What was asked of a storage since the counters were reset; operations that failed count too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Offset and length of each read.
    pub reads: Vec<(u64, usize)>,
    pub writes: u64,
    pub bytes_written: u64,
    pub set_lens: u64,
    pub syncs: u64,
    pub closes: u64,
}

impl Counters {
    pub fn bytes_read(&self) -> u64 {
        self.reads.iter().map(|(_, len)| *len as u64).sum()
    }
}

/// A storage's history: how it was, and what was done since.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub start: CrashState,
    pub log: Vec<Op>,
}

#[derive(Default)]
struct State {
    contents: Vec<u8>,
    recording: Recording,
    counters: Counters,
    faults: Vec<Fault>,
    capacity: Option<u64>,
    violations: Vec<String>,
}

/// A storage in memory that records every operation. Clones are the same storage.
#[derive(Clone, Default)]
pub struct RecordingBackend(Arc<Mutex<State>>);

impl RecordingBackend {
    pub fn new() -> Self {
        Self::default()
    }

    /// The storage that the next session finds.
    pub fn from_state(state: CrashState) -> Self {
        let contents = state.contents();
        let recording = Recording { start: state, log: Vec::new() };
        Self(Arc::new(Mutex::new(State { contents, recording, ..State::default() })))
    }

    pub fn from_image(image: Vec<u8>) -> Self {
        Self::from_state(CrashState::durable(image))
    }

    /// The storage as the next process finds it, after this one has let it go.
    pub fn reopened(&self) -> Self {
        Self::from_image(self.contents())
    }

    /// Notes something in the log; the operations before it were done when it happened.
    pub fn mark(&self, note: u64) {
        self.state().recording.log.push(Op::Mark(note));
    }

    /// The history until now.
    pub fn recording(&self) -> Recording {
        self.state().recording.clone()
    }

    /// Forgets the history: recordings begin with the present state.
    pub fn restart(&self) {
        let mut state = self.state();
        let Recording { mut start, log } = std::mem::take(&mut state.recording);
        log.iter().for_each(|op| start.take(op));
        state.recording.start = start;
    }

    /// The bytes as a process reads them.
    pub fn contents(&self) -> Vec<u8> {
        self.state().contents.clone()
    }

    /// The state if the process dies now.
    pub fn kill(&self) -> CrashState {
        let recording = self.recording();
        let mut images = CrashImages::new(&recording);
        images.seek(recording.log.len());
        images.kill()
    }

    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Lets all operations succeed again.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.capacity = None;
    }

    /// Makes a `set_len` beyond `len` fail as on a full disk.
    pub fn limit(&self, len: u64) {
        self.state().capacity = Some(len);
    }

    pub fn counters(&self) -> Counters {
        self.state().counters.clone()
    }

    /// The counters so far; they start again at zero.
    pub fn take_counters(&self) -> Counters {
        std::mem::take(&mut self.state().counters)
    }

    /// What a database must not do and this one did: write past the end, or go on after `close`.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn enter(&self, what: &str) -> MutexGuard<'_, State> {
        let mut state = self.state();
        if state.counters.closes > 0 {
            state.violations.push(format!("{what} after close"));
        }
        state
    }
}

impl Debug for RecordingBackend {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        write!(f, "RecordingBackend {{ len: {}, ops: {} }}", state.contents.len(), state.recording.log.len())
    }
}

impl State {
    fn fault(&mut self, target: Target) -> Option<Fault> {
        self.faults.iter_mut().find_map(|fault| fault.strikes(target).then(|| fault.clone()))
    }

    fn check(&mut self, target: Target) -> Result<(), Error> {
        match self.fault(target) {
            Some(_) => Err(Error::other(format!("injected failure: {target:?}"))),
            None => Ok(()),
        }
    }

    fn perform(&mut self, op: Op) {
        apply(&mut self.contents, &op);
        self.recording.log.push(op);
    }

    /// The bytes of the storage that these are, if they are all there.
    fn range(&self, offset: u64, len: usize) -> Option<Range<usize>> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.contents.len()).then_some(start..end)
    }
}

impl StorageBackend for RecordingBackend {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.enter("len").contents.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let mut state = self.enter("read");
        state.counters.reads.push((offset, out.len()));
        state.check(Target::Read)?;
        let range = state.range(offset, out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(&state.contents[range]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let mut state = self.enter("set_len");
        state.counters.set_lens += 1;
        state.check(Target::SetLen)?;
        if state.capacity.is_some_and(|capacity| len > capacity) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.perform(Op::SetLen { len });
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut state = self.enter("sync_data");
        state.counters.syncs += 1;
        let outcome = state.check(Target::Sync);
        state.perform(if outcome.is_ok() { Op::Sync } else { Op::FailedSync });
        outcome
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut state = self.enter("write");
        state.counters.writes += 1;
        state.counters.bytes_written += data.len() as u64;
        if state.range(offset, data.len()).is_none() {
            let len = state.contents.len();
            state.violations.push(format!("write of {} bytes at {offset} of {len}", data.len()));
            return Err(ErrorKind::InvalidInput.into());
        }
        let fault = state.fault(Target::Write);
        let done = match &fault {
            None => data,
            Some(fault) if fault.partial => &data[..data.len() / 2],
            Some(_) => &[],
        };
        if fault.is_none() || !done.is_empty() {
            state.perform(Op::Write { offset, data: done.into() });
        }
        fault.map_or(Ok(()), |_| Err(Error::other("injected failure: Write")))
    }

    fn close(&self) -> Result<(), Error> {
        self.enter("close").counters.closes += 1;
        Ok(())
    }
}

/// What becomes of one operation that was not synced when the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    Dropped,
    /// Of a write, each sector is kept or old, by the bits that follow from the seed.
    Torn(u64),
    /// Of a write, each sector is kept, old or garbage. Of a growth, some new sectors are garbage.
    Garbage(u64),
}

/// How a power loss treats the unsynced operations. Chances are of 256.
#[derive(Clone, Debug)]
pub struct Storm {
    /// Bytes that reach the disk together.
    pub sector: usize,
    pub keep: u16,
    /// Of those kept, how many are torn, and how many hold garbage.
    pub tear: u16,
    pub garbage: u16,
    /// Whether a write past the end, whose growth was lost, makes the storage longer.
    pub extends: bool,
    /// Whether garbage fills a sector of which only a part was being written. The contract says no.
    pub neighbours: bool,
}

impl Storm {
    /// A storm of random nature, within the contract of `StorageBackend`.
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            sector: *rng.pick(&[512, 512, 4096]),
            keep: *rng.pick(&[0, 16, 128, 128, 128, 240, 256]),
            tear: *rng.pick(&[0, 0, 64, 256]),
            garbage: *rng.pick(&[0, 0, 32, 256]),
            extends: rng.chance(128),
            neighbours: false,
        }
    }

    /// A storm that keeps some operations and drops others, whole.
    pub fn dropping() -> Self {
        Self { sector: 512, keep: 128, tear: 0, garbage: 0, extends: false, neighbours: false }
    }

    pub fn fate(&self, rng: &mut Rng) -> Fate {
        if !rng.chance(self.keep) {
            Fate::Dropped
        } else if rng.chance(self.garbage) {
            Fate::Garbage(rng.next_u64())
        } else if rng.chance(self.tear) {
            Fate::Torn(rng.next_u64())
        } else {
            Fate::Kept
        }
    }

    fn strike(&self, image: &mut Vec<u8>, op: &Op, fate: Fate) {
        match (op, fate) {
            (_, Fate::Dropped) => {}
            (Op::Write { offset, data }, Fate::Kept) => put(image, *offset as usize, data, self.extends),
            (Op::Write { offset, data }, Fate::Torn(seed)) => {
                self.write_sectors(image, *offset as usize, data, &mut Rng::new(seed), false);
            }
            (Op::Write { offset, data }, Fate::Garbage(seed)) => {
                self.write_sectors(image, *offset as usize, data, &mut Rng::new(seed), true);
            }
            (Op::SetLen { len }, Fate::Garbage(seed)) => self.grow_dirty(image, *len as usize, &mut Rng::new(seed)),
            (op, _) => apply(image, op),
        }
    }

    fn write_sectors(&self, image: &mut Vec<u8>, offset: usize, data: &[u8], rng: &mut Rng, garbage: bool) {
        let end = offset + data.len();
        let mut at = offset;
        while at < end {
            let next = ((at / self.sector + 1) * self.sector).min(end);
            match rng.below(if garbage { 3 } else { 2 }) {
                0 => {}
                1 => put(image, at, &data[at - offset..next - offset], self.extends),
                _ => self.spoil(image, at..next, rng),
            }
            at = next;
        }
    }

    /// Leaves garbage in one sector, or the part of it that was being written.
    fn spoil(&self, image: &mut Vec<u8>, part: Range<usize>, rng: &mut Rng) {
        let start = part.start / self.sector * self.sector;
        let place = if self.neighbours { start..(start + self.sector).min(image.len()) } else { part };
        let garbage = garbage(image, place.len(), self.sector, rng);
        put(image, place.start, &garbage, self.extends);
    }

    fn grow_dirty(&self, image: &mut Vec<u8>, len: usize, rng: &mut Rng) {
        let old = image.len();
        image.resize(len, 0);
        let mut at = old;
        while at < len {
            let next = ((at / self.sector + 1) * self.sector).min(len);
            if rng.chance(64) {
                let garbage = garbage(image, next - at, self.sector, rng);
                put(image, at, &garbage, false);
            }
            at = next;
        }
    }
}

/// Noise, one byte repeated, or the bytes of another sector: the last look valid but for their place.
fn garbage(image: &[u8], len: usize, sector: usize, rng: &mut Rng) -> Vec<u8> {
    match rng.below(4) {
        0 => vec![*rng.pick(&[0, 0xFF]); len],
        1 if image.len() > len => {
            let sectors = ((image.len() - len) / sector) as u64 + 1;
            let start = rng.below(sectors) as usize * sector;
            image[start..start + len].to_vec()
        }
        _ => rng.bytes(len),
    }
}

/// A walk through a recording, whose present place is a cut: the operations before it were done,
/// and those after it were not.
#[derive(Clone, Debug)]
pub struct CrashImages<'a> {
    recording: &'a Recording,
    at: usize,
    state: CrashState,
    marks: Vec<u64>,
}

impl<'a> CrashImages<'a> {
    /// Before the first operation.
    pub fn new(recording: &'a Recording) -> Self {
        Self { recording, at: 0, state: recording.start.clone(), marks: Vec::new() }
    }

    /// How many entries of the log are before the cut.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The marks before the cut.
    pub fn marks(&self) -> &[u64] {
        &self.marks
    }

    pub fn last_mark(&self) -> Option<u64> {
        self.marks.last().copied()
    }

    /// What power loss may take, in the order in which it was done.
    pub fn pending(&self) -> &[Pending] {
        &self.state.pending
    }

    /// Goes to the next cut that makes a difference: one operation further, and past the marks that
    /// follow it. `false` at the end of the log.
    pub fn advance(&mut self) -> bool {
        let mut moved = false;
        while let Some(op) = self.recording.log.get(self.at) {
            if moved && !matches!(op, Op::Mark(_)) {
                break;
            }
            moved |= !matches!(op, Op::Mark(_));
            self.step(op);
        }
        moved
    }

    /// Goes to the cut after `at` entries of the log; backwards by starting again.
    pub fn seek(&mut self, at: usize) {
        if at < self.at {
            *self = Self::new(self.recording);
        }
        for op in &self.recording.log[self.at..at] {
            self.step(op);
        }
    }

    fn step(&mut self, op: &Op) {
        self.at += 1;
        if let Op::Mark(note) = op {
            self.marks.push(*note);
        }
        self.state.take(op);
    }

    /// A file as power loss at the cut may leave it.
    pub fn power_loss(&self, rng: &mut Rng) -> Vec<u8> {
        let storm = Storm::random(rng);
        self.power_loss_in(&storm, |_, _| storm.fate(rng))
    }

    /// The file that power loss leaves if `fate` decides, of the pending operations one by one,
    /// what becomes of them. Those that are certain are not asked about.
    pub fn power_loss_in(&self, storm: &Storm, mut fate: impl FnMut(usize, &Op) -> Fate) -> Vec<u8> {
        let mut image = self.state.base.clone();
        for (index, pending) in self.state.pending.iter().enumerate() {
            match pending.standing {
                Standing::Certain => apply(&mut image, &pending.op),
                Standing::Open | Standing::Doubtful => storm.strike(&mut image, &pending.op, fate(index, &pending.op)),
            }
        }
        image
    }

    /// Every file that power loss may leave if each pending operation is kept or dropped as a whole,
    /// which are two to the power of their number.
    pub fn every_power_loss(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        assert!(self.state.pending.len() < 24, "too many pending operations to try all");
        (0..1_u32 << self.state.pending.len()).map(|kept| {
            let fate = |index, _: &Op| if kept >> index & 1 == 1 { Fate::Kept } else { Fate::Dropped };
            self.power_loss_in(&Storm::dropping(), fate)
        })
    }

    /// The state after the process was killed at the cut: all that was done is there, and what was
    /// not synced may still be lost, unless the next session syncs it.
    ///
    /// That a sync had failed is forgotten: a next session cannot know of it, and no database could
    /// outlive being told by a sync of its own that it succeeded.
    pub fn kill(&self) -> CrashState {
        let mut state = self.state.clone();
        let doubtful = state.pending.iter_mut().filter(|pending| pending.standing == Standing::Doubtful);
        doubtful.for_each(|pending| pending.standing = Standing::Open);
        state
    }

    /// The same if the process was killed in the midst of the next operation: of a write, some whole
    /// pages of memory were taken over, from the first on. `None` if the next is no write.
    pub fn kill_in_write(&self, rng: &mut Rng) -> Option<CrashState> {
        const MEMORY_PAGE: u64 = 4096;
        let Some(Op::Write { offset, data }) = self.recording.log.get(self.at) else { return None };
        let first = offset / MEMORY_PAGE + 1;
        let last = (offset + data.len() as u64).div_ceil(MEMORY_PAGE);
        let end = (first + rng.below(last.saturating_sub(first) + 1)) * MEMORY_PAGE;
        let done = ((end - offset) as usize).min(data.len());
        let mut state = self.kill();
        state.take(&Op::Write { offset: *offset, data: data[..done].into() });
        Some(state)
    }
}
