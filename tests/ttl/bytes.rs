//! The model with keys and values of any length, long ones among them.

#[path = "model.rs"]
mod model;

use sapwood::TtlTableDefinition;

const ROWS: TtlTableDefinition<&[u8], &[u8]> = TtlTableDefinition::new("bytes");

type KeyType = &'static [u8];
type ValueType = &'static [u8];

fn key(number: u64) -> Vec<u8> {
    let mut key = number.to_be_bytes().to_vec();
    key.resize(if number.is_multiple_of(17) { 1500 } else { 8 + number as usize % 5 }, 7);
    key
}

#[allow(clippy::ptr_arg)]
fn lend(bytes: &Vec<u8>) -> &[u8] {
    bytes
}

fn key_number(bytes: &[u8]) -> u64 {
    let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(bytes, key(number));
    number
}

fn value(number: u64) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(if number.is_multiple_of(13) { 6000 } else { 8 + number as usize % 60 }, 9);
    value
}

fn value_number(bytes: &[u8]) -> u64 {
    let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(bytes, value(number));
    number
}

/// The bytes by which the index orders keys.
fn key_bytes(number: u64) -> Vec<u8> {
    key(number)
}
