//! Who may do what: auth can-i, whoami, reconcile, tokens, and requests that are refused.

use std::path::Path;

use minicloud_tests::Cluster;
use minicloud_tests::programs::run;

/// `auth`, `create token`, `--as`, `certificate`-less users by token.
pub fn rights_are_told_and_kept(c: &Cluster) {
    c.k("create serviceaccount reader");
    c.k("create role reader --verb=get,list,watch --resource=pods,pods/log");
    c.k("create rolebinding reader --role=reader --serviceaccount=default:reader");
    let reader = "--as=system:serviceaccount:default:reader";
    assert_eq!(c.k(&format!("auth can-i list pods {reader}")), "yes\n");
    assert_eq!(
        c.k(&format!("auth can-i get pods --subresource=log {reader}")),
        "yes\n"
    );
    for words in [
        "list secrets",
        "delete pods",
        "create pods --subresource=exec",
        "list pods -n kube-system",
        "'*' '*'",
        "list nodes",
    ] {
        c.refuses(&format!("auth can-i {words} {reader}"), 1, &["no"]);
    }
    c.says(
        &format!("auth can-i --list {reader}"),
        &["pods/log", "[get list watch]"],
    );
    assert_eq!(c.k("auth can-i '*' '*' --all-namespaces"), "yes\n");
    c.says(
        "auth whoami",
        &["Username", "kubernetes-admin", "system:masters"],
    );

    let token = c.k("create token reader --duration=10m");
    let as_reader = |words: &str| {
        // Without the administrator's certificate, else that decides who asks.
        let token = token.trim();
        c.try_k(&format!("--kubeconfig=/dev/null --server=https://127.0.0.1:6443 --certificate-authority={} --token={token} {words}", ca(c).display()))
    };
    let said = as_reader("auth whoami").unwrap_or_else(|e| panic!("{e:#}"));
    assert!(
        said.contains("system:serviceaccount:default:reader"),
        "{said}"
    );
    assert!(as_reader("get pods").is_ok_and(|o| o.contains("shell")));
    assert!(as_reader("logs shell -c second").is_ok_and(|o| o == "second\n"));
    for (words, said) in [
        (
            "get secrets",
            "secrets is forbidden: User \"system:serviceaccount:default:reader\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\"",
        ),
        ("delete pod shell", "cannot delete resource \"pods\""),
        ("exec shell -- true", "cannot create resource \"pods/exec\""),
        ("get nodes", "at the cluster scope"),
        ("get pods -A", "at the cluster scope"),
    ] {
        let refused = as_reader(words).expect_err(words).to_string();
        assert!(
            refused.contains("orbidden") && refused.contains(said),
            "{words}: {refused}"
        );
    }
    // Nobody gives what they do not have.
    c.k("create clusterrolebinding reader-edits --clusterrole=admin --serviceaccount=default:reader");
    let refused = as_reader(
        "create clusterrolebinding more --clusterrole=cluster-admin --serviceaccount=default:reader",
    );
    assert!(refused.is_err_and(|e| e.to_string().contains("is forbidden: User")));
    let refused = as_reader("create role more --verb=* --resource=*.*")
        .expect_err("rights were widened")
        .to_string();
    assert!(
        refused.contains("attempting to grant RBAC permissions not currently held"),
        "{refused}"
    );
    let rbac = c.scratch().join("rbac.yaml");
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader, namespace: default}\nrules: [{apiGroups: [''], resources: [services], verbs: [get]}]\n";
    std::fs::write(&rbac, role).unwrap_or_else(|e| panic!("{e}"));
    c.says(
        &format!("auth reconcile -f {}", rbac.display()),
        &["reconciled"],
    );
    assert_eq!(c.k(&format!("auth can-i get services {reader}")), "yes\n");

    // With its account a token ends.
    c.k("delete serviceaccount reader");
    let refused = as_reader("get pods")
        .expect_err("the token outlived its account")
        .to_string();
    assert!(
        refused.contains("Unauthorized") || refused.contains("must be logged in"),
        "{refused}"
    );
    c.k("delete role/reader rolebinding/reader clusterrolebinding/reader-edits");
    anonymous(c);
}

/// Without credentials: health and version, nothing else.
fn anonymous(c: &Cluster) {
    let ca = ca(c);
    let ask = |path: &str| code(c, &ca, &[], path);
    for open in ["/livez", "/readyz", "/healthz", "/version"] {
        assert_eq!(ask(open), "200", "{open}");
    }
    for closed in [
        "/",
        "/api",
        "/apis",
        "/api/v1/namespaces",
        "/metrics",
        "/openapi/v3",
        "/apis/apps/v1",
        "/nothing",
    ] {
        assert_eq!(ask(closed), "401", "{closed}");
    }
    assert_eq!(ask("/livez/../api/v1/namespaces"), "404");
    let wrong = ["--header", "Authorization: Bearer nonsense"];
    assert_eq!(code(c, &ca, &wrong, "/api/v1/namespaces"), "401");
}

fn code(c: &Cluster, ca: &Path, extra: &[&str], path: &str) -> String {
    let mut curl = c.command("curl");
    curl.args([
        "--silent",
        "--max-time",
        "5",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        "--path-as-is",
        "--cacert",
    ]);
    curl.arg(ca)
        .args(extra)
        .arg(format!("https://127.0.0.1:6443{path}"));
    run(&mut curl).unwrap_or_else(|e| panic!("{path}: {e:#}"))
}

/// The cluster's CA, as every namespace has it.
fn ca(c: &Cluster) -> std::path::PathBuf {
    let file = c.scratch().join("ca.crt");
    let text = c.k("get configmap kube-root-ca.crt -o jsonpath='{.data.ca\\.crt}'");
    std::fs::write(&file, text).unwrap_or_else(|e| panic!("{e}"));
    file
}
