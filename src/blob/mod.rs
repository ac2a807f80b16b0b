//! Blobs: contents of any length with what is known of them, in the same transactions and snapshots as tables.

mod check;
mod content;
mod content_type;
mod dedup;
mod diff;
mod draft;
mod drafts;
mod expiry;
mod hybrid;
mod ids;
mod links;
mod metadata;
mod namespaces;
mod options;
mod paged;
mod pieces;
mod read;
mod reader;
mod record;
mod tables;
mod tags;
#[cfg(test)]
mod tests;
mod times;
mod totals;
mod write;
mod writer;

pub(crate) use check::check;
pub use content_type::ContentType;
pub use dedup::DedupStats;
pub use diff::{BlobDiff, BlobDiffs};
pub use hybrid::HybridTime;
pub use ids::BlobIds;
pub use links::{Link, LinkedBlobs};
pub use metadata::{Metadata, MetadataValue};
pub use namespaces::{NamespaceInfo, NamespaceQuota};
pub use options::StoreOptions;
pub use read::ReadableBlobs;
pub use reader::BlobReader;
pub use record::{BlobId, BlobMeta};
pub use times::BlobsInTime;
pub use totals::BlobStats;
pub use writer::BlobWriter;
