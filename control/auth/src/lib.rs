//! Who is asking, may they do it, and the keys that prove both.
//!
//! [`pki`] keeps the cluster's own CA and what it issued, [`token`] the service-account tokens, [`authn`] turns a request's
//! credentials into a user, [`authz`] decides what the user may do (RBAC and the node authorizer), [`admission`] holds the
//! admission rules that belong to authorization (node restriction, RBAC escalation), [`bootstrap`] the standard roles.
//! Nothing here talks to the network or to the store: the API server feeds objects in as JSON and asks; the clock is
//! always a parameter. Keys and tokens never appear in `Debug` output or errors.

pub mod admission;
pub mod authn;
pub mod authz;
pub mod bootstrap;
mod json;
pub mod pki;
pub mod token;
