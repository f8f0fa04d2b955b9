//! The daemon and its service manager: sockets handed over, readiness, watchdog, and an orderly end.

mod support;

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use smppgw::smpp::CommandId;
use support::PATIENCE;
use support::client::{Client, message, receipt};
use support::operator::{Operator, Scripted, prompt};
use support::story::Setup;
use tempfile::TempDir;

const NUMBER: &str = "358401234567";

/// A daemon whose messages to the service manager the test reads.
struct Service {
    child: Child,
    notices: UnixDatagram,
    folder: TempDir,
}

impl Service {
    /// Starts the daemon as systemd would: as process `$$` of a shell that becomes it, with socket `listener` as descriptor 3.
    fn start(config: &str, environment: &str, listener: Option<&TcpListener>) -> Service {
        let folder = TempDir::new().expect("a folder");
        Service::start_in(folder, config, environment, listener)
    }

    fn start_in(folder: TempDir, config: &str, environment: &str, listener: Option<&TcpListener>) -> Service {
        let path = folder.path().join("notify.sock");
        // A former daemon's socket.
        let _ = std::fs::remove_file(&path);
        let notices = UnixDatagram::bind(&path).expect("the notify socket");
        notices.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        std::fs::write(folder.path().join("smppgw.toml"), config).expect("the configuration");
        let handed_over = match listener {
            Some(_) => "export LISTEN_PID=$$; exec \"$0\" serve --config \"$1\" 3<&0 0</dev/null",
            None => "exec \"$0\" serve --config \"$1\"",
        };
        let stdin = listener.map_or(Stdio::null(), |listener| {
            assert!(listener.as_raw_fd() > 2);
            std::os::fd::OwnedFd::from(listener.try_clone().expect("a second descriptor")).into()
        });
        let child = Command::new("sh")
            .args(["-c", &format!("{environment} {handed_over}")])
            .arg(env!("CARGO_BIN_EXE_smppgw"))
            .arg(folder.path().join("smppgw.toml"))
            .env("NOTIFY_SOCKET", &path)
            .stdin(stdin)
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let service = Service { child, notices, folder };
        service.says("READY=1");
        service
    }

    /// Waits for a message with this line, and returns the whole message.
    fn says(&self, line: &str) -> String {
        let mut octets = [0; 1024];
        loop {
            let length = self.notices.recv(&mut octets).unwrap_or_else(|error| panic!("{line}: {error}"));
            let message = String::from_utf8_lossy(&octets[..length]).into_owned();
            if message.lines().any(|said| said == line) {
                return message;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for a good end and leaves the folder.
    fn ended(mut self) -> TempDir {
        assert!(self.child.wait().expect("it ends").success());
        std::mem::replace(&mut self.folder, TempDir::new().expect("a folder"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already ended in most stories.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_socket_of_the_service_manager_is_served_and_clients_wait_in_it_across_a_restart() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("its address").port();
    // The address in the file is not bound: the name finds the socket.
    let setup = Setup::new(&[("elisa", 1)]);
    let service = Service::start(&setup.text, "export LISTEN_FDS=1 LISTEN_FDNAMES=plain;", Some(&socket));
    Client::bound(port).is_alive();
    assert!(std::net::TcpStream::connect(("127.0.0.1", setup.port)).is_err(), "only the socket handed over");
    service.signal(Signal::TERM);
    let folder = service.ended();
    let mut early = Client::connect(port);
    let _service = Service::start_in(folder, &setup.text, "export LISTEN_FDS=1 LISTEN_FDNAMES=plain;", Some(&socket));
    early.is_alive();
}

#[test]
fn a_socket_of_another_name_is_left_alone() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let setup = Setup::new(&[("elisa", 1)]);
    let _service = Service::start(&setup.text, "export LISTEN_FDS=1 LISTEN_FDNAMES=other;", Some(&socket));
    Client::bound(setup.port).is_alive();
}

#[test]
fn the_service_manager_hears_of_reload_life_and_end() {
    let setup = Setup::new(&[("elisa", 1)]);
    let service = Service::start(&setup.text, "export WATCHDOG_USEC=500000 WATCHDOG_PID=$$;", None);
    service.says("WATCHDOG=1");
    service.says("WATCHDOG=1");
    service.signal(Signal::HUP);
    let reloading = service.says("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "Type=notify-reload wants the time: {reloading}");
    service.says("READY=1");
    service.signal(Signal::TERM);
    service.says("STOPPING=1");
    service.ended();
}

#[test]
fn a_drain_answers_what_is_open_unbinds_both_sides_and_nothing_is_missing_afterwards() {
    let operator = Scripted::listen();
    let setup = Setup::new(&[("elisa", operator.port())]).operators("window = 2");
    let service = Service::start(&setup.text, "", None);
    let mut gateway = operator.accept();
    let mut client = Client::bound(setup.port);
    let mut ids: Vec<String> = (0..5).map(|_| client.submit(&message(NUMBER, b"Moi")).expect("an id")).collect();
    let open = [gateway.expect(CommandId::SubmitSm), gateway.expect(CommandId::SubmitSm)];
    service.signal(Signal::TERM);
    service.says("STOPPING=1");
    client.is_unbound();
    // Answers that come while it waits are still taken. The operators are told last: the window may be filled once more before.
    for (submit, id) in open.iter().zip([b"1\0", b"2\0"]) {
        gateway.answer(submit, 0, id);
    }
    let mut answered = open.len();
    loop {
        let frame = gateway.receive();
        match frame.command_id() {
            CommandId::SubmitSm => {
                answered += 1;
                gateway.answer(&frame, 0, format!("{answered}\0").as_bytes());
            }
            command => {
                assert_eq!(command, CommandId::Unbind);
                gateway.answer(&frame, 0, &[]);
                break gateway.is_closed();
            }
        }
    }
    let folder = service.ended();
    drop(operator);

    let operator = Operator::start(prompt());
    let moved =
        setup.text.replace(&format!("127.0.0.1:{}", operator_port(&setup.text)), &format!("127.0.0.1:{}", operator.port()));
    let _service = Service::start_in(folder, &moved, "", None);
    let left = ids.len() - answered;
    operator.wait_until(|counts| counts.received == left as u64);
    let mut client = Client::bound(setup.port);
    let mut reported: Vec<String> = (0..left).map(|_| receipt(&client.delivery()).0).collect();
    reported.sort();
    ids.sort();
    assert_eq!(reported, ids[answered..], "the first {answered} were the operator's already");
}

/// The port of the only operator.
fn operator_port(text: &str) -> &str {
    let (_, rest) = text.split_once("[[operator.bind]]\naddress = \"127.0.0.1:").expect("a bind");
    rest.split('"').next().expect("a port")
}

#[test]
fn a_drain_ends_within_its_limit_even_when_nobody_agrees() {
    let operator = Scripted::listen();
    let setup = Setup::new(&[("elisa", operator.port())]).operators("window = 2").section("[daemon]\ndrain = \"1s\"");
    let service = Service::start(&setup.text, "", None);
    let mut gateway = operator.accept();
    let mut client = Client::bound(setup.port);
    assert!(client.submit(&message(NUMBER, b"Moi")).is_ok());
    gateway.expect(CommandId::SubmitSm);
    let begun = std::time::Instant::now();
    service.signal(Signal::TERM);
    let folder = service.ended();
    assert!(begun.elapsed() < std::time::Duration::from_secs(8), "{:?}", begun.elapsed());
    drop((gateway, operator));

    let operator = Operator::start(prompt());
    let moved =
        setup.text.replace(&format!("127.0.0.1:{}", operator_port(&setup.text)), &format!("127.0.0.1:{}", operator.port()));
    let _service = Service::start_in(folder, &moved, "", None);
    operator.wait_until(|counts| counts.received == 1);
}
