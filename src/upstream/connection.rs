//! The task of one connection: its bind, and what is done about binds that are refused.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::listener::{Place, Shared};
use super::login::{AccountIndex, Peer, still_admitted};
use super::session::Serving;
use super::source::Source;
use crate::gateway::{AccountSettings, Gateway, Seat, lock, strictness, timers};
use crate::link::{self, Link, Stream};
use crate::message::Mail;
use crate::queue::Item;
use crate::smpp::{BindKind, BindView, CommandStatus, Event, Frame, Role, Session, Settings, Strictness, Version};

/// Longest PDU before a bind, in octets: a bind has at most some two hundred.
const UNBOUND_PDU: usize = 1024;

/// A connection of which nothing is known yet.
pub(super) struct Connection {
    pub shared: Shared,
    pub place: Place,
    pub peer: Peer,
    pub listener: Arc<str>,
    /// When it was accepted: the time for its bind runs from then.
    pub since: Instant,
}

/// How the application bound.
pub(super) struct Bound {
    /// Held for as long as the session lasts.
    _seat: Seat,
    pub kind: BindKind,
    pub version: Version,
}

impl Connection {
    /// Serves the connection until it ends or the gateway stops.
    pub async fn serve(self, stream: Stream, mut stop: watch::Receiver<bool>) {
        let settings = self.shared.gateway.settings();
        let mut protocol = Settings::new(Role::Smsc);
        protocol.max_pdu = settings.config.limits.pdu_size.min(UNBOUND_PDU);
        protocol.timers = timers(&settings.config.timers);
        drop(settings);
        let mut link = Link::new(stream, Session::new(protocol, self.since));
        let login = tokio::select! {
            biased;
            login = self.login(&mut link) => login,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        if let Some((account, bound)) = login {
            Serving::new(&self, &mut link, account, bound).run(&mut stop).await;
        }
        link.finish().await;
    }

    /// Waits for a bind and decides on it; `None` when the connection ended without one.
    async fn login(&self, link: &mut Link<Item<Mail>>) -> Option<(Arc<AccountSettings>, Bound)> {
        loop {
            match link.session.poll_event() {
                Some(Event::Bind(frame)) => {
                    if let Some(bound) = self.bind(link, &frame).await {
                        return Some(bound);
                    }
                }
                Some(Event::Fault(fault)) => self.shared.gateway.upstream_faults.faults.increment(fault.word(), 1),
                Some(Event::Closed { .. }) => return None,
                Some(_) => {}
                None => link.progress().await,
            }
        }
    }

    /// One answer for every reason: which half of the credentials was wrong is nobody's business.
    async fn bind(&self, link: &mut Link<Item<Mail>>, frame: &Frame) -> Option<(Arc<AccountSettings>, Bound)> {
        let asked = link::now();
        let view = match BindView::parse(frame, Strictness::Lenient) {
            Ok(view) => view,
            Err(error) => {
                link.session.reject_bind(error.status());
                return None;
            }
        };
        match self.authenticate(&view).await {
            Ok(account) => match self.seat(&account) {
                Ok((account, seat)) => {
                    let bound = Bound { _seat: seat, kind: view.kind, version: view.version };
                    return self.accept(link, account, bound);
                }
                Err(reason) => self.note_refusal(&view, reason),
            },
            Err(reason) => {
                self.note_refusal(&view, reason);
                self.hold_back(&view, asked).await;
            }
        }
        link.session.reject_bind(CommandStatus::EsmeRbindfail);
        None
    }

    /// Whose bind it is. A password that is known to be right needs no turn; any other is verified when the turn of its source has come.
    async fn authenticate(&self, view: &BindView<'_>) -> Result<Arc<AccountSettings>, &'static str> {
        // A position in the directory means nothing in the one that a reload brings meanwhile.
        let settings = self.shared.gateway.settings();
        let account = |AccountIndex(at)| settings.account_at(at).cloned().ok_or("gone");
        let directory = settings.directory.clone();
        if let Some(index) = directory.known(view.system_id, view.password, &self.peer) {
            return account(index);
        }
        self.place.asking();
        let (system_id, password, peer) = (view.system_id.to_vec(), view.password.to_vec(), self.peer.clone());
        let turn = self.shared.turns.wait(Source::of(peer.address)).await;
        let checked = tokio::task::spawn_blocking(move || {
            let checked = directory.check(&system_id, &password, &peer);
            drop(turn);
            checked
        });
        match checked.await {
            Ok(checked) => checked.map_err(|refusal| refusal.word()).and_then(account),
            Err(_) => Err("failed"),
        }
    }

    /// A seat at the account as the configuration in force has it: a reload may have taken back what the bind was judged by.
    fn seat(&self, account: &AccountSettings) -> Result<(Arc<AccountSettings>, Seat), &'static str> {
        let account = still_admitted(&self.shared.gateway.settings(), account, &self.peer).ok_or("gone")?;
        let seat = self.shared.gateway.account(account.key).seat(account.config.binds).ok_or("too-many-binds")?;
        Ok((account, seat))
    }

    fn accept(
        &self,
        link: &mut Link<Item<Mail>>,
        account: Arc<AccountSettings>,
        bound: Bound,
    ) -> Option<(Arc<AccountSettings>, Bound)> {
        let gateway = &self.shared.gateway;
        link.session.configure(account_protocol(&account.config, gateway), link::now());
        let name = gateway.settings().config.node.name.clone();
        if !self.place.bound() || !link.session.accept_bind(link::now(), name.as_bytes()) {
            return None; // the place or the session was lost meanwhile
        }
        let (peer, kind) = (self.peer.address, bound.kind);
        tracing::info!(account = %account.config.system_id, %peer, listener = %self.listener, ?kind, "bound");
        Some((account, bound))
    }

    fn note_refusal(&self, view: &BindView<'_>, reason: &'static str) {
        let gateway = &self.shared.gateway;
        gateway.listener_metrics.logins_refused.increment(reason, 1);
        if self.shared.may_complain() {
            let system_id = std::str::from_utf8(view.system_id).ok();
            let account = system_id.filter(|system_id| gateway.settings().account_named(system_id).is_some());
            // An unknown name is not shown: it may be a password in the wrong field.
            let account = account.unwrap_or("unknown");
            tracing::warn!(account, peer = %self.peer.address, listener = %self.listener, reason, "bind refused");
        }
    }

    /// Keeps the answer to a refused bind for as long as the refusals before it demand. Meanwhile the connection has its place and
    /// nothing else: no thread, no turn. One that is closed by its peer keeps its place too, until a newcomer needs it.
    async fn hold_back(&self, view: &BindView<'_>, asked: Instant) {
        let source = Source::of(self.peer.address);
        let delay = lock(&self.shared.slowdown).refused(source, view.system_id, link::now());
        self.place.refused();
        // From the bind on, so that the answer does not tell how long the verification took.
        sleep_until((asked + delay).into()).await;
    }
}

/// What the bind of an account changes in its session.
fn account_protocol(account: &crate::config::Account, gateway: &Gateway) -> Settings {
    let mut settings = Settings::new(Role::Smsc);
    settings.max_pdu = gateway.settings().config.limits.pdu_size;
    settings.window = account.window;
    settings.peer_window = account.window;
    settings.timers = timers(&account.timers);
    settings.strictness = strictness(account.strict);
    settings
}
