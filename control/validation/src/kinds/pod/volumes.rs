//! Volumes of a pod.

use std::collections::HashMap;

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::super::text::{local_path, mode, no_backsteps, one_of_if_set, required};
use super::super::volume::check_claim_spec;
use super::{Owner, env};
use crate::at::At;
use crate::json::Get;
use crate::seen::Seen;

/// The good volumes of a pod by name.
pub(super) type Volumes<'a> = HashMap<&'a str, &'a Value>;

/// Sources that are not served here and whose required fields alone are checked.
pub(in crate::kinds) const FOREIGN: [(&str, &[&str]); 20] = [
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("gitRepo", &["repository"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("rbd", &["image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &[]),
    ("flocker", &[]),
    ("fc", &[]),
    ("azureFile", &["secretName", "shareName"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("vsphereVolume", &["volumePath"]),
    ("quobyte", &["registry", "volume"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("storageos", &["volumeName"]),
    ("flexVolume", &["driver"]),
];

pub(super) fn check<'a>(
    spec: &'a Value,
    owner: Owner<'_>,
    list: &At<'_>,
    errors: &mut ErrorList,
) -> Volumes<'a> {
    let volumes = spec.items("volumes");
    let mut good = Volumes::with_capacity(volumes.len());
    let created: Seen<String> = match owner {
        Owner::Pod(pod) => volumes
            .iter()
            .filter(|volume| volume.has("ephemeral"))
            .map(|volume| format!("{pod}-{}", volume.text("name")))
            .collect(),
        Owner::Template => Seen::new(),
    };
    for (i, volume) in volumes.iter().enumerate() {
        let at = list.index(i);
        let name = volume.text("name");
        let before = errors.len();
        source(volume, owner, &at, errors);
        if name.is_empty() {
            at.child("name").required(errors, "");
        } else {
            at.child("name")
                .complain(errors, name, names::dns1123_label(name));
        }
        if good.contains_key(name) {
            at.child("name").duplicate(errors, name);
        }
        if errors.len() == before {
            good.insert(name, volume);
        }
        let claim = volume.at("persistentVolumeClaim").text("claimName");
        if !claim.is_empty() && created.contains(&claim.to_owned()) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            at.child("persistentVolumeClaim")
                .child("claimName")
                .invalid(errors, claim, detail);
        }
    }
    good
}

fn source(volume: &Value, owner: Owner<'_>, at: &At<'_>, errors: &mut ErrorList) {
    let mut found = false;
    for (kind, source) in volume.as_object().into_iter().flatten() {
        if kind == "name" || source.is_null() {
            continue;
        }
        let here = at.child(kind);
        if std::mem::replace(&mut found, true) {
            here.forbidden(errors, "may not specify more than 1 volume type");
            continue;
        }
        match kind.as_str() {
            "emptyDir" => empty_dir(source, &here, errors),
            "hostPath" => host_path(source, &here, errors),
            "secret" => {
                required(source, "secretName", &here, errors);
                keys(source, &here, errors);
            }
            "configMap" => {
                required(source, "name", &here, errors);
                keys(source, &here, errors);
            }
            "persistentVolumeClaim" => required(source, "claimName", &here, errors),
            "downwardAPI" => {
                mode(source, "defaultMode", &here, errors);
                for file in source.items("items") {
                    downward_file(file, &here, errors);
                }
            }
            "projected" => projected(source, &here, errors),
            "csi" => csi(source, &here, errors),
            "ephemeral" => ephemeral(volume, source, owner, at, errors),
            "image" => {
                required(source, "reference", &here, errors);
                one_of_if_set(
                    source,
                    "pullPolicy",
                    &["Always", "IfNotPresent", "Never"],
                    &here,
                    errors,
                );
            }
            other => {
                let fields = FOREIGN
                    .iter()
                    .find(|(name, _)| *name == other)
                    .map_or(&[][..], |(_, fields)| fields);
                for field in fields {
                    required(source, field, &here, errors);
                }
            }
        }
    }
    if !found {
        at.required(errors, "must specify a volume type");
    }
}

fn empty_dir(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if source.text("sizeLimit").starts_with('-') {
        at.child("sizeLimit")
            .forbidden(errors, "SizeLimit field must be a valid resource quantity");
    }
}

/// A directory of the host, of a pod or of a persistent volume.
pub(in crate::kinds) fn host_path(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    const TYPES: [&str; 8] = [
        "",
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    ];
    let path = source.text("path");
    if path.is_empty() {
        return at.child("path").required(errors, "");
    }
    no_backsteps(path, &at.child("path"), errors);
    one_of_if_set(source, "type", &TYPES, at, errors);
}

/// Keys of a ConfigMap or Secret, and where they go.
fn keys(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    mode(source, "defaultMode", at, errors);
    let list = at.child("items");
    for (i, item) in source.items("items").iter().enumerate() {
        key_to_path(item, &list.index(i), errors);
    }
}

fn key_to_path(item: &Value, at: &At<'_>, errors: &mut ErrorList) {
    required(item, "key", at, errors);
    required(item, "path", at, errors);
    local_path(item.text("path"), &at.child("path"), errors);
    mode(item, "mode", at, errors);
}

fn downward_file(file: &Value, at: &At<'_>, errors: &mut ErrorList) {
    required(file, "path", at, errors);
    local_path(file.text("path"), &at.child("path"), errors);
    if file.has("fieldRef") {
        env::volume_field(file.at("fieldRef"), &at.child("fieldRef"), errors);
        if file.has("resourceFieldRef") {
            at.invalid(
                errors,
                "resource",
                "fieldRef and resourceFieldRef can not be specified simultaneously",
            );
        }
    } else if file.has("resourceFieldRef") {
        env::resource(
            file.at("resourceFieldRef"),
            true,
            &at.child("resourceFieldRef"),
            errors,
        );
    } else {
        at.required(errors, "one of fieldRef and resourceFieldRef is required");
    }
    mode(file, "mode", at, errors);
}

fn projected(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    mode(source, "defaultMode", at, errors);
    let list = at.child("sources");
    let mut paths = Seen::new();
    for (i, each) in source.items("sources").iter().enumerate() {
        let here = list.index(i);
        let kinds = each
            .as_object()
            .map_or(0, |map| map.values().filter(|v| !v.is_null()).count());
        for kind in ["secret", "configMap"] {
            let part = each.at(kind);
            if part.is_null() {
                continue;
            }
            let here = here.child(kind);
            required(part, "name", &here, errors);
            keys(part, &here, errors);
            for item in part.items("items") {
                conflict(&mut paths, item.text("path"), part.text("name"), at, errors);
            }
        }
        for file in each.at("downwardAPI").items("items") {
            downward_file(file, &here.child("downwardAPI"), errors);
            conflict(&mut paths, file.text("path"), file.text("path"), at, errors);
        }
        if each.has("serviceAccountToken") {
            token(
                each.at("serviceAccountToken"),
                &here.child("serviceAccountToken"),
                at,
                errors,
            );
        }
        if each.has("clusterTrustBundle") {
            trust_bundle(
                each.at("clusterTrustBundle"),
                &here.child("clusterTrustBundle"),
                errors,
            );
            let path = each.at("clusterTrustBundle").text("path");
            conflict(&mut paths, path, path, at, errors);
        }
        if kinds > 1 {
            here.forbidden(errors, "may not specify more than 1 volume type per source");
        }
    }
}

fn conflict<'a>(
    seen: &mut Seen<&'a str>,
    path: &'a str,
    shown: &str,
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    if !path.is_empty() && !seen.insert(path) {
        at.invalid(errors, shown, "conflicting duplicate paths");
    }
}

fn token(token: &Value, here: &At<'_>, volume: &At<'_>, errors: &mut ErrorList) {
    let seconds = token.int("expirationSeconds").unwrap_or(0);
    if seconds < 600 {
        here.child("expirationSeconds").invalid(
            errors,
            seconds,
            "may not specify a duration less than 10 minutes",
        );
    }
    if seconds > 1 << 32 {
        here.child("expirationSeconds").invalid(
            errors,
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        );
    }
    // Kubernetes reports these at the volume, not at the source.
    required(token, "path", volume, errors);
    local_path(token.text("path"), &volume.child("path"), errors);
}

fn trust_bundle(bundle: &Value, at: &At<'_>, errors: &mut ErrorList) {
    match (bundle.has("name"), bundle.has("signerName")) {
        (true, true) => at.invalid(
            errors,
            bundle.clone(),
            "only one of name and signerName may be used",
        ),
        (false, false) => at.required(errors, "either name or signerName must be specified"),
        _ => {}
    }
    required(bundle, "path", at, errors);
    local_path(bundle.text("path"), &at.child("path"), errors);
}

fn csi(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    required(source, "driver", at, errors);
    if source.has("nodePublishSecretRef") {
        required(
            source.at("nodePublishSecretRef"),
            "name",
            &at.child("nodePublishSecretRef"),
            errors,
        );
    }
}

fn ephemeral(
    volume: &Value,
    source: &Value,
    owner: Owner<'_>,
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    let here = at.child("ephemeral");
    let template = source.at("volumeClaimTemplate");
    if template.is_null() {
        here.child("volumeClaimTemplate").required(errors, "");
    } else {
        check_claim_spec(
            template.at("spec"),
            &here.child("volumeClaimTemplate").child("spec"),
            errors,
        );
    }
    if let Owner::Pod(pod) = owner
        && !pod.is_empty()
        && !volume.text("name").is_empty()
    {
        let claim = format!("{pod}-{}", volume.text("name"));
        for complaint in names::dns1123_subdomain(&claim) {
            at.child("name").invalid(
                errors,
                volume.text("name"),
                &format!("PVC name {claim:?}: {complaint}"),
            );
        }
    }
}

/// Tokens are a service account's.
pub(super) fn no_token_without_account(spec: &Value, list: &At<'_>, errors: &mut ErrorList) {
    for (i, volume) in spec.items("volumes").iter().enumerate() {
        for (j, source) in volume.at("projected").items("sources").iter().enumerate() {
            if source.has("serviceAccountToken") {
                list.index(i)
                    .child("projected")
                    .child("sources")
                    .index(j)
                    .child("serviceAccountToken")
                    .forbidden(
                        errors,
                        "must not be specified when serviceAccountName is not set",
                    );
            }
        }
    }
}
