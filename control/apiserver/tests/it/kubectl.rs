//! The real kubectl against the real server, as a person uses it.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::Server;

struct Kubectl {
    home: tempfile::TempDir,
    config: PathBuf,
}

impl Kubectl {
    fn new(server: &Server) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let config = home.path().join("config");
        std::fs::write(&config, server.kubeconfig("admin", &["system:masters"]))
            .expect("a kubeconfig");
        Self { home, config }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .arg("--kubeconfig")
            .arg(&self.config)
            .arg("--request-timeout=20s")
            .args(arguments);
        command
    }

    fn output(&self, arguments: &[&str], stdin: &str) -> Output {
        use std::io::Write;
        use std::process::Stdio;
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        child
            .stdin
            .take()
            .expect("stdin")
            .write_all(stdin.as_bytes())
            .expect("kubectl reads");
        child.wait_with_output().expect("kubectl ends")
    }

    /// Runs kubectl, which must succeed; its standard output.
    fn ok(&self, line: &str) -> String {
        self.with(line, "")
    }

    fn with(&self, line: &str, stdin: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.output(&arguments, stdin);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "kubectl {line}\n{out}{err}");
        assert!(
            !err.contains("Warning") && !err.contains("error"),
            "kubectl {line}\n{err}"
        );
        out.into_owned()
    }

    /// Runs kubectl, which must fail; its standard error.
    fn fails(&self, line: &str, stdin: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.output(&arguments, stdin);
        assert!(!output.status.success(), "kubectl {line} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: example/web:1
        ports: [{containerPort: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 80}]
";

const WIDGETS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Color, type: string, jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the widget shall be.
            properties: {color: {type: string, description: Its color.}}
";

#[tokio::test(flavor = "multi_thread")]
async fn everyday_commands() {
    let server = Server::start().await;
    let k = Kubectl::new(&server);
    tokio::task::spawn_blocking(move || {
        assert!(k.ok("version").contains("Server Version: v1.36"));
        assert!(k.ok("api-resources").contains("deployments"));
        assert!(k.ok("api-versions").contains("apps/v1"));
        assert!(k.ok("cluster-info").contains("is running at"));
        assert!(k.ok("create serviceaccount default").contains("created"));
        assert!(k.ok("create configmap settings --from-literal=a=before").contains("configmap/settings created"));
        assert!(k.ok("create secret generic pass --from-literal=p=x").contains("created"));
        assert!(k.ok("create namespace team").contains("created"));
        assert!(k.with("apply -f -", DEPLOYMENT).contains("deployment.apps/web created"));
        assert!(k.with("apply -f -", DEPLOYMENT).contains("deployment.apps/web unchanged"));
        let changed = DEPLOYMENT.replace("web:1", "web:2");
        assert!(k.with("diff -f -", DEPLOYMENT).is_empty());
        assert!(k.with("apply -f -", &changed).contains("deployment.apps/web configured"));
        let table = k.ok("get deployments");
        assert!(table.contains("READY") && table.contains("0/2"), "{table}");
        assert!(k.ok("get deploy web -o wide").contains("example/web:2"));
        assert!(k.ok("get deploy,svc,cm --show-labels").contains("app=web"));
        assert_eq!(k.ok("get deploy -o name").trim(), "deployment.apps/web");
        assert_eq!(k.ok("get deploy web -o jsonpath={.spec.replicas}"), "2");
        let yaml = k.ok("get deploy web -o yaml");
        assert!(yaml.contains("kind: Deployment") && yaml.contains("image: example/web:2"), "{yaml}");
        let json: Value = serde_json::from_str(&k.ok("get svc -o json")).unwrap();
        assert_eq!(json["kind"], "List");
        assert!(k.ok("get all -A").contains("service/kubernetes"));
        assert!(k.ok("describe deploy web").contains("example/web:2"));
        assert!(k.ok("describe svc web").contains("Selector"));
        assert!(k.ok("describe ns team").contains("Active"));
        assert!(k.ok("scale deploy web --replicas=3").contains("scaled"));
        assert!(k.ok("set image deploy/web web=example/web:3").contains("image updated"));
        assert!(k.ok("label deploy web tier=front").contains("labeled"));
        assert!(k.ok("annotate svc web note=x").contains("annotated"));
        assert!(k.ok("patch deploy web -p {\"spec\":{\"replicas\":4}}").contains("patched"));
        assert!(k.ok("patch deploy web --type=merge -p {\"spec\":{\"replicas\":5}}").contains("patched"));
        let json_patch = "patch deploy web --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":6}]";
        assert!(k.ok(json_patch).contains("patched"));
        assert_eq!(k.ok("get deploy web -o jsonpath={.spec.replicas}"), "6");
        assert!(k.ok("rollout restart deploy/web").contains("restarted"));
        let edited = k
            .command(&["edit", "configmap", "settings"])
            .env("KUBE_EDITOR", "sed -i s/before/edited/")
            .output()
            .expect("kubectl runs");
        assert!(String::from_utf8_lossy(&edited.stdout).contains("edited"), "{edited:?}");
        assert_eq!(k.ok("get cm settings -o jsonpath={.data.a}"), "edited");
        assert!(k.ok("explain deployment.spec.replicas").contains("integer"));
        assert!(k.ok("explain pod.spec.containers").contains("image"));
        assert_eq!(k.ok("auth can-i create pods").trim(), "yes");
        assert!(k.ok("auth can-i --list").contains("*.*"));
        assert!(k.ok("auth whoami").contains("admin"));
        let no = k.fails("auth can-i create pods --as=bob", "");
        assert!(no.is_empty() || no.contains("no"), "{no}");
        assert!(k.ok("create token default").len() > 100);
        assert!(k.ok("create role r --verb=get --resource=pods").contains("created"));
        assert!(k.ok("create rolebinding rb --role=r --user=u").contains("created"));
        assert!(k.ok("get clusterroles").contains("cluster-admin"));
        assert!(k.ok("run p --image=example/p").contains("pod/p created"));
        assert!(k.ok("get pods").contains("Pending"));
        assert!(k.ok("get pods --field-selector=status.phase=Pending").contains("p "));
        assert!(k.ok("get events").is_empty());
        assert!(k.ok("wait --for=create pod/p --timeout=5s").contains("condition met"));
        assert_eq!(k.ok("logs p"), "");
        assert!(k.ok("delete pod p").contains("deleted"));
        assert!(k.fails("get pod p", "").contains("pods \"p\" not found"));
        let typo = DEPLOYMENT.replace("replicas:", "replica:");
        assert!(k.fails("apply -f -", &typo).contains("unknown field \"spec.replica\""));
        let bad = DEPLOYMENT.replace("image: example/web:1", "imagePullPolicy: Sometimes");
        let refused = k.fails("create -n team -f -", &bad);
        assert!(refused.contains("spec.template.spec.containers[0].image: Required value"), "{refused}");
        let read: Value = serde_json::from_str(&k.ok("get --raw /version")).unwrap();
        assert_eq!(read["minor"], "36");
        assert!(k.ok("get --raw /metrics").contains("apiserver_request_total"));
        assert!(k.with("delete -f -", DEPLOYMENT).contains("deleted"));
        assert!(k.ok("delete cm settings --cascade=orphan --wait=false").contains("deleted"));
        assert!(k.ok("delete ns team --wait=false").contains("deleted"));
    })
    .await
    .unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_and_watches() {
    let server = Server::start().await;
    let k = Kubectl::new(&server);
    tokio::task::spawn_blocking(move || {
        assert!(k.with("apply -f -", WIDGETS).contains("created"));
        assert!(
            k.ok("wait --for=condition=established crd/widgets.example.org --timeout=5s")
                .contains("condition met")
        );
        let widget =
            "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\nspec: {color: red}\n";
        assert!(
            k.with("apply -f -", widget)
                .contains("widget.example.org/w created")
        );
        let table = k.ok("get wd");
        assert!(table.contains("COLOR") && table.contains("red"), "{table}");
        assert!(k.ok("explain widget.spec.color").contains("Its color."));
        assert!(
            k.with("apply -f -", &widget.replace("red", "blue"))
                .contains("configured")
        );
        assert!(
            k.fails("apply -f -", &widget.replace("color", "colour"))
                .contains("unknown field")
        );
        assert!(k.ok("get crd").contains("widgets.example.org"));
        // A definition that changes is patched strategically, as any kind that is built in.
        assert!(k.with("apply -f -", WIDGETS).contains("unchanged"));
        let changed = WIDGETS.replace("Its color.", "The color.");
        assert!(k.with("apply -f -", &changed).contains("configured"));
        assert!(k.ok("explain widget.spec.color").contains("The color."));
        let category = r#"{"spec":{"names":{"categories":["all"]}}}"#;
        let line = format!("patch crd widgets.example.org -p {category}");
        assert!(k.ok(&line).contains("patched"));
        let categories = k.ok("get crd widgets.example.org -o jsonpath={.spec.names.categories}");
        assert_eq!(categories, r#"["all"]"#);
        let typo = WIDGETS.replace("scope:", "skope: x\n  scope:");
        assert!(
            k.fails("apply -f -", &typo)
                .contains("unknown field \"spec.skope\"")
        );
        // A watch shows what happens as rows under one header.
        let mut watching = k
            .command(&["get", "wd", "-w", "--request-timeout=4s"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("kubectl runs");
        std::thread::sleep(std::time::Duration::from_millis(1500));
        assert!(k.ok("label wd w a=b").contains("labeled"));
        assert!(k.ok("delete wd w").contains("deleted"));
        let mut out = String::new();
        use std::io::Read;
        watching
            .stdout
            .take()
            .expect("stdout")
            .read_to_string(&mut out)
            .expect("text");
        let _ = watching.wait();
        assert_eq!(out.matches("COLOR").count(), 1, "{out}");
        assert!(out.lines().count() >= 3, "{out}");
        assert!(k.ok("delete crd widgets.example.org").contains("deleted"));
        let gone = k.fails("get wd", "");
        assert!(
            gone.contains("doesn't have a resource type") || gone.contains("could not find"),
            "{gone}"
        );
    })
    .await
    .unwrap();
    server.stop().await;
}
