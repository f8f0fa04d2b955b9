//! What the daemon's metrics endpoint says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::PATIENCE;

/// The body of GET /metrics.
pub fn scrape(port: u16) -> String {
    asked(TcpStream::connect(("127.0.0.1", port)).expect("the metrics endpoint"))
}

/// The very first answer of an endpoint: asks as soon as somebody listens there.
pub fn first_scrape(port: u16) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => return asked(socket),
            Err(error) => assert!(Instant::now() < until, "the metrics endpoint: {error}"),
        }
        std::thread::yield_now();
    }
}

fn asked(mut socket: TcpStream) -> String {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// The value of the series whose name and labels are written so: `name{label="value"}`; labels may stand in any order and others
/// between them. Zero when there is none yet.
pub fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
    };
    text.lines().filter(wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Scrapes until the series has this value: metrics are counted beside the way of a message, not before its answer.
pub fn wait_for(port: u16, name: &str, labels: &[(&str, &str)], expected: f64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = value(&scrape(port), name, labels);
        if found == expected {
            return;
        }
        assert!(Instant::now() < until, "{name}{labels:?} is {found}, not {expected}");
        std::thread::yield_now();
    }
}
