//! Label and field selectors applied to stored objects, looking inside as little as possible: names come from the key, labels
//! from the metadata in front; only other fields make an object be parsed.

use std::borrow::Cow;

use minicloud_api::selector::{FieldSelector, LabelSelector};
use minicloud_api::status::ApiStatus;
use minicloud_store::Entry;
use serde_json::Value;

use crate::codec;
use crate::objects;
use crate::query::ListOptions;
use crate::registry::Resource;

/// What a list or watch selects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    labels: LabelSelector,
    /// Terms on `metadata.name` and `metadata.namespace`.
    names: FieldSelector,
    /// All other terms.
    fields: FieldSelector,
}

impl Selection {
    /// Reads the selectors of `options`; `name` is that of a path that watches one object.
    pub(crate) fn new(
        resource: &Resource,
        options: &ListOptions,
        name: &str,
    ) -> Result<Self, ApiStatus> {
        let labels = LabelSelector::parse(&options.label_selector)
            .map_err(|e| ApiStatus::bad_request(e.to_string()))?;
        let all = FieldSelector::parse(&options.field_selector)
            .map_err(|e| ApiStatus::bad_request(e.0))?;
        let (mut names, mut fields) = (FieldSelector::default(), FieldSelector::default());
        // Kinds with fields of their own have rules of their own in Kubernetes, all others share the default ones.
        let own_rules = resource.is_custom() || !resource.fields.is_empty();
        for term in all.terms {
            match term.0.as_str() {
                "metadata.name" => names.terms.push(term),
                "metadata.namespace" if resource.namespaced || !own_rules => names.terms.push(term),
                field if resource.fields.iter().any(|f| f == field) => fields.terms.push(term),
                field => {
                    return Err(ApiStatus::bad_request(if own_rules {
                        format!("field label not supported: {field}")
                    } else {
                        format!(
                            "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                        )
                    }));
                }
            }
        }
        if !name.is_empty() {
            names
                .terms
                .push(("metadata.name".to_owned(), name.to_owned(), true));
        }
        Ok(Self {
            labels,
            names,
            fields,
        })
    }

    /// True when everything is selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.names.is_empty() && self.fields.is_empty()
    }

    /// The one name that is selected, if it is one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.names.required("metadata.name")
    }

    /// The one namespace that is selected, if it is one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.names.required("metadata.namespace")
    }

    /// True when the object is selected.
    pub(crate) fn matches(&self, resource: &Resource, entry: &Entry) -> bool {
        if !self.names.is_empty() {
            let (namespace, name) = resource.split_key(&entry.key);
            let get = |field: &str| {
                Some(Cow::Borrowed(if field == "metadata.name" {
                    name
                } else {
                    namespace
                }))
            };
            if !self.names.matches(get) {
                return false;
            }
        }
        if !self.labels.is_empty() {
            let labels = codec::labels(&entry.value);
            if !self
                .labels
                .matches(|key| labels.get(key).map(AsRef::as_ref))
            {
                return false;
            }
        }
        if self.fields.is_empty() {
            return true;
        }
        // As a client sees it, with what a definition fills in by now.
        let Ok(object) = objects::decode(resource, &entry.value, entry.mod_revision) else {
            return false;
        };
        self.fields
            .matches(|field| Some(field_of(resource, &object, field)))
    }
}

/// The value of a field for selectors, as Kubernetes converts it to text.
fn field_of<'a>(resource: &Resource, object: &'a Value, field: &str) -> Cow<'a, str> {
    if let Some(custom) = resource.custom() {
        let found = custom
            .version
            .selectable
            .iter()
            .find(|s| s.name == field)
            .and_then(|s| s.path.get(object));
        return text(found);
    }
    let stored = if resource.converts_events {
        core_event_field(field)
    } else {
        field
    };
    match stored {
        "source" => {
            let component = object
                .pointer("/source/component")
                .filter(|c| c.as_str() != Some(""));
            return text(component.or_else(|| object.get("reportingComponent")));
        }
        "status.podIP" => {
            // The first of all addresses, which clients may name without the others or only among them.
            let single = at(object, stored).filter(|ip| ip.as_str() != Some(""));
            return text(single.or_else(|| object.pointer("/status/podIPs/0/ip")));
        }
        "status.replicas" => {
            let replicas = at(object, stored).and_then(Value::as_i64).unwrap_or(0);
            return replicas.to_string().into();
        }
        "status.podIPs" => {
            let all: Vec<&str> = object
                .pointer("/status/podIPs")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|ip| ip.get("ip")?.as_str())
                .collect();
            return all.join(",").into();
        }
        "spec.unschedulable" | "spec.hostNetwork" => {
            let on = at(object, stored).and_then(Value::as_bool).unwrap_or(false);
            return Cow::Borrowed(if on { "true" } else { "false" });
        }
        _ => {}
    }
    text(at(object, stored))
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |at, field| at.get(field))
}

fn text(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(other) => Cow::Owned(other.to_string()),
    }
}

/// Events are stored as core events: where a field of events.k8s.io lies there.
fn core_event_field(field: &str) -> &str {
    match field {
        "regarding.kind" => "involvedObject.kind",
        "regarding.namespace" => "involvedObject.namespace",
        "regarding.name" => "involvedObject.name",
        "regarding.uid" => "involvedObject.uid",
        "regarding.apiVersion" => "involvedObject.apiVersion",
        "regarding.resourceVersion" => "involvedObject.resourceVersion",
        "regarding.fieldPath" => "involvedObject.fieldPath",
        "reportingController" => "reportingComponent",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;

    /// True when the object is selected; otherwise the refusal.
    fn selects(
        resource: &Resource,
        object: &Value,
        labels: &str,
        fields: &str,
    ) -> Result<bool, String> {
        let entry = Entry {
            key: resource
                .key("n", object["metadata"]["name"].as_str().unwrap())
                .into(),
            value: codec::encode(object),
            create_revision: 1,
            mod_revision: 1,
        };
        let options = ListOptions {
            label_selector: labels.into(),
            field_selector: fields.into(),
            ..ListOptions::default()
        };
        Selection::new(resource, &options, "")
            .map(|s| s.matches(resource, &entry))
            .map_err(|e| {
                assert_eq!(e.code, 400);
                e.message
            })
    }

    #[test]
    fn selectors() {
        let registry = Registry::new();
        let pods = registry.get("", "v1", "pods").unwrap();
        let pod = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "p", "namespace": "n", "labels": {"app": "web"}},
            "spec": {"nodeName": "edge"}, "status": {"phase": "Running", "podIPs": [{"ip": "1.2.3.4"}]},
        });
        let check = |labels: &str, fields: &str, expect: Result<bool, ()>| {
            let got = selects(&pods, &pod, labels, fields).map_err(|_| ());
            assert_eq!(got, expect, "{labels} {fields}");
        };
        check("", "", Ok(true));
        check("app=web", "", Ok(true));
        check("app!=web", "", Ok(false));
        check("app in (a,web),!x", "spec.nodeName=edge", Ok(true));
        check("", "metadata.name=p,metadata.namespace=n", Ok(true));
        check("", "metadata.name!=p", Ok(false));
        check("", "status.phase!=Running", Ok(false));
        check("", "status.podIPs=1.2.3.4,spec.hostNetwork=false", Ok(true));
        check("", "status.podIP=1.2.3.4", Ok(true));
        check("", "spec.nodeName=", Ok(false));
        check("", "spec.foo=x", Err(()));
        check("a=b=c", "", Err(()));
        check("", "noop", Err(()));
    }

    #[test]
    fn each_kind_has_its_fields() {
        let registry = Registry::new();
        let check = |group: &str, plural: &str, fields: &str, expect: Result<bool, &str>| {
            let resource = registry.built_in(group, plural).unwrap();
            let object = json!({"metadata": {"name": "a"}, "status": {}});
            let got = selects(&resource, &object, "", fields);
            assert_eq!(
                got.as_ref().map_err(String::as_str),
                expect.as_ref().map_err(|e| *e),
                "{plural} {fields}"
            );
        };
        let unknown =
            r#""spec.x" is not a known field selector: only "metadata.name", "metadata.namespace""#;
        for (group, plural) in [
            ("", "configmaps"),
            ("", "persistentvolumes"),
            ("apps", "deployments"),
            ("rbac.authorization.k8s.io", "clusterroles"),
            ("apiextensions.k8s.io", "customresourcedefinitions"),
        ] {
            check(group, plural, "spec.x=y", Err(unknown));
        }
        let unsupported = "field label not supported: spec.x";
        for plural in [
            "pods",
            "nodes",
            "namespaces",
            "secrets",
            "services",
            "events",
        ] {
            check("", plural, "spec.x=y", Err(unsupported));
        }
        let no_namespace = "field label not supported: metadata.namespace";
        check("", "nodes", "metadata.namespace=", Err(no_namespace));
        check("", "namespaces", "metadata.namespace=", Err(no_namespace));
        check("", "persistentvolumes", "metadata.namespace=", Ok(true));
        check("", "persistentvolumes", "metadata.namespace=n", Ok(false));
        check("apps", "replicasets", "status.replicas=0", Ok(true));
        check("apps", "replicasets", "status.replicas!=0", Ok(false));
    }

    #[test]
    fn custom_resources_are_selected_as_clients_see_them() {
        let registry = Registry::new();
        let definition = json!({
            "metadata": {"name": "cars.example.org", "resourceVersion": "2"},
            "spec": {
                "group": "example.org", "scope": "Cluster", "names": {"plural": "cars", "kind": "Car"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "selectableFields": [{"jsonPath": ".spec.color"}],
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "default": {}, "properties": {
                            "color": {"type": "string", "default": "red"},
                        }},
                    }}},
                }],
            },
        });
        let compiled = crate::crds::compile(&definition).unwrap();
        registry.put("cars.example.org", compiled);
        let cars = registry.get("example.org", "v1", "cars").unwrap();
        // Stored at revision 1, before the default was there.
        let car = json!({"metadata": {"name": "a"}});
        assert_eq!(selects(&cars, &car, "", "spec.color=red"), Ok(true));
        assert_eq!(selects(&cars, &car, "", "spec.color="), Ok(false));
        for field in ["metadata.namespace", "spec.x"] {
            let refused = selects(&cars, &car, "", &format!("{field}=")).unwrap_err();
            assert_eq!(refused, format!("field label not supported: {field}"));
        }
    }
}
