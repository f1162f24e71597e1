//! Signing in and out, and a person's list of sessions.

use crate::answer::{self, Answer};
use crate::app::{App, now};
use crate::pages::{self, SignInNote};
use crate::request::{Asked, DEVICE_COOKIE, SESSION_COOKIE};
use haven_identity::{
    CodeVerdict, CookieValue, Handle, NotSignedIn, SecondFactor, Secret, Session, SignIn, User, Verdict,
};
use hyper::StatusCode;
use hyper::header::{HeaderName, USER_AGENT};

pub(crate) fn page(app: &App) -> Answer {
    answer::page(StatusCode::OK, pages::sign_in(app, None, ""))
}

/// `__Host-`: over TLS only, this host only. Strict: no other site's link or form carries it.
pub(crate) fn session_cookie(value: &CookieValue) -> String {
    format!("{SESSION_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict", value.as_str())
}

pub(crate) async fn sign_in(app: &App, asked: Asked) -> Answer {
    let address = asked.address;
    let client = asked.header(USER_AGENT).unwrap_or_default().to_owned();
    let device = asked.cookie(DEVICE_COOKIE).map(str::to_owned);
    let again =
        |note: SignInNote, name: &str| answer::page(StatusCode::OK, pages::sign_in(app, Some(note), name));
    let Some(mut form) = asked.form().await else {
        return answer::plain(StatusCode::BAD_REQUEST, "this form can't be read\n");
    };
    let name = form.get("user").unwrap_or_default().trim().to_owned();
    let password = Secret::from(form.take("password").unwrap_or_default());
    let code = form.get("code").unwrap_or_default().trim().to_owned();
    drop(form);
    let Ok(typed) = User::parse(&name) else { return again(SignInNote::Wrong, "") };

    match app.throttle.attempt(&typed, address, device.as_deref(), now()).await {
        Ok(Verdict::Go) => {}
        Ok(Verdict::Wait(time)) => {
            tracing::info!(user = %typed, %address, "sign-in: too many attempts");
            return again(SignInNote::Wait(time), &name);
        }
        Err(failure) => return unavailable(app, &failure),
    }
    let (user, authentication, credential) = match app.authenticate(&name, password).await {
        Ok(known) => known,
        Err(NotSignedIn::Unavailable(failure)) => return unavailable(app, &failure),
        Err(reason) => {
            tracing::info!(user = %typed, %address, %reason, "sign-in refused");
            return again(SignInNote::of(&reason), &name);
        }
    };
    let second_factor = match second_factor(app, &user, &code).await {
        Ok(Ok(factor)) => factor,
        Ok(Err(note)) => return again(note, &name),
        Err(failure) => return unavailable(app, &failure),
    };
    let known = app.throttle.succeeded(&typed, address, device.as_deref(), now()).await;
    let sign_in = SignIn {
        user: user.clone(),
        authentication,
        second_factor,
        credential,
        address,
        client,
        proof_key: None,
    };
    match app.vault.sign_in(sign_in, now()).await {
        Ok(cookie) => {
            tracing::info!(%user, %address, "signed in");
            let mut answer = answer::see("/");
            answer::add_cookie(&mut answer, &session_cookie(&cookie));
            if let Ok(device) = known {
                let lifetime_s = 90 * 24 * 3600;
                let device = format!(
                    "{DEVICE_COOKIE}={device}; Path=/; Max-Age={lifetime_s}; Secure; HttpOnly; SameSite=Strict"
                );
                answer::add_cookie(&mut answer, &device);
            }
            answer
        }
        Err(failure) => unavailable(app, &failure),
    }
}

/// Whoever has a telephone registered shows a code of it.
async fn second_factor(
    app: &App,
    user: &User,
    code: &str,
) -> haven_spec::Outcome<Result<SecondFactor, SignInNote>> {
    Ok(match app.totp.check_or_ask(user, code, now()).await? {
        CodeVerdict::NotRegistered => Ok(SecondFactor::None),
        CodeVerdict::Right => Ok(SecondFactor::Totp),
        CodeVerdict::Wrong if code.is_empty() => Err(SignInNote::CodeNeeded),
        CodeVerdict::Wrong => Err(SignInNote::CodeWrong),
        CodeVerdict::Used => Err(SignInNote::CodeUsed),
        CodeVerdict::Wait(time) => Err(SignInNote::Wait(time)),
    })
}

pub(crate) async fn sign_out(app: &App, asked: Asked, session: Session) -> Answer {
    if !carries_token(asked, &session).await.is_some_and(|form| form.is_empty()) {
        return stale(app);
    }
    let key = *session.handle().as_bytes();
    let user = session.user().clone();
    if let Err(failure) = app.vault.sign_out(session, now()).await {
        return unavailable(app, &failure);
    }
    app.pool.close_session(key);
    tracing::info!(%user, "signed out");
    signed_out()
}

pub(crate) async fn sessions(app: &App, session: &Session) -> Answer {
    match app.vault.sessions(session.user(), now()).await {
        Ok(list) => answer::page(StatusCode::OK, pages::sessions(app, session, &list)),
        Err(failure) => unavailable(app, &failure),
    }
}

pub(crate) async fn end_sessions(app: &App, asked: Asked, session: Session, what: &str) -> Answer {
    let Some(handle) = carries_token(asked, &session).await else { return stale(app) };
    let user = session.user().clone();
    if what == "end-all" {
        let Ok(list) = app.vault.sessions(&user, now()).await else { return stale(app) };
        if let Err(failure) = app.vault.sign_out_everywhere(&user, now()).await {
            return unavailable(app, &failure);
        }
        list.iter().for_each(|view| app.pool.close_session(*view.handle.as_bytes()));
        tracing::info!(%user, sessions = list.len(), "signed out everywhere");
        return signed_out();
    }
    let Ok(handle) = Handle::parse(&handle) else { return stale(app) };
    if app.vault.revoke(&user, handle, now()).await.is_ok() {
        app.pool.close_session(*handle.as_bytes());
        tracing::info!(%user, session = %handle, "a session was ended");
    }
    if handle == session.handle() { signed_out() } else { answer::see("/sessions") }
}

/// The field `session` of a form that carries a token of this session; empty when there is none.
async fn carries_token(asked: Asked, session: &Session) -> Option<String> {
    let form = asked.form().await?;
    let good = form.get("token").is_some_and(|token| session.accepts_form(token));
    good.then(|| form.get("session").unwrap_or_default().to_owned())
}

fn signed_out() -> Answer {
    let mut answer = answer::see("/sign-in");
    answer::add_cookie(
        &mut answer,
        &format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"),
    );
    answer::set(&mut answer, HeaderName::from_static("clear-site-data"), "\"cache\", \"storage\"");
    answer
}

pub(crate) fn stale(app: &App) -> Answer {
    let text = "Nothing was changed: the page was too old. Please try again.";
    answer::page(StatusCode::FORBIDDEN, pages::problem(app, text, "/"))
}

fn unavailable(app: &App, failure: &haven_spec::Failure) -> Answer {
    tracing::error!(
        failure = failure.one_line(),
        advice = failure.advice().unwrap_or_default(),
        "sign-in is not possible"
    );
    let text =
        "Signing in is not possible at the moment. The people in charge can see why; please try again later.";
    answer::page(StatusCode::SERVICE_UNAVAILABLE, pages::problem(app, text, "/sign-in"))
}
