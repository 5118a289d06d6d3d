//! Certificate and key for `https`.

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;

/// A server's TLS settings from a certificate chain, the server's own certificate first, and its private key, both in PEM.
/// TLS 1.2 and 1.3, with ring's cryptography.
///
/// # Errors
/// Says whether the chain or the key cannot be used, and why.
pub fn config_from_pem(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Chain(error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::Chain("there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Pair(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::Pair(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Why a certificate and key cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TlsError {
    /// The chain is not PEM, or holds no certificate.
    Chain(String),
    /// The key is not PEM, or is no private key.
    Key(String),
    /// They do not belong together, or are of a kind that is not supported.
    Pair(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(why) => write!(f, "the certificate chain cannot be read as PEM: {why}"),
            Self::Key(why) => write!(f, "the private key cannot be read as PEM: {why}"),
            Self::Pair(why) => write!(f, "the certificate and the private key cannot be used: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}
