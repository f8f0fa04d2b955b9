//! An independent witness: what every kind of application and operator exchanges with the gateway, as Wireshark's dissector reads it.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use support::Daemon;
use support::foreign::{Client, NodeOperator, Program, repository, tool};
use support::kannel::Kannel;

/// Sent at the end of a story, so that its packets are known to be in the file.
const END: &[u8] = b"the story ends here";

/// A running capture of some TCP ports.
struct Capture {
    program: Program,
    /// Where the end is sent to.
    end: TcpListener,
    file: String,
    ports: Vec<String>,
}

fn script() -> Command {
    for needed in ["tshark", "dumpcap"] {
        tool(needed);
    }
    let mut command = tool("sh");
    command.arg(repository("tests/clients/capture.sh"));
    command
}

impl Capture {
    fn start(dir: &Path, ports: &[u16]) -> Capture {
        let file = dir.join("story.pcapng").display().to_string();
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let mut command = script();
        let end = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let end_port = end.local_addr().expect("its address").port().to_string();
        command.args(["record", &file]).args(&ports).arg(end_port);
        let mut program = Program::start("dumpcap (capturing needs root or the group wireshark)", command);
        program.wait_for("File:");
        Capture { program, end, file, ports }
    }

    /// Ends the capture and has it read by the dissector.
    fn check(self) -> Output {
        let mut connection = TcpStream::connect(self.end.local_addr().expect("its address")).expect("the connection");
        connection.write_all(END).expect("the end is sent");
        let written =
            script().args(["await", &self.file, &String::from_utf8_lossy(END)]).status().expect("the wait for the file");
        assert!(written.success(), "the capture is not written: {written}");
        self.program.terminate();
        keep(&self.file, &self.ports);
        script().args(["check", &self.file]).args(&self.ports).output().expect("the check runs")
    }

    /// The number of PDUs of each command, once the dissector has found no fault in any.
    fn counts(self) -> BTreeMap<u32, usize> {
        let output = self.check();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}\n{err}");
        out.lines().filter_map(count).collect()
    }
}

/// For whoever wants to look at the capture, or make fuzz/seeds of it.
fn keep(file: &str, ports: &[String]) {
    if let Some(wanted) = std::env::var_os("SMPPGW_CAPTURE") {
        std::fs::copy(file, wanted).expect("the capture is kept");
        println!("gateway and operators: {}", ports.join(" "));
    }
}

/// A line `  12 0x00000004`.
fn count(line: &str) -> Option<(u32, usize)> {
    let (count, command) = line.trim().split_once(' ')?;
    Some((u32::from_str_radix(command.strip_prefix("0x")?, 16).ok()?, count.parse().ok()?))
}

#[test]
fn wireshark_finds_no_fault_in_what_is_exchanged_with_any_foreign_program() {
    let operators: Vec<(&str, NodeOperator)> =
        ["udh8", "udh16", "sar", "payload"].into_iter().map(|form| (form, NodeOperator::start(&[]))).collect();
    let port = support::free_port();
    let mut ports = vec![port];
    let mut config = support::config(port, &[("unused", support::free_port())]);
    let versions = [
        ("3.3", &["transmitter", "receiver"][..]),
        ("3.4", &["transceiver"]),
        ("3.4", &["transceiver"]),
        ("5.0", &["transceiver"]),
    ];
    for ((form, operator), (version, binds)) in operators.iter().zip(versions) {
        ports.push(operator.port);
        config.push_str(&format!(
            "[[operator]]\nname = \"{form}\"\nlong_messages = \"{form}\"\ninterface_version = \"{version}\"\n"
        ));
        for bind in binds {
            config.push_str(&format!(
                "[[operator.bind]]\naddress = \"127.0.0.1:{}\"\ntype = \"{bind}\"\nsystem_id = \"gw\"\npassword = \"pw\"\n",
                operator.port
            ));
        }
    }
    for (prefix, form) in [("35840", "udh8"), ("35841", "udh16"), ("35844", "sar"), ("35845", "payload")] {
        config.push_str(&format!("[[route]]\nprefix = [\"{prefix}\"]\noperators = [\"{form}\"]\n"));
    }
    config.push_str("[[inbound]]\nnumber = \"13123\"\naccount = \"app\"\n");
    let dir = tempfile::tempdir().expect("a folder");
    let capture = Capture::start(dir.path(), &ports);
    let daemon = Daemon::start(&config);

    let texts: Vec<(String, String)> = ["35840", "35841", "35844", "35845"]
        .into_iter()
        .flat_map(|prefix| {
            let long = format!("{prefix}1111111");
            let wide = format!("{prefix}2222222");
            [(long, "Hyvää päivää € ".repeat(20)), (wide, "Moi 😀".to_owned())]
        })
        .collect();
    for (client, arguments) in [
        (Client::Smpplib, &[][..]),
        (Client::NetSmpp, &[]),
        (Client::Node, &[]),
        (Client::Node, &["--interface-version", "0x33"]),
        (Client::Node, &["--interface-version", "0x50"]),
    ] {
        assert!(!client.submit(port, &texts, arguments).receipts.is_empty());
    }
    let kannel = Kannel::start(&daemon.dir, port);
    kannel.send("358441111111", &"Hyvää päivää, Åke! ".repeat(20), "long");
    assert!(kannel.calls.next().starts_with("/dlr?"));
    for (_, mut operator) in operators {
        assert_eq!(operator.send_mo("358401234567", "13123", "kyllä €", None), 0);
        assert!(kannel.calls.next().starts_with("/mo?"));
    }
    assert!(daemon.stop());
    let counts = capture.counts();
    let of = |command: u32| counts.get(&command).copied().unwrap_or(0);
    let (submits, delivers) = (0x0000_0004, 0x0000_0005);
    assert!(of(submits) > 40 && of(delivers) > 40, "{counts:x?}");
    for request in [submits, delivers] {
        assert_eq!(of(request), of(0x8000_0000 | request), "every request was answered: {counts:x?}");
    }
}

#[test]
fn wireshark_does_find_a_fault_when_there_is_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let dir = tempfile::tempdir().expect("a folder");
    let capture = Capture::start(dir.path(), &[address.port()]);
    // A submit_sm whose sm_length says 200 octets where two are left.
    let body = b"\0\x01\x0113123\0\x01\x01358401234567\0\0\0\0\0\0\x01\0\0\0\xC8Hi";
    let mut pdu = Vec::new();
    for field in [16 + u32::try_from(body.len()).expect("short"), 4, 0, 1] {
        pdu.extend_from_slice(&field.to_be_bytes());
    }
    pdu.extend_from_slice(body);
    let mut client = TcpStream::connect(address).expect("the connection");
    client.write_all(&pdu).expect("the PDU leaves");
    let (mut peer, _) = listener.accept().expect("the connection");
    peer.read_exact(&mut pdu).expect("the PDU arrives");
    let output = capture.check();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && complaint.contains("malformed"), "{complaint}");
}
