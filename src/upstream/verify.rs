//! Who verifies a password when: argon2id takes tens of milliseconds of a core, and a flood of guesses must take neither all cores
//! nor the turn of others.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::source::Source;

/// Sources take turns by a hash: those that share a slot share a turn, and the table does not grow.
const TURNS: usize = 256;

/// Hands out turns: one at a time to each source, and to all of them together half of the cores, so that one that guesses holds up
/// others by a single verification.
#[derive(Debug)]
pub struct Turns {
    sources: Box<[Arc<Semaphore>]>,
    cores: Arc<Semaphore>,
    key: RandomState,
}

/// The right to verify one password; to be kept by the thread that does it, so that a connection that ends frees nothing early.
#[derive(Debug)]
pub struct Turn {
    _source: OwnedSemaphorePermit,
    _core: OwnedSemaphorePermit,
}

impl Turns {
    /// On a machine of so many cores.
    pub fn new(cores: usize) -> Self {
        Turns {
            sources: (0..TURNS).map(|_| Arc::new(Semaphore::new(1))).collect(),
            cores: Arc::new(Semaphore::new((cores / 2).max(1))),
            key: RandomState::new(),
        }
    }

    /// Waits for the source's turn.
    pub async fn wait(&self, source: Source) -> Turn {
        let place = self.key.hash_one(source) % TURNS as u64;
        let one = |semaphore: &Arc<Semaphore>| semaphore.clone().acquire_owned();
        let source = one(&self.sources[place as usize]).await.expect("never closed");
        Turn { _source: source, _core: one(&self.cores).await.expect("never closed") }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::task::yield_now;

    use super::*;

    fn source(number: u32) -> Source {
        Source::of(Ipv4Addr::from_bits(number).into())
    }

    #[tokio::test]
    async fn a_source_has_one_turn_at_a_time_and_holds_up_another_by_one_at_most() {
        let turns = Arc::new(Turns::new(2));
        let first = turns.wait(source(1)).await;
        let waiting = |from| {
            let turns = turns.clone();
            tokio::spawn(async move { turns.wait(source(from)).await })
        };
        let crowd: Vec<_> = (0..100).map(|_| waiting(1)).collect();
        yield_now().await;
        // Another source, in another slot of the table.
        let slot = |from| turns.key.hash_one(source(from)) % TURNS as u64;
        let other = (2..).find(|from| slot(*from) != slot(1)).expect("another slot");
        let other = waiting(other);
        yield_now().await;
        assert!(!other.is_finished(), "there is one core for it, and it is busy");
        drop(first);
        let turn = other.await.expect("its turn");
        yield_now().await;
        assert!(crowd.iter().all(|task| !task.is_finished()), "before the hundred that came earlier");
        drop(turn);
        for task in crowd {
            drop(task.await.expect("everybody's turn comes"));
        }
    }

    #[tokio::test]
    async fn half_of_the_cores_verify_at_once_at_most() {
        let turns = Turns::new(8);
        let mut held = Vec::new();
        for from in 0.. {
            let wait = std::pin::pin!(turns.wait(source(from)));
            tokio::select! { biased; turn = wait => held.push(turn), () = yield_now() => {} }
            if from > 1_000 {
                break;
            }
        }
        assert_eq!(held.len(), 4);
    }
}
