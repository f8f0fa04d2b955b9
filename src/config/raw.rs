//! The first reading: TOML with the place of every value, typed key by key.
//!
//! A derived deserializer stops at its first error. Here a wrong value is noted and its default taken, so that one run shows
//! every fault of the file. Each key is named where it is read; what nobody has read at the end of a section is unknown
//! ([`Section::unknown_keys`]).

use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::checked::Line;
use super::fault::{Fault, Severity};
use super::files::Files;
use super::{nearest, values};

/// What all sections of one file share: its text, where to look for other files, and the faults found so far.
pub struct Context<'a> {
    pub file: Arc<str>,
    pub files: &'a dyn Files,
    text: &'a str,
    line_starts: Vec<usize>,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Context<'a> {
    pub fn new(file: &str, text: &'a str, files: &'a dyn Files) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Context { file: Arc::from(file), files, text, line_starts, faults: RefCell::default() }
    }

    /// The line of an offset, from 1.
    pub fn line(&self, offset: usize) -> Line {
        Line(u32::try_from(self.line_starts.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX))
    }

    fn column(&self, offset: usize) -> u32 {
        let start = self.line_starts[self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1)];
        let before = self.text.get(start..offset).map_or(0, |text| text.chars().count());
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    /// Notes an error at a place in the text.
    pub fn error(&self, at: usize, field: &str, message: impl Into<String>) {
        self.note(Severity::Error, at, field, message.into());
    }

    /// Notes what is allowed but unwise.
    pub fn warning(&self, at: usize, field: &str, message: impl Into<String>) {
        self.note(Severity::Warning, at, field, message.into());
    }

    /// Notes a fault made elsewhere.
    pub fn add(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    fn note(&self, severity: Severity, at: usize, field: &str, message: String) {
        self.faults.borrow_mut().push(Fault {
            file: self.file.clone(),
            line: self.line(at).0,
            column: self.column(at),
            field: field.to_owned(),
            message,
            severity,
        });
    }

    /// A path as the file names it: relative to the folder of the file.
    pub fn resolve(&self, path: &str) -> PathBuf {
        Path::new(&*self.file).parent().unwrap_or(Path::new("")).join(path)
    }

    /// Everything noted, in the order of the file.
    pub fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults.dedup();
        faults
    }
}

/// A value and the offset where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub at: usize,
}

/// One table of the file, read key by key.
pub struct Section<'a> {
    pub cx: &'a Context<'a>,
    /// As faults name it: `operator.bind`; empty for the top level.
    name: String,
    /// Where its header stands.
    pub at: usize,
    table: Option<&'a DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
    /// Keys are free (codes, not names): none is unknown.
    open: Cell<bool>,
}

impl<'a> Section<'a> {
    /// The top level of the file.
    pub fn root(cx: &'a Context<'a>, table: &'a DeTable<'a>) -> Self {
        Section::new(cx, String::new(), 0, Some(table))
    }

    fn new(cx: &'a Context<'a>, name: String, at: usize, table: Option<&'a DeTable<'a>>) -> Self {
        Section { cx, name, at, table, known: RefCell::default(), open: Cell::new(false) }
    }

    /// The line of its header.
    pub fn line(&self) -> Line {
        self.cx.line(self.at)
    }

    /// A key as faults name it.
    pub fn field(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Notes an error of a key: at its value, or at the header of the section when it is absent.
    pub fn error(&self, key: &str, message: impl Into<String>) {
        self.cx.error(self.place(key), &self.field(key), message);
    }

    /// As [`Section::error`], a warning.
    pub fn warning(&self, key: &str, message: impl Into<String>) {
        self.cx.warning(self.place(key), &self.field(key), message);
    }

    fn place(&self, key: &str) -> usize {
        self.table.and_then(|table| table.get(key)).map_or(self.at, |value| value.span().start)
    }

    fn wrong(&self, key: &str, expected: &str, found: &Spanned<DeValue<'_>>) {
        self.cx.error(found.span().start, &self.field(key), format!("expected {expected}, found {}", shown(found.get_ref())));
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.table?.get(key)
    }

    /// Is the key there, right or wrong?
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    pub fn text(&self, key: &'static str) -> Option<At<&'a str>> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(key, "a string", value);
        }
        text.map(|text| At { value: text, at: value.span().start })
    }

    /// A text that must be there; absent, it is a fault of the section.
    pub fn required_text(&self, key: &'static str) -> Option<At<&'a str>> {
        if !self.has(key) {
            self.error(key, "expected a value, found none");
        }
        self.text(key)
    }

    /// A text that no fault may show.
    pub fn secret(&self, key: &'static str) -> Option<&'a str> {
        let text = self.get(key)?.get_ref().as_str();
        if text.is_none() {
            self.error(key, "expected a string");
        }
        text
    }

    /// A text that `parse` understands; `expected` says what that is.
    pub fn parsed<T>(&self, key: &'static str, expected: &str, parse: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let text = self.text(key)?;
        let value = parse(text.value);
        if value.is_none() {
            self.cx.error(text.at, &self.field(key), format!("expected {expected}, found \"{}\"", text.value));
        }
        value
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &'static str, default: T, words: &[(&str, T)]) -> T {
        let expected = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" | ");
        self.parsed(key, &expected, |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value))
            .unwrap_or(default)
    }

    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.get(key) else { return default };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(key, "true or false", value);
            default
        })
    }

    pub fn optional_integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(key)?;
        let number = value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.wrong(key, &format!("{}..={}", range.start(), range.end()), value);
        }
        number
    }

    pub fn integer(&self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.optional_integer(key, range).unwrap_or(default)
    }

    /// [`Section::integer`] for what counts things in memory.
    pub fn count(&self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> usize {
        usize::try_from(self.integer(key, default, range)).unwrap_or(usize::MAX)
    }

    /// A duration such as "30s", "5m" or "2h 30m".
    pub fn duration(&self, key: &'static str, default: Duration, range: RangeInclusive<Duration>) -> Duration {
        self.optional_duration(key, range).unwrap_or(default)
    }

    pub fn optional_duration(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let shown = |duration: &Duration| humantime::format_duration(*duration).to_string();
        let expected = format!("a duration of \"{}\" to \"{}\"", shown(range.start()), shown(range.end()));
        let parse = |text: &str| humantime::parse_duration(text).ok().filter(|duration| range.contains(duration));
        self.parsed(key, &expected, parse)
    }

    /// A duration that "0s" turns off. Outer `None`: the key is absent or wrong.
    pub fn timer(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Option<Duration>> {
        let off = |text: &str| humantime::parse_duration(text).is_ok_and(|duration| duration.is_zero());
        match self.table.and_then(|table| table.get(key)).and_then(|value| value.get_ref().as_str()) {
            Some(text) if off(text) => self.get(key).map(|_| None),
            _ => self.optional_duration(key, range).map(Some),
        }
    }

    /// A size such as "64MiB".
    pub fn size(&self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let expected = format!("a size of \"{}\" to \"{}\"", values::show_size(*range.start()), values::show_size(*range.end()));
        self.parsed(key, &expected, |text| values::size(text).filter(|size| range.contains(size))).unwrap_or(default)
    }

    /// A list of strings; one string is a list of one. `None` when absent.
    pub fn texts(&self, key: &'static str) -> Option<Vec<At<&'a str>>> {
        let value = self.get(key)?;
        if let Some(text) = value.get_ref().as_str() {
            return Some(vec![At { value: text, at: value.span().start }]);
        }
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, "a list of strings", value);
            return Some(Vec::new());
        };
        let text = |item: &'a Spanned<DeValue<'a>>| {
            let text = item.get_ref().as_str();
            if text.is_none() {
                self.wrong(key, "a string", item);
            }
            text.map(|text| At { value: text, at: item.span().start })
        };
        Some(array.iter().filter_map(text).collect())
    }

    /// Is it a list, and an empty one?
    pub fn is_empty_list(&self, key: &str) -> bool {
        self.table.and_then(|table| table.get(key)).and_then(|value| value.get_ref().as_array()).is_some_and(|a| a.is_empty())
    }

    /// The path of a file, resolved.
    pub fn path(&self, key: &'static str) -> Option<At<PathBuf>> {
        let text = self.text(key)?;
        if text.value.is_empty() {
            self.error(key, "expected a path, found \"\"");
            return None;
        }
        Some(At { value: self.cx.resolve(text.value), at: text.at })
    }

    /// A table inside this one. Absent, it reads as empty, so that every key takes its default.
    pub fn table(&self, key: &'static str) -> Section<'a> {
        let value = self.get(key);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.wrong(key, "a table", value);
        }
        Section::new(self.cx, self.field(key), value.map_or(self.at, |value| value.span().start), table)
    }

    /// A switch that may carry settings: `true`, `false` or a table.
    pub fn switch(&self, key: &'static str) -> Option<Section<'a>> {
        match self.table.and_then(|table| table.get(key)).map(|value| value.get_ref()) {
            Some(DeValue::Table(_)) => Some(self.table(key)),
            _ => self.flag(key, false).then(|| Section::new(self.cx, self.field(key), self.place(key), None)),
        }
    }

    /// The tables of `[[key]]`.
    pub fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, &format!("[[{}]]", self.field(key)), value);
            return Vec::new();
        };
        let section = |item: &'a Spanned<DeValue<'a>>| {
            let table = item.get_ref().as_table();
            if table.is_none() {
                self.wrong(key, "a table", item);
            }
            table.map(|table| Section::new(self.cx, self.field(key), item.span().start, Some(table)))
        };
        array.iter().filter_map(section).collect()
    }

    /// Every key and its value as text, for tables whose keys are free.
    pub fn entries(&self) -> Vec<(At<&'a str>, At<&'a str>)> {
        self.open.set(true);
        let mut entries = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            match value.get_ref().as_str() {
                Some(text) => entries.push((
                    At { value: key.get_ref().as_ref(), at: key.span().start },
                    At { value: text, at: value.span().start },
                )),
                None => self.wrong(key.get_ref(), "a string", value),
            }
        }
        entries
    }

    /// Ends the reading of a section: a key that nobody asked for is unknown.
    pub fn unknown_keys(&self) {
        if self.open.get() {
            return;
        }
        let known = self.known.borrow();
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = nearest(name, known.iter().copied()).map_or(String::new(), |near| format!("; did you mean {near}?"));
            self.cx.error(key.span().start, &self.field(name), format!("unknown key{hint}"));
        }
    }
}

/// A value as its author sees it, short.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        other => format!("{} {}", if other.is_array() || other.is_integer() { "an" } else { "a" }, other.type_str()),
    }
}
