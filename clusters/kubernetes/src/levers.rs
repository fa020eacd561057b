//! What the node can be told and asked, beside the API.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use embedded::supervision::{PacketLog, forget_connections, set_link};
use embedded::{Connections, ContainerName, DeniedPackets, Levers, LinkState, LostPackets, PodName};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::task::spawn_blocking;

use crate::attachments::link_of;
use crate::parts::ctr;
use crate::process::Launcher;
use crate::spec::Network;
use crate::step::Program;

/// What Calico writes at the rule that every packet of a policed pod comes to which no policy has admitted.
const DENIES: &str = "Drop if no policies passed packet";

/// The chain of the node's own firewall: nobody else on the node uses its table.
const FIREWALL: &str = "FORWARD";

/// The node's programs, as the supervisor may call them.
pub(crate) struct NodeLevers {
    client: Client,
    launcher: Launcher,
    network: Network,
    packet_log: PacketLog,
}

impl NodeLevers {
    pub(crate) fn of(
        client: Client,
        launcher: Launcher,
        network: &Network,
        packet_log: PacketLog,
    ) -> NodeLevers {
        NodeLevers { client, launcher, network: network.clone(), packet_log }
    }

    async fn task(&self, name: &ContainerName) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &name.namespace);
        let status = pods.get(&name.pod).await?.status.unwrap_or_default();
        let containers = status.container_statuses.into_iter().flatten();
        let id = containers.filter(|it| it.name == name.container).find_map(|it| it.container_id);
        let id = id.and_then(|id| id.strip_prefix("containerd://").map(str::to_owned));
        id.with_context(|| {
            format!("container {} of {}/{} does not run", name.container, name.namespace, name.pod)
        })
    }

    async fn address(&self, name: &PodName) -> anyhow::Result<Ipv4Addr> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &name.namespace);
        let address = pods.get(&name.pod).await?.status.and_then(|status| status.pod_ip);
        let address = address.with_context(|| format!("pod {name} has no address yet"))?;
        address.parse().with_context(|| format!("{address} of pod {name} is no IPv4 address"))
    }

    /// Pods with a link on the node, by that link's name.
    async fn pods_by_link(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let routes =
            fs::read_to_string("/proc/thread-self/net/route").context("cannot read the node's routes")?;
        let pods: Api<Pod> = Api::all(self.client.clone());
        let mut by_address = BTreeMap::new();
        for pod in pods.list(&ListParams::default().fields("status.phase=Running")).await? {
            let name = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
            if let Some(address) = pod.status.and_then(|status| status.pod_ip) {
                by_address.insert(address, name);
            }
        }
        let named = links(&routes).filter_map(|(link, address)| {
            by_address.get(&address.to_string()).map(|pod| (link.to_owned(), pod.clone()))
        });
        Ok(named.collect())
    }
}

impl Levers for NodeLevers {
    fn kill<'a>(&'a self, container: &'a ContainerName) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let task = self.task(container).await?;
            let kill = ctr().args(["tasks", "kill", "--signal", "SIGKILL", &task]);
            self.launcher.run("kill", &kill).await.map(drop)
        })
    }

    fn set_link<'a>(&'a self, pod: &'a PodName, state: LinkState) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            match (link_of(pod)?, state) {
                (Some(link), _) => Ok(spawn_blocking(move || set_link(&link, state)).await??),
                (None, LinkState::Up) => Ok(()),
                (None, LinkState::Down) => bail!("pod {pod} has no link on the node"),
            }
        })
    }

    fn forget<'a>(&'a self, connections: &'a Connections) -> BoxFuture<'a, anyhow::Result<usize>> {
        Box::pin(async move {
            let (address, port) = (self.address(&connections.to).await?, connections.port);
            Ok(spawn_blocking(move || forget_connections(address, port)).await??)
        })
    }

    fn set_firewall<'a>(&'a self, drops: Option<&'a Connections>) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            // Resolved first: what is in force stays so when there is no such pod.
            let rule = match drops {
                Some(Connections { to, port }) => {
                    Some((self.address(to).await?.to_string(), port.to_string()))
                }
                None => None,
            };
            self.launcher.run("firewall", &firewall(&["--flush", FIREWALL])).await?;
            if let Some((address, port)) = rule {
                let rule =
                    ["--append", FIREWALL, "-d", &address, "-p", "tcp", "--dport", &port, "-j", "DROP"];
                self.launcher.run("firewall", &firewall(&rule)).await?;
            }
            Ok(())
        })
    }

    fn lost_packets(&self) -> BoxFuture<'_, anyhow::Result<Vec<LostPackets>>> {
        Box::pin(async move { Ok(self.packet_log.lost().await?) })
    }

    fn denials(&self) -> BoxFuture<'_, anyhow::Result<Vec<DeniedPackets>>> {
        Box::pin(async move {
            match self.network {
                // Nobody denies.
                Network::Flannel => Ok(Vec::new()),
                Network::Calico(_) => {
                    let save = Program::new("iptables-nft-save").args(["--counters", "--table", "filter"]);
                    let rules = self.launcher.run("iptables-save", &save).await?;
                    Ok(counted(&rules, &self.pods_by_link().await?))
                }
            }
        })
    }
}

/// `iptables` on the table that is asked after the network's own.
fn firewall(arguments: &[&str]) -> Program {
    Program::new("iptables").args(["--table", "security"]).args(arguments.iter().copied())
}

/// Links and the hosts behind them, of the kernel's table: numbers in the machine's order of bytes.
fn links(routes: &str) -> impl Iterator<Item = (&str, Ipv4Addr)> {
    routes.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (link, address) = (words.next()?, words.next()?);
        let address = u32::from_str_radix(address, 16).ok()?;
        (words.nth(5) == Some("FFFFFFFF")).then(|| (link, Ipv4Addr::from(address.to_ne_bytes())))
    })
}

/// The rules that deny, of the output of `iptables-save --counters`.
fn counted(rules: &str, pods: &BTreeMap<String, String>) -> Vec<DeniedPackets> {
    let denying = rules.lines().filter(|line| line.contains(DENIES));
    denying
        .filter_map(|line| {
            let (counters, rule) = line.strip_prefix('[')?.split_once("] -A ")?;
            let packets = counters.split_once(':')?.0.parse().ok()?;
            let chain = rule.split_whitespace().next()?;
            let (direction, link) = match (chain.strip_prefix("cali-fw-"), chain.strip_prefix("cali-tw-")) {
                (Some(link), _) => ("egress", link),
                (_, Some(link)) => ("ingress", link),
                (None, None) => return None,
            };
            let pod = pods.get(link).map_or(link, String::as_str);
            Some(DeniedPackets { rule: format!("denied {direction} of {pod}: {chain}, {DENIES}"), packets })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
lan0\t00000000\t0132A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
*\tC0272A0A\t00000000\t0001\t0\t0\t0\tC0FFFFFF\t0\t0\t0
cali82a9c9cc7e9\tD0272A0A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
";

    const RULES: &str = r#"
[0:0] -A cali-from-wl-dispatch -m comment --comment "cali:QgoWrXruVu2389-t" -m comment --comment "Unknown interface" -j DROP
[2:120] -A cali-fw-cali82a9c9cc7e9 -m comment --comment "cali:M1vkF8IYsPY9fhf9" -m comment --comment "Drop if no policies passed packet" -m mark --mark 0x0/0x20000 -j DROP
[9:540] -A cali-fw-cali82a9c9cc7e9 -m comment --comment "cali:GtDggeTZOhUkG9Xg" -m comment --comment "Drop if no profiles matched" -j DROP
[0:0] -A cali-tw-calieb803a2f6f6 -m comment --comment "cali:06rb2CjlmFqmjA88" -m comment --comment "Drop if no policies passed packet" -m mark --mark 0x0/0x20000 -j DROP
"#;

    #[test]
    fn a_link_is_told_by_the_host_behind_it() {
        let found: Vec<(&str, Ipv4Addr)> = links(ROUTES).collect();
        assert_eq!(found, [("cali82a9c9cc7e9", Ipv4Addr::new(10, 42, 39, 208))]);
    }

    #[test]
    fn rules_that_deny_are_named_after_the_pod_and_its_direction() {
        let pods = BTreeMap::from([("cali82a9c9cc7e9".to_owned(), "t/a".to_owned())]);
        let denials = |rule: &str, packets| DeniedPackets { rule: rule.into(), packets };
        let expected = [
            denials("denied egress of t/a: cali-fw-cali82a9c9cc7e9, Drop if no policies passed packet", 2),
            denials(
                "denied ingress of calieb803a2f6f6: cali-tw-calieb803a2f6f6, Drop if no policies passed packet",
                0,
            ),
        ];
        assert_eq!(counted(RULES, &pods), expected);
    }
}
