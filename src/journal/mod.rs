//! The thread that owns the spool and the ledger: it makes batches durable and then lets their consequences happen.
//!
//! It takes whatever has come since it last looked, lets the ledger turn it into records, commits them with one fdatasync, and only
//! then releases what must follow: one answer to each session, messages into operator queues, items into mailboxes. The more comes
//! in at once, the larger the group; when little comes, a group is one batch and nobody waits for company. What those hand over who
//! have little under way goes before the rest, into a small group, so that nobody waits behind a flood of another.
//!
//! When the disk fails nothing is acknowledged: submissions are refused, everything else is kept until the spool has recovered, and
//! since a bind's window is freed only by our answer, sending pauses by itself.

mod failed;
mod gate;
mod group;
mod read_back;
mod recover;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, TrySendError};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::ledger::{Among, Look, Recipient, Sought};
use crate::ledger::{Effect, Event, Ledger, Log, MessageStatus, Quarantined, Rules, Status, StrayReceipt};
use crate::link;
use crate::message::{Job, Mail, MessageId, OperatorKey, Timestamp};
use crate::spool::{Class, Disk, Location, ReadError, Spool};
pub use gate::Gate;
use group::Group;
pub use read_back::{Allowance, ReadBack};
pub use recover::{Opened, open, resume};

/// Batches that may wait for the thread; more make the sessions stop reading.
const QUEUE: usize = 4_096;

/// Events taken into one group at most: bounds the time until the first of them is answered.
const GROUP_EVENTS: usize = 16_384;

/// The same for a group into which something came that goes before all: it waits for no more of the others, in the order of half a
/// millisecond.
const SHARED_EVENTS: usize = 500;

/// Questions answered before a group ends: whoever asks without pause must not keep it open.
const GROUP_QUESTIONS: usize = 256;

/// Events handed over in one turn by those who can wait: bounds what others wait for them.
const TURN_EVENTS: usize = 500;

/// How long the next turn waits for the one before.
const TURN_PATIENCE: Duration = Duration::from_secs(1);

/// How often the thread looks up when nothing comes: expiries, compaction, spare segments.
const IDLE: Duration = Duration::from_millis(200);

/// What a session is answered for one batch.
#[derive(Debug)]
pub struct Ack {
    /// The batch's own number.
    pub ticket: u64,
    /// An SMPP status for each event, in order, as they are [counted](Batch::count); empty when all of them are durable and well.
    pub statuses: Vec<Status>,
    /// The list the events came in, empty: the next batch needs one of about the same size.
    pub list: Vec<Event>,
}

/// Events that become durable together, and who wants to know.
///
/// Submissions come in batches of their own, with a reply: while the disk fails such a batch is refused whole.
#[derive(Debug)]
pub struct Batch {
    pub events: Vec<Event>,
    /// Where the answer goes, and its number. The sender keeps fewer batches open than the channel has room for.
    pub reply: Option<(mpsc::Sender<Ack>, u64)>,
}

impl Batch {
    /// How many things happened: what is in lists is counted one by one.
    pub fn count(&self) -> usize {
        self.events.iter().map(Event::count).sum()
    }
}

/// What the journal thread lives in.
pub trait Host: Send + Sync + 'static {
    type Rules: Rules;
    fn now(&self) -> Timestamp;
    /// The configuration in force.
    fn rules(&self) -> Arc<Self::Rules>;
    /// Lets the consequences of a durable group happen. Called on the journal thread; must not block.
    fn deliver(&self, effects: &mut Vec<Effect>);
    /// The spool as it was found, before the first commit.
    fn opened(&self, stats: crate::spool::Stats);
    /// A group was committed.
    fn committed(&self, commit: Commit);
    /// Are submissions taken? Told at start, after each commit, and when the disk fails or is well again.
    fn accepting(&self, accepting: bool);
    /// A group could not be committed.
    fn disk_failed(&self);
}

/// Figures of one commit.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    pub took: Duration,
    pub bytes: u64,
    pub events: usize,
    pub stats: crate::spool::Stats,
    /// Accepted messages that are not final.
    pub pending: usize,
}

/// Questions about the state, answered on the journal thread between two groups.
pub trait Lookup {
    fn status(&mut self, id: MessageId) -> Option<MessageStatus>;
    /// The same from memory alone: what only the message itself says may be missing.
    fn standing(&self, id: MessageId) -> Option<MessageStatus>;
    fn job(&mut self, id: MessageId) -> Option<Arc<Job>>;
    fn mail(&mut self, id: MessageId) -> Option<Arc<Mail>>;
    fn unmatched(&self) -> Vec<StrayReceipt>;
    fn parked(&self) -> usize;
    fn newest_parked(&self) -> Vec<StrayReceipt>;
    fn quarantined(&self) -> Vec<Quarantined>;
    /// A slice of a search, see [`Ledger::search`].
    fn search(&self, sought: &Sought, among: Among, below: MessageId) -> Look;
    /// Messages that receipts with an operator's id would be for, see [`Ledger::correlated`].
    fn correlated(&self, operator: Option<OperatorKey>, id: &[u8]) -> Vec<MessageId>;
    fn recipient(&mut self, id: MessageId) -> Option<Recipient>;
    /// Did a look-up since the last call find nothing only because the disk could not be read just now?
    fn read_failed(&mut self) -> bool;
}

type Question = Box<dyn FnOnce(&mut dyn Lookup) + Send>;

enum Command {
    Batch(Batch),
    Ask(Question),
    Stop,
}

/// A handle on the thread. Cloned into every session.
#[derive(Clone)]
pub struct Journal {
    commands: Sender<Command>,
    /// Batches that go before all others.
    first: Sender<Batch>,
    room: Arc<Notify>,
    gate: Arc<Gate>,
    /// Told that something has come, when there is no thread that waits for it.
    came: Option<Arc<Notify>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("waiting", &self.commands.len()).finish()
    }
}

impl Journal {
    /// Starts the thread. It ends after [`Journal::stop`], having committed everything it was given.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start<D, H>(spool: Spool<D>, ledger: Ledger, host: Arc<H>) -> std::io::Result<(Journal, JoinHandle<()>)>
    where
        D: Disk + Send + 'static,
        D::File: Send,
        H: Host,
    {
        let (journal, inbox) = Journal::new(None);
        let group = Group::new(spool, ledger, host, journal.gate.clone());
        let keeper = Keeper { group, inbox, room: journal.room.clone() };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || keeper.run())?;
        Ok((journal, thread))
    }

    /// A journal without a thread, which takes its steps when told to: for a simulation.
    pub fn in_steps<D: Disk, H: Host>(spool: Spool<D>, ledger: Ledger, host: Arc<H>) -> (Journal, Steps<D, H>) {
        let came = Arc::<Notify>::default();
        let (journal, inbox) = Journal::new(Some(came.clone()));
        let group = Group::new(spool, ledger, host, journal.gate.clone());
        let keeper = Keeper { group, inbox, room: journal.room.clone() };
        (journal, Steps { keeper, came })
    }

    fn new(came: Option<Arc<Notify>>) -> (Journal, Inbox) {
        let (commands, in_order) = crossbeam_channel::bounded(QUEUE);
        let (first, before_all) = crossbeam_channel::bounded(QUEUE);
        let gate = Arc::new(Gate::new(link::now()));
        (Journal { commands, first, room: Arc::default(), gate, came }, Inbox { in_order, before_all })
    }

    fn send(&self, command: Command) -> Result<(), TrySendError<Command>> {
        self.commands.try_send(command)?;
        self.something_came();
        Ok(())
    }

    fn something_came(&self) {
        if let Some(came) = &self.came {
            came.notify_one();
        }
    }

    /// Hands a batch over.
    ///
    /// # Errors
    /// Gives the batch back when the thread is too far behind (take nothing in until it has room) or has ended.
    pub fn submit(&self, batch: Batch) -> Result<(), Batch> {
        match self.send(Command::Batch(batch)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Command::Batch(batch)) | TrySendError::Disconnected(Command::Batch(batch))) => Err(batch),
            Err(_) => Ok(()),
        }
    }

    /// Hands a batch over that becomes durable before all that waits. For small batches of those who have nothing else waiting, so that
    /// they need not wait for the many of somebody else; what is handed over this way keeps its order only among itself.
    ///
    /// # Errors
    /// As [`Journal::submit`].
    pub fn submit_first(&self, batch: Batch) -> Result<(), Batch> {
        self.first.try_send(batch).map_err(TrySendError::into_inner)?;
        self.something_came();
        Ok(())
    }

    /// Hands a batch over, waiting for room as long as it takes. A thread that has ended takes nothing any more.
    pub async fn submit_when_possible(&self, batch: Batch) {
        let mut command = Command::Batch(batch);
        loop {
            let room = self.room.notified();
            match self.send(command) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(refused)) => command = refused,
            }
            room.await;
        }
    }

    /// Hands over what need not be soon, some at a time, each part when the one before is durable: what others hand over meanwhile
    /// comes between. Gives up waiting, but nothing it has handed over, when the disk takes too long; the rest is handed over then.
    pub async fn submit_in_turns(&self, events: Vec<Event>) {
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let (reply, mut answer) = mpsc::channel(1);
            let (mut turn, mut count) = (Vec::new(), 0);
            while count < TURN_EVENTS
                && let Some(event) = events.next()
            {
                count += event.count();
                turn.push(event);
            }
            self.submit_when_possible(Batch { events: turn, reply: Some((reply, 0)) }).await;
            // A thread that has ended takes the rest as well, and answers nothing.
            let _ = tokio::time::timeout(TURN_PATIENCE, answer.recv()).await;
        }
    }

    /// Answers `question` with the state between two groups; `None` when the thread has ended or is too far behind.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut dyn Lookup) -> T + Send + 'static) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let ask = Box::new(move |lookup: &mut dyn Lookup| {
            // An asker that has gone wants no answer, which may be dear.
            if !reply.is_closed() {
                let _ = reply.send(question(lookup));
            }
        });
        self.send(Command::Ask(ask)).ok()?;
        answer.await.ok()
    }

    /// Lets `question` see the state between two groups, if there is room; for those who want no answer here.
    pub fn tell(&self, question: impl FnOnce(&mut dyn Lookup) + Send + 'static) -> bool {
        self.send(Command::Ask(Box::new(question))).is_ok()
    }

    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Batches waiting for the thread.
    pub fn backlog(&self) -> usize {
        self.commands.len() + self.first.len()
    }

    /// Batches that may wait for it.
    pub fn capacity(&self) -> usize {
        [self.commands.capacity(), self.first.capacity()].into_iter().flatten().sum()
    }

    /// Ends the thread once it has committed everything handed over before. Blocks while its queue is full.
    pub fn stop(&self) {
        // The thread may have ended already.
        let _ = self.commands.send(Command::Stop);
    }
}

/// The journal's work in steps, for whoever has it without a thread.
pub struct Steps<D: Disk, H: Host> {
    keeper: Keeper<D, H>,
    came: Arc<Notify>,
}

impl<D: Disk, H: Host> Steps<D, H> {
    /// Waits for something to come.
    pub async fn something_comes(&mut self) {
        self.came.notified().await;
    }

    /// Takes what has come, commits it and lets its consequences happen; never waits. False: that was the last turn.
    pub fn turn(&mut self) -> bool {
        let goes_on = self.keeper.take_in();
        self.keeper.close(goes_on);
        goes_on
    }
}

/// What has come.
struct Inbox {
    in_order: Receiver<Command>,
    before_all: Receiver<Batch>,
}

impl Inbox {
    /// Waits for something to come, or for all senders to be gone.
    fn wait(&self, limit: Duration) {
        let mut select = Select::new();
        select.recv(&self.before_all);
        select.recv(&self.in_order);
        // When nothing comes there is still what time brings.
        let _ = select.ready_timeout(limit);
    }
}

/// The thread's own view: its inbox and the group it is working on.
struct Keeper<D: Disk, H: Host> {
    group: Group<D, H>,
    inbox: Inbox,
    room: Arc<Notify>,
}

impl<D: Disk, H: Host> Keeper<D, H> {
    fn run(mut self) {
        loop {
            self.inbox.wait(IDLE);
            let goes_on = self.take_in();
            self.close(goes_on);
            if !goes_on {
                break;
            }
        }
        // Nobody may wait for a channel that is gone.
        let Keeper { inbox, room, .. } = self;
        drop(inbox);
        room.notify_waiters();
    }

    /// Ends the group that has been gathered.
    fn close(&mut self, goes_on: bool) {
        if goes_on {
            self.group.commit();
        } else {
            self.group.finish();
        }
        self.room.notify_waiters();
    }

    /// Takes in what has come; false when the thread is to end. With something in it that goes before all a group is a small one, but
    /// takes at least one batch from the line, which so never stands still.
    fn take_in(&mut self) -> bool {
        let mut shared = self.take_first();
        let mut questions = 0;
        loop {
            match self.inbox.in_order.try_recv() {
                Ok(Command::Batch(batch)) => self.group.take(batch),
                Ok(Command::Ask(question)) => {
                    self.group.answer(question);
                    questions += 1;
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    self.take_first();
                    return false;
                }
                Err(TryRecvError::Empty) => break,
            }
            shared |= self.take_first();
            let enough = if shared { SHARED_EVENTS } else { GROUP_EVENTS };
            if self.group.events() >= enough || questions >= GROUP_QUESTIONS {
                break;
            }
        }
        self.group.maintain();
        true
    }

    /// Takes in what goes before all; false when there is none.
    fn take_first(&mut self) -> bool {
        let before = self.group.events();
        while self.group.events() < GROUP_EVENTS
            && let Ok(batch) = self.inbox.before_all.try_recv()
        {
            self.group.take(batch);
        }
        self.group.events() > before
    }
}

/// A record that is not in the spool although the ledger has written it: an append or its group has failed.
pub(crate) struct Unwritten {
    class: Class,
    kind: u8,
    id: u64,
    /// Where the ledger believes it to stand.
    location: Location,
    payload: Vec<u8>,
}

/// The spool as the ledger writes to it. A record that cannot be appended is kept; the group is then not committed without it.
pub(crate) struct SpoolLog<'a, D: Disk> {
    spool: &'a mut Spool<D>,
    unwritten: &'a mut VecDeque<Unwritten>,
    read_failed: bool,
}

impl<'a, D: Disk> SpoolLog<'a, D> {
    pub(crate) fn new(spool: &'a mut Spool<D>, unwritten: &'a mut VecDeque<Unwritten>) -> Self {
        SpoolLog { spool, unwritten, read_failed: false }
    }

    fn append(&mut self, class: Class, kind: u8, id: MessageId, payload: &[u8]) -> Location {
        let appended = match class {
            // Behind a record that could not be appended nothing is: their order matters.
            _ if !self.unwritten.is_empty() => None,
            Class::Full => self.spool.append_full(kind, id.0, payload).ok(),
            Class::Delta => self.spool.append_delta(kind, id.0, payload).ok(),
        };
        let location = appended.unwrap_or_default();
        if appended.is_none() {
            self.unwritten.push_back(Unwritten { class, kind, id: id.0, location, payload: payload.to_vec() });
        }
        location
    }
}

impl<D: Disk> Log for SpoolLog<'_, D> {
    fn append_full(&mut self, kind: u8, id: MessageId, payload: &[u8]) -> Location {
        self.append(Class::Full, kind, id, payload)
    }

    fn append_change(&mut self, kind: u8, id: MessageId, payload: &[u8]) {
        self.append(Class::Delta, kind, id, payload);
    }

    fn release(&mut self, location: Location) {
        self.spool.release(location);
    }

    fn read(&mut self, location: Location) -> Option<(u8, Bytes)> {
        match self.spool.read(location) {
            Ok(record) => Some((record.kind, record.payload.into())),
            Err(error) => {
                tracing::error!(segment = location.segment, offset = location.offset, %error, "a record cannot be read back");
                self.read_failed |= matches!(error, ReadError::Io(_));
                None
            }
        }
    }

    fn read_failed(&mut self) -> bool {
        std::mem::take(&mut self.read_failed)
    }
}
