//! MLflow's filter and order grammar as a tree.
//!
//! `metrics.mae < 1.5 and params.booster = 'gbdt'`: clauses of `entity.key operator value`, an entity prefix or none
//! for attributes; `= != > >= < <= LIKE ILIKE RLIKE IN`, `NOT IN`, `IS NULL`, `IS NOT NULL`.
//! Beyond upstream: `OR`, `NOT`, brackets, and `min(metrics.x)`, `max(metrics.x)`, `best(metrics.x)`, `last(metrics.x)`.

use platform_primitives::{ErrorKind, Fault};

/// Clauses in one filter; more is a bomb, not a question.
const MAX_CLAUSES: usize = 500;
/// Brackets within brackets.
const MAX_DEPTH: usize = 32;
const MAX_FILTER_BYTES: usize = 64 * 1024;

/// A filter or an order that is not in the grammar, or asks for what cannot be searched.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Invalid value {value:?} for parameter '{field}' supplied: {rule}")]
pub struct FilterError {
    pub field: &'static str,
    pub value: String,
    pub rule: String,
}

impl FilterError {
    pub fn new(field: &'static str, value: impl Into<String>, rule: impl Into<String>) -> Self {
        let mut value = value.into();
        if value.len() > 200 {
            value = value.chars().take(200).chain(['…']).collect();
        }
        Self { field, value, rule: rule.into() }
    }
}

impl Fault for FilterError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
    fn code(&self) -> &'static str {
        "mlflow/search"
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Compare(Comparison),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What stands before the first dot, in lower case; empty when there is none.
    pub entity: String,
    /// The rest, without quotes.
    pub key: String,
    /// `min`, `max`, … when the identifier stands in a call.
    pub aggregate: Option<String>,
    pub operator: Operator,
    pub operand: Operand,
    /// The clause as it was written, for messages.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Like,
    ILike,
    RLike,
    In,
    NotIn,
    IsNull,
    IsNotNull,
}

impl Operator {
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Like => "LIKE",
            Self::ILike => "ILIKE",
            Self::RLike => "RLIKE",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
            Self::IsNull => "IS NULL",
            Self::IsNotNull => "IS NOT NULL",
        }
    }

    /// Orders and equality, which numbers have.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    None,
    Text(String),
    Number(f64),
    List(Vec<Operand>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct OrderTerm {
    pub entity: String,
    pub key: String,
    pub aggregate: Option<String>,
    pub ascending: bool,
}

/// Whether `text` matches a LIKE pattern: `%` is any run of characters, `_` is one.
pub fn like(pattern: &str, text: &str, ignore_case: bool) -> bool {
    let fold = |s: &str| -> Vec<char> {
        if ignore_case { s.to_lowercase().chars().collect() } else { s.chars().collect() }
    };
    let (pattern, text) = (fold(pattern), fold(text));
    // Greedy with one point to go back to: linear in practice, no recursion.
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '%' {
            back = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '_' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, at)) = back {
            back = Some((star, at + 1));
            p = star + 1;
            t = at + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// An identifier as written, with its quoted parts.
    Word(String),
    Text(String),
    Number(f64),
    Symbol(Operator),
    Open,
    Close,
    Comma,
}

/// A token and where it stands in the filter.
struct Placed {
    token: Token,
    from: usize,
    to: usize,
}

struct Parser<'f> {
    filter: &'f str,
    tokens: Vec<Placed>,
    at: usize,
    clauses: usize,
}

/// `None` for a filter that asks for nothing.
pub fn parse(filter: &str) -> Result<Option<Expr>, FilterError> {
    if filter.is_empty() {
        return Ok(None);
    }
    if filter.len() > MAX_FILTER_BYTES {
        let rule = format!("Invalid filter: longer than {MAX_FILTER_BYTES} bytes");
        return Err(FilterError::new("filter", filter, rule));
    }
    let mut parser = Parser { filter, tokens: tokens(filter)?, at: 0, clauses: 0 };
    if parser.tokens.is_empty() {
        return Err(parser.wrong("Invalid filter: it is blank"));
    }
    let tree = parser.any(0)?;
    match parser.peek() {
        None => Ok(Some(tree)),
        Some(_) => Err(parser.wrong("expected AND or OR")),
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        let token = self.tokens.get(self.at + ahead).map(|placed| &placed.token);
        matches!(token, Some(Token::Word(text)) if text.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(0, word);
        self.at += usize::from(found);
        found
    }

    fn wrong(&self, rule: &str) -> FilterError {
        let rest = self.tokens.get(self.at).map_or("", |placed| &self.filter[placed.from..]);
        let shown: String = rest.chars().take(60).collect();
        let place = if shown.is_empty() { "at its end".to_owned() } else { format!("at '{shown}'") };
        FilterError::new("filter", self.filter, format!("Invalid clause(s) in filter string: {rule} {place}"))
    }

    /// `all OR all …`
    fn any(&mut self, depth: usize) -> Result<Expr, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(&format!("brackets nest deeper than {MAX_DEPTH}")));
        }
        let mut parts = vec![self.all(depth)?];
        while self.take_word("OR") {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) })
    }

    /// `one AND one …`; upstream passes over an AND at the end.
    fn all(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut parts = vec![self.one(depth)?];
        while self.take_word("AND") {
            if matches!(self.peek(), None | Some(Token::Close)) {
                break;
            }
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::And(parts) })
    }

    fn one(&mut self, depth: usize) -> Result<Expr, FilterError> {
        if self.is_word(0, "NOT") {
            self.at += 1;
            if depth > MAX_DEPTH {
                return Err(self.wrong(&format!("NOT nests deeper than {MAX_DEPTH}")));
            }
            return Ok(Expr::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let inner = self.any(depth + 1)?;
            self.close()?;
            return Ok(inner);
        }
        self.clauses += 1;
        if self.clauses > MAX_CLAUSES {
            return Err(FilterError::new("filter", self.filter, format!("more than {MAX_CLAUSES} clauses")));
        }
        self.comparison().map(Expr::Compare)
    }

    fn close(&mut self) -> Result<(), FilterError> {
        if self.peek() != Some(&Token::Close) {
            return Err(self.wrong("expected )"));
        }
        self.at += 1;
        Ok(())
    }

    fn comparison(&mut self) -> Result<Comparison, FilterError> {
        let from = self.tokens.get(self.at).map_or(0, |placed| placed.from);
        let (name, aggregate) = self.identifier()?;
        let operator = self.operator()?;
        let operand = self.operand(operator)?;
        let to = self.tokens[self.at - 1].to;
        let (entity, key) = split_identifier(&name);
        let text = self.filter[from..to].to_owned();
        Ok(Comparison { entity, key, aggregate, operator, operand, text })
    }

    fn identifier(&mut self) -> Result<(String, Option<String>), FilterError> {
        let Some(Token::Word(name)) = self.peek().cloned() else {
            return Err(self.wrong("expected a clause `entity.key operator value`"));
        };
        self.at += 1;
        if self.peek() != Some(&Token::Open) || self.is_word(0, "IN") {
            return Ok((name, None));
        }
        self.at += 1;
        let Some(Token::Word(inner)) = self.peek().cloned() else {
            return Err(self.wrong("expected `entity.key` in the brackets"));
        };
        self.at += 1;
        self.close()?;
        Ok((inner, Some(name.to_ascii_lowercase())))
    }

    fn operator(&mut self) -> Result<Operator, FilterError> {
        if let Some(Token::Symbol(operator)) = self.peek() {
            let operator = *operator;
            self.at += 1;
            return Ok(operator);
        }
        let words: [(&[&str], Operator); 7] = [
            (&["IS", "NOT", "NULL"], Operator::IsNotNull),
            (&["IS", "NULL"], Operator::IsNull),
            (&["NOT", "IN"], Operator::NotIn),
            (&["IN"], Operator::In),
            (&["LIKE"], Operator::Like),
            (&["ILIKE"], Operator::ILike),
            (&["RLIKE"], Operator::RLike),
        ];
        for (phrase, operator) in words {
            if phrase.iter().enumerate().all(|(ahead, word)| self.is_word(ahead, word)) {
                self.at += phrase.len();
                return Ok(operator);
            }
        }
        Err(self.wrong("expected an operator"))
    }

    fn operand(&mut self, operator: Operator) -> Result<Operand, FilterError> {
        match operator {
            Operator::IsNull | Operator::IsNotNull => return Ok(Operand::None),
            Operator::In | Operator::NotIn => {}
            _ => return self.value(),
        }
        if self.peek() != Some(&Token::Open) {
            return Err(self.wrong("expected ( after IN"));
        }
        self.at += 1;
        let mut list = Vec::new();
        loop {
            list.push(self.value()?);
            if self.peek() != Some(&Token::Comma) {
                break;
            }
            self.at += 1;
            // A list of one may end like a tuple.
            if self.peek() == Some(&Token::Close) {
                break;
            }
        }
        self.close()?;
        Ok(Operand::List(list))
    }

    fn value(&mut self) -> Result<Operand, FilterError> {
        let value = match self.peek() {
            Some(Token::Text(text)) => Operand::Text(text.clone()),
            Some(Token::Number(number)) => Operand::Number(*number),
            // Upstream takes a backticked value nowhere; a bare true or false is a value of a few attributes.
            Some(Token::Word(word)) if matches!(word.as_str(), "true" | "false" | "True" | "False") => {
                Operand::Text(word.to_ascii_lowercase())
            }
            _ => return Err(self.wrong("expected a quoted text or a number")),
        };
        self.at += 1;
        Ok(value)
    }
}

fn tokens(filter: &str) -> Result<Vec<Placed>, FilterError> {
    let wrong = |rule: String| {
        FilterError::new("filter", filter, format!("Invalid clause(s) in filter string: {rule}"))
    };
    let mut found: Vec<Placed> = Vec::new();
    let mut at = 0;
    while let Some(first) = filter[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let rest = &filter[at..];
        // A double-quoted text is a value after an operator, a bracket or a comma, else an identifier.
        let expects_value = matches!(
            found.last().map(|placed| &placed.token),
            Some(Token::Symbol(_) | Token::Open | Token::Comma)
        ) || matches!(
            found.last().map(|placed| &placed.token),
            Some(Token::Word(word)) if ["LIKE", "ILIKE", "RLIKE"].iter().any(|w| word.eq_ignore_ascii_case(w))
        );
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            ';' => return Err(wrong("';' is not allowed".to_owned())),
            '\'' => quoted(rest, '\'').ok_or_else(|| wrong("a quote is not closed".to_owned()))?,
            '"' if expects_value => {
                quoted(rest, '"').ok_or_else(|| wrong("a quote is not closed".to_owned()))?
            }
            '=' | '!' | '<' | '>' => {
                symbol(rest).ok_or_else(|| wrong(format!("unknown operator at '{rest}'")))?
            }
            '0'..='9' | '-' | '+' | '.' => {
                let end = rest.find(|c: char| c.is_whitespace() || "(),".contains(c)).unwrap_or(rest.len());
                let number = rest[..end].parse();
                let number = number.map_err(|_| wrong(format!("'{}' is not a number", &rest[..end])))?;
                (Token::Number(number), end)
            }
            _ => {
                let length = word_length(rest).ok_or_else(|| wrong("a quote is not closed".to_owned()))?;
                (Token::Word(rest[..length].to_owned()), length)
            }
        };
        found.push(Placed { token, from: at, to: at + length });
        at += length;
    }
    Ok(found)
}

fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let end = rest[1..].find(quote)?;
    Some((Token::Text(rest[1..=end].to_owned()), end + 2))
}

fn symbol(rest: &str) -> Option<(Token, usize)> {
    let (operator, length) = match rest.as_bytes() {
        [b'!', b'=', ..] => (Operator::Ne, 2),
        [b'<', b'>', ..] => (Operator::Ne, 2),
        [b'<', b'=', ..] => (Operator::Le, 2),
        [b'>', b'=', ..] => (Operator::Ge, 2),
        [b'=', b'=', ..] => return None,
        [b'<', ..] => (Operator::Lt, 1),
        [b'>', ..] => (Operator::Gt, 1),
        [b'=', ..] => (Operator::Eq, 1),
        _ => return None,
    };
    Some((Token::Symbol(operator), length))
}

/// How far an identifier reaches: quotes and backticks may stand at its start and after a dot.
fn word_length(rest: &str) -> Option<usize> {
    let mut at = 0;
    let mut may_quote = true;
    while let Some(c) = rest[at..].chars().next() {
        if may_quote && matches!(c, '`' | '"') {
            at += 1 + rest[at + 1..].find(c)? + 1;
        } else if c.is_whitespace() || "=!<>(),;".contains(c) {
            break;
        } else {
            at += c.len_utf8();
        }
        may_quote = c == '.';
    }
    Some(at)
}

fn unquoted(text: &str) -> &str {
    for quote in ['`', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

fn split_identifier(name: &str) -> (String, String) {
    if name.starts_with(['`', '"']) {
        return (String::new(), unquoted(name).to_owned());
    }
    match name.split_once('.') {
        Some((entity, key)) => (entity.to_ascii_lowercase(), unquoted(key).to_owned()),
        None => (String::new(), name.to_owned()),
    }
}

/// `entity.key [ASC|DESC]`, or the same in a call.
pub fn parse_order(text: &str) -> Result<OrderTerm, FilterError> {
    let trimmed = text.trim();
    let wrong = |rule: &str| FilterError::new("order_by", text, format!("Invalid order_by clause: {rule}"));
    let length = word_length(trimmed).filter(|length| *length > 0).ok_or_else(|| wrong("expected a key"))?;
    let (mut name, mut rest) = trimmed.split_at(length);
    let mut aggregate = None;
    if let Some(inside) = rest.trim_start().strip_prefix('(') {
        let (inner, after) = inside.split_once(')').ok_or_else(|| wrong("a bracket is not closed"))?;
        aggregate = Some(name.to_ascii_lowercase());
        (name, rest) = (inner.trim(), after);
    }
    let ascending = match rest.trim().to_ascii_uppercase().as_str() {
        "" | "ASC" => true,
        "DESC" => false,
        _ => return Err(wrong("expected ASC or DESC after the key")),
    };
    let (entity, key) = split_identifier(name);
    Ok(OrderTerm { entity, key, aggregate, ascending })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(expr: &Expr) -> String {
        let list = |parts: &[Expr], word: &str| {
            format!("({})", parts.iter().map(shape).collect::<Vec<_>>().join(&format!(" {word} ")))
        };
        match expr {
            Expr::And(parts) => list(parts, "&"),
            Expr::Or(parts) => list(parts, "|"),
            Expr::Not(inner) => format!("!{}", shape(inner)),
            Expr::Compare(c) => {
                let call = c.aggregate.as_deref().unwrap_or("");
                format!("{call}[{}:{} {} {:?}]", c.entity, c.key, c.operator.name(), c.operand)
            }
        }
    }

    #[test]
    fn filters_become_trees() {
        for (filter, expected) in [
            ("metrics.`my mae` <= 1.5e0", "[metrics:my mae <= Number(1.5)]"),
            ("metrics.\"a.b\" > -1 AND", "[metrics:a.b > Number(-1.0)]"),
            ("a = 'x' and b != \"y\"", "([:a = Text(\"x\")] & [:b != Text(\"y\")])"),
            (
                "a='1' OR (tags.b LIKE '%x' and NOT c IN ('1', \"2\"))",
                "([:a = Text(\"1\")] | ([tags:b LIKE Text(\"%x\")] & ![:c IN List([Text(\"1\"), Text(\"2\")])]))",
            ),
            ("min(metrics.loss)<0.1", "min[metrics:loss < Number(0.1)]"),
            (
                "params.x IS NOT NULL and tags.y is null",
                "([params:x IS NOT NULL None] & [tags:y IS NULL None])",
            ),
            ("`run name` not in ('a',)", "[:run name NOT IN List([Text(\"a\")])]"),
            ("tags.\"mlflow.user\" ILIKE \"%x\"", "[tags:mlflow.user ILIKE Text(\"%x\")]"),
        ] {
            let tree = parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
            assert_eq!(shape(&tree.expect("a filter")), expected, "{filter}");
        }
        assert_eq!(parse("").unwrap(), None);
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        let deep = format!("{}a='1'{}", "(".repeat(100), ")".repeat(100));
        let bomb = vec!["a='1'"; 3_000].join(" and ");
        for filter in [
            "  ",
            "metrics.a <",
            "status = 'x' ; DROP TABLE runs",
            "status IN ('a'",
            "  ,",
            "a = ",
            "a 'x'",
            "a == 'x'",
            "(a='1'",
            "a='1')",
            "a='1' b='2'",
            "a='x",
            "metrics.`a > 1",
            "and",
            "a between 1 and 2",
            &deep,
            &bomb,
        ] {
            assert!(parse(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn orders_are_read() {
        let term = parse_order("metrics.`x y` desc").unwrap();
        assert_eq!((term.entity.as_str(), term.key.as_str(), term.ascending), ("metrics", "x y", false));
        assert_eq!(parse_order(" start_time ").unwrap().key, "start_time");
        assert_eq!(parse_order("max(metrics.acc) ASC").unwrap().aggregate.as_deref(), Some("max"));
        for text in ["", "a b", "a ASC DESC", "max(metrics.a"] {
            assert!(parse_order(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_match_as_sql_does() {
        for (pattern, text, ignore_case, expected) in [
            ("%", "", false, true),
            ("a%", "abc", false, true),
            ("a%c", "abcbc", false, true),
            ("_b_", "abc", false, true),
            ("A%", "abc", false, false),
            ("A%", "abc", true, true),
            ("%a%b%", "xxaxxbxx", false, true),
            ("%a%b", "ab c", false, false),
            ("", "a", false, false),
            ("é%", "éa", false, true),
        ] {
            assert_eq!(like(pattern, text, ignore_case), expected, "{pattern} {text}");
        }
    }
}
