//! A person's telephone for one-time codes: registered and forgotten by the person, who shows the password once more.
//!
//! The new secret travels in the form it was shown in, and nowhere is anything kept before a code has shown that the
//! telephone has it. Changing it needs what a thief of a session doesn't have: the password, and to forget, a code.

use crate::answer::{self, Answer};
use crate::app::{App, now};
use crate::pages::{self, SignInNote};
use crate::request::Asked;
use crate::signing;
use haven_identity::{CodeVerdict, NotSignedIn, Secret, Session, TotpSecret, Verdict};
use hyper::StatusCode;
use std::net::IpAddr;

pub(crate) async fn page(app: &App, session: &Session) -> Answer {
    match app.totp.is_registered(session.user()).await {
        Ok(true) => shown(pages::remove_codes(app, session, "")),
        Ok(false) => register_page(app, session, &TotpSecret::generate(), ""),
        Err(failure) => unavailable(app, &failure),
    }
}

pub(crate) async fn change(app: &App, asked: Asked, session: &Session, what: &str) -> Answer {
    let address = asked.address;
    let Some(mut form) = asked.form().await else { return signing::stale(app) };
    if !form.get("token").is_some_and(|token| session.accepts_form(token)) {
        return signing::stale(app);
    }
    let password = Secret::from(form.take("password").unwrap_or_default());
    let code = form.get("code").unwrap_or_default().trim().to_owned();
    let secret = Secret::from(form.take("secret").unwrap_or_default());
    drop(form);
    let again = match is_the_person(app, session, address, password).await {
        Ok(()) => None,
        Err(note) => Some(note.text()),
    };
    if what == "remove" {
        return match again {
            Some(note) => shown(pages::remove_codes(app, session, &note)),
            None => remove(app, session, &code).await,
        };
    }
    let Ok(secret) = TotpSecret::from_base32(secret.reveal_text().unwrap_or_default()) else {
        return signing::stale(app);
    };
    if let Some(note) = again {
        return register_page(app, session, &secret, &note);
    }
    match app.totp.is_registered(session.user()).await {
        Ok(false) => {}
        // Somebody else was quicker, or the page is old: the registered one has to be forgotten first.
        Ok(true) => return answer::see("/codes"),
        Err(failure) => return unavailable(app, &failure),
    }
    match app.totp.register(session.user(), &secret, &code, now()).await {
        Ok(()) => {
            tracing::info!(user = %session.user(), "a telephone was registered");
            answer::see("/codes")
        }
        Err(failure) if failure.kind() == haven_spec::Kind::Invalid => {
            register_page(app, session, &secret, &SignInNote::CodeWrong.text())
        }
        Err(failure) => unavailable(app, &failure),
    }
}

async fn remove(app: &App, session: &Session, code: &str) -> Answer {
    let note = match app.totp.check(session.user(), code, now()).await {
        Ok(CodeVerdict::Right) => {
            if let Err(failure) = app.totp.remove(session.user()).await {
                return unavailable(app, &failure);
            }
            tracing::info!(user = %session.user(), "a telephone was forgotten");
            return answer::see("/codes");
        }
        Ok(CodeVerdict::NotRegistered) => return answer::see("/codes"),
        Ok(CodeVerdict::Wrong) => SignInNote::CodeWrong,
        Ok(CodeVerdict::Used) => SignInNote::CodeUsed,
        Ok(CodeVerdict::Wait(time)) => SignInNote::Wait(time),
        Err(failure) => return unavailable(app, &failure),
    };
    shown(pages::remove_codes(app, session, &note.text()))
}

/// The password once more, counted like a sign-in.
async fn is_the_person(
    app: &App,
    session: &Session,
    address: IpAddr,
    password: Secret,
) -> Result<(), SignInNote> {
    let user = session.user();
    match app.throttle.attempt(user, address, None, now()).await {
        Ok(Verdict::Go) => {}
        Ok(Verdict::Wait(time)) => return Err(SignInNote::Wait(time)),
        Err(_) => return Err(SignInNote::NotAllowed),
    }
    match app.authenticate(user.as_str(), password).await {
        Ok((found, _, _)) if found == *user => {
            drop(app.throttle.succeeded(user, address, None, now()).await);
            Ok(())
        }
        Ok(_) => Err(SignInNote::Wrong),
        Err(NotSignedIn::Unavailable(failure)) => {
            tracing::error!(failure = failure.one_line(), "a password can't be checked");
            Err(SignInNote::NotAllowed)
        }
        Err(reason) => Err(SignInNote::of(&reason)),
    }
}

fn register_page(app: &App, session: &Session, secret: &TotpSecret, note: &str) -> Answer {
    let (text, uri) = (secret.to_base32(), secret.to_uri(&app.config.title, session.user()));
    let (text, uri) = (text.reveal_text().unwrap_or_default(), uri.reveal_text().unwrap_or_default());
    shown(pages::register_codes(app, session, text, uri, note))
}

fn shown(html: String) -> Answer {
    answer::page(StatusCode::OK, html)
}

fn unavailable(app: &App, failure: &haven_spec::Failure) -> Answer {
    tracing::error!(
        failure = failure.one_line(),
        advice = failure.advice().unwrap_or_default(),
        "codes can't be used"
    );
    let text =
        "That is not possible at the moment. The people in charge can see why; please try again later.";
    answer::page(StatusCode::SERVICE_UNAVAILABLE, pages::problem(app, text, "/"))
}
