//! The part of Go's text/template language that people write after `--format`: fields, pipelines, functions, `if`,
//! `range`, `with`, variables, white-space trims.
//!
//! ```text
//! text ──lexer──▶ tokens ──parser──▶ nodes ──evaluator(value)──▶ text
//! ```
//!
//! Not here: `define`, `template` and `block` (named templates), complex numbers, methods other than the ones a
//! listing gives its rows. Reference: <https://pkg.go.dev/text/template>.

mod evaluate;
mod function;
mod lex;
mod node;
mod parse;
mod printf;
mod value;

pub(crate) use value::Value;

use evaluate::Evaluator;
use haven_spec::{Failure, Outcome};
use node::Node;

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let tokens = lex::tokens(text).map_err(|why| unreadable(text, why))?;
        let nodes = parse::nodes(tokens).map_err(|why| unreadable(text, why))?;
        Ok(Self { nodes })
    }

    /// The template's text for `subject`.
    pub(crate) fn render(&self, subject: &Value) -> Outcome<String> {
        Evaluator::new(subject, false).run(&self.nodes).map_err(inapplicable)
    }

    /// The template's text for a table's headings: functions that would change a heading leave it alone.
    pub(crate) fn render_headings(&self, headings: &Value) -> Outcome<String> {
        Evaluator::new(headings, true).run(&self.nodes).map_err(inapplicable)
    }

    /// Whether the template reads a field called `name` anywhere.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        node::mentions(&self.nodes, name)
    }
}

fn unreadable(text: &str, why: String) -> Failure {
    Failure::invalid(format!("cannot read the template `{text}`"))
        .because(why)
        .hint("write fields like '{{.ID}}', several like 'table {{.ID}}\\t{{.Names}}', or use --format json")
}

fn inapplicable(why: String) -> Failure {
    Failure::invalid("cannot apply the template").because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Value {
        serde_json::from_str(
            r#"{"Name":"/web","Id":"abc","N":3,"F":1.5,"Yes":true,"No":false,"Nil":null,"Empty":"",
                "Args":["a","b","c"],"Labels":{"z":"1","a.b":"two"},"Net":{"IP":"10.0.0.1","Ports":{"80/tcp":[{"HostPort":"8080"}]}}}"#,
        )
        .unwrap()
    }

    #[test]
    fn templates_render_as_go_renders_them() {
        let subject = subject();
        for (template, expected) in [
            ("plain", "plain"),
            ("{{.Name}}", "/web"),
            ("{{ .Name }}-{{.Id}}", "/web-abc"),
            ("{{.id}}", "abc"),
            ("{{json .}}", &serde_json::to_string(&subject).unwrap()),
            ("{{json .Args}}", r#"["a","b","c"]"#),
            (
                "{{.Args}} {{.Labels}} {{.N}} {{.F}} {{.Yes}} {{.Nil}}",
                "[a b c] map[a.b:two z:1] 3 1.5 true <no value>",
            ),
            ("{{len .Args}} {{len .Name}} {{len .Labels}}", "3 4 2"),
            ("{{index .Args 1}} {{index .Labels \"a.b\"}}", "b two"),
            ("{{(index (index .Net.Ports \"80/tcp\") 0).HostPort}}", "8080"),
            ("{{index .Net.Ports \"80/tcp\" 0 \"HostPort\"}}", "8080"),
            (
                "{{if .Yes}}y{{else}}n{{end}}{{if .No}}y{{else}}n{{end}}{{if .Empty}}y{{else if .N}}z{{end}}",
                "ynz",
            ),
            ("{{range .Args}}<{{.}}>{{end}}", "<a><b><c>"),
            ("{{range $i, $e := .Args}}{{$i}}={{$e}},{{end}}", "0=a,1=b,2=c,"),
            ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a.b=two;z=1;"),
            ("{{range .Empty2}}x{{else}}none{{end}}", ""),
            ("{{range .Nil}}x{{else}}none{{end}}", "none"),
            ("{{with .Net}}{{.IP}}{{end}}{{with .Empty}}x{{else}}no{{end}}", "10.0.0.1no"),
            ("{{range .Args}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
            ("{{range .Args}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
            ("{{$x := .Id}}{{range .Args}}{{$x}}{{end}}", "abcabcabc"),
            ("{{$x := 1}}{{if .Yes}}{{$x = 2}}{{end}}{{$x}}", "2"),
            ("{{range .Args}}{{$.Id}}{{end}}", "abcabcabc"),
            ("{{.Name | printf \"%q\"}}", "\"/web\""),
            (
                "{{printf \"%s|%5s|%-5s|%d|%03d|%x|%.2f|%v|%%\" .Id .Id .Id .N .N .N .F .Args}}",
                "abc|  abc|abc  |3|003|3|1.50|[a b c]|%",
            ),
            ("{{join .Args \",\"}} {{upper .Id}} {{lower \"AB\"}} {{title \"ab cd\"}}", "a,b,c ABC ab Ab Cd"),
            ("{{join (split \"a:b\" \":\") \"-\"}}", "a-b"),
            (
                "{{eq .N 3}} {{ne .N 3}} {{lt .N 4}} {{ge .F 1.5}} {{eq .Id \"x\" \"abc\"}}",
                "true false true true true",
            ),
            ("{{and .Yes .Id}} {{or .Empty \"d\"}} {{not .Yes}}", "abc d false"),
            ("{{and .No .Missing}}", "false"),
            ("a {{- .Id -}} b", "aabcb"),
            ("a {{- /* note */ -}} b", "ab"),
            ("{{/* note */}}x", "x"),
            ("{{`raw \\n`}} {{\"\\t\\\"\"}} {{'a'}}", "raw \\n \t\" 97"),
            ("{{print 1 2 \"x\" 3}}|{{println \"a\" 1}}", "1 2x3|a 1\n"),
            ("{{slice .Id 1 2}} {{slice .Args 1}}", "b [b c]"),
            ("{{truncate .Id 2}}{{pad .Id 1 2}}", "ab abc  "),
            ("{{len (split \"\" \",\")}}", "1"),
            ("{{true}} {{nil | json}}", "true null"),
            ("{{.}}{{end2}}", ""),
        ] {
            let rendered = Template::parse(template).and_then(|t| t.render(&subject));
            match rendered {
                Ok(text) => assert_eq!(text, expected, "{template}"),
                Err(error) => assert!(
                    template.contains("Empty2") || template.contains("end2"),
                    "{template}: {}",
                    error.one_line()
                ),
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said() {
        let subject = subject();
        for (template, word) in [
            ("{{", "unclosed action"),
            ("{{.Name", "unclosed action"),
            ("{{if .Yes}}", "unexpected end"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{else}}", "unexpected {{else}}"),
            ("{{.Foo}}", "no field `Foo`"),
            ("{{.Name.Foo}}", "cannot read field `Foo`"),
            ("{{.Nil.Foo}}", "nothing"),
            ("{{nosuch .Name}}", "function `nosuch`"),
            ("{{$x}}", "variable `$x`"),
            ("{{index .Args 7}}", "out of range"),
            ("{{index .Args -1}}", "out of range"),
            ("{{\"abc}}", "unterminated"),
            ("{{template \"x\"}}", "template"),
            ("{{.Name | }}", "missing value"),
            ("{{}}", "missing value"),
            ("{{break}}", "outside"),
            ("{{lt .Name 3}}", "incompatible"),
            ("{{/* x }}", "unclosed comment"),
        ] {
            let error = Template::parse(template).and_then(|t| t.render(&subject)).unwrap_err();
            assert!(error.one_line().contains(word), "{template}: {}", error.one_line());
        }
        // Nesting is bounded: it must not exhaust the stack.
        assert!(Template::parse(&"{{if 1}}".repeat(100_000)).is_err());
        assert!(Template::parse(&format!("{{{{{}}}}}", "(".repeat(100_000))).is_err());
    }

    #[test]
    fn fields_a_template_reads_are_known() {
        let template =
            Template::parse("{{if .Size}}{{range .X}}{{json (len $.Deep)}}{{end}}{{end}}").unwrap();
        assert!(template.mentions("Size") && template.mentions("Deep"));
        assert!(!template.mentions("Names"));
    }

    #[test]
    fn no_text_makes_the_engine_panic() {
        const PIECES: [&str; 40] = [
            "{{", "}}", "{{-", "-}}", " ", ".", "$", "$x", ":=", "=", "|", "(", ")", ",", "if", "else",
            "end", "range", "with", "break", "continue", "json", "len", "index", "slice", "printf", "split",
            "pad", "truncate", "\"%d\"", "\"", "`", "'a'", "1", "-1", "0x", "1e999", ".Args", ".Labels", "ü",
        ];
        let subject = subject();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).unwrap()
        };
        for _ in 0..30_000 {
            let length = next(14);
            let inner: String = (0..length)
                .map(|_| PIECES[next(PIECES.len())].to_owned() + if next(2) == 0 { " " } else { "" })
                .collect();
            for text in [
                inner.clone(),
                format!("{{{{{inner}}}}}"),
                format!("{{{{range .Args}}}}{{{{{inner}}}}}{{{{end}}}}"),
            ] {
                if let Ok(template) = Template::parse(&text) {
                    drop(template.render(&subject));
                    drop(template.render_headings(&subject));
                }
            }
        }
    }
}
