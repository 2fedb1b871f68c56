/// Why there is no source code.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    #[error("the signature has {found} inputs, the model {expected} features")]
    InputCount { found: usize, expected: usize },
    #[error("two inputs are called {name:?}")]
    SameName { name: String },
    #[error("{found} {what}, expected {expected}")]
    NameCount { what: &'static str, found: usize, expected: usize },
    #[error("the model has {found} {what}, generated code at most {most}")]
    TooLarge { what: &'static str, found: usize, most: usize },
    #[error("the model has no features, and a scorer takes at least one input")]
    NoFeatures,
    #[error("vector {vector} has {found} {what}, expected {expected}")]
    VectorLength { vector: usize, what: &'static str, found: usize, expected: usize },
    #[error("vector {vector}: input {input:?} is {value}, expected {rule}")]
    VectorValue { vector: usize, input: String, value: f64, rule: &'static str },
    #[error("input {name:?} cannot be a column: {rule}")]
    ColumnName { name: String, rule: &'static str },
    #[error(
        "too large for a SQL statement: {found} {what}, at most {most}; generate a program, such as --target c"
    )]
    TooLargeForSql { what: &'static str, found: usize, most: usize },
    #[error("the template {name} cannot be filled in")]
    Template { name: &'static str, source: minijinja::Error },
}
