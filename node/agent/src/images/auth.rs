//! Registry credentials from `imagePullSecrets`. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use crate::objects::{Data, Resolved};
use crate::pod;
use crate::runtime::RegistryAuth;

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

/// The credentials that fit an image, the closest first.
pub(super) fn for_image(pod: &Pod, objects: &Resolved, image: &str) -> Vec<RegistryAuth> {
    let mut fitting: Vec<(usize, RegistryAuth)> = Vec::new();
    for secret in pod::spec(pod).image_pull_secrets.iter().flatten() {
        let Some(data) = objects.secret(&secret.name) else {
            continue;
        };
        for (server, auth) in read(data) {
            if let Some(length) = fits(&server, image) {
                fitting.push((length, credentials(server, auth)));
            }
        }
    }
    fitting.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    fitting.into_iter().map(|(_, auth)| auth).collect()
}

fn read(data: &Data) -> BTreeMap<String, Auth> {
    let parsed = match data.kind.as_str() {
        "kubernetes.io/dockerconfigjson" => data
            .file(".dockerconfigjson")
            .and_then(|t| serde_json::from_slice::<DockerConfig>(t).ok())
            .map(|c| c.auths),
        "kubernetes.io/dockercfg" => data
            .file(".dockercfg")
            .and_then(|t| serde_json::from_slice(t).ok()),
        _ => None,
    };
    parsed.unwrap_or_default()
}

fn credentials(server: String, auth: Auth) -> RegistryAuth {
    let mut found = RegistryAuth {
        username: auth.username,
        password: auth.password,
        server,
        auth: String::new(),
        identity_token: auth.identitytoken,
        registry_token: auth.registrytoken,
    };
    if found.username.is_empty() {
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(auth.auth.trim())
            .ok();
        match decoded
            .and_then(|d| String::from_utf8(d).ok())
            .as_deref()
            .and_then(|d| d.split_once(':'))
        {
            Some((user, password)) => {
                (found.username, found.password) = (user.to_owned(), password.to_owned())
            }
            None => found.auth = auth.auth,
        }
    }
    found
}

/// How long a part of the image's name the server's entry fits; `None` if it does not.
fn fits(server: &str, image: &str) -> Option<usize> {
    let server = server
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let hub = ["docker.io", "index.docker.io", "registry-1.docker.io"];
    let (host, path) = server.split_once('/').map_or((server, ""), |(h, p)| {
        (h, if p == "v1" || p == "v2" { "" } else { p })
    });
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let named = first.contains(['.', ':']) || first == "localhost";
    let (registry, repository) = if named {
        (first, rest)
    } else {
        ("docker.io", image)
    };
    let same = host == registry
        || (hub.contains(&host) && hub.contains(&registry))
        || host
            .strip_prefix('*')
            .is_some_and(|tail| tail.starts_with('.') && registry.ends_with(tail));
    let beneath = path.is_empty()
        || repository
            .strip_prefix(path)
            .is_some_and(|r| r.is_empty() || r.starts_with(['/', ':', '@']));
    (same && beneath).then_some(path.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn servers_fit_images() {
        let check =
            |server, image, expect| assert_eq!(fits(server, image), expect, "{server} {image}");
        check("https://index.docker.io/v1/", "nginx", Some(0));
        check("docker.io", "library/nginx:1", Some(0));
        check("ghcr.io", "nginx", None);
        check("ghcr.io", "ghcr.io/a/b", Some(0));
        check("ghcr.io/a", "ghcr.io/a/b", Some(1));
        check("ghcr.io/a", "ghcr.io/ab/b", None);
        check("*.example.org", "r.example.org/x", Some(0));
        check("localhost:5000", "localhost:5000/x", Some(0));
    }

    #[test]
    fn the_closest_comes_first() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {"containers": [], "imagePullSecrets": [{"name": "s"}, {"name": "none"}]}}))
            .expect("a pod");
        let text = r#"{"auths": {"r.org": {"auth": "dTpwOnE="}, "r.org/team": {"username": "t", "password": "x"}, "other": {}}}"#;
        let data = Data {
            text: [(".dockerconfigjson".to_owned(), text.as_bytes().to_vec())].into(),
            kind: "kubernetes.io/dockerconfigjson".into(),
            ..Data::default()
        };
        let mut objects = Resolved::default();
        objects.insert(true, "s", Some(Arc::new(data)));
        let found = for_image(&pod, &objects, "r.org/team/app:1");
        let users: Vec<_> = found
            .iter()
            .map(|a| (a.username.as_str(), a.password.as_str()))
            .collect();
        assert_eq!(users, [("t", "x"), ("u", "p:q")]);
        assert!(!format!("{found:?}").contains("p:q"), "no secret in a log");
    }
}
