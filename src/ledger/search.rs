//! Finding messages by something else than their id: the number they go to, or what an operator calls them.
//!
//! No table leads there from a number: it would cost memory for each of ten million messages, and be asked now and then. So all that is
//! pending and all that is remembered is gone through, newest first, a slice at a time, for the journal thread to do its work in between.
//! What a slice looks at is in memory: the last digits of the number, and the operators' ids.

use std::cell::Cell;
use std::cmp::Reverse;

use smallvec::SmallVec;

use super::by_id::{first_of, page_of};
use super::correlation::{NO_SUFFIX, suffix};
use super::index::What;
use super::part::Part;
use super::{Ledger, Log, Rules};
use crate::message::{AccountKey, Address, MessageId, OperatorKey};
use crate::receipt::id::{sought_keys, stored_key};

/// What a slice looks at, at most: pages, and parts of messages where it looks at those, which takes longer. Not more work than everybody has to
/// wait for anyway.
const PAGES: usize = 500;
const PARTS: usize = 4_000;

/// A slice ends when it has found so many: whoever asks may have to read each of them from the disk.
const FOUND: usize = 32;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// Messages to a number whose last digits are one of these, see [`Sought::number`].
    Digits(SmallVec<[u32; 4]>),
    /// Messages of which a part has this id at the operator, or at any.
    OperatorId { operator: Option<OperatorKey>, id: Box<[u8]> },
}

impl Sought {
    /// What may have gone to the number, as it would be written here or there: the last digits of each.
    pub fn number<'a>(forms: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digits: SmallVec<[u32; 4]> = forms.into_iter().map(suffix).collect();
        digits.sort_unstable();
        digits.dedup();
        Sought::Digits(digits)
    }

    /// May it be a number too short for its last digits to tell it from others?
    pub fn is_vague(&self) -> bool {
        matches!(self, Sought::Digits(digits) if digits.contains(&NO_SUFFIX))
    }

    /// `looked_at` counts parts.
    fn fits(&self, destination: u32, parts: &[Part], rules: &impl Rules, looked_at: &Cell<usize>) -> bool {
        match self {
            Sought::Digits(digits) => digits.contains(&destination),
            Sought::OperatorId { operator, id } => parts.iter().any(|part| {
                looked_at.set(looked_at.get() + 1);
                let Some(key) = part.operator().filter(|key| operator.is_none_or(|operator| operator == *key)) else {
                    return false;
                };
                let form = rules.receipt_id(key);
                let given = part.operator_id.octets();
                stored_key(form, &given).is_some_and(|stored| sought_keys(form, id).any(|sought| sought == stored))
            }),
        }
    }
}

/// Where it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    All,
    /// Those that are not pending any more and still remembered.
    Finished,
}

/// What a slice of a search has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Newest first.
    pub found: Vec<MessageId>,
    /// Everything from this id on has been looked at; `None` when that is all there is.
    pub from: Option<MessageId>,
}

/// The number that a message goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// By the rules of this account the number was completed.
    pub account: AccountKey,
    /// `None` when nobody knows it any more, or it cannot be read just now.
    pub number: Option<Address>,
}

impl Ledger {
    /// The next slice of a search: what was accepted before the message `below`.
    pub fn search(&self, sought: &Sought, among: Among, below: MessageId, rules: &impl Rules) -> Look {
        let mut look = Look::default();
        let looked_at = Cell::new(0);
        let mut page = page_of(below) + 1;
        for _ in 0..PAGES {
            let pending = self.index.page_before(page).filter(|_| among == Among::All);
            let Some(next) = pending.max(self.history.page_before(page)) else {
                look.from = None;
                return look;
            };
            page = next;
            let before = look.found.len();
            self.search_page(page, (sought, among), rules, &looked_at, &mut look.found);
            look.found.retain(|id| *id < below);
            look.found[before..].sort_unstable_by_key(|id| Reverse(*id));
            look.from = Some(first_of(page));
            if look.found.len() >= FOUND {
                // The rest of the page is for the next slice.
                look.found.truncate(FOUND);
                look.from = look.found.last().copied();
                break;
            }
            if looked_at.get() > PARTS {
                break;
            }
        }
        look
    }

    fn search_page(
        &self,
        page: u64,
        (sought, among): (&Sought, Among),
        rules: &impl Rules,
        looked_at: &Cell<usize>,
        found: &mut Vec<MessageId>,
    ) {
        if among == Among::All {
            let pending = self.index.items_of(page).filter(|(_, item)| match &item.what {
                What::Message(pending) => sought.fits(pending.destination, &pending.parts, rules, looked_at),
                What::Mail { .. } | What::Parked(_) | What::MoPart(_) => false,
            });
            found.extend(pending.map(|(id, _)| id));
        }
        let finished = self.history.items_of(page);
        let finished = finished.filter(|(_, past)| sought.fits(past.destination, &past.parts, rules, looked_at));
        found.extend(finished.map(|(id, _)| id));
    }

    /// Messages that receipts with this id would be for, which is known without a search; in no order. Those without receipts are not
    /// among them.
    pub fn correlated(&self, operator: Option<OperatorKey>, id: &[u8], rules: &impl Rules) -> Vec<MessageId> {
        let operators = match operator {
            Some(OperatorKey(key)) => key..=key,
            None => 0..=self.operators.table().last_key().unwrap_or(0),
        };
        let keys = operators.map(OperatorKey).flat_map(|key| self.keys.of_receipt(key, rules.receipt_id(key), id));
        let known = |id: &MessageId| self.index.contains(*id) || self.history.contains(*id);
        let mut found: Vec<MessageId> = keys.flat_map(|key| self.correlation.messages(key)).filter(known).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Who gets a message, pending or finished not too long ago; of a pending one this may have to be read from the disk.
    pub fn recipient(&self, id: MessageId, log: &mut impl Log) -> Option<Recipient> {
        match self.index.get(id).map(|item| &item.what) {
            Some(What::Message(pending)) => {
                let number = self.message(id, log).map(|message| message.destination.clone());
                Some(Recipient { account: pending.account, number })
            }
            _ => self.history.get(id).map(|past| past.recipient()),
        }
    }
}
