//! From what a request asks for to the code that does it.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use minicloud_api::status::ApiStatus;

use crate::api::Api;
use crate::http::limits::Place;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::negotiate;
use crate::path::{ResourceRequest, Target, Verb};
use crate::registry::{Resource, Rules};
use crate::strategy::Part;
use crate::{discovery, extension, health, openapi, subresources, verbs};

/// True for subresources that are streams of bytes to and from a node agent.
pub(crate) fn is_stream(wanted: &ResourceRequest) -> bool {
    wanted.group.is_empty()
        && wanted.resource == "pods"
        && matches!(
            wanted.subresource.as_str(),
            "log" | "exec" | "attach" | "portforward"
        )
}

/// Requests outside the resources.
pub(crate) async fn other(
    api: &Arc<Api>,
    call: &mut Call,
    target: &Target,
) -> Result<Answer, ApiStatus> {
    if call.parts.method != Method::GET && call.parts.method != Method::HEAD {
        return Err(ApiStatus::method_not_allowed());
    }
    let headers = &call.parts.headers;
    match target {
        Target::CoreVersions => discovery::core(api, headers),
        Target::Groups => discovery::groups(api, headers),
        Target::Group(name) => discovery::group(api, headers, name),
        Target::GroupVersion(group, version) => {
            match extension::lists_itself(&api.registry.snapshot(), group, version) {
                true => api.extensions.resources(call, group, version).await,
                false => discovery::resources(api, headers, group, version),
            }
        }
        Target::Other(path) => match path.trim_end_matches('/') {
            "" => discovery::root(api, headers),
            "/metrics" => Ok(health::metrics(api)),
            "/openapi/v2" => openapi::v2(headers),
            "/openapi/v3" => openapi::index(api, headers).await,
            "/.well-known/openid-configuration" => {
                let server = format!("https://{}", api.config.advertise);
                Ok(respond::json(
                    200,
                    &api.config.tokens.openid_configuration(&server),
                ))
            }
            "/openid/v1/jwks" => Ok(respond::json(200, &api.config.tokens.jwks())),
            path => match path.strip_prefix("/openapi/v3/") {
                Some(key) => openapi::document(api, headers, key, &call.query).await,
                None => Ok(respond::no_page()),
            },
        },
        Target::Resource(_) => Err(ApiStatus::internal(
            "a resource request was routed as another",
        )),
    }
}

/// Requests for resources. `permit` is the place of a long request, for as long as its stream lasts.
pub(crate) async fn resource(
    api: &Arc<Api>,
    call: &mut Call,
    wanted: &ResourceRequest,
    body: Bytes,
    permit: Option<Place>,
) -> Result<Answer, ApiStatus> {
    let snapshot = api.registry.snapshot();
    if let Some(group) = snapshot.group(&wanted.group).filter(|g| g.extension) {
        return api.extensions.serve(call, group, wanted, body).await;
    }
    let Some(resource) = snapshot.get(&wanted.group, &wanted.version, &wanted.resource) else {
        return match snapshot.group(&wanted.group) {
            Some(group) if group.versions.iter().any(|(v, _)| *v == wanted.version) => {
                Err(ApiStatus::no_such_path())
            }
            _ => Ok(respond::no_page()),
        };
    };
    check_scope(resource, wanted)?;
    if let Some(custom) = resource.custom()
        && let Some(text) = custom.version.deprecation_warning.clone()
    {
        call.warn(text);
    }
    let (body, warnings) =
        negotiate::json_body(&mut call.parts.headers, resource.is_custom(), body)?;
    for text in warnings {
        call.warn(text);
    }
    if resource.is("", "endpoints") {
        call.warn("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
    }
    if wanted.subresource.is_empty() {
        main(api, call, resource, wanted, body, permit).await
    } else {
        subresource(api, call, resource, wanted, body, permit).await
    }
}

/// Refuses what cannot be asked for where it is asked for.
pub(crate) fn check_scope(resource: &Resource, wanted: &ResourceRequest) -> Result<(), ApiStatus> {
    if resource.namespaced && wanted.namespace.is_empty() {
        // Over all namespaces there is only reading.
        match wanted.verb {
            Verb::List | Verb::Watch if wanted.name.is_empty() => {}
            Verb::Create | Verb::DeleteCollection if wanted.name.is_empty() => {
                return Err(ApiStatus::method_not_allowed());
            }
            _ => return Err(ApiStatus::no_such_path()),
        }
    }
    // A namespace is in itself, so to speak: that is how the right to `/namespaces/N` is asked for. No other may be named there,
    // or rights in one namespace would count for the next.
    let in_itself = resource.is("", "namespaces") && wanted.namespace == wanted.name;
    if !resource.namespaced && !wanted.namespace.is_empty() && !in_itself {
        return Err(ApiStatus::no_such_path());
    }
    Ok(())
}

async fn main(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    body: Bytes,
    permit: Option<Place>,
) -> Result<Answer, ApiStatus> {
    let named = matches!(
        wanted.verb,
        Verb::Get | Verb::Update | Verb::Patch | Verb::Delete
    );
    let fits = wanted.verb == Verb::Watch || named != wanted.name.is_empty();
    if !resource.serves(wanted.verb) || !fits {
        return Err(ApiStatus::method_not_allowed());
    }
    if matches!(resource.rules, Rules::Virtual) {
        return subresources::reviews::create(api, call, resource, wanted, &body);
    }
    match wanted.verb {
        Verb::Get => verbs::get::get(api, call, resource, wanted),
        Verb::List => verbs::list::list(api, call, resource, wanted).await,
        Verb::Watch => verbs::watch::watch(api, call, resource, wanted, permit).await,
        Verb::Create => verbs::create::create(api, call, resource, wanted, &body).await,
        Verb::Update => verbs::update::update(api, call, resource, wanted, &body, Part::Main).await,
        Verb::Patch => verbs::patch::patch(api, call, resource, wanted, &body, Part::Main).await,
        Verb::Delete => verbs::delete::delete(api, call, resource, wanted, &body).await,
        Verb::DeleteCollection => {
            verbs::delete::collection(api, call, resource, wanted, &body).await
        }
    }
}

async fn subresource(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    body: Bytes,
    permit: Option<Place>,
) -> Result<Answer, ApiStatus> {
    let Some(subresource) = resource
        .subresource(&wanted.subresource)
        .filter(|_| wanted.rest.is_empty())
    else {
        return Err(ApiStatus::no_such_path());
    };
    if !subresource.verbs.contains(&wanted.verb.as_str()) {
        return Err(ApiStatus::method_not_allowed());
    }
    match (subresource.name, wanted.verb) {
        ("status", Verb::Get) => verbs::get::get(api, call, resource, wanted),
        ("status", Verb::Update) => {
            verbs::update::update(api, call, resource, wanted, &body, Part::Status).await
        }
        ("status", Verb::Patch) => {
            verbs::patch::patch(api, call, resource, wanted, &body, Part::Status).await
        }
        ("scale", _) => subresources::scale::serve(api, call, resource, wanted, &body).await,
        ("finalize", _) => {
            subresources::finalize::finalize(api, call, resource, wanted, &body).await
        }
        ("binding", _) => subresources::binding::create(api, call, resource, wanted, &body).await,
        ("eviction", _) => subresources::eviction::create(api, call, resource, wanted, &body).await,
        ("token", _) => subresources::token::create(api, call, resource, wanted, &body),
        ("log" | "exec" | "attach" | "portforward", _) => {
            subresources::stream::serve(api, call, resource, wanted, permit).await
        }
        _ => Err(ApiStatus::no_such_path()),
    }
}
