use super::Mutex;
#[cfg(feature = "std")]
use super::system;
use alloc::collections::BTreeMap;
use core::mem;
use core::task::Waker;
#[cfg(feature = "std")]
use std::time::{Duration, Instant};

/// Tells those who wait that a number has grown.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    #[cfg(feature = "std")]
    rung: system::Condvar,
}

#[derive(Debug, Default)]
struct State {
    newest: u64,
    /// There will be no more.
    over: bool,
    /// Of those who listen, by the number that each was given.
    wakers: BTreeMap<u64, Waker>,
    /// Numbers that were given.
    listeners: u64,
}

/// What there is to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A greater number than the one that was known.
    Newer(u64),
    Nothing,
    Over,
}

impl State {
    fn heard(&self, known: u64) -> Heard {
        match self {
            Self { newest, .. } if *newest > known => Heard::Newer(*newest),
            Self { over: true, .. } => Heard::Over,
            _ => Heard::Nothing,
        }
    }
}

impl Bell {
    /// The number is at least this now.
    pub(crate) fn ring(&self, number: u64) {
        self.change(|state| state.newest = state.newest.max(number));
    }

    pub(crate) fn end(&self) {
        self.change(|state| state.over = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.state.lock();
            change(&mut state);
            mem::take(&mut state.wakers)
        };
        #[cfg(feature = "std")]
        self.rung.notify_all();
        wakers.into_values().for_each(Waker::wake);
    }

    /// A number for one who may [listen](Self::listen).
    pub(crate) fn join(&self) -> u64 {
        let mut state = self.state.lock();
        state.listeners += 1;
        state.listeners
    }

    /// The waker of this listener, if there is one, is not called.
    pub(crate) fn leave(&self, listener: u64) {
        let waker = self.state.lock().wakers.remove(&listener);
        drop(waker);
    }

    pub(crate) fn heard(&self, known: u64) -> Heard {
        self.state.lock().heard(known)
    }

    /// What there is to hear. If nothing, the waker is called when there is, instead of the one that the listener gave
    /// before.
    pub(crate) fn listen(&self, known: u64, listener: u64, waker: &Waker) -> Heard {
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock();
        let heard = state.heard(known);
        if heard == Heard::Nothing {
            waker = waker.and_then(|waker| state.wakers.insert(listener, waker));
        }
        // Wakers are a user's code, which does not run under a lock.
        drop(state);
        drop(waker);
        heard
    }

    /// Waits until there is something to hear, but not longer than that.
    #[cfg(feature = "std")]
    pub(crate) fn wait(&self, known: u64, patience: Option<Duration>) -> Heard {
        let end = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut state = self.state.lock();
        loop {
            let heard = state.heard(known);
            if heard != Heard::Nothing {
                return heard;
            }
            let Some(end) = end else {
                state = self.rung.wait(state).unwrap_or_else(system::PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Nothing;
            }
            state = self.rung.wait_timeout(state, left).unwrap_or_else(system::PoisonError::into_inner).0;
        }
    }
}
