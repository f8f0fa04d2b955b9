//! Kannel: bearerbox as an application bound to the gateway, smsbox as its HTTP side.

use std::path::Path;

use super::foreign::{Program, repository, tool};
use super::http::{self, Listener};

/// Both programs, running and connected.
pub struct Kannel {
    _bearerbox: Program,
    _smsbox: Program,
    sendsms_port: u16,
    /// Gets `/mo` for each message that comes in, and what a `dlr-url` names.
    pub calls: Listener,
}

impl Kannel {
    /// Binds to the gateway's listener as account `app`.
    pub fn start(dir: &Path, gateway: u16) -> Kannel {
        let calls = Listener::start();
        let [admin, smsbox, sendsms_port] = std::array::from_fn(|_| super::free_port());
        let template = std::fs::read_to_string(repository("tests/clients/kannel/kannel.conf.in")).expect("the template");
        let config = [
            ("SMPP_HOST", "127.0.0.1".to_owned()),
            ("SMPP_PORT", gateway.to_string()),
            ("SYSTEM_ID", "app".to_owned()),
            ("PASSWORD", "secret".to_owned()),
            ("ADMIN_PORT", admin.to_string()),
            ("SMSBOX_PORT", smsbox.to_string()),
            ("SENDSMS_PORT", sendsms_port.to_string()),
            ("MO_URL", format!("http://127.0.0.1:{}/mo", calls.port)),
            ("DIR", dir.display().to_string()),
        ]
        .iter()
        .fold(template, |text, (name, value)| text.replace(&format!("@{name}@"), value));
        let file = dir.join("kannel.conf");
        std::fs::write(&file, config).expect("its configuration");
        let start = |program: &str| {
            let mut command = tool(program);
            command.args(["-v", "0"]).arg(&file);
            Program::start(program, command)
        };
        let mut bearerbox = start("bearerbox");
        bearerbox.wait_for("bind_transceiver_resp");
        let mut smsbox = start("smsbox");
        // A request that comes before this makes it panic.
        smsbox.wait_for("heartbeat_thread");
        Kannel { _bearerbox: bearerbox, _smsbox: smsbox, sendsms_port, calls }
    }

    /// Sends a text with a call for each final state of it; `name` comes back in the calls.
    pub fn send(&self, to: &str, text: &str, name: &str) {
        let dlr = format!("http://127.0.0.1:{}/dlr?name={name}&state=%d", self.calls.port);
        let coding = if text.chars().any(|character| u32::from(character) > 0x20AC) { "&coding=2" } else { "" };
        let (text, dlr) = (http::encode(text), http::encode(&dlr));
        let target = format!(
            "/cgi-bin/sendsms?username=tester&password=tester&from=13123&to={to}&charset=UTF-8{coding}&text={text}\
             &dlr-mask=19&dlr-url={dlr}"
        );
        assert_eq!(http::get(self.sendsms_port, &target), 202);
    }
}
