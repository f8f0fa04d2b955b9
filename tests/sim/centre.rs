//! An operator's centre: it takes messages, late or not at all, and sends receipts and MO messages until they are acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use smppgw::link::{self, Link};
use smppgw::message::Timestamp;
use smppgw::receipt::write::{self, ReceiptText};
use smppgw::receipt::{ReceiptId, State};
use smppgw::smpp::{
    AddressView, CommandId, CommandStatus, Event, Frame, MessageView, Role, Session, Settings, Strictness, Ticket, Timers, encode,
};
use smppgw::text::udh;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::judge::{Judge, Mobile, MobilePart, Sight, Verdict};
use crate::network::{Incoming, Mishap, Net, until};
use crate::world::{World, lock};

/// How an operator behaves: of a hundred messages so many meet with this.
#[derive(Debug, Clone, Copy, Default)]
pub struct Habits {
    pub throttles: u32,
    pub busy: u32,
    pub vague: u32,
    pub refuses: u32,
    /// Takes the message, and the connection breaks before the response.
    pub drops: u32,
    /// Takes the message and never responds.
    pub mute: u32,
    /// Longest time until a response, in milliseconds.
    pub late: u64,
    /// Receipts: before the response, twice, never; longest time until they come, in milliseconds.
    pub early: u32,
    pub twice: u32,
    pub never: u32,
    /// Tells that the message is on its way, too.
    pub on_the_way: u32,
    pub receipt_delay: u64,
    /// Of a hundred turns so many bring an MO message.
    pub mobile: u32,
}

/// One operator.
pub struct Centre {
    pub number: usize,
    pub host: String,
    world: Arc<World>,
    net: Arc<Net>,
    judge: Arc<Judge>,
    receipt_id: ReceiptId,
    accounts: usize,
    /// After so many ids they begin again.
    ids: u64,
    state: Mutex<Store>,
}

struct Store {
    habits: Habits,
    /// Ids begin at the same number at every operator.
    next_id: u64,
    /// What waits to be delivered, by when it is due.
    outbox: BTreeMap<(Instant, u64), Item>,
    next_item: u64,
    in_flight: usize,
}

/// A deliver_sm until it is acknowledged.
#[derive(Debug, Clone)]
struct Item {
    body: Bytes,
    /// Which part of which MO message it is.
    mobile: Option<(usize, usize)>,
}

/// A response to be given later.
enum Due {
    Respond(Ticket, CommandStatus, String),
    Break,
}

impl Centre {
    pub fn new(
        number: usize,
        world: &Arc<World>,
        net: &Arc<Net>,
        judge: &Arc<Judge>,
        receipt_id: ReceiptId,
        accounts: usize,
    ) -> Arc<Centre> {
        let state = Store { habits: Habits::default(), next_id: 0, outbox: BTreeMap::new(), next_item: 0, in_flight: 0 };
        let ids = if world.percent(30) { world.number(30, 100) } else { u64::MAX };
        judge.book().receipts_late |= ids < u64::MAX;
        let (world, net, judge) = (world.clone(), net.clone(), judge.clone());
        Arc::new(Centre {
            number,
            host: format!("op{number}"),
            world,
            net,
            judge,
            receipt_id,
            accounts,
            ids,
            state: Mutex::new(state),
        })
    }

    pub fn set_habits(&self, habits: Habits) {
        lock(&self.state).habits = habits;
    }

    pub fn habits(&self) -> Habits {
        lock(&self.state).habits
    }

    /// Is everything delivered?
    pub fn is_done(&self) -> bool {
        let state = lock(&self.state);
        state.outbox.is_empty() && state.in_flight == 0
    }

    /// Listens until told to stop; then all its connections break.
    pub async fn serve(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut incoming: mpsc::Receiver<Incoming> = self.net.listen(&self.host);
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(stream) = incoming.recv() => {
                    let mut settings = Settings::new(Role::Smsc);
                    settings.window = 10;
                    let seconds = Duration::from_secs;
                    settings.timers = Timers { session_init: seconds(5), enquire_link: seconds(15), inactivity: Duration::ZERO, response: seconds(10) };
                    let link = Link::new(stream, Session::new(settings, link::now()));
                    let service = Service { centre: self.clone(), link, due: BTreeMap::new(), count: 0 };
                    sessions.spawn(service.run());
                }
                Some(_) = sessions.join_next() => {}
            }
        }
        for connection in self.net.open(Some(&self.host)) {
            self.net.strike(connection, Mishap::Cut);
        }
        while sessions.join_next().await.is_some() {}
    }

    fn post(&self, delay: Duration, item: Item) {
        let mut state = lock(&self.state);
        let place = (Instant::now() + delay, state.next_item);
        state.next_item += 1;
        state.outbox.insert(place, item);
    }

    /// Writes an MO message of one part or several, for one of the accounts.
    pub fn write_mobile(&self) {
        let world = &self.world;
        let account = world.index(self.accounts);
        let total = if world.percent(30) { world.number(2, 3) as usize } else { 1 };
        let mut book = self.judge.book();
        let number = book.mobiles.len();
        let text = |part| format!("mo{number:05} part {part} from op{}", self.number).into_bytes();
        let parts: Vec<MobilePart> = (1..=total).map(|part| MobilePart { text: text(part), ..MobilePart::default() }).collect();
        book.mobiles.push(Mobile { account, parts: parts.clone(), arrivals: Vec::new() });
        drop(book);
        world.event(format_args!("op{}: MO {number} of {total} parts for app{account}", self.number));
        let (source, destination) = (format!("35870{number:07}"), format!("1300{account}"));
        for (at, part) in parts.iter().enumerate() {
            let mut octets = BytesMut::new();
            if total > 1 {
                octets.extend_from_slice(&[5, 0, 3, number as u8, total as u8, at as u8 + 1]);
            }
            octets.extend_from_slice(&part.text);
            let esm_class = if total > 1 { 0x40 } else { 0 };
            let view = MessageView {
                source: AddressView { ton: 1, npi: 1, digits: source.as_bytes() },
                destination: AddressView { ton: 3, npi: 0, digits: destination.as_bytes() },
                esm_class,
                short_message: &octets,
                ..MessageView::default()
            };
            self.post(world.millis(0, 2000), Item { body: body(&view), mobile: Some((number, at)) });
        }
    }

    /// The receipt of a part it has taken.
    fn write_receipt(&self, view: &MessageView<'_>, id: u64, state: State) -> Item {
        // The response gave it in decimal.
        let id = match self.receipt_id {
            ReceiptId::Hex => format!("{id:X}"),
            _ => id.to_string(),
        };
        let mut text = BytesMut::new();
        let moment = Timestamp(1_767_225_600_000);
        let receipt = ReceiptText {
            id: id.as_bytes(),
            submitted_parts: 1,
            delivered_parts: u16::from(state == State::Delivered),
            submitted: moment,
            done: moment,
            utc_offset: 0,
            state,
            error: b"",
            text: b"",
        };
        write::write(&receipt, &mut text);
        let (source, destination) = (view.destination, view.source);
        let view = MessageView { source, destination, esm_class: 4, short_message: &text, ..MessageView::default() };
        Item { body: body(&view), mobile: None }
    }
}

fn body(view: &MessageView<'_>) -> Bytes {
    let mut body = BytesMut::new();
    encode::message_body(&mut body, CommandId::DeliverSm, view);
    body.freeze()
}

/// One session of the gateway's with the centre.
struct Service {
    centre: Arc<Centre>,
    link: Link<Item>,
    due: BTreeMap<(Instant, u64), Due>,
    count: u64,
}

impl Service {
    async fn run(mut self) {
        while self.handle_events() {
            let now = Instant::now();
            self.respond_due(now);
            self.deliver_due(now);
            let response = self.due.keys().next().map(|(due, _)| *due);
            let receives =
                self.link.session.bound_as().is_some_and(|kind| kind.receives()) && self.link.session.free_window() > 0;
            let delivery = lock(&self.centre.state).outbox.keys().next().map(|(due, _)| *due).filter(|_| receives);
            // What another session posts is noticed soon enough.
            let look = now + Duration::from_millis(500);
            let next = response.into_iter().chain(delivery).chain([look]).min();
            tokio::select! {
                biased;
                () = self.link.progress() => {}
                () = until(next) => {}
            }
        }
        self.link.finish().await;
    }

    fn handle_events(&mut self) -> bool {
        while let Some(event) = self.link.session.poll_event() {
            match event {
                Event::Bind(_) => {
                    self.link.session.accept_bind(link::now(), b"centre");
                }
                Event::Request(frame) if frame.command_id() == CommandId::SubmitSm => self.submitted(&frame),
                Event::Request(frame) => self.link.session.respond(link::now(), frame.ticket(), CommandStatus::EsmeRinvcmdid),
                Event::Response { token, status, .. } => self.acknowledged(token, status),
                Event::NoResponse { token, .. } => {
                    if let Some((number, part)) = token.mobile {
                        self.centre.judge.book().unanswered(number, part);
                    }
                    self.again(token);
                }
                Event::Closed { reason, unanswered } => {
                    self.centre.world.event(format_args!(
                        "op{}: closed {reason:?}, {} open",
                        self.centre.number,
                        unanswered.len()
                    ));
                    unanswered.into_iter().for_each(|token| self.again(token));
                    return false;
                }
                Event::LateResponse(_) | Event::Fault(_) | Event::Unbinding | Event::Bound { .. } | Event::BindRefused(_) => {}
            }
        }
        true
    }

    fn acknowledged(&mut self, item: Item, status: CommandStatus) {
        if status != CommandStatus::EsmeRok {
            self.centre.world.event(format_args!("op{}: deliver_sm refused with {status:?}", self.centre.number));
            if let Some((number, part)) = item.mobile {
                self.centre.judge.book().mobiles[number].parts[part].copies -= 1;
            }
            return self.again(item);
        }
        lock(&self.centre.state).in_flight -= 1;
        if let Some((number, part)) = item.mobile {
            self.centre.world.event(format_args!("op{}: MO {number} part {} acknowledged", self.centre.number, part + 1));
            self.centre.judge.book().mobiles[number].parts[part].acknowledged = true;
        }
    }

    fn again(&mut self, item: Item) {
        lock(&self.centre.state).in_flight -= 1;
        self.centre.post(self.centre.world.millis(500, 5000), item);
    }

    fn deliver_due(&mut self, now: Instant) {
        let centre = self.centre.clone();
        while self.link.session.bound_as().is_some_and(|kind| kind.receives()) && self.link.session.free_window() > 0 {
            let mut state = lock(&centre.state);
            let Some(entry) = state.outbox.first_entry().filter(|entry| entry.key().0 <= now) else { return };
            let item = entry.remove();
            state.in_flight += 1;
            drop(state);
            let (body, mobile) = (item.body.clone(), item.mobile);
            match self.link.session.send(link::now(), CommandId::DeliverSm, item, |out| out.extend_from_slice(&body)) {
                Ok(_) => {
                    if let Some((number, part)) = mobile {
                        centre.judge.book().mobiles[number].parts[part].copies += 1;
                    }
                }
                Err(refused) => self.again(refused.token),
            }
        }
    }

    fn respond_due(&mut self, now: Instant) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Due::Respond(ticket, CommandStatus::EsmeRok, id) => {
                    self.link.session.respond_id(link::now(), ticket, id.as_bytes())
                }
                Due::Respond(ticket, status, _) => self.link.session.respond(link::now(), ticket, status),
                Due::Break => self.link.session.close(),
            }
        }
    }

    fn later(&mut self, delay: Duration, due: Due) {
        self.count += 1;
        self.due.insert((Instant::now() + delay, self.count), due);
    }

    /// A message: is it one that was submitted, as it was submitted, and what becomes of it?
    fn submitted(&mut self, frame: &Frame) {
        let centre = self.centre.clone();
        let world = &centre.world;
        let Some((attempt, part, view)) = read(&centre, frame) else {
            return world.violation(format_args!("op{}: a message nobody submitted: {:?}", centre.number, frame.body()));
        };
        let habits = centre.habits();
        let refusals = [
            (habits.throttles, CommandStatus::EsmeRthrottled, Verdict::Later),
            (habits.busy, CommandStatus::EsmeRmsgqful, Verdict::Later),
            (habits.vague, CommandStatus::EsmeRsubmitfail, Verdict::Vague),
            (habits.refuses, CommandStatus::EsmeRinvdstadr, Verdict::Never),
        ];
        let refusal = refusals.into_iter().find(|(share, ..)| world.percent(*share));
        let verdict = refusal.map_or(Verdict::Taken, |(.., verdict)| verdict);
        let Part { sequence, total, reference } = part;
        centre
            .judge
            .sighted(attempt, Sight { centre: centre.number, at: world.elapsed(), part: sequence, total, reference, verdict });
        let delay = world.millis(0, habits.late);
        if let Some((_, status, _)) = refusal {
            return self.later(delay, Due::Respond(frame.ticket(), status, String::new()));
        }
        let id = {
            let mut state = lock(&centre.state);
            state.next_id += 1;
            1000 + state.next_id % centre.ids
        };
        if world.percent(habits.drops) {
            self.later(delay, Due::Break);
        } else if !world.percent(habits.mute) {
            self.later(delay, Due::Respond(frame.ticket(), CommandStatus::EsmeRok, id.to_string()));
        }
        if view.registered_delivery & 3 != 0 {
            self.plan_receipt(attempt, (sequence, total), &view, id, delay);
        }
        if world.percent(habits.mobile) {
            centre.write_mobile();
        }
    }

    fn plan_receipt(&self, attempt: usize, (part, total): (u8, u8), view: &MessageView<'_>, id: u64, response: Duration) {
        let (centre, world) = (&self.centre, &self.centre.world);
        let habits = centre.habits();
        // What is sent twice is one message to the handset.
        let drawn = if world.percent(85) { State::Delivered } else { State::Undeliverable };
        let fate = {
            let mut book = centre.judge.book();
            let fates = &mut book.seen.entry(attempt).or_default().fates;
            fates.entry((centre.number, total, part)).or_insert_with(|| drawn.word().to_owned()).clone()
        };
        let state = if fate == State::Delivered.word() { State::Delivered } else { State::Undeliverable };
        if world.percent(habits.never) {
            centre.judge.book().seen.entry(attempt).or_default().silent = true;
            return;
        }
        let early = world.percent(habits.early);
        let delay = if early { Duration::ZERO } else { response + world.millis(1, habits.receipt_delay.max(1)) };
        if world.percent(habits.on_the_way) {
            centre.post(response / 2, centre.write_receipt(view, id, State::Enroute));
        }
        let item = centre.write_receipt(view, id, state);
        if world.percent(habits.twice) {
            centre.post(delay + world.millis(0, 3000), item.clone());
        }
        centre.post(delay, item);
    }
}

/// Which part of its message a submit_sm is.
struct Part {
    sequence: u8,
    total: u8,
    reference: u16,
}

/// The attempt it belongs to; `None` when there is none or when what it says is not what was submitted.
fn read<'a>(centre: &Centre, frame: &'a Frame) -> Option<(usize, Part, MessageView<'a>)> {
    let view = MessageView::parse(frame, Strictness::Lenient).ok()?;
    let number = centre.judge.attempt_for(view.destination.digits)?;
    let text = Bytes::copy_from_slice(view.message_text().ok()?);
    let (part, text) = if view.esm_class & 0x40 != 0 {
        let (header, text) = udh::split(&text).ok()?;
        let own = header.concatenation?;
        (Part { sequence: own.sequence, total: own.total, reference: own.reference }, text)
    } else if let Some(reference) = view.tlvs.sar_msg_ref_num() {
        (Part { sequence: view.tlvs.sar_segment_seqnum()?, total: view.tlvs.sar_total_segments()?, reference }, text)
    } else {
        (Part { sequence: 1, total: 1, reference: 0 }, text)
    };
    let book = centre.judge.book();
    let attempt = book.attempts.get(number)?;
    let whole = &attempt.text;
    // Parts are cut at equal lengths; the last one has the rest.
    let fits = if part.total == 1 {
        whole[..] == text[..]
    } else if part.sequence == part.total {
        whole.ends_with(&text)
    } else {
        let from = text.len() * (usize::from(part.sequence) - 1);
        whole.get(from..from + text.len()) == Some(&text[..])
    };
    let sender = format!("APP{}", attempt.account);
    let same = fits && view.data_coding == attempt.data_coding && view.source.digits == sender.as_bytes();
    drop(book);
    same.then_some((number, part, view))
}
