mod naming;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn crd() -> Value {
    let mut crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"color": {"type": "string"}, "replicas": {"type": "integer"}, "sizes": {"type": "object", "additionalProperties": {"type": "integer"}}}},
                    "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}}
                }}},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                "additionalPrinterColumns": [{"name": "Color", "type": "string", "jsonPath": ".spec.color"}, {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1}],
                "selectableFields": [{"jsonPath": ".spec.color"}]
            }]
        }
    });
    default(&mut crd);
    crd
}

fn lines(errors: &ErrorList) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}

/// What is wrong with the definition after `change`.
fn refused(change: impl FnOnce(&mut Value), expect: Expect) {
    let mut crd = crd();
    change(&mut crd);
    expect.assert_eq(&lines(&validate_create(&crd)));
}

#[test]
fn defaults_are_filled_in_once() {
    let crd = crd();
    assert_eq!(crd["spec"]["names"]["singular"], "widget");
    assert_eq!(crd["spec"]["names"]["listKind"], "WidgetList");
    assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    let mut again = crd.clone();
    default(&mut again);
    assert_eq!(crd, again);
    for mut odd in [
        json!(null),
        json!({"spec": 1, "status": []}),
        json!({"spec": {"names": [], "versions": {}}, "status": {"storedVersions": null}}),
    ] {
        default(&mut odd);
        assert!(!validate_create(&odd).is_empty());
    }
}

#[test]
fn a_good_definition_is_accepted_and_compiled() {
    let crd = crd();
    assert_eq!(lines(&validate_create(&crd)), "");
    let compiled = compile(&crd).unwrap();
    assert_eq!(compiled.group, "example.org");
    assert!(compiled.namespaced);
    assert_eq!(
        (
            compiled.names.kind.as_str(),
            compiled.names.short_names.as_slice()
        ),
        ("Widget", &["wd".to_owned()][..])
    );
    let version = &compiled.versions[0];
    assert!(version.served && version.storage && version.status);
    let scale = version.scale.as_ref().unwrap();
    assert_eq!(scale.spec_replicas.to_string(), ".spec.replicas");
    assert_eq!(
        scale.label_selector.as_ref().unwrap().to_string(),
        ".status.selector"
    );
    assert_eq!(
        version.columns[0].description,
        "Custom resource definition column (in JSONPath format): .spec.color"
    );
    assert_eq!(version.columns[1].priority, 1);
    assert_eq!(version.selectable[0].name, "spec.color");
    assert_eq!(
        version.raw_schema(&crd),
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema")
    );
    assert!(
        !version
            .schema
            .validate(&json!({"spec": {"replicas": "x"}}))
            .is_empty()
    );
}

#[test]
fn what_a_definition_must_have() {
    let mut empty = json!({"metadata": {"name": "x"}});
    default(&mut empty);
    expect![[r#"
        metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group
        spec.group: Required value
        spec.scope: Required value
        spec.versions: Required value: must have at least one version
        spec.names.plural: Required value
        spec.names.singular: Required value
        spec.names.kind: Required value
        spec.names.listKind: Required value
        status.storedVersions: Invalid value: []: must have at least one stored version
    "#]]
    .assert_eq(&lines(&validate_create(&empty)));
    refused(
        |crd| {
            crd["spec"]["scope"] = json!("Global");
            crd["spec"]["preserveUnknownFields"] = json!(true);
            crd["spec"]["names"] = json!({"plural": "widgets", "singular": "Widget", "kind": "Wid_get", "listKind": "Wid_get", "shortNames": ["W"], "categories": [""]});
            crd["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {}});
        },
        expect![[r#"
            spec.scope: Unsupported value: "Global": supported values: "Cluster", "Namespaced"
            spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead
            spec.names.singular: Invalid value: "Widget": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
            spec.names.kind: Invalid value: "Wid_get": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
            spec.names.listKind: Invalid value: "Wid_get": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
            spec.names.listKind: Invalid value: "Wid_get": kind and listKind may not be the same
            spec.names.shortNames[0]: Invalid value: "W": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
            spec.names.categories[0]: Invalid value: "": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
            spec.conversion.strategy: Unsupported value: "Webhook": supported values: "None"
        "#]],
    );
    refused(
        |crd| {
            crd["metadata"]["name"] = json!("widgets.k8s.io");
            crd["spec"]["group"] = json!("k8s.io");
            crd["spec"]["conversion"] = json!({"strategy": "None", "webhook": {}});
        },
        expect![[r#"
            spec.conversion.webhook: Forbidden: should not be set when strategy is not set to Webhook
            metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111
        "#]],
    );
    refused(
        |crd| crd["spec"]["group"] = json!("example"),
        expect![[r#"
            metadata.name: Invalid value: "widgets.example.org": must be spec.names.plural+"."+spec.group
            spec.group: Invalid value: "example": should be a domain with at least one dot
        "#]],
    );
}

#[test]
fn versions_are_checked_each() {
    refused(
        |crd| {
            let mut second = crd["spec"]["versions"][0].clone();
            second["deprecationWarning"] = json!("old");
            second["schema"] = json!(null);
            crd["spec"]["versions"].as_array_mut().unwrap().push(second);
            crd["spec"]["versions"][0]["name"] = json!("1");
            crd["status"]["storedVersions"] = json!(["v1", "v0"]);
        },
        expect![[r#"
            spec.versions[0].name: Invalid value: "1": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
            spec.versions[1].deprecationWarning: Invalid value: "old": can only be set for deprecated versions
            spec.versions[1].schema.openAPIV3Schema: Required value: schemas are required
            spec.versions: Invalid value: [{"additionalPrinterColumns":[{"jsonPath":".spec.color","name":"Color","type":"string"},{"jsonPath":".metadata.creationTimestamp","name":"Age","priority":1,"type":"date"}],"name":"1","schema":{"openAPIV3Schema":{"properties":{"spec":{"properties":{"color":{"type":"string"},"replicas":{"type":"integer"},"sizes":{"additionalProperties":{"type":"integer"},"type":"object"}},"type":"object"},"status":{"properties":{"replicas":{"type":"integer"},"selector":{"type":"string"}},"type":"object"}},"type":"object"}},"s…: must have exactly one version marked as storage version
            status.storedVersions: Invalid value: ["v1","v0"]: must have the storage version 1
            status.storedVersions[1]: Invalid value: "v0": missing from spec.versions; v0 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v0 and removes v0 from status.storedVersions
        "#]],
    );
    // One version: as Kubernetes, mistakes are told at the definition's own fields.
    refused(
        |crd| {
            let version = &mut crd["spec"]["versions"][0];
            version["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({"properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "true"}]}}});
            version["schema"]["openAPIV3Schema"]["nullable"] = json!(true);
            version["subresources"]["scale"] = json!({"specReplicasPath": ".status.x", "statusReplicasPath": "x", "labelSelectorPath": ".metadata.x"});
            version["additionalPrinterColumns"] = json!([{}, {"name": "x", "type": "text", "format": "y", "jsonPath": "x"}, {"name": "y", "type": "string", "jsonPath": ".a["}]);
            version["selectableFields"] = json!([{}, {"jsonPath": ".spec.b"}, {"jsonPath": ".metadata.name"}, {"jsonPath": ".status"}]);
        },
        expect![[r#"
            spec.validation.openAPIV3Schema: Invalid value: {"nullable":true,"properties":{"spec":{"properties":{"a":{"type":"string","x-kubernetes-validations":[{"rule":"true"}]}}},"status":{"properties":{"replicas":{"type":"integer"},"selector":{"type":"string"}},"type":"object"}},"type":"object"}: only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled
            spec.validation.openAPIV3Schema.nullable: Forbidden: nullable cannot be true at the root
            spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields
            spec.validation.openAPIV3Schema.properties[spec].properties[a].x-kubernetes-validations: Forbidden: validation rules in CEL are not evaluated by this server: remove them or express them by the schema's own keywords
            spec.subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json path under .spec
            spec.subresources.scale.statusReplicasPath: Invalid value: "x": must be a simple json path starting with .
            spec.subresources.scale.labelSelectorPath: Invalid value: ".metadata.x": should be a json path under either .spec or .status
            spec.additionalPrinterColumns[0].name: Required value
            spec.additionalPrinterColumns[0].type: Required value: must be one of boolean,date,integer,number,string
            spec.additionalPrinterColumns[0].JSONPath: Required value
            spec.additionalPrinterColumns[1].type: Invalid value: "text": must be one of boolean,date,integer,number,string
            spec.additionalPrinterColumns[1].format: Invalid value: "y": must be one of byte,date,date-time,double,float,int32,int64,password
            spec.additionalPrinterColumns[1].JSONPath: Invalid value: "x": must be a simple json path starting with .
            spec.additionalPrinterColumns[2].JSONPath: Invalid value: ".a[": unterminated array: ] is missing
            spec.selectableFields[0].jsonPath: Required value
            spec.selectableFields[1].jsonPath: Invalid value: ".spec.b": is an invalid path: does not refer to a valid field
            spec.selectableFields[2].jsonPath: Invalid value: ".metadata.name": is an invalid path: does not refer to a valid field
            spec.selectableFields[3].jsonPath: Invalid value: ".status": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.
        "#]],
    );
    // Versions that differ are told apart.
    refused(
        |crd| {
            let mut second = crd["spec"]["versions"][0].clone();
            second["name"] = json!("v2");
            second["storage"] = json!(false);
            second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["color"] =
                json!({});
            second["additionalPrinterColumns"][0]["type"] = json!("x");
            crd["spec"]["versions"].as_array_mut().unwrap().push(second);
        },
        expect![[r#"
            spec.versions[1].schema.openAPIV3Schema.properties[spec].properties[color].type: Required value: must not be empty for specified object fields
            spec.versions[1].additionalPrinterColumns[0].type: Invalid value: "x": must be one of boolean,date,integer,number,string
        "#]],
    );
}

#[test]
fn updates_keep_what_objects_depend_on() {
    let old = crd();
    let mut new = old.clone();
    new["spec"]["names"]["kind"] = json!("Gadget");
    new["spec"]["scope"] = json!("Cluster");
    assert_eq!(lines(&validate_update(&new, &old)), "");
    let mut established = old.clone();
    established["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
    new["spec"]["group"] = json!("example.com");
    new["spec"]["versions"][0]["name"] = json!("v2");
    expect![[r#"
        spec.scope: Invalid value: "Cluster": field is immutable
        spec.names.kind: Invalid value: "Gadget": field is immutable
        spec.group: Invalid value: "example.com": field is immutable
        status.storedVersions: Invalid value: ["v1"]: must have the storage version v2
        status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions
    "#]].assert_eq(&lines(&validate_update(&new, &established)));
}

#[test]
fn versions_are_ordered_as_kubernetes_orders_them() {
    let mut names = [
        "v1alpha1",
        "v10beta3",
        "foo1",
        "v2",
        "v11alpha2",
        "v1",
        "v3beta1",
        "v10",
        "foo10",
        "v12alpha1",
        "v11beta2",
    ];
    names.sort_by(|a, b| compile::preference(a, b));
    assert_eq!(
        names,
        [
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v10beta3",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "v1alpha1",
            "foo1",
            "foo10"
        ]
    );
}

#[test]
fn only_what_is_served_or_stored_is_compiled() {
    let mut crd = crd();
    for (name, served) in [("v2", true), ("v0", false)] {
        let mut version = crd["spec"]["versions"][0].clone();
        version["name"] = json!(name);
        version["storage"] = json!(false);
        version["served"] = json!(served);
        version["deprecated"] = json!(true);
        crd["spec"]["versions"]
            .as_array_mut()
            .unwrap()
            .push(version);
    }
    let compiled = compile(&crd).unwrap();
    let names: Vec<&str> = compiled
        .versions
        .iter()
        .map(|version| version.name.as_str())
        .collect();
    assert_eq!(names, ["v2", "v1"]);
    assert_eq!(
        compiled.versions[0].deprecation_warning.as_deref(),
        Some("example.org/v2 Widget is deprecated")
    );
}

#[test]
fn unknown_formats_are_warned_of() {
    let mut crd = crd();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["color"]
        ["format"] = json!("paint");
    assert_eq!(
        warnings(&crd),
        [
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[color].format: unrecognized format \"paint\""
        ]
    );
}

#[test]
fn unknown_fields_are_removed_and_named() {
    let mut good = crd();
    let before = good.clone();
    assert!(prune(&mut good).is_empty());
    assert_eq!(good, before);
    let mut odd = crd();
    odd["spec"]["validation"] = json!({});
    odd["metadata"]["x"] = json!(1);
    let version = &mut odd["spec"]["versions"][0];
    version["additionalPrinterColumns"][0]["JSONPath"] = json!(".x");
    version["subresources"]["status"]["x"] = json!(1);
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["color"]["minlength"] =
        json!(1);
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["default"] = json!({"anything": 1});
    expect![[r#"
        metadata.x
        spec.validation
        spec.versions[0].additionalPrinterColumns[0].JSONPath
        spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.color.minlength
        spec.versions[0].subresources.status.x"#]]
    .assert_eq(&prune(&mut odd).join("\n"));
}

/// As code generators write them.
#[test]
fn an_empty_status_is_fine() {
    let mut generated = crd();
    generated["metadata"]["creationTimestamp"] = json!(null);
    generated["status"] = json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": [], "storedVersions": []});
    default(&mut generated);
    assert_eq!(lines(&validate_create(&generated)), "");
    let named = naming(&generated, [], "2026-11-24T03:00:00Z");
    assert!(named.established);
    assert_eq!(compile(&generated).unwrap().names.plural, "widgets");
}

proptest! {
    #[test]
    fn no_definition_panics(change in any_part(), place in prop::sample::select(PLACES)) {
        let mut crd = crd();
        if let Some(part) = crd.pointer_mut(place) {
            *part = change;
        }
        let old = self::crd();
        prune(&mut crd);
        default(&mut crd);
        let _ = (validate_create(&crd), validate_update(&crd, &old), validate_status_update(&crd, &old), warnings(&crd));
        let _ = (naming(&crd, [&old], ""), naming(&old, [&crd], ""), compile(&crd));
    }
}

const PLACES: &[&str] = &[
    "",
    "/spec",
    "/status",
    "/spec/names",
    "/spec/names/shortNames",
    "/spec/versions",
    "/spec/versions/0",
    "/spec/versions/0/schema",
    "/spec/versions/0/schema/openAPIV3Schema",
    "/spec/versions/0/subresources",
    "/spec/versions/0/subresources/scale",
    "/spec/versions/0/additionalPrinterColumns",
    "/spec/versions/0/additionalPrinterColumns/0/jsonPath",
    "/spec/versions/0/selectableFields",
    "/spec/conversion",
    "/spec/group",
    "/metadata",
];

fn any_part() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z.\\[\\]{}]{0,6}".prop_map(Value::from)
    ];
    let name = prop::sample::select(vec![
        "name",
        "plural",
        "kind",
        "type",
        "properties",
        "items",
        "jsonPath",
        "versions",
        "status",
        "scale",
        "served",
        "storage",
        "schema",
        "openAPIV3Schema",
    ]);
    leaf.prop_recursive(4, 30, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(|map| Value::Object(
                map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}
