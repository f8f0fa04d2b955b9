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

/// Everything in the batch with this number is durable and well.
fn assert_well(ack: Option<Ack>, ticket: u64) {
    assert_eq!(ack.map(|ack| (ack.ticket, ack.statuses)), Some((ticket, vec![])));
}
