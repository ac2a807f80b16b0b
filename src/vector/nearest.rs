use super::metric::{Distance, Element, Metric};
use crate::error::VectorError;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// What was found near a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour<I> {
    /// What it is called.
    pub id: I,
    /// How far it is, by the metric that was asked for.
    pub distance: f32,
}

/// In the order of distances, which are finite, and of ids where they are the same.
struct Ranked<I>(Neighbour<I>);

impl<I: Ord> Ord for Ranked<I> {
    fn cmp(&self, other: &Self) -> Ordering {
        let Self(other) = other;
        self.0.distance.total_cmp(&other.distance).then_with(|| self.0.id.cmp(&other.id))
    }
}

impl<I: Ord> PartialOrd for Ranked<I> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<I: Ord> PartialEq for Ranked<I> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<I: Ord> Eq for Ranked<I> {}

/// The `k` of some vectors that are nearest to `query`, the nearest first; of those that are as near, the lesser ids. All if there
/// are no more. Looks at each vector once and keeps `k` ids: exact, and meant for what is small or was chosen otherwise.
///
/// ```
/// use sapwood::{Database, Metric, ReadableTable, TableDefinition, backends::InMemoryBackend, nearest_k};
///
/// const LEAVES: TableDefinition<u64, [f32; 3]> = TableDefinition::new("leaves");
///
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let mut leaves = txn.open_table(LEAVES)?;
/// for (id, leaf) in [(1, [1.0, 0.0, 0.0]), (2, [0.9, 0.1, 0.0]), (3, [0.0, 0.0, 1.0])] {
///     leaves.insert(id, leaf)?;
/// }
/// let rows = leaves.iter()?.collect::<Result<Vec<_>, _>>()?;
/// let vectors = rows.iter().map(|(id, leaf)| (id.value(), leaf.value()));
/// let found = nearest_k(Metric::Cosine, &[1.0, 0.0, 0.0], 2, vectors)?;
/// assert_eq!(found.iter().map(|neighbour| neighbour.id).collect::<Vec<_>>(), [1, 2]);
/// # Ok::<(), sapwood::Error>(())
/// ```
///
/// # Errors
///
/// As of [`Metric::distance`], for the first vector of which there is one.
pub fn nearest_k<E: Element, I: Ord, V: AsRef<[E]>>(
    metric: Metric,
    query: &[E],
    k: usize,
    vectors: impl IntoIterator<Item = (I, V)>,
) -> Result<Vec<Neighbour<I>>, VectorError> {
    let from = Distance::new(metric, query)?;
    let mut nearest = BinaryHeap::new();
    for (id, vector) in vectors {
        let found = Ranked(Neighbour { id, distance: from.to(vector.as_ref())? });
        if nearest.len() < k {
            nearest.push(found);
        } else if let Some(mut farthest) = nearest.peek_mut().filter(|farthest| found < **farthest) {
            *farthest = found;
        }
    }
    Ok(nearest.into_sorted_vec().into_iter().map(|Ranked(neighbour)| neighbour).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_are_those_of_a_sorted_list() {
        for (count, k) in [(0, 3), (1, 0), (5, 9), (100, 1), (100, 10), (100, 100)] {
            let vectors: Vec<_> = (0..count).map(|id| (id, [((id * 37) % 11) as i8, ((id * 53) % 7) as i8])).collect();
            let found = nearest_k(Metric::L2, &[5, 3], k, vectors.iter().rev().copied()).unwrap();
            let mut expected: Vec<_> =
                vectors.iter().map(|(id, [x, y])| (i32::from(*x - 5).pow(2) + i32::from(*y - 3).pow(2), *id)).collect();
            expected.sort_unstable();
            expected.truncate(k);
            let found: Vec<_> = found.into_iter().map(|near| (near.distance as i32, near.id)).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn one_bad_vector_is_an_error() {
        let vectors = [("oak", [1.0, 2.0]), ("elm", [f32::NAN, 0.0])];
        assert_eq!(nearest_k(Metric::L1, &[0.0, 0.0], 1, vectors), Err(VectorError::NotFinite { at: 0 }));
        assert_eq!(nearest_k(Metric::L1, &[f32::INFINITY], 1, [("oak", [1.0])]), Err(VectorError::NotFinite { at: 0 }));
        let unsupported = nearest_k::<u8, &str, [u8; 1]>(Metric::L1, &[0], 1, []);
        assert!(matches!(unsupported, Err(VectorError::MetricUnsupported { .. })));
    }
}
