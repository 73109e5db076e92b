//! Services: how they are reached.

use serde_json::Value;

use crate::families::{Families, Family, gauge};
use crate::json::{list, seconds, text};

const INFO: Family = gauge("kube_service_info", "Information about service.");
const CREATED: Family = gauge("kube_service_created", "Unix creation timestamp");
const DELETED: Family = gauge("kube_service_deletion_timestamp", "Unix deletion timestamp");
const TYPE: Family = gauge("kube_service_spec_type", "Type about service.");
const EXTERNAL_IP: Family = gauge(
    "kube_service_spec_external_ip",
    "Service external ips. One series for each ip",
);
const INGRESS: Family = gauge(
    "kube_service_status_load_balancer_ingress",
    "Service load balancer ingress status",
);

/// Adds the samples of one Service.
pub(crate) fn write(service: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("namespace", text(service, "/metadata/namespace")),
        ("service", text(service, "/metadata/name")),
        ("uid", text(service, "/metadata/uid")),
    ]);
    let labels = [
        ("cluster_ip", text(service, "/spec/clusterIP")),
        ("external_name", text(service, "/spec/externalName")),
        ("load_balancer_ip", text(service, "/spec/loadBalancerIP")),
        (
            "external_traffic_policy",
            text(service, "/spec/externalTrafficPolicy"),
        ),
    ];
    out.info(INFO, &labels);
    out.value(CREATED, seconds(service, "/metadata/creationTimestamp"));
    out.value(DELETED, seconds(service, "/metadata/deletionTimestamp"));
    out.info(TYPE, &[("type", text(service, "/spec/type"))]);
    for ip in list(service, "/spec/externalIPs") {
        out.info(EXTERNAL_IP, &[("external_ip", text(ip, ""))]);
    }
    for ingress in list(service, "/status/loadBalancer/ingress") {
        let labels = [
            ("ip", text(ingress, "/ip")),
            ("hostname", text(ingress, "/hostname")),
        ];
        out.info(INGRESS, &labels);
    }
}
