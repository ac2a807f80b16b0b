use core::time::Duration;

/// When something began, where there is a clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    #[cfg(feature = "std")]
    at: std::time::Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            #[cfg(feature = "std")]
            at: std::time::Instant::now(),
        }
    }

    pub(crate) fn elapsed(self) -> Option<Duration> {
        #[cfg(feature = "std")]
        return Some(self.at.elapsed());
        #[cfg(not(feature = "std"))]
        None
    }
}
