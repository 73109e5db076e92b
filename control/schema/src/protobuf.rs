//! Request bodies in Kubernetes' protobuf encoding (`application/vnd.kubernetes.protobuf`), turned into JSON.
//!
//! Clients in Go send built-in kinds this way: `kubectl create namespace`, `kubectl auth can-i` and `kubectl create token`
//! do since 1.32, and never fall back to JSON. They take answers in JSON, so only decoding is needed. The field numbers are
//! a table ([`types`]); a field that the table does not have is reported, not dropped in silence. What Go leaves out of JSON
//! (zero values of fields that are no pointers) is left out here too, so that defaulting sees the same object.

#[cfg(test)]
mod tests;
mod types;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use types::{Field, Flag};
use wire::{Reader, Wire};

/// The media type that [`decode`] reads.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// How deep messages may be nested.
const MAX_DEPTH: usize = 64;
/// How many unknown fields are told at once.
const MAX_UNKNOWN: usize = 50;

/// Why a body cannot be read. For the client: its body is malformed, or of a kind that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    fn at(self, place: &str) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

/// A decoded body.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The object, with `apiVersion` and `kind`.
    pub value: Value,
    /// Fields that are not known, by path and number: `spec.#99`.
    pub unknown: Vec<String>,
}

/// Decodes a body.
///
/// # Errors
/// For a body that is malformed, and for a kind that has no message in the table (custom resources have none in Kubernetes
/// either).
pub fn decode(body: &[u8]) -> Result<Decoded, Error> {
    let Some(rest) = body.strip_prefix(MAGIC) else {
        return Err(Error(
            "the body does not begin as Kubernetes' protobuf encoding does".to_owned(),
        ));
    };
    let mut envelope = Envelope::default();
    envelope.read(rest)?;
    if !envelope.encoding.is_empty() {
        return Err(Error(format!(
            "the content encoding {:?} is not known",
            envelope.encoding
        )));
    }
    let Some(message) = types::of_kind(envelope.api_version, envelope.kind) else {
        return Err(Error(format!(
            "no protobuf message is known for kind {:?} in version {:?}; send JSON",
            envelope.kind, envelope.api_version
        )));
    };
    let mut decoder = Decoder {
        unknown: Vec::new(),
    };
    let mut object = decoder.message(message, envelope.raw, "", 0)?;
    object.insert("apiVersion".to_owned(), envelope.api_version.into());
    object.insert("kind".to_owned(), envelope.kind.into());
    Ok(Decoded {
        value: Value::Object(object),
        unknown: decoder.unknown,
    })
}

/// `runtime.Unknown`.
#[derive(Default)]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
    encoding: &'a str,
}

impl<'a> Envelope<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), Error> {
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match (number, wire) {
                (1, Wire::Bytes(meta)) => {
                    let mut meta = Reader::new(meta);
                    while let Some((number, wire)) = meta.next()? {
                        match number {
                            1 => self.api_version = wire.text()?,
                            2 => self.kind = wire.text()?,
                            _ => {}
                        }
                    }
                }
                (2, wire) => self.raw = wire.bytes()?,
                (3, wire) => self.encoding = wire.text()?,
                _ => {}
            }
        }
        Ok(())
    }
}

struct Decoder {
    unknown: Vec<String>,
}

impl Decoder {
    fn message(
        &mut self,
        name: &str,
        bytes: &[u8],
        path: &str,
        depth: usize,
    ) -> Result<Map<String, Value>, Error> {
        if depth > MAX_DEPTH {
            return Err(Error(format!(
                "{path}: nested deeper than {MAX_DEPTH} levels"
            )));
        }
        let Some(message) = types::message(name) else {
            return Err(Error(format!("{path}: there is no message {name}")));
        };
        let mut object = Map::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next().map_err(|why| why.at(path))? {
            let Some(field) = message.field(number) else {
                if self.unknown.len() < MAX_UNKNOWN {
                    self.unknown.push(join(path, &format!("#{number}")));
                }
                continue;
            };
            self.field(&mut object, &field, wire, path, depth)?;
        }
        Ok(object)
    }

    fn field(
        &mut self,
        object: &mut Map<String, Value>,
        field: &Field<'_>,
        wire: Wire<'_>,
        path: &str,
        depth: usize,
    ) -> Result<(), Error> {
        match field.flag {
            Flag::Inline => {
                let bytes = wire.bytes().map_err(|why| why.at(path))?;
                object.extend(self.message(&field.message_name(), bytes, path, depth + 1)?);
            }
            Flag::List => {
                let list = object
                    .entry(field.name)
                    .or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(list) = list else {
                    return Ok(());
                };
                let here = format!("{}[{}]", join(path, field.name), list.len());
                match (field.kind, wire) {
                    // Numbers may come packed.
                    ("int" | "bool", Wire::Bytes(packed)) => {
                        let mut reader = Reader::new(packed);
                        while !reader.is_empty() {
                            let wire = Wire::Varint(reader.varint().map_err(|why| why.at(&here))?);
                            list.push(self.value(field, wire, &here, depth)?);
                        }
                    }
                    (_, wire) => list.push(self.value(field, wire, &here, depth)?),
                }
            }
            Flag::Map => {
                let map = object
                    .entry(field.name)
                    .or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(map) = map else {
                    return Ok(());
                };
                let here = join(path, field.name);
                let (mut key, mut value) = (String::new(), None);
                let mut entry = Reader::new(wire.bytes().map_err(|why| why.at(&here))?);
                while let Some((number, wire)) = entry.next().map_err(|why| why.at(&here))? {
                    match number {
                        1 => wire
                            .text()
                            .map_err(|why| why.at(&here))?
                            .clone_into(&mut key),
                        2 => value = Some(self.value(field, wire, &here, depth)?),
                        _ => {}
                    }
                }
                let value = match value {
                    Some(value) => value,
                    // A zero value may be left out of an entry.
                    None => self.value(field, Wire::Bytes(&[]), &here, depth)?,
                };
                map.insert(key, value);
            }
            Flag::Kept | Flag::Dropped => {
                let value = self.value(field, wire, &join(path, field.name), depth)?;
                if value.is_null() || (field.flag == Flag::Dropped && is_zero(&value)) {
                    object.remove(field.name);
                } else {
                    object.insert(field.name.to_owned(), value);
                }
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        field: &Field<'_>,
        wire: Wire<'_>,
        path: &str,
        depth: usize,
    ) -> Result<Value, Error> {
        let scalar = match field.kind {
            "string" => wire.text().map(Value::from),
            "bool" => wire.varint().map(|n| (n != 0).into()),
            // Negative numbers of 32 bits are sent as 64.
            "int" => wire.varint().map(|n| n.cast_signed().into()),
            "double" => wire.fixed64().map(|bits| {
                Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
            }),
            "bytes" => wire.bytes().map(|bytes| STANDARD.encode(bytes).into()),
            "time" => wire
                .bytes()
                .and_then(|bytes| time(bytes, minicloud_api::meta::time)),
            "microtime" => wire
                .bytes()
                .and_then(|bytes| time(bytes, minicloud_api::meta::micro_time)),
            "quantity" => wire.bytes().and_then(quantity),
            "int-or-string" => wire.bytes().and_then(int_or_string),
            "json" => wire.bytes().and_then(json),
            "strings" => wire.bytes().and_then(strings),
            _ => {
                let bytes = wire.bytes().map_err(|why| why.at(path))?;
                return self
                    .message(&field.message_name(), bytes, path, depth + 1)
                    .map(Value::Object);
            }
        };
        scalar.map_err(|why| why.at(path))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

/// The varints of a message by number: its fields 1 and 2.
fn two(bytes: &[u8]) -> Result<(Option<u64>, Option<u64>), Error> {
    let (mut first, mut second) = (None, None);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => first = Some(wire.varint()?),
            2 => second = Some(wire.varint()?),
            _ => {}
        }
    }
    Ok((first, second))
}

/// `metav1.Time`: seconds and nanoseconds; nothing at all is no time.
fn time(bytes: &[u8], show: fn(Timestamp) -> String) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (seconds, nanos) = two(bytes)?;
    let seconds = seconds.unwrap_or(0).cast_signed();
    let nanos = i32::try_from(nanos.unwrap_or(0).cast_signed())
        .map_err(|_| Error("nanoseconds out of range".to_owned()))?;
    let at = Timestamp::new(seconds, nanos)
        .map_err(|_| Error(format!("the time {seconds} s is out of range")))?;
    Ok(show(at).into())
}

fn quantity(bytes: &[u8]) -> Result<Value, Error> {
    let mut text = "0";
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            text = wire.text()?;
        }
    }
    Ok(text.into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Error> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    let mut reader = Reader::new(bytes);
    while let Some((field, wire)) = reader.next()? {
        match field {
            1 => is_text = wire.varint()? == 1,
            2 => number = wire.varint()?.cast_signed(),
            3 => text = wire.text()?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// JSON within bytes: RawExtension and FieldsV1.
fn json(bytes: &[u8]) -> Result<Value, Error> {
    let mut raw: &[u8] = &[];
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            raw = wire.bytes()?;
        }
    }
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(raw).map_err(|why| Error(format!("not JSON: {why}")))
}

/// A message that is nothing but a list of strings (ExtraValue).
fn strings(bytes: &[u8]) -> Result<Value, Error> {
    let mut items = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            items.push(Value::from(wire.text()?));
        }
    }
    Ok(items.into())
}
