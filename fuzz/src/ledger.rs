//! Records of any octets are read or refused; what was read can be taken up again, moved to the head of the log, and read once more
//! from there.

use bytes::Bytes;
use smppgw::ledger::{Ledger, Turn, kind, put_message};
use smppgw::message::{MessageId, Timestamp};
use smppgw::spool::Location;

use super::stage::{MemoryLog, PlainRules, ledger};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// An hour and a second later: everything that is awaited is overdue.
const LATER: Timestamp = Timestamp(NOW.0 + 3_601_000);

/// Records: kind, id (one octet), length (two octets), payload.
pub fn run(mut data: &[u8]) {
    let mut log = MemoryLog::default();
    let mut ledger = ledger();
    while let [kind, id, high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        data = rest;
        let at = Location { segment: 0, offset: log.0.len() as u32 };
        let (id, payload) = (MessageId((*id).into()), Bytes::copy_from_slice(payload));
        let before = (ledger.live(), ledger.pending_messages());
        if ledger.restore(*kind, id, at, payload.clone()).is_err() {
            assert_eq!(before, (ledger.live(), ledger.pending_messages()), "an unreadable record changes nothing");
        }
        log.0.push((*kind, id, payload));
    }
    messages(&ledger, &mut log);
    carried(&mut ledger, &mut log);
    resumed(&mut ledger, &mut log);
}

/// A message that is written again is the same when it is read.
fn messages(ledger: &Ledger, log: &mut MemoryLog) {
    for id in (0..=255).map(MessageId) {
        let Some(job) = ledger.job(id, log, &PlainRules::default()) else { continue };
        let mut payload = Vec::new();
        put_message(&mut payload, &job.message);
        let mut again = self::ledger();
        let at = Location { segment: 0, offset: log.0.len() as u32 };
        assert_eq!(again.restore(kind::MESSAGE, id, at, Bytes::copy_from_slice(&payload)), Ok(()));
        log.0.push((kind::MESSAGE, id, payload.into()));
        let read = again.job(id, log, &PlainRules::default()).expect("the message just written");
        assert_eq!(read.message, job.message);
    }
}

/// Everything that lives is written again, and makes a ledger of its own.
fn carried(ledger: &mut Ledger, log: &mut MemoryLog) {
    let places: Vec<Location> = ledger.locations().collect();
    let start = log.0.len();
    for place in places {
        let (kind, id, payload) = log.0[place.offset as usize].clone();
        ledger.carry(id, place, kind, &payload, log);
    }
    let mut again = self::ledger();
    for (at, (kind, id, payload)) in log.0.iter().enumerate().skip(start) {
        let at = Location { segment: 0, offset: at as u32 };
        assert_eq!(again.restore(*kind, *id, at, payload.clone()), Ok(()), "kind {kind}");
    }
    let (found, expected) = ((again.live(), again.pending_messages()), (ledger.live(), ledger.pending_messages()));
    // An id is never given twice; here it may be, and a mailbox item may stand behind what bears an id that it closed before.
    let closes = log.0[start..].iter().any(|(kind, ..)| *kind == kind::MAIL);
    assert!(found == expected || closes && found < expected, "{found:?}, not {expected:?}");
}

/// The start goes on, and so does the time after it.
fn resumed(ledger: &mut Ledger, log: &mut MemoryLog) {
    let rules = PlainRules::default();
    let (mut effects, live) = (Vec::new(), ledger.live());
    let mut turn = Turn { now: NOW, log, rules: &rules, effects: &mut effects };
    let restored = ledger.resume(&mut turn, |effects| effects.clear());
    let all = restored.messages + restored.mailbox_items + restored.parked_receipts + restored.mo_parts;
    assert!(all <= live);
    for now in [NOW, LATER] {
        ledger.tick(&mut Turn { now, log, rules: &rules, effects: &mut effects });
        effects.clear();
    }
}
