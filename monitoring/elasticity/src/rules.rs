//! Which expression answers which metric: a rule of the ConfigMap `kube-system/minicloud-metrics-rules` where there is one of
//! that name, else the conventions that prometheus-adapter begins with. Templates are that adapter's, too.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use minicloud_api::status::ApiStatus;
use minicloud_prometheus_client::QueryError;

use crate::promql::{Matchers, is_metric};
use crate::refusal;

/// Where rules are kept: each key is a metric's name, its value a template.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "minicloud-metrics-rules";

/// Over how long the growth of a counter is taken: eight scrapes, so that one or two may fail.
const WINDOW: &str = "2m";
/// The longest template.
const TEMPLATE_BYTES: usize = 8 << 10;

/// Templates by metric.
#[derive(Debug, Default)]
pub(crate) struct Rules(BTreeMap<String, String>);

/// The rules as they are now; none when there is no such ConfigMap.
pub(crate) async fn read(client: &Client) -> Result<Rules, ApiStatus> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let map = maps.get_opt(NAME).await.map_err(refusal::kubernetes)?;
    Ok(Rules(map.and_then(|map| map.data).unwrap_or_default()))
}

impl Rules {
    /// The metrics that have one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// What a query that failed is for the caller: where a rule made it, the rule may be what is wrong.
    pub(crate) fn refused(&self, metric: &str, error: QueryError) -> ApiStatus {
        match error {
            QueryError::Refused { .. } if self.0.contains_key(metric) => {
                bad(metric, &error.to_string())
            }
            error => refusal::query(error),
        }
    }
}

/// What an expression is made for.
pub(crate) struct Request<'a> {
    /// The metric's name.
    pub(crate) metric: &'a str,
    /// What its series have to say.
    pub(crate) matchers: Matchers,
    /// The label that tells the objects apart; empty where every series counts by itself.
    pub(crate) group_by: &'a str,
    /// True when the request selects among the series by labels.
    pub(crate) selects: bool,
}

/// The expression that answers a request; none when no metric can be of that name.
///
/// # Errors
/// 500 that names the rule and what is wrong with it.
pub(crate) fn expression(
    rules: &Rules,
    request: &Request<'_>,
) -> Result<Option<String>, ApiStatus> {
    match rules.0.get(request.metric) {
        Some(template) => fill(template, request)
            .map(Some)
            .map_err(|wrong| bad(request.metric, &wrong)),
        None => Ok(by_convention(request)),
    }
}

/// A refusal because of a rule: whoever asks for the metric sees it, and so does an autoscaler's condition.
fn bad(metric: &str, wrong: &str) -> ApiStatus {
    ApiStatus::internal(format!(
        "the rule {metric:?} of the ConfigMap {NAMESPACE}/{NAME} is no good: {wrong}"
    ))
}

fn fill(template: &str, request: &Request<'_>) -> Result<String, String> {
    if template.len() > TEMPLATE_BYTES {
        return Err(format!("it is longer than {TEMPLATE_BYTES} bytes"));
    }
    let template = template.trim();
    if template.is_empty() {
        return Err("it is empty; write an expression of PromQL".to_owned());
    }
    let mut out = String::new();
    let (mut matched, mut grouped) = (false, false);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("<<") {
        out.push_str(before);
        let (name, after) = after
            .split_once(">>")
            .ok_or("a \"<<\" has no \">>\" after it")?;
        match name.trim() {
            ".LabelMatchers" => {
                matched = true;
                out.push_str(&request.matchers.to_string());
            }
            ".GroupBy" => {
                grouped = true;
                out.push_str(request.group_by);
            }
            ".Series" => out.push_str(request.metric),
            other => {
                return Err(format!(
                    "there is no {other:?}; there are .LabelMatchers, .GroupBy and .Series"
                ));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    let told_apart = matched && grouped;
    if !request.group_by.is_empty() && !told_apart {
        return Err(
            "a metric about objects needs <<.LabelMatchers>> and <<.GroupBy>>, or it cannot be told whose values these are"
                .to_owned(),
        );
    }
    if request.selects && !matched {
        return Err(
            "it has no <<.LabelMatchers>>, so nothing can be selected by labels".to_owned(),
        );
    }
    Ok(out)
}

/// A gauge of that name; else how fast the counter of that name and `_total` or `_seconds_total` grows, per second.
fn by_convention(request: &Request<'_>) -> Option<String> {
    let Request {
        metric,
        matchers,
        group_by,
        ..
    } = request;
    if !is_metric(metric) {
        return None;
    }
    // Of a pod's sandbox, and of the pod as a whole, which would count its containers twice.
    let real = if metric.starts_with("container_") {
        "container!=\"\",container!=\"POD\","
    } else {
        ""
    };
    let sum = |inner: String| match *group_by {
        "" => inner,
        label => format!("sum by ({label}) ({inner})"),
    };
    let gauge = |name: &str| sum(format!("{name}{{{real}{matchers}}}"));
    let counter = |name: &str| sum(format!("rate({name}{{{real}{matchers}}}[{WINDOW}])"));
    Some(if metric.ends_with("_total") {
        counter(metric)
    } else {
        [
            gauge(metric),
            counter(&format!("{metric}_total")),
            counter(&format!("{metric}_seconds_total")),
        ]
        .join(" or ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(metric: &'a str, group_by: &'a str, selects: bool) -> Request<'a> {
        let matchers = Matchers::default()
            .equal("namespace", "a")
            .equal("pod", "p");
        Request {
            metric,
            matchers,
            group_by,
            selects,
        }
    }

    #[test]
    fn conventions() {
        let check = |metric: &str, group_by: &str, expect: Option<&str>| {
            let made = expression(&Rules::default(), &request(metric, group_by, false)).unwrap();
            assert_eq!(made.as_deref(), expect, "{metric}");
        };
        check(
            "queue_length",
            "pod",
            Some(
                r#"sum by (pod) (queue_length{namespace="a",pod="p"}) or sum by (pod) (rate(queue_length_total{namespace="a",pod="p"}[2m])) or sum by (pod) (rate(queue_length_seconds_total{namespace="a",pod="p"}[2m]))"#,
            ),
        );
        check(
            "http_requests_total",
            "pod",
            Some(r#"sum by (pod) (rate(http_requests_total{namespace="a",pod="p"}[2m]))"#),
        );
        check(
            "http_requests_total",
            "",
            Some(r#"rate(http_requests_total{namespace="a",pod="p"}[2m])"#),
        );
        check(
            "container_fs_reads_total",
            "pod",
            Some(
                r#"sum by (pod) (rate(container_fs_reads_total{container!="",container!="POD",namespace="a",pod="p"}[2m]))"#,
            ),
        );
        check("a b", "pod", None);
        check("up} or vector(1", "pod", None);
    }

    #[test]
    fn rules() {
        let check = |template: &str, group_by: &str, selects: bool, expect: Result<&str, &str>| {
            let rules = Rules([("m".to_owned(), template.to_owned())].into());
            let made = expression(&rules, &request("m", group_by, selects));
            let made = made.map(Option::unwrap).map_err(|e| {
                let prefix = "Internal error occurred: the rule \"m\" of the ConfigMap kube-system/minicloud-metrics-rules is no good: ";
                e.message.strip_prefix(prefix).unwrap().to_owned()
            });
            assert_eq!(
                made.as_deref().map_err(String::as_str),
                expect,
                "{template}"
            );
        };
        check(
            "sum by (<<.GroupBy>>) (rate(<< .Series >>_total{<<.LabelMatchers>>}[1m]))\n",
            "pod",
            true,
            Ok(r#"sum by (pod) (rate(m_total{namespace="a",pod="p"}[1m]))"#),
        );
        check("sum(up)", "", false, Ok("sum(up)"));
        check(
            "sum(up)",
            "",
            true,
            Err("it has no <<.LabelMatchers>>, so nothing can be selected by labels"),
        );
        check(
            "sum(up{<<.LabelMatchers>>})",
            "pod",
            false,
            Err(
                "a metric about objects needs <<.LabelMatchers>> and <<.GroupBy>>, or it cannot be told whose values these are",
            ),
        );
        check(
            "<<.Nonsense>>",
            "",
            false,
            Err("there is no \".Nonsense\"; there are .LabelMatchers, .GroupBy and .Series"),
        );
        check(
            "<<.Series",
            "",
            false,
            Err("a \"<<\" has no \">>\" after it"),
        );
        check(
            " \n",
            "",
            false,
            Err("it is empty; write an expression of PromQL"),
        );
        check(
            &"x".repeat(9000),
            "",
            false,
            Err("it is longer than 8192 bytes"),
        );
    }
}
