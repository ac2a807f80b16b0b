//! The error of a storage backend: `std::io::Error` where `std` is there, a message where it is not.

#[cfg(feature = "std")]
pub use std::io::Error;

#[cfg(not(feature = "std"))]
pub use bare::Error;

/// An error that says the request itself was wrong.
pub(crate) fn invalid_input(message: &str) -> Error {
    #[cfg(feature = "std")]
    return Error::new(std::io::ErrorKind::InvalidInput, message);
    #[cfg(not(feature = "std"))]
    Error::other(message)
}

/// An error that says the bytes are not what was expected.
pub(crate) fn invalid_data(message: &str) -> Error {
    #[cfg(feature = "std")]
    return Error::new(std::io::ErrorKind::InvalidData, message);
    #[cfg(not(feature = "std"))]
    Error::other(message)
}

/// An error that says the storage ended before the read did.
pub(crate) fn unexpected_end(message: &str) -> Error {
    #[cfg(feature = "std")]
    return Error::new(std::io::ErrorKind::UnexpectedEof, message);
    #[cfg(not(feature = "std"))]
    Error::other(message)
}

/// The same error once more, for another who waited for the same thing.
#[cfg(feature = "std")]
pub(crate) fn again(err: &Error) -> Error {
    match err.raw_os_error() {
        Some(code) => Error::from_raw_os_error(code),
        None => Error::new(err.kind(), alloc::string::ToString::to_string(err)),
    }
}

/// Whether what failed may succeed at another time.
pub(crate) fn passes(err: &Error) -> bool {
    #[cfg(feature = "std")]
    {
        use std::io::ErrorKind::{Interrupted, ResourceBusy, StorageFull, TimedOut, WouldBlock};
        matches!(err.kind(), Interrupted | ResourceBusy | StorageFull | TimedOut | WouldBlock)
    }
    #[cfg(not(feature = "std"))]
    {
        // They have no kinds.
        let _ = err;
        false
    }
}

#[cfg(not(feature = "std"))]
mod bare {
    use alloc::string::String;
    use core::fmt::{Display, Formatter};

    /// What a storage backend says of a failure, on targets without `std::io::Error`.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Error {
        message: String,
    }

    impl Error {
        /// An error described by `message`.
        pub fn other(message: impl Into<String>) -> Self {
            Self { message: message.into() }
        }
    }

    impl Display for Error {
        fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
            f.write_str(&self.message)
        }
    }

    impl core::error::Error for Error {}
}
