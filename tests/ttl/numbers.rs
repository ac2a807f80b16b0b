//! The model with rows of fixed width.

#[path = "model.rs"]
mod model;

use sapwood::TtlTableDefinition;

const ROWS: TtlTableDefinition<u64, u64> = TtlTableDefinition::new("numbers");

type KeyType = u64;
type ValueType = u64;

fn key(number: u64) -> u64 {
    number
}

fn lend(number: &u64) -> u64 {
    *number
}

fn key_number(key: u64) -> u64 {
    key
}

fn value(number: u64) -> u64 {
    number
}

fn value_number(value: u64) -> u64 {
    value
}

/// The bytes by which the index orders keys.
fn key_bytes(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}
