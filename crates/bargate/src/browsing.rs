//! Folders as pages, and what can be changed from them.

use crate::answer::{self, Answer};
use crate::app::App;
use crate::config::Place;
use crate::html::Part;
use crate::request::Asked;
use crate::{download, pages, signing, upload};
use haven_files::{Entry, EntryKind, FileName, FilePath, Problem, ProblemKind, Share};
use haven_identity::Session;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;

/// Most entries of a folder that are sorted into pages.
const MOST_ENTRIES: usize = 200_000;

/// A place of the configuration and a path in it, as one request has them.
pub(crate) struct Spot<'a> {
    pub(crate) number: usize,
    pub(crate) place: &'a Place,
    pub(crate) share: Share,
    /// Below the place's own path.
    pub(crate) path: FilePath,
    /// In the share.
    pub(crate) full: FilePath,
}

impl Spot<'_> {
    /// The address of the page, or of something in it.
    pub(crate) fn address(&self, path: &FilePath) -> String {
        let mut address = format!("/p/{}", self.number);
        for part in path.parts() {
            address.push_str(&format!("/{}", Part(part)));
        }
        address
    }
}

async fn spot<'a>(app: &'a App, session: &Session, place: &str, path: &[&str]) -> Result<Spot<'a>, Problem> {
    let missing = || Problem::of(ProblemKind::NotFound, "there is no such place");
    let number: usize = place.parse().map_err(|_| missing())?;
    let place = app.config.places.get(number).ok_or_else(missing)?;
    let mut relative = FilePath::root();
    for part in path {
        relative = relative.child(part)?;
    }
    let (share, root) = app.share(session, place).await?;
    let mut full = root;
    for part in relative.parts() {
        full = full.child(part)?;
    }
    Ok(Spot { number, place, share, path: relative, full })
}

pub(crate) async fn show(app: &App, asked: &Asked, session: &Session, place: &str, path: &[&str]) -> Answer {
    match try_show(app, asked, session, place, path).await {
        Ok(answer) => answer,
        Err(problem) => told(app, session, &problem),
    }
}

async fn try_show(
    app: &App,
    asked: &Asked,
    session: &Session,
    place: &str,
    path: &[&str],
) -> Result<Answer, Problem> {
    let spot = spot(app, session, place, path).await?;
    if spot.path.is_root() || spot.share.look(&spot.full).await?.kind != EntryKind::File {
        let mut entries = spot.share.list(&spot.full).await?.rest(MOST_ENTRIES).await?;
        sort(&mut entries);
        let page = asked.query("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        let html = pages::folder(app, session, &spot, &entries, page);
        return Ok(answer::page(StatusCode::OK, html));
    }
    download::file(asked, &spot.share, &spot.full).await
}

/// Folders first, then by name as people read it.
fn sort(entries: &mut [Entry]) {
    entries.sort_by_cached_key(|entry| (entry.kind != EntryKind::Folder, entry.name.to_lowercase()));
}

pub(crate) async fn change(app: &App, asked: Asked, session: &Session, place: &str, path: &[&str]) -> Answer {
    match try_change(app, asked, session, place, path).await {
        Ok(answer) => answer,
        Err(problem) => told(app, session, &problem),
    }
}

async fn try_change(
    app: &App,
    asked: Asked,
    session: &Session,
    place: &str,
    path: &[&str],
) -> Result<Answer, Problem> {
    let spot = spot(app, session, place, path).await?;
    if spot.place.read_only {
        return Err(Problem::of(ProblemKind::Denied, "the place is read-only"));
    }
    let is_upload = asked.header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("multipart/form-data"));
    if is_upload {
        let boundary = upload::boundary(asked.header(CONTENT_TYPE).unwrap_or_default());
        let Some(boundary) = boundary else { return Ok(signing::stale(app)) };
        let accepted = upload::receive(asked.body, &boundary, session, &spot.share, &spot.full).await?;
        if !accepted {
            return Ok(signing::stale(app));
        }
        tracing::info!(user = %session.user(), place = %spot.place.name, folder = %spot.full, "uploaded");
        return Ok(answer::see(&spot.address(&spot.path)));
    }
    let Some(form) = asked.form().await else { return Ok(signing::stale(app)) };
    if !form.get("token").is_some_and(|token| session.accepts_form(token)) {
        return Ok(signing::stale(app));
    }
    let name = form.get("name").unwrap_or_default();
    match form.get("do") {
        Some("folder") => spot.share.make_folder(&spot.full.join(&FileName::parse(name.trim())?)?).await?,
        Some("rename") => {
            let to = FileName::parse(form.get("to").unwrap_or_default().trim())?;
            spot.share.rename(&spot.full.child(name)?, &to).await.map(|_| ())?;
        }
        Some("delete") => {
            let path = spot.full.child(name)?;
            // A folder goes only when it is empty: without script there is nothing that shows how far it is.
            match spot.share.look(&path).await?.kind {
                EntryKind::Folder => spot.share.delete_folder(&path).await?,
                EntryKind::File | EntryKind::Link => spot.share.delete_file(&path).await?,
            }
        }
        _ => return Ok(signing::stale(app)),
    }
    let what = form.get("do").unwrap_or_default();
    tracing::info!(user = %session.user(), place = %spot.place.name, folder = %spot.full, what, name, "changed");
    Ok(answer::see(&spot.address(&spot.path)))
}

/// The page for a problem, with the code that fits.
fn told(app: &App, session: &Session, problem: &Problem) -> Answer {
    use ProblemKind as K;
    let status = match problem.kind() {
        K::NotFound | K::NoSuchShare => StatusCode::NOT_FOUND,
        K::Denied | K::NotProtected | K::Elsewhere => StatusCode::FORBIDDEN,
        K::Exists | K::NotEmpty | K::InUse => StatusCode::CONFLICT,
        K::BadName | K::Loop | K::NotAFolder | K::IsAFolder | K::Unsupported => StatusCode::BAD_REQUEST,
        K::Full | K::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::BAD_GATEWAY,
    };
    let mut cause = String::new();
    let mut next = std::error::Error::source(problem);
    while let Some(error) = next {
        cause = format!("{cause}: {error}");
        next = error.source();
    }
    tracing::info!(user = %session.user(), kind = ?problem.kind(), about = problem.name().unwrap_or_default(), cause, "a file operation failed");
    let mut text = problem.to_string();
    if problem.is_about_the_account() {
        text.push_str(". Your password may have been changed since you signed in: sign out, and in again.");
    }
    answer::page(status, pages::problem(app, &text, "/"))
}
