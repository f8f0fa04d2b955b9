//! One run: a world drawn from its seed, some minutes of mishaps, a quiet end, and the verdict.

use std::sync::Arc;
use std::time::Duration;

use smppgw::ledger::Restored;
use smppgw::receipt::ReceiptId;
use smppgw::smpp::BindKind;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::app::{App, Manners};
use crate::centre::{Centre, Habits};
use crate::chaos::Chaos;
use crate::disk::{self, Drive};
use crate::judge::Judge;
use crate::layout::Layout;
use crate::network::{self, Net};
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
    /// A power cut may leave later sectors without earlier ones.
    pub holes: bool,
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
        holes: true,
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
    tell(seed, faults, loud, async |scene, node| Chaos::new(scene, node).rage().await)
}

/// As [`run`], but what happens before the quiet end is told; it gives back the gateway that runs then.
pub fn tell(seed: u64, faults: Faults, loud: bool, story: impl AsyncFnOnce(&mut Scene, Node) -> Option<Node>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
    runtime.block_on(async {
        let world = World::new(seed, loud);
        Scene::draw(world.clone(), faults).play(story).await;
        Report { seed, violations: world.violations(), tail: world.tail(), digest: world.digest() }
    })
}

/// Everybody in a run.
pub struct Scene {
    pub world: Arc<World>,
    pub faults: Faults,
    pub net: Arc<Net>,
    pub drive: Arc<Drive>,
    pub judge: Arc<Judge>,
    pub apps: Vec<Arc<App>>,
    pub centres: Vec<Arc<Centre>>,
    pub layout: Layout,
    /// One for each session of an application: a watch wakes those who share it in random order.
    stops: Vec<watch::Sender<bool>>,
    /// The operators that are there.
    services: [Option<Service>; 2],
}

type Service = (watch::Sender<bool>, JoinHandle<()>);

impl Scene {
    fn draw(world: Arc<World>, faults: Faults) -> Scene {
        let net = Net::new(world.clone());
        let judge = Judge::new(world.clone());
        let drive = Drive::new(world.clone());
        let accounts = world.number(2, 3) as usize;
        let layout = Layout::draw(&world, accounts);
        let receipt_ids = [ReceiptId::Same, ReceiptId::Hex];
        let centre = |number: usize| Centre::new(number, &world, &net, &judge, receipt_ids[number % 2], accounts);
        let centres = (0..2).map(centre).collect();
        let manners = Manners { window: world.number(1, 20) as usize, pause: world.number(5, 1000), ..Manners::default() };
        let app = |number| App::new(number, &world, &net, &judge, manners, world.number(20, 80) as usize);
        let apps = (0..accounts).map(app).collect();
        Scene { world, faults, net, drive, judge, apps, centres, layout, stops: Vec::new(), services: [None, None] }
    }

    pub fn config(&self) -> smppgw::config::Config {
        configure(&self.layout.text())
    }

    async fn play(mut self, story: impl AsyncFnOnce(&mut Scene, Node) -> Option<Node>) {
        self.drive.set_weather(disk::Weather { lies: self.faults.lies, ..disk::Weather::default() });
        let people = self.spawn_people();
        let Some(node) = self.start().await else { return };
        let node = story(&mut self, node).await;
        self.calm();
        if let Some(mut node) = node {
            self.settle(&node).await;
            node.stop(Duration::from_secs(60)).await;
            self.count(&node);
            self.check_empty().await;
        }
        for stop in &self.stops {
            // The application may be between two sessions.
            let _ = stop.send(true);
        }
        for person in people {
            // Whoever does not end is left.
            let _ = tokio::time::timeout(Duration::from_secs(60), person).await;
        }
        self.judge.judge();
    }

    /// Starts the gateway; tries again when the disk's weather does not let it.
    pub async fn start(&self) -> Option<Node> {
        for _ in 0..100 {
            match Node::start(&self.world, &self.net, &self.drive, self.config()) {
                Ok(node) => {
                    if node.damaged > 0 && !self.judge.book().may_be_damaged() {
                        self.world.violation(format_args!("the spool is damaged without a reason"));
                    }
                    return Some(node);
                }
                Err(error) => self.world.event(format_args!("gateway: {error}")),
            }
            sleep(Duration::from_secs(1)).await;
        }
        self.world.violation(format_args!("the gateway does not start any more"));
        None
    }

    /// Takes over the figures of a life that has ended.
    pub fn count(&self, node: &Node) {
        self.judge.book().possible_duplicates += node.counted("smppgw_possible_duplicates_total");
    }

    /// From now on nothing goes wrong.
    fn calm(&self) {
        self.world.event(format_args!("calm"));
        let lies = self.faults.lies;
        self.net.weather(network::Weather::default());
        self.net.heal();
        self.drive.set_weather(disk::Weather { lies, ..disk::Weather::default() });
        self.drive.fill(false);
        for centre in &self.centres {
            centre.set_habits(Habits { late: 100, receipt_delay: 2000, ..Habits::default() });
        }
        for app in &self.apps {
            app.set_manners(Manners { window: 10, pause: 50, ..Manners::default() });
        }
    }

    /// A gateway started once more finds nothing to do.
    async fn check_empty(&self) {
        let Some(node) = self.start().await else { return };
        if node.restored != Restored::default() && !self.faults.damage {
            self.world.violation(format_args!("left behind: {:?}", node.restored));
        }
        node.crash();
    }

    fn spawn_people(&mut self) -> Vec<JoinHandle<()>> {
        let mut people = Vec::new();
        self.bring_back();
        for app in &self.apps {
            let kinds = [[BindKind::Transceiver, BindKind::Transceiver], [BindKind::Transmitter, BindKind::Receiver]];
            for kind in kinds[self.world.index(2)] {
                let (stop, stopped) = watch::channel(false);
                self.stops.push(stop);
                people.push(tokio::spawn(app.clone().keep_session(kind, stopped)));
            }
        }
        people
    }

    /// An operator is gone for a while: nobody listens there.
    pub async fn take_away(&mut self, number: usize) {
        if let Some((stop, task)) = self.services[number].take() {
            let _ = stop.send(true);
            // Its sessions have been cut.
            let _ = task.await;
        }
    }

    /// All operators are there.
    pub fn bring_back(&mut self) {
        for (centre, service) in self.centres.iter().zip(&mut self.services) {
            service.get_or_insert_with(|| {
                let (stop, stopped) = watch::channel(false);
                (stop, tokio::spawn(centre.clone().serve(stopped)))
            });
        }
    }

    /// Waits until nothing is open any more.
    async fn settle(&self, node: &Node) {
        let end = self.world.elapsed() + QUIET;
        while self.world.elapsed() < end {
            sleep(Duration::from_secs(1)).await;
            if self.unsettled(node).is_empty() {
                return;
            }
            node.release_quarantined().await;
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
        let Restored { messages, mailbox_items, parked_receipts, mo_parts } = node.restored;
        let restored = messages + mailbox_items + parked_receipts + mo_parts;
        note("records", node.gateway.last_commit().map_or(restored, |commit| commit.stats.live_records as usize));
        open
    }
}
