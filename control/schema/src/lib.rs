//! What is known about the shape of Kubernetes objects: structural schemas, CustomResourceDefinitions, JSONPath, Table
//! rendering and OpenAPI v3 documents.
//!
//! Everything here is a pure function of JSON values (and, for ages, of a clock that is handed in). The API server calls
//! it; nothing here reads a file, a socket or the time.

pub mod crd;
pub mod jsonpath;
pub mod openapi;
pub mod structural;
pub mod table;
