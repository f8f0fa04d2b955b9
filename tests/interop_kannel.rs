//! Kannel as an application: texts over its HTTP interface, receipts and incoming texts as its HTTP calls.

mod support;

use std::collections::BTreeSet;

use support::foreign::NodeOperator;
use support::kannel::Kannel;
use support::{Daemon, http, wire};

#[test]
fn kannel_sends_and_hears_of_the_delivery_and_of_texts_from_handsets() {
    let mut operator = NodeOperator::start(&[]);
    let port = support::free_port();
    let mut config = support::config(port, &[("node", operator.port)]);
    config.push_str("[[inbound]]\nnumber = \"13123\"\naccount = \"app\"\n");
    let daemon = Daemon::start(&config);
    let kannel = Kannel::start(&daemon.dir, port);

    let texts = [
        ("accented", "358401234501", "åäöÅÄÖ€[]{}~^".to_owned(), 1),
        ("long", "358401234502", "Hyvää päivää, Åke! ".repeat(20), 3),
        ("emoji", "358401234503", "Moi 😀".to_owned(), 1),
    ];
    for (name, to, text, _) in &texts {
        kannel.send(to, text, name);
    }
    let delivered: BTreeSet<String> = (0..texts.len()).map(|_| delivered(&kannel.calls.next())).collect();
    assert_eq!(delivered, ["accented", "emoji", "long"].map(str::to_owned).into());

    let messages = wire::messages(&operator.parts(texts.iter().map(|(.., parts)| parts).sum()));
    for (name, to, text, parts) in &texts {
        let message = &messages[*to];
        assert_eq!((&message.text, message.parts.len()), (text, *parts), "{name}");
        message.parts.iter().for_each(wire::Part::assert_fits);
    }

    assert_eq!(operator.send_mo("358401234567", "13123", "kyllä € {kiitos}", None), 0);
    let call = kannel.calls.next();
    assert!(call.starts_with("/mo?"), "{call}");
    let parameters = ["from", "to", "text"].map(|name| http::parameter(&call, name).expect("a parameter"));
    assert_eq!(parameters, ["+358401234567", "13123", "kyllä € {kiitos}"]);
    assert!(daemon.stop());
    assert_eq!(operator.stop(), 0, "nothing was sent twice");
}

#[test]
fn kannel_hears_of_a_text_that_did_not_arrive() {
    let operator = NodeOperator::start(&["--state", "UNDELIV"]);
    let port = support::free_port();
    let daemon = Daemon::start(&support::config(port, &[("node", operator.port)]));
    let kannel = Kannel::start(&daemon.dir, port);
    kannel.send("358401234501", "Hyvää päivää", "lost");
    let call = kannel.calls.next();
    assert_eq!(http::parameter(&call, "state").as_deref(), Some("2"), "{call}");
    assert!(daemon.stop());
}

/// The name of the text that this call says was delivered.
fn delivered(call: &str) -> String {
    assert!(call.starts_with("/dlr?"), "{call}");
    assert_eq!(http::parameter(call, "state").as_deref(), Some("1"), "{call}");
    http::parameter(call, "name").expect("a name")
}
