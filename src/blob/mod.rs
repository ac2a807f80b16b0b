//! Blobs: contents of any length with what is known of them, in the same transactions and snapshots as tables.

mod content;
mod links;
mod paged;
mod read;
mod reader;
mod record;
mod tables;
mod tags;
mod times;
mod write;
mod writer;

pub use links::{Link, LinkedBlobs};
pub use read::ReadableBlobs;
pub use reader::BlobReader;
pub use record::{BlobId, BlobMeta, ContentType, StoreOptions};
pub use tags::TaggedBlobs;
pub use times::BlobsInTime;
pub use writer::BlobWriter;
