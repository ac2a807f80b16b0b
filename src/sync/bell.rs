use super::Mutex;
#[cfg(feature = "std")]
use super::system;
use alloc::vec::Vec;
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
    wakers: Vec<Waker>,
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
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What there is to hear. If nothing, the waker is called when there is.
    pub(crate) fn listen(&self, known: u64, waker: Option<&Waker>) -> Heard {
        let mut state = self.state.lock();
        let heard = state.heard(known);
        if let (Heard::Nothing, Some(waker)) = (heard, waker)
            && !state.wakers.iter().any(|other| other.will_wake(waker))
        {
            state.wakers.push(waker.clone());
        }
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
