//! Parsing of paths, by recursive descent over characters.

use serde_json::Value;

use super::{Error, MAX_BYTES, Operand, Operator, Step};

/// How deep filters may be nested within filters.
const MAX_NESTING: usize = 8;

/// Parses a whole path.
pub(super) fn path(text: &str) -> Result<Vec<Step>, Error> {
    if text.len() > MAX_BYTES {
        return fail(format!("must be no more than {MAX_BYTES} bytes"));
    }
    let text = text.trim();
    let inner = match text.strip_prefix('{') {
        Some(rest) => match rest.strip_suffix('}') {
            Some(inner) => inner,
            None => return fail("unclosed action: } is missing"),
        },
        None => text,
    };
    let mut parser = Parser {
        chars: inner.trim().chars().collect(),
        at: 0,
        nesting: 0,
    };
    if matches!(parser.peek(), Some('$' | '@')) {
        parser.at += 1;
    }
    let steps = parser.steps(false)?;
    match parser.peek() {
        None => Ok(steps),
        Some(found) => fail(format!(
            "unrecognized character in action: {found:?} at position {}",
            parser.at
        )),
    }
}

fn fail<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error(why.into()))
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    nesting: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Steps up to something that is none. Within a filter a path ends at an operator too.
    fn steps(&mut self, in_filter: bool) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        loop {
            match self.peek() {
                Some('.') => {
                    self.at += 1;
                    if self.take('.') {
                        steps.push(Step::Descend);
                        if self.peek() == Some('[') {
                            continue;
                        }
                    }
                    match self.peek() {
                        // A lone dot is the value itself.
                        None if steps.is_empty() => {}
                        Some('[') => {}
                        _ => steps.push(self.name(in_filter)?),
                    }
                }
                Some('[') => {
                    self.at += 1;
                    steps.push(self.bracket()?);
                }
                // Kubernetes takes a first name without its dot.
                Some(c)
                    if steps.is_empty()
                        && !in_filter
                        && (c.is_alphabetic() || c == '_' || c == '*') =>
                {
                    steps.push(self.name(in_filter)?);
                }
                _ => return Ok(steps),
            }
        }
    }

    /// A name after a dot; `\.` is a dot within it.
    fn name(&mut self, in_filter: bool) -> Result<Step, Error> {
        if self.take('*') {
            return Ok(Step::Wildcard);
        }
        let mut name = String::new();
        while let Some(c) = self.peek() {
            let ends = matches!(c, '.' | '[' | ']' | ',' | '{' | '}' | '(' | ')' | '$' | '@')
                || c.is_whitespace()
                || (in_filter && matches!(c, '=' | '!' | '<' | '>' | '&' | '|'));
            if ends {
                break;
            }
            self.at += 1;
            if c == '\\' {
                let Some(escaped) = self.peek() else {
                    return fail("the path ends in a backslash");
                };
                self.at += 1;
                name.push(escaped);
            } else {
                name.push(c);
            }
        }
        if name.is_empty() {
            fail(format!("a name is missing at position {}", self.at))
        } else {
            Ok(Step::Field(name))
        }
    }

    /// What stands between brackets; the opening one is taken.
    fn bracket(&mut self) -> Result<Step, Error> {
        self.spaces();
        let step = match self.peek() {
            Some('*') => {
                self.at += 1;
                Step::Wildcard
            }
            Some('?') => {
                self.at += 1;
                self.filter()?
            }
            _ => self.union()?,
        };
        self.spaces();
        if self.take(']') {
            Ok(step)
        } else {
            fail("unterminated array: ] is missing")
        }
    }

    fn union(&mut self) -> Result<Step, Error> {
        let mut members = Vec::new();
        loop {
            self.spaces();
            members.push(match self.peek() {
                Some(quote @ ('\'' | '"')) => {
                    self.at += 1;
                    Step::Field(self.quoted(quote)?)
                }
                Some(c) if c == '-' || c == ':' || c.is_ascii_digit() => self.slice()?,
                Some(c) => {
                    return fail(format!(
                        "invalid array index: {c:?} at position {}",
                        self.at
                    ));
                }
                None => return fail("unterminated array: ] is missing"),
            });
            self.spaces();
            if !self.take(',') {
                break;
            }
        }
        Ok(if members.len() == 1 {
            members.remove(0)
        } else {
            Step::Union(members)
        })
    }

    fn slice(&mut self) -> Result<Step, Error> {
        let start = self.integer()?;
        if !self.take(':') {
            return start
                .map(Step::Index)
                .ok_or_else(|| Error("an array index is missing".to_owned()));
        }
        let end = self.integer()?;
        let step = if self.take(':') {
            self.integer()?.unwrap_or(1)
        } else {
            1
        };
        if step < 1 {
            return fail("a slice's step must be greater than 0");
        }
        Ok(Step::Slice(start, end, step))
    }

    fn integer(&mut self) -> Result<Option<i64>, Error> {
        let from = self.at;
        self.take('-');
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from {
            return Ok(None);
        }
        let text: String = self.chars[from..self.at].iter().collect();
        text.parse()
            .map(Some)
            .or_else(|_| fail(format!("invalid array index {text}")))
    }

    /// The rest of a quoted text; the opening quote is taken.
    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                c if c == quote => return Ok(text),
                '\\' => {
                    let Some(escaped) = self.peek() else { break };
                    self.at += 1;
                    text.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        other => other,
                    });
                }
                other => text.push(other),
            }
        }
        fail("unterminated quoted string")
    }

    /// `(left op right)` or `(left)`; the question mark is taken.
    fn filter(&mut self) -> Result<Step, Error> {
        if self.nesting >= MAX_NESTING {
            return fail(format!(
                "filters must not be nested deeper than {MAX_NESTING} levels"
            ));
        }
        self.nesting += 1;
        self.spaces();
        if !self.take('(') {
            return fail("a filter must stand in parentheses");
        }
        let left = self.operand()?;
        self.spaces();
        let comparison = match self.operator() {
            Some(operator) => Some((operator, self.operand()?)),
            None => None,
        };
        self.spaces();
        if !self.take(')') {
            return fail("unterminated filter: ) is missing");
        }
        self.nesting -= 1;
        Ok(Step::Filter(left, comparison))
    }

    fn operator(&mut self) -> Option<Operator> {
        const OPERATORS: &[(&str, Operator)] = &[
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let rest = &self.chars[self.at..];
        let (text, operator) = OPERATORS
            .iter()
            .find(|(text, _)| text.chars().eq(rest.iter().take(text.len()).copied()))?;
        self.at += text.len();
        Some(*operator)
    }

    fn operand(&mut self) -> Result<Operand, Error> {
        self.spaces();
        match self.peek() {
            Some(start @ ('@' | '$')) => {
                self.at += 1;
                Ok(Operand::Path {
                    from_root: start == '$',
                    steps: self.steps(true)?,
                })
            }
            Some('.' | '[') => Ok(Operand::Path {
                from_root: false,
                steps: self.steps(true)?,
            }),
            Some(quote @ ('\'' | '"')) => {
                self.at += 1;
                Ok(Operand::Literal(self.quoted(quote)?.into()))
            }
            Some(_) => self.word().map(Operand::Literal),
            None => fail("a filter's operand is missing"),
        }
    }

    /// A number or a boolean.
    fn word(&mut self) -> Result<Value, Error> {
        let from = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '_'))
        {
            self.at += 1;
        }
        let word: String = self.chars[from..self.at].iter().collect();
        match word.as_str() {
            "true" => return Ok(true.into()),
            "false" => return Ok(false.into()),
            _ => {}
        }
        let number = word
            .parse::<i64>()
            .map(Value::from)
            .ok()
            .or_else(|| word.parse::<f64>().map(Value::from).ok());
        number
            .filter(Value::is_number)
            .ok_or_else(|| Error(format!("cannot read {word:?} in a filter: quote a text")))
    }
}
