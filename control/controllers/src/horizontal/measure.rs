//! What a metric's value is asked for by, in one of the three metrics APIs, and what the answers say. Pure.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, MetricIdentifier, MetricSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ApiResource;
use minicloud_api::quantity::Quantity;
use serde::Deserialize;
use serde_json::Value;

use super::replicas::{ByPod, Measured};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Question {
    /// A resource of pods: all of their containers, or the one of this name.
    Resource {
        resource: String,
        container: Option<String>,
    },
    /// A metric about each pod.
    Pods(MetricIdentifier),
    /// A metric about one object.
    Object(CrossVersionObjectReference, MetricIdentifier),
    /// A metric about none.
    External(MetricIdentifier),
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Pods(ByPod),
    /// In thousandths.
    Value(i64),
}

impl Question {
    /// What a metric is asked for by; none for one of a type that is not known.
    pub(super) fn of(metric: &MetricSpec) -> Option<Self> {
        Some(match metric.type_.as_str() {
            "Resource" => Self::Resource {
                resource: metric.resource.as_ref()?.name.clone(),
                container: None,
            },
            "ContainerResource" => {
                let source = metric.container_resource.as_ref()?;
                Self::Resource {
                    resource: source.name.clone(),
                    container: Some(source.container.clone()),
                }
            }
            "Pods" => Self::Pods(metric.pods.as_ref()?.metric.clone()),
            "Object" => {
                let source = metric.object.as_ref()?;
                Self::Object(source.described_object.clone(), source.metric.clone())
            }
            "External" => Self::External(metric.external.as_ref()?.metric.clone()),
            _ => return None,
        })
    }

    /// Which API answers, as Kubernetes' messages call it.
    pub(super) fn api(&self) -> &'static str {
        match self {
            Self::Resource { .. } => "resource",
            Self::Pods(_) | Self::Object(..) => "custom",
            Self::External(_) => "external",
        }
    }

    /// Where the answer is. `selector` selects the pods of the target; `described` is the resource of the object that the metric is
    /// about, and whether it is in a namespace.
    ///
    /// # Errors
    /// When the object is not of this namespace: whoever makes an autoscaler here may have no right to read of others, and sees in
    /// its status what it was told.
    pub(super) fn path(
        &self,
        namespace: &str,
        selector: &str,
        described: Option<(&ApiResource, bool)>,
    ) -> Result<String, String> {
        let custom = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}");
        Ok(match self {
            Self::Resource { .. } => query(
                &format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"),
                [("labelSelector", selector)],
            ),
            Self::Pods(metric) => query(
                &format!("{custom}/pods/*/{}", escaped(&metric.name)),
                [
                    ("labelSelector", selector),
                    ("metricLabelSelector", &text(metric.selector.as_ref())),
                ],
            ),
            Self::Object(object, metric) => {
                let place = match described {
                    _ if is_namespace(object) && object.name == namespace => "metrics".to_owned(),
                    Some((resource, true)) => {
                        let plural = match resource.group.as_str() {
                            "" => resource.plural.clone(),
                            group => format!("{}.{group}", resource.plural),
                        };
                        format!("{plural}/{}", escaped(&object.name))
                    }
                    _ => {
                        let (kind, name) = (&object.kind, &object.name);
                        return Err(format!("{kind} {name} is not in the namespace {namespace}"));
                    }
                };
                query(
                    &format!("{custom}/{place}/{}", escaped(&metric.name)),
                    [(
                        "metricLabelSelector",
                        text(metric.selector.as_ref()).as_str(),
                    )],
                )
            }
            Self::External(metric) => query(
                &format!(
                    "/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{}",
                    escaped(&metric.name)
                ),
                [("labelSelector", text(metric.selector.as_ref()).as_str())],
            ),
        })
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// When it does not say what was asked for.
    pub(super) fn read(&self, answer: Value) -> Result<Answer, String> {
        let broken = |error: serde_json::Error| {
            format!(
                "the {} metrics API gave what is no answer: {error}",
                self.api()
            )
        };
        let none = || format!("no metrics returned from {} metrics API", self.api());
        match self {
            Self::Resource {
                resource,
                container,
            } => {
                let list: List<PodMetrics> = serde_json::from_value(answer).map_err(broken)?;
                if list.items.is_empty() {
                    return Err(none());
                }
                let mut values = ByPod::new();
                for pod in &list.items {
                    if let Some(measured) = pod.measured(resource, container.as_deref())? {
                        values.insert(pod.metadata.name.clone(), measured);
                    }
                }
                Ok(Answer::Pods(values))
            }
            Self::Pods(_) => {
                let list: List<MetricValue> = serde_json::from_value(answer).map_err(broken)?;
                if list.items.is_empty() {
                    return Err(none());
                }
                let mut values = ByPod::new();
                for item in list.items {
                    let measured = Measured {
                        millis: item.value.millis(),
                        at: item.timestamp,
                        window: SignedDuration::from_secs(item.window_seconds.unwrap_or(60)),
                    };
                    values.insert(item.described_object.name, measured);
                }
                Ok(Answer::Pods(values))
            }
            Self::Object(..) | Self::External(_) => {
                let list: List<OneValue> = serde_json::from_value(answer).map_err(broken)?;
                if list.items.is_empty() {
                    return Err(none());
                }
                let sum = list
                    .items
                    .iter()
                    .fold(0_i64, |sum, item| sum.saturating_add(item.value.millis()));
                Ok(Answer::Value(sum))
            }
        }
    }
}

/// True for the kind of namespaces themselves.
pub(super) fn is_namespace(object: &CrossVersionObjectReference) -> bool {
    object.kind == "Namespace" && matches!(object.api_version.as_deref(), None | Some("" | "v1"))
}

/// A text as one segment of a path, or one value of a query.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn query<const N: usize>(path: &str, parameters: [(&str, &str); N]) -> String {
    let mut out = path.to_owned();
    let mut separator = '?';
    for (name, value) in parameters
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    {
        out.push(separator);
        separator = '&';
        out.push_str(name);
        out.push('=');
        out.push_str(&escaped(value));
    }
    out
}

/// A selector as query parameters have it.
pub(super) fn text(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else {
        return String::new();
    };
    let labels = selector.match_labels.iter().flatten();
    let mut terms: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let key = &expression.key;
        let values = expression
            .values
            .iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(",");
        terms.push(match expression.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        });
    }
    terms.join(",")
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// A quantity that an answer has as text.
struct Amount(Quantity);

impl Amount {
    fn millis(&self) -> i64 {
        self.0.millis()
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Quantity::from_str(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
struct OneValue {
    value: Amount,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    described_object: Named,
    timestamp: Timestamp,
    window_seconds: Option<i64>,
    value: Amount,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Named,
    timestamp: Timestamp,
    window: String,
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    usage: std::collections::BTreeMap<String, Amount>,
}

impl PodMetrics {
    /// The sum of its containers; none where one of them has no such resource.
    fn measured(
        &self,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Option<Measured>, String> {
        let mut counted = self.containers.iter();
        let mut counted = counted
            .by_ref()
            .filter(|c| container.is_none_or(|name| name == c.name))
            .peekable();
        if let (None, Some(container)) = (counted.peek(), container) {
            let pod = &self.metadata.name;
            return Err(format!(
                "container {container} not present in metrics for pod {pod}"
            ));
        }
        let mut millis = 0_i64;
        for container in counted {
            let Some(amount) = container.usage.get(resource) else {
                return Ok(None);
            };
            millis = millis.saturating_add(amount.millis());
        }
        Ok(Some(Measured {
            millis,
            at: self.timestamp,
            window: duration(&self.window).unwrap_or(SignedDuration::from_secs(60)),
        }))
    }
}

/// A duration as Go writes it: `1m0.5s`.
fn duration(text: &str) -> Option<SignedDuration> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, tail) = rest.split_at(number);
        let unit = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += value.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    SignedDuration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests;
