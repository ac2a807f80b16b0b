use core::fmt::{Display, Formatter};

/// Bits of the counter.
const COUNTER: u32 = 16;

/// A hybrid logical time: milliseconds since 1970, and a counter that tells what happened in one of them apart, or while a clock
/// went backwards. Later events of one database have greater ones, and so do those that know of another's.
///
/// After Kulkarni et al., "Logical Physical Clocks", 2014.
///
/// ```
/// use sapwood::HybridTime;
///
/// let time = HybridTime::new(1_700_000_000_000, 3).unwrap();
/// assert_eq!((time.ms(), time.counter()), (1_700_000_000_000, 3));
/// assert!(time < HybridTime::new(1_700_000_000_001, 0).unwrap());
/// assert_eq!(HybridTime::from_bits(time.to_bits()), time);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HybridTime(u64);

impl HybridTime {
    /// `None` for a time of more than 48 bits, which is after the year 10,000.
    pub const fn new(ms: u64, counter: u16) -> Option<Self> {
        match ms.leading_zeros() >= COUNTER {
            true => Some(Self(ms << COUNTER | counter as u64)),
            false => None,
        }
    }

    /// The first one that is not before this time, or the last of all.
    pub(super) fn from_ms(ms: u64) -> Self {
        Self::new(ms, 0).unwrap_or(Self(u64::MAX))
    }

    /// The time with these [bits](Self::to_bits).
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The milliseconds, and below them 16 bits of the counter.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    pub const fn ms(self) -> u64 {
        self.0 >> COUNTER
    }

    /// What tells it from others of its millisecond.
    pub const fn counter(self) -> u16 {
        self.0 as u16
    }
}

impl Display for HybridTime {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.ms(), self.counter())
    }
}
