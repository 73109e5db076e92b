//! Alerts reach people: rules of the site's own, Debian's Alertmanager, and mail to a real mail server on loopback.

use std::time::Duration;

use anyhow::{Context, ensure};
use minicloud_tests::processes::daemon;
use minicloud_tests::programs::{python, run};
use minicloud_tests::walk::timed;
use minicloud_tests::{Background, Cluster, eventually};
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";

/// A mail server that wants credentials and prints what it gets.
const MAIL_SERVER: &str = r#"
import sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
class Keep:
    async def handle_DATA(self, server, session, envelope):
        print(f"FROM {envelope.mail_from} TO {' '.join(envelope.rcpt_tos)}")
        print(f"{envelope.content.decode()} END", flush=True)
        return "250 kept"
def known(server, session, envelope, mechanism, data):
    good = data.login == b"site" and data.password == sys.argv[1].encode()
    print(f"AUTH {mechanism} {good}", flush=True)
    return AuthResult(success=good)
Controller(Keep(), hostname="127.0.0.1", port=2525, authenticator=known, auth_required=True, auth_require_tls=False,
    auth_exclude_mechanism=["LOGIN"]).start()  # its challenges are other words than Alertmanager waits for
print("LISTENS", flush=True)
while True: time.sleep(60)
"#;

const OWN_RULES: &str = r#"
groups:
- name: own
  interval: 1s
  rules:
  - alert: ShopIsOpen
    expr: vector(1) > 0
    labels: {severity: warning}
    annotations: {summary: The shop is open}
  - alert: WorthKnowing
    expr: vector(2) > 0
    labels: {severity: info}
"#;

#[test]
fn alerts_reach_people() {
    let mut c = Cluster::prepare(&[]).unwrap_or_else(|e| panic!("{e:#}"));
    let write = |name: &str, text: &str| {
        let path = c.scratch().join(name);
        let dir = path.parent().map(std::fs::create_dir_all);
        assert!(matches!(dir, Some(Ok(()))), "{name}");
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{e}"));
        path.display().to_string()
    };
    let password = write("password", &format!("{PASSWORD}\n"));
    let rules = write("rules/own.yml", OWN_RULES);
    write("rules/bad.yml", &OWN_RULES.replace("vector(1)", "vector(1"));
    let server = write("mail.py", MAIL_SERVER);
    let rules = rules.trim_end_matches("/own.yml").to_owned();
    let mut mail = c.command(python());
    let mail = Background::start({
        mail.args([&server, PASSWORD]);
        mail
    });
    mail.wait_for("LISTENS");
    let by_mail = [
        "--prometheus-scrape-interval=1s",
        "--alertmanager=managed",
        "--smtp-smarthost=127.0.0.1:2525",
        "--smtp-from=site@example.net",
        "--smtp-to=ann@example.net,bob@example.net",
        "--smtp-auth-username=site",
        "--smtp-require-tls=false",
        &format!("--smtp-auth-password-file={password}"),
        &format!("--alert-rules-dir={rules}"),
    ]
    .map(str::to_owned);
    c.extra(&by_mail.each_ref().map(String::as_str));
    c.start_server();
    c.wait_ready();
    timed("own rules", || own_rules(&c));
    timed("mail", || a_mail_comes(&c, &mail));
    timed("silences", || silences(&c));
    timed("secrets", || nothing_tells_the_password(&c));
    timed("own configuration", || {
        a_configuration_of_ones_own(&mut c, &rules);
    });
    timed("off", || switched_off(&mut c));
}

/// What Prometheus answers on port 3000.
fn ask(c: &Cluster, path: &str) -> anyhow::Result<Value> {
    let pki = c.data_dir().join("pki");
    let mut curl = c.command("curl");
    curl.args(["--silent", "--show-error", "--globoff", "--fail-with-body"])
        .args(["--max-time", "20", "--cacert"])
        .arg(pki.join("ca.crt"))
        .arg("--cert")
        .arg(pki.join("admin.pem"))
        .arg(format!("https://127.0.0.1:3000/prometheus/api/v1{path}"));
    let answer: Value = serde_json::from_str(&run(&mut curl)?)?;
    Ok(answer["data"].clone())
}

/// What `minicloud status` says of one of its programs: whether it is well, and why not.
fn component(c: &Cluster, name: &str) -> anyhow::Result<(bool, String)> {
    let said = run(&mut c.minicloud(&["status", "--output", "json"]));
    // It fails when something is not well, and says the same.
    let said = said.or_else(|error| {
        let text = error.to_string();
        let json = text.find('{').map(|at| text[at..].to_owned());
        json.context(text)
    })?;
    let status: Value = serde_json::Deserializer::from_str(&said)
        .into_iter()
        .next()
        .context("no JSON")??;
    let components = status["components"].as_array().context("no components")?;
    let found = components
        .iter()
        .find(|component| component["name"] == name);
    let found = found.with_context(|| format!("no {name} in {status}"))?;
    Ok((found["healthy"] == true, found.to_string()))
}

/// The good file joins the product's rules; the bad one is told of, and costs nothing else.
fn own_rules(c: &Cluster) {
    eventually("the rule is there", Duration::from_secs(60), || {
        let rules = ask(c, "/rules?type=alert")?.to_string();
        ensure!(
            rules.contains("ShopIsOpen") && rules.contains("NodeSilent"),
            "{rules}"
        );
        Ok(())
    });
    let (healthy, said) = component(c, "alert-rules").unwrap_or_else(|e| panic!("{e:#}"));
    assert!(
        !healthy && said.contains("bad.yml") && said.contains("parse error"),
        "{said}"
    );
    assert!(!said.contains("own.yml"), "{said}");
}

fn a_mail_comes(c: &Cluster, mail: &Background) {
    let said = eventually("a mail", Duration::from_secs(90), || {
        let said = mail.said();
        ensure!(
            said.contains("END"),
            "{said}\n{:?}",
            component(c, "alertmanager")
        );
        Ok(said)
    });
    for part in [
        "FROM site@example.net TO ann@example.net bob@example.net",
        "Subject: [edge-1] FIRING 1 ShopIsOpen",
        "The shop is open",
        "https://edge-1:3000/console/alerts",
    ] {
        // Lines of a mail are folded.
        let said = said.replace("=\r\n", "").replace("=\n", "");
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(said.contains("AUTH PLAIN True"), "{said}");
    let (healthy, said) = component(c, "alertmanager").unwrap_or_else(|e| panic!("{e:#}"));
    assert!(healthy, "{said}");
    // It is measured, as the rules about it need, and lets in nobody else.
    eventually("it is measured", Duration::from_secs(20), || {
        let sent = ask(
            c,
            "/query?query=alertmanager_notifications_total%7Bintegration=%22email%22%7D%20%3E%200",
        )?;
        ensure!(
            sent["result"][0]["metric"]["instance"] == "edge-1:9093",
            "{sent}"
        );
        let failed = ask(
            c,
            "/query?query=sum(alertmanager_notifications_failed_total%7Bintegration=%22email%22%7D)",
        )?;
        ensure!(failed["result"][0]["value"][1] == "0", "{failed}");
        Ok(())
    });
    let mut curl = c.command("curl");
    curl.args(["--silent", "--insecure", "--max-time", "5"]);
    curl.arg("https://127.0.0.1:9093/api/v2/alerts");
    assert!(run(&mut curl).is_err(), "without a certificate");
    // Twelve hours lie between two mails about the same, and what is worth knowing only is no mail.
    let said = mail.said();
    assert!(!said.contains("WorthKnowing"), "{said}");
}

/// A silence by who may, and nothing by who may not; `amtool` sees it.
fn silences(c: &Cluster) {
    c.k("create serviceaccount ann");
    let token = c.k("create token ann").trim().to_owned();
    let call = |method: &str, path: &str, body: &str| -> anyhow::Result<(String, Value)> {
        let mut curl = c.command("curl");
        curl.args([
            "--silent",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code}",
        ])
        .arg("--cacert")
        .arg(c.data_dir().join("pki/ca.crt"))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--header", "Content-Type: application/json"])
        .args(["--request", method]);
        if !body.is_empty() {
            curl.args(["--data", body]);
        }
        let said = run(curl.arg(format!("https://127.0.0.1:3000/alertmanager{path}")))?;
        let (body, code) = said.rsplit_once('\n').context("no code")?;
        Ok((
            code.to_owned(),
            serde_json::from_str(body).unwrap_or_default(),
        ))
    };
    let code = |method: &str, path: &str, body: &str| {
        let (code, _) = call(method, path, body).unwrap_or_else(|e| panic!("{e:#}"));
        code
    };
    let now = jiff::Timestamp::now();
    let silence = serde_json::json!({
        "matchers": [{ "name": "alertname", "value": "ShopIsOpen", "isRegex": false, "isEqual": true }],
        "startsAt": now.to_string(), "endsAt": (now + Duration::from_secs(3600)).to_string(),
        "createdBy": "ann", "comment": "it is known",
    })
    .to_string();
    assert_eq!(code("POST", "/api/v2/silences", &silence), "403");
    assert_eq!(code("GET", "/api/v2/alerts", ""), "403");
    c.k("create clusterrolebinding ann --clusterrole=minicloud:alerts-silence --serviceaccount=default:ann");
    let made = eventually("a silence", Duration::from_secs(15), || {
        let (code, made) = call("POST", "/api/v2/silences", &silence)?;
        ensure!(code == "200", "{code}: {made}");
        Ok(made)
    });
    let id = made["silenceID"].as_str().unwrap_or_default();
    eventually("the alert is silenced", Duration::from_secs(10), || {
        let (_, alerts) = call("GET", "/api/v2/alerts?silenced=true&active=false", "")?;
        let alerts = alerts.as_array().cloned().unwrap_or_default();
        ensure!(
            alerts.len() == 1 && alerts[0]["labels"]["alertname"] == "ShopIsOpen",
            "{alerts:?}"
        );
        Ok(())
    });
    let http = c.scratch().join("http.yml");
    let ca = c.data_dir().join("pki/ca.crt");
    let config = format!(
        "authorization: {{credentials: {token}}}\ntls_config: {{ca_file: {}}}\n",
        ca.display()
    );
    std::fs::write(&http, config).unwrap_or_else(|e| panic!("{e}"));
    let mut amtool = c.command("amtool");
    amtool.args([
        "--alertmanager.url=https://127.0.0.1:3000/alertmanager",
        "--http.config.file",
    ]);
    let said = run(amtool.arg(http).args(["silence", "query"])).unwrap_or_else(|e| panic!("{e:#}"));
    assert!(said.contains(id) && said.contains("it is known"), "{said}");
    // Nobody makes alerts, and what is not served says so.
    assert_eq!(code("POST", "/api/v2/alerts", "[]"), "404");
    assert_eq!(code("POST", "/-/reload", ""), "404");
    assert_eq!(code("DELETE", &format!("/api/v2/silence/{id}"), ""), "200");
    let (_, ended) = call("GET", &format!("/api/v2/silence/{id}"), "").unwrap_or_default();
    assert_eq!(ended["status"]["state"], "expired", "{ended}");
}

fn alertmanager(c: &Cluster) -> Option<String> {
    daemon(c, "alertmanager").map(|pid| pid.to_string())
}

fn nothing_tells_the_password(c: &Cluster) {
    let pid = alertmanager(c).unwrap_or_default();
    let files = [
        format!("/proc/{pid}/cmdline"),
        format!("/proc/{pid}/environ"),
        c.run_dir()
            .join("alertmanager/alertmanager.yml")
            .display()
            .to_string(),
        c.log_file().display().to_string(),
        c.data_dir()
            .join("logs/alertmanager.log")
            .display()
            .to_string(),
    ];
    for file in files {
        let text = std::fs::read(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(!String::from_utf8_lossy(&text).contains(PASSWORD), "{file}");
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(status.contains("Uid:\t65530\t65530"), "{status}");
}

/// A bad one is not given to it, and says why; a good one is.
fn a_configuration_of_ones_own(c: &mut Cluster, rules: &str) {
    let pid = alertmanager(c);
    let since = since(c).unwrap_or_else(|e| panic!("{e:#}"));
    let file = c.scratch().join("alertmanager.yml");
    let write = |text: &str| std::fs::write(&file, text).unwrap_or_else(|e| panic!("{e}"));
    let setting = format!("--alertmanager-config-file={}", file.display());
    let rules = format!("--alert-rules-dir={rules}");
    let restart = |c: &mut Cluster| {
        c.stop_server();
        c.extra(&["--alertmanager=managed", &setting, &rules]);
        c.start_server();
        c.wait_ready();
    };
    write("route: {receiver: nobody}\nreceivers: []\n");
    restart(c);
    eventually("it is refused", Duration::from_secs(20), || {
        let (healthy, said) = component(c, "alertmanager")?;
        ensure!(
            !healthy && said.contains("nobody") && said.contains("alertmanager.yml"),
            "{said}"
        );
        Ok(())
    });
    assert_eq!(alertmanager(c), pid, "it goes on with what it had");
    write("route: {receiver: mine}\nreceivers: [{name: mine}]\n");
    restart(c);
    eventually("it is taken", Duration::from_secs(30), || {
        let (healthy, said) = component(c, "alertmanager")?;
        ensure!(healthy, "{said}");
        let read = std::fs::read_to_string(c.run_dir().join("alertmanager/alertmanager.yml"))?;
        ensure!(read.contains("mine"), "{read}");
        Ok(())
    });
    assert_eq!(alertmanager(c), pid, "it was told, not started again");
    // Rules that are taken away when a server starts, and given again, begin anew.
    let now = self::since(c).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(now, since, "the alert has been there all the time");
}

/// Since when the own rule's alert has been there.
fn since(c: &Cluster) -> anyhow::Result<Value> {
    let data = ask(c, "/alerts")?;
    let alerts = data["alerts"].as_array().context("no alerts")?;
    let open = alerts
        .iter()
        .find(|alert| alert["labels"]["alertname"] == "ShopIsOpen");
    let open = open.with_context(|| data.to_string())?;
    Ok(open["activeAt"].clone())
}

fn switched_off(c: &mut Cluster) {
    c.stop_server();
    c.extra(&[]);
    c.start_server();
    c.wait_ready();
    eventually("it is ended", Duration::from_secs(30), || {
        ensure!(alertmanager(c).is_none());
        let there = ask(c, "/alertmanagers")?;
        ensure!(
            there["activeAlertmanagers"]
                .as_array()
                .is_some_and(Vec::is_empty),
            "{there}"
        );
        Ok(())
    });
}
