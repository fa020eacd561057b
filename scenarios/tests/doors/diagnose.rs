//! Looking at somebody's mesh: what is wrong is named, and nothing is changed.

use std::time::Duration;

use crate::door::{Answer, binary};
use crate::kubectl::{self, Kubectl};
use crate::machine::until;
use crate::place::Place;
use crate::up::Up;

const LOCKDOWN: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: lockdown, namespace: seldon-mesh}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: seldon-scheduler}}
  policyTypes: [Ingress]
  ingress: [{ports: [{protocol: TCP, port: 9002}, {protocol: TCP, port: 9005}]}]
";

/// May see everything, and change nothing.
pub(crate) const READER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: ['*'], resources: ['*'], verbs: [get, list]}
";

/// Binds a service account to a cluster role; the kubeconfig by which it is used, in the place.
pub(crate) fn guest(kubectl: &Kubectl<'_>, place: &Place, role: &str) -> &'static str {
    kubectl.ok("create serviceaccount guest -n default");
    kubectl
        .ok(&format!("create clusterrolebinding guest --clusterrole={role} --serviceaccount=default:guest"));
    let token = kubectl.ok("create token guest -n default");
    let text = std::fs::read_to_string(kubectl.config).unwrap();
    let own = text.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
    std::fs::write(place.directory().join("guest.kubeconfig"), text.replace(own, token.trim())).unwrap();
    "guest.kubeconfig"
}

#[test]
fn what_is_wrong_with_somebodys_mesh_is_named_and_nothing_is_changed() {
    if !kubectl::is_there() {
        return;
    }
    let place = Place::new();
    let up = Up::new(&place, "looked-at", "127.68.0.11", &["--mesh", "cluster-wide"]);
    let config = up.kubeconfig();
    let kubectl = Kubectl { config: &config, home: place.directory() };
    assert_eq!(kubectl.feed("apply -f -", READER).code, Some(0));
    let by = |kubeconfig: &str, more: &[&str]| {
        let at = ["diagnose", "--kubeconfig", kubeconfig, "--context", up.name(), "--namespace"];
        Answer::of(&mut binary(&place, &[&at[..], more].concat()))
    };
    // Whoever it is may change nothing, so that nothing is changed.
    let reader = guest(&kubectl, &place, "reader");
    let diagnose = |more: &[&str]| by(reader, more);

    let well = diagnose(&["seldon-mesh"]).expect(0);
    insta::assert_snapshot!(well.out, @r"
    mesh       controller in seldon-system, tenant seldon-mesh, flannel
    unseen     what the controller's pod resolves and reaches: that needs a program run in it (--allow-exec)
    nothing wrong was seen
    ");
    assert_eq!(diagnose(&["nowhere"]).expect(3).sentence(), "there is no namespace nowhere");
    let none = diagnose(&["seldon-mesh", "--model", "rose"]).expect(3);
    assert_eq!(none.sentence(), "there is no Model seldon-mesh/rose");

    assert_eq!(kubectl.feed("apply -f -", LOCKDOWN).code, Some(0));
    kubectl.ok("delete pod -n seldon-system -l control-plane=v2-controller-manager");
    let ready = "get model iris -n seldon-mesh -o jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    assert!(until(Duration::from_secs(60), || kubectl.ok(ready) == "False"), "the policy does not bite");
    let ill = diagnose(&["seldon-mesh", "--model", "iris"]).expect(1);
    assert!(
        ill.out.contains("cause      NetworkPolicy seldon-mesh/lockdown rejects controller"),
        "{}",
        ill.out
    );
    assert!(
        ill.out.contains("evidence   Model seldon-mesh/iris: \"rpc error: code = Unavailable"),
        "{}",
        ill.out
    );
    assert!(ill.out.contains("unseen     what the controller's pod resolves"), "{}", ill.out);
    let probed = by(config.to_str().unwrap(), &["seldon-mesh", "--allow-exec"]).expect(1);
    assert!(probed.out.contains("evidence   a dial from pod seldon-system/"), "{}", probed.out);
    assert!(!probed.out.contains("unseen     what the controller's pod"), "{}", probed.out);
}

#[test]
fn who_may_not_look_is_told_what_is_missing() {
    if !kubectl::is_there() {
        return;
    }
    let place = Place::new();
    let up = Up::new(&place, "narrow", "127.68.0.12", &["--mesh", "none"]);
    let config = up.kubeconfig();
    let kubectl = Kubectl { config: &config, home: place.directory() };
    kubectl.ok("create clusterrole sees-namespaces --verb=get,list --resource=namespaces");
    let guest = guest(&kubectl, &place, "sees-namespaces");
    let context = ["--kubeconfig", guest, "--context", up.name()];
    let run = |words: &[&str]| Answer::of(&mut binary(&place, &[words, &context].concat()));

    let doctor = run(&["doctor"]).expect(3);
    for said in [
        "MISSING  you may not create, delete, patch namespaces\n",
        "MISSING  you may not create, delete, get, list, patch pods\n",
        "MISSING  you may not create, get pods/exec\n",
        "MISSING  you may not create, get, update leases.coordination.k8s.io\n",
        "unsure   what network plugins, storage and images there are, as far as you may not list nodes; ",
        "User \"system:serviceaccount:default:guest\" cannot get resource \"customresourcedefinitions\" in API group \
         \"apiextensions.k8s.io\" at the cluster scope",
    ] {
        assert!(doctor.out.contains(said), "{said}\n{}", doctor.out);
    }
    let refused = run(&["diagnose", "--namespace", "default"]).expect(3);
    let said = "cannot look for Seldon's controllers: ";
    assert!(refused.sentence().starts_with(said) && refused.err.contains("is forbidden"), "{}", refused.err);
    let run = run(&["run", "ready model", "--cluster", "given", "--cni", "flannel"]).expect(3);
    let remedy = "; `seldon-conformance doctor --context narrow` lists what is missing";
    assert!(run.sentence().contains("is forbidden") && run.sentence().ends_with(remedy), "{}", run.err);
}
