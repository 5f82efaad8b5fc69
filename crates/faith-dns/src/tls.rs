//! TLS: the roots that upstreams are trusted by, and errors in words.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};

/// The configurations of connections to upstreams.
#[derive(Debug)]
pub(crate) struct Trust {
    roots: Vec<CertificateDer<'static>>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) https: Arc<ClientConfig>,
}

/// The configurations that new connections have.
pub(crate) type CurrentTrust = Arc<ArcSwap<Trust>>;

/// This host has no root certificates that can be read. The text has the reason, if one is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this host has no root certificates{0}")]
pub struct NoRoots(String);

/// The root certificates that a server trusts upstreams over TLS by, also while it runs.
#[derive(Clone, Debug)]
pub struct Roots(pub(crate) Option<CurrentTrust>);

impl Roots {
    /// Reads them again. New connections are trusted by them from now on, and open ones stay. Returns true if they have changed.
    /// Without upstreams over TLS there is nothing to read.
    ///
    /// # Errors
    ///
    /// [`NoRoots`]. The roots stay as they were.
    pub fn renew(&self) -> Result<bool, NoRoots> {
        let Some(current) = &self.0 else { return Ok(false) };
        let trust = Trust::read()?;
        let has_changed = !trust.is_same(&current.load());
        if has_changed {
            current.store(Arc::new(trust));
        }
        Ok(has_changed)
    }
}

impl Trust {
    /// Reads this host's root certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    pub(crate) fn read() -> Result<Self, NoRoots> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // A root that cannot be read is one that nothing is signed by.
        roots.add_parsable_certificates(found.certs.iter().cloned());
        if roots.is_empty() {
            return Err(NoRoots(found.errors.first().map_or_else(String::new, |error| format!(": {error}"))));
        }
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| NoRoots(format!(" that TLS can use: {error}")))?;
        let tls = builder.with_root_certificates(roots).with_no_client_auth();
        let mut https = tls.clone();
        https.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { roots: found.certs, tls: Arc::new(tls), https: Arc::new(https) })
    }

    /// Returns true if the roots are the same. Other configurations would forget the sessions that can be resumed.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.roots == other.roots
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// An error of a connection over TLS, in words that fit behind "tls://…: ".
pub(crate) fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(error) = inner else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "closed the connection during the handshake".to_owned(),
            _ => error.to_string(),
        };
    };
    match error {
        Error::InvalidCertificate(certificate) => of_certificate(certificate),
        Error::InvalidMessage(_) => "does not speak TLS at this port".to_owned(),
        error => error.source().map_or_else(|| error.to_string(), ToString::to_string),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::NotValidForName => "the certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().map(|name| plain(name)).collect();
            let named = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            format!("the certificate is for {named}, and not for {}", expected.to_str())
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet; see that this host's clock is right".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "no root certificate of this host leads to the certificate".to_owned()
        }
        // `openssl req -x509` makes such a certificate. webpki has no error of rustls for it.
        CertificateError::Other(error) if error.0.to_string() == "CaUsedAsEndEntity" => {
            "the certificate is that of an authority (CA:TRUE), and not of a server".to_owned()
        }
        CertificateError::Other(error) => format!("the certificate is refused: {}", error.0),
        error => format!("the certificate is refused: {error}"),
    }
}

/// Reads the name out of `DnsName("dns.example")`.
fn plain(name: &str) -> String {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inside.trim_matches('"').to_owned()
}
