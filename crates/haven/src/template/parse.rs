//! Tokens to nodes, by recursive descent with a bound on nesting.

use super::function;
use super::lex::Token;
use super::node::{Command, Node, Operand, Pipeline};
use super::value::Value;
use std::iter::Peekable;
use std::vec::IntoIter;

/// Deepest nesting of blocks and parentheses.
const DEPTH_LIMIT: usize = 100;

pub(super) fn nodes(tokens: Vec<Token>) -> Result<Vec<Node>, String> {
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), depth: 0, loops: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        Closing::Input => Ok(nodes),
        Closing::End => Err("unexpected {{end}}".into()),
        Closing::Else(_) => Err("unexpected {{else}}".into()),
    }
}

struct Parser {
    tokens: Peekable<IntoIter<Token>>,
    depth: usize,
    /// How many `range` blocks are open.
    loops: usize,
}

/// What closed a block.
enum Closing {
    Input,
    End,
    /// `{{else}}`, or `{{else if …}}` and `{{else with …}}` with the block they begin.
    Else(Option<Box<Node>>),
}

impl Parser {
    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT { Err(format!("it nests deeper than {DEPTH_LIMIT}")) } else { Ok(()) }
    }

    fn block(&mut self) -> Result<(Vec<Node>, Closing), String> {
        let mut nodes = Vec::new();
        while let Some(token) = self.tokens.next() {
            match token {
                Token::Text(text) => nodes.push(Node::Text(text)),
                Token::Open => {
                    let keyword = match self.tokens.peek() {
                        Some(Token::Word(word)) if is_keyword(word) => Some(word.clone()),
                        _ => None,
                    };
                    let Some(keyword) = keyword else {
                        let pipeline = self.pipeline(1)?;
                        self.close()?;
                        nodes.push(Node::Action(pipeline));
                        continue;
                    };
                    self.tokens.next();
                    match keyword.as_str() {
                        "end" => {
                            self.close()?;
                            return Ok((nodes, Closing::End));
                        }
                        "else" => {
                            let chained = match self.tokens.peek() {
                                Some(Token::Word(word)) if word == "if" || word == "with" => {
                                    let word = word.clone();
                                    self.tokens.next();
                                    Some(Box::new(self.control(&word)?))
                                }
                                _ => {
                                    self.close()?;
                                    None
                                }
                            };
                            return Ok((nodes, Closing::Else(chained)));
                        }
                        "break" | "continue" => {
                            self.close()?;
                            if self.loops == 0 {
                                return Err(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                            }
                            nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                        }
                        "if" | "with" | "range" => nodes.push(self.control(&keyword)?),
                        other => return Err(format!("`{other}` (named templates) is not supported")),
                    }
                }
                other => return Err(format!("unexpected {other:?}")),
            }
        }
        Ok((nodes, Closing::Input))
    }

    /// `if`, `with` or `range` from its pipeline to its `{{end}}`.
    fn control(&mut self, keyword: &str) -> Result<Node, String> {
        self.deeper()?;
        let head = self.pipeline(if keyword == "range" { 2 } else { 1 })?;
        self.close()?;
        self.loops += usize::from(keyword == "range");
        let (body, end) = self.block()?;
        self.loops -= usize::from(keyword == "range");
        let otherwise = match end {
            Closing::End => Vec::new(),
            // The chained block has taken the one {{end}} that closes both.
            Closing::Else(Some(_)) if keyword == "range" => {
                return Err("unexpected condition after {{else}}".into());
            }
            Closing::Else(Some(chained)) => vec![*chained],
            Closing::Else(None) => match self.block()? {
                (nodes, Closing::End) => nodes,
                (_, Closing::Else(_)) => return Err("unexpected {{else}}".into()),
                (_, Closing::Input) => {
                    return Err(format!("unexpected end: {{{{{keyword}}}}} is not closed"));
                }
            },
            Closing::Input => return Err(format!("unexpected end: {{{{{keyword}}}}} is not closed")),
        };
        self.depth -= 1;
        Ok(match keyword {
            "if" => Node::If { condition: head, then: body, otherwise },
            "with" => Node::With { subject: head, then: body, otherwise },
            _ => Node::Range { over: head, body, otherwise },
        })
    }

    fn close(&mut self) -> Result<(), String> {
        match self.tokens.next() {
            Some(Token::Close) => Ok(()),
            Some(Token::RightParenthesis) => Err("unexpected right parenthesis".into()),
            other => Err(format!("unexpected {other:?} at the end of an action")),
        }
    }

    /// A pipeline with up to `most` variables before it; leaves the closing token.
    fn pipeline(&mut self, most: usize) -> Result<Pipeline, String> {
        let mut pipeline = Pipeline { variables: Vec::new(), assigns: false, commands: Vec::new() };
        let mut pending = None;
        if let Some(Token::Variable(name)) = self.tokens.peek() {
            let name = name.clone();
            self.tokens.next();
            match self.tokens.peek() {
                Some(Token::Declare | Token::Assign) => {
                    pipeline.assigns = self.tokens.next() == Some(Token::Assign);
                    pipeline.variables.push(name);
                }
                Some(Token::Comma) if most == 2 => {
                    self.tokens.next();
                    let Some(Token::Variable(second)) = self.tokens.next() else {
                        return Err("a variable must follow the comma".into());
                    };
                    match self.tokens.next() {
                        Some(Token::Declare) => {}
                        Some(Token::Assign) => pipeline.assigns = true,
                        _ => return Err("`:=` must follow the variables of a range".into()),
                    }
                    pipeline.variables = vec![name, second];
                }
                _ => pending = Some(name),
            }
        }
        loop {
            let first = pending.take().map(|name| Operand::Variable(name, self.fields()));
            pipeline.commands.push(self.command(first)?);
            if self.tokens.peek() == Some(&Token::Pipe) {
                self.tokens.next();
            } else {
                return Ok(pipeline);
            }
        }
    }

    fn command(&mut self, first: Option<Operand>) -> Result<Command, String> {
        let mut operands: Vec<Operand> = first.into_iter().collect();
        loop {
            match self.tokens.peek() {
                Some(Token::Close | Token::Pipe | Token::RightParenthesis) | None => break,
                Some(_) => operands.push(self.operand()?),
            }
        }
        if operands.is_empty() {
            return Err("missing value for a command".into());
        }
        if operands.len() > 1 && matches!(operands[0], Operand::Literal(_)) {
            return Err("a literal takes no arguments".into());
        }
        Ok(Command { operands })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        match self.tokens.next() {
            Some(Token::Dot) => Ok(Operand::Dot(Vec::new())),
            Some(Token::Field { name, .. }) => {
                let mut fields = vec![name];
                fields.extend(self.fields());
                Ok(Operand::Dot(fields))
            }
            Some(Token::Variable(name)) => Ok(Operand::Variable(name, self.fields())),
            Some(Token::Literal(value)) => Ok(Operand::Literal(value)),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Ok(Operand::Literal(Value::Bool(true))),
                "false" => Ok(Operand::Literal(Value::Bool(false))),
                "nil" => Ok(Operand::Literal(Value::Null)),
                name if function::exists(name) => Ok(Operand::Function(word)),
                name => {
                    Err(format!("function `{name}` is not defined; there are {}", function::NAMES.join(", ")))
                }
            },
            Some(Token::LeftParenthesis) => {
                self.deeper()?;
                let inner = self.pipeline(0)?;
                if self.tokens.next() != Some(Token::RightParenthesis) {
                    return Err("unclosed left parenthesis".into());
                }
                self.depth -= 1;
                Ok(Operand::Nested(Box::new(inner), self.fields()))
            }
            other => Err(format!("unexpected {other:?} in a command")),
        }
    }

    /// The fields that follow an operand without a space.
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(Token::Field { name, joined: true }) = self.tokens.peek() {
            fields.push(name.clone());
            self.tokens.next();
        }
        fields
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "if" | "else" | "end" | "range" | "with" | "break" | "continue" | "define" | "template" | "block"
    )
}
