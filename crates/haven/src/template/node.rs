//! What a template is made of after parsing.

use super::value::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// `{{pipeline}}`
    Action(Pipeline),
    If {
        condition: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        subject: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

/// `$x := command | command`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    /// One name, or two in `range`.
    pub(super) variables: Vec<String>,
    /// `=` instead of `:=`
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand alone, or a function or row function with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// `.` and the fields behind it
    Dot(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Literal(Value),
    Nested(Box<Pipeline>, Vec<String>),
}

/// Whether any operand in `nodes` reads a field called `name`.
pub(super) fn mentions(nodes: &[Node], name: &str) -> bool {
    nodes.iter().any(|node| match node {
        Node::Text(_) | Node::Break | Node::Continue => false,
        Node::Action(pipeline) => pipeline_mentions(pipeline, name),
        Node::If { condition: head, then, otherwise }
        | Node::With { subject: head, then, otherwise }
        | Node::Range { over: head, body: then, otherwise } => {
            pipeline_mentions(head, name) || mentions(then, name) || mentions(otherwise, name)
        }
    })
}

fn pipeline_mentions(pipeline: &Pipeline, name: &str) -> bool {
    pipeline.commands.iter().flat_map(|command| &command.operands).any(|operand| match operand {
        Operand::Dot(fields) | Operand::Variable(_, fields) => fields.iter().any(|field| field == name),
        Operand::Nested(inner, fields) => {
            pipeline_mentions(inner, name) || fields.iter().any(|field| field == name)
        }
        Operand::Function(_) | Operand::Literal(_) => false,
    })
}
