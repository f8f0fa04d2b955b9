//! What a reload changed, from the two configurations.

use std::sync::Arc;

use super::protocol::{Changes, ReloadReport};
use crate::config::Config;
use crate::gateway::Settings;

impl ReloadReport {
    /// What is different now that `new` has replaced `old`.
    pub fn between(old: &Config, new: &Settings) -> Self {
        let config = &new.config;
        ReloadReport {
            file: config.file.clone(),
            accounts: changes(&old.accounts, &config.accounts, |account| &account.system_id),
            operators: changes(&old.operators, &config.operators, |operator| &operator.name),
            prefixes: new.table.prefixes(),
            ported: new.table.ported(),
            needs_restart: needs_restart(old, config),
            warnings: config.warnings.clone(),
        }
    }
}

fn changes<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> &Arc<str>) -> Changes {
    let find = |list: &[T], wanted: &Arc<str>| list.iter().position(|item| name(item) == wanted);
    let mut changes = Changes::default();
    for item in new {
        match find(old, name(item)) {
            None => changes.added.push(name(item).clone()),
            Some(at) if old[at] != *item => changes.changed.push(name(item).clone()),
            Some(_) => {}
        }
    }
    changes.removed = old.iter().map(&name).filter(|wanted| find(new, wanted).is_none()).cloned().collect();
    changes
}

/// Sections that are read at start only.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let sections = [
        ("node", old.node != new.node),
        ("spool", old.spool != new.spool),
        ("control", old.control != new.control),
        ("metrics", old.metrics != new.metrics),
        ("limits.hot_messages", old.limits.hot_messages != new.limits.hot_messages),
        ("messages.history", old.messages.history != new.messages.history),
        ("log", old.log != new.log),
        ("daemon.workers", old.daemon.workers != new.daemon.workers),
    ];
    sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
}
