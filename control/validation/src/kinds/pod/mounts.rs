//! Volume mounts and block devices of a container.

use minicloud_api::field::ErrorList;
use serde_json::Value;

use super::super::text::{descending_path, one_of_if_set};
use super::volumes::Volumes;
use crate::at::At;
use crate::json::Get;
use crate::seen::Seen;

pub(super) fn check(container: &Value, volumes: &Volumes<'_>, at: &At<'_>, errors: &mut ErrorList) {
    let (mounts, devices) = (
        container.items("volumeMounts"),
        container.items("volumeDevices"),
    );
    if !mounts.is_empty() {
        self::mounts(
            container,
            mounts,
            devices,
            volumes,
            &at.child("volumeMounts"),
            errors,
        );
    }
    if !devices.is_empty() {
        self::devices(devices, mounts, volumes, &at.child("volumeDevices"), errors);
    }
}

fn texts<'a>(items: &'a [Value], field: &str) -> Seen<&'a str> {
    items.iter().map(|item| item.text(field)).collect()
}

fn mounts(
    container: &Value,
    mounts: &[Value],
    devices: &[Value],
    volumes: &Volumes<'_>,
    list: &At<'_>,
    errors: &mut ErrorList,
) {
    let mut paths = Seen::new();
    let (device_names, device_paths) = (texts(devices, "name"), texts(devices, "devicePath"));
    for (i, mount) in mounts.iter().enumerate() {
        let at = list.index(i);
        let (name, path) = (mount.text("name"), mount.text("mountPath"));
        if name.is_empty() {
            at.child("name").required(errors, "");
        }
        let volume = volumes.get(name);
        if volume.is_none() {
            at.child("name").not_found(errors, name);
        }
        if path.is_empty() {
            at.child("mountPath").required(errors, "");
        }
        if !paths.insert(path) {
            at.child("mountPath")
                .invalid(errors, path, "must be unique");
        }
        if device_names.contains(&name) {
            at.child("name")
                .invalid(errors, name, "must not already exist in volumeDevices");
        }
        if device_paths.contains(&path) {
            at.child("mountPath").invalid(
                errors,
                path,
                "must not already exist as a path in volumeDevices",
            );
        }
        let (sub_path, expression) = (mount.text("subPath"), mount.text("subPathExpr"));
        if volume.is_some_and(|v| v.has("image")) {
            for (field, value) in [("subPath", sub_path), ("subPathExpr", expression)] {
                if !value.is_empty() {
                    at.child(field)
                        .invalid(errors, value, "not allowed in image volume sources");
                }
            }
        }
        // Kubernetes reports these below the list, without the index.
        descending_path(sub_path, &list.child("subPath"), errors);
        if !expression.is_empty() && !sub_path.is_empty() {
            at.child("subPathExpr").invalid(
                errors,
                expression,
                "subPathExpr and subPath are mutually exclusive",
            );
        }
        descending_path(expression, &list.child("subPathExpr"), errors);
        propagation(container, mount, list, errors);
        read_only(mount, list, errors);
    }
}

fn propagation(container: &Value, mount: &Value, list: &At<'_>, errors: &mut ErrorList) {
    one_of_if_set(
        mount,
        "mountPropagation",
        &["Bidirectional", "HostToContainer", "None"],
        list,
        errors,
    );
    if mount.text("mountPropagation") == "Bidirectional"
        && !container.at("securityContext").flag("privileged")
    {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        list.child("mountPropagation").forbidden(errors, detail);
    }
}

fn read_only(mount: &Value, list: &At<'_>, errors: &mut ErrorList) {
    one_of_if_set(
        mount,
        "recursiveReadOnly",
        &["Disabled", "Enabled", "IfPossible"],
        list,
        errors,
    );
    if matches!(mount.text("recursiveReadOnly"), "Enabled" | "IfPossible") {
        let at = list.child("recursiveReadOnly");
        if !mount.flag("readOnly") {
            at.forbidden(errors, "may only be specified when readOnly is true");
        }
        if !matches!(mount.text("mountPropagation"), "" | "None") {
            at.forbidden(
                errors,
                "may only be specified when mountPropagation is None or not specified",
            );
        }
    }
}

fn devices(
    devices: &[Value],
    mounts: &[Value],
    volumes: &Volumes<'_>,
    list: &At<'_>,
    errors: &mut ErrorList,
) {
    let (mut names, mut paths) = (Seen::new(), Seen::new());
    let (mount_names, mount_paths) = (texts(mounts, "name"), texts(mounts, "mountPath"));
    for (i, device) in devices.iter().enumerate() {
        let at = list.index(i);
        let (name, path) = (device.text("name"), device.text("devicePath"));
        if name.is_empty() {
            at.child("name").required(errors, "");
        } else if !names.insert(name) {
            at.child("name").invalid(errors, name, "must be unique");
        }
        match volumes.get(name) {
            None => at.child("name").not_found(errors, name),
            Some(volume) if !volume.has("persistentVolumeClaim") && !volume.has("ephemeral") => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                at.child("name").invalid(errors, name, detail);
            }
            Some(_) => {}
        }
        if path.is_empty() {
            at.child("devicePath").required(errors, "");
        } else if !paths.insert(path) {
            at.child("devicePath")
                .invalid(errors, path, "must be unique");
        } else if path.split('/').any(|part| part == "..") {
            at.child("devicePath")
                .invalid(errors, path, "can not contain backsteps ('..')");
        }
        if mount_names.contains(&name) {
            at.child("name")
                .invalid(errors, name, "must not already exist in volumeMounts");
        }
        if mount_paths.contains(&path) {
            at.child("devicePath").invalid(
                errors,
                path,
                "must not already exist as a path in volumeMounts",
            );
        }
    }
}
