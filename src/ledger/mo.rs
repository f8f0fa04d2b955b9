//! Mobile-originated messages: parts are joined, then the whole goes to the account its number and first word name.
//!
//! Parts are durable before the operator is answered, come in any order and on any bind. What has not come in time is not waited
//! for: the parts that did come are forwarded one by one, still marked as parts.

use std::collections::VecDeque;

use bytes::BufMut;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::event::{Effect, Note, Status};
use super::index::{Item, What};
use super::{Ledger, Log, Rules, Turn, kind};
use crate::message::{AccountKey, Mail, MailKind, MessageId, Mo, Timestamp};
use crate::text::{Body, Concatenation};

/// ESME_RX_R_APPN: this message is refused; the operator need not try it again (SMPP 3.4 section 5.1.3).
const REFUSED: Status = 0x66;

/// What the parts of one message have in common (3GPP TS 23.040 section 9.2.3.24.1: originating address, reference, total).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Joint {
    source: SmallVec<[u8; 22]>,
    destination: SmallVec<[u8; 22]>,
    reference: u16,
    total: u8,
}

/// Which parts of which messages are here.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    open: HashMap<Joint, SmallVec<[(u8, MessageId); 4]>>,
    since: VecDeque<(Timestamp, Joint)>,
}

impl Joint {
    fn of(mo: &Mo, c: Concatenation) -> Self {
        Joint {
            source: SmallVec::from_slice(&mo.source.digits),
            destination: SmallVec::from_slice(&mo.destination.digits),
            reference: c.reference,
            total: c.total,
        }
    }
}

impl Reassembly {
    /// Adds a part; the ids of all parts in order when it was the last one missing. A part that came twice is refused with the id
    /// already held.
    fn add(&mut self, joint: Joint, sequence: u8, id: MessageId, until: Timestamp) -> Result<Option<Vec<MessageId>>, MessageId> {
        let parts = self.open.entry(joint.clone()).or_default();
        if let Some((_, held)) = parts.iter().find(|(s, _)| *s == sequence) {
            return Err(*held);
        }
        if parts.is_empty() {
            self.since.push_back((until, joint.clone()));
        }
        parts.push((sequence, id));
        if parts.len() < usize::from(joint.total) {
            return Ok(None);
        }
        parts.sort_unstable();
        let ids = parts.iter().map(|(_, id)| *id).collect();
        self.open.remove(&joint);
        Ok(Some(ids))
    }
}

impl Ledger {
    pub(super) fn mo<L: Log, R: Rules>(&mut self, mo: Mo, t: &mut Turn<'_, L, R>) -> Status {
        t.effects.push(Effect::Note(Note::MoReceived));
        match mo.concatenation.filter(|c| c.total > 1) {
            None => self.mo_whole(mo, &[], t),
            Some(c) => {
                self.mo_part(mo, c, t);
                0
            }
        }
    }

    fn mo_part<L: Log, R: Rules>(&mut self, mo: Mo, c: Concatenation, t: &mut Turn<'_, L, R>) {
        let id = self.ids.next();
        let until = mo.received_at.plus(t.rules.limits().mo_reassembly);
        let Ok(complete) = self.reassembly.add(Joint::of(&mo, c), c.sequence, id, until) else {
            return; // the operator sent it again: it is durable already
        };
        self.scratch.clear();
        super::codec::put_mo(&mut self.scratch, &mo);
        let location = t.log.append_full(kind::MO_PART, id, &self.scratch);
        self.index.insert(id, Item { location, what: What::MoPart(Box::new(mo)) });
        let Some(ids) = complete else { return };
        if let Some(joined) = self.join(&ids) {
            self.mo_whole(joined, &ids, t);
        }
    }

    /// One message of all the parts: their texts one after the other, the rest from the first.
    fn join(&self, ids: &[MessageId]) -> Option<Mo> {
        let parts: Vec<&Mo> = ids.iter().filter_map(|id| self.mo_held(*id)).collect();
        let first = *parts.first()?;
        let bodies: Vec<Body> = parts.iter().map(|part| part.body.clone()).collect();
        Some(Mo { concatenation: None, body: Body::join(&bodies), ..first.clone() })
    }

    fn mo_held(&self, id: MessageId) -> Option<&Mo> {
        match self.index.get(id).map(|item| &item.what) {
            Some(What::MoPart(mo)) => Some(mo),
            _ => None,
        }
    }

    /// Puts the message in the mailbox of whoever its number and first word belong to, and finishes its parts in the same record.
    fn mo_whole<L: Log, R: Rules>(&mut self, mo: Mo, parts: &[MessageId], t: &mut Turn<'_, L, R>) -> Status {
        let text = mo.body.to_text().unwrap_or_default();
        let Some(account) = t.rules.inbound(&mo.destination, &text) else {
            t.effects.push(Effect::Note(Note::MoUnroutable));
            for id in parts {
                self.drop_mo_part(*id, t, true);
            }
            return REFUSED;
        };
        let key = AccountKey(self.accounts.intern(&account));
        let mail = Mail {
            id: self.ids.next(),
            kind: MailKind::Mo,
            account,
            source: mo.source,
            destination: mo.destination,
            esm_class: 0,
            protocol_id: mo.protocol_id,
            dcs_class: mo.dcs_class,
            created_at: t.now,
            expires_at: t.now.plus(t.rules.limits().mail_time_to_live),
            concatenation: mo.concatenation,
            udh: mo.udh,
            body: mo.body,
            tlvs: mo.tlvs,
        };
        self.scratch.clear();
        self.scratch.put_u16(u16::try_from(parts.len()).unwrap_or(u16::MAX));
        for id in parts {
            self.scratch.put_u64(id.0);
        }
        self.scratch.put_u64(0);
        self.post(key, mail, t);
        t.effects.push(Effect::Note(Note::MoRouted { account: key }));
        for id in parts {
            self.drop_mo_part(*id, t, false);
        }
        0
    }

    fn drop_mo_part<L: Log, R: Rules>(&mut self, id: MessageId, t: &mut Turn<'_, L, R>, record: bool) -> Option<Mo> {
        let item = self.index.remove(id)?;
        t.log.release(item.location);
        if record {
            t.log.append_change(kind::DONE, id, &[]);
        }
        match item.what {
            What::MoPart(mo) => Some(*mo),
            _ => None,
        }
    }

    /// Forwards what came of messages whose other parts did not come in time.
    pub(super) fn expire_mo<L: Log, R: Rules>(&mut self, t: &mut Turn<'_, L, R>) {
        while let Some((_, joint)) = self.reassembly.since.pop_front_if(|(until, _)| *until <= t.now) {
            let Some(mut parts) = self.reassembly.open.remove(&joint) else { continue };
            parts.sort_unstable();
            t.effects.push(Effect::Note(Note::MoIncomplete));
            for (_, id) in parts {
                if let Some(mo) = self.mo_held(id).cloned() {
                    self.mo_whole(mo, &[id], t);
                }
            }
        }
    }

    /// A part read back at start takes its place again.
    pub(super) fn restore_mo_part(&mut self, id: MessageId, mo: &Mo, time_to_wait: std::time::Duration) {
        if let Some(c) = mo.concatenation {
            // All parts present cannot happen: the last one and the joined message are one group; a torn group leaves the message
            // to be completed by the operator's next attempt or by time.
            let _ = self.reassembly.add(Joint::of(mo, c), c.sequence, id, mo.received_at.plus(time_to_wait));
        }
    }
}
