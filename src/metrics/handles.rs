//! One struct of cached handles per owner: what an account, an operator, a bind, the spool counts.
//!
//! The meaning of each field is that of the metric it is made from in [`super::table`]. Creating a struct twice for the same
//! name gives handles on the same series, so a reload may simply create them again.

use metrics::{Counter, Gauge, Histogram};

use super::{Family, Metrics, table};
use crate::message::Timestamp;
use crate::spool::Stats;

/// The process as a whole: version, start and the configuration in force.
#[derive(Debug)]
pub struct ProcessMetrics {
    reload_successful: Gauge,
    reload_time: Gauge,
}

impl ProcessMetrics {
    /// Records version and start time; `started` also counts as the first configuration taken into use.
    pub fn new(metrics: &Metrics, version: &str, started: Timestamp) -> Self {
        metrics.gauge(&table::BUILD_INFO, &[version]).set(1);
        metrics.gauge(&table::START_TIME, &[]).set(seconds(started));
        let process = ProcessMetrics {
            reload_successful: metrics.gauge(&table::RELOAD_SUCCESSFUL, &[]),
            reload_time: metrics.gauge(&table::RELOAD_TIME, &[]),
        };
        process.reloaded(started);
        process
    }

    /// A new configuration was taken into use.
    pub fn reloaded(&self, now: Timestamp) {
        self.reload_successful.set(1);
        self.reload_time.set(seconds(now));
    }

    /// A new configuration was refused; the old one stays.
    pub fn reload_refused(&self) {
        self.reload_successful.set(0);
    }
}

/// Unix seconds: exact to the millisecond as a float until long after the year 9999.
fn seconds(at: Timestamp) -> f64 {
    std::time::Duration::from_millis(at.0).as_secs_f64()
}

/// The listeners, before a session has an account.
#[derive(Debug)]
pub struct ListenerMetrics {
    pub connections: Gauge,
    pub accepted: Counter,
    /// By reason: `limit`, `displaced`, `tls`.
    pub refused: Family,
    /// By reason, such as `wrong-password`.
    pub logins_refused: Family,
}

impl ListenerMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        ListenerMetrics {
            connections: metrics.gauge(&table::CONNECTIONS, &[]),
            accepted: metrics.counter(&table::CONNECTIONS_ACCEPTED, &[]),
            refused: metrics.family(&table::CONNECTIONS_REFUSED, &[]),
            logins_refused: metrics.family(&table::LOGINS_REFUSED, &[]),
        }
    }
}

/// Protocol faults of one side's peers.
#[derive(Debug)]
pub struct PduFaults {
    /// By reason.
    pub faults: Family,
}

impl PduFaults {
    /// Faults of applications bound to us.
    pub fn upstream(metrics: &Metrics) -> Self {
        PduFaults { faults: metrics.family(&table::PDU_FAULTS, &["upstream"]) }
    }

    /// Faults of operators we are bound to.
    pub fn operator(metrics: &Metrics) -> Self {
        PduFaults { faults: metrics.family(&table::PDU_FAULTS, &["operator"]) }
    }
}

/// The path from a submit to its response, over all accounts.
#[derive(Debug, Clone)]
pub struct SubmitMetrics {
    pub response_seconds: Histogram,
}

impl SubmitMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        SubmitMetrics { response_seconds: metrics.histogram(&table::RESPONSE_SECONDS, &[]) }
    }
}

/// What one account submits and gets back.
#[derive(Debug)]
pub struct AccountMetrics {
    pub sessions: Gauge,
    pub accepted: Counter,
    /// By status name, such as `ESME_RTHROTTLED`.
    pub rejected: Family,
    pub parts: Counter,
    pub mailbox: Gauge,
    pub mailbox_oldest_age: Gauge,
    /// By how: `delivered`, `refused`, `expired`.
    pub mailbox_ended: Family,
    /// By message state, such as `DELIVRD`.
    pub receipts_forwarded: Family,
    pub mo_routed: Counter,
}

impl AccountMetrics {
    /// Handles of the account with this system_id.
    pub fn new(metrics: &Metrics, account: &str) -> Self {
        let labels = &[account];
        AccountMetrics {
            sessions: metrics.gauge(&table::SESSIONS, labels),
            accepted: metrics.counter(&table::ACCEPTED, labels),
            rejected: metrics.family(&table::REJECTED, labels),
            parts: metrics.counter(&table::PARTS, labels),
            mailbox: metrics.gauge(&table::MAILBOX, labels),
            mailbox_oldest_age: metrics.gauge(&table::MAILBOX_AGE, labels),
            mailbox_ended: metrics.family(&table::MAILBOX_ENDED, labels),
            receipts_forwarded: metrics.family(&table::RECEIPTS_FORWARDED, labels),
            mo_routed: metrics.counter(&table::MO_ROUTED, labels),
        }
    }
}

/// The spool's writer.
#[derive(Debug)]
pub struct SpoolMetrics {
    pub commit_seconds: Histogram,
    pub commit_bytes: Histogram,
    pub commit_records: Histogram,
    pub used_bytes: Gauge,
    pub live_bytes: Gauge,
    pub free_bytes: Gauge,
    pub accepting: Gauge,
    pub failures: Counter,
    pub quarantined: Counter,
}

impl SpoolMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        SpoolMetrics {
            commit_seconds: metrics.histogram(&table::COMMIT_SECONDS, &[]),
            commit_bytes: metrics.histogram(&table::COMMIT_BYTES, &[]),
            commit_records: metrics.histogram(&table::COMMIT_RECORDS, &[]),
            used_bytes: metrics.gauge(&table::SPOOL_USED, &[]),
            live_bytes: metrics.gauge(&table::SPOOL_LIVE, &[]),
            free_bytes: metrics.gauge(&table::SPOOL_FREE, &[]),
            accepting: metrics.gauge(&table::SPOOL_ACCEPTING, &[]),
            failures: metrics.counter(&table::SPOOL_FAILURES, &[]),
            quarantined: metrics.counter(&table::QUARANTINED, &[]),
        }
    }

    /// Shows how the spool stands.
    pub fn stands(&self, stats: &Stats) {
        self.used_bytes.set(stats.used_bytes as f64);
        self.live_bytes.set(stats.live_bytes as f64);
        self.free_bytes.set(stats.available as f64);
        self.quarantined.absolute(stats.quarantined);
    }
}

/// One operator: its queue, its outcomes, its receipts.
#[derive(Debug)]
pub struct OperatorMetrics {
    pub queue: Gauge,
    pub queue_oldest_age: Gauge,
    pub sent: Counter,
    pub sent_seconds: Histogram,
    /// By status class of the response, `ok`, `throttle`, `temporary` and so on; `unknown` when none came.
    pub outcomes: Family,
    pub possible_duplicates: Counter,
    /// Messages in quarantine now.
    pub quarantine: Gauge,
    /// Messages ever put there.
    pub quarantined: Counter,
    pub late_responses: Counter,
    /// By the state reported, such as `EXPIRED`.
    pub parts_failed: Family,
    /// By message state, such as `DELIVRD`.
    pub receipts_received: Family,
    pub receipts_parked: Counter,
    pub receipts_unparked: Counter,
    pub receipts_unmatched: Counter,
    pub receipts_ambiguous: Counter,
    pub receipts_contradictory: Counter,
    pub receipts_repeated: Counter,
    pub receipts_missing: Counter,
    pub responses_without_id: Counter,
    pub receipt_seconds: Histogram,
}

impl OperatorMetrics {
    /// Handles of the operator with this configured name.
    pub fn new(metrics: &Metrics, operator: &str) -> Self {
        let labels = &[operator];
        OperatorMetrics {
            queue: metrics.gauge(&table::QUEUE, labels),
            queue_oldest_age: metrics.gauge(&table::QUEUE_AGE, labels),
            sent: metrics.counter(&table::SENT, labels),
            sent_seconds: metrics.histogram(&table::SENT_SECONDS, labels),
            outcomes: metrics.family(&table::OUTCOMES, labels),
            possible_duplicates: metrics.counter(&table::POSSIBLE_DUPLICATES, labels),
            quarantine: metrics.gauge(&table::QUARANTINE_MESSAGES, labels),
            quarantined: metrics.counter(&table::MESSAGES_QUARANTINED, labels),
            late_responses: metrics.counter(&table::LATE_RESPONSES, labels),
            parts_failed: metrics.family(&table::PARTS_FAILED, labels),
            receipts_received: metrics.family(&table::RECEIPTS_RECEIVED, labels),
            receipts_parked: metrics.counter(&table::RECEIPTS_PARKED, labels),
            receipts_unparked: metrics.counter(&table::RECEIPTS_UNPARKED, labels),
            receipts_unmatched: metrics.counter(&table::RECEIPTS_UNMATCHED, labels),
            receipts_ambiguous: metrics.counter(&table::RECEIPTS_AMBIGUOUS, labels),
            receipts_contradictory: metrics.counter(&table::RECEIPTS_CONTRADICTORY, labels),
            receipts_repeated: metrics.counter(&table::RECEIPTS_REPEATED, labels),
            receipts_missing: metrics.counter(&table::RECEIPTS_MISSING, labels),
            responses_without_id: metrics.counter(&table::RESPONSES_WITHOUT_ID, labels),
            receipt_seconds: metrics.histogram(&table::RECEIPT_SECONDS, labels),
        }
    }
}

/// What became of parts that no operator is known for, such as those that expired before one was tried.
#[derive(Debug)]
pub struct NoOperatorMetrics {
    /// By the state reported, such as `EXPIRED`.
    pub parts_failed: Family,
    pub receipts_missing: Counter,
}

impl NoOperatorMetrics {
    /// They stand among those of the operators, under the name `none`.
    pub fn new(metrics: &Metrics) -> Self {
        let labels = &["none"];
        NoOperatorMetrics {
            parts_failed: metrics.family(&table::PARTS_FAILED, labels),
            receipts_missing: metrics.counter(&table::RECEIPTS_MISSING, labels),
        }
    }
}

/// Mobile-originated messages, before they have an account.
#[derive(Debug)]
pub struct InboundMetrics {
    pub received: Counter,
    pub unroutable: Counter,
    pub incomplete: Counter,
    pub repeated: Counter,
}

impl InboundMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        InboundMetrics {
            received: metrics.counter(&table::MO_RECEIVED, &[]),
            unroutable: metrics.counter(&table::MO_UNROUTABLE, &[]),
            incomplete: metrics.counter(&table::MO_INCOMPLETE, &[]),
            repeated: metrics.counter(&table::MO_REPEATED, &[]),
        }
    }
}

/// One bind slot of an operator.
#[derive(Debug)]
pub struct BindMetrics {
    pub up: Gauge,
    pub attempts: Counter,
    /// By reason: `connect`, `tls`, a status name, `timeout`, `closed`, `protocol`.
    pub failures: Family,
    pub window_used: Gauge,
    pub window_size: Gauge,
}

impl BindMetrics {
    /// Handles of the operator's bind slot with this number.
    pub fn new(metrics: &Metrics, operator: &str, bind: usize) -> Self {
        let bind = bind.to_string();
        let labels = &[operator, bind.as_str()];
        BindMetrics {
            up: metrics.gauge(&table::BIND_UP, labels),
            attempts: metrics.counter(&table::BIND_ATTEMPTS, labels),
            failures: metrics.family(&table::BIND_FAILURES, labels),
            window_used: metrics.gauge(&table::WINDOW_USED, labels),
            window_size: metrics.gauge(&table::WINDOW_SIZE, labels),
        }
    }
}
