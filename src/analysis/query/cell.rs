//! What a field of a row is, and whether a comparison with it holds. The one place that says what operators mean.

use super::parser::{Expr, Field, Literal, Number, Op};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A row's field.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'r> {
    /// The row has no such thing.
    Missing,
    /// `None`.
    None,
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number.
    Float(f64),
    /// Text; data counts as the characters below 256.
    Text(Cow<'r, str>),
}

impl Expr {
    /// Whether a row is like this; `cell` answers for its fields.
    pub fn matches<'r>(&self, cell: &impl Fn(&Field) -> Cell<'r>) -> bool {
        match self {
            Expr::And(a, b) => a.matches(cell) && b.matches(cell),
            Expr::Or(a, b) => a.matches(cell) || b.matches(cell),
            Expr::Not(a) => !a.matches(cell),
            Expr::Has(field) => cell(field) != Cell::Missing,
            Expr::Compare(field, op, literal) => cell(field).compares(*op, literal),
        }
    }
}

impl Cell<'_> {
    /// Whether the comparison holds; never for what is missing.
    pub fn compares(&self, op: Op, literal: &Literal) -> bool {
        if *self == Cell::Missing {
            return false;
        }
        match op {
            Op::Equal => self.equals(literal),
            Op::NotEqual => !self.equals(literal),
            Op::Less => self.order(literal) == Some(Ordering::Less),
            Op::More => self.order(literal) == Some(Ordering::Greater),
            Op::AtMost => matches!(self.order(literal), Some(Ordering::Less | Ordering::Equal)),
            Op::AtLeast => matches!(self.order(literal), Some(Ordering::Greater | Ordering::Equal)),
            Op::Like => like(&self.text(), &literal.text),
            Op::NotLike => !like(&self.text(), &literal.text),
        }
    }

    fn equals(&self, literal: &Literal) -> bool {
        let word = |word: &str| !literal.quoted && literal.text.eq_ignore_ascii_case(word);
        match self {
            Cell::Missing => false,
            Cell::None => word("none"),
            Cell::Bool(flag) if literal.number.is_none() => word(if *flag { "true" } else { "false" }),
            Cell::Text(text) => *text == literal.text,
            _ => self.order(literal) == Some(Ordering::Equal),
        }
    }

    fn order(&self, literal: &Literal) -> Option<Ordering> {
        match self {
            Cell::Missing | Cell::None => None,
            Cell::Bool(flag) => order(Number::Int((*flag).into()), literal.number?),
            Cell::Int(n) => order(Number::Int(*n), literal.number?),
            Cell::Float(n) => order(Number::Float(*n), literal.number?),
            Cell::Text(text) => Some(text.as_ref().cmp(literal.text.as_str())),
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Cell::Missing => "".into(),
            Cell::None => "None".into(),
            Cell::Bool(true) => "True".into(),
            Cell::Bool(false) => "False".into(),
            Cell::Int(n) => n.to_string().into(),
            Cell::Float(n) => n.to_string().into(),
            Cell::Text(text) => Cow::Borrowed(text.as_ref()),
        }
    }
}

fn order(a: Number, b: Number) -> Option<Ordering> {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (Number::Int(a), Number::Float(b)) => (a as f64).partial_cmp(&b),
        (Number::Float(a), Number::Int(b)) => a.partial_cmp(&(b as f64)),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
    }
}

/// Whether `text` is like a pattern: all of it where the pattern has `*` or `?`, else a part of it.
fn like(text: &str, pattern: &str) -> bool {
    let exact = pattern.chars().any(char::is_uppercase);
    let text: Cow<'_, str> = if exact { text.into() } else { text.to_lowercase().into() };
    if !pattern.contains(['*', '?']) {
        return text.contains(pattern);
    }
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    // where the last star was, and up to where it has taken the text
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => {
                t += 1;
                p += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or(&[]).iter().all(|c| *c == '*')
}
