//! The rows of Kubernetes' own kinds. To serve another kind, add a row here and its rules to `minicloud-validation`.

use super::{Resource, Rules, Subresource, VERBS_ALL, api_version};
use crate::codec;
use bytes::Bytes;
use minicloud_schema::table::Columns;

const GET_WRITE: &[&str] = &["get", "patch", "update"];
const CREATE: &[&str] = &["create"];
const CREATE_GET: &[&str] = &["create", "get"];
const GET: &[&str] = &["get"];
const UPDATE: &[&str] = &["update"];

const fn own(name: &'static str, verbs: &'static [&'static str]) -> Subresource {
    Subresource {
        name,
        group: "",
        version: "",
        kind: "",
        verbs,
    }
}

const fn other(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource {
        name,
        group,
        version,
        kind,
        verbs,
    }
}

const STATUS: Subresource = own("status", GET_WRITE);
const SCALE: Subresource = other("scale", "autoscaling", "v1", "Scale", GET_WRITE);

/// The columns of the table below: what differs between kinds.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    subresources: &'static [Subresource],
    fields: &'static [&'static str],
    flags: u8,
}

const RETURNS_DELETED: u8 = 1;
const VOLATILE: u8 = 2;
const CATEGORY_ALL: u8 = 4;
const VIRTUAL: u8 = 8;
/// Updates must name the version they are based on.
const CONDITIONAL: u8 = 16;
const NO_DELETE_COLLECTION: u8 = 32;
/// PUT makes an object that is not there (`AllowCreateOnUpdate` of Kubernetes' strategies).
const CREATE_ON_UPDATE: u8 = 64;

const RBAC: &str = "rbac.authorization.k8s.io";
const AUTHN: &str = "authentication.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";

const POD_SUBRESOURCES: &[Subresource] = &[
    other("attach", "", "v1", "PodAttachOptions", CREATE_GET),
    other("binding", "", "v1", "Binding", CREATE),
    other("eviction", "policy", "v1", "Eviction", CREATE),
    other("exec", "", "v1", "PodExecOptions", CREATE_GET),
    own("log", GET),
    other("portforward", "", "v1", "PodPortForwardOptions", CREATE_GET),
    STATUS,
];
const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];
const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const EVENT_V1_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

macro_rules! row {
    ($group:expr, $version:expr, $kind:expr, $plural:expr, $short:expr, $ns:expr, $subs:expr, $fields:expr, $flags:expr) => {
        Row {
            group: $group,
            version: $version,
            kind: $kind,
            plural: $plural,
            short: $short,
            namespaced: $ns,
            subresources: $subs,
            fields: $fields,
            flags: $flags,
        }
    };
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row!("", "v1", "ConfigMap", "configmaps", &["cm"], true, &[], &[], 0),
    row!("", "v1", "Endpoints", "endpoints", &["ep"], true, &[], &[], CREATE_ON_UPDATE),
    row!("", "v1", "Event", "events", &["ev"], true, &[], EVENT_FIELDS, CREATE_ON_UPDATE),
    row!("", "v1", "Namespace", "namespaces", &["ns"], false, &[own("finalize", UPDATE), STATUS], &["status.phase"], NO_DELETE_COLLECTION),
    row!("", "v1", "Node", "nodes", &["no"], false, &[STATUS], &["spec.unschedulable"], 0),
    row!("", "v1", "PersistentVolume", "persistentvolumes", &["pv"], false, &[STATUS], &[], RETURNS_DELETED),
    row!("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], true, &[STATUS], &[], RETURNS_DELETED),
    row!("", "v1", "Pod", "pods", &["po"], true, POD_SUBRESOURCES, POD_FIELDS, RETURNS_DELETED | CATEGORY_ALL),
    row!("", "v1", "Secret", "secrets", &[], true, &[], &["type"], 0),
    row!("", "v1", "Service", "services", &["svc"], true, &[STATUS], &["spec.clusterIP", "spec.type"], RETURNS_DELETED | CATEGORY_ALL | CREATE_ON_UPDATE),
    row!("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], true, &[other("token", AUTHN, "v1", "TokenRequest", CREATE)], &[], RETURNS_DELETED),
    row!("apps", "v1", "Deployment", "deployments", &["deploy"], true, &[SCALE, STATUS], &[], CATEGORY_ALL),
    row!("apps", "v1", "ReplicaSet", "replicasets", &["rs"], true, &[SCALE, STATUS], &["status.replicas"], CATEGORY_ALL),
    row!("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], true, &[STATUS], &[], CATEGORY_ALL),
    row!("events.k8s.io", "v1", "Event", "events", &["ev"], true, &[], EVENT_V1_FIELDS, CREATE_ON_UPDATE),
    row!(AUTHN, "v1", "SelfSubjectReview", "selfsubjectreviews", &[], false, &[], &[], VIRTUAL),
    row!(AUTHN, "v1", "TokenReview", "tokenreviews", &[], false, &[], &[], VIRTUAL),
    row!(AUTHZ, "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", &[], true, &[], &[], VIRTUAL),
    row!(AUTHZ, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", &[], false, &[], &[], VIRTUAL),
    row!(AUTHZ, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", &[], false, &[], &[], VIRTUAL),
    row!(AUTHZ, "v1", "SubjectAccessReview", "subjectaccessreviews", &[], false, &[], &[], VIRTUAL),
    row!(RBAC, "v1", "ClusterRole", "clusterroles", &[], false, &[], &[], CREATE_ON_UPDATE),
    row!(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", &[], false, &[], &[], CREATE_ON_UPDATE),
    row!(RBAC, "v1", "Role", "roles", &[], true, &[], &[], CREATE_ON_UPDATE),
    row!(RBAC, "v1", "RoleBinding", "rolebindings", &[], true, &[], &[], CREATE_ON_UPDATE),
    row!("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"], false, &[], &[], RETURNS_DELETED),
    row!("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", &["crd", "crds"], false, &[STATUS], &[], CONDITIONAL),
    row!("coordination.k8s.io", "v1", "Lease", "leases", &[], true, &[], &[], VOLATILE | CONDITIONAL | CREATE_ON_UPDATE),
    row!("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", &[], true, &[], &[], 0),
];

const VERBS_NO_DELETE_COLLECTION: &[&str] = &[
    "create", "delete", "get", "list", "patch", "update", "watch",
];

pub(super) fn rows() -> Vec<Resource> {
    ROWS.iter().map(resource).collect()
}

fn resource(row: &Row) -> Resource {
    let has = |flag: u8| row.flags & flag != 0;
    let converts_events = row.group == "events.k8s.io";
    // CustomResourceDefinitions have their rules in the schema crate; those that are not there yet are not served.
    let rules = if has(VIRTUAL) {
        Rules::Virtual
    } else {
        // Events of either group are stored, and so decided about, as core events.
        let group = if converts_events { "" } else { row.group };
        crate::kinds::rules(group, row.version, row.kind)
    };
    let mut categories = Vec::new();
    if has(CATEGORY_ALL) {
        categories.push("all".to_owned());
    }
    if row.kind == "CustomResourceDefinition" {
        categories.push("api-extensions".to_owned());
    }
    let prefix = match (row.group, converts_events) {
        _ if has(VIRTUAL) => String::new(),
        ("", _) | (_, true) => format!("/registry/{}/", row.plural),
        (group, _) => format!("/registry/{group}/{}/", row.plural),
    };
    Resource {
        group: row.group.to_owned(),
        version: row.version.to_owned(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.to_owned(),
        singular: row.kind.to_ascii_lowercase(),
        short_names: row.short.iter().map(|s| (*s).to_owned()).collect(),
        categories,
        namespaced: row.namespaced,
        verbs: match () {
            () if has(VIRTUAL) => CREATE,
            () if has(NO_DELETE_COLLECTION) => VERBS_NO_DELETE_COLLECTION,
            () => VERBS_ALL,
        },
        subresources: row.subresources.to_vec(),
        prefix,
        volatile: has(VOLATILE),
        returns_deleted: has(RETURNS_DELETED),
        unconditional_update: !has(CONDITIONAL),
        create_on_update: has(CREATE_ON_UPDATE),
        fields: row.fields.iter().map(|f| (*f).to_owned()).collect(),
        converts_events,
        rules,
        columns: Columns::builtin(row.group, row.kind),
        head: codec::head(row.kind, &api_version(row.group, row.version)),
        item_head: Bytes::from_static(codec::ITEM_HEAD),
    }
}
