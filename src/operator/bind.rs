//! The task that owns one connection to an operator: it connects, binds, sends what the queue has, and hands on what comes back.
//!
//! A request counts against the window until its outcome is durable, not only until it is answered: what a crash can make us send
//! twice is then never more than the window.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::outcome::backoff;
use super::traffic::{Context, Traffic};
use crate::config::Bind;
use crate::gateway::{Gateway, OperatorSettings, OperatorState, timers};
use crate::link::{self, Link, Stream};
use crate::metrics::BindMetrics;
use crate::smpp::status::name;
use crate::smpp::{BindKind, BindView, CloseReason, Event, Role, Session, Settings, Version};

/// A connection that held this long was a good one: the next attempt comes soon.
const STABLE: Duration = Duration::from_secs(30);

/// One connection of a configured bind.
pub(super) struct Slot {
    pub gateway: Arc<Gateway>,
    pub state: Arc<OperatorState>,
    pub settings: Arc<OperatorSettings>,
    /// Place in the operator's list of binds.
    pub bind: usize,
    pub metrics: BindMetrics,
    /// What operators of the gateway see of it.
    pub status: Arc<super::pool::BindStatus>,
}

/// How a connection ended.
enum Ended {
    /// We were told to stop.
    Stopped,
    /// The next attempt follows.
    Lost(Reason),
}

/// Why a connection was lost or not made.
struct Reason {
    /// What it is counted under.
    word: &'static str,
    /// What the system says of it, or nothing.
    error: String,
}

impl From<&'static str> for Reason {
    fn from(word: &'static str) -> Self {
        Reason { word, error: String::new() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.error.is_empty() { "" } else { ": " };
        write!(f, "{}{between}{}", self.word, self.error)
    }
}

impl Slot {
    /// Keeps the slot connected until told to stop; never has two connections.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0u16;
        loop {
            let started = link::now();
            let mut told = stop.clone();
            let ended = tokio::select! {
                biased;
                ended = self.connect(&mut told) => ended,
                () = stopped_early(&mut stop, &self.status) => Ended::Stopped,
            };
            self.metrics.up.set(0.0);
            self.metrics.window_used.set(0.0);
            let Ended::Lost(reason) = ended else { return };
            self.metrics.failures.increment(reason.word, 1);
            self.status.down(reason.to_string());
            failures = if link::now().duration_since(started) > STABLE { 0 } else { failures.saturating_add(1) };
            let delay = backoff(self.settings.config.reconnect, failures.saturating_sub(1), self.gateway.chance.fraction());
            let address = &self.status.address;
            tracing::warn!(operator = %self.state.name, bind = self.status.number, address, %reason, ?delay, "bind is down");
            tokio::select! {
                biased;
                () = sleep(delay) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn configured(&self) -> Option<&Bind> {
        self.settings.config.binds.get(self.bind)
    }

    async fn connect(&self, stop: &mut watch::Receiver<bool>) -> Ended {
        let Some(bind) = self.configured() else { return Ended::Stopped };
        self.metrics.attempts.increment(1);
        self.status.connecting();
        let tls = self.settings.tls.get(self.bind).cloned().flatten();
        let tls = tls.map(|side| (side.config, side.name));
        let with_tls = tls.is_some();
        match self.gateway.connector.connect(&bind.address.host, bind.address.port, tls).await {
            Ok(stream) => self.session(stream, bind, stop).await,
            Err(error) => {
                let word = if with_tls { "tls" } else { "connect" };
                Ended::Lost(Reason { word, error: error.to_string() })
            }
        }
    }

    async fn session(&self, stream: Stream, bind: &Bind, stop: &mut watch::Receiver<bool>) -> Ended {
        let config = &self.settings.config;
        let mut settings = Settings::new(Role::Esme);
        settings.max_pdu = self.gateway.settings().config.limits.pdu_size;
        settings.window = config.window;
        settings.peer_window = config.window.max(100);
        settings.timers = timers(&config.timers);
        settings.strictness = crate::gateway::strictness(config.strict);
        settings.version = Version(config.interface_version.octet());
        let mut session = Session::new(settings, link::now());
        let kind = match bind.kind {
            crate::config::BindType::Transceiver => BindKind::Transceiver,
            crate::config::BindType::Transmitter => BindKind::Transmitter,
            crate::config::BindType::Receiver => BindKind::Receiver,
        };
        let request = BindView {
            kind,
            system_id: bind.system_id.as_bytes(),
            password: bind.password.expose(),
            system_type: bind.system_type.as_bytes(),
            version: settings.version,
            addr_ton: 0,
            addr_npi: 0,
            address_range: bind.address_range.as_bytes(),
        };
        session.bind(link::now(), &request);
        let mut link = Link::new(stream, session);
        let ended = self.bound(&mut link, stop).await;
        link.finish().await;
        ended
    }

    /// Waits for the bind response, then carries traffic until the session ends.
    async fn bound(&self, link: &mut Link<super::traffic::Token>, stop: &mut watch::Receiver<bool>) -> Ended {
        loop {
            match link.session.poll_event() {
                Some(Event::Bound { kind, .. }) => {
                    self.metrics.up.set(1.0);
                    self.metrics.window_size.set(self.settings.config.window as f64);
                    self.status.up();
                    tracing::info!(operator = %self.state.name, bind = self.status.number, "bind is up");
                    let sending = kind.transmits().then(|| self.state.sender_up());
                    let context = Context {
                        gateway: &self.gateway,
                        state: &self.state,
                        settings: &self.settings,
                        metrics: &self.metrics,
                        status: &self.status,
                    };
                    let reason = Traffic::new(context, link, sending).run(stop).await;
                    return if *stop.borrow() { Ended::Stopped } else { Ended::Lost(reason.into()) };
                }
                Some(Event::BindRefused(status)) => {
                    return Ended::Lost(Reason { word: name(status), error: "the operator refuses the bind".to_owned() });
                }
                Some(Event::Closed { reason, .. }) => return Ended::Lost(close_word(reason).into()),
                Some(_) => {}
                None => link.progress().await,
            }
        }
    }
}

/// Resolves when the slot is told to stop before it is bound; a bound one ends in its own way.
async fn stopped_early(stop: &mut watch::Receiver<bool>, status: &super::pool::BindStatus) {
    // The sender lives as long as the pool; its end means stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
    if status.is_up() {
        std::future::pending::<()>().await;
    }
}

/// The word a lost connection is counted under.
pub(super) fn close_word(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::SessionInit | CloseReason::LinkDead | CloseReason::UnbindTimeout => "timeout",
        CloseReason::Framing(_) => "protocol",
        CloseReason::PeerClosed | CloseReason::PeerUnbound => "closed",
        CloseReason::Unbound | CloseReason::Inactivity | CloseReason::Local => "unbound",
    }
}
