//! Changing: create, apply, diff, replace, patch, edit, label, annotate, delete.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};

/// `create` of every kind that it has a word for and that is served.
pub fn objects_are_created(c: &Cluster) {
    for (words, said) in [
        ("namespace other", "namespace/other created"),
        (
            "configmap made --from-literal=a=b",
            "configmap/made created",
        ),
        (
            "secret generic made --from-literal=word=sesame",
            "secret/made created",
        ),
        (
            "secret docker-registry made-registry --docker-server=localhost:5000 --docker-username=u --docker-password=p",
            "secret/made-registry created",
        ),
        (
            "deployment made --image=minicloud.local/busybox:1 --replicas=1 -- sh -c 'trap exit TERM; sleep 1000 & wait'",
            "deployment.apps/made created",
        ),
        (
            "service clusterip made --tcp=80:8080",
            "service/made created",
        ),
        (
            "service nodeport made-node --tcp=80:8080 --node-port=30099",
            "service/made-node created",
        ),
        (
            "service externalname made-name --external-name=example.com",
            "service/made-name created",
        ),
        ("serviceaccount made", "serviceaccount/made created"),
        (
            "role made --verb=get,list --resource=pods",
            "role.rbac.authorization.k8s.io/made created",
        ),
        (
            "rolebinding made --role=made --serviceaccount=default:made",
            "rolebinding.rbac.authorization.k8s.io/made created",
        ),
        (
            "clusterrole made --verb=get --resource=nodes",
            "clusterrole.rbac.authorization.k8s.io/made created",
        ),
        (
            "clusterrolebinding made --clusterrole=made --user=jane",
            "clusterrolebinding.rbac.authorization.k8s.io/made created",
        ),
    ] {
        c.says(&format!("create {words}"), &[said]);
    }
    c.says(
        "create configmap only --from-literal=a=b --dry-run=client -o yaml",
        &["kind: ConfigMap"],
    );
    c.says(
        "create configmap only --from-literal=a=b --dry-run=server",
        &["created (server dry run)"],
    );
    c.refuses("get configmap only", 1, &["NotFound"]);
    c.refuses(
        "create configmap made",
        1,
        &["configmaps \"made\" already exists"],
    );
    c.refuses(
        "create configmap Wrong_Name",
        1,
        &["metadata.name: Invalid value: \"Wrong_Name\": a lowercase RFC 1123 subdomain"],
    );
    c.refuses(
        "create job made --image=minicloud.local/busybox:1",
        1,
        &["the server could not find the requested resource"],
    );
    c.refuses(
        "create service nodeport twice --tcp=80 --node-port=30099",
        1,
        &["spec.ports[0].nodePort: Invalid value: 30099: provided port is already allocated"],
    );
    c.k("rollout status deployment/made --timeout=30s");
    c.k("delete service,configmap,secret,serviceaccount,role,rolebinding -l '!app' --field-selector=metadata.name=made");
    c.k("delete deployment/made service/made-node service/made-name secret/made-registry clusterrole/made clusterrolebinding/made namespace/other --timeout=30s");
}

/// `apply`, `diff` and `replace`: three ways to say what should be.
pub fn manifests_are_applied_and_compared(c: &Cluster) {
    let manifest = |data: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: applied}}\ndata: {data}\n")
    };
    assert_eq!(
        c.apply(&manifest("{a: one, b: two}")),
        "configmap/applied created\n"
    );
    assert_eq!(
        c.apply(&manifest("{a: one, b: two}")),
        "configmap/applied unchanged\n"
    );
    // Another's field stays; one that is no longer said goes.
    c.k("patch configmap applied --type=merge -p '{\"data\":{\"c\":\"three\"}}'");
    assert_eq!(
        c.apply(&manifest("{a: uno}")),
        "configmap/applied configured\n"
    );
    assert_eq!(
        c.k("get configmap applied -o jsonpath='{.data}'"),
        r#"{"a":"uno","c":"three"}"#
    );
    let file = c.scratch().join("manifest.yaml");
    std::fs::write(&file, manifest("{a: due}")).unwrap_or_else(|e| panic!("{e}"));
    let file = file.display();
    c.refuses(&format!("diff -f {file}"), 1, &["-  a: uno", "+  a: due"]);
    c.says(
        &format!("apply -f {file} --dry-run=server"),
        &["configured (server dry run)"],
    );
    c.says(
        &format!("replace -f {file}"),
        &["configmap/applied replaced"],
    );
    c.k(&format!("diff -f {file}"));
    assert_eq!(
        c.k("get configmap applied -o jsonpath='{.data}'"),
        r#"{"a":"due"}"#
    );
    c.refuses(&format!("create -f {file}"), 1, &["AlreadyExists"]);
    c.refuses(
        &format!("apply --server-side -f {file}"),
        1,
        &["Server-side apply not available on the server"],
    );
    c.k(&format!("delete -f {file}"));
    // What is misspelt is told with its path, and nothing is stored.
    let wrong =
        "apiVersion: v1\nkind: Service\nmetadata: {name: wrong}\nspec: {prots: [{port: 80}]}\n";
    std::fs::write(c.scratch().join("wrong.yaml"), wrong).unwrap_or_else(|e| panic!("{e}"));
    let file = c.scratch().join("wrong.yaml");
    c.refuses(
        &format!("apply -f {}", file.display()),
        1,
        &["strict decoding error: unknown field \"spec.prots\""],
    );
    c.refuses(
        &format!("create --validate=false -f {}", file.display()),
        1,
        &["spec.ports: Required value"],
    );
    // Many documents from the standard input, pruned by label.
    let two = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: p1, labels: {set: p}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: p2, labels: {set: p}}\n";
    c.apply(two);
    let one = c.scratch().join("one.yaml");
    std::fs::write(&one, &two[..two.find("---").unwrap_or(0)]).unwrap_or_else(|e| panic!("{e}"));
    c.says(
        &format!(
            "apply --prune -l set=p --prune-allowlist=core/v1/ConfigMap -f {}",
            one.display()
        ),
        &["configmap/p1 unchanged", "configmap/p2 pruned"],
    );
    c.k("delete configmap p1");
}

/// `patch` in three ways, `edit`, `label`, `annotate`.
pub fn objects_are_patched_and_edited(c: &Cluster) {
    c.k("create configmap patched --from-literal=a=one");
    c.says(
        "patch configmap patched -p '{\"data\":{\"b\":\"two\"}}'",
        &["configmap/patched patched"],
    );
    c.says(
        "patch configmap patched -p '{\"data\":{\"b\":\"two\"}}'",
        &["patched (no change)"],
    );
    c.k("patch configmap patched --type=merge -p '{\"data\":{\"b\":null}}'");
    c.k("patch configmap patched --type=json -p '[{\"op\":\"replace\",\"path\":\"/data/a\",\"value\":\"uno\"}]'");
    assert_eq!(
        c.k("get configmap patched -o jsonpath='{.data}'"),
        r#"{"a":"uno"}"#
    );
    c.refuses(
        "patch configmap patched --type=json -p '[{\"op\":\"test\",\"path\":\"/data/a\",\"value\":\"one\"}]'",
        1,
        &["The request is invalid"],
    );
    // A list with a merge key: strategic patches change the one container, merge patches the whole list.
    c.k("patch deployment web -p '{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"web\",\"imagePullPolicy\":\"Never\"}]}}}}' --dry-run=server");
    c.refuses(
        "patch deployment web --type=merge -p '{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"web\"}]}}}}'",
        1,
        &["spec.template.spec.containers[0].image: Required value"],
    );
    c.says("label configmap patched colour=blue", &["labeled"]);
    c.refuses(
        "label configmap patched colour=red",
        1,
        &["--overwrite is false"],
    );
    c.k("label configmap patched colour=red --overwrite");
    assert_eq!(
        c.k("get configmap -l colour=red -o name"),
        "configmap/patched\n"
    );
    c.says("label configmap patched colour-", &["unlabeled"]);
    c.refuses("label configmap patched 'a/b/c=d'", 1, &["a/b/c"]);
    c.says(
        "annotate configmap patched note='two words'",
        &["annotated"],
    );
    c.says("annotate --list configmap patched", &["note=two words"]);

    let editor = |script: &str| {
        let file = c.scratch().join("editor");
        let text = format!("#!/bin/sh\nexec sed -i '{script}' \"$1\"\n");
        std::fs::write(&file, text).unwrap_or_else(|e| panic!("{e}"));
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, executable).unwrap_or_else(|e| panic!("{e}"));
        let edit = |words: &str| run(c.kubectl_line(words).env("KUBE_EDITOR", &file));
        (edit("edit configmap patched"), edit("edit service web"))
    };
    let (edited, untouched) = editor("s/ uno/ edited/");
    assert!(edited.is_ok_and(|o| o.contains("configmap/patched edited")));
    assert!(untouched.is_ok_and(|o| o.is_empty()));
    assert_eq!(
        c.k("get configmap patched -o jsonpath='{.data}'"),
        r#"{"a":"edited"}"#
    );
    let (_, refused) = editor("s/port: 80$/port: 800000/");
    let said = refused
        .expect_err("a port out of range was taken")
        .to_string();
    assert!(said.contains("services \"web\" is invalid"), "{said}");
    c.k("delete configmap patched");
}

/// `delete` by name, label, file and kind; waiting or not, forced, orphaning.
pub fn objects_are_deleted(c: &Cluster) {
    for name in ["d1", "d2", "d3"] {
        c.k(&format!("run {name} -l set=d --image=minicloud.local/busybox:1 --restart=Never --command -- sh -c 'trap \"\" TERM; sleep 1000 & wait; wait'"));
    }
    c.k("wait --for=condition=Ready pod -l set=d --timeout=30s");
    c.says(
        "delete pod d1 --dry-run=server",
        &["deleted", "server dry run"],
    );
    // It does not listen to the signal: gone after its grace period, not before; --wait tells when.
    let started = std::time::Instant::now();
    c.says(
        "delete pod d1 --grace-period=2 --wait=true",
        &["pod \"d1\" deleted"],
    );
    assert!(
        started.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        started.elapsed()
    );
    c.k("delete pod d2 --wait=false");
    c.says("get pod d2", &["Terminating"]);
    c.says(
        "delete pod d2 d3 --force --grace-period=0",
        &["pod \"d2\" force deleted", "pod \"d3\" force deleted"],
    );
    c.refuses("get pod d2", 1, &["NotFound"]);
    c.refuses("delete pod d2", 1, &["NotFound"]);
    c.k("delete pod d2 --ignore-not-found");
    // What a forced deletion leaves running is ended soon.
    eventually(
        "the processes of the forced",
        Duration::from_secs(20),
        || {
            let left =
                run(std::process::Command::new("pgrep").args(["-fc", "trap  TERM; sleep 1000"]));
            anyhow::ensure!(left.is_err(), "{left:?}");
            Ok(())
        },
    );

    c.k("create deployment kept --image=minicloud.local/busybox:1 -- sh -c 'trap exit TERM; sleep 1000 & wait'");
    c.k("rollout status deployment/kept --timeout=30s");
    c.k("delete deployment kept --cascade=orphan");
    c.says(
        "get replicaset,pod -l app=kept",
        &["replicaset.apps/kept-", "pod/kept-"],
    );
    c.k("delete replicaset -l app=kept --cascade=foreground --timeout=60s");
    assert_eq!(
        c.k("get pods -l app=kept -o name"),
        "",
        "foreground deletion waits for what is owned"
    );
    c.k("create configmap all1 -n kube-public");
    c.k("create configmap all2 -n kube-public");
    c.says("delete configmap --all -n kube-public", &["all1", "all2"]);
}
