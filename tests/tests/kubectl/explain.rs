//! What the server tells about itself, and about a kind that is defined while it runs.

use std::time::Duration;

use minicloud_tests::{Cluster, eventually};

/// `explain`, `api-resources`, `api-versions`, `version`, `cluster-info`, `config`; `top` needs what is not served.
pub fn the_api_is_explained(c: &Cluster) {
    c.says(
        "explain deployment.spec.strategy",
        &[
            "GROUP:      apps",
            "KIND:       Deployment",
            "rollingUpdate",
            "type",
        ],
    );
    c.says(
        "explain pod.spec.containers --recursive",
        &[
            "livenessProbe\t<Probe>",
            "    httpGet\t<HTTPGetAction>",
            "volumeMounts\t<[]VolumeMount>",
        ],
    );
    c.says(
        "explain pods.spec.restartPolicy",
        &["FIELD: restartPolicy <string>", "Always, OnFailure"],
    );
    c.refuses(
        "explain pod.spec.nothing",
        1,
        &["field \"nothing\" does not exist"],
    );
    c.says(
        "api-resources",
        &[
            "configmaps",
            "cm",
            "pods",
            "po",
            "deployments",
            "deploy",
            "apps/v1",
            "true",
            "Deployment",
            "storageclasses",
            "sc",
        ],
    );
    c.says(
        "api-resources --verbs=list --namespaced=false -o name",
        &["namespaces", "nodes"],
    );
    c.says(
        "api-resources --api-group=apps -o wide",
        &["create,delete,deletecollection,get,list,patch,update,watch"],
    );
    c.says(
        "api-versions",
        &["apps/v1", "rbac.authorization.k8s.io/v1", "v1"],
    );
    c.says("version", &["Server Version: v1.36."]);
    c.says("cluster-info", &["control plane", "https://127.0.0.1:6443"]);
    c.says(
        "config view",
        &[
            "server: https://127.0.0.1:6443",
            "client-key-data: DATA+OMITTED",
        ],
    );
    c.says("config get-contexts", &["*", "minicloud"]);
    // Usage is a rate: there is none before the second scrape.
    eventually("nodes have usage", Duration::from_secs(90), || {
        c.try_k("top nodes")
    });
    c.says(
        "top nodes",
        &["NAME", "CPU(cores)", "MEMORY(bytes)", "edge-1", "m", "Mi"],
    );
    // A kind that is defined at run time is explained and listed as the others.
    c.apply(CRD);
    eventually(
        "the definition is in force",
        Duration::from_secs(10),
        || c.try_k("get gauges"),
    );
    c.apply(
        "apiVersion: test.minicloud.io/v1\nkind: Gauge\nmetadata: {name: one}\nspec: {size: 3}\n",
    );
    c.says("get gauges", &["NAME", "SIZE", "one", "3"]);
    c.says("get gg one -o yaml", &["unit: metre"]);
    c.says(
        "explain gauge.spec.size",
        &[
            "KIND:       Gauge",
            "FIELD: size <integer>",
            "How long it is.",
        ],
    );
    c.says("describe gauge one", &["Kind:         Gauge", "Size:  3"]);
    c.refuses(
        "patch gauge one --type=merge -p '{\"spec\":{\"size\":\"big\"}}'",
        1,
        &[
            "The Gauge \"one\" is invalid",
            "spec.size: Invalid value: \"string\"",
        ],
    );
    c.k("delete crd gauges.test.minicloud.io --timeout=20s");
    eventually("the kind is gone", Duration::from_secs(10), || {
        anyhow::ensure!(c.try_k("get gauges").is_err(), "it is served");
        Ok(())
    });
}

const CRD: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gauges.test.minicloud.io}
spec:
  group: test.minicloud.io
  scope: Namespaced
  names: {kind: Gauge, plural: gauges, singular: gauge, shortNames: [gg]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, description: How long it is.}
              unit: {type: string, default: metre}
"#;
