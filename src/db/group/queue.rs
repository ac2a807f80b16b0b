//! Where batches wait, and who of those that wait does the work for all.
//!
//! - While a batch is in the queue there is a leader, whose own is not: it was given back to it with the lead.
//! - Whoever waits is called: by the leader that took its batch, however that ends, or by one that makes it leader.

use super::{Change, GroupCommitOptions};
use crate::error::GroupCommitError;
use crate::sync::{Arc, Condvar, Moment, Mutex, ThreadId, this_thread};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::any::Any;

/// Why a batch was not committed.
pub(super) enum Fault {
    Error(GroupCommitError),
    /// It panicked with this.
    Panic(Box<dyn Any + Send>),
}

/// What one who waits is called for.
pub(super) enum Call {
    /// To lead, with its own batch first.
    Lead(Entry),
    Done(Result<(), Fault>),
}

/// Where one thread waits.
#[derive(Default)]
pub(super) struct Seat {
    call: Mutex<Option<Call>>,
    called: Condvar,
}

impl Seat {
    pub(super) fn call(&self, call: Call) {
        *self.call.lock() = Some(call);
        self.called.notify_all();
    }

    pub(super) fn fail(&self, err: GroupCommitError) {
        self.call(Call::Done(Err(Fault::Error(err))));
    }

    pub(super) fn wait(&self) -> Call {
        loop {
            let mut call = self.called.wait_while(self.call.lock(), |call| call.is_none());
            if let Some(call) = call.take() {
                return call;
            }
        }
    }
}

/// A batch that waits.
pub(super) struct Entry {
    pub(super) change: Change,
    pub(super) seat: Arc<Seat>,
    thread: ThreadId,
    since: Moment,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Entry>,
    leader: Option<ThreadId>,
}

impl Line {
    /// Makes the first of those who wait leader, if there is one.
    fn appoint(&mut self) {
        let first = self.waiting.pop_front();
        self.leader = first.as_ref().map(|entry| entry.thread);
        if let Some(first) = first {
            let seat = first.seat.clone();
            seat.call(Call::Lead(first));
        }
    }
}

/// The batches of a database that wait.
#[derive(Default)]
pub(in crate::db) struct Queue {
    line: Mutex<Line>,
    /// A batch has come.
    arrived: Condvar,
    options: GroupCommitOptions,
}

impl Queue {
    pub(in crate::db) fn new(options: GroupCommitOptions) -> Self {
        Self { line: Mutex::default(), arrived: Condvar::default(), options }
    }

    /// Puts a batch behind those that wait.
    pub(super) fn join(&self, change: Change) -> Result<Arc<Seat>, GroupCommitError> {
        let thread = this_thread();
        let seat = Arc::new(Seat::default());
        let mut line = self.line.lock();
        if line.leader == Some(thread) {
            return Err(GroupCommitError::Nested);
        }
        line.waiting.push_back(Entry { change, seat: seat.clone(), thread, since: Moment::now() });
        if line.leader.is_none() {
            line.appoint();
        }
        self.arrived.notify_all();
        Ok(seat)
    }
}

/// The right to take batches, and the duty to call those who wait for them. Dropping it passes it on.
pub(super) struct Leader<'q>(&'q Queue);

impl<'q> Leader<'q> {
    /// For a thread that was called to lead.
    pub(super) fn new(queue: &'q Queue) -> Self {
        Self(queue)
    }

    /// Waits for company of the leader's own batch, which has waited longest, as long as the options say.
    pub(super) fn gather(&self, own: &Entry) {
        let Queue { line, arrived, options } = self.0;
        let left = options.max_delay.saturating_sub(own.since.elapsed().unwrap_or_default());
        if !left.is_zero() {
            let lacks = |line: &mut Line| line.waiting.len() < options.others();
            drop(arrived.wait_while_within(line.lock(), left, lacks));
        }
    }

    /// The batches of others, until there are as many as one transaction takes, or none waits.
    pub(super) fn others(&self) -> impl Iterator<Item = Entry> {
        let next = || self.0.line.lock().waiting.pop_front();
        core::iter::from_fn(next).take(self.0.options.others())
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.0.line.lock().appoint();
    }
}
