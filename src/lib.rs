//! smppgw: an SMPP gateway that takes responsibility for every message it answers.
//!
//! The modules follow the life of a message, so that a newcomer can place any file:
//!
//! ```text
//! 1 upstream   a bound application sends submit_sm or data_sm
//! 2 accept     session state, field rules, sender policy, rate        -> Message or an SMPP status
//! 3 text       encoding, septet count, part boundaries                -> parts
//! 4 route      ported numbers, longest prefix, account/sender rules   -> ordered operators
//! 5 spool      one record, group commit, fdatasync                    -> only now submit_sm_resp leaves
//! 6 operator   fair queue -> bind with window and rate -> submit_sm -> outcome
//! 7 receipt    deliver_sm from the operator -> parse; the ledger correlates and aggregates
//! 8 mailbox    receipt or MO message made durable, then deliver_sm_resp to the operator
//! 9 upstream   deliver_sm to any bound receiver of the account, kept until acknowledged or expired
//! ```
//!
//! `ARCHITECTURE.md` tells the same story with its reasons and invariants.

pub mod chance;
pub mod clock;
pub mod message;
pub mod rate;

pub mod smpp;
pub mod text;

pub mod link;
pub mod upstream;

pub mod accept;
pub mod route;

pub mod gateway;
pub mod journal;
pub mod ledger;
pub mod spool;

pub mod queue;

pub mod mailbox;
pub mod operator;
pub mod receipt;

pub mod config;
pub mod control;
pub mod daemon;
pub mod metrics;
pub mod simulator;

pub mod cli;
