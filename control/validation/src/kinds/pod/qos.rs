//! The quality-of-service class of a pod, from its containers' requests and limits of CPU and memory.

use minicloud_api::quantity::Quantity;
use serde_json::Value;

use crate::json::Get;

/// `Guaranteed` if every container limits CPU and memory and requests just that, `BestEffort` if none asks for anything,
/// else `Burstable`. Resources of the pod as a whole, where given, decide instead of its containers'.
pub(super) fn class(spec: &Value) -> &'static str {
    let pod = spec.at("resources");
    if pod.has("requests") || pod.has("limits") {
        return of(std::iter::once(pod));
    }
    let all = spec
        .items("containers")
        .iter()
        .chain(spec.items("initContainers"));
    of(all.map(|container| container.at("resources")))
}

fn of<'a>(resources: impl Iterator<Item = &'a Value>) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for each in resources {
        for name in ["cpu", "memory"] {
            let amount = |list: &str| {
                each.at(list)
                    .text(name)
                    .parse::<Quantity>()
                    .ok()
                    .filter(|q| !q.is_zero())
            };
            let (request, limit) = (amount("requests"), amount("limits"));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
