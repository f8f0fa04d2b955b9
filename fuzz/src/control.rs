//! A line on the control socket is a request or is refused in few words.

use smppgw::control::Request;
use smppgw::control::protocol::COMMANDS;

/// Octets a refusal may have, whatever the line.
const FEW_WORDS: usize = 1200;

/// All of the data is one line.
pub fn run(data: &[u8]) {
    match Request::parse(data) {
        Ok(request) => {
            let written = serde_json::to_vec(&request).expect("a request can be written");
            assert_eq!(Request::parse(&written), Ok(request));
        }
        Err(refusal) => {
            assert!(refusal.len() < FEW_WORDS, "{} octets: {refusal}", refusal.len());
            assert!(!COMMANDS.iter().any(|command| data == format!("{{\"command\":\"{command}\",\"id\":\"1\"}}").as_bytes()));
        }
    }
}
