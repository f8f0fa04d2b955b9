//! The stage of most stories: a daemon, its metrics, and the ports it listens on.

use super::client::Client;
use super::{Daemon, config, free_port, scrape};

/// A configuration of [`config`], changed piece by piece.
pub struct Setup {
    pub port: u16,
    pub metrics: u16,
    pub text: String,
}

impl Setup {
    pub fn new(operators: &[(&str, u16)]) -> Setup {
        let (port, metrics) = (free_port(), free_port());
        let text = config(port, operators).replace("listen = \"\"", &format!("listen = \"127.0.0.1:{metrics}\""));
        Setup { port, metrics, text }
    }

    /// Adds lines to the account `app`.
    pub fn account(self, lines: &str) -> Setup {
        self.replace("binds = 64", &format!("binds = 64\n{lines}"))
    }

    /// Adds lines to every operator; their binds become one connection each.
    pub fn operators(self, lines: &str) -> Setup {
        self.replace("count = 2", "count = 1").replace("window = 100\nreconnect", &format!("{lines}\nreconnect"))
    }

    /// Adds sections.
    pub fn section(mut self, text: &str) -> Setup {
        self.text.push_str(text);
        self.text.push('\n');
        self
    }

    pub fn replace(mut self, old: &str, new: &str) -> Setup {
        assert!(self.text.contains(old), "{old:?} in {}", self.text);
        self.text = self.text.replace(old, new);
        self
    }

    pub fn start(&self) -> Story {
        Story { daemon: Daemon::start(&self.text), port: self.port, metrics: self.metrics }
    }
}

/// A running daemon.
pub struct Story {
    pub daemon: Daemon,
    pub port: u16,
    pub metrics: u16,
}

impl Story {
    pub fn client(&self) -> Client {
        Client::bound(self.port)
    }

    pub fn waits_for(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        scrape::wait_for(self.metrics, name, labels, value);
    }

    /// Whatever happened: the daemon still serves, and nothing in it has panicked.
    pub fn ends_well(mut self) {
        self.client().is_alive();
        let log = self.daemon.log_so_far();
        assert!(!log.contains("panicked"), "{log}");
    }
}
