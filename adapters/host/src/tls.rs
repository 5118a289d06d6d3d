//! Which certificates are trusted, and what to say when one is not.

use crate::Options;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;
use std::sync::Arc;

/// A certificate file that could not be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadCertificates(String);

impl fmt::Display for BadCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCertificates {}

/// The certificates in a PEM file; every one must be readable as a trust anchor, and there must be one.
///
/// # Errors
/// Says which certificate cannot be used, and why.
pub fn roots_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadCertificates> {
    let mut roots = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let place = index + 1;
        let certificate = certificate
            .map_err(|error| BadCertificates(format!("certificate {place} is not readable PEM: {error}")))?;
        RootCertStore::empty().add(certificate.clone()).map_err(|error| {
            BadCertificates(format!("certificate {place} is no usable trust anchor: {error}"))
        })?;
        roots.push(certificate);
    }
    if roots.is_empty() {
        return Err(BadCertificates(
            "no certificate found: expected PEM text with `-----BEGIN CERTIFICATE-----`".to_owned(),
        ));
    }
    Ok(roots)
}

/// Whom a client with these options trusts: the certificates it was given, or the public authorities.
///
/// # Errors
/// As for [`roots_from_pem`].
pub fn roots(options: &Options) -> Result<RootCertStore, BadCertificates> {
    let Some(pem) = &options.roots_pem else { return Ok(public_roots()) };
    let mut store = RootCertStore::empty();
    for certificate in roots_from_pem(pem)? {
        store.add(certificate).map_err(|error| BadCertificates(error.to_string()))?;
    }
    Ok(store)
}

/// The public authorities, as Mozilla lists them.
#[must_use]
pub fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// A client that trusts these, with ring for cryptography whatever else is in the process.
///
/// # Errors
/// rustls refuses its own defaults.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What is wrong with a TLS connection, in words that say what to do about it.
pub fn explain(error: &Error, host: &str) -> String {
    if let Error::InvalidCertificate(problem) = error {
        return format!("the certificate of {host} was refused: {}", explain_certificate(problem));
    }
    if matches!(error, Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) {
        return format!("{host} does not speak TLS on this port: is it an http:// address?");
    }
    if let Error::AlertReceived(alert) = error {
        return format!("{host} ended the TLS handshake with the alert {alert:?}");
    }
    format!("the TLS handshake with {host} failed: {error}")
}

fn explain_certificate(problem: &CertificateError) -> String {
    // The enum is open and not ours: what is not named here speaks for itself.
    #[allow(clippy::wildcard_enum_match_arm)]
    match problem {
        CertificateError::Expired => "it has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            format!("it has expired ({days} days ago by this computer's clock)")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is this computer's clock right?".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "unknown issuer: it is self-signed, or its authority is not among the trusted roots".to_owned()
        }
        CertificateError::NotValidForName => "wrong name: it was issued for another host".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            format!("wrong name: it was issued for {}", presented.join(", "))
        }
        CertificateError::NotValidForNameContext { .. } => "wrong name: it names no host at all".to_owned(),
        CertificateError::Revoked => "it was revoked".to_owned(),
        CertificateError::BadEncoding => "it cannot be read".to_owned(),
        CertificateError::BadSignature => "its signature is wrong".to_owned(),
        // Known to rustls' verifier only, whose errors are not ours to name by type.
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is an authority's own certificate, as self-signed ones often are (basicConstraints CA:TRUE), and is not taken as a \
             server's; issue one with CA:FALSE"
                .to_owned()
        }
        other => other.to_string(),
    }
}
