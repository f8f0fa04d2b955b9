//! The second reading: sections to checked values. One file per kind of section; what concerns several is in `cross`.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::checked::{Config, Secret};
use super::fault::Fault;
use super::files::Files;
use super::limits;
use super::raw::{At, Context, Section};

mod account;
mod cross;
mod general;
mod operator;
mod routing;

/// So many faults of a text that is not TOML are told: those after the first mostly follow from it.
const SYNTAX_FAULTS: usize = 20;

/// Checks a configuration text. `file_name` stands in the faults, and relative paths are relative to its folder.
pub fn parse(text: &str, file_name: &str, files: &dyn Files) -> Result<Config, Vec<Fault>> {
    let cx = Context::new(file_name, text, files);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(SYNTAX_FAULTS) {
        cx.error(error.span().map_or(0, |span| span.start), "", error.message());
    }
    // A text that is not TOML reads as whatever was understood of it: further faults would mislead.
    let config = errors.is_empty().then(|| read(&Section::root(&cx, table.get_ref()), &cx));
    let faults = cx.into_faults();
    match config {
        Some(config) if !faults.iter().any(Fault::is_error) => Ok(Config { warnings: faults, ..config }),
        _ => Err(faults),
    }
}

fn read(root: &Section<'_>, cx: &Context<'_>) -> Config {
    let limits = general::limits(root.table("limits"));
    let timers = general::timers(root.table("timers"));
    let messages = general::messages(root.table("messages"));
    let config = Config {
        file: cx.file.clone(),
        node: general::node(root.table("node")),
        spool: general::spool(root.table("spool")),
        control: general::control(root.table("control")),
        metrics: general::metrics(root.table("metrics")),
        mailbox: general::mailbox(root.table("mailbox")),
        log: general::log(root.table("log")),
        daemon: general::daemon(root.table("daemon")),
        listeners: general::listeners(root),
        accounts: root
            .tables("account")
            .into_iter()
            .map(|section| account::account(section, &limits, &timers, &messages))
            .collect(),
        operators: root.tables("operator").into_iter().map(|section| operator::operator(section, &timers)).collect(),
        routing: routing::routing(root),
        inbound: root.tables("inbound").into_iter().map(routing::inbound).collect(),
        limits,
        timers,
        messages,
        warnings: Vec::new(),
    };
    root.unknown_keys();
    cross::check(&config, cx);
    config
}

/// Reads a secret file. One line end at its end is not part of the secret.
fn secret_file(section: &Section<'_>, key: &'static str) -> Option<Secret> {
    let (path, cx) = (secret_path(section, key)?, section.cx);
    let content = match cx.files.read(&path, limits::SECRET_FILE_SIZE) {
        Ok(content) => content,
        Err(error) => {
            section.error(key, format!("{} cannot be read: {error}", path.display()));
            return None;
        }
    };
    warn_if_open(section, key, &path);
    let content = content.strip_suffix(b"\n").unwrap_or(&content);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    check_password(section, key, content)
}

/// The path of a secret: a credential of the service manager when it begins with "credential:".
fn secret_path(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let Some(name) = section.text(key)?.value.strip_prefix("credential:") else {
        return section.path(key).map(|path| path.value);
    };
    if name.is_empty() || name.contains('/') {
        section.error(key, "expected \"credential:\" and a name without /");
        return None;
    }
    let path = section.cx.files.credential(name);
    if path.is_none() {
        section.error(key, "there are no credentials: $CREDENTIALS_DIRECTORY is not set (systemd LoadCredential=)");
    }
    path
}

/// A password as a bind PDU can carry it: a C-octet string.
fn check_password(section: &Section<'_>, key: &str, password: &[u8]) -> Option<Secret> {
    if password.is_empty() || password.len() > limits::PASSWORD || password.iter().any(|octet| *octet < 0x20) {
        section.error(key, format!("expected a password of 1..={} characters without control characters", limits::PASSWORD));
        return None;
    }
    Some(Secret::new(password))
}

/// The file of a path must exist and be readable.
fn existing(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let At { value: path, .. } = section.path(key)?;
    readable(section, key, path)
}

/// As [`existing`], for a secret, which nobody else should be able to read.
fn private(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let path = readable(section, key, secret_path(section, key)?)?;
    warn_if_open(section, key, &path);
    Some(path)
}

fn readable(section: &Section<'_>, key: &'static str, path: PathBuf) -> Option<PathBuf> {
    if let Err(error) = section.cx.files.mode(&path) {
        section.error(key, format!("{} cannot be read: {error}", path.display()));
        return None;
    }
    Some(path)
}

fn warn_if_open(section: &Section<'_>, key: &str, path: &Path) {
    if section.cx.files.mode(path).is_ok_and(readable_by_all) {
        section.warning(key, format!("{} is readable by every user of this machine", path.display()));
    }
}

/// Do these permission bits let others read?
pub(super) fn readable_by_all(mode: u32) -> bool {
    mode & 0o004 != 0
}
