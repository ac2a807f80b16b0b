//! What a graph of things must answer, found by looking at every edge.

use sapwood::{DeleteLinks, Follow, Relation};
use std::collections::{BTreeMap, BTreeSet};

/// Relations that are easily taken for each other.
pub const RELATIONS: [Relation; 8] = [
    Relation::Derived,
    Relation::Similar,
    Relation::Contradicts,
    Relation::Supports,
    Relation::Supersedes,
    Relation::Custom(0),
    Relation::Custom(1),
    Relation::Custom(256),
];

/// From parent, relation and child to the context.
#[derive(Clone, Debug)]
pub struct Links<N>(pub BTreeMap<(N, Relation, N), String>);

impl<N: Ord + Clone> Links<N> {
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether the edge is new; `None` if it closes a cycle.
    pub fn add(&mut self, parent: &N, relation: Relation, child: &N, context: &str) -> Option<bool> {
        if parent == child || self.within(child, Follow::Children, u32::MAX).contains_key(parent) {
            return None;
        }
        let edge = (parent.clone(), relation, child.clone());
        Some(self.0.insert(edge, context.to_string()).is_none())
    }

    pub fn remove(&mut self, parent: &N, relation: Relation, child: &N) -> bool {
        self.0.remove(&(parent.clone(), relation, child.clone())).is_some()
    }

    pub fn remove_thing(&mut self, thing: &N, links: DeleteLinks) {
        let (parents, children) = (self.parents(thing), self.children(thing));
        self.0.retain(|(parent, _, child), _| parent != thing && child != thing);
        for (relation, child, context) in children.into_iter().filter(|_| links == DeleteLinks::Heal) {
            for (_, parent, _) in &parents {
                self.0.entry((parent.clone(), relation, child.clone())).or_insert_with(|| context.clone());
            }
        }
    }

    pub fn children(&self, thing: &N) -> Vec<(Relation, N, String)> {
        let own = self.0.iter().filter(|((parent, ..), _)| parent == thing);
        own.map(|((_, relation, child), context)| (*relation, child.clone(), context.clone())).collect()
    }

    pub fn parents(&self, thing: &N) -> Vec<(Relation, N, String)> {
        let own = self.0.iter().filter(|((.., child), _)| child == thing);
        let mut found: Vec<_> =
            own.map(|((parent, relation, _), context)| (*relation, parent.clone(), context.clone())).collect();
        found.sort();
        found
    }

    pub fn neighbours(&self, thing: &N, follow: Follow) -> BTreeSet<N> {
        let mut found = BTreeSet::new();
        if follow != Follow::Children {
            found.extend(self.parents(thing).into_iter().map(|(_, other, _)| other));
        }
        if follow != Follow::Parents {
            found.extend(self.children(thing).into_iter().map(|(_, other, _)| other));
        }
        found
    }

    /// How far away everything is that is within so many hops, but for `start` itself.
    pub fn within(&self, start: &N, follow: Follow, hops: u32) -> BTreeMap<N, u32> {
        let mut found = BTreeMap::from([(start.clone(), 0)]);
        let mut edge = vec![start.clone()];
        for distance in 1..=hops {
            let next: BTreeSet<N> = edge.iter().flat_map(|thing| self.neighbours(thing, follow)).collect();
            edge = next.into_iter().filter(|thing| !found.contains_key(thing)).collect();
            found.extend(edge.iter().map(|thing| (thing.clone(), distance)));
            if edge.is_empty() {
                break;
            }
        }
        found.remove(start);
        found
    }

    pub fn chain(&self, start: &N, hops: u32) -> Vec<N> {
        let mut chain = vec![start.clone()];
        for _ in 0..hops {
            let Some((_, parent, _)) = self.parents(&chain[chain.len() - 1]).into_iter().next() else { break };
            chain.push(parent);
        }
        chain
    }

    /// Whether this is what must be found from `start`: the nearest first, each once.
    pub fn check_within(&self, start: &N, follow: Follow, hops: u32, found: &[(N, u32)]) {
        assert!(found.is_sorted_by_key(|(_, hops)| *hops));
        let expected = self.within(start, follow, hops);
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().all(|(thing, hops)| expected.get(thing) == Some(hops)));
    }

    /// Whether this is a shortest way, if there is one of so many hops.
    pub fn check_path(&self, (from, to): (&N, &N), follow: Follow, hops: u32, found: Option<&[N]>) {
        let distance =
            if from == to { Some(0) } else { self.within(from, follow, hops).get(to).map(|hops| *hops as usize) };
        assert_eq!(found.map(|path| path.len() - 1), distance);
        let Some(path) = found else { return };
        assert!(path.first() == Some(from) && path.last() == Some(to));
        assert!(path.windows(2).all(|hop| self.neighbours(&hop[0], follow).contains(&hop[1])));
    }
}
