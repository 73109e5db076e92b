use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use rustls::{ClientConnection, ServerConnection};
use rustls_pki_types::ServerName;
use tempfile::TempDir;

use super::*;
use crate::authn;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 3600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn pki() -> (TempDir, Pki) {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path().join("pki"), at(NOW)).unwrap();
    (dir, pki)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_private_and_starts_change_nothing() {
    let (_dir, pki) = pki();
    let admin = pki.ensure("admin", &CertSpec::admin(), at(NOW)).unwrap();
    assert_eq!(
        [
            mode(pki.dir()),
            mode(&pki.dir().join("ca.key")),
            mode(&pki.dir().join("ca.crt"))
        ],
        [0o700, 0o600, 0o644]
    );
    assert_eq!(mode(&pki.dir().join("admin.pem")), 0o600);
    let again = Pki::open(pki.dir(), at(NOW + DAY)).unwrap();
    assert_eq!(
        (again.ca_pem(), again.ca_pin()),
        (pki.ca_pem(), pki.ca_pin())
    );
    let same = again
        .ensure("admin", &CertSpec::admin(), at(NOW + DAY))
        .unwrap();
    assert_eq!(
        (same.cert_pem, same.not_after),
        (admin.cert_pem.clone(), admin.not_after)
    );
    let ends = again.ends();
    assert_eq!(ends["admin"], admin.not_after);
    assert!(ends["ca"] > admin.not_after);
    let left_over = std::fs::read_dir(pki.dir()).unwrap().count();
    assert_eq!(left_over, 3, "temporary files are gone");
    let shown = format!("{admin:?} {pki:?}");
    assert!(
        !shown.contains("PRIVATE") && !shown.contains(&admin.key_pem[30..60]),
        "{shown}"
    );
}

#[test]
fn when_a_certificate_is_issued_again() {
    let names = ServerNames {
        hostname: "edge".into(),
        cluster_domain: "cluster.local".into(),
        ..ServerNames::default()
    };
    let moved = ServerNames {
        advertise_addresses: vec!["192.0.2.7".parse().unwrap()],
        ..names.clone()
    };
    let (spec, other) = (CertSpec::api_server(&names), CertSpec::api_server(&moved));
    let check = |spec: &CertSpec, now: i64, spoil: &dyn Fn(&Path), expect_same: bool| {
        let (_dir, pki) = pki();
        let first = pki
            .ensure("x", &CertSpec::api_server(&names), at(NOW))
            .unwrap();
        spoil(&pki.dir().join("x.pem"));
        let second = pki.ensure("x", spec, at(now)).unwrap();
        assert_eq!(first.cert_pem == second.cert_pem, expect_same, "at {now}");
        let third = pki.ensure("x", spec, at(now)).unwrap();
        assert_eq!(second.cert_pem, third.cert_pem, "the new one stays");
    };
    let fine = |_: &Path| {};
    check(&spec, NOW, &fine, true);
    check(&spec, NOW + 365 * DAY * 2 / 3 - DAY, &fine, true);
    check(&spec, NOW + 365 * DAY * 2 / 3 + DAY, &fine, false);
    check(&spec, NOW + 400 * DAY, &fine, false);
    // The clock was ahead when it was issued.
    check(&spec, NOW - DAY / 2, &fine, true);
    check(&spec, NOW - 2 * DAY, &fine, false);
    // A machine without a clock of its own: the clock is wrong, not the certificate.
    check(&spec, 60, &fine, true);
    // Another address, another use.
    check(&other, NOW, &fine, false);
    check(
        &CertSpec {
            usage: Usage::Both,
            ..spec.clone()
        },
        NOW,
        &fine,
        false,
    );
    check(
        &CertSpec {
            organizations: vec!["a".into(), "b".into()],
            ..spec.clone()
        },
        NOW,
        &fine,
        false,
    );
    // Damage.
    check(&spec, NOW, &|path| std::fs::write(path, "").unwrap(), false);
    check(
        &spec,
        NOW,
        &|path| std::fs::remove_file(path).unwrap(),
        false,
    );
    check(
        &spec,
        NOW,
        &|path| {
            let text = std::fs::read_to_string(path).unwrap();
            std::fs::write(path, &text[..text.len() - 40]).unwrap();
        },
        false,
    );
    // Another CA issued it.
    let foreign = pki().1.issue(&spec, at(NOW)).unwrap().to_pem();
    check(
        &spec,
        NOW,
        &|path| std::fs::write(path, &foreign).unwrap(),
        false,
    );
    // Certificate of one, key of another.
    let stranger = pki().1.issue(&spec, at(NOW)).unwrap().key_pem;
    check(
        &spec,
        NOW,
        &|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let key = text.find("-----BEGIN PRIVATE").unwrap();
            std::fs::write(path, format!("{}{stranger}", &text[..key])).unwrap();
        },
        false,
    );
}

#[test]
fn a_clock_in_1970_founds_a_ca_that_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let early = Pki::open(dir.path(), at(100)).unwrap();
    let serving = early
        .ensure(
            "server",
            &CertSpec::api_server(&ServerNames::default()),
            at(100),
        )
        .unwrap();
    // Then the network brings the time.
    let now = at(NOW);
    let late = Pki::open(dir.path(), now).unwrap();
    assert_eq!(late.ca_pem(), early.ca_pem());
    let renewed = late
        .ensure(
            "server",
            &CertSpec::api_server(&ServerNames::default()),
            now,
        )
        .unwrap();
    assert!(renewed.not_after > now);
    assert!(
        serving.not_after > at(1_790_000_000),
        "counted from a sane date: {}",
        serving.not_after
    );
}

#[test]
fn the_ca_renews_with_its_key_and_its_name() {
    let (_dir, old) = pki();
    let agent = old.issue(&CertSpec::node("edge"), at(NOW)).unwrap();
    let later = at(NOW + 7 * 365 * DAY);
    let new = Pki::open(old.dir(), later).unwrap();
    assert_ne!(new.ca_pem(), old.ca_pem());
    assert_eq!(new.ca_pin(), old.ca_pin());
    // What the old certificate issued is still good for those who know the new one only.
    let tokens = crate::token::ServiceAccountTokens::open(&old.dir().join("sa"), "i", &[]).unwrap();
    let authenticator = authn::Authenticator::new(
        &new.ca_pem(),
        std::sync::Arc::new(tokens),
        std::sync::Arc::new(crate::token::tests::Nothing),
    )
    .unwrap();
    let peer = authenticator
        .peer(&[agent.cert_der().unwrap()], at(NOW))
        .unwrap()
        .unwrap();
    assert_eq!(peer.user().node_name(), Some("edge"));
}

#[test]
fn a_broken_ca_is_an_error_and_never_replaced() {
    let check = |spoil: &dyn Fn(&Path), expected: &str| {
        let (_dir, pki) = pki();
        spoil(pki.dir());
        let error = Pki::open(pki.dir(), at(NOW)).unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains("restore"),
            "{error}"
        );
    };
    check(
        &|dir| std::fs::remove_file(dir.join("ca.key")).unwrap(),
        "missing, while ca.crt is there",
    );
    check(
        &|dir| std::fs::write(dir.join("ca.key"), "x").unwrap(),
        "not a private key",
    );
    check(
        &|dir| std::fs::write(dir.join("ca.crt"), "x").unwrap(),
        "not a certificate",
    );
    let other = pki().1.ca_pem();
    check(
        &|dir| std::fs::write(dir.join("ca.crt"), &other).unwrap(),
        "does not belong to ca.key",
    );
    // A crash between the two files of the first start: the certificate is made then.
    let (_dir, pki) = pki();
    std::fs::remove_file(pki.dir().join("ca.crt")).unwrap();
    assert_eq!(
        Pki::open(pki.dir(), at(NOW)).unwrap().ca_pin(),
        pki.ca_pin()
    );
}

#[test]
fn a_request_gets_no_more_than_it_was_granted() {
    let (_dir, pki) = pki();
    let key = new_key("test").unwrap();
    let mut asks = rcgen::CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    asks.distinguished_name
        .push(rcgen::DnType::OrganizationName, "system:masters");
    asks.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let request = asks.serialize_request(&key).unwrap().pem().unwrap();
    let signed = pki
        .sign_request(&request, &CertSpec::node("edge"), at(NOW))
        .unwrap();
    let identity = Identity {
        cert_pem: signed,
        key_pem: key.serialize_pem(),
        not_after: at(0),
        renew_at: at(0),
    };
    // `ensure` accepts it as exactly what the specification says.
    std::fs::write(pki.dir().join("edge.pem"), identity.to_pem()).unwrap();
    let kept = pki
        .ensure("edge", &CertSpec::node("edge"), at(NOW))
        .unwrap();
    assert_eq!(kept.cert_pem, identity.cert_pem);
    let spoiled = request.replace('A', "B");
    for bad in [
        "",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        &spoiled,
    ] {
        assert!(
            pki.sign_request(bad, &CertSpec::node("edge"), at(NOW))
                .is_err()
        );
    }
}

/// Shakes hands in memory and sends one byte each way; the error of either side.
fn handshake(
    server: std::sync::Arc<rustls::ServerConfig>,
    client: std::sync::Arc<rustls::ClientConfig>,
    name: &str,
) -> Result<(usize, Option<Vec<u8>>), String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    client.writer().write_all(b"x").unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server
                .process_new_packets()
                .map_err(|e| format!("server: {e}"))?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client
                .process_new_packets()
                .map_err(|e| format!("client: {e}"))?;
        }
    }
    let mut byte = [0];
    assert_eq!(server.reader().read(&mut byte).unwrap(), 1);
    let chain = server.peer_certificates().map_or(0, <[_]>::len);
    Ok((chain, client.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn tls_with_issued_certificates() {
    // rustls takes the time from the system here.
    let now = Timestamp::now();
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path(), now).unwrap();
    let names = ServerNames {
        hostname: "edge".into(),
        cluster_domain: "cluster.local".into(),
        service_ip: Some("10.43.0.1".parse().unwrap()),
        advertise_addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        extra_names: vec!["mini.example".into()],
    };
    let serving =
        ServingCert::new(&pki.issue(&CertSpec::api_server(&names), now).unwrap()).unwrap();
    let server = |required| {
        server_config(
            serving.clone(),
            &pki.ca_pem(),
            required,
            &["h2", "http/1.1"],
        )
        .unwrap()
    };
    let anonymous = client_config(&pki.ca_pem(), None, &["h2"]).unwrap();
    for name in [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "edge",
        "mini.example",
        "127.0.0.1",
        "::1",
        "10.43.0.1",
        "192.0.2.7",
        "2001:db8::7",
    ] {
        assert_eq!(
            handshake(server(false), anonymous.clone(), name),
            Ok((0, Some(b"h2".to_vec()))),
            "{name}"
        );
    }
    let refused = |server, client, name: &str, expected: &str| {
        let error = handshake(server, client, name).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused(
        server(false),
        anonymous.clone(),
        "other.example",
        "client: invalid peer certificate",
    );
    refused(
        server(true),
        anonymous,
        "localhost",
        "server: peer sent no certificates",
    );
    let admin = pki.issue(&CertSpec::admin(), now).unwrap();
    let client = client_config(&pki.ca_pem(), Some(&admin), &["h2"]).unwrap();
    assert_eq!(
        handshake(server(true), client, "localhost").map(|(chain, _)| chain),
        Ok(1)
    );
    // Another cluster's certificate, and a server's certificate used by a client.
    let other_dir = tempfile::tempdir().unwrap();
    let other = Pki::open(other_dir.path(), now).unwrap();
    let stranger = other.issue(&CertSpec::admin(), now).unwrap();
    let client = client_config(&pki.ca_pem(), Some(&stranger), &[]).unwrap();
    refused(
        server(false),
        client,
        "localhost",
        "server: invalid peer certificate",
    );
    let wrong_use = pki.issue(&CertSpec::api_server(&names), now).unwrap();
    let client = client_config(&pki.ca_pem(), Some(&wrong_use), &[]).unwrap();
    refused(
        server(false),
        client,
        "localhost",
        "server: invalid peer certificate",
    );
    // A client that trusts another CA.
    refused(
        server(false),
        client_config(&other.ca_pem(), None, &[]).unwrap(),
        "localhost",
        "client: invalid peer certificate",
    );
    // A renewal while serving.
    let agent = pki
        .issue(
            &CertSpec::agent_server("other", &ServerNames::default()),
            now,
        )
        .unwrap();
    serving.replace(&agent).unwrap();
    let anonymous = client_config(&pki.ca_pem(), None, &[]).unwrap();
    assert!(handshake(server(false), anonymous, "other").is_ok());
}

#[test]
fn a_kubeconfig_holds_everything() {
    let (_dir, pki) = pki();
    let admin = pki.issue(&CertSpec::admin(), at(NOW)).unwrap();
    let text = kubeconfig(
        "edge",
        "https://127.0.0.1:6443",
        &pki.ca_pem(),
        "kubernetes-admin",
        &admin,
    );
    let shape: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("-data: ") {
            Some((key, data)) => {
                format!("{key}-data: {}", if data.len() > 200 { "…" } else { data })
            }
            None => line.to_owned(),
        })
        .collect();
    expect_test::expect![[r#"
        apiVersion: v1
        kind: Config
        current-context: "kubernetes-admin@edge"
        clusters:
        - name: "edge"
          cluster:
            server: "https://127.0.0.1:6443"
            certificate-authority-data: …
        contexts:
        - name: "kubernetes-admin@edge"
          context:
            cluster: "edge"
            user: "kubernetes-admin"
        users:
        - name: "kubernetes-admin"
          user:
            client-certificate-data: …
            client-key-data: …
        preferences: {}"#]]
    .assert_eq(&shape.join("\n"));
}
