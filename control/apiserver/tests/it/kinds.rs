//! What is special about pods, Services and namespaces.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Server, call, map};

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_admitted_bound_and_deleted_gracefully() {
    let server = Server::start().await;
    let c = server.admin().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str| json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let (code, refused) = call(&c, Method::POST, pods, &pod("p")).await;
    assert_eq!(code, 403, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("serviceaccount \"default\" not found"),
        "{refused}"
    );
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(
        call(
            &c,
            Method::POST,
            accounts,
            &json!({"metadata": {"name": "default"}})
        )
        .await
        .0,
        201
    );
    let (code, made) = call(&c, Method::POST, pods, &pod("p")).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(
        made["spec"]["volumes"][0]["projected"]["sources"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(made["status"]["phase"], "Pending");
    assert_eq!(made["spec"]["tolerations"].as_array().unwrap().len(), 2);
    let bind = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    let (code, bound) = call(&c, Method::POST, &format!("{pods}/p/binding"), &bind).await;
    assert_eq!(code, 201, "{bound}");
    assert_eq!(
        call(&c, Method::POST, &format!("{pods}/p/binding"), &bind)
            .await
            .0,
        409
    );
    let (_, on_node) = call(
        &c,
        Method::GET,
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1",
        &Value::Null,
    )
    .await;
    assert_eq!(on_node["items"].as_array().unwrap().len(), 1);
    let status = json!({"status": {"phase": "Running"}, "spec": {"nodeName": "n2"}});
    let (code, running) = call(&c, Method::PATCH, &format!("{pods}/p/status"), &status).await;
    assert_eq!(
        (
            code,
            running["spec"]["nodeName"].as_str(),
            running["status"]["phase"].as_str()
        ),
        (200, Some("n1"), Some("Running")),
        "{running}"
    );
    let (code, going) = call(&c, Method::DELETE, &format!("{pods}/p"), &Value::Null).await;
    assert_eq!(
        (
            code,
            going["metadata"]["deletionGracePeriodSeconds"].as_i64()
        ),
        (200, Some(30)),
        "{going}"
    );
    assert_eq!(
        call(&c, Method::GET, &format!("{pods}/p"), &Value::Null)
            .await
            .0,
        200
    );
    let now = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
    assert_eq!(
        call(&c, Method::DELETE, &format!("{pods}/p"), &now).await.0,
        200
    );
    assert_eq!(
        call(&c, Method::GET, &format!("{pods}/p"), &Value::Null)
            .await
            .0,
        404
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_get_addresses_and_namespaces_end() {
    let mut server = Server::start().await;
    let c = server.admin().await;
    let (_, kubernetes) = call(
        &c,
        Method::GET,
        "/api/v1/namespaces/default/services/kubernetes",
        &Value::Null,
    )
    .await;
    assert_eq!(kubernetes["spec"]["clusterIP"], "10.43.0.1", "{kubernetes}");
    let (_, slice) = call(
        &c,
        Method::GET,
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
        &Value::Null,
    )
    .await;
    assert_eq!(
        slice["endpoints"][0]["addresses"][0], "192.0.2.1",
        "{slice}"
    );
    let services = "/api/v1/namespaces/default/services";
    let web =
        json!({"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let (code, made) = call(&c, Method::POST, services, &web).await;
    assert_eq!(code, 201, "{made}");
    let port = made["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&port));
    server.restart().await;
    let c = server.admin().await;
    let mut same = web.clone();
    same["metadata"]["name"] = "other".into();
    same["spec"]["ports"][0]["nodePort"] = port.into();
    let (code, refused) = call(&c, Method::POST, services, &same).await;
    assert_eq!(code, 422, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("provided port is already allocated"),
        "{refused}"
    );
    assert_eq!(
        call(&c, Method::DELETE, &format!("{services}/web"), &Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(call(&c, Method::POST, services, &same).await.0, 201);

    assert_eq!(
        call(
            &c,
            Method::POST,
            "/api/v1/namespaces",
            &json!({"metadata": {"name": "temp"}})
        )
        .await
        .0,
        201
    );
    let (code, going) = call(&c, Method::DELETE, "/api/v1/namespaces/temp", &Value::Null).await;
    assert_eq!(
        (code, going["status"]["phase"].as_str()),
        (200, Some("Terminating")),
        "{going}"
    );
    let (code, refused) = call(
        &c,
        Method::POST,
        "/api/v1/namespaces/temp/configmaps",
        &map("x"),
    )
    .await;
    assert_eq!(code, 403);
    assert_eq!(
        refused["details"]["causes"][0]["reason"], "NamespaceTerminating",
        "{refused}"
    );
    assert_eq!(
        call(&c, Method::DELETE, "/api/v1/namespaces/temp", &Value::Null)
            .await
            .0,
        409
    );
    let mut done = going.clone();
    done["spec"]["finalizers"] = json!([]);
    let (code, gone) = call(&c, Method::PUT, "/api/v1/namespaces/temp/finalize", &done).await;
    assert_eq!(code, 200, "{gone}");
    assert_eq!(
        call(&c, Method::GET, "/api/v1/namespaces/temp", &Value::Null)
            .await
            .0,
        404
    );
    server.stop().await;
}
