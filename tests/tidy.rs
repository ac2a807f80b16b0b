//! The rules of this repository, each with its reason in the message of the test that holds it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Most code lines of a file: longer ones hold more than one idea.
const FILE_LINES: usize = 800;
/// Most code lines of a function: longer ones cannot be read at once.
const FUNCTION_LINES: usize = 70;

/// Folders and files of `src` by level; a level may use only itself and those before it.
const LEVELS: [&[&str]; 12] = [
    &["limits", "error", "sync", "io", "math", "clock", "changes", "compression", "types", "merge", "settings"],
    &["vector"],
    &["format"],
    &["backend"],
    &["pages"],
    &["btree"],
    // A transaction opens tables, and a table reports to its transaction.
    &["txn", "table"],
    &["index"],
    &["text"],
    &["blob"],
    &["db"],
    // The crate root names everything.
    &["lib"],
];

/// File, the module it may use although it is above, and why.
const LAYER_EXCEPTIONS: [(&str, &str, &str); 1] =
    [("src/error/mod.rs", "txn", "`ReadTransactionStillInUse` gives the transaction back, as in redb")];

/// File, code in the line (strings are blank by then), and why it may be there although a rule bans it.
const PATTERN_EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// What library code must not say, and why.
const BANNED: [(&str, &str); 13] = [
    (".unwrap()", "a library returns errors"),
    (".expect(", "a library returns errors"),
    ("panic!(", "a library returns errors"),
    ("unreachable!", "damaged files reach what was thought unreachable"),
    ("todo!", "what is committed is finished"),
    ("unimplemented!", "what is committed is finished"),
    ("dbg!", "a library does not print"),
    ("println!", "a library does not print"),
    ("TODO", "what is left to do is in the tracker, not in the code"),
    ("FIXME", "what is wrong is put right"),
    ("XXX", "what is wrong is put right"),
    ("allow(dead_code)", "dead code is deleted"),
    ("#[ignore", "a test that does not run says nothing"),
];

/// Where `unsafe` may be: the page cache hands out bytes that its own counts keep alive.
/// The page cache, and the one door to bytes that change in place.
const UNSAFE_PLACES: [&str; 3] = ["src/pages/cache/", "src/pages/edit.rs", "src/vector/kernel/x86.rs"];

/// Where the `std` feature may be asked for: everything else must work without it, untold. `slab.rs` gives the system
/// an advice, through the C library that comes with `std`.
const STD_PLACES: [&str; 11] = [
    "src/sync/",
    "src/io.rs",
    "src/error/",
    "src/clock.rs",
    "src/backend/",
    "src/pages/cache/slab.rs",
    "src/lib.rs",
    // Which processor this is, and its square root.
    "src/vector/kernel/mod.rs",
    "src/math.rs",
    // Streams.
    "src/blob/",
    "src/db/",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files under a folder, by their path within the repository.
fn files_under(folder: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|err| panic!("{}: {err}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else {
                found.push((name, path));
            }
        }
    }
    found.sort();
    found
}

/// The library's files as code: no comments, no test modules, strings emptied.
fn sources() -> Vec<(String, String)> {
    let files = files_under("src").into_iter().filter(|(name, _)| name.ends_with(".rs"));
    let texts: Vec<_> = files.map(|(name, path)| (name, blank(&fs::read_to_string(path).unwrap()))).collect();
    let tests: Vec<String> = texts.iter().flat_map(|(name, code)| test_files(name, code)).collect();
    let library = texts.into_iter().filter(|(name, _)| !tests.contains(name));
    let sources: Vec<_> = library.map(|(name, code)| (name, without_tests(&code))).collect();
    assert!(!sources.is_empty(), "no source files found: the rules would check nothing");
    sources
}

/// The files of the test modules that a file declares: `#[cfg(test)] mod name;`.
fn test_files(file: &str, code: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    let folder = stem.strip_suffix("/mod").or(stem.strip_suffix("/lib")).unwrap_or(stem);
    let declared = code.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let (name, _) = rest.trim_start().strip_prefix("mod ")?.split_once(';')?;
        name.chars().all(is_word).then(|| format!("{folder}/{name}.rs"))
    });
    declared.collect()
}

/// Code without test modules.
fn code_of(text: &str) -> String {
    without_tests(&blank(text))
}

/// Replaces comments and the insides of string and character literals by spaces. Lines stay where they are.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (length, keep) = token(&chars[at..], at > 0 && is_word(chars[at - 1]));
        for (index, letter) in chars[at..at + length].iter().enumerate() {
            let kept = keep || *letter == '\n' || (*letter == '"' && (index == 0 || index + 1 == length));
            out.push(if kept { *letter } else { ' ' });
        }
        at += length;
    }
    out
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Length of the comment, literal or single character at the start, and whether it is code.
fn token(chars: &[char], after_word: bool) -> (usize, bool) {
    match chars {
        ['/', '/', ..] => (chars.iter().position(|letter| *letter == '\n').unwrap_or(chars.len()), false),
        ['/', '*', ..] => (block_comment(chars), false),
        ['"', ..] => (string(chars), false),
        ['r', '"' | '#', ..] if !after_word => raw_string(chars).map_or((1, true), |length| (length, false)),
        ['\'', '\\', ..] => {
            let end = (3..chars.len()).find(|index| chars[*index] == '\'');
            (end.map_or(chars.len(), |end| end + 1), false)
        }
        ['\'', _, '\'', ..] => (3, false),
        _ => (1, true),
    }
}

fn block_comment(chars: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < chars.len() {
        let pair = (chars[at], chars.get(at + 1));
        match pair {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `None` for raw identifiers.
fn raw_string(chars: &[char]) -> Option<usize> {
    let hashes = chars[1..].iter().take_while(|letter| **letter == '#').count();
    let start = 1 + hashes;
    (chars.get(start) == Some(&'"')).then(|| {
        let ends = |at: &usize| chars[*at] == '"' && chars[at + 1..].iter().take(hashes).all(|letter| *letter == '#');
        let end = (start + 1..chars.len().saturating_sub(hashes)).find(ends);
        end.map_or(chars.len(), |end| end + 1 + hashes)
    })
}

/// Blanks out `#[cfg(test)] mod … { … }`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("#[cfg(test)]") {
        let start = from + found;
        let rest = &out[start + "#[cfg(test)]".len()..];
        from = start + 1;
        if rest.trim_start().starts_with("mod ")
            && let Some(length) = braced(rest)
        {
            let end = start + "#[cfg(test)]".len() + length;
            let blanked: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            out.replace_range(start..end, &blanked);
        }
    }
    out
}

/// Bytes up to the end of the first braces, if they come before a semicolon.
fn braced(code: &str) -> Option<usize> {
    let mut depth = 0;
    let mut brackets = 0;
    for (at, letter) in code.char_indices() {
        match letter {
            '[' | '(' => brackets += 1,
            ']' | ')' => brackets -= 1,
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at + 1),
            '}' => depth -= 1,
            ';' if depth == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

fn code_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Names and code lines of all functions that have a body.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let name: String = code[at + 3..].chars().take_while(|letter| is_word(*letter)).collect();
        let inside_word = code[..at].chars().next_back().is_some_and(is_word);
        if let Some(length) = braced(&code[at..])
            && !name.is_empty()
            && !inside_word
        {
            found.push((name, code_lines(&code[at..at + length])));
        }
    }
    found
}

/// First parts of all paths `crate::X` and, in braces, `crate::{X, Y::Z}`.
fn crate_uses(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, text) in code.match_indices("crate::") {
        let rest = &code[at + text.len()..];
        let first_word =
            |part: &str| part.trim_start().chars().take_while(|letter| is_word(*letter)).collect::<String>();
        if rest.starts_with('{') {
            let inner = &rest[1..braced(rest).unwrap_or(rest.len()) - 1];
            used.extend(top_level_parts(inner).into_iter().map(first_word));
        } else {
            used.push(first_word(rest));
        }
    }
    used
}

/// Parts between the commas that are in no inner braces.
fn top_level_parts(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts
}

fn level_of(module: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&module))
}

/// `src/btree/leaf.rs` is in `btree`, `src/io.rs` in `io`.
fn module_of(file: &str) -> &str {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

fn layer_breaks(file: &str, code: &str) -> Vec<String> {
    let module = module_of(file);
    let Some(level) = level_of(module) else { return vec![format!("{file}: `{module}` has no level")] };
    let excepted = |used: &str| LAYER_EXCEPTIONS.iter().any(|(path, name, _)| *path == file && *name == used);
    let above = |used: &String| level_of(used).is_some_and(|other| other > level) && !excepted(used);
    crate_uses(code).into_iter().filter(above).map(|used| format!("{file} uses crate::{used}")).collect()
}

fn banned_in(file: &str, code: &str, patterns: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let excepted = PATTERN_EXCEPTIONS.iter().any(|(path, text, _)| *path == file && line.contains(text));
        for (pattern, reason) in patterns.iter().filter(|(pattern, _)| line.contains(pattern) && !excepted) {
            found.push(format!("{file}:{}: `{pattern}`: {reason}", index + 1));
        }
    }
    found
}

/// Whole words only: `unsafe_code` is a lint's name.
fn says_unsafe(code: &str) -> bool {
    code.split(|letter| !is_word(letter)).any(|word| word == "unsafe")
}

/// Strings are blank here, so that any `feature = ` is taken for the text itself.
fn asks_for_std(text: &str) -> bool {
    text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("feature = \"std\""))
}

fn none(broken: Vec<String>, reason: &str) {
    assert!(broken.is_empty(), "{reason}:\n{}", broken.join("\n"));
}

#[test]
fn layers_use_only_what_is_below() {
    let broken = sources().iter().flat_map(|(file, code)| layer_breaks(file, code)).collect();
    none(broken, "a layer that knows those above it cannot be understood or tested without them");
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().map(|(file, code)| (file, code_lines(&code)));
    let broken = long.filter(|(_, lines)| *lines > FILE_LINES).map(|(file, lines)| format!("{file}: {lines} lines"));
    none(broken.collect(), "a file of more than 800 code lines holds more than one idea");
}

#[test]
fn functions_are_short() {
    let mut broken = Vec::new();
    for (file, code) in sources() {
        let long = functions(&code).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES);
        broken.extend(long.map(|(name, lines)| format!("{file}: {name}: {lines} lines")));
    }
    none(broken, "a function of more than 70 code lines cannot be read at once");
}

#[test]
fn library_code_says_nothing_banned() {
    let broken = sources().iter().flat_map(|(file, code)| banned_in(file, code, &BANNED)).collect();
    none(broken, "banned in src");
}

#[test]
fn comments_leave_nothing_to_do() {
    let words: Vec<_> = BANNED.into_iter().filter(|(word, _)| word.chars().all(char::is_uppercase)).collect();
    let files = files_under("src");
    let texts = files.iter().map(|(file, path)| (file, fs::read_to_string(path).unwrap()));
    none(texts.flat_map(|(file, text)| banned_in(file, &text, &words)).collect(), "banned in comments of src");
}

#[test]
fn no_test_is_left_out() {
    let words: Vec<_> = BANNED.into_iter().filter(|(word, _)| word.starts_with("#[")).collect();
    let files = files_under("src").into_iter().chain(files_under("tests"));
    let texts = files.map(|(file, path)| (file, blank(&fs::read_to_string(path).unwrap())));
    none(texts.flat_map(|(file, text)| banned_in(&file, &text, &words)).collect(), "left out of the tests");
}

#[test]
fn unsafe_code_is_in_named_places_only() {
    let all = sources().into_iter().filter(|(file, _)| !UNSAFE_PLACES.iter().any(|place| file.starts_with(place)));
    let broken = all.filter(|(_, code)| says_unsafe(code)).map(|(file, _)| file).collect();
    none(
        broken,
        "what must be proved by hand is in the page cache, src/pages/edit.rs and the kernels, and nowhere else",
    );
}

#[test]
fn the_std_feature_is_asked_for_in_few_places() {
    let files = files_under("src");
    let others = files.iter().filter(|(file, _)| !STD_PLACES.iter().any(|place| file.starts_with(place)));
    let broken = others.filter(|(_, path)| asks_for_std(&fs::read_to_string(path).unwrap()));
    none(broken.map(|(file, _)| file.clone()).collect(), "the core must be the same code with and without std");
}

/// Hosts of package registries, put together here so that this file does not name them.
fn registry_hosts() -> [String; 4] {
    [["crates", ".io"], ["docs", ".rs"], ["npm", "js"], ["py", "pi"]].map(|parts| parts.concat())
}

fn names_registry(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    registry_hosts().into_iter().find(|host| text.contains(host.as_str()))
}

/// The files of the repository: those that git tracks, or all if this is no git checkout.
fn repository_files() -> Vec<(String, PathBuf)> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8_lossy(&output.stdout).into_owned();
            let names = names.split('\0').filter(|name| !name.is_empty());
            names.map(|name| (name.to_owned(), root().join(name))).filter(|(_, path)| path.is_file()).collect()
        }
        _ => files_under("").into_iter().filter(|(name, _)| name != "Cargo.lock").collect(),
    }
}

#[test]
fn no_file_names_a_package_registry() {
    let mut broken = BTreeMap::new();
    for (name, path) in repository_files() {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        if let Some(host) = names_registry(&text).filter(|_| name != "tests/tidy.rs") {
            broken.insert(name, host);
        }
    }
    assert!(broken.is_empty(), "the project does not depend on where packages are kept: {broken:?}");
}

#[test]
fn no_lock_file_is_tracked() {
    let tracked = repository_files().into_iter().map(|(name, _)| name);
    let broken = tracked.filter(|name| name.ends_with("Cargo.lock")).collect();
    none(broken, "a library is tested with the newest versions that its users get");
}

#[test]
fn the_parser_blanks_comments_and_literals() {
    assert_eq!(blank("a // b\nc"), "a     \nc");
    assert_eq!(blank("a /* b /* c */ d */ e"), format!("a {} e", " ".repeat(17)));
    assert_eq!(blank(r#"f("x \" {", '{', '\'', 'a)"#), r#"f("      ",    ,     , 'a)"#);
    assert_eq!(blank("let s = r#\"a \" {\"#;"), "let s =           ;");
    assert_eq!(blank("r#type::<'a>{}"), "r#type::<'a>{}");
}

#[test]
fn the_parser_leaves_out_test_modules() {
    let code = code_of("fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { x.unwrap() }\n}\nfn c() {}\n");
    assert!(!code.contains("unwrap") && code.contains("fn a") && code.contains("fn c"));
    let outside = code_of("#[cfg(test)]\nmod tests;\nfn a() { x.unwrap() }\n");
    assert!(outside.contains("unwrap"), "a test module in another file ends at its semicolon");
    let declares = "#[cfg(test)]\nmod tests;\nmod other;\n#[cfg(test)]\nmod here { fn a() { b(); } }\n";
    assert_eq!(test_files("src/a/mod.rs", declares), ["src/a/tests.rs"]);
    assert_eq!(test_files("src/a/b.rs", declares), ["src/a/b/tests.rs"]);
    assert_eq!(test_files("src/lib.rs", declares), ["src/tests.rs"]);
}

#[test]
fn the_parser_counts_lines_and_functions() {
    let code = code_of("// no\n\nfn a(x: [u8; 3]) {\n    // no\n    b();\n}\nfn b();\nimpl T for fn() {}\n");
    assert_eq!(code_lines(&code), 5);
    assert_eq!(functions(&code), [("a".to_owned(), 3)]);
    let long = format!("fn long() {{\n{}}}\n", "    x();\n".repeat(FUNCTION_LINES));
    assert!(functions(&long)[0].1 > FUNCTION_LINES);
}

#[test]
fn the_rules_can_fail() {
    assert_eq!(crate_uses("use crate::{a::{b, c}, d};\ncrate::e::f();"), ["a", "d", "e"]);
    assert_eq!(layer_breaks("src/pages/mod.rs", "use crate::btree::Tree;").len(), 1);
    assert_eq!(layer_breaks("src/btree/mod.rs", "use crate::{pages::Page, limits};").len(), 0);
    assert_eq!(layer_breaks("src/error/mod.rs", "use crate::txn::ReadTransaction;").len(), 0);
    assert_eq!(layer_breaks("src/types/mod.rs", "use crate::txn::ReadTransaction;").len(), 1);
    assert_eq!(layer_breaks("src/other.rs", "").len(), 1, "every module has a level");
    assert_eq!(banned_in("src/x.rs", "let a = b.unwrap();", &BANNED).len(), 1);
    assert!(says_unsafe("{ unsafe { x } }") && !says_unsafe("#![deny(unsafe_code)]"));
    assert!(asks_for_std("#[cfg(feature = \"std\")]") && !asks_for_std("#[cfg(feature = \"logging\")]"));
    assert!(registry_hosts().iter().all(|host| names_registry(&host.to_uppercase()).is_some()));
    assert!(names_registry("no host").is_none());
}
