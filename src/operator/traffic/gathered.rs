//! What has gathered for the journal, and who waits for it to be durable.

use crate::ledger::{Event, Received, SentPart, Status};
use crate::message::OperatorKey;
use crate::smpp::Ticket;

/// A list begins with room for as many as the one before it had, but no more than this.
const LIST: usize = 64;

/// Becomes one batch. What is of a kind goes as one list, which costs the journal less than one by one.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    sent: Vec<SentPart>,
    receipts: Vec<Received>,
    others: Vec<Event>,
    open: Open,
}

/// Who waits for a batch, in the order of its events.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Parts taken by the operator.
    sent: usize,
    /// The requests that brought the receipts.
    receipts: Vec<Ticket>,
    /// The request that brought the event, or none behind an outcome.
    others: Vec<Option<Ticket>>,
}

impl Gathered {
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.receipts.is_empty() && self.others.is_empty()
    }

    pub fn sent(&mut self, part: SentPart) {
        self.sent.push(part);
    }

    pub fn receipt(&mut self, receipt: Received, request: Ticket) {
        self.receipts.push(receipt);
        self.open.receipts.push(request);
    }

    /// `request`: what brought it; none for an outcome of ours.
    pub fn other(&mut self, event: Event, request: Option<Ticket>) {
        self.others.push(event);
        self.open.others.push(request);
    }

    /// Takes everything, as events in `list`, which is empty. Parts that were taken come first: a receipt that came along with the answer
    /// finds its message.
    pub fn take(&mut self, operator: OperatorKey, mut list: Vec<Event>) -> (Vec<Event>, Open) {
        if !self.sent.is_empty() {
            self.open.sent = self.sent.len();
            list.push(Event::Sent { operator, parts: renewed(&mut self.sent) });
        }
        if !self.receipts.is_empty() {
            list.push(Event::Receipts(renewed(&mut self.receipts)));
        }
        list.append(&mut self.others);
        let receipts = Vec::with_capacity(self.open.receipts.len().min(LIST));
        (list, std::mem::replace(&mut self.open, Open { receipts, ..Open::default() }))
    }

    /// Takes back what could not be handed over. Nothing else may have come since.
    pub fn put_back(&mut self, events: Vec<Event>, open: Open) {
        for event in events {
            match event {
                Event::Sent { parts, .. } => self.sent = parts,
                Event::Receipts(receipts) => self.receipts = receipts,
                other => self.others.push(other),
            }
        }
        self.open = open;
    }
}

fn renewed<T>(list: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(list.len().min(LIST));
    std::mem::replace(list, next)
}

impl Open {
    /// Outcomes of ours among the events.
    pub fn outcomes(&self) -> usize {
        self.sent + self.others.iter().filter(|request| request.is_none()).count()
    }

    /// Are there requests of the operator among the events?
    pub fn has_requests(&self) -> bool {
        !self.receipts.is_empty() || self.others.iter().any(Option::is_some)
    }

    /// The operator's requests with their answers: `statuses` are those of the batch's events, or empty when all is well.
    pub fn answers(&self, statuses: &[Status]) -> impl Iterator<Item = (Ticket, Status)> {
        let requests = self.receipts.iter().copied().map(Some).chain(self.others.iter().copied());
        let statuses = statuses.iter().copied().chain(std::iter::repeat(0)).skip(self.sent);
        requests.zip(statuses).filter_map(|(request, status)| Some((request?, status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{job, receipt_event};
    use crate::message::MessageId;
    use crate::smpp::CommandId;

    const OPERATOR: OperatorKey = OperatorKey(0);

    fn part(id: u64) -> SentPart {
        SentPart {
            job: job(id, 1, "358401234567"),
            part: 0,
            total: 1,
            operator_id: Default::default(),
            key: None,
            strayed: false,
        }
    }

    fn request(sequence: u32) -> Ticket {
        Ticket { command: CommandId::DeliverSm, sequence }
    }

    fn failed(id: u64) -> Event {
        let failure = crate::ledger::Failure { state: crate::receipt::State::Rejected, status: 8 };
        Event::Failed { id: MessageId(id), operator: None, parts: None, failure }
    }

    /// A receipt, an outcome, an MO message, a part taken, another receipt, and another part, in the order they came.
    fn gathered() -> Gathered {
        let mut gathered = Gathered::default();
        let receipt = || if let Event::Receipts(mut list) = receipt_event("abc") { list.remove(0) } else { unreachable!() };
        gathered.receipt(receipt(), request(1));
        gathered.other(failed(7), None);
        gathered.other(failed(8), Some(request(2)));
        gathered.sent(part(1));
        gathered.receipt(receipt(), request(3));
        gathered.sent(part(2));
        gathered
    }

    fn is_whole(events: &[Event]) -> bool {
        use Event::{Failed, Receipts, Sent};
        let [Sent { parts, .. }, Receipts(receipts), Failed { .. }, Failed { .. }] = events else { return false };
        (parts.len(), receipts.len()) == (2, 2)
    }

    #[test]
    fn parts_that_were_taken_go_first_and_each_request_is_answered_with_its_own_status() {
        let mut gathered = gathered();
        let (events, open) = gathered.take(OPERATOR, Vec::new());
        assert!(is_whole(&events) && gathered.is_empty());
        assert_eq!(open.outcomes(), 3);
        let answers = |statuses: &[Status]| open.answers(statuses).map(|(t, status)| (t.sequence, status)).collect::<Vec<_>>();
        assert_eq!(answers(&[]), [(1, 0), (3, 0), (2, 0)]);
        assert_eq!(answers(&[90, 91, 0x64, 0x65, 92, 0x66]), [(1, 0x64), (3, 0x65), (2, 0x66)]);
        assert_eq!(events.iter().map(Event::count).sum::<usize>(), 6, "as many statuses");
    }

    #[test]
    fn what_could_not_be_handed_over_is_handed_over_next_time() {
        let mut gathered = gathered();
        let (events, open) = gathered.take(OPERATOR, Vec::new());
        gathered.put_back(events, open);
        gathered.sent(part(3));
        let (events, open) = gathered.take(OPERATOR, Vec::new());
        assert_eq!((events.len(), events[0].count(), open.outcomes()), (4, 3, 4));
        let sequences: Vec<u32> = open.answers(&[]).map(|(request, _)| request.sequence).collect();
        assert_eq!(sequences, [1, 3, 2]);
    }
}
