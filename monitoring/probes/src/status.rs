//! What a Probe's status says, as a function of what is known. It is written only when it says something new: an answer that stays
//! the same costs no write.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A verdict on a Probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is asked.
    Accepted,
    /// It is not; the reason in a word and in words.
    Refused(&'static str, String),
}

/// What a target last answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The target.
    pub target: String,
    /// As it should.
    pub success: bool,
    /// What the exporter said, when it is not.
    pub message: String,
}

/// The status that follows `old`. `answers` are those known; a target without one has not been asked yet.
pub fn status(
    old: &Value,
    generation: i64,
    verdict: &Verdict,
    answers: &[Answer],
    now: Timestamp,
) -> Value {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let accepted = match verdict {
        Verdict::Accepted => ("True", "Valid", String::new()),
        Verdict::Refused(reason, message) => ("False", *reason, message.clone()),
    };
    let failing: Vec<&Answer> = answers.iter().filter(|answer| !answer.success).collect();
    let succeeding = match failing.first() {
        _ if answers.is_empty() => ("Unknown", "NoAnswer", "No answer is known yet.".to_owned()),
        None => ("True", "AllSucceed", String::new()),
        Some(first) => (
            "False",
            "Failing",
            format!(
                "{} of {} fail. {}: {}",
                failing.len(),
                answers.len(),
                first.target,
                first.message
            ),
        ),
    };
    let condition = |kind: &str, (status, reason, message): (&str, &str, String)| {
        let before = conditions(old).find(|condition| condition["type"] == kind);
        let since = before.filter(|condition| condition["status"] == status);
        let since = since.map_or(json!(now), |condition| {
            condition["lastTransitionTime"].clone()
        });
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since, "observedGeneration": generation,
        })
    };
    let results = answers.iter().map(|answer| {
        let before = results(old).find(|result| result["target"] == answer.target.as_str());
        let same = before.filter(|result| result["success"] == answer.success);
        let since = same.map_or(json!(now), |result| result["since"].clone());
        let mut result =
            json!({ "target": answer.target, "success": answer.success, "since": since });
        if !answer.message.is_empty() {
            result["message"] = json!(answer.message);
        }
        result
    });
    json!({
        "conditions": [condition("Accepted", accepted), condition("Succeeding", succeeding)],
        "results": results.collect::<Vec<_>>(),
    })
}

fn conditions(status: &Value) -> impl Iterator<Item = &Value> {
    status["conditions"].as_array().into_iter().flatten()
}

/// The results that a status has.
pub fn results(status: &Value) -> impl Iterator<Item = &Value> {
    status["results"].as_array().into_iter().flatten()
}

/// What the exporter's account of a failure comes to: its last complaint, else the last that it says about the answer.
pub fn complaint(account: &str) -> String {
    const LONGEST: usize = 500;
    let said = |line: &&str| {
        line.contains("level=")
            && ![
                "Probe failed",
                "Response timings",
                "Starting",
                "Loaded config",
            ]
            .iter()
            .any(|dull| line.contains(dull))
    };
    let lines: Vec<&str> = account.lines().filter(said).collect();
    let mut errors = lines.iter().filter(|line| line.contains("level=error"));
    let line = errors
        .next_back()
        .or(lines.last())
        .copied()
        .unwrap_or_default();
    // What stands before is about the exporter.
    let (_, said) = line
        .split_once("level=")
        .and_then(|(_, rest)| rest.split_once(' '))
        .unwrap_or_default();
    words(said).chars().take(LONGEST).collect()
}

/// `msg="A thing" err="why" code=5` as `A thing: why, code 5`.
fn words(logfmt: &str) -> String {
    let mut text = String::new();
    let mut rest = logfmt.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
        let (value, end) = match values.next() {
            Some(Ok(value)) => (value, values.byte_offset()),
            _ => {
                let end = after.find(' ').unwrap_or(after.len());
                (after[..end].to_owned(), end)
            }
        };
        match name.trim() {
            "msg" | "err" if text.is_empty() => {}
            "err" => text.push_str(": "),
            name => text.push_str(&format!(", {name} ")),
        }
        text.push_str(&value);
        rest = &after[end..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(success: bool, message: &str) -> Answer {
        Answer {
            target: "http://a".into(),
            success,
            message: message.into(),
        }
    }

    #[test]
    fn it_says_since_when_and_nothing_new_when_nothing_is() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let say = |old: &Value, answers: &[Answer], second| {
            status(old, 1, &Verdict::Accepted, answers, at(second))
        };
        let first = say(&Value::Null, &[], 0);
        assert_eq!(first["conditions"][0]["status"], "True");
        assert_eq!(first["conditions"][1]["status"], "Unknown");
        let good = say(&first, &[answer(true, "")], 10);
        assert_eq!(good["conditions"][1]["status"], "True");
        assert_eq!(
            good["conditions"][0]["lastTransitionTime"],
            "1970-01-01T00:00:00Z"
        );
        assert_eq!(good["results"][0]["since"], "1970-01-01T00:00:10Z");
        assert_eq!(say(&good, &[answer(true, "")], 20), good);
        let bad = say(&good, &[answer(false, "no")], 30);
        assert_eq!(bad["conditions"][1]["message"], "1 of 1 fail. http://a: no");
        assert_eq!(bad["results"][0]["since"], "1970-01-01T00:00:30Z");
        let refused = Verdict::Refused("Invalid", "spec: no".into());
        let refused = status(&bad, 2, &refused, &[], at(40));
        assert_eq!(refused["conditions"][0]["message"], "spec: no");
        assert_eq!(refused["conditions"][0]["observedGeneration"], 2);
    }

    #[test]
    fn the_last_complaint_is_what_counts() {
        let line = |rest: &str| format!("ts=1 caller=a.go:1 module=m target=t {rest}\n");
        let check = |lines: &[&str], expect: &str| {
            let account: String = lines.iter().map(|rest| line(rest)).collect();
            assert_eq!(
                complaint(&format!("Logs for the probe:\n{account}\n")),
                expect
            );
        };
        let begin = r#"level=info msg="Beginning probe" probe=http"#;
        let end = r#"level=error msg="Probe failed" duration_seconds=1"#;
        let timings = r#"level=info msg="Response timings for roundtrip" roundtrip=0"#;
        check(
            &[
                begin,
                r#"level=error msg="Error for HTTP request" err="Get \"http://a\": refused""#,
                timings,
                end,
            ],
            "Error for HTTP request: Get \"http://a\": refused",
        );
        check(
            &[
                begin,
                r#"level=info msg="Invalid HTTP response status code" status_code=200 valid_status_codes=[404]"#,
                timings,
                end,
            ],
            "Invalid HTTP response status code, status_code 200, valid_status_codes [404]",
        );
        check(&[], "");
    }
}
