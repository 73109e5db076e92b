//! Events, which come in an older form (first and last timestamp, count) and a newer one (event time, series), and from two
//! APIs that name the same fields differently (core and events.k8s.io).

use serde_json::Value;

use super::read::{name, number, or, text};
use super::{Column, Kind, NAME, age};

pub(super) const EVENT: Kind = Kind::new(
    &[
        Column::new("Last Seen", "How long ago it happened last."),
        Column::new("Type", "Normal or Warning."),
        Column::new("Reason", "What happened, in a word."),
        Column::new("Object", "What it happened to."),
        Column::new("Subobject", "The part of it.").wide(),
        Column::new("Source", "Who tells it.").wide(),
        Column::new("Message", "What happened, in a sentence."),
        Column::new("First Seen", "How long ago it happened first.").wide(),
        Column::new("Count", "How often it happened.").wide(),
        Column {
            priority: 1,
            ..NAME
        },
    ],
    |event, now| {
        let at = |pointer: &str| age::moment(event.pointer(pointer));
        let either = |core: &str, events: &str| {
            let core = text(event, core);
            if core.is_empty() {
                text(event, events)
            } else {
                core
            }
        };
        let first = at("/firstTimestamp")
            .or_else(|| at("/deprecatedFirstTimestamp"))
            .or_else(|| at("/eventTime"));
        let last = at("/lastTimestamp")
            .or_else(|| at("/deprecatedLastTimestamp"))
            .or(first);
        let count = number(event, "/count")
            .max(number(event, "/deprecatedCount"))
            .max(1);
        let series = event.get("series").filter(|series| series.is_object());
        let (last, count) = match series {
            Some(series) => (at("/series/lastObservedTime"), number(series, "/count")),
            None => (last, count),
        };
        let kind = either("/involvedObject/kind", "/regarding/kind").to_lowercase();
        let target = match either("/involvedObject/name", "/regarding/name") {
            "" => kind,
            name => format!("{kind}/{name}"),
        };
        let component = or(
            either("/source/component", "/deprecatedSource/component"),
            either("/reportingComponent", "/reportingController"),
        );
        let host = either("/source/host", "/deprecatedSource/host");
        let source = match or(host, text(event, "/reportingInstance")) {
            "" => component.to_owned(),
            instance => format!("{component}, {instance}"),
        };
        vec![
            Value::from(age::since(last, now)),
            text(event, "/type").into(),
            text(event, "/reason").into(),
            target.into(),
            either("/involvedObject/fieldPath", "/regarding/fieldPath").into(),
            source.into(),
            either("/message", "/note").trim().into(),
            age::since(first, now).into(),
            count.into(),
            name(event),
        ]
    },
);
