//! Tokens → expression, checked against the fields that a list has. Evaluation is elsewhere.

use super::lexer::{Placed, Token, tokens};
use super::{QueryError, Sort, Spec};

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Op {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
    Like,
    NotLike,
}

/// A field, by its place in the list's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its place.
    pub index: usize,
    /// What follows it: `["x", "y"]` of `attr.x.y`.
    pub path: Vec<String>,
}

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Whole.
    Int(i128),
    /// With a fraction, or too large.
    Float(f64),
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// The text, without its quotes.
    pub text: String,
    /// The number it is, when it was not quoted.
    pub number: Option<Number>,
    /// Whether it was quoted: then it is a text and nothing else.
    pub quoted: bool,
}

/// What a row must be like.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Both.
    And(Box<Expr>, Box<Expr>),
    /// One of them, or both.
    Or(Box<Expr>, Box<Expr>),
    /// Not so.
    Not(Box<Expr>),
    /// There is such a thing.
    Has(Field),
    /// A comparison.
    Compare(Field, Op, Literal),
}

impl Expr {
    /// Whether it asks for a field like this.
    pub fn names(&self, wanted: &impl Fn(&Field) -> bool) -> bool {
        match self {
            Expr::And(a, b) | Expr::Or(a, b) => a.names(wanted) || b.names(wanted),
            Expr::Not(a) => a.names(wanted),
            Expr::Has(field) | Expr::Compare(field, _, _) => wanted(field),
        }
    }
}

/// Parentheses and `not`s within each other, and comparisons: what a person or a script writes stays far below.
const MAX_DEPTH: usize = 100;
const MAX_TERMS: usize = 1000;

/// Reads a query over a list with these fields.
pub fn parse(text: &str, fields: &[Spec]) -> Result<Expr, QueryError> {
    let tokens = tokens(text)?;
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens: &tokens, fields, end, depth: 0, terms: 0 };
    if tokens.is_empty() {
        return Err(parser.error(format!("the query is empty; fields are {}", parser.names())));
    }
    let expr = parser.or()?;
    match parser.tokens.first() {
        None => Ok(expr),
        Some((_, Token::Close)) => Err(parser.error("this parenthesis was never opened")),
        Some(_) => Err(parser.error("`and` or `or` is missing before this")),
    }
}

/// Whether a filter is meant as a query, right or wrong, rather than as a text to look for: it is one of more than a word
/// (`not attr.x`), has a comparison with a field, or begins with a comparison. A leading `!` belongs to a text.
pub fn is_query(text: &str, fields: &[Spec]) -> bool {
    if text.trim_start().starts_with('!') {
        return false;
    }
    // up to where it cannot be read
    let read = |e: QueryError| tokens(&text.chars().take(e.column - 1).collect::<String>()).unwrap_or_default();
    let tokens = tokens(text).unwrap_or_else(read);
    let known = |word: &str| {
        let name = word.split('.').next().unwrap_or(word);
        fields.iter().any(|s| s.name.eq_ignore_ascii_case(name))
    };
    let compares = |pair: &[Placed]| match pair {
        [(_, Token::Word(word)), (_, Token::Op(_))] => known(word),
        _ => false,
    };
    // a field that there is not, set apart from its operator as few texts are
    let begins = match tokens.as_slice() {
        [(at, Token::Word(word)), (op, Token::Op(_)), ..] => *op > at + word.chars().count(),
        _ => false,
    };
    begins || tokens.windows(2).any(compares) || (tokens.len() > 1 && parse(text, fields).is_ok())
}

struct Parser<'t> {
    tokens: &'t [Placed],
    fields: &'t [Spec],
    /// The column behind the text.
    end: usize,
    depth: usize,
    terms: usize,
}

impl Parser<'_> {
    fn column(&self) -> usize {
        self.tokens.first().map_or(self.end, |(column, _)| *column)
    }

    fn error(&self, message: impl Into<String>) -> QueryError {
        QueryError { column: self.column(), message: message.into() }
    }

    fn next_is(&self, keyword: &str) -> bool {
        matches!(self.tokens.first(), Some((_, Token::Word(word))) if word.eq_ignore_ascii_case(keyword))
    }

    fn takes(&mut self, keyword: &str) -> bool {
        let there = self.next_is(keyword);
        if there {
            self.tokens = self.tokens.get(1..).unwrap_or(&[]);
        }
        there
    }

    fn or(&mut self) -> Result<Expr, QueryError> {
        let mut left = self.and()?;
        while self.takes("or") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, QueryError> {
        let mut left = self.not()?;
        while self.takes("and") {
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr, QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("there are more than 100 parentheses within each other"));
        }
        let found = if self.takes("not") { Expr::Not(Box::new(self.not()?)) } else { self.atom()? };
        self.depth -= 1;
        Ok(found)
    }

    fn atom(&mut self) -> Result<Expr, QueryError> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(self.error("there are more than 1,000 comparisons"));
        }
        let Some(((column, token), rest)) = self.tokens.split_first() else {
            return Err(self.error(format!("a comparison is missing here; fields are {}", self.names())));
        };
        match token {
            Token::Open => {
                self.tokens = rest;
                let inner = self.or()?;
                match self.tokens.split_first() {
                    Some(((_, Token::Close), rest)) => {
                        self.tokens = rest;
                        Ok(inner)
                    }
                    Some(_) => Err(self.error("`and`, `or` or `)` is missing before this")),
                    None => Err(QueryError { column: *column, message: "this parenthesis is never closed".into() }),
                }
            }
            Token::Word(word) => {
                let field = self.field(word)?;
                self.tokens = rest;
                self.comparison(field)
            }
            Token::Quoted(_) | Token::Close | Token::Op(_) => {
                Err(self.error(format!("a field is missing here: {}", self.names())))
            }
        }
    }

    fn names(&self) -> String {
        let name = |s: &Spec| if s.path { format!("{}.NAME", s.name) } else { s.name.to_owned() };
        self.fields.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn field(&self, word: &str) -> Result<Field, QueryError> {
        let (name, path) = word.split_once('.').map_or((word, None), |(name, path)| (name, Some(path)));
        let found = self.fields.iter().position(|s| s.name.eq_ignore_ascii_case(name));
        let Some(index) = found else {
            let name = crate::text::sanitize(name);
            return Err(self.error(format!("there is no field {name}; fields are {}", self.names())));
        };
        let takes_path = self.fields.get(index).is_some_and(|s| s.path);
        let path: Vec<String> = path.map(|p| p.split('.').map(str::to_owned).collect()).unwrap_or_default();
        match (takes_path, path.is_empty() || path.iter().any(String::is_empty)) {
            (true, true) => Err(self.error(format!("{name} takes a name: {name}.x"))),
            (false, false) => Err(self.error(format!("{name} has no parts"))),
            (false, true) if word.contains('.') => Err(self.error(format!("{name} has no parts"))),
            _ => Ok(Field { index, path }),
        }
    }

    fn comparison(&mut self, field: Field) -> Result<Expr, QueryError> {
        let Some(((_, Token::Op(op)), rest)) = self.tokens.split_first() else { return Ok(Expr::Has(field)) };
        let op = match *op {
            "=" => Op::Equal,
            "!=" => Op::NotEqual,
            "<" => Op::Less,
            "<=" => Op::AtMost,
            ">" => Op::More,
            ">=" => Op::AtLeast,
            "~" => Op::Like,
            _ => Op::NotLike,
        };
        self.tokens = rest;
        let literal = match self.tokens.first() {
            Some((_, Token::Quoted(text))) => Literal { text: text.clone(), number: None, quoted: true },
            Some((_, Token::Word(word))) => Literal { text: word.clone(), number: number(word), quoted: false },
            _ => return Err(self.error("a number, a word or a \"text\" is missing here")),
        };
        let spec = self.fields.get(field.index);
        let pattern = matches!(op, Op::Like | Op::NotLike);
        if !pattern && spec.is_some_and(|s| s.sort == Sort::Number) && literal.number.is_none() {
            let name = spec.map_or("", |s| s.name);
            return Err(self.error(format!("{name} is a number; write one here, as 10, 1.5MB or 0x7f")));
        }
        self.tokens = self.tokens.get(1..).unwrap_or(&[]);
        Ok(Expr::Compare(field, op, literal))
    }
}

/// Units as sizes are shown, and those of 1024.
const UNITS: [(&str, u64); 13] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("t", 1_000_000_000_000),
    ("b", 1),
];

/// `10`, `-1.5`, `1_000`, `0x7f00`, `1.5MB`, `1e6`.
fn number(word: &str) -> Option<Number> {
    let text = word.replace('_', "").to_ascii_lowercase();
    if let Some(hex) = text.strip_prefix("0x") {
        let digits = !hex.starts_with(['+', '-']);
        return u64::from_str_radix(hex, 16).ok().filter(|_| digits).map(|n| Number::Int(n.into()));
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return None; // `inf`, `nan` and their like are words
    }
    let plain = |text: &str| {
        let whole = text.parse::<i128>().ok().map(Number::Int);
        whole.or_else(|| text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Number::Float))
    };
    if let Some(number) = plain(&text) {
        return Some(number);
    }
    let (digits, factor) = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    Some(match plain(digits)? {
        Number::Int(n) => n.checked_mul(factor.into()).map_or(Number::Float(n as f64 * factor as f64), Number::Int),
        Number::Float(n) => Number::Float(n * factor as f64),
    })
}
