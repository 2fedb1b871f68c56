//! On which line a key of the file stands.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// The shape of a YAML document, every node with its place.
enum Shape {
    Scalar,
    List(Vec<Spanned<Shape>>),
    Map(Vec<(Spanned<String>, Spanned<Shape>)>),
}

struct ShapeVisitor;

macro_rules! scalars {
    ($($method:ident: $kind:ty),+) => {
        $(fn $method<E>(self, _: $kind) -> Result<Shape, E> { Ok(Shape::Scalar) })+
    };
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Shape::Scalar)
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

/// Line of every key, by its path. Empty when the text is not YAML.
pub(crate) fn lines(text: &str) -> HashMap<String, u64> {
    let mut lines = HashMap::new();
    if let Ok(root) = serde_saphyr::from_str::<Spanned<Shape>>(text) {
        collect(&root.value, "", &mut lines);
    }
    lines
}

fn collect(shape: &Shape, path: &str, lines: &mut HashMap<String, u64>) {
    match shape {
        Shape::Scalar => {}
        Shape::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                lines.insert(path.clone(), item.referenced.line());
                collect(&item.value, &path, lines);
            }
        }
        Shape::Map(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                lines.insert(path.clone(), key.referenced.line());
                collect(&value.value, &path, lines);
            }
        }
    }
}

/// The line of `key`, or of the nearest key around it that is written in the file.
pub(crate) fn line_of(lines: &HashMap<String, u64>, key: &str) -> u64 {
    let mut path = key;
    loop {
        if let Some(line) = lines.get(path) {
            return *line;
        }
        match path.rfind(['.', '[']) {
            Some(end) => path = &path[..end],
            None => return 0,
        }
    }
}
