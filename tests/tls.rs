//! TLS on both sides of the gateway: listeners with and without client certificates, operators with a private authority, renewal.

mod support;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustix::process::Signal;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use smppgw::smpp::{BindKind, CommandId, Version};
use support::client::{Client, message};
use support::story::{Setup, Story};
use support::{PATIENCE, free_port};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

const NUMBER: &str = "358401234567";

/// An authority in a folder of its own, and what it signed.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let authority = Authority { folder: TempDir::new().expect("a folder"), issuer };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).expect("written");
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `file.pem` and `file.key` for a certificate of this name.
    fn sign(&self, file: &str, name: &str) {
        self.sign_as(file, CertificateParams::new(vec![name.to_owned()]).expect("parameters"));
    }

    /// As [`Authority::sign`], for a certificate that was good until years ago.
    fn sign_expired(&self, file: &str, name: &str) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign_as(file, params);
    }

    fn sign_as(&self, file: &str, params: CertificateParams) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).expect("written");
    }

    fn certificate(&self, file: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).expect("a certificate")
    }

    fn identity(&self, file: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).expect("a key");
        (vec![self.certificate(file)], key)
    }

    /// Connects and shakes hands; the certificate the listener showed comes with the client. A refusal of our own certificate shows
    /// only at the first read, so an enquire_link goes both ways.
    fn connect(&self, port: u16, identity: Option<&str>) -> io::Result<(Client, CertificateDer<'static>)> {
        self.connect_by(&[&TLS12, &TLS13], port, identity)
    }

    fn connect_by(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        port: u16,
        identity: Option<&str>,
    ) -> io::Result<(Client, CertificateDer<'static>)> {
        let (connection, socket) = shake_hands(self.client(versions, identity), port)?;
        let shown = connection.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").clone().into_owned();
        Ok((Client::over(Box::new(StreamOwned::new(connection, socket))), shown))
    }

    /// What a client needs; used again it takes up the TLS session of the time before, if it may.
    fn client(&self, versions: &[&'static SupportedProtocolVersion], identity: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate("ca")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match identity.map(|file| self.identity(file)) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("an identity"),
            None => builder.with_no_client_auth(),
        };
        Arc::new(config)
    }
}

/// Connects, shakes hands, and exchanges an enquire_link: a refusal of our own certificate, or a ticket, comes behind the handshake only.
fn shake_hands(config: Arc<ClientConfig>, port: u16) -> io::Result<(ClientConnection, TcpStream)> {
    let name = ServerName::try_from("gateway.example.fi").expect("a name");
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    io::Write::write_all(&mut stream, &support::client::pdu(CommandId::EnquireLink, 0, 1, &[]))?;
    io::Read::read_exact(&mut stream, &mut [0; 16])?;
    Ok((stream.conn, stream.sock))
}

fn bind(client: &mut Client) -> u32 {
    client.bind(BindKind::Transceiver, "app", "secret", Version::V3_4)
}

/// A daemon with a TLS listener beside the plain one, and that one's port.
fn with_tls_listener(authority: &Authority, more: &str) -> (Story, u16) {
    let port = free_port();
    let (certificate, key) = (authority.path("server.pem"), authority.path("server.key"));
    let listener = format!(
        "[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:{port}\"\ntls = {{ certificate = {certificate:?}, key = {key:?}{more} }}"
    );
    (Setup::new(&[("elisa", 1)]).section(&listener).start(), port)
}

#[test]
fn an_application_binds_over_tls_and_a_plain_one_on_that_port_disturbs_nobody() {
    let authority = Authority::new();
    authority.sign("server", "gateway.example.fi");
    let (mut story, port) = with_tls_listener(&authority, "");
    let (mut client, shown) = authority.connect(port, None).expect("a handshake");
    assert_eq!(shown, authority.certificate("server"));
    assert_eq!(bind(&mut client), 0);

    let mut plain = Client::connect(port);
    plain.write(&support::client::pdu(CommandId::BindTransceiver, 0, 1, b"app\0secret\0\0\x34\0\0\0"));
    story.waits_for("smppgw_connections_refused_total", &[("reason", "tls")], 1.0);
    story.daemon.wait_for_log("TLS handshake failed");
    assert!(!story.daemon.log_so_far().contains("secret"), "what came instead of a handshake is not shown");

    assert!(client.submit(&message(NUMBER, b"Moi")).is_ok());
    story.ends_well();
}

#[test]
fn with_client_certificates_only_those_of_the_authority_connect() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.sign("server", "gateway.example.fi");
    authority.sign("client", "shop.example.fi");
    stranger.sign("client", "shop.example.fi");
    // The stranger trusts the gateway, but not the other way round.
    std::fs::copy(authority.path("ca.pem"), stranger.path("ca.pem")).expect("copied");
    let (story, port) = with_tls_listener(&authority, &format!(", client_ca = {:?}", authority.path("ca.pem")));
    assert!(authority.connect(port, None).is_err(), "no certificate");
    assert!(stranger.connect(port, Some("client")).is_err(), "another authority's");
    let (mut client, _) = authority.connect(port, Some("client")).expect("a handshake");
    assert_eq!(bind(&mut client), 0);
    story.waits_for("smppgw_connections_refused_total", &[("reason", "tls")], 2.0);
    story.ends_well();
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_after_a_reload() {
    let authority = Authority::new();
    authority.sign("server", "gateway.example.fi");
    let (mut story, port) = with_tls_listener(&authority, "");
    let (mut old, first) = authority.connect(port, None).expect("a handshake");
    assert_eq!(bind(&mut old), 0);
    authority.sign("server", "gateway.example.fi");
    story.daemon.signal(Signal::HUP);
    story.daemon.wait_for_log("configuration reloaded");
    let (_, second) = authority.connect(port, None).expect("a handshake");
    assert_ne!(first, second);
    assert_eq!(second, authority.certificate("server"));
    old.is_alive();

    // A certificate that cannot be read refuses the reload; the one in force stays.
    std::fs::write(authority.path("server.pem"), "nonsense").expect("written");
    story.daemon.signal(Signal::HUP);
    story.daemon.wait_for_log("expected a certificate in PEM form");
    assert_eq!(authority.connect(port, None).expect("a handshake").1, second);
    story.ends_well();
}

#[test]
fn both_versions_of_tls_are_spoken_and_older_ones_are_refused() {
    let authority = Authority::new();
    authority.sign("server", "gateway.example.fi");
    let (mut story, port) = with_tls_listener(&authority, "");
    for version in [&TLS12, &TLS13] {
        let (mut client, _) = authority.connect_by(&[version], port, None).expect("a handshake");
        assert_eq!(bind(&mut client), 0);
    }
    // ClientHello of TLS 1.1: random, no session, ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression, signature_algorithms.
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x37, 0x01, 0x00, 0x00, 0x33, 0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0x00, 0x00, 0x02, 0xC0, 0x13, 0x01, 0x00, 0x00, 0x08, 0x00, 0x0D, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03]);
    let mut old = TcpStream::connect(("127.0.0.1", port)).expect("a listener");
    io::Write::write_all(&mut old, &hello).expect("a reader");
    let mut answer = Vec::new();
    io::Read::read_to_end(&mut old, &mut answer).expect("an answer and the end");
    assert_eq!((answer[0], answer.len(), answer[5], answer[6]), (0x15, 7, 2, 70), "a fatal alert: protocol_version");
    story.waits_for("smppgw_connections_refused_total", &[("reason", "tls")], 1.0);
    story.daemon.wait_for_log("TLS handshake failed");
    story.ends_well();
}

#[test]
fn an_expired_client_certificate_is_refused() {
    let authority = Authority::new();
    authority.sign("server", "gateway.example.fi");
    authority.sign_expired("client", "shop.example.fi");
    let (mut story, port) = with_tls_listener(&authority, &format!(", client_ca = {:?}", authority.path("ca.pem")));
    assert!(authority.connect(port, Some("client")).is_err());
    story.waits_for("smppgw_connections_refused_total", &[("reason", "tls")], 1.0);
    story.daemon.wait_for_log("expired");
    story.ends_well();
}

#[test]
fn a_client_certificate_is_examined_at_every_connection() {
    let authority = Authority::new();
    authority.sign("server", "gateway.example.fi");
    authority.sign("client", "shop.example.fi");
    let mutual = format!(", client_ca = {:?}", authority.path("ca.pem"));
    for (more, identity, second) in [("", None, HandshakeKind::Resumed), (&*mutual, Some("client"), HandshakeKind::Full)] {
        let (story, port) = with_tls_listener(&authority, more);
        for version in [&TLS12, &TLS13] {
            let client = authority.client(&[version], identity);
            let kind = || shake_hands(client.clone(), port).expect("a handshake").0.handshake_kind();
            assert_eq!((kind(), kind()), (Some(HandshakeKind::Full), Some(second)), "{version:?}, {identity:?}");
        }
        story.ends_well();
    }
}

#[test]
fn who_stops_in_mid_handshake_is_closed_in_time_and_logged() {
    let authority = Authority::new();
    authority.sign("server", "gateway.example.fi");
    let port = free_port();
    let (certificate, key) = (authority.path("server.pem"), authority.path("server.key"));
    let sections = format!(
        "[timers]\nsession_init = \"1s\"\n[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:{port}\"\n\
         tls = {{ certificate = {certificate:?}, key = {key:?} }}"
    );
    let mut story = Setup::new(&[("elisa", 1)]).section(&sections).start();
    let mut silent = Client::connect(port);
    silent.write(&[0x16, 0x03, 0x01]);
    assert!(silent.hears_nothing());
    story.daemon.wait_for_log("TLS handshake failed");
    story.ends_well();
}

#[test]
fn an_account_bound_to_a_certificate_needs_it_beside_its_password() {
    let authority = Authority::new();
    authority.sign("server", "gateway.example.fi");
    authority.sign("shop", "shop.example.fi");
    authority.sign("other", "other.example.fi");
    let port = free_port();
    let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| authority.path(name));
    let listener = format!(
        "[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:{port}\"\n\
         tls = {{ certificate = {certificate:?}, key = {key:?}, client_ca = {ca:?} }}\n\
         [[account]]\nsystem_id = \"free\"\npassword = \"secret\""
    );
    let setup = Setup::new(&[("elisa", 1)]).account("certificate = \"shop.example.fi\"").section(&listener);
    let mut story = setup.start();
    let (mut shop, _) = authority.connect(port, Some("shop")).expect("a handshake");
    assert_eq!(bind(&mut shop), 0);
    let (mut other, _) = authority.connect(port, Some("other")).expect("a handshake");
    assert_eq!(bind(&mut other), 0x0D, "somebody else's certificate");
    assert_eq!(other.bind(BindKind::Transceiver, "free", "secret", Version::V3_4), 0, "its own account");
    assert_eq!(bind(&mut Client::connect(story.port)), 0x0D, "none at all");
    story.waits_for("smppgw_logins_refused_total", &[("reason", "certificate-not-allowed")], 2.0);
    // The account goes over to another certificate: a session with the former one is over.
    std::fs::write(&story.daemon.config, setup.text.replace("shop.example.fi", "other.example.fi")).expect("written");
    story.daemon.signal(Signal::HUP);
    shop.is_unbound();
    other.is_alive();
    assert_eq!(bind(&mut authority.connect(port, Some("other")).expect("a handshake").0), 0);
    let log = story.daemon.log_so_far();
    assert!(!log.contains("panicked") && !log.contains("secret"), "{log}");
}

/// A daemon bound to an operator over TLS, which must show a certificate for `smsc.example.fi`.
fn with_tls_operator(authority: &Authority, port: u16) -> Story {
    let tls = format!("tls = {{ ca = {:?}, name = \"smsc.example.fi\" }}", authority.path("ca.pem"));
    Setup::new(&[("elisa", port)])
        .operators("window = 10")
        .replace("password = \"pw\"", &format!("password = \"pw\"\n{tls}"))
        .start()
}

/// An operator's side of the next connection.
fn accept(authority: &Authority, listener: &TcpListener) -> io::Result<Client> {
    let (chain, key) = authority.identity("operator");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("an identity");
    let mut connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
    let (mut socket, _) = listener.accept()?;
    socket.set_read_timeout(Some(PATIENCE))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(Client::over(Box::new(StreamOwned::new(connection, socket))))
}

#[test]
fn an_operator_with_a_private_authority_is_bound_over_tls() {
    let authority = Authority::new();
    authority.sign("operator", "smsc.example.fi");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let story = with_tls_operator(&authority, listener.local_addr().expect("its address").port());
    let mut gateway = accept(&authority, &listener).expect("a handshake");
    let request = gateway.expect(CommandId::BindTransceiver);
    gateway.answer(&request, 0, b"smsc\0");
    assert!(story.client().submit(&message(NUMBER, b"Moi")).is_ok());
    gateway.expect(CommandId::SubmitSm);
    story.ends_well();
}

#[test]
fn an_operator_with_a_certificate_of_another_name_or_authority_or_an_expired_one_gets_no_password() {
    let (authority, stranger, late) = (Authority::new(), Authority::new(), Authority::new());
    authority.sign("operator", "another.example.fi");
    stranger.sign("operator", "smsc.example.fi");
    late.sign_expired("operator", "smsc.example.fi");
    for (trusted, shown) in [(&authority, &authority), (&authority, &stranger), (&late, &late)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let story = with_tls_operator(trusted, listener.local_addr().expect("its address").port());
        // In TLS 1.3 the refusal comes after our side has finished.
        let octets = accept(shown, &listener).map(|mut gateway| gateway.hears_nothing());
        assert!(octets.unwrap_or(true), "the connection ends without a bind");
        drop(listener);
        story.ends_well();
    }
}
