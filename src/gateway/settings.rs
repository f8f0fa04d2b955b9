//! The configuration in force: what was checked, resolved against names, tables and files. Immutable; replaced whole on reload.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;
use tokio_rustls::rustls::ServerConfig;

use crate::accept::{Policy, Senders};
use crate::config::{Account, Config, Fault, Operator};
use crate::ledger::{Limits, Rules};
use crate::link::tls::{self, ClientSide};
use crate::message::{AccountKey, Address, Message, Names, OperatorKey};
use crate::receipt::{ReceiptId, ReceiptPolicy};
use crate::route::{Inbound, InboundRule, NumberRules, Query, RouteRule, Table, TableBuilder};
use crate::smpp::{Strictness, Timers};
use crate::upstream::login::Directory;

/// Everything the configuration says, ready to be used.
#[derive(Debug)]
pub struct Settings {
    pub config: Config,
    pub table: Table,
    inbound: Inbound,
    /// By which rules numbers are completed: without a country first, then by each that an account has, in the order of the configuration.
    numbers: Vec<NumberRules>,
    accounts: HashMap<AccountKey, Arc<AccountSettings>>,
    account_keys: Vec<AccountKey>,
    by_system_id: HashMap<Arc<str>, AccountKey>,
    operators: HashMap<OperatorKey, Arc<OperatorSettings>>,
    account_names: Arc<Names>,
    pub directory: Arc<Directory>,
    pub listeners: Vec<ListenerTls>,
    limits: Limits,
}

/// TLS of a listener, by its name.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    pub name: Arc<str>,
    pub tls: Option<Arc<ServerConfig>>,
}

/// An account of this configuration.
#[derive(Debug)]
pub struct AccountSettings {
    pub key: AccountKey,
    pub config: Account,
    pub policy: Policy,
}

/// An operator of this configuration.
#[derive(Debug)]
pub struct OperatorSettings {
    pub key: OperatorKey,
    pub config: Operator,
    /// For each bind of the configuration.
    pub tls: Vec<Option<ClientSide>>,
}

impl Settings {
    /// Resolves a checked configuration: reads the tables and certificates it names.
    ///
    /// # Errors
    /// Every fault found; nothing of the configuration is used then.
    pub fn build(
        config: Config,
        accounts: &Arc<Names>,
        operators: &Arc<Names>,
        login_key: [u8; 32],
    ) -> Result<Settings, Vec<Fault>> {
        let mut faults = Vec::new();
        let account_keys: Vec<AccountKey> = config.accounts.iter().map(|a| AccountKey(accounts.intern(&a.system_id))).collect();
        let by_system_id = config.accounts.iter().map(|a| a.system_id.clone()).zip(account_keys.iter().copied()).collect();
        let table = faults.keep(build_table(&config, accounts, operators));
        let inbound = faults.keep(build_inbound(&config, accounts));
        let operators = config.operators.iter().map(|operator| {
            let key = OperatorKey(operators.intern(&operator.name));
            let tls = operator.binds.iter().map(|bind| faults.keep_one(tls::client_side(&config.file, bind)).flatten()).collect();
            (key, Arc::new(OperatorSettings { key, config: operator.clone(), tls }))
        });
        let operators = operators.collect();
        let listeners = config.listeners.iter().map(|listener| {
            let tls = faults.keep_one(tls::server_side(&config.file, listener)).flatten();
            ListenerTls { name: listener.name.clone(), tls }
        });
        let listeners = listeners.collect();
        let policies = policies(&config);
        let numbers = all_numbers(&config, &policies);
        let by_key = account_keys.iter().copied().zip(config.accounts.iter().cloned().zip(policies));
        let by_key = by_key.map(|(key, (config, policy))| (key, Arc::new(AccountSettings { key, config, policy }))).collect();
        let (Some(table), Some(inbound), true) = (table, inbound, faults.is_empty()) else { return Err(faults) };
        let directory = Arc::new(Directory::new(&config.accounts, login_key));
        let limits = limits(&config);
        Ok(Settings {
            table,
            inbound,
            numbers,
            accounts: by_key,
            account_keys,
            by_system_id,
            operators,
            account_names: accounts.clone(),
            directory,
            listeners,
            limits,
            config,
        })
    }

    pub fn account(&self, key: AccountKey) -> Option<&Arc<AccountSettings>> {
        self.accounts.get(&key)
    }

    /// The account at a position of the configuration's list.
    pub fn account_at(&self, index: usize) -> Option<&Arc<AccountSettings>> {
        self.account_keys.get(index).and_then(|key| self.accounts.get(key))
    }

    pub fn account_named(&self, system_id: &str) -> Option<&Arc<AccountSettings>> {
        self.by_system_id.get(system_id).and_then(|key| self.accounts.get(key))
    }

    /// By which rules the numbers of an account's messages are completed; of one that is not configured any more, without a country.
    pub fn numbers_of(&self, account: AccountKey) -> &NumberRules {
        self.account(account).map_or(&self.numbers[0], |account| &account.policy.numbers)
    }

    /// All rules by which numbers are completed, those of each country once.
    pub fn all_numbers(&self) -> &[NumberRules] {
        &self.numbers
    }

    pub fn operator(&self, key: OperatorKey) -> Option<&Arc<OperatorSettings>> {
        self.operators.get(&key)
    }

    pub fn operators(&self) -> impl Iterator<Item = &Arc<OperatorSettings>> {
        self.operators.values()
    }
}

impl Rules for Settings {
    fn route(&self, message: &Message) -> SmallVec<[OperatorKey; 4]> {
        let query = Query { destination: &message.destination.digits, account: &message.account, sender: &message.source.digits };
        self.table.choose(&query).map(|choice| SmallVec::from_slice(choice.operators)).unwrap_or_default()
    }

    fn receipt_policy(&self, account: AccountKey) -> ReceiptPolicy {
        self.account(account).map(|a| a.config.receipts).unwrap_or_default()
    }

    fn receipt_id(&self, operator: OperatorKey) -> ReceiptId {
        self.operator(operator).map(|o| o.config.receipt_id).unwrap_or_default()
    }

    fn inbound(&self, number: &Address, text: Option<&str>) -> Option<Arc<str>> {
        // Most operators write whole numbers; one that writes them as at home is at home where one of the accounts is. When that may be here
        // or there it is nobody's.
        let owner = |rules: &NumberRules| self.inbound.choose(&rules.normalise(number).ok()?.digits, text);
        let mut owners = self.numbers.iter().filter_map(owner);
        let key = owners.next()?;
        owners.all(|other| other == key).then(|| self.account_names.name(key.0))
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Collects faults while going on.
trait Collect {
    fn keep<T>(&mut self, result: Result<T, Vec<Fault>>) -> Option<T>;
    fn keep_one<T>(&mut self, result: Result<T, Fault>) -> Option<T>;
}

impl Collect for Vec<Fault> {
    fn keep<T>(&mut self, result: Result<T, Vec<Fault>>) -> Option<T> {
        result.map_err(|faults| self.extend(faults)).ok()
    }
    fn keep_one<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.push(fault)).ok()
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        mail_time_to_live: config.mailbox.time_to_live,
        receipt_timeout: config.messages.receipt_timeout,
        early_receipt: config.messages.early_receipt,
        mo_reassembly: config.messages.mo_reassembly,
    }
}

fn all_numbers(config: &Config, policies: &[Policy]) -> Vec<NumberRules> {
    let mut countries = vec![None];
    let mut rules = vec![NumberRules::international()];
    for (account, policy) in config.accounts.iter().zip(policies) {
        if !countries.contains(&account.country) {
            countries.push(account.country);
            rules.push(policy.numbers.clone());
        }
    }
    rules
}

fn policies(config: &Config) -> Vec<Policy> {
    let mut numbers: HashMap<Option<String>, NumberRules> = HashMap::new();
    let policy = |account: &Account| {
        let country = account.country.map(|id| id.as_ref().to_owned());
        let rules = numbers
            .entry(country.clone())
            .or_insert_with(|| country.as_deref().and_then(NumberRules::for_country).unwrap_or_else(NumberRules::international));
        Policy {
            account: account.system_id.clone(),
            alphabet: account.alphabet,
            numbers: rules.clone(),
            senders: Senders::new(account.senders.as_ref().map(|list| list.iter().map(|s| &**s))),
            max_parts: account.max_parts.into(),
            priority_max: account.priority_max,
            default_validity: account.default_validity,
            max_validity: account.max_validity,
            strictness: strictness(account.strict),
            transliterate: account.transliterate,
        }
    };
    config.accounts.iter().map(policy).collect()
}

pub(crate) fn strictness(strict: bool) -> Strictness {
    if strict { Strictness::Strict } else { Strictness::Lenient }
}

/// Session timers as the protocol takes them: zero is off.
pub(crate) fn timers(timers: &crate::config::Timers) -> Timers {
    Timers {
        session_init: timers.session_init,
        enquire_link: timers.enquire_link.unwrap_or(Duration::ZERO),
        inactivity: timers.inactivity.unwrap_or(Duration::ZERO),
        response: timers.response,
    }
}

fn route_fault(fault: crate::route::Fault) -> Fault {
    Fault::error(&fault.source, fault.line, fault.field, fault.message)
}

fn build_table(config: &Config, accounts: &Names, operators: &Names) -> Result<Table, Vec<Fault>> {
    let known = |name: &str| config.operators.iter().any(|o| &*o.name == name).then(|| OperatorKey(operators.intern(name)));
    let known_account =
        |name: &str| config.accounts.iter().any(|a| &*a.system_id == name).then(|| AccountKey(accounts.intern(name)));
    let (mut operator, mut account) = (known, known_account);
    let mut builder = TableBuilder::new(&mut operator, &mut account);
    let mut unreadable = Vec::new();
    let mut open = |path: &Path, field: &str| {
        let file = File::open(path);
        file.map_err(|error| unreadable.push(Fault::error(&config.file, 0, field, format!("{}: {error}", path.display())))).ok()
    };
    if let Some(path) = &config.routing.prefixes
        && let Some(file) = open(path, "routing.prefixes")
    {
        builder.prefixes(&path.display().to_string(), file);
    }
    if let Some(path) = &config.routing.ported
        && let Some(file) = open(path, "routing.ported")
    {
        builder.ported(&path.display().to_string(), file);
    }
    let texts = |names: &[Arc<str>]| names.iter().map(|name| name.to_string()).collect();
    let rules: Vec<RouteRule> = (config.routing.rules.iter())
        .map(|rule| RouteRule {
            line: rule.line.0,
            prefixes: texts(&rule.prefixes),
            accounts: texts(&rule.accounts),
            senders: texts(&rule.senders),
            operators: texts(&rule.operators),
            country: None,
        })
        .collect();
    builder.rules(&config.file, &rules);
    let built = builder.build().map_err(|faults| faults.into_iter().map(route_fault).collect::<Vec<_>>());
    match built {
        Ok(table) if unreadable.is_empty() => Ok(table),
        Ok(_) => Err(unreadable),
        Err(faults) => Err(unreadable.into_iter().chain(faults).collect()),
    }
}

fn build_inbound(config: &Config, accounts: &Names) -> Result<Inbound, Vec<Fault>> {
    let rules: Vec<InboundRule> = (config.inbound.iter())
        .map(|rule| InboundRule {
            line: rule.line.0,
            number: rule.number.to_string(),
            keyword: rule.keyword.as_ref().map(ToString::to_string),
            account: rule.account.to_string(),
        })
        .collect();
    let mut account =
        |name: &str| config.accounts.iter().any(|a| &*a.system_id == name).then(|| AccountKey(accounts.intern(name)));
    Inbound::build(&config.file, &rules, &NumberRules::international(), &mut account)
        .map_err(|faults| faults.into_iter().map(route_fault).collect())
}
