//! The style of the house as a test: what the compiler and clippy do not see.
//!
//! The source is searched as text, with comments and literals blanked out first where only code matters.

use std::fs;
use std::path::{Path, PathBuf};

/// Code that decides and does nothing else: time, bytes and chance come in as arguments. A folder, or single files.
const PURE: &[&str] = &[
    "src/smpp",
    "src/text",
    "src/accept",
    "src/route",
    "src/receipt",
    "src/ledger",
    "src/queue.rs",
    "src/queue",
    "src/message.rs",
    "src/operator/deliver.rs",
    "src/operator/outcome.rs",
    "src/operator/pace.rs",
    "src/operator/submit.rs",
    "src/spool/accounting.rs",
    "src/spool/header.rs",
    "src/spool/record.rs",
    "src/spool/recovery.rs",
    "src/upstream/deliver.rs",
    "src/upstream/places.rs",
    "src/upstream/slowdown.rs",
    "src/upstream/source.rs",
    "src/control/access.rs",
];
/// What would make pure code read the world.
const IMPURE_WORDS: &[&str] =
    &["tokio", "std::net", "std::fs", "std::thread", "Instant::now", ".elapsed()", "SystemTime", "rand::", "getrandom"];

/// What the simulation runs: its clock and its chance are those of the gateway it belongs to.
const SIMULATED: &[&str] =
    &["src/gateway", "src/journal", "src/mailbox", "src/operator", "src/upstream/session.rs", "src/clock.rs"];

const FILE_LINES: usize = 500;
/// Files that may be longer, each with its limit.
const LONG_FILES: &[(&str, usize)] = &[];
const FUNCTION_LINES: usize = 70;
/// Functions that may be longer, because they are tables in the form of a match.
const LONG_FUNCTIONS: &[(&str, &str)] = &[("src/smpp/status.rs", "describe")];
/// Files that may use `unsafe`.
const UNSAFE_FILES: &[&str] = &[];

/// A source file and its code: comments and literals blanked, and in `production` the `#[cfg(test)]` items too.
struct Source {
    path: String,
    text: String,
    code: String,
    production: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below the folder, as paths from the root of the repository.
fn files(folder: &str) -> Vec<String> {
    const GENERATED: &[&str] =
        &["target", ".git", ".tools", "node_modules", "artifacts", "corpus", "coverage", "data", "__pycache__"];
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !GENERATED.contains(&name) {
                folders.push(path);
            } else if path.is_file() && name != ".git" {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn sources(folder: &str) -> Vec<Source> {
    let rust = files(folder).into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let code = code_only(&text);
        let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
        let production = if is_test { String::new() } else { without_tests(&code) };
        Source { path, text, code, production }
    })
    .collect()
}

/// Replaces comments and the contents of string and character literals by spaces; lines stay where they are.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = end_of_blank(bytes, at);
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).unwrap()
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn end_of_blank(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let to = |pattern: &[u8], from: usize| {
        rest[from..].windows(pattern.len()).position(|w| w == pattern).map_or(bytes.len(), |i| at + from + i)
    };
    if rest.starts_with(b"//") {
        return to(b"\n", 2);
    }
    if rest.starts_with(b"/*") {
        return (to(b"*/", 2) + 2).min(bytes.len());
    }
    let previous_is_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let raw_prefix = if rest.starts_with(b"br") { 2 } else { 1 };
    if !previous_is_word && (rest[0] == b'r' || rest.starts_with(b"br")) {
        let hashes = rest[raw_prefix..].iter().take_while(|&&byte| byte == b'#').count();
        if rest.get(raw_prefix + hashes) == Some(&b'"') {
            let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            return (to(&close, raw_prefix + hashes + 1) + close.len()).min(bytes.len());
        }
    }
    match rest[0] {
        b'"' => end_of_quoted(bytes, at, b'"'),
        // A quote opens a character when it is closed soon; otherwise it is a lifetime.
        b'\'' if rest.get(1) == Some(&b'\\') => end_of_quoted(bytes, at, b'\''),
        b'\'' => match rest.iter().skip(2).take(4).position(|&byte| byte == b'\'') {
            Some(i) if i == 0 || !rest[1].is_ascii() => at + i + 3,
            _ => at,
        },
        _ => at,
    }
}

fn end_of_quoted(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// Where the block that opens at `open` ends, its closing brace included.
fn end_of_block(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The first `{` or `;` outside parentheses and brackets: where the body of an item opens, or the item ends without one.
fn body_or_end(code: &str, from: usize) -> usize {
    let mut depth = 0i32;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' | b';' if depth == 0 => return at,
            _ => {}
        }
    }
    code.len()
}

fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = code.to_owned();
    while let Some(start) = kept.find(MARK) {
        let at = body_or_end(&kept, start + MARK.len());
        let end = if kept.as_bytes().get(at) == Some(&b'{') { end_of_block(&kept, at) } else { at };
        let blank: String = kept[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        kept.replace_range(start..end, &blank);
    }
    kept
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// `path:line: word` for each place where one of the words stands in the text, not as the end of a longer name.
fn places(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for word in words {
        for (at, _) in text.match_indices(word) {
            let part_of_name = word.starts_with(char::is_alphabetic)
                && text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
            if !part_of_name {
                found.push(format!("{path}:{}: {word}", line_of(text, at)));
            }
        }
    }
    found
}

fn assert_none(found: Vec<String>, why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn pure_code_reads_no_clock_no_file_no_socket_and_throws_no_dice() {
    let mut found = Vec::new();
    for path in PURE {
        assert!(root().join(path).exists(), "{path} is listed as pure and does not exist");
    }
    for source in sources("src") {
        if PURE.iter().any(|pure| source.path == *pure || source.path.starts_with(&format!("{pure}/"))) {
            found.extend(places(&source.path, &source.production, IMPURE_WORDS));
        }
    }
    assert_none(found, "time, bytes and chance come into pure code as arguments");
}

#[test]
fn what_the_simulation_runs_repeats_itself_from_a_seed() {
    let mut found = Vec::new();
    for source in sources("src") {
        if !SIMULATED.iter().any(|part| source.path.starts_with(part)) {
            continue;
        }
        found.extend(places(&source.path, &source.production, &["Instant::now", ".elapsed()", "rand::"]));
        for (at, _) in source.production.match_indices("select! {") {
            if !source.production[at + "select! {".len()..].trim_start().starts_with("biased;") {
                found.push(format!("{}:{}: select! without biased", source.path, line_of(&source.production, at)));
            }
        }
    }
    assert_none(found, "link::now() tells the time, Gateway::chance throws the dice, and branches are polled in order");
}

#[test]
fn a_file_does_one_thing() {
    let mut found = Vec::new();
    for source in sources("src") {
        let limit = LONG_FILES.iter().find(|(path, _)| *path == source.path).map_or(FILE_LINES, |(_, limit)| *limit);
        let lines = source.text.lines().count();
        if lines > limit {
            found.push(format!("{}: {lines} lines, more than {limit}", source.path));
        }
    }
    assert_none(found, "split what has become too long");
}

#[test]
fn a_function_fits_on_a_screen() {
    let mut found = Vec::new();
    for source in sources("src") {
        let code = &source.production;
        for (at, _) in code.match_indices("fn ") {
            let named = code[at + 3..].starts_with(|first: char| first.is_alphabetic() || first == '_');
            if !named || code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let body = body_or_end(code, at);
            if code.as_bytes().get(body) != Some(&b'{') {
                continue;
            }
            let lines = code[at..end_of_block(code, body)].lines().count();
            let name: String = code[at + 3..].chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect();
            if lines > FUNCTION_LINES && !LONG_FUNCTIONS.contains(&(source.path.as_str(), name.as_str())) {
                found.push(format!("{}:{}: fn {name}, {lines} lines", source.path, line_of(code, at)));
            }
        }
    }
    assert_none(found, "say it in smaller functions");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];
    let stubs = ["todo!", "unimplemented!", "#[ignore", "dbg!"];
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz"] {
        for source in sources(folder) {
            found.extend(places(&source.path, &source.text, &marks));
            found.extend(places(&source.path, &source.code, &stubs));
        }
    }
    assert_none(found, "finish it or leave it out");
}

#[test]
fn nothing_waits_by_sleeping_a_thread() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for source in sources(folder) {
            found.extend(places(&source.path, &source.code, &["thread::sleep"]));
        }
    }
    assert_none(found, "wait for the event itself");
}

#[test]
fn every_channel_is_bounded() {
    let mut found = Vec::new();
    for source in sources("src") {
        found.extend(places(&source.path, &source.code, &["unbounded(", "unbounded_channel", "unbounded::<", "std::sync::mpsc"]));
    }
    assert_none(found, "a full channel is how back-pressure reaches the socket");
}

#[test]
fn unsafe_stays_where_it_is_allowed() {
    let mut found = Vec::new();
    for source in sources("src").into_iter().filter(|source| !UNSAFE_FILES.contains(&source.path.as_str())) {
        found.extend(places(&source.path, &source.code, &["unsafe "]));
    }
    assert_none(found, "no unsafe code");
}

#[test]
fn production_code_does_not_unwrap() {
    let mut found = Vec::new();
    for source in sources("src") {
        found.extend(places(&source.path, &source.production, &[".unwrap()", ".unwrap_err()", "panic!"]));
    }
    assert_none(found, "return the error, or say with expect why it cannot happen");
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut found = Vec::new();
    for path in files("") {
        if let Ok(text) = fs::read_to_string(root().join(&path)) {
            found.extend(places(&path, &text, &paths));
        }
    }
    assert_none(found, "paths are relative, or those of an installed system");
}

#[test]
fn the_node_lock_file_leaves_the_registry_to_who_installs() {
    let lock = fs::read_to_string(root().join("tests/clients/node/package-lock.json")).unwrap();
    assert!(!lock.contains("\"resolved\""), "use npm install --omit-lockfile-registry-resolved");
    assert!(lock.contains("\"integrity\""));
}

mod the_search_itself {
    use super::*;

    #[test]
    fn blanks_comments_and_literals_and_nothing_else() {
        let text = "let a = \"{ // \\\" {\"; // unsafe\nlet b = r#\"\"{\"#; /* { */ let c = '{'; let d: &'a str = '\\'';";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains('{') && !code.contains("unsafe"), "{code}");
        assert!(code.contains("let d: &'a str ="), "{code}");
    }

    #[test]
    fn leaves_out_test_modules_and_keeps_what_follows() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n#[cfg(test)]\nmod more;\nfn c() {}\n";
        let kept = without_tests(code);
        assert!(kept.contains("fn a") && kept.contains("fn c") && !kept.contains("fn b") && !kept.contains("mod more"), "{kept}");
    }

    #[test]
    fn finds_words_but_not_ends_of_longer_names() {
        assert_eq!(places("f", "strand::x\nrand::y", &["rand::"]), ["f:2: rand::"]);
        assert_eq!(places("f", "x.unwrap()", &[".unwrap()"]), ["f:1: .unwrap()"]);
    }
}
