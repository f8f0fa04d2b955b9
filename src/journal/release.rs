//! What follows a durable group, let happen beside the next one: while a second thread fills queues and mailboxes and answers the
//! sessions, the journal's own already takes in what has come meanwhile.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::mpsc;

use super::{Ack, Host};
use crate::ledger::Effect;

/// What must follow once a group is durable.
#[derive(Default)]
pub(super) struct Consequences {
    pub effects: Vec<Effect>,
    pub answers: Vec<Answer>,
}

/// What a batch's sender will be told.
pub(super) struct Answer {
    pub reply: mpsc::Sender<Ack>,
    pub ack: Ack,
    /// Events in the batch.
    pub events: usize,
}

impl Consequences {
    /// Lets them happen, the answers last: an answered message is already on its way. Nothing is left.
    pub fn happen(&mut self, host: &impl Host) {
        if !self.effects.is_empty() {
            host.deliver(&mut self.effects);
            self.effects.clear();
        }
        for answer in self.answers.drain(..) {
            // The session may have gone; its client will not hear, and will send again.
            let _ = answer.reply.try_send(answer.ack);
        }
    }
}

/// The second thread. It has one group's consequences at a time, so that groups keep their order.
pub(super) struct Releaser {
    /// Taken when it is to end.
    due: Option<Sender<Consequences>>,
    done: Receiver<Consequences>,
    at_work: bool,
    thread: Option<JoinHandle<()>>,
}

impl Releaser {
    /// # Errors
    /// When the thread cannot be started.
    pub fn start<H: Host>(host: Arc<H>) -> std::io::Result<Releaser> {
        let (due, inbox) = bounded::<Consequences>(1);
        let (outbox, done) = bounded(1);
        let work = move || {
            for mut consequences in inbox {
                consequences.happen(&*host);
                // The journal waits for it, or has ended.
                let _ = outbox.send(consequences);
            }
        };
        let thread = std::thread::Builder::new().name("release".into()).spawn(work)?;
        Ok(Releaser { due: Some(due), done, at_work: false, thread: Some(thread) })
    }

    /// Lets the consequences happen: here and now when nobody waits for this thread meanwhile, otherwise beside it. Leaves an empty
    /// list with room in their place.
    pub fn release(&mut self, consequences: &mut Consequences, somebody_waits: bool, host: &impl Host) {
        let mut spare = self.done.try_recv().ok();
        if self.at_work && spare.is_none() {
            // The group before comes first.
            spare = self.done.recv().ok();
        }
        self.at_work = false;
        match &self.due {
            Some(due) if somebody_waits => {
                let taken = std::mem::replace(consequences, spare.unwrap_or_default());
                // The thread ends only after the channel has been closed from here.
                self.at_work = due.send(taken).is_ok();
            }
            _ => consequences.happen(host),
        }
    }
}

impl Drop for Releaser {
    /// What it has been given still happens.
    fn drop(&mut self) {
        self.due = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
