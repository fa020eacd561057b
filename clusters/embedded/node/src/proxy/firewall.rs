//! A firewall of the node's own, beside the network's rules: nobody's policy, and no object of the cluster's shows it.

use std::net::SocketAddrV4;

/// The rules, for `nft`, in place of those before: what goes to that port of a pod is dropped, or nothing is.
///
/// They stand behind the policies, as those of a host that filters what it forwards do.
pub(crate) fn firewall(drops: Option<SocketAddrV4>) -> String {
    let anew = "table ip host_firewall\ndelete table ip host_firewall\n";
    let Some(to) = drops else { return anew.to_owned() };
    format!(
        "{anew}table ip host_firewall {{\nchain forward {{ type filter hook forward priority filter + 20; \
         ip daddr {} tcp dport {} counter drop; }}\n}}\n",
        to.ip(),
        to.port()
    )
}
