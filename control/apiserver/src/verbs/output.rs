//! One object as an answer, in the form that the client asked for.

use bytes::Bytes;
use jiff::Timestamp;
use minicloud_api::status::ApiStatus;
use minicloud_schema::table;
use serde_json::{Map, Value, json};

use crate::codec;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::negotiate::{self, Form};
use crate::objects;
use crate::query::Query;
use crate::registry::Resource;

/// Answers with a stored object. A `revision` of 0 is an object that was not stored (a dry run).
pub(crate) fn object(
    call: &Call,
    resource: &Resource,
    code: u16,
    stored: &[u8],
    revision: u64,
) -> Result<Answer, ApiStatus> {
    let form = negotiate::object_form(&call.parts.headers)?;
    Ok(respond::json_bytes(
        code,
        bytes(resource, form, &call.query, stored, revision, true)?,
    ))
}

/// A stored object in a form, serialised. `headers` is for tables: whether the columns are defined.
pub(crate) fn bytes(
    resource: &Resource,
    form: Form,
    query: &Query,
    stored: &[u8],
    revision: u64,
    headers: bool,
) -> Result<Bytes, ApiStatus> {
    match form {
        Form::Metadata => {
            let metadata = Value::Object(codec::metadata(stored, revision));
            Ok(partial(metadata).to_string().into())
        }
        Form::Table => {
            let value = value(resource, stored, revision)?;
            Ok(resource
                .columns
                .object(&value, &table_options(query, headers)?)
                .to_string()
                .into())
        }
        Form::Object | Form::AggregatedDiscovery if resource.reshapes(revision) => {
            Ok(value(resource, stored, revision)?.to_string().into())
        }
        Form::Object | Form::AggregatedDiscovery => {
            Ok(codec::render(&resource.head, stored, revision))
        }
    }
}

/// A stored object, parsed and converted to the row's version.
pub(crate) fn value(resource: &Resource, stored: &[u8], revision: u64) -> Result<Value, ApiStatus> {
    let mut value = objects::decode(resource, stored, revision)?;
    if resource.converts_events {
        crate::subresources::events::from_core(&mut value);
    }
    Ok(value)
}

/// `PartialObjectMetadata` around a metadata object.
pub(crate) fn partial(metadata: Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

/// How the client wants tables.
pub(crate) fn table_options(query: &Query, headers: bool) -> Result<table::Options, ApiStatus> {
    let include = query.get("includeObject").unwrap_or_default();
    let include = table::IncludeObject::from_query(include).ok_or_else(|| {
        ApiStatus::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {include:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        ))
    })?;
    Ok(table::Options {
        include,
        headers,
        now: Timestamp::now(),
    })
}

/// `Status` of success, as a delete answers.
pub(crate) fn success(resource: &Resource, name: &str, uid: &str) -> Answer {
    let mut details = Map::new();
    details.insert("name".into(), name.into());
    if !resource.group.is_empty() {
        details.insert("group".into(), resource.group.clone().into());
    }
    details.insert("kind".into(), resource.plural.clone().into());
    if !uid.is_empty() {
        details.insert("uid".into(), uid.into());
    }
    respond::json(
        200,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
    )
}
