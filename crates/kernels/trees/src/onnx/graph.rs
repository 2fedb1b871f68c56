//! The graph around the trees: the operators that leave numbers as they are, and the refusal of others by name.

use std::collections::HashMap;

use super::attributes::{Attributes, DOUBLE, FLOAT, INT32, INT64, parameter};
use super::protobuf::{Field, Message, Result, broken};
use crate::ModelError;

const ML: &str = "ai.onnx.ml";

/// Rows as they come to an operator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    /// `TensorProto.DataType`.
    pub kind: i64,
    /// They were 32-bit floats on the way.
    pub is_rounded: bool,
    pub features: Option<usize>,
}

/// What a value of the graph is.
#[derive(Debug, Clone, Copy)]
enum Flow {
    Constant,
    Rows(Rows),
    Label,
    /// What the trees answer; rounded to 32 bits after them.
    Numbers {
        is_rounded: bool,
    },
}

impl Flow {
    /// What comes from several values is what the highest of them is.
    fn rank(self) -> u8 {
        match self {
            Self::Constant => 0,
            Self::Rows(_) => 1,
            Self::Label => 2,
            Self::Numbers { .. } => 3,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regressor,
    Classifier,
    /// The operator of version 5.
    Ensemble,
}

/// The trees' operator.
#[derive(Debug)]
pub(super) struct Trees<'b> {
    pub kind: Kind,
    pub attributes: Attributes<'b>,
    pub rows: Rows,
    /// Something after it rounds its answers to 32 bits.
    pub is_rounded: bool,
}

#[derive(Debug, Default)]
struct Operator<'b> {
    operator: &'b str,
    name: &'b str,
    domain: &'b str,
    inputs: Vec<&'b str>,
    outputs: Vec<&'b str>,
    attributes: Attributes<'b>,
}

impl<'b> Operator<'b> {
    fn read(message: Message<'b>) -> Result<Self> {
        let mut operator = Self::default();
        let mut fields = message.fields();
        while let Some(field) = fields.read()? {
            match field.number {
                1 => operator.inputs.push(field.text()?),
                2 => operator.outputs.push(field.text()?),
                3 => operator.name = field.text()?,
                4 => operator.operator = field.text()?,
                5 => operator.attributes.add(field.message()?)?,
                7 => operator.domain = field.text()?,
                _ => {}
            }
        }
        Ok(operator)
    }

    fn kind(&self) -> Option<Kind> {
        match self.operator {
            _ if self.domain != ML => None,
            "TreeEnsembleRegressor" => Some(Kind::Regressor),
            "TreeEnsembleClassifier" => Some(Kind::Classifier),
            "TreeEnsemble" => Some(Kind::Ensemble),
            _ => None,
        }
    }

    fn refused(&self) -> ModelError {
        let brief = |text: &str| text.chars().take(80).collect();
        ModelError::Operator { operator: brief(self.operator), node: brief(self.name) }
    }
}

/// The values of a graph by name, as far as they are known.
struct Values<'b>(HashMap<&'b str, Flow>);

impl<'b> Values<'b> {
    fn input(&self, name: &str) -> Result<Flow> {
        self.0.get(name).copied().ok_or_else(|| ModelError::NotOnnx {
            message: format!("no operator gives {:?}", name.chars().take(80).collect::<String>()),
        })
    }

    /// The highest of an operator's inputs.
    fn inputs(&self, operator: &Operator<'_>) -> Result<Flow> {
        let mut highest = Flow::Constant;
        // An input that is left out has an empty name.
        for name in operator.inputs.iter().filter(|name| !name.is_empty()) {
            let flow = self.input(name)?;
            if flow.rank() > highest.rank() {
                highest = flow;
            }
        }
        Ok(highest)
    }

    fn set(&mut self, operator: &Operator<'b>, flow: Flow) {
        for output in &operator.outputs {
            self.0.insert(*output, flow);
        }
    }
}

/// Rows that pass an operator before the trees.
fn before(operator: &mut Operator<'_>, rows: Rows) -> Result<Flow> {
    if !matches!(operator.domain, "" | "ai.onnx") {
        return Err(operator.refused());
    }
    match operator.operator {
        "Identity" => Ok(Flow::Rows(rows)),
        "Cast" => match operator.attributes.int("to", 0)? {
            FLOAT => Ok(Flow::Rows(Rows { kind: FLOAT, is_rounded: true, ..rows })),
            DOUBLE => Ok(Flow::Rows(Rows { kind: DOUBLE, ..rows })),
            _ => Err(operator.refused()),
        },
        _ => Err(operator.refused()),
    }
}

/// Answers of the trees that pass an operator.
fn after(operator: &mut Operator<'_>, values: &Values<'_>, is_rounded: bool) -> Result<Flow> {
    for (place, name) in operator.inputs.iter().enumerate() {
        let flow = if name.is_empty() { Flow::Constant } else { values.input(name)? };
        let is_expected = match flow {
            Flow::Numbers { .. } => place == 0,
            Flow::Constant => place > 0,
            Flow::Rows(_) | Flow::Label => false,
        };
        if !is_expected {
            return Err(operator.refused());
        }
    }
    match (operator.domain, operator.operator) {
        ("" | "ai.onnx", "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze") | (ML, "ZipMap") => {
            Ok(Flow::Numbers { is_rounded })
        }
        // Of the largest number, the label.
        ("" | "ai.onnx", "ArgMax") => Ok(Flow::Label),
        ("" | "ai.onnx", "Cast") => match operator.attributes.int("to", 0)? {
            FLOAT => Ok(Flow::Numbers { is_rounded: true }),
            DOUBLE => Ok(Flow::Numbers { is_rounded }),
            _ => Err(operator.refused()),
        },
        _ => Err(operator.refused()),
    }
}

impl<'b> Trees<'b> {
    pub fn find(bytes: &'b [u8]) -> Result<Self> {
        let mut graph = None;
        let mut fields = Message::new(bytes).fields();
        while let Some(field) = fields.read()? {
            if field.number == 7 && graph.replace(field.message()?).is_some() {
                return Err(broken(0, "the model has two graphs"));
            }
        }
        let graph = graph.ok_or_else(|| broken(0, "the model has no graph"))?;
        Self::of_graph(graph)
    }

    fn of_graph(graph: Message<'b>) -> Result<Self> {
        let mut values = Values(HashMap::new());
        let (mut operators, mut inputs, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        let mut fields = graph.fields();
        while let Some(field) = fields.read()? {
            match field.number {
                1 => operators.push(field.message()?),
                5 => {
                    values.0.insert(text(&field, 8)?, Flow::Constant);
                }
                11 => inputs.push(field),
                12 => outputs.push(text(&field, 1)?),
                _ => {}
            }
        }
        for input in inputs {
            let name = text(&input, 1)?;
            // Older versions list constants among the inputs.
            if !values.0.contains_key(name) {
                values.0.insert(name, Flow::Rows(rows(input.message()?)?));
            }
        }
        let mut trees = None;
        for message in operators {
            let mut operator = Operator::read(message)?;
            let flow = values.inputs(&operator)?;
            if let Some(kind) = operator.kind() {
                let Flow::Rows(rows) = flow else { return Err(operator.refused()) };
                let label = usize::from(kind == Kind::Classifier);
                for (place, output) in operator.outputs.iter().enumerate() {
                    let is_label = place < label;
                    let flow = if is_label { Flow::Label } else { Flow::Numbers { is_rounded: false } };
                    values.0.insert(*output, flow);
                }
                if operator.inputs.len() != 1 || trees.is_some() {
                    return Err(operator.refused());
                }
                trees = Some(Self { kind, attributes: operator.attributes, rows, is_rounded: false });
                continue;
            }
            let flow = match flow {
                Flow::Constant | Flow::Label => flow,
                Flow::Rows(rows) => before(&mut operator, rows)?,
                Flow::Numbers { is_rounded } => after(&mut operator, &values, is_rounded)?,
            };
            values.set(&operator, flow);
        }
        let mut trees = trees.ok_or_else(|| graph.broken("the graph has no tree ensemble"))?;
        for output in outputs {
            if let Flow::Numbers { is_rounded } = values.input(output)? {
                trees.is_rounded = is_rounded;
                return Ok(trees);
            }
        }
        Err(graph.broken("the graph does not give what its trees answer"))
    }
}

/// A text of the message in a field; empty without.
fn text<'b>(field: &Field<'b>, number: u64) -> Result<&'b str> {
    let mut text = "";
    let mut fields = field.message()?.fields();
    while let Some(field) = fields.read()? {
        if field.number == number {
            text = field.text()?;
        }
    }
    Ok(text)
}

/// The message in a field with this number.
fn inside(message: Message<'_>, number: u64) -> Result<Option<Message<'_>>> {
    let mut found = None;
    let mut fields = message.fields();
    while let Some(field) = fields.read()? {
        if field.number == number {
            found = Some(field.message()?);
        }
    }
    Ok(found)
}

/// An input of the graph: a `ValueInfoProto` of rows.
fn rows(input: Message<'_>) -> Result<Rows> {
    const DIMENSIONS: &str = "rows of numbers, of shape N × F";
    let kind = inside(input, 2)?;
    let tensor = kind.map(|kind| inside(kind, 1)).transpose()?.flatten();
    let tensor = tensor.ok_or_else(|| parameter("input", "no tensor", DIMENSIONS))?;
    let mut rows = Rows { kind: 0, is_rounded: false, features: None };
    let mut fields = tensor.fields();
    while let Some(field) = fields.read()? {
        match field.number {
            1 => rows.kind = field.int()?,
            2 => rows.features = features(field.message()?)?,
            _ => {}
        }
    }
    rows.is_rounded = rows.kind == FLOAT;
    match rows.kind {
        FLOAT | DOUBLE | INT32 | INT64 => Ok(rows),
        other => {
            Err(parameter("input", &format!("of type {other}"), "float, double, int32 or int64 numbers"))
        }
    }
}

/// The second of two dimensions, where it is a number.
fn features(shape: Message<'_>) -> Result<Option<usize>> {
    let mut dimensions = Vec::new();
    let mut fields = shape.fields();
    while let Some(field) = fields.read()? {
        if field.number == 1 {
            let mut size = None;
            let mut inner = field.message()?.fields();
            while let Some(field) = inner.read()? {
                if field.number == 1 {
                    size = Some(field.int()?);
                }
            }
            dimensions.push(size);
        }
    }
    match dimensions.as_slice() {
        [] => Ok(None),
        // A size that is not positive stands for an unknown one.
        [_, size] => Ok(size.filter(|size| *size > 0).and_then(|size| usize::try_from(size).ok())),
        more => Err(parameter("input", &format!("of {} dimensions", more.len()), "two, N × F")),
    }
}
