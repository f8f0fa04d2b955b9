//! An application: it submits, submits again what was not answered or refused, and reads what comes, in its own time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smppgw::link::{self, Link};
use smppgw::receipt::text::{Delivery, from_parts};
use smppgw::smpp::{
    AddressView, BindKind, BindView, CommandId, CommandStatus, Event, Frame, MessageView, Role, Session, Settings, Strictness,
    Timers, TlvTag, Tlvs, Version, encode, tlv,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::judge::{Answer, Arrival, Attempt, Judge, Receipt};
use crate::network::{Net, until};
use crate::node::HOST;
use crate::world::{World, lock};

/// What an application does, and how well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    pub window: usize,
    /// Longest pause between two submissions of a session, in milliseconds.
    pub pause: u64,
    /// Of a hundred pauses so many are long, without reading anything.
    pub deaf: u32,
    /// Of a hundred deliveries so many are refused for now, and so many not answered.
    pub refuses: u32,
    pub ignores: u32,
    /// Of a hundred turns so many end with an unbind.
    pub unbinds: u32,
}

/// One account's application.
pub struct App {
    pub number: usize,
    world: Arc<World>,
    net: Arc<Net>,
    judge: Arc<Judge>,
    manners: Mutex<Manners>,
    /// Messages still to be submitted, or to be submitted again: each only once at a time.
    waiting: Mutex<VecDeque<Wanted>>,
    open: Mutex<usize>,
}

/// A message as it is to be submitted.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub prefix: &'static str,
    pub length: usize,
    pub wide: bool,
    pub receipt: u8,
    /// In seconds, as the delay is.
    pub validity: Option<u64>,
    pub delay: Option<u64>,
    /// By data_sm, which has no field for times.
    pub data: bool,
}

impl App {
    pub fn new(
        number: usize,
        world: &Arc<World>,
        net: &Arc<Net>,
        judge: &Arc<Judge>,
        manners: Manners,
        messages: usize,
    ) -> Arc<App> {
        let wanted = |_| {
            let data = world.percent(10);
            Wanted {
                prefix: if world.percent(50) { "35840" } else { "35850" },
                length: if world.percent(25) { world.number(161, 600) as usize } else { world.number(12, 150) as usize },
                wide: world.percent(10),
                receipt: [1, 1, 1, 0, 2][world.index(5)],
                validity: (!data && world.percent(10)).then(|| world.number(2, 30)),
                delay: (!data && world.percent(5)).then(|| world.number(10, 30)),
                data,
            }
        };
        let waiting = Mutex::new((0..messages).map(wanted).collect());
        let (world, net, judge) = (world.clone(), net.clone(), judge.clone());
        Arc::new(App { number, world, net, judge, manners: Mutex::new(manners), waiting, open: Mutex::new(0) })
    }

    /// One more message to submit, next.
    pub fn want(&self, wanted: Wanted) {
        lock(&self.waiting).push_front(wanted);
    }

    pub fn set_manners(&self, manners: Manners) {
        *lock(&self.manners) = manners;
    }

    pub fn manners(&self) -> Manners {
        *lock(&self.manners)
    }

    /// Is everything submitted and answered?
    pub fn is_done(&self) -> bool {
        lock(&self.waiting).is_empty() && *lock(&self.open) == 0
    }

    /// Keeps one session up until told to stop.
    pub async fn keep_session(self: Arc<Self>, kind: BindKind, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let connected = self.net.clone().reach(HOST.to_owned()).await;
            if let Ok(stream) = connected {
                let number = self.world.number(0, u64::MAX - 1);
                let session = Session::new(self.protocol(), link::now());
                let talk = Talk {
                    app: &self,
                    number,
                    link: Link::new(stream, session),
                    kind,
                    next: Instant::now(),
                    answers: VecDeque::new(),
                };
                talk.run(&mut stop).await;
            }
            sleep(self.world.millis(50, 3000)).await;
        }
    }

    fn protocol(&self) -> Settings {
        let mut settings = Settings::new(Role::Esme);
        settings.window = self.manners().window;
        let seconds = Duration::from_secs;
        settings.timers =
            Timers { session_init: seconds(5), enquire_link: seconds(10), inactivity: Duration::ZERO, response: seconds(10) };
        settings.version = Version::V3_4;
        settings
    }

    /// A new attempt at a message.
    fn attempt(&self, wanted: &Wanted) -> usize {
        let mut book = self.judge.book();
        let number = book.attempts.len();
        let destination = format!("{}{number:07}", wanted.prefix);
        let mut text = format!("app{} m{number:07} ", self.number).into_bytes();
        while text.len() < wanted.length {
            text.push(b'a' + ((text.len() * 7 + number) % 26) as u8);
        }
        if wanted.wide {
            text = text.iter().flat_map(|octet| [0x04, *octet]).collect();
        }
        let attempt = Attempt {
            account: self.number,
            destination: destination.clone(),
            text,
            data_coding: if wanted.wide { 8 } else { 0 },
            receipt: wanted.receipt,
            validity: wanted.validity.map(Duration::from_secs),
            submitted: self.world.elapsed(),
            delay: Duration::from_secs(wanted.delay.unwrap_or(0)),
            answer: Answer::Open,
        };
        book.by_destination.insert(destination, number);
        book.attempts.push(attempt);
        number
    }
}

/// One session.
struct Talk<'a> {
    app: &'a Arc<App>,
    number: u64,
    link: Link<(usize, Wanted)>,
    kind: BindKind,
    /// When the next message may be submitted.
    next: Instant,
    /// Deliveries to be answered later.
    answers: VecDeque<(Instant, Frame, CommandStatus)>,
}

impl Talk<'_> {
    async fn run(mut self, stop: &mut watch::Receiver<bool>) {
        let name = format!("app{}", self.app.number);
        let bind = BindView {
            kind: self.kind,
            system_id: name.as_bytes(),
            password: b"secret",
            system_type: b"",
            version: Version::V3_4,
            addr_ton: 0,
            addr_npi: 0,
            address_range: b"",
        };
        self.link.session.bind(link::now(), &bind);
        while self.handle_events() {
            if *stop.borrow() {
                self.link.session.unbind(link::now());
            }
            let pause = self.submit();
            self.answer();
            if let Some(pause) = pause {
                self.pause(pause).await;
            }
            let submits = self.kind.transmits() && self.link.session.free_window() > 0 && !lock(&self.app.waiting).is_empty();
            let due = self.answers.iter().map(|(due, ..)| *due).chain(submits.then_some(self.next)).min();
            tokio::select! {
                biased;
                () = self.link.progress() => {}
                () = until(due) => {}
                _ = stop.changed() => {}
            }
        }
        self.link.finish().await;
    }

    /// Between two submissions: now and then the application does not listen for a while, or has had enough.
    async fn pause(&mut self, pause: Duration) {
        let manners = self.app.manners();
        self.next = Instant::now() + pause;
        if self.app.world.percent(manners.deaf) {
            let from = self.app.world.elapsed();
            sleep(self.app.world.millis(1000, 15_000)).await;
            self.app.judge.book().lulls.push((Some(self.number), from, self.app.world.elapsed()));
        }
        if self.app.world.percent(manners.unbinds) {
            self.link.session.unbind(link::now());
        }
    }

    /// False when the session has ended.
    fn handle_events(&mut self) -> bool {
        while let Some(event) = self.link.session.poll_event() {
            match event {
                Event::Response { token, frame, status, .. } => self.answered(token, &frame, status),
                Event::NoResponse { token, .. } => {
                    // Whether it comes after all is not waited for.
                    self.unknown(token);
                    self.link.session.close();
                }
                Event::Request(frame) => self.delivered(frame),
                Event::BindRefused(status) => {
                    self.app.world.event(format_args!("app{}: bind refused {status:?}", self.app.number));
                    self.link.session.close();
                }
                Event::Closed { reason, unanswered } => {
                    self.app.world.event(format_args!("app{}: closed {reason:?}, {} open", self.app.number, unanswered.len()));
                    unanswered.into_iter().for_each(|token| self.unknown(token));
                    let now = self.app.world.elapsed();
                    self.app.judge.book().broken.insert(self.number, now);
                    return false;
                }
                Event::Bound { .. } => self.app.world.event(format_args!("app{}: bound", self.app.number)),
                Event::LateResponse(_) | Event::Fault(_) | Event::Bind(_) | Event::Unbinding => {}
            }
        }
        true
    }

    /// Submits one message if it may; says how long to wait for the next.
    fn submit(&mut self) -> Option<Duration> {
        let app = self.app;
        if !self.kind.transmits() || self.next > Instant::now() || self.link.session.free_window() == 0 {
            return None;
        }
        let wanted = lock(&app.waiting).pop_front()?;
        let number = app.attempt(&wanted);
        let attempt = app.judge.book().attempts[number].clone();
        let (command, long) = match wanted.data {
            true => (CommandId::DataSm, true),
            false => (CommandId::SubmitSm, attempt.text.len() > 254),
        };
        let mut tlvs = bytes::BytesMut::new();
        if long {
            tlv::put(&mut tlvs, TlvTag::MessagePayload, &attempt.text);
        }
        let relative = |seconds: u64| format!("0000000000{seconds:02}000R");
        // The validity begins when it may be sent.
        let validity = wanted.validity.map(|seconds| relative(seconds + wanted.delay.unwrap_or(0))).unwrap_or_default();
        let schedule = wanted.delay.map(relative).unwrap_or_default();
        let sender = format!("APP{}", app.number);
        let view = MessageView {
            source: AddressView { ton: 5, npi: 0, digits: sender.as_bytes() },
            destination: AddressView { ton: 1, npi: 1, digits: attempt.destination.as_bytes() },
            schedule_delivery_time: schedule.as_bytes(),
            validity_period: validity.as_bytes(),
            registered_delivery: attempt.receipt,
            data_coding: attempt.data_coding,
            short_message: if long { b"" } else { &attempt.text },
            tlvs: Tlvs::encoded(&tlvs),
            ..MessageView::default()
        };
        let body = |out: &mut bytes::BytesMut| encode::message_body(out, command, &view);
        *lock(&app.open) += 1;
        match self.link.session.send(link::now(), command, (number, wanted), body) {
            Ok(_) => app.world.event(format_args!("app{}: submits {number}", app.number)),
            Err(refused) => self.unknown(refused.token),
        }
        Some(app.world.millis(0, app.manners().pause))
    }

    fn answered(&mut self, (number, wanted): (usize, Wanted), frame: &Frame, status: CommandStatus) {
        let app = self.app;
        let id = frame.body().split(|octet| *octet == 0).next().unwrap_or_default().to_vec();
        app.world.event(format_args!("app{}: {number} answered {status:?} {}", app.number, String::from_utf8_lossy(&id)));
        *lock(&app.open) -= 1;
        let accepted = status == CommandStatus::EsmeRok;
        app.judge.book().attempts[number].answer = match accepted {
            true => Answer::Accepted { id },
            false => Answer::Refused { status: status.into() },
        };
        if !accepted {
            // Throttled, full, failing: all that can be refused here passes.
            self.next = Instant::now() + app.world.millis(100, 2000);
            lock(&app.waiting).push_back(wanted);
        }
    }

    /// Not answered: submitted again as another message.
    fn unknown(&mut self, (number, wanted): (usize, Wanted)) {
        *lock(&self.app.open) -= 1;
        self.app.judge.book().attempts[number].answer = Answer::Unknown;
        lock(&self.app.waiting).push_back(wanted);
    }

    fn delivered(&mut self, frame: Frame) {
        let (app, world, manners) = (self.app, &self.app.world, self.app.manners());
        let status = if world.percent(manners.refuses) { CommandStatus::EsmeRxTAppn } else { CommandStatus::EsmeRok };
        let ignored = world.percent(manners.ignores);
        let answered = status == CommandStatus::EsmeRok && !ignored;
        let arrival = Arrival { account: app.number, at: world.elapsed(), answered, session: self.number };
        let Ok(view) = MessageView::parse(&frame, Strictness::Lenient) else {
            return world.violation(format_args!("app{}: a deliver_sm that cannot be read", app.number));
        };
        let text = view.message_text().unwrap_or_default();
        let delivery = Delivery { esm_class: view.esm_class, data_coding: view.data_coding, text, ..Delivery::default() };
        match from_parts(delivery) {
            Some(receipt) => {
                let state = receipt.state.word().to_owned();
                world.event(format_args!(
                    "app{}: receipt {state} of {} answered {answered}",
                    app.number,
                    String::from_utf8_lossy(&receipt.id)
                ));
                match app.judge.attempt_for(view.source.digits) {
                    Some(attempt) => {
                        let part = view.tlvs.sar_segment_seqnum();
                        let receipt = Receipt { arrival, state, id: receipt.id.to_vec(), part };
                        app.judge.book().seen.entry(attempt).or_default().receipts.push(receipt);
                    }
                    None => world.violation(format_args!("app{}: a receipt of nothing: {view:?}", app.number)),
                }
            }
            None => app.mobile(&view, text, arrival),
        }
        if !ignored {
            let due = Instant::now() + world.millis(0, 200);
            self.answers.push_back((due, frame, status));
        }
    }

    fn answer(&mut self) {
        let now = Instant::now();
        while let Some(at) = self.answers.iter().position(|(due, ..)| *due <= now) {
            if let Some((_, frame, status)) = self.answers.remove(at) {
                self.link.session.respond(link::now(), frame.ticket(), status);
            }
        }
    }
}

impl App {
    fn mobile(&self, view: &MessageView<'_>, text: &[u8], arrival: Arrival) {
        let (part, text) = if view.esm_class & 0x40 != 0 {
            let length = usize::from(text.first().copied().unwrap_or(0)) + 1;
            let sequence = text.get(length - 1).copied().unwrap_or(0);
            (Some(usize::from(sequence)), text.get(length..).unwrap_or_default())
        } else {
            (None, text)
        };
        // The sender's number says which it is.
        let number = String::from_utf8_lossy(view.source.digits).trim_start_matches("35870").parse::<usize>();
        let mut book = self.judge.book();
        let mobile = number.ok().and_then(|number| book.mobiles.get_mut(number));
        self.world.event(format_args!("app{}: MO {part:?} from {}", self.number, String::from_utf8_lossy(view.source.digits)));
        let known = mobile.is_some_and(|mobile| match part {
            None => {
                let whole: Vec<u8> = mobile.parts.iter().flat_map(|part| part.text.clone()).collect();
                mobile.arrivals.push(arrival);
                whole == text
            }
            Some(sequence) => mobile.parts.get_mut(sequence.wrapping_sub(1)).is_some_and(|part| {
                part.arrivals.push(arrival);
                part.text == text
            }),
        });
        drop(book);
        if !known {
            self.world.violation(format_args!("app{}: an MO message nobody sent: {part:?} {text:?}", self.number));
        }
    }
}
