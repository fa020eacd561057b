//! Authorities, certificates and kubeconfigs: one authority each for servers, clients and the aggregation layer, as k3s has.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use base64::Engine;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::spec::{API_PORT, API_SERVICE, CLUSTER_DOMAIN, NODE_NAME};

/// Where keys, certificates and kubeconfigs are.
#[derive(Debug, Clone)]
pub(crate) struct PkiFiles(PathBuf);

impl PkiFiles {
    /// In `directory`.
    pub(crate) fn in_directory(directory: PathBuf) -> PkiFiles {
        PkiFiles(directory)
    }

    /// Where `name` is.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

/// What the harness needs of them.
#[derive(Debug)]
pub(crate) struct Pki {
    directory: PathBuf,
    server_ca: String,
    token: String,
}

/// An authority that signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

/// Clients: the file's name, the user, its groups, and whether it gets a kubeconfig.
const CLIENTS: [(&str, &str, Option<&str>); 6] = [
    ("admin", "system:admin", Some("system:masters")),
    ("apiserver-kubelet", "system:apiserver", Some("system:masters")),
    ("kube-controller-manager", "system:kube-controller-manager", None),
    ("kube-scheduler", "system:kube-scheduler", None),
    ("kube-proxy", "system:kube-proxy", None),
    ("kubelet", "system:node:node-0", Some("system:nodes")),
];

impl Pki {
    /// Makes all `files`, for an API server that is also reached at `addresses`.
    pub(crate) fn generate(files: &PkiFiles, addresses: &[String]) -> anyhow::Result<Pki> {
        let directory = files.0.as_path();
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        let mut pki = Pki { directory: directory.to_owned(), server_ca: String::new(), token };
        let (servers, server_ca) = pki.authority("server-ca")?;
        let (clients, _) = pki.authority("client-ca")?;
        let (aggregator, _) = pki.authority("request-header-ca")?;
        pki.server_ca = server_ca;
        let mut names: Vec<String> = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            &format!("kubernetes.default.svc.{CLUSTER_DOMAIN}"),
            "localhost",
            "127.0.0.1",
            NODE_NAME,
            API_SERVICE,
        ]
        .map(str::to_owned)
        .to_vec();
        names.extend_from_slice(addresses);
        names.dedup();
        pki.server(&servers, "kube-apiserver", &names)?;
        pki.server(&servers, "kubelet-serving", &names)?;
        pki.client(&aggregator, "auth-proxy", "system:auth-proxy", None)?;
        for (file, user, group) in CLIENTS {
            pki.client(&clients, file, user, group)?;
            pki.kubeconfig(file)?;
        }
        let service_accounts = KeyPair::generate()?;
        pki.write("service-account.key", &service_accounts.serialize_pem())?;
        pki.write("service-account.pub", &service_accounts.public_key_pem())?;
        pki.write("tokens.csv", &format!("{},system:admin,admin,\"system:masters\"\n", pki.token))?;
        Ok(pki)
    }

    /// The servers' authority, PEM.
    pub(crate) fn server_ca(&self) -> &str {
        &self.server_ca
    }

    /// The administrator's bearer token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.directory.join(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    fn authority(&self, name: &str) -> anyhow::Result<(Authority, String)> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let pem = parameters.self_signed(&key)?.pem();
        self.write(&format!("{name}.crt"), &pem)?;
        self.write(&format!("{name}.key"), &key.serialize_pem())?;
        Ok((Authority { issuer: Issuer::new(parameters, key) }, pem))
    }

    fn server(&self, authority: &Authority, name: &str, names: &[String]) -> anyhow::Result<()> {
        let parameters = CertificateParams::new(names.to_vec()).context("a server's names")?;
        self.issue(authority, name, name, parameters, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(
        &self,
        authority: &Authority,
        name: &str,
        user: &str,
        group: Option<&str>,
    ) -> anyhow::Result<()> {
        let mut parameters = CertificateParams::default();
        if let Some(group) = group {
            parameters.distinguished_name.push(DnType::OrganizationName, group);
        }
        self.issue(authority, name, user, parameters, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        authority: &Authority,
        file: &str,
        subject: &str,
        mut parameters: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<()> {
        parameters.distinguished_name.push(DnType::CommonName, subject);
        parameters.extended_key_usages = vec![usage];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &authority.issuer)?;
        self.write(&format!("{file}.crt"), &certificate.pem())?;
        self.write(&format!("{file}.key"), &key.serialize_pem())
    }

    /// A kubeconfig of client `name`, for programs of the node.
    fn kubeconfig(&self, name: &str) -> anyhow::Result<()> {
        let encoded = |file: String| -> anyhow::Result<String> {
            let read = fs::read(self.directory.join(&file)).with_context(|| format!("cannot read {file}"))?;
            Ok(base64::engine::general_purpose::STANDARD.encode(read))
        };
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: node\nclusters:\n- name: node\n  cluster:\n    \
             server: https://127.0.0.1:{API_PORT}\n    certificate-authority-data: {}\ncontexts:\n- name: node\n  \
             context: {{cluster: node, user: {name}}}\nusers:\n- name: {name}\n  user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            encoded("server-ca.crt".into())?,
            encoded(format!("{name}.crt"))?,
            encoded(format!("{name}.key"))?,
        );
        self.write(&format!("{name}.kubeconfig"), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_a_kubeconfig_and_no_key_is_readable_by_others() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let files = PkiFiles::in_directory(place.path().to_owned());
        let pki = Pki::generate(&files, &["192.168.50.10".to_owned()]).unwrap();
        for (name, _, _) in CLIENTS {
            let text = fs::read_to_string(files.file(&format!("{name}.kubeconfig"))).unwrap();
            assert!(text.contains("https://127.0.0.1:6443"), "{text}");
        }
        for entry in fs::read_dir(place.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
        assert!(fs::read_to_string(files.file("tokens.csv")).unwrap().starts_with(pki.token()));
        assert!(pki.server_ca().starts_with("-----BEGIN CERTIFICATE-----"));
    }
}
