use embedded_machinery::status::{GroupResource, Status};
use embedded_machinery::{FieldError, Gvk};
use serde_json::json;

const DEPLOYMENTS: GroupResource<'_> = GroupResource { group: "apps", resource: "deployments" };

#[test]
fn an_invalid_object_is_reported_with_every_cause() {
    let errors = [
        FieldError::required("spec.selector", ""),
        FieldError::invalid("spec.replicas", -1, "must be greater than or equal to 0"),
    ];
    let status = Status::invalid(&Gvk::new("apps", "v1", "Deployment"), "web", &errors);
    insta::assert_snapshot!(serde_json::to_string_pretty(&status.to_value()).unwrap(), @r#"
    {
      "kind": "Status",
      "apiVersion": "v1",
      "metadata": {},
      "status": "Failure",
      "message": "Deployment.apps \"web\" is invalid: [spec.selector: Required value, spec.replicas: Invalid value: -1: must be greater than or equal to 0]",
      "reason": "Invalid",
      "details": {
        "name": "web",
        "group": "apps",
        "kind": "Deployment",
        "causes": [
          {
            "reason": "FieldValueRequired",
            "message": "Required value",
            "field": "spec.selector"
          },
          {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: -1: must be greater than or equal to 0",
            "field": "spec.replicas"
          }
        ]
      },
      "code": 422
    }
    "#);
}

#[test]
fn messages_name_group_and_resource() {
    let messages = [
        Status::not_found(DEPLOYMENTS, "web"),
        Status::already_exists(GroupResource { group: "", resource: "pods" }, "a"),
        Status::modified(DEPLOYMENTS, "web"),
        Status::forbidden(DEPLOYMENTS, "", "no"),
        Status::cannot_decode(
            &Gvk::new("apps", "v1", "Deployment"),
            "strict decoding error: unknown field \"x\"",
        ),
    ];
    let shown: Vec<String> =
        messages.iter().map(|status| format!("{} {}", status.code, status.message)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    404 deployments.apps "web" not found
    409 pods "a" already exists
    409 Operation cannot be fulfilled on deployments.apps "web": the object has been modified; please apply your changes to the latest version and try again
    403 deployments.apps is forbidden: no
    400 Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "x"
    "#);
}

#[test]
fn a_success_has_no_code_and_no_reason() {
    let value = Status::success(DEPLOYMENTS, "web", "u-1").to_value();
    let details = json!({"name": "web", "group": "apps", "kind": "deployments", "uid": "u-1"});
    assert_eq!(value["status"], "Success");
    assert_eq!(value["details"], details);
    assert!(value.get("code").is_none() && value.get("reason").is_none());
}
