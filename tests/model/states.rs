//! What the model knows of one table in each state: its name, and its rows.

use super::db::TableError;
use super::store::When;
use super::{Outcome, Run};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The table's name, and its rows; `None` while it does not exist.
type State<T> = (String, Option<Rc<T>>);

pub struct States<T> {
    base: &'static str,
    committed: State<T>,
    pub working: State<T>,
    held: State<T>,
    /// By the age of the savepoint that keeps it.
    saved: BTreeMap<u64, State<T>>,
}

impl<T: Clone> States<T> {
    pub fn new(base: &'static str) -> Self {
        let state = || (base.to_string(), None);
        Self { base, committed: state(), working: state(), held: state(), saved: BTreeMap::new() }
    }

    pub fn of(&self, when: When) -> &State<T> {
        match when {
            When::Working => &self.working,
            When::Committed => &self.committed,
            When::Held => &self.held,
        }
    }

    /// The table's name, if it exists in that state.
    pub fn name(&self, when: When) -> Option<String> {
        let (name, rows) = self.of(when);
        rows.as_ref().map(|_| name.clone())
    }

    /// The transaction was committed, or was not.
    pub fn settle(&mut self, committed: bool) {
        let (from, to) =
            if committed { (&self.working, &mut self.committed) } else { (&self.committed, &mut self.working) };
        to.clone_from(from);
    }

    /// A reader began that will be held.
    pub fn hold(&mut self) {
        self.held = self.committed.clone();
    }

    /// A savepoint of this age keeps what is committed.
    pub fn save(&mut self, age: u64) {
        self.saved.insert(age, self.committed.clone());
    }

    /// The savepoint of this age was restored.
    pub fn restore(&mut self, age: u64) {
        self.working.clone_from(&self.saved[&age]);
    }

    /// The savepoint of this age is gone.
    pub fn forget(&mut self, age: u64) {
        self.saved.remove(&age);
    }

    /// Makes the model wrong, by `spoil`.
    pub fn spoil(&mut self, spoil: impl Fn(&mut T)) {
        for state in [&mut self.committed, &mut self.working].into_iter().flat_map(|state| &mut state.1) {
            spoil(Rc::make_mut(state));
        }
    }

    /// A name to give the table, most often one that no other has.
    pub fn new_name(&self, others: &[String], run: &mut Run) -> String {
        let fresh = format!("{} {}", self.base, run.rng.below(3));
        if run.rng.chance(15) { others[run.rng.below(others.len())].clone() } else { fresh }
    }

    /// Notes how renaming the table ended, which the names of all tables, `others`, must explain.
    pub fn renamed(
        &mut self,
        question: &str,
        result: Result<(), TableError>,
        new: String,
        others: &[String],
        run: &mut Run,
    ) -> Outcome {
        let outcome = match result {
            Ok(()) => "renamed",
            Err(TableError::TableDoesNotExist(_)) => "missing",
            Err(TableError::TableExists(_)) => "exists",
            Err(err) => return Err(err.into()),
        };
        let expected = match (self.name(When::Working), others.contains(&new)) {
            (None, _) => "missing",
            (Some(name), true) if name != new => "exists",
            _ => "renamed",
        };
        run.answer(question, outcome, expected)?;
        if outcome == "renamed" {
            self.working.0 = new;
        }
        Ok(())
    }
}
