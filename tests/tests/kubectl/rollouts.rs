//! Deployments: rollout, set, scale, expose.

use std::time::Duration;

use minicloud_tests::{Cluster, eventually};

/// `rollout` with each of its words.
pub fn deployments_are_rolled_out_and_back(c: &Cluster) {
    let settled = || {
        c.says(
            "rollout status deployment/web --timeout=60s",
            &["successfully rolled out"],
        )
    };
    let colour =
        || c.k("get deployment web -o jsonpath='{.spec.template.spec.containers[0].env[0].value}'");
    c.k("set env deployment/web COLOUR=blue");
    c.k("annotate deployment/web kubernetes.io/change-cause='blue it is'");
    settled();
    c.says(
        "rollout history deployment/web",
        &["REVISION", "1", "<none>", "2", "blue it is"],
    );
    c.says(
        "rollout history deployment/web --revision=2",
        &["COLOUR:", "blue"],
    );
    c.k("rollout undo deployment/web");
    settled();
    assert_eq!(colour(), "");
    c.k("rollout undo deployment/web --to-revision=2");
    settled();
    assert_eq!(colour(), "blue");
    c.refuses(
        "rollout undo deployment/web --to-revision=99",
        1,
        &["unable to find specified revision 99"],
    );

    c.says("rollout pause deployment/web", &["paused"]);
    c.refuses("rollout pause deployment/web", 1, &["already paused"]);
    c.k("set env deployment/web COLOUR-");
    let updated = || c.k("get deployment web -o jsonpath='{.status.updatedReplicas}'");
    eventually(
        "the change is seen, and not rolled out",
        Duration::from_secs(10),
        || {
            let seen = c.try_k("get deployment web -o jsonpath='{.status.observedGeneration} {.metadata.generation}'")?;
            let (seen, present) = seen.split_once(' ').unwrap_or_default();
            anyhow::ensure!(seen == present, "{seen} of {present}");
            anyhow::ensure!(updated().is_empty(), "{} updated", updated());
            Ok(())
        },
    );
    c.says("rollout resume deployment/web", &["resumed"]);
    settled();
    assert_eq!(updated(), "2");

    let before = c.k("get pods -l app=web -o name");
    c.says("rollout restart deployment/web", &["restarted"]);
    settled();
    eventually("other pods", Duration::from_secs(20), || {
        let after = c.try_k("get pods -l app=web -o name")?;
        anyhow::ensure!(after.lines().count() == 2, "{after}");
        anyhow::ensure!(
            before.lines().all(|pod| !after.contains(pod)),
            "{before} then {after}"
        );
        Ok(())
    });

    // An image that is not there: the old pods serve on, and the status says so.
    c.k("set image deployment/web web=minicloud.local/nothing:1");
    c.refuses(
        "rollout status deployment/web --timeout=2s",
        1,
        &["timed out waiting for the condition"],
    );
    eventually("the pod says why", Duration::from_secs(20), || {
        let pods = c.try_k("get pods -l app=web")?;
        anyhow::ensure!(
            pods.contains("ErrImagePull") || pods.contains("ImagePullBackOff"),
            "{pods}"
        );
        anyhow::ensure!(pods.matches("1/1").count() == 2, "{pods}");
        Ok(())
    });
    c.k("rollout undo deployment/web");
    settled();
}

/// `set`, `scale`, `expose`; `autoscale` needs what is not served.
pub fn deployments_are_set_scaled_and_exposed(c: &Cluster) {
    c.k("create deployment tuned --image=minicloud.local/busybox:1 -- sh -c 'trap exit TERM; httpd -f -p 8080 & wait'");
    c.says(
        "set image deployment/tuned busybox=minicloud.local/busybox:1",
        &[],
    );
    c.says(
        "set env deployment/tuned --from=configmap/page --prefix=PAGE_",
        &["env updated"],
    );
    c.says(
        "set env deployment/tuned --list",
        &["PAGE_INDEX_HTML from configmap page, key index.html"],
    );
    c.says(
        "set resources deployment/tuned --limits=memory=64Mi,cpu=500m",
        &["resource requirements updated"],
    );
    c.says(
        "set serviceaccount deployment/tuned default",
        &["serviceaccount updated"],
    );
    c.k("rollout status deployment/tuned --timeout=60s");
    c.says("scale deployment/tuned --replicas=3", &["scaled"]);
    c.says(
        "wait --for=jsonpath='{.status.readyReplicas}'=3 deployment/tuned --timeout=60s",
        &["condition met"],
    );
    c.refuses(
        "scale deployment/tuned --current-replicas=7 --replicas=1",
        1,
        &["Expected replicas to be 7, was 3"],
    );
    c.k("scale deployment/tuned --replicas=1");
    c.says(
        "expose deployment/tuned --port=80 --target-port=8080",
        &["service/tuned exposed"],
    );
    c.says(
        "set selector service/tuned app=tuned,none=here",
        &["selector updated"],
    );
    eventually("nothing is selected", Duration::from_secs(10), || {
        let endpoints = c.try_k("get endpoints tuned -o jsonpath={.subsets}")?;
        anyhow::ensure!(endpoints.is_empty(), "{endpoints}");
        Ok(())
    });
    // What it says depends on its version.
    c.refuses("autoscale deployment/tuned --max=3", 1, &[]);
    c.k("delete deployment/tuned service/tuned");
}
