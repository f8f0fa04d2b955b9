//! The configuration: read once as typed text with places ([`raw`]), then checked and resolved ([`checked`]).
//!
//! [`load`] is what the daemon and the tools call; [`parse`] is the same without a disk. Either gives a [`Config`] that needs no
//! further checking, or every [`Fault`] of the file at once. Nothing here has side effects, so that a reload that fails leaves
//! nothing half done.

use std::path::Path;

mod check;
pub mod checked;
pub mod fault;
pub mod files;
pub mod limits;
mod raw;
#[cfg(test)]
mod tests;
mod values;

pub use check::parse;
pub use checked::*;
pub use fault::{Fault, Severity};
pub use files::{Disk, Files};
pub use values::{argon2id_fault, show_duration, show_size};

/// Reads and checks a configuration file and the secrets it names.
pub fn load(path: &Path) -> Result<Config, Vec<Fault>> {
    let name = path.to_string_lossy();
    let disk = Disk::from_environment();
    let fault = |message: String| vec![Fault::error(&name, 0, "", message)];
    let content = disk.read(path, limits::CONFIG_FILE_SIZE).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(content).map_err(|error| fault(format!("is not UTF-8: {error}")))?;
    let mut config = parse(&text, &name, &disk)?;
    if let Some(warning) = clear_passwords_in_the_open(&config, path, &disk) {
        config.warnings.push(warning);
    }
    Ok(config)
}

/// A configuration with passwords in it should be readable by its owner only.
fn clear_passwords_in_the_open(config: &Config, path: &Path, files: &dyn Files) -> Option<Fault> {
    let clear = config.warnings.iter().find(|warning| warning.field.ends_with(".password"))?;
    let open = files.mode(path).is_ok_and(check::readable_by_all);
    open.then(|| {
        Fault::warning(&config.file, clear.line, "", "has passwords in the clear and is readable by every user of this machine")
    })
}

/// The known name that was probably meant: at most half of it differs.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let distances = known.into_iter().map(|candidate| (edit_distance(name, candidate), candidate));
    distances.filter(|(distance, candidate)| distance * 2 <= candidate.chars().count()).min().map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements from one word to the other (Levenshtein).
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, c) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, d) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
