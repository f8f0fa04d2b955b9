use super::*;
use crate::message::Job;

fn item(id: u64, account: u16) -> Item<Job> {
    Item {
        id: MessageId(id),
        account: AccountKey(account),
        priority: 0,
        attempts: 0,
        done: 0,
        queued_at: Timestamp(id),
        expires_at: Timestamp(1_000_000),
        payload: Some(crate::message::test_job(id, AccountKey(account))),
    }
}

fn ids(pulled: &Pulled<Job>) -> Vec<u64> {
    pulled.items.iter().map(|item| item.id.0).collect()
}

#[test]
fn messages_of_one_account_leave_in_order() {
    let mut queue = Queue::new(100);
    (0..20).for_each(|id| queue.push(item(id, 1)));
    assert_eq!(ids(&queue.pull(Timestamp(0), 15, |_| 1)), (0..15).collect::<Vec<_>>());
    assert_eq!(ids(&queue.pull(Timestamp(0), 15, |_| 1)), (15..20).collect::<Vec<_>>());
    assert!(queue.is_empty());
}

#[test]
fn a_message_is_found_wherever_it_waits_and_nowhere_once_it_has_left() {
    let mut queue = Queue::new(100);
    queue.push(item(1, 1));
    queue.delay(item(2, 1), Timestamp(50));
    let when = |id| queue.find(MessageId(id)).map(|(_, not_before)| not_before);
    assert_eq!((when(1), when(2), when(3)), (Some(None), Some(Some(Timestamp(50))), None));
    assert_eq!(ids(&queue.pull(Timestamp(0), 9, |_| 1)), [1]);
    assert!(queue.find(MessageId(1)).is_none());
}

#[test]
fn a_campaign_does_not_delay_another_account() {
    let mut queue = Queue::new(2_000);
    (0..1_000).for_each(|id| queue.push(item(id, 1)));
    queue.push(item(5_000, 2));
    assert!(ids(&queue.pull(Timestamp(0), QUANTUM + 1, |_| 1)).contains(&5_000));
}

#[test]
fn a_higher_priority_goes_first() {
    let mut queue = Queue::new(100);
    queue.push(item(1, 1));
    queue.push(Item { priority: 3, ..item(2, 1) });
    assert_eq!(ids(&queue.pull(Timestamp(0), 2, |_| 1)), [2, 1]);
}

#[test]
fn what_is_put_back_is_next_and_in_order_again() {
    let mut queue = Queue::new(100);
    (0..6).for_each(|id| queue.push(item(id, 1)));
    let mut pulled = queue.pull(Timestamp(0), 3, |_| 1).items;
    pulled.reverse();
    pulled.into_iter().for_each(|item| queue.put_back(item));
    assert_eq!(ids(&queue.pull(Timestamp(0), 6, |_| 1)), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_delayed_message_waits_for_its_time() {
    let mut queue = Queue::new(100);
    queue.delay(item(1, 1), Timestamp(50));
    assert!(queue.pull(Timestamp(49), 5, |_| 1).items.is_empty());
    assert_eq!(queue.next_due(), Some(Timestamp(50)));
    assert_eq!(ids(&queue.pull(Timestamp(50), 5, |_| 1)), [1]);
}

#[test]
fn beyond_the_hot_limit_only_ids_are_kept_and_payloads_are_asked_for_in_time() {
    let mut queue = Queue::new(2);
    (0..4).for_each(|id| queue.push(item(id, 1)));
    let pulled = queue.pull(Timestamp(0), 4, |_| 1);
    assert_eq!(ids(&pulled), [0, 1]);
    assert_eq!(pulled.load, [MessageId(2), MessageId(3)]);
    assert!(queue.pull(Timestamp(0), 4, |_| 1).load.is_empty(), "asked for once only");
    let job = |id| (MessageId(id), item(id, 1).payload);
    queue.fill(vec![job(2), (MessageId(3), None)]);
    assert_eq!(ids(&queue.pull(Timestamp(0), 4, |_| 1)), [2]);
    assert!(queue.is_empty(), "a message that cannot be read leaves the queue");
}

#[test]
fn expired_messages_are_taken_out_wherever_they_stand() {
    let mut queue = Queue::new(100);
    queue.push(Item { expires_at: Timestamp(10), ..item(1, 1) });
    queue.push(item(2, 1));
    queue.delay(Item { expires_at: Timestamp(10), ..item(3, 2) }, Timestamp(500));
    assert!(queue.expire(Timestamp(9)).is_empty());
    let mut expired: Vec<u64> = queue.expire(Timestamp(10)).iter().map(|i| i.id.0).collect();
    expired.sort_unstable();
    assert_eq!(expired, [1, 3]);
    assert_eq!(queue.len(), 1);
    assert_eq!(ids(&queue.pull(Timestamp(600), 5, |_| 1)), [2]);
}

#[test]
fn a_line_goes_on_asking_when_all_it_asked_for_was_taken_out_meanwhile() {
    let mut queue = Queue::new(0);
    (0..3).for_each(|id| queue.push(item(id, 1)));
    let asked = queue.pull(Timestamp(0), 4, |_| 1).load;
    assert_eq!(asked.len(), 3);
    queue.take_out(|item| item.id.0 < 2);
    queue.push(item(7, 1));
    queue.fill(asked.iter().map(|id| (*id, None)).collect());
    assert_eq!(queue.pull(Timestamp(0), 4, |_| 1).load, [MessageId(7)]);
    assert_eq!(queue.len(), 1);
}

#[test]
fn what_was_put_before_the_messages_asked_for_does_not_keep_their_payloads_away() {
    let mut queue = Queue::new(1);
    (0..2_000).for_each(|id| queue.push(item(id + 5_000, 1)));
    let asked = queue.pull(Timestamp(0), 1, |_| 1).load;
    (0..2_000).for_each(|id| queue.put_back(item(id, 1)));
    queue.fill(asked.iter().map(|id| (*id, item(id.0, 1).payload)).collect());
    assert_eq!(queue.pull(Timestamp(0), 2_000, |_| 1).items.len(), 2_000);
    assert!(!queue.pull(Timestamp(0), 100, |_| 1).items.is_empty());
}

#[test]
fn delayed_messages_do_not_hold_more_payloads_than_the_limit() {
    let mut queue = Queue::new(1);
    (0..3).for_each(|id| queue.delay(item(id, 1), Timestamp(10)));
    let pulled = queue.pull(Timestamp(10), 5, |_| 1);
    assert_eq!((ids(&pulled), pulled.load.len()), (vec![0], 2));
}

#[test]
fn the_oldest_are_taken_out_wherever_they_stand() {
    let mut queue = Queue::new(100);
    queue.delay(item(1, 1), Timestamp(10));
    (2..5).for_each(|id| queue.push(item(id, id as u16)));
    let mut taken: Vec<u64> = queue.take_oldest(2).iter().map(|item| item.id.0).collect();
    taken.sort_unstable();
    assert_eq!((taken, queue.len()), (vec![1, 2], 2));
    assert!(queue.take_oldest(0).is_empty());
}
