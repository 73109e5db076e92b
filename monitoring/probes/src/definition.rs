//! The CustomResourceDefinition of Probe. Namespaced: a team's probes are with what they look at, and alerts name the namespace.

use serde_json::{Map, Value, json};

use crate::GROUP;

/// Targets of one Probe at most.
pub const MAX_TARGETS: usize = 16;

/// The definition.
pub fn definition() -> Value {
    let column = |name: &str, kind: &str, path: &str, priority: u8| json!({ "name": name, "type": kind, "jsonPath": path, "priority": priority });
    let condition = |name: &str| format!(".status.conditions[?(@.type==\"{name}\")].status");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("probes.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "probes", "singular": "probe", "kind": "Probe", "listKind": "ProbeList",
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    column("Targets", "string", ".spec.targets", 0),
                    column("Interval", "string", ".spec.interval", 0),
                    column("Accepted", "string", &condition("Accepted"), 0),
                    column("Succeeding", "string", &condition("Succeeding"), 0),
                    column("Age", "date", ".metadata.creationTimestamp", 0),
                ],
                "schema": { "openAPIV3Schema": schema() },
            }],
        },
    })
}

fn text(about: &str, longest: usize) -> Value {
    json!({ "type": "string", "description": about, "maxLength": longest })
}

fn flag(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

fn word(about: &str, words: &[&str], default: &str) -> Value {
    json!({ "type": "string", "description": about, "enum": words, "default": default })
}

fn list(about: &str, items: Value, most: usize) -> Value {
    json!({ "type": "array", "description": about, "items": items, "maxItems": most })
}

fn duration(about: &str, default: &str) -> Value {
    json!({ "type": "string", "description": about, "pattern": "^[0-9]{1,4}(s|m)$", "default": default })
}

fn pattern(about: &str) -> Value {
    text(about, 512)
}

fn object(about: &str, required: &[&str], properties: Vec<(&str, Value)>) -> Value {
    let properties: Map<String, Value> = properties
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    let mut schema = json!({ "type": "object", "description": about, "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn schema() -> Value {
    object(
        "A question that the site asks again and again: does it answer as it should?",
        &["spec"],
        vec![("spec", spec()), ("status", status())],
    )
}

fn spec() -> Value {
    let mut targets = list(
        "Whom it asks: URLs for http, SERVER or SERVER:PORT for dns, HOST:PORT for tcp, HOST for icmp. Without credentials; not the \
         server's own loopback.",
        json!({ "type": "string", "minLength": 1, "maxLength": 1024 }),
        MAX_TARGETS,
    );
    targets["minItems"] = json!(1);
    targets["x-kubernetes-list-type"] = json!("set");
    let labels = json!({
        "type": "object", "description": "Further labels of its metrics.", "maxProperties": 8,
        "additionalProperties": { "type": "string", "maxLength": 256 },
    });
    object(
        "What is asked. One of http, dns, tcp and icmp.",
        &["targets"],
        vec![
            ("targets", targets),
            ("interval", duration("How often, from 5s to 2m.", "30s")),
            (
                "timeout",
                duration(
                    "How long an answer may take, from 1s to the interval.",
                    "5s",
                ),
            ),
            ("labels", labels),
            ("http", http()),
            ("dns", dns()),
            ("tcp", tcp()),
            (
                "icmp",
                object("The machine answers an ICMP echo.", &[], vec![]),
            ),
        ],
    )
}

fn tls() -> Value {
    object(
        "How its certificate is checked.",
        &[],
        vec![
            (
                "ca",
                text("Whom to trust, PEM; else whom Debian trusts.", 65_536),
            ),
            (
                "serverName",
                text(
                    "The name that the certificate has to have, where it is not the target's.",
                    253,
                ),
            ),
            ("insecureSkipVerify", flag("Any certificate will do.")),
        ],
    )
}

fn http() -> Value {
    let code = json!({ "type": "integer", "format": "int32", "minimum": 100, "maximum": 599 });
    object(
        "A page answers.",
        &[],
        vec![
            ("method", word("How it asks.", &["GET", "HEAD"], "GET")),
            (
                "host",
                text("The header Host, where it is not the target's.", 253),
            ),
            (
                "statusCodes",
                list("What is good; else 200 to 299.", code, 32),
            ),
            (
                "bodyMatches",
                list(
                    "Regular expressions (RE2) that all have to match the answer.",
                    pattern(""),
                    8,
                ),
            ),
            (
                "bodyMatchesNot",
                list(
                    "Regular expressions (RE2) of which none may match the answer.",
                    pattern(""),
                    8,
                ),
            ),
            (
                "followRedirects",
                flag("A redirect is followed; else it is the answer."),
            ),
            ("tls", tls()),
        ],
    )
}

fn dns() -> Value {
    let codes = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    ];
    let types = [
        "A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT",
    ];
    object(
        "A server knows a name.",
        &["name"],
        vec![
            ("name", text("The name that it is asked for.", 255)),
            ("type", word("Of which type.", &types, "A")),
            ("transport", word("By what.", &["udp", "tcp"], "udp")),
            (
                "responseCodes",
                list(
                    "What is good; else NOERROR.",
                    json!({ "type": "string", "enum": codes }),
                    6,
                ),
            ),
            (
                "answerMatches",
                pattern(
                    "A regular expression (RE2) that has to match one record of the answer, such as `\\sA\\s+10\\.0\\.`.",
                ),
            ),
        ],
    )
}

fn tcp() -> Value {
    object(
        "A port takes connections.",
        &[],
        vec![
            (
                "expect",
                pattern("A regular expression (RE2) that has to match a line of the greeting."),
            ),
            ("tls", tls()),
        ],
    )
}

fn status() -> Value {
    let condition = object(
        "",
        &["type", "status"],
        vec![
            ("type", text("Accepted or Succeeding.", 64)),
            ("status", text("True, False or Unknown.", 16)),
            ("reason", text("Why, in a word.", 64)),
            ("message", text("Why, in words.", 4096)),
            (
                "lastTransitionTime",
                json!({ "type": "string", "format": "date-time", "description": "Since when." }),
            ),
            (
                "observedGeneration",
                json!({ "type": "integer", "format": "int64", "description": "Of which generation." }),
            ),
        ],
    );
    let mut conditions = list("Whether it is asked, and what comes of it.", condition, 8);
    conditions["x-kubernetes-list-type"] = json!("map");
    conditions["x-kubernetes-list-map-keys"] = json!(["type"]);
    let result = object(
        "",
        &["target", "success"],
        vec![
            ("target", text("Whom it asked.", 1024)),
            ("success", flag("It answers as it should.")),
            (
                "since",
                json!({ "type": "string", "format": "date-time", "description": "Since when that is so." }),
            ),
            (
                "message",
                text("What the exporter said when it turned bad.", 1024),
            ),
        ],
    );
    object(
        "What came of it. Durations are in the metrics: what moves by itself is not written here.",
        &[],
        vec![
            ("conditions", conditions),
            (
                "results",
                list("What each target last answered.", result, MAX_TARGETS),
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_a_good_one() {
        let mut definition = definition();
        let unknown = minicloud_schema::crd::prune(&mut definition);
        assert_eq!(unknown, Vec::<String>::new());
        minicloud_schema::crd::default(&mut definition);
        let errors = minicloud_schema::crd::validate_create(&definition);
        assert!(errors.is_empty(), "{errors}");
    }
}
