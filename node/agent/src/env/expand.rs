//! `$(VAR)` in values, commands and arguments, by Kubernetes' rules: `$$` is a dollar, what is unknown stays as it is.

/// Replaces every `$(NAME)` that `value` knows.
pub fn expand<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            match value(name) {
                Some(found) => out.push_str(found),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_kubernetes() {
        let check = |text, expect| {
            let value = |name: &str| match name {
                "A" => Some("a"),
                "E" => Some(""),
                "D" => Some("$(A)"),
                _ => None,
            };
            assert_eq!(expand(text, value), expect, "{text}");
        };
        check("", "");
        check("$(A)", "a");
        check("x$(A)y$(A)", "xaya");
        check("$(E)", "");
        check("$(X)", "$(X)");
        check("$$(A)", "$(A)");
        check("$$$(A)", "$a");
        check("$$$$(A)", "$$(A)");
        check("$(D)", "$(A)");
        check("$(A", "$(A");
        check("$A ${A} $", "$A ${A} $");
        check("$()", "$()");
        check("$(A$(A))", "$(A$(A))");
        check("ü$(A)ü", "üaü");
    }
}
