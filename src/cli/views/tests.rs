use super::*;
use crate::ledger::{PartStatus, StrayReceipt};

/// 2023-11-14 22:13:20Z.
const NOW: u64 = 1_700_000_000_000;

fn shown(reply: Reply) -> String {
    let text = answer(&Answer { now: NOW, reply });
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line:?}");
        assert_eq!(line, line.trim_end(), "ends in spaces");
    }
    text
}

fn limiter(who: &str, what: &str) -> Limiter {
    Limiter { who: who.into(), what: what.into() }
}

fn stats() -> Stats {
    Stats {
        node: "gw1".into(),
        version: "0.1.0".into(),
        started_at: NOW - 300_000_000,
        accepting: true,
        limiters: Vec::new(),
        sessions: 3,
        binds_up: 2,
        binds: 4,
        pending: 1_234_567,
        queued: 1_200_000,
        unrouted: 0,
        mailbox: 12,
        journal: Some(Journal { backlog: 3, capacity: 4_096, disk_failing: false, full: false }),
        spool: Some(Spool {
            used: 3 << 29,
            max: 20 << 30,
            live: 700 << 20,
            live_records: 1_234_567,
            segments: 24,
            spare_segments: 2,
            disk_free: 100 << 30,
            disk_reserve: 1 << 30,
            quarantined: 0,
            commit_microseconds: 1_830,
            commit_bytes: 48_000,
            commit_events: 250,
        }),
    }
}

#[test]
fn stats_show_the_gateway_at_a_glance_and_what_holds_messages_back() {
    let held = vec![
        limiter("operator elisa", "rate 1000/s"),
        limiter("account shop", "rate 500/s: submits are refused with ESME_RTHROTTLED (0x58)"),
    ];
    let expected = "\
gw1: smppgw 0.1.0, up 3 d since 2023-11-11 10:53:20Z

submits     taken
sessions    3
binds up    2 of 4
pending     1,234,567 accepted and not final
queued      1,200,000 for operators, 0 without a route
mailboxes   12 receipts and MO messages
journal     3 of 4,096 batches wait
spool       1.5 GiB of 20 GiB, 700 MiB of it live
segments    24 in use, 2 spare
disk        100 GiB free, 1 GiB in reserve
last commit 1,830 us, 46 KiB, 250 events

HELD BACK BY    LIMIT
operator elisa  rate 1000/s
account shop    rate 500/s: submits are refused with ESME_RTHROTTLED (0x58)
";
    assert_eq!(shown(Reply::Stats(Box::new(Stats { limiters: held, ..stats() }))), expected);
}

#[test]
fn a_gateway_that_takes_nothing_says_so_loudly() {
    let text = shown(Reply::Stats(Box::new(Stats { accepting: false, journal: None, spool: None, ..stats() })));
    assert!(text.contains("submits     NOT TAKEN\n") && text.ends_with("\nnothing holds messages back\n"), "{text}");
}

#[test]
fn accounts_are_aligned_with_their_limits() {
    let shop = Account {
        account: "shop".into(),
        configured: true,
        sessions: 3,
        sessions_max: 8,
        pending: 1_200,
        pending_max: 100_000,
        rate: Some(500),
        throttled: true,
        mailbox: 12,
        mailbox_oldest_at: Some(NOW - 130_000),
    };
    let gone = Account {
        account: "formerly-a-customer".into(),
        configured: false,
        sessions: 0,
        sessions_max: 0,
        pending: 7,
        pending_max: 0,
        rate: None,
        throttled: false,
        mailbox: 0,
        mailbox_oldest_at: None,
    };
    let expected = "\
ACCOUNT              SESSIONS        PENDING   RATE  MAILBOX  OLDEST
shop                      3/8  1,200/100,000  500/s       12   2 min  throttled
formerly-a-customer         0              7      -        0       -  removed
";
    assert_eq!(shown(Reply::Accounts { accounts: vec![shop, gone] }), expected);
}

#[test]
fn binds_show_since_when_they_are_down_and_why() {
    let bind = |number: usize, up: bool, reason: &str, slowed_to: Option<u32>| Bind {
        operator: "elisa".into(),
        number,
        address: "smsc.example.fi:2775".into(),
        kind: "transceiver".into(),
        up,
        since_milliseconds: 240_000,
        window_used: if up { 97 } else { 0 },
        window: 100,
        slowed_to,
        reason: reason.into(),
    };
    let expected = "\
BIND     ADDRESS               TYPE         STATE    FOR  WINDOW
elisa/0  smsc.example.fi:2775  transceiver  up     4 min  97/100
elisa/1  smsc.example.fi:2775  transceiver  up     4 min  97/100  slowed to 75/s
elisa/2  smsc.example.fi:2775  transceiver  DOWN   4 min   0/100  refused
";
    let binds = vec![bind(0, true, "", None), bind(1, true, "", Some(75)), bind(2, false, "refused", None)];
    assert_eq!(shown(Reply::Binds { binds }), expected);
}

#[test]
fn queues_show_how_long_the_oldest_waits_and_why() {
    let elisa = Queue {
        operator: "elisa".into(),
        length: 12_000,
        oldest_at: Some(NOW - 12_000),
        next_due_at: Some(NOW + 3_000),
        senders: 2,
        limiter: Some("rate 1000/s".into()),
    };
    let telia = Queue { operator: "telia".into(), length: 0, oldest_at: None, next_due_at: None, senders: 1, limiter: None };
    let mailbox = Mailbox { account: "shop".into(), length: 12, oldest_at: Some(NOW - 7_200_000), sessions: 0 };
    let expected = "\
OPERATOR  QUEUED  OLDEST  NEXT DUE  SENDERS  HELD BACK BY
elisa     12,000    12 s    in 3 s        2  rate 1000/s
telia          0       -         -        1

2 messages have no operator and wait for a reload

MAILBOX OF  ITEMS  OLDEST  SESSIONS
shop           12     2 h         0
";
    assert_eq!(shown(Reply::Queues { queues: vec![elisa, telia], mailboxes: vec![mailbox], unrouted: 2 }), expected);
}

#[test]
fn operators_show_their_limits_and_which_is_at_work() {
    let elisa = Operator {
        operator: "elisa".into(),
        configured: true,
        up: false,
        binds_up: 0,
        binds: 2,
        queue: 120,
        window_used: 0,
        window: 0,
        rate: Some(1_000),
        limiter: Some("down (refused): 120 wait".into()),
    };
    let expected = "\
OPERATOR  STATE  BINDS  QUEUED  WINDOW    RATE  HELD BACK BY
elisa     DOWN     0/2     120       0  1000/s  down (refused): 120 wait
";
    assert_eq!(shown(Reply::Operators { operators: vec![elisa] }), expected);
}

#[test]
fn routes_show_the_tables_and_the_rules() {
    let rule = |line, prefixes: &[&str], accounts: &[&str]| Route {
        line,
        prefixes: prefixes.iter().map(|prefix| (*prefix).into()).collect(),
        accounts: accounts.iter().map(|account| (*account).into()).collect(),
        senders: Vec::new(),
        operators: vec!["telia".into(), "elisa".into()],
    };
    let routes = Routes {
        prefixes: 1_203,
        ported: 0,
        prefixes_file: Some("conf/prefixes.csv".into()),
        ported_file: None,
        rules: vec![rule(40, &["35840", "35842"], &["shop"]), rule(45, &[""], &[])],
        inbound: vec![Inbound { number: "13123".into(), keyword: Some("VASTAA".into()), account: "shop".into() }],
    };
    let expected = "\
prefixes    1,203, the rules below among them from conf/prefixes.csv
ported      0

LINE  PREFIX        ACCOUNT  SENDER  OPERATORS
  40  35840, 35842  shop     any     telia, elisa
  45  all           any      any     telia, elisa

INBOUND TO  KEYWORD  ACCOUNT
13123       VASTAA   shop
";
    assert_eq!(shown(Reply::Routes(routes)), expected);
}

#[test]
fn receipts_without_a_message_are_listed_up_to_a_page() {
    let receipt = |age: u64| StrayReceipt {
        operator: "elisa".into(),
        operator_id: "0a1b2c3d".into(),
        state: "DELIVRD".into(),
        source: "35840****567".into(),
        received_at: NOW - age,
    };
    let expected = "\
1 parked: their message may yet be answered for
AGE  OPERATOR  OPERATOR'S ID  STATE    FROM
3 s  elisa     0a1b2c3d       DELIVRD  35840****567

1 unmatched
 AGE  OPERATOR  OPERATOR'S ID  STATE    FROM
65 s  elisa     0a1b2c3d       DELIVRD  35840****567
";
    let receipts = |unmatched, parked, newest_parked| shown(Reply::Receipts { unmatched, parked, newest_parked });
    assert_eq!(receipts(vec![receipt(65_000)], 1, vec![receipt(3_000)]), expected);
    let none = "0 parked: their message may yet be answered for\n\n0 unmatched\n";
    assert_eq!(receipts(Vec::new(), 0, Vec::new()), none);
    let many = || (0..50).map(receipt).collect::<Vec<_>>();
    let page = receipts(many(), 70, many());
    assert!(page.contains("\n30 more, --json shows 50 in all\n\n50 unmatched\n"), "{page}");
    assert!(page.ends_with("\n10 more, --json shows 50 in all\n"), "{page}");
}

fn part(state: &str, operator_id: &str, error: u16) -> PartStatus {
    PartStatus { operator: Some("elisa".into()), operator_id: operator_id.into(), state: state.into(), error }
}

fn pending() -> Message {
    Message {
        id: "gw10000002a".into(),
        account: "shop".into(),
        state: "pending".into(),
        place: Place::Queue {
            operator: "elisa".into(),
            since: NOW - 60_000,
            attempts: 2,
            not_before: Some(NOW + 9_000),
            refused: None,
        },
        accepted_at: Some(NOW - 61_000),
        finished_at: None,
        expires_at: Some(NOW + 7_200_000),
        source: Some("SHOP".into()),
        destination: Some("35840****567".into()),
        route: vec!["elisa".into(), "telia".into()],
        parts: vec![part("sent", "0a1b2c3d", 0), part("UNDELIV", "0a1b2c3e", 27)],
    }
}

#[test]
fn a_message_shows_where_it_is_and_what_the_operator_calls_it() {
    let message = pending();
    let expected = "\
message     gw10000002a
account     shop
state       pending
where       in the queue of elisa for 60 s, 2 failed attempts, due in 9 s
from        SHOP
to          35840****567
accepted    2023-11-14 22:12:19Z, 61 s ago
expires     2023-11-15 00:13:20Z, in 2 h
route       elisa, telia

PART  STATE    OPERATOR  OPERATOR'S ID  ERROR
   1  sent     elisa     0a1b2c3d
   2  UNDELIV  elisa     0a1b2c3e          27
";
    assert_eq!(shown(Reply::Message(Box::new(message.clone()))), expected);
    let line = message_line(&message, NOW);
    assert_eq!(line, "part 1   elisa as 0a1b2c3d, sent\npart 2   elisa as 0a1b2c3e, UNDELIV");
    let unsent = Message { parts: Vec::new(), ..message.clone() };
    assert_eq!(message_line(&unsent, NOW), "where    in the queue of elisa for 60 s, 2 failed attempts, due in 9 s");
    let refused = Message { place: refused(), ..unsent };
    let where_it_is = "where    in the queue of elisa for 60 s, 2 failed attempts, the last with ESME_RMSGQFUL 0x14, due in 9 s";
    assert_eq!(message_line(&refused, NOW), where_it_is);
    let soon = message_line(&refused, NOW + 9_000);
    assert!(soon.ends_with(", due now"), "{soon}");
}

fn refused() -> Place {
    let refused = Some("ESME_RMSGQFUL 0x14".into());
    Place::Queue { operator: "elisa".into(), since: NOW - 60_000, attempts: 2, not_before: Some(NOW + 9_000), refused }
}

#[test]
fn messages_to_a_number_show_where_each_is_newest_first() {
    let found = |id: &str, place, finished_at, certain| FoundMessage {
        message: Message { id: id.into(), place, finished_at, ..pending() },
        certain,
    };
    let lost = |mut found: FoundMessage| {
        found.message = Message { accepted_at: None, destination: None, state: "UNDELIV".into(), ..found.message };
        found
    };
    let list = vec![
        found("gw10000002d", refused(), None, true),
        found("gw10000002c", Place::Receipt, None, true),
        found("gw10000002b", Place::QueueOrOperator, None, true),
        lost(found("gw10000002a", Place::Finished, Some(NOW - 3_000), false)),
    ];
    let expected = "\
MESSAGE      ACCOUNT  ACCEPTED  TO            OPERATOR  STATE
gw10000002d  shop     61 s ago  35840****567  elisa     ESME_RMSGQFUL 0x14, again in 9 s
gw10000002c  shop     61 s ago  35840****567  elisa     sent, no receipt yet
gw10000002b  shop     61 s ago  35840****567  elisa     queued, or on its way
gw10000002a  shop            -  ?             elisa     UNDELIV 3 s ago

smppgw ctl message ID tells more of one
?: no more than the last digits of the number are known, another one may end in the same
there are older ones: these are the newest
";
    assert_eq!(shown(Reply::Messages(Messages { messages: list, more: true, complete: true })), expected);
}

#[test]
fn a_single_message_that_was_found_is_shown_whole() {
    let found = |certain| vec![FoundMessage { message: pending(), certain }];
    let whole = shown(Reply::Message(Box::new(pending())));
    assert_eq!(shown(Reply::Messages(Messages { messages: found(true), more: false, complete: true })), whole);
    let ended = shown(Reply::Messages(Messages { messages: found(true), more: false, complete: false }));
    assert_eq!(ended, whole + "the search took too long and was ended: there may be older ones\n");
    let unsure = shown(Reply::Messages(Messages { messages: found(false), more: false, complete: true }));
    assert!(unsure.contains("35840****567?") && unsure.contains("another one may end in the same"), "{unsure}");
}

#[test]
fn a_reload_shows_warnings_changes_and_what_needs_a_restart() {
    let report = ReloadReport {
        file: "conf/x.toml".into(),
        accounts: Changes { added: vec!["new".into()], ..Changes::default() },
        operators: Changes { changed: vec!["elisa".into(), "telia".into()], ..Changes::default() },
        prefixes: 12,
        ported: 0,
        needs_restart: vec!["spool".into()],
        warnings: vec![Fault::warning("conf/x.toml", 7, "account.password", "is in the clear")],
    };
    let expected = "\
conf/x.toml:7: warning: account.password: is in the clear
conf/x.toml is in force
accounts added: new
operators changed: elisa, telia
routes: 12 prefixes, 0 ported numbers
only a restart applies what changed in: spool
";
    assert_eq!(shown(Reply::Reload(report)), expected);
}

#[test]
fn a_drain_and_a_version_are_told_in_a_few_words() {
    let drain = |sessions| shown(Reply::Drain(Drained { sessions, pending: 1_200 }));
    assert_eq!(drain(0), "stopped in order; 1,200 pending messages stay in the spool\n");
    assert_eq!(drain(3), "stopped with 3 sessions cut; 1,200 pending messages stay in the spool\n");
    let version = Version {
        version: "0.1.0".into(),
        node: "gw1".into(),
        process: 4_711,
        started_at: NOW - 3_000,
        config: "/etc/smppgw/smppgw.toml".into(),
    };
    let text = shown(Reply::Version(version));
    assert!(text.contains("up          3 s since 2023-11-14 22:13:17Z\n"), "{text}");
}

#[test]
fn the_quarantine_shows_what_waits_for_a_decision_and_what_was_decided() {
    let message = QuarantinedMessage {
        id: "gw10000002a".into(),
        account: "shop".into(),
        operator: "elisa".into(),
        destination: "35840****567".into(),
        attempts: 3,
        since: NOW - 60_000,
        expires_at: None,
        reason: "the session dies of it without an answer".into(),
    };
    let after =
        |action, messages: &[QuarantinedMessage]| shown(Reply::Quarantine(Quarantine { action, messages: messages.to_vec() }));
    let expected = "\
MESSAGE      ACCOUNT  OPERATOR  TO            TRIES   FOR  REASON
gw10000002a  shop     elisa     35840****567      3  60 s  the session dies of it without an answer
";
    assert_eq!(after(QuarantineAction::List, std::slice::from_ref(&message)), expected);
    assert_eq!(after(QuarantineAction::List, &[]), "no message is in quarantine\n");
    assert_eq!(after(QuarantineAction::Release, std::slice::from_ref(&message)), "1 released: queued again\n");
    assert_eq!(after(QuarantineAction::Drop, &[message.clone(), message]), "2 dropped: reported as undeliverable\n");
}
