//! Who may bind: the decision over system_id, password, peer address and client certificate.
//!
//! A refusal costs the same work whatever its reason, so that its delay does not tell an unknown account from a wrong password
//! (the answer is ESME_RBINDFAIL, 0x0D, in every case). A success is cheap after the first one: what argon2id has once accepted
//! is remembered as a keyed fast hash, so that a thousand reconnecting binds cost milliseconds. The key lives as long as the
//! process; passwords are not kept.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use ipnet::IpNet;
use rustls_pki_types::{CertificateDer, ServerName};
use subtle::ConstantTimeEq;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::server::ParsedCertificate;

use crate::config::{Account, Credential};
use crate::gateway::{AccountSettings, Settings, lock};

/// Position of the account in [`crate::config::Config::accounts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountIndex(pub usize);

/// Why a bind was refused: for logs and metrics, never for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    UnknownAccount,
    WrongPassword,
    AddressNotAllowed,
    CertificateNotAllowed,
}

impl Refusal {
    /// The word it is counted under.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::UnknownAccount => "unknown-account",
            Refusal::WrongPassword => "wrong-password",
            Refusal::AddressNotAllowed => "address-not-allowed",
            Refusal::CertificateNotAllowed => "certificate-not-allowed",
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: IpAddr,
    /// The certificate it has shown and proved to own, which an authority of the listener has signed.
    pub certificate: Option<CertificateDer<'static>>,
}

/// From where, and with which certificate, an account may be used at all.
#[derive(Debug)]
pub struct Gate {
    /// Empty = from anywhere.
    allow_from: Vec<IpNet>,
    /// A name that the peer's certificate must be for.
    certificate: Option<ServerName<'static>>,
}

impl Gate {
    pub fn of(account: &Account) -> Gate {
        Gate { allow_from: account.allow_from.clone(), certificate: account.certificate.clone() }
    }

    /// # Errors
    /// What is not allowed.
    pub fn admits(&self, peer: &Peer) -> Result<(), Refusal> {
        // An IPv4 peer of a dual-stack listener shows as a mapped IPv6 address.
        let address = peer.address.to_canonical();
        if !self.allow_from.is_empty() && !self.allow_from.iter().any(|network| network.contains(&address)) {
            return Err(Refusal::AddressNotAllowed);
        }
        let Some(name) = &self.certificate else { return Ok(()) };
        let shown = peer.certificate.as_ref().and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
        match shown.is_some_and(|certificate| verify_server_name(&certificate, name).is_ok()) {
            true => Ok(()),
            false => Err(Refusal::CertificateNotAllowed),
        }
    }
}

/// The account as these settings have it, when a bind that was right by `account` is right by them.
pub fn still_admitted(settings: &Settings, account: &AccountSettings, peer: &Peer) -> Option<Arc<AccountSettings>> {
    let now = settings.account(account.key)?;
    let admitted = now.config.credential == account.config.credential && Gate::of(&now.config).admits(peer).is_ok();
    admitted.then(|| now.clone())
}

/// Fast keyed hash of a password.
type Tag = [u8; 32];

/// Verified against when nothing else can be, for the sake of equal work: the parameters are those `hash-password` uses.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c21wcGd3IGRlY295IA$Qv2eqVmpc3xUtCcpVCKcJnZ9IBIkQpXNb7p2KzG4O9Y";

/// The accounts of one configuration, as binds meet them. Shared by all sessions; built anew on reload.
pub struct Directory {
    by_system_id: HashMap<Box<[u8]>, AccountIndex>,
    entries: Vec<Entry>,
    key: [u8; 32],
    decoy: Arc<str>,
}

struct Entry {
    gate: Gate,
    /// `None` for a password in the clear, whose tag is there from the start.
    hash: Option<Arc<str>>,
    /// The tag of a password known to be right.
    accepted: Mutex<Option<Tag>>,
}

impl Directory {
    /// `key` is random, of this process, and the same over reloads.
    pub fn new(accounts: &[Account], key: [u8; 32]) -> Self {
        let by_system_id =
            accounts.iter().enumerate().map(|(i, account)| (Box::from(account.system_id.as_bytes()), AccountIndex(i))).collect();
        let mut hashes = accounts.iter().filter_map(|account| match &account.credential {
            Credential::Argon2id(hash) => Some(hash.clone()),
            Credential::Clear(_) => None,
        });
        let decoy = hashes.next().unwrap_or_else(|| Arc::from(DECOY));
        let entries = accounts.iter().map(|account| Entry::new(account, &key)).collect();
        Directory { by_system_id, entries, key, decoy }
    }

    /// Takes over what an earlier directory with the same key has verified, for accounts whose hash did not change: a reload
    /// need not make every application's next bind slow.
    pub fn remember(&self, earlier: &Directory) {
        for (system_id, index) in &self.by_system_id {
            let Some(AccountIndex(before)) = earlier.by_system_id.get(system_id) else { continue };
            let (entry, before) = (&self.entries[index.0], &earlier.entries[*before]);
            if entry.hash.is_some() && entry.hash == before.hash && self.key == earlier.key {
                *lock(&entry.accepted) = *lock(&before.accepted);
            }
        }
    }

    /// The account, when this password is already known to be right and the peer is allowed: the quick half of
    /// [`Directory::check`], tens of microseconds. Asked first, it keeps known applications out of the queue in which a flood of
    /// wrong passwords waits.
    pub fn known(&self, system_id: &[u8], password: &[u8], peer: &Peer) -> Option<AccountIndex> {
        let tag = tag(&self.key, password);
        let account = self.by_system_id.get(system_id).copied();
        let entry = account.map(|account| &self.entries[account.0]);
        let good = entry.is_some_and(|entry| entry.accepts(tag.as_ref()) & entry.gate.admits(peer).is_ok());
        account.filter(|_| good)
    }

    /// Decides on a bind. Blocks for tens of milliseconds, with tens of MiB and a core of its own: call it where that is allowed.
    ///
    /// # Errors
    /// Why not. Every error has cost one argon2id, against a decoy when there was no hash to verify against.
    pub fn check(&self, system_id: &[u8], password: &[u8], peer: &Peer) -> Result<AccountIndex, Refusal> {
        // The same password may have been verified for somebody else while this one waited for its turn.
        if let Some(account) = self.known(system_id, password, peer) {
            return Ok(account);
        }
        let account = self.by_system_id.get(system_id).copied();
        let entry = account.map(|account| &self.entries[account.0]);
        let correct = self.verify_slowly(entry, password);
        let (account, entry) = account.zip(entry).ok_or(Refusal::UnknownAccount)?;
        if !correct {
            return Err(Refusal::WrongPassword);
        }
        entry.gate.admits(peer).map(|()| account)
    }

    fn verify_slowly(&self, entry: Option<&Entry>, password: &[u8]) -> bool {
        let tag = tag(&self.key, password);
        let known = entry.is_some_and(|entry| entry.accepts(tag.as_ref()));
        let hash = entry.and_then(|entry| entry.hash.as_ref());
        let verified = argon2id_accepts(hash.unwrap_or(&self.decoy), password) && hash.is_some();
        if let (Some(entry), true) = (entry, verified) {
            *lock(&entry.accepted) = tag;
        }
        known || verified
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory of {} accounts", self.entries.len())
    }
}

impl Entry {
    fn new(account: &Account, key: &[u8; 32]) -> Self {
        let (hash, accepted) = match &account.credential {
            Credential::Clear(secret) => (None, tag(key, secret.expose())),
            Credential::Argon2id(hash) => (Some(hash.clone()), None),
        };
        Entry { gate: Gate::of(account), hash, accepted: Mutex::new(accepted) }
    }

    fn accepts(&self, tag: Option<&Tag>) -> bool {
        let accepted = *lock(&self.accepted);
        accepted.zip(tag).is_some_and(|(accepted, tag)| accepted.ct_eq(tag).into())
    }
}

/// Argon2id at its cheapest with a secret key: in effect a keyed BLAKE2b, some tens of microseconds. Equal tags stand for equal
/// passwords, and comparing tags takes the same time whatever the lengths. `None`, which argon2 gives only for a password of
/// gigabytes, equals nothing.
fn tag(key: &[u8; 32], password: &[u8]) -> Option<Tag> {
    let mut tag = Tag::default();
    let params = Params::new(Params::MIN_M_COST, Params::MIN_T_COST, Params::MIN_P_COST, Some(tag.len())).ok()?;
    let argon2 = Argon2::new_with_secret(key, Algorithm::Argon2id, Version::V0x13, params).ok()?;
    argon2.hash_password_into(password, b"smppgw login tag", &mut tag).ok()?;
    Some(tag)
}

fn argon2id_accepts(hash: &str, password: &[u8]) -> bool {
    #[cfg(test)]
    tests::count_argon2id();
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
