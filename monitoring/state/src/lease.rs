//! Leases: who holds them, and since when without news.

use serde_json::Value;

use crate::families::{Families, Family, gauge};
use crate::json::{list, seconds, text};

const OWNER: Family = gauge("kube_lease_owner", "Information about the Lease's owner.");
const RENEW_TIME: Family = gauge("kube_lease_renew_time", "Kube lease renew time.");

/// Adds the samples of one Lease.
///
/// kube-state-metrics gives the time without the namespace, so that leases of one name in two namespaces are one series, which
/// Prometheus refuses; here the namespace is a label of both.
pub(crate) fn write(lease: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("lease", text(lease, "/metadata/name")),
        ("namespace", text(lease, "/metadata/namespace")),
    ]);
    let holder = text(lease, "/spec/holderIdentity");
    let mut owner = |kind, name| {
        let labels = [
            ("owner_kind", kind),
            ("owner_name", name),
            ("lease_holder", holder),
        ];
        out.info(OWNER, &labels);
    };
    match list(lease, "/metadata/ownerReferences") {
        [] => owner("", ""),
        owners => owners
            .iter()
            .for_each(|o| owner(text(o, "/kind"), text(o, "/name"))),
    }
    out.value(RENEW_TIME, seconds(lease, "/spec/renewTime"));
}
