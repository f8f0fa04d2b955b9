//! Where a message waits, by what is left of its route.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::chance::Chance;
use crate::config::{self, Config};
use crate::gateway::{Gateway, Outside, Settings};
use crate::ledger::{Ids, KeyMaker, PartSet, Rules, Waiting};
use crate::message::{
    AccountKey, Address, Job, Mail, MailContent, MailedMo, Message, MessageId, Names, OperatorKey, Timestamp, test_job,
};
use crate::metrics;
use crate::queue::Found;
use crate::text::Body;

/// A configuration with these operators, in the order of preference.
fn config(operators: &[&str]) -> Config {
    let list = operators.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let mut text =
        format!("[[account]]\nsystem_id = \"shop\"\npassword = \"secret12\"\n[[route]]\nprefix = [\"\"]\noperators = [{list}]\n");
    for name in operators {
        text.push_str(&format!("[[operator]]\nname = \"{name}\"\n[[operator.bind]]\naddress = \"127.0.0.1:1\"\n"));
        text.push_str("system_id = \"gw\"\npassword = \"secret12\"\n");
    }
    config::parse(&text, "conf/x.toml", &config::Disk::from_environment()).expect("the configuration of the tests")
}

struct World(Arc<Gateway>);

impl World {
    fn new(operators: &[&str]) -> World {
        let (accounts, names) = (Arc::<Names>::default(), Arc::<Names>::default());
        let settings = Settings::build(config(operators), &accounts, &names, [7; 32]).expect("settings");
        let (metrics, _) = metrics::install(None).expect("metrics without an endpoint");
        let outside = Outside { chance: Chance::seeded(1), ..Outside::real() };
        World(Gateway::new(settings, accounts, names, Ids::starting_at(1), KeyMaker::default(), metrics, outside))
    }

    fn reload(&self, operators: &[&str]) {
        let settings = Settings::build(config(operators), &self.0.account_names, &self.0.operator_names, [7; 32]);
        self.0.swap_settings(settings.expect("settings"));
        self.0.route_stranded_as(&test_job(1, AccountKey(0)));
    }

    fn key(&self, operator: &str) -> OperatorKey {
        OperatorKey(self.0.operator_names.key(operator).expect("a name that has been in a configuration"))
    }

    /// A message of the parts of which some need not be sent any more.
    fn queue(&self, bound_to: Option<&str>, done: PartSet) {
        let (account, bound_to) = (AccountKey(0), bound_to.map(|operator| self.key(operator)));
        self.0.route_again(Waiting { id: MessageId(1), account, bound_to, done, job: test_job(1, account) });
    }

    /// Whom it waits for.
    fn waits_for(&self) -> Vec<String> {
        let mut found: Vec<String> = vec!["nobody".to_owned(); self.0.unrouted()];
        for state in self.0.operators() {
            found.extend(std::iter::repeat_n(state.name.to_string(), state.queue(|queue| queue.len())));
        }
        found
    }
}

#[test]
fn a_message_waits_for_the_first_of_its_route_and_one_that_has_begun_for_who_has_the_rest() {
    for (bound_to, done, expected) in [(None, 0, "elisa"), (Some("telia"), 0b01, "telia")] {
        let world = World::new(&["elisa", "telia"]);
        world.queue(bound_to, done);
        assert_eq!(world.waits_for(), [expected]);
    }
}

#[test]
fn the_rest_of_a_message_waits_until_the_operator_that_has_its_beginning_is_back() {
    let world = World::new(&["elisa", "telia"]);
    world.reload(&["telia"]);
    world.queue(Some("elisa"), 0b01);
    assert_eq!(world.waits_for(), ["nobody"], "what another one sends no telephone could join");
    world.reload(&["telia", "dna"]);
    assert_eq!(world.waits_for(), ["nobody"]);
    world.reload(&["telia", "elisa"]);
    assert_eq!(world.waits_for(), ["elisa"]);
}

#[test]
fn a_message_whose_ended_parts_no_operator_has_taken_goes_to_whom_its_route_names() {
    let world = World::new(&["elisa"]);
    world.reload(&["telia"]);
    world.queue(None, 0b01);
    assert_eq!(world.waits_for(), ["telia"]);
}

#[test]
fn a_message_that_was_on_its_way_to_the_disk_during_a_reload_goes_by_the_new_routes() {
    let world = World::new(&["elisa"]);
    let account = AccountKey(0);
    let route = [world.key("elisa")][..].into();
    let job = Job { id: MessageId(1), account, message: test_job(1, account).message.clone(), route };
    world.reload(&["telia"]);
    world.0.queue(Waiting { id: MessageId(1), account, bound_to: None, done: 0, job: Arc::new(job) });
    assert_eq!(world.waits_for(), ["telia"]);
}

/// It was accepted while the clock was ten years ahead, and the clock is right now.
#[test]
fn a_message_accepted_in_the_future_keeps_its_delay_and_its_validity_and_does_not_wait_until_then() {
    let world = World::new(&["alpha"]);
    let now = world.0.clock.now();
    let accepted_at = now.plus(Duration::from_secs(315_360_000));
    let (not_before, expires_at) = (accepted_at.plus(Duration::from_secs(60)), accepted_at.plus(Duration::from_secs(3_600)));
    let plain = test_job(1, AccountKey(0));
    let message = Message { accepted_at, not_before, expires_at, ..plain.message.clone() };
    let job = Arc::new(Job { message, id: plain.id, account: plain.account, route: plain.route.clone() });
    world.0.route_again(Waiting { id: MessageId(1), account: AccountKey(0), bound_to: None, done: 0, job });
    let state = world.0.operator(world.key("alpha"));
    let Found { item, until, .. } = state.queue(|queue| queue.find(MessageId(1))).expect("a message that waits");
    let soon = now.plus(Duration::from_secs(120));
    assert!(until.is_some_and(|until| until <= soon), "{until:?}");
    assert!(item.queued_at <= soon && item.expires_at <= now.plus(Duration::from_secs(3_700)), "{item:?}");
}

/// It waited longer than its time, because the gateway was down or its clock was wrong.
#[tokio::test(start_paused = true)]
async fn what_is_in_a_mailbox_can_still_be_fetched_after_a_long_stop() {
    let world = World::new(&["alpha"]);
    let account = world.0.account(AccountKey(0));
    let content = MailContent::Mo(Box::new(MailedMo {
        protocol_id: 0,
        dcs_class: 0,
        concatenation: None,
        udh: Bytes::new(),
        body: Body::from_text("hello"),
        tlvs: Bytes::new(),
    }));
    let (source, destination) = (Address::new(1, 1, b"358401234567"), Address::new(3, 0, b"17171"));
    let (created_at, expires_at) = (Timestamp(0), Timestamp(1));
    let mail = Mail { id: MessageId(1), account: "shop".into(), source, destination, created_at, expires_at, content };
    account.post([Arc::new(mail)]);
    for (later, kept) in [(0, 1), (3_599, 1), (1, 0)] {
        tokio::time::advance(Duration::from_secs(later)).await;
        crate::mailbox::look(&world.0).await;
        assert_eq!(account.mailbox(|mailbox| mailbox.len()), kept, "{later}");
    }
}

/// A subscriber's text must not reach a customer because one country came first.
#[test]
fn a_national_number_that_is_one_accounts_here_and_anothers_there_is_nobodys() {
    let bind = "[[operator.bind]]\naddress = \"127.0.0.1:1\"\nsystem_id = \"gw\"\npassword = \"secret12\"\n";
    let mut text = format!("[[operator]]\nname = \"a\"\n{bind}");
    for (name, country, number) in
        [("shop", "FI", "+358701234567"), ("butik", "SE", "+46701234567"), ("pood", "EE", "+37250123456")]
    {
        text += &format!("[[account]]\nsystem_id = \"{name}\"\npassword = \"secret12\"\ncountry = \"{country}\"\n");
        text += &format!("[[inbound]]\nnumber = \"{number}\"\naccount = \"{name}\"\n");
    }
    let config = config::parse(&text, "conf/x.toml", &config::Disk::from_environment()).expect("a configuration");
    let settings = Settings::build(config, &Arc::default(), &Arc::default(), [7; 32]).expect("settings");
    let owner = |ton, number: &[u8]| settings.inbound(&Address::new(ton, 1, number), Some("hei"));
    assert_eq!(owner(2, b"0701234567"), None, "it may be Finnish or Swedish");
    assert_eq!([owner(1, b"358701234567"), owner(1, b"46701234567")], [Some("shop".into()), Some("butik".into())]);
    assert_eq!(owner(2, b"50123456"), Some("pood".into()));
}
