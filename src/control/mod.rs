//! What is going on, and two things that can be done about it: requests and replies as types, and the unix socket they go over.
//!
//! A client sends one JSON object per line and gets one per line back; `smppgw ctl` is such a client.

mod access;
mod gather;
mod limiters;
pub mod protocol;
mod quarantine;
mod reload;
mod search;
mod server;
#[cfg(test)]
mod tests;

use tokio::sync::oneshot;

pub use protocol::{ReloadReport, Reply, Request};
pub use server::Server;

use crate::config::Fault;

/// What the socket asks the daemon to do.
#[derive(Debug)]
pub enum Action {
    /// Read the configuration again; answered with what changed, or with the faults for which it was refused whole.
    Reload(oneshot::Sender<Result<ReloadReport, Vec<Fault>>>),
    /// Stop in order; answered when everything is closed, or the limit for it has passed.
    Drain(oneshot::Sender<()>),
}
