//! The table of messages. It is text, read where it is needed: a body touches a dozen of its messages.

use std::borrow::Cow;
use std::sync::OnceLock;

const TABLE: &str = include_str!("types.txt");

/// How a field is read into JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    List,
    Map,
    Inline,
    /// Also when it is zero.
    Kept,
    /// Not when it is zero.
    Dropped,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) flag: Flag,
    pub(super) name: &'a str,
    pub(super) kind: &'a str,
    package: &'a str,
}

impl Field<'_> {
    /// The full name of the message that the field holds.
    pub(super) fn message_name(&self) -> Cow<'_, str> {
        if self.kind.contains('.') {
            self.kind.into()
        } else {
            format!("{}.{}", self.package, self.kind).into()
        }
    }
}

/// A message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    package: &'static str,
    fields: &'static str,
}

impl Message {
    /// The field of this number.
    pub(super) fn field(&self, number: u32) -> Option<Field<'static>> {
        self.fields()
            .find(|(found, _)| *found == number)
            .map(|(_, field)| field)
    }

    /// All fields with their numbers.
    pub(super) fn fields(&self) -> impl Iterator<Item = (u32, Field<'static>)> {
        let package = self.package;
        self.fields.lines().filter_map(move |line| {
            let mut words = line.split_ascii_whitespace();
            let number = words.next()?.parse().ok()?;
            let flag = match words.next()? {
                "*" => Flag::List,
                "{" => Flag::Map,
                "^" => Flag::Inline,
                "!" => Flag::Kept,
                _ => Flag::Dropped,
            };
            Some((
                number,
                Field {
                    flag,
                    name: words.next()?,
                    kind: words.next()?,
                    package,
                },
            ))
        })
    }
}

/// All messages by full name, sorted.
pub(super) fn messages() -> &'static [(&'static str, &'static str)] {
    static INDEX: OnceLock<Vec<(&str, &str)>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Vec::new();
        let mut rest = TABLE;
        while !rest.is_empty() {
            let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            rest = after;
            if line.starts_with(['#', ' ', '\n']) {
                continue;
            }
            let mut length = 0;
            for line in rest
                .split_inclusive('\n')
                .take_while(|line| line.starts_with(' '))
            {
                length += line.len();
            }
            let (fields, after) = rest.split_at(length);
            rest = after;
            index.push((line.trim_end(), fields));
        }
        index.sort_unstable();
        index
    })
}

/// The message of this full name: `core.PodSpec`.
pub(super) fn message(name: &str) -> Option<Message> {
    let index = messages();
    let at = index
        .binary_search_by(|(found, _)| (*found).cmp(name))
        .ok()?;
    let (name, fields) = index.get(at)?;
    Some(Message {
        package: name.split('.').next()?,
        fields,
    })
}

/// The message of a kind.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static str> {
    if kind == "DeleteOptions" {
        // Every group has it as its own.
        return Some("meta.DeleteOptions");
    }
    let package = match api_version {
        "v1" => "core",
        "apps/v1" => "apps",
        "authentication.k8s.io/v1" => "authentication",
        "authorization.k8s.io/v1" => "authorization",
        "autoscaling/v1" => "autoscaling",
        "autoscaling/v2" => "autoscalingv2",
        "coordination.k8s.io/v1" => "coordination",
        "discovery.k8s.io/v1" => "discovery",
        "events.k8s.io/v1" => "events",
        "policy/v1" => "policy",
        "rbac.authorization.k8s.io/v1" => "rbac",
        "storage.k8s.io/v1" => "storage",
        _ => return None,
    };
    let name = format!("{package}.{kind}");
    let index = messages();
    let at = index
        .binary_search_by(|(found, _)| (*found).cmp(name.as_str()))
        .ok()?;
    // Only objects may be sent, not their parts: an object has metadata.
    let (name, fields) = index.get(at)?;
    (fields.starts_with(" 1 - metadata ") || fields.starts_with(" 1 ! metadata ")).then_some(*name)
}
