//! Which page a request is for. Whoever has no session sees the sign-in and the style sheet, nothing else; whatever
//! changes something has to come from a page of ours and carry that page's token.

use crate::answer::{self, Answer};
use crate::app::{App, now};
use crate::request::{Asked, SESSION_COOKIE};
use crate::{browsing, codes, pages, signing};
use haven_identity::{Ended, Refusal, Session};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;

const STYLE: &str = include_str!("style.css");

pub(crate) async fn answer(app: Arc<App>, request: Request<Incoming>, peer: IpAddr) -> Answer {
    let Some(asked) = Asked::new(request, peer, &app.config.behind_proxies) else {
        return answer::plain(StatusCode::BAD_REQUEST, "this address can't be read\n");
    };
    let method = asked.method.clone();
    let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
    match (&method, parts.as_slice()) {
        (&Method::GET | &Method::HEAD, ["style.css"]) => return answer::style(STYLE),
        (&Method::GET | &Method::HEAD, ["healthz"]) => return answer::plain(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD | &Method::POST, _) => {}
        _ => return answer::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST\n"),
    }
    if method == Method::POST && !asked.is_from_us() {
        return answer::plain(StatusCode::FORBIDDEN, "this didn't come from one of our pages\n");
    }
    if parts == ["sign-in"] {
        return if method == Method::POST {
            signing::sign_in(&app, asked).await
        } else {
            signing::page(&app)
        };
    }
    let session = match session(&app, &asked).await {
        Ok(session) => session,
        Err(refusal) => return refused(&app, &refusal, method == Method::POST),
    };
    let fresh = session.fresh_cookie().map(signing::session_cookie);
    let mut answer = signed_in(&app, asked, session).await;
    if let Some(cookie) = fresh {
        answer::add_cookie(&mut answer, &cookie);
    }
    answer
}

async fn signed_in(app: &Arc<App>, asked: Asked, session: Session) -> Answer {
    let parts: Vec<String> = asked.parts.clone();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (asked.method == Method::POST, parts.as_slice()) {
        (false, []) => answer::page(StatusCode::OK, pages::places(app, &session)),
        (false, ["sessions"]) => signing::sessions(app, &session).await,
        (false, ["codes"]) => codes::page(app, &session).await,
        (true, ["codes", what @ ("register" | "remove")]) => codes::change(app, asked, &session, what).await,
        (true, ["sign-out"]) => signing::sign_out(app, asked, session).await,
        (true, ["sessions", what @ ("end" | "end-all")]) => {
            signing::end_sessions(app, asked, session, what).await
        }
        (false, ["p", place, path @ ..]) => browsing::show(app, &asked, &session, place, path).await,
        (true, ["p", place, path @ ..]) => browsing::change(app, asked, &session, place, path).await,
        _ => answer::page(StatusCode::NOT_FOUND, pages::problem(app, "There is no such page.", "")),
    }
}

async fn session(app: &App, asked: &Asked) -> Result<Session, Refusal> {
    let cookie = asked.cookie(SESSION_COOKIE).ok_or(Refusal::SignIn(Ended::Malformed))?;
    app.vault.open(cookie, asked.address, now()).await
}

fn refused(app: &App, refusal: &Refusal, is_change: bool) -> Answer {
    match refusal {
        Refusal::Store(failure) => {
            tracing::error!(failure = failure.one_line(), "the store of sessions");
            let text =
                "Nobody can be recognised at the moment. You are still signed in: please try again soon.";
            answer::page(StatusCode::SERVICE_UNAVAILABLE, pages::problem(app, text, ""))
        }
        refusal => {
            if matches!(refusal, Refusal::SignIn(Ended::Forged)) {
                tracing::warn!(%refusal, "a request was refused");
            }
            if is_change {
                let text = "Nothing was changed: you are no longer signed in.";
                return answer::page(StatusCode::UNAUTHORIZED, pages::problem(app, text, "/sign-in"));
            }
            answer::see("/sign-in")
        }
    }
}
