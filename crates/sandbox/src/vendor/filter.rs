//! The part of OData's `$filter` that makes sense for a list of offers: `eq` and `ne` on
//! members, `and`, `or`, `not`, and parentheses. Anything else is refused, as OData does,
//! rather than ignored.

use serde_json::Value;

/// The deepest nesting that is followed.
const DEEPEST: usize = 32;

/// A condition on a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    /// The member, whether it must be equal, and the value.
    Is(String, bool, Value),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("Syntax error in the filter near '{0}'.")]
    Near(String),
    #[error("The filter ends too early.")]
    End,
    #[error("A string in the filter is not closed.")]
    Open,
    #[error("The filter is nested too deeply.")]
    Deep,
}

impl Filter {
    pub(super) fn takes(&self, object: &Value) -> bool {
        match self {
            Self::And(one, other) => one.takes(object) && other.takes(object),
            Self::Or(one, other) => one.takes(object) || other.takes(object),
            Self::Not(inner) => !inner.takes(object),
            Self::Is(name, equal, value) => {
                let member = object.as_object().and_then(|members| {
                    let mut all = members.iter();
                    all.find(|(member, _)| member.eq_ignore_ascii_case(name))
                });
                let same = member.map_or(&Value::Null, |(_, given)| given) == value;
                same == *equal
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Literal(Value),
    Open,
    Close,
}

/// Parses a filter such as `offerTypeId eq 'microsoft-azure-virtualmachines'`.
pub(super) fn parse(text: &str) -> Result<Filter, Malformed> {
    let mut tokens = tokens(text)?.into_iter().peekable();
    let filter = or(&mut tokens, 0)?;
    match tokens.next() {
        None => Ok(filter),
        Some(token) => Err(near(&token)),
    }
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Token>>;

fn or(tokens: &mut Tokens, depth: usize) -> Result<Filter, Malformed> {
    let mut filter = and(tokens, depth)?;
    while next_is(tokens, "or") {
        filter = Filter::Or(Box::new(filter), Box::new(and(tokens, depth)?));
    }
    Ok(filter)
}

fn and(tokens: &mut Tokens, depth: usize) -> Result<Filter, Malformed> {
    let mut filter = one(tokens, depth)?;
    while next_is(tokens, "and") {
        filter = Filter::And(Box::new(filter), Box::new(one(tokens, depth)?));
    }
    Ok(filter)
}

fn one(tokens: &mut Tokens, depth: usize) -> Result<Filter, Malformed> {
    if depth > DEEPEST {
        return Err(Malformed::Deep);
    }
    if next_is(tokens, "not") {
        return Ok(Filter::Not(Box::new(one(tokens, depth + 1)?)));
    }
    let name = match tokens.next().ok_or(Malformed::End)? {
        Token::Open => {
            let inner = or(tokens, depth + 1)?;
            return match tokens.next().ok_or(Malformed::End)? {
                Token::Close => Ok(inner),
                token => Err(near(&token)),
            };
        }
        Token::Word(name) => name,
        token => return Err(near(&token)),
    };
    let equal = match tokens.next().ok_or(Malformed::End)? {
        Token::Word(word) if word == "eq" => true,
        Token::Word(word) if word == "ne" => false,
        token => return Err(near(&token)),
    };
    match tokens.next().ok_or(Malformed::End)? {
        Token::Literal(value) => Ok(Filter::Is(name, equal, value)),
        token => Err(near(&token)),
    }
}

fn next_is(tokens: &mut Tokens, word: &str) -> bool {
    tokens
        .next_if(|token| matches!(token, Token::Word(given) if given == word))
        .is_some()
}

fn near(token: &Token) -> Malformed {
    Malformed::Near(match token {
        Token::Word(word) => word.clone(),
        Token::Literal(value) => value.to_string(),
        Token::Open => "(".into(),
        Token::Close => ")".into(),
    })
}

fn tokens(text: &str) -> Result<Vec<Token>, Malformed> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '(' => (Token::Open, &rest[1..]),
            ')' => (Token::Close, &rest[1..]),
            '\'' => string(&rest[1..])?,
            _ => {
                let ends = |letter: char| letter.is_whitespace() || "()'".contains(letter);
                let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
                (word_or_literal(word), after)
            }
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn word_or_literal(word: &str) -> Token {
    match serde_json::from_str(word) {
        Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => Token::Literal(value),
        _ => Token::Word(word.to_owned()),
    }
}

/// A string up to its closing quote; two quotes stand for one.
fn string(text: &str) -> Result<(Token, &str), Malformed> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'').ok_or(Malformed::Open)?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Ok((Token::Literal(value.into()), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn filters_select_by_member() {
        let offer = json!({"offerTypeId": "vm", "status": "it's", "version": 3});
        for (text, taken) in [
            ("offerTypeId eq 'vm'", true),
            ("OfferTypeId ne 'vm'", false),
            ("status eq 'it''s' and version eq 3", true),
            (
                "version eq 4 or (not (status eq 'x') and version ne 4)",
                true,
            ),
            ("unknown eq null", true),
            ("unknown eq 'x'", false),
        ] {
            assert_eq!(parse(text).unwrap().takes(&offer), taken, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "", "a", "a eq", "a eq 'b", "a gt 1", "(a eq 1", "a eq 1 b", "a eq 1)",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse(&"(".repeat(1_000)), Err(Malformed::Deep));
        assert_eq!(parse(&"not ".repeat(1_000)), Err(Malformed::Deep));
    }
}
