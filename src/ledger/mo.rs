//! Mobile-originated messages: parts are joined, then the whole goes to the account its number and first word name.
//!
//! Parts are durable before the operator is answered, come in any order and on any bind. What has not come in time is not waited
//! for: the parts that did come are forwarded one by one, still marked as parts. What comes a second time after that is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::event::{Effect, Note, Status};
use super::forwarded::digest;
use super::index::{Item, What};
use super::{EXPIRIES_PER_TICK, Ledger, Log, Rules, Turn, kind, records};
use crate::message::{AccountKey, Mail, MailContent, MailedMo, MessageId, Mo, Timestamp};
use crate::text::{Alphabet, Body, Concatenation};

/// ESME_RX_R_APPN: this message is refused; the operator need not try it again (SMPP 3.4 section 5.1.3).
const REFUSED: Status = 0x66;

/// The longest joined message: what one message_payload can carry to the application (SMPP 5.0 section 4.8.4.36) with the longest header.
const JOINED_OCTETS: usize = 65_535 - 256;

/// Octets of parts held per operator, so that parts without end do not fill memory; each counts with what it takes besides its text.
const HELD_OCTETS: usize = 16 << 20;
const PART_OVERHEAD: usize = 512;

/// What the parts of one message have in common (3GPP TS 23.040 section 9.2.3.24.1: originating address, reference, total).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Joint {
    source: SmallVec<[u8; 22]>,
    destination: SmallVec<[u8; 22]>,
    reference: u16,
    total: u8,
}

/// A message of which parts are here.
#[derive(Debug, Clone)]
struct Open {
    /// Of the part that came first.
    operator: Arc<str>,
    since: Timestamp,
    first: MessageId,
    /// Octets of text, and with what the parts take besides.
    text: usize,
    held: usize,
    /// Octets that the text may take in any coding.
    coded: usize,
    /// Parts that are no text.
    octets: usize,
    /// Parts that have been forwarded already.
    again: usize,
    parts: SmallVec<[(u8, MessageId); 4]>,
}

/// The open messages that began with one operator.
#[derive(Debug, Default, Clone)]
struct Line {
    held: usize,
    by_age: BTreeMap<(Timestamp, MessageId), Joint>,
}

/// Which parts of which messages are here.
#[derive(Debug, Default, Clone)]
pub(super) struct Reassembly {
    open: HashMap<Joint, Open>,
    lines: BTreeMap<Arc<str>, Line>,
}

impl Joint {
    pub fn of(mo: &Mo, c: Concatenation) -> Self {
        Joint {
            source: SmallVec::from_slice(&mo.source.digits),
            destination: SmallVec::from_slice(&mo.destination.digits),
            reference: c.reference,
            total: c.total,
        }
    }

    /// How many parts the message has.
    pub fn total(&self) -> u8 {
        self.total
    }
}

impl Reassembly {
    /// `again`: it has been forwarded already.
    fn add(&mut self, joint: &Joint, sequence: u8, id: MessageId, mo: &Mo, again: bool) {
        let fresh = || Open {
            operator: mo.operator.clone(),
            since: mo.received_at,
            first: id,
            text: 0,
            held: 0,
            coded: 0,
            octets: 0,
            again: 0,
            parts: SmallVec::new(),
        };
        let open = self.open.entry(joint.clone()).or_insert_with(fresh);
        let text = mo.body.octets.len();
        let held = text + mo.udh.len() + mo.tlvs.len() + PART_OVERHEAD;
        open.text += text;
        open.held += held;
        open.coded += coded(&mo.body);
        open.octets += usize::from(mo.body.alphabet == Alphabet::Octets);
        open.again += usize::from(again);
        open.parts.push((sequence, id));
        let line = self.lines.entry(open.operator.clone()).or_default();
        line.held += held;
        line.by_age.entry((open.since, open.first)).or_insert_with(|| joint.clone());
    }

    /// The part with this number, if it is here.
    fn held(&self, joint: &Joint, sequence: u8) -> Option<MessageId> {
        let open = self.open.get(joint)?;
        open.parts.iter().find(|(s, _)| *s == sequence).map(|(_, id)| *id)
    }

    /// Is this the only part missing, the whole not too long, and either all of it text or nothing? What could not be read as text would
    /// be garbage in one.
    fn completes(&self, joint: &Joint, body: &Body) -> bool {
        let total = usize::from(joint.total);
        self.open.get(joint).is_some_and(|open| {
            let octets = open.octets + usize::from(body.alphabet == Alphabet::Octets);
            open.parts.len() + 1 == total && open.coded + coded(body) <= JOINED_OCTETS && (octets == 0 || octets == total)
        })
    }

    /// Is everything that is here of the message here for the second time? A part that is not shows that it is another one, with the same
    /// reference and in part the same text.
    fn is_again(&self, joint: &Joint) -> bool {
        self.open.get(joint).is_none_or(|open| open.again == open.parts.len())
    }

    /// Takes the parts out, in the order of their numbers.
    fn take(&mut self, joint: &Joint) -> SmallVec<[(u8, MessageId); 4]> {
        let Some(mut open) = self.open.remove(joint) else { return SmallVec::new() };
        if let Some(line) = self.lines.get_mut(&open.operator) {
            line.held -= open.held;
            line.by_age.remove(&(open.since, open.first));
        }
        open.parts.sort_unstable();
        open.parts
    }

    /// A message that must not wait any longer because its operator has sent too much: the one just added to when it has grown too
    /// long, else the oldest.
    fn excess(&self, joint: &Joint) -> Option<Joint> {
        let open = self.open.get(joint)?;
        if open.text > JOINED_OCTETS || open.parts.len() >= usize::from(joint.total) {
            return Some(joint.clone());
        }
        let line = self.lines.get(&open.operator).filter(|line| line.held > HELD_OCTETS)?;
        line.by_age.values().next().cloned()
    }

    /// Messages of which the first part came at `moment` or before.
    fn since(&self, moment: Timestamp) -> Vec<Joint> {
        let due = |line: &Line| {
            let due = line.by_age.iter().take_while(|((since, _), _)| *since <= moment).take(EXPIRIES_PER_TICK);
            due.map(|(_, joint)| joint.clone()).collect::<Vec<_>>()
        };
        self.lines.values().flat_map(due).collect()
    }
}

impl Ledger {
    pub(super) fn mo<L: Log, R: Rules>(&mut self, mut mo: Mo, t: &mut Turn<'_, L, R>) -> Status {
        t.effects.push(Effect::Note(Note::MoReceived));
        // Numbers that make no sense are passed over, as a handset does (3GPP TS 23.040 section 9.2.3.24.1).
        mo.concatenation = mo.concatenation.filter(|c| c.total > 1 && (1..=c.total).contains(&c.sequence));
        match mo.concatenation {
            None => {
                let account = self.inbound_account(&mo, t);
                self.mo_whole(mo, account, &[], t)
            }
            Some(c) => self.mo_part(mo, c, t),
        }
    }

    fn mo_part<L: Log, R: Rules>(&mut self, mo: Mo, c: Concatenation, t: &mut Turn<'_, L, R>) -> Status {
        let joint = Joint::of(&mo, c);
        if let Some(held) = self.reassembly.held(&joint, c.sequence) {
            if self.mo_held(held).is_some_and(|held| held.body == mo.body && held.udh == mo.udh) {
                t.effects.push(Effect::Note(Note::MoRepeated));
                return 0; // the operator sent it again: it is durable already
            }
            // The sender has used the reference for another message: the rest of the one before will not come.
            self.forward_incomplete(&joint, t);
        }
        let again = self.forwarded.has(&joint, c.sequence, &mo, t.rules.limits().mo_reassembly);
        if self.reassembly.completes(&joint, &mo.body) {
            if again && self.reassembly.is_again(&joint) {
                t.effects.push(Effect::Note(Note::MoRepeated));
                self.drop_parts(&joint, t);
                return 0;
            }
            return self.complete(&joint, mo, c, t);
        }
        let id = self.ids.next();
        self.scratch.clear();
        super::codec::put_mo(&mut self.scratch, &mo);
        let location = t.log.append_full(kind::MO_PART, id, &self.scratch);
        self.reassembly.add(&joint, c.sequence, id, &mo, again);
        self.index.insert(id, Item { location, what: What::MoPart(Box::new(mo)) });
        if let Some(excess) = self.reassembly.excess(&joint) {
            self.forward_incomplete(&excess, t);
        }
        0
    }

    /// The last part is here. It gets no record of its own: the one that holds the joined message says it all.
    fn complete<L: Log, R: Rules>(&mut self, joint: &Joint, last: Mo, c: Concatenation, t: &mut Turn<'_, L, R>) -> Status {
        let held = self.reassembly.take(joint);
        let before = held.iter().take_while(|(sequence, _)| *sequence < c.sequence).count();
        let ids: Vec<MessageId> = held.iter().map(|(_, id)| *id).collect();
        let mut parts: Vec<&Mo> = ids.iter().filter_map(|id| self.mo_held(*id)).collect();
        parts.insert(before.min(parts.len()), &last);
        let joined = join(&parts);
        let account = self.inbound_account(&joined, t);
        if account.is_some() {
            let parts = parts.iter().filter_map(|part| Some((part.concatenation?.sequence, digest(&part.body, &part.udh))));
            let parts: SmallVec<[(u8, u64); 4]> = parts.collect();
            parts.into_iter().for_each(|part| self.forwarded.add(joint, part, t.now));
        }
        self.mo_whole(joined, account, &ids, t)
    }

    fn mo_held(&self, id: MessageId) -> Option<&Mo> {
        match self.index.get(id).map(|item| &item.what) {
            Some(What::MoPart(mo)) => Some(mo),
            _ => None,
        }
    }

    fn inbound_account<L: Log, R: Rules>(&self, mo: &Mo, t: &Turn<'_, L, R>) -> Option<Arc<str>> {
        // The keyword stands in the first part: what another one begins with may be any word.
        let begins = mo.concatenation.is_none_or(|c| c.sequence == 1);
        let text = begins.then(|| mo.body.to_text().unwrap_or_default());
        t.rules.inbound(&mo.destination, text.as_deref())
    }

    /// Puts the message in the mailbox of whoever it belongs to, and finishes its parts in the same record.
    fn mo_whole<L: Log, R: Rules>(
        &mut self,
        mo: Mo,
        account: Option<Arc<str>>,
        parts: &[MessageId],
        t: &mut Turn<'_, L, R>,
    ) -> Status {
        let Some(account) = account else {
            t.effects.push(Effect::MoUnroutable { operator: mo.operator, number: mo.destination.into() });
            for id in parts {
                self.close(*id, t);
            }
            return REFUSED;
        };
        let key = AccountKey(self.accounts.intern(&account));
        let mail = Mail {
            id: self.ids.next(),
            account,
            source: mo.source,
            destination: mo.destination,
            created_at: t.now,
            expires_at: t.now.plus(t.rules.limits().mail_time_to_live),
            content: MailContent::Mo(Box::new(MailedMo {
                protocol_id: mo.protocol_id,
                dcs_class: mo.dcs_class,
                concatenation: mo.concatenation,
                udh: mo.udh,
                body: mo.body,
                tlvs: mo.tlvs,
            })),
        };
        self.scratch.clear();
        records::put_closes(&mut self.scratch, parts, None, &mut self.operators);
        self.post(key, mail, t);
        t.effects.push(Effect::Note(Note::MoRouted { account: key }));
        for id in parts {
            if let Some(item) = self.index.remove(*id) {
                t.log.release(item.location);
            }
        }
        0
    }

    /// Forwards what came of a message whose other parts are not waited for, one by one, still marked as parts. All go where the
    /// first of them belongs.
    fn forward_incomplete<L: Log, R: Rules>(&mut self, joint: &Joint, t: &mut Turn<'_, L, R>) {
        if self.reassembly.is_again(joint) {
            return self.drop_parts(joint, t);
        }
        let parts = self.reassembly.take(joint);
        let Some(first) = parts.first().and_then(|(_, id)| self.mo_held(*id)) else { return };
        let account = self.inbound_account(first, t);
        t.effects.push(Effect::Note(Note::MoIncomplete));
        for (sequence, id) in parts {
            if let Some(mo) = self.mo_held(id).cloned() {
                if account.is_some() {
                    self.forwarded.add(joint, (sequence, digest(&mo.body, &mo.udh)), t.now);
                }
                self.mo_whole(mo, account.clone(), &[id], t);
            }
        }
    }

    /// Lets go what is here of a message: its account has all of that already.
    fn drop_parts<L: Log, R: Rules>(&mut self, joint: &Joint, t: &mut Turn<'_, L, R>) {
        for (_, id) in self.reassembly.take(joint) {
            t.effects.push(Effect::Note(Note::MoRepeated));
            self.close(id, t);
        }
    }

    /// Forwards what came of messages whose other parts did not come in time.
    pub(super) fn expire_mo<L: Log, R: Rules>(&mut self, t: &mut Turn<'_, L, R>) {
        let Some(moment) = self.waited_since(t.now, t.rules.limits().mo_reassembly) else { return };
        for joint in self.reassembly.since(moment) {
            self.forward_incomplete(&joint, t);
        }
        self.forwarded.forget(moment);
    }

    /// A part read back at start takes its place again.
    pub(super) fn resume_mo_part(&mut self, id: MessageId, t: &Turn<'_, impl Log, impl Rules>) {
        let Some(Item { what: What::MoPart(mo), .. }) = self.index.get_mut(id) else { return };
        let Some(c) = mo.concatenation else { return };
        let joint = Joint::of(mo, c);
        let again = self.forwarded.has(&joint, c.sequence, mo, t.rules.limits().mo_reassembly);
        // One from the future came while the clock was wrong: it does not wait until then.
        mo.received_at = mo.received_at.min(t.now);
        self.reassembly.add(&joint, c.sequence, id, mo, again);
    }
}

/// Octets that a text may take in any coding: two for a septet, in UCS-2 and UTF-8.
fn coded(body: &Body) -> usize {
    body.octets.len() * if body.alphabet == Alphabet::Gsm7 { 2 } else { 1 }
}

/// One message of all the parts: their texts one after the other, the rest from the first.
fn join(parts: &[&Mo]) -> Mo {
    let bodies: Vec<Body> = parts.iter().map(|part| part.body.clone()).collect();
    Mo { concatenation: None, body: Body::join(&bodies), ..parts[0].clone() }
}
