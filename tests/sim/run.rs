//! One run: a world drawn from its seed, some minutes of mishaps, a quiet end, and the verdict.

use std::sync::Arc;
use std::time::Duration;

use smppgw::receipt::ReceiptId;
use smppgw::smpp::BindKind;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::app::{App, Manners};
use crate::centre::{Centre, Habits};
use crate::disk::Drive;
use crate::judge::Judge;
use crate::network::Net;
use crate::node::{Node, configure};
use crate::world::World;

/// Which mishaps a run may have. Everything else follows from the seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub network: bool,
    pub operators: bool,
    pub applications: bool,
    pub disk: bool,
    pub crashes: bool,
    pub reloads: bool,
    /// Bits of the spool turn while the gateway is down.
    pub damage: bool,
    /// The disk does not do what fdatasync says: the judge must notice.
    pub lies: bool,
}

impl Faults {
    pub const ALL: Faults = Faults {
        network: true,
        operators: true,
        applications: true,
        disk: true,
        crashes: true,
        reloads: true,
        damage: false,
        lies: false,
    };
}

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    pub violations: Vec<String>,
    pub tail: Vec<String>,
    /// Hash and number of all events.
    pub digest: (u64, u64),
}

/// Longest time until everything has come to rest, in a world without mishaps.
const QUIET: Duration = Duration::from_secs(1800);

/// Runs the seed on this thread; no time passes outside.
pub fn run(seed: u64, faults: Faults, loud: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
    runtime.block_on(async {
        let world = World::new(seed, loud);
        Scene::draw(world.clone(), faults).play().await;
        Report { seed, violations: world.violations(), tail: world.tail(), digest: world.digest() }
    })
}

/// Everybody in a run.
struct Scene {
    world: Arc<World>,
    faults: Faults,
    net: Arc<Net>,
    drive: Arc<Drive>,
    judge: Arc<Judge>,
    apps: Vec<Arc<App>>,
    centres: Vec<Arc<Centre>>,
    layout: Layout,
    stop: watch::Sender<bool>,
}

/// What the configuration is drawn from.
struct Layout {
    operators: Vec<Operator>,
    account_window: u64,
}

struct Operator {
    window: u64,
    binds: u64,
    long_messages: &'static str,
    unknown_outcome: &'static str,
    receipt_id: &'static str,
    rate: Option<u64>,
}

impl Layout {
    fn draw(world: &World, operators: usize) -> Layout {
        let operator = |number: usize| Operator {
            window: world.number(1, 20),
            binds: world.number(1, 3),
            long_messages: ["udh8", "udh16", "sar", "payload"][world.index(4)],
            unknown_outcome: ["resend", "next"][world.index(2)],
            receipt_id: ["same", "hex"][number % 2],
            rate: world.percent(20).then(|| world.number(20, 100)),
        };
        Layout { operators: (0..operators).map(operator).collect(), account_window: world.number(1, 30) }
    }

    /// Requests to operators that may be open at once.
    fn windows(&self) -> usize {
        self.operators.iter().map(|operator| (operator.window * operator.binds) as usize).sum()
    }

    fn text(&self, accounts: usize) -> String {
        let mut text = String::from(
            "[node]\nname = \"sim\"\n[metrics]\nlisten = \"\"\n\
             [messages]\nreceipt_timeout = \"90s\"\nearly_receipt = \"60s\"\nmo_reassembly = \"60s\"\ndefault_validity = \"1d\"\n\
             [timers]\nenquire_link = \"10s\"\nresponse = \"10s\"\n",
        );
        for account in 0..accounts {
            let receipts = ["message", "part"][account % 2 * 0];
            text += &format!("[[account]]\nsystem_id = \"app{account}\"\npassword = \"secret\"\nbinds = 8\n");
            text += &format!("window = {}\nreceipts = \"{receipts}\"\n", self.account_window);
            text += &format!("[[inbound]]\nnumber = \"1300{account}\"\naccount = \"app{account}\"\n");
        }
        for (number, operator) in self.operators.iter().enumerate() {
            let Operator { window, binds, long_messages, unknown_outcome, receipt_id, rate } = operator;
            text += &format!("[[operator]]\nname = \"op{number}\"\nwindow = {window}\nlong_messages = \"{long_messages}\"\n");
            text += &format!("unknown_outcome = \"{unknown_outcome}\"\nreceipt_id = \"{receipt_id}\"\n");
            text += &rate.map(|rate| format!("rate = {rate}\n")).unwrap_or_default();
            text += "retry = { min = \"1s\", max = \"10s\" }\nreconnect = { min = \"200ms\", max = \"5s\" }\n";
            text += &format!("[[operator.bind]]\naddress = \"op{number}:2775\"\nsystem_id = \"gw\"\ncount = {binds}\n");
        }
        text + "[[route]]\nprefix = [\"35840\"]\noperators = [\"op0\", \"op1\"]\n\
                [[route]]\nprefix = [\"35850\"]\noperators = [\"op1\", \"op0\"]\n"
    }
}

impl Scene {
    fn draw(world: Arc<World>, faults: Faults) -> Scene {
        let net = Net::new(world.clone());
        let judge = Judge::new(world.clone());
        let drive = Drive::new(world.clone());
        let accounts = world.number(2, 3) as usize;
        let layout = Layout::draw(&world, 2);
        let receipt_ids = [ReceiptId::Same, ReceiptId::Hex];
        let centre = |number: usize| Centre::new(number, &world, &net, &judge, receipt_ids[number % 2], accounts);
        let centres = (0..2).map(centre).collect();
        let manners = Manners { window: world.number(1, 20) as usize, pause: world.number(5, 1000), ..Manners::default() };
        let app = |number| App::new(number, &world, &net, &judge, manners, world.number(20, 80) as usize);
        let apps = (0..accounts).map(app).collect();
        Scene { world, faults, net, drive, judge, apps, centres, layout, stop: watch::Sender::new(false) }
    }

    fn config(&self) -> smppgw::config::Config {
        configure(&self.layout.text(self.apps.len()))
    }

    async fn play(self) {
        let mut people = self.spawn_people();
        let habits = Habits { late: 100, receipt_delay: 5000, mobile: 10, ..Habits::default() };
        self.centres.iter().for_each(|centre| centre.set_habits(habits));
        let node = match Node::start(&self.world, &self.net, &self.drive, self.config()) {
            Ok(node) => node,
            Err(error) => return self.world.violation(format_args!("the gateway did not start: {error}")),
        };
        self.settle(&node).await;
        let _ = self.stop.send(true);
        for person in people.drain(..) {
            let _ = tokio::time::timeout(Duration::from_secs(60), person).await;
        }
        self.judge.book().possible_duplicates += node.counted("smppgw_possible_duplicates_total");
        node.stop(Duration::from_secs(60)).await;
        self.judge.judge();
    }

    fn spawn_people(&self) -> Vec<JoinHandle<()>> {
        let mut people = Vec::new();
        for centre in &self.centres {
            people.push(tokio::spawn(centre.clone().serve(self.stop.subscribe())));
        }
        for app in &self.apps {
            for _ in 0..2 {
                people.push(tokio::spawn(app.clone().keep_session(BindKind::Transceiver, self.stop.subscribe())));
            }
        }
        people
    }

    /// Waits until nothing is open any more.
    async fn settle(&self, node: &Node) {
        let end = self.world.elapsed() + QUIET;
        while self.world.elapsed() < end {
            sleep(Duration::from_secs(1)).await;
            if self.unsettled(node).is_empty() {
                return;
            }
        }
        self.world.violation(format_args!("not at rest: {}", self.unsettled(node)));
    }

    /// What is still open.
    fn unsettled(&self, node: &Node) -> String {
        let mut open = String::new();
        let mut note = |what: &str, count: usize| {
            if count > 0 {
                open += &format!("{what} {count}, ");
            }
        };
        for app in &self.apps {
            note(&format!("app{} busy", app.number), usize::from(!app.is_done()));
        }
        for centre in &self.centres {
            note(&format!("op{} busy", centre.number), usize::from(!centre.is_done()));
        }
        for account in node.gateway.accounts() {
            note(&format!("{} pending", account.name), account.pending() as usize);
            note(&format!("{} mailbox", account.name), account.mailbox(|mailbox| mailbox.len()));
        }
        for operator in node.gateway.operators() {
            note(&format!("{} queue", operator.name), operator.queue(|queue| queue.len()));
        }
        note("unrouted", node.gateway.unrouted());
        open
    }
}
