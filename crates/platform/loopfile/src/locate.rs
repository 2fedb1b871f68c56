//! Where in the file a key and its value stand.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, NonFiniteFloatPolicy, Spanned};

/// The shape of a YAML document, every node with its place.
enum Shape {
    /// The value as a message shows it.
    Scalar(String),
    List(Vec<Spanned<Shape>>),
    Map(Vec<(Spanned<String>, Spanned<Shape>)>),
}

struct ShapeVisitor;

macro_rules! scalars {
    ($($method:ident: $kind:ty),+) => {
        $(fn $method<E>(self, value: $kind) -> Result<Shape, E> { Ok(Shape::Scalar(value.to_string())) })+
    };
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(format!("{value:?}")))
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar("nothing".to_owned()))
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar("nothing".to_owned()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Shape::Scalar("a value".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Shape::Map(map))
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

/// Line and column, from 1.
type Position = (u64, u64);

/// A key of a mapping or an item of a list.
pub(crate) struct Place {
    /// `rollout.canary_steps[1]`
    pub path: String,
    /// What stands there: a value in quotes or digits, `a list` or `a mapping`.
    pub found: String,
    is_scalar: bool,
    /// An item has no key and is found at its value.
    key: Position,
    value: Position,
}

/// Every place of a file, in the file's order.
pub(crate) struct Places(Vec<Place>);

impl Places {
    /// None when the text is not YAML.
    pub(crate) fn of(text: &str) -> Self {
        // A number that is not finite is for the rules to refuse; its line must be known then.
        let options = serde_saphyr::options! {
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        };
        let mut places = Vec::new();
        if let Ok(root) = serde_saphyr::from_str_with_options::<Spanned<Shape>>(text, options) {
            collect(&root.value, "", &mut places);
        }
        Self(places)
    }

    /// The line of `key`, or of the nearest key around it that is written in the file; 0 without one.
    pub(crate) fn line_of(&self, key: &str) -> u64 {
        let mut path = key;
        while !path.is_empty() {
            if let Some(place) = self.0.iter().find(|place| place.path == path) {
                return place.key.0;
            }
            path = around(path);
        }
        0
    }

    pub(crate) fn key_at(&self, at: Position) -> Option<&Place> {
        self.0.iter().find(|place| place.key == at)
    }

    /// The outermost, when a mapping and its first key begin together.
    pub(crate) fn value_at(&self, at: Position) -> Option<&Place> {
        self.0.iter().find(|place| place.value == at)
    }

    /// The plain value whose key or itself stands there.
    pub(crate) fn scalar_at(&self, at: Position) -> Option<&Place> {
        self.0.iter().find(|place| place.is_scalar && (place.value == at || place.key == at))
    }

    /// The last key on this line that begins before.
    pub(crate) fn near(&self, (line, column): Position) -> Option<&Place> {
        self.0.iter().rfind(|place| place.key.0 == line && place.key.1 <= column)
    }
}

/// The path of the mapping or list that holds `path`; empty at the top.
pub(crate) fn around(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |end| &path[..end])
}

fn position(location: Location) -> Position {
    (location.line(), location.column())
}

fn collect(shape: &Shape, path: &str, places: &mut Vec<Place>) {
    match shape {
        Shape::Scalar(_) => {}
        Shape::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let key = position(item.referenced);
                add(format!("{path}[{index}]"), key, item, places);
            }
        }
        Shape::Map(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                add(path, position(key.referenced), value, places);
            }
        }
    }
}

fn add(path: String, key: Position, node: &Spanned<Shape>, places: &mut Vec<Place>) {
    let (is_scalar, found) = match &node.value {
        Shape::Scalar(text) => (true, text.clone()),
        Shape::List(_) => (false, "a list".to_owned()),
        Shape::Map(_) => (false, "a mapping".to_owned()),
    };
    places.push(Place { path: path.clone(), found, is_scalar, key, value: position(node.referenced) });
    collect(&node.value, &path, places);
}
