use std::fs;
use std::io;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::config::{BindType, ClientIdentity, ClientTls, HostPort, Secret, ServerTls};

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
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).expect("written");
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
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).expect("written");
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).expect("written");
    }

    fn listener(&self, client_ca: Option<PathBuf>) -> Listener {
        let tls = ServerTls { certificate: self.path("server.pem"), key: self.path("server.key"), client_ca };
        Listener { name: "tls".into(), address: ([127, 0, 0, 1], 3550).into(), tls: Some(tls), line: Line(7) }
    }

    fn bind(&self, host: &str, identity: Option<ClientIdentity>) -> Bind {
        Bind {
            address: HostPort { host: host.into(), port: 3550 },
            tls: Some(ClientTls { ca: Some(self.path("ca.pem")), name: None, identity }),
            kind: BindType::Transceiver,
            system_id: "gw".into(),
            password: Secret::default(),
            system_type: "".into(),
            address_range: "".into(),
            count: 1,
            line: Line(9),
        }
    }

    fn identity(&self, file: &str) -> Option<ClientIdentity> {
        Some(ClientIdentity { certificate: self.path(&format!("{file}.pem")), key: self.path(&format!("{file}.key")) })
    }
}

/// Connects the two in memory and passes an octet each way; gives the version they agreed on.
async fn handshake(listener: &Listener, bind: &Bind) -> io::Result<Option<ProtocolVersion>> {
    let server = server_side("x.toml", listener).map_err(io::Error::other)?.expect("TLS");
    let client = client_side("x.toml", bind).map_err(io::Error::other)?.expect("TLS");
    let (near, far) = tokio::io::duplex(16 * 1024);
    let serve = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        let octet = stream.read_u8().await?;
        stream.write_u8(octet).await?;
        stream.shutdown().await
    };
    let call = async {
        let mut stream = TlsConnector::from(client.config).connect(client.name, near).await?;
        stream.write_u8(42).await?;
        assert_eq!(stream.read_u8().await?, 42);
        Ok::<_, io::Error>(stream.get_ref().1.protocol_version())
    };
    let (_, version) = tokio::try_join!(serve, call)?;
    Ok(version)
}

#[tokio::test]
async fn a_bind_and_a_listener_agree_on_tls_1_3() {
    let authority = Authority::new();
    authority.sign("server", "smsc.example");
    let version = handshake(&authority.listener(None), &authority.bind("smsc.example", None)).await.expect("connected");
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn a_certificate_of_another_name_or_authority_is_refused() {
    let authority = Authority::new();
    authority.sign("server", "smsc.example");
    assert!(handshake(&authority.listener(None), &authority.bind("other.example", None)).await.is_err());
    let stranger = Authority::new();
    assert!(handshake(&authority.listener(None), &stranger.bind("smsc.example", None)).await.is_err());
}

#[tokio::test]
async fn the_name_setting_replaces_the_host_of_the_address() {
    let authority = Authority::new();
    authority.sign("server", "smsc.example");
    let mut bind = authority.bind("127.0.0.1", None);
    assert!(handshake(&authority.listener(None), &bind).await.is_err());
    bind.tls.as_mut().expect("TLS").name = Some("smsc.example".into());
    assert!(handshake(&authority.listener(None), &bind).await.is_ok());
}

#[tokio::test]
async fn a_listener_with_client_ca_takes_only_clients_that_it_certified() {
    let authority = Authority::new();
    authority.sign("server", "smsc.example");
    authority.sign("client", "gw.example");
    let stranger = Authority::new();
    stranger.sign("client", "gw.example");
    let listener = authority.listener(Some(authority.path("ca.pem")));
    assert!(handshake(&listener, &authority.bind("smsc.example", None)).await.is_err());
    assert!(handshake(&listener, &authority.bind("smsc.example", stranger.identity("client"))).await.is_err());
    assert!(handshake(&listener, &authority.bind("smsc.example", authority.identity("client"))).await.is_ok());
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_at_the_next_reading() {
    let authority = Authority::new();
    authority.sign("server", "old.example");
    let (listener, bind) = (authority.listener(None), authority.bind("new.example", None));
    assert!(handshake(&listener, &bind).await.is_err());
    authority.sign("server", "new.example");
    assert!(handshake(&listener, &bind).await.is_ok());
}

#[test]
fn a_fault_names_the_line_the_field_and_the_file() {
    let authority = Authority::new();
    authority.sign("server", "smsc.example");
    let listener = authority.listener(None);
    let fault = |listener: &Listener| server_side("x.toml", listener).expect_err("a fault").to_string();

    fs::write(authority.path("server.key"), KeyPair::generate().expect("a key").serialize_pem()).expect("written");
    let mismatch = fault(&listener);
    assert!(mismatch.starts_with("x.toml:7: listener.tls.certificate: ") && mismatch.contains("server.pem"), "{mismatch}");

    fs::write(authority.path("server.key"), "not a key").expect("written");
    assert!(fault(&listener).starts_with("x.toml:7: listener.tls.key: "));

    fs::write(authority.path("server.pem"), "not a certificate").expect("written");
    assert!(fault(&listener).contains("expected a certificate in PEM form"));

    fs::remove_file(authority.path("ca.pem")).expect("removed");
    let missing = client_side("x.toml", &authority.bind("smsc.example", None)).expect_err("a fault").to_string();
    assert!(missing.starts_with("x.toml:9: operator.bind.tls.ca: "), "{missing}");
}

#[test]
fn no_tls_setting_means_no_tls() {
    let authority = Authority::new();
    let mut bind = authority.bind("smsc.example", None);
    bind.tls = None;
    assert!(client_side("x.toml", &bind).expect("no fault").is_none());
    let listener = Listener { tls: None, ..authority.listener(None) };
    assert!(server_side("x.toml", &listener).expect("no fault").is_none());
}
