//! The few messages that Seldon 2.9.1 prints as Go prints protocol buffers.

use seldon_proto::scheduler as pb;

fn joined(parts: Vec<Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

fn text(name: &str, value: &str) -> Option<String> {
    (!value.is_empty()).then(|| format!("{name}:{value:?}"))
}

fn number<N: Into<i64>>(name: &str, value: N) -> Option<String> {
    let value = value.into();
    (value != 0).then(|| format!("{name}:{value}"))
}

/// `namespace:"ml"  generation:1`, or `<nil>`.
pub(crate) fn kubernetes_meta(meta: Option<&pb::KubernetesMeta>) -> String {
    let Some(meta) = meta else { return "<nil>".to_owned() };
    joined(vec![text("namespace", &meta.namespace), number("generation", meta.generation)])
}

fn nested_kubernetes_meta(meta: Option<&pb::KubernetesMeta>) -> Option<String> {
    meta.map(|meta| format!("kubernetesMeta:{{{}}}", kubernetes_meta(Some(meta))))
}

/// A model's metadata, or `<nil>`.
pub(crate) fn meta_data(meta: Option<&pb::MetaData>) -> String {
    let Some(meta) = meta else { return "<nil>".to_owned() };
    joined(vec![
        text("name", &meta.name),
        meta.kind.as_ref().map(|kind| format!("kind:{kind:?}")),
        meta.version.as_ref().map(|version| format!("version:{version:?}")),
        nested_kubernetes_meta(meta.kubernetes_meta.as_ref()),
    ])
}

/// What the operator says of one server.
pub(crate) fn server_notify(request: &pb::ServerNotify) -> String {
    joined(vec![
        text("name", &request.name),
        number("expectedReplicas", request.expected_replicas),
        request.shared.then(|| "shared:true".to_owned()),
        nested_kubernetes_meta(request.kubernetes_meta.as_ref()),
        number("minReplicas", request.min_replicas),
        number("maxReplicas", request.max_replicas),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        let meta = pb::KubernetesMeta { namespace: "seldon-mesh".into(), generation: 1 };
        let notify = pb::ServerNotify {
            name: "mlserver".into(),
            expected_replicas: 1,
            kubernetes_meta: Some(meta),
            ..pb::ServerNotify::default()
        };
        insta::assert_snapshot!(
            server_notify(&notify),
            @r#"name:"mlserver"  expectedReplicas:1  kubernetesMeta:{namespace:"seldon-mesh"  generation:1}"#
        );
        assert_eq!(kubernetes_meta(None), "<nil>");
    }
}
