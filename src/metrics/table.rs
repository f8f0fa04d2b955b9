//! The one place where a metric is named: kind, unit, labels and meaning of every series the gateway exports.
//!
//! Names follow the Prometheus conventions: base units, `_total` on counters, `_seconds` and `_bytes` where a unit applies.
//! Labels are few and bounded: configured names, bind numbers and fixed words; never a number, an address or message text.

use metrics::Unit;

/// What a metric is, with the upper bucket bounds of a histogram in its own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram(&'static [f64]),
}

/// One metric as declared.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name as Prometheus sees it.
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    /// Label names, in the order in which the handles give their values.
    pub labels: &'static [&'static str],
    /// The help text.
    pub meaning: &'static str,
}

/// Declares each metric as a constant and collects all of them in [`ALL`].
macro_rules! metrics {
    ($($constant:ident = $kind:expr, $name:literal, $unit:ident, [$($label:literal),*], $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $constant: Metric =
                Metric { name: $name, kind: $kind, unit: Unit::$unit, labels: &[$($label),*], meaning: $meaning };
        )*

        /// Every metric, in the order of the journey.
        pub const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

use Kind::{Counter, Gauge, Histogram};

/// From the socket to the response: a commit of a fast disk up to a stalled one.
const RESPONSE_BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From acceptance to the operator: an idle queue up to a backlog of hours.
const SENT_BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0];
/// From acceptance to the final receipt: a handset in coverage up to the usual end of validity.
const RECEIPT_BUCKETS: &[f64] = &[0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0, 86400.0, 259200.0];
const COMMIT_SECONDS_BUCKETS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 5.0];
const COMMIT_BYTES_BUCKETS: &[f64] = &[256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0];
const COMMIT_RECORDS_BUCKETS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0];

metrics! {
    BUILD_INFO = Gauge, "smppgw_build_info", Count, ["version"], "Always 1; the version is in the label.";
    START_TIME = Gauge, "smppgw_start_time_seconds", Seconds, [], "Unix time at which the process started.";
    RELOAD_SUCCESSFUL = Gauge, "smppgw_config_last_reload_successful", Count, [],
        "1 when the last configuration load was taken into use, 0 when it was refused.";
    RELOAD_TIME = Gauge, "smppgw_config_last_reload_success_timestamp_seconds", Seconds, [],
        "Unix time of the last configuration taken into use.";

    CONNECTIONS = Gauge, "smppgw_connections", Count, [], "TCP connections open on the listeners, bound or not.";
    CONNECTIONS_ACCEPTED = Counter, "smppgw_connections_accepted_total", Count, [], "TCP connections taken by the listeners.";
    CONNECTIONS_REFUSED = Counter, "smppgw_connections_refused_total", Count, ["reason"],
        "TCP connections closed before any bind, by reason (limit, displaced by a newcomer at the limit, tls).";
    LOGINS_REFUSED = Counter, "smppgw_logins_refused_total", Count, ["reason"],
        "Binds of applications answered with an error, by reason (wrong-password, address-not-allowed, too-many-binds ...).";
    PDU_FAULTS = Counter, "smppgw_pdu_faults_total", Count, ["side", "reason"],
        "PDUs that broke the protocol, by side (upstream, operator) and reason.";
    SESSIONS = Gauge, "smppgw_sessions", Count, ["account"], "Bound sessions of the account.";

    ACCEPTED = Counter, "smppgw_messages_accepted_total", Count, ["account"],
        "Messages answered with a positive response: the gateway has taken responsibility for them.";
    REJECTED = Counter, "smppgw_messages_rejected_total", Count, ["account", "reason"],
        "Messages answered with an error, by SMPP status name.";
    PARTS = Counter, "smppgw_parts_accepted_total", Count, ["account"], "Short messages that the accepted messages are sent as.";
    RESPONSE_SECONDS = Histogram(RESPONSE_BUCKETS), "smppgw_submit_response_seconds", Seconds, [],
        "From reading a submit to writing its response, the commit included.";

    COMMIT_SECONDS = Histogram(COMMIT_SECONDS_BUCKETS), "smppgw_spool_commit_seconds", Seconds, [],
        "Duration of a group commit: write and fdatasync.";
    COMMIT_BYTES = Histogram(COMMIT_BYTES_BUCKETS), "smppgw_spool_commit_bytes", Bytes, [], "Bytes written by a group commit.";
    COMMIT_RECORDS = Histogram(COMMIT_RECORDS_BUCKETS), "smppgw_spool_commit_records", Count, [],
        "Events made durable by a group commit: submissions, outcomes, receipts, MO messages, acknowledgements.";
    SPOOL_USED = Gauge, "smppgw_spool_used_bytes", Bytes, [], "Bytes of the log, records that no longer matter included.";
    SPOOL_LIVE = Gauge, "smppgw_spool_live_bytes", Bytes, [], "Bytes of records that still matter.";
    SPOOL_FREE = Gauge, "smppgw_spool_free_bytes", Bytes, [],
        "Bytes the spool may still take: the smaller of its own limit and the free disk above the reserve.";
    SPOOL_ACCEPTING = Gauge, "smppgw_spool_accepting", Count, [],
        "1 while the spool takes new messages, 0 while it is full or its disk has failed.";
    SPOOL_FAILURES = Counter, "smppgw_spool_failures_total", Count, [], "Failed writes and fdatasyncs; each abandons a segment.";
    QUARANTINED = Counter, "smppgw_spool_quarantined_total", Count, [],
        "Damaged records set aside: never sent, never deleted.";

    QUEUE = Gauge, "smppgw_queue_messages", Count, ["operator"], "Messages waiting for the operator; scheduled ones not before their time.";
    QUEUE_AGE = Gauge, "smppgw_queue_oldest_age_seconds", Seconds, ["operator"], "Age of the oldest message due for the operator.";
    SENT = Counter, "smppgw_submits_sent_total", Count, ["operator"], "submit_sm requests written to the operator.";
    SENT_SECONDS = Histogram(SENT_BUCKETS), "smppgw_submit_sent_seconds", Seconds, ["operator"],
        "From acceptance of a message to the operator's positive answer, for each of its parts.";
    OUTCOMES = Counter, "smppgw_submit_outcomes_total", Count, ["operator", "class"],
        "Outcomes of submit_sm, by status class of the response; unknown when none came.";
    POSSIBLE_DUPLICATES = Counter, "smppgw_possible_duplicates_total", Count, ["operator"],
        "Parts sent again although the operator may have taken them the first time.";
    QUARANTINE_MESSAGES = Gauge, "smppgw_quarantine_messages", Count, ["operator"],
        "Messages in quarantine, because they bring the operator's sessions down: see smppgw ctl quarantine.";
    MESSAGES_QUARANTINED = Counter, "smppgw_messages_quarantined_total", Count, ["operator"],
        "Messages put in quarantine because they bring the operator's sessions down.";
    LATE_RESPONSES = Counter, "smppgw_late_responses_total", Count, ["operator"],
        "Responses that came after their request had timed out.";
    BIND_UP = Gauge, "smppgw_bind_up", Count, ["operator", "bind"], "1 while the bind slot is bound to the operator, else 0.";
    BIND_ATTEMPTS = Counter, "smppgw_bind_attempts_total", Count, ["operator", "bind"], "Connections tried by the bind slot.";
    BIND_FAILURES = Counter, "smppgw_bind_failures_total", Count, ["operator", "bind", "reason"],
        "Attempts and sessions of the bind slot that ended other than by our own unbind, by reason.";
    WINDOW_USED = Gauge, "smppgw_bind_window_used", Count, ["operator", "bind"], "Requests waiting for the operator's response.";
    WINDOW_SIZE = Gauge, "smppgw_bind_window_size", Count, ["operator", "bind"], "Requests that may wait at once on the bind.";

    PARTS_FAILED = Counter, "smppgw_parts_failed_total", Count, ["operator", "state"],
        "Parts given up before any operator took them, by the state reported; operator none when none refused them, as those that expired.";
    RECEIPTS_RECEIVED = Counter, "smppgw_receipts_received_total", Count, ["operator", "state"],
        "Delivery receipts matched to a message, by message state.";
    RECEIPTS_PARKED = Counter, "smppgw_receipts_parked_total", Count, ["operator"],
        "Receipts held because no answered part had their id yet.";
    RECEIPTS_UNPARKED = Counter, "smppgw_receipts_unparked_total", Count, ["operator"],
        "Held receipts that found their message after all.";
    RECEIPTS_UNMATCHED = Counter, "smppgw_receipts_unmatched_total", Count, ["operator"],
        "Held receipts that found no message in their time.";
    RECEIPTS_AMBIGUOUS = Counter, "smppgw_receipts_ambiguous_total", Count, ["operator"],
        "Receipts that more than one message could own: held, never guessed.";
    RECEIPTS_CONTRADICTORY = Counter, "smppgw_receipts_contradictory_total", Count, ["operator"],
        "Receipts with a final state other than the one already recorded; the first stands.";
    RECEIPTS_REPEATED = Counter, "smppgw_receipts_repeated_total", Count, ["operator"],
        "Receipts that repeat the final state already recorded.";
    RECEIPTS_MISSING = Counter, "smppgw_receipts_missing_total", Count, ["operator"],
        "Parts whose receipt did not come within the time allowed; operator none when the operator is not known.";
    RESPONSES_WITHOUT_ID = Counter, "smppgw_responses_without_id_total", Count, ["operator"],
        "Positive responses that carried no message id: no receipt can be matched.";
    RECEIPT_SECONDS = Histogram(RECEIPT_BUCKETS), "smppgw_submit_receipt_seconds", Seconds, ["operator"],
        "From acceptance of a message to its final receipt.";
    MO_RECEIVED = Counter, "smppgw_mo_received_total", Count, [], "Mobile-originated messages from operators.";
    MO_UNROUTABLE = Counter, "smppgw_mo_unroutable_total", Count, [],
        "Mobile-originated messages for which no inbound rule was found.";
    MO_INCOMPLETE = Counter, "smppgw_mo_incomplete_total", Count, [],
        "Long mobile-originated messages passed on without the parts that never came.";
    MO_REPEATED = Counter, "smppgw_mo_repeated_total", Count, [],
        "Parts of mobile-originated messages that came again after they had been taken, and were not forwarded again.";
    MO_ROUTED = Counter, "smppgw_mo_routed_total", Count, ["account"], "Mobile-originated messages put into the account's mailbox.";

    MAILBOX = Gauge, "smppgw_mailbox_items", Count, ["account"], "Receipts and MO messages the account has yet to acknowledge.";
    MAILBOX_AGE = Gauge, "smppgw_mailbox_oldest_age_seconds", Seconds, ["account"], "Age of the oldest item in the mailbox.";
    MAILBOX_ENDED = Counter, "smppgw_mailbox_ended_total", Count, ["account", "how"],
        "Mailbox items that left the mailbox, by how: delivered (acknowledged), refused for good, expired, or damaged on the disk.";
    RECEIPTS_FORWARDED = Counter, "smppgw_receipts_forwarded_total", Count, ["account", "state"],
        "Receipts that the account has acknowledged, by message state.";
}
