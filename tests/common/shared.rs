//! Memory that outlives the database on it, so that the database can be opened again.

/// Defines `SharedMemory`, a storage backend for the trait at the path given: one definition serves several crates.
macro_rules! shared_memory {
    ($backend:path) => {
        /// Clones share their bytes.
        #[derive(Clone, Debug, Default)]
        pub struct SharedMemory {
            bytes: std::sync::Arc<std::sync::RwLock<Vec<u8>>>,
        }

        impl SharedMemory {
            fn range(bytes: &[u8], offset: u64, length: usize) -> std::io::Result<std::ops::Range<usize>> {
                let start = offset as usize;
                match start.checked_add(length) {
                    Some(end) if end <= bytes.len() => Ok(start..end),
                    _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
                }
            }
        }

        impl $backend for SharedMemory {
            fn len(&self) -> std::io::Result<u64> {
                Ok(self.bytes.read().unwrap().len() as u64)
            }

            fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
                let bytes = self.bytes.read().unwrap();
                let range = Self::range(&bytes, offset, out.len())?;
                out.copy_from_slice(&bytes[range]);
                Ok(())
            }

            fn set_len(&self, len: u64) -> std::io::Result<()> {
                self.bytes.write().unwrap().resize(len as usize, 0);
                Ok(())
            }

            fn sync_data(&self) -> std::io::Result<()> {
                Ok(())
            }

            fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
                let mut bytes = self.bytes.write().unwrap();
                let range = Self::range(&bytes, offset, data.len())?;
                bytes[range].copy_from_slice(data);
                Ok(())
            }
        }
    };
}

#[allow(unused_imports)]
pub(crate) use shared_memory;
