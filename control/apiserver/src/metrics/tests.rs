use serde_json::json;

use super::*;
use crate::path::{self, Target};

fn labels_of(registry: &Registry, method: Method, uri: &str) -> Labels {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let query = Query::parse(query);
    match path::parse(&method, path, &query) {
        Ok(Target::Resource(wanted)) => {
            let row = registry.get(&wanted.group, &wanted.version, &wanted.resource);
            Labels::of_resource(&row.unwrap(), &wanted, &method, &query).unwrap_or_default()
        }
        _ => Labels::of_path(&method, path),
    }
}

#[test]
fn labels_are_those_of_kubernetes() {
    let registry = Registry::new();
    let check = |method: Method, uri: &str, expect: &str| {
        let Labels { resource, words } = labels_of(&registry, method.clone(), uri);
        let Words {
            verb,
            subresource,
            scope,
            dry_run,
        } = words;
        assert_eq!(
            format!("{resource} {verb} {subresource} {scope} {dry_run}"),
            expect,
            "{method} {uri}"
        );
    };
    let pods = "/api/v1/namespaces/a/pods";
    let uri = |tail: &str| format!("{pods}{tail}");
    check(Method::GET, "/api/v1/pods", "/v1/pods LIST  cluster ");
    check(Method::GET, pods, "/v1/pods LIST  namespace ");
    check(Method::GET, &uri("/b"), "/v1/pods GET  resource ");
    check(Method::HEAD, &uri("/b"), "/v1/pods GET  resource ");
    check(Method::GET, &uri("?watch=1"), "/v1/pods WATCH  namespace ");
    check(Method::POST, pods, "/v1/pods POST  resource ");
    check(Method::PUT, &uri("/b"), "/v1/pods PUT  resource ");
    check(
        Method::PATCH,
        &uri("/b/status?dryRun=All"),
        "/v1/pods PATCH status resource All",
    );
    check(
        Method::DELETE,
        &uri("/b?dryRun=Some"),
        "/v1/pods DELETE  resource invalid",
    );
    check(
        Method::DELETE,
        "/apis/apps/v1/namespaces/a/deployments",
        "apps/v1/deployments DELETE  namespace ",
    );
    for stream in ["log", "exec", "attach", "portforward"] {
        check(
            Method::GET,
            &uri(&format!("/b/{stream}")),
            &format!("/v1/pods CONNECT {stream} resource "),
        );
    }
    // What is not served is nothing of its own.
    check(Method::GET, &uri("/b/odd"), "    ");
    check(Method::GET, "/livez", " GET /livez  ");
    check(Method::GET, "/livez/odd", " GET   ");
    check(Method::OPTIONS, "/odd", " other   ");
}

#[test]
fn text() {
    let registry = Registry::new();
    let metrics = Metrics::default();
    let took = Some(Duration::from_millis(10));
    let get = labels_of(&registry, Method::GET, "/api/v1/namespaces/a/pods/b");
    metrics.request(&registry, &get, 200, took);
    metrics.request(&registry, &get, 404, took);
    let put = |dry| format!("/apis/apps/v1/namespaces/a/deployments/b{dry}");
    let put = |dry| labels_of(&registry, Method::PUT, &put(dry));
    metrics.request(&registry, &put(""), 200, took);
    metrics.request(&registry, &put("?dryRun=All"), 200, took);
    let watch = labels_of(&registry, Method::GET, "/api/v1/pods?watch=1");
    let gauge = metrics.long_running(&registry, &watch);
    metrics.request(&registry, &watch, 200, None);
    let text = metrics.text(&registry, &[("x", "{a=\"b\"}".into(), "help", 1.0)]);
    let has = |line: &str| {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    };
    let of_get = "group=\"\",resource=\"pods\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\"";
    let of_put = "group=\"apps\",resource=\"deployments\",scope=\"resource\",subresource=\"\",verb=\"PUT\",version=\"v1\"";
    let of_watch = "group=\"\",resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"WATCH\",version=\"v1\"";
    has(&format!(
        "apiserver_request_total{{code=\"404\",component=\"apiserver\",dry_run=\"\",{of_get}}} 1"
    ));
    has(&format!(
        "apiserver_request_duration_seconds_bucket{{component=\"apiserver\",dry_run=\"\",{of_get},le=\"0.005\"}} 0"
    ));
    has(&format!(
        "apiserver_request_duration_seconds_bucket{{component=\"apiserver\",dry_run=\"\",{of_get},le=\"1\"}} 2"
    ));
    // Dry runs are apart here and together there.
    has(&format!(
        "apiserver_request_duration_seconds_count{{component=\"apiserver\",dry_run=\"All\",{of_put}}} 1"
    ));
    has(&format!(
        "apiserver_request_sli_duration_seconds_bucket{{component=\"apiserver\",{of_put},le=\"0.05\"}} 2"
    ));
    assert!(
        !text.contains(&format!(
            "apiserver_request_sli_duration_seconds_bucket{{component=\"apiserver\",{of_put},le=\"0.025\""
        )),
        "{text}"
    );
    assert!(
        !text.contains(&format!(
            "apiserver_request_duration_seconds_count{{component=\"apiserver\",dry_run=\"\",{of_watch}}}"
        )),
        "{text}"
    );
    has("x{a=\"b\"} 1");
    let open = format!("apiserver_longrunning_requests{{component=\"apiserver\",{of_watch}}}");
    has(&format!("{open} 1"));
    drop(gauge);
    assert!(
        metrics
            .text(&registry, &[])
            .contains(&format!("{open} 0\n"))
    );
}

#[test]
fn a_resource_that_is_gone_is_forgotten() {
    let registry = Registry::new();
    let metrics = Metrics::default();
    let resources = || metrics.lock().len();
    for n in 0..100 {
        let name = format!("widgets.g{n}.org");
        let definition = json!({"spec": {
            "group": format!("g{n}.org"), "scope": "Cluster",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}],
        }});
        registry.put(&name, crate::crds::compile(&definition).unwrap());
        let path = format!("/apis/g{n}.org/v1/widgets?watch=1");
        let watch = labels_of(&registry, Method::GET, &path);
        let gauge = metrics.long_running(&registry, &watch);
        metrics.request(&registry, &watch, 200, None);
        registry.remove(&name);
        // The watch may end after its resource.
        drop(gauge);
        assert!(resources() <= 2, "{n}");
    }
    assert!(!metrics.text(&registry, &[]).contains("widgets"));
    assert_eq!(resources(), 0);
}
