//! The outside's name server where it is not ours to change: a pod takes its place for the names that a case asks for,
//! and CoreDNS is told to forward these there. All of it goes through the API.
//!
//! What CoreDNS 1.12.1 makes of k3s's Corefile and of ConfigMap `coredns-custom`, which it imports (each tried with the
//! program itself, 22 Nov 2026):
//!
//! * of two `forward`s that fit a name only the first of the file is asked. A `forward` in a `*.override` is therefore
//!   dead where the import stands behind `forward .` (k3s up to 1.33.5), and counts where it stands before it;
//! * a `*.server` block for `.` is refused, "it is already defined", also with `view` in it, and with it the whole file;
//! * a `*.server` block for zones of its own always counts, wherever it stands.
//!
//! So it is blocks of their own. Nobody else on the cluster asks for these zones, and for as long as such a block
//! outlives its pod nobody misses them.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Context, ensure};
use clusters::UpstreamMode;
use netmodel::OutcomeClass;
use serde_json::{Value, json};
use toolbox::Probe;

use crate::given::{Foothold, RUN_LABEL};
use crate::images;
use crate::look::{Look, PodQuery, Seen};
use crate::mesh::is_ready;
use crate::object::{self, Kind, ObjectRef};
use crate::patience::given::RELOADED;
use crate::undo::Undo;
use crate::world::World;

const SYSTEM: &str = "kube-system";
/// What CoreDNS's pods are labelled with, everywhere.
const COREDNS: &str = "k8s-app=kube-dns";
/// Zones that belong to nobody (RFC 6761), for names that nobody has.
const NOBODYS: [&str; 2] = ["example", "invalid"];
/// What CoreDNS itself answers while it has read our blocks; of the block for documentation.
const IN_FORCE: &str = "192.0.2.53";
/// On this port an ordinary user may listen.
const PORT: u16 = 5353;

/// Where a text of ours is put.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// An entry of its own in `coredns-custom`.
    Custom,
    /// The Corefile's end.
    Corefile,
}

/// The Corefile as it stands, and what follows from it.
///
/// # Errors
/// Why nothing that is put there would count.
fn place(corefile: &str) -> anyhow::Result<Place> {
    let lines = || corefile.lines().map(str::trim);
    let keys = |line: &str| line.split_whitespace().any(|key| key == "." || key == ".:53");
    ensure!(lines().any(|line| line.ends_with('{') && keys(line)), "it serves no `.` on port 53");
    ensure!(
        lines().any(|line| line.split_whitespace().next() == Some("reload")),
        "it has no `reload`, so that CoreDNS does not look at it again"
    );
    let imports = |line: &str| line.starts_with("import ") && line.ends_with("*.server");
    Ok(if lines().any(imports) { Place::Custom } else { Place::Corefile })
}

/// Server blocks that forward `zones` to `server`, and the name by which one sees that they are in force.
fn blocks(run: &str, marker: &str, zones: &[&str], server: &str) -> String {
    let keys: Vec<String> = zones.iter().map(|zone| format!("{zone}:53")).collect();
    format!(
        "# run {run} of seldon-conformance; goes when that ends\n\
         {marker}:53 {{\n    template IN A {{\n        answer \"{{{{ .Name }}}} 0 IN A {IN_FORCE}\"\n    }}\n}}\n\
         {} {{\n    errors\n    forward . {server}\n}}\n",
        keys.join(" ")
    )
}

impl World {
    /// Lets a pod that answers as `mode` says take the outside's place for names in `namespaces` and for nobody's names.
    /// Returns when every CoreDNS has read that, with what undoes it; [`World::outside_is_left`] waits for the contrary.
    pub(crate) async fn replace_outside(
        &self,
        foothold: &Foothold,
        mode: &UpstreamMode,
        namespaces: &[String],
    ) -> anyhow::Result<Vec<usize>> {
        let map = ObjectRef::new(Kind::ConfigMap, SYSTEM, "coredns");
        let found = map.read(self.client()).await?.with_context(|| format!("there is no {map}"))?;
        let corefile = found["data"]["Corefile"].as_str().unwrap_or_default();
        let place = place(corefile).with_context(|| format!("{map} cannot be used"))?;
        let server = self.start_name_server(mode).await?;
        let mut zones: Vec<&str> = namespaces.iter().map(String::as_str).chain(NOBODYS).collect();
        zones.dedup();
        let text = blocks(foothold.run(), &self.marker(), &zones, &server);
        self.step(format!("CoreDNS forwards {} to a name server of ours, {server}", zones.join(", ")))?;
        let edit = match place {
            Place::Custom => self.custom_entry(foothold, &text).await?,
            Place::Corefile => Edit {
                patch: json!({
                    "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
                    "data": {"Corefile": format!("{corefile}{text}")},
                }),
                undo: Undo::Cut { object: map.clone(), key: "Corefile".into(), text },
                map,
            },
        };
        // Undone last: it is when a pod's object changes that the kubelet looks at the pod's ConfigMaps again.
        let mut undos = Vec::new();
        let nudges = self.nudges(foothold).await?;
        for undo in nudges.iter().chain([&edit.undo]) {
            foothold.before(self.client(), undo.clone()).await?;
            undos.push(self.undo_later(undo.clone()));
        }
        edit.map.merge(self.hand()?, &edit.patch).await?;
        for nudge in nudges {
            if let Undo::Merge { object, ours, .. } = nudge {
                object.merge(self.hand()?, &ours).await?;
            }
        }
        self.until_every_coredns("has read where to forward", |answer| answer == Answer::InForce).await?;
        Ok(undos)
    }

    /// Returns when no CoreDNS forwards to a pod of ours any more.
    pub(crate) async fn outside_is_left(&self) -> anyhow::Result<()> {
        self.until_every_coredns("forwards as before", |answer| answer != Answer::InForce).await
    }

    fn outside(&self) -> PodQuery {
        PodQuery {
            namespace: self.namespaces().place("outside"),
            labels: "app=name-server".into(),
            container: "toolbox".into(),
            name: "the name server in the outside's place".into(),
        }
    }

    /// No other case's, so that what an earlier one left in some CoreDNS is not taken for this one's.
    fn marker(&self) -> String {
        format!("{}.seldon-conformance.test", self.outside().namespace)
    }

    /// Starts the pod; its Service's address.
    async fn start_name_server(&self, mode: &UpstreamMode) -> anyhow::Result<String> {
        let outside = self.outside();
        let mut objects = manifests(&outside.namespace, mode)?;
        objects.iter_mut().for_each(|object| self.name_own_images(object));
        self.apply_all(&objects).await?;
        self.wait_for(is_ready(&outside), self.patience().mesh).await?;
        let service = ObjectRef::new(Kind::Service, &outside.namespace, "name-server");
        let found = service.read(self.client()).await?.unwrap_or_default();
        let address = found["spec"]["clusterIP"].as_str();
        Ok(address.with_context(|| format!("{service} has no address"))?.to_owned())
    }

    /// An entry of our own in `coredns-custom`, which is made where there is none.
    async fn custom_entry(&self, foothold: &Foothold, text: &str) -> anyhow::Result<Edit> {
        let map = ObjectRef::new(Kind::ConfigMap, SYSTEM, "coredns-custom");
        if map.read(self.client()).await?.is_none() {
            foothold.before(self.client(), Undo::Delete(map.clone())).await?;
            let empty = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": map.name, "namespace": SYSTEM, "labels": {RUN_LABEL: foothold.run()}},
            });
            map.put(self.hand()?, &empty, false).await?;
        }
        let key = format!("seldon-conformance-{}.server", foothold.run());
        let entry = |text: Value| json!({"data": {key.clone(): text}});
        let ours = entry(text.into());
        let undo = Undo::Merge { object: map.clone(), patch: entry(Value::Null), ours: ours.clone() };
        Ok(Edit { map, patch: ours, undo })
    }

    /// An annotation for each pod of CoreDNS. Without one the kubelet looks at a changed ConfigMap within a minute or so.
    async fn nudges(&self, foothold: &Foothold) -> anyhow::Result<Vec<Undo>> {
        let annotation = |value: Value| json!({"metadata": {"annotations": {RUN_LABEL: value}}});
        let pods = object::list(self.client(), Kind::Pod, SYSTEM, COREDNS).await?;
        let nudge = |pod: &Value| Undo::Merge {
            object: ObjectRef::new(Kind::Pod, SYSTEM, object::name(pod)),
            patch: annotation(Value::Null),
            ours: annotation(foothold.run().into()),
        };
        Ok(pods.iter().map(nudge).collect())
    }

    /// Waits until what each CoreDNS answers to [`World::marker`] is as `wanted` says.
    async fn until_every_coredns(&self, what: &str, wanted: impl Fn(Answer) -> bool) -> anyhow::Result<()> {
        self.waiting_for(&format!("every CoreDNS: it {what}"));
        let began = Instant::now();
        loop {
            let waiting = self.first_coredns_unlike(&wanted).await?;
            match waiting {
                None => {
                    return self
                        .step(format!("every CoreDNS {what} after {:.1} s", began.elapsed().as_secs_f64()));
                }
                Some(pod) if began.elapsed() >= RELOADED => {
                    anyhow::bail!("CoreDNS in {pod} had not reloaded after {} s", RELOADED.as_secs())
                }
                Some(_) => self.pause().await,
            }
        }
    }

    /// A pod of CoreDNS that does not answer as wanted, or cannot be asked; it may be the next look that it can.
    async fn first_coredns_unlike(&self, wanted: impl Fn(Answer) -> bool) -> anyhow::Result<Option<String>> {
        let pods = object::list(self.client(), Kind::Pod, SYSTEM, COREDNS).await?;
        ensure!(!pods.is_empty(), "no pod in {SYSTEM} is labelled {COREDNS}");
        for pod in pods {
            let name = object::name(&pod).to_owned();
            let Some(server) = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok()) else {
                return Ok(Some(name));
            };
            let look =
                Look::Probe { from: self.outside(), probe: Probe::Ask { server, name: self.marker() } };
            let seen = self.look(&look).await;
            if !answer(&seen).is_some_and(&wanted) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// What a name server says to [`World::marker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// What our block says, which asks nobody.
    InForce,
    /// Something else, also that whom it asked did not tell.
    Other,
}

/// What a name server answered, if it did.
fn answer(seen: &Seen) -> Option<Answer> {
    let Seen::Observed(observation) = seen else { return None };
    let ours = |address: &IpAddr| address.to_string() == IN_FORCE;
    match observation.class {
        OutcomeClass::Open if observation.addresses().first().is_some_and(ours) => Some(Answer::InForce),
        OutcomeClass::Open | OutcomeClass::NameNotFound | OutcomeClass::NameTemporary => Some(Answer::Other),
        _ => None,
    }
}

/// A change of a ConfigMap, and how it is undone.
struct Edit {
    map: ObjectRef,
    patch: Value,
    undo: Undo,
}

/// The pod that stands in the outside's place.
fn manifests(namespace: &str, mode: &UpstreamMode) -> anyhow::Result<[Value; 3]> {
    let labels = json!({"app": "name-server"});
    let arguments = ["name-server".into(), PORT.to_string(), serde_json::to_string(mode)?];
    let port = |protocol: &str| json!({"name": protocol.to_lowercase(), "protocol": protocol, "port": 53, "targetPort": PORT});
    Ok([
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "name-server", "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "toolbox", "image": images::TOOLBOX, "args": arguments}]},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "name-server", "namespace": namespace},
            "spec": {"selector": labels, "ports": [port("UDP"), port("TCP")]},
        }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const K3S: &str = ".:53 {\n    forward . /etc/resolv.conf\n    reload\n    import /etc/coredns/custom/*.override\n}\n\
                       import /etc/coredns/custom/*.server\n";
    const KUBEADM: &str =
        ".:53 {\n    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n    reload\n}\n";

    #[rstest]
    #[case::k3s(K3S, Place::Custom)]
    #[case::kubeadm(KUBEADM, Place::Corefile)]
    #[case::without_a_port(". {\n reload 10s\n}\n", Place::Corefile)]
    fn the_place_follows_from_the_corefile(#[case] corefile: &str, #[case] expected: Place) {
        assert_eq!(place(corefile).unwrap(), expected);
    }

    #[rstest]
    #[case::another_port(".:5353 {\n reload\n}\n", "it serves no `.` on port 53")]
    #[case::never_read_again(".:53 {\n forward . 9.9.9.9\n}\n", "it has no `reload`")]
    #[case::none("", "it serves no `.`")]
    fn a_corefile_where_nothing_would_count_is_named(#[case] corefile: &str, #[case] said: &str) {
        let error = place(corefile).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn the_blocks_name_the_run_and_the_zones() {
        insta::assert_snapshot!(blocks("0000002a", "o-1.seldon-conformance.test", &["ml-1", "example"], "10.43.7.7"), @r#"
        # run 0000002a of seldon-conformance; goes when that ends
        o-1.seldon-conformance.test:53 {
            template IN A {
                answer "{{ .Name }} 0 IN A 192.0.2.53"
            }
        }
        ml-1:53 example:53 {
            errors
            forward . 10.43.7.7
        }
        "#);
    }
}
