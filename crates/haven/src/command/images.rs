//! `haven images`: the list of images.

use super::{Context, Verb};
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::filter;
use crate::show::{self, Listing, Row, row};
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};

pub(crate) struct Images;

const NONE: &str = "<none>";

pub(super) static LISTING: Listing = Listing {
    headings: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ],
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}",
    quiet: "{{.ID}}",
};

const DIGEST_TABLE: &str = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";

impl Verb for Images {
    fn about(&self) -> &'static str {
        "List images"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] [REPOSITORY[:TAG]]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("all", "Show all images (default hides intermediate images)").short('a'),
            grammar::switch("digests", "Show digests"),
            grammar::filter(),
            grammar::format().short(None),
            grammar::switch("no-trunc", "Don't truncate output"),
            grammar::switch("quiet", "Only show image IDs").short('q'),
            grammar::optional_operand("REPOSITORY"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let digests = grammar::on(matches, "digests");
        let table = if digests { DIGEST_TABLE } else { LISTING.table };
        let quiet = grammar::on(matches, "quiet");
        let format = LISTING.format_over(grammar::text_or_empty(matches, "format"), quiet, table)?;
        let mut filters = grammar::texts(matches, "filter");
        if let Some(name) = grammar::text(matches, "REPOSITORY") {
            filters.push(format!("reference={name}"));
        }
        let filters = filter::parameter(&filters)?;
        let query =
            Query::new().flag("all", grammar::on(matches, "all")).optional("filters", filters.as_deref());
        let answer = context.daemon.ask(Request::get(format!("/images/json{}", query.as_str())))?;
        let wants_digests = digests || format.mentions("Digest");
        let full = grammar::on(matches, "no-trunc");
        let rows: Vec<Row> =
            answer.items().iter().flat_map(|image| image_rows(image, wants_digests, full)).collect();
        format.print(&rows)?;
        Ok(Status::FINE)
    }
}

/// One row for each name of an image, or one row of `<none>`.
fn image_rows(image: &Value, wants_digests: bool, full: bool) -> Vec<Row> {
    let names = |field: &str, none: &str| -> Vec<String> {
        let all = image.at(field).items().iter().map(|name| name.as_str().to_owned());
        all.filter(|name| name != none).collect()
    };
    let tags = names("RepoTags", "<none>:<none>");
    let digests = names("RepoDigests", "<none>@<none>");
    let digests_of = |repository: &str| -> Vec<&str> {
        digests
            .iter()
            .filter_map(|name| name.split_once('@'))
            .filter(|(of, _)| *of == repository)
            .map(|(_, d)| d)
            .collect()
    };
    let mut rows = Vec::new();
    for name in &tags {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, NONE));
        let known = digests_of(repository);
        if !wants_digests || known.is_empty() {
            rows.push(image_row(image, repository, tag, NONE, full));
        } else {
            rows.extend(known.iter().map(|digest| image_row(image, repository, tag, digest, full)));
        }
    }
    let tagged = |repository: &str| {
        tags.iter().any(|name| name.rsplit_once(':').is_some_and(|(of, _)| of == repository))
    };
    for (repository, digest) in digests.iter().filter_map(|name| name.split_once('@')) {
        if !tagged(repository) {
            rows.push(image_row(image, repository, NONE, digest, full));
        }
    }
    if rows.is_empty() {
        rows.push(image_row(image, NONE, NONE, NONE, full));
    }
    rows
}

/// The first name of an image, for summaries.
pub(super) fn first_row(image: &Value, full: bool) -> Row {
    image_rows(image, false, full).into_iter().next().unwrap_or_default()
}

fn image_row(image: &Value, repository: &str, tag: &str, digest: &str, full: bool) -> Row {
    let id = image.at("Id").as_str();
    let created = image.at("Created").number();
    let size = |field: &str| {
        let size = image.at(field);
        if size.is_null() || size.number() < 0 {
            "N/A".to_owned()
        } else {
            show::decimal_size_with(size.decimal(), 3)
        }
    };
    let whole = if image.at("Size").is_null() { "VirtualSize" } else { "Size" };
    let (all, shared) = (image.at(whole).number(), image.at("SharedSize").number());
    let unique = if image.at("SharedSize").is_null() || shared < 0 {
        "N/A".to_owned()
    } else {
        show::decimal_size(all.saturating_sub(shared).max(0) as f64)
    };
    let containers = match image.at("Containers") {
        Value::Null => "N/A".to_owned(),
        count if count.number() < 0 => "N/A".to_owned(),
        count => count.number().to_string(),
    };
    let since =
        if created <= 0 { String::new() } else { format!("{} ago", show::age(show::now_s() - created)) };
    row([
        ("ID", if full { id } else { show::short_id(id) }.into()),
        ("Repository", repository.into()),
        ("Tag", tag.into()),
        ("Digest", digest.into()),
        ("CreatedSince", since.into()),
        ("CreatedAt", show::local_time(created).into()),
        ("Size", size(whole).into()),
        ("VirtualSize", size(whole).into()),
        ("SharedSize", size("SharedSize").into()),
        ("UniqueSize", unique.into()),
        ("Containers", containers.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_row_for_each_of_its_names() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (tags, digests, with_digests, expected) in [
            (r#"["a:1","b/c:2"]"#, "[]", false, "a:1 <none>;b/c:2 <none>"),
            ("null", "null", false, "<none>:<none> <none>"),
            (r#"["<none>:<none>"]"#, r#"["<none>@<none>"]"#, true, "<none>:<none> <none>"),
            (
                r#"["h:5000/a:1"]"#,
                &format!(r#"["h:5000/a@{digest}"]"#),
                true,
                &format!("h:5000/a:1 {digest}"),
            ),
            (r#"["h:5000/a:1"]"#, &format!(r#"["h:5000/a@{digest}"]"#), false, "h:5000/a:1 <none>"),
            ("[]", &format!(r#"["a@{digest}"]"#), true, &format!("a:<none> {digest}")),
        ] {
            let image: Value = serde_json::from_str(&format!(
                r#"{{"Id":"sha256:1","RepoTags":{tags},"RepoDigests":{digests}}}"#
            ))
            .unwrap();
            let rows: Vec<String> = image_rows(&image, with_digests, false)
                .iter()
                .map(|row| {
                    let cell = |name: &str| row.at(name).as_str().to_owned();
                    format!("{}:{} {}", cell("Repository"), cell("Tag"), cell("Digest"))
                })
                .collect();
            assert_eq!(rows.join(";"), expected, "{tags} {digests}");
        }
    }
}
