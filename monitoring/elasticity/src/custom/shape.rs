//! A value as either version of the API has it. Pure.

use minicloud_api::selector::LabelSelector;
use minicloud_prometheus_client::Sample;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::value;

/// The versions that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Version {
    #[serde(rename = "v1beta1")]
    V1Beta1,
    #[serde(rename = "v1beta2")]
    V1Beta2,
}

impl Version {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1Beta1 => "v1beta1",
            Self::V1Beta2 => "v1beta2",
        }
    }
}

/// One item of a MetricValueList; none for what is no number.
pub(super) fn value(
    version: Version,
    about: Value,
    metric: &str,
    selector: &LabelSelector,
    sample: &Sample,
) -> Option<Value> {
    let selector = match selector.is_empty() {
        true => Value::Null,
        false => value::selector(selector),
    };
    let mut item = json!({
        "describedObject": about,
        "timestamp": value::time(sample.point.time),
        "value": value::quantity(sample.value())?,
    });
    match version {
        Version::V1Beta1 => {
            item["metricName"] = metric.into();
            item["selector"] = selector;
        }
        Version::V1Beta2 => item["metric"] = json!({ "name": metric, "selector": selector }),
    }
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minicloud_prometheus_client::{Labels, Point};

    #[test]
    fn both_versions() {
        let sample = |value: f64| Sample {
            labels: Labels::new(),
            point: Point { time: 0.5, value },
        };
        let about = json!({"kind": "Pod", "name": "p"});
        let all = LabelSelector::default();
        let some = LabelSelector::parse("code=500").unwrap();
        assert_eq!(
            value(Version::V1Beta1, about.clone(), "m", &all, &sample(2.0)),
            Some(
                json!({"describedObject": about, "metricName": "m", "selector": null, "timestamp": "1970-01-01T00:00:00Z", "value": "2"})
            )
        );
        assert_eq!(
            value(Version::V1Beta2, about.clone(), "m", &some, &sample(0.25)),
            Some(json!({
                "describedObject": about, "timestamp": "1970-01-01T00:00:00Z", "value": "250m",
                "metric": {"name": "m", "selector": {"matchExpressions": [{"key": "code", "operator": "In", "values": ["500"]}]}},
            }))
        );
        assert_eq!(
            value(Version::V1Beta2, about, "m", &all, &sample(f64::NAN)),
            None
        );
    }
}
