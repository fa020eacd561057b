use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::SelectorError;
use super::lexer::{Token, tokens};
use crate::FieldError;
use crate::meta::{label_value, qualified_name};

/// A label selector: all requirements must hold. The empty one selects everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    requirements: Vec<Requirement>,
    nothing: bool,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Key of the label.
    pub key: String,
    /// What is asked of it.
    pub operator: Operator,
    /// Values, sorted, each once.
    pub values: Vec<String>,
}

/// What a [`Requirement`] asks of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Present with one of the values.
    In,
    /// Absent, or with none of the values.
    NotIn,
    /// `key=value`
    Equals,
    /// `key==value`
    DoubleEquals,
    /// Absent, or another value.
    NotEquals,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// A number greater than the value.
    GreaterThan,
    /// A number less than the value.
    LessThan,
}

impl Labels {
    /// Selects every object.
    pub fn everything() -> Self {
        Self { requirements: Vec::new(), nothing: false }
    }

    /// Selects no object: what an absent `LabelSelector` means.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Reads the `labelSelector` of a request: `app=web,tier in (a,b),!old`.
    ///
    /// # Errors
    /// With the API server's text, for a bad request (400).
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { tokens: tokens(text), position: 0 };
        let mut requirements = parser.selector()?;
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(Self { requirements, nothing: false })
    }

    /// Reads a `metav1.LabelSelector`. Null selects nothing, the empty object everything.
    ///
    /// # Errors
    /// With the API server's text, when an operator, key or value is not valid.
    pub fn from_label_selector(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            requirements.push(Requirement::new(key, Operator::Equals, vec![value.to_owned()])?);
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or_default();
            let operator = match text("operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!("{other:?} is not a valid label selector operator")));
                }
            };
            let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(Requirement::new(text("key"), operator, values)?);
        }
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(Self { requirements, nothing: false })
    }

    /// Whether the selector is empty, that is selects everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// The conditions, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether labels (a JSON map, or null) satisfy every condition.
    pub fn matches(&self, labels: &Value) -> bool {
        self.holds(|key| labels.get(key).and_then(Value::as_str))
    }

    /// Whether the labels of a whole object satisfy every condition.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(object.pointer("/metadata/labels").unwrap_or(&Value::Null))
    }

    /// As [`Labels::matches`], for typed labels.
    pub fn matches_map(&self, labels: &BTreeMap<String, String>) -> bool {
        self.holds(|key| labels.get(key).map(String::as_str))
    }

    fn holds<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing
            && self.requirements.iter().all(|requirement| requirement.holds(label(&requirement.key)))
    }
}

impl Requirement {
    /// Checks key and values and builds the condition.
    fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, SelectorError> {
        let mut errors = Vec::new();
        let faults = qualified_name(key);
        if !faults.is_empty() {
            errors.push(FieldError::invalid("key", key, faults.join("; ")));
        }
        if matches!(operator, Operator::In | Operator::NotIn) && values.is_empty() {
            let detail = "for 'in', 'notin' operators, values set can't be empty";
            errors.push(FieldError::invalid_verbatim("values", "[]string(nil)", detail));
        }
        if matches!(operator, Operator::Exists | Operator::DoesNotExist) && !values.is_empty() {
            let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
            let shown = format!("[]string{{{}}}", quoted.join(", "));
            let detail = "values set must be empty for exists and does not exist";
            errors.push(FieldError::invalid_verbatim("values", shown, detail));
        }
        for (index, value) in values.iter().enumerate() {
            if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err()
            {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(FieldError::invalid(format!("values[{index}]"), value.as_str(), detail));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let faults = label_value(value);
            if !faults.is_empty() {
                let field = format!("values[{index}][{key}]");
                errors.push(FieldError::invalid(field, value.as_str(), faults.join("; ")));
            }
        }
        if !errors.is_empty() {
            return Err(SelectorError(FieldError::aggregate(&errors)));
        }
        values.sort();
        values.dedup();
        Ok(Self { key: key.to_owned(), operator, values })
    }

    fn holds(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|wanted| wanted == value);
        let compare = |holds: fn(i64, i64) -> bool| {
            let wanted = self.values.first().and_then(|wanted| wanted.parse().ok());
            let actual = value.and_then(|value| value.parse().ok());
            actual.zip(wanted).is_some_and(|(actual, wanted)| holds(actual, wanted))
        };
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compare(|actual, wanted| actual > wanted),
            Operator::LessThan => compare(|actual, wanted| actual < wanted),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    /// The next word where a key or value is expected: `in` and `notin` are then plain words.
    fn peek_value(&self) -> Token {
        match self.peek() {
            keyword @ (Token::In | Token::NotIn) => Token::Identifier(keyword.text().to_owned()),
            other => other,
        }
    }

    fn peek(&self) -> Token {
        self.tokens.get(self.position).cloned().unwrap_or(Token::End)
    }

    fn next_value(&mut self) -> Token {
        let token = self.peek_value();
        self.position += 1;
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        loop {
            match self.peek_value() {
                Token::End => return Ok(requirements),
                Token::Identifier(_) | Token::Not => {}
                other => {
                    return Err(expected(&other, ", expected: !, identifier, or 'end of string'"));
                }
            }
            let requirement = self.requirement();
            requirements.push(
                requirement.map_err(|why| SelectorError(format!("unable to parse requirement: {why}")))?,
            );
            match self.next_value() {
                Token::End => return Ok(requirements),
                Token::Comma => match self.peek_value() {
                    Token::Identifier(_) | Token::Not => {}
                    other => return Err(expected(&other, ", expected: identifier after ','")),
                },
                other => return Err(expected(&other, ", expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut token = self.next_value();
        let negated = token == Token::Not;
        if negated {
            token = self.next_value();
        }
        let Token::Identifier(key) = token else { return Err(expected(&token, ", expected: identifier")) };
        let faults = qualified_name(&key);
        if !faults.is_empty() {
            let error = FieldError::invalid("<nil>", key, faults.join("; "));
            return Err(SelectorError(error.to_string()));
        }
        if negated {
            return Requirement::new(&key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek_value(), Token::End | Token::Comma) {
            return Requirement::new(&key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(&key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        let token = self.peek();
        self.position += 1;
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            other => return Err(expected(&other, ", expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek_value(), Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next_value() {
            Token::Identifier(value) => Ok(value),
            other => Err(expected(&other, ", expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        let open = self.next_value();
        if open != Token::Open {
            return Err(expected(&open, " expected: '('"));
        }
        match self.peek_value() {
            Token::Close => {
                self.position += 1;
                return Ok(vec![String::new()]);
            }
            Token::Identifier(_) | Token::Comma => {}
            other => return Err(expected(&other, ", expected: ',', ')' or identifier")),
        }
        let mut values = Vec::new();
        loop {
            match self.next_value() {
                Token::Identifier(value) => {
                    values.push(value);
                    match self.peek_value() {
                        Token::Comma => {}
                        Token::Close => break,
                        other => return Err(expected(&other, ", expected: ',' or ')'")),
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    match self.peek_value() {
                        Token::Close => {
                            values.push(String::new());
                            break;
                        }
                        Token::Comma => values.push(String::new()),
                        _ => {}
                    }
                }
                other => return Err(expected(&other, ", expected: ',', or identifier")),
            }
        }
        self.position += 1;
        Ok(values)
    }
}

fn expected(found: &Token, what: &str) -> SelectorError {
    SelectorError(format!("found '{}'{what}", found.text()))
}

impl fmt::Display for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        formatter.write_str(&texts.join(","))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let first = self.values.first().map_or("", String::as_str);
        let all = || self.values.join(",");
        match self.operator {
            Operator::Exists => write!(formatter, "{key}"),
            Operator::DoesNotExist => write!(formatter, "!{key}"),
            Operator::Equals => write!(formatter, "{key}={first}"),
            Operator::DoubleEquals => write!(formatter, "{key}=={first}"),
            Operator::NotEquals => write!(formatter, "{key}!={first}"),
            Operator::GreaterThan => write!(formatter, "{key}>{first}"),
            Operator::LessThan => write!(formatter, "{key}<{first}"),
            Operator::In => write!(formatter, "{key} in ({})", all()),
            Operator::NotIn => write!(formatter, "{key} notin ({})", all()),
        }
    }
}
