//! Names of images, as pods give them, made complete (`nginx` means `docker.io/library/nginx:latest`).
//!
//! Follows the grammar of the distribution project, as kubelet and containerd do, so that an image is found under
//! whichever short form it is asked for.

/// The longest repository name, registry included.
const MAX_NAME: usize = 255;

/// Why a text names no image. The words are those Kubernetes users know from `InvalidImageName`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image name {name:?}: {reason}")]
pub struct InvalidReference {
    name: String,
    reason: String,
}

/// Makes a reference complete: registry, `library/` and tag are filled in; of tag and digest together the digest stays.
///
/// ```
/// # use minicloud_containers::images::reference::normalize;
/// assert_eq!(normalize("nginx").unwrap(), "docker.io/library/nginx:latest");
/// assert_eq!(normalize("minicloud.local/x:1").unwrap(), "minicloud.local/x:1");
/// ```
pub fn normalize(name: &str) -> Result<String, InvalidReference> {
    let fail = |reason: &str| InvalidReference {
        name: name.to_owned(),
        reason: reason.to_owned(),
    };
    if name.is_empty() {
        return Err(fail("invalid reference format: the name is empty"));
    }
    if name.len() == 64 && name.bytes().all(is_hex) {
        return Err(fail(
            "invalid repository name, cannot specify 64-byte hexadecimal strings",
        ));
    }
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    // A colon after the last slash begins a tag; one before it belongs to the registry's port.
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (rest, None),
    };
    let (domain, path) = split_domain(repository);
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(fail(&format!(
            "invalid reference format: repository name ({path}) must be lowercase"
        )));
    }
    let sound = is_domain(&domain)
        && path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    if !sound {
        return Err(fail("invalid reference format"));
    }
    if domain.len() + 1 + path.len() > MAX_NAME {
        return Err(fail("repository name must not be more than 255 characters"));
    }
    Ok(match (digest, tag) {
        (Some(digest), _) => format!("{domain}/{path}@{digest}"),
        (None, Some(tag)) => format!("{domain}/{path}:{tag}"),
        (None, None) => format!("{domain}/{path}:latest"),
    })
}

/// Whether the text is an image's id as containerd gives it (`sha256:` and 64 digits), which needs no completion.
pub fn is_image_id(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

fn split_domain(repository: &str) -> (String, String) {
    let (domain, path) = match repository.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => ("docker.io", repository),
    };
    let domain = if domain == "index.docker.io" {
        "docker.io"
    } else {
        domain
    };
    if domain == "docker.io" && !path.contains('/') {
        return (domain.to_owned(), format!("library/{path}"));
    }
    (domain.to_owned(), path.to_owned())
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let host_sound = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
        }
        None => host.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        }),
    };
    host_sound
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Lower-case letters and digits, with single `.`, one or two `_`, or any number of `-` between them.
fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    word(*first)
        && word(*last)
        && bytes.split(|b| word(*b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_as_kubernetes_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let with_digest = |name: &str| format!("{name}@{digest}");
        for (name, expect) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.2", "docker.io/library/nginx:1.2"),
            ("bitnami/nginx", "docker.io/bitnami/nginx:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("minicloud.local/x:1", "minicloud.local/x:1"),
            ("minicloud.io/pause:1", "minicloud.io/pause:1"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/a/b__c-d", "localhost:5000/a/b__c-d:latest"),
            ("Registry/x", "Registry/x:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("a/b/c:v_1.0-x", "docker.io/a/b/c:v_1.0-x"),
        ] {
            assert_eq!(normalize(name).as_deref(), Ok(expect), "{name}");
        }
        assert_eq!(
            normalize(&with_digest("x")),
            Ok(with_digest("docker.io/library/x"))
        );
        assert_eq!(
            normalize(&with_digest("x:1")),
            Ok(with_digest("docker.io/library/x"))
        );
    }

    #[test]
    fn complete_names_stay() {
        for name in ["nginx", "a.b/c/d:1", "localhost/x"] {
            let once = normalize(name).unwrap();
            assert_eq!(normalize(&once).unwrap(), once);
        }
    }

    #[test]
    fn refuses_what_names_no_image() {
        let long = format!("a.b/{}", "x".repeat(255));
        let id = "a".repeat(64);
        for (name, reason) in [
            ("", "empty"),
            ("Nginx", "must be lowercase"),
            ("nginx:", "invalid reference format"),
            (":1", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("/a", "invalid reference format"),
            ("a/", "invalid reference format"),
            ("a b", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("x@sha256:12", "invalid reference format"),
            ("x@md5", "invalid reference format"),
            ("-.a/x", "invalid reference format"),
            ("../../etc/passwd", "invalid reference format"),
            (&long, "255"),
            (&id, "64-byte"),
        ] {
            let error = normalize(name).expect_err(name).to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
    }

    #[test]
    fn ids_are_told_from_names() {
        assert!(is_image_id(&format!("sha256:{}", "0".repeat(64))));
        assert!(!is_image_id("sha256:12"));
        assert!(!is_image_id(&"0".repeat(64)));
    }
}
