//! Settings of the server.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// Who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authorization {
    /// Whoever is known may do everything. RBAC objects are stored and have no effect.
    #[default]
    AlwaysAllow,
    /// RBAC is evaluated. The admin and members of `system:masters` may do everything.
    Rbac,
}

/// Settings of an [`crate::ApiServer`]. The defaults are those of k3s 1.33.1.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who may do what; default [`Authorization::AlwaysAllow`].
    pub authorization: Authorization,
    /// The network of ClusterIPs and its prefix length; default 10.43.0.0/16. Its first address is the `kubernetes` Service's.
    pub service_network: (Ipv4Addr, u8),
    /// The ports of NodePort Services; default 30000-32767.
    pub node_ports: RangeInclusive<u16>,
    /// Where the server is reached from inside the cluster: the endpoint of the `kubernetes` Service.
    /// `None` (the default) leaves that Service without endpoints.
    pub endpoint: Option<(Ipv4Addr, u16)>,
    /// The audience and issuer of service-account tokens; default `https://kubernetes.default.svc.cluster.local`.
    pub issuer: String,
    /// The cluster's CA certificate (PEM), from [`crate::TlsIdentity::ca_pem`]; default empty. Published as
    /// `client-ca-file` of the ConfigMap `kube-system/extension-apiserver-authentication`. (What pods find as `ca.crt` is
    /// the controllers' ConfigMap `kube-root-ca.crt`.)
    pub ca_pem: String,
    /// How many changes of each kind a watch may lag behind before it is told `410 Gone`; default 16384. Changes older
    /// than half a minute are forgotten sooner, once there are more than 256.
    pub watch_window: usize,
    /// `gitVersion` of `/version`; default `v1.33.1+k3s1`.
    pub version: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            authorization: Authorization::default(),
            service_network: (Ipv4Addr::new(10, 43, 0, 0), 16),
            node_ports: 30000..=32767,
            endpoint: None,
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            ca_pem: String::new(),
            watch_window: 16384,
            version: "v1.33.1+k3s1".to_owned(),
        }
    }
}
