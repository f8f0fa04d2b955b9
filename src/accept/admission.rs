//! Whether a submission can be taken from an account now, before anything of it is looked at. Pressure is answered in grades: first the
//! session stops reading (its window, the journal's channel), then some submissions are throttled, then all of them are refused.

use std::time::Duration;

use crate::smpp::CommandStatus;

/// A commit that takes longer than this is one of a disk in trouble: what comes meanwhile would only wait behind it.
pub const STALLED: Duration = Duration::from_millis(500);

/// From this share of a limit on, in percent, submissions are thinned out.
const SOFT: u64 = 90;

/// Of the submissions that come closest to a limit, one in so many still passes: whoever pays no heed to throttling meets the limit.
const THINNEST: u64 = 10;

/// So much of so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub used: u64,
    pub limit: u64,
}

/// What presses on the gateway at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Pressure {
    /// The disk does not take writes.
    pub failed: bool,
    /// The spool has reached its size, or the disk its reserve.
    pub full: bool,
    /// How long the commit under way has taken so far.
    pub commit: Duration,
    /// Pending messages of the account.
    pub account: Level,
    /// Everything the gateway keeps: messages, receipts, MO messages.
    pub gateway: Level,
}

/// Decides for one session, and remembers what it needs to be even-handed.
#[derive(Debug, Default)]
pub struct Admission {
    /// What thinned out submissions have saved up, in parts of [`WHOLE`].
    credit: u64,
}

/// A submission that passes costs so much credit.
const WHOLE: u64 = 1_000_000;

impl Level {
    /// Are submissions thinned out, or refused?
    pub fn is_near(self) -> bool {
        self.is_reached() || self.passing() < WHOLE
    }

    fn is_reached(self) -> bool {
        self.used >= self.limit
    }

    /// The share of submissions that pass, in parts of [`WHOLE`]: all of them up to the soft limit, then fewer and fewer.
    fn passing(self) -> u64 {
        let soft = self.limit - self.limit / 100 * (100 - SOFT);
        if self.used <= soft {
            return WHOLE;
        }
        let share = u128::from(WHOLE) * u128::from(self.limit.saturating_sub(self.used)) / u128::from((self.limit - soft).max(1));
        u64::try_from(share).unwrap_or(WHOLE).max(WHOLE / THINNEST)
    }
}

impl Admission {
    /// Looks at one submission.
    ///
    /// # Errors
    /// The status to refuse it with: ESME_RSYSERR, ESME_RMSGQFUL or ESME_RTHROTTLED.
    pub fn admit(&mut self, pressure: &Pressure) -> Result<(), CommandStatus> {
        let Pressure { failed, full, commit, account, gateway } = *pressure;
        if failed {
            return Err(CommandStatus::EsmeRsyserr);
        }
        if full || account.is_reached() || gateway.is_reached() {
            return Err(CommandStatus::EsmeRmsgqful);
        }
        if commit > STALLED {
            return Err(CommandStatus::EsmeRthrottled);
        }
        let passing = account.passing().min(gateway.passing());
        if passing == WHOLE {
            return Ok(());
        }
        self.credit += passing;
        if self.credit < WHOLE {
            return Err(CommandStatus::EsmeRthrottled);
        }
        self.credit -= WHOLE;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FREE: Level = Level { used: 0, limit: 1_000 };
    const CALM: Pressure = Pressure { failed: false, full: false, commit: Duration::ZERO, account: FREE, gateway: FREE };

    /// How many of a hundred submissions pass, are throttled, refused for the queue, refused for the disk.
    fn of_a_hundred(pressure: Pressure) -> [usize; 4] {
        let mut admission = Admission::default();
        let answers: Vec<_> = (0..100).map(|_| admission.admit(&pressure)).collect();
        let count = |wanted| answers.iter().filter(|answer| **answer == wanted).count();
        use CommandStatus::{EsmeRmsgqful, EsmeRsyserr, EsmeRthrottled};
        [count(Ok(())), count(Err(EsmeRthrottled)), count(Err(EsmeRmsgqful)), count(Err(EsmeRsyserr))]
    }

    #[test]
    fn pressure_is_answered_in_grades() {
        let used = |used| Level { used, limit: 1_000 };
        let milliseconds = Duration::from_millis;
        for (what, pressure, expected) in [
            ("nothing", CALM, [100, 0, 0, 0]),
            ("a slow commit", Pressure { commit: milliseconds(400), ..CALM }, [100, 0, 0, 0]),
            ("a stalled commit", Pressure { commit: milliseconds(501), ..CALM }, [0, 100, 0, 0]),
            ("a busy account", Pressure { account: used(900), ..CALM }, [100, 0, 0, 0]),
            ("an account near its limit", Pressure { account: used(950), ..CALM }, [50, 50, 0, 0]),
            ("an account nearer to it", Pressure { account: used(980), ..CALM }, [20, 80, 0, 0]),
            ("an account just below it", Pressure { account: used(999), ..CALM }, [10, 90, 0, 0]),
            ("an account at its limit", Pressure { account: used(1_000), ..CALM }, [0, 0, 100, 0]),
            ("an account beyond a limit made smaller", Pressure { account: used(5_000), ..CALM }, [0, 0, 100, 0]),
            ("a gateway near its limit", Pressure { gateway: used(950), ..CALM }, [50, 50, 0, 0]),
            ("both near", Pressure { account: used(980), gateway: used(950), ..CALM }, [20, 80, 0, 0]),
            ("a gateway at its limit", Pressure { gateway: used(1_000), ..CALM }, [0, 0, 100, 0]),
            ("a full spool", Pressure { full: true, ..CALM }, [0, 0, 100, 0]),
            ("a full spool and a stalled commit", Pressure { full: true, commit: milliseconds(900), ..CALM }, [0, 0, 100, 0]),
            ("a failing disk", Pressure { failed: true, full: true, account: used(1_000), ..CALM }, [0, 0, 0, 100]),
        ] {
            assert_eq!(of_a_hundred(pressure), expected, "{what}");
        }
    }

    #[test]
    fn a_limit_too_small_for_grades_is_still_a_limit() {
        for limit in [1, 5, 10, 99] {
            let at = |used| of_a_hundred(Pressure { account: Level { used, limit }, ..CALM });
            assert_eq!((at(limit - 1), at(limit)), ([100, 0, 0, 0], [0, 0, 100, 0]), "{limit}");
        }
    }

    proptest! {
        #[test]
        fn a_limit_is_never_passed_and_fewer_pass_the_nearer_it_is(limit in 1u64..=100_000_000, used in 0u64..=100_000_000) {
            let (here, nearer) = (Level { used, limit }, Level { used: used + 1, limit });
            prop_assert!(here.passing() >= nearer.passing());
            prop_assert!((WHOLE / THINNEST..=WHOLE).contains(&here.passing()));
            let admitted = Admission::default().admit(&Pressure { account: here, ..CALM }).is_ok();
            prop_assert!(!admitted || used < limit);
        }
    }
}
