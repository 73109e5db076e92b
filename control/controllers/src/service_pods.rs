//! Which pods stand behind a Service, and on which ports: what Endpoints and EndpointSlices both start from. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use minicloud_api::selector::LabelSelector;

use crate::plumbing::informer::{Change, Informer, Key};
use crate::plumbing::objects::{is_deleting, is_finished, is_ready, node_name, selects};
use crate::plumbing::queue::Queue;

/// Says of what belongs to a headless Service.
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// The Service's pod selector; none when it has none or another name stands in for it.
pub(crate) fn selector(service: &Service) -> Option<LabelSelector> {
    let spec = service.spec.as_ref()?;
    let labels = spec.selector.as_ref().filter(|labels| !labels.is_empty())?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    Some(LabelSelector::from_labels(
        labels.iter().map(|(k, v)| (k.as_str(), v.as_str())),
    ))
}

/// True when there is no cluster address.
pub(crate) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None")
}

/// True when addresses are published before their pods are ready.
pub(crate) fn publishes_unready(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .and_then(|s| s.publish_not_ready_addresses)
        == Some(true)
}

/// The address families of the Service, as in `addressType`.
pub(crate) fn families(service: &Service) -> Vec<&'static str> {
    let families = service.spec.as_ref().and_then(|s| s.ip_families.as_ref());
    let mut all: Vec<_> = families
        .into_iter()
        .flatten()
        .map(|family| if family == "IPv6" { "IPv6" } else { "IPv4" })
        .collect();
    if all.is_empty() {
        all.push("IPv4");
    }
    all
}

/// The family of an address, none when it is not one.
pub(crate) fn family(ip: &str) -> Option<&'static str> {
    match ip.parse().ok()? {
        IpAddr::V4(_) => Some("IPv4"),
        IpAddr::V6(_) => Some("IPv6"),
    }
}

/// The pod's addresses of a family.
pub(crate) fn addresses(pod: &Pod, wanted: &str) -> Vec<String> {
    let status = pod.status.as_ref();
    let mut all: Vec<&str> = status
        .and_then(|s| s.pod_ips.as_ref())
        .into_iter()
        .flatten()
        .map(|ip| ip.ip.as_str())
        .collect();
    if all.is_empty() {
        all.extend(status.and_then(|s| s.pod_ip.as_deref()));
    }
    all.into_iter()
        .filter(|ip| family(ip) == Some(wanted))
        .map(str::to_owned)
        .collect()
}

/// The number of a Service's port on a pod; none when the pod has no port of that name.
pub(crate) fn port_number(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let name = match port.target_port.as_ref() {
        None | Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) if name.is_empty() => return Some(port.port),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let sidecar = |c: &&Container| c.restart_policy.as_deref() == Some("Always");
    let containers = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten().filter(sidecar));
    containers
        .flat_map(|c| c.ports.iter().flatten())
        .find(|p| {
            p.name.as_ref() == Some(name)
                && protocol(p.protocol.as_ref()) == protocol(port.protocol.as_ref())
        })
        .map(|p| p.container_port)
}

/// A protocol, TCP when nothing is said.
pub(crate) fn protocol(protocol: Option<&String>) -> &str {
    protocol.map_or("TCP", String::as_str)
}

/// The name under which the pod has a record of its own in the Service's domain.
pub(crate) fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let here = spec.subdomain.as_deref() == service.metadata.name.as_deref();
    spec.hostname
        .clone()
        .filter(|name| !name.is_empty() && here)
}

/// The pods that the Service selects and that have not finished.
pub(crate) fn behind(pods: &Informer<Pod>, service: &Service) -> Vec<Arc<Pod>> {
    let Some(wants) = selector(service) else {
        return Vec::new();
    };
    pods.in_namespace(&service.namespace().unwrap_or_default())
        .into_iter()
        .filter(|pod| selects(&wants, pod.metadata.labels.as_ref()) && !is_finished(pod))
        .collect()
}

/// Puts the Services that select a changed pod into a queue, when the change is one that endpoints show.
pub(crate) fn wake_services(
    services: &Informer<Service>,
    queue: &Queue<Key>,
    change: &Change<Pod>,
) {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && shown(old) == shown(new)
    {
        return;
    }
    let Some(pod) = change.latest() else { return };
    for service in services.in_namespace(&pod.namespace().unwrap_or_default()) {
        let wants = selector(&service);
        if wants.is_some_and(|wants| {
            change
                .both()
                .any(|pod| selects(&wants, pod.metadata.labels.as_ref()))
        }) {
            queue.add(Key::of(service.as_ref()));
        }
    }
}

/// What endpoints show of a pod.
fn shown(pod: &Pod) -> impl PartialEq + use<'_> {
    let status = pod.status.as_ref();
    (
        (pod.metadata.labels.as_ref(), is_deleting(&pod.metadata)),
        (is_ready(pod), is_finished(pod), node_name(pod)),
        (
            status.and_then(|s| s.pod_ip.as_ref()),
            status.and_then(|s| s.pod_ips.as_ref()),
        ),
    )
}
