//! Events as lines of JSON, in the shape that Debezium gives to changes, for what reads those.

use super::event::{BlobChange, Change, ChangeEvent};
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;
use core::ops::Bound;

/// Writes events of the change log as JSON, one line each, in the shape of Debezium's change events without schema:
/// `before`, `after`, `source`, `op` and `ts_ms`.
///
/// A row is an object of `key` and `value`, in Base64, as Debezium writes bytes; a value that the log leaves out is
/// `null`. `op` is `c` for insertions, `u` for updates and merges, `d` for deletions and expiries, `t` where a table
/// was deleted, and `m` for what Debezium has no word for: a range, what was done to tables, or blobs, then told by
/// `message`.
/// A pair of a multimap comes and goes as a row does.
///
/// ```
/// use sapwood::{Builder, CdcConfig, CdcMode, ChangePosition, DebeziumEncoder, ReadableDatabase, TableDefinition};
/// use sapwood::backends::InMemoryBackend;
///
/// const RINGS: TableDefinition<&str, &str> = TableDefinition::new("rings");
/// let db = Builder::new()
///     .set_cdc(CdcConfig::new(CdcMode::OldAndNew))
///     .create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_table(RINGS)?.insert("oak", "120")?;
/// txn.commit()?;
///
/// let encoder = DebeziumEncoder::new("forest");
/// let mut lines = String::new();
/// for event in db.begin_read()?.read_cdc_since(ChangePosition::START)? {
///     encoder.encode(&event?, &mut lines);
/// }
/// let insert = lines.lines().nth(1).unwrap();
/// assert!(insert.starts_with(r#"{"before":null,"after":{"key":"b2Fr","value":"MTIw"},"source":{"#));
/// assert!(insert.contains(r#""op":"c""#) && insert.contains(r#""name":"forest""#));
/// # Ok::<(), sapwood::Error>(())
/// ```
///
/// The shape is that of Debezium's documentation of its connectors' "data change events".
#[derive(Clone, Debug)]
pub struct DebeziumEncoder {
    /// As JSON.
    name: String,
}

/// One line, as far as the event decides it. All parts are JSON.
struct Line {
    op: char,
    before: String,
    after: String,
    message: Option<String>,
}

impl Line {
    fn row(op: char, before: String, after: String) -> Self {
        Self { op, before, after, message: None }
    }

    fn message(text: String) -> Self {
        Self { op: 'm', before: null(), after: null(), message: Some(text) }
    }

    fn of(change: &Change) -> Self {
        match change {
            Change::Insert { key, new } => Self::row('c', null(), row(key, new.as_deref())),
            Change::Update { key, old, new } => Self::row('u', row(key, old.as_deref()), row(key, new.as_deref())),
            Change::Delete { key, old } | Change::Expire { key, old } => {
                Self::row('d', row(key, old.as_deref()), null())
            }
            Change::Merge { key, old, new, is_there: true, .. } => {
                Self::row('u', row(key, old.as_deref()), row(key, new.as_deref()))
            }
            Change::Merge { key, old, .. } => Self::row('d', row(key, old.as_deref()), null()),
            Change::InsertPair { key, value } => Self::row('c', null(), row(key, Some(value))),
            Change::DeletePair { key, value } => Self::row('d', row(key, Some(value)), null()),
            Change::DeleteTable => Self::row('t', null(), null()),
            Change::DeleteRange { start, end, rows } => Self::message(format!(
                r#"{{"delete_range":{{"start":{},"end":{},"rows":{rows}}}}}"#,
                bound(start),
                bound(end)
            )),
            Change::CreateTable { key, value, .. } => Self::message(format!(
                r#"{{"create_table":{{"key":{},"value":{}}}}}"#,
                quoted(key.name()),
                quoted(value.name())
            )),
            Change::RenameTable { new_name } => Self::message(format!(r#"{{"rename_table":{}}}"#, quoted(new_name))),
            Change::Blob { id, what } => {
                let what = match what {
                    BlobChange::Stored => "stored",
                    BlobChange::Content => "content",
                    BlobChange::Known => "known",
                    BlobChange::Deleted => "deleted",
                    BlobChange::Expired => "expired",
                };
                Self::message(format!(r#"{{"blob":{{"id":{id},"what":"{what}"}}}}"#))
            }
            Change::Revert { to } => Self::message(format!(r#"{{"revert":{to}}}"#)),
        }
    }
}

impl DebeziumEncoder {
    /// Writes `name` as the name of the source, by which readers tell databases apart.
    pub fn new(name: &str) -> Self {
        Self { name: quoted(name) }
    }

    /// Adds the event's line to `out`, with the line feed.
    pub fn encode(&self, event: &ChangeEvent, out: &mut String) {
        let Line { op, before, after, message } = Line::of(&event.change);
        let (version, time, table) = (env!("CARGO_PKG_VERSION"), event.timestamp_ms, quoted(&event.table));
        let (id, sequence) = (event.position.transaction_id, event.position.sequence);
        let source = format!(
            r#"{{"version":"{version}","connector":"sapwood","name":{},"ts_ms":{time},"snapshot":"false","db":"","table":{table},"txId":{id},"sequence":"[{id},{sequence}]"}}"#,
            self.name
        );
        let message = message.map(|message| format!(r#","message":{message}"#)).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            r#"{{"before":{before},"after":{after},"source":{source},"op":"{op}","ts_ms":{time}{message}}}"#
        );
    }
}

fn null() -> String {
    "null".to_string()
}

fn row(key: &[u8], value: Option<&[u8]>) -> String {
    format!(r#"{{"key":{},"value":{}}}"#, base64(key), value.map_or_else(null, base64))
}

fn bound(bound: &Bound<alloc::vec::Vec<u8>>) -> String {
    match bound {
        Bound::Unbounded => null(),
        Bound::Included(key) => format!(r#"{{"included":{}}}"#, base64(key)),
        Bound::Excluded(key) => format!(r#"{{"excluded":{}}}"#, base64(key)),
    }
}

/// A string of JSON (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Bytes in Base64 (RFC 4648, section 4), as a string of JSON.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from('"');
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits: u32, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for nth in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * nth)) as usize % 64];
            out.push(if nth <= three.len() { digit.into() } else { '=' });
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::ChangePosition;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), format!("\"{expected}\""));
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "\"+/+/\"");
    }

    #[test]
    fn every_line_is_an_object_with_its_operation() {
        let (key, value) = (b"k".to_vec(), Some(b"v".to_vec()));
        let merge = |is_there| Change::Merge {
            key: key.clone(),
            operand: value.clone(),
            old: value.clone(),
            new: value.clone().filter(|_| is_there),
            is_there,
        };
        let bounds = (Bound::Included(key.clone()), Bound::Unbounded);
        for (change, op, part) in [
            (Change::Insert { key: key.clone(), new: None }, 'c', r#""after":{"key":"aw==","value":null}"#),
            (Change::Delete { key: key.clone(), old: value.clone() }, 'd', r#""before":{"key":"aw==","value":"dg=="}"#),
            (merge(true), 'u', r#""after":{"key":"aw==","value":"dg=="}"#),
            (merge(false), 'd', r#""after":null"#),
            (Change::DeleteTable, 't', r#""before":null"#),
            (
                Change::DeleteRange { start: bounds.0, end: bounds.1, rows: 3 },
                'm',
                r#""message":{"delete_range":{"start":{"included":"aw=="},"end":null,"rows":3}}"#,
            ),
            (Change::RenameTable { new_name: "a\"b\\c\n".into() }, 'm', r#"{"rename_table":"a\"b\\c\u000a"}"#),
            (Change::Revert { to: 9 }, 'm', r#"{"revert":9}"#),
            (Change::Blob { id: 7, what: BlobChange::Known }, 'm', r#"{"blob":{"id":7,"what":"known"}}"#),
        ] {
            let position = ChangePosition { transaction_id: 7, sequence: 2 };
            let event = ChangeEvent { position, timestamp_ms: 5, table: "rows".into(), change };
            let mut line = String::new();
            DebeziumEncoder::new("db").encode(&event, &mut line);
            assert!(line.contains(part), "{line}");
            assert!(line.contains(&format!(r#""op":"{op}","ts_ms":5"#)), "{line}");
            assert!(line.starts_with(r#"{"before":"#) && line.ends_with("}\n") && line.matches('\n').count() == 1);
            assert!(line.contains(r#""txId":7,"sequence":"[7,2]""#), "{line}");
        }
    }
}
