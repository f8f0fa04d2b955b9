//! The outcome of a load run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use super::{Books, LoadSettings, Totals};
use crate::simulator::Quantiles;
use crate::smpp::{CommandStatus, status};

/// What a load run has measured.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub totals: Totals,
    /// Accepted messages without a receipt, if receipts were asked for.
    pub missing_receipts: u64,
    /// Refused messages by the status they got, in hexadecimal.
    pub refusals: BTreeMap<String, u64>,
    /// From the first message to the last response.
    pub seconds: f64,
    /// Accepted messages per second.
    pub per_second: f64,
    pub response_ms: Quantiles,
    pub receipt_ms: Quantiles,
    /// How late messages left, with a fixed rate: the generator's own share of the latencies.
    pub lateness_ms: Quantiles,
}

impl Report {
    /// `started`: as the run's clock shows it.
    pub(super) fn new(settings: &LoadSettings, totals: Totals, started: u64, books: &Books) -> Report {
        let seconds = books.last_response.saturating_sub(started) as f64 / 1e6;
        Report {
            totals,
            missing_receipts: if settings.receipts { totals.accepted.saturating_sub(totals.receipts) } else { 0 },
            refusals: books.refusals.iter().map(|(status, count)| (format!("0x{status:02X}"), *count)).collect(),
            seconds,
            per_second: if seconds > 0.0 { totals.accepted as f64 / seconds } else { 0.0 },
            response_ms: Quantiles::of(&books.response_times),
            receipt_ms: Quantiles::of(&books.receipt_times),
            lateness_ms: Quantiles::of(&books.lateness),
        }
    }

    /// Was every message accepted, and has every receipt come?
    pub fn is_clean(&self) -> bool {
        self.totals.refused == 0 && self.totals.lost == 0 && self.missing_receipts == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        writeln!(
            f,
            "accepted   {} of {} in {:.2} s: {:.0} messages/s",
            totals.accepted, totals.sent, self.seconds, self.per_second
        )?;
        for (code, count) in &self.refusals {
            let known = u32::from_str_radix(code.trim_start_matches("0x"), 16).unwrap_or_default();
            writeln!(f, "refused    {count} with {} {code}", status::name(CommandStatus::from(known)))?;
        }
        if totals.lost + totals.resent > 0 {
            writeln!(f, "unanswered {} for good, {} sent again", totals.lost, totals.resent)?;
        }
        writeln!(f, "response   {}", self.response_ms)?;
        if self.receipt_ms.count + self.missing_receipts > 0 {
            writeln!(f, "receipt    {}", self.receipt_ms)?;
            writeln!(
                f,
                "receipts   {} matched, {} of them delivered; {} missing, {} duplicate, {} of unknown messages",
                totals.receipts,
                totals.delivered,
                self.missing_receipts,
                totals.duplicate_receipts,
                totals.unknown_receipts - totals.early_receipts
            )?;
        }
        if self.lateness_ms.count > 0 {
            writeln!(f, "sent late  {}", self.lateness_ms)?;
        }
        if totals.mo > 0 {
            writeln!(f, "MO         {} messages", totals.mo)?;
        }
        write!(f, "binds      {}", totals.binds)?;
        if totals.disconnects > 0 {
            write!(f, ", {} of them lost before the end", totals.disconnects)?;
        }
        Ok(())
    }
}
