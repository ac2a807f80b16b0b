//! Small programs as redb's users write them, from one source for both crates: what they find must be the same.
//!
//! They use a redb that is the latest of its major version; the differences that are meant stand in `docs/compat.md`.

/// The programs, for the crate that is imported as `db`.
macro_rules! programs {
    ($name:ident, $krate:ident) => {
        mod $name {
            use $krate as db;
            include!("redb_programs/programs.rs");
        }
    };
}

programs!(ours, sapwood);
programs!(theirs, redb);

macro_rules! same {
    ($($program:ident),* $(,)?) => {
        $(
            #[test]
            fn $program() {
                let dir = tempfile::tempdir().unwrap();
                let ours = ours::$program(&dir.path().join("ours")).unwrap();
                let theirs = theirs::$program(&dir.path().join("theirs")).unwrap();
                assert!(!ours.is_empty());
                assert_eq!(ours, theirs);
            }
        )*
    };
}

same![
    int_keys,
    special_values,
    ranges_of_text,
    composite_keys,
    options_and_arrays,
    values_in_place,
    snapshots,
    errors,
    threads,
    user_types,
    numbers,
    opened_again,
    entries,
    extraction,
    predicates_that_panic,
    cursors,
    tables_by_name,
    stats,
    owned,
    integrity,
    read_only,
    multimaps,
    multimaps_by_name,
    multimaps_removed,
    multimaps_owned,
];
