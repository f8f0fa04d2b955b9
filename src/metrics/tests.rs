//! What a scrape shows, judged by promtool as well.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::message::Timestamp;

/// A registry in which every owner exists and every family has counted once.
fn everything() -> Metrics {
    let (metrics, _upkeep) = install(None).unwrap();
    ProcessMetrics::new(&metrics, "1.2.3", Timestamp(1_700_000_000_500)).reload_refused();
    let listener = ListenerMetrics::new(&metrics);
    listener.refused.increment("limit", 1);
    listener.logins_refused.increment("ESME_RINVPASWD", 1);
    PduFaults::upstream(&metrics).faults.increment("length", 1);
    PduFaults::operator(&metrics).faults.increment("length", 1);
    SubmitMetrics::new(&metrics).response_seconds.record(0.003);
    let account = AccountMetrics::new(&metrics, "shop");
    account.accepted.increment(3);
    account.rejected.increment("ESME_RTHROTTLED", 2);
    account.receipts_forwarded.increment("DELIVRD", 1);
    account.mailbox_ended.increment("delivered", 1);
    InboundMetrics::new(&metrics).unroutable.increment(1);
    SpoolMetrics::new(&metrics).commit_records.record(64);
    let operator = OperatorMetrics::new(&metrics, "elisa");
    operator.outcomes.increment("ok", 1);
    operator.parts_failed.increment("EXPIRED", 1);
    operator.receipts_received.increment("DELIVRD", 1);
    let bind = BindMetrics::new(&metrics, "elisa", 1);
    bind.up.set(1);
    bind.failures.increment("connect", 1);
    metrics
}

/// The names of the lines that start like `# TYPE name kind` or `# HELP name text`.
fn names(text: &str, comment: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.strip_prefix(comment)?.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn every_declared_metric_is_exported_by_some_owner_with_its_help_text() {
    let text = everything().render();
    let declared: BTreeSet<String> = table::ALL.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(names(&text, "# TYPE "), declared);
    assert_eq!(names(&text, "# HELP "), declared);
}

#[test]
fn no_metric_is_declared_twice() {
    let distinct: BTreeSet<&str> = table::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(distinct.len(), table::ALL.len());
}

#[test]
fn names_carry_the_unit_and_the_kind_as_prometheus_wants_them() {
    for metric in table::ALL {
        assert!(metric.name.starts_with("smppgw_"), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
        assert_eq!(metric.name.ends_with("_seconds"), metric.unit == ::metrics::Unit::Seconds, "{}", metric.name);
        assert_eq!(metric.name.ends_with("_bytes"), metric.unit == ::metrics::Unit::Bytes, "{}", metric.name);
        assert!(metric.meaning.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (Debian package prometheus) is needed for this test");
    promtool.stdin.take().unwrap().write_all(everything().render().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn two_gateways_in_one_process_count_apart() {
    let (first, _upkeep) = install(None).unwrap();
    let (second, _upkeep) = install(None).unwrap();
    AccountMetrics::new(&first, "shop").accepted.increment(5);
    AccountMetrics::new(&second, "shop").accepted.increment(7);
    assert!(first.render().contains("smppgw_messages_accepted_total{account=\"shop\"} 5"));
    assert!(second.render().contains("smppgw_messages_accepted_total{account=\"shop\"} 7"));
}

#[test]
fn handles_made_again_for_the_same_name_count_on() {
    let (metrics, _upkeep) = install(None).unwrap();
    AccountMetrics::new(&metrics, "shop").rejected.increment("ESME_RTHROTTLED", 1);
    AccountMetrics::new(&metrics, "shop").rejected.increment("ESME_RTHROTTLED", 1);
    let line = "smppgw_messages_rejected_total{account=\"shop\",reason=\"ESME_RTHROTTLED\"} 2";
    assert!(metrics.render().contains(line), "{}", metrics.render());
}

#[test]
fn latencies_fall_into_the_declared_buckets() {
    let text = everything().render();
    assert!(text.contains("smppgw_submit_response_seconds_bucket{le=\"0.0025\"} 0"), "{text}");
    assert!(text.contains("smppgw_submit_response_seconds_bucket{le=\"0.005\"} 1"));
    assert!(text.contains("smppgw_submit_response_seconds_count 1"));
}

#[tokio::test]
async fn the_endpoint_answers_a_scrape_and_a_taken_port_is_an_error_with_its_address() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (metrics, exporter) = install(Some(free)).unwrap();
    let exporter = tokio::spawn(exporter);
    AccountMetrics::new(&metrics, "shop").accepted.increment(1);

    let mut client = tokio::net::TcpStream::connect(free).await.unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains("smppgw_messages_accepted_total{account=\"shop\"} 1"), "{reply}");

    let error = install(Some(free)).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains(&free.to_string()), "{error}");
    exporter.abort();
}
