//! A timer that is touched as little as possible.

use std::future::pending;
use std::pin::Pin;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// Rings at the earliest moment it was set to. Deadlines mostly move away as work goes on: such a one is not set anew, the alarm
/// rings too early once, and its owner sets it to what is then due.
#[derive(Debug)]
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Option<Instant>,
}

impl Alarm {
    pub fn new(now: Instant) -> Alarm {
        Alarm { sleep: Box::pin(sleep_until(now.into())), at: None }
    }

    /// Makes sure that it rings by then.
    pub fn set(&mut self, due: Option<Instant>) {
        if let Some(due) = due
            && self.at.is_none_or(|at| at > due)
        {
            self.at = Some(due);
            self.sleep.as_mut().reset(due.into());
        }
    }

    /// Waits for it; for ever when it was not set since it rang.
    pub async fn rung(&mut self) {
        if self.at.is_none() {
            return pending().await;
        }
        self.sleep.as_mut().await;
        self.at = None;
    }
}
