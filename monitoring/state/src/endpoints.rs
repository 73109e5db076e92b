//! Endpoints: the addresses behind a Service, ready or not.

use serde_json::Value;

use crate::families::{Families, Family, gauge};
use crate::json::{list, seconds, text, written};

const INFO: Family = gauge("kube_endpoint_info", "Information about endpoint.");
const CREATED: Family = gauge("kube_endpoint_created", "Unix creation timestamp");
const ADDRESS: Family = gauge(
    "kube_endpoint_address",
    "Information about Endpoint available and non available addresses.",
);

/// Adds the samples of one Endpoints object.
pub(crate) fn write(endpoints: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("namespace", text(endpoints, "/metadata/namespace")),
        ("endpoint", text(endpoints, "/metadata/name")),
    ]);
    out.info(INFO, &[]);
    out.value(CREATED, seconds(endpoints, "/metadata/creationTimestamp"));
    for subset in list(endpoints, "/subsets") {
        for port in list(subset, "/ports") {
            let number = written(port, "/port");
            for (field, ready) in [("/addresses", "true"), ("/notReadyAddresses", "false")] {
                for address in list(subset, field) {
                    let labels = [
                        ("port_protocol", text(port, "/protocol")),
                        ("port_number", &number),
                        ("port_name", text(port, "/name")),
                        ("ip", text(address, "/ip")),
                        ("ready", ready),
                    ];
                    out.info(ADDRESS, &labels);
                }
            }
        }
    }
}
