//! Content negotiation: which form of an answer a client wants, and what form its body has.
//!
//! JSON is the only encoding served; bodies of built-in kinds may also come in Kubernetes' protobuf encoding. Kubernetes' parameters choose between the object itself, a Table, its metadata, and for
//! discovery the aggregated documents. An `Accept` that asks for none of these gets 406.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use minicloud_api::status::ApiStatus;
use minicloud_schema::protobuf;

/// The form of an answer about objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Form {
    /// The objects themselves.
    #[default]
    Object,
    /// `meta.k8s.io/v1` Table.
    Table,
    /// `meta.k8s.io/v1` PartialObjectMetadata or its list.
    Metadata,
    /// `apidiscovery.k8s.io/v2` APIGroupDiscoveryList; only discovery offers it.
    AggregatedDiscovery,
}

/// What bodies may be sent as, for messages.
const JSON_ONLY: &[&str] = &["application/json"];

/// One clause of an `Accept` header.
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality_thousandths: u16,
}

fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .take(64)
        .filter_map(|clause| {
            let mut pieces = clause.split(';').map(str::trim);
            let media = pieces.next().filter(|m| !m.is_empty())?;
            let parameters: Vec<(&str, &str)> = pieces
                .filter_map(|p| p.split_once('='))
                .map(|(k, v)| (k.trim(), v.trim().trim_matches('"')))
                .collect();
            let quality = parameters
                .iter()
                .find(|(k, _)| *k == "q")
                .and_then(|(_, v)| v.parse::<f32>().ok())
                .unwrap_or(1.0)
                .clamp(0.0, 1.0);
            Some(Clause {
                media,
                parameters,
                quality_thousandths: (quality * 1000.0) as u16,
            })
        })
        .collect();
    // Stable: equal qualities stay in the client's order.
    clauses.sort_by_key(|c| std::cmp::Reverse(c.quality_thousandths));
    clauses
}

fn is_json(media: &str) -> bool {
    media.eq_ignore_ascii_case("application/json") || media == "*/*" || media == "application/*"
}

/// The first form in the client's order of preference that is among `offered`.
pub fn form(headers: &HeaderMap, offered: &[Form]) -> Result<Form, ApiStatus> {
    let clauses = clauses(headers);
    if clauses.is_empty() {
        return Ok(Form::Object);
    }
    for clause in clauses
        .iter()
        .filter(|c| is_json(c.media) && c.quality_thousandths > 0)
    {
        let get = |name: &str| {
            clause
                .parameters
                .iter()
                .find(|(k, _)| *k == name)
                .map_or("", |(_, v)| *v)
        };
        let form = match (get("as"), get("g"), get("v")) {
            ("", _, _) => Form::Object,
            ("Table", "meta.k8s.io", "v1") => Form::Table,
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
                Form::Metadata
            }
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Form::AggregatedDiscovery,
            _ => continue,
        };
        if offered.contains(&form) {
            return Ok(form);
        }
    }
    Err(ApiStatus::not_acceptable(JSON_ONLY))
}

/// The form for objects of a resource.
pub fn object_form(headers: &HeaderMap) -> Result<Form, ApiStatus> {
    form(headers, &[Form::Object, Form::Table, Form::Metadata])
}

/// The form where only the object itself is offered.
pub fn plain(headers: &HeaderMap) -> Result<(), ApiStatus> {
    form(headers, &[Form::Object]).map(|_| ())
}

/// The media type of a body, lower case and without parameters; empty when the header is absent.
pub fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .map(|v| v.trim().to_ascii_lowercase())
        .unwrap_or_default()
}

/// A body in Kubernetes' protobuf encoding as JSON, with warnings about fields that are not known; any other body as it is.
/// `kubectl create`, `auth can-i` and `create token` send built-in kinds so and never fall back to JSON.
pub fn json_body(
    headers: &mut HeaderMap,
    custom: bool,
    body: Bytes,
) -> Result<(Bytes, Vec<String>), ApiStatus> {
    if custom || body.is_empty() || media_type(headers) != protobuf::MEDIA_TYPE {
        return Ok((body, Vec::new()));
    }
    let decoded = protobuf::decode(&body)
        .map_err(|e| ApiStatus::bad_request(format!("the object provided is unrecognized: {e}")))?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let warnings = decoded
        .unknown
        .iter()
        .map(|field| format!("unknown field {field:?}"))
        .collect();
    Ok((decoded.value.to_string().into(), warnings))
}

/// The format of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge patch.
    Strategic,
}

/// The patch formats that built-in kinds take.
pub const PATCHES_BUILT_IN: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];
/// The patch formats that custom resources take.
pub const PATCHES_CUSTOM: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
];

/// The format of a patch's body; 415 with the list of what the resource takes otherwise.
pub fn patch_type(headers: &HeaderMap, custom: bool) -> Result<PatchType, ApiStatus> {
    match media_type(headers).as_str() {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" if !custom => Ok(PatchType::Strategic),
        _ => Err(ApiStatus::unsupported_media_type(if custom {
            PATCHES_CUSTOM
        } else {
            PATCHES_BUILT_IN
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let check = |accept: &str, expect: Result<Form, u16>| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(
                object_form(&headers).map_err(|e| e.code),
                expect,
                "{accept}"
            );
        };
        check("application/json", Ok(Form::Object));
        check("*/*", Ok(Form::Object));
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Ok(Form::Table),
        );
        check(
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Ok(Form::Object),
        );
        check(
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
            Ok(Form::Metadata),
        );
        check(
            "application/vnd.kubernetes.protobuf,application/json",
            Ok(Form::Object),
        );
        check(
            "application/json;q=0.5, application/json;as=Table;v=v1;g=meta.k8s.io",
            Ok(Form::Table),
        );
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.1, application/json",
            Ok(Form::Object),
        );
        check("application/vnd.kubernetes.protobuf", Err(406));
        check("text/html", Err(406));
        check("application/json;q=0", Err(406));
        check(
            "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io",
            Err(406),
        );
        check(";;;,,=", Err(406));
        assert_eq!(object_form(&HeaderMap::new()), Ok(Form::Object));
    }

    #[test]
    fn patches() {
        let check = |content: &str, custom: bool, expect: Result<PatchType, u16>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content.parse().unwrap());
            assert_eq!(
                patch_type(&headers, custom).map_err(|e| e.code),
                expect,
                "{content}"
            );
        };
        check("application/json-patch+json", true, Ok(PatchType::Json));
        check(
            "application/merge-patch+json; charset=utf-8",
            true,
            Ok(PatchType::Merge),
        );
        check(
            "application/strategic-merge-patch+json",
            false,
            Ok(PatchType::Strategic),
        );
        check("application/strategic-merge-patch+json", true, Err(415));
        check("application/apply-patch+yaml", false, Err(415));
    }
}
