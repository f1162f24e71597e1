//! Columns by elastic tab stops: a column is as wide as its widest cell in a run of lines that have it.
//!
//! The rules are those of Go's text/tabwriter with the settings Docker's tables use, so that output lines up the
//! same: a cell ends with a tab, what follows the last tab of a line belongs to no column, and widths are counted
//! in characters.

/// Spaces after a column's widest cell.
const PADDING: usize = 3;

/// `text` with its tabs replaced by spaces; no column is narrower than `narrowest`, padding included.
pub(crate) fn aligned(text: &str, narrowest: usize) -> String {
    let body = text.strip_suffix('\n');
    let lines: Vec<Vec<&str>> =
        body.unwrap_or(text).split('\n').map(|line| line.split('\t').collect()).collect();
    let mut writer = Writer { lines: &lines, narrowest, widths: Vec::new(), output: String::new() };
    writer.block(0, lines.len());
    let mut output = writer.output;
    if body.is_none() {
        output.pop();
    }
    output
}

struct Writer<'a> {
    lines: &'a [Vec<&'a str>],
    narrowest: usize,
    widths: Vec<usize>,
    output: String,
}

impl Writer<'_> {
    /// Writes lines `from..to`, whose first columns have the known widths.
    fn block(&mut self, from: usize, to: usize) {
        let column = self.widths.len();
        let has_column = |line: &Vec<&str>| column + 1 < line.len();
        let mut from = from;
        let mut at = from;
        while at < to {
            if !has_column(&self.lines[at]) {
                at += 1;
                continue;
            }
            self.write(from, at);
            from = at;
            let mut width = self.narrowest;
            while at < to && has_column(&self.lines[at]) {
                width = width.max(self.lines[at][column].chars().count() + PADDING);
                at += 1;
            }
            self.widths.push(width);
            self.block(from, at);
            self.widths.pop();
            from = at;
        }
        self.write(from, to);
    }

    fn write(&mut self, from: usize, to: usize) {
        for line in &self.lines[from..to] {
            for (column, cell) in line.iter().enumerate() {
                self.output.push_str(cell);
                if let Some(width) = self.widths.get(column) {
                    let missing = width.saturating_sub(cell.chars().count());
                    self.output.extend(std::iter::repeat_n(' ', missing));
                }
            }
            self.output.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(
            aligned("ID\tNAME\tX\nabcdefghijkl\tw\ty\n", 10),
            "ID             NAME      X\nabcdefghijkl   w         y\n"
        );
        assert_eq!(aligned("plain\n", 10), "plain\n");
        assert_eq!(aligned("", 10), "");
        assert_eq!(aligned("ä\tb", 2), "ä   b");
    }

    #[test]
    fn a_line_without_the_column_ends_its_run() {
        assert_eq!(aligned("a\tb\nplain\nlonger cell\tc\n", 4), "a   b\nplain\nlonger cell   c\n");
        assert_eq!(aligned("a\t\nbb\t\n", 4), "a    \nbb   \n");
    }
}
