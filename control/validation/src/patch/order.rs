//! The order of a merged list: items of the patch in the patch's order, the server's own in theirs, woven together so that
//! items that were there before keep their places to each other.

use std::collections::HashMap;

use serde_json::Value;

/// What tells items apart: themselves, or their value at the merge key.
#[derive(Clone, Copy)]
pub(super) struct Identity(pub(super) Option<&'static str>);

impl Identity {
    pub(super) fn of(self, item: &Value) -> &Value {
        static NULL: Value = Value::Null;
        match self.0 {
            None => item,
            Some(key) => item.get(key).unwrap_or(&NULL),
        }
    }

    /// Where each item is first. Lists come from clients and may be long, so nobody searches them.
    pub(super) fn places(self, list: &[Value]) -> HashMap<&Value, usize> {
        let mut places = HashMap::with_capacity(list.len());
        for (i, item) in list.iter().enumerate() {
            places.entry(self.of(item)).or_insert(i);
        }
        places
    }
}

/// Orders `merged`: what is in `wanted` comes in that order, the rest in the order of `server`.
pub(super) fn arrange(
    merged: Vec<Value>,
    wanted: &[Value],
    server: &[Value],
    identity: Identity,
) -> Vec<Value> {
    let (wanted, server) = (identity.places(wanted), identity.places(server));
    let (mut patch, mut own) = (Vec::new(), Vec::new());
    for item in merged {
        let in_server = server.get(identity.of(&item)).copied();
        match wanted.get(identity.of(&item)) {
            Some(place) => patch.push((*place, in_server, item)),
            None => own.push((in_server, item)),
        }
    }
    patch.sort_by_key(|(place, ..)| *place);
    own.sort_by_key(|(place, _)| place.unwrap_or(usize::MAX));
    let mut result = Vec::with_capacity(patch.len() + own.len());
    let mut own = own.into_iter().peekable();
    for (_, in_server, item) in patch {
        // An item that is new has no place among the server's: it comes first.
        while let (Some(here), Some((Some(place), _))) = (in_server, own.peek())
            && *place < here
        {
            result.extend(own.next().map(|(_, item)| item));
        }
        result.push(item);
    }
    result.extend(own.map(|(_, item)| item));
    result
}
