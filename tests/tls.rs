//! TLS on both sides of the gateway: listeners with and without client certificates, operators with a private authority, renewal.

mod support;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use smppgw::smpp::{BindKind, CommandId, Version};
use support::client::{Client, message};
use support::story::{Setup, Story};
use support::{PATIENCE, free_port};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

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
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
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
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate("ca")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match identity.map(|file| self.identity(file)) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("an identity"),
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("gateway.example.fi").expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let shown = connection.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").clone().into_owned();
        let mut stream = StreamOwned::new(connection, socket);
        io::Write::write_all(&mut stream, &support::client::pdu(CommandId::EnquireLink, 0, 1, &[]))?;
        io::Read::read_exact(&mut stream, &mut [0; 16])?;
        Ok((Client::over(Box::new(stream)), shown))
    }
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
    let (story, port) = with_tls_listener(&authority, "");
    let (mut client, shown) = authority.connect(port, None).expect("a handshake");
    assert_eq!(shown, authority.certificate("server"));
    assert_eq!(bind(&mut client), 0);

    let mut plain = Client::connect(port);
    plain.write(&support::client::pdu(CommandId::BindTransceiver, 0, 1, b"app\0secret\0\0\x34\0\0\0"));
    story.waits_for("smppgw_connections_refused_total", &[("reason", "tls")], 1.0);

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
fn an_operator_with_a_certificate_of_another_name_or_authority_gets_no_password() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.sign("operator", "another.example.fi");
    stranger.sign("operator", "smsc.example.fi");
    for shown in [&authority, &stranger] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let story = with_tls_operator(&authority, listener.local_addr().expect("its address").port());
        // In TLS 1.3 the refusal comes after our side has finished.
        let octets = accept(shown, &listener).map(|mut gateway| gateway.hears_nothing());
        assert!(octets.unwrap_or(true), "the connection ends without a bind");
        drop(listener);
        story.ends_well();
    }
}
