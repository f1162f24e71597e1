//! Walks the nodes with a subject and writes the text.

use super::function;
use super::node::{Command, Node, Operand, Pipeline};
use super::value::Value;
use std::borrow::Cow;

/// Most text a template may make; a runaway `range` ends here.
const OUTPUT_LIMIT_BYTES: usize = 256 * 1024 * 1024;

pub(super) struct Evaluator<'a> {
    root: &'a Value,
    headings: bool,
    variables: Vec<(String, Value)>,
    output: String,
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(root: &'a Value, headings: bool) -> Self {
        Self { root, headings, variables: Vec::new(), output: String::new() }
    }

    pub(super) fn run(mut self, nodes: &[Node]) -> Result<String, String> {
        self.nodes(nodes, self.root)?;
        Ok(self.output)
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        let scope = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        if self.output.len() > OUTPUT_LIMIT_BYTES {
            return Err(format!("it makes more than {OUTPUT_LIMIT_BYTES} bytes"));
        }
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?.into_owned();
                if pipeline.variables.is_empty() {
                    self.output.push_str(&value.shown());
                } else {
                    self.bind(pipeline, value)?;
                }
            }
            Node::If { condition, then, otherwise } => {
                return self.branch(condition, then, otherwise, dot, false);
            }
            Node::With { subject, then, otherwise } => {
                return self.branch(subject, then, otherwise, dot, true);
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        head: &Pipeline,
        then: &[Node],
        otherwise: &[Node],
        dot: &Value,
        moves_dot: bool,
    ) -> Result<Flow, String> {
        let scope = self.variables.len();
        let value = self.pipeline(head, dot)?.into_owned();
        if !head.variables.is_empty() {
            self.bind(head, value.clone())?;
        }
        let flow = if function::truth(&value) {
            self.nodes(then, if moves_dot { &value } else { dot })
        } else {
            self.nodes(otherwise, dot)
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, String> {
        let pairs: Vec<(Value, Value)> = match self.pipeline(over, dot)?.into_owned() {
            Value::List(items) => (0..).map(Value::Integer).zip(items).collect(),
            Value::Map(mut entries) => {
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                entries.into_iter().map(|(name, value)| (Value::Text(name), value)).collect()
            }
            Value::Null => Vec::new(),
            Value::Integer(count) if (0..=1_000_000).contains(&count) => {
                (0..count).map(|number| (Value::Integer(number), Value::Integer(number))).collect()
            }
            other => return Err(format!("cannot range over {}", function::kind(&other))),
        };
        if pairs.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let scope = self.variables.len();
        for (key, item) in pairs {
            match (over.variables.as_slice(), over.assigns) {
                ([], _) => {}
                ([one], false) => self.variables.push((one.clone(), item.clone())),
                ([one], true) => self.assign(one, item.clone())?,
                ([first, second, ..], false) => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), item.clone()));
                }
                ([first, second, ..], true) => {
                    self.assign(first, key)?;
                    self.assign(second, item.clone())?;
                }
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn bind(&mut self, pipeline: &Pipeline, value: Value) -> Result<(), String> {
        match pipeline.variables.first() {
            Some(name) if pipeline.assigns => self.assign(name, value),
            Some(name) => {
                self.variables.push((name.clone(), value));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), String> {
        let slot = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        let slot = slot.ok_or_else(|| format!("variable `{name}` is not defined"))?;
        slot.1 = value;
        Ok(())
    }

    fn pipeline<'v>(&mut self, pipeline: &Pipeline, dot: &'v Value) -> Result<Cow<'v, Value>, String>
    where
        'a: 'v,
    {
        let mut value: Option<Cow<'v, Value>> = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        value.ok_or_else(|| "missing value for a command".into())
    }

    fn command<'v>(
        &mut self,
        command: &Command,
        dot: &'v Value,
        piped: Option<Cow<'v, Value>>,
    ) -> Result<Cow<'v, Value>, String>
    where
        'a: 'v,
    {
        let Some((head, rest)) = command.operands.split_first() else {
            return Err("missing value for a command".into());
        };
        if let Operand::Function(name) = head {
            return self.call(name, rest, dot, piped).map(Cow::Owned);
        }
        let value = self.operand(head, dot)?;
        if let Value::Lookup(known) = value.as_ref() {
            let argument = match (rest, piped) {
                ([], Some(piped)) => piped,
                ([one], None) => self.operand(one, dot)?,
                _ => return Err("a row's function takes one argument".into()),
            };
            if self.headings {
                return Ok(Cow::Owned(Value::Text(label_heading(argument.as_str()))));
            }
            let found = known.iter().find(|(name, _)| name == argument.as_str());
            return Ok(Cow::Owned(Value::text(found.map_or("", |(_, value)| value))));
        }
        if !rest.is_empty() || piped.is_some() {
            return Err(format!("{} takes no arguments", described(head)));
        }
        Ok(value)
    }

    fn call<'v>(
        &mut self,
        name: &str,
        rest: &[Operand],
        dot: &'v Value,
        piped: Option<Cow<'v, Value>>,
    ) -> Result<Value, String>
    where
        'a: 'v,
    {
        // `and` and `or` stop at the first operand that decides.
        if name == "and" || name == "or" {
            let mut last = None;
            for operand in rest {
                let value = self.operand(operand, dot)?.into_owned();
                let decided = function::truth(&value) == (name == "or");
                last = Some(value);
                if decided {
                    break;
                }
            }
            let decided = last.as_ref().is_some_and(|value| function::truth(value) == (name == "or"));
            let result = if decided { last } else { piped.map(Cow::into_owned).or(last) };
            return result.ok_or_else(|| format!("`{name}` needs an argument"));
        }
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(operand, dot)?.into_owned());
        }
        arguments.extend(piped.map(Cow::into_owned));
        if self.headings && function::keeps_headings(name) {
            return arguments.into_iter().next().ok_or_else(|| format!("`{name}` needs an argument"));
        }
        function::call(name, &arguments)
    }

    fn operand<'v>(&mut self, operand: &Operand, dot: &'v Value) -> Result<Cow<'v, Value>, String>
    where
        'a: 'v,
    {
        match operand {
            Operand::Dot(fields) => walk(Cow::Borrowed(dot), fields),
            Operand::Literal(value) => Ok(Cow::Owned(value.clone())),
            Operand::Function(name) => self.call(name, &[], dot, None).map(Cow::Owned),
            Operand::Variable(name, fields) if name == "$" => walk(Cow::Borrowed(self.root), fields),
            Operand::Variable(name, fields) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = found.ok_or_else(|| format!("variable `{name}` is not defined"))?.1.clone();
                walk(Cow::Owned(value), fields)
            }
            Operand::Nested(pipeline, fields) => {
                let value = self.pipeline(pipeline, dot)?;
                walk(value, fields)
            }
        }
    }
}

/// Follows fields into maps: by their exact name, else by the same letters in another case (Go's `ID` is the
/// wire's `Id`).
fn walk<'v>(mut value: Cow<'v, Value>, fields: &[String]) -> Result<Cow<'v, Value>, String> {
    for field in fields {
        value = match value {
            Cow::Borrowed(value) => Cow::Borrowed(entry(value, field)?),
            Cow::Owned(value) => Cow::Owned(entry(&value, field)?.clone()),
        };
    }
    Ok(value)
}

/// Members the Docker API leaves out when there is nothing to say; to its users they are nothing and no error.
const LEFT_OUT: &[&str] = &[
    "Health",
    "Healthcheck",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "Annotations",
    "Tmpfs",
    "Sysctls",
    "Init",
    "SizeRw",
    "SizeRootFs",
];

fn entry<'v>(value: &'v Value, field: &str) -> Result<&'v Value, String> {
    match value {
        Value::Map(entries) => entries
            .iter()
            .find(|(name, _)| name == field)
            .or_else(|| entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)))
            .map(|(_, value)| value)
            .or_else(|| LEFT_OUT.contains(&field).then_some(&Value::Null))
            .ok_or_else(|| {
                let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
                format!("there is no field `{field}`; there are {}", names.join(", "))
            }),
        Value::Null => Err(format!("cannot read field `{field}` of nothing (null)")),
        other => Err(format!("cannot read field `{field}` of {}", function::kind(other))),
    }
}

/// A column of one label is headed by the label's last word.
fn label_heading(label: &str) -> String {
    label.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " ")
}

fn described(operand: &Operand) -> String {
    match operand {
        Operand::Dot(fields) => format!("`.{}`", fields.join(".")),
        Operand::Variable(name, _) => format!("`{name}`"),
        _ => "a value".into(),
    }
}
