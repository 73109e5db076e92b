//! Request bodies: JSON, or for built-in kinds Kubernetes' protobuf encoding, into a value.

use std::collections::HashSet;
use std::fmt;

use http::HeaderMap;
use minicloud_api::status::ApiStatus;
use minicloud_schema::protobuf;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::negotiate;
use crate::query::FieldValidation;

/// A body that could be read.
#[derive(Debug, PartialEq)]
pub(crate) struct Input {
    pub(crate) value: Value,
    /// What is wrong with it without being an error: repeated JSON fields, unknown protobuf fields.
    pub(crate) oddities: Vec<String>,
}

const ACCEPTED: &[&str] = &["application/json", protobuf::MEDIA_TYPE];
const ACCEPTED_CUSTOM: &[&str] = &["application/json"];

/// Reads the body of a request for an object of `kind`.
pub(crate) fn read(
    headers: &HeaderMap,
    body: &[u8],
    kind: &str,
    custom: bool,
) -> Result<Input, ApiStatus> {
    let unreadable = |why: &dyn fmt::Display| {
        ApiStatus::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; {why}"
        ))
    };
    match negotiate::media_type(headers).as_str() {
        "" | "application/json" => {
            let value = serde_json::from_slice(body)
                .map_err(|e| unreadable(&format!("json parse error: {e}")))?;
            Ok(Input {
                value,
                oddities: Vec::new(),
            })
        }
        protobuf::MEDIA_TYPE if !custom => {
            let decoded = protobuf::decode(body).map_err(|e| unreadable(&e))?;
            let oddities = decoded
                .unknown
                .into_iter()
                .map(|f| format!("unknown field {f:?}"))
                .collect();
            Ok(Input {
                value: decoded.value,
                oddities,
            })
        }
        _ => Err(ApiStatus::unsupported_media_type(if custom {
            ACCEPTED_CUSTOM
        } else {
            ACCEPTED
        })),
    }
}

/// As [`read`], with repeated JSON fields found out as well, which costs a second pass, unless `fieldValidation` does not care.
pub(crate) fn read_for(
    headers: &HeaderMap,
    body: &[u8],
    kind: &str,
    custom: bool,
    validation: FieldValidation,
) -> Result<Input, ApiStatus> {
    let mut input = read(headers, body, kind, custom)?;
    if validation != FieldValidation::Ignore
        && negotiate::media_type(headers) != protobuf::MEDIA_TYPE
    {
        input.oddities.extend(
            duplicates(body)
                .into_iter()
                .map(|field| format!("duplicate field {field:?}")),
        );
    }
    Ok(input)
}

/// Reads a body that may be absent.
pub(crate) fn optional(
    headers: &HeaderMap,
    body: &[u8],
    kind: &str,
) -> Result<Option<Value>, ApiStatus> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    read(headers, body, kind, false).map(|input| Some(input.value))
}

/// The paths of fields that a JSON text gives twice, at most a few.
fn duplicates(body: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // The text has been parsed before, so this cannot fail in a way that matters.
    let _ = Scan {
        path: String::new(),
        found: &mut found,
    }
    .deserialize(&mut deserializer);
    found
}

const DUPLICATES_MAX: usize = 20;

struct Scan<'a> {
    path: String,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() {
                key.clone()
            } else {
                format!("{}.{key}", self.path)
            };
            if !seen.insert(key) && self.found.len() < DUPLICATES_MAX {
                self.found.push(path.clone());
            }
            map.next_value_seed(Scan {
                path,
                found: self.found,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while seq
            .next_element_seed(Scan {
                path: format!("{}[{index}]", self.path),
                found: self.found,
            })?
            .is_some()
        {
            index += 1;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;

    #[test]
    fn repeated_fields_are_found() {
        let check =
            |text: &str, expect: &[&str]| assert_eq!(duplicates(text.as_bytes()), expect, "{text}");
        check("{\"a\":1,\"b\":[{\"c\":1}]}", &[]);
        check("{\"a\":1,\"a\":{\"x\":null,\"x\":true}}", &["a", "a.x"]);
        check("{\"b\":[1,{\"c\":1.5,\"c\":\"\"}]}", &["b[1].c"]);
    }

    #[test]
    fn media_types() {
        let check = |kind: &str, custom: bool, body: &[u8], expect: Result<(), u16>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            let got = read(&headers, body, "Pod", custom)
                .map(|_| ())
                .map_err(|e| e.code);
            assert_eq!(got, expect, "{kind}");
        };
        check("application/json", false, b"{}", Ok(()));
        check("application/json; charset=utf-8", true, b"{}", Ok(()));
        check("application/json", false, b"{", Err(400));
        check(
            "application/vnd.kubernetes.protobuf",
            false,
            b"garbage",
            Err(400),
        );
        check(
            "application/vnd.kubernetes.protobuf",
            true,
            b"garbage",
            Err(415),
        );
        check("text/plain", false, b"{}", Err(415));
    }
}
