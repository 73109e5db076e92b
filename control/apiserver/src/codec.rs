//! How objects lie in the store, and how they get out without being parsed.
//!
//! A stored value is `{"kind":K,"apiVersion":V,"metadata":{…},…}`: compact JSON in exactly this order and without
//! `resourceVersion`, which is the revision of the store and known only after the write. Because everything up to the
//! metadata is known beforehand, an answer is a head, the revision and the rest of the stored bytes: three copies, no
//! parsing. Only this module may write values, so that the order always holds.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

const METADATA: &[u8] = b"\"metadata\":{";

/// Serialises an object for the store.
pub fn encode(object: &Value) -> Bytes {
    let empty = Map::new();
    let object = object.as_object().unwrap_or(&empty);
    let mut out = Vec::with_capacity(1024);
    let put = |out: &mut Vec<u8>, value: &Value| {
        // Writing to a Vec cannot fail, and values have string keys only.
        let _ = serde_json::to_writer(out, value);
    };
    let text = |key: &str| {
        object
            .get(key)
            .filter(|v| v.is_string())
            .cloned()
            .unwrap_or_else(|| "".into())
    };
    out.extend_from_slice(b"{\"kind\":");
    put(&mut out, &text("kind"));
    out.extend_from_slice(b",\"apiVersion\":");
    put(&mut out, &text("apiVersion"));
    out.push(b',');
    out.extend_from_slice(METADATA);
    if let Some(Value::Object(metadata)) = object.get("metadata") {
        let mut first = true;
        for (key, value) in metadata.iter().filter(|(k, _)| *k != "resourceVersion") {
            if !first {
                out.push(b',');
            }
            first = false;
            let _ = serde_json::to_writer(&mut out, key);
            out.push(b':');
            put(&mut out, value);
        }
    }
    out.push(b'}');
    for (key, value) in object
        .iter()
        .filter(|(k, _)| !matches!(k.as_str(), "kind" | "apiVersion" | "metadata"))
    {
        out.push(b',');
        let _ = serde_json::to_writer(&mut out, key);
        out.push(b':');
        put(&mut out, value);
    }
    out.push(b'}');
    out.into()
}

/// Where the fields of the metadata begin, right after the brace.
fn metadata_start(stored: &[u8]) -> Option<usize> {
    // Kind and apiVersion are in front and hold no quotes, so the first hit is the right one.
    stored
        .windows(METADATA.len())
        .position(|w| w == METADATA)
        .map(|at| at + METADATA.len())
}

/// The bytes before the revision for an object of this kind: `{"kind":K,"apiVersion":V,"metadata":{`.
pub fn head(kind: &str, api_version: &str) -> Bytes {
    let mut head = Vec::with_capacity(80);
    head.extend_from_slice(b"{\"kind\":");
    let _ = serde_json::to_writer(&mut head, kind);
    head.extend_from_slice(b",\"apiVersion\":");
    let _ = serde_json::to_writer(&mut head, api_version);
    head.push(b',');
    head.extend_from_slice(METADATA);
    head.into()
}

/// The bytes before the revision for an item of a list of a built-in kind, which carries neither kind nor apiVersion.
pub const ITEM_HEAD: &[u8] = b"{\"metadata\":{";

/// Appends a stored object to `out` under `head`, with its revision; 0 is an object that was not stored (a dry run).
pub fn render_into(out: &mut BytesMut, head: &[u8], stored: &[u8], revision: u64) {
    let Some(start) = metadata_start(stored) else {
        // Not written by this module: hand it out as it is rather than nothing.
        out.extend_from_slice(stored);
        return;
    };
    let rest = &stored[start..];
    out.reserve(head.len() + rest.len() + 44);
    out.extend_from_slice(head);
    if revision == 0 {
        out.extend_from_slice(rest);
        return;
    }
    out.extend_from_slice(b"\"resourceVersion\":\"");
    put_decimal(out, revision);
    out.put_u8(b'"');
    if rest.first() != Some(&b'}') {
        out.put_u8(b',');
    }
    out.extend_from_slice(rest);
}

/// A stored object as it is answered.
pub fn render(head: &[u8], stored: &[u8], revision: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(head.len() + stored.len() + 48);
    render_into(&mut out, head, stored, revision);
    out.freeze()
}

fn put_decimal(out: &mut BytesMut, number: u64) {
    use std::fmt::Write;
    let _ = write!(out, "{number}");
}

/// Parses a stored object and puts its revision in.
pub fn decode(stored: &[u8], revision: u64) -> Result<Value, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(stored)?;
    set_revision(&mut value, revision);
    Ok(value)
}

/// Sets `metadata.resourceVersion`.
pub fn set_revision(object: &mut Value, revision: u64) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata")
        && revision > 0
    {
        metadata.insert("resourceVersion".into(), revision.to_string().into());
    }
}

/// The labels of a stored object, without parsing anything behind its metadata.
pub fn labels(stored: &[u8]) -> HashMap<Cow<'_, str>, Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow, default)]
        labels: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
    }
    let Some(start) = metadata_start(stored) else {
        return HashMap::new();
    };
    let mut stream =
        serde_json::Deserializer::from_slice(&stored[start - 1..]).into_iter::<Peek<'_>>();
    stream
        .next()
        .and_then(Result::ok)
        .and_then(|p| p.labels)
        .unwrap_or_default()
}

/// The metadata of a stored object, without parsing anything behind it.
pub fn metadata(stored: &[u8], revision: u64) -> Map<String, Value> {
    let Some(start) = metadata_start(stored) else {
        return Map::new();
    };
    let mut stream = serde_json::Deserializer::from_slice(&stored[start - 1..])
        .into_iter::<Map<String, Value>>();
    let mut metadata = stream.next().and_then(Result::ok).unwrap_or_default();
    if revision > 0 {
        metadata.insert("resourceVersion".into(), revision.to_string().into());
    }
    metadata
}

/// Whether a stored object is on its way out.
pub fn is_deleting(stored: &[u8], revision: u64) -> bool {
    metadata(stored, revision).contains_key("deletionTimestamp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_goes_in_comes_out() {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a\"b", "labels": {"app": "x", "q": "\"metadata\":{"}, "resourceVersion": "3"},
            "data": {"k": "v\n"},
        });
        let stored = encode(&object);
        assert!(!stored.windows(15).any(|w| w == b"resourceVersion"));
        let mut expect = object.clone();
        set_revision(&mut expect, 42);
        assert_eq!(decode(&stored, 42).unwrap(), expect);
        let rendered = render(&head("ConfigMap", "v1"), &stored, 42);
        assert_eq!(serde_json::from_slice::<Value>(&rendered).unwrap(), expect);
        let other = render(&head("ConfigMap", "g/v2"), &stored, 42);
        assert_eq!(
            serde_json::from_slice::<Value>(&other).unwrap()["apiVersion"],
            "g/v2"
        );
        let mut item = BytesMut::new();
        render_into(&mut item, ITEM_HEAD, &stored, 42);
        let item: Value = serde_json::from_slice(&item).unwrap();
        assert!(item.get("kind").is_none() && item["data"] == object["data"]);
        assert_eq!(labels(&stored).get("app").map(AsRef::as_ref), Some("x"));
        assert_eq!(metadata(&stored, 7)["resourceVersion"], "7");
    }

    #[test]
    fn odd_values_do_no_harm() {
        for odd in [
            json!(null),
            json!({}),
            json!({"metadata": 5}),
            json!({"metadata": {}}),
        ] {
            let stored = encode(&odd);
            let rendered = render(&head("", ""), &stored, 1);
            assert!(serde_json::from_slice::<Value>(&rendered).is_ok(), "{odd}");
            assert!(labels(&stored).is_empty());
        }
        assert!(labels(b"garbage").is_empty() && metadata(b"", 1).is_empty());
    }
}
