//! The daemon as the command line sees it: where it listens, starting it when it does not run, the API version both
//! speak, and requests whose refusals become failures.

mod autostart;
mod endpoint;
mod events;
mod refusal;
mod version;

pub(crate) use autostart::{DETACH_WORD, detach};
pub(crate) use endpoint::Endpoint;
pub(crate) use events::JsonStream;
pub(crate) use version::ApiVersion;

use crate::template::Value;
use crate::wire::{Answer, Connection, Request, escape};
use haven_spec::{Failure, Outcome};
use std::cell::{OnceCell, RefCell};
use std::time::Duration;

/// How long the daemon may take to answer a greeting.
const GREETING_LIMIT: Duration = Duration::from_secs(60);

/// A daemon, connected to at the first request.
#[derive(Debug)]
pub(crate) struct Daemon {
    endpoint: Endpoint,
    version: OnceCell<ApiVersion>,
    /// A connection that served a request and can serve the next.
    idle: RefCell<Option<Connection>>,
    /// Header fields of every request.
    fields: Vec<(&'static str, String)>,
}

impl Daemon {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, version: OnceCell::new(), idle: RefCell::new(None), fields: Vec::new() }
    }

    /// The same, with a header field more in every request.
    #[must_use]
    pub(crate) fn saying(mut self, name: &'static str, value: String) -> Self {
        self.fields.push((name, value));
        self
    }

    /// The same daemon for another thread, greeted already if this one was.
    pub(crate) fn again(&self) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            version: self.version.clone(),
            idle: RefCell::new(None),
            fields: self.fields.clone(),
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The API version spoken; greets the daemon first if it was not greeted yet.
    pub(crate) fn version(&self) -> Outcome<ApiVersion> {
        if let Some(version) = self.version.get() {
            return Ok(*version);
        }
        let connection = Connection::new(self.endpoint.connect()?);
        connection.limit_reads(Some(GREETING_LIMIT))?;
        let answer = connection.exchange("", Request::new(crate::wire::Method::Head, "/_ping"))?;
        let offered = answer.head.field("api-version").and_then(ApiVersion::parse);
        let version = ApiVersion::negotiated(offered)?;
        self.keep(answer)?;
        Ok(*self.version.get_or_init(|| version))
    }

    fn connection(&self) -> Outcome<Connection> {
        match self.idle.borrow_mut().take() {
            Some(connection) => Ok(connection),
            None => Ok(Connection::new(self.endpoint.connect()?)),
        }
    }

    /// Keeps an answer's connection for the next request, if its body was read to the end.
    fn keep(&self, answer: Answer) -> Outcome<()> {
        if answer.head.lists("connection", "close") {
            return Ok(());
        }
        if let Some(connection) = answer.body.into_idle() {
            connection.limit_reads(None)?;
            *self.idle.borrow_mut() = Some(connection);
        }
        Ok(())
    }

    /// Sends `request` and returns whatever was answered.
    pub(crate) fn exchange(&self, mut request: Request) -> Outcome<Answer> {
        request.fields.extend(self.fields.iter().cloned());
        let prefix = format!("/v{}", self.version()?);
        self.connection()?.exchange(&prefix, request)
    }

    /// Sends `request`; a refusal is a failure. The body is still to be read.
    pub(crate) fn open(&self, request: Request) -> Outcome<Answer> {
        let answer = self.exchange(request)?;
        if answer.status() < 300 || answer.status() == 304 {
            return Ok(answer);
        }
        Err(refusal::of(answer))
    }

    /// Sends `request` and reads the answer as JSON.
    pub(crate) fn ask(&self, request: Request) -> Outcome<Value> {
        let mut answer = self.open(request)?;
        let document = answer.document()?;
        self.keep(answer)?;
        Ok(document)
    }

    /// Sends `request` and reads the answer as text.
    pub(crate) fn ask_text(&self, request: Request) -> Outcome<String> {
        let mut answer = self.open(request)?;
        let bytes = answer.bytes()?;
        self.keep(answer)?;
        String::from_utf8(bytes).map_err(|_| Failure::internal("the daemon's answer is not text"))
    }

    /// Sends `request`, whose answer does not matter unless it is a refusal.
    pub(crate) fn tell(&self, request: Request) -> Outcome<()> {
        let mut answer = self.open(request)?;
        answer.bytes()?;
        self.keep(answer)
    }
}

/// A name as a path segment. Empty names would address the collection.
pub(crate) fn segment(name: &str, noun: &str) -> Outcome<String> {
    if name.trim().is_empty() {
        return Err(Failure::invalid(format!("the {noun}'s name is empty")).hint(format!("name a {noun}")));
    }
    Ok(escape(name))
}
