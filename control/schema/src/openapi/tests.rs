use std::collections::BTreeSet;

use expect_test::expect;
use serde_json::{Value, json};

use super::*;

const ALL: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const STATUS: &[&str] = &["get", "patch", "update"];

fn resource<'a>(
    plural: &'a str,
    kind: &'a str,
    list_kind: &'a str,
    namespaced: bool,
) -> ResourceInfo<'a> {
    ResourceInfo {
        plural,
        kind,
        list_kind,
        namespaced,
        verbs: ALL,
        subresources: Vec::new(),
        schema: SchemaSource::Builtin,
    }
}

/// The core group with pods and nodes.
fn core() -> Value {
    let mut pods = resource("pods", "Pod", "PodList", true);
    let sub = |name, group, version, kind, verbs| SubresourceInfo {
        name,
        group,
        version,
        kind,
        verbs,
    };
    pods.subresources = vec![
        sub("status", "", "v1", "Pod", STATUS),
        sub("exec", "", "v1", "PodExecOptions", &["create", "get"]),
        sub("log", "", "v1", "Pod", &["get"]),
        sub("eviction", "policy", "v1", "Eviction", &["create"]),
    ];
    document(
        "",
        "v1",
        &[pods, resource("nodes", "Node", "NodeList", false)],
    )
}

/// Calls `see` for every value below `value`.
fn each(value: &Value, see: &mut impl FnMut(&Value)) {
    see(value);
    match value {
        Value::Object(object) => object.values().for_each(|inner| each(inner, see)),
        Value::Array(items) => items.iter().for_each(|inner| each(inner, see)),
        _ => {}
    }
}

/// Every reference stands alone and leads somewhere.
fn references_resolve(document: &Value) {
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut reached = BTreeSet::new();
    each(document, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert_eq!(value.as_object().unwrap().len(), 1, "{value}");
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{name} is not defined");
            reached.insert(name.to_owned());
        }
    });
    for name in schemas.keys() {
        assert!(
            reached.contains(name) || name.ends_with("List"),
            "{name} is not reached"
        );
    }
}

#[test]
fn kubectl_finds_what_it_looks_for() {
    let document = core();
    references_resolve(&document);
    let paths = document["paths"].as_object().unwrap();
    let listed: Vec<String> = paths
        .iter()
        .map(|(path, item)| {
            let methods: Vec<&str> = item
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .filter(|key| *key != "parameters")
                .collect();
            format!("{path} {}", methods.join(","))
        })
        .collect();
    expect![[r#"
        /api/v1/namespaces/{namespace}/pods delete,get,post
        /api/v1/namespaces/{namespace}/pods/{name} delete,get,patch,put
        /api/v1/namespaces/{namespace}/pods/{name}/eviction post
        /api/v1/namespaces/{namespace}/pods/{name}/exec get,post
        /api/v1/namespaces/{namespace}/pods/{name}/log get
        /api/v1/namespaces/{namespace}/pods/{name}/status get,patch,put
        /api/v1/nodes delete,get,post
        /api/v1/nodes/{name} delete,get,patch,put
        /api/v1/pods get"#]]
    .assert_eq(&listed.join("\n"));
    // Field validation and dry run: looked up at any PATCH of the kind.
    for item in paths.values().filter_map(|item| item.get("patch")) {
        let names: Vec<&str> = item["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation"]);
        assert!(
            item["requestBody"]["content"]
                .get("application/strategic-merge-patch+json")
                .is_some()
        );
    }
    // Explain: the kind behind a path, then the schema of the kind.
    let pod = json!({"group": "", "version": "v1", "kind": "Pod"});
    assert_eq!(
        paths["/api/v1/namespaces/{namespace}/pods/{name}"]["get"]["x-kubernetes-group-version-kind"],
        pod
    );
    let schema = &document["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
    assert_eq!(schema["x-kubernetes-group-version-kind"], json!([pod]));
    assert_eq!(schema.get("required"), None);
    assert_eq!(
        schema["properties"]["spec"]["allOf"],
        json!([{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}])
    );
    // Apply: merge keys.
    let spec = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"];
    assert_eq!(spec["containers"]["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(
        spec["volumes"]["x-kubernetes-patch-strategy"],
        "merge,retainKeys"
    );
    let operation = &paths["/api/v1/namespaces/{namespace}/pods/{name}/eviction"]["post"];
    assert_eq!(
        operation["x-kubernetes-group-version-kind"]["group"],
        "policy"
    );
    assert_eq!(
        operation["operationId"],
        "createCoreV1NamespacedPodEviction"
    );
    let ids: BTreeSet<&str> = paths
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|o| o.get("operationId")?.as_str())
        .collect();
    let operations = paths
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter(|o| o.is_object())
        .count();
    assert_eq!(ids.len(), operations, "operation ids are unique");
}

#[test]
fn special_types_have_the_formats_of_kubernetes() {
    let document = core();
    let schema = |name: &str| {
        let mut schema = document["components"]["schemas"][name].clone();
        schema.as_object_mut().unwrap().remove("description");
        schema
    };
    assert_eq!(
        schema("io.k8s.apimachinery.pkg.api.resource.Quantity"),
        json!({"oneOf": [{"type": "string"}, {"type": "number"}]})
    );
    assert_eq!(
        schema("io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
        json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
    );
    assert_eq!(
        schema("io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
        json!({"type": "string", "format": "date-time"})
    );
    assert_eq!(
        schema("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"),
        json!({"type": "object"})
    );
    let definition = document_of("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let schemas = &definition["components"]["schemas"];
    let of = |kind: &str| {
        schemas[format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{kind}")]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(of("JSONSchemaPropsOrBool"), ["description"]);
    assert_eq!(of("JSON"), ["description"]);
}

fn document_of(group: &str, version: &str, kind: &str) -> Value {
    let plural = kind.to_lowercase();
    let list = format!("{kind}List");
    document(group, version, &[resource(&plural, kind, &list, true)])
}

#[test]
fn every_kind_has_its_schema() {
    let mut structures = BTreeSet::new();
    for (group, version, kind) in builtin::kinds().filter(|(group, _, _)| *group != "meta.k8s.io") {
        let document = document_of(group, version, kind);
        references_resolve(&document);
        let mut found = 0;
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            found += usize::from(
                schema["x-kubernetes-group-version-kind"] == json!([gvk(group, version, kind)]),
            );
            let short = name.rsplit('.').next().unwrap().to_owned();
            for field in schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(field, _)| field)
            {
                structures.insert((short.clone(), field.clone()));
            }
        }
        assert_eq!(found, 1, "{group} {kind}");
    }
    for (structure, field, _, _) in merge::strategies() {
        assert!(
            structures.contains(&((*structure).to_owned(), (*field).to_owned())),
            "there is no {structure}.{field}"
        );
    }
}

#[test]
fn custom_resources_get_what_every_object_has() {
    let schema = json!({"type": "object", "description": "A widget.", "properties": {
        "spec": {"type": "object", "properties": {"pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}}
    }});
    let mut widgets = resource("widgets", "Widget", "WidgetList", true);
    widgets.schema = SchemaSource::Custom(&schema);
    widgets.subresources = vec![SubresourceInfo {
        name: "scale",
        group: "autoscaling",
        version: "v1",
        kind: "Scale",
        verbs: STATUS,
    }];
    let document = document("example.org", "v1", &[widgets.clone()]);
    references_resolve(&document);
    let widget = &document["components"]["schemas"]["org.example.v1.Widget"];
    let fields: Vec<&String> = widget["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["apiVersion", "kind", "metadata", "spec"]);
    assert!(
        widget
            .pointer("/properties/spec/properties/pod/properties/metadata")
            .is_some()
    );
    let patch =
        &document["paths"]["/apis/example.org/v1/namespaces/{namespace}/widgets/{name}"]["patch"];
    assert_eq!(patch["operationId"], "patchExampleOrgV1NamespacedWidget");
    assert_eq!(
        patch["requestBody"]["content"].get("application/strategic-merge-patch+json"),
        None
    );
    assert_eq!(
        document["paths"]["/apis/example.org/v1/namespaces/{namespace}/widgets/{name}/scale"]["get"]
            ["x-kubernetes-group-version-kind"],
        json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})
    );
    // The fingerprint changes with the schema.
    let before = fingerprint("example.org", "v1", &[widgets.clone()]);
    assert_eq!(before, fingerprint("example.org", "v1", &[widgets.clone()]));
    let other = json!({"type": "object"});
    widgets.schema = SchemaSource::Custom(&other);
    assert_ne!(before, fingerprint("example.org", "v1", &[widgets]));
}

#[test]
fn odd_schemas_do_no_harm() {
    for schema in [
        json!(null),
        json!([]),
        json!({"properties": 1}),
        json!({"properties": {"a": null}}),
    ] {
        let mut widgets = resource("widgets", "Widget", "WidgetList", false);
        widgets.schema = SchemaSource::Custom(&schema);
        assert!(document("example.org", "v1", &[widgets])["components"]["schemas"]["org.example.v1.Widget"].is_object());
    }
    references_resolve(&document_of("example.org", "v1", "Unknown"));
}

#[test]
fn the_index_names_documents_by_their_hash() {
    assert_eq!(index_key("", "v1"), "api/v1");
    assert_eq!(index_key("apps", "v1"), "apis/apps/v1");
    assert_eq!(
        index([("api/v1", "ABC")]),
        json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=ABC"}}})
    );
    assert_eq!(
        hash(b""),
        "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
    );
}
