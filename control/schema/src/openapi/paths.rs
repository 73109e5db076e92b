//! Paths and operations of a resource.

use serde_json::{Map, Value, json};

use super::{ResourceInfo, SchemaSource, Schemas, SubresourceInfo, gvk, index_key, reference};

/// An operation on a resource, as `x-kubernetes-action` names it.
#[derive(Clone, Copy, PartialEq)]
enum Action {
    List,
    Get,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    Connect,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::Create => "post",
            Self::Update => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Connect => "connect",
        }
    }

    /// The method, and the first word of operation ids.
    fn method(self) -> (&'static str, &'static str) {
        match self {
            Self::List => ("get", "list"),
            Self::Get => ("get", "read"),
            Self::Create => ("post", "create"),
            Self::Update => ("put", "replace"),
            Self::Patch => ("patch", "patch"),
            Self::Delete | Self::DeleteCollection => ("delete", "delete"),
            Self::Connect => ("get", "connect"),
        }
    }

    fn of(verb: &str) -> Option<Self> {
        Some(match verb {
            "list" => Self::List,
            "get" => Self::Get,
            "create" => Self::Create,
            "update" => Self::Update,
            "patch" => Self::Patch,
            "delete" => Self::Delete,
            "deletecollection" => Self::DeleteCollection,
            _ => return None,
        })
    }

    fn parameters(self) -> Vec<Value> {
        const READ: &[&str] = &[
            "continue",
            "fieldSelector",
            "labelSelector",
            "limit",
            "resourceVersion",
            "resourceVersionMatch",
            "sendInitialEvents",
            "timeoutSeconds",
        ];
        const WATCH: &[&str] = &["allowWatchBookmarks", "watch"];
        const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
        const DELETE: &[&str] = &[
            "dryRun",
            "gracePeriodSeconds",
            "orphanDependents",
            "propagationPolicy",
        ];
        let names: &[&[&str]] = match self {
            Self::List => &[READ, WATCH],
            Self::Create | Self::Update | Self::Patch => &[WRITE],
            Self::Delete => &[DELETE],
            Self::DeleteCollection => &[READ, DELETE],
            Self::Get | Self::Connect => &[],
        };
        names
            .iter()
            .flat_map(|names| names.iter())
            .map(|name| query(name))
            .collect()
    }
}

fn query(name: &str) -> Value {
    let (kind, description) = match name {
        "allowWatchBookmarks" => ("boolean", "Send events of type BOOKMARK in a watch."),
        "continue" => ("string", "The token of the next part of a list."),
        "dryRun" => ("string", "'All': do everything but store the result."),
        "fieldManager" => (
            "string",
            "The name of who makes the change, for managed fields.",
        ),
        "fieldSelector" => ("string", "Only objects whose fields have these values."),
        "fieldValidation" => (
            "string",
            "What to do about unknown and duplicate fields: 'Ignore', 'Warn' or 'Strict'.",
        ),
        "gracePeriodSeconds" => ("integer", "How many seconds the object may take to end."),
        "labelSelector" => ("string", "Only objects with these labels."),
        "limit" => ("integer", "The most objects to give at once."),
        "orphanDependents" => ("boolean", "Deprecated: use propagationPolicy."),
        "pretty" => ("string", "'true': print the answer for people."),
        "propagationPolicy" => (
            "string",
            "What becomes of dependents: 'Orphan', 'Background' or 'Foreground'.",
        ),
        "resourceVersion" => ("string", "How old the answer may be."),
        "resourceVersionMatch" => (
            "string",
            "How resourceVersion is meant: 'NotOlderThan' or 'Exact'.",
        ),
        "sendInitialEvents" => ("boolean", "Begin a watch with the objects that there are."),
        "timeoutSeconds" => ("integer", "How long the request may take."),
        "watch" => ("boolean", "Stream changes instead of giving a list."),
        _ => ("string", ""),
    };
    json!({"name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": true}})
}

fn path_parameter(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": {"type": "string", "uniqueItems": true}})
}

/// Adds the paths of `resource`, whose definition is `name` and whose list is `list`.
pub(super) fn add(
    paths: &mut Map<String, Value>,
    group: &str,
    version: &str,
    resource: &ResourceInfo<'_>,
    name: &str,
    list: Option<&str>,
    schemas: &mut Schemas,
) {
    let base = format!("/{}", index_key(group, version));
    let scope = if resource.namespaced {
        format!("{base}/namespaces/{{namespace}}")
    } else {
        base.clone()
    };
    let mut common = vec![query("pretty")];
    if resource.namespaced {
        common.insert(
            0,
            path_parameter("namespace", "The namespace of the objects."),
        );
    }
    let maker = Maker {
        group,
        version,
        resource,
    };
    let actions: Vec<Action> = resource
        .verbs
        .iter()
        .filter_map(|verb| Action::of(verb))
        .collect();

    let mut collection = Map::new();
    let mut item = Map::new();
    for action in actions {
        let answer = match action {
            Action::List => list.unwrap_or(name).to_owned(),
            Action::Delete | Action::DeleteCollection => schemas.meta("Status"),
            _ => name.to_owned(),
        };
        let body = maker.body(action, name, schemas);
        let operation = maker.operation(action, None, &answer, body);
        let on_collection = matches!(
            action,
            Action::List | Action::Create | Action::DeleteCollection
        );
        let target = if on_collection {
            &mut collection
        } else {
            &mut item
        };
        target.insert(action.method().0.to_owned(), operation);
    }
    if resource.namespaced
        && let Some(list_all) = collection.get("get")
    {
        let mut all = list_all.clone();
        all["operationId"] = format!("list{}{}ForAllNamespaces", maker.tag(), resource.kind).into();
        all["description"] = format!(
            "List or watch objects of kind {}, in all namespaces",
            resource.kind
        )
        .into();
        paths.insert(
            format!("{base}/{}", resource.plural),
            json!({"get": all, "parameters": [query("pretty")]}),
        );
    }
    if !collection.is_empty() {
        collection.insert("parameters".to_owned(), common.clone().into());
        paths.insert(format!("{scope}/{}", resource.plural), collection.into());
    }
    common.push(path_parameter(
        "name",
        &format!("The name of the {}.", resource.kind),
    ));
    let item_path = format!("{scope}/{}/{{name}}", resource.plural);
    if !item.is_empty() {
        item.insert("parameters".to_owned(), common.clone().into());
        paths.insert(item_path.clone(), item.into());
    }
    for sub in &resource.subresources {
        let mut operations = maker.subresource(sub, name, schemas);
        operations.insert("parameters".to_owned(), common.clone().into());
        paths.insert(format!("{item_path}/{}", sub.name), operations.into());
    }
}

struct Maker<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a ResourceInfo<'a>,
}

impl Maker<'_> {
    /// `CoreV1`, `RbacAuthorizationV1`.
    fn tag(&self) -> String {
        let group = if self.group.is_empty() {
            "core"
        } else {
            self.group.trim_end_matches(".k8s.io")
        };
        let camel = |word: &str| {
            let mut chars = word.chars();
            chars
                .next()
                .map(|first| first.to_uppercase().chain(chars).collect::<String>())
                .unwrap_or_default()
        };
        group
            .split(['.', '-'])
            .chain([self.version])
            .map(camel)
            .collect()
    }

    fn body(&self, action: Action, name: &str, schemas: &mut Schemas) -> Option<Value> {
        let content = |media: &[&str], definition: &str| {
            let content: Map<String, Value> = media
                .iter()
                .map(|media| {
                    (
                        (*media).to_owned(),
                        json!({"schema": reference(definition)}),
                    )
                })
                .collect();
            json!({"content": content})
        };
        match action {
            Action::Create | Action::Update => {
                let mut body = content(&["application/json"], name);
                body["required"] = true.into();
                Some(body)
            }
            Action::Patch => {
                let mut media = vec![
                    "application/json-patch+json",
                    "application/merge-patch+json",
                ];
                if matches!(self.resource.schema, SchemaSource::Builtin) {
                    media.push("application/strategic-merge-patch+json");
                }
                let mut body = content(&media, &schemas.meta("Patch"));
                body["required"] = true.into();
                Some(body)
            }
            Action::Delete | Action::DeleteCollection => Some(content(
                &["application/json"],
                &schemas.meta("DeleteOptions"),
            )),
            Action::List | Action::Get | Action::Connect => None,
        }
    }

    fn operation(
        &self,
        action: Action,
        sub: Option<&SubresourceInfo<'_>>,
        answer: &str,
        body: Option<Value>,
    ) -> Value {
        let kind = self.resource.kind;
        let what = match (action, sub) {
            (Action::List, _) => format!("List or watch objects of kind {kind}"),
            (Action::Get, None) => format!("Read a {kind}"),
            (Action::Create, None) => format!("Create a {kind}"),
            (Action::Update, None) => format!("Replace a {kind}"),
            (Action::Patch, None) => format!("Change parts of a {kind}"),
            (Action::Delete, _) => format!("Delete a {kind}"),
            (Action::DeleteCollection, _) => format!("Delete objects of kind {kind}"),
            (action, Some(sub)) => format!("{} the {} of a {kind}", action.name(), sub.name),
            (Action::Connect, None) => format!("Connect to a {kind}"),
        };
        let (_, word) = action.method();
        let suffix: String = sub.map_or_else(String::new, |sub| {
            let mut chars = sub.name.chars();
            chars
                .next()
                .map(|first| first.to_uppercase().chain(chars).collect())
                .unwrap_or_default()
        });
        let id = format!(
            "{word}{}{}{}{kind}{suffix}",
            self.tag(),
            if action == Action::DeleteCollection {
                "Collection"
            } else {
                ""
            },
            if self.resource.namespaced {
                "Namespaced"
            } else {
                ""
            },
        );
        let (group, version, of) = match sub {
            Some(sub) if !sub.kind.is_empty() => (sub.group, sub.version, sub.kind),
            _ => (self.group, self.version, kind),
        };
        let good = json!({"description": "OK", "content": {"application/json": {"schema": reference(answer)}}});
        let mut responses = json!({"200": good, "401": {"description": "Unauthorized"}});
        if action == Action::Create {
            let mut created = good;
            created["description"] = "Created".into();
            responses["201"] = created;
        }
        let mut operation = json!({
            "description": what,
            "operationId": id,
            "tags": [format!("{}_{}", if self.group.is_empty() { "core" } else { self.group.split('.').next().unwrap_or_default() }, self.version)],
            "parameters": action.parameters(),
            "responses": responses,
            "x-kubernetes-action": action.name(),
            "x-kubernetes-group-version-kind": gvk(group, version, of),
        });
        if let Some(body) = body {
            operation["requestBody"] = body;
        }
        operation
    }

    fn subresource(
        &self,
        sub: &SubresourceInfo<'_>,
        name: &str,
        schemas: &mut Schemas,
    ) -> Map<String, Value> {
        let mut operations = Map::new();
        // Streams are not described by a schema: they are upgraded connections, or plain text.
        if matches!(
            sub.name,
            "attach" | "exec" | "portforward" | "proxy" | "log"
        ) {
            for (method, verb) in [("get", "get"), ("post", "create")] {
                if sub.verbs.contains(&verb) {
                    let action = if sub.name == "log" {
                        Action::Get
                    } else {
                        Action::Connect
                    };
                    let mut operation = self.operation(action, Some(sub), name, None);
                    let text = json!({"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}});
                    operation["responses"]["200"] = text;
                    if method == "post" {
                        operation["operationId"] = operation["operationId"]
                            .as_str()
                            .unwrap_or_default()
                            .replacen("connect", "connectPost", 1)
                            .into();
                    }
                    operations.insert(method.to_owned(), operation);
                }
            }
            return operations;
        }
        let definition = if sub.kind.is_empty()
            || (sub.group, sub.version, sub.kind) == (self.group, self.version, self.resource.kind)
        {
            name.to_owned()
        } else {
            schemas.builtin(sub.group, sub.version, sub.kind)
        };
        for action in sub.verbs.iter().filter_map(|verb| Action::of(verb)) {
            let body = self.body(action, &definition, schemas);
            operations.insert(
                action.method().0.to_owned(),
                self.operation(action, Some(sub), &definition, body),
            );
        }
        operations
    }
}
