use super::graph::{Children, DeleteLinks, Edge, Edges, Linked, Parents, Relation, Side};
use super::own::{check_text, definition, find, list, make};
use super::tables::{OwnTables, delete, length_of};
use super::walk::{Follow, all_are_seen};
use crate::error::{IndexError, StorageError, TableError};
use crate::limits::MAX_EDGE_CONTEXT_LENGTH;
use crate::txn::{ReadTransaction, WriteTransaction};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

definition! {
    /// Names a graph of things that are yours: rows of a table, say, by their keys.
    ///
    /// ```
    /// use sapwood::{Database, Follow, GraphDefinition, Relation, backends::InMemoryBackend};
    ///
    /// const GROWTH: GraphDefinition = GraphDefinition::new("growth");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let growth = txn.open_graph(GROWTH)?;
    /// growth.add(b"acorn", b"oak", Relation::Derived, "in the garden")?;
    /// growth.add(b"oak", b"leaf", Relation::Custom(7), "")?;
    /// assert_eq!(growth.chain(b"leaf", 10)?, [&b"leaf"[..], b"oak", b"acorn"]);
    /// assert_eq!(growth.path(b"acorn", b"leaf", Follow::Children, 1)?, None);
    /// assert_eq!(growth.descendants(b"acorn", 10)?, [(b"oak".to_vec(), 1), (b"leaf".to_vec(), 2)]);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    GraphDefinition
}

/// A graph that is yours: edges from parents to children, each with a relation and a context. It knows things by ids of a
/// [limited](crate::limits::MAX_THING_LENGTH) length, and of them only their edges: who removes a thing
/// [removes](Self::remove_thing) it here too.
///
/// No edge closes a cycle.
pub struct Graph<'t, T: OwnTables> {
    tables: &'t T,
    name: String,
}

impl<'t, T: OwnTables> Graph<'t, T> {
    fn new(tables: &'t T, definition: GraphDefinition<'_>) -> Self {
        Self { tables, name: definition.name.to_string() }
    }

    /// Works on the edges while nobody else changes them.
    fn on_edges<R>(&self, work: impl FnOnce(Edges<'_, T>) -> Result<R, StorageError>) -> Result<R, IndexError> {
        let _held = self.tables.hold();
        Ok(work(Edges::new(self.tables, &self.name))?)
    }

    /// How many edges there are.
    pub fn count(&self) -> Result<u64, IndexError> {
        self.on_edges(|edges| edges.count())
    }

    /// Whether there is such an edge.
    pub fn has(&self, parent: &[u8], child: &[u8], relation: Relation) -> Result<bool, IndexError> {
        Ok(self.context(parent, child, relation)?.is_some())
    }

    /// The context of an edge; `None` if there is no such edge.
    pub fn context(&self, parent: &[u8], child: &[u8], relation: Relation) -> Result<Option<String>, IndexError> {
        self.on_edges(|edges| edges.context(parent, relation, child))
    }

    /// At most so many edges to children of a thing, in the order of relations and of the children's ids, behind that one.
    pub fn children(
        &self,
        thing: &[u8],
        after: Option<(Relation, &[u8])>,
        most: usize,
    ) -> Result<Vec<Edge>, IndexError> {
        self.on_edges(|edges| edges.list(Side::Children, thing, after, most))
    }

    /// At most so many edges to parents of a thing, in the order of relations and of the parents' ids, behind that one.
    pub fn parents(
        &self,
        thing: &[u8],
        after: Option<(Relation, &[u8])>,
        most: usize,
    ) -> Result<Vec<Edge>, IndexError> {
        self.on_edges(|edges| edges.list(Side::Parents, thing, after, most))
    }

    /// What is above a thing within so many hops: the nearest first, each once, with the fewest hops.
    pub fn ancestors(&self, thing: &[u8], hops: u32) -> Result<Vec<(Vec<u8>, u32)>, IndexError> {
        self.on_edges(|edges| edges.within(thing, Follow::Parents, hops, all_are_seen))
    }

    /// What is below a thing within so many hops: the nearest first, each once, with the fewest hops.
    pub fn descendants(&self, thing: &[u8], hops: u32) -> Result<Vec<(Vec<u8>, u32)>, IndexError> {
        self.on_edges(|edges| edges.within(thing, Follow::Children, hops, all_are_seen))
    }

    /// A shortest way from one thing to another, with both of them. `None` if none has at most so many hops.
    #[allow(clippy::type_complexity)]
    pub fn path(
        &self,
        from: &[u8],
        to: &[u8],
        follow: Follow,
        max_hops: u32,
    ) -> Result<Option<Vec<Vec<u8>>>, IndexError> {
        self.on_edges(|edges| edges.path(from, to, follow, max_hops, all_are_seen))
    }

    /// A thing, its first parent, the first parent of that, and so on: so many hops at most, and up to a thing without parents.
    pub fn chain(&self, thing: &[u8], max_hops: u32) -> Result<Vec<Vec<u8>>, IndexError> {
        self.on_edges(|edges| edges.chain(thing, max_hops, all_are_seen))
    }
}

impl Graph<'_, WriteTransaction> {
    /// Adds an edge, and says whether there was no such edge; one that was there has the new context then. Two things may have
    /// an edge of each relation, and a thing any number of parents.
    ///
    /// Takes no time if the child has no children or the parent no parents, and otherwise as long as the shorter of two
    /// searches: among what is below the child, and what is above the parent.
    ///
    /// # Errors
    ///
    /// [`TooLong`](IndexError::TooLong) for a context of more than [`MAX_EDGE_CONTEXT_LENGTH`] bytes; `ValueTooLarge` for an
    /// id over its [limit](crate::limits::MAX_THING_LENGTH);
    /// [`Cycle`](IndexError::Cycle) if the parent is the child, or below it.
    pub fn add(&self, parent: &[u8], child: &[u8], relation: Relation, context: &str) -> Result<bool, IndexError> {
        check_text("context", context, MAX_EDGE_CONTEXT_LENGTH)?;
        match self.on_edges(|edges| edges.add(parent, relation, child, context))? {
            Linked::Cycle => Err(IndexError::Cycle { parent: parent.to_vec(), child: child.to_vec() }),
            linked => Ok(linked == Linked::New),
        }
    }

    /// Removes an edge, and says whether there was one.
    pub fn remove(&self, parent: &[u8], child: &[u8], relation: Relation) -> Result<bool, IndexError> {
        self.on_edges(|edges| edges.remove(parent, relation, child))
    }

    /// Removes all edges of a thing.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn remove_thing(&self, thing: &[u8], links: DeleteLinks) -> Result<(), IndexError> {
        length_of(thing)?;
        self.on_edges(|edges| self.tables.or_break(edges.remove_thing(thing, links)))
    }
}

impl<T: OwnTables> Debug for Graph<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Graph").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ReadTransaction {
    /// Opens a graph.
    ///
    /// # Errors
    ///
    /// [`TableDoesNotExist`](TableError::TableDoesNotExist) if there is none of that name.
    pub fn open_graph(&self, definition: GraphDefinition<'_>) -> Result<Graph<'_, Self>, TableError> {
        find::<Children>(self, definition.name)?;
        Ok(Graph::new(self, definition))
    }

    /// The names of the graphs that there are, in their order; that of blobs has none.
    pub fn list_graphs(&self) -> Result<Vec<String>, StorageError> {
        list::<Children>(self)
    }
}

impl WriteTransaction {
    /// Opens a graph, making it if there is none of that name. It may be open any number of times.
    pub fn open_graph(&self, definition: GraphDefinition<'_>) -> Result<Graph<'_, Self>, TableError> {
        make::<Children>(self, definition.name)?;
        Ok(Graph::new(self, definition))
    }

    /// The names of the graphs that there are, in their order, those made by this transaction included; that of blobs has none.
    ///
    /// ```
    /// # use sapwood::{Database, GraphDefinition, backends::InMemoryBackend};
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_graph(GraphDefinition::new("growth"))?;
    /// for name in txn.list_graphs()? {
    ///     assert!(txn.delete_graph(GraphDefinition::new(&name))?);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn list_graphs(&self) -> Result<Vec<String>, StorageError> {
        list::<Children>(self)
    }

    /// Deletes a graph, and says whether there was one. If it is open, it is empty from then on.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn delete_graph(&self, definition: GraphDefinition<'_>) -> Result<bool, StorageError> {
        let _held = self.hold();
        let deleted = || {
            delete::<Parents>(self, definition.name)?;
            delete::<Children>(self, definition.name)
        };
        self.or_break(deleted())
    }
}
