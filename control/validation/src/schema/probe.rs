//! Reads the shape of a type out of its `Deserialize` implementation.
//!
//! `k8s-openapi`'s implementations ask for a structure with the static list of its field names and take every missing field as
//! its default. So a deserializer that offers every field once, with an empty value of whatever type is then asked for, sees the
//! whole type. One that was seen already is offered its times only, which alone have no default; this also ends recursion.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer, UnitDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::{Struct, Ty};

type Known = HashMap<(&'static str, &'static [&'static str]), &'static Struct>;

static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();

/// The structure behind `T`. The lock is held for the whole probe, so nobody sees a structure whose fields are still unknown.
pub(crate) fn probe<T: for<'de> Deserialize<'de>>() -> &'static Struct {
    let mut known = KNOWN
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let cell = RefCell::new(std::mem::take(&mut *known));
    let out = Cell::new(None);
    let result = T::deserialize(Probe {
        known: &cell,
        out: &out,
        root: true,
    });
    *known = cell.into_inner();
    match (result, out.take()) {
        (Ok(_), Some(Ty::Struct(found))) => found,
        // Every kind goes through a test, so this is a mistake in this file, found when it is made.
        (result, _) => unreachable!("not a structure that can be probed: {:?}", result.err()),
    }
}

struct Probe<'a> {
    known: &'a RefCell<Known>,
    out: &'a Cell<Option<Ty>>,
    /// The object itself: its `apiVersion` and `kind` accept only their own values and are texts.
    root: bool,
}

macro_rules! scalar {
    ($($method:ident $visit:ident $ty:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.out.set(Some(Ty::$ty));
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    scalar! {
        deserialize_bool visit_bool Bool false;
        deserialize_i32 visit_i32 Int32 0;
        deserialize_i64 visit_i64 Int64 0;
        deserialize_f64 visit_f64 Float 0.0;
        deserialize_string visit_str Text "";
        deserialize_str visit_str Bytes "";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let expected: &dyn Expected = &visitor;
        if expected.to_string() == "IntOrString" {
            self.out.set(Some(Ty::IntOrString));
            visitor.visit_i32(0)
        } else {
            self.out.set(Some(Ty::Any));
            visitor.visit_unit()
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        const EPOCH: &str = "1970-01-01T00:00:00Z";
        let text =
            |text: &'static str| -> StrDeserializer<'static, Error> { text.into_deserializer() };
        match name {
            "Time" => {
                self.out.set(Some(Ty::Time));
                visitor.visit_newtype_struct(text(EPOCH))
            }
            "MicroTime" => {
                self.out.set(Some(Ty::MicroTime));
                visitor.visit_newtype_struct(text(EPOCH))
            }
            "Quantity" => {
                self.out.set(Some(Ty::Quantity));
                visitor.visit_newtype_struct(text("0"))
            }
            _ => {
                self.out.set(Some(Ty::Any));
                visitor.visit_newtype_struct(UnitDeserializer::new())
            }
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let item = Cell::new(None);
        let value = visitor.visit_seq(Once {
            known: self.known,
            out: &item,
            done: false,
        })?;
        self.out.set(item.take().map(|ty| Ty::List(Box::new(ty))));
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let item = Cell::new(None);
        let value = visitor.visit_map(Once {
            known: self.known,
            out: &item,
            done: false,
        })?;
        self.out.set(item.take().map(|ty| Ty::Map(Box::new(ty))));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let seen = self.known.borrow().get(&(name, fields)).copied();
        let (found, offered) = match seen {
            Some(found) => {
                let time = |(_, ty): &&(&'static str, Ty)| matches!(ty, Ty::Time | Ty::MicroTime);
                (
                    found,
                    found
                        .fields()
                        .iter()
                        .filter(time)
                        .map(|(field, _)| *field)
                        .collect(),
                )
            }
            None => {
                let new: &'static Struct = Box::leak(Box::new(Struct {
                    name,
                    fields: OnceLock::new(),
                }));
                self.known.borrow_mut().insert((name, fields), new);
                (new, fields.to_vec())
            }
        };
        let offered: Vec<&'static str> = offered;
        let mut types = Vec::with_capacity(offered.len());
        let access = Fields {
            known: self.known,
            root: self.root,
            left: offered.into_iter(),
            current: None,
            types: &mut types,
        };
        let value = visitor.visit_map(access)?;
        if seen.is_none() {
            types.sort_by_key(|(field, _)| *field);
            let _ = found.fields.set(types);
        }
        self.out.set(Some(Ty::Struct(found)));
        Ok(value)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
        ignored_any
    }
}

/// Offers one item, or one entry.
struct Once<'a> {
    known: &'a RefCell<Known>,
    out: &'a Cell<Option<Ty>>,
    done: bool,
}

impl<'de> SeqAccess<'de> for Once<'_> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        seed.deserialize(Probe {
            known: self.known,
            out: self.out,
            root: false,
        })
        .map(Some)
    }
}

impl<'de> MapAccess<'de> for Once<'_> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        let key: StrDeserializer<'_, Error> = "key".into_deserializer();
        seed.deserialize(key).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Probe {
            known: self.known,
            out: self.out,
            root: false,
        })
    }
}

/// Offers every field of a structure once and keeps the types that were asked for.
struct Fields<'a> {
    known: &'a RefCell<Known>,
    root: bool,
    left: std::vec::IntoIter<&'static str>,
    current: Option<&'static str>,
    types: &'a mut Vec<(&'static str, Ty)>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        for field in self.left.by_ref() {
            if self.root && matches!(field, "apiVersion" | "kind") {
                self.types.push((field, Ty::Text));
                continue;
            }
            self.current = Some(field);
            let key: StrDeserializer<'_, Error> = field.into_deserializer();
            return seed.deserialize(key).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let out = Cell::new(None);
        let value = seed.deserialize(Probe {
            known: self.known,
            out: &out,
            root: false,
        })?;
        if let (Some(field), Some(ty)) = (self.current.take(), out.take()) {
            self.types.push((field, ty));
        }
        Ok(value)
    }
}
