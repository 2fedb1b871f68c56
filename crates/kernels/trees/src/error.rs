/// Why a model text is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("not a LightGBM text model: the first line is {found:?}, expected \"tree\"")]
    NotLightGbm { found: String },
    #[error(
        "not a model file of trees: it begins like none of LightGBM's text, XGBoost's JSON and UBJSON, CatBoost's JSON and cbm, ONNX, loopwright-trees, lwtrees"
    )]
    Unknown,
    #[error("not an XGBoost model: {message}")]
    NotXgBoost { message: String },
    #[error("not a file of trees: {message}")]
    NotTrees { message: String },
    #[error("not a CatBoost model: {message}")]
    NotCatBoost { message: String },
    #[error("not an lwtrees file: {message}")]
    NotPacked { message: String },
    #[error("not an ONNX model of trees: {message}")]
    NotOnnx { message: String },
    #[error(
        "operator {operator:?} (node {node:?}) is not supported: a graph holds one tree ensemble and what leaves its numbers as they are"
    )]
    Operator { operator: String, node: String },
    #[error("the trees use feature {feature:?} as {role}, which is not supported: a row holds numbers")]
    Feature { feature: String, role: &'static str },
    #[error("booster {name:?} is not supported; supported: gbtree, dart")]
    Booster { name: String },
    #[error("{key} is {value:?}, expected {rule}")]
    Parameter { key: &'static str, value: String, rule: &'static str },
    #[error("model text ends before {expected}")]
    Truncated { expected: &'static str },
    #[error("model line {line}: {key} is {value:?}, expected {rule}")]
    Value { line: usize, key: String, value: String, rule: &'static str },
    #[error("model line {line}: {key} is missing")]
    Missing { line: usize, key: &'static str },
    #[error("tree {tree}: {rule}")]
    Structure { tree: usize, rule: String },
    #[error("objective {name:?} is not supported; supported: {supported}")]
    Objective { name: String, supported: &'static str },
    #[error(
        "the model maps pandas categories by position ({columns} columns), which are not supported: train on integer codes"
    )]
    PandasCategories { columns: usize },
}
