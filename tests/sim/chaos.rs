//! What goes wrong, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::app::Manners;
use crate::centre::Habits;
use crate::node::{CrashPoint, Node};
use crate::run::{Faults, Scene};
use crate::world::World;
use crate::{disk, network};

/// The time of mishaps.
pub struct Chaos<'a> {
    scene: &'a mut Scene,
    node: Option<Node>,
    world: Arc<World>,
    /// What is to be undone, and when.
    ends: BTreeMap<(Instant, u64), Mishap>,
    count: u64,
    /// The most requests that may be open, over all configurations so far.
    windows: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Cut,
    Hold,
    NetworkWeather,
    Habits,
    Away,
    Manners,
    Slow,
    Errors,
    Full,
    Crash,
    Restart,
    Reload,
}

impl Mishap {
    fn all(faults: Faults) -> Vec<Mishap> {
        use Mishap::*;
        let groups: [(bool, &[Mishap]); 6] = [
            (faults.network, &[Cut, Cut, Hold, Hold, NetworkWeather]),
            (faults.operators, &[Habits, Habits, Habits, Away]),
            (faults.applications, &[Manners, Manners]),
            (faults.disk, &[Slow, Errors, Full]),
            (faults.crashes, &[Crash, Crash, Restart]),
            (faults.reloads, &[Reload]),
        ];
        groups.into_iter().filter(|(on, _)| *on).flat_map(|(_, mishaps)| mishaps.iter().copied()).collect()
    }
}

impl<'a> Chaos<'a> {
    pub fn new(scene: &'a mut Scene, node: Node) -> Self {
        let (world, windows) = (scene.world.clone(), scene.layout.windows());
        scene.judge.book().receipts_late |= scene.faults.network || scene.faults.operators;
        Chaos { scene, node: Some(node), world, ends: BTreeMap::new(), count: 0, windows }
    }

    /// Lets things go wrong for a while; gives back the gateway that is running at the end.
    pub async fn rage(mut self) -> Option<Node> {
        let end = Instant::now() + self.world.millis(20_000, 90_000);
        let mishaps = Mishap::all(self.scene.faults);
        let habits = Habits {
            late: self.world.number(1, 500),
            receipt_delay: self.world.number(1, 20_000),
            early: self.world.number(0, 60) as u32,
            mobile: 10,
            ..Habits::default()
        };
        self.scene.centres.iter().for_each(|centre| centre.set_habits(habits));
        while Instant::now() < end && self.node.is_some() {
            let next = Instant::now() + self.world.millis(200, 8000);
            let undo = self.ends.first_key_value().map(|((due, _), _)| *due).filter(|due| *due < next);
            sleep_until(undo.unwrap_or(next)).await;
            if undo.is_some() {
                if let Some((_, mishap)) = self.ends.pop_first() {
                    self.undo(mishap);
                }
            } else if !mishaps.is_empty() {
                let mishap = mishaps[self.world.index(mishaps.len())];
                self.world.event(format_args!("chaos: {mishap:?}"));
                self.happen(mishap).await;
            }
        }
        while let Some((_, mishap)) = self.ends.pop_first() {
            self.undo(mishap);
        }
        self.reload(true);
        self.node
    }

    /// The mishap ends by itself.
    fn ends(&mut self, mishap: Mishap, low: u64, high: u64) {
        self.count += 1;
        let due = Instant::now() + self.world.millis(low, high);
        self.ends.insert((due, self.count), mishap);
    }

    async fn happen(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Cut | Mishap::Hold => self.strike(mishap),
            Mishap::NetworkWeather => {
                let (delay, drips) = (self.world.number(0, 400), self.world.number(0, 60) as u32);
                let room = [200, 2000, 64 * 1024][self.world.index(3)];
                self.scene.net.weather(network::Weather { delay, drips, room });
                self.ends(mishap, 2000, 20_000);
            }
            Mishap::Habits => self.misbehave(),
            Mishap::Away => self.scene.take_away(self.world.index(2)).await,
            Mishap::Manners => self.forget_manners(),
            Mishap::Slow | Mishap::Errors | Mishap::Full => self.disk_weather(mishap),
            Mishap::Crash => self.crash().await,
            Mishap::Restart => self.restart().await,
            Mishap::Reload => self.reload(false),
        }
        if mishap == Mishap::Away {
            self.ends(mishap, 500, 20_000);
        }
    }

    fn undo(&mut self, mishap: Mishap) {
        self.world.event(format_args!("chaos: end of {mishap:?}"));
        match mishap {
            Mishap::NetworkWeather => self.scene.net.weather(network::Weather::default()),
            Mishap::Away => self.scene.bring_back(),
            Mishap::Slow | Mishap::Errors => {
                let lies = self.scene.faults.lies;
                self.scene.drive.set_weather(disk::Weather { lies, ..disk::Weather::default() });
            }
            Mishap::Full => self.scene.drive.fill(false),
            _ => {}
        }
    }

    fn strike(&self, mishap: Mishap) {
        let open = self.scene.net.open(None);
        if open.is_empty() {
            return;
        }
        let connection = open[self.world.index(open.len())];
        let time = self.world.millis(500, 60_000);
        let (from_caller, from_listener) = [(true, true), (true, false), (false, true)][self.world.index(3)];
        if mishap == Mishap::Hold {
            let now = self.world.elapsed();
            self.scene.judge.book().lulls.push((None, now, now + time));
        }
        let hold = network::Mishap::Hold { from_caller, from_listener, time };
        self.scene.net.strike(connection, if mishap == Mishap::Cut { network::Mishap::Cut } else { hold });
    }

    /// An operator gets other habits, for good.
    fn misbehave(&self) {
        let world = &self.world;
        let share = |high| if world.percent(40) { world.number(0, high) as u32 } else { 0 };
        let habits = Habits {
            throttles: share(50),
            busy: share(50),
            vague: share(30),
            refuses: share(20),
            drops: share(5),
            mute: share(5),
            late: if world.percent(40) { world.number(8_000, 40_000) } else { world.number(0, 4000) },
            early: share(50),
            twice: share(30),
            never: share(20),
            on_the_way: share(30),
            receipt_delay: world.number(0, 30_000),
            mobile: share(30),
        };
        let centre = &self.scene.centres[world.index(2)];
        world.event(format_args!("op{}: {habits:?}", centre.number));
        centre.set_habits(habits);
    }

    fn forget_manners(&self) {
        let world = &self.world;
        let share = |high| if world.percent(50) { world.number(0, high) as u32 } else { 0 };
        let manners = Manners {
            window: world.number(1, 20) as usize,
            pause: world.number(5, 1000),
            deaf: share(5),
            refuses: share(20),
            ignores: share(5),
            unbinds: share(5),
        };
        let app = &self.scene.apps[world.index(self.scene.apps.len())];
        world.event(format_args!("app{}: {manners:?}", app.number));
        app.set_manners(manners);
    }

    fn disk_weather(&mut self, mishap: Mishap) {
        let world = &self.world;
        let mut weather = disk::Weather { lies: self.scene.faults.lies, ..disk::Weather::default() };
        match mishap {
            Mishap::Slow => {
                weather.slow = world.number(50, 4000);
                self.scene.judge.book().disk_slow = true;
            }
            Mishap::Errors => {
                (weather.write_errors, weather.sync_errors) = (world.number(0, 60) as u32, world.number(0, 60) as u32);
                self.scene.judge.book().disk_failed = true;
            }
            _ => {
                self.scene.judge.book().disk_failed = true;
                self.scene.drive.fill(true);
                return self.ends(mishap, 500, 15_000);
            }
        }
        self.scene.drive.set_weather(weather);
        self.ends(mishap, 500, 15_000);
    }

    /// The gateway ends in the middle of its work, by a power cut or kill -9, and comes back after a while.
    async fn crash(&mut self) {
        let Some(node) = self.node.take() else { return };
        let point = [None, Some(CrashPoint::InTurn), Some(CrashPoint::AfterTurn)][self.world.index(3)];
        if let Some(point) = point {
            node.crash_at(point);
            // When nothing comes in that time, it crashes idle.
            let _ = tokio::time::timeout(Duration::from_secs(5), node.crashed()).await;
        }
        node.crash();
        self.scene.count(&node);
        self.crashed(point == Some(CrashPoint::InTurn) || self.world.percent(50));
        self.come_back().await;
    }

    fn crashed(&mut self, power: bool) {
        let now = self.world.elapsed();
        self.world.event(format_args!("gateway: crash, power cut {power}"));
        if power {
            self.scene.drive.power_cut(self.scene.faults.holes);
        } else {
            self.scene.drive.kill();
        }
        if self.scene.faults.damage {
            (0..self.world.number(0, 3)).for_each(|_| self.scene.drive.flip_bit());
        }
        let mut book = self.scene.judge.book();
        book.power_cuts += usize::from(power);
        book.damaged |= self.scene.faults.damage;
        book.crashes.push(now);
        book.open_at_crashes += self.windows;
    }

    /// Stops in order. A stop that cannot write, or does not end, is worth a crash.
    async fn restart(&mut self) {
        let Some(mut node) = self.node.take() else { return };
        let ended = node.stop(Duration::from_secs(15)).await;
        self.scene.count(&node);
        let weather = self.scene.drive.weather();
        if !ended || weather.sync_errors + weather.write_errors > 0 || self.ends.values().any(|mishap| *mishap == Mishap::Full) {
            self.crashed(false);
        }
        self.come_back().await;
    }

    async fn come_back(&mut self) {
        sleep(self.world.millis(0, 5000)).await;
        self.node = self.scene.start().await;
    }

    fn reload(&mut self, whole: bool) {
        let Some(node) = &self.node else { return };
        let layout = if whole { self.scene.layout.whole() } else { self.scene.layout.changed(&self.world) };
        self.scene.layout = layout;
        self.scene.judge.book().operator_removed |= self.scene.layout.lacks_one();
        // Retired binds may still have their windows open.
        self.windows += self.scene.layout.windows();
        node.reload(self.scene.config());
    }
}
