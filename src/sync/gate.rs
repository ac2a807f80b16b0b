#[cfg(feature = "std")]
use super::Condvar;
use super::{Arc, Mutex};
use alloc::collections::BTreeSet;
#[cfg(feature = "std")]
use std::time::Duration;

/// A door that one holder at a time may pass, in the order of coming, whose pass can be kept in a struct and sent to
/// another thread.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    line: Mutex<Line>,
    #[cfg(feature = "std")]
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    /// The number that the next comer gets.
    next: u64,
    /// The number whose turn it is.
    serving: u64,
    /// Numbers of those who did not wait for their turn.
    gone: BTreeSet<u64>,
}

impl Line {
    fn join(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn advance(&mut self) {
        self.serving += 1;
        while self.gone.remove(&self.serving) {
            self.serving += 1;
        }
    }
}

/// Proof of having passed a [`Gate`]; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct GatePass(Arc<Gate>);

impl Gate {
    /// Waits for its turn.
    #[cfg(feature = "std")]
    pub(crate) fn pass(self: &Arc<Self>) -> GatePass {
        let mut line = self.line.lock();
        let number = line.join();
        let _line = self.moved.wait_while(line, |line| line.serving != number);
        GatePass(self.clone())
    }

    #[cfg(not(feature = "std"))]
    pub(crate) fn pass(self: &Arc<Self>) -> GatePass {
        let number = self.line.lock().join();
        while self.line.lock().serving != number {
            core::hint::spin_loop();
        }
        GatePass(self.clone())
    }

    /// Passes if nobody has passed, nor waits.
    pub(crate) fn try_pass(self: &Arc<Self>) -> Option<GatePass> {
        let mut line = self.line.lock();
        (line.serving == line.next).then(|| {
            line.join();
            GatePass(self.clone())
        })
    }

    /// Waits for its turn, but not longer than that.
    #[cfg(feature = "std")]
    pub(crate) fn pass_within(self: &Arc<Self>, patience: Duration) -> Option<GatePass> {
        let mut line = self.line.lock();
        let number = line.join();
        line = self.moved.wait_while_within(line, patience, |line| line.serving != number);
        if line.serving != number {
            line.gone.insert(number);
            return None;
        }
        Some(GatePass(self.clone()))
    }
}

impl Drop for GatePass {
    fn drop(&mut self) {
        self.0.line.lock().advance();
        #[cfg(feature = "std")]
        self.0.moved.notify_all();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn all_pass_in_the_order_of_coming() {
        let gate = Arc::new(Gate::default());
        for _ in 0..20 {
            let (first, order) = (gate.pass(), Mutex::new(Vec::new()));
            let came = gate.line.lock().next;
            std::thread::scope(|scope| {
                for number in 0..3 {
                    let (gate, order) = (&gate, &order);
                    scope.spawn(move || {
                        let _pass = gate.pass();
                        order.lock().push(number);
                    });
                    while gate.line.lock().next <= came + number {
                        std::thread::yield_now();
                    }
                }
                assert!(gate.try_pass().is_none());
                drop(first);
                drop(gate.pass());
                assert_eq!(*order.lock(), [0, 1, 2], "before one who came last");
            });
        }
        assert!(gate.try_pass().is_some());
    }
}
