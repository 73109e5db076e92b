//! What Prometheus answered to several queries, by what was measured.

use std::collections::BTreeMap;

use minicloud_prometheus_client::{Prometheus, QueryError, Sample};

use crate::queries::{Query, together};

/// Samples by measure, each sorted by its labels.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) by_measure: BTreeMap<String, Vec<Sample>>,
    /// The time of the answer, Unix time in seconds; that of asking when there was nothing.
    pub(crate) time: f64,
}

impl Found {
    /// Asks all of `queries`.
    pub(crate) async fn ask(
        prometheus: &Prometheus,
        queries: &[Query],
        window: &str,
        namespace: Option<&str>,
    ) -> Result<Self, QueryError> {
        let asked = now();
        let samples = prometheus
            .query(&together(queries, window, namespace))
            .await?;
        Ok(Self::new(samples, asked))
    }

    pub(crate) fn new(samples: Vec<Sample>, asked: f64) -> Self {
        let mut found = Self {
            time: samples.first().map_or(asked, |sample| sample.point.time),
            ..Self::default()
        };
        for mut sample in samples {
            // What divides by nothing says nothing.
            if let Some(measure) = sample.labels.remove("measure")
                && sample.value().is_finite()
            {
                found.by_measure.entry(measure).or_default().push(sample);
            }
        }
        for samples in found.by_measure.values_mut() {
            samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        found
    }

    /// The samples of one query.
    pub(crate) fn of(&self, query: &Query) -> &[Sample] {
        self.named(query.measure)
    }

    /// The samples of the query with this measure.
    pub(crate) fn named(&self, measure: &str) -> &[Sample] {
        self.by_measure.get(measure).map_or(&[], Vec::as_slice)
    }
}

/// To a millionth: the digits beyond are those of rounding.
pub(crate) fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Unix time in seconds.
pub(crate) fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}
