use super::*;
use crate::message::Job;

fn item(id: u64, account: u16) -> Item<Job> {
    Item {
        id: MessageId(id),
        account: AccountKey(account),
        priority: 0,
        attempts: 0,
        vague_refusals: 0,
        suspicion: Suspicion::default(),
        done: 0,
        queued_at: Timestamp(id),
        expires_at: Timestamp(1_000_000),
        payload: Some(crate::message::test_job(id, AccountKey(account))),
    }
}

fn take_out(queue: &mut Queue<Job>, wanted: impl FnMut(&Item<Job>) -> bool) -> Vec<Item<Job>> {
    queue.take_slice(MessageId(0), MessageId(u64::MAX), wanted)
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
    let when = |id| queue.find(MessageId(id)).map(|found| found.until);
    assert_eq!((when(1), when(2), when(3)), (Some(None), Some(Some(Timestamp(50))), None));
    assert_eq!(ids(&queue.pull(Timestamp(0), 9, |_| 1)), [1]);
    assert!(queue.find(MessageId(1)).is_none());
}

#[test]
fn of_a_message_that_waits_to_be_tried_again_the_last_refusal_is_known_until_its_time_comes() {
    let mut queue = Queue::new(100);
    queue.delay_refused(item(1, 1), Timestamp(50), 0x45);
    let refusal = |queue: &Queue<Job>| queue.find(MessageId(1)).map(|found| (found.until, found.refusal));
    assert_eq!(refusal(&queue), Some((Some(Timestamp(50)), 0x45)));
    queue.end_delays(Timestamp(50));
    assert_eq!(refusal(&queue), Some((None, 0)));
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
    take_out(&mut queue, |item| item.id.0 < 2);
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

#[test]
fn what_comes_later_stays_behind_what_stands_far_back() {
    let mut queue = Queue::new(2);
    (0..1_000).for_each(|id| queue.push(item(id, 1)));
    let mut left = Vec::new();
    for id in 1_000..1_500 {
        let pulled = queue.pull(Timestamp(0), 3, |_| 1);
        queue.push(item(id, 1));
        queue.fill(pulled.load.iter().map(|id| (*id, item(id.0, 1).payload)).collect());
        left.extend(ids(&pulled));
    }
    assert_eq!(left, (0..left.len() as u64).collect::<Vec<_>>());
    assert!(left.len() > 1_000, "{}", left.len());
}

#[test]
fn what_is_known_of_a_message_far_back_is_kept() {
    let mut queue = Queue::new(0);
    let sent = Item { priority: 2, attempts: 7, vague_refusals: 2, done: 0b101, queued_at: Timestamp(61_234), ..item(5, 3) };
    let sent = Item { suspicion: Suspicion { deaths: 1, alone: 0 }, ..sent };
    queue.push(sent.clone());
    let found = queue.find(MessageId(5)).unwrap().item;
    let taken = take_out(&mut queue, |item| item.done == 0b101);
    for kept in [&found, &taken[0]] {
        assert_eq!((kept.id, kept.account, kept.priority, kept.attempts), (sent.id, sent.account, 2, 7));
        assert_eq!((kept.vague_refusals, kept.suspicion), (2, sent.suspicion));
        assert_eq!((kept.done, kept.queued_at, kept.expires_at), (0b101, Timestamp(61_000), sent.expires_at));
    }
    assert!(queue.is_empty());
}

#[test]
fn when_very_many_expire_the_others_do_not_wait_for_all_of_them() {
    let mut queue = Queue::new(10);
    let count = EXPIRED_AT_ONCE as u64 + 1_000;
    (0..count).for_each(|id| queue.push(Item { expires_at: Timestamp(10), ..item(id, 1) }));
    queue.push(item(count, 1));
    assert_eq!(queue.expire(Timestamp(10)).len(), EXPIRED_AT_ONCE);
    assert_eq!(queue.expire(Timestamp(10)).len(), 1_000);
    assert_eq!((queue.expire(Timestamp(10)).len(), queue.len()), (0, 1));
}

mod whatever_happens {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push { account: u16, priority: u8 },
        Pull { parts: u32 },
        PutBack { which: usize },
        Delay { which: usize },
        Fill,
        AskAgain,
        Expire,
        TakeOldest,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0u16..3, 0u8..5).prop_map(|(account, priority)| Step::Push { account, priority }),
            4 => (0u32..12).prop_map(|parts| Step::Pull { parts }),
            2 => (0usize..9).prop_map(|which| Step::PutBack { which }),
            1 => (0usize..9).prop_map(|which| Step::Delay { which }),
            2 => Just(Step::Fill),
            1 => Just(Step::AskAgain),
            1 => Just(Step::Expire),
            1 => Just(Step::TakeOldest),
        ]
    }

    /// The queue, what must be in it, and what was taken from it or asked for.
    struct World {
        queue: Queue<Job>,
        inside: BTreeMap<MessageId, AccountKey>,
        outside: Vec<Item<Job>>,
        asked: Vec<MessageId>,
        now: u64,
        next: u64,
    }

    impl World {
        fn leaves(&mut self, items: &[Item<Job>]) {
            for item in items {
                assert_eq!(self.inside.remove(&item.id), Some(item.account), "{:?} left twice", item.id);
            }
        }

        fn pull(&mut self, parts: u32) -> usize {
            let pulled = self.queue.pull(Timestamp(self.now), parts, |_| 1);
            assert!(pulled.items.len() <= parts as usize && pulled.items.iter().all(|item| item.payload.is_some()));
            self.leaves(&pulled.items);
            self.asked.extend(pulled.load);
            let count = pulled.items.len();
            self.outside.extend(pulled.items);
            count
        }

        fn fill(&mut self) {
            let payloads = std::mem::take(&mut self.asked).into_iter().map(|id| (id, item(id.0, 0).payload));
            self.queue.fill(payloads.collect());
        }

        fn take(&mut self, step: &Step) {
            let pick = |which: usize, outside: &mut Vec<Item<Job>>| {
                (!outside.is_empty()).then(|| outside.swap_remove(which % outside.len()))
            };
            match *step {
                Step::Push { account, priority } => {
                    self.next += 1;
                    let expires_at = Timestamp(self.now + 50 + self.next % 7);
                    self.queue.push(Item { priority, expires_at, ..item(self.next, account) });
                    self.inside.insert(MessageId(self.next), AccountKey(account));
                }
                Step::Pull { parts } => drop(self.pull(parts)),
                Step::PutBack { which } => {
                    let Some(item) = pick(which, &mut self.outside) else { return };
                    self.inside.insert(item.id, item.account);
                    self.queue.put_back(item);
                }
                Step::Delay { which } => {
                    let Some(item) = pick(which, &mut self.outside) else { return };
                    self.inside.insert(item.id, item.account);
                    self.queue.delay(item, Timestamp(self.now + 5));
                }
                Step::Fill => self.fill(),
                Step::AskAgain => {
                    self.asked.clear();
                    self.queue.ask_again();
                }
                Step::Expire => {
                    self.now += 20;
                    let expired = self.queue.expire(Timestamp(self.now));
                    assert!(expired.iter().all(|item| item.expires_at <= Timestamp(self.now)));
                    self.leaves(&expired);
                    assert!(self.queue.expire(Timestamp(self.now)).is_empty());
                }
                Step::TakeOldest => {
                    let taken = self.queue.take_oldest(2);
                    assert_eq!(taken.len(), self.inside.len().min(2));
                    self.leaves(&taken);
                }
            }
            assert_eq!(self.queue.len(), self.inside.len());
            let hot = self.queue.lines().map(Line::hot).sum::<usize>();
            let delayed = self.queue.delayed.iter().filter(|Reverse(delayed)| delayed.item.payload.is_some()).count();
            assert_eq!(self.queue.hot, hot + delayed);
        }
    }

    proptest! {
        #[test]
        fn each_message_leaves_once_and_none_is_left(steps in prop::collection::vec(step(), 0..200), hot in 0usize..20) {
            let mut world =
                World { queue: Queue::new(hot), inside: BTreeMap::new(), outside: Vec::new(), asked: Vec::new(), now: 0, next: 0 };
            for step in &steps {
                world.take(step);
            }
            world.now += 5;
            while !world.inside.is_empty() {
                world.asked.clear();
                world.queue.ask_again();
                let taken = world.pull(100);
                world.fill();
                prop_assert!(taken + world.pull(100) > 0, "{} are stuck", world.inside.len());
            }
            prop_assert!(world.queue.is_empty());
        }
    }
}

fn suspect(id: u64) -> Item<Job> {
    Item { suspicion: Suspicion { deaths: 2, alone: 0 }, ..item(id, 1) }
}

#[test]
fn a_suspect_leaves_alone_and_never_with_the_others() {
    let mut queue = Queue::new(100);
    queue.push(suspect(1));
    queue.put_back(suspect(2));
    queue.push(item(3, 1));
    queue.delay(suspect(4), Timestamp(50));
    assert_eq!((queue.len(), queue.ready(Timestamp(60)), queue.next_suspect()), (4, 1, Some(Timestamp(0))));
    assert_eq!(ids(&queue.pull(Timestamp(60), 9, |_| 1)), [3]);
    let mut pull = |now| queue.pull_suspect(Timestamp(now)).map(|item| item.id.0);
    assert_eq!([pull(10), pull(10), pull(10), pull(60), pull(60)], [Some(1), Some(2), None, Some(4), None]);
    assert!(queue.is_empty() && queue.hot == 0);
}

#[test]
fn a_suspect_is_found_expires_and_is_taken_out_like_any_other() {
    let mut queue = Queue::new(100);
    (1..=4).for_each(|id| queue.delay(Item { expires_at: Timestamp(id * 10), ..suspect(id) }, Timestamp(50)));
    assert_eq!(queue.find(MessageId(3)).map(|found| found.until), Some(Some(Timestamp(50))));
    assert_eq!(queue.expire(Timestamp(10)).len(), 1);
    assert_eq!(queue.remove(AccountKey(1), 0, MessageId(2)).map(|item| item.id.0), Some(2));
    assert_eq!(queue.take_aside(|item| item.id.0 == 3).len(), 1);
    assert_eq!((queue.len(), queue.oldest(), queue.ready(Timestamp(60))), (1, Some(Timestamp(4)), 0));
}

#[test]
fn one_death_of_its_session_makes_no_suspect_and_is_remembered_far_back() {
    let mut queue = Queue::new(0);
    queue.push(Item { suspicion: Suspicion::default().after(Blame::Crowd), ..item(1, 1) });
    assert_eq!(queue.pull(Timestamp(0), 1, |_| 1).load, [MessageId(1)]);
    queue.fill(vec![(MessageId(1), item(1, 1).payload)]);
    assert_eq!(queue.pull(Timestamp(0), 1, |_| 1).items[0].suspicion.deaths, 1);
}

#[test]
fn slices_show_everything_once_and_what_is_taken_out_of_them_is_gone() {
    let mut queue = Queue::new(300);
    (0..5_000).for_each(|id| queue.push(Item { priority: (id % 3) as u8, ..item(id, (id % 7) as u16) }));
    let (mut from, mut seen, mut taken) = (MessageId(0), Vec::new(), Vec::new());
    loop {
        let Slice { items, next } = queue.slice(from, 100);
        assert!(items.len() <= 100 + 21 * LEAST_OF_A_LINE, "{}", items.len());
        seen.extend(items.iter().map(|item| item.id.0));
        let end = next.map_or(MessageId(u64::MAX), |next| MessageId(next.0 - 1));
        taken.extend(queue.take_slice(from, end, |item| item.id.0 % 2 == 0).iter().map(|item| item.id.0));
        let Some(next) = next else { break };
        from = next;
    }
    seen.sort_unstable();
    taken.sort_unstable();
    assert_eq!(seen, (0..5_000).collect::<Vec<_>>());
    assert_eq!(taken, (0..5_000).step_by(2).collect::<Vec<_>>());
    assert_eq!((queue.len(), queue.slice(MessageId(0), 9_999).items.len()), (2_500, 2_500));
}

#[test]
fn the_delayed_take_their_places_when_their_time_has_come() {
    let mut queue = Queue::new(100);
    queue.push(item(2, 1));
    queue.delay(item(1, 1), Timestamp(50));
    queue.end_delays(Timestamp(49));
    assert_eq!(queue.slice(MessageId(0), 100).items.len(), 1);
    queue.end_delays(Timestamp(50));
    assert_eq!(queue.slice(MessageId(0), 100).items.len(), 2);
}

#[test]
fn what_is_taken_out_of_many_lines_comes_in_the_same_order_every_time() {
    let accounts = [9, 3, 7, 12, 1, 30, 5, 2];
    let mut queue = Queue::new(100);
    (0..).zip(accounts).for_each(|(id, account)| queue.push(item(id, account)));
    let taken = take_out(&mut queue, |_| true);
    assert!(taken.is_sorted_by_key(|item| item.account.0), "{taken:?}");
}

fn large(id: u64) -> Item<Job> {
    let mut message = crate::message::test_message("shop", "358401234567", "Moi");
    message.tlvs = vec![0; 60_000].into();
    let job = Job { id: MessageId(id), account: AccountKey(1), message, route: Default::default() };
    Item { payload: Some(Arc::new(job)), ..item(id, 1) }
}

#[test]
fn of_large_payloads_no_more_are_read_back_than_soon_will_be_sent() {
    let mut queue = Queue::new(1_000);
    (0..300).for_each(|id| queue.push(large(id)));
    let first = queue.pull(Timestamp(9), 1, |_| 1);
    assert!(first.items.is_empty());
    // 40 of them are more than 2 MiB, 34 are less: then the rest is asked for.
    queue.fill(first.load.iter().take(40).map(|id| (*id, large(id.0).payload)).collect());
    let mut asked = Vec::new();
    let mut sent = Vec::new();
    while asked.is_empty() {
        let pulled = queue.pull(Timestamp(9), 1, |_| 1);
        assert_eq!(pulled.items.len(), 1, "{sent:?}");
        sent.extend(pulled.items.iter().map(|item| item.id.0));
        asked = pulled.load;
    }
    assert_eq!(sent, [0, 1, 2, 3, 4, 5]);
    queue.fill(asked.iter().map(|id| (*id, large(id.0).payload)).collect());
    let pulled = queue.pull(Timestamp(9), 300, |_| 1);
    assert!(pulled.items.iter().map(|item| item.id.0).eq(6..300));
}

#[test]
fn a_large_payload_does_not_wait_in_memory() {
    let mut queue = Queue::new(100);
    queue.push(large(1));
    queue.delay(large(2), Timestamp(5));
    let held = |id, queue: &Queue<Job>| queue.find(MessageId(id)).is_some_and(|found| found.item.payload.is_some());
    assert!(!held(1, &queue) && !held(2, &queue));
    let pulled = queue.pull(Timestamp(9), 9, |_| 1);
    assert_eq!((pulled.items.len(), pulled.load.len()), (0, 2), "they are read back when their turn comes");
    queue.fill(pulled.load.into_iter().map(|id| (id, large(id.0).payload)).collect());
    assert_eq!(queue.pull(Timestamp(9), 9, |_| 1).items.len(), 2);
}

#[test]
fn a_scheduled_message_does_not_wait_before_its_time_and_one_that_is_tried_again_does() {
    let mut queue = Queue::new(100);
    queue.delay(Item { queued_at: Timestamp(50), ..item(1, 1) }, Timestamp(50));
    assert_eq!((queue.len(), queue.due(), queue.oldest()), (1, 0, None));
    queue.delay(Item { queued_at: Timestamp(20), attempts: 1, ..item(2, 1) }, Timestamp(60));
    assert_eq!((queue.len(), queue.due(), queue.oldest()), (2, 1, Some(Timestamp(20))));
    queue.end_delays(Timestamp(55));
    assert_eq!((queue.due(), queue.oldest()), (2, Some(Timestamp(20))));
    assert_eq!(queue.remove(AccountKey(1), 0, MessageId(2)).map(|item| item.id), Some(MessageId(2)));
    assert_eq!((queue.due(), queue.oldest()), (1, Some(Timestamp(50))));
}
