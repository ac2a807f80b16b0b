//! Vectors: their elements, and how far they are from each other.

mod kernel;
mod metric;
mod nearest;

pub use metric::{Element, Metric};
pub use nearest::{Neighbour, nearest_k};
