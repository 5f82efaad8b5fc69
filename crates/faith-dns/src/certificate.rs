//! The certificate with which a server answers over TLS.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error, ServerConfig};

use crate::tls::provider;

/// The certificate with which a server answers over TLS, and its key.
#[derive(Clone, Debug)]
pub struct Certificate(pub(crate) Arc<ServerConfig>);

/// Errors of reading a certificate and its key.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// The text has no certificate.
    #[error("no certificate in PEM is there")]
    Missing,
    /// The text has no private key.
    #[error("no private key in PEM is there")]
    NoKey,
    /// The key is not the certificate's.
    #[error("the private key is not that of the certificate")]
    Other,
    /// Anything else.
    #[error("{0}")]
    Unusable(Error),
}

impl Certificate {
    /// Reads a certificate with those that lead to its root, and its private key, in PEM.
    ///
    /// # Errors
    ///
    /// [`BadCertificate`].
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Self, BadCertificate> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| BadCertificate::Missing)?;
        if chain.is_empty() {
            return Err(BadCertificate::Missing);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| BadCertificate::NoKey)?;
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(BadCertificate::Unusable)?;
        let config = builder.with_no_client_auth().with_single_cert(chain, key);
        config.map(|config| Self(Arc::new(config))).map_err(|error| match error {
            Error::InconsistentKeys(_) => BadCertificate::Other,
            error => BadCertificate::Unusable(error),
        })
    }
}
