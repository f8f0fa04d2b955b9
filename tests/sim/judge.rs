//! What was promised and what was seen, told by the applications and operators themselves; and the verdict over it.
//!
//! Each attempt to submit a message has a destination number of its own, so that everything seen of it can be told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::world::{World, lock};

/// A submission, as its application knows it.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub account: usize,
    pub destination: String,
    pub text: Vec<u8>,
    pub data_coding: u8,
    /// registered_delivery: 0 none, 1 every final state, 2 failures only.
    pub receipt: u8,
    pub validity: Option<Duration>,
    pub submitted: Duration,
    /// How long after its submission it may be sent at the earliest.
    pub delay: Duration,
    pub answer: Answer,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Open,
    /// The connection ended first: it may be accepted or not.
    Unknown,
    Accepted {
        id: Vec<u8>,
    },
    Refused {
        status: u32,
    },
}

/// A submit_sm an operator has read.
#[derive(Debug, Clone)]
pub struct Sight {
    pub centre: usize,
    pub at: Duration,
    /// From 1.
    pub part: u8,
    pub total: u8,
    pub reference: u16,
    pub verdict: Verdict,
}

/// What the operator made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    /// Asked to come again.
    Later,
    /// Refused vaguely, or with the end of the session: given up after some attempts.
    Vague,
    Never,
}

/// A receipt or MO message that reached an application.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub account: usize,
    pub at: Duration,
    /// Answered ESME_ROK.
    pub answered: bool,
    /// The session it came over.
    pub session: u64,
}

/// An MO message an operator has.
#[derive(Debug, Clone)]
pub struct Mobile {
    pub account: usize,
    pub parts: Vec<MobilePart>,
    /// As a whole.
    pub arrivals: Vec<Arrival>,
}

#[derive(Debug, Clone, Default)]
pub struct MobilePart {
    pub text: Vec<u8>,
    /// Copies that may arrive: those that the gateway may have taken for all the operator knows.
    pub copies: usize,
    /// One was not answered in time, without any excuse.
    pub unanswered: bool,
    pub acknowledged: bool,
    /// Alone, because the others did not come in time.
    pub arrivals: Vec<Arrival>,
}

/// A receipt as it reached an application.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub arrival: Arrival,
    pub state: String,
    pub id: Vec<u8>,
    /// Of this part only.
    pub part: Option<u8>,
}

/// Copies of a part that come with less than this between them are known for what they are: `mo_reassembly`, and some room.
const KNOWN: Duration = Duration::from_secs(50);

/// Everything seen of one attempt.
#[derive(Debug, Default)]
pub struct Seen {
    pub sights: Vec<Sight>,
    pub receipts: Vec<Receipt>,
    /// Final states the operators have decided on, by operator, number of parts, and part.
    pub fates: BTreeMap<(usize, u8, u8), String>,
    /// For a part of it no receipt comes.
    pub silent: bool,
}

impl Book {
    /// Of what was being written when the power went, any part may be missing.
    pub fn may_be_damaged(&self) -> bool {
        self.damaged || self.disk_failed || self.power_cuts > 0
    }

    /// A copy of an MO message was not answered in time. One may be on its way to a disk that fails just then; whoever comes after it
    /// is to be told, and not kept.
    pub fn unanswered(&mut self, number: usize, part: usize) {
        let excused = self.disk_slow || !self.lulls.is_empty();
        let part = &mut self.mobiles[number].parts[part];
        if part.unanswered && !excused {
            part.copies -= 1;
        }
        part.unanswered = true;
    }
}

/// The records.
#[derive(Default)]
pub struct Book {
    pub attempts: Vec<Attempt>,
    pub seen: BTreeMap<usize, Seen>,
    pub by_destination: BTreeMap<String, usize>,
    pub mobiles: Vec<Mobile>,
    /// When each session of an application ended, if not in order: what it answered last may not have been read.
    pub broken: BTreeMap<u64, Duration>,
    pub crashes: Vec<Duration>,
    /// When answers may have been late: of one session, because its application did not listen, or of all, because a connection stood
    /// still.
    pub lulls: Vec<(Option<u64>, Duration, Duration)>,
    /// Receipts may come after the time they are waited for, or name an id that means more than one message.
    pub receipts_late: bool,
    /// A message of which it had taken parts cannot go on elsewhere if that operator wants other parts.
    pub operator_removed: bool,
    pub disk_failed: bool,
    /// Answers may take longer than the operators wait for them.
    pub disk_slow: bool,
    pub power_cuts: usize,
    /// Bits have turned on the disk: what their records said may be lost, and nothing else may happen.
    pub damaged: bool,
    /// Requests that were open at crashes at most.
    pub open_at_crashes: usize,
    /// `possible_duplicates_total` over all lives.
    pub possible_duplicates: u64,
}

/// The book, shared by all.
pub struct Judge {
    world: Arc<World>,
    book: Mutex<Book>,
}

impl Judge {
    pub fn new(world: Arc<World>) -> Arc<Judge> {
        Arc::new(Judge { world, book: Mutex::default() })
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub fn attempt_for(&self, destination: &[u8]) -> Option<usize> {
        let destination = String::from_utf8_lossy(destination).into_owned();
        self.book().by_destination.get(&destination).copied()
    }

    /// An operator has read a submit_sm.
    pub fn sighted(&self, attempt: usize, sight: Sight) {
        self.world
            .event(format_args!("op{}: message {attempt} part {}/{} {:?}", sight.centre, sight.part, sight.total, sight.verdict));
        self.book().seen.entry(attempt).or_default().sights.push(sight);
    }

    /// The verdict over the whole run, when everything has come to rest.
    pub fn judge(&self) {
        let book = self.book();
        let world = &self.world;
        let mut duplicates = 0;
        for (number, attempt) in book.attempts.iter().enumerate() {
            let nothing = Seen::default();
            let seen = book.seen.get(&number).unwrap_or(&nothing);
            duplicates += surplus(seen);
            if let Some(complaint) = complaint(&book, attempt, seen) {
                world.violation(format_args!("message {number}: {complaint}\n  {attempt:?}\n  {seen:?}"));
            }
        }
        for (number, mobile) in book.mobiles.iter().enumerate() {
            if let Some(complaint) = mobile_complaint(&book, mobile) {
                world.violation(format_args!("MO {number}: {complaint}\n  {mobile:?}"));
            }
        }
        let counted = book.possible_duplicates as usize;
        if duplicates > counted + book.open_at_crashes {
            world.violation(format_args!(
                "{duplicates} parts were sent twice; {counted} were counted as possible, {} were open at crashes",
                book.open_at_crashes
            ));
        }
        world.event(format_args!("judge: {} attempts, {} MO, {duplicates} duplicates", book.attempts.len(), book.mobiles.len()));
    }
}

/// Parts taken by operators more than once.
fn surplus(seen: &Seen) -> usize {
    let taken: Vec<u8> = seen.sights.iter().filter(|sight| sight.verdict == Verdict::Taken).map(|sight| sight.part).collect();
    taken.len() - taken.iter().collect::<BTreeSet<_>>().len()
}

/// Have operators taken all its parts, so that a handset could join them?
fn sent_whole(seen: &Seen) -> bool {
    !wholes(seen).is_empty()
}

/// Has a handset all its parts?
fn delivered(seen: &Seen) -> bool {
    let arrived = |(centre, total): &(usize, u8)| {
        (1..=*total).all(|part| seen.fates.get(&(*centre, *total, part)).is_some_and(|fate| fate == "DELIVRD"))
    };
    wholes(seen).iter().any(arrived)
}

/// The operators that have taken all parts of it, and in how many.
fn wholes(seen: &Seen) -> Vec<(usize, u8)> {
    let taken = seen.sights.iter().filter(|sight| sight.verdict == Verdict::Taken);
    let mut whole: BTreeMap<(usize, u16, u8), BTreeSet<u8>> = BTreeMap::new();
    for sight in taken {
        whole.entry((sight.centre, sight.reference, sight.total)).or_default().insert(sight.part);
    }
    let whole = whole.into_iter().filter(|((_, _, total), parts)| parts.len() == usize::from(*total));
    whole.map(|((centre, _, total), _)| (centre, total)).collect()
}

fn complaint(book: &Book, attempt: &Attempt, seen: &Seen) -> Option<String> {
    let accepted = match &attempt.answer {
        Answer::Accepted { id } => Some(id),
        Answer::Refused { status } => {
            // A group that failed may be on the disk, and come back after a crash.
            let excused = book.damaged || (book.disk_failed && !book.crashes.is_empty());
            let sent = !seen.sights.is_empty() || !seen.receipts.is_empty();
            return (sent && !excused).then(|| format!("was refused with 0x{status:02X}, and sent"));
        }
        Answer::Open | Answer::Unknown => None,
    };
    if let Some(complaint) = receipts_complaint(book, attempt, seen) {
        return Some(complaint);
    }
    // Times are told in whole seconds.
    let earliest = (attempt.submitted + attempt.delay).saturating_sub(Duration::from_secs(1));
    if seen.sights.iter().any(|sight| sight.at < earliest) {
        return Some("was sent before its time".to_owned());
    }
    let id = accepted.filter(|_| !book.damaged)?;
    if let Some(other) = seen.receipts.iter().find(|receipt| receipt.id != *id) {
        return Some(format!("its receipt names {}", String::from_utf8_lossy(&other.id)));
    }
    let failed = seen.receipts.iter().any(|receipt| receipt.state != "DELIVRD");
    let silently = attempt.receipt == 0 && may_fail(attempt, seen);
    if !sent_whole(seen) && !failed && !silently {
        return Some("was accepted, and neither sent nor reported".to_owned());
    }
    if attempt.receipt == 1 && !reported(seen) {
        return Some("no receipt came".to_owned());
    }
    if attempt.receipt == 2 && seen.receipts.is_empty() && !delivered(seen) {
        return Some("no receipt of its failure came".to_owned());
    }
    None
}

/// Has it a receipt, or one for each of its parts?
fn reported(seen: &Seen) -> bool {
    let parts: BTreeSet<u8> = seen.receipts.iter().filter_map(|receipt| receipt.part).collect();
    // An operator that refused it may count its parts in another way than the one that took it.
    let taken = wholes(seen).into_iter().map(|(_, total)| total).min();
    let total = usize::from(taken.or_else(|| seen.sights.iter().map(|sight| sight.total).max()).unwrap_or(1));
    let by_parts = !parts.is_empty();
    if by_parts { parts.len() >= total } else { !seen.receipts.is_empty() }
}

/// Is there a reason for which a message may fail without a word, when no receipt was asked for?
fn may_fail(attempt: &Attempt, seen: &Seen) -> bool {
    let count = |verdict| seen.sights.iter().filter(|sight| sight.verdict == verdict).count();
    let expired = attempt.validity.is_some();
    // A vague refusal is final at the third attempt, whatever became of those before.
    count(Verdict::Never) > 0 || count(Verdict::Vague) > 0 || expired
}

fn receipts_complaint(book: &Book, attempt: &Attempt, seen: &Seen) -> Option<String> {
    if let Some(wrong) = seen.receipts.iter().find(|receipt| receipt.arrival.account != attempt.account) {
        return Some(format!("its receipt went to app{}", wrong.arrival.account));
    }
    if attempt.receipt == 0 && !seen.receipts.is_empty() {
        return Some("a receipt nobody asked for".to_owned());
    }
    let mut by_part: BTreeMap<Option<u8>, Vec<&Receipt>> = BTreeMap::new();
    for receipt in &seen.receipts {
        by_part.entry(receipt.part).or_default().push(receipt);
    }
    by_part.values().find_map(|receipts| receipt_complaint(book, attempt, seen, receipts))
}

/// Of receipts that say the same thing.
fn receipt_complaint(book: &Book, attempt: &Attempt, seen: &Seen, receipts: &[&Receipt]) -> Option<String> {
    let states: BTreeSet<&str> = receipts.iter().map(|receipt| receipt.state.as_str()).collect();
    let (part, state) = (receipts[0].part, receipts[0].state.as_str());
    if states.len() > 1 && !book.damaged {
        return Some(format!("its receipts say {states:?}"));
    }
    let fate = |state: &str| match part {
        Some(part) => seen.fates.iter().any(|((.., of), fate)| *of == part && fate == state),
        None if state == "DELIVRD" => delivered(seen),
        None => seen.fates.values().any(|fate| fate == state),
    };
    let refused = || seen.sights.iter().any(|sight| matches!(sight.verdict, Verdict::Never | Verdict::Vague));
    let true_to_fact = match state {
        "DELIVRD" => fate(state),
        "UNDELIV" => fate(state) || (book.operator_removed && !seen.sights.is_empty()),
        "REJECTD" => refused(),
        "EXPIRED" => book.receipts_late || seen.silent || attempt.validity.is_some(),
        _ => false,
    };
    if !true_to_fact && !book.damaged {
        return Some(format!("is said to be {state}, and is not"));
    }
    if attempt.receipt == 2 && state == "DELIVRD" {
        return Some("a receipt of success although only failures were asked for".to_owned());
    }
    let arrivals: Vec<Arrival> = receipts.iter().map(|receipt| receipt.arrival.clone()).collect();
    repeated(book, &arrivals).then(|| "its receipt came again without a reason".to_owned())
}

/// Did something come again although the first one was answered, nothing broke, and nobody crashed?
fn repeated(book: &Book, arrivals: &[Arrival]) -> bool {
    arrivals.windows(2).any(|two| !may_repeat(book, &two[0], two[1].at) && !slept_over(book, &two[1]))
}

/// May it have been sent long ago, to a session that did not listen then? What was sent after it may have been answered meanwhile.
fn slept_over(book: &Book, arrival: &Arrival) -> bool {
    let (session, at) = (Some(arrival.session), arrival.at);
    book.lulls.iter().any(|(of, from, to)| *of == session && *from <= at && at <= *to + Duration::from_secs(1))
}

/// Is there a reason for which what has arrived may do so again until then?
fn may_repeat(book: &Book, arrival: &Arrival, until: Duration) -> bool {
    let between = |at: &Duration| (arrival.at..=until).contains(at);
    // The gateway may have known of it first.
    let broke = book.broken.get(&arrival.session).is_some_and(|at| (arrival.at..=until + Duration::from_secs(2)).contains(at));
    let lull = |(session, from, to): &(Option<u64>, Duration, Duration)| {
        session.is_none_or(|session| session == arrival.session) && *from <= until && arrival.at <= *to
    };
    let late = book.lulls.iter().any(lull);
    !arrival.answered || broke || late || book.crashes.iter().any(between) || book.damaged
}

/// Did something arrive more often than it was sent, and not for a good reason?
fn too_often(book: &Book, arrivals: &[Arrival], sent: usize) -> bool {
    let Some(last) = arrivals.last() else { return false };
    let excused = arrivals.iter().filter(|arrival| may_repeat(book, arrival, last.at)).count();
    arrivals.len() > sent + excused
}

fn mobile_complaint(book: &Book, mobile: &Mobile) -> Option<String> {
    let alone = mobile.parts.iter().flat_map(|part| &part.arrivals);
    if let Some(arrival) = mobile.arrivals.iter().chain(alone).find(|arrival| arrival.account != mobile.account) {
        return Some(format!("went to app{}", arrival.account));
    }
    for (at, part) in mobile.parts.iter().enumerate() {
        let arrived = mobile.arrivals.len() + part.arrivals.len();
        if part.acknowledged && arrived == 0 && !book.damaged {
            return Some(format!("part {} was acknowledged and never arrived", at + 1));
        }
        // Joined or alone: each copy can have arrived once.
        let mut arrivals = [&mobile.arrivals[..], &part.arrivals].concat();
        arrivals.sort_by_key(|arrival| arrival.at);
        // A copy of a part is known by its reference, for as long as parts are waited for. (A slow disk lets what came long after
        // another arrive close behind it.)
        let known = |two: &&[Arrival]| mobile.parts.len() > 1 && !book.disk_slow && two[1].at - two[0].at < KNOWN;
        let is_known = arrivals.windows(2).filter(known).any(|two| repeated(book, two));
        if is_known || too_often(book, &arrivals, part.copies) {
            return Some(format!("part {} came again without a reason", at + 1));
        }
    }
    None
}
