//! One group: the batches that one transaction commits.

use super::queue::{Call, Entry, Fault, Leader, Seat};
use super::{Change, Database};
use crate::error::{CommitError, GroupCommitError};
use crate::sync::Arc;
use crate::txn::WriteTransaction;
use alloc::vec::Vec;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

impl Database {
    pub(super) fn submit(&self, change: Change) -> Result<(), GroupCommitError> {
        let queue = &self.core.batches;
        let seat = queue.join(change)?;
        loop {
            match seat.wait() {
                Call::Lead(own) => self.lead(&Leader::new(queue), own),
                Call::Done(Ok(())) => return Ok(()),
                Call::Done(Err(Fault::Error(err))) => return Err(err),
                Call::Done(Err(Fault::Panic(payload))) => resume_unwind(payload),
            }
        }
    }

    /// Commits a group, this thread's own batch and those of others.
    fn lead(&self, leader: &Leader<'_>, own: Entry) {
        leader.gather(&own);
        let mut members = Members::default();
        let begun = WriteTransaction::begin(&self.core.store, self.core.gate.pass(), self.core.clone());
        let batches = core::iter::once(own).chain(leader.others());
        let mut txn = match begun {
            Ok(txn) => txn,
            Err(err) => {
                let refused = || GroupCommitError::TransactionFailed(err.again().into());
                return batches.for_each(|entry| entry.seat.fail(refused()));
            }
        };
        batches.for_each(|entry| members.attempt(&mut txn, entry));
        if !members.seats.is_empty() {
            members.tell(&txn.commit());
        }
    }
}

/// Those whose batches the transaction holds. Who was told nothing before it is dropped waits for a thread that
/// panicked.
#[derive(Default)]
struct Members {
    seats: Vec<Arc<Seat>>,
}

impl Members {
    fn attempt(&mut self, txn: &mut WriteTransaction, Entry { change, seat, .. }: Entry) {
        self.seats.push(seat);
        let fault = match txn.attempt(|txn| run(change, txn)) {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => fault,
            Err(err) => Fault::Error(GroupCommitError::CommitFailed(err)),
        };
        if let Some(seat) = self.seats.pop() {
            seat.call(Call::Done(Err(fault)));
        }
    }

    fn tell(&mut self, commit: &Result<(), CommitError>) {
        for seat in self.seats.drain(..) {
            match commit {
                Ok(()) => seat.call(Call::Done(Ok(()))),
                Err(err) => seat.fail(GroupCommitError::CommitFailed(err.again())),
            }
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.seats.drain(..).for_each(|seat| seat.fail(GroupCommitError::PeerFailed));
    }
}

/// Panics of a user's code are given to the one who waits for it.
fn run(change: Change, txn: &WriteTransaction) -> Result<(), Fault> {
    match catch_unwind(AssertUnwindSafe(|| change(txn))) {
        Ok(made) => made.map_err(|err| Fault::Error(GroupCommitError::BatchFailed(err))),
        Err(payload) => Err(Fault::Panic(payload)),
    }
}
