//! What the macros refuse, and where they say so: `tests/ui`, one file for each mistake.

#[test]
fn mistakes_are_told_at_their_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
