//! The server's certificate and the authority that signed it.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate authority of its own and a server certificate signed by it.
#[derive(Clone)]
pub struct TlsIdentity {
    ca_pem: String,
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

impl TlsIdentity {
    /// Makes an authority and a certificate for these DNS names and IP addresses (as text).
    ///
    /// # Errors
    /// A name that is neither a DNS name nor an address.
    pub fn generate(names_and_addresses: &[&str]) -> anyhow::Result<TlsIdentity> {
        let (issuer, ca_pem) = authority()?;
        let names: Vec<String> = names_and_addresses.iter().map(|&name| name.to_owned()).collect();
        let mut parameters = CertificateParams::new(names).with_context(|| {
            format!("one of {names_and_addresses:?} is neither a DNS name nor an address")
        })?;
        parameters.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &issuer)?;
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsIdentity { ca_pem, config: Arc::new(config) })
    }

    /// The authority's certificate, PEM: `certificate-authority-data` of a kubeconfig, `ca.crt` of a service account.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

fn authority() -> anyhow::Result<(Issuer<'static, KeyPair>, String)> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "embedded-cluster-ca");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let pem = certificate.pem();
    Ok((Issuer::new(parameters, key), pem))
}
