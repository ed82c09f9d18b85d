//! Text → tokens with their columns. What they mean together is the parser's business.

use super::QueryError;

/// A piece of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `~`, `!~`.
    Op(&'static str),
    /// A field, a keyword, a number, or a text without quotes.
    Word(String),
    /// A text in quotes.
    Quoted(String),
}

/// With the column of its first character, from 1 on.
pub(super) type Placed = (usize, Token);

/// Longest first.
const OPS: [&str; 10] = ["!=", "!~", "<=", ">=", "==", "=", "<", ">", "~", "!"];

pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, QueryError> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        let column = at + 1;
        match c {
            c if c.is_whitespace() => at += 1,
            '(' | ')' => {
                found.push((column, if c == '(' { Token::Open } else { Token::Close }));
                at += 1;
            }
            '"' | '\'' => {
                let (text, end) = quoted(&chars, at, c)?;
                found.push((column, Token::Quoted(text)));
                at = end;
            }
            _ => {
                let follows = |op: &&&str| op.chars().enumerate().all(|(i, o)| chars.get(at + i) == Some(&o));
                if let Some(op) = OPS.iter().find(follows) {
                    let known = match *op {
                        "==" => "=",
                        "!" => {
                            return Err(QueryError { column, message: "`!` is written `not`, or `!=`, `!~`".into() });
                        }
                        op => op,
                    };
                    found.push((column, Token::Op(known)));
                    at += op.len();
                } else {
                    let len = chars[at..].iter().take_while(|c| is_word(**c)).count().max(1);
                    found.push((column, Token::Word(chars[at..at + len].iter().collect())));
                    at += len;
                }
            }
        }
    }
    Ok(found)
}

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '(' | ')' | '=' | '!' | '<' | '>' | '~' | '"' | '\'')
}

/// A text in quotes from `start` on, with `\` before what would end it; and where it ends.
fn quoted(chars: &[char], start: usize, quote: char) -> Result<(String, usize), QueryError> {
    let mut text = String::new();
    let mut at = start + 1;
    while let Some(c) = chars.get(at).copied() {
        at += 1;
        match c {
            c if c == quote => return Ok((text, at)),
            '\\' => match chars.get(at).copied() {
                Some(escaped) => {
                    text.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        c => c,
                    });
                    at += 1;
                }
                None => break,
            },
            c => text.push(c),
        }
    }
    Err(QueryError { column: start + 1, message: format!("the text has no closing {quote}") })
}
