//! TLS settings from their files: TLS 1.2 and 1.3, with certificates on one side or on both.
//!
//! Everything is read anew at each call, so that a reload picks up renewed certificates: the caller swaps the result in for the
//! connections to come.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::config::{Bind, Disk, Fault, Files, Line, Listener};

/// A PEM file longer than this is not one; bundles of the world's authorities have a quarter of a MiB.
const PEM_FILE_SIZE: usize = 4 << 20;

/// Where systems keep the authorities they trust: Debian and Alpine, Fedora and RHEL, SUSE.
const SYSTEM_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// What a connection to an operator needs for TLS.
#[derive(Debug, Clone)]
pub struct ClientSide {
    pub config: Arc<ClientConfig>,
    /// The name its certificate must have.
    pub name: ServerName<'static>,
}

/// TLS of a listener; `None` when it has none. Faults are of the listener's line in `config_file`.
pub fn server_side(config_file: &str, listener: &Listener) -> Result<Option<Arc<ServerConfig>>, Fault> {
    let Some(tls) = &listener.tls else { return Ok(None) };
    let place = Place { file: config_file, line: listener.line, section: "listener.tls" };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| place.fault("certificate", error))?;
    let builder = match &tls.client_ca {
        Some(path) => {
            let authorities = Arc::new(place.authorities("client_ca", path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| place.wrong("client_ca", path, error))?)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = place.certificates("certificate", &tls.certificate)?;
    let config = builder.with_single_cert(chain, place.key("key", &tls.key)?);
    let mut config = config.map_err(|error| place.wrong("certificate", &tls.certificate, error))?;
    if tls.client_ca.is_some() {
        // A resumed session brings its old certificate along unexamined, which may have expired since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Some(Arc::new(config)))
}

/// TLS of a bind to an operator; `None` when it has none. Faults are of the bind's line in `config_file`.
pub fn client_side(config_file: &str, bind: &Bind) -> Result<Option<ClientSide>, Fault> {
    let Some(tls) = &bind.tls else { return Ok(None) };
    let place = Place { file: config_file, line: bind.line, section: "operator.bind.tls" };
    let host = tls.name.as_ref().unwrap_or(&bind.address.host);
    let name = ServerName::try_from(host.to_string()).map_err(|error| place.fault("name", format!("\"{host}\": {error}")))?;
    let authorities = match &tls.ca {
        Some(path) => place.authorities("ca", path)?,
        None => place.authorities("ca", &system_authorities(&place)?)?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| place.fault("ca", error))?
        .with_root_certificates(authorities);
    let config = match &tls.identity {
        Some(identity) => {
            let chain = place.certificates("certificate", &identity.certificate)?;
            let config = builder.with_client_auth_cert(chain, place.key("key", &identity.key)?);
            config.map_err(|error| place.wrong("certificate", &identity.certificate, error))?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Some(ClientSide { config: Arc::new(config), name }))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn system_authorities(place: &Place<'_>) -> Result<PathBuf, Fault> {
    let found = SYSTEM_AUTHORITIES.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| place.fault("ca", "this system has no bundle of trusted authorities; name a ca file"))
}

/// Where in the configuration the files were named.
struct Place<'a> {
    file: &'a str,
    line: Line,
    section: &'a str,
}

impl Place<'_> {
    fn fault(&self, key: &str, message: impl Display) -> Fault {
        Fault::error(self.file, self.line.0, &format!("{}.{key}", self.section), message.to_string())
    }

    fn wrong(&self, key: &str, path: &Path, error: impl Display) -> Fault {
        self.fault(key, format!("{}: {error}", path.display()))
    }

    fn read(&self, key: &str, path: &Path) -> Result<Vec<u8>, Fault> {
        Disk::default().read(path, PEM_FILE_SIZE).map_err(|error| self.wrong(key, path, error))
    }

    fn certificates(&self, key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
        let pem = self.read(key, path)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|error| self.wrong(key, path, error))?;
        if chain.is_empty() {
            return Err(self.wrong(key, path, "expected a certificate in PEM form, found none"));
        }
        Ok(chain)
    }

    /// A bundle may have certificates that nobody can use; one that can be used is enough.
    fn authorities(&self, key: &str, path: &Path) -> Result<RootCertStore, Fault> {
        let mut store = RootCertStore::empty();
        let (usable, _) = store.add_parsable_certificates(self.certificates(key, path)?);
        if usable == 0 {
            return Err(self.wrong(key, path, "expected the certificate of an authority, found none that can be used"));
        }
        Ok(store)
    }

    fn key(&self, key: &str, path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
        PrivateKeyDer::from_pem_slice(&self.read(key, path)?)
            .map_err(|error| self.wrong(key, path, format!("expected a private key in PEM form: {error}")))
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
