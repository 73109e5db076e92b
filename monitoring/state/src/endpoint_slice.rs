//! EndpointSlices: the addresses behind a Service, and the pods and nodes they are on.

use serde_json::Value;

use crate::families::{Families, Family, gauge};
use crate::json::{list, seconds, text, truth, word, written};

const INFO: Family = gauge(
    "kube_endpointslice_info",
    "Information about endpointslice.",
);
const CREATED: Family = gauge("kube_endpointslice_created", "Unix creation timestamp");
const ENDPOINTS: Family = gauge(
    "kube_endpointslice_endpoints",
    "Endpoints attached to the endpointslice.",
);
const PORTS: Family = gauge(
    "kube_endpointslice_ports",
    "Ports attached to the endpointslice.",
);

/// Labels of an endpoint, by field; there only when the field is.
const TRUTHS: [(&str, &str); 3] = [
    ("ready", "/conditions/ready"),
    ("serving", "/conditions/serving"),
    ("terminating", "/conditions/terminating"),
];
const TEXTS: [(&str, &str); 6] = [
    ("hostname", "/hostname"),
    ("targetref_kind", "/targetRef/kind"),
    ("targetref_name", "/targetRef/name"),
    ("targetref_namespace", "/targetRef/namespace"),
    ("endpoint_nodename", "/nodeName"),
    ("endpoint_zone", "/zone"),
];

/// Adds the samples of one EndpointSlice.
pub(crate) fn write(slice: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("endpointslice", text(slice, "/metadata/name")),
        ("namespace", text(slice, "/metadata/namespace")),
    ]);
    out.info(INFO, &[("addresstype", text(slice, "/addressType"))]);
    out.value(CREATED, seconds(slice, "/metadata/creationTimestamp"));
    for endpoint in list(slice, "/endpoints") {
        let truths = TRUTHS
            .iter()
            .filter_map(|(label, field)| Some((*label, word(truth(endpoint, field)?))));
        let texts = TEXTS
            .iter()
            .map(|(label, field)| (*label, text(endpoint, field)))
            .filter(|(_, value)| !value.is_empty());
        let labels: Vec<_> = truths.chain(texts).collect();
        for address in list(endpoint, "/addresses") {
            let mut labels = labels.clone();
            labels.push(("address", text(address, "")));
            out.info(ENDPOINTS, &labels);
        }
    }
    for port in list(slice, "/ports") {
        let labels = [
            ("port_name", text(port, "/name")),
            ("port_protocol", text(port, "/protocol")),
            ("port_number", &written(port, "/port")),
        ];
        out.info(PORTS, &labels);
    }
}
