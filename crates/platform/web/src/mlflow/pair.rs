use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// A key with its value, as params and tags travel. An object only: what serde derives would take a list too.
#[derive(Debug, Clone)]
pub struct Pair {
    pub key: String,
    pub value: String,
}

#[derive(Deserialize)]
struct Fields {
    key: String,
    #[serde(default)]
    value: String,
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Pair;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with key and value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pair, A::Error> {
        let Fields { key, value } = Fields::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Pair { key, value })
    }
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}
