#[cfg(feature = "std")]
use super::system;
use super::{Arc, Mutex};

/// A door that one holder at a time may pass, whose pass can be kept in a struct and sent to another thread.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    taken: Mutex<bool>,
    #[cfg(feature = "std")]
    freed: system::Condvar,
}

/// Proof of having passed a [`Gate`]; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct GatePass(Arc<Gate>);

impl Gate {
    /// Waits until the gate is free and takes it.
    #[cfg(feature = "std")]
    pub(crate) fn pass(self: &Arc<Self>) -> GatePass {
        let mut taken = self.taken.lock();
        while *taken {
            taken = self.freed.wait(taken).unwrap_or_else(system::PoisonError::into_inner);
        }
        *taken = true;
        GatePass(self.clone())
    }

    #[cfg(not(feature = "std"))]
    pub(crate) fn pass(self: &Arc<Self>) -> GatePass {
        loop {
            if let Some(pass) = self.try_pass() {
                return pass;
            }
            core::hint::spin_loop();
        }
    }

    /// Takes the gate if it is free.
    #[cfg(not(feature = "std"))]
    pub(crate) fn try_pass(self: &Arc<Self>) -> Option<GatePass> {
        let mut taken = self.taken.lock();
        if *taken {
            return None;
        }
        *taken = true;
        Some(GatePass(self.clone()))
    }
}

impl Drop for GatePass {
    fn drop(&mut self) {
        *self.0.taken.lock() = false;
        #[cfg(feature = "std")]
        self.0.freed.notify_one();
    }
}
