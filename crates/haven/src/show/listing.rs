//! Lists of rows under a format: a table, JSON lines, or a template of the user's.

use super::table::aligned;
use crate::console;
use crate::ending::Refusal;
use crate::template::{Template, Value};
use haven_spec::{Failure, Outcome};

/// Narrowest column of a table, padding included.
const NARROWEST: usize = 10;

/// One row: its cells by field name.
pub(crate) type Row = Value;

/// A row from its cells, in alphabetical order, as JSON shows them.
pub(crate) fn row<const N: usize>(mut cells: [(&str, Value); N]) -> Row {
    cells.sort_by_key(|(name, _)| *name);
    Value::Map(cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A kind of list: its fields with their headings, and the table shown when nothing else is asked for.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) headings: &'static [(&'static str, &'static str)],
    /// As a template, columns separated by tabs.
    pub(crate) table: &'static str,
    /// What `--quiet` shows of each row.
    pub(crate) quiet: &'static str,
}

/// A listing with its format read.
#[derive(Debug)]
pub(crate) struct Format {
    template: Template,
    headings: Option<Value>,
}

impl Listing {
    /// Reads the user's format; an empty one is the listing's own table.
    pub(crate) fn format(&self, format: &str, quiet: bool) -> Outcome<Format> {
        self.format_over(format, quiet, self.table)
    }

    /// As [`Self::format`], with `table` as the default table.
    pub(crate) fn format_over(&self, format: &str, quiet: bool, table: &str) -> Outcome<Format> {
        let (text, is_table) = match format {
            "" | "table" if quiet => (self.quiet.to_owned(), false),
            "" | "table" => (table.to_owned(), true),
            "json" => ("{{json .}}".to_owned(), false),
            "raw" | "pretty" => {
                return Err(Failure::unsupported(format!("there is no format called `{format}`"))
                    .hint("use table, json, or a template like '{{.ID}}'"));
            }
            own => match own.strip_prefix("table") {
                Some(columns) if columns.starts_with([' ', '{', '\t']) => (unescaped(columns), true),
                _ => (unescaped(own), false),
            },
        };
        let template = Template::parse(&text)?;
        let headings = is_table.then(|| {
            let mut headings: Vec<(String, Value)> = self
                .headings
                .iter()
                .map(|(field, heading)| ((*field).to_owned(), Value::from(*heading)))
                .collect();
            headings.push(("Label".to_owned(), Value::Lookup(Vec::new())));
            Value::Map(headings)
        });
        Ok(Format { template, headings })
    }
}

/// Trimmed of spaces, `\t` and `\n` written out being meant.
fn unescaped(format: &str) -> String {
    format.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n")
}

impl Format {
    /// Whether the format reads `field`, so that it has to be fetched.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        self.template.mentions(field)
    }

    /// The text of all rows, headings first in a table.
    pub(crate) fn render(&self, rows: &[Row]) -> Outcome<String> {
        let mut text = String::new();
        for row in rows {
            text.push_str(&self.template.render(row)?);
            text.push('\n');
        }
        match &self.headings {
            None => Ok(text),
            Some(headings) => {
                let head = self.template.render_headings(headings)?;
                Ok(aligned(&format!("{head}\n{text}"), NARROWEST))
            }
        }
    }

    /// Prints all rows.
    pub(crate) fn print(&self, rows: &[Row]) -> Result<(), Refusal> {
        console::print(&self.render(rows)?)
    }
}
