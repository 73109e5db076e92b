//! Query parameters and the option structures that Kubernetes reads from them.
//!
//! Unknown parameters are ignored, as Kubernetes ignores them; a known one with a bad value is refused with 400.

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::status::ApiStatus;
use percent_encoding::percent_decode_str;

/// The parameters of a request in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// The most parameters: more than the longest command that fits into a path.
const PARAMETERS_MAX: usize = 8192;

impl Query {
    /// Parses `a=1&b=2`. Bytes that are not UTF-8 become U+FFFD, which no known parameter accepts. Too many parameters are
    /// refused, as a command that is cut short is another command.
    pub fn read(query: &str) -> Result<Self, ApiStatus> {
        if query.bytes().filter(|b| *b == b'&').count() >= PARAMETERS_MAX {
            return Err(ApiStatus::bad_request(format!(
                "the request has more than {PARAMETERS_MAX} query parameters"
            )));
        }
        Ok(Self::parse(query))
    }

    pub(crate) fn parse(query: &str) -> Self {
        let decode = |s: &str| {
            percent_decode_str(&s.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        Self(
            query
                .split('&')
                .filter(|p| !p.is_empty())
                .map(|p| {
                    let (key, value) = p.split_once('=').unwrap_or((p, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of `name`; `None` when it is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }

    /// The first value of `name`; `None` when it is absent or empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|v| !v.is_empty())
    }

    /// Every value of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }

    /// A boolean as Kubernetes converts it: present and neither `0` nor `false` is true.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"))
    }

    fn optional_flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|_| self.flag(name))
    }

    /// An integer; an absent or empty one is `None`.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiStatus> {
        self.non_empty(name)
            .map(|v| {
                v.parse::<i64>().map_err(|_| {
                    ApiStatus::bad_request(format!(
                        "strconv.ParseInt: parsing {v:?}: invalid syntax"
                    ))
                })
            })
            .transpose()
    }
}

/// `resourceVersionMatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// Exactly that version.
    Exact,
    /// That version or a newer one.
    NotOlderThan,
}

/// `meta/v1.ListOptions` without the selectors, which the resource interprets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// The text of `labelSelector`.
    pub label_selector: String,
    /// The text of `fieldSelector`.
    pub field_selector: String,
    /// The most items to return; `None` for all.
    pub limit: Option<usize>,
    /// The token of the next page, empty for the first.
    pub continue_token: String,
    /// The text of `resourceVersion`: empty, `0` or a revision.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub version_match: Option<VersionMatch>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
    /// `timeoutSeconds`.
    pub timeout_seconds: Option<u64>,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks the options of a list (`watch` false) or a watch.
    pub fn from_query(query: &Query, watch: bool) -> Result<Self, ApiStatus> {
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        let version_match = match query.get("resourceVersionMatch").unwrap_or_default() {
            "" => None,
            "Exact" => Some(VersionMatch::Exact),
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            other => {
                let path = Path::new("resourceVersionMatch");
                let error = FieldError::not_supported(path, other, &["Exact", "NotOlderThan", ""]);
                return Err(invalid(vec![error]));
            }
        };
        let options = Self {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            limit: query
                .integer("limit")?
                .and_then(|l| usize::try_from(l).ok())
                .filter(|l| *l > 0),
            continue_token: text("continue"),
            resource_version: text("resourceVersion"),
            version_match,
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout_seconds: query
                .integer("timeoutSeconds")?
                .and_then(|t| u64::try_from(t).ok())
                .filter(|t| *t > 0),
            send_initial_events: query.optional_flag("sendInitialEvents"),
        };
        let errors = options.check(watch);
        if errors.is_empty() {
            Ok(options)
        } else {
            Err(invalid(errors))
        }
    }

    /// The rules of `ValidateListOptions`.
    fn check(&self, watch: bool) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = Path::new("resourceVersionMatch");
        if watch {
            let matching = self.version_match;
            if self.send_initial_events.is_some() && matching != Some(VersionMatch::NotOlderThan) {
                errors.push(FieldError::forbidden(
                    path.clone(),
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            if matching.is_some() && self.send_initial_events.is_none() {
                errors.push(FieldError::forbidden(
                    path.clone(),
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            if matching == Some(VersionMatch::Exact) {
                errors.push(FieldError::not_supported(
                    path.clone(),
                    "Exact",
                    &["NotOlderThan"],
                ));
            }
            if matching.is_some() && !self.continue_token.is_empty() {
                errors.push(FieldError::forbidden(
                    path,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            return errors;
        }
        if self.send_initial_events.is_some() {
            errors.push(FieldError::forbidden(
                Path::new("sendInitialEvents"),
                "sendInitialEvents is forbidden for list",
            ));
        }
        if self.version_match.is_some() {
            if self.resource_version.is_empty() {
                errors.push(FieldError::forbidden(
                    path.clone(),
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if !self.continue_token.is_empty() {
                errors.push(FieldError::forbidden(
                    path.clone(),
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if self.version_match == Some(VersionMatch::Exact) && self.resource_version == "0" {
                errors.push(FieldError::forbidden(
                    path,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        errors
    }

    /// The revision asked for; `None` when it is unset or `0`, which mean the newest here.
    pub fn revision(&self) -> Result<Option<u64>, ApiStatus> {
        parse_revision(&self.resource_version).map(|r| r.filter(|r| *r > 0))
    }
}

/// Parses a `resourceVersion`; empty is `None`.
pub fn parse_revision(text: &str) -> Result<Option<u64>, ApiStatus> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<u64>() {
        Ok(revision) => Ok(Some(revision)),
        Err(_) => Err(invalid(vec![FieldError::invalid(
            Path::new("resourceVersion"),
            text,
            format!("strconv.ParseUint: parsing {text:?}: invalid syntax"),
        )])),
    }
}

fn invalid(errors: Vec<FieldError>) -> ApiStatus {
    ApiStatus::invalid("meta.k8s.io", "ListOptions", "", &ErrorList::from(errors))
}

/// What to do about unknown and repeated fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so in a `Warning` header.
    #[default]
    Warn,
    /// Refuse them.
    Strict,
}

/// Options of create, update and patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Do everything but store.
    pub dry_run: bool,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
}

impl WriteOptions {
    /// Reads and checks the options. `kind` names the options object in an error, e.g. `CreateOptions`.
    pub fn from_query(query: &Query, kind: &str) -> Result<Self, ApiStatus> {
        let mut errors = Vec::new();
        let dry_run = dry_run(query.all("dryRun"), &mut errors);
        let field_validation = match query.get("fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let path = Path::new("fieldValidation");
                errors.push(FieldError::not_supported(
                    path,
                    other,
                    &["Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        if errors.is_empty() {
            Ok(Self {
                dry_run,
                field_validation,
            })
        } else {
            Err(ApiStatus::invalid(
                "meta.k8s.io",
                kind,
                "",
                &ErrorList::from(errors),
            ))
        }
    }
}

/// `dryRun` may be given as `All` only.
pub fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<FieldError>) -> bool {
    let mut dry = false;
    for value in values.filter(|v| !v.is_empty()) {
        if value == "All" {
            dry = true;
        } else {
            errors.push(FieldError::not_supported(
                Path::new("dryRun"),
                value,
                &["All"],
            ));
        }
    }
    dry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let q = Query::parse("labelSelector=a%3Db%2Cc&limit=5&watch&x=a+b&command=1&command=2");
        assert_eq!(q.get("labelSelector"), Some("a=b,c"));
        assert_eq!(q.integer("limit"), Ok(Some(5)));
        assert!(q.flag("watch") && !q.flag("absent"));
        assert_eq!(q.get("x"), Some("a b"));
        assert_eq!(q.all("command").collect::<Vec<_>>(), ["1", "2"]);
        assert!(Query::parse("limit=x").integer("limit").is_err());
    }

    #[test]
    fn list_options() {
        let check = |query: &str, watch: bool, expect: &str| {
            let got = ListOptions::from_query(&Query::parse(query), watch)
                .map(|_| ())
                .map_err(|e| e.message);
            match got {
                Ok(()) => assert_eq!("", expect, "{query}"),
                Err(message) => assert!(
                    message.contains(expect) && !expect.is_empty(),
                    "{query}: {message}"
                ),
            }
        };
        check("", false, "");
        check("resourceVersion=5&resourceVersionMatch=Exact", false, "");
        check(
            "resourceVersionMatch=Exact",
            false,
            "unless resourceVersion is provided",
        );
        check(
            "resourceVersion=0&resourceVersionMatch=Exact",
            false,
            "is forbidden for resourceVersion \"0\"",
        );
        check(
            "resourceVersionMatch=Bad&resourceVersion=1",
            false,
            "Unsupported value: \"Bad\"",
        );
        check(
            "continue=x&resourceVersion=1&resourceVersionMatch=Exact",
            false,
            "when continue is provided",
        );
        check(
            "sendInitialEvents=true",
            true,
            "requires setting resourceVersionMatch",
        );
        check(
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            true,
            "",
        );
        check(
            "resourceVersionMatch=NotOlderThan",
            true,
            "unless sendInitialEvents",
        );
        check("sendInitialEvents=true", false, "forbidden for list");
    }

    #[test]
    fn write_options() {
        let q = |s: &str| WriteOptions::from_query(&Query::parse(s), "CreateOptions");
        assert!(q("dryRun=All").unwrap().dry_run);
        assert_eq!(
            q("fieldValidation=Strict").unwrap().field_validation,
            FieldValidation::Strict
        );
        assert!(q("dryRun=Some").is_err() && q("fieldValidation=Maybe").is_err());
    }
}
