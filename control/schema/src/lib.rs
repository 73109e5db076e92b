//! What is known about the shape of Kubernetes objects: structural schemas, CustomResourceDefinitions, JSONPath, Table
//! rendering, OpenAPI v3 documents, and the protobuf encoding in which some clients send built-in kinds.
//!
//! Everything here is a pure function of JSON values (and, for ages, of a clock that is handed in). The API server calls
//! it; nothing here reads a file, a socket or the time.

pub mod crd;
pub mod jsonpath;
pub mod openapi;
pub mod protobuf;
pub mod structural;
pub mod table;
