//! Reading Prometheus' answers.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::QueryError;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// One value of an instant vector.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Sample {
    /// The labels, with `__name__` where the expression keeps it.
    #[serde(rename = "metric", default)]
    pub labels: Labels,
    /// When and what.
    #[serde(rename = "value")]
    pub point: Point,
}

/// One series of a range.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Series {
    /// The labels, with `__name__` where the expression keeps it.
    #[serde(rename = "metric", default)]
    pub labels: Labels,
    /// Its values, oldest first.
    #[serde(rename = "values")]
    pub points: Vec<Point>,
}

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Unix time in seconds.
    pub time: f64,
    /// The value; may be infinite or not a number.
    pub value: f64,
}

impl Sample {
    /// The value.
    pub fn value(&self) -> f64 {
        self.point.value
    }

    /// The label `name`, empty when there is none, as PromQL has it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl<'de> Deserialize<'de> for Point {
    /// `[seconds, "value"]`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (time, value) = <(f64, String)>::deserialize(deserializer)?;
        // Rust reads Go's `+Inf`, `-Inf` and `NaN`.
        let value = value.parse().map_err(D::Error::custom)?;
        Ok(Self { time, value })
    }
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
    Matrix(Vec<Series>),
    Scalar(Point),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Success {
    data: Data,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "errorType")]
    kind: String,
    error: String,
}

fn data(body: &[u8]) -> Result<Data, QueryError> {
    serde_json::from_slice::<Success>(body)
        .map(|answer| answer.data)
        .map_err(|error| QueryError::Garbled(error.to_string()))
}

pub(crate) fn vector(body: &[u8]) -> Result<Vec<Sample>, QueryError> {
    match data(body)? {
        Data::Vector(samples) => Ok(samples),
        Data::Scalar(point) => Ok(vec![Sample {
            labels: Labels::new(),
            point,
        }]),
        Data::Matrix(_) | Data::String(_) => Err(QueryError::Garbled(
            "the expression has no single value: it is a range vector or a string".into(),
        )),
    }
}

pub(crate) fn matrix(body: &[u8]) -> Result<Vec<Series>, QueryError> {
    match data(body)? {
        Data::Matrix(series) => Ok(series),
        Data::Vector(_) | Data::Scalar(_) | Data::String(_) => {
            Err(QueryError::Garbled("a range was asked for".into()))
        }
    }
}

/// What an answer with an error status says.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> QueryError {
    match serde_json::from_slice::<Failure>(body) {
        Ok(Failure { kind, error }) => QueryError::Refused {
            status,
            kind,
            message: error,
        },
        // Starting up, it answers 503 in plain text; so does what stands before it.
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            QueryError::Away(format!("it answers {status}: {}", text.trim()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_scalars_and_matrices() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","node":"edge-1"},"value":[1435781430.781,"1"]},
            {"metric":{},"value":[1435781430,"+Inf"]}]}}"#;
        let samples = vector(body).unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!(
            (samples[0].label("node"), samples[0].label("none")),
            ("edge-1", "")
        );
        assert_eq!(
            (samples[0].point.time, samples[0].value()),
            (1_435_781_430.781, 1.0)
        );
        assert_eq!(samples[1].value(), f64::INFINITY);
        let scalar = br#"{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}"#;
        assert!(vector(scalar).unwrap()[0].value().is_nan());
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"a":"b"},"values":[[1,"2"],[16,"-3e4"]]}]},"warnings":["w"]}"#;
        let series = matrix(body).unwrap();
        assert_eq!(
            series[0].points[1],
            Point {
                time: 16.0,
                value: -3e4
            }
        );
        assert!(matches!(vector(body), Err(QueryError::Garbled(_))));
        assert!(matches!(matrix(scalar), Err(QueryError::Garbled(_))));
    }

    #[test]
    fn refusals() {
        let body = br#"{"status":"error","errorType":"bad_data","error":"parse error: 1:3"}"#;
        let refused = refusal(StatusCode::BAD_REQUEST, body);
        assert_eq!(
            refused.to_string(),
            "Prometheus refused the query: bad_data: parse error: 1:3"
        );
        let away = refusal(StatusCode::SERVICE_UNAVAILABLE, b"Service Unavailable");
        assert_eq!(
            away.to_string(),
            "Prometheus is away: it answers 503 Service Unavailable: Service Unavailable"
        );
        for garbled in [
            &b""[..],
            b"<html>",
            b"{}",
            b"{\"data\":{\"resultType\":\"vector\",\"result\":[{}]}}",
        ] {
            assert!(matches!(vector(garbled), Err(QueryError::Garbled(_))));
        }
    }
}
