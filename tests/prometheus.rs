//! A real Prometheus reads what the daemon exports.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use smppgw::smpp::BindKind;
use support::client::{Client, message};
use support::operator::{Operator, prompt};
use support::scrape::{self, scrape};
use support::story::{Setup, Story};
use support::{Daemon, PATIENCE, free_port};
use tempfile::TempDir;

const NEEDED: &str = "prometheus and promtool are needed for this test: run `make tools`";

/// A daemon that has carried one message from end to end.
fn used() -> (Story, Operator) {
    let operator = Operator::start(prompt());
    let story = Setup::new(&[("elisa", operator.port())]).start();
    let mut client = story.client();
    assert!(client.submit(&message("358401234567", b"Moi")).is_ok());
    assert!(client.submit(&message("", b"Moi")).is_err());
    client.delivery();
    story.waits_for("smppgw_mailbox_ended_total", &[("how", "delivered")], 1.0);
    (story, operator)
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    let (story, _operator) = used();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(NEEDED);
    promtool.stdin.take().expect("its input").write_all(scrape(story.metrics).as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    story.ends_well();
}

/// Ends with the test.
struct Prometheus {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    fn scraping(target: u16) -> Prometheus {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("prometheus.yml");
        let config = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: smppgw\n    static_configs:\n      - targets: [\"127.0.0.1:{target}\"]\n"
        );
        std::fs::write(&file, config).expect("written");
        let port = free_port();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect(NEEDED);
        let mut log = BufReader::new(child.stderr.take().expect("its log")).lines().map_while(Result::ok);
        assert!(log.any(|line| line.contains("Server is ready")), "Prometheus starts");
        // It blocks when nobody reads on.
        std::thread::spawn(move || log.for_each(drop));
        Prometheus { child, port, _folder: folder }
    }

    /// The answer of its API to an instant query.
    fn query(&self, expression: &str) -> serde_json::Value {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("Prometheus listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!("GET /api/v1/query?query={expression} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Nothing of it is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_scrapes_the_daemon() {
    let (story, _operator) = used();
    let prometheus = Prometheus::scraping(story.metrics);
    let until = Instant::now() + PATIENCE;
    let expected = [
        ("smppgw_messages_accepted_total", "1"),
        ("smppgw_messages_rejected_total", "1"),
        ("smppgw_submits_sent_total", "1"),
        ("smppgw_receipts_forwarded_total", "1"),
        ("smppgw_build_info", "1"),
        ("up", "1"),
    ];
    for (series, value) in expected {
        loop {
            let answer = prometheus.query(series);
            if answer["data"]["result"][0]["value"][1] == value {
                break;
            }
            assert!(Instant::now() < until, "{series}: {answer}");
            std::thread::yield_now();
        }
    }
    story.ends_well();
}

#[test]
fn the_first_scrape_after_a_restart_shows_what_waits_and_never_a_zero_that_nobody_measured() {
    let operator = Operator::start(prompt());
    let setup = Setup::new(&[("elisa", operator.port()), ("telia", free_port())]);
    let setup = setup.section("[[route]]\nprefix = [\"35850\"]\noperators = [\"telia\"]");
    let folder = TempDir::new().expect("a folder");
    let daemon = Daemon::start_in(folder.path(), &setup.text, None);
    let mut client = Client::bound_as(setup.port, BindKind::Transmitter, "app", "secret");
    for destination in ["358401234567", "358501234567", "358501234568"] {
        assert!(client.submit(&message(destination, b"Moi")).is_ok());
    }
    scrape::wait_for(setup.metrics, "smppgw_mailbox_items", &[], 1.0);
    daemon.kill();
    // Asked from before the daemon listens.
    let first = std::thread::spawn(move || scrape::first_scrape(setup.metrics));
    let _daemon = Daemon::start_in(folder.path(), &setup.text, None);
    let first = first.join().expect("an answer");
    let shown = |name: &str, labels: &[(&str, &str)]| scrape::value(&first, name, labels);
    assert_eq!(shown("smppgw_queue_messages", &[("operator", "telia")]), 2.0, "{first}");
    assert_eq!(shown("smppgw_mailbox_items", &[("account", "app")]), 1.0);
    assert_eq!(shown("smppgw_spool_accepting", &[]), 1.0);
    for name in ["smppgw_spool_used_bytes", "smppgw_spool_live_bytes", "smppgw_spool_free_bytes", "smppgw_start_time_seconds"] {
        assert!(shown(name, &[]) > 0.0, "{name}: {first}");
    }
}
