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
        200,
        "a second delete waits with the first"
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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_was_given_stays() {
    let server = Server::start().await;
    let c = server.admin().await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let put = async |name: &str, spec: Value| {
        call(
            &c,
            Method::PUT,
            &format!("{services}/{name}"),
            &service(name, spec),
        )
        .await
    };
    // A manifest without node ports, applied with another port number: clients keep their node port.
    let spec = |port: u16| json!({"type": "NodePort", "ports": [{"port": port}]});
    let (code, made) = put("web", spec(80)).await;
    assert_eq!(code, 201, "{made}");
    let given = made["spec"]["ports"][0]["nodePort"].clone();
    let (code, moved) = put("web", spec(8080)).await;
    assert_eq!(
        (code, &moved["spec"]["ports"][0]["nodePort"]),
        (200, &given),
        "{moved}"
    );
    assert_eq!(moved["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    let two = json!({"type": "NodePort", "ports": [
        {"name": "a", "port": 1, "nodePort": given}, {"name": "b", "port": 2}]});
    let (code, two) = put("web", two).await;
    assert_eq!(code, 200, "{two}");
    assert_ne!(two["spec"]["ports"][1]["nodePort"], given);

    // A load balancer that asks whether there are local endpoints has a port to ask at, of its own.
    let local =
        json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]});
    let (code, balanced) = put("balanced", local.clone()).await;
    assert_eq!(code, 201, "{balanced}");
    let health = balanced["spec"]["healthCheckNodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&health), "{balanced}");
    assert_ne!(balanced["spec"]["ports"][0]["nodePort"], health);
    let (code, again) = put("balanced", local.clone()).await;
    assert_eq!(
        (code, again["spec"]["healthCheckNodePort"].as_u64()),
        (200, Some(health)),
        "{again}"
    );
    let mut same = local.clone();
    same["healthCheckNodePort"] = health.into();
    let (code, refused) = put("second", same).await;
    assert_eq!(code, 422, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("provided port is already allocated"),
        "{refused}"
    );
    let mut cluster = local;
    cluster["externalTrafficPolicy"] = "Cluster".into();
    let (code, plain) = put("balanced", cluster).await;
    assert_eq!(
        (code, plain["spec"].get("healthCheckNodePort")),
        (200, None),
        "{plain}"
    );

    for (spec, text) in [
        (
            json!({"ipFamilyPolicy": "RequireDualStack", "ports": [{"port": 80}]}),
            "this cluster is not configured for dual-stack services",
        ),
        (
            json!({"ipFamilies": ["IPv6"], "ports": [{"port": 80}]}),
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
        ),
    ] {
        let (code, refused) = put("dual", spec).await;
        assert_eq!(code, 422, "{refused}");
        assert!(
            refused["message"].as_str().unwrap().contains(text),
            "{refused}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_and_volumes_are_protected_and_grow_only_if_they_can() {
    let server = Server::start().await;
    let c = server.admin().await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let class = |name: &str, grows: bool| json!({"metadata": {"name": name}, "provisioner": "example.org/none", "allowVolumeExpansion": grows});
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    for (name, grows) in [("rigid", false), ("elastic", true)] {
        assert_eq!(
            call(&c, Method::POST, classes, &class(name, grows)).await.0,
            201
        );
    }
    let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    for (class, bound, code) in [
        ("rigid", true, 403),
        ("elastic", false, 422),
        ("elastic", true, 200),
    ] {
        let claim = json!({"metadata": {"generateName": "c-"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}});
        let (made_code, made) = call(&c, Method::POST, claims, &claim).await;
        assert_eq!(made_code, 201, "{made}");
        assert_eq!(
            made["metadata"]["finalizers"],
            json!(["kubernetes.io/pvc-protection"])
        );
        let path = format!("{claims}/{}", made["metadata"]["name"].as_str().unwrap());
        if bound {
            let status = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
            assert_eq!(
                call(&c, Method::PATCH, &format!("{path}/status"), &status)
                    .await
                    .0,
                200
            );
        }
        let (got, answer) = call(&c, Method::PATCH, &path, &larger).await;
        assert_eq!(got, code, "{class} {bound}: {answer}");
    }
    let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}});
    let (code, made) = call(&c, Method::POST, "/api/v1/persistentvolumes", &volume).await;
    assert_eq!(
        (code, &made["metadata"]["finalizers"]),
        (201, &json!(["kubernetes.io/pv-protection"]))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_for_the_account_of_its_new_namespace() {
    let server = Server::start().await;
    let c = server.admin().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |field: &str, name: &str| json!({"metadata": {field: name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let account = json!({"metadata": {"name": "default"}});
    let late = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        call(
            &c,
            Method::POST,
            "/api/v1/namespaces/default/serviceaccounts",
            &account,
        )
        .await
    };
    let early = pod("name", "early");
    let ((code, made), _) = tokio::join!(call(&c, Method::POST, pods, &early), late);
    assert_eq!(code, 201, "{made}");
    // What is refused is named by what it is to be made from.
    let mut other = pod("generateName", "web-");
    other["spec"]["serviceAccountName"] = "none".into();
    let (code, refused) = call(&c, Method::POST, pods, &other).await;
    assert_eq!(code, 403, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .starts_with("pods \"web-\" is forbidden"),
        "{refused}"
    );
    // What ends still has its name.
    assert_eq!(
        call(
            &c,
            Method::PATCH,
            &format!("{pods}/early"),
            &json!({"metadata": {"finalizers": ["example.org/x"]}})
        )
        .await
        .0,
        200
    );
    let now = json!({"gracePeriodSeconds": 0});
    assert_eq!(
        call(&c, Method::DELETE, &format!("{pods}/early"), &now)
            .await
            .0,
        200
    );
    let (code, refused) = call(&c, Method::POST, pods, &early).await;
    assert_eq!(
        (code, refused["message"].as_str()),
        (
            409,
            Some("object is being deleted: pods \"early\" already exists")
        )
    );
    server.stop().await;
}
