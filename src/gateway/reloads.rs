//! The news that the configuration has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts reloads and wakes whoever waits for one, first come, first served. (A `watch` channel wakes in random order.)
#[derive(Debug, Default)]
pub(super) struct Reloads {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    count: AtomicU64,
    news: Notify,
}

impl Reloads {
    pub fn announce(&self) {
        self.shared.count.fetch_add(1, Ordering::Release);
        self.shared.news.notify_waiters();
    }

    pub fn seen_none(&self) -> ReloadsSeen {
        ReloadsSeen { shared: self.shared.clone(), seen: None }
    }
}

/// Which reloads one session has taken notice of; at first not even those before it began.
#[derive(Debug)]
pub struct ReloadsSeen {
    shared: Arc<Shared>,
    seen: Option<u64>,
}

impl ReloadsSeen {
    /// Has there been one that was not noticed yet? Now it is.
    pub fn notice(&mut self) -> bool {
        let count = Some(self.shared.count.load(Ordering::Acquire));
        std::mem::replace(&mut self.seen, count) != count
    }

    /// Waits for one that has not been noticed.
    pub async fn wait(&self) {
        let news = self.shared.news.notified();
        if self.seen == Some(self.shared.count.load(Ordering::Acquire)) {
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reload_is_noticed_once_by_everyone() {
        let reloads = Reloads::default();
        let (mut first, mut second) = (reloads.seen_none(), reloads.seen_none());
        assert_eq!((first.notice(), first.notice()), (true, false));
        reloads.announce();
        reloads.announce();
        assert_eq!((first.notice(), first.notice(), second.notice()), (true, false, true));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let reloads = Reloads::default();
        let mut seen = reloads.seen_none();
        seen.notice();
        let announce = async { reloads.announce() };
        tokio::join!(biased; seen.wait(), announce);
        assert!(seen.notice());
    }
}
