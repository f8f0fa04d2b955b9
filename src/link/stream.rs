//! TCP, or TLS over it, behind one type.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream, rustls::ClientConfig};

/// How long a connection to an operator, its TLS handshake included, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// No socket at all: a simulated network.
    Memory(Box<dyn Memory>),
}

/// What a connection in memory has to be able to do.
pub trait Memory: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Memory for T {}

/// A connection being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// A network other than the machine's.
pub trait Network: Send + Sync {
    fn connect(&self, host: &str, port: u16) -> Connecting;
}

/// How connections are made.
#[derive(Clone, Default)]
pub enum Connector {
    #[default]
    Tcp,
    Simulated(Arc<dyn Network>),
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Connector::Tcp) { "Tcp" } else { "Simulated" })
    }
}

impl Connector {
    /// See [`connect`]; a simulated network knows no TLS.
    ///
    /// # Errors
    /// Those of [`connect`].
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    ) -> io::Result<Stream> {
        match self {
            Connector::Tcp => connect(host, port, tls).await,
            Connector::Simulated(network) => {
                let connecting = tokio::time::timeout(CONNECT_TIMEOUT, network.connect(host, port));
                connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Stream {
    /// Takes over a connected socket; small writes leave at once, since PDUs are gathered before they are written.
    pub fn plain(socket: TcpStream) -> io::Result<Stream> {
        socket.set_nodelay(true)?;
        Ok(Stream::Plain(socket))
    }

    /// Is it encrypted?
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// What the kernel holds for the peer is dropped with the connection, which then ends with a reset.
    pub fn discard_unsent(&self) {
        let socket = match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls.get_ref().0,
            Stream::Memory(_) => return,
        };
        // It can only fail on a socket that has nothing to send any more.
        let _ = socket.set_zero_linger();
    }

    /// The certificate the other end has shown and proved to own; it is verified, or there would be no connection.
    pub fn peer_certificate(&self) -> Option<CertificateDer<'static>> {
        let Stream::Tls(tls) = self else { return None };
        let chain = tls.get_ref().1.peer_certificates()?;
        chain.first().map(|certificate| certificate.clone().into_owned())
    }
}

/// Connects to a host by name or address; with `tls` the certificate must be good for the name given.
///
/// # Errors
/// What the resolver, the socket or the handshake said; `TimedOut` after ten seconds.
pub async fn connect(host: &str, port: u16, tls: Option<(Arc<ClientConfig>, ServerName<'static>)>) -> io::Result<Stream> {
    let connect = async {
        let socket = TcpStream::connect((host, port)).await?;
        socket.set_nodelay(true)?;
        match tls {
            None => Ok(Stream::Plain(socket)),
            Some((config, name)) => {
                let tls = TlsConnector::from(config).connect(name, socket).await?;
                Ok(Stream::Tls(Box::new(TlsStream::Client(tls))))
            }
        }
    };
    tokio::time::timeout(CONNECT_TIMEOUT, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Stream::Memory(memory) => Pin::new(memory).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
            Stream::Memory(memory) => Pin::new(memory).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Stream::Memory(memory) => Pin::new(memory).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Stream::Memory(memory) => Pin::new(memory).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Octets that reach a peer which reads only when the connection has ended, of those the kernel took.
    async fn arrives(end: impl FnOnce(&Stream)) -> (usize, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = connect(&address.ip().to_string(), address.port(), None).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let (octets, mut taken) = (vec![7; 64 << 10], 0);
        while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_millis(50), stream.write(&octets)).await {
            taken += count;
        }
        end(&stream);
        drop(stream);
        let mut arrived = Vec::new();
        // A reset is an error after what came before it.
        let _ = peer.read_to_end(&mut arrived).await;
        (arrived.len(), taken)
    }

    #[tokio::test]
    async fn what_a_dead_link_still_holds_does_not_arrive_after_all() {
        let (arrived, taken) = arrives(|_| ()).await;
        assert_eq!(arrived, taken, "a connection that ends in order");
        let (arrived, taken) = arrives(Stream::discard_unsent).await;
        assert!(arrived < taken, "{arrived} of {taken}");
    }
}
