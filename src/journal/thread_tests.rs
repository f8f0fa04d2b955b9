//! The journal as those see it who hand batches over: as a thread, and in steps.

use super::*;

fn started() -> (Journal, JoinHandle<()>, Arc<TestHost>) {
    let disk = SimDisk::new();
    let host = host();
    let (spool, ledger) = opened(&disk);
    let (journal, thread) = Journal::start(spool, ledger, host.clone()).unwrap();
    (journal, thread, host)
}

#[tokio::test]
async fn the_thread_answers_each_batch_once_in_order_and_commits_all_before_it_ends() {
    let (journal, thread, host) = started();
    let (reply, mut acks) = mpsc::channel(100);
    for ticket in 0..50 {
        journal.submit(Batch { events: vec![accept(ticket + 1)], reply: Some((reply.clone(), ticket)) }).unwrap();
    }
    journal.stop();
    for ticket in 0..50 {
        assert_well(acks.recv().await, ticket);
    }
    thread.join().unwrap();
    assert_eq!(host.told().len(), 50);
    assert!(journal.submit(Batch { events: vec![], reply: None }).is_err());
    journal.submit_when_possible(Batch { events: vec![], reply: None }).await;
    assert_eq!(journal.ask(|lookup| lookup.parked()).await, None);
}

#[tokio::test]
async fn a_question_sees_what_was_handed_over_before_it() {
    let (journal, thread, _) = started();
    journal.submit(Batch { events: vec![accept(1), sent(1)], reply: None }).unwrap();
    let status = journal.ask(|lookup| lookup.status(MessageId(1))).await.flatten().unwrap();
    assert_eq!(status.parts[0].operator_id, "op1");
    let job = journal.ask(|lookup| lookup.job(MessageId(1))).await.flatten();
    assert!(job.is_some());
    assert_eq!(journal.ask(|lookup| lookup.mail(MessageId(1))).await, Some(None));
    journal.stop();
    thread.join().unwrap();
}

#[tokio::test]
async fn a_full_channel_gives_the_batch_back_and_those_who_wait_get_their_turn() {
    let (journal, thread, _) = started();
    let (hold, held) = crossbeam_channel::bounded::<()>(1);
    let (reached, at_question) = crossbeam_channel::bounded(1);
    // The thread stands still in a question until it is let go.
    assert!(journal.tell(move |_| {
        let _ = reached.send(());
        let _ = held.recv();
    }));
    at_question.recv().unwrap();
    while journal.submit(Batch { events: vec![], reply: None }).is_ok() {}
    assert_eq!(journal.backlog(), QUEUE);
    assert!(!journal.tell(|_| ()));
    let (reply, mut acks) = mpsc::channel(1);
    let refused = journal.submit(Batch { events: vec![accept(1)], reply: Some((reply, 9)) }).unwrap_err();
    assert_eq!(refused.events.len(), 1);
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.submit_when_possible(refused).await }
    });
    tokio::task::yield_now().await;
    drop(hold);
    assert_well(acks.recv().await, 9);
    waiting.await.unwrap();
    journal.stop();
    thread.join().unwrap();
}

#[test]
fn what_goes_first_waits_for_few_of_the_many_and_they_keep_their_order() {
    let disk = SimDisk::new();
    let (spool, ledger) = opened(&disk);
    let (journal, mut steps) = Journal::in_steps(spool, ledger, host());
    let (reply, mut acks) = mpsc::channel(100);
    let mut answered = || std::iter::from_fn(|| acks.try_recv().ok()).map(|ack: Ack| ack.ticket).collect::<Vec<_>>();
    let batch = |ticket: u64| Batch { events: vec![accept(ticket)], reply: Some((reply.clone(), ticket)) };
    for ticket in 1..=5 {
        let many = (0..200).map(|at| accept(1_000 * ticket + at)).collect();
        journal.submit(Batch { events: many, reply: Some((reply.clone(), ticket)) }).unwrap();
    }
    journal.submit_first(batch(91)).unwrap();
    journal.submit_first(batch(92)).unwrap();
    assert_eq!(journal.backlog(), 7);
    assert!(steps.turn());
    assert_eq!(answered(), [91, 92, 1, 2, 3]);
    assert!(steps.turn());
    assert_eq!(answered(), [4, 5]);
    journal.submit_first(batch(93)).unwrap();
    assert!(steps.turn(), "it needs no company");
    assert_eq!(answered(), [93]);
    journal.stop();
    journal.submit_first(batch(94)).unwrap();
    assert!(!steps.turn());
    assert_eq!(answered(), [94], "the end leaves nobody without an answer");
}

#[test]
fn questions_without_end_hold_up_nobody() {
    let disk = SimDisk::new();
    let (spool, ledger) = opened(&disk);
    let (journal, mut steps) = Journal::in_steps(spool, ledger, host());
    let (reply, mut acks) = mpsc::channel(1);
    /// As an application that asks again whenever it is answered.
    fn ask_for_ever(journal: &Journal) {
        let again = journal.clone();
        assert!(journal.tell(move |_| ask_for_ever(&again)));
    }
    ask_for_ever(&journal);
    journal.submit(Batch { events: vec![accept(1)], reply: Some((reply, 1)) }).unwrap();
    assert!(steps.turn());
    assert_well(acks.try_recv().ok(), 1);
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_is_not_worked_on() {
    let disk = SimDisk::new();
    let (spool, ledger) = opened(&disk);
    let (journal, mut steps) = Journal::in_steps(spool, ledger, host());
    let asked = Arc::new(Mutex::new(0));
    let question = || {
        let asked = asked.clone();
        journal.ask(move |_| *asked.lock().unwrap() += 1)
    };
    // Handed over, and given up.
    assert!(tokio::time::timeout(Duration::ZERO, question()).await.is_err());
    let (answer, _) = tokio::join!(biased; question(), async { steps.turn() });
    assert_eq!((answer, *asked.lock().unwrap()), (Some(()), 1));
}

#[test]
fn while_the_disk_fails_submissions_are_refused_however_large_the_group_was_that_failed() {
    let disk = SimDisk::new();
    let (spool, ledger) = opened(&disk);
    let (journal, mut steps) = Journal::in_steps(spool, ledger, host());
    let (reply, mut acks) = mpsc::channel(100);
    let mut answered =
        || std::iter::from_fn(|| acks.try_recv().ok()).map(|ack: Ack| (ack.ticket, ack.statuses[0])).collect::<Vec<_>>();
    disk.fail(Operation::Sync, 0, u64::MAX);
    let many = (0..GROUP_EVENTS as u64).map(|at| accept(10_000 + at)).collect();
    journal.submit(Batch { events: many, reply: Some((reply.clone(), 1)) }).unwrap();
    assert!(steps.turn());
    assert_eq!(answered(), [(1, 0x08)]);
    journal.submit_first(Batch { events: vec![accept(5)], reply: Some((reply.clone(), 2)) }).unwrap();
    assert!(steps.turn());
    assert_eq!((answered(), journal.backlog()), (vec![(2, 0x08)], 0));
}

/// Everything in the batch with this number is durable and well.
fn assert_well(ack: Option<Ack>, ticket: u64) {
    assert_eq!(ack.map(|ack| (ack.ticket, ack.statuses)), Some((ticket, vec![])));
}
