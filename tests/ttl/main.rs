//! TTL tables: against a model, with rows of fixed width and of any; what is seen as time passes; what a purge costs; errors.

#![allow(clippy::duplicate_mod, reason = "the model is there for each kind of rows")]

#[path = "../common/mod.rs"]
mod common;

mod behaviour;
mod bytes;
mod costs;
mod errors;
mod numbers;

use common::clock::Hand;
