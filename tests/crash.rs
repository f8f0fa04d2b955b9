//! Nothing accepted is lost, whatever kills the daemon: 200,000 messages from 8 binds with receipts, window 100, through a daemon
//! killed with SIGKILL five times under load and restarted each time.

mod support;

use support::Daemon;
use support::traffic::{OPEN_REQUESTS, Traffic, throttled};

const MESSAGES: u64 = 200_000;

/// Accepted messages at which the daemon is killed.
const KILLS: [u64; 5] = [20_000, 55_000, 90_000, 125_000, 160_000];

#[test]
fn two_hundred_thousand_messages_survive_five_kills() {
    let mut traffic = Traffic::start(&["--receipt-delay", "20ms"]);
    let config = traffic.config();
    let mut daemon = Daemon::start_in(traffic.folder(), &config, None);
    let mut load = traffic.load(MESSAGES, &[]);
    for accepted in KILLS {
        assert!(load.accepted(accepted), "killed while messages were accepted");
        daemon.kill();
        daemon = Daemon::start_in(traffic.folder(), &config, None);
    }
    let report = load.report();
    assert!(daemon.stop(), "the last daemon stops in order");

    let account = traffic.account();
    assert!(account.lost.is_empty(), "{} accepted messages never reached an operator", account.lost.len());
    assert_eq!(account.accepted + throttled(&report), MESSAGES, "every message was accepted in the end: {report}");
    let resent = report["resent"].as_u64().expect("resent");
    let bound = KILLS.len() as u64 * OPEN_REQUESTS + resent;
    assert!(
        account.duplicates <= bound,
        "{} duplicates exceed the windows open at the kills and the client's own resends, {bound}",
        account.duplicates
    );
    assert_eq!(report["missing_receipts"].as_u64(), Some(0), "every receipt was delivered: {report}");
    eprintln!("{} duplicates (bound {bound}); {report}", account.duplicates);
}
