//! Defaults of pods, of pod specifications inside other kinds, and of the claims inside those.

use minicloud_api::quantity::Quantity;
use serde_json::{Value, json};

use crate::json::{Get, Set};

/// A whole pod: what only pods get, then what every specification gets.
pub(super) fn pod(value: &mut Value) {
    let spec = value.object("spec");
    for list in ["containers", "initContainers"] {
        for container in spec.items_mut(list) {
            requests_from_limits(container);
        }
    }
    pod_requests(spec);
    spec.default_to("enableServiceLinks", true);
    if spec.flag("hostNetwork") {
        for list in ["containers", "initContainers"] {
            for port in spec
                .items_mut(list)
                .flat_map(|container| container.items_mut("ports"))
            {
                if port.int("hostPort").unwrap_or(0) == 0
                    && let Some(number) = port.int("containerPort")
                {
                    port.put("hostPort", number);
                }
            }
        }
    }
    pod_spec(spec);
    addresses(value.object("status"));
}

/// The first of the pod's addresses has a field of its own, which decides when the two differ.
fn addresses(status: &mut Value) {
    let one = status.text("podIP").to_owned();
    let first = status
        .items("podIPs")
        .first()
        .map_or("", |entry| entry.text("ip"))
        .to_owned();
    if one.is_empty() && !first.is_empty() {
        status.put("podIP", first);
    } else if one != first {
        status.put("podIPs", json!([{"ip": one}]));
    }
}

/// The template of a workload.
pub(in crate::kinds) fn template(template: &mut Value) {
    template.object("metadata");
    pod_spec(template.object("spec"));
}

fn pod_spec(spec: &mut Value) {
    spec.default_to("dnsPolicy", "ClusterFirst");
    spec.default_to("restartPolicy", "Always");
    spec.default_to("terminationGracePeriodSeconds", 30);
    spec.default_to("schedulerName", "default-scheduler");
    spec.object("securityContext");
    service_account(spec);
    for volume in spec.items_mut("volumes") {
        self::volume(volume);
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec.items_mut(list) {
            self::container(container);
        }
    }
    round_up(spec.some("overhead"));
}

/// The deprecated `serviceAccount` always says the same as `serviceAccountName`.
pub(super) fn service_account(spec: &mut Value) {
    if spec.text("serviceAccountName").is_empty() && !spec.text("serviceAccount").is_empty() {
        let name = spec.at("serviceAccount").clone();
        spec.put("serviceAccountName", name);
    } else if spec.text("serviceAccountName") != spec.text("serviceAccount") {
        let name = spec.at("serviceAccountName").clone();
        spec.put("serviceAccount", name);
    }
}

fn container(container: &mut Value) {
    if container.text("imagePullPolicy").is_empty() {
        let policy = pull_policy(container.text("image"));
        container.put("imagePullPolicy", policy);
    }
    container.default_to("terminationMessagePath", "/dev/termination-log");
    container.default_to("terminationMessagePolicy", "File");
    for port in container.items_mut("ports") {
        port.default_to("protocol", "TCP");
    }
    for env in container.items_mut("env") {
        if let Some(field) = env.some("valueFrom").and_then(|from| from.some("fieldRef")) {
            field.default_to("apiVersion", "v1");
        }
        if let Some(resource) = env
            .some("valueFrom")
            .and_then(|from| from.some("resourceFieldRef"))
        {
            resource.default_to("divisor", "0");
        }
    }
    let resources = container.object("resources");
    round_up(resources.some("limits"));
    round_up(resources.some("requests"));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.some(probe) {
            self::probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = container
            .some("lifecycle")
            .and_then(|lifecycle| lifecycle.some(hook))
        {
            http_get(hook);
        }
    }
    if container.at("securityContext").is_object()
        && container.at("securityContext").has("procMount")
    {
        container
            .object("securityContext")
            .default_to("procMount", "Default");
    }
}

fn probe(probe: &mut Value) {
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        if probe.int(field).unwrap_or(0) == 0 {
            probe.put(field, value);
        }
    }
    http_get(probe);
    if let Some(grpc) = probe.some("grpc")
        && !grpc.has("service")
    {
        grpc.put("service", "");
    }
}

fn http_get(handler: &mut Value) {
    if let Some(http) = handler.some("httpGet") {
        http.default_to("path", "/");
        http.default_to("scheme", "HTTP");
    }
}

/// `Always` for the tag `latest`, also when it is implied.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image
        .split_once('@')
        .map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let latest = match tag {
        Some(tag) => tag == "latest",
        None => !digest && !name.is_empty(),
    };
    if latest { "Always" } else { "IfNotPresent" }
}

/// 0644.
const MODE: i64 = 0o644;

fn volume(volume: &mut Value) {
    let Some(map) = volume.as_object() else {
        return;
    };
    if !map
        .iter()
        .any(|(field, source)| field != "name" && !source.is_null())
    {
        volume.put("emptyDir", json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.some(source) {
            source.default_to("defaultMode", MODE);
        }
    }
    if let Some(host) = volume.some("hostPath")
        && !host.has("type")
    {
        host.put("type", "");
    }
    if let Some(image) = volume.some("image")
        && image.text("pullPolicy").is_empty()
    {
        let policy = pull_policy(image.text("reference"));
        image.put("pullPolicy", policy);
    }
    if let Some(source) = volume.some("downwardAPI") {
        downward(source);
    }
    for source in volume
        .some("projected")
        .into_iter()
        .flat_map(|projected| projected.items_mut("sources"))
    {
        if let Some(token) = source.some("serviceAccountToken") {
            token.default_to("expirationSeconds", 3600);
        }
        if let Some(source) = source.some("downwardAPI") {
            downward(source);
        }
    }
    if let Some(template) = volume
        .some("ephemeral")
        .and_then(|e| e.some("volumeClaimTemplate"))
    {
        template.object("metadata");
        claim_spec(template.object("spec"));
    }
}

fn downward(source: &mut Value) {
    for item in source.items_mut("items") {
        if let Some(field) = item.some("fieldRef") {
            field.default_to("apiVersion", "v1");
        }
        if let Some(resource) = item.some("resourceFieldRef") {
            resource.default_to("divisor", "0");
        }
    }
}

/// A `PersistentVolumeClaimSpec`.
pub(in crate::kinds) fn claim_spec(spec: &mut Value) {
    spec.default_to("volumeMode", "Filesystem");
    let resources = spec.object("resources");
    round_up(resources.some("limits"));
    round_up(resources.some("requests"));
}

fn requests_from_limits(container: &mut Value) {
    let resources = container.object("resources");
    let Some(limits) = resources
        .at("limits")
        .as_object()
        .filter(|limits| !limits.is_empty())
    else {
        return;
    };
    let limits = limits.clone();
    let requests = resources.object("requests");
    for (name, amount) in limits {
        if !requests.has(&name) {
            requests.put(&name, amount);
        }
    }
}

/// Requests of the pod as a whole: those of its containers, else its limits.
fn pod_requests(spec: &mut Value) {
    let limits = spec.at("resources").at("limits").clone();
    if limits.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    for (name, limit) in limits.as_object().into_iter().flatten() {
        let sum: Quantity = spec
            .items("containers")
            .iter()
            .filter_map(|container| {
                container
                    .at("resources")
                    .at("requests")
                    .text(name)
                    .parse::<Quantity>()
                    .ok()
            })
            .sum();
        let requests = spec.object("resources").object("requests");
        if !requests.has(name) {
            let huge = name.starts_with("hugepages-");
            requests.put(
                name,
                if sum.is_zero() || huge {
                    limit.clone()
                } else {
                    sum.to_string().into()
                },
            );
        }
    }
}

/// Amounts finer than a thousandth are rounded up.
pub(in crate::kinds) fn round_up(list: Option<&mut Value>) {
    for amount in list
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|list| list.values_mut())
    {
        if let Some(text) = amount.as_str()
            && text.ends_with(['n', 'u'])
            && let Ok(quantity) = text.parse::<Quantity>()
        {
            *amount = Quantity::from_millis(quantity.millis()).to_string().into();
        }
    }
}
