//! Reading: get in every format, watches, describe.

use minicloud_tests::{Background, Cluster};

/// `get`, in tables, documents, names and templates, with selectors.
pub fn objects_are_shown_in_every_format(c: &Cluster) {
    c.says(
        "get pods",
        &[
            "NAME", "READY", "STATUS", "RESTARTS", "AGE", "shell", "2/2", "Running", "web-",
        ],
    );
    c.says(
        "get pod shell -o wide",
        &[
            "IP",
            "NODE",
            "NOMINATED NODE",
            "READINESS GATES",
            "10.42.0.",
            "edge-1",
            "<none>",
        ],
    );
    let all = "get all,cm,pvc,pv,sc,nodes,ns,sa,endpoints,endpointslices,leases,events,roles,clusterroles,crd -A --ignore-not-found";
    for part in [
        "pod/shell",
        "service/web",
        "deployment.apps/web",
        "replicaset.apps/web-",
        "configmap/page",
        "persistentvolumeclaim/data",
        "persistentvolume/pvc-",
        "storageclass.storage.k8s.io/local-path (default)",
        "node/edge-1",
        "namespace/kube-system",
        "serviceaccount/default",
        "endpoints/web",
        "endpointslice.discovery.k8s.io/web-",
        "lease.coordination.k8s.io/edge-1",
        "clusterrole.rbac.authorization.k8s.io/cluster-admin",
    ] {
        c.says(all, &[part]);
    }
    c.says(
        "get deployment web -o wide",
        &[
            "READY",
            "UP-TO-DATE",
            "AVAILABLE",
            "CONTAINERS",
            "IMAGES",
            "SELECTOR",
            "2/2",
            "app=web",
        ],
    );
    c.says(
        "get pod shell -o yaml",
        &[
            "apiVersion: v1\nkind: Pod\n",
            "  name: shell\n",
            "qosClass: BestEffort",
        ],
    );
    c.says(
        "get pod shell -o json",
        &["\"kind\": \"Pod\"", "\"phase\": \"Running\""],
    );
    c.says("get pods -o json", &["\"kind\": \"List\""]);
    assert_eq!(c.k("get pod -l app=shell -o name"), "pod/shell\n");
    assert_eq!(
        c.k("get pod shell -o jsonpath='{.spec.containers[*].name}'"),
        "shell second"
    );
    assert_eq!(
        c.k("get pods -l 'app in (shell)' -o custom-columns=NAME:.metadata.name,PHASE:.status.phase --no-headers"),
        "shell   Running\n"
    );
    assert_eq!(
        c.k("get pods -l app=shell -o go-template='{{range .items}}{{.metadata.name}} {{.status.phase}}{{end}}'"),
        "shell Running"
    );
    assert_eq!(
        c.k("get pods --field-selector=metadata.name=shell,status.phase=Running -o name"),
        "pod/shell\n"
    );
    c.says(
        "get pods -l app=web --show-labels",
        &["LABELS", "app=web,pod-template-hash="],
    );
    c.says(
        "get pods -L app --sort-by=.metadata.name",
        &["APP", "shell", "web", "web"],
    );
    c.says(
        "get --raw /api/v1/namespaces/default/pods/shell",
        &["\"kind\":\"Pod\""],
    );
    // Pages of one object each: the same list.
    assert_eq!(
        c.k("get pods -o name --chunk-size=1"),
        c.k("get pods -o name")
    );
    c.refuses(
        "get pod nobody",
        1,
        &["Error from server (NotFound): pods \"nobody\" not found"],
    );
    c.refuses(
        "get nothings",
        1,
        &["the server doesn't have a resource type \"nothings\""],
    );
    c.says(
        "events --for pod/shell --types=Normal",
        &["Scheduled", "default/shell to edge-1"],
    );
    c.says(
        "events --for pod/shell",
        &["Scheduled", "Started container"],
    );
}

/// `get -w` and `wait`.
pub fn changes_are_watched(c: &Cluster) {
    let watch = Background::start(c.kubectl_line("get configmaps -w --no-headers -o name"));
    let table = Background::start(c.kubectl_line("get pods -w -l app=watched"));
    watch.wait_for("configmap/page");
    c.k("create configmap watched --from-literal=a=b");
    watch.wait_for("configmap/watched");
    c.k("run watched -l app=watched --restart=Never --image=minicloud.local/busybox:1 --command -- true");
    for part in ["Pending", "ContainerCreating", "Completed"] {
        table.wait_for(part);
    }
    c.says(
        "wait --for=jsonpath='{.status.phase}'=Succeeded pod/watched --timeout=20s",
        &["condition met"],
    );
    c.k("delete configmap/watched pod/watched");
    c.refuses(
        "wait --for=condition=Nothing pod/shell --timeout=1s",
        1,
        &["timed out waiting for the condition on pods/shell"],
    );
}

/// `describe` of every kind finds what it looks for.
pub fn every_kind_is_described(c: &Cluster) {
    c.says(
        "describe pod shell",
        &[
            "Service Account:  default",
            "Status:           Running",
            "Containers:",
            "Image:",
            "busybox",
            "Conditions:",
            "Ready",
            "True",
            "ClaimName:  data",
            "Events:",
            "Scheduled",
        ],
    );
    c.says(
        "describe node edge-1",
        &[
            "Lease:",
            "RenewTime:",
            "Conditions:",
            "MemoryPressure",
            "False",
            "Ready",
            "True",
            "Addresses:",
            "InternalIP:  10.99.0.1",
            "Capacity:",
            "System Info:",
            "Non-terminated Pods:",
            "shell",
            "Allocated resources:",
            "cpu",
        ],
    );
    c.says(
        "describe service web",
        &[
            "Selector:",
            "app=web",
            "Type:",
            "ClusterIP",
            "Port:",
            "http  80/TCP",
            "Endpoints:",
            ":8080",
            "Session Affinity:",
        ],
    );
    c.says(
        "describe deployment web",
        &[
            "2 desired | 2 updated | 2 total | 2 available | 0 unavailable",
            "Pod Template:",
            "Available      True    MinimumReplicasAvailable",
            "NewReplicaSet:   web-",
            "Scaled up replica set web-",
        ],
    );
    c.says(
        "describe replicaset -l app=web",
        &[
            "Controlled By:  Deployment/web",
            "Pods Status:    2 Running",
        ],
    );
    c.says(
        "describe pvc data",
        &[
            "Status:        Bound",
            "Capacity:      10Mi",
            "Used By:       shell",
            "ProvisioningSucceeded",
        ],
    );
    c.says(
        "describe pv",
        &[
            "Status:            Bound",
            "Claim:             default/data",
            "Node Affinity:",
        ],
    );
    c.says(
        "describe storageclass local-path",
        &["IsDefaultClass:        Yes"],
    );
    c.says(
        "describe configmap page",
        &["index.html:\n----\nhello from a config map"],
    );
    c.says("describe namespace default", &["Status:       Active"]);
    c.says(
        "describe serviceaccount default",
        &["Name:                default"],
    );
    c.says(
        "describe endpointslice -l kubernetes.io/service-name=web",
        &["Ready:    true", "TargetRef:  Pod/web-"],
    );
    c.says("describe clusterrole view", &["pods", "[get list watch]"]);
    c.says(
        "describe clusterrolebinding cluster-admin",
        &["Group  system:masters"],
    );
    c.k("create secret generic hidden --from-literal=word=sesame");
    let described = c.says(
        "describe secret hidden",
        &["Type:  Opaque", "word:  6 bytes"],
    );
    assert!(!described.contains("sesame"), "{described}");
    c.k("delete secret hidden");
    c.says(
        "describe lease edge-1 -n kube-node-lease",
        &["Holder Identity:"],
    );
}
