//! Who gets which names.

use expect_test::{Expect, expect};
use serde_json::json;

use super::super::*;
use super::crd;

#[test]
fn names_are_taken_within_a_group() {
    let first = crd();
    let now = "2026-11-24T03:00:00Z";
    let check = |naming: &Naming, expect: Expect| {
        expect.assert_eq(
            &serde_json::to_string_pretty(&json!([
                naming.accepted_names,
                naming.conditions,
                naming.established
            ]))
            .unwrap(),
        );
    };
    let named = naming(&first, [], now);
    check(
        &named,
        expect![[r#"
        [
          {
            "categories": [
              "all"
            ],
            "kind": "Widget",
            "listKind": "WidgetList",
            "plural": "widgets",
            "shortNames": [
              "wd"
            ],
            "singular": "widget"
          },
          [
            {
              "lastTransitionTime": "2026-11-24T03:00:00Z",
              "message": "no conflicts found",
              "reason": "NoConflicts",
              "status": "True",
              "type": "NamesAccepted"
            },
            {
              "lastTransitionTime": "2026-11-24T03:00:00Z",
              "message": "the initial names have been accepted",
              "reason": "InitialNamesAccepted",
              "status": "True",
              "type": "Established"
            }
          ],
          true
        ]"#]],
    );
    let mut first = first;
    first["status"]["acceptedNames"] = named.accepted_names.clone();
    first["status"]["conditions"] = named.conditions.clone();
    assert_eq!(
        naming(&first, [&first], "2027-01-01T00:00:00Z"),
        named,
        "doing it again changes nothing"
    );

    let mut second = crd();
    second["metadata"]["name"] = json!("gadgets.example.org");
    second["spec"]["names"] = json!({"plural": "gadgets", "singular": "gadget", "kind": "Widget", "listKind": "GadgetList", "shortNames": ["wd", "widget", "gd"]});
    check(
        &naming(&second, [&first], now),
        expect![[r#"
        [
          {
            "kind": "",
            "listKind": "GadgetList",
            "plural": "gadgets",
            "singular": "gadget"
          },
          [
            {
              "lastTransitionTime": "2026-11-24T03:00:00Z",
              "message": "\"Widget\" is already in use",
              "reason": "KindConflict",
              "status": "False",
              "type": "NamesAccepted"
            },
            {
              "lastTransitionTime": "2026-11-24T03:00:00Z",
              "message": "not all names are accepted",
              "reason": "NotAccepted",
              "status": "False",
              "type": "Established"
            }
          ],
          false
        ]"#]],
    );
    second["spec"]["group"] = json!("example.com");
    assert!(naming(&second, [&first], now).established, "another group");

    // Established stays established, with the old name kept, when a later change conflicts.
    first["spec"]["names"]["shortNames"] = json!(["gd"]);
    let mut taken = second.clone();
    taken["spec"]["group"] = json!("example.org");
    taken["status"]["acceptedNames"] = json!({"plural": "gadgets", "shortNames": ["gd"]});
    let named = naming(&first, [&taken], now);
    assert!(named.established);
    assert_eq!(named.accepted_names["shortNames"], json!(["wd"]));
}
