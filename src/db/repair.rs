/// What a [repair callback](crate::Builder::set_repair_callback) sees of the check that it is called from.
#[derive(Debug)]
pub struct RepairSession {
    progress: f64,
    aborted: bool,
}

impl RepairSession {
    pub(super) fn new(progress: f64) -> Self {
        Self { progress, aborted: false }
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// Ends the check: opening fails with [`RepairAborted`](crate::DatabaseError::RepairAborted), and the file stays as
    /// it is.
    pub fn abort(&mut self) {
        self.aborted = true;
    }

    /// How much of the file was looked at, from 0.0 to less than 1.0. The check may end long before that: it looks at
    /// what was written last.
    pub fn progress(&self) -> f64 {
        self.progress
    }
}
