//! The pages, without script. Whatever comes from outside is put in by `Text` or `Part`.

use crate::app::App;
use crate::browsing::Spot;
use crate::html::Text;
use haven_files::{Entry, EntryKind, FilePath};
use haven_identity::{Moment, NotSignedIn, Session, SessionView};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// Entries on one page.
const PER_PAGE: usize = 500;

/// What to say above the sign-in form.
pub(crate) enum SignInNote {
    Wrong,
    MustChange,
    Expired,
    Locked,
    Disabled,
    NotAllowed,
    Wait(Duration),
    CodeNeeded,
    CodeWrong,
    CodeUsed,
}

impl SignInNote {
    pub(crate) fn of(reason: &NotSignedIn) -> Self {
        match reason {
            NotSignedIn::Wrong | NotSignedIn::Unavailable(_) => Self::Wrong,
            NotSignedIn::MustChange => Self::MustChange,
            NotSignedIn::Expired => Self::Expired,
            NotSignedIn::Locked => Self::Locked,
            NotSignedIn::Disabled => Self::Disabled,
            NotSignedIn::NotAllowed => Self::NotAllowed,
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Wrong => "User name or password is wrong.".into(),
            Self::MustChange => "Your password has to be changed before you can sign in here.".into(),
            Self::Expired => "Your password or account has expired.".into(),
            Self::Locked => "Your account is locked.".into(),
            Self::Disabled => "Your account is disabled.".into(),
            Self::NotAllowed => "Your account may not be used here, or not at this hour.".into(),
            Self::Wait(time) => {
                format!("Too many attempts. Please wait {} seconds and try again.", time.as_secs() + 1)
            }
            Self::CodeNeeded => {
                "Please enter the code from your telephone, and your password once more.".into()
            }
            Self::CodeWrong => "The code is wrong. Please enter the present one.".into(),
            Self::CodeUsed => "This code was used already. Please wait for the next one.".into(),
        }
    }

    fn is_about_the_code(&self) -> bool {
        matches!(self, Self::CodeNeeded | Self::CodeWrong | Self::CodeUsed)
    }
}

fn page(app: &App, title: &str, session: Option<&Session>, main: &str) -> String {
    let account = session.map_or(String::new(), |session| {
        format!(
            "<nav aria-label=\"Account\"><span>{}</span> <a href=\"/sessions\">Sessions</a> <a href=\"/codes\">Codes</a> <form method=\"post\" action=\"/sign-out\">{}<button>Sign out</button></form></nav>",
            Text(session.user().as_str()),
            token(session)
        )
    });
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} – {site}</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\
         <body><a class=\"skip\" href=\"#main\">To the content</a><header><a href=\"/\">{site}</a>{account}</header>\
         <main id=\"main\">{main}</main></body></html>\n",
        title = Text(title),
        site = Text(&app.config.title),
    )
}

fn token(session: &Session) -> String {
    format!("<input type=\"hidden\" name=\"token\" value=\"{}\">", Text(&session.form_token()))
}

pub(crate) fn sign_in(app: &App, note: Option<SignInNote>, name: &str) -> String {
    let code = if note.as_ref().is_some_and(SignInNote::is_about_the_code) {
        "<label for=\"code\">Code</label><input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"6\" required>"
    } else {
        ""
    };
    let note = note
        .map_or(String::new(), |note| format!("<p class=\"note\" role=\"alert\">{}</p>", Text(&note.text())));
    let main = format!(
        "<h1>Sign in</h1>{note}<form class=\"sign-in\" method=\"post\" action=\"/sign-in\">\
         <label for=\"user\">User name</label><input id=\"user\" name=\"user\" value=\"{}\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"256\" required>\
         <label for=\"password\">Password</label><input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" maxlength=\"1024\" required>\
         {code}<button>Sign in</button></form>",
        Text(name)
    );
    page(app, "Sign in", None, &main)
}

pub(crate) fn problem(app: &App, text: &str, back: &str) -> String {
    let link =
        if back.is_empty() { String::new() } else { format!("<p><a href=\"{}\">Go on</a></p>", Text(back)) };
    page(
        app,
        "Problem",
        None,
        &format!("<h1>That didn’t work</h1><p role=\"alert\">{}</p>{link}", Text(text)),
    )
}

pub(crate) fn places(app: &App, session: &Session) -> String {
    let mut main = String::from("<h1>Your places</h1><ul class=\"places\">");
    for (number, place) in app.config.places.iter().enumerate() {
        write!(main, "<li><a href=\"/p/{number}\">{}</a></li>", Text(&place.name))
            .expect("writing to memory succeeds");
    }
    main.push_str("</ul>");
    page(app, "Your places", Some(session), &main)
}

pub(crate) fn sessions(app: &App, session: &Session, list: &[SessionView]) -> String {
    let mut main = String::from(
        "<h1>Your sessions</h1><table><thead><tr><th scope=\"col\">Browser<th scope=\"col\">Address<th scope=\"col\">Begun<th scope=\"col\">Last used<th scope=\"col\"><span class=\"hidden\">End</span></thead><tbody>",
    );
    for view in list {
        let this = if view.handle == session.handle() { " (this one)" } else { "" };
        write!(
            main,
            "<tr><td>{}{this}<td>{}<td>{}<td>{}<td><form method=\"post\" action=\"/sessions/end\">{}<input type=\"hidden\" name=\"session\" value=\"{}\"><button>End</button></form>",
            Text(if view.client.is_empty() { "unknown" } else { &view.client }),
            view.address,
            time(moment(view.created)),
            time(moment(view.last_used)),
            token(session),
            view.handle
        )
        .expect("writing to memory succeeds");
    }
    let all = token(session);
    write!(main, "</tbody></table><form method=\"post\" action=\"/sessions/end-all\">{all}<button>Sign out everywhere</button></form>")
        .expect("writing to memory succeeds");
    page(app, "Your sessions", Some(session), &main)
}

/// Registering a telephone for codes: what it has to know, and a first code to show that it does.
pub(crate) fn register_codes(app: &App, session: &Session, secret: &str, uri: &str, note: &str) -> String {
    let spaced: Vec<&str> = (0..secret.len()).step_by(4).filter_map(|at| secret.get(at..at + 4)).collect();
    let main = format!(
        "<h1>Codes from your telephone</h1>{}<p>With a telephone registered, signing in asks for a code from it. In the app for one-time codes, \
         choose to enter a key, and enter this one:</p><p><code>{}</code></p><p>On the telephone itself, <a href=\"{}\">this link</a> does the same.</p>\
         <form class=\"sign-in\" method=\"post\" action=\"/codes/register\">{}<input type=\"hidden\" name=\"secret\" value=\"{}\">\
         <label for=\"code\">The code it shows now</label>{CODE}\
         <label for=\"password\">Your password, once more</label>{PASSWORD}<button>Register</button></form>",
        alert(note),
        Text(&spaced.join(" ")),
        Text(uri),
        token(session),
        Text(secret)
    );
    page(app, "Codes", Some(session), &main)
}

pub(crate) fn remove_codes(app: &App, session: &Session, note: &str) -> String {
    let main = format!(
        "<h1>Codes from your telephone</h1>{}<p>Your telephone is registered: signing in asks for a code from it.</p>\
         <form class=\"sign-in\" method=\"post\" action=\"/codes/remove\">{}<label for=\"code\">A code from it</label>{CODE}\
         <label for=\"password\">Your password, once more</label>{PASSWORD}<button>Forget the telephone</button></form>",
        alert(note),
        token(session)
    );
    page(app, "Codes", Some(session), &main)
}

const CODE: &str = "<input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"6\" required>";
const PASSWORD: &str = "<input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" maxlength=\"1024\" required>";

fn alert(note: &str) -> String {
    if note.is_empty() {
        String::new()
    } else {
        format!("<p class=\"note\" role=\"alert\">{}</p>", Text(note))
    }
}

pub(crate) fn folder(
    app: &App,
    session: &Session,
    spot: &Spot<'_>,
    entries: &[Entry],
    number: usize,
) -> String {
    let last = entries.len().div_ceil(PER_PAGE).max(1);
    let number = number.clamp(1, last);
    let from = (number - 1) * PER_PAGE;
    let here = spot.address(&spot.path);
    let mut main = crumbs(spot);
    write!(
        main,
        "<h1>{}</h1><p>{} entries</p>",
        Text(spot.path.name().unwrap_or(&spot.place.name)),
        entries.len()
    )
    .expect("writing to memory succeeds");
    main.push_str("<table><thead><tr><th scope=\"col\">Name<th scope=\"col\">Size<th scope=\"col\">Changed");
    if !spot.place.read_only {
        main.push_str("<th scope=\"col\"><span class=\"hidden\">Change</span>");
    }
    main.push_str("</thead><tbody>");
    for entry in entries.iter().skip(from).take(PER_PAGE) {
        row(&mut main, session, spot, entry, &here);
    }
    main.push_str("</tbody></table>");
    if last > 1 {
        main.push_str("<nav aria-label=\"Pages\">");
        for other in [number.saturating_sub(1), number + 1] {
            if other >= 1 && other <= last {
                let word = if other < number { "Previous" } else { "Next" };
                write!(main, "<a href=\"{here}?page={other}\">{word}</a> ")
                    .expect("writing to memory succeeds");
            }
        }
        write!(main, "Page {number} of {last}</nav>").expect("writing to memory succeeds");
    }
    if !spot.place.read_only {
        let token = token(session);
        write!(
            main,
            "<section class=\"add\"><form method=\"post\" action=\"{here}\" enctype=\"multipart/form-data\">{token}<label for=\"files\">Upload files</label><input id=\"files\" type=\"file\" name=\"file\" multiple required><button>Upload</button></form>\
             <form method=\"post\" action=\"{here}\">{token}<input type=\"hidden\" name=\"do\" value=\"folder\"><label for=\"folder\">New folder</label><input id=\"folder\" name=\"name\" maxlength=\"255\" required><button>Make</button></form></section>"
        )
        .expect("writing to memory succeeds");
    }
    page(app, spot.path.name().unwrap_or(&spot.place.name), Some(session), &main)
}

fn row(main: &mut String, session: &Session, spot: &Spot<'_>, entry: &Entry, here: &str) {
    let name = Text(&entry.name);
    // A name that can't be a path can be shown and not opened.
    let link = match spot.path.child(&entry.name) {
        Ok(path) => format!("<a href=\"{}\">{name}</a>", spot.address(&path)),
        Err(_) => name.to_string(),
    };
    let (mark, amount) = match entry.kind {
        EntryKind::Folder => ("folder", String::new()),
        EntryKind::Link => ("link", String::new()),
        EntryKind::File => ("file", size(entry.size_bytes)),
    };
    let changed = entry.modified.map(time).unwrap_or_default();
    write!(main, "<tr class=\"{mark}\"><td>{link}<td>{amount}<td>{changed}")
        .expect("writing to memory succeeds");
    if !spot.place.read_only {
        let token = token(session);
        write!(
            main,
            "<td><details><summary>Change</summary><form method=\"post\" action=\"{here}\">{token}<input type=\"hidden\" name=\"name\" value=\"{name}\"><input name=\"to\" aria-label=\"New name of {name}\" value=\"{name}\" maxlength=\"255\"><button name=\"do\" value=\"rename\">Rename</button> <button name=\"do\" value=\"delete\">Delete</button></form></details>"
        )
        .expect("writing to memory succeeds");
    }
}

fn crumbs(spot: &Spot<'_>) -> String {
    let mut crumbs = format!(
        "<nav aria-label=\"Path\"><ol><li><a href=\"/\">Places</a><li><a href=\"/p/{}\">{}</a>",
        spot.number,
        Text(&spot.place.name)
    );
    let mut path = FilePath::root();
    for part in spot.path.parts() {
        if let Ok(next) = path.child(part) {
            path = next;
            write!(crumbs, "<li><a href=\"{}\">{}</a>", spot.address(&path), Text(part))
                .expect("writing to memory succeeds");
        }
    }
    crumbs.push_str("</ol></nav>");
    crumbs
}

/// In units of 1,024, as file managers show it.
fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut rest = bytes;
    while rest >= 10 * 1024 && unit < 4 {
        rest = rest.div_ceil(1024);
        unit += 1;
    }
    format!("{rest} {}", ["B", "KiB", "MiB", "GiB", "TiB"][unit])
}

fn moment(moment: Moment) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(moment.as_ms())
}

/// UTC: without script the reader's zone isn't known.
fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = [0, 10_239, 10_240, 5_000_000, 3_000_000_000_000].map(size);
        assert_eq!(shown, ["0 B", "10239 B", "10 KiB", "4883 KiB", "2794 GiB"]);
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(time(SystemTime::UNIX_EPOCH), "1970-01-01 00:00 UTC");
    }
}
