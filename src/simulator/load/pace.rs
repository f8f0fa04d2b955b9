//! A fixed rate as one bind keeps it: whatever the peer does, messages become due by the clock.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::net::unix::pipe::Receiver;

/// Messages that become due within this time do so together: a wake-up for each would cost more than the message.
const BURST: Duration = Duration::from_millis(1);

/// When messages are due.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    /// From one burst to the next.
    interval: Duration,
    /// Messages in a burst.
    burst: usize,
    /// Those of the next burst that have not left yet.
    left: usize,
    /// A timerfd. To the runtime it is what a pipe is: a descriptor that can be read now and then.
    timer: Receiver,
}

impl Pace {
    /// The share of bind number `index` among `binds` in `rate` messages a second; the binds take turns.
    ///
    /// # Errors
    /// There is no timer to be had: too many files are open.
    pub fn start(now: Instant, rate: f64, index: usize, binds: usize) -> io::Result<Pace> {
        let seconds_each = binds as f64 / rate;
        let burst = (BURST.as_secs_f64() / seconds_each).ceil().max(1.0);
        let interval = Duration::from_secs_f64(seconds_each * burst);
        let offset = interval.mul_f64(index as f64 / binds as f64);
        // The runtime's own timers ring only every millisecond.
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // A timer set to zero never rings.
        let first = offset.max(Duration::from_nanos(1));
        let setting = Itimerspec { it_interval: timespec(interval)?, it_value: timespec(first)? };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &setting)?;
        let burst = burst as usize;
        Ok(Pace { next: now + offset, interval, burst, left: burst, timer: Receiver::from_owned_fd_unchecked(timer)? })
    }

    /// Takes up to `room` messages that are due; returns how many, and since when. None are due when it returns zero.
    pub fn take(&mut self, now: Instant, room: usize) -> (usize, Instant) {
        let since = self.next;
        if since > now {
            return (0, since);
        }
        let count = self.left.min(room);
        self.left -= count;
        if self.left == 0 {
            self.next += self.interval;
            self.left = self.burst;
        }
        (count, since)
    }

    /// Waits until more are due; may return early.
    pub async fn due(&self) {
        // How often it has rung does not matter: what is due follows from the clock.
        while self.timer.readable().await.is_ok() && self.timer.try_read(&mut [0; 8]).is_err() {}
    }
}

fn timespec(duration: Duration) -> io::Result<Timespec> {
    Timespec::try_from(duration).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages all binds have due after so long.
    fn due(paces: &mut [Pace], at: Instant) -> usize {
        let mut count = 0;
        for pace in paces {
            loop {
                match pace.take(at, 3) {
                    (0, _) => break,
                    (taken, since) => {
                        assert!(since <= at);
                        count += taken;
                    }
                }
            }
        }
        count
    }

    #[tokio::test]
    async fn all_binds_together_keep_the_rate_whatever_their_number() {
        for (rate, binds) in [(50_000.0, 8), (700.0, 3), (123_457.0, 1), (1_000_000.0, 16)] {
            let now = Instant::now();
            let mut paces: Vec<Pace> = (0..binds).map(|index| Pace::start(now, rate, index, binds).expect("a timer")).collect();
            let count = due(&mut paces, now + Duration::from_secs(1)) as f64;
            assert!((count - rate).abs() / rate < 0.02, "{count} of {rate}");
        }
    }

    #[tokio::test]
    async fn the_timer_rings_when_the_next_burst_is_due() {
        let now = Instant::now();
        let mut pace = Pace::start(now, 1000.0, 0, 1).expect("a timer");
        assert!(due(std::slice::from_mut(&mut pace), Instant::now()) >= 1);
        let next = pace.next;
        while Instant::now() < next {
            pace.due().await;
        }
        assert!(due(std::slice::from_mut(&mut pace), Instant::now()) >= 1);
    }
}
