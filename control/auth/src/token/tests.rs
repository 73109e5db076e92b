use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;

use super::*;
use crate::authn::{Authenticator, AuthnError};
use crate::pki::{CertSpec, Pki};

/// A store in which nothing exists.
pub(crate) struct Nothing;

impl BoundObjects for Nothing {
    fn find(&self, _: BoundKind, _: &str, _: &str) -> Option<Found> {
        None
    }
}

type Objects = HashMap<(BoundKind, &'static str), Found>;

/// Objects by kind and `namespace/name`.
struct Stored(Objects);

impl BoundObjects for Stored {
    fn find(&self, kind: BoundKind, namespace: &str, name: &str) -> Option<Found> {
        let path = format!("{namespace}/{name}");
        self.0
            .iter()
            .find(|((k, p), _)| *k == kind && *p == path)
            .map(|(_, found)| found.clone())
    }
}

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn tokens() -> (TempDir, ServiceAccountTokens) {
    let dir = tempfile::tempdir().unwrap();
    let tokens =
        ServiceAccountTokens::open(&dir.path().join("sa"), default_issuer("cluster.local"), &[])
            .unwrap();
    (dir, tokens)
}

fn object(name: &str) -> ObjectRef {
    ObjectRef {
        name: name.into(),
        uid: format!("uid-{name}"),
    }
}

fn found(name: &str) -> Found {
    Found {
        uid: format!("uid-{name}"),
        deleted_at: None,
    }
}

fn spec(tokens: &ServiceAccountTokens) -> TokenSpec {
    TokenSpec {
        namespace: "web".into(),
        service_account: object("app"),
        pod: Some(object("app-1")),
        secret: None,
        node: Some(object("edge")),
        audiences: tokens.api_audiences().to_vec(),
        expiration_seconds: 3600,
    }
}

fn all() -> Objects {
    HashMap::from([
        ((BoundKind::ServiceAccount, "web/app"), found("app")),
        ((BoundKind::Pod, "web/app-1"), found("app-1")),
        ((BoundKind::Secret, "web/s"), found("s")),
        ((BoundKind::Node, "/edge"), found("edge")),
    ])
}

#[test]
fn a_token_names_its_account() {
    let (_dir, tokens) = tokens();
    let issued = tokens.issue(&spec(&tokens), at(NOW)).unwrap();
    assert!(!format!("{issued:?}{tokens:?}").contains(&issued.token));
    let verified = tokens
        .verify(&issued.token, &[], &Stored(all()), at(NOW))
        .unwrap();
    assert_eq!(verified.expires_at, at(NOW + 3600));
    assert_eq!(
        verified.audiences,
        ["https://kubernetes.default.svc.cluster.local"]
    );
    let mut user = verified.user;
    let id = user
        .extra
        .remove("authentication.kubernetes.io/credential-id")
        .unwrap();
    assert!(id[0].starts_with("JTI=") && id[0].len() == 40, "{id:?}");
    expect_test::expect![[r#"{"username":"system:serviceaccount:web:app","uid":"uid-app","groups":["system:serviceaccounts","system:serviceaccounts:web"],"extra":{"authentication.kubernetes.io/node-name":["edge"],"authentication.kubernetes.io/node-uid":["uid-edge"],"authentication.kubernetes.io/pod-name":["app-1"],"authentication.kubernetes.io/pod-uid":["uid-app-1"]}}"#]]
    .assert_eq(&serde_json::to_string(&user).unwrap());
    let claims: Value = serde_json::from_slice(
        &URL_SAFE_NO_PAD
            .decode(issued.token.split('.').nth(1).unwrap())
            .unwrap(),
    )
    .unwrap();
    let mut claims = claims;
    claims["jti"] = "…".into();
    expect_test::expect![[r#"{"aud":["https://kubernetes.default.svc.cluster.local"],"exp":1800003600,"iat":1800000000,"iss":"https://kubernetes.default.svc.cluster.local","jti":"…","kubernetes.io":{"namespace":"web","node":{"name":"edge","uid":"uid-edge"},"pod":{"name":"app-1","uid":"uid-app-1"},"serviceaccount":{"name":"app","uid":"uid-app"}},"nbf":1800000000,"sub":"system:serviceaccount:web:app"}"#]]
    .assert_eq(&claims.to_string());
}

#[test]
fn time_audience_and_objects_are_checked_at_every_use() {
    let (_dir, tokens) = tokens();
    let for_vault = TokenSpec {
        audiences: vec!["vault".into(), "other".into()],
        ..spec(&tokens)
    };
    let bound_to_secret = TokenSpec {
        pod: None,
        node: None,
        secret: Some(object("s")),
        ..spec(&tokens)
    };
    let bound_to_node = TokenSpec {
        pod: None,
        ..spec(&tokens)
    };
    let check = |spec: &TokenSpec,
                 now: i64,
                 audiences: &[&str],
                 change: &dyn Fn(&mut Objects),
                 expected: &str| {
        let token = tokens.issue(spec, at(NOW)).unwrap().token;
        let audiences: Vec<String> = audiences.iter().map(|a| (*a).to_owned()).collect();
        // Once with everything well, so that the second answer does not come from what was remembered.
        let _ = tokens.verify(&token, &audiences, &Stored(all()), at(NOW));
        let mut objects = all();
        change(&mut objects);
        let got = match tokens.verify(&token, &audiences, &Stored(objects), at(now)) {
            Ok(verified) => format!("ok {}", verified.audiences.len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected);
    };
    let own = spec(&tokens);
    let none = |_: &mut HashMap<_, _>| {};
    check(&own, NOW, &[], &none, "ok 1");
    check(&own, NOW + 3660, &[], &none, "ok 1");
    check(
        &own,
        NOW + 3661,
        &[],
        &none,
        "service account token has expired",
    );
    check(&own, NOW - 60, &[], &none, "ok 1");
    check(
        &own,
        NOW - 61,
        &[],
        &none,
        "service account token is not valid yet; check the clocks",
    );
    check(&for_vault, NOW, &["vault"], &none, "ok 1");
    check(&for_vault, NOW, &["other", "vault", "third"], &none, "ok 2");
    check(
        &for_vault,
        NOW,
        &[],
        &none,
        r#"token audiences ["vault", "other"] is invalid for the target audiences ["https://kubernetes.default.svc.cluster.local"]"#,
    );
    let invalid = |what: &str| format!("service account token has been invalidated: its {what}");
    let gone = |key| move |objects: &mut Objects| drop(objects.remove(&key));
    check(
        &own,
        NOW,
        &[],
        &gone((BoundKind::ServiceAccount, "web/app")),
        &invalid("ServiceAccount no longer exists"),
    );
    check(
        &own,
        NOW,
        &[],
        &gone((BoundKind::Pod, "web/app-1")),
        &invalid("Pod no longer exists"),
    );
    // The pod's node is information, not a bond.
    check(&own, NOW, &[], &gone((BoundKind::Node, "/edge")), "ok 1");
    check(
        &bound_to_node,
        NOW,
        &[],
        &gone((BoundKind::Node, "/edge")),
        &invalid("Node no longer exists"),
    );
    check(&bound_to_secret, NOW, &[], &none, "ok 1");
    check(
        &bound_to_secret,
        NOW,
        &[],
        &gone((BoundKind::Secret, "web/s")),
        &invalid("Secret no longer exists"),
    );
    let replaced = |objects: &mut HashMap<_, _>| {
        drop(objects.insert((BoundKind::Pod, "web/app-1"), found("other")))
    };
    check(
        &own,
        NOW,
        &[],
        &replaced,
        &invalid("Pod was replaced by another one of the same name"),
    );
    let deleted = |ago: i64| {
        move |objects: &mut HashMap<_, _>| {
            let found = Found {
                deleted_at: Some(at(NOW - ago)),
                ..found("app-1")
            };
            objects.insert((BoundKind::Pod, "web/app-1"), found);
        }
    };
    check(&own, NOW, &[], &deleted(60), "ok 1");
    check(&own, NOW, &[], &deleted(61), &invalid("Pod was deleted"));
}

#[test]
fn tampered_tokens_are_refused() {
    let (_dir, tokens) = tokens();
    let good = tokens.issue(&spec(&tokens), at(NOW)).unwrap().token;
    let objects = Stored(all());
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let [header, claims, signature]: [&str; 3] =
        good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut other: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    other["sub"] = "system:serviceaccount:kube-system:admin".into();
    let other = encode(other);
    let none = encode(json!({ "alg": "none" }));
    let secret = encode(json!({ "alg": "HS256" }));
    let unknown = encode(json!({ "alg": "ES256", "kid": "x" }));
    let flipped: String = {
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[10] ^= 1;
        URL_SAFE_NO_PAD.encode(bytes)
    };
    for bad in [
        String::new(),
        "abc".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{flipped}"),
        format!("{header}.{other}.{signature}"),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{secret}.{claims}.{signature}"),
        format!("{unknown}.{claims}.{signature}"),
        format!("{good}.{signature}"),
        "x".repeat(1 << 20),
    ] {
        let error = tokens.verify(&bad, &[], &objects, at(NOW)).unwrap_err();
        assert!(matches!(error, VerifyError::Invalid(_)), "{error}");
    }
    // Another cluster's token: its key is not ours.
    let (_other_dir, stranger) = self::tokens();
    let foreign = stranger.issue(&spec(&stranger), at(NOW)).unwrap().token;
    assert!(tokens.verify(&foreign, &[], &objects, at(NOW)).is_err());
    assert!(tokens.verify(&good, &[], &objects, at(NOW)).is_ok());
}

#[test]
fn keys_rotate_and_are_published() {
    let (dir, tokens) = tokens();
    let folder = dir.path().join("sa");
    let token = tokens.issue(&spec(&tokens), at(NOW)).unwrap().token;
    std::fs::rename(
        folder.join("service-account.key"),
        folder.join("service-account-2027.key"),
    )
    .unwrap();
    let rotated = ServiceAccountTokens::open(&folder, tokens.issuer(), &[]).unwrap();
    assert!(rotated.verify(&token, &[], &Stored(all()), at(NOW)).is_ok());
    let jwks = rotated.jwks();
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[1], tokens.jwks()["keys"][0]);
    assert_ne!(keys[0]["kid"], keys[1]["kid"]);
    // What is published verifies what was signed, for anyone.
    let key = &keys[1];
    let text = |field: &str| key[field].as_str().unwrap();
    let public = jsonwebtoken::DecodingKey::from_ec_components(text("x"), text("y")).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.validate_exp = false;
    validation.set_audience(tokens.api_audiences());
    assert!(jsonwebtoken::decode::<Value>(&token, &public, &validation).is_ok());
    std::fs::remove_file(folder.join("service-account-2027.key")).unwrap();
    let without = ServiceAccountTokens::open(&folder, tokens.issuer(), &[]).unwrap();
    assert!(
        without
            .verify(&token, &[], &Stored(all()), at(NOW))
            .is_err()
    );
    std::fs::write(folder.join("service-account-bad.key"), "x").unwrap();
    let error = ServiceAccountTokens::open(&folder, "i", &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("service-account-bad.key") && error.contains("not an ECDSA P-256"),
        "{error}"
    );
    assert_eq!(
        tokens.openid_configuration("https://192.0.2.7:6443/")["jwks_uri"],
        "https://192.0.2.7:6443/openid/v1/jwks"
    );
}

#[test]
fn token_requests() {
    let (_dir, tokens) = tokens();
    let account = json!({ "metadata": { "name": "app", "namespace": "web", "uid": "uid-app" } });
    let objects = |kind: BoundKind, namespace: &str, name: &str| -> Option<Value> {
        let spec = json!({ "serviceAccountName": if name == "alien" { "other" } else { "app" }, "nodeName": "edge" });
        let known = match kind {
            BoundKind::Pod => namespace == "web" && ["app-1", "alien"].contains(&name),
            BoundKind::Secret => (namespace, name) == ("web", "s"),
            BoundKind::Node => (namespace, name) == ("", "edge"),
            BoundKind::ServiceAccount => false,
        };
        known.then(
            || json!({ "metadata": { "name": name, "uid": format!("uid-{name}") }, "spec": spec }),
        )
    };
    let ask = |spec: Value| tokens.request(&account, &json!({ "spec": spec }), &objects, at(NOW));
    let bound = |kind: &str, name: &str, uid: &str| json!({ "boundObjectRef": { "apiVersion": "v1", "kind": kind, "name": name, "uid": uid } });
    let answer = ask(json!({})).unwrap();
    assert_eq!(answer["spec"]["expirationSeconds"], 3600);
    assert_eq!(
        answer["spec"]["audiences"],
        json!(["https://kubernetes.default.svc.cluster.local"])
    );
    assert_eq!(
        answer["status"]["expirationTimestamp"],
        "2027-01-15T09:00:00Z"
    );
    let answer = ask(bound("Pod", "app-1", "uid-app-1")).unwrap();
    let verified = tokens
        .verify(
            answer["status"]["token"].as_str().unwrap(),
            &[],
            &Stored(all()),
            at(NOW),
        )
        .unwrap();
    assert_eq!(
        verified.user.extra["authentication.kubernetes.io/pod-name"],
        ["app-1"]
    );
    assert_eq!(
        verified.user.extra["authentication.kubernetes.io/node-uid"],
        ["uid-edge"]
    );
    for spec in [
        bound("Secret", "s", ""),
        bound("Node", "edge", ""),
        json!({ "expirationSeconds": 600, "audiences": ["a"] }),
    ] {
        assert!(ask(spec).is_ok());
    }
    let refused = |spec: Value, code: u16, expected: &str| {
        let error = ask(spec.clone()).unwrap_err();
        assert!(
            error.code == code && error.message.contains(expected),
            "{spec}: {error:?}"
        );
    };
    refused(
        json!({ "expirationSeconds": 599 }),
        422,
        "may not specify a duration less than 10 minutes",
    );
    refused(
        json!({ "expirationSeconds": 1i64 << 33 }),
        422,
        "may not specify a duration larger than 2^32 seconds",
    );
    refused(
        json!({ "expirationSeconds": "x" }),
        422,
        "spec.expirationSeconds",
    );
    refused(json!({ "audiences": vec!["a"; 33] }), 422, "spec.audiences");
    refused(bound("Pod", "gone", ""), 404, "pods \"gone\" not found");
    refused(
        bound("Pod", "app-1", "uid-old"),
        409,
        "does not match the UID in record",
    );
    refused(
        bound("Pod", "alien", ""),
        400,
        "different serviceaccount name",
    );
    refused(bound("ConfigMap", "c", ""), 400, "cannot bind token");
}

#[test]
fn join_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path().join("a"), at(NOW)).unwrap();
    let other = Pki::open(dir.path().join("b"), at(NOW)).unwrap();
    let token = JoinToken::generate(pki.ca_pin());
    let text = token.reveal();
    assert!(
        text.starts_with("K10")
            && text.contains("::node:")
            && text.len() == 3 + 64 + 2 + 4 + 1 + 32,
        "{text}"
    );
    assert!(!format!("{token:?}").contains(&text[75..]));
    let parsed = JoinToken::parse(&format!(" {text}\n")).unwrap();
    assert_eq!((parsed == token, parsed.user()), (true, "node"));
    assert_eq!(parsed.check_ca(&pki.ca_pem()), Ok(()));
    assert_eq!(
        parsed.check_ca(&other.ca_pem()),
        Err(JoinTokenError::OtherCa)
    );
    assert_eq!(parsed.check_ca("x"), Err(JoinTokenError::BadCa));
    assert!(token.matches(&text) && token.matches(&format!("{text}\n")));
    let pin = "0".repeat(64);
    for bad in [
        "",
        "K10",
        "K10::node:x",
        "K10zz::node:x",
        &format!("K10{pin}:node:x"),
        &format!("K10{pin}::node:"),
        &format!("K10{pin}::node:a b"),
    ] {
        assert_eq!(
            JoinToken::parse(bad),
            Err(JoinTokenError::Malformed),
            "{bad}"
        );
        assert!(!token.matches(bad));
    }
    assert!(!token.matches(&JoinToken::generate(pki.ca_pin()).reveal()));
}

#[test]
fn who_a_request_is_from() {
    let (dir, tokens) = tokens();
    let pki = Pki::open(dir.path().join("pki"), at(NOW)).unwrap();
    let token = tokens.issue(&spec(&tokens), at(NOW)).unwrap().token;
    let authenticator =
        Authenticator::new(&pki.ca_pem(), Arc::new(tokens), Arc::new(Stored(all()))).unwrap();
    let admin = pki
        .issue(
            &CertSpec::client("ann", ["dev", "ops", "system:authors"]),
            at(NOW),
        )
        .unwrap();
    let peer = authenticator
        .peer(&[admin.cert_der().unwrap()], at(NOW))
        .unwrap()
        .unwrap();
    let who = |peer, header: Option<&str>, now: i64| {
        authenticator
            .authenticate(peer, header, at(now))
            .map(|user| (user.username, user.groups.join(" ")))
    };
    let user = |name: &str, groups: &str| Ok((name.to_owned(), groups.to_owned()));
    assert_eq!(
        who(None, None, NOW),
        user("system:anonymous", "system:unauthenticated")
    );
    assert_eq!(
        who(Some(&peer), None, NOW),
        user("ann", "dev ops system:authors system:authenticated")
    );
    let bearer = format!("Bearer {token}");
    let account = user(
        "system:serviceaccount:web:app",
        "system:serviceaccounts system:serviceaccounts:web system:authenticated",
    );
    assert_eq!(who(None, Some(&bearer), NOW), account);
    // The certificate comes first.
    assert_eq!(
        who(Some(&peer), Some(&bearer), NOW),
        user("ann", "dev ops system:authors system:authenticated")
    );
    // A connection may live longer than its certificate.
    assert!(matches!(
        who(Some(&peer), None, NOW + 366 * 24 * 3600),
        Err(AuthnError::Certificate(_))
    ));
    for bad in ["", "Bearer", "Basic eDp5", "Bearer a b"] {
        assert_eq!(who(None, Some(bad), NOW), Err(AuthnError::Header), "{bad}");
    }
    assert!(matches!(
        who(None, Some("Bearer x"), NOW),
        Err(AuthnError::Token(_))
    ));
    // Certificates that are not to be trusted.
    let chain = |identity: &crate::pki::Identity| [identity.cert_der().unwrap()];
    let other = Pki::open(dir.path().join("other"), at(NOW)).unwrap();
    let foreign = other.issue(&CertSpec::admin(), at(NOW)).unwrap();
    let server = pki
        .issue(&CertSpec::api_server(&Default::default()), at(NOW))
        .unwrap();
    let nameless = pki
        .issue(&CertSpec::client("", ["system:masters"]), at(NOW))
        .unwrap();
    for bad in [&foreign, &server, &nameless] {
        assert!(matches!(
            authenticator.peer(&chain(bad), at(NOW)),
            Err(AuthnError::Certificate(_))
        ));
    }
    let expired = authenticator.peer(&chain(&admin), at(NOW + 366 * 24 * 3600));
    assert!(matches!(expired, Err(AuthnError::Certificate(_))));
    assert_eq!(authenticator.peer(&[], at(NOW)), Ok(None));
}
