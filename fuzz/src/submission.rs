//! Whatever a bound application or an operator sends as a message is refused with a status, or becomes one that keeps to the
//! account's limits, can be stored, read back the same, and sent to any operator.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use smppgw::accept::{Accepted, Policy, Senders, accept};
use smppgw::config::Operator;
use smppgw::ledger::{KeyMaker, put_message};
use smppgw::message::{MessageId, OperatorKey, Timestamp};
use smppgw::operator::deliver::{self, Delivered};
use smppgw::route::NumberRules;
use smppgw::smpp::{CommandId, CommandStatus, Frame, Strictness, Version, encode};
use smppgw::spool::Location;
use smppgw::text::build::{Carrier, Content, Outgoing};
use smppgw::text::{DefaultAlphabet, LongMessages};

use super::config::OneSecret;
use super::stage::{MemoryLog, PlainRules, ledger};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const ALPHABETS: [DefaultAlphabet; 4] =
    [DefaultAlphabet::Gsm7, DefaultAlphabet::Gsm7Packed, DefaultAlphabet::Latin1, DefaultAlphabet::Utf8];
const MAX_PARTS: usize = 5;

/// An octet that chooses command and account, and the body.
pub fn run(data: &[u8]) {
    let Some((&how, body)) = data.split_first() else { return };
    let command = [CommandId::SubmitSm, CommandId::DataSm, CommandId::DeliverSm][usize::from(how >> 6) % 3];
    let policy = policy(how);
    let mut out = BytesMut::new();
    encode::request(&mut out, command, 1, |out| out.extend_from_slice(body));
    let frame = Frame::new(out.freeze()).expect("an exact frame");
    let version = if how & 8 == 0 { Version::V3_4 } else { Version::V3_3 };
    match accept(&frame, policy, Some(version), NOW, |_, _| 0x1A7) {
        Ok(accepted) => promised(&accepted, policy, body),
        Err(rejection) => assert_ne!(rejection.0, CommandStatus::EsmeRok),
    }
    delivered(&frame, policy.strictness, body);
}

/// The account that the lower bits choose; all of them are made once, because number rules are slow to make.
fn policy(how: u8) -> &'static Policy {
    static POLICIES: OnceLock<Vec<Policy>> = OnceLock::new();
    &POLICIES.get_or_init(|| (0..32).map(account).collect())[usize::from(how & 31)]
}

fn account(how: u8) -> Policy {
    Policy {
        account: "shop".into(),
        alphabet: ALPHABETS[usize::from(how & 3)],
        numbers: NumberRules::for_country("FI").expect("Finland"),
        senders: Senders::new(None::<[&str; 0]>),
        max_parts: MAX_PARTS,
        priority_max: 1,
        default_validity: 2 * DAY,
        max_validity: 7 * DAY,
        strictness: if how & 4 == 0 { Strictness::Lenient } else { Strictness::Strict },
        transliterate: how & 16 != 0,
    }
}

fn promised(accepted: &Accepted, policy: &Policy, body: &[u8]) {
    let message = &accepted.message;
    assert!((1..=MAX_PARTS).contains(&accepted.parts));
    assert!(!message.destination.digits.is_empty() && message.destination.digits.iter().all(u8::is_ascii_digit));
    assert!(message.priority <= policy.priority_max);
    assert!(NOW < message.expires_at && message.not_before < message.expires_at);
    assert!(message.expires_at <= NOW.plus(2 * policy.max_validity));
    assert!(message.body.octets.len() <= 2 * body.len() + 1 && message.tlvs.len() <= body.len());
    let mut payload = Vec::new();
    put_message(&mut payload, message);
    let (mut log, mut ledger, id) = (MemoryLog::default(), ledger(), MessageId(1));
    let payload = Bytes::from(payload);
    assert_eq!(ledger.restore(1, id, Location::default(), payload.clone()), Ok(()));
    log.0.push((1, id, payload));
    let stored = ledger.job(id, &mut log, &PlainRules::default()).expect("the message just stored");
    assert_eq!(stored.message, *message);
    for alphabet in ALPHABETS {
        for long_messages in [LongMessages::Udh8, LongMessages::Udh16, LongMessages::Sar, LongMessages::Payload] {
            let Ok(outgoing) = Outgoing::new(Content::of(message), Carrier { alphabet, long_messages }) else { continue };
            for index in 0..outgoing.count() {
                outgoing.write(index, &mut BytesMut::new());
            }
        }
    }
}

/// The same from an operator: a receipt, or an MO message that has all of the text.
fn delivered(frame: &Frame, strictness: Strictness, body: &[u8]) {
    match deliver::read(frame, OperatorKey(0), operator(), strictness, NOW, &KeyMaker::default()) {
        Ok(Delivered::Receipt(received)) => assert!(received.receipt.id.len() <= body.len()),
        Ok(Delivered::Mo(mo)) => assert!(mo.body.octets.len() <= 2 * body.len() + 1 && mo.tlvs.len() <= body.len()),
        Err(status) => assert_ne!(status, CommandStatus::EsmeRok),
    }
}

fn operator() -> &'static Operator {
    static OPERATOR: OnceLock<Operator> = OnceLock::new();
    OPERATOR.get_or_init(|| {
        let text = "[[account]]\nsystem_id = \"shop\"\npassword = \"secret12\"\n\
            [[operator]]\nname = \"elisa\"\n[[operator.bind]]\naddress = \"127.0.0.1:2775\"\n\
            system_id = \"gw\"\npassword = \"secret12\"\n[[route]]\nprefix = \"\"\noperators = \"elisa\"\n";
        let config = smppgw::config::parse(text, "smppgw.toml", &OneSecret);
        config.expect("a small configuration").operators.swap_remove(0)
    })
}
