//! Label matchers of PromQL out of what a request says. Whatever it says stays inside its quotes.

use minicloud_api::selector::{LabelSelector, Requirement};
use minicloud_api::status::ApiStatus;
use minicloud_prometheus_client::quoted;

/// More names than this are not written into a query; the answer is filtered by them anyway.
const NAMES_MAX: usize = 200;

/// Matchers, joined by commas as they stand between braces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Matchers(Vec<String>);

impl Matchers {
    /// The label is this.
    pub(crate) fn equal(mut self, label: &str, value: &str) -> Self {
        self.0.push(format!("{label}={}", quoted(value)));
        self
    }

    /// The label is one of these, or anything but nothing where they are too many to name.
    pub(crate) fn one_of(mut self, label: &str, values: &[String]) -> Self {
        match values {
            [one] => self.equal(label, one),
            many if many.len() > NAMES_MAX => self.present(label),
            some => {
                self.0.push(format!("{label}=~{}", any(some)));
                self
            }
        }
    }

    /// The label is there.
    pub(crate) fn present(mut self, label: &str) -> Self {
        self.0.push(format!("{label}!=\"\""));
        self
    }

    /// What a selector of labels asks for.
    ///
    /// # Errors
    /// 400 for what Prometheus has no matcher for.
    pub(crate) fn selected(mut self, selector: &LabelSelector) -> Result<Self, ApiStatus> {
        for requirement in selector.requirements() {
            let matcher = match requirement {
                Requirement::In(key, values) => match values.as_slice() {
                    [one] => format!("{}={}", label(key)?, quoted(one)),
                    some => format!("{}=~{}", label(key)?, any(some)),
                },
                Requirement::NotIn(key, values) => format!("{}!~{}", label(key)?, any(values)),
                Requirement::Exists(key) => format!("{}!=\"\"", label(key)?),
                Requirement::DoesNotExist(key) => format!("{}=\"\"", label(key)?),
                Requirement::GreaterThan(key, _) | Requirement::LessThan(key, _) => {
                    return Err(ApiStatus::bad_request(format!(
                        "the label {key:?} of a metric can be compared for equality only"
                    )));
                }
            };
            self.0.push(matcher);
        }
        Ok(self)
    }
}

impl std::fmt::Display for Matchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// A regular expression for these values and nothing else, quoted. Prometheus anchors it.
fn any(values: &[String]) -> String {
    let escape = |value: &String| {
        let mut out = String::with_capacity(value.len());
        for c in value.chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    quoted(&values.iter().map(escape).collect::<Vec<_>>().join("|"))
}

fn label(key: &str) -> Result<&str, ApiStatus> {
    if is_name(key, "_") {
        Ok(key)
    } else {
        Err(ApiStatus::bad_request(format!(
            "{key:?} is no label of a metric: those have letters, digits and underscores only"
        )))
    }
}

/// True for what can be the name of a metric in an expression.
pub(crate) fn is_metric(name: &str) -> bool {
    is_name(name, "_:")
}

fn is_name(name: &str, also: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || also.contains(c);
    name.starts_with(starts) && name.chars().all(|c| starts(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_become_matchers() {
        let check = |selector: &str, expect: Result<&str, &str>| {
            let selector = LabelSelector::parse(selector).unwrap();
            let matchers = Matchers::default()
                .equal("namespace", "a")
                .selected(&selector);
            let got = matchers.map(|m| m.to_string()).map_err(|e| e.message);
            assert_eq!(
                got,
                expect.map(str::to_owned).map_err(str::to_owned),
                "{selector:?}"
            );
        };
        check("", Ok(r#"namespace="a""#));
        check("x=y,z!=1", Ok(r#"namespace="a",x="y",z!~"1""#));
        check("x in (b,a.c)", Ok(r#"namespace="a",x=~"b|a\\.c""#));
        check("x,!y", Ok(r#"namespace="a",x!="",y="""#));
        check("x notin (a,b)", Ok(r#"namespace="a",x!~"a|b""#));
        check(
            "x>1",
            Err("the label \"x\" of a metric can be compared for equality only"),
        );
        check(
            "a.b/c=d",
            Err(
                "\"a.b/c\" is no label of a metric: those have letters, digits and underscores only",
            ),
        );
    }

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        let hostile = [
            "a\"} or up{x=\"".to_owned(),
            "b|.*".to_owned(),
            "c\n\\".to_owned(),
        ];
        assert_eq!(
            Matchers::default().one_of("pod", &hostile).to_string(),
            r#"pod=~"a\"\\} or up\\{x=\"|b\\|\\.\\*|c\n\\\\""#
        );
        assert_eq!(
            Matchers::default().one_of("pod", &hostile[..1]).to_string(),
            r#"pod="a\"} or up{x=\"""#
        );
        let many: Vec<String> = (0..=NAMES_MAX).map(|n| n.to_string()).collect();
        assert_eq!(
            Matchers::default().one_of("pod", &many).to_string(),
            r#"pod!="""#
        );
    }

    #[test]
    fn names_of_metrics() {
        for (name, expect) in [
            ("http_requests", true),
            ("job:x:rate5m", true),
            ("_x9", true),
            ("9x", false),
            ("", false),
            ("a-b", false),
            ("a}", false),
            ("é", false),
        ] {
            assert_eq!(is_metric(name), expect, "{name}");
        }
    }
}
