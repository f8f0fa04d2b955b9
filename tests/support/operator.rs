//! Operators: the simulated one behind a blocking face, and one that does exactly what a story tells it.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use smppgw::simulator::{Behaviour, Counts, Mo, Record, Smsc, SmscSettings};
use smppgw::smpp::{CommandId, Frame};
use tokio::runtime::Runtime;

use super::PATIENCE;
use super::client::Client;

/// A simulated operator in this process, on a thread of its own.
pub struct Operator {
    runtime: Runtime,
    smsc: Option<Smsc>,
}

/// Reports at once, so that stories do not wait.
pub fn prompt() -> Behaviour {
    Behaviour { receipt_delay: Duration::ZERO, ..Behaviour::default() }
}

impl Operator {
    pub fn start(behaviour: Behaviour) -> Operator {
        Operator::start_at(0, behaviour)
    }

    pub fn start_at(port: u16, behaviour: Behaviour) -> Operator {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        let settings = SmscSettings { listen, behaviour, keep_records: true, ..SmscSettings::default() };
        let smsc = runtime.block_on(Smsc::start(settings)).expect("a free port");
        Operator { runtime, smsc: Some(smsc) }
    }

    fn smsc(&self) -> &Smsc {
        self.smsc.as_ref().expect("it runs")
    }

    pub fn port(&self) -> u16 {
        self.smsc().address().port()
    }

    pub fn counts(&self) -> Counts {
        self.smsc().counts()
    }

    /// Waits for the counts to fulfil `condition`.
    pub fn wait_until(&self, condition: impl Fn(&Counts) -> bool) -> Counts {
        let waiting = async { tokio::time::timeout(PATIENCE, self.smsc().wait_until(condition)).await };
        self.runtime.block_on(waiting).unwrap_or_else(|_| panic!("the operator has seen only {:?}", self.counts()))
    }

    pub fn records(&self) -> Vec<Record> {
        self.smsc().records()
    }

    /// Every text that came, user data header included, in order of arrival.
    pub fn texts(&self) -> Vec<Vec<u8>> {
        self.records().into_iter().map(|record| record.text).collect()
    }

    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.smsc().set_behaviour(behaviour);
    }

    pub fn send_mo(&self, mo: Mo) {
        self.smsc().send_mo("gw", mo);
    }

    pub fn disconnect(&self) {
        self.smsc().disconnect();
    }

    /// Unbinds all and stops listening.
    pub fn stop(mut self) -> Counts {
        let smsc = self.smsc.take().expect("it runs");
        self.runtime.block_on(smsc.stop())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // Its task ends within its runtime.
        let _entered = self.runtime.enter();
        drop(self.smsc.take());
    }
}

/// A listening operator that leaves every answer to the story.
pub struct Scripted {
    listener: TcpListener,
}

impl Scripted {
    pub fn listen() -> Scripted {
        Scripted { listener: TcpListener::bind("127.0.0.1:0").expect("a free port") }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("its address").port()
    }

    /// The gateway's next connection, its bind accepted.
    pub fn accept(&self) -> Client {
        self.accept_with(b"scripted\0")
    }

    /// The same, with this body of the response.
    pub fn accept_with(&self, body: &[u8]) -> Client {
        let (socket, _) = self.listener.accept().expect("the gateway connects");
        let mut gateway = Client::of(socket);
        let bind = gateway.receive();
        gateway.answer(&bind, 0, body);
        gateway
    }
}

/// Everything the gateway sends before it answers an enquire_link: what it wants to send now.
pub fn sent_before_a_fence(gateway: &mut Client) -> Vec<Frame> {
    let fence = gateway.next_sequence();
    gateway.write(&super::client::pdu(CommandId::EnquireLink, 0, fence, &[]));
    let mut sent = Vec::new();
    loop {
        let frame = gateway.receive();
        if frame.command_id() == CommandId::EnquireLinkResp && frame.sequence() == fence {
            return sent;
        }
        sent.push(frame);
    }
}
