//! Events, which come in an older form (first and last timestamp, count) and a newer one (event time, series).

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
        let first = at("/firstTimestamp").or_else(|| at("/eventTime"));
        let series = event.get("series").filter(|series| series.is_object());
        let (last, count) = match series {
            Some(series) => (at("/series/lastObservedTime"), number(series, "/count")),
            None => (
                at("/lastTimestamp").or(first),
                number(event, "/count").max(1),
            ),
        };
        let kind = text(event, "/involvedObject/kind").to_lowercase();
        let target = match text(event, "/involvedObject/name") {
            "" => kind,
            name => format!("{kind}/{name}"),
        };
        let component = or(
            text(event, "/source/component"),
            text(event, "/reportingComponent"),
        );
        let source = match or(
            text(event, "/source/host"),
            text(event, "/reportingInstance"),
        ) {
            "" => component.to_owned(),
            instance => format!("{component}, {instance}"),
        };
        vec![
            Value::from(age::since(last, now)),
            text(event, "/type").into(),
            text(event, "/reason").into(),
            target.into(),
            text(event, "/involvedObject/fieldPath").into(),
            source.into(),
            text(event, "/message").trim().into(),
            age::since(first, now).into(),
            count.into(),
            name(event),
        ]
    },
);
