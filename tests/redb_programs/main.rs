//! Small programs as redb's users write them, from one source for both crates: what they find must be the same.
//!
//! They use a redb that is the latest of its major version; the differences that are meant stand in `docs/compat.md`.

// One source serves two crates.
#![allow(clippy::duplicate_mod)]

mod ours;
mod theirs;

/// A test for each program: it must find the same with both crates.
macro_rules! same {
    ($($area:ident: $($(#[$attribute:meta])* $program:ident),*;)*) => {$(
        mod $area {
            $(
                $(#[$attribute])*
                #[test]
                fn $program() {
                    let dir = tempfile::tempdir().unwrap();
                    let ours = crate::ours::$area::$program(&dir.path().join("ours")).unwrap();
                    let theirs = crate::theirs::$area::$program(&dir.path().join("theirs")).unwrap();
                    assert!(!ours.is_empty());
                    assert_eq!(ours, theirs);
                }
            )*
        }
    )*};
}

same! {
    rows: int_keys, ranges_of_text, values_in_place, opened_again, ends_that_meet, pops, values_reserved;
    types: special_values, composite_keys, options_and_arrays, numbers, user_types, long_tuples, lists, names_and_widths,
        types_changed, #[cfg(all(feature = "chrono_v0_4", feature = "uuid"))] of_other_crates;
    entries: entries;
    extraction: extraction, predicates_that_panic, left_half_way, panicking_tables;
    cursors: cursors, cursors_that_write, cursors_over_few_rows;
    multimaps: multimaps, multimaps_by_name, multimaps_removed, multimaps_owned, ends_that_meet_in_sets;
    transactions: snapshots, threads, durability, ended_unread, outliving_the_database, tables_in_threads, several_open;
    tables: tables_by_name, open_twice, untyped;
    stats: stats, counts_that_agree, cache;
    handles: owned, read_only, guards_outlive;
    integrity: integrity, integrity_of_used_files;
    compaction: compaction, compaction_refused;
    savepoints: ephemeral, persistent, ids, aborted, rules_of_durability, invalid, with_multimaps, over_openings;
    storage: closed_once, failing_writes, failing_reads, failing_length, failing_growth,
        iterators_that_fail;
    errors: errors, conversions, messages;
}
